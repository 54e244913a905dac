//! Changes of keys: a member adds, retires or revokes a signing key, or a person's key, in a chain of its own.

use crate::digest::Digest;
use crate::ids::{KeyId, MemberId, PersonId};
use crate::key::{PublicKey, Signature, SigningKey, Statement};
use crate::refusal::{Refusal, Rule};
use crate::time::Timestamp;
use crate::words::KeyAct;
use serde::{Deserialize, Serialize};

/// Longest reason of a change, in characters.
pub const KEY_REASON_CHARS_MAX: usize = 200;

/// One change of one key. Each member's changes are a chain: numbered from 1 under every charter, each naming the one
/// before by its digest, so that nobody can leave one out or put another in its place.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Digest of the charter under which the chain began, which names the keys that were there first.
    pub charter: Digest,
    /// Whose chain it is.
    pub member: MemberId,
    /// Whose key it is: a person's of the member; absent: its agents'.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// The running number in the chain, from 1.
    pub number: u32,
    /// Digest of the change before; of the charter's text for number 1.
    pub previous: Digest,
    /// What becomes of the key.
    pub act: KeyAct,
    /// The key.
    pub key: PublicKey,
    /// When.
    pub made: Timestamp,
    /// Why, in words, 1 to [`KEY_REASON_CHARS_MAX`] characters.
    pub reason: String,
    /// Who signs: a person of the member; absent: the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<PersonId>,
    /// The key that signs.
    pub signed_with: KeyId,
}

impl Statement for KeyChange {
    const CONTEXT: &'static str = "epimachia/key-change/v1";
}

/// What a new key signs to show that whoever adds it has its secret half: otherwise a member could claim another's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPossession {
    /// The alliance.
    pub alliance: String,
    /// For which member.
    pub member: MemberId,
    /// For which person of it; absent: for its agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<PersonId>,
    /// The key.
    pub key: PublicKey,
}

impl Statement for KeyPossession {
    const CONTEXT: &'static str = "epimachia/key-possession/v1";
}

/// A change with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedKeyChange {
    /// What is signed.
    pub change: KeyChange,
    /// By a live key of the member, or of a person of it.
    pub signature: Signature,
    /// For `add`: by the new key, over a [`KeyPossession`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Signature>,
}

impl SignedKeyChange {
    /// Signs a change; `proof` goes with `add`.
    pub fn sign(change: KeyChange, key: &SigningKey, proof: Option<Signature>) -> Self {
        let signature = key.sign(&change);
        Self { change, signature, proof }
    }

    /// What the new key signs.
    pub fn possession(&self, alliance: &str) -> KeyPossession {
        let of = &self.change;
        let (member, person) = (of.member.clone(), of.person.clone());
        KeyPossession { alliance: alliance.to_owned(), member, person, key: of.key }
    }

    /// Checks the signature by this key and, for `add`, the new key's own.
    ///
    /// # Errors
    /// `bad_signature`; `key_not_proven` if the new key did not sign, or signed something else.
    pub fn verify(&self, signer: &PublicKey, alliance: &str) -> Result<(), Refusal> {
        signer.verify(&self.change, &self.signature)?;
        let unproven = || {
            let value = self.change.key.id();
            Refusal::new(Rule::KeyNotProven, value, "a signature by the new key itself, and with `add` only")
        };
        match (self.change.act, &self.proof) {
            (KeyAct::Add, Some(proof)) => {
                self.change.key.verify(&self.possession(alliance), proof).map_err(|_| unproven())
            }
            (KeyAct::Retire | KeyAct::Revoke, None) => Ok(()),
            _ => Err(unproven()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(new: &SigningKey) -> KeyChange {
        KeyChange {
            charter: Digest::of(&[b"charter"]),
            member: "telecom".parse().unwrap(),
            person: None,
            number: 1,
            previous: Digest::of(&[b"charter"]),
            act: KeyAct::Add,
            key: new.public(),
            made: "2026-02-01T00:00:00Z".parse().unwrap(),
            reason: "new machine".to_owned(),
            signer: None,
            signed_with: SigningKey::from_seed(&[1; 32]).public().id(),
        }
    }

    #[test]
    fn a_new_key_counts_with_its_own_signature_for_this_alliance_and_holder_only() {
        let (old, new) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let unproven = SignedKeyChange::sign(add(&new), &old, None);
        assert_eq!(unproven.verify(&old.public(), "a").unwrap_err().rule, Rule::KeyNotProven);
        let proof = new.sign(&unproven.possession("a"));
        let proven = SignedKeyChange::sign(add(&new), &old, Some(proof));
        assert!(proven.verify(&old.public(), "a").is_ok());
        assert_eq!(proven.verify(&old.public(), "b").unwrap_err().rule, Rule::KeyNotProven);
        assert_eq!(proven.verify(&new.public(), "a").unwrap_err().rule, Rule::BadSignature);
        let mut other = add(&new);
        other.member = "cloud".parse().unwrap();
        let moved = SignedKeyChange::sign(other, &old, Some(proof));
        assert_eq!(moved.verify(&old.public(), "a").unwrap_err().rule, Rule::KeyNotProven);
    }

    #[test]
    fn what_takes_away_carries_no_proof() {
        let (old, new) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let change = KeyChange { act: KeyAct::Revoke, ..add(&new) };
        let plain = SignedKeyChange::sign(change.clone(), &old, None);
        assert!(plain.verify(&old.public(), "a").is_ok());
        let proof = new.sign(&plain.possession("a"));
        let odd = SignedKeyChange::sign(change, &old, Some(proof));
        assert_eq!(odd.verify(&old.public(), "a").unwrap_err().rule, Rule::KeyNotProven);
    }

    #[test]
    fn a_change_reads_back_as_it_was_written() {
        let old = SigningKey::from_seed(&[1; 32]);
        let signed = SignedKeyChange::sign(KeyChange { act: KeyAct::Retire, ..add(&old) }, &old, None);
        let text = serde_json::to_string(&signed).unwrap();
        assert!(!text.contains("person") && !text.contains("proof"), "{text}");
        assert_eq!(serde_json::from_str::<SignedKeyChange>(&text).unwrap(), signed);
    }
}

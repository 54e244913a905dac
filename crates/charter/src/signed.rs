//! A charter with the signatures that put it in force.

use crate::charter::Charter;
use model::{
    Digest, KeyId, MemberId, Refusal, Rule, Signature, SignedKeyChange, SigningKey, Span, Statement, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far a charter's `made` may lie ahead of the clock that reads it.
const SKEW_MAX: Span = Span::hours(1);

/// What a member signs to put a charter in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CharterConsent {
    /// Digest of the charter's text.
    pub charter: Digest,
    /// Its version.
    pub version: u64,
    /// The consenting member.
    pub member: MemberId,
    /// The member's key.
    pub key: KeyId,
}

impl Statement for CharterConsent {
    const CONTEXT: &'static str = "epimachia/charter/v1";
}

/// A consent with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedConsent {
    /// What is signed.
    pub consent: CharterConsent,
    /// By a key of the member.
    pub signature: Signature,
}

/// The charter's text with its signatures, as it travels and stands in the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCharter {
    /// The TOML, byte for byte.
    pub text: String,
    /// Consents of members.
    pub consents: Vec<SignedConsent>,
    /// The changes of keys under the charter before, by which the consents are checked; the hub adds them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<SignedKeyChange>,
}

impl SignedCharter {
    /// A text with its consents.
    pub const fn new(text: String, consents: Vec<SignedConsent>) -> Self {
        Self { text, consents, keys: Vec::new() }
    }

    /// A member's consent to a charter's text.
    ///
    /// # Errors
    /// What [`Charter::parse`] refuses.
    pub fn consent(text: &str, member: &MemberId, key: &SigningKey) -> Result<SignedConsent, Refusal> {
        let version = Charter::parse(text)?.alliance.version;
        let consent = CharterConsent {
            charter: Charter::digest_of(text),
            version,
            member: member.clone(),
            key: key.public().id(),
        };
        let signature = key.sign(&consent);
        Ok(SignedConsent { consent, signature })
    }

    /// The digest of the text.
    pub fn digest(&self) -> Digest {
        Charter::digest_of(&self.text)
    }

    /// Checks a first charter, which its own members sign; whoever trusts it compares the digest by another way.
    /// Consents count by keys that were live when it was made.
    ///
    /// # Errors
    /// `charter_unsigned`, `clock_skew` if it is of the future, or what [`Charter::parse`] refuses.
    pub fn verify_first(&self, at: Timestamp) -> Result<Charter, Refusal> {
        let charter = Charter::parse(&self.text)?;
        require_made(&charter, at)?;
        self.require_quorum(&charter, charter.alliance.made)?;
        Ok(charter)
    }

    /// Checks a charter that follows `before`, whose members must have signed it with keys that were live when it was
    /// made. `before` has its keys as they are now: [`crate::KeyBook::effective`].
    ///
    /// # Errors
    /// `charter_old` if it is not the next one, or made before the one before; `key_revoked` if it names a key that was
    /// revoked; `charter_unsigned`, `clock_skew`, or what [`Charter::parse`] refuses.
    pub fn verify_next(&self, before: &Charter, digest_before: Digest, at: Timestamp) -> Result<Charter, Refusal> {
        let charter = Charter::parse(&self.text)?;
        let next = charter.alliance.version == before.alliance.version + 1
            && charter.alliance.previous == Some(digest_before)
            && charter.alliance.name == before.alliance.name
            && charter.alliance.made >= before.alliance.made;
        if !next {
            let limit = format!("version {} following {digest_before}", before.alliance.version + 1);
            return Err(Refusal::new(Rule::CharterOld, charter.alliance.version, limit));
        }
        require_made(&charter, at)?;
        if let Some(key) = charter.all_keys().map(|key| key.id()).find(|key| before.is_revoked(key)) {
            return Err(Refusal::new(Rule::KeyRevoked, key, "a charter that names no key that was revoked"));
        }
        self.require_quorum(before, charter.alliance.made)?;
        Ok(charter)
    }

    fn require_quorum(&self, signers: &Charter, at: Timestamp) -> Result<(), Refusal> {
        let signed: BTreeSet<&MemberId> = (self.consents.iter())
            .filter(|signed| self.counts(signed, signers, at))
            .map(|signed| &signed.consent.member)
            .collect();
        match signed.len() >= signers.signers_needed() {
            true => Ok(()),
            false => {
                let limit = format!("signatures of {} full members", signers.signers_needed());
                Err(Refusal::new(Rule::CharterUnsigned, format_args!("{} valid", signed.len()), limit))
            }
        }
    }

    fn counts(&self, signed: &SignedConsent, signers: &Charter, at: Timestamp) -> bool {
        let consent = &signed.consent;
        let voter = signers.voters().any(|m| m.id == consent.member);
        let key = signers.member_key(&consent.member, &consent.key, at);
        voter && consent.charter == self.digest() && key.is_ok_and(|k| k.verify(consent, &signed.signature).is_ok())
    }
}

/// A charter of the future could be signed with keys that are not live yet.
fn require_made(charter: &Charter, at: Timestamp) -> Result<(), Refusal> {
    let latest = at.plus(SKEW_MAX);
    match charter.alliance.made <= latest {
        true => Ok(()),
        false => Err(Refusal::new(Rule::ClockSkew, charter.alliance.made, format!("made not after {latest}"))),
    }
}

#[cfg(test)]
#[path = "signed_tests.rs"]
mod tests;

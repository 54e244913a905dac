//! Which keys count: those that the charter's text names, and what its members changed since, each in a chain of its
//! own. A pure function of text and chain: the hub and every agent come to the same keys, and nobody asks the hub.
//!
//! A charter names the keys anew, and every chain begins again with it. What was revoked stays revoked for ever: a
//! charter that names such a key is not followed.

use crate::charter::{Charter, MemberKey};
use model::keychange::KEY_REASON_CHARS_MAX;
use model::{
    Digest, KeyAct, KeyChange, KeyId, MemberId, PersonId, PublicKey, Refusal, Role, Rule, SignedKeyChange, Statement,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most changes of one member's keys under one charter. A thief who uses them up is stopped by the next charter.
pub const KEY_CHANGES_MAX: u32 = 64;
/// Most keys of a member's agents, or of one person, that are live at a time.
pub const LIVE_KEYS_MAX: usize = 8;

/// The changes since the charter in force was adopted, and what may never come back.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyBook {
    /// Changes under the charter in force, in the order in which they were accepted.
    pub changes: Vec<SignedKeyChange>,
    /// Keys that were revoked under the charters before.
    pub revoked: BTreeSet<KeyId>,
}

impl KeyBook {
    /// The charter with the keys as they are now.
    pub fn effective(&self, named: &Charter) -> Charter {
        let mut charter = named.clone();
        charter.revoked.clone_from(&self.revoked);
        self.changes.iter().for_each(|signed| charter.take_key_change(&signed.change));
        charter
    }

    /// Number and digest of a member's latest change; zero and the charter's digest before the first.
    pub fn head(&self, member: &MemberId, charter: Digest) -> (u32, Digest) {
        let latest = self.changes.iter().rfind(|signed| signed.change.member == *member);
        latest.map_or((0, charter), |signed| (signed.change.number, signed.change.digest()))
    }

    /// Is this change in the book, byte for byte?
    pub fn holds(&self, change: &KeyChange) -> bool {
        self.changes.iter().any(|signed| signed.change == *change)
    }

    /// Checks a change against `charter`, which is [`KeyBook::effective`] of this book, and the digest of its text.
    ///
    /// # Errors
    /// `key_chain` if it does not follow, `key_revoked` if it would bring one back, `key_holder` if its signer may not,
    /// `last_key`, `key_not_proven`, `bad_signature`, `unknown_member`, `unknown_key`, `too_large`, `malformed`.
    pub fn admit(&self, signed: &SignedKeyChange, charter: &Charter, digest: Digest) -> Result<(), Refusal> {
        let change = &signed.change;
        let keys = charter.keys_of(&change.member, change.person.as_ref())?;
        self.follows(change, digest)?;
        let length = change.reason.trim().chars().count();
        if !(1..=KEY_REASON_CHARS_MAX).contains(&length) {
            let limit = format!("a reason of 1 to {KEY_REASON_CHARS_MAX} characters");
            return Err(Refusal::new(Rule::Malformed, &change.reason, limit));
        }
        signed.verify(&signer(change, charter)?, &charter.alliance.name)?;
        match change.act {
            KeyAct::Add => addable(change, keys, charter),
            KeyAct::Retire => retirable(change, keys),
            KeyAct::Revoke => listed(change, keys).map(drop),
        }
    }

    fn follows(&self, change: &KeyChange, digest: Digest) -> Result<(), Refusal> {
        if change.charter != digest {
            let value = format!("a change under charter {}", change.charter);
            return Err(Refusal::new(Rule::KeyChain, value, digest));
        }
        let (number, previous) = self.head(&change.member, digest);
        if number >= KEY_CHANGES_MAX {
            let limit = format!("{KEY_CHANGES_MAX} under one charter; the next one names the keys anew");
            return Err(Refusal::new(Rule::TooLarge, format_args!("{} changes of keys", number + 1), limit));
        }
        let before = self.changes.iter().rfind(|signed| signed.change.member == change.member);
        if before.is_some_and(|before| before.change.made > change.made) {
            return Err(Refusal::new(Rule::KeyChain, change.made, "a time not before the change that it follows"));
        }
        match change.number == number + 1 && change.previous == previous {
            true => Ok(()),
            false => {
                let value = format!("number {} after {}", change.number, change.previous);
                Err(Refusal::new(Rule::KeyChain, value, format_args!("number {} after {previous}", number + 1)))
            }
        }
    }

    /// Writes an admitted change down.
    pub fn take(&mut self, signed: SignedKeyChange) {
        self.changes.push(signed);
    }

    /// The book under the charter that follows: chains begin anew, what was revoked stays so.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut revoked = self.revoked.clone();
        let over = self.changes.iter().filter(|signed| signed.change.act == KeyAct::Revoke);
        revoked.extend(over.map(|signed| signed.change.key.id()));
        Self { changes: Vec::new(), revoked }
    }
}

impl Charter {
    /// Carries out one change of a key, which was admitted.
    pub fn take_key_change(&mut self, change: &KeyChange) {
        let (id, made) = (change.key.id(), change.made);
        if change.act == KeyAct::Revoke {
            self.revoked.insert(id);
        }
        let Some(keys) = self.keys_of_mut(&change.member, change.person.as_ref()) else { return };
        match change.act {
            KeyAct::Add => keys.push(MemberKey { public: change.key, from: made, until: None }),
            KeyAct::Retire => keys.iter_mut().filter(|key| key.public == change.key).for_each(|key| {
                key.until = Some(key.until.map_or(made, |until| until.min(made)));
            }),
            KeyAct::Revoke => keys.retain(|key| key.public != change.key),
        }
    }

    /// Was this key revoked, under this charter or one before?
    pub fn is_revoked(&self, key: &KeyId) -> bool {
        self.revoked.contains(key)
    }

    /// The keys of a member's agents, or of one person of it.
    ///
    /// # Errors
    /// `unknown_member`; `unknown_key` for a person whom the charter does not name.
    pub fn keys_of(&self, member: &MemberId, person: Option<&PersonId>) -> Result<&[MemberKey], Refusal> {
        let of = self.member(member)?;
        let Some(person) = person else { return Ok(&of.keys) };
        let found = of.persons.iter().find(|known| known.id == *person);
        let unknown = || Refusal::new(Rule::UnknownKey, person, format!("a person of {member} in the charter"));
        found.map(|person| person.keys.as_slice()).ok_or_else(unknown)
    }

    fn keys_of_mut(&mut self, member: &MemberId, person: Option<&PersonId>) -> Option<&mut Vec<MemberKey>> {
        let of = self.members.iter_mut().find(|known| known.id == *member)?;
        let Some(person) = person else { return Some(&mut of.keys) };
        of.persons.iter_mut().find(|known| known.id == *person).map(|person| &mut person.keys)
    }
}

/// The key by which a change is signed, if its holder may make it: taking away is open to every key of the member,
/// giving only to the holder's own; to the member's for its persons where the charter makes it an admin.
fn signer(change: &KeyChange, charter: &Charter) -> Result<PublicKey, Refusal> {
    let own = change.signer == change.person;
    let vouches = change.signer.is_none() && charter.member(&change.member)?.roles.contains(&Role::Admin);
    if !own && change.act != KeyAct::Revoke && !vouches {
        let value = change.signer.as_ref().map_or_else(|| change.member.to_string(), ToString::to_string);
        let holder = change.person.as_ref().map_or_else(|| change.member.to_string(), ToString::to_string);
        return Err(Refusal::new(Rule::KeyHolder, value, format!("a live key of {holder} itself")));
    }
    match &change.signer {
        None => charter.member_key(&change.member, &change.signed_with, change.made),
        Some(person) if person.member() == change.member => {
            charter.person_key(person, &change.signed_with, change.made)
        }
        Some(person) => Err(Refusal::new(Rule::KeyHolder, person, format!("a person of {}", change.member))),
    }
}

fn addable(change: &KeyChange, keys: &[MemberKey], charter: &Charter) -> Result<(), Refusal> {
    let id = change.key.id();
    if charter.is_revoked(&id) {
        return Err(Refusal::new(Rule::KeyRevoked, id, "a key that was never revoked"));
    }
    if charter.all_keys().any(|key| key == change.key) {
        return Err(Refusal::new(Rule::Malformed, id, "each key once, for one agent, one person or one witness"));
    }
    let live = keys.iter().filter(|key| key.is_live(change.made)).count();
    match live < LIVE_KEYS_MAX {
        true => Ok(()),
        false => Err(Refusal::new(Rule::TooLarge, format_args!("{} live keys", live + 1), LIVE_KEYS_MAX)),
    }
}

fn listed<'a>(change: &KeyChange, keys: &'a [MemberKey]) -> Result<&'a MemberKey, Refusal> {
    let unknown = || Refusal::new(Rule::UnknownKey, change.key.id(), "a key of this holder in the charter in force");
    keys.iter().find(|key| key.public == change.key).ok_or_else(unknown)
}

fn retirable(change: &KeyChange, keys: &[MemberKey]) -> Result<(), Refusal> {
    let over = |at: &Timestamp| Refusal::new(Rule::UnknownKey, change.key.id(), format!("a key that is live at {at}"));
    let key = listed(change, keys)?;
    if !key.is_live(change.made) {
        return Err(over(&change.made));
    }
    match keys.iter().any(|other| other.public != change.key && other.is_live(change.made)) {
        true => Ok(()),
        false => Err(Refusal::new(Rule::LastKey, change.key.id(), "another live key first; or revoke it")),
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;

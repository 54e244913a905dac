//! Keys as entries: a member's change of a key is decided here, written down, and told every agent. Which keys count is
//! `charter`'s to say ([`charter::KeyBook`]), by the same function on every side.

use crate::entry::{Author, Event};
use crate::handle::{Drafted, internal};
use crate::state::{Alliance, InForceCharter};
use charter::{Charter, KeyBook, MemberKey};
use model::{
    Digest, FindingState, KeyAct, KeyId, MemberId, PersonId, PublicKey, Refusal, Rule, SignedKeyChange, Statement as _,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A key as anybody of the alliance may see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyView {
    /// Its identifier.
    pub id: KeyId,
    /// Whose agents sign with it, or whose person.
    pub member: MemberId,
    /// The person; null for the member's agents.
    pub person: Option<PersonId>,
    /// The key.
    pub public: PublicKey,
    /// Live from then on.
    pub from: Timestamp,
    /// Live before then; null: until something changes.
    pub until: Option<Timestamp>,
    /// It is live now.
    pub live: bool,
}

/// The keys of the alliance and how they came to be.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysView {
    /// Version of this form, 1.
    pub schema: u32,
    /// The alliance.
    pub alliance: String,
    /// Digest of the charter in force, under which the chains began.
    pub charter: Digest,
    /// The keys that count or have counted.
    pub keys: Vec<KeyView>,
    /// The changes since, in order.
    pub changes: Vec<SignedKeyChange>,
    /// Keys that were revoked, under this charter or one before.
    pub revoked: Vec<KeyId>,
}

impl Alliance {
    /// The changes of keys since the charter in force was adopted.
    pub fn key_book(&self) -> &KeyBook {
        &self.ledger.keys
    }

    /// The keys of one member, or of all, and what changed.
    ///
    /// # Errors
    /// `charter_unsigned` before the first charter.
    pub fn keys(&self, member: Option<&MemberId>, now: Timestamp) -> Result<KeysView, Refusal> {
        let in_force = self.in_force()?;
        let wanted = |of: &MemberId| member.is_none_or(|member| member == of);
        let mut keys = Vec::new();
        for of in in_force.charter.members.iter().filter(|of| wanted(&of.id)) {
            keys.extend(of.keys.iter().map(|key| view(&of.id, None, key, now)));
            for person in &of.persons {
                keys.extend(person.keys.iter().map(|key| view(&of.id, Some(&person.id), key, now)));
            }
        }
        let changes = self.ledger.keys.changes.iter().filter(|signed| wanted(&signed.change.member)).cloned();
        let revoked = in_force.charter.revoked.iter().copied().collect();
        let alliance = in_force.charter.alliance.name.clone();
        Ok(KeysView { schema: 1, alliance, charter: in_force.digest, keys, changes: changes.collect(), revoked })
    }

    /// Where this very change stands, if it was accepted before.
    pub(crate) fn key_change_place(&self, signed: &SignedKeyChange) -> Option<u64> {
        self.ledger.key_places.get(&signed.change.digest()).copied()
    }

    /// Would this change be taken now, as far as signatures and chain go?
    ///
    /// # Errors
    /// As [`KeyBook::admit`]; `charter_unsigned`.
    pub fn check_key_change(&self, signed: &SignedKeyChange) -> Result<(), Refusal> {
        let in_force = self.in_force()?;
        self.ledger.keys.admit(signed, &in_force.charter, in_force.digest)
    }

    /// A change that follows the member's chain; what rests on a revoked key ends with it.
    pub(crate) fn change_key(&self, signed: SignedKeyChange, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let (in_force, change) = (self.in_force()?, &signed.change);
        self.require_heard(&change.member)?;
        let skew = in_force.charter.limits.skew_future_max;
        if change.made > now.plus(skew) || change.made < now.minus(skew) {
            let limit = format!("within {skew} of {now}: a change counts from when it is made");
            return Err(Refusal::new(Rule::ClockSkew, format_args!("made {}", change.made), limit));
        }
        self.ledger.keys.admit(&signed, &in_force.charter, in_force.digest)?;
        let author = change.signer.clone().map_or_else(|| Author::Member(change.member.clone()), Author::Person);
        let mut drafts = Vec::new();
        if let (KeyAct::Revoke, Some(guards)) = (change.act, &in_force.guards) {
            let mut after = in_force.charter.clone();
            after.take_key_change(change);
            let why = format!("{} of {} was revoked", change.key.id(), change.member);
            drafts = self.withdrawn_by_law(&after, guards, &why, now);
        }
        let event = Event::KeyChanged(Box::new(signed));
        drafts.insert(0, Drafted { author, handling: internal(), event, sightings: None });
        Ok(drafts)
    }

    pub(crate) fn take_key_change(&mut self, position: u64, signed: &SignedKeyChange, now: Timestamp) {
        let (change, ledger) = (&signed.change, &mut self.ledger);
        ledger.key_places.insert(change.digest(), position);
        ledger.keys.take(signed.clone());
        if let Some(before) = &self.charter {
            let mut in_force = InForceCharter::clone(before);
            in_force.charter.take_key_change(change);
            self.charter = Some(Arc::new(in_force));
        }
        if change.act == KeyAct::Revoke {
            let why = format!("{} was revoked", change.key.id());
            ledger.joining.end(|record| record.member == change.member && record.key == change.key, &why);
            // What it signed counts no more: what stands is looked at anew.
            let standing = ledger.findings.values().filter(|finding| finding.state == FindingState::Corroborated);
            let standing = standing.map(|finding| ((finding.observable.clone(), finding.family), now));
            ledger.pending.extend(standing.collect::<Vec<_>>());
        }
    }

    /// The keys under the charter that follows, whose text names them anew.
    pub(crate) fn keys_under(&self, named: &Charter) -> Charter {
        self.keys_next().effective(named)
    }

    pub(crate) fn keys_next(&self) -> KeyBook {
        self.ledger.keys.next()
    }
}

fn view(member: &MemberId, person: Option<&PersonId>, key: &MemberKey, now: Timestamp) -> KeyView {
    KeyView {
        id: key.public.id(),
        member: member.clone(),
        person: person.cloned(),
        public: key.public,
        from: key.from,
        until: key.until,
        live: key.is_live(now),
    }
}

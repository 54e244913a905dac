//! Which keys count: the pinned charter's, and what their holders changed since, verified here change by change. The
//! hub only passes changes on: it can neither make one nor put one in another's place.

use super::{AlarmKind, Core, Record};
use model::{KeyAct, Refusal, SignedKeyChange};

/// Most changes in one message: more than all members of the largest alliance can have made is nobody's.
const CHANGES_MAX: usize = 1_000_000;

impl Core {
    /// Takes changes that are new; what was known already changes nothing.
    pub(super) fn on_keys(&mut self, changes: &[SignedKeyChange]) {
        let mut revoked = false;
        for signed in changes.iter().take(CHANGES_MAX) {
            let Some(law) = &self.law else { return };
            // Of a charter before or after this one: with that charter it comes again.
            if signed.change.charter != law.digest || self.state.keys.holds(&signed.change) {
                continue;
            }
            match self.state.keys.admit(signed, &law.charter, law.digest) {
                Ok(()) => {
                    self.take_key_change(signed);
                    revoked |= signed.change.act == KeyAct::Revoke;
                }
                Err(refusal) => self.refuse_key_change(signed, &refusal),
            }
        }
        if revoked {
            self.hold_to_charter();
        }
    }

    fn take_key_change(&mut self, signed: &SignedKeyChange) {
        self.persist(Record::KeyChanged(Box::new(signed.clone())));
        if let Some(law) = &mut self.law {
            law.charter.take_key_change(&signed.change);
        }
        let change = &signed.change;
        if change.member != self.settings.member {
            return;
        }
        // Whoever has a stolen key may add others: its owner hears of every change.
        let whose = change.person.as_ref().map_or_else(|| change.member.to_string(), ToString::to_string);
        let reason = model::parse::printable(&change.reason);
        let mut text = format!(
            "Key {} of {whose}: {} ({reason}), signed with {}. If that was none of you: epimachia key revoke",
            change.key.id(),
            change.act,
            change.signed_with
        );
        if !self.own_key_counts() {
            text += ". This agent signs with a key that does not count: what it sees waits here";
        }
        self.alarm(AlarmKind::KeyChanged, &text);
    }

    /// Two chains of one member, or one that breaks a rule: the keys stay as they are.
    fn refuse_key_change(&mut self, signed: &SignedKeyChange, refusal: &Refusal) {
        self.counts.refusal(refusal.rule);
        let change = &signed.change;
        let known = self.state.keys.changes.iter().map(|known| &known.change);
        let mut other = known.filter(|known| known.member == change.member && known.number == change.number);
        let forked = other.next().is_some();
        let what = if forked { "a second chain of changes" } else { "a change that does not follow" };
        let text = format!(
            "The hub shows {what} of {}'s keys (number {}): {refusal}. The keys stay as they are; ask {0} for: \
             epimachia key list",
            change.member, change.number
        );
        self.alarm(AlarmKind::KeysRefused, &text);
    }

    /// Does what this agent signs now count? Before the charter names its key, nobody knows.
    pub(super) fn own_key_counts(&self) -> bool {
        let Some(law) = &self.law else { return true };
        let (id, member) = (self.key.public().id(), &self.settings.member);
        if law.charter.is_revoked(&id) {
            return false;
        }
        let listed =
            law.charter.keys_of(member, None).ok().and_then(|keys| keys.iter().find(|key| key.public.id() == id));
        listed.is_none_or(|key| key.is_live(self.now))
    }
}

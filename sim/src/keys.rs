//! Members change their keys: they rotate their agents' one, revoke what was on a stolen machine, take a thief's or a
//! person's away; and a hostile hub brings changes that nobody made.

use crate::fact::{Fact, Violation};
use crate::hub::Request;
use crate::run::{Event, Run};
use charter::Charter;
use decide::testing::Wanted;
use model::{KeyAct, MemberId, PersonId, SignedKeyChange, SigningKey, Span, Statement as _, StreamMessage};

/// How often a step is tried again while the hub does not have it.
const TRIES: u32 = 6;
/// Between two tries.
const AGAIN: Span = Span::minutes(10);
/// After it a change is old by the hub's clock, and nothing of it is on its way.
const ON_ITS_WAY: Span = Span::minutes(10);

/// A step of a rotation.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The agent signs with the new key, once the hub has it.
    Switch {
        /// The new key's secret.
        seed: [u8; 32],
        /// Tries that are left.
        tries: u32,
    },
    /// The old key ends.
    End {
        /// The old key's secret; none: the member's first key.
        old: Option<[u8; 32]>,
        /// How it ends.
        act: KeyAct,
        /// Tries that are left.
        tries: u32,
    },
}

impl Run {
    /// The charter in force with its keys as they are now, unless a newer one is on its way.
    pub(crate) fn newest_charter(&self) -> Option<Charter> {
        let charter = self.hub.state.as_ref()?.charter()?;
        (charter.alliance.version == self.cast.charters.len() as u64).then(|| charter.clone())
    }

    /// A key is rotated, or taken away from a thief or from a person.
    pub(crate) fn change_a_key(&mut self) -> Result<(), Violation> {
        if self.newest_charter().is_none() || self.now < self.keys_quiet_at {
            return Ok(());
        }
        let thieves: Vec<MemberId> = self.cast.hostile.iter().cloned().collect();
        match self.random.pick(&thieves).cloned().filter(|_| self.random.chance(500)) {
            Some(member) => self.take_from_the_thief(&member),
            None if self.random.chance(800) => self.rotate(),
            None => self.lose_a_person(),
        }
    }

    /// A person of the member takes the key away that somebody stole.
    fn take_from_the_thief(&mut self, member: &MemberId) -> Result<(), Violation> {
        let Ok(owner) = format!("ada@{member}").parse::<PersonId>() else { return Ok(()) };
        let (key, by) = (self.cast.agent_key(member.as_str()), self.cast.world.person_key(&owner));
        self.note(|| format!("{owner} revokes the key that was stolen from {member}"));
        self.sign_change(member, None, KeyAct::Revoke, &key, Some(&owner), &by)
    }

    /// Somebody has left: a colleague takes their key away.
    fn lose_a_person(&mut self) -> Result<(), Violation> {
        let Some(member) = self.somebody() else { return Ok(()) };
        let persons = (format!("ada@{member}").parse::<PersonId>(), format!("bob@{member}").parse::<PersonId>());
        let (Ok(ada), Ok(bob)) = persons else { return Ok(()) };
        let (by, key) = (self.cast.world.person_key(&ada), self.cast.world.person_key(&bob));
        self.note(|| format!("{ada} revokes the key of {bob}"));
        self.sign_change(&member, Some(&bob), KeyAct::Revoke, &key, Some(&ada), &by)
    }

    /// A member begins to rotate its agents' key: the new one is added first.
    fn rotate(&mut self) -> Result<(), Violation> {
        let Some(member) = self.somebody() else { return Ok(()) };
        let seed = self.random.bytes32();
        self.note(|| format!("{member} rotates its key"));
        let (new, old) = (SigningKey::from_seed(&seed), self.cast.agent_key(member.as_str()));
        self.sign_change(&member, None, KeyAct::Add, &new, None, &old)?;
        self.after(AGAIN, Event::Rotate { member, step: Step::Switch { seed, tries: TRIES } });
        self.keys_quiet_at = self.now.plus(Span::hours(2));
        Ok(())
    }

    pub(crate) fn rotate_on(&mut self, member: &MemberId, step: Step) -> Result<(), Violation> {
        match step {
            Step::Switch { seed, tries } => self.switch_key(member, seed, tries),
            Step::End { old, act, tries } => self.end_key(member, old, act, tries),
        }
    }

    /// The agent is started again with the new key.
    fn switch_key(&mut self, member: &MemberId, seed: [u8; 32], tries: u32) -> Result<(), Violation> {
        let id = SigningKey::from_seed(&seed).public().id();
        match self.newest_charter() {
            Some(charter) if charter.member_key(member, &id, self.now).is_ok() => {}
            // The hub never had it, or had another change first: all stays as it was.
            Some(_) => return Ok(()),
            None if tries == 0 => return Ok(()),
            None => {
                let step = Step::Switch { seed, tries: tries - 1 };
                self.after(AGAIN, Event::Rotate { member: member.clone(), step });
                return Ok(());
            }
        }
        let old = self.cast.agent_seeds.insert(member.clone(), seed);
        self.note(|| format!("the agent of {member} gets its new key {id}"));
        self.kill_member(member)?;
        let act = if self.random.chance(600) { KeyAct::Retire } else { KeyAct::Revoke };
        let step = Step::End { old, act, tries: TRIES };
        self.after(Span::minutes(2), Event::Rotate { member: member.clone(), step });
        Ok(())
    }

    fn end_key(&mut self, id: &MemberId, old: Option<[u8; 32]>, act: KeyAct, tries: u32) -> Result<(), Violation> {
        let key = old.map_or_else(|| self.cast.world.agent_key(id.as_str()), |seed| SigningKey::from_seed(&seed));
        if let Some(charter) = self.newest_charter() {
            if charter.member_key(id, &key.public().id(), self.now).is_err() {
                return Ok(());
            }
            let new = self.cast.agent_key(id.as_str());
            self.note(|| format!("{id} ends its old key: {act}"));
            self.sign_change(id, None, act, &key, None, &new)?;
        }
        if tries > 0 {
            let step = Step::End { old, act, tries: tries - 1 };
            self.after(AGAIN, Event::Rotate { member: id.clone(), step });
        }
        Ok(())
    }

    /// Signs the next change of a member's chain, and brings it to the hub.
    fn sign_change(
        &mut self,
        member: &MemberId,
        person: Option<&PersonId>,
        act: KeyAct,
        key: &SigningKey,
        signer: Option<&PersonId>,
        signed_with: &SigningKey,
    ) -> Result<(), Violation> {
        let wanted = Wanted { member: member.as_str(), person, act, key, signer, signed_with, made: self.now };
        let Some(signed) = self.next_change(wanted) else { return Ok(()) };
        if act == KeyAct::Revoke {
            self.cast.revoked.insert(key.public().id());
        }
        self.show(&Fact::KeySigned { change: signed.change.digest() })?;
        self.keys_quiet_at = self.keys_quiet_at.max(self.now.plus(ON_ITS_WAY));
        for wait in [1, 60, 240] {
            let request = Request::ChangeKey(Box::new(signed.clone()));
            self.after(Span::seconds(wait), Event::ToHub { member: member.clone(), ask: None, life: 0, request });
        }
        Ok(())
    }

    fn next_change(&self, wanted: Wanted<'_>) -> Option<SignedKeyChange> {
        let book = self.hub.state.as_ref()?.key_book();
        let charter = self.cast.charters.last()?.digest();
        Some(self.cast.world.key_change(book, charter, wanted))
    }

    /// A hostile hub brings a key of its own, or a thief's, into another member's chain.
    pub(crate) fn forged_key_change(&mut self) -> Result<(), Violation> {
        let (Some(victim), Some(id)) = (self.somebody(), self.somebody()) else { return Ok(()) };
        let thief = self.cast.hostile.iter().next().map(|thief| self.cast.agent_key(thief.as_str()));
        let stranger = self.cast.world.strangers_key();
        let signed_with = thief.filter(|_| self.random.chance(500)).unwrap_or_else(|| self.cast.world.strangers_key());
        let real = self.cast.agent_key(victim.as_str());
        let (act, key) = match self.random.below(3) {
            0 => (KeyAct::Revoke, &real),
            1 => (KeyAct::Retire, &real),
            _ => (KeyAct::Add, &stranger),
        };
        let wanted = Wanted {
            member: victim.as_str(),
            person: None,
            act,
            key,
            signer: None,
            signed_with: &signed_with,
            made: self.now,
        };
        let Some(signed) = self.next_change(wanted) else { return Ok(()) };
        self.note(|| format!("the hub tells {id} of a change of {victim}'s keys that nobody made"));
        let head = self.hub.journal.head();
        self.deliver(&id, vec![(head, StreamMessage::Keys(vec![signed]))])
    }
}

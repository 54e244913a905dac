//! `no_revoked_key_moves_an_agent`: an agent follows only changes of keys that their holders signed; and once it knows
//! that a key was revoked, nothing that rests on that key moves it, whenever it was signed and whoever brings it.

use super::Checker;
use crate::fact::{Fact, House};
use model::{Digest, FindingId, Grade, KeyAct, KeyId, MemberId, Mitigation, MitigationId, Timestamp, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// Members whose evidence, or whose persons' approval, is needed, by the cast's charter.
const MEMBERS: usize = 2;

/// Its books.
#[derive(Default)]
pub struct NoRevokedKeyMovesAnAgent {
    /// Changes that their makers signed.
    signed: BTreeSet<Digest>,
    /// In whose name, and with which keys, sightings behind a finding were signed.
    evidence: BTreeMap<FindingId, BTreeSet<(MemberId, KeyId)>>,
    /// The same of persons' approvals.
    approved: BTreeMap<MitigationId, BTreeSet<(MemberId, KeyId)>>,
    /// What each agent knows to be revoked.
    revoked: BTreeMap<MemberId, BTreeSet<KeyId>>,
    /// What mitigations that agents hold are about.
    held: BTreeMap<MitigationId, FindingId>,
}

impl Checker for NoRevokedKeyMovesAnAgent {
    fn promise(&self) -> &'static str {
        "no_revoked_key_moves_an_agent"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::KeySigned { change } => drop(self.signed.insert(*change)),
            Fact::Sealed { member, key, sighting } if sighting.grade != Grade::Spoofable => {
                self.evidence.entry(sighting.finding()).or_default().insert(((*member).clone(), *key));
            }
            Fact::Approval { person, key, verdict: Verdict::Approve, covers, .. } => {
                for mitigation in *covers {
                    self.approved.entry(*mitigation).or_default().insert((person.member(), *key));
                }
            }
            Fact::KeyTaken { member, change } => {
                if !self.signed.contains(&model::Statement::digest(*change)) {
                    return Err(format!(
                        "{member} takes {} of {}'s keys, which nobody signed",
                        change.act, change.member
                    ));
                }
                if change.act == KeyAct::Revoke {
                    self.revoked.entry((*member).clone()).or_default().insert(change.key.id());
                }
            }
            Fact::Held { member, mitigation } => self.held(member, mitigation)?,
            Fact::Settled { members } => {
                members.iter().try_for_each(|(member, house)| self.settled(member, house))?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl NoRevokedKeyMovesAnAgent {
    fn held(&mut self, member: &MemberId, mitigation: &Mitigation) -> Result<(), String> {
        self.held.insert(mitigation.id(), mitigation.finding);
        match self.stands(member, &mitigation.id(), &mitigation.finding) {
            true => Ok(()),
            false => {
                Err(format!("{member} takes {}, which rests on keys that it knows to be revoked", mitigation.measure))
            }
        }
    }

    /// What was taken before a revocation has gone with it.
    fn settled(&self, member: &MemberId, house: &House) -> Result<(), String> {
        let resting = |id: &&MitigationId| self.held.get(id).is_some_and(|finding| !self.stands(member, id, finding));
        match house.wanted.iter().find(resting) {
            None => Ok(()),
            Some(id) => Err(format!("{member} still wants {id}, which rests on keys that it knows to be revoked")),
        }
    }

    /// Did two members sign with keys that count for this agent?
    fn stands(&self, agent: &MemberId, mitigation: &MitigationId, finding: &FindingId) -> bool {
        let counts = |signed: Option<&BTreeSet<(MemberId, KeyId)>>| {
            let live = |key: &KeyId| self.revoked.get(agent).is_none_or(|revoked| !revoked.contains(key));
            let by = signed.into_iter().flatten().filter(|(_, key)| live(key)).map(|(member, _)| member);
            by.collect::<BTreeSet<_>>().len() >= MEMBERS
        };
        counts(self.evidence.get(finding)) || counts(self.approved.get(mitigation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, member, mitigation, sighting};
    use model::{KeyChange, SigningKey, Statement};

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32])
    }

    /// Telecom's and cloud's sensors saw it, with keys 1 and 2.
    fn checker() -> NoRevokedKeyMovesAnAgent {
        let mut checker = NoRevokedKeyMovesAnAgent::default();
        for (name, n) in [("telecom", 1), ("cloud", 2)] {
            let (member, sighting) = (member(name), sighting("60.1.2.3", Grade::Handshake));
            let fact = Fact::Sealed { member: &member, key: key(n).public().id(), sighting: &sighting };
            checker.see(&fact, at(0)).unwrap();
        }
        checker
    }

    fn revoke(checker: &mut NoRevokedKeyMovesAnAgent, agent: &str, n: u8, signed: bool) -> Result<(), String> {
        let change = KeyChange {
            charter: Digest::of(&[b"charter"]),
            member: member("cloud"),
            person: None,
            number: 1,
            previous: Digest::of(&[b"charter"]),
            act: KeyAct::Revoke,
            key: key(n).public(),
            made: at(1),
            reason: "stolen".to_owned(),
            signer: None,
            signed_with: key(9).public().id(),
        };
        if signed {
            checker.see(&Fact::KeySigned { change: change.digest() }, at(1)).unwrap();
        }
        checker.see(&Fact::KeyTaken { member: &member(agent), change: &change }, at(1))
    }

    #[test]
    fn what_rests_on_a_key_that_the_agent_knows_to_be_revoked_is_seen() {
        let (mitigation, mut one) = (mitigation("60.1.2.3", 1), checker());
        assert_eq!(enforce(&mut one, &mitigation, at(0)), Ok(()));
        revoke(&mut one, "telecom", 2, true).unwrap();
        assert!(enforce(&mut one, &mitigation, at(2)).is_err());
        let mut elsewhere = checker();
        revoke(&mut elsewhere, "bank", 2, true).unwrap();
        assert_eq!(enforce(&mut elsewhere, &mitigation, at(2)), Ok(()), "telecom does not know of it yet");
        let mut another = checker();
        revoke(&mut another, "telecom", 3, true).unwrap();
        assert_eq!(enforce(&mut another, &mitigation, at(2)), Ok(()), "nothing rests on that key");
    }

    #[test]
    fn what_was_taken_before_and_is_still_wanted_at_the_end_is_seen() {
        let (mitigation, mut checker) = (mitigation("60.1.2.3", 1), checker());
        enforce(&mut checker, &mitigation, at(0)).unwrap();
        let house = House { wanted: [mitigation.id()].into(), ..House::default() };
        let members = BTreeMap::from([(member("telecom"), house)]);
        assert_eq!(checker.see(&Fact::Settled { members: &members }, at(0)), Ok(()));
        revoke(&mut checker, "telecom", 1, true).unwrap();
        assert!(checker.see(&Fact::Settled { members: &members }, at(9)).is_err());
    }

    #[test]
    fn persons_keys_are_keys_too() {
        let (mitigation, mut checker) = (mitigation("60.9.9.9", 1), checker());
        let covers = BTreeSet::from([mitigation.id()]);
        for (person, n) in [("ada@bank", 5), ("ada@cloud", 6)] {
            let (person, key) = (person.parse().unwrap(), key(n).public().id());
            let verdict = Verdict::Approve;
            let fact = Fact::Approval { person: &person, key, verdict, covers: &covers, until: at(60) };
            checker.see(&fact, at(0)).unwrap();
        }
        assert_eq!(enforce(&mut checker, &mitigation, at(0)), Ok(()));
        revoke(&mut checker, "telecom", 6, true).unwrap();
        assert!(enforce(&mut checker, &mitigation, at(2)).is_err());
    }

    #[test]
    fn a_change_that_nobody_signed_is_seen() {
        assert!(revoke(&mut checker(), "telecom", 2, false).is_err());
    }
}

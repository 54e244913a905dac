//! `never_block_holds`: no enforcement point of an honest member touches what the charter never blocks, what a guard
//! list keeps from machines, or another member's space, unless persons approved exactly that.

use super::Checker;
use super::overlap::touches;
use crate::fact::Fact;
use model::{MemberId, MitigationId, Observable, Timestamp, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// What machines never block in these runs, whatever the charter says: the lists of the cast, some of the built-in.
const GUARDED: [&str; 5] = ["9.9.9.9", "bigbank.com", "10.0.0.0/8", "198.41.0.4", "169.254.0.0/16"];

/// Its books.
#[derive(Default)]
pub struct NeverBlockHolds {
    /// The never-list of each charter, by digest.
    never: BTreeMap<model::Digest, Vec<Observable>>,
    /// Which charter each agent follows.
    follows: BTreeMap<MemberId, model::Digest>,
    /// Each member's own space.
    space: BTreeMap<MemberId, Vec<Observable>>,
    /// What persons said yes to.
    approved: BTreeSet<MitigationId>,
}

impl Checker for NeverBlockHolds {
    fn promise(&self) -> &'static str {
        "never_block_holds"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Charter { digest, charter } => {
                let never = charter.guards.never.iter().filter_map(|entry| entry.parse().ok()).collect();
                self.never.insert(*digest, never);
                for member in &charter.members {
                    let prefixes = member.assets.prefixes.iter().map(|prefix| Observable::Prefix(*prefix));
                    let names = member.assets.domains.iter().map(|name| Observable::Domain(name.clone()));
                    self.space.insert(member.id.clone(), prefixes.chain(names).collect());
                }
            }
            Fact::Adopted { member, digest } => drop(self.follows.insert((*member).clone(), *digest)),
            Fact::Approval { verdict: Verdict::Approve, covers, .. } => self.approved.extend(covers.iter().copied()),
            Fact::Held { member, mitigation } => {
                let touched = mitigation.measure.target().observable();
                self.may(member, &touched, mitigation.id())?;
                self.may(member, &mitigation.observable, mitigation.id())?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl NeverBlockHolds {
    fn may(&self, member: &MemberId, touched: &Observable, id: MitigationId) -> Result<(), String> {
        let Some(never) = self.follows.get(member).and_then(|digest| self.never.get(digest)) else {
            return Err(format!("{member} holds {touched} under no charter"));
        };
        if let Some(entry) = never.iter().find(|entry| touches(entry, touched)) {
            return Err(format!("{member} holds {touched}, which meets {entry} of the charter's never-list"));
        }
        if self.approved.contains(&id) {
            return Ok(());
        }
        let guarded = GUARDED.iter().filter_map(|text| text.parse::<Observable>().ok());
        if let Some(entry) = guarded.into_iter().find(|entry| touches(entry, touched)) {
            return Err(format!(
                "{member} holds {touched}, which meets the guarded {entry}, and no person approved it"
            ));
        }
        let owner = self.space.iter().find(|(_, space)| space.iter().any(|own| touches(own, touched)));
        match owner {
            Some((owner, _)) => Err(format!("{member} holds {touched} of {owner}, and no person approved it")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, member, mitigation};
    use decide::testing::World;
    use model::Digest;

    fn checker() -> NeverBlockHolds {
        let (mut checker, world, digest) = (NeverBlockHolds::default(), World::new(), Digest::of(&[b"charter"]));
        checker.see(&Fact::Charter { digest, charter: &world.charter }, at(0)).unwrap();
        checker.see(&Fact::Adopted { member: &member("telecom"), digest }, at(0)).unwrap();
        checker
    }

    #[test]
    fn an_ordinary_stranger_may_be_blocked() {
        assert_eq!(enforce(&mut checker(), &mitigation("60.1.2.3", 1), at(0)), Ok(()));
    }

    #[test]
    fn never_list_guards_and_members_space_are_seen() {
        for guarded in ["44.4.4.4", "x.hub.testing.org", "9.9.9.9", "login.bigbank.com", "31.2.0.1", "cloud-own.net"] {
            let seen = enforce(&mut checker(), &mitigation(guarded, 1), at(0)).unwrap_err();
            assert!(seen.contains(guarded), "{seen}");
        }
    }

    #[test]
    fn persons_may_what_machines_may_not_but_never_the_never_list() {
        for (guarded, allowed) in [("31.2.0.1", true), ("44.4.4.4", false)] {
            let (mut checker, mitigation) = (checker(), mitigation(guarded, 1));
            let (person, covers) = ("ada@bank".parse().unwrap(), BTreeSet::from([mitigation.id()]));
            let verdict = Verdict::Approve;
            let (key, until) = (crate::checkers::scene::key(), at(9));
            checker.see(&Fact::Approval { person: &person, key, verdict, covers: &covers, until }, at(0)).unwrap();
            assert_eq!(enforce(&mut checker, &mitigation, at(0)).is_ok(), allowed);
        }
    }
}

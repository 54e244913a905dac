//! `fork_is_found`: if two honest members follow two histories of the hub's, then, once they have compared what their
//! witnesses said, one of them at least has noticed; and no agent of an honest hub believes in a fork that is none.

use super::Checker;
use crate::fact::Fact;
use model::{MemberId, Timestamp};
use std::collections::BTreeSet;

/// Its books.
#[derive(Default)]
pub struct ForkIsFound {
    hostile_hub: bool,
    at: Option<u64>,
    /// Who follows the journal's own history beyond the fork, and who the other one.
    follows_own: BTreeSet<MemberId>,
    follows_other: BTreeSet<MemberId>,
}

impl ForkIsFound {
    /// The checker of a run.
    pub fn new(hostile_hub: bool) -> Self {
        Self { hostile_hub, ..Self::default() }
    }
}

impl Checker for ForkIsFound {
    fn promise(&self) -> &'static str {
        "fork_is_found"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Fork { at } => self.at = Some(*at),
            Fact::Followed { member, size, own } if self.at.is_some_and(|at| *size > at) => {
                let follows = if *own { &mut self.follows_own } else { &mut self.follows_other };
                follows.insert((*member).clone());
            }
            Fact::Settled { members } => {
                let found = members.values().any(|house| house.forked.is_some());
                if !found && !self.follows_own.is_empty() && !self.follows_other.is_empty() {
                    let (own, other) = (&self.follows_own, &self.follows_other);
                    return Err(format!("{own:?} and {other:?} follow two histories and nobody has noticed"));
                }
                let proof = |fault: &&String| !fault.starts_with("no proof came");
                let false_alarm = members.iter().find(|(_, house)| house.forked.as_ref().filter(proof).is_some());
                if let Some((member, house)) = false_alarm.filter(|_| !self.hostile_hub) {
                    return Err(format!("{member} believes in a fork that is none: {:?}", house.forked));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, member};
    use crate::fact::House;
    use std::collections::BTreeMap;

    fn settled(followers: &[(&str, bool)], noticed: bool, hostile: bool) -> Result<(), String> {
        let mut checker = ForkIsFound::new(hostile);
        checker.see(&Fact::Fork { at: 10 }, at(0)).unwrap();
        for (name, own) in followers {
            checker.see(&Fact::Followed { member: &member(name), size: 12, own: *own }, at(1)).unwrap();
        }
        let forked = noticed.then(|| "two roots for one size".to_owned());
        let members = BTreeMap::from([(member("bank"), House { forked, ..House::default() })]);
        checker.see(&Fact::Settled { members: &members }, at(2))
    }

    #[test]
    fn two_histories_that_nobody_noticed_are_seen() {
        assert!(settled(&[("telecom", true), ("bank", false)], false, true).is_err());
        assert!(settled(&[("telecom", true), ("bank", false)], true, true).is_ok());
        assert!(settled(&[("telecom", false), ("bank", false)], false, true).is_ok());
    }

    #[test]
    fn a_fork_that_is_none_is_seen() {
        assert!(settled(&[], true, false).is_err());
        assert!(settled(&[], true, true).is_ok());
    }
}

//! `nothing_outlives_its_expiry`: nothing lasts longer than the charter allows, and an enforcement point that works,
//! beside an agent that runs, enforces nothing that has ended.

use super::Checker;
use crate::fact::Fact;
use model::{MemberId, PointName, Span, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How long taking out may take once agent and point both work: clock skew, retries that wait up to a minute, a patrol.
pub const ALLOWANCE: Span = Span::minutes(6);
/// The charter's longest time, with the clock skew between the hub and a member.
const LONGEST: Span = Span::minutes(24 * 60 + 6);

/// Its books.
#[derive(Default)]
pub struct NothingOutlivesItsExpiry {
    /// What each point enforces, and when it ends.
    enforced: BTreeMap<(MemberId, PointName, Target), Timestamp>,
    /// The same by the time at which it is looked at.
    due: BTreeSet<(Timestamp, MemberId, PointName, Target)>,
    /// Agents and points that do not work, and since when those that do work have worked again.
    unable: BTreeSet<(MemberId, Option<PointName>)>,
    able: BTreeMap<(MemberId, Option<PointName>), Timestamp>,
}

impl Checker for NothingOutlivesItsExpiry {
    fn promise(&self) -> &'static str {
        "nothing_outlives_its_expiry"
    }

    fn see(&mut self, fact: &Fact<'_>, now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Held { member, mitigation } if mitigation.expires.since(now) > LONGEST => {
                return Err(format!("{member} holds {} until {}", mitigation.measure, mitigation.expires));
            }
            Fact::Enforced { member, point, protection } => {
                let key = ((*member).clone(), (*point).clone(), protection.measure.target().clone());
                self.due.insert((protection.expires.plus(ALLOWANCE), key.0.clone(), key.1.clone(), key.2.clone()));
                self.enforced.insert(key, protection.expires);
            }
            Fact::Lifted { member, point, target } => {
                self.enforced.remove(&((*member).clone(), (*point).clone(), (*target).clone()));
            }
            Fact::Unable { member, point } => drop(self.unable.insert(((*member).clone(), point.cloned()))),
            Fact::Able { member, point } => {
                let who = ((*member).clone(), point.cloned());
                self.unable.remove(&who);
                self.able.insert(who, now);
            }
            _ => {}
        }
        self.look(now)
    }
}

impl NothingOutlivesItsExpiry {
    fn look(&mut self, now: Timestamp) -> Result<(), String> {
        while self.due.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, member, point, target)) = self.due.pop_first() else { break };
            let key = (member.clone(), point.clone(), target.clone());
            let Some(expires) = self.enforced.get(&key).copied() else { continue };
            if expires.plus(ALLOWANCE) > now {
                continue;
            }
            match self.could_since(&member, &point) {
                Some(since) if since.plus(ALLOWANCE) <= now => {
                    return Err(format!("{point} of {member} enforces {target}, which ended at {expires}"));
                }
                Some(since) => drop(self.due.insert((since.plus(ALLOWANCE), member, point, target))),
                None => drop(self.due.insert((now.plus(Span::minutes(1)), member, point, target))),
            }
        }
        Ok(())
    }

    /// Since when agent and point both work.
    fn could_since(&self, member: &MemberId, point: &PointName) -> Option<Timestamp> {
        let both = [(member.clone(), None), (member.clone(), Some(point.clone()))];
        if both.iter().any(|who| self.unable.contains(who)) {
            return None;
        }
        Some(both.iter().filter_map(|who| self.able.get(who)).max().copied().unwrap_or(Timestamp::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, member, mitigation, point};

    const LATE: i64 = 3_600 + 361;

    #[test]
    fn what_is_lifted_in_time_is_well() {
        let (mut checker, mitigation) = (NothingOutlivesItsExpiry::default(), mitigation("60.1.2.3", 1));
        enforce(&mut checker, &mitigation, at(0)).unwrap();
        let (member, point, target) = (member("telecom"), point(), mitigation.measure.target());
        checker.see(&Fact::Lifted { member: &member, point: &point, target }, at(3_601)).unwrap();
        assert_eq!(checker.see(&Fact::Time, at(LATE)), Ok(()));
    }

    #[test]
    fn what_is_still_enforced_after_its_end_is_seen() {
        let mut checker = NothingOutlivesItsExpiry::default();
        enforce(&mut checker, &mitigation("60.1.2.3", 1), at(0)).unwrap();
        assert_eq!(checker.see(&Fact::Time, at(3_700)), Ok(()));
        assert!(checker.see(&Fact::Time, at(LATE)).unwrap_err().contains("60.1.2.3"));
    }

    #[test]
    fn a_point_that_does_not_work_is_waited_for_and_no_longer() {
        let mut checker = NothingOutlivesItsExpiry::default();
        enforce(&mut checker, &mitigation("60.1.2.3", 1), at(0)).unwrap();
        let (member, point) = (member("telecom"), point());
        checker.see(&Fact::Unable { member: &member, point: Some(&point) }, at(10)).unwrap();
        checker.see(&Fact::Able { member: &member, point: Some(&point) }, at(LATE)).unwrap();
        assert_eq!(checker.see(&Fact::Time, at(LATE + 300)), Ok(()));
        assert!(checker.see(&Fact::Time, at(LATE + 361)).is_err());
    }

    #[test]
    fn an_end_beyond_the_charters_longest_time_is_seen() {
        let mut endless = mitigation("60.1.2.3", 1);
        endless.expires = at(25 * 3_600);
        assert!(enforce(&mut NothingOutlivesItsExpiry::default(), &endless, at(0)).is_err());
    }
}

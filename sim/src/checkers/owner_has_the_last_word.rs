//! `owner_has_the_last_word`: what a member's own people allow is not touched there, and while its kill switch is on
//! nothing is in force there, whatever the alliance plans.

use super::Checker;
use super::nothing_outlives_its_expiry::ALLOWANCE;
use super::overlap::touches;
use crate::fact::Fact;
use model::{MemberId, Observable, PointName, Target, Timestamp};
use std::collections::BTreeMap;

/// Its books.
#[derive(Default)]
pub struct OwnerHasTheLastWord {
    allowed: BTreeMap<MemberId, BTreeMap<Observable, Timestamp>>,
    killed: BTreeMap<MemberId, Timestamp>,
    enforced: BTreeMap<(MemberId, PointName, Target), Observable>,
}

impl Checker for OwnerHasTheLastWord {
    fn promise(&self) -> &'static str {
        "owner_has_the_last_word"
    }

    fn see(&mut self, fact: &Fact<'_>, now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Allowed { member, observable } => {
                self.allowed.entry((*member).clone()).or_default().insert((*observable).clone(), now);
            }
            Fact::Disallowed { member, observable } => {
                self.allowed.entry((*member).clone()).or_default().remove(observable);
            }
            Fact::Switched { member, on: true } => drop(self.killed.entry((*member).clone()).or_insert(now)),
            Fact::Switched { member, on: false } => drop(self.killed.remove(*member)),
            Fact::Held { member, mitigation } => {
                self.agrees(member, &mitigation.measure.target().observable())?;
                self.agrees(member, &mitigation.observable)?;
                if self.killed.contains_key(*member) {
                    return Err(format!("{member} takes {} with its kill switch on", mitigation.measure));
                }
            }
            Fact::Enforced { member, point, protection } => {
                let target = protection.measure.target();
                let key = ((*member).clone(), (*point).clone(), target.clone());
                self.enforced.insert(key, target.observable());
            }
            Fact::Lifted { member, point, target } => {
                self.enforced.remove(&((*member).clone(), (*point).clone(), (*target).clone()));
            }
            Fact::Settled { .. } => self.nothing_against_them(now)?,
            _ => {}
        }
        Ok(())
    }
}

impl OwnerHasTheLastWord {
    fn agrees(&self, member: &MemberId, touched: &Observable) -> Result<(), String> {
        let allowed = self.allowed.get(member).into_iter().flatten();
        match allowed.map(|(entry, _)| entry).find(|entry| touches(entry, touched)) {
            Some(entry) => Err(format!("{member} takes {touched}, and its people allow {entry}")),
            None => Ok(()),
        }
    }

    /// Once everything settled, nothing is in force against a word that was said long enough ago.
    fn nothing_against_them(&self, now: Timestamp) -> Result<(), String> {
        for ((member, point, target), observable) in &self.enforced {
            let old = |since: &Timestamp| now.since(*since) > ALLOWANCE;
            let mut allowed = self.allowed.get(member).into_iter().flatten();
            if allowed.any(|(entry, since)| old(since) && touches(entry, observable)) {
                return Err(format!("{point} of {member} still enforces {target}, which its people allow"));
            }
            if self.killed.get(member).is_some_and(old) {
                return Err(format!("{point} of {member} still enforces {target} with the kill switch on"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, member, mitigation};

    fn settled(checker: &mut OwnerHasTheLastWord, seconds: i64) -> bool {
        checker.see(&Fact::Settled { members: &BTreeMap::new() }, at(seconds)).is_ok()
    }

    #[test]
    fn what_is_allowed_and_taken_afterwards_is_seen() {
        let (mut checker, telecom, allowed) =
            (OwnerHasTheLastWord::default(), member("telecom"), "60.1.2.0/24".parse().unwrap());
        checker.see(&Fact::Allowed { member: &telecom, observable: &allowed }, at(0)).unwrap();
        assert!(enforce(&mut checker, &mitigation("60.1.2.3", 1), at(1)).is_err());
        checker.see(&Fact::Disallowed { member: &telecom, observable: &allowed }, at(2)).unwrap();
        assert_eq!(enforce(&mut checker, &mitigation("60.1.2.3", 2), at(3)), Ok(()));
    }

    #[test]
    fn what_was_in_force_before_and_stays_is_seen() {
        let (mut checker, telecom, allowed) =
            (OwnerHasTheLastWord::default(), member("telecom"), "60.1.2.3".parse().unwrap());
        enforce(&mut checker, &mitigation("60.1.2.3", 1), at(0)).unwrap();
        checker.see(&Fact::Allowed { member: &telecom, observable: &allowed }, at(1)).unwrap();
        assert!(settled(&mut checker, 10) && !settled(&mut checker, 1_000));
    }

    #[test]
    fn a_kill_switch_that_lifts_nothing_is_seen() {
        let (mut checker, telecom) = (OwnerHasTheLastWord::default(), member("telecom"));
        enforce(&mut checker, &mitigation("60.1.2.3", 1), at(0)).unwrap();
        checker.see(&Fact::Switched { member: &telecom, on: true }, at(1)).unwrap();
        assert!(!settled(&mut checker, 1_000));
        assert!(enforce(&mut checker, &mitigation("60.1.2.4", 1), at(0)).is_err());
        checker.see(&Fact::Switched { member: &telecom, on: false }, at(1_000)).unwrap();
        assert!(settled(&mut checker, 2_000));
    }
}

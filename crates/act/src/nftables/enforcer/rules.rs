//! What the enforcer insists on, whatever it is asked: widths, times, counts. What is protected, and that only
//! addresses are denied or limited, the point itself sees to.

use crate::nftables::slot::Slot;
use crate::point::Protection;
use model::{Refusal, Rule, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The limits of the enforcer's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Shortest IPv4 prefix, 24 to 32; default 24. Who is hurt if it is too short: everybody in it.
    pub widest_v4: u8,
    /// Shortest IPv6 prefix, 48 to 128; default 48.
    pub widest_v6: u8,
    /// Longest time that the kernel is given, 1m to 24h; default 24h. What is to last longer is cut.
    pub longest: Span,
}

impl Default for Rules {
    fn default() -> Self {
        Self { widest_v4: 24, widest_v6: 48, longest: Span::days(1) }
    }
}

/// What is in force, as far as this process knows; the kernel is asked where it matters.
pub(super) type Ledger = BTreeMap<Slot, Timestamp>;

impl Rules {
    /// Are the limits themselves within theirs?
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Refusal> {
        let wrong = |key: &str, value: &dyn std::fmt::Display, limit: &str| {
            Err(Refusal::new(Rule::Malformed, format_args!("limits.{key} = {value}"), limit))
        };
        if !(24..=32).contains(&self.widest_v4) {
            return wrong("widest_v4", &self.widest_v4, "24 to 32");
        }
        if !(48..=128).contains(&self.widest_v6) {
            return wrong("widest_v6", &self.widest_v6, "48 to 128");
        }
        if !(Span::minutes(1)..=Span::days(1)).contains(&self.longest) {
            return wrong("longest", &self.longest, "1m to 24h");
        }
        Ok(())
    }

    /// What may be put in force of `wanted`: the same, ending in time.
    ///
    /// # Errors
    /// The first that is too wide.
    pub(super) fn admit(&self, wanted: Vec<Protection>, now: Timestamp) -> Result<Vec<Protection>, Refusal> {
        let last = now.plus(self.longest);
        wanted.into_iter().map(|p| self.narrow(&p).map(|()| Protection { expires: p.expires.min(last), ..p })).collect()
    }

    fn narrow(&self, protection: &Protection) -> Result<(), Refusal> {
        // What no set can hold is refused by the point, with its own words.
        let Some(slot) = Slot::of(&protection.measure) else { return Ok(()) };
        let least = if slot.set.v6 { self.widest_v6 } else { self.widest_v4 };
        match slot.set.length >= least {
            true => Ok(()),
            false => {
                let limit = format!("/{least} or narrower, by the enforcer's own configuration");
                Err(Refusal::new(Rule::TargetTooWide, slot.network(), limit))
            }
        }
    }
}

/// How many elements there would be with `wanted` in force as well.
pub(super) fn together(ledger: &Ledger, wanted: &[Protection]) -> usize {
    let slots: std::collections::BTreeSet<Slot> = wanted.iter().filter_map(|p| Slot::of(&p.measure)).collect();
    ledger.len() + slots.iter().filter(|slot| !ledger.contains_key(*slot)).count()
}

/// Notes what came into force.
pub(super) fn enter(ledger: &mut Ledger, wanted: &[Protection]) {
    ledger.extend(wanted.iter().filter_map(|p| Some((Slot::of(&p.measure)?, p.expires))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Action, Digest, FindingId, Measure, MitigationId, Scope, Target};

    fn protection(target: Target, lasts: Span) -> Protection {
        let digest = Digest::of(&[target.to_string().as_bytes()]);
        Protection {
            mitigation: MitigationId::of(&digest),
            finding: FindingId::of(&digest),
            measure: Measure::new(Action::Deny, target, Scope::Border).unwrap(),
            expires: Timestamp::MIN.plus(lasts),
        }
    }

    fn net(text: &str) -> Protection {
        protection(Target::Net(text.parse().unwrap()), Span::hours(1))
    }

    #[test]
    fn what_is_wider_than_the_enforcer_allows_is_refused() {
        let rules = Rules { widest_v4: 28, widest_v6: 64, ..Rules::default() };
        let refused = |p| rules.admit(vec![p], Timestamp::MIN).map_err(|refusal| refusal.rule);
        assert_eq!(refused(net("203.0.113.0/27")).unwrap_err(), Rule::TargetTooWide);
        assert_eq!(refused(net("2001:db8::/63")).unwrap_err(), Rule::TargetTooWide);
        assert!(refused(net("203.0.113.0/28")).is_ok() && refused(net("2001:db8::/64")).is_ok());
    }

    #[test]
    fn nothing_lasts_longer_than_the_enforcer_allows() {
        let rules = Rules { longest: Span::minutes(10), ..Rules::default() };
        let host = protection(Target::Host("8.8.8.8".parse().unwrap()), Span::days(9));
        let admitted = rules.admit(vec![host.clone()], Timestamp::MIN).unwrap();
        assert_eq!(admitted[0].expires, Timestamp::MIN.plus(Span::minutes(10)));
        assert_eq!(admitted[0].mitigation, host.mitigation);
    }

    #[test]
    fn a_target_is_counted_once() {
        let mut ledger = Ledger::new();
        enter(&mut ledger, &[net("203.0.113.0/28"), net("203.0.113.16/28")]);
        assert_eq!(together(&ledger, &[net("203.0.113.0/28"), net("203.0.113.32/28"), net("203.0.113.32/28")]), 3);
    }

    #[test]
    fn limits_beyond_the_vocabularys_own_are_refused() {
        for rules in [
            Rules { widest_v4: 8, ..Rules::default() },
            Rules { widest_v6: 32, ..Rules::default() },
            Rules { longest: Span::days(2), ..Rules::default() },
        ] {
            assert_eq!(rules.check().unwrap_err().rule, Rule::Malformed);
        }
        Rules::default().check().unwrap();
    }
}

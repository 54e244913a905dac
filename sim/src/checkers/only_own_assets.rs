//! `only_own_assets`: a member acts for itself only, and whatever a measure claims to be the member's own is proven in
//! the charter.

use super::Checker;
use super::overlap::within;
use crate::fact::Fact;
use model::{Action, MemberId, Observable, Scope, Timestamp};
use std::collections::BTreeMap;

/// Its books: each member's own space.
#[derive(Default)]
pub struct OnlyOwnAssets {
    space: BTreeMap<MemberId, Vec<Observable>>,
}

impl Checker for OnlyOwnAssets {
    fn promise(&self) -> &'static str {
        "only_own_assets"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Charter { charter, .. } => {
                for member in &charter.members {
                    let prefixes = member.assets.prefixes.iter().map(|prefix| Observable::Prefix(*prefix));
                    let names = member.assets.domains.iter().map(|name| Observable::Domain(name.clone()));
                    self.space.insert(member.id.clone(), prefixes.chain(names).collect());
                }
            }
            Fact::Held { member, mitigation } if mitigation.member != **member => {
                return Err(format!("{member} holds what is meant for {}", mitigation.member));
            }
            Fact::Enforced { member, protection, .. } => {
                let measure = &protection.measure;
                if matches!(measure.scope(), Scope::ProtectOwn | Scope::ContainOwn) {
                    self.owns(member, &measure.target().observable())?;
                }
                if let Action::Redirect { to } = measure.action() {
                    self.owns(member, &Observable::Domain(to.clone()))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl OnlyOwnAssets {
    fn owns(&self, member: &MemberId, claimed: &Observable) -> Result<(), String> {
        let own = self.space.get(member).is_some_and(|space| space.iter().any(|own| within(claimed, own)));
        if own { Ok(()) } else { Err(format!("{member} acts upon {claimed} as its own")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, member, mitigation};
    use decide::testing::World;
    use model::{Digest, Measure, Target};

    fn checker() -> OnlyOwnAssets {
        let (mut checker, digest) = (OnlyOwnAssets::default(), Digest::of(&[b"charter"]));
        checker.see(&Fact::Charter { digest, charter: &World::new().charter }, at(0)).unwrap();
        checker
    }

    fn protecting(host: &str) -> model::Mitigation {
        let target = Target::Host(host.parse().unwrap());
        let measure = Measure::new(Action::Deny, target, Scope::ProtectOwn).unwrap();
        model::Mitigation { measure, ..mitigation("60.1.2.3", 1) }
    }

    #[test]
    fn own_space_may_be_acted_upon_and_anothers_is_seen() {
        assert_eq!(enforce(&mut checker(), &protecting("31.1.0.1"), at(0)), Ok(()));
        assert!(enforce(&mut checker(), &protecting("31.2.0.1"), at(0)).is_err());
    }

    #[test]
    fn a_redirect_to_anothers_name_is_seen() {
        for (to, own) in [("sink.telecom-own.net", true), ("sink.cloud-own.net", false)] {
            let (action, name) = (Action::Redirect { to: to.parse().unwrap() }, "evil.com".parse().unwrap());
            let measure = Measure::new(action, Target::DomainName(name), Scope::Border).unwrap();
            let redirect = model::Mitigation { measure, ..mitigation("evil.com", 1) };
            assert_eq!(enforce(&mut checker(), &redirect, at(0)).is_ok(), own);
        }
    }

    #[test]
    fn what_is_meant_for_another_is_seen() {
        let foreign = model::Mitigation { member: member("cloud"), ..mitigation("60.1.2.3", 1) };
        assert!(enforce(&mut checker(), &foreign, at(0)).is_err());
    }
}

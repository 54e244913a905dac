//! `hub_cannot_make_an_agent_act`: whatever the hub says, an honest agent follows only charters that a quorum signed,
//! and acts only on what was really signed: sightings with the keys of two vetted members, or approvals of persons of
//! two members for exactly this mitigation.
//!
//! It is the strictest of the checkers: it counts the strokes of pens, not what any message claims.

use super::Checker;
use crate::fact::Fact;
use model::{Digest, FindingId, Grade, MemberId, MitigationId, Observable, Span, Standing, Target, Timestamp, Verdict};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Members whose evidence, or whose persons' approval, is needed, by the cast's charter.
const MEMBERS: usize = 2;
/// Evidence older than this supports nothing; a day of tolerance for clocks and for what is just being renewed.
const EVIDENCE_AGE: Span = Span::days(8);

/// Its books.
#[derive(Default)]
pub struct HubCannotMakeAnAgentAct {
    /// Charters that a quorum signed.
    charters: BTreeSet<Digest>,
    vetted: BTreeSet<MemberId>,
    /// Who signed sightings of what, when last.
    evidence: BTreeMap<FindingId, BTreeMap<MemberId, (Observable, Timestamp)>>,
    /// Members whose persons said yes to a plan with this mitigation, from when until when.
    approved: BTreeMap<MitigationId, Vec<(MemberId, Timestamp, Timestamp)>>,
    /// What agents hold, so that points enforce nothing else.
    held: BTreeSet<(MemberId, MitigationId)>,
}

impl Checker for HubCannotMakeAnAgentAct {
    fn promise(&self) -> &'static str {
        "hub_cannot_make_an_agent_act"
    }

    fn see(&mut self, fact: &Fact<'_>, now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Charter { digest, charter } => {
                self.charters.insert(*digest);
                let vetted = charter.members.iter().filter(|member| member.standing == Standing::Vetted);
                self.vetted.extend(vetted.map(|member| member.id.clone()));
            }
            Fact::Adopted { member, digest } if !self.charters.contains(digest) => {
                return Err(format!("{member} follows charter {digest}, which no quorum signed"));
            }
            Fact::Sealed { member, sighting, .. } if sighting.grade != Grade::Spoofable => {
                let signed = self.evidence.entry(sighting.finding()).or_default();
                signed.insert((*member).clone(), (sighting.observable.clone(), sighting.last));
            }
            Fact::Approval { person, verdict: Verdict::Approve, covers, until, .. } => {
                for mitigation in *covers {
                    self.approved.entry(*mitigation).or_default().push((person.member(), now, *until));
                }
            }
            Fact::Held { member, mitigation } => {
                self.held.insert(((*member).clone(), mitigation.id()));
                let target = mitigation.measure.target();
                let supported = self.signed_for(&mitigation.finding, target, now) || self.voted(&mitigation.id());
                if !supported {
                    return Err(format!("{member} holds {}, for which nobody signed", mitigation.measure));
                }
            }
            Fact::Enforced { member, protection, .. }
                if !self.held.contains(&((*member).clone(), protection.mitigation)) =>
            {
                return Err(format!("{member} enforces {}, which its agent never held", protection.measure));
            }
            _ => {}
        }
        Ok(())
    }
}

impl HubCannotMakeAnAgentAct {
    /// Did enough vetted members sign sightings of which this is the narrowest object?
    fn signed_for(&self, finding: &FindingId, target: &Target, now: Timestamp) -> bool {
        let signed = self.evidence.get(finding).into_iter().flatten();
        let counts = signed.filter(|(member, (observable, last))| {
            self.vetted.contains(*member) && now.since(*last) < EVIDENCE_AGE && is_narrowest(target, observable)
        });
        counts.count() >= MEMBERS
    }

    /// Was there a moment at which the approvals of enough members counted together?
    fn voted(&self, id: &MitigationId) -> bool {
        let Some(by) = self.approved.get(id) else { return false };
        // An approval that runs out on the way to a member whose clock is late still counts there for a moment.
        let late = Span::minutes(5);
        let together = |at: Timestamp| -> BTreeSet<&MemberId> {
            let valid = by.iter().filter(|(_, made, until)| *made <= at && at < until.plus(late));
            valid.map(|(member, ..)| member).collect()
        };
        by.iter().any(|(_, made, _)| together(*made).len() >= MEMBERS)
    }
}

/// An IPv4 address, the /64 of an IPv6 address, a name.
fn is_narrowest(target: &Target, observable: &Observable) -> bool {
    match (target, observable) {
        (Target::Host(host), Observable::Address(address)) => host == address,
        (Target::Net(net), Observable::Address(IpAddr::V6(v6))) => {
            let front = v6.segments();
            net.to_string()
                == format!("{}/64", std::net::Ipv6Addr::from([front[0], front[1], front[2], front[3], 0, 0, 0, 0,]))
        }
        (Target::DomainName(name), Observable::Domain(seen)) => name == seen,
        (Target::Uri(url), Observable::Url(seen)) => url == seen,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, key, member, mitigation, point, protection, sighting};
    use decide::testing::World;

    fn checker(witnesses: &[(&str, &str, Grade)]) -> HubCannotMakeAnAgentAct {
        let (mut checker, digest) = (HubCannotMakeAnAgentAct::default(), Digest::of(&[b"charter"]));
        checker.see(&Fact::Charter { digest, charter: &World::new().charter }, at(0)).unwrap();
        for (name, observable, grade) in witnesses {
            let (member, sighting) = (member(name), sighting(observable, *grade));
            let fact = Fact::Sealed { member: &member, key: key(), sighting: &sighting };
            checker.see(&fact, at(0)).unwrap();
        }
        checker
    }

    fn holds(witnesses: &[(&str, &str, Grade)]) -> bool {
        enforce(&mut checker(witnesses), &mitigation("60.1.2.3", 1), at(10)).is_ok()
    }

    #[test]
    fn two_vetted_members_signatures_are_enough_and_less_is_seen() {
        use Grade::{Handshake, Spoofable};
        let bad = "60.1.2.3";
        assert!(holds(&[("telecom", bad, Handshake), ("cloud", bad, Handshake)]));
        assert!(!holds(&[]));
        assert!(!holds(&[("telecom", bad, Handshake), ("telecom", bad, Handshake)]));
        assert!(!holds(&[("telecom", bad, Handshake), ("newcomer", bad, Handshake)]));
        assert!(!holds(&[("telecom", bad, Handshake), ("cloud", bad, Spoofable)]));
        assert!(!holds(&[("telecom", bad, Handshake), ("cloud", "60.1.2.4", Handshake)]));
    }

    #[test]
    fn approvals_of_two_members_are_enough_if_there_was_a_moment_for_both() {
        let mitigation = mitigation("60.1.2.3", 1);
        for (persons, now, enough) in [
            (["ada@bank", "ada@cloud"], 0, true),
            (["ada@bank", "bob@bank"], 0, false),
            (["ada@bank", "ada@cloud"], 999, false),
        ] {
            let mut made = 0;
            let (mut checker, covers) = (checker(&[]), BTreeSet::from([mitigation.id()]));
            for person in persons {
                let (person, verdict) = (person.parse().unwrap(), Verdict::Approve);
                let (key, until) = (key(), at(made + 60));
                let fact = Fact::Approval { person: &person, key, verdict, covers: &covers, until };
                checker.see(&fact, at(made)).unwrap();
                made += now;
            }
            assert_eq!(enforce(&mut checker, &mitigation, at(now)).is_ok(), enough, "{persons:?} {now}");
        }
    }

    #[test]
    fn a_point_that_enforces_what_its_agent_never_held_is_seen() {
        let (member, point, protection) = (member("telecom"), point(), protection(&mitigation("60.1.2.3", 1)));
        let fact = Fact::Enforced { member: &member, point: &point, protection: &protection };
        assert!(checker(&[]).see(&fact, at(0)).is_err());
    }

    #[test]
    fn a_charter_that_no_quorum_signed_is_seen() {
        let fact = |digest| Fact::Adopted { member: Box::leak(Box::new(member("telecom"))), digest };
        assert!(checker(&[]).see(&fact(Digest::of(&[b"charter"])), at(0)).is_ok());
        assert!(checker(&[]).see(&fact(Digest::of(&[b"forged"])), at(0)).is_err());
    }

    #[test]
    fn v6_evidence_supports_its_own_64_and_nothing_wider() {
        let observable = "2600:1:2:3:4::5".parse().unwrap();
        let is = |text: &str| is_narrowest(&Target::Net(text.parse().unwrap()), &observable);
        assert!(is("2600:1:2:3::/64") && !is("2600:1:2:4::/64") && !is("2600:1:2::/48"));
    }
}

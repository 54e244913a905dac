//! Does what is in force still stand under another charter? Asked of every mitigation when the charter changes, by the
//! hub and by each agent for itself.

use crate::approvals::{Tally, count_when_made};
use crate::check::Faults;
use crate::check::mitigation::{able, guarded};
use crate::evidence::{EVIDENCE_MAX, Verifier};
use charter::{Charter, Guards};
use model::{
    Class, Evidence, KeyId, MemberId, Mitigation, PlanHeader, Refusal, Role, Rule, SignedApproval, Standing, Timestamp,
    Verdict,
};
use std::collections::{BTreeMap, BTreeSet};
use std::slice;

/// The members whose evidence or approvals a mitigation rests on, each with the keys that signed; empty where that is
/// not known.
pub type RestsOn = BTreeMap<MemberId, BTreeSet<KeyId>>;

/// What is brought forward for a mitigation, whether or not it counts: the authors of the evidence behind it or, where
/// persons decide, the members whose persons said yes.
pub fn claimed(class: Class, evidence: &[Evidence], approvals: &[SignedApproval]) -> RestsOn {
    match class {
        Class::Automatic => authors(evidence.iter()),
        _ => approvers(approvals.iter()),
    }
}

fn authors<'a>(evidence: impl Iterator<Item = &'a Evidence>) -> RestsOn {
    by_member(evidence.map(|piece| (piece.header.author.clone(), piece.header.key)))
}

fn approvers<'a>(approvals: impl Iterator<Item = &'a SignedApproval>) -> RestsOn {
    let yes = approvals.map(|signed| &signed.approval).filter(|yes| yes.verdict == Verdict::Approve);
    by_member(yes.map(|yes| (yes.person.member(), yes.key)))
}

fn by_member(signed: impl Iterator<Item = (MemberId, KeyId)>) -> RestsOn {
    let mut keys = RestsOn::new();
    for (member, key) in signed {
        keys.entry(member).or_default().insert(key);
    }
    keys
}

/// What a mitigation rested on when it was judged at `now`, under this charter: what counted of what is claimed.
pub fn rests_on(
    header: &PlanHeader,
    mitigation: &Mitigation,
    evidence: &[Evidence],
    approvals: &[SignedApproval],
    charter: &Charter,
    now: Timestamp,
) -> RestsOn {
    let mut verifier = Verifier::new(charter, now);
    let tally = count_when_made(header, Some(&mitigation.member), approvals, charter, now);
    counted(header.class, mitigation, evidence, approvals, &mut verifier, &tally)
}

/// The same for whoever has judged it already: signatures that `verifier` knows are not verified again.
pub(crate) fn counted(
    class: Class,
    mitigation: &Mitigation,
    evidence: &[Evidence],
    approvals: &[SignedApproval],
    verifier: &mut Verifier<'_>,
    tally: &Tally,
) -> RestsOn {
    if class != Class::Automatic {
        return approvers(approvals.iter().filter(|signed| tally.approving.contains(&signed.approval.person)));
    }
    let (observable, family) = (&mitigation.observable, mitigation.family);
    let counts = |piece: &&Evidence| {
        let alone = verifier.support(observable, family, slice::from_ref(*piece));
        !alone.members.is_empty()
    };
    authors(evidence.iter().take(EVIDENCE_MAX).filter(counts))
}

/// Are all of these still heard, and do all their keys count?
pub fn all_heard(rests_on: &RestsOn, class: Class, charter: &Charter) -> bool {
    let revoked = |keys: &BTreeSet<KeyId>| keys.iter().any(|key| charter.is_revoked(key));
    rests_on.iter().all(|(member, keys)| is_heard(charter, member, class) && !revoked(keys))
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Standings<'a> {
    /// How its plan came into force.
    pub class: Class,
    /// The mitigation.
    pub mitigation: &'a Mitigation,
    /// What it rests on.
    pub rests_on: &'a RestsOn,
    /// Members whose evidence the owner accepts alone.
    pub trust_alone: &'a BTreeSet<MemberId>,
}

/// Checks a mitigation in force against the charter that follows: guards, the member's roles, capabilities and assets,
/// and whether enough of the members it rests on are still heard. Evidence and time were checked when it came into
/// force, and are not asked again.
///
/// # Errors
/// The first rule that it breaks now.
pub fn still_stands(asked: Standings<'_>, charter: &Charter, guards: &Guards) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    guarded(asked.class, asked.mitigation, guards, &mut faults);
    able(charter.member(&asked.mitigation.member)?, asked.mitigation, &mut faults);
    match faults.first_refusal() {
        Some(refusal) => Err(refusal.clone()),
        None => still_supported(asked, charter),
    }
}

/// Whoever was removed or suspended, or whose keys were revoked, speaks for nothing any more.
fn still_supported(asked: Standings<'_>, charter: &Charter) -> Result<(), Refusal> {
    let counts = |keys: &BTreeSet<KeyId>| keys.is_empty() || keys.iter().any(|key| !charter.is_revoked(key));
    let heard = asked.rests_on.iter().filter(|(member, keys)| counts(keys) && is_heard(charter, member, asked.class));
    let remaining: BTreeSet<&MemberId> = heard.map(|(member, _)| member).collect();
    let needed = match asked.class {
        Class::Automatic => charter.corroboration.evidence_members as usize,
        Class::Quorum => charter.quorum.plan as usize,
        Class::Owner => 1,
    };
    let trusted = asked.class == Class::Automatic && remaining.iter().any(|member| asked.trust_alone.contains(*member));
    if trusted || remaining.len() == asked.rests_on.len() || remaining.len() >= needed {
        return Ok(());
    }
    let value = format!("{} of {} members", remaining.len(), asked.rests_on.len());
    Err(Refusal::new(
        Rule::EvidenceMissing,
        value,
        format!("{needed} members that are still heard, by keys that still count"),
    ))
}

fn is_heard(charter: &Charter, member: &MemberId, class: Class) -> bool {
    let role = if class == Class::Automatic { Role::Reporter } else { Role::Approver };
    charter.member(member).is_ok_and(|member| {
        let vetted = class != Class::Automatic || member.standing == Standing::Vetted;
        vetted && member.require(role).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::World;
    use model::{Behaviour, Capability};

    /// The rule that ends an automatic mitigation of telecom's when the charter changes like this.
    fn ended(change: impl FnOnce(&mut Charter)) -> Option<Rule> {
        let before = World::new();
        let finding = before.finding(&"60.0.0.1".parse().unwrap(), Behaviour::Scan);
        let plan = before.plan(&[finding]).plans.remove(0);
        let mitigation = plan.mitigations.iter().find(|m| m.member.as_str() == "telecom").unwrap();
        let after = World::with(change);
        let key = |name: &str| BTreeSet::from([before.agent_key(name).public().id()]);
        let rests_on = ["cloud", "telecom"].map(|name| (name.parse().unwrap(), key(name))).into();
        let (class, trust_alone) = (Class::Automatic, &BTreeSet::new());
        let asked = Standings { class, mitigation, rests_on: &rests_on, trust_alone };
        still_stands(asked, &after.charter, &after.guards).err().map(|refusal| refusal.rule)
    }

    #[test]
    fn a_charter_that_changes_nothing_about_it_lets_it_stand() {
        assert_eq!(ended(|charter| charter.alliance.version = 2), None);
    }

    #[test]
    fn each_change_against_it_ends_it_by_name() {
        assert_eq!(ended(|charter| charter.guards.never.push("60.0.0.1".into())), Some(Rule::GuardNever));
        assert_eq!(ended(|charter| charter.guards.never.push("60.0.0.0/24".into())), Some(Rule::GuardNever));
        let own = |charter: &mut Charter| {
            charter.members[2].assets.prefixes.insert("60.0.0.0/24".parse().unwrap());
        };
        assert_eq!(ended(own), Some(Rule::MemberSpace));
        assert_eq!(ended(|charter| drop(charter.members.remove(0))), Some(Rule::UnknownMember));
        assert_eq!(ended(|charter| charter.members[0].standing = Standing::Suspended), Some(Rule::MemberSuspended));
        let roleless = |charter: &mut Charter| charter.members[0].roles.retain(|role| *role != Role::Operator);
        assert_eq!(ended(roleless), Some(Rule::RoleMissing));
        let incapable =
            |charter: &mut Charter| charter.members[0].capabilities.retain(|can| *can != Capability::PacketFilter);
        assert_eq!(ended(incapable), Some(Rule::CapabilityMissing));
    }

    #[test]
    fn a_piece_of_evidence_that_did_not_count_does_not_carry_what_a_revoked_key_leaves() {
        let world = World::new();
        let observable = "60.0.0.1".parse().unwrap();
        let plan = world.plan(&[world.finding(&observable, Behaviour::Scan)]).plans.remove(0);
        let mitigation = plan.mitigations.iter().find(|m| m.member.as_str() == "telecom").unwrap();
        let mut evidence = world.two_witnesses(&observable, Behaviour::Scan);
        let elsewhere = world.sighting(&"60.0.0.2".parse().unwrap(), Behaviour::Scan);
        evidence.push(world.evidence("bank", &elsewhere));
        let rests_on = rests_on(&plan.header, mitigation, &evidence, &[], &world.charter, world.now);
        let members: Vec<&str> = rests_on.keys().map(MemberId::as_str).collect();
        assert_eq!(members, ["cloud", "telecom"]);
        let key = world.agent_key("cloud").public().id();
        let after = World::with(|charter| charter.revoked.extend([key]));
        let (class, trust_alone) = (Class::Automatic, &BTreeSet::new());
        let asked = Standings { class, mitigation, rests_on: &rests_on, trust_alone };
        let refusal = still_stands(asked, &after.charter, &after.guards).unwrap_err();
        assert_eq!(refusal.rule, Rule::EvidenceMissing);
    }

    #[test]
    fn evidence_by_a_key_that_was_revoked_carries_nothing_any_more_whoever_signed_it() {
        for name in ["telecom", "cloud"] {
            let key = World::new().agent_key(name).public().id();
            assert_eq!(ended(|charter| charter.revoked.extend([key])), Some(Rule::EvidenceMissing), "{name}");
        }
        let other = World::new().agent_key("bank").public().id();
        assert_eq!(ended(|charter| charter.revoked.extend([other])), None);
    }

    #[test]
    fn evidence_of_whoever_left_or_is_suspended_carries_nothing_any_more() {
        assert_eq!(ended(|charter| drop(charter.members.remove(1))), Some(Rule::EvidenceMissing));
        assert_eq!(ended(|charter| charter.members[1].standing = Standing::Suspended), Some(Rule::EvidenceMissing));
    }
}

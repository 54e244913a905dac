//! Does what is in force still stand under another charter? Asked of every mitigation when the charter changes, by the
//! hub and by each agent for itself.

use crate::check::Faults;
use crate::check::mitigation::{able, guarded};
use charter::{Charter, Guards};
use model::{Class, Evidence, KeyId, MemberId, Mitigation, Refusal, Role, Rule, SignedApproval, Standing, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// The members whose evidence or approvals a mitigation rests on, each with the keys that signed; empty where that is
/// not known.
pub type RestsOn = BTreeMap<MemberId, BTreeSet<KeyId>>;

/// What a mitigation rests on: the evidence behind it or, where persons decide, their yes.
pub fn rests_on(class: Class, evidence: &[Evidence], approvals: &[SignedApproval]) -> RestsOn {
    let mut rests_on = RestsOn::new();
    let mut rests = |member: MemberId, key: KeyId| {
        rests_on.entry(member).or_default().insert(key);
    };
    match class {
        Class::Automatic => evidence.iter().for_each(|piece| rests(piece.header.author.clone(), piece.header.key)),
        _ => {
            let yes = approvals.iter().map(|signed| &signed.approval).filter(|yes| yes.verdict == Verdict::Approve);
            yes.for_each(|yes| rests(yes.person.member(), yes.key));
        }
    }
    rests_on
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

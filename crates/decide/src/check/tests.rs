//! The checker: one test for each way in which a plan can be wrong.

use super::*;
use crate::testing::World;
use model::{Behaviour, Class, Digest, Plan, Span};

fn good(world: &World) -> Plan {
    let finding = |text: &str| world.finding(&text.parse().unwrap(), Behaviour::Bruteforce);
    world.plan(&[finding("60.0.0.1"), finding("evil-host.com")]).plans.remove(0)
}

fn faults(world: &World, plan: &Plan, head: Option<Head>) -> Vec<Fault> {
    let trust_alone = BTreeMap::new();
    let (charter, guards, now) = (&world.charter, &world.guards, world.now);
    check(plan, &CheckContext { charter, guards, trust_alone: &trust_alone, head, now })
}

/// The rules that refuse a good plan after a change.
fn rules(change: impl FnOnce(&mut Plan)) -> BTreeSet<Rule> {
    let world = World::new();
    let mut plan = good(&world);
    assert_eq!(faults(&world, &plan, None), []);
    change(&mut plan);
    let refused = |fault: Fault| (fault.severity == Severity::Refused).then_some(fault.refusal.rule);
    faults(&world, &plan, None).into_iter().filter_map(refused).collect()
}

#[test]
fn every_number_of_the_header_is_counted_again() {
    for change in [
        (|r| r.mitigations += 1) as fn(&mut model::BlastRadius),
        |r| r.members = 1,
        |r| r.most_for_one_member = 1,
        |r| r.widest_v4_addresses = 0,
        |r| r.widest_v6_networks = 1,
        |r| r.names = 0,
    ] {
        assert_eq!(rules(|plan| change(&mut plan.header.blast_radius)), BTreeSet::from([Rule::BlastRadius]));
    }
}

#[test]
fn a_header_that_is_not_of_these_mitigations_is_refused() {
    assert_eq!(rules(|plan| plan.header.root = Digest::of(&[])), BTreeSet::from([Rule::DigestMismatch]));
    assert!(rules(|plan| plan.header.count -= 1).contains(&Rule::DigestMismatch));
    assert!(rules(|plan| drop(plan.mitigations.pop())).contains(&Rule::DigestMismatch));
    assert!(rules(|plan| plan.mitigations.swap(0, 1)).contains(&Rule::DigestMismatch));
}

#[test]
fn a_header_of_elsewhere_or_another_time_is_refused() {
    assert_eq!(rules(|plan| plan.header.alliance = "x".into()), BTreeSet::from([Rule::NotForUs]));
    assert_eq!(rules(|plan| plan.header.charter = 2), BTreeSet::from([Rule::CharterOld]));
    assert!(rules(|plan| plan.header.generation = 2).contains(&Rule::OldGeneration));
    let tomorrow = World::new().now.plus(Span::days(1));
    assert!(rules(|plan| plan.header.made = tomorrow).contains(&Rule::ClockSkew));
    assert_eq!(rules(|plan| plan.header.reasons = vec!["x".repeat(201)]), BTreeSet::from([Rule::TooLarge]));
    assert_eq!(rules(|plan| plan.header.reasons = vec![String::new(); 21]), BTreeSet::from([Rule::TooLarge]));
}

#[test]
fn a_plan_follows_the_latest_one() {
    let world = World::new();
    let plan = good(&world);
    assert_eq!(faults(&world, &plan, Some(Head::default())), []);
    let elsewhere = Head { plan: Some(plan.id()), generation: 1 };
    let found = faults(&world, &plan, Some(elsewhere));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|fault| fault.refusal.rule == Rule::OldGeneration));
}

#[test]
fn evidence_is_asked_for_and_nothing_else_may_hang_on_a_plan() {
    assert_eq!(rules(|plan| plan.evidence.clear()), BTreeSet::from([Rule::EvidenceMissing]));
    let stray = |plan: &mut Plan| {
        let pieces = plan.evidence.values().next().unwrap().clone();
        plan.evidence.insert(model::FindingId::of(&Digest::of(&[b"stray"])), pieces);
    };
    assert_eq!(rules(stray), BTreeSet::from([Rule::TooLarge]));
    let flood = |plan: &mut Plan| {
        let pieces = plan.evidence.values_mut().next().unwrap();
        *pieces = pieces.iter().cycle().take(65).cloned().collect();
    };
    assert_eq!(rules(flood), BTreeSet::from([Rule::TooLarge]));
}

#[test]
fn a_mitigation_that_stands_twice_is_refused() {
    assert!(rules(|plan| plan.mitigations[1] = plan.mitigations[0].clone()).contains(&Rule::Malformed));
}

#[test]
fn an_owners_plan_is_for_one_member() {
    assert_eq!(rules(|plan| plan.header.class = Class::Owner), BTreeSet::from([Rule::BlastRadius]));
}

#[test]
fn a_member_that_left_or_cannot_is_not_asked() {
    let plan = good(&World::new());
    let rules = |world: &World| -> BTreeSet<Rule> {
        faults(world, &plan, None).into_iter().map(|fault| fault.refusal.rule).collect()
    };
    let without = World::with(|charter| drop(charter.members.remove(2)));
    assert!(rules(&without).contains(&Rule::UnknownMember));
    let suspended = World::with(|charter| charter.members[3].standing = model::Standing::Suspended);
    assert_eq!(rules(&suspended), BTreeSet::from([Rule::MemberSuspended]));
    let unable = World::with(|charter| charter.members[3].capabilities.clear());
    assert_eq!(rules(&unable), BTreeSet::from([Rule::CapabilityMissing]));
    let idle = World::with(|charter| charter.members[3].roles.clear());
    assert_eq!(rules(&idle), BTreeSet::from([Rule::RoleMissing]));
    let smaller = World::with(|charter| charter.limits.plan_mitigations_max = 3);
    assert_eq!(rules(&smaller), BTreeSet::from([Rule::BlastRadius]));
    let stricter = World::with(|charter| charter.corroboration.evidence_members = 3);
    assert_eq!(rules(&stricter), BTreeSet::from([Rule::EvidenceMissing]));
}

#[test]
fn a_plan_of_an_earlier_charter_is_checked_against_the_one_in_force_and_says_so() {
    let plan = good(&World::new());
    let later = World::with(|charter| {
        (charter.alliance.version, charter.alliance.previous) = (2, Some(Digest::of(&[b"first"])));
    });
    let found = faults(&later, &plan, None);
    assert_eq!((found.len(), found[0].severity, found[0].refusal.rule), (1, Severity::Notice, Rule::CharterOld));
    assert!(!is_refused(&found));
}

#[test]
fn a_fault_of_one_mitigation_names_it() {
    let world = World::new();
    let mut plan = good(&world);
    plan.mitigations[4].inverse = model::Inverse::Nothing;
    let id = plan.mitigations[4].id();
    let found = faults(&world, &plan, None);
    let inverse = found.iter().find(|fault| fault.refusal.rule == Rule::InverseRequired).unwrap();
    assert_eq!(inverse.mitigation, Some(id));
}

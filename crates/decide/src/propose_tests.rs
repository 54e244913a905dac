//! Persons' plans: what may be proposed, in which class, and what not even persons may.

use super::*;
use crate::check::{Head, Severity};
use crate::testing::World;
use model::{Action, Behaviour, Observable, Rule, Scope, Target};

fn target(text: &str) -> Target {
    match text.parse().unwrap() {
        Observable::Address(address) => Target::Host(address),
        other => Target::protecting_from(&other),
    }
}

fn proposed(measure: Measure, members: &[&str], lasts: Span) -> Result<(Plan, Vec<Fault>), Vec<Fault>> {
    let world = World::new();
    let finding = world.finding(&"60.0.0.1".parse().unwrap(), Behaviour::C2);
    let draft = Draft {
        person: "ada@cloud".parse().unwrap(),
        finding: &finding,
        evidence: world.two_witnesses(&finding.observable, Behaviour::C2),
        measure,
        members: members.iter().map(|m| m.parse().unwrap()).collect(),
        lasts,
        reason: "seen in three of our networks".to_owned(),
    };
    let trust_alone = BTreeMap::new();
    let (charter, guards) = (&world.charter, &world.guards);
    let head = Some(Head { plan: None, generation: 0 });
    propose(&draft, &CheckContext { charter, guards, trust_alone: &trust_alone, head, now: world.now })
}

fn refused(measure: Measure, members: &[&str], lasts: Span) -> BTreeSet<Rule> {
    proposed(measure, members, lasts).unwrap_err().into_iter().map(|fault| fault.refusal.rule).collect()
}

fn deny(text: &str) -> Measure {
    Measure::new(Action::Deny, target(text), Scope::Border).unwrap()
}

#[test]
fn a_network_may_be_proposed_and_needs_a_quorum() {
    let (plan, faults) = proposed(deny("60.0.0.0/24"), &["telecom", "bank"], Span::hours(3)).unwrap();
    assert_eq!((plan.header.class, plan.header.count, faults.len()), (Class::Quorum, 2, 0));
    assert!(plan.header.reasons.concat().contains("ada@cloud"));
}

#[test]
fn what_machines_may_do_alone_still_needs_a_quorum_when_a_person_asks() {
    let (plan, _) = proposed(deny("60.0.0.1"), &["telecom"], Span::hours(3)).unwrap();
    assert_eq!(plan.header.class, Class::Quorum);
}

#[test]
fn persons_may_pass_a_guard_knowingly_but_never_the_never_list() {
    let (_, faults) = proposed(deny("9.9.9.9"), &["telecom"], Span::hours(1)).unwrap();
    assert_eq!((faults[0].severity, faults[0].refusal.rule), (Severity::Notice, Rule::GuardNever));
    assert_eq!(refused(deny("44.4.4.4"), &["telecom"], Span::hours(1)), BTreeSet::from([Rule::GuardNever]));
    assert_eq!(refused(deny("10.0.0.1"), &["telecom"], Span::hours(1)), BTreeSet::from([Rule::GuardNever]));
}

#[test]
fn a_redirect_leads_to_a_name_of_the_acting_member() {
    let redirect = |to: &str| {
        let action = Action::Redirect { to: to.parse().unwrap() };
        Measure::new(action, target("evil-host.com"), Scope::Border).unwrap()
    };
    assert!(proposed(redirect("notice.telecom-own.net"), &["telecom"], Span::hours(1)).is_ok());
    let both = refused(redirect("notice.telecom-own.net"), &["telecom", "bank"], Span::hours(1));
    assert_eq!(both, BTreeSet::from([Rule::OnlyOwnAssets]));
}

#[test]
fn own_space_is_protected_by_its_owner_alone() {
    let own = |text: &str| Measure::new(Action::Deny, target(text), Scope::ProtectOwn).unwrap();
    let (plan, faults) = proposed(own("31.1.2.3"), &["telecom"], Span::hours(1)).unwrap();
    assert_eq!((plan.header.class, faults.len()), (Class::Owner, 0));
    assert_eq!(refused(own("31.2.0.1"), &["telecom"], Span::hours(1)), BTreeSet::from([Rule::OnlyOwnAssets]));
    let both = refused(own("31.1.2.3"), &["telecom", "bank"], Span::hours(1));
    assert_eq!(both, BTreeSet::from([Rule::BlastRadius, Rule::OnlyOwnAssets]));
}

#[test]
fn a_proposal_ends_in_time_and_asks_somebody() {
    assert_eq!(refused(deny("60.0.0.1"), &["telecom"], Span::hours(25)), BTreeSet::from([Rule::ExpiryRequired]));
    assert_eq!(refused(deny("60.0.0.1"), &["telecom"], Span::ZERO), BTreeSet::from([Rule::ExpiryRequired]));
    assert_eq!(refused(deny("60.0.0.1"), &[], Span::hours(1)), BTreeSet::from([Rule::BlastRadius]));
    assert!(refused(deny("60.0.0.1"), &["watcher"], Span::hours(1)).contains(&Rule::RoleMissing));
    assert!(refused(deny("60.0.0.1"), &["nobody"], Span::hours(1)).contains(&Rule::UnknownMember));
}

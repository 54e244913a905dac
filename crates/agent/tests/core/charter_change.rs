//! What an agent does by itself when the charter changes, and what two lineages of one finding have to do with each
//! other.

use crate::common::mine;
use crate::rig::Rig;
use agent::core::{AlarmKind, Input, Submission, TakenBack};
use charter::Charter;
use model::MitigationState::Withdrawn;
use model::{Behaviour, Capability, Role, Rule, Salt, Span, Standing, StreamMessage};

const BAD: &str = "8.8.4.4";

/// An agent that holds one mitigation and is then shown the next charter; the rule with which it ended, and whether
/// anything is still enforced.
fn amended(change: impl FnOnce(&mut Charter)) -> (Option<Rule>, bool) {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    assert_eq!(rig.point.targets(), [BAD]);
    let mut next = rig.world.charter.clone();
    (next.alliance.version, next.alliance.previous) = (2, Some(rig.charter.digest()));
    change(&mut next);
    let signed = crate::common::signed(&rig.world, &next, &["cloud", "bank", "vendor"]);
    rig.give(Input::Charter { signed: Box::new(signed), lists: Vec::new() });
    assert_eq!(rig.core.charter().unwrap().alliance.version, 2, "{:?}", rig.alarms.last());
    rig.pass(Span::minutes(1));
    let last = rig.receipts.iter().rfind(|receipt| receipt.mitigation == id && receipt.state == Withdrawn);
    let rule = last.and_then(|receipt| receipt.refusal.as_ref()).map(|refusal| refusal.rule);
    (rule, !rig.point.targets().is_empty())
}

#[test]
fn a_charter_that_changes_nothing_about_it_leaves_it_in_force() {
    assert_eq!(amended(|_| {}), (None, true));
}

#[test]
fn what_the_next_charter_does_not_allow_is_lifted_at_once_without_a_word_of_the_hub() {
    let never = |entry: &'static str| move |charter: &mut Charter| charter.guards.never.push(entry.into());
    assert_eq!(amended(never("8.8.4.4")), (Some(Rule::GuardNever), false));
    assert_eq!(amended(never("8.8.4.0/24")), (Some(Rule::GuardNever), false));
    let own = |charter: &mut Charter| {
        charter.members[1].assets.prefixes.insert("8.8.4.0/24".parse().unwrap());
    };
    assert_eq!(amended(own), (Some(Rule::MemberSpace), false));
    let incapable = |charter: &mut Charter| charter.members[0].capabilities.retain(|c| *c != Capability::PacketFilter);
    assert_eq!(amended(incapable), (Some(Rule::CapabilityMissing), false));
    let roleless = |charter: &mut Charter| charter.members[0].roles.retain(|role| *role != Role::Operator);
    assert_eq!(amended(roleless), (Some(Rule::RoleMissing), false));
}

#[test]
fn an_agent_whose_member_left_or_is_suspended_lifts_everything() {
    assert_eq!(amended(|charter| drop(charter.members.remove(0))), (Some(Rule::UnknownMember), false));
    let suspended = |charter: &mut Charter| charter.members[0].standing = Standing::Suspended;
    assert_eq!(amended(suspended), (Some(Rule::MemberSuspended), false));
}

#[test]
fn what_rests_on_the_evidence_of_a_member_that_was_suspended_is_lifted() {
    let witness = |charter: &mut Charter| charter.members[1].standing = Standing::Suspended;
    assert_eq!(amended(witness), (Some(Rule::EvidenceMissing), false));
    assert_eq!(amended(|charter| drop(charter.members.remove(1))), (Some(Rule::EvidenceMissing), false));
    let other = |charter: &mut Charter| charter.members[3].standing = Standing::Suspended;
    assert_eq!(amended(other), (None, true), "a member that signed none of it");
}

#[test]
fn a_number_that_stands_for_something_else_is_an_alarm_and_nothing_is_lost() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let sighting = rig.world.sighting(&"8.8.4.7".parse().unwrap(), Behaviour::Scan);
    rig.give(Input::Sightings(vec![(Salt([1; 16]), sighting)]));
    rig.pass(Span::seconds(1));
    let first = rig.sent.last().unwrap().sequence();
    rig.acknowledges = true;
    rig.give(Input::NumberTaken { sequence: first, next: first + 5 });
    rig.pass(Span::seconds(1));
    assert!(rig.alarmed(AlarmKind::SequenceTaken));
    let Some(Submission::Sightings(batch)) = rig.sent.last() else { panic!("no batch") };
    assert_eq!((batch.header.sequence, batch.openings.len()), (first + 5, 1));
    assert!(rig.core.state().outbox.is_empty());
}

#[test]
fn a_retraction_is_signed_and_numbered_by_the_agent_and_survives_a_restart() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let observable = "8.8.4.7".parse().unwrap();
    rig.give(Input::Retract(TakenBack { observable, behaviour: Behaviour::Scan, reason: "our scanner".to_owned() }));
    rig.pass(Span::seconds(1));
    rig.acknowledges = true;
    rig.restart();
    rig.pass(Span::seconds(1));
    let Some(Submission::Retraction(signed)) = rig.sent.last() else { panic!("no retraction") };
    assert_eq!(signed.retraction.reason, "our scanner");
    assert!(rig.core.state().outbox.is_empty());
    let nothing = TakenBack { observable: "8.8.4.8".parse().unwrap(), behaviour: Behaviour::Scan, reason: " ".into() };
    rig.give(Input::Retract(nothing));
    assert!(rig.core.state().outbox.is_empty(), "without a reason nothing is taken back");
}

#[test]
fn two_charters_behind_the_agent_follows_step_by_step_and_judges_by_the_newest() {
    let mut rig = Rig::new();
    let mut charters = vec![rig.charter.clone()];
    for version in 2..4 {
        let mut next = rig.world.charter.clone();
        (next.alliance.version, next.alliance.previous) = (version, Some(charters.last().unwrap().digest()));
        if version == 3 {
            next.guards.never.push("8.8.4.4".into());
        }
        charters.push(crate::common::signed(&rig.world, &next, &["cloud", "bank", "vendor"]));
    }
    rig.message(StreamMessage::Charter { version: 3 });
    // The hub shows the newest first; it does not follow, so it is not taken.
    rig.give(Input::Charter { signed: Box::new(charters[2].clone()), lists: Vec::new() });
    assert_eq!(rig.core.charter().unwrap().alliance.version, 1);
    rig.message(StreamMessage::Charter { version: 3 });
    for charter in &charters[1..] {
        rig.give(Input::Charter { signed: Box::new(charter.clone()), lists: Vec::new() });
    }
    assert_eq!(rig.core.charter().unwrap().alliance.version, 3);
    rig.part(mine(&rig.world, &[BAD]));
    assert!(rig.point.targets().is_empty(), "what version 3 never blocks");
}

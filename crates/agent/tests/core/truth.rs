//! What is said of an enforcement point is what it said when it was asked: active, gone, suspended, or not known.

use crate::common::*;
use crate::rig::Rig;
use agent::core::{AlarmKind, Input};
use model::MitigationState::*;
use model::{MitigationId, Span};

const BAD: &str = "45.155.205.233";

fn enforced() -> (Rig, model::PlanPart, MitigationId) {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    let id = rig.part(part.clone());
    assert_eq!(rig.state(&id), Some(Verified));
    (rig, part, id)
}

fn kill(rig: &mut Rig) {
    rig.give(Input::Kill { reason: "now".into() });
}

#[test]
fn what_the_configuration_allows_since_the_last_start_is_lifted() {
    let (mut rig, _, id) = enforced();
    rig.allow.insert(BAD.parse().unwrap());
    rig.restart();
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
    let refused = rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(9)));
    assert_eq!(rig.reported(&refused), [Refused]);
}

#[test]
fn what_ends_under_a_kill_switch_that_is_not_obeyed_is_not_said_to_be_gone() {
    let (mut rig, part, id) = enforced();
    rig.point.fault(|faults| faults.stuck = true);
    kill(&mut rig);
    rig.withdraw(&part);
    assert_eq!(rig.point.targets(), [BAD]);
    assert_eq!(rig.reported(&id).last(), Some(&Failed), "it is enforced");
    rig.give(Input::Resume);
    assert_eq!(rig.reported(&id).last(), Some(&Failed), "and still is");
    rig.point.fault(|faults| faults.stuck = false);
    rig.pass(Span::minutes(3));
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
}

#[test]
fn kill_switch_that_is_only_acknowledged_is_told_of_and_repeated() {
    let (mut rig, _, id) = enforced();
    rig.point.fault(|faults| faults.clings = true);
    kill(&mut rig);
    rig.pass(Span::seconds(20));
    assert_eq!(rig.state(&id), Some(Verified), "nobody read back that it is suspended");
    assert!(rig.alarmed(AlarmKind::StillEnforced));
    rig.point.fault(|faults| faults.clings = false);
    rig.pass(Span::minutes(2));
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.state(&id), Some(Failed));
    rig.give(Input::Resume);
    assert_eq!((rig.state(&id), rig.point.targets()), (Some(Verified), vec![BAD.to_owned()]));
}

#[test]
fn active_is_taken_back_when_a_point_cannot_say_any_more() {
    for deaf in [false, true] {
        let (mut rig, _, id) = enforced();
        rig.point.fault(|faults| (faults.deaf, faults.vague) = (deaf, !deaf));
        rig.pass(Span::minutes(3));
        assert_eq!(rig.state(&id), Some(Applied), "deaf: {deaf}");
        assert!(rig.alarmed(AlarmKind::PointFailed));
        rig.point.fault(|faults| (faults.deaf, faults.vague) = (false, false));
        rig.pass(Span::minutes(1));
        assert_eq!(rig.state(&id), Some(Verified));
    }
}

#[test]
fn start_beside_a_point_that_cannot_say_takes_back_active() {
    for deaf in [false, true] {
        let (mut rig, _, id) = enforced();
        rig.point.fault(|faults| (faults.deaf, faults.vague) = (deaf, !deaf));
        rig.restart();
        rig.pass(Span::minutes(1));
        assert_eq!(rig.state(&id), Some(Applied), "deaf: {deaf}");
    }
}

#[test]
fn what_a_point_cannot_say_is_gone_is_asked_for_a_day_and_then_ends_unconfirmed() {
    let (mut rig, part, id) = enforced();
    rig.point.fault(|faults| faults.vague = true);
    rig.withdraw(&part);
    rig.pass(Span::hours(20));
    assert_ne!(rig.reported(&id).last(), Some(&Withdrawn));
    assert!(rig.alarmed(AlarmKind::StillEnforced));
    rig.pass(Span::hours(5));
    let last = rig.receipts.iter().rfind(|receipt| receipt.mitigation == id).unwrap();
    assert_eq!(last.state, Withdrawn);
    assert!(last.evidence.contains("not confirmed"), "{}", last.evidence);
    assert!(rig.core.state().held.is_empty());
}

#[test]
fn point_that_left_the_configuration_is_neither_active_nor_said_to_be_free() {
    let (mut rig, part, id) = enforced();
    rig.points = Some(Vec::new());
    rig.restart();
    assert_eq!(rig.state(&id), Some(Failed));
    assert!(rig.alarmed(AlarmKind::PointMissing));
    rig.withdraw(&part);
    let last = rig.receipts.iter().rfind(|receipt| receipt.mitigation == id).unwrap();
    assert_eq!(last.state, Withdrawn);
    assert!(last.evidence.contains("not confirmed: point edge"), "{}", last.evidence);
}

#[test]
fn after_a_false_future_everything_is_looked_at_again() {
    let (mut rig, _, id) = enforced();
    // A day ahead, so that it must last longer than that.
    let lasting = rig.part(part(&rig.world, ME, &["9.8.7.6"], 1, Span::hours(23)));
    let right = rig.now;
    rig.now = rig.now.plus(Span::hours(8));
    rig.give(Input::Tick);
    assert_eq!(rig.reported(&id).last(), Some(&Expired), "by the clock that there was");
    rig.now = right;
    rig.give(Input::ClockAccepted);
    rig.point.holds.lock().unwrap().clear();
    rig.pass(Span::minutes(1));
    assert_eq!(rig.point.targets(), ["9.8.7.6"]);
    assert_eq!(rig.state(&lasting), Some(Verified));
}

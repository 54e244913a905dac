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

#[test]
fn moments_silence_of_a_resolver_takes_nothing_back() {
    let (mut rig, _, id) = enforced();
    for _ in 0..5 {
        rig.point.fault(|faults| faults.vague = true);
        rig.pass(Span::seconds(40));
        rig.point.fault(|faults| faults.vague = false);
        rig.pass(Span::seconds(40));
    }
    assert_eq!(rig.reported(&id), [Applied, Verified], "no receipt for each time");
    assert!(!rig.alarmed(AlarmKind::PointFailed));
}

#[test]
fn what_ended_and_cannot_be_confirmed_takes_no_room() {
    let mut rig = Rig::with_room_for_one();
    let first = part(&rig.world, ME, &[BAD], 1, Span::hours(9));
    let id = rig.part(first.clone());
    rig.point.fault(|faults| faults.vague = true);
    rig.withdraw(&first);
    rig.pass(Span::hours(1));
    assert_ne!(rig.reported(&id).last(), Some(&Withdrawn), "nobody knows");
    rig.world.now = rig.now;
    let next = rig.part(part(&rig.world, ME, &["9.8.7.6"], 2, Span::hours(1)));
    assert_eq!((rig.reported(&next), rig.refusals()), (vec![Applied], vec![]));
    assert_eq!(rig.point.targets(), ["9.8.7.6"]);
}

#[test]
fn all_that_cannot_be_confirmed_is_asked_about_at_once() {
    let mut rig = Rig::new();
    let all = [BAD, "9.8.7.6", "9.8.7.5", "9.8.7.4"];
    let parts: Vec<_> = (1..).zip(all).map(|(n, bad)| part(&rig.world, ME, &[bad], n, Span::hours(9))).collect();
    for part in &parts {
        rig.part(part.clone());
    }
    rig.point.fault(|faults| faults.vague = true);
    for part in &parts {
        rig.withdraw(part);
        rig.pass(Span::minutes(2));
    }
    let read_back = |rig: &Rig| rig.orders.iter().filter(|order| order.0 == agent::core::Order::ReadBack).count();
    let before = read_back(&rig);
    rig.pass(Span::minutes(10));
    let asked = read_back(&rig) - before;
    assert!((9..=12).contains(&asked), "once a minute for all of them: {asked}");
}

#[test]
fn what_a_person_accepts_goes_to_the_points_of_today() {
    let mut rig = Rig::new();
    let mut settings = crate::common::settings(rig.charter.digest());
    settings.orders.rules.push(decide::OrderRule::any(decide::Then::Ask));
    rig.give(Input::SettingsChanged(Box::new(settings)));
    let id = rig.part(mine(&rig.world, &[BAD]));
    // As if another point had been there when it came.
    let mut held = rig.core.state().held[&id].clone();
    held.points = ["edge-of-before".parse().unwrap()].into();
    rig.records.push(agent::core::Record::Held(Box::new(held)));
    rig.restart();
    rig.give(Input::PersonDecided { mitigation: id, accept: true, reason: String::new() });
    assert_eq!((rig.reported(&id).last(), rig.point.targets()), (Some(&Verified), vec![BAD.to_owned()]));
}

#[test]
fn suspension_that_no_point_can_confirm_says_so() {
    let (mut rig, _, id) = enforced();
    let name = "edge".parse().unwrap();
    rig.points = Some(vec![agent::core::PointSetup { name, shows_only: false, reads_back: false }]);
    rig.point.fault(|faults| faults.vague = true);
    rig.restart();
    kill(&mut rig);
    let last = rig.receipts.iter().rfind(|receipt| receipt.mitigation == id).unwrap();
    assert_eq!(last.state, Failed);
    assert!(last.evidence.contains("kill switch; not confirmed"), "{}", last.evidence);
}

#[test]
fn sibling_that_could_not_be_put_back_is_tried_again() {
    let mut rig = Rig::new();
    let (a, b) = (mine(&rig.world, &["2600:1:2:3::1"]), part(&rig.world, ME, &["2600:1:2:3::2"], 1, Span::hours(2)));
    rig.part(a.clone());
    let second = rig.part(b);
    rig.point.fault(|faults| faults.fails_applying = 1);
    rig.withdraw(&a);
    rig.pass(Span::seconds(2));
    assert_eq!(rig.point.targets(), ["2600:1:2:3::/64"], "not only at the next patrol");
    assert_eq!(rig.state(&second), Some(Verified));
    assert!(rig.alarmed(AlarmKind::PointFailed));
}

#[test]
fn one_of_two_of_a_target_is_lifted_when_it_was_read_back_that_only_the_other_is_left() {
    let mut rig = Rig::new();
    let (a, b) = (mine(&rig.world, &["2600:1:2:3::1"]), part(&rig.world, ME, &["2600:1:2:3::2"], 1, Span::hours(2)));
    let (first, second) = (rig.part(a.clone()), rig.part(b));
    rig.point.fault(|faults| faults.clings = true);
    // The withdrawal is acknowledged and not carried out, and what is there stays the first one's.
    rig.point.fault(|faults| faults.forgets = true);
    rig.withdraw(&a);
    assert_ne!(rig.reported(&first).last(), Some(&Withdrawn), "it is still there");
    rig.point.fault(|faults| (faults.clings, faults.forgets) = (false, false));
    rig.pass(Span::minutes(2));
    assert_eq!(rig.reported(&first).last(), Some(&Withdrawn));
    assert_eq!((rig.state(&second), rig.point.targets()), (Some(Verified), vec!["2600:1:2:3::/64".to_owned()]));
}

#[test]
fn what_a_point_ends_before_its_time_is_put_in_again_before_it_does() {
    let mut rig = Rig::new();
    rig.point.fault(|faults| faults.ends_after = Some(60));
    let id = rig.part(mine(&rig.world, &[BAD]));
    let applied = |rig: &Rig| rig.orders.iter().filter(|(order, _)| *order == agent::core::Order::Apply).count();
    let before = applied(&rig);
    rig.pass(Span::minutes(10));
    assert!((18..=21).contains(&(applied(&rig) - before)), "each half minute: {}", applied(&rig) - before);
    assert_eq!(rig.reported(&id), [Applied, Verified], "and nobody hears of it");
    assert!(!rig.alarmed(AlarmKind::PointFailed) && !rig.alarmed(AlarmKind::RuleMissing));
}

//! What the alliance withdraws: at once, late, while the agent was away, and at a point that clings to it.

use crate::common::{ME, mine, part};
use crate::rig::Rig;
use agent::core::AlarmKind;
use model::MitigationState::{Failed, Verified, Withdrawn};
use model::{Span, StreamMessage};

const BAD: &str = "8.8.4.4";

#[test]
fn what_the_alliance_withdraws_is_lifted_and_a_resend_does_not_bring_it_back() {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    let id = rig.part(part.clone());
    rig.withdraw(&part);
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
    rig.part(part);
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
}

#[test]
fn what_was_withdrawn_while_the_agent_was_away_ends_and_what_took_its_place_stays() {
    let mut rig = Rig::new();
    let old = rig.part(mine(&rig.world, &[BAD]));
    let other = rig.part(part(&rig.world, ME, &["9.8.7.6"], 1, Span::hours(6)));
    rig.message(StreamMessage::Withdrawn(vec![old]));
    assert_eq!((rig.point.targets(), rig.reported(&old).last()), (vec!["9.8.7.6".to_owned()], Some(&Withdrawn)));
    let new = rig.part(part(&rig.world, ME, &["9.8.7.6"], 2, Span::hours(8)));
    rig.message(StreamMessage::Withdrawn(vec![old, other]));
    assert_eq!((rig.point.targets(), rig.reported(&new).last()), (vec!["9.8.7.6".to_owned()], Some(&Verified)));
}

#[test]
fn a_withdrawal_that_comes_late_does_not_end_what_was_planned_after_it() {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    let id = rig.part(part.clone());
    rig.withdraw_as_of(&part, part.header.made.minus(Span::millis(1)));
    assert_eq!((rig.point.targets(), rig.reported(&id).last()), (vec![BAD.to_owned()], Some(&Verified)));
    rig.withdraw_as_of(&part, part.header.made);
    assert_eq!((rig.point.targets(), rig.reported(&id).last()), (vec![], Some(&Withdrawn)));
}

#[test]
fn a_hub_that_withdraws_everything_is_obeyed_and_noticed() {
    let mut rig = Rig::new();
    let names: Vec<String> = (1..=20).map(|n| format!("8.8.4.{n}")).collect();
    let part = mine(&rig.world, &names.iter().map(String::as_str).collect::<Vec<_>>());
    rig.part(part.clone());
    assert_eq!(rig.point.targets().len(), 20);
    rig.withdraw(&part);
    assert!(rig.point.targets().is_empty());
    assert!(rig.alarmed(AlarmKind::MassWithdrawal));
}

#[test]
fn a_withdrawal_that_the_point_only_acknowledges_is_an_alarm_until_it_is_true() {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    let id = rig.part(part.clone());
    rig.point.fault(|faults| faults.clings = true);
    rig.withdraw(&part);
    rig.pass(Span::seconds(20));
    assert!(rig.alarmed(AlarmKind::StillEnforced));
    assert_eq!(rig.state(&id), Some(Failed), "not reported as lifted while it is enforced");
    rig.point.fault(|faults| faults.clings = false);
    rig.pass(Span::minutes(3));
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
}

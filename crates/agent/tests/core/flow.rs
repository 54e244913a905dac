//! The core as a conversation: what a member's agent does with what the hub says, points do and persons want.

use crate::common::{ME, mine, observable, part};
use crate::rig::Rig;
use agent::core::{AlarmKind, Input, Order, Output, Submission};
use model::MitigationState::{Applied, Due, Expired, Failed, Refused, Verified, Withdrawn};
use model::{Behaviour, Rule, Salt, Span, StreamMessage};

const BAD: &str = "8.8.4.4";

#[test]
fn a_signed_part_comes_into_force_and_is_verified_only_after_read_back() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    assert_eq!(rig.reported(&id), [Applied, Verified]);
    assert_eq!(rig.point.targets(), [BAD]);
    let kinds: Vec<Order> = rig.orders.iter().map(|(order, _)| *order).collect();
    assert_eq!(kinds, [Order::Replace, Order::Apply, Order::ReadBack]);
}

#[test]
fn it_ends_in_time_by_itself_and_nothing_is_left() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.pass(Span::hours(6));
    assert_eq!(rig.reported(&id).last(), Some(&Expired));
    assert!(rig.point.targets().is_empty() && rig.core.state().held.is_empty());
}

#[test]
fn nothing_is_verified_that_cannot_be_read_back() {
    let mut rig = Rig::new();
    rig.point.fault(|faults| faults.deaf = true);
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.pass(Span::minutes(5));
    assert_eq!(rig.reported(&id), [Applied]);
    assert!(rig.alarmed(AlarmKind::PointFailed));
    rig.point.fault(|faults| faults.deaf = false);
    rig.pass(Span::minutes(2));
    assert_eq!(rig.reported(&id), [Applied, Verified]);
}

#[test]
fn a_point_that_only_says_yes_is_found_out() {
    let mut rig = Rig::new();
    rig.point.fault(|faults| faults.forgets = true);
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.pass(Span::seconds(10));
    assert_eq!(rig.reported(&id)[..2], [Applied, Failed]);
    assert!(!rig.reported(&id).contains(&Verified));
}

#[test]
fn a_failed_apply_is_tried_again_with_growing_pauses() {
    let mut rig = Rig::new();
    rig.point.fault(|faults| faults.stuck = true);
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.pass(Span::minutes(10));
    assert_eq!(rig.reported(&id), [Failed]);
    let tries = rig.orders.iter().filter(|(order, _)| *order == Order::Apply).count();
    assert!((8..=20).contains(&tries), "{tries} tries in ten minutes");
    rig.point.fault(|faults| faults.stuck = false);
    rig.pass(Span::minutes(1));
    assert_eq!(rig.reported(&id), [Failed, Applied, Verified]);
}

#[test]
fn a_rule_that_somebody_deleted_is_put_back_and_reported() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.point.holds.lock().unwrap().clear();
    rig.pass(Span::seconds(31));
    assert_eq!(rig.reported(&id), [Applied, Verified, Failed, Applied, Verified]);
    assert_eq!(rig.point.targets(), [BAD]);
    assert!(rig.alarmed(AlarmKind::RuleMissing));
}

#[test]
fn an_older_generation_is_refused_and_a_forged_one_does_not_poison_the_lineage() {
    let mut rig = Rig::new();
    rig.part(part(&rig.world, ME, &[BAD], 5, Span::hours(6)));
    let old = rig.part(part(&rig.world, ME, &[BAD], 4, Span::hours(7)));
    assert_eq!((rig.reported(&old), rig.refusals()), (vec![Refused], vec![Rule::OldGeneration]));
    let mut forged = part(&rig.world, ME, &["9.8.7.6"], u64::MAX, Span::hours(6));
    forged.evidence.clear();
    let forged = rig.part(forged);
    assert_eq!(rig.reported(&forged), [Refused]);
    let honest = rig.part(part(&rig.world, ME, &["9.8.7.6"], 1, Span::hours(6)));
    assert_eq!(rig.reported(&honest).last(), Some(&Verified));
}

#[test]
fn a_renewal_replaces_without_a_gap() {
    let mut rig = Rig::new();
    let first = rig.part(mine(&rig.world, &[BAD]));
    rig.orders.clear();
    let second = rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(12)));
    assert_eq!(rig.reported(&first).last(), Some(&Withdrawn));
    assert_eq!(rig.reported(&second), [Applied, Verified]);
    let orders: Vec<Order> = rig.orders.iter().map(|(order, _)| *order).collect();
    let (applied, withdrawn) =
        (orders.iter().position(|o| *o == Order::Apply), orders.iter().position(|o| *o == Order::Withdraw));
    assert!(applied < withdrawn, "{orders:?}");
    rig.pass(Span::hours(7));
    assert_eq!(rig.point.targets(), [BAD], "still in force after the first one's end");
    rig.pass(Span::hours(6));
    assert!(rig.point.targets().is_empty());
}

#[test]
fn a_shorter_renewal_ends_sooner() {
    let mut rig = Rig::new();
    rig.part(mine(&rig.world, &[BAD]));
    rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(1)));
    rig.pass(Span::hours(1));
    assert!(rig.point.targets().is_empty());
}

#[test]
fn two_findings_with_one_target_do_not_lift_each_other() {
    let mut rig = Rig::new();
    // Two addresses of one /64 are acted upon by the same network.
    let (a, b) = (mine(&rig.world, &["2600:1:2:3::1"]), part(&rig.world, ME, &["2600:1:2:3::2"], 1, Span::hours(2)));
    let (first, second) = (rig.part(a.clone()), rig.part(b));
    assert_ne!(first, second);
    rig.withdraw(&a);
    assert_eq!(rig.reported(&first).last(), Some(&Withdrawn));
    assert_eq!(rig.point.targets(), ["2600:1:2:3::/64"]);
    rig.pass(Span::hours(2));
    assert!(rig.point.targets().is_empty());
}

#[test]
fn ones_own_allow_list_lifts_at_once_and_keeps_out() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.give(Input::Allow { observable: observable("8.8.4.0/24"), note: "our partner".into() });
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
    let renewed = rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(6)));
    assert_eq!((rig.reported(&renewed), rig.refusals().last()), (vec![Refused], Some(&Rule::OwnAllowList)));
    rig.give(Input::Disallow(observable("8.8.4.0/24")));
    rig.part(part(&rig.world, ME, &[BAD], 3, Span::hours(6)));
    assert_eq!(rig.point.targets(), [BAD]);
}

#[test]
fn what_a_person_lifted_stays_lifted_for_a_day() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.give(Input::Lift { mitigation: id, reason: "customer complaint".into() });
    assert!(rig.point.targets().is_empty());
    rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(20)));
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.refusals().last(), Some(&Rule::StandingOrder));
    let unknown = rig.give(Input::Lift { mitigation: id, reason: String::new() });
    assert!(unknown.iter().any(|output| matches!(output, Output::Refused(_))));
}

#[test]
fn the_kill_switch_lifts_everything_refuses_and_comes_back() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.give(Input::Kill { reason: "something is wrong".into() });
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.reported(&id).last(), Some(&Failed));
    let refused = rig.part(mine(&rig.world, &["9.8.7.6"]));
    assert_eq!(rig.reported(&refused), [Refused]);
    rig.restart();
    rig.pass(Span::minutes(2));
    assert!(rig.point.targets().is_empty(), "a restart does not turn it off");
    rig.give(Input::Resume);
    assert_eq!(rig.point.targets(), [BAD]);
    assert_eq!(rig.reported(&id).last(), Some(&Verified));
}

#[test]
fn a_kill_switch_that_a_point_does_not_obey_is_repeated() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.point.fault(|faults| faults.stuck = true);
    rig.give(Input::Kill { reason: "now".into() });
    assert!(rig.alarmed(AlarmKind::StillEnforced));
    assert_eq!(rig.state(&id), Some(Verified), "nothing is claimed that is not so");
    rig.point.fault(|faults| faults.stuck = false);
    rig.pass(Span::minutes(1));
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.state(&id), Some(Failed));
}

#[test]
fn what_a_point_refuses_is_refused_and_not_tried_again() {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    let target = part.items[0].mitigation.measure.target().clone();
    rig.point.fault(|faults| faults.refuses = Some(target));
    let id = rig.part(part);
    rig.pass(Span::minutes(5));
    assert_eq!(rig.reported(&id), [Refused]);
    assert_eq!(rig.orders.iter().filter(|(order, _)| *order == Order::Apply).count(), 1);
}

#[test]
fn a_part_that_needs_a_person_waits_and_its_renewals_do_not_ask_again() {
    let mut rig = Rig::new();
    let mut settings = crate::common::settings(rig.charter.digest());
    settings.orders.rules.push(decide::OrderRule::any(decide::Then::Ask));
    rig.give(Input::SettingsChanged(Box::new(settings)));
    let id = rig.part(mine(&rig.world, &[BAD]));
    assert_eq!((rig.reported(&id), rig.point.targets().len()), (vec![Due], 0));
    assert!(rig.alarmed(AlarmKind::PersonWanted));
    rig.restart();
    let mut settings = crate::common::settings(rig.charter.digest());
    settings.orders.rules.push(decide::OrderRule::any(decide::Then::Ask));
    rig.give(Input::SettingsChanged(Box::new(settings)));
    rig.give(Input::PersonDecided { mitigation: id, accept: true, reason: String::new() });
    assert_eq!(rig.point.targets(), [BAD]);
    let renewed = rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(9)));
    assert_eq!(rig.reported(&renewed).last(), Some(&Verified));
    let other = rig.part(mine(&rig.world, &["9.8.7.6"]));
    rig.give(Input::PersonDecided { mitigation: other, accept: false, reason: "ours".into() });
    assert_eq!(rig.reported(&other), [Due, Refused]);
}

#[test]
fn after_kill_nine_everything_ends_in_time_and_nothing_comes_twice() {
    let mut rig = Rig::new();
    let first = mine(&rig.world, &[BAD]);
    let id = rig.part(first.clone());
    rig.restart();
    assert_eq!(rig.state(&id), Some(Verified));
    let old = part(&rig.world, ME, &[BAD], 1, Span::hours(9));
    let replayed = rig.part(old);
    assert_eq!(rig.reported(&replayed), [Refused], "generations outlive the process");
    rig.now = rig.now.plus(Span::hours(7));
    rig.restart();
    assert!(rig.point.targets().is_empty());
    assert_eq!(rig.reported(&id).last(), Some(&Expired));
}

#[test]
fn a_clock_that_goes_back_lengthens_nothing() {
    let mut rig = Rig::new();
    rig.part(mine(&rig.world, &[BAD]));
    rig.pass(Span::hours(5));
    rig.now = rig.now.minus(Span::days(3));
    rig.restart();
    assert!(rig.alarmed(AlarmKind::ClockWentBack));
    rig.part(part(&rig.world, ME, &["9.8.7.6"], 1, Span::hours(4)));
    assert_eq!(rig.point.targets(), [BAD], "what was over by the later time is not accepted");
    rig.give(Input::ClockAccepted);
    let clock = rig.now;
    assert_eq!(rig.core.status().now, clock);
}

fn sighting(rig: &Rig, n: u8) -> (Salt, model::Sighting) {
    (Salt([n; 16]), rig.world.sighting(&observable(&format!("9.8.7.{n}")), Behaviour::Scan))
}

#[test]
fn sightings_gather_while_the_hub_is_away_and_arrive_once_in_order() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    for n in 1..=50 {
        let sighting = sighting(&rig, n);
        rig.give(Input::Sightings(vec![sighting]));
        rig.pass(Span::seconds(1));
    }
    assert_eq!(rig.sent.len(), 1, "one is under way");
    rig.restart();
    rig.sent.clear();
    rig.acknowledges = true;
    rig.give(Input::NextSequence(1));
    rig.pass(Span::seconds(5));
    let batches: Vec<_> = rig
        .sent
        .iter()
        .filter_map(|s| match s {
            Submission::Sightings(batch) => Some((batch.header.sequence, batch.openings.len())),
            Submission::Receipts(_) | Submission::Retraction(_) => None,
        })
        .collect();
    assert_eq!(batches, [(1, 1), (2, 49)]);
    assert!(rig.core.state().outbox.is_empty());
}

#[test]
fn nothing_is_numbered_before_the_hub_was_asked() {
    let mut rig = Rig::fresh();
    let signed = Box::new(rig.charter.clone());
    rig.give(Input::Charter { signed, lists: Vec::new() });
    let one = sighting(&rig, 1);
    rig.give(Input::Sightings(vec![one]));
    assert!(rig.sent.is_empty());
    rig.give(Input::NextSequence(80));
    assert_eq!(rig.sent[0].sequence(), 80);
}

#[test]
fn a_state_directory_from_a_backup_asks_before_it_numbers_anything() {
    let mut rig = Rig::new();
    let one = sighting(&rig, 1);
    rig.give(Input::Sightings(vec![one]));
    let backup = rig.records.clone();
    for n in 2..=5 {
        let more = sighting(&rig, n);
        rig.give(Input::Sightings(vec![more]));
        rig.pass(Span::seconds(1));
    }
    rig.records = backup;
    rig.restart_unanswered();
    rig.sent.clear();
    let six = sighting(&rig, 6);
    rig.give(Input::Sightings(vec![six]));
    rig.pass(Span::seconds(1));
    assert!(rig.sent.is_empty(), "2 was used before: the hub would take it for a resend");
    rig.give(Input::NextSequence(6));
    assert_eq!(rig.sent.iter().map(Submission::sequence).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_restored_backup_does_not_reuse_numbers() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let one = sighting(&rig, 1);
    rig.give(Input::Sightings(vec![one]));
    rig.give(Input::NextSequence(9));
    assert!(rig.alarmed(AlarmKind::SequenceTaken));
    rig.pass(Span::seconds(1));
    assert_eq!(rig.sent.last().unwrap().sequence(), 9);
}

#[test]
fn one_bad_sighting_does_not_keep_the_others_back() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let batch: Vec<_> = (1..=9).map(|n| sighting(&rig, n)).collect();
    rig.give(Input::Sightings(batch));
    let bad = observable("9.8.7.5");
    let mut arrived = Vec::new();
    for _ in 0..40 {
        let Some(Submission::Sightings(batch)) = rig.core.state().outbox.sealed.clone() else { break };
        let (sequence, openings) = (batch.header.sequence, batch.openings);
        let seen: Vec<_> = openings.iter().map(|o| o.parse().unwrap().observable).collect();
        if seen.contains(&bad) {
            let refusal = model::Refusal::new(Rule::OwnSpaceEvidence, "sighting 5", "other space");
            rig.give(Input::SubmissionRefused { sequence, refusal });
        } else {
            arrived.extend(seen);
            rig.give(Input::Acknowledged { sequence });
        }
        rig.pass(Span::seconds(1));
    }
    assert_eq!(arrived.len(), 8);
    assert!(rig.alarmed(AlarmKind::SubmissionRefused));
}

#[test]
fn what_must_not_leave_the_house_is_refused_here() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let (salt, mut red) = sighting(&rig, 1);
    red.handling.tlp = model::Tlp::Red;
    let own = rig.world.sighting(&observable("31.1.0.9"), Behaviour::Scan);
    let bogon = rig.world.sighting(&observable("10.0.0.9"), Behaviour::Scan);
    let inner = rig.world.sighting(&observable("http://printer.lan/x"), Behaviour::Exploit);
    let mut old = sighting(&rig, 2).1;
    (old.first, old.last) = (rig.now.minus(Span::days(90)), rig.now.minus(Span::days(90)));
    for (bad, rule) in [
        (red, Rule::RedNotAccepted),
        (own, Rule::OwnSpaceEvidence),
        (bogon, Rule::BogonEvidence),
        (inner, Rule::VictimData),
        (old, Rule::ClockSkew),
    ] {
        let outputs = rig.give(Input::Sightings(vec![(salt, bad)]));
        assert!(outputs.iter().any(|o| matches!(o, Output::Refused(r) if r.rule == rule)), "{rule}: {outputs:?}");
    }
    assert!(rig.core.state().outbox.is_empty());
}

#[test]
fn a_message_is_not_passed_over_when_the_agent_dies_in_its_middle() {
    let mut rig = Rig::new();
    rig.part(mine(&rig.world, &[BAD]));
    rig.part(mine(&rig.world, &["9.8.7.6"]));
    assert_eq!(rig.core.state().position, Some(1), "the last position may have more messages");
    rig.message(StreamMessage::Checkpoint("garbage".into()));
    assert_eq!(rig.core.state().position, Some(2));
    assert!(rig.alarmed(AlarmKind::CheckpointDoubtful));
}

#[test]
fn no_hostile_part_of_any_kind_comes_into_force() {
    use decide::testing::{Random, hostile};
    let mut rig = Rig::new();
    let mut random = Random::new(42);
    // Those two kinds need the guard list files, which this charter does not name; decide's own tests have them.
    let judged = |kind: &&hostile::Kind| !matches!(kind, hostile::Kind::Guarded | hostile::Kind::SharedCloud);
    let kinds: Vec<hostile::Kind> = hostile::Kind::ALL.iter().filter(judged).copied().collect();
    let mut read = 0;
    for turn in 0..400 {
        let sent = hostile::hostile(&rig.world, kinds[turn % kinds.len()], &mut random);
        let Ok(part) = decide::read_part(sent.json.as_bytes()) else { continue };
        read += 1;
        rig.message(StreamMessage::Part(Box::new(part)));
        assert!(rig.core.state().held.is_empty(), "{}", sent.kind.as_str());
    }
    assert!(read > 200 && rig.point.targets().is_empty());
}

#[test]
fn what_was_refused_under_the_kill_switch_is_asked_for_again_when_it_is_off() {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    rig.message(StreamMessage::Findings(vec![rig.world.finding(&observable(BAD), Behaviour::Scan).into()].into()));
    rig.give(Input::Kill { reason: "an outage".into() });
    let id = rig.part(part.clone());
    assert_eq!(rig.reported(&id), [Refused]);
    rig.asked.clear();
    rig.give(Input::Resume);
    assert!(rig.asked.iter().any(|output| matches!(output, Output::Reconnect { after: None })), "{:?}", rig.asked);
    rig.part(part);
    assert_eq!(rig.point.targets(), [BAD]);
}

#[test]
fn a_part_under_a_charter_whose_announcement_was_lost_asks_for_it() {
    let mut rig = Rig::new();
    let mut part = mine(&rig.world, &[BAD]);
    part.header.charter = 2;
    let outputs = rig.message(StreamMessage::Part(Box::new(part)));
    let fetches = |output: &Output| matches!(output, Output::FetchCharter(agent::core::WhichCharter::Version(2)));
    assert!(outputs.iter().any(fetches), "{outputs:?}");
    assert!(rig.receipts.is_empty(), "it waits for the charter and is not refused yet");
    rig.pass(Span::minutes(1));
    assert_eq!(rig.refusals().len(), 1, "the hub could not show one");
}

#[test]
fn an_answer_about_the_next_number_that_was_overtaken_is_asked_for_again() {
    let mut rig = Rig::new();
    rig.part(mine(&rig.world, &[BAD]));
    let next = rig.core.state().outbox.next.unwrap();
    assert!(next > 1 && !rig.sent.is_empty());
    rig.asked.clear();
    rig.give(Input::NextSequence(1));
    assert_eq!(rig.core.state().outbox.next, Some(next), "numbers that were used are not used again");
    assert!(rig.asked.iter().any(|output| matches!(output, Output::FetchSequence)));
    rig.give(Input::NextSequence(1));
    assert_eq!(rig.core.state().outbox.next, Some(1), "asked twice, a hub that was restored is believed");
}

#[test]
fn what_ended_and_comes_back_takes_room_like_anything_else() {
    let mut rig = Rig::with_room_for_one();
    let first = rig.part(part(&rig.world, ME, &[BAD], 1, Span::hours(1)));
    assert_eq!(rig.reported(&first).last(), Some(&Verified));
    let renewal = rig.part(part(&rig.world, ME, &[BAD], 2, Span::hours(2)));
    assert_eq!(rig.reported(&renewal).last(), Some(&Verified), "a renewal takes no more room");
    rig.pass(Span::hours(2));
    rig.world.now = rig.now;
    let other = rig.part(part(&rig.world, ME, &["9.8.7.6"], 3, Span::hours(1)));
    assert_eq!(rig.reported(&other).last(), Some(&Verified));
    let back = rig.part(part(&rig.world, ME, &[BAD], 4, Span::hours(1)));
    assert_eq!((rig.reported(&back), rig.refusals()), (vec![Refused], vec![Rule::StandingOrder]));
    assert_eq!(rig.point.targets(), ["9.8.7.6"]);
}

#[test]
fn what_could_not_be_remembered_is_refused_and_what_is_in_force_ends_in_time() {
    let mut rig = Rig::new();
    let id = rig.part(mine(&rig.world, &[BAD]));
    rig.give(Input::Room(Some("The disk is full.".to_owned())));
    assert!(rig.alarmed(agent::core::AlarmKind::DiskFull));
    let other = rig.part(part(&rig.world, ME, &["9.8.7.6"], 2, Span::hours(1)));
    assert_eq!((rig.reported(&other), rig.refusals()), (vec![Refused], vec![Rule::ReadOnly]));
    rig.give(Input::Allow { observable: observable(BAD), note: "ours".into() });
    assert_eq!(rig.reported(&id).last(), Some(&Withdrawn));
    assert!(rig.point.targets().is_empty());
    rig.give(Input::Room(None));
    let later = rig.part(part(&rig.world, ME, &["9.8.7.5"], 3, Span::hours(1)));
    assert_eq!(rig.reported(&later).last(), Some(&Verified));
}

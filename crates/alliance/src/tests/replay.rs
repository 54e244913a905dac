//! Replay and snapshots give the same state as living through it.

use super::{World, at};
use crate::{Alliance, Setup};
use model::Span;
use proptest::prelude::*;

pub fn same(a: &Alliance, b: &Alliance, world: &World) {
    let later = world.now.plus(Span::hours(1));
    assert_eq!(serde_json::to_value(a.status(later)).unwrap(), serde_json::to_value(b.status(later)).unwrap());
    assert_eq!(a.findings(None, None, None, 1_000), b.findings(None, None, None, 1_000));
    for n in 0..8 {
        let observable = format!("1.2.3.{n}").parse().unwrap();
        let why = |alliance: &Alliance| serde_json::to_value(alliance.why(&observable, None, later, world)).unwrap();
        assert_eq!(why(a), why(b));
    }
}

pub fn replayed(world: &World) -> Alliance {
    let mut alliance = Alliance::new(Setup { seed: [7; 16] }).unwrap();
    for (position, entry) in world.entries.iter().enumerate() {
        alliance.apply(position as u64, entry);
    }
    alliance.replayed();
    alliance
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn replay_and_snapshot_equal_the_lived_state(
        steps in proptest::collection::vec((0..5_usize, 0..8_u8, 0..40_i64, proptest::bool::ANY), 1..40)
    ) {
        let mut world = World::new("[guards]\nnever = [\"1.2.3.7\"]");
        let mut seconds = 0;
        for (who, which, wait, tick) in steps {
            seconds += 1 + wait * 600;
            world.now = at(seconds);
            let name = ["telecom", "cloud", "dns", "device", "newcomer"][who];
            world.saw(name, &format!("1.2.3.{which}"));
            if tick {
                world.run(crate::Command::Tick).unwrap();
            }
        }
        let replayed = replayed(&world);
        same(&world.alliance, &replayed, &world);
        // A start from the journal alone leads to nothing that going on would not have led to.
        for wait in [Span::ZERO, Span::minutes(1), Span::hours(5), Span::days(9)] {
            let later = world.now.plus(wait);
            // What faded meanwhile is seen at the next tick by both.
            for ticked in if wait == Span::ZERO { vec![false, true] } else { vec![true] } {
                let follow = |alliance: &Alliance| -> Vec<String> {
                    let followed = alliance.follow(later, ticked, &world);
                    followed.drafts.iter().map(|draft| format!("{:?}", draft.event)).collect()
                };
                prop_assert_eq!(follow(&world.alliance), follow(&replayed));
            }
        }
        let restored = Alliance::restore(Setup { seed: [7; 16] }, &[], &world.alliance.snapshot()).unwrap();
        same(&world.alliance, &restored, &world);
    }
}

#[test]
fn damaged_snapshot_is_refused_by_shard() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    let mut shards = world.alliance.snapshot();
    for shard in &mut shards {
        shard.bytes.pop();
    }
    let refusal = Alliance::restore(Setup { seed: [7; 16] }, &[], &shards).unwrap_err();
    assert!(refusal.value.starts_with("snapshot shard "), "{refusal}");
}

#[test]
fn a_turn_that_was_cut_off_before_its_findings_were_written_is_judged_at_the_next_start() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.now = at(10);
    world.saw("cloud", "1.2.3.4");
    let cut = world.entries.iter().position(|entry| entry.event.kind() == "findings-changed").unwrap();
    world.entries.truncate(cut);
    let followed = replayed(&world).follow(at(11), false, &world);
    let kinds: Vec<_> = followed.drafts.iter().map(|draft| draft.event.kind()).collect();
    assert_eq!(kinds, ["findings-changed", "plan-proposed", "plan-in-force"]);
}

#[test]
fn a_turn_that_was_cut_off_before_its_plan_was_written_is_planned_at_the_next_start() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.now = at(10);
    world.saw("cloud", "1.2.3.4");
    assert!(replayed(&world).follow(at(11), false, &world).drafts.is_empty(), "all was written");
    let cut = world.entries.iter().position(|entry| entry.event.kind() == "plan-proposed").unwrap();
    world.entries.truncate(cut);
    let followed = replayed(&world).follow(at(11), false, &world);
    let kinds: Vec<_> = followed.drafts.iter().map(|draft| draft.event.kind()).collect();
    assert_eq!(kinds, ["plan-proposed", "plan-in-force"]);
}

#[test]
fn what_two_turns_in_a_row_were_cut_off_before_is_done_at_the_next_start() {
    let all = ["findings-changed", "plan-proposed", "plan-in-force"];
    for (left, missing) in all.iter().enumerate().take(2) {
        let mut world = World::new("");
        world.saw("telecom", "1.2.3.4");
        world.now = at(10);
        world.saw("cloud", "1.2.3.4");
        let cut = world.entries.iter().position(|entry| entry.event.kind() == *missing).unwrap();
        world.entries.truncate(cut);
        // The first turn after the start gets no further than what somebody else said.
        world.alliance = replayed(&world);
        world.now = at(20);
        let sighting = world.sighting("5.6.7.8", "handshake");
        world.take_in("cloud", &[sighting]);
        let followed = replayed(&world).follow(at(21), false, &world);
        let kinds: Vec<_> = followed.drafts.iter().map(|draft| draft.event.kind()).collect();
        assert_eq!(kinds, all[left..]);
    }
}

#[test]
fn more_than_one_turn_judges_is_said_and_survives_a_start_in_between() {
    let mut world = World::new("");
    for (members, third) in [(["telecom", "cloud"], 3), (["dns", "device"], 4)] {
        for name in members {
            let sighting = |n| world.sighting(&format!("1.2.{third}.{n}"), "handshake");
            let sightings = (1..19).map(sighting).collect();
            world.report(name, sightings).unwrap();
            world.now = world.now.plus(Span::seconds(1));
        }
    }
    let hub = format!("hub_key = \"{}\"\n", super::key("hub").public());
    let guarded = format!("{hub}[guards]\nnever = [\"1.2.0.0/16\"]\n");
    let kinds = super::amend::amend(&mut world, &[(&hub, &guarded)]).unwrap();
    assert_eq!(kinds.iter().filter(|kind| **kind == "backlog").count(), 2, "one when it begins, one when it is done");
    assert!(replayed(&world).follow(world.now, false, &world).drafts.is_empty(), "all was judged");
    let open = world.entries.iter().position(|entry| entry.event.kind() == "backlog").unwrap();
    world.entries.truncate(open + 1);
    let followed = replayed(&world).follow(world.now, false, &world);
    let found = |draft: &crate::Drafted| match &draft.event {
        crate::Event::FindingsChanged { findings } => findings.len(),
        _ => 0,
    };
    let found: usize = followed.drafts.iter().map(found).sum();
    assert_eq!(found, 16, "what was left over and nothing else");
}

/// A hub that dies before the last entries of this kind are written, and what follows at its next start: from the
/// journal alone, and from a snapshot of before.
fn follows_a_cut(world: &mut World, kind: &str, from: usize) -> Vec<&'static str> {
    let cut = from + world.entries[from..].iter().position(|entry| entry.event.kind() == kind).unwrap();
    world.entries.truncate(cut);
    let mut earlier = Alliance::new(Setup { seed: [7; 16] }).unwrap();
    for (position, entry) in world.entries.iter().enumerate() {
        if position + 1 == cut {
            earlier = Alliance::restore(Setup { seed: [7; 16] }, &[], &earlier.snapshot()).unwrap();
        }
        earlier.apply(position as u64, entry);
    }
    earlier.replayed();
    let of = |alliance: &Alliance| -> Vec<_> {
        let followed = alliance.follow(world.now.plus(Span::hours(1)), false, world);
        followed.drafts.iter().map(|draft| draft.event.kind()).collect()
    };
    let kinds = of(&replayed(world));
    assert_eq!(kinds, of(&earlier));
    kinds
}

#[test]
fn a_turn_that_was_cut_off_before_its_withdrawal_was_written_withdraws_at_the_next_start() {
    let mut world = super::flow::corroborated("1.2.3.4");
    world.now = at(20);
    let from = world.entries.len();
    assert_eq!(world.took_back("cloud", "1.2.3.4"), ["retracted", "findings-changed", "withdrawn"]);
    assert!(replayed(&world).follow(at(21), false, &world).drafts.is_empty(), "all was written");
    assert_eq!(follows_a_cut(&mut world, "withdrawn", from), ["withdrawn"]);
    // Others were heard meanwhile, and what it waits for is not lost.
    world.alliance = replayed(&world);
    world.now = at(30);
    let sighting = world.sighting("5.6.7.8", "handshake");
    world.take_in("cloud", &[sighting]);
    let followed = replayed(&world).follow(at(31), false, &world);
    assert_eq!(followed.drafts.iter().map(|draft| draft.event.kind()).collect::<Vec<_>>(), ["withdrawn"]);
}

#[test]
fn what_persons_approved_for_a_finding_that_faded_stays_when_somebody_reports_it_again() {
    let mut world = super::flow::corroborated("1.2.3.4");
    world.now = at(20);
    world.took_back("cloud", "1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let measure = model::Measure::deny(&"1.2.3.4".parse().unwrap()).unwrap();
    world.run(super::flow::proposal(&world, "ada@telecom", finding, measure, &["dns"])).unwrap();
    let plan = super::flow::last_plan(&world);
    for name in ["telecom", "cloud"] {
        super::flow::approve(&mut world, &plan, name, model::Verdict::Approve).unwrap();
    }
    assert!(replayed(&world).follow(world.now, false, &world).drafts.is_empty());
    assert_eq!(world.saw("telecom", "1.2.3.4"), ["sightings-reported"]);
}

#[test]
fn what_ended_for_all_is_judged_for_fewer_at_the_next_start_if_the_turn_after_is_missing() {
    let mut world = super::handling::in_force_and_reported_in(&[("dns", "banks")]);
    world.now = at(20);
    let from = world.entries.len();
    world.took_back("telecom", "1.2.3.4");
    assert!(replayed(&world).follow(at(21), false, &world).drafts.is_empty(), "all was written");
    let anew = ["findings-changed", "plan-proposed", "plan-in-force"];
    // The second time that it changes is in the turn after.
    let withdrawn = from + world.entries[from..].iter().position(|e| e.event.kind() == "withdrawn").unwrap();
    assert_eq!(follows_a_cut(&mut world, "findings-changed", withdrawn), anew);
    // That turn may have begun with what somebody else said.
    world.alliance = replayed(&world);
    world.now = at(30);
    let sighting = world.sighting("5.6.7.8", "handshake");
    world.take_in("cloud", &[sighting]);
    let followed = replayed(&world).follow(at(31), false, &world);
    assert_eq!(followed.drafts.iter().map(|draft| draft.event.kind()).collect::<Vec<_>>(), anew);
}

#[test]
fn a_dispute_that_was_upheld_and_cut_off_ends_the_finding_at_the_next_start() {
    let mut world = super::flow::corroborated("1.2.3.4");
    world.now = at(20);
    super::flow::dispute(&mut world, "dns", model::Ground::FalsePositive).unwrap();
    let from = world.entries.len();
    let followed = super::flow::dispute(&mut world, "device", model::Ground::FalsePositive).unwrap();
    assert!(followed.contains(&"withdrawn"), "{followed:?}");
    assert!(replayed(&world).follow(at(21), false, &world).drafts.is_empty(), "all was written");
    assert_eq!(follows_a_cut(&mut world, "withdrawn", from), ["findings-changed", "withdrawn"]);
}

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

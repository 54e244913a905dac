//! Replay and snapshots give the same state as living through it.

use super::{World, at};
use crate::{Alliance, Setup};
use model::Span;
use proptest::prelude::*;

fn same(a: &Alliance, b: &Alliance, world: &World) {
    let later = world.now.plus(Span::hours(1));
    assert_eq!(serde_json::to_value(a.status(later)).unwrap(), serde_json::to_value(b.status(later)).unwrap());
    assert_eq!(a.findings(None, None, None, 1_000), b.findings(None, None, None, 1_000));
    for n in 0..8 {
        let observable = format!("1.2.3.{n}").parse().unwrap();
        let why = |alliance: &Alliance| serde_json::to_value(alliance.why(&observable, None, later, world)).unwrap();
        assert_eq!(why(a), why(b));
    }
}

fn replayed(world: &World) -> Alliance {
    let mut alliance = Alliance::new(Setup { seed: [7; 16] }).unwrap();
    for (position, entry) in world.entries.iter().enumerate() {
        alliance.apply(position as u64, entry);
    }
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
            seconds += wait * 600;
            world.now = at(seconds);
            let name = ["telecom", "cloud", "dns", "device", "newcomer"][who];
            world.saw(name, &format!("1.2.3.{which}"));
            if tick {
                world.run(crate::Command::Tick).unwrap();
            }
        }
        same(&world.alliance, &replayed(&world), &world);
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

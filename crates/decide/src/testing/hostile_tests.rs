//! Hostile parts: none is accepted, each is refused by a rule of its kind, and only for what was spoiled.

use super::*;

#[test]
fn what_is_not_spoiled_is_accepted_so_that_the_attacks_fail_for_their_own_reason() {
    let world = World::new();
    for class in [Class::Automatic, Class::Quorum] {
        let mut forge = Forge::new(&world, "60.1.2.3".parse().unwrap());
        forge.class = class;
        let part = forge.approved_part();
        let answers: Vec<Answer> = world.judge(VICTIM, &part).into_iter().map(|j| j.answer).collect();
        assert!(!matches!(answers[0], Answer::Refuse(_)), "{answers:?}");
    }
}

#[test]
fn ten_thousand_hostile_parts_are_refused_each_by_a_rule_of_its_kind() {
    let rows = run(&World::new(), 1, 10_000);
    assert_eq!(rows.iter().map(|row| row.tried).sum::<u32>(), 10_000);
    for row in &rows {
        assert_eq!(row.accepted, 0, "{row:?}");
        for rule in row.refused.keys() {
            assert!(row.kind.rules().contains(rule), "{row:?}");
        }
    }
}

#[test]
fn every_rule_a_kind_may_be_refused_by_is_met() {
    for row in run(&World::new(), 2, 2_600) {
        for rule in row.kind.rules() {
            assert!(row.refused.contains_key(rule), "{} never met {rule}: {row:?}", row.kind.as_str());
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_parts() {
    let world = World::new();
    let all = |seed| -> Vec<String> {
        let mut random = Random::new(seed);
        Kind::ALL.iter().map(|kind| hostile(&world, *kind, &mut random).json).collect()
    };
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
}

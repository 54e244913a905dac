//! What holds for every history: order of same-time reports, decay, disputes, probation, snapshots, forgetting.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use corroborate::{
    Attestation, Engine, Guard, MemberIndex, MemberTrust, NeighbourhoodKey, ObservableKey, Rules, Seed, Sight,
};
use model::{Grade, Timestamp};
use proptest::prelude::*;

const MEMBERS: u16 = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Sight { value: u8, member: u16, wait: u32, grade: Grade, signed: bool },
    Dispute { value: u8 },
    Retract { value: u8, member: u16 },
    Bar { value: u8 },
    Lift { value: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let grade = prop::sample::select(Grade::ALL);
    let wait = prop_oneof![Just(0_u32), 0..600_u32, 0..200_000_u32, 0..3_000_000_u32];
    let sight = (0..8_u8, 0..MEMBERS, wait, grade, any::<bool>())
        .prop_map(|(value, member, wait, grade, signed)| Step::Sight { value, member, wait, grade, signed });
    prop_oneof![
        20 => sight,
        1 => (0..8_u8).prop_map(|value| Step::Dispute { value }),
        1 => (0..8_u8, 0..MEMBERS).prop_map(|(value, member)| Step::Retract { value, member }),
        1 => (0..8_u8).prop_map(|value| Step::Bar { value }),
        1 => (0..8_u8).prop_map(|value| Step::Lift { value }),
    ]
}

struct World {
    engine: Engine,
    now: u32,
}

impl World {
    fn new(members: &[MemberTrust]) -> Self {
        Self { engine: Engine::new(Rules::default(), members, Seed([3; 16])).unwrap(), now: 1_600_000_000 }
    }

    /// Four vetted members and two on probation.
    fn mixed() -> Self {
        let (vetted, new) = (MemberTrust::VETTED, MemberTrust::PROBATION);
        Self::new(&[vetted, vetted, vetted, vetted, new, new])
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(i64::from(self.now) * 1000)
    }

    fn take(&mut self, step: Step) {
        let key = |value: u8| key(&self.engine, value);
        match step {
            Step::Sight { value, member, wait, grade, signed } => {
                self.now += wait;
                let sight = Sight {
                    observable: key(value),
                    neighbourhood: near(&self.engine, value),
                    member: MemberIndex(member),
                    at: self.at(),
                    grade,
                    attested: if signed { Attestation::Signed } else { Attestation::ByHub },
                };
                self.engine.sight(&sight).unwrap();
            }
            Step::Dispute { value } => drop(self.engine.dispute_upheld(key(value), self.at()).unwrap()),
            Step::Retract { value, member } => {
                self.engine.retract(key(value), MemberIndex(member), self.at()).unwrap();
            }
            Step::Bar { value } => self.engine.bar(key(value), self.at()).unwrap(),
            Step::Lift { value } => self.engine.lift_bar(key(value)),
        }
    }

    /// Everything anybody can ask about.
    fn answers(&self) -> String {
        let mut text = String::new();
        for value in 0..8 {
            let (key, near) = (key(&self.engine, value), near(&self.engine, value));
            text += &format!("{:?}\n", self.engine.truth(key, self.at(), &Guard::None));
            for member in 0..MEMBERS {
                text += &format!("{:?}\n", self.engine.relevance(key, near, MemberIndex(member), self.at()));
            }
        }
        text
    }
}

fn key(engine: &Engine, value: u8) -> ObservableKey {
    engine.keys().observable(&[value])
}

fn near(engine: &Engine, value: u8) -> NeighbourhoodKey {
    engine.keys().neighbourhood(&[value / 3])
}

proptest! {
    #[test]
    fn a_restored_engine_behaves_as_the_one_that_was_saved(
        before in prop::collection::vec(step(), 0..120),
        after in prop::collection::vec(step(), 0..60),
    ) {
        let mut world = World::mixed();
        before.into_iter().for_each(|step| world.take(step));
        let shards = world.engine.snapshot();
        let mut again = World { engine: Engine::restore(Rules::default(), &shards).unwrap(), now: world.now };
        prop_assert_eq!(world.answers(), again.answers());
        for step in after {
            world.take(step);
            again.take(step);
        }
        prop_assert_eq!(world.answers(), again.answers());
    }

    #[test]
    fn a_damaged_snapshot_is_refused_and_never_panics(
        steps in prop::collection::vec(step(), 0..60), shard in 0_usize..3, at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut world = World::mixed();
        steps.into_iter().for_each(|step| world.take(step));
        let mut shards = world.engine.snapshot();
        let shard = shard % shards.len();
        let at = at.index(shards[shard].len());
        shards[shard][at] ^= 1 << bit;
        prop_assert!(Engine::restore(Rules::default(), &shards).is_err());
        shards[shard].truncate(at);
        prop_assert!(Engine::restore(Rules::default(), &shards).is_err());
    }

    #[test]
    fn results_do_not_depend_on_the_seed_nor_on_when_the_table_is_swept(
        steps in prop::collection::vec(step(), 0..150),
    ) {
        let mut world = World::mixed();
        let mut other = World::mixed();
        other.engine = {
            let (vetted, new) = (MemberTrust::VETTED, MemberTrust::PROBATION);
            let members = [vetted, vetted, vetted, vetted, new, new];
            Engine::new(Rules::default(), &members, Seed([99; 16])).unwrap()
        };
        for step in steps {
            world.take(step);
            other.take(step);
            other.engine.sweep(100);
        }
        prop_assert_eq!(world.answers(), other.answers());
    }

    #[test]
    fn reports_of_one_moment_weigh_the_same_in_any_order(
        order in Just((0..MEMBERS).collect::<Vec<u16>>()).prop_shuffle(), values in 1..4_u8,
    ) {
        let (mut sorted, mut shuffled) = (World::mixed(), World::mixed());
        let sight = |value, member| Step::Sight { value, member, wait: 0, grade: Grade::Payload, signed: true };
        for value in 0..values {
            (0..MEMBERS).for_each(|member| sorted.take(sight(value, member)));
            order.iter().for_each(|member| shuffled.take(sight(value, *member)));
        }
        for value in 0..values {
            let ask = |world: &World| world.engine.truth(key(&world.engine, value), world.at(), &Guard::None);
            let (a, b) = (ask(&sorted), ask(&shuffled));
            prop_assert!((a.inform.total - b.inform.total).abs() < 1e-9);
            prop_assert_eq!(a.inform.verdict, b.inform.verdict);
            prop_assert_eq!(a.act.verdict, b.act.verdict);
        }
    }

    #[test]
    fn no_sum_is_negative_and_every_sum_adds_up(
        steps in prop::collection::vec(step(), 0..150), later in 0_u32..9_000_000,
    ) {
        let mut world = World::mixed();
        steps.into_iter().for_each(|step| world.take(step));
        world.now += later;
        for value in 0..8 {
            let sum = world.engine.truth(key(&world.engine, value), world.at(), &Guard::None);
            for (question, points) in [
                (sum.inform, sum.reporters.iter().map(|r| r.points).collect::<Vec<_>>()),
                (sum.act, sum.reporters.iter().map(|r| r.points_to_act).collect()),
            ] {
                prop_assert!(points.iter().all(|p| *p >= 0.0));
                prop_assert!((points.iter().sum::<f64>() - question.strong - question.weak).abs() < 1e-6);
                prop_assert!((question.strong + question.weak.min(question.weak_max) - question.total).abs() < 1e-9);
            }
            for reporter in &sum.reporters {
                let by_hand = reporter.weight * reporter.decay * (1.0 - reporter.dependence);
                prop_assert!(reporter.inform_limited.is_some() || (by_hand - reporter.points).abs() < 1e-5);
                prop_assert!((0.0..=1.0).contains(&reporter.decay) && (0.0..=3.5).contains(&reporter.weight));
            }
            prop_assert!(sum.act.total <= sum.inform.total + 1e-9);
        }
    }

    #[test]
    fn a_dispute_raises_no_score(steps in prop::collection::vec(step(), 0..200), disputed in 0..8_u8) {
        let mut world = World::mixed();
        steps.into_iter().for_each(|step| world.take(step));
        let ask = |world: &World| (0..8).map(|value| {
            let key = key(&world.engine, value);
            (world.engine.truth_score(key, world.at()), world.engine.is_corroborated(key, world.at()))
        }).collect::<Vec<_>>();
        let before = ask(&world);
        world.take(Step::Dispute { value: disputed });
        let after = ask(&world);
        for ((score, stood), (later, stands)) in before.into_iter().zip(after) {
            prop_assert!(later <= score + 1e-9, "{later} after {score}");
            prop_assert!(stood || !stands);
        }
        prop_assert!(!world.engine.is_corroborated(key(&world.engine, disputed), world.at()));
    }

    #[test]
    fn members_on_probation_never_reach_the_threshold_in_any_order(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(&[MemberTrust::PROBATION; MEMBERS as usize]);
        for step in steps {
            world.take(step);
            for value in 0..8 {
                let key = key(&world.engine, value);
                prop_assert!(!world.engine.is_corroborated(key, world.at()));
                prop_assert!(world.engine.truth_score(key, world.at()) < world.engine.rules().threshold);
            }
        }
    }

    #[test]
    fn a_batch_does_what_its_sightings_do_one_by_one(
        steps in prop::collection::vec((0..40_u8, 0..MEMBERS, 0..30), 0..300),
    ) {
        let (mut single, mut batch) = (World::mixed(), World::mixed());
        let mut seconds = 1_600_000_000;
        // A hundred days' pause forgets everything: the places that a batch has read ahead go to other observables.
        let sights: Vec<Sight> = steps.iter().map(|(value, member, pause)| {
            seconds += if *pause == 0 { 100 * 86_400 } else { 977 };
            Sight {
                observable: key(&single.engine, *value),
                neighbourhood: near(&single.engine, *value),
                member: MemberIndex(*member),
                at: Timestamp::from_millis(seconds * 1000),
                grade: Grade::Handshake,
                attested: Attestation::Signed,
            }
        }).collect();
        let one_by_one: Vec<_> = sights.iter().map(|sight| single.engine.sight(sight).unwrap()).collect();
        let mut outcomes = Vec::new();
        batch.engine.sight_all(&sights, |i, outcome| {
            assert_eq!(i, outcomes.len());
            outcomes.push(outcome);
        }).unwrap();
        prop_assert_eq!(outcomes, one_by_one);
        prop_assert_eq!(single.answers(), batch.answers());
    }
}

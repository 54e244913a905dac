//! A second, naive implementation of the formula in 64-bit floats and plain maps, against the compact engine.
//!
//! It follows the text of the formula, not the engine: maps of members, nothing forgotten, nothing quantised.
//! Histories stay within the forgetting time and use one grade, where both must agree.
#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as the tests do")]

use corroborate::evaluate::Ablation;
use corroborate::{Attestation, Engine, MemberIndex, MemberTrust, Rules, Seed, Sight};
use model::{Grade, Timestamp};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const DAY: f64 = 86_400.0;
const MEMBERS: usize = 5;

#[derive(Default)]
struct Mine {
    last: f64,
    active: f64,
    active_at: f64,
    day: i64,
}

#[derive(Default)]
struct Seen {
    /// Who reported it first; asked first for credit.
    first: usize,
    members: BTreeMap<usize, Mine>,
    all: f64,
    burst: f64,
    at: f64,
    day: i64,
}

#[derive(Clone, Default)]
struct Record {
    k: f64,
    f: f64,
    at: f64,
    survived: f64,
    strikes: VecDeque<f64>,
    suspect_until: f64,
    suspected: i32,
}

/// The formula as first given, in days.
#[derive(Default)]
struct Naive {
    seen: BTreeMap<u8, Seen>,
    nets: BTreeMap<u8, (f64, f64)>,
    records: Vec<Record>,
    pairs: BTreeMap<(usize, usize), f64>,
    paired: Vec<f64>,
    credited: BTreeSet<(u8, usize)>,
    waiting: VecDeque<(f64, u8, usize)>,
    bad: BTreeSet<u8>,
    faulted: BTreeSet<(u8, usize)>,
    vetted: Vec<bool>,
}

fn half(elapsed: f64, life: f64) -> f64 {
    0.5_f64.powf(elapsed / life)
}

impl Naive {
    fn new(vetted: &[bool]) -> Self {
        let n = vetted.len();
        Self { records: vec![Record::default(); n], paired: vec![0.0; n], vetted: vetted.to_vec(), ..Self::default() }
    }

    fn bring(&mut self, j: usize, t: f64) -> &mut Record {
        let record = &mut self.records[j];
        let left = half(t - record.at, 30.0);
        (record.k, record.f, record.at) = (record.k * left, record.f * left, t);
        record
    }

    fn weight(&self, j: usize, t: f64) -> f64 {
        let record = &self.records[j];
        let left = half(t - record.at, 30.0);
        let a = if self.vetted[j] { 6.0 } else { 2.0 };
        let p = (a + record.k * left) / (a + 1.0 + (record.k + record.f) * left);
        (p / (1.0 - p)).ln().clamp(0.0, if t < record.suspect_until { 1.2 } else { 3.5 })
    }

    fn dependence(&self, i: usize, j: usize) -> f64 {
        let together = self.pairs.get(&(i.min(j), i.max(j))).copied().unwrap_or(0.0);
        if together < 20.0 {
            return 0.0;
        }
        ((together / self.paired[i].min(self.paired[j]) - 0.5) / 0.5).clamp(0.0, 1.0)
    }

    fn settle(&mut self, t: f64) {
        while self.waiting.front().is_some_and(|(due, ..)| *due <= t) {
            let (_, y, i) = self.waiting.pop_front().unwrap();
            if !self.bad.contains(&y) && self.records[i].survived < 10.0 {
                self.bring(i, t).k += 0.05;
                self.records[i].survived += 0.05;
            }
        }
    }

    fn sight(&mut self, x: u8, j: usize, t: f64) {
        self.settle(t);
        let day = t.floor() as i64;
        let seen = self.seen.entry(x).or_insert_with(|| Seen { first: j, at: t, day: -1, ..Seen::default() });
        let first = seen.members.get(&j).is_none_or(|mine| t - mine.last > 7.0);
        let mine = seen.members.entry(j).or_insert_with(|| Mine { active_at: t, day: -1, ..Mine::default() });
        if mine.day != day {
            mine.active = mine.active * half(t - mine.active_at, 7.0) + 1.0;
            (mine.active_at, mine.day) = (t, day);
            seen.all = seen.all * half(t - seen.at, 1.0) + 1.0;
            seen.burst = seen.burst * half(t - seen.at, 0.125) + 1.0;
            seen.at = t;
        }
        mine.last = t;
        if seen.day != day {
            seen.day = day;
            let net = self.nets.entry(x / 3).or_insert((0.0, t));
            *net = (net.0 * half(t - net.1, 1.0) + 1.0, t);
        }
        if first {
            self.credit(x, j, t);
        }
    }

    fn credit(&mut self, x: u8, j: usize, t: f64) {
        if self.vetted[j] {
            self.waiting.push_back((t + 7.0, x, j));
        }
        let members = &self.seen[&x].members;
        let mut others: Vec<usize> =
            members.iter().filter(|(i, mine)| **i != j && t - mine.last <= 7.0).map(|(i, _)| *i).collect();
        let first = self.seen[&x].first;
        others.sort_by_key(|i| *i != first);
        if let [i] = others[..] {
            *self.pairs.entry((i.min(j), i.max(j))).or_default() += 1.0;
            self.paired[i] += 1.0;
            self.paired[j] += 1.0;
        }
        for i in others {
            if self.dependence(i, j) >= 0.5 {
                continue;
            }
            for (who, by) in [(i, j), (j, i)] {
                if self.vetted[by] && self.weight(by, t) >= 1.0 && self.credited.insert((x, who)) {
                    self.bring(who, t).k += 1.0;
                }
            }
        }
    }

    fn dispute(&mut self, x: u8, t: f64) {
        self.settle(t);
        self.bad.insert(x);
        let members: Vec<usize> = self.seen.get(&x).map_or(vec![], |seen| seen.members.keys().copied().collect());
        for j in members.into_iter().filter(|j| !self.faulted.contains(&(x, *j))).collect::<Vec<_>>() {
            self.faulted.insert((x, j));
            let record = self.bring(j, t);
            record.f += 5.0;
            record.strikes.push_back(t);
            record.strikes.retain(|at| t - at <= 1.0);
            if record.strikes.len() >= 3 && t >= record.suspect_until {
                record.suspect_until = t + 7.0 * 2_f64.powi(record.suspected);
                record.suspected += 1;
                record.strikes.clear();
            }
        }
    }

    /// By weight without faults, as the engine orders; otherwise the formula.
    fn truth(&self, x: u8, t: f64) -> f64 {
        let Some(seen) = self.seen.get(&x) else { return 0.0 };
        let unfaulted = |j: usize| {
            let a = if self.vetted[j] { 6.0 } else { 2.0 };
            (a + self.records[j].k * half(t - self.records[j].at, 30.0)).ln().clamp(0.0, 3.5)
        };
        let mut reporters: Vec<(f64, f64, usize)> = seen
            .members
            .iter()
            .map(|(j, mine)| {
                (unfaulted(*j) * half(t - mine.last, 7.0), self.weight(*j, t) * half(t - mine.last, 7.0), *j)
            })
            .collect();
        reporters.sort_by(|a, b| b.partial_cmp(a).unwrap());
        let discount =
            |k: usize| reporters[..k].iter().map(|(.., i)| self.dependence(*i, reporters[k].2)).fold(0.0, f64::max);
        (0..reporters.len()).map(|k| reporters[k].1 * (1.0 - discount(k))).sum()
    }

    fn relevance(&self, x: u8, m: usize, t: f64) -> Option<f64> {
        let seen = self.seen.get(&x)?;
        let term = |count: f64| (8.0 * count).ln_1p();
        let mut sum = -7.0 + 0.60 * term(seen.all * half(t - seen.at, 1.0));
        sum += 0.40 * term(seen.burst * half(t - seen.at, 0.125));
        if let Some(mine) = seen.members.get(&m) {
            sum += 1.10 * term(mine.active * half(t - mine.active_at, 7.0)) + 0.45 * (-(t - mine.last)).exp();
        }
        let net = self.nets[&(x / 3)];
        Some(sum + 0.85 * (net.0 * half(t - net.1, 1.0)).ln_1p())
    }
}

fn engine(vetted: &[bool]) -> Engine {
    let trust = |vetted: &bool| if *vetted { MemberTrust::VETTED } else { MemberTrust::PROBATION };
    let members: Vec<MemberTrust> = vetted.iter().map(trust).collect();
    Engine::new(Ablation::AsGiven.apply(&Rules::default()), &members, Seed([1; 16])).unwrap()
}

proptest! {
    #[test]
    fn the_compact_engine_agrees_with_the_naive_formula(
        vetted in prop::collection::vec(any::<bool>(), MEMBERS),
        steps in prop::collection::vec((0..40_u8, 0..MEMBERS, 0..8_000_u32, 0..40_u8), 1..300),
    ) {
        let (mut engine, mut naive) = (engine(&vetted), Naive::new(&vetted));
        let mut now = 1_600_000_000_u32;
        for (x, j, wait, special) in steps {
            now += wait;
            let (t, at) = (f64::from(now) / DAY, Timestamp::from_millis(i64::from(now) * 1000));
            let key = engine.keys().observable(&[x]);
            let near = engine.keys().neighbourhood(&[x / 3]);
            if special == 0 {
                engine.dispute_upheld(key, at).unwrap();
                naive.dispute(x, t);
            }
            let (grade, attested) = (Grade::Handshake, Attestation::Signed);
            let member = MemberIndex(j as u16);
            engine.sight(&Sight { observable: key, neighbourhood: near, member, at, grade, attested }).unwrap();
            naive.sight(x, j, t);
            let (truth, expected) = (engine.truth_score(key, at), naive.truth(x, t));
            prop_assert!((truth - expected).abs() < 1e-3, "truth {truth}, naively {expected}");
            let (relevance, expected) = (engine.relevance_score(key, near, member, at), naive.relevance(x, j, t));
            let (relevance, expected) = (relevance.unwrap(), expected.unwrap());
            prop_assert!((relevance - expected).abs() < 2e-3, "relevance {relevance}, naively {expected}");
        }
    }
}

//! Two hundred seeds, every promise checked after every step.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many seeds CI runs.
const SEEDS: u64 = 200;

#[test]
fn every_promise_holds_for_two_hundred_seeds() {
    let next = AtomicU64::new(0);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return failed;
            }
            let outcome = sim::run(seed, false);
            failed.extend(outcome.violation.map(|violation| format!("cargo xtask sim --seed {seed}: {violation:?}")));
        }
    };
    let failed: Vec<String> = std::thread::scope(|scope| {
        let threads = [scope.spawn(work), scope.spawn(work)];
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn a_seed_repeats_itself_to_the_last_line() {
    let (first, second) = (sim::run(7, true), sim::run(7, true));
    assert_eq!((first.tally, first.trace), (second.tally, second.trace));
}

#[test]
fn the_runs_meet_what_they_are_there_for() {
    let mut total = sim::Tally::default();
    (0..20).for_each(|seed| total.add(&sim::run(seed, false).tally));
    let met = [total.hub_crashes, total.agent_crashes, total.lost, total.held, total.enforced, total.mischief];
    assert!(met.iter().all(|count| *count >= 20), "{total:?}");
    assert!(total.refusals.len() >= 10, "{total:?}");
}

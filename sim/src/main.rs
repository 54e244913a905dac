//! `sim`: runs seeds and prints what held; `cargo xtask sim` starts it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks through its output")]

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sim::{Outcome, Tally};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// A hub and its agents in one thread, virtual time, faults from the seed; every promise is checked after every step.
#[derive(Parser)]
#[command(name = "sim", after_help = "Next: cargo xtask sim --seed 4711 --trace")]
struct Words {
    /// How many seeds to run.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Repeat one run.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// With --seed: print what happened, line by line.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Instead of whole runs: this many random commands, none of which may be carried out.
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "10000")]
    #[arg(conflicts_with_all = ["seeds", "seed"])]
    commands: Option<u32>,
}

fn main() -> ExitCode {
    let words = Words::parse();
    let held = match (words.commands, words.seed) {
        (Some(count), _) => commands(words.from, count),
        (None, Some(seed)) => one(seed, words.trace),
        (None, None) => many(words.from, words.seeds),
    };
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(seed: u64, tracing: bool) -> bool {
    let outcome = sim::run(seed, tracing);
    outcome.trace.iter().for_each(|line| println!("{line}"));
    tell(&outcome);
    table(1, &outcome.tally, &outcome.promises.iter().copied().collect(), usize::from(outcome.violation.is_some()));
    outcome.violation.is_none()
}

fn many(from: u64, seeds: u64) -> bool {
    // Draws on a terminal only.
    let bar = ProgressBar::new(seeds).with_style(
        ProgressStyle::with_template("{wide_bar} {pos}/{len} seeds, {eta} to go")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let (begun, mut total, mut promises, mut failed) = (Instant::now(), Tally::default(), BTreeSet::new(), 0);
    for seed in from..from.saturating_add(seeds) {
        let outcome = sim::run(seed, false);
        total.add(&outcome.tally);
        promises.extend(outcome.promises.iter().copied());
        if outcome.violation.is_some() {
            failed += 1;
            bar.suspend(|| tell(&outcome));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    table(seeds, &total, &promises, failed);
    let millis = begun.elapsed().as_millis() / u128::from(seeds);
    println!("time             {:.1} s, {millis} ms a seed", begun.elapsed().as_secs_f64());
    failed == 0
}

/// The promise, the step, what was seen, and how to see it again.
fn tell(outcome: &Outcome) {
    let Some(violation) = &outcome.violation else { return };
    eprintln!("seed {} breaks {}", outcome.seed, violation.promise);
    eprintln!("  at step {}, {}: {}", violation.step, violation.at, violation.seen);
    eprintln!("  again: cargo xtask sim --seed {} --trace", outcome.seed);
}

fn table(seeds: u64, tally: &Tally, promises: &BTreeSet<&str>, failed: usize) {
    println!("seeds            {seeds}, {failed} failed");
    println!("events           {}, {} facts shown to each checker", tally.steps, tally.facts);
    println!("messages         {} arrived, {} lost", tally.messages, tally.lost);
    println!("crashes          {} of hubs, {} of agents", tally.hub_crashes, tally.agent_crashes);
    println!("  of hubs        {} amid a turn, {} at once after a start", tally.half_turns, tally.hub_crashes_again);
    println!("entries          {}", tally.entries);
    println!("hostile acts     {}", tally.mischief);
    println!("keys             {} changes taken by agents", tally.keys);
    println!("mitigations      {} taken, {} objects put in force", tally.held, tally.enforced);
    let receipts: Vec<String> = tally.receipts.iter().map(|(state, n)| format!("{state} {n}")).collect();
    println!("receipts         {}", receipts.join(", "));
    println!("refusals");
    tally.refusals.iter().for_each(|(rule, n)| println!("  {:<24} {n}", rule.name()));
    println!("checkers         {}", if failed == 0 { "all held" } else { "see above" });
    promises.iter().for_each(|promise| println!("  {promise}"));
}

fn commands(seed: u64, count: u32) -> bool {
    let rows = sim::commands::run(seed, count);
    print!("{}", sim::commands::table(&rows));
    rows.iter().all(|row| row.carried_out == 0)
}

//! Figures of the engine on one core: sightings a second, nanoseconds a verdict, bytes an observable.
//!
//! Rates are by the processor time of this thread (`/proc/thread-self/schedstat`), so that a busy machine does not
//! distort them; the wall clock's rate stands beside it.
//!
//! `cargo bench -p corroborate --bench engine [-- OBSERVABLES]`; 10 million by default, 1.3 reporters each.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a bench has a clock, reads /proc and prints"
)]

use corroborate::{
    Attestation, Engine, Error, Guard, Keys, MemberIndex, MemberTrust, Rules, Seed, Sight, SightOutcome,
};
use model::{Grade, Timestamp};
use std::hint::black_box;
use std::time::{Duration, Instant};

const MEMBERS: u64 = 200;
const SEED: Seed = Seed(*b"bench, no secret");
const BATCH: usize = 10_000;
/// Lines of the cache a sighting needs: 1.5 of the index, 1.75 of the record, 1.2 of the counter, half a report's.
const LINES: usize = 5;
/// Sightings whose lines are read ahead at once.
const AT_ONCE: usize = 32;
/// 2026-01-01, seconds.
const START: i64 = 1_767_225_600;

fn main() -> Result<(), Error> {
    let observables = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(10_000_000_u64);
    let mut load = Load { random: 42, keys: Keys::new(SEED), now: START, observables };
    let mut engine = Engine::new(Rules::default(), &vec![MemberTrust::VETTED; MEMBERS as usize], SEED)?;
    let rss = resident();
    println!("{observables} observables, {MEMBERS} members, one core");
    fill(&mut engine, &mut load)?;
    memory(&engine, rss);
    steady(&mut engine, &mut load)?;
    verdicts(&engine, &mut load);
    let bytes = engine.bytes();
    drop(engine);
    memory_alone(bytes, &mut load);
    Ok(())
}

/// What this machine's memory allows: as many bytes as the tables have, read at random, as many lines of the cache as
/// a sighting needs, and nothing done with them. At once, as in batches; then each where the last one says.
fn memory_alone(bytes: usize, load: &mut Load) {
    let mut words: Vec<u64> = (0..bytes as u64 / 8).collect();
    let places = words.len() as u64;
    let mut took = Took::default();
    for _ in 0..500 {
        let at: Vec<usize> = (0..BATCH * LINES).map(|_| load.below(places) as usize).collect();
        took.measure(BATCH, || {
            at.chunks(AT_ONCE * LINES).for_each(|at| {
                black_box(at.iter().fold(0, |sum: u64, at| sum.wrapping_add(words[*at])));
            });
        });
    }
    took.print(&format!("memory alone, {LINES} lines a sighting, {AT_ONCE} at once"));
    words.iter_mut().for_each(|word| *word = load.below(places));
    let (mut took, mut at) = (Took::default(), 0);
    for _ in 0..100 {
        took.measure(BATCH, || {
            at = (0..(BATCH * LINES) as u64).fold(at, |at: u64, i| (words[at as usize] + i) % places);
        });
    }
    black_box(at);
    took.print(&format!("memory alone, {LINES} lines, one after another"));
}

/// Every observable once, then three tenths of them by another member; every other batch at once.
fn fill(engine: &mut Engine, load: &mut Load) -> Result<(), Error> {
    let mut took = [Took::default(), Took::default()];
    let total = load.observables * 13 / 10;
    let step = 10 * 86_400_000 / (total as i64).max(1);
    for (number, from) in (0..total).step_by(BATCH).enumerate() {
        let to = (from + BATCH as u64).min(total);
        let sights: Vec<Sight> = (from..to)
            .map(|i| {
                let at = START * 1000 + i as i64 * step;
                if i < load.observables {
                    return load.sight(i, at);
                }
                let (of, member) = (load.below(load.observables), load.below(MEMBERS));
                load.sight_by(of, member, at)
            })
            .collect();
        take_in(engine, &sights, number % 2 == 1, &mut took)?;
    }
    load.now = START + 10 * 86_400;
    print_both("new observables", &took);
    Ok(())
}

fn steady(engine: &mut Engine, load: &mut Load) -> Result<(), Error> {
    let mut took = [Took::default(), Took::default()];
    for round in 0..1000 {
        load.now += 5;
        let sights: Vec<Sight> = (0..BATCH)
            .map(|_| {
                let of = load.below(load.observables);
                load.sight(of, load.now * 1000)
            })
            .collect();
        take_in(engine, &sights, round % 2 == 1, &mut took)?;
    }
    print_both("known observables", &took);
    Ok(())
}

fn take_in(engine: &mut Engine, sights: &[Sight], batched: bool, took: &mut [Took; 2]) -> Result<(), Error> {
    took[usize::from(batched)].measure(sights.len(), || {
        if batched {
            return engine.sight_all(sights, |_, outcome: SightOutcome| {
                black_box(outcome);
            });
        }
        for sight in sights {
            black_box(engine.sight(sight)?);
        }
        Ok(())
    })
}

fn print_both(what: &str, took: &[Took; 2]) {
    took[0].print(&format!("{what}, one by one"));
    took[1].print(&format!("{what}, in batches of {BATCH}"));
}

fn verdicts(engine: &Engine, load: &mut Load) {
    let at = Timestamp::from_millis(load.now * 1000);
    let mut asked = Vec::new();
    for _ in 0..1_000_000 {
        let observable = load.below(load.observables);
        asked.push(load.keys.observable(&observable.to_le_bytes()));
    }
    let begun = on_processor();
    let yes = asked.iter().filter(|key| engine.is_corroborated(**key, at)).count();
    let mean = (on_processor() - begun).as_nanos() as f64 / asked.len() as f64;
    println!("{:<46}{mean:>12.0} ns mean; {yes} of {} corroborated", "verdict: may it inform", asked.len());
    let mut each: Vec<u64> = asked
        .iter()
        .map(|key| {
            let begun = Instant::now();
            black_box(engine.verdicts(*key, at, &Guard::None));
            begun.elapsed().as_nanos() as u64
        })
        .collect();
    each.sort_unstable();
    let at = |share: f64| each[(each.len() as f64 * share) as usize];
    println!("{:<46}{:>12} ns p50, {} ns p99 (clock included)", "verdicts: inform and act", at(0.5), at(0.99));
}

fn memory(engine: &Engine, before: u64) {
    let (observables, reports) = (engine.len() as f64, engine.reports_held() as f64);
    let (held, rss) = (engine.bytes() as f64, (resident() - before) as f64);
    println!("{:<46}{:>12.2}", "reporters an observable", reports / observables);
    println!(
        "{:<46}{:>12.1} by the tables, {:.1} by VmRSS",
        "bytes an observable",
        held / observables,
        rss / observables
    );
    println!(
        "{:<46}{:>12.1} by the tables, {:.1} by VmRSS",
        "bytes an (observable, reporter)",
        held / reports,
        rss / reports
    );
    for (table, bytes) in engine.bytes_by_table() {
        println!("  {table:<44}{:>12.1}", bytes as f64 / observables);
    }
}

/// Time spent, on the processor and by the wall clock.
#[derive(Default)]
struct Took {
    processor: Duration,
    wall: Duration,
    longest: Duration,
    count: u64,
}

impl Took {
    fn measure<T>(&mut self, count: usize, work: impl FnOnce() -> T) -> T {
        let (wall, processor) = (Instant::now(), on_processor());
        let value = work();
        let spent = on_processor().saturating_sub(processor);
        self.processor += spent;
        self.wall += wall.elapsed();
        self.longest = self.longest.max(spent);
        self.count += count as u64;
        value
    }

    fn print(&self, name: &str) {
        let rate = |time: Duration| self.count as f64 / time.as_secs_f64() / 1e6;
        let (processor, wall, longest) = (rate(self.processor), rate(self.wall), self.longest.as_secs_f64() * 1e3);
        println!("{name:<46}{processor:>12.2} M/s ({wall:.2} by the wall clock; longest batch {longest:.1} ms)");
    }
}

/// Time this thread has spent on a processor.
fn on_processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0) * 1024
}

/// Makes sightings, the same every time.
struct Load {
    random: u64,
    keys: Keys,
    now: i64,
    observables: u64,
}

impl Load {
    fn below(&mut self, n: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % n
    }

    /// Neighbourhoods hold three observables each. Three of four sightings are by the member that saw it first, as on
    /// real sensors; the rest by anybody.
    fn sight(&mut self, observable: u64, millis: i64) -> Sight {
        let first = observable.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let member = if self.below(4) == 0 { self.below(MEMBERS) } else { first % MEMBERS };
        self.sight_by(observable, member, millis)
    }

    fn sight_by(&mut self, observable: u64, member: u64, millis: i64) -> Sight {
        Sight {
            observable: self.keys.observable(&observable.to_le_bytes()),
            neighbourhood: self.keys.neighbourhood(&(observable / 3).to_le_bytes()),
            member: MemberIndex(member as u16),
            at: Timestamp::from_millis(millis),
            grade: Grade::Handshake,
            attested: Attestation::Signed,
        }
    }
}

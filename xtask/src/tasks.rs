//! `cargo xtask bench`, `sim` and `soak`: tables of what can be measured and run long. Adding one is one row.
//!
//! `tidy` checks that the file of every row exists, so a row cannot outlive what it starts.

use crate::{Failure, run};

/// Help of `cargo xtask bench`.
pub const BENCH_HELP: &str = "\
cargo xtask bench                     list what can be measured
cargo xtask bench corroborate         measure one thing, in release
cargo xtask bench journal DIR         words after the name go to the bench

Figures belong into docs/performance.md together with the command, the machine and the day.

Next: cargo xtask bench";

/// Help of `cargo xtask sim`.
pub const SIM_HELP: &str = "\
cargo xtask sim                       200 seeds from 0
cargo xtask sim --seeds 50 --from 300
cargo xtask sim --seed 4711           repeat one run
cargo xtask sim --seed 4711 --trace   and print what happened, line by line
cargo xtask sim --commands            10,000 random commands, none of which may be carried out

A hub and its agents in one thread, virtual time, faults from the seed; every promise is checked after every step.
A seed that fails prints the command that repeats it.

Next: cargo xtask soak";

/// Help of `cargo xtask soak`.
pub const SOAK_HELP: &str = "\
cargo xtask soak                      1,000 seeds, 500 kills of hub and agent, ten minutes a fuzz target
cargo xtask soak kills agents --rounds 50
cargo xtask soak seeds --rounds 200   the same by hand: cargo xtask sim --seeds 200
cargo xtask soak fuzz --minutes 1     every fuzz target for one minute, without cargo-fuzz; its corpus is kept in fuzz/corpus

Takes long; nothing is skipped. All parts run even if one fails; exit code 1 when one did.

Next: cargo xtask sim --seed N, with the seed that failed";

/// How many seeds `sim` runs when nothing is said: the figure that CI holds.
const SIM_SEEDS: u64 = 200;
/// The most seeds one call takes: about a week on two cores. More is a slip of the finger.
const SIM_SEEDS_MAX: u64 = 1_000_000;

/// A named command of cargo's, with the file that it lives in.
pub struct Task {
    pub name: &'static str,
    what: &'static str,
    /// What `cargo` gets; words of the person who calls are added after `--`.
    words: &'static [&'static str],
    /// Variables for it.
    variables: &'static [(&'static str, &'static str)],
    /// The source that the words name; checked by `tidy`.
    pub file: &'static str,
}

impl Task {
    /// One line about it.
    pub fn what(&self) -> &'static str {
        self.what
    }
}

/// What can be measured.
pub const BENCHES: &[Task] = &[
    Task {
        name: "corroborate",
        what: "sightings/s, time of a verdict, bytes per observable and per (observable, reporter)",
        words: &["bench", "-p", "corroborate", "--bench", "engine"],
        variables: &[],
        file: "crates/corroborate/benches/engine.rs",
    },
    Task {
        name: "journal",
        what: "entries/s with durable appends beside a bare write and sync; give the directory",
        words: &["run", "--release", "-p", "journal", "--example", "append"],
        variables: &[],
        file: "crates/journal/examples/append.rs",
    },
    Task {
        name: "hub",
        what: "sightings/s through TLS until durable, fan-out, a flood, a start; CrowdSec beside it; see --help",
        words: &["run", "--release", "-p", "hub", "--example", "bench_hub"],
        variables: &[],
        file: "crates/hub/examples/bench_hub/main.rs",
    },
    Task {
        name: "protect",
        what: "time to protection: the corroborating sighting to the last agent's read-back",
        words: &["run", "--release", "-p", "epimachia", "--", "measure"],
        variables: &[],
        file: "crates/epimachia/src/demo/measure.rs",
    },
    Task {
        name: "rpz",
        what: "command to the first changed answer of a real BIND and a real Unbound, small and large zones",
        words: &["run", "--release", "-p", "act", "--example", "rpz_latency"],
        variables: &[],
        file: "crates/act/examples/rpz_latency.rs",
    },
    Task {
        name: "nftables",
        what: "command to the first packet dropped, in network namespaces; needs root",
        words: &["run", "--release", "-p", "act", "--example", "nft_bench"],
        variables: &[],
        file: "crates/act/examples/nft_bench.rs",
    },
    Task {
        name: "share",
        what: "STIX split, read, into sightings: MB/s and objects/s; patterns/s; TAXII pages. Words: bundles to read",
        words: &["run", "--release", "-p", "share", "--example", "share_bench"],
        variables: &[],
        file: "crates/share/examples/share_bench.rs",
    },
    Task {
        name: "taxii",
        what: "the TAXII server: objects in, paging, polls, answers, memory, following while writers write; see --help",
        words: &["run", "--release", "-p", "hub", "--example", "bench_taxii"],
        variables: &[],
        file: "crates/hub/examples/bench_taxii/main.rs",
    },
];

/// What runs long.
pub const SOAKS: &[Task] = &[
    Task {
        name: "seeds",
        what: "1,000 seeds of the simulator",
        words: &["run", "--release", "-p", "sim", "--", "--seeds", "1000"],
        variables: &[],
        file: "sim/src/main.rs",
    },
    Task {
        name: "kills",
        what: "500 rounds of kill -9 on the hub under load",
        words: &["test", "--release", "-p", "hub", "--test", "hub", "crash", "--", "--nocapture"],
        variables: &[("EPIMACHIA_KILLS", "500")],
        file: "crates/hub/tests/hub/crash.rs",
    },
    Task {
        name: "agents",
        what: "500 rounds of kill -9 on an agent's state in the middle of writing",
        words: &["test", "--release", "-p", "agent", "--test", "crash", "--", "--nocapture"],
        variables: &[("EPIMACHIA_KILLS", "500")],
        file: "crates/agent/tests/crash.rs",
    },
    Task {
        name: "renewals",
        what: "200 rounds of kill -9 on an agent that asks for its next certificate",
        words: &["test", "--release", "-p", "epimachia", "--test", "joining", "killed", "--", "--nocapture"],
        variables: &[("EPIMACHIA_KILLS", "200")],
        file: "crates/epimachia/tests/joining.rs",
    },
];

/// Lists the benches or runs one.
pub fn bench(words: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = words.split_first() else {
        print!("{}", list(BENCHES));
        return Ok(());
    };
    let task = find(BENCHES, name)?;
    run::to_the_end(&mut command(task, rest))
}

/// Runs the simulator over seeds, or one.
pub fn sim(words: &[String]) -> Result<(), Failure> {
    let seeds = Seeds::parse(words)?;
    let mut line: Vec<String> = ["run", "--release", "-p", "sim", "--"].map(str::to_owned).to_vec();
    line.extend(seeds.words());
    run::to_the_end(&mut run::cargo(line))
}

fn find(tasks: &'static [Task], name: &str) -> Result<&'static Task, Failure> {
    let unknown = || Failure::Usage(format!("nothing is named {name:?}; there are:\n{}", list(tasks).trim_end()));
    tasks.iter().find(|task| task.name == name).ok_or_else(unknown)
}

pub fn command(task: &Task, rest: &[String]) -> std::process::Command {
    let mut words: Vec<String> = task.words.iter().map(|word| (*word).to_owned()).collect();
    if !rest.is_empty() && !task.words.contains(&"--") && rest.iter().all(|word| word != "--") {
        words.push("--".to_owned());
    }
    words.extend_from_slice(rest);
    let mut command = run::cargo(words);
    command.envs(task.variables.iter().copied());
    command
}

fn list(tasks: &[Task]) -> String {
    tasks.iter().map(|task| format!("{:<12} {}\n", task.name, task.what)).collect()
}

/// Which seeds to run, or which commands to try.
#[derive(Debug, PartialEq, Eq)]
enum Seeds {
    Range { from: u64, count: u64 },
    One { seed: u64, trace: bool },
    Commands { seed: u64 },
}

impl Seeds {
    fn parse(words: &[String]) -> Result<Seeds, Failure> {
        let (mut from, mut count, mut one) = (None, None, None);
        let (mut trace, mut commands) = (false, false);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let slot = match word.as_str() {
                "--seeds" => &mut count,
                "--from" => &mut from,
                "--seed" => &mut one,
                "--trace" => {
                    trace = true;
                    continue;
                }
                "--commands" => {
                    commands = true;
                    continue;
                }
                _ => {
                    let known = "--seeds N, --from S, --seed S, --trace, --commands";
                    return Err(Failure::Usage(format!("sim has no {word:?}; it takes {known}")));
                }
            };
            *slot = Some(number(word, words.next())?);
        }
        match (one, from, count) {
            (None, from, None) if commands && !trace => Ok(Seeds::Commands { seed: from.unwrap_or(0) }),
            _ if commands => Err(Failure::Usage("--commands goes with --from alone".into())),
            (Some(seed), None, None) => Ok(Seeds::One { seed, trace }),
            (Some(_), _, _) => Err(Failure::Usage("--seed runs one seed; leave --seeds and --from out".into())),
            _ if trace => Err(Failure::Usage("--trace goes with --seed".into())),
            (None, from, count) => Seeds::range(from.unwrap_or(0), count.unwrap_or(SIM_SEEDS)),
        }
    }

    fn range(from: u64, count: u64) -> Result<Seeds, Failure> {
        if !(1..=SIM_SEEDS_MAX).contains(&count) {
            return Err(Failure::Usage(format!("--seeds is {count}; allowed is 1 to {SIM_SEEDS_MAX}")));
        }
        if from.checked_add(count).is_none() {
            return Err(Failure::Usage(format!("--from is {from}; {count} seeds after it do not fit 64 bits")));
        }
        Ok(Seeds::Range { from, count })
    }

    fn words(&self) -> Vec<String> {
        match self {
            Seeds::One { seed, trace } => {
                let trace = trace.then(|| "--trace".to_owned());
                ["--seed".into(), seed.to_string()].into_iter().chain(trace).collect()
            }
            Seeds::Range { from, count } => {
                vec!["--seeds".into(), count.to_string(), "--from".into(), from.to_string()]
            }
            Seeds::Commands { seed } => vec!["--commands".into(), "--from".into(), seed.to_string()],
        }
    }
}

fn number(option: &str, value: Option<&String>) -> Result<u64, Failure> {
    let value = value.ok_or_else(|| Failure::Usage(format!("{option} needs a number after it")))?;
    let parsed = value.replace(['_', ','], "").parse();
    parsed.map_err(|_| Failure::Usage(format!("{option} is {value:?}; it must be a whole number of at most 64 bits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn seeds_default_to_what_ci_holds() {
        assert_eq!(Seeds::parse(&[]), Ok(Seeds::Range { from: 0, count: 200 }));
    }

    #[test]
    fn options_of_sim_reach_the_simulator_as_typed() {
        let range = Seeds::parse(&words("--from 300 --seeds 1_000")).unwrap();
        assert_eq!(range.words(), words("--seeds 1000 --from 300"));
        for line in ["--seed 4711", "--seed 4711 --trace", "--commands --from 3"] {
            assert_eq!(Seeds::parse(&words(line)).unwrap().words(), words(line));
        }
    }

    #[test]
    fn wrong_options_of_sim_are_refused_with_what_is_allowed() {
        let cases = [
            ("--seeds 0", "--seeds is 0; allowed is 1 to 1000000"),
            ("--seeds many", "--seeds is \"many\"; it must be a whole number of at most 64 bits"),
            ("--seeds", "--seeds needs a number after it"),
            ("--seed 1 --from 2", "--seed runs one seed; leave --seeds and --from out"),
            ("--speed 1", "sim has no \"--speed\"; it takes --seeds N, --from S, --seed S, --trace, --commands"),
            ("--trace", "--trace goes with --seed"),
            ("--commands --seeds 3", "--commands goes with --from alone"),
            ("--from 18446744073709551615", "--from is 18446744073709551615; 200 seeds after it do not fit 64 bits"),
        ];
        for (line, said) in cases {
            assert_eq!(Seeds::parse(&words(line)), Err(Failure::Usage(said.into())), "{line}");
        }
    }

    #[test]
    fn unknown_bench_lists_what_exists() {
        let Err(Failure::Usage(text)) = bench(&words("jornal")) else { panic!("accepted") };
        assert!(text.starts_with("nothing is named \"jornal\"; there are:\n"), "{text}");
        assert!(BENCHES.iter().all(|task| text.contains(task.name)), "{text}");
    }

    #[test]
    fn words_after_a_bench_go_to_the_bench_and_not_to_cargo() {
        let line = |rest: &str| {
            let command = command(&BENCHES[1], &words(rest));
            command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(line(""), "run --release -p journal --example append");
        assert_eq!(line("--entries 9"), "run --release -p journal --example append -- --entries 9");
        assert_eq!(line("-- --entries 9"), "run --release -p journal --example append -- --entries 9");
    }

    #[test]
    fn names_in_a_table_are_distinct() {
        for tasks in [BENCHES, SOAKS] {
            let names: std::collections::BTreeSet<&str> = tasks.iter().map(|task| task.name).collect();
            assert_eq!(names.len(), tasks.len());
        }
    }
}

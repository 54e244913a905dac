//! `cargo xtask soak`: what runs long. Many seeds, many kills, and every fuzz target for minutes.
//!
//! The fuzz targets are built with the coverage that libFuzzer wants by flags of the stable compiler, so that nothing
//! has to be installed for them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::tasks::{SOAKS, Task, command};
use crate::{Failure, run};

/// The part that is no row of the table: every fuzz target.
const FUZZ: &str = "fuzz";
/// Minutes for each fuzz target unless said otherwise, and at most: a day.
const MINUTES: u64 = 10;
const MINUTES_MAX: u64 = 1_440;
/// Most rounds or seeds.
const ROUNDS_MAX: u64 = 1_000_000;
/// What libFuzzer is fed by (LLVM, SanitizerCoverage): counters, a table of places, and traces of comparisons.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1";

/// What is to be run, and for how long.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    parts: Vec<String>,
    rounds: Option<u64>,
    minutes: u64,
}

/// Runs the parts that are named; all where none is. Every part runs, even if one before it failed.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let plan = Plan::parse(words)?;
    let mut failed = Vec::new();
    for task in SOAKS.iter().filter(|task| plan.has(task.name)) {
        eprintln!("\n== {}: {}", task.name, task.what());
        if run::to_the_end(&mut with_rounds(task, plan.rounds)).is_err() {
            failed.push(task.name.to_owned());
        }
    }
    if plan.has(FUZZ) {
        failed.extend(fuzz(plan.minutes)?);
    }
    if failed.is_empty() { Ok(()) } else { Err(Failure::Failed(format!("failed: {}", failed.join(", ")))) }
}

impl Plan {
    fn parse(words: &[String]) -> Result<Plan, Failure> {
        let mut plan = Plan { parts: Vec::new(), rounds: None, minutes: MINUTES };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => plan.rounds = Some(number(word, words.next(), ROUNDS_MAX)?),
                "--minutes" => plan.minutes = number(word, words.next(), MINUTES_MAX)?,
                part if part == FUZZ || SOAKS.iter().any(|task| task.name == part) => plan.parts.push(part.to_owned()),
                _ => {
                    let names: Vec<&str> = SOAKS.iter().map(|task| task.name).chain([FUZZ]).collect();
                    let known = format!("{}, --rounds N, --minutes N", names.join(", "));
                    return Err(Failure::Usage(format!("soak has no {word:?}; it takes {known}")));
                }
            }
        }
        Ok(plan)
    }

    fn has(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|named| named == part)
    }
}

fn number(option: &str, value: Option<&String>, most: u64) -> Result<u64, Failure> {
    let parsed = value.and_then(|value| value.parse().ok()).filter(|number| (1..=most).contains(number));
    let found = value.map_or("nothing", String::as_str);
    parsed.ok_or_else(|| Failure::Usage(format!("{option} is {found}; allowed is 1 to {most}")))
}

/// The task's own number of rounds stands in its variable, or in its last word.
fn with_rounds(task: &Task, rounds: Option<u64>) -> Command {
    let Some(rounds) = rounds else { return command(task, &[]) };
    let mut command = match task.name {
        "seeds" => {
            let words = ["run", "--release", "-p", "sim", "--", "--seeds"].map(str::to_owned);
            run::cargo(words.into_iter().chain([rounds.to_string()]))
        }
        _ => command(task, &[]),
    };
    command.env("EPIMACHIA_KILLS", rounds.to_string());
    command
}

/// Builds and runs every target; the names of those that found something.
fn fuzz(minutes: u64) -> Result<Vec<String>, Failure> {
    let root = run::root().join("fuzz");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut build = run::cargo(["build", "--release", "--target", &triple, "--manifest-path"]);
    // With a target triple the flags are not for build scripts and macros. The programs are looked for where they are
    // put, whatever CARGO_TARGET_DIR says.
    let built = root.join("target");
    build.arg(root.join("Cargo.toml")).arg("--target-dir").arg(&built);
    run::to_the_end(build.env("RUSTFLAGS", COVERAGE))?;
    let mut failed = Vec::new();
    for target in targets(&root)? {
        eprintln!("\n== {FUZZ} {target}: {minutes} minutes");
        let (corpus, found) = (place(&root, "corpus", &target)?, place(&root, "artifacts", &target)?);
        let mut program = Command::new(built.join(&triple).join("release").join(&target));
        program.arg(format!("-max_total_time={}", minutes * 60)).arg(format!("-artifact_prefix={}/", found.display()));
        program.args(["-print_final_stats=1", "-timeout=10", "-rss_limit_mb=2048", "-verbosity=0"]).arg(corpus);
        if run::to_the_end(&mut program).is_err() {
            failed.push(format!("{FUZZ} {target} (its input is in {})", found.display()));
        }
    }
    Ok(failed)
}

/// The names of the targets, from their manifest.
fn targets(root: &Path) -> Result<Vec<String>, Failure> {
    let path = root.join("Cargo.toml");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::Failed(format!("{} cannot be read: {error}", path.display())))?;
    let table: toml::Table = text.parse().unwrap_or_default();
    let rows = table.get("bin").and_then(toml::Value::as_array).into_iter().flatten();
    Ok(rows.filter_map(|row| Some(row.get("name")?.as_str()?.to_owned())).collect())
}

fn place(root: &Path, kind: &str, target: &str) -> Result<PathBuf, Failure> {
    let path = root.join(kind).join(target);
    let made = std::fs::create_dir_all(&path);
    made.map_err(|error| Failure::Failed(format!("{} cannot be made: {error}", path.display())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Plan, Failure> {
        Plan::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_named_is_everything() {
        let plan = parse("").unwrap();
        assert!(plan.has("seeds") && plan.has("kills") && plan.has("agents") && plan.has("fuzz"));
        assert_eq!(plan.minutes, 10);
        let plan = parse("fuzz agents --minutes 2 --rounds 9").unwrap();
        assert!(plan.has("fuzz") && plan.has("agents") && !plan.has("seeds"));
        assert_eq!((plan.minutes, plan.rounds), (2, Some(9)));
    }

    #[test]
    fn wrong_words_are_refused_with_what_is_allowed() {
        let said = |line: &str| match parse(line) {
            Err(Failure::Usage(text)) => text,
            other => panic!("{other:?}"),
        };
        assert!(said("seed").contains("seeds, kills, agents, renewals, fuzz"));
        assert_eq!(said("--minutes 0"), "--minutes is 0; allowed is 1 to 1440");
        assert_eq!(said("--rounds"), "--rounds is nothing; allowed is 1 to 1000000");
    }

    #[test]
    fn rounds_reach_the_simulator_and_the_kills() {
        let words = |name: &str| {
            let task = SOAKS.iter().find(|task| task.name == name).unwrap();
            let command = with_rounds(task, Some(7));
            let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
            let kills = command.get_envs().find(|(name, _)| *name == "EPIMACHIA_KILLS");
            (words.join(" "), kills.and_then(|(_, value)| value).map(|v| v.to_string_lossy().into_owned()))
        };
        assert_eq!(words("seeds").0, "run --release -p sim -- --seeds 7");
        assert_eq!(words("kills").1.as_deref(), Some("7"));
        assert_eq!(words("agents").1.as_deref(), Some("7"));
    }

    #[test]
    fn every_fuzz_target_is_in_the_manifest() {
        let root = run::root().join("fuzz");
        let named = targets(&root).unwrap();
        let mut found: Vec<String> = std::fs::read_dir(root.join("targets"))
            .unwrap()
            .map(|item| item.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        found.sort();
        let mut sorted = named.clone();
        sorted.sort();
        assert_eq!(found, sorted);
        assert!(named.contains(&"act_channel".to_owned()));
    }
}

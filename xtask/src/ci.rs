//! `cargo xtask ci`: the steps that decide whether a change may land, in order, each timed.

use std::time::{Duration, Instant};

use crate::{Failure, licences, run, suite, tidy};

/// Help of `cargo xtask ci`.
pub const HELP: &str = "\
cargo xtask ci                        every step; ends with a summary
cargo xtask ci --fast                 stop at the first step that fails

Steps, in order: fmt, clippy, tidy, licences, test. Without `--fast` all of them run, so one round shows everything there is to
mend. Exit code 1 when one failed.

Next: git push";

/// A step and how it is done.
struct Step {
    name: &'static str,
    run: fn() -> Result<(), Failure>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", run: fmt },
    Step { name: "clippy", run: clippy },
    Step { name: "tidy", run: || tidy::run(&[]) },
    Step { name: "licences", run: || licences::run(&[]) },
    Step { name: "test", run: || suite::run(&[]) },
];

/// How one step ended.
struct Outcome {
    name: &'static str,
    took: Duration,
    failure: Option<String>,
}

/// Runs the steps; fails when one did.
pub fn run(words: &[String]) -> Result<(), Failure> {
    let fast = match words {
        [] => false,
        [word] if word == "--fast" => true,
        _ => return Err(Failure::Usage(format!("ci takes only --fast, not {:?}", words.join(" ")))),
    };
    let outcomes = run_steps(STEPS, fast);
    eprint!("{}", summary(&outcomes));
    let failed: Vec<&str> = outcomes.iter().filter(|o| o.failure.is_some()).map(|o| o.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!("failed: {}", failed.join(", "))))
}

fn run_steps(steps: &[Step], fast: bool) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for step in steps {
        eprintln!("\n== {}", step.name);
        let begin = Instant::now();
        let failure = (step.run)().err().map(text);
        let took = begin.elapsed();
        eprintln!("== {}: {} after {}", step.name, word(failure.as_ref()), seconds(took));
        let stop = fast && failure.is_some();
        outcomes.push(Outcome { name: step.name, took, failure });
        if stop {
            break;
        }
    }
    outcomes
}

fn fmt() -> Result<(), Failure> {
    run::to_the_end(&mut run::cargo(["fmt", "--all", "--check"]))
}

/// `--locked`: a change that forgot `Cargo.lock` fails here and not on somebody else's machine. `--all-targets`:
/// examples and benches too. The simulator once more as `cargo xtask sim` builds it: alone, others' packages have fewer
/// features than beside the whole workspace. And the fuzz targets, which are a workspace of their own.
const CLIPPY: &[&[&str]] = &[
    &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    &["clippy", "-p", "sim", "--locked", "--", "-D", "warnings"],
    &["clippy", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target", "--locked", "--", "-D", "warnings"],
];

fn clippy() -> Result<(), Failure> {
    CLIPPY.iter().try_for_each(|words| run::to_the_end(&mut run::cargo(*words)))
}

fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::from("\nsummary\n");
    for outcome in outcomes {
        let took = seconds(outcome.took);
        text.push_str(&format!("  {:<8} {:<7} {took:>8}", outcome.name, word(outcome.failure.as_ref())));
        if let Some(first) = outcome.failure.as_ref().and_then(|failure| failure.lines().next()) {
            text.push_str(&format!("  {first}"));
        }
        text.push('\n');
    }
    let total = outcomes.iter().map(|outcome| outcome.took).sum();
    text.push_str(&format!("  total            {:>8}\n", seconds(total)));
    text
}

fn word(failure: Option<&String>) -> &'static str {
    if failure.is_some() { "failed" } else { "passed" }
}

fn seconds(took: Duration) -> String {
    let tenths = took.as_millis() / 100;
    match tenths / 600 {
        0 => format!("{}.{} s", tenths / 10, tenths % 10),
        minutes => format!("{minutes} min {} s", tenths / 10 % 60),
    }
}

fn text(failure: Failure) -> String {
    match failure {
        Failure::Usage(why) | Failure::Failed(why) => why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Step = Step { name: "good", run: || Ok(()) };
    const BAD: Step = Step { name: "bad", run: || Err(Failure::Failed("two things\nmore".into())) };

    #[test]
    fn a_failed_step_does_not_hide_the_later_ones() {
        let outcomes = run_steps(&[BAD, GOOD], false);
        assert_eq!(outcomes.iter().map(|o| o.failure.is_some()).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn fast_stops_at_the_first_failure() {
        let outcomes = run_steps(&[GOOD, BAD, GOOD], true);
        assert_eq!(outcomes.iter().map(|o| o.name).collect::<Vec<_>>(), ["good", "bad"]);
    }

    #[test]
    fn the_summary_gives_each_step_its_time_and_first_line_of_failure() {
        let outcome = |name, millis, failure: Option<&str>| Outcome {
            name,
            took: Duration::from_millis(millis),
            failure: failure.map(str::to_owned),
        };
        let text = summary(&[outcome("fmt", 1_240, None), outcome("test", 754_000, Some("two things\nmore"))]);
        let expected = "\nsummary\n  fmt      passed     1.2 s\n  test     failed  12 min 34 s  two things\n";
        assert_eq!(text, format!("{expected}  total            12 min 35 s\n"));
    }

    #[test]
    fn unknown_words_are_wrong_usage() {
        let refused = run(&["--slow".to_owned()]);
        assert_eq!(refused, Err(Failure::Usage("ci takes only --fast, not \"--slow\"".into())));
    }
}

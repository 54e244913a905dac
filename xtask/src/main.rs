//! The project's own tasks, typed as `cargo xtask VERB`: one table of verbs, and what picks from it.
//!
//! Results go to stdout, talk goes to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks through its two streams")]

mod ci;
mod dist;
mod interop;
mod licences;
mod packages;
mod run;
mod soak;
mod suite;
mod tasks;
mod tidy;

use std::process::ExitCode;

/// Why a verb did not do its work.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The words typed make no sense; the text says what is allowed. Exit code 2.
    Usage(String),
    /// The work was tried and failed; the text says what and what to do. Exit code 1.
    Failed(String),
}

/// One thing that `cargo xtask` can do.
struct Verb {
    name: &'static str,
    /// One line for the list of verbs.
    what: &'static str,
    /// Printed by `cargo xtask help VERB`, examples first.
    help: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

/// Every verb. `tidy` holds the documents to this table, so a page cannot name a verb that does not exist.
const VERBS: &[Verb] = &[
    Verb {
        name: "test",
        what: "run every test, real peers and doc tests included",
        help: suite::HELP,
        run: suite::run,
    },
    Verb { name: "ci", what: "fmt, clippy, tidy and test, each timed", help: ci::HELP, run: ci::run },
    Verb { name: "tidy", what: "check the house rules that no compiler checks", help: tidy::HELP, run: tidy::run },
    Verb {
        name: "licences",
        what: "licences, sources and bans of every package",
        help: licences::HELP,
        run: licences::run,
    },
    Verb { name: "dist", what: "Debian package, archive, SBOM, check sums", help: dist::HELP, run: dist::run },
    Verb { name: "interop", what: "other people's tools against our hub", help: interop::HELP, run: interop::run },
    Verb { name: "bench", what: "measure one of the named things", help: tasks::BENCH_HELP, run: tasks::bench },
    Verb { name: "sim", what: "run the seeded simulator", help: tasks::SIM_HELP, run: tasks::sim },
    Verb { name: "soak", what: "the long runs: many seeds, many kills", help: tasks::SOAK_HELP, run: soak::run },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(why)) => {
            eprintln!("xtask: {why}");
            ExitCode::from(2)
        }
    }
}

/// Finds the verb and runs it; `help`, `--help` and `-h` work before and after a verb.
fn dispatch(words: &[String]) -> Result<(), Failure> {
    let Some((first, rest)) = words.split_first() else {
        return Err(Failure::Usage(format!("no verb given\n{}", overview())));
    };
    if is_help(first) {
        return help(rest);
    }
    let verb = verb(first)?;
    let ours = rest.iter().take_while(|word| *word != "--");
    if ours.into_iter().any(|word| is_help(word)) {
        println!("{}", verb.help.trim_end());
        return Ok(());
    }
    (verb.run)(rest)
}

fn help(rest: &[String]) -> Result<(), Failure> {
    match rest.first() {
        None => println!("{}", overview()),
        Some(name) => println!("{}", verb(name)?.help.trim_end()),
    }
    Ok(())
}

fn verb(name: &str) -> Result<&'static Verb, Failure> {
    VERBS.iter().find(|verb| verb.name == name).ok_or_else(|| {
        let names: Vec<&str> = VERBS.iter().map(|verb| verb.name).collect();
        Failure::Usage(format!("no verb {name:?}; there are: {}", names.join(", ")))
    })
}

fn is_help(word: &str) -> bool {
    matches!(word, "help" | "--help" | "-h")
}

/// Examples first, then every verb with its line.
fn overview() -> String {
    let mut text = String::from(
        "cargo xtask test          run everything\ncargo xtask bench         list what can be measured\n\n",
    );
    for verb in VERBS {
        text.push_str(&format!("{:<8} {}\n", verb.name, verb.what));
    }
    text.push_str("\nNext: cargo xtask help VERB");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn unknown_verb_lists_what_exists() {
        let Err(Failure::Usage(text)) = dispatch(&words("tset")) else { panic!("accepted") };
        assert_eq!(text, "no verb \"tset\"; there are: test, ci, tidy, licences, dist, interop, bench, sim, soak");
    }

    #[test]
    fn no_verb_is_wrong_usage_and_shows_the_overview() {
        let Err(Failure::Usage(text)) = dispatch(&[]) else { panic!("accepted") };
        for verb in VERBS {
            assert!(text.contains(verb.what), "{} is missing", verb.name);
        }
    }

    #[test]
    fn help_of_every_verb_begins_with_an_example() {
        for verb in VERBS {
            let begin = format!("cargo xtask {}", verb.name);
            assert!(verb.help.starts_with(&begin), "{}", verb.name);
        }
    }

    #[test]
    fn help_after_a_verb_runs_nothing() {
        assert_eq!(dispatch(&words("soak --help")), Ok(()));
        assert_eq!(dispatch(&words("help soak")), Ok(()));
    }
}

//! The program: command line and demo. `epimachia <noun> <verb>`, nouns in the order of the flow.

mod charter_cmd;
mod evaluate_cmd;
mod exit;
mod journal_cmd;
mod keys;
mod out;
mod progress;
mod words;

use clap::{CommandFactory as _, Parser, Subcommand};
use exit::{Exit, Outcome};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  epimachia demo                      a whole alliance on this machine, in a minute
  epimachia why 203.0.113.7           why is this blocked here, by whom, until when, how to lift it

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 refused by a rule, 4 done in part, 5 there is a difference.
Next: epimachia demo";

/// An alliance for defence only: observe, share, corroborate, decide, act, account.
#[derive(Parser, Debug)]
#[command(name = "epimachia", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Subcommand, Debug)]
enum Noun {
    /// Replay a recorded history: what the alliance's rules would have done
    Evaluate(evaluate_cmd::Evaluate),
    /// Read, check, explain and sign charters
    #[command(subcommand)]
    Charter(charter_cmd::Command),
    /// Make and show signing keys
    #[command(subcommand)]
    Key(keys::Command),
    /// Verify, show, export the journal; check proofs, offline
    #[command(subcommand)]
    Journal(journal_cmd::Command),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().noun) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            out::say(failure.message());
            failure.code()
        }
    }
}

fn run(noun: Noun) -> Outcome {
    match noun {
        Noun::Evaluate(evaluate) => evaluate_cmd::run(&evaluate),
        Noun::Charter(command) => charter_cmd::run(command),
        Noun::Key(command) => keys::run(command),
        Noun::Journal(command) => journal_cmd::run(command),
        Noun::Completions { shell } => {
            clap_complete::generate(shell, &mut Arguments::command(), "epimachia", &mut std::io::stdout());
            Ok(Exit::Done)
        }
    }
}

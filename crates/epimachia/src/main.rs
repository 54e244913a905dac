//! The program: command line and demo. `epimachia <noun> <verb>`, nouns in the order of the flow.

mod agent_cmd;
mod allow_cmd;
mod ask;
mod backup_cmd;
mod certificate_cmd;
mod charter_cmd;
mod check_cmd;
mod client;
mod clock;
mod collection_cmd;
mod config_cmd;
mod demo;
mod docs_cmd;
mod enforcer_cmd;
mod evaluate_cmd;
mod exit;
mod export_cmd;
mod feed_cmd;
mod finding_cmd;
mod foreign;
mod here_view;
mod hub_cmd;
mod ids;
mod import_cmd;
mod journal_cmd;
mod keys;
mod member_cmd;
mod member_side;
mod mitigation_cmd;
mod object_cmd;
mod out;
mod person_key;
mod plan_cmd;
mod point_cmd;
mod progress;
mod search_cmd;
mod shadow;
mod sighting_cmd;
mod signals;
mod status_cmd;
mod token_cmd;
mod verify_cmd;
mod why_cmd;
mod why_view;
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
    /// A whole alliance on this machine, on recorded attacks, in about a minute
    Demo(demo::Demo),
    /// Time to protection on this machine, with ten agents and a resolver for each
    Measure(demo::measure::Measure),
    /// Replay a recorded history: what the alliance's rules would have done
    Evaluate(evaluate_cmd::Evaluate),
    Shadow(Box<shadow::Shadow>),
    Hub(hub_cmd::Command),
    Agent(agent_cmd::Command),
    Enforcer(enforcer_cmd::Enforce),
    /// The alliance in one screen
    Status(ask::Read),
    Check(check_cmd::Check),
    Why(why_cmd::Question),
    /// Report what attacks you, read what was reported, take a report back
    #[command(subcommand)]
    Sighting(sighting_cmd::Command),
    Import(import_cmd::Import),
    Export(export_cmd::Export),
    /// What comes in from other tools by itself, and where findings go
    #[command(subcommand)]
    Feed(feed_cmd::Command),
    /// Look into STIX: what a file holds, what a pattern means
    #[command(subcommand)]
    Object(object_cmd::Command),
    /// Collections for objects of members' tools: open, list, close
    #[command(subcommand)]
    Collection(collection_cmd::Command),
    /// What the alliance holds of an observable, with the sum behind it
    #[command(subcommand)]
    Finding(finding_cmd::Command),
    /// Read, propose, approve, reject plans
    #[command(subcommand)]
    Plan(plan_cmd::Command),
    /// What is in force, where, until when
    #[command(subcommand)]
    Mitigation(mitigation_cmd::Command),
    /// What is never to be touched on this member's network
    #[command(subcommand)]
    Allow(allow_cmd::Command),
    /// This member's enforcement points
    #[command(subcommand)]
    Point(point_cmd::Command),
    /// Who belongs to the alliance
    #[command(subcommand)]
    Member(member_cmd::Command),
    /// The agents that have joined; lock one out
    #[command(subcommand)]
    Certificate(certificate_cmd::Command),
    /// Make, list, revoke access tokens
    #[command(subcommand)]
    Token(token_cmd::Command),
    /// Read, check, explain, sign, adopt charters
    #[command(subcommand)]
    Charter(charter_cmd::Command),
    /// Make and show signing keys
    #[command(subcommand)]
    Key(keys::Command),
    /// Verify, show, export the journal; fetch and check proofs
    #[command(subcommand)]
    Journal(journal_cmd::Command),
    Backup(backup_cmd::Backup),
    Restore(backup_cmd::Restore),
    Verify(verify_cmd::Verify),
    /// What a key of the configuration does
    #[command(subcommand)]
    Config(config_cmd::Command),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the version
    Version {
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print documents that are made from the command line's table
    #[command(subcommand, hide = true)]
    Docs(docs_cmd::What),
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
        Noun::Demo(demo) => demo::run(&demo),
        Noun::Measure(measure) => demo::measure::run(&measure),
        Noun::Evaluate(evaluate) => evaluate_cmd::run(&evaluate),
        Noun::Shadow(shadow) => shadow::run(&shadow),
        Noun::Hub(command) => hub_cmd::run(command),
        Noun::Agent(command) => agent_cmd::run(command),
        Noun::Enforcer(enforce) => enforcer_cmd::run(&enforce),
        Noun::Status(read) => status_cmd::run(&read),
        Noun::Check(check) => check_cmd::run(&check),
        Noun::Why(question) => why_cmd::run(&question),
        Noun::Sighting(command) => sighting_cmd::run(command),
        Noun::Import(import) => import_cmd::run(&import),
        Noun::Export(export) => export_cmd::run(&export),
        Noun::Feed(command) => feed_cmd::run(command),
        Noun::Object(command) => object_cmd::run(command),
        Noun::Finding(command) => finding_cmd::run(command),
        Noun::Plan(command) => plan_cmd::run(command),
        Noun::Mitigation(command) => mitigation_cmd::run(command),
        Noun::Allow(command) => allow_cmd::run(command),
        Noun::Point(command) => point_cmd::run(command),
        Noun::Member(command) => member_cmd::run(command),
        Noun::Certificate(command) => certificate_cmd::run(command),
        Noun::Collection(command) => collection_cmd::run(command),
        Noun::Token(command) => token_cmd::run(command),
        Noun::Charter(command) => charter_cmd::run(command),
        Noun::Key(command) => keys::run(command),
        Noun::Journal(command) => journal_cmd::run(command),
        Noun::Backup(backup) => backup_cmd::backup(&backup),
        Noun::Restore(restore) => backup_cmd::restore(&restore),
        Noun::Verify(verify) => verify_cmd::run(&verify),
        Noun::Config(command) => config_cmd::run(command),
        Noun::Completions { shell } => {
            // Into memory first: the generator panics when the reader of a pipe has gone away.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "epimachia", &mut script);
            out::raw(&String::from_utf8_lossy(&script));
            Ok(Exit::Done)
        }
        Noun::Version { json } => version(json),
        Noun::Docs(what) => docs_cmd::run(&what, Arguments::command()),
    }
}

fn version(json: bool) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    let (entries, directories) = (alliance::ENTRY_VERSION, hub::DIRECTORY_FORMAT);
    match json {
        true => out::json(&serde_json::json!({"version": version, "entries": entries, "directories": directories})),
        false => {
            out::line(format_args!(
                "epimachia {version}, entries of version {entries}, directory format {directories}"
            ));
        }
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_commands_holds_together() {
        Arguments::command().debug_assert();
    }
}

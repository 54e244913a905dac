//! `epimachia allow`: what is never to be touched on this member's network; lifted at once, also where it is in force.

use crate::client::settings::Beside;
use crate::exit::{Exit, Outcome};
use crate::member_side::MemberSide;
use crate::{ask, out};
use agent::Request;
use clap::Subcommand;
use model::Observable;
use std::collections::BTreeMap;

/// What to do with the allow-list.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Never touch a value on this network; what overlaps it is lifted at once
    Add {
        /// Address, prefix, domain, web address or file hash; defanged is fine
        #[arg(value_parser = ask::pasted)]
        value: Observable,
        /// A note: why, and who said so
        #[arg(long)]
        note: String,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Take a value off the allow-list
    Remove {
        /// The entry
        #[arg(value_parser = ask::pasted)]
        value: Observable,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// List the allow-list, each entry with where it comes from
    List {
        /// A JSON list
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: Beside,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Add { value, note, dry_run, beside } => change(Request::Allow { value, note }, dry_run, &beside),
        Command::Remove { value, dry_run, beside } => change(Request::Disallow { value }, dry_run, &beside),
        Command::List { json, beside } => list(json, &beside),
    }
}

fn change(request: Request, dry_run: bool, beside: &Beside) -> Outcome {
    crate::agent_cmd::order(&MemberSide::open(beside)?, &request, dry_run)
}

fn list(json: bool, beside: &Beside) -> Outcome {
    let entries: BTreeMap<Observable, String> = MemberSide::open(beside)?.view(&Request::AllowList)?;
    if json {
        let items: Vec<_> =
            entries.iter().map(|(value, from)| serde_json::json!({"value": value, "from": from})).collect();
        out::json_list(&items);
        return Ok(Exit::Done);
    }
    let row = |(value, from): (&Observable, &String)| vec![value.to_string(), model::parse::printable(from)];
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    out::table(&["NEVER TOUCHED HERE", "FROM"], &rows);
    Ok(Exit::Done)
}

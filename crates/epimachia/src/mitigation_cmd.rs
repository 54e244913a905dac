//! `epimachia mitigation`: what is in force, where, until when; lift, accept or refuse on one's own network.

use crate::agent_cmd::order;
use crate::ask::{Read, connect};
use crate::client::answers::MitigationView;
use crate::client::settings::Beside;
use crate::client::{Client, ITEMS_MAX};
use crate::clock::{now, short, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::member_side::{Held, MemberSide};
use crate::why_view::coloured_state;
use crate::{ids, out};
use agent::Request;
use clap::{Args, Subcommand};
use model::{MemberId, MitigationId};
use serde_json::Value;

/// What to do with mitigations.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List mitigations in force or lately ended, as the hub knows them, or as this member's agent does
    List {
        /// Only this member's
        #[arg(long, conflicts_with = "here")]
        member: Option<MemberId>,
        /// What this member's agent holds, also with the hub away
        #[arg(long)]
        here: bool,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=ITEMS_MAX as i64))]
        max: u32,
        #[command(flatten)]
        read: Read,
        #[command(flatten)]
        beside: Beside,
    },
    /// Show one mitigation
    Show {
        /// Its identifier, or a beginning of it
        id: String,
        #[command(flatten)]
        read: Read,
    },
    /// End a mitigation on this network, and keep its finding out for a while
    Lift(Word),
    /// Let a mitigation that waits for a person come into force here
    Accept(Word),
    /// Do not let a mitigation that waits for a person come into force here
    Refuse(Word),
}

/// A person's word on one mitigation here.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  epimachia mitigation lift mit-3m9d --reason 'a customer of ours, ticket 4711'
Next: epimachia allow add")]
pub struct Word {
    /// Its identifier, or a beginning of it
    id: String,
    /// Why, in words
    #[arg(long)]
    reason: String,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    beside: Beside,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { here: true, max, read, beside, .. } => held(max as usize, read.json, &beside),
        Command::List { member, max, read, .. } => list(member.as_ref(), max as usize, &read),
        Command::Show { id, read } => show(&id, &read),
        Command::Lift(word) => say(word, |mitigation, reason| Request::Lift { mitigation, reason }),
        Command::Accept(word) => say(word, |mitigation, reason| Request::Accept { mitigation, reason }),
        Command::Refuse(word) => say(word, |mitigation, reason| Request::Refuse { mitigation, reason }),
    }
}

fn say(word: Word, request: impl FnOnce(MitigationId, String) -> Request) -> Outcome {
    let side = MemberSide::open(&word.beside)?;
    let held: Vec<Held> = match word.id.parse::<MitigationId>() {
        Ok(_) => Vec::new(),
        Err(_) => side.view(&Request::Mitigations)?,
    };
    let id = ids::among(&word.id, held.iter().map(|held| held.id))?;
    order(&side, &request(id, word.reason), word.dry_run)
}

fn held(max: usize, json: bool, beside: &Beside) -> Outcome {
    let mut held: Vec<Value> = MemberSide::open(beside)?.view(&Request::Mitigations)?;
    held.truncate(max);
    if json {
        out::json_list(&held);
        return Ok(Exit::Done);
    }
    let held = held.into_iter().map(serde_json::from_value).collect::<Result<Vec<Held>, _>>();
    let held = held.map_err(|e| Failure::failed(e, "epimachia version"))?;
    let row = |held: &Held| {
        let state = if held.waits.is_some() { "waits for a person".to_owned() } else { held.state.to_string() };
        vec![held.id.to_string(), state, held.text.clone(), short(held.since), short(held.expires)]
    };
    out::table(&["MITIGATION", "STATE", "MEASURE", "SINCE", "UNTIL"], &held.iter().map(row).collect::<Vec<_>>());
    if held.is_empty() {
        out::say("Nothing is held here. Next: epimachia agent status");
    }
    Ok(Exit::Done)
}

fn list(member: Option<&MemberId>, max: usize, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let query: Vec<(&str, String)> = member.map(|member| ("member", member.to_string())).into_iter().collect();
    if read.json {
        out::json_list(&client.list::<Value>("/api/v1/mitigations", &query, max)?);
        return Ok(Exit::Done);
    }
    let mut shown: Vec<MitigationView> = client.list("/api/v1/mitigations", &query, max)?;
    shown.sort_by_key(|shown| (shown.member.clone(), shown.since, shown.id));
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    out::table(&["MITIGATION", "MEMBER", "STATE", "MEASURE", "SINCE", "UNTIL"], &rows);
    match rows.len() {
        0 => out::say("Nothing is in force. Next: epimachia finding list"),
        n if n == max => out::say(format_args!("There may be more than {max}: give --max.")),
        _ => out::say("Next: epimachia mitigation show ID"),
    }
    Ok(Exit::Done)
}

fn row(shown: &MitigationView) -> Vec<String> {
    vec![
        shown.id.to_string(),
        shown.member.to_string(),
        shown.now.to_string(),
        shown.measure.clone(),
        short(shown.since),
        short(shown.expires),
    ]
}

fn show(id: &str, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let id: MitigationId = ids::resolve(&client, id)?;
    let value = find(&client, id)?;
    if read.json {
        out::pass(value);
        return Ok(Exit::Done);
    }
    let shown: MitigationView = serde_json::from_value(value).map_err(|e| Failure::failed(e, "epimachia version"))?;
    print(&shown);
    out::say(format_args!("Next: epimachia why {}", shown.finding));
    Ok(Exit::Done)
}

/// The hub lists mitigations in the order of their identifiers: the one after the one before is the one.
pub fn find(client: &Client, id: MitigationId) -> Result<Value, Failure> {
    let before = ids::before(&id.to_string()).map(|before| ("after", before));
    let mut query = vec![("limit", "1".to_owned())];
    query.extend(before);
    let page: crate::client::answers::List<Value> = client.get("/api/v1/mitigations", &query)?;
    let found = page.items.into_iter().find(|item| item["id"] == id.to_string());
    let none = || {
        Failure::failed(format_args!("the hub knows no mitigation {id}, or not for you"), "epimachia mitigation list")
    };
    found.ok_or_else(none)
}

fn print(shown: &MitigationView) {
    let now = now();
    let point = shown.point.as_ref().map_or_else(String::new, |point| format!(" at {point}"));
    out::line(format_args!("{}  {}{point}", shown.id, coloured_state(shown.now)));
    out::line(format_args!("  {} by {}", shown.measure, shown.member));
    out::line(format_args!("  finding   {}, plan {}", shown.finding, shown.plan));
    out::line(format_args!("  since     {}", told(shown.since, now)));
    out::line(format_args!("  until     {}", told(shown.expires, now)));
    match shown.verified {
        Some(verified) => {
            out::line(format_args!("  verified  {}  {}", short(verified), model::parse::printable(&shown.evidence)));
        }
        None => out::line("  verified  not yet: nothing was read back"),
    }
    if let Some(packets) = shown.packets {
        out::line(format_args!("  effect    {packets} packets or answers"));
    }
    if let Some(refusal) = &shown.refusal {
        out::line(format_args!("  refused   {}: {}; allowed: {}", refusal.rule, refusal.value, refusal.limit));
    }
}

//! `epimachia mitigation`: what is in force, where, until when; lift, accept or refuse on one's own network.

use crate::ask::{Read, connect};
use crate::client::answers::MitigationView;
use crate::client::{Client, ITEMS_MAX};
use crate::clock::{now, short, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::why_view::coloured_state;
use crate::{ids, out};
use clap::Subcommand;
use model::{MemberId, MitigationId};
use serde_json::Value;

/// What to do with mitigations.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List mitigations in force or lately ended, as the hub knows them
    List {
        /// Only this member's
        #[arg(long)]
        member: Option<MemberId>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=ITEMS_MAX as i64))]
        max: u32,
        #[command(flatten)]
        read: Read,
    },
    /// Show one mitigation
    Show {
        /// Its identifier, or a beginning of it
        id: String,
        #[command(flatten)]
        read: Read,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { member, max, read } => list(member.as_ref(), max as usize, &read),
        Command::Show { id, read } => show(&id, &read),
    }
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

//! `epimachia sighting`: report what attacks you, read what was reported, take a report back.

mod report;

pub use report::{Add, Retract};

use crate::ask::{Read, connect};
use crate::client::answers::{JournalItem, List, Status};
use crate::clock::short;
use crate::exit::{Exit, Failure, Outcome};
use crate::{ask, out};
use alliance::{Entry, Event, Report};
use clap::{Args, Subcommand};
use model::{MemberId, Observable, Sighting};
use serde::Serialize;

/// Entries of the journal that are read for a list where nobody says where to begin.
const ENTRIES_BACK: u64 = 1_000;
/// Entries asked for at a time.
const PAGE: u64 = 1_000;

/// What to do with sightings.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Report a sighting, or a file of them
    Add(Add),
    /// List sightings from the journal, as far as you may see them
    List(Search),
    /// Find the latest sightings by what was seen
    Search(Box<crate::search_cmd::Sightings>),
    /// Take back what your member reported of one value
    Retract(Retract),
}

/// Which sightings to list.
#[derive(Args, Debug)]
pub struct Search {
    /// Only of this value; defanged is fine
    #[arg(long, value_parser = ask::pasted)]
    value: Option<Observable>,
    /// Only reported by this member
    #[arg(long)]
    member: Option<MemberId>,
    /// Entry of the journal to begin at; the last 1,000 entries where it is left out
    #[arg(long)]
    from: Option<u64>,
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    max: u32,
    #[command(flatten)]
    read: Read,
}

/// One sighting with where it stands.
#[derive(Serialize)]
struct Shown {
    position: u64,
    member: MemberId,
    signed: bool,
    #[serde(flatten)]
    sighting: Sighting,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Add(add) => report::add(&add),
        Command::List(search) => list(&search),
        Command::Search(asked) => crate::search_cmd::sightings(&asked),
        Command::Retract(retract) => report::retract(&retract),
    }
}

fn list(search: &Search) -> Outcome {
    let client = connect(&search.read.connect)?;
    let from = match search.from {
        Some(from) => from,
        None => client.get::<Status>("/api/v1/status", &[])?.entries.saturating_sub(ENTRIES_BACK),
    };
    let mut shown = Vec::new();
    let mut after = from.checked_sub(1);
    loop {
        let mut query = vec![("max", PAGE.to_string())];
        query.extend(after.map(|after| ("after", after.to_string())));
        let page: List<JournalItem> = client.get("/api/v1/journal", &query)?;
        for item in &page.items {
            shown.extend(of_entry(item)?.into_iter().filter(|shown| wanted(search, shown)));
        }
        after = page.next.as_deref().and_then(|next| next.parse().ok());
        if after.is_none() || shown.len() >= search.max as usize {
            break;
        }
    }
    shown.truncate(search.max as usize);
    print(&shown, search.read.json);
    Ok(Exit::Done)
}

fn wanted(search: &Search, shown: &Shown) -> bool {
    search.value.as_ref().is_none_or(|value| *value == shown.sighting.observable)
        && search.member.as_ref().is_none_or(|member| *member == shown.member)
}

fn of_entry(item: &JournalItem) -> Result<Vec<Shown>, Failure> {
    let entry = Entry::from_bytes(item.entry.get().as_bytes())?;
    let position = item.position;
    let Event::SightingsReported(report) = entry.event else { return Ok(Vec::new()) };
    let (member, signed) = (report.member(), matches!(report, Report::Signed(_)));
    let sightings = report.sightings()?.into_iter();
    Ok(sightings.map(|sighting| Shown { position, member: member.clone(), signed, sighting }).collect())
}

fn print(shown: &[Shown], json: bool) {
    if json {
        return out::json_list(shown);
    }
    let row = |shown: &Shown| {
        let sighting = &shown.sighting;
        vec![
            shown.position.to_string(),
            short(sighting.last),
            shown.member.to_string(),
            sighting.observable.to_string(),
            sighting.behaviour.to_string(),
            sighting.count.to_string(),
            sighting.grade.to_string(),
            sighting.handling.to_string(),
            if shown.signed { "signed" } else { "not signed" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    out::table(&["ENTRY", "LAST", "MEMBER", "WHAT", "BEHAVIOUR", "TIMES", "GRADE", "HANDLING", "BY"], &rows);
    if shown.is_empty() {
        out::say("No sightings. Next: epimachia sighting add VALUE --behaviour scan");
    }
}

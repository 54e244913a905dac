//! `epimachia member standing`: what members' reports were worth to the others, counted from the journal.

use crate::ask::{Read, connect};
use crate::client::answers::{JournalItem, List, Status};
use crate::exit::{Exit, Failure, Outcome};
use crate::{journal_cmd, out, progress};
use alliance::Entry;
use alliance::contribution::{Contributions, Points};
use clap::Args;
use journal::Journal as _;
use model::{MemberId, Timestamp};
use serde::Serialize;
use std::path::PathBuf;

/// Entries asked for at a time.
const PAGE: usize = 1_000;

/// What to count.
#[derive(Args, Debug)]
pub struct Wish {
    /// Only this member
    member: Option<MemberId>,
    /// Count entries from this time on (RFC 3339)
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Count a copied journal directory instead of asking the hub; needs no hub
    #[arg(long, value_name = "DIR", conflicts_with_all = ["hub", "ca", "token_file"])]
    journal: Option<PathBuf>,
    #[command(flatten)]
    read: Read,
}

/// A member with its points.
#[derive(Serialize)]
struct Line<'a> {
    member: &'a MemberId,
    total: u64,
    #[serde(flatten)]
    points: &'a Points,
}

/// Counts and shows.
pub fn run(wish: &Wish) -> Outcome {
    let mut counted = Contributions::default();
    let entries = match &wish.journal {
        Some(_) => of_directory(wish, &mut counted)?,
        None => of_hub(wish, &mut counted)?,
    };
    let mut lines: Vec<Line> = counted
        .points()
        .iter()
        .filter(|(member, _)| wish.member.as_ref().is_none_or(|wanted| wanted == *member))
        .map(|(member, points)| Line { member, total: points.total(), points })
        .collect();
    lines.sort_by_key(|line| (std::cmp::Reverse(line.total), line.member));
    if wish.read.json {
        out::json_list(&lines);
        return Ok(Exit::Done);
    }
    let row = |line: &Line| {
        let Points { findings, corroborating, timely, contextual, exclusive, lost } = *line.points;
        let numbers = [line.total, findings, corroborating, timely, contextual, exclusive, lost];
        [line.member.to_string()].into_iter().chain(numbers.map(|number| number.to_string())).collect()
    };
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    out::table(&["MEMBER", "POINTS", "FINDINGS", "CORROBORATING", "TIMELY", "CONTEXTUAL", "EXCLUSIVE", "LOST"], &rows);
    out::say(format_args!("Counted from {entries} entries. Points decide nothing: docs/reference/contribution.md"));
    Ok(Exit::Done)
}

fn take(wish: &Wish, counted: &mut Contributions, entry: &[u8]) -> Result<(), Failure> {
    let entry = Entry::from_bytes(entry)?;
    if wish.since.is_none_or(|since| entry.time >= since) {
        counted.take(&entry)?;
    }
    Ok(())
}

fn of_directory(wish: &Wish, counted: &mut Contributions) -> Result<u64, Failure> {
    let Some(dir) = &wish.journal else { return Ok(0) };
    let journal = journal_cmd::open(dir)?;
    let bar = progress::entries(journal.head().map_err(|error| journal_cmd::damaged(&error))?, "counting");
    let mut position = 0;
    loop {
        let records = journal.read(position, PAGE).map_err(|error| journal_cmd::damaged(&error))?;
        let Some(last) = records.last() else { break };
        position = last.position + 1;
        records.iter().try_for_each(|record| take(wish, counted, &record.entry))?;
        bar.set_position(position);
    }
    bar.finish_and_clear();
    Ok(position)
}

/// What this member may see of the journal.
fn of_hub(wish: &Wish, counted: &mut Contributions) -> Result<u64, Failure> {
    let client = connect(&wish.read.connect)?;
    let bar = progress::entries(client.get::<Status>("/api/v1/status", &[])?.entries, "counting");
    let (mut after, mut entries) = (None::<u64>, 0);
    loop {
        let mut query = vec![("max", PAGE.to_string())];
        query.extend(after.map(|after| ("after", after.to_string())));
        let page: List<JournalItem> = client.get("/api/v1/journal", &query)?;
        entries += page.items.len() as u64;
        page.items.iter().try_for_each(|item| take(wish, counted, item.entry.get().as_bytes()))?;
        after = page.next.as_deref().and_then(|next| next.parse().ok());
        bar.set_position(after.unwrap_or(entries));
        if after.is_none() {
            break;
        }
    }
    bar.finish_and_clear();
    Ok(entries)
}

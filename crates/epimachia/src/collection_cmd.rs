//! `epimachia collection`: collections that a member opens for objects of its tools, in an audience that there is.

use crate::ask::{Change, Read, confirm, connect, word};
use crate::client::Client;
use crate::client::answers::{List, Written};
use crate::clock::short;
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use alliance::{CollectionName, NewCollection, Writers};
use clap::{Args, Subcommand};
use hub::wire::CollectionShown;
use model::GroupId;
use model::parse::printable;

/// What to do with collections.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Open a collection that TAXII clients put objects into and read
    Open(Open),
    /// List collections that members opened
    #[command(after_help = "Examples:
  epimachia collection list
  epimachia collection list --json
Every API root has findings, plans and sightings or shares besides: docs/reference/taxii.md")]
    List {
        #[command(flatten)]
        read: Read,
    },
    /// Close a collection of this member: it is read as before, and nothing is put into it any more
    #[command(after_help = "Examples:
  epimachia collection close phish --yes
A closed collection is not opened again, and its name stays taken.")]
    Close {
        /// Its name, or its identifier
        collection: String,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        change: Change,
    },
}

/// A wish for a collection.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia collection open phish --title 'Phishing kits'
  epimachia collection open hashes --title Hashes --group banks --writers all
Next: give its path to a TAXII client, docs/how-to/other-tools.md")]
pub struct Open {
    /// Its name: up to 40 of a-z, 0-9 and -, a letter first
    name: CollectionName,
    /// Its title, as people read it
    #[arg(long)]
    title: String,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// For which sharing group; all members where there is none
    #[arg(long)]
    group: Option<GroupId>,
    /// Who puts objects into it: this member alone, or every reporter of its audience
    #[arg(long, value_parser = word(&Writers::ALL, Writers::as_str), default_value = "own")]
    writers: Writers,
    #[command(flatten)]
    change: Change,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Open(wish) => open(&wish),
        Command::List { read } => list(&read),
        Command::Close { collection, yes, change } => close(&collection, yes, &change),
    }
}

fn open(asked: &Open) -> Outcome {
    let wish = NewCollection {
        name: asked.name.clone(),
        title: asked.title.clone(),
        description: asked.description.clone(),
        group: asked.group.clone(),
        writers: asked.writers,
    };
    if asked.change.dry_run {
        out::json(&wish);
        out::say(format_args!("Nothing was sent, and no collection was opened."));
        return Ok(Exit::Done);
    }
    let client = connect(&asked.change.connect)?;
    let opened: CollectionShown = client.post("/api/v1/collections", &wish)?;
    if asked.change.json {
        out::json(&opened);
        return Ok(Exit::Done);
    }
    out::line(format_args!("{} is open, {}", opened.name, opened.id));
    let readers = asked.group.as_ref().map_or_else(|| "every member".to_owned(), |group| format!("members of {group}"));
    let (writers, hub) = (opened.writers.as_str(), client.hub());
    out::say(format_args!("Readable by {readers}; writers: {writers}.\nTAXII: {hub}{}", opened.path));
    Ok(Exit::Done)
}

fn all(client: &Client) -> Result<Vec<CollectionShown>, Failure> {
    let list: List<CollectionShown> = client.get("/api/v1/collections", &[])?;
    Ok(list.items)
}

fn list(read: &Read) -> Outcome {
    let collections = all(&connect(&read.connect)?)?;
    if read.json {
        out::json_list(&collections);
        return Ok(Exit::Done);
    }
    let row = |shown: &CollectionShown| {
        let state = shown.closed.map_or_else(|| "open".to_owned(), |time| format!("closed {}", short(time)));
        let (root, writers) = (shown.root.clone(), shown.writers.as_str().to_owned());
        vec![shown.name.to_string(), root, shown.member.to_string(), writers, state, printable(&shown.title)]
    };
    let rows: Vec<Vec<String>> = collections.iter().map(row).collect();
    out::table(&["COLLECTION", "ROOT", "OPENED BY", "WRITERS", "STATE", "TITLE"], &rows);
    Ok(Exit::Done)
}

fn close(named: &str, yes: bool, change: &Change) -> Outcome {
    let client = connect(&change.connect)?;
    let found: Vec<CollectionShown> = all(&client)?
        .into_iter()
        .filter(|shown| shown.name.as_str() == named || shown.id.to_string().eq_ignore_ascii_case(named))
        .collect();
    let [shown] = found.as_slice() else {
        let why = if found.is_empty() { "no collection has" } else { "collections of several API roots have" };
        let told = format!("{why} this name: {}; nothing was closed", printable(named));
        return Err(Failure::failed(told, "epimachia collection list --json, and give its id"));
    };
    if change.dry_run {
        out::say(format_args!("{} ({}) would be closed. Nothing was sent.", shown.name, shown.id));
        return Ok(Exit::Done);
    }
    confirm(&format!("Nothing can be put into {} any more, and it is not opened again.", shown.name), yes)?;
    let written: Written = client.delete(&format!("/api/v1/collections/{}", shown.id))?;
    match change.json {
        true => out::json(&written),
        false => out::line(format_args!("{} is closed, entry {}.", shown.name, written.position)),
    }
    Ok(Exit::Done)
}

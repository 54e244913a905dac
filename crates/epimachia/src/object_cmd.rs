//! `epimachia object`: find what was shared; look into STIX: what a file holds, what a pattern means, what it matches.

use crate::exit::{Exit, Failure, Outcome};
use crate::{foreign, out};
use clap::{Args, Subcommand};
use serde::Serialize;
use share::Limits;
use share::pattern::{Pattern, Reduction, matches, observations};
use share::stix::{Head, Split};
use std::path::PathBuf;

/// Looking into STIX.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the objects of a bundle, an envelope, a list; nothing is sent
    List(Listing),
    /// Find objects that members shared, by the observables that they name
    Search(Box<crate::search_cmd::Objects>),
    /// What a pattern means: which observables satisfy it, and which of its parts they cannot say
    Pattern(Meaning),
}

/// A file of objects.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  epimachia object list bundle.json\nNext: epimachia import")]
pub struct Listing {
    /// The file
    file: PathBuf,
    /// One JSON document; an empty list is []
    #[arg(long)]
    json: bool,
}

/// A pattern.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia object pattern \"[ipv4-addr:value = '203.0.113.7']\"
  epimachia object pattern \"[file:size > 1000]\" --against observed.json
Exit code 5: it does not match.")]
pub struct Meaning {
    /// The pattern
    pattern: String,
    /// Match it against the observed data of this file
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List(listing) => list(&listing),
        Command::Search(asked) => crate::search_cmd::objects(&asked),
        Command::Pattern(meaning) => pattern(&meaning),
    }
}

#[derive(Serialize)]
struct Listed<'a> {
    id: &'a str,
    spec_version: &'static str,
    version: Option<String>,
    revoked: bool,
    markings: Vec<&'a str>,
    bytes: usize,
}

fn list(listing: &Listing) -> Outcome {
    let bytes = foreign::read(&listing.file, Limits::FILE.bytes)?;
    let split = Split::read(&bytes, &Limits::FILE).map_err(|e| foreign::wrong(&listing.file, &e))?;
    let (mut heads, mut refused) = (Vec::new(), 0);
    for (place, object) in split.objects.iter().enumerate() {
        match Head::read(object) {
            Ok(head) => heads.push(head),
            Err(error) => {
                refused += 1;
                out::say(format_args!("Refused: object {}: {error}", place + 1));
            }
        }
    }
    let listed: Vec<Listed<'_>> = heads.iter().map(Listed::of).collect();
    match listing.json {
        true => out::json_list(&listed),
        false => {
            let rows: Vec<Vec<String>> = listed.iter().map(Listed::row).collect();
            out::table(&["OBJECT", "STIX", "VERSION", "MARKINGS", "BYTES"], &rows);
            out::say(format_args!("{}, {refused} refused.", out::count(listed.len(), "object")));
        }
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::Partial })
}

impl<'a> Listed<'a> {
    fn of(head: &'a Head<'_>) -> Self {
        Self {
            id: &head.id,
            spec_version: head.spec.as_str(),
            version: head.version().map(|time| time.to_string()),
            revoked: head.revoked,
            markings: head.markings.iter().map(|marking| &**marking).collect(),
            bytes: head.raw.get().len(),
        }
    }

    fn row(&self) -> Vec<String> {
        let revoked = if self.revoked { " revoked" } else { "" };
        vec![
            self.id.to_owned(),
            self.spec_version.to_owned(),
            format!("{}{revoked}", self.version.as_deref().unwrap_or("-")),
            self.markings.len().to_string(),
            self.bytes.to_string(),
        ]
    }
}

#[derive(Serialize)]
struct Meant {
    pattern: String,
    any_of: Vec<String>,
    all_of: Vec<Vec<String>>,
    mentioned: Vec<String>,
    kept: Vec<Kept>,
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<Vec<usize>>,
}

#[derive(Serialize)]
struct Kept {
    text: String,
    why: &'static str,
}

fn pattern(meaning: &Meaning) -> Outcome {
    let pattern: Pattern = meaning.pattern.parse().map_err(|e: model::ParseError| Failure::Usage(e.to_string()))?;
    let found = meaning.against.as_ref().map(|file| found(&pattern, file)).transpose()?;
    let missed = found.as_ref().is_some_and(Option::is_none);
    let texts = |set: &std::collections::BTreeSet<model::Observable>| set.iter().map(ToString::to_string).collect();
    let reduction = Reduction::of(&pattern);
    let meant = Meant {
        pattern: pattern.to_string(),
        any_of: texts(&reduction.any_of),
        all_of: reduction.all_of.iter().map(texts).collect(),
        mentioned: texts(&reduction.mentioned),
        kept: reduction.kept.into_iter().map(|kept| Kept { text: kept.text, why: kept.why }).collect(),
        matches: found.flatten(),
    };
    match meaning.json {
        true => out::json(&meant),
        false => meant.print(),
    }
    if meaning.against.is_some() && !meaning.json {
        out::say(if missed { "It does not match." } else { "It matches." });
    }
    Ok(if missed { Exit::Differs } else { Exit::Done })
}

/// The places of the observed data that satisfy the pattern together, from 1.
fn found(pattern: &Pattern, file: &std::path::Path) -> Result<Option<Vec<usize>>, Failure> {
    let bytes = foreign::read(file, Limits::FILE.bytes)?;
    let split = Split::read(&bytes, &Limits::FILE).map_err(|e| foreign::wrong(file, &e))?;
    let seen = observations(&split.objects).map_err(|e| foreign::wrong(file, &e))?;
    let places = matches(pattern, &seen).map_err(|e| Failure::failed(e, "give a simpler pattern, or other data"))?;
    Ok(places.map(|places| places.into_iter().map(|place| place + 1).collect()))
}

impl Meant {
    fn print(&self) {
        out::line(&self.pattern);
        for observable in &self.any_of {
            out::line(format_args!("  satisfied by  {observable}"));
        }
        for together in &self.all_of {
            out::line(format_args!("  only together  {}", together.join(", ")));
        }
        for observable in &self.mentioned {
            out::line(format_args!("  names  {observable}"));
        }
        for kept in &self.kept {
            out::line(format_args!("  kept, {}  {}", kept.why, kept.text));
        }
        for place in self.matches.iter().flatten() {
            out::line(format_args!("  matched by  observed data {place}"));
        }
    }
}

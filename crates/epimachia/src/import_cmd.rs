//! `epimachia import`: a file of another tool into sightings, and of all that is none why.

use crate::ask;
use crate::clock::now;
use crate::exit::{Exit, Outcome};
use crate::{foreign, out};
use clap::{Args, ValueEnum};
use model::{Actions, Behaviour, Finding, FindingId, Grade, GroupId, Handling, Sensor, Sighting, Span, Timestamp, Tlp};
use serde::Serialize;
use share::stix::{Context, Markings, Split, StixTime, back};
use share::table::Columns;
use share::{Defaults, Limits, Reading, Word, crowdsec, list, misp, stix, table};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How far clocks of others may go ahead.
const SKEW: Span = Span::minutes(5);
/// Most refused records that are told to a person; `--json` has all.
const TOLD_MAX: usize = 10;

/// Read another tool's file into sightings, one as JSON a line; what is none says why
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia import bundle.json --format stix > sightings.jsonl
  epimachia import feed.txt --format list --behaviour c2 --tlp clear > sightings.jsonl
  cscli alerts list -o json > alerts.json; epimachia import alerts.json --format crowdsec > sightings.jsonl
Nothing is sent. Read what came out, then send it.
Next: epimachia sighting add --from sightings.jsonl")]
pub struct Import {
    /// The file
    file: PathBuf,
    /// What it is
    #[arg(long, value_enum)]
    format: Format,
    /// What the observables did, where the file does not say
    #[arg(long, value_parser = ask::word(Behaviour::ALL, Behaviour::as_str))]
    behaviour: Option<Behaviour>,
    /// What saw them, where the file does not say
    #[arg(long, default_value = "list", value_parser = ask::word(Sensor::ALL, Sensor::as_str))]
    sensor: Sensor,
    /// How hard the evidence is to forge, where the file does not say; the default acts upon nothing
    #[arg(long, default_value = "spoofable", value_parser = ask::word(Grade::ALL, Grade::as_str))]
    grade: Grade,
    /// Who may see it, where the file does not say
    #[arg(long, default_value = "amber", value_parser = ask::word(Tlp::ALL, Tlp::as_str))]
    tlp: Tlp,
    /// Only this sharing group may see it
    #[arg(long)]
    group: Option<GroupId>,
    /// Stay unnamed: to all others it is from "a member", and no machine acts upon it
    #[arg(long)]
    unnamed: bool,
    /// What recipients may do with it (FIRST IEP), where the file does not say less
    #[arg(long, default_value = "direct", value_parser = ask::word(Actions::ALL, Actions::as_str))]
    actions: Actions,
    /// Our alliance's name: with it, markings for the group of --group and objects of --findings are understood
    #[arg(long, default_value = "")]
    alliance: String,
    /// What `finding list --json` printed: with it, opinions on these findings become disputes
    #[arg(long, value_name = "FILE", requires = "alliance")]
    findings: Option<PathBuf>,
    /// CSV: the column of the observable
    #[arg(long, value_name = "COLUMN")]
    value_column: Option<String>,
    /// CSV: the column that says what it did
    #[arg(long, value_name = "COLUMN")]
    behaviour_column: Option<String>,
    /// One JSON document with all that was read, passed over and refused
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// A STIX 2.1 or 2.0 bundle, a TAXII envelope, a list of objects, or one object
    Stix,
    /// MISP events as JSON
    Misp,
    /// CrowdSec alerts as JSON
    Crowdsec,
    /// One observable a line
    List,
    /// A table with a header
    Csv,
}

/// Runs the command.
pub fn run(import: &Import) -> Outcome {
    let bytes = foreign::read(&import.file, Limits::FILE.bytes)?;
    let reading = reading(import, &bytes, now()).map_err(|e| foreign::wrong(&import.file, &e))?;
    match import.json {
        true => out::json(&Told::of(&reading)),
        false => print(import, &reading),
    }
    Ok(if reading.refused.is_empty() { Exit::Done } else { Exit::Partial })
}

fn reading(import: &Import, bytes: &[u8], now: Timestamp) -> Result<Reading, model::ParseError> {
    let Import { tlp, unnamed, actions, .. } = *import;
    let handling = Handling { tlp, group: import.group.clone(), unnamed, actions };
    let defaults = Defaults { handling, behaviour: import.behaviour, sensor: import.sensor, grade: import.grade };
    let (limits, latest) = (Limits::FILE, now.plus(SKEW));
    match import.format {
        Format::Stix => of_stix(import, bytes, &defaults, latest),
        Format::Misp => misp::read(bytes, &limits, &defaults, latest),
        Format::Crowdsec => crowdsec::read(bytes, &limits, &defaults, latest),
        Format::List => list::read(bytes, &limits, &defaults, now),
        Format::Csv => {
            let (value, behaviour) = (import.value_column.clone(), import.behaviour_column.clone());
            table::read(bytes, &Columns { value, behaviour, ..Columns::default() }, &limits, &defaults, now)
        }
    }
}

fn of_stix(
    import: &Import,
    bytes: &[u8],
    defaults: &Defaults,
    latest: Timestamp,
) -> Result<Reading, model::ParseError> {
    let split = Split::read(bytes, &Limits::FILE)?;
    let ours = import.findings.as_ref().map(|file| findings(file, &import.alliance)).transpose()?.unwrap_or_default();
    let markings = Markings::new(&import.alliance, &import.group);
    let finding = |id: &str| ours.get(id).copied();
    let latest = StixTime::from(latest);
    let context = Context { defaults, markings, finding: &finding, latest, words_max: usize::MAX };
    Ok(stix::read(&split.objects, context))
}

/// The findings of a file, by the identifiers of their indicators.
fn findings(file: &std::path::Path, alliance: &str) -> Result<BTreeMap<String, FindingId>, model::ParseError> {
    let wrong = |what: &str| model::ParseError::new("findings", what, "what `epimachia finding list --json` prints");
    let bytes = foreign::read(file, Limits::FILE.bytes).map_err(|_| wrong(&file.display().to_string()))?;
    let findings: Vec<Finding> = serde_json::from_slice(&bytes).map_err(|e| wrong(&e.to_string()))?;
    Ok(findings.iter().map(|finding| (back::indicator_id(alliance, &finding.id), finding.id)).collect())
}

fn print(import: &Import, reading: &Reading) {
    for (_, sighting) in reading.sightings() {
        // A sighting is a plain struct of texts and numbers: serde_json cannot fail on it.
        out::line(serde_json::to_string(sighting).unwrap_or_default());
    }
    for (_, word) in &reading.words {
        said(word);
    }
    let mut skips: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, skip) in &reading.skipped {
        *skips.entry(skip.as_str()).or_default() += 1;
    }
    for (skip, n) in skips {
        out::say(format_args!("Passed over: {n} {skip}"));
    }
    for (place, error) in reading.refused.iter().take(TOLD_MAX) {
        out::say(format_args!("Refused: {} {}: {error}", noun(import.format), place + 1));
    }
    let (sightings, refused) = (reading.sightings().count(), reading.refused.len());
    out::say(format_args!("{} read, {refused} refused. Nothing was sent.", out::count(sightings, "sighting")));
    if sightings > 0 {
        out::say("Next: epimachia sighting add --from FILE  (FILE holds what was printed)");
    }
}

/// What is no sighting is for a person to sign.
fn said(word: &Word) {
    match word {
        Word::Sighting(_) => {}
        Word::Dispute { finding, ground, reason } => {
            let ground = serde_json::to_value(ground).ok().and_then(|g| g.as_str().map(str::to_owned));
            let (ground, reason) = (ground.unwrap_or_default(), model::parse::printable(reason));
            out::say(format_args!("Disputed: {finding}, {ground}: {reason}"));
            out::say(format_args!("Next: epimachia finding dispute {finding} --ground {ground} --reason WHY"));
        }
        Word::Agreement { finding } => out::say(format_args!("Agreed with: {finding}")),
        Word::Retraction { observables, .. } => {
            for observable in observables {
                out::say(format_args!("Taken back by its sender: {observable}"));
                out::say(format_args!("Next: epimachia sighting retract {observable}  (if you had reported it)"));
            }
        }
    }
}

const fn noun(format: Format) -> &'static str {
    match format {
        Format::Stix => "object",
        Format::Misp => "attribute",
        Format::Crowdsec => "alert",
        Format::List => "line",
        Format::Csv => "row",
    }
}

/// All of a reading, for machines. Places count from 1.
#[derive(Serialize)]
struct Told<'a> {
    sightings: Vec<&'a Sighting>,
    disputed: Vec<FindingId>,
    agreed: Vec<FindingId>,
    retracted: Vec<String>,
    skipped: Vec<Skipped>,
    refused: Vec<Refused<'a>>,
}

#[derive(Serialize)]
struct Skipped {
    place: usize,
    why: &'static str,
}

#[derive(Serialize)]
struct Refused<'a> {
    place: usize,
    field: &'a str,
    value: &'a str,
    allowed: &'a str,
}

impl<'a> Told<'a> {
    fn of(reading: &'a Reading) -> Self {
        let mut told = Self {
            sightings: reading.sightings().map(|(_, sighting)| sighting).collect(),
            disputed: Vec::new(),
            agreed: Vec::new(),
            retracted: Vec::new(),
            skipped: reading.skipped.iter().map(|(p, s)| Skipped { place: p + 1, why: s.as_str() }).collect(),
            refused: Vec::new(),
        };
        for (_, word) in &reading.words {
            match word {
                Word::Sighting(_) => {}
                Word::Dispute { finding, .. } => told.disputed.push(*finding),
                Word::Agreement { finding } => told.agreed.push(*finding),
                Word::Retraction { observables, .. } => {
                    told.retracted.extend(observables.iter().map(ToString::to_string));
                }
            }
        }
        told.refused.extend(reading.refused.iter().map(|(place, error)| Refused {
            place: place + 1,
            field: &error.field,
            value: &error.value,
            allowed: &error.allowed,
        }));
        told
    }
}

//! `epimachia finding`: what the alliance holds of an observable, with the sum behind it; disputes.

use crate::ask::{Change, Read, connect};
use crate::client::answers::{Why, Written};
use crate::client::settings::Signer;
use crate::client::{Client, ITEMS_MAX, Settings};
use crate::clock::{now, short};
use crate::exit::{Exit, Failure, Outcome};
use crate::{ids, out, why_view};
use clap::{Args, Subcommand, ValueEnum};
use model::{Dispute, Finding, FindingId, FindingState, Ground, SignedDispute};
use serde_json::Value;

/// Longest reason of a dispute, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What to do with findings.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List findings
    List {
        /// Only those in this state
        #[arg(long, value_enum)]
        state: Option<State>,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=ITEMS_MAX as i64))]
        max: u32,
        #[command(flatten)]
        read: Read,
    },
    /// Show one finding: its sum, where it is blocked, who disputes it
    Show {
        /// Its identifier, or a beginning of it
        id: String,
        #[command(flatten)]
        read: Read,
    },
    /// Find findings by what they are about
    Search(Box<crate::search_cmd::Findings>),
    /// Object to a finding; signed here with your own key
    Dispute(Objection),
}

/// The states of findings, for the command line.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    Observed,
    Corroborated,
    Guarded,
    Faded,
    Revoked,
}

impl From<State> for FindingState {
    fn from(state: State) -> Self {
        match state {
            State::Observed => Self::Observed,
            State::Corroborated => Self::Corroborated,
            State::Guarded => Self::Guarded,
            State::Faded => Self::Faded,
            State::Revoked => Self::Revoked,
        }
    }
}

/// Why a finding is disputed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum GroundWord {
    /// It is not harmful
    FalsePositive,
    /// It is our own, and clean
    OwnAsset,
    /// It was harmful and is no longer
    Stale,
}

/// An objection.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  epimachia finding dispute fin-7k2q --ground false-positive --reason 'our own scanner, ticket 4711'
Next: epimachia finding show")]
pub struct Objection {
    /// The finding's identifier, or a beginning of it
    id: String,
    /// On what ground
    #[arg(long, value_enum)]
    ground: GroundWord,
    /// In words, at most 500 characters
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    change: Change,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { state, max, read } => list(state, max as usize, &read),
        Command::Show { id, read } => show(&id, &read),
        Command::Search(asked) => crate::search_cmd::findings(&asked),
        Command::Dispute(objection) => dispute(&objection),
    }
}

fn list(state: Option<State>, max: usize, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let state = state.map(|state| ("state", FindingState::from(state).as_str().to_owned()));
    let query: Vec<(&str, String)> = state.into_iter().collect();
    if read.json {
        out::json_list(&client.list::<Value>("/api/v1/findings", &query, max)?);
        return Ok(Exit::Done);
    }
    let findings: Vec<Finding> = client.list("/api/v1/findings", &query, max)?;
    let row = |finding: &Finding| {
        let behaviours: Vec<&str> = finding.behaviours.iter().map(|b| b.as_str()).collect();
        vec![
            finding.id.to_string(),
            finding.state.to_string(),
            finding.observable.to_string(),
            behaviours.join(","),
            format!("{:.3} of {:.3}", finding.sum.total, finding.sum.threshold),
            finding.sum.lines.len().to_string(),
            short(finding.last),
        ]
    };
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    out::table(&["FINDING", "STATE", "WHAT", "BEHAVIOUR", "POINTS", "MEMBERS", "LAST SEEN"], &rows);
    match rows.len() {
        0 => out::say("No findings. One member's report is not enough. Next: epimachia sighting list"),
        n if n == max => out::say(format_args!("There may be more than {max}: give --max.")),
        _ => out::say("Next: epimachia finding show ID"),
    }
    Ok(Exit::Done)
}

fn show(id: &str, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let id: FindingId = ids::resolve(&client, id)?;
    if read.json {
        out::pass(client.value(&format!("/api/v1/findings/{id}"), &[])?);
        return Ok(Exit::Done);
    }
    let mut why: Why = client.get("/api/v1/why", &[("value", id.to_string())])?;
    why.findings.retain(|shown| shown.finding.id == id);
    why_view::why(&why, now()).iter().for_each(out::line);
    why_view::next_steps(&why).iter().for_each(out::say);
    Ok(Exit::Done)
}

fn dispute(objection: &Objection) -> Outcome {
    let change = &objection.change;
    let settings = Settings::load(&change.connect)?;
    let (person, key) = settings.signer(&objection.signer)?;
    if objection.reason.trim().is_empty() || objection.reason.chars().count() > REASON_CHARS_MAX {
        return Err(Failure::Usage(format!("--reason: 1 to {REASON_CHARS_MAX} characters")));
    }
    let client = Client::open(&settings)?;
    let finding: FindingId = ids::resolve(&client, &objection.id)?;
    let ground = match objection.ground {
        GroundWord::FalsePositive => Ground::FalsePositive,
        GroundWord::OwnAsset => Ground::OwnAsset,
        GroundWord::Stale => Ground::Stale,
    };
    let reason = objection.reason.clone();
    let dispute = Dispute { finding, person, key: key.public().id(), ground, reason, made: now() };
    let signed = SignedDispute::sign(dispute, &key);
    if change.dry_run {
        out::json(&signed);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    let written: Written = client.post("/api/v1/disputes", &signed)?;
    match change.json {
        true => out::json(&written),
        false => {
            out::line(format_args!(
                "{} disputes {finding}: {}, entry {}.",
                signed.dispute.person,
                signed.id(),
                written.position
            ));
            out::say(format_args!("Next: epimachia finding show {finding}"));
        }
    }
    Ok(Exit::Done)
}

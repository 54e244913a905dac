//! Sending sightings: signed with the member's key, or vouched for by the hub; and taking them back.

use crate::agent_cmd::order;
use crate::ask::{self, Change};
use crate::client::answers::{NextSequence, Written};
use crate::client::settings::Beside;
use crate::client::{Client, Settings};
use crate::clock::now;
use crate::exit::{Exit, Failure, Outcome};
use crate::member_side::MemberSide;
use crate::{keys, out, progress};
use agent::Request;
use clap::Args;
use hub::wire::ReportHead;
use model::sighting::BATCH_SIGHTINGS_MAX;
use model::{
    Actions, Batch, Behaviour, Grade, GroupId, Handling, MemberId, Observable, Opening, Retraction, Salt, Sensor,
    Sighting, SignedRetraction, SigningKey, Timestamp, Tlp,
};
use serde_json::json;
use std::io::BufRead as _;
use std::path::{Path, PathBuf};

/// Most sightings of one file.
const FILE_SIGHTINGS_MAX: usize = 1_000_000;
/// Longest reason of a retraction, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What was seen.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia sighting add 203.0.113.7 --behaviour bruteforce --count 40
  epimachia sighting add 'hxxp://bad[.]example/x' --behaviour phishing --tlp amber
  epimachia sighting add --from sightings.jsonl --member telecom --key telecom.key
With an agent (--agent) the agent signs. Without agent and key the hub vouches for you: people are told, and no machine
acts on it.
Next: epimachia why VALUE")]
pub struct Add {
    /// What was seen: address, prefix, domain, web address or file hash; defanged is fine
    #[arg(value_parser = ask::pasted, required_unless_present = "from", conflicts_with = "from")]
    value: Option<Observable>,
    /// A file with one sighting as JSON a line
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// What it did
    #[arg(long, required_unless_present = "from", value_parser = ask::word(Behaviour::ALL, Behaviour::as_str))]
    behaviour: Option<Behaviour>,
    /// When it was first seen; now where it is left out
    #[arg(long)]
    first: Option<Timestamp>,
    /// When it was last seen; now where it is left out
    #[arg(long)]
    last: Option<Timestamp>,
    /// How many times
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// What saw it
    #[arg(long, default_value = "analyst", value_parser = ask::word(Sensor::ALL, Sensor::as_str))]
    sensor: Sensor,
    /// How hard it is to forge
    #[arg(long, default_value = "analyst", value_parser = ask::word(Grade::ALL, Grade::as_str))]
    grade: Grade,
    /// Who may see it
    #[arg(long, default_value = "green", value_parser = ask::word(Tlp::ALL, Tlp::as_str))]
    tlp: Tlp,
    /// Only this sharing group may see it
    #[arg(long)]
    group: Option<GroupId>,
    /// Stay unnamed: to all others it is from "a member", and no machine acts upon it
    #[arg(long)]
    unnamed: bool,
    /// What recipients may do with it (FIRST IEP); below internal, no machine acts upon it
    #[arg(long, default_value = "direct", value_parser = ask::word(Actions::ALL, Actions::as_str))]
    actions: Actions,
    #[command(flatten)]
    author: Author,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    beside: Beside,
}

/// Whose key signs; where an agent runs, the agent signs, and two must not number submissions at once.
#[derive(Args, Debug)]
struct Author {
    /// The member that signs
    #[arg(long, requires = "member_key")]
    member: Option<MemberId>,
    /// File with the member's secret key; it stays on this machine. Not beside a running agent
    #[arg(long = "key", id = "member_key", value_name = "FILE", requires = "member")]
    key: Option<PathBuf>,
}

/// What is taken back.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  epimachia sighting retract 203.0.113.7 --behaviour scan --reason 'our own scanner' --agent /var/lib/epimachia-agent
With an agent (--agent) the agent signs and numbers it. Without one, give --member and --key.
Next: epimachia why VALUE")]
pub struct Retract {
    /// Which value; defanged is fine
    #[arg(value_parser = ask::pasted)]
    value: Observable,
    /// As which behaviour it was reported; its whole family is taken back
    #[arg(long, value_parser = ask::word(Behaviour::ALL, Behaviour::as_str))]
    behaviour: Behaviour,
    /// Why, in words, at most 500 characters
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    author: Author,
    #[command(flatten)]
    change: Change,
    #[command(flatten)]
    beside: Beside,
}

/// Reports.
pub(super) fn add(add: &Add) -> Outcome {
    let sightings = match &add.from {
        Some(file) => read(file)?,
        None => vec![one(add)?],
    };
    if add.change.dry_run {
        out::json_list(&sightings);
        out::say(format_args!("{}. Nothing was sent.", out::count(sightings.len(), "sighting")));
        return Ok(Exit::Done);
    }
    let signer = match (&add.author.member, &add.author.key) {
        (Some(member), Some(file)) => Some((member.clone(), keys::read(file)?)),
        _ => None,
    };
    let settings = Settings::load(&add.change.connect)?;
    if let Some(side) = MemberSide::known(&settings, &add.beside).filter(|_| signer.is_none()) {
        return through_agent(&side, &sightings, add.change.json);
    }
    let client = Client::open(&settings)?;
    let bar = progress::entries(sightings.len() as u64, "Reporting");
    let mut last = None;
    for (n, part) in sightings.chunks(BATCH_SIGHTINGS_MAX).enumerate() {
        let sent = match &signer {
            Some((member, key)) => signed(&client, member, key, part),
            None => client.post_lines("/api/v1/sightings", lines(part)?),
        };
        last = Some(sent.map_err(|failure| in_part(failure, n * BATCH_SIGHTINGS_MAX, sightings.len()))?);
        bar.inc(part.len() as u64);
    }
    bar.finish_and_clear();
    tell(add, &sightings, signer.is_some(), last);
    Ok(Exit::Done)
}

/// The agent signs, numbers and keeps them until the hub has them.
fn through_agent(side: &MemberSide, sightings: &[Sighting], json: bool) -> Outcome {
    for part in sightings.chunks(BATCH_SIGHTINGS_MAX) {
        let request = Request::Report { sightings: part.to_vec() };
        match json {
            true => drop(side.value(&request)?),
            false => drop(order(side, &request, false)?),
        }
    }
    if json {
        waits(sightings.len());
    }
    Ok(Exit::Done)
}

/// What waits with the agent has no place in the journal yet.
fn waits(accepted: usize) {
    out::json(&json!({ "accepted": accepted, "position": null }));
}

fn tell(add: &Add, sightings: &[Sighting], signed: bool, last: Option<Written>) {
    let Some(written) = last else { return out::say("The file holds no sighting. Nothing was sent.") };
    if add.change.json {
        return out::json(&Written { accepted: sightings.len(), ..written });
    }
    let by = if signed { "signed" } else { "not signed: people are told, no machine acts on it" };
    let count = out::count(sightings.len(), "sighting");
    out::line(format_args!("{count} reported, {by}; entry {}.", written.position));
    if let [only] = sightings {
        out::say(format_args!("Next: epimachia why {}", only.observable));
    }
}

/// What was sent before stays sent.
fn in_part(failure: Failure, sent: usize, all: usize) -> Failure {
    if sent > 0 {
        out::say(format_args!(
            "Sent in part: the first {sent} of {all} sightings stand in the journal, the rest does not."
        ));
    }
    failure
}

fn one(add: &Add) -> Result<Sighting, Failure> {
    let (Some(observable), Some(behaviour)) = (&add.value, add.behaviour) else {
        return Err(Failure::Usage("VALUE and --behaviour are needed, or --from".to_owned()));
    };
    let last = add.last.unwrap_or_else(now);
    let sighting = Sighting {
        observable: observable.clone(),
        behaviour,
        first: add.first.unwrap_or(last),
        last,
        count: add.count,
        sensor: add.sensor,
        grade: add.grade,
        handling: Handling { tlp: add.tlp, group: add.group.clone(), unnamed: add.unnamed, actions: add.actions },
    };
    let text = serde_json::to_string(&sighting).map_err(|e| Failure::failed(e, ""))?;
    Ok(Sighting::parse(&text)?)
}

fn read(file: &Path) -> Result<Vec<Sighting>, Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}; nothing was sent", file.display()), "");
    let opened = std::fs::File::open(file).map_err(|e| failed(e.to_string()))?;
    let mut sightings = Vec::new();
    for (n, line) in std::io::BufReader::new(opened).lines().enumerate() {
        let line = line.map_err(|e| failed(e.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        if sightings.len() >= FILE_SIGHTINGS_MAX {
            return Err(failed(format!("more than {FILE_SIGHTINGS_MAX} sightings")));
        }
        sightings.push(Sighting::parse(&line).map_err(|refusal| failed(format!("line {}: {refusal}", n + 1)))?);
    }
    Ok(sightings)
}

fn lines(sightings: &[Sighting]) -> Result<String, Failure> {
    let lines = sightings.iter().map(|s| serde_json::to_string(s).map(|line| line + "\n")).collect::<Result<_, _>>();
    lines.map_err(|e| Failure::failed(e, ""))
}

fn signed(client: &Client, member: &MemberId, key: &SigningKey, part: &[Sighting]) -> Result<Written, Failure> {
    let next: NextSequence = client.get(&format!("/api/v1/members/{member}/sequence"), &[])?;
    let openings = part.iter().map(|s| Ok(Opening::seal(Salt(random()?), s))).collect::<Result<Vec<_>, Failure>>()?;
    let batch = Batch::seal(member.clone(), key, next.next, now(), openings);
    let head = ReportHead { header: batch.header, signature: batch.signature };
    let mut text = serde_json::to_string(&head).map_err(|e| Failure::failed(e, ""))?;
    for opening in &batch.openings {
        text.push('\n');
        text.push_str(&serde_json::to_string(opening).map_err(|e| Failure::failed(e, ""))?);
    }
    client.post_lines("/api/v1/sightings", text)
}

fn random() -> Result<[u8; 16], Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| Failure::failed(format_args!("no random numbers: {e}"), ""))?;
    Ok(bytes)
}

/// Takes back.
pub(super) fn retract(wish: &Retract) -> Outcome {
    if wish.reason.trim().is_empty() || wish.reason.chars().count() > REASON_CHARS_MAX {
        return Err(Failure::Usage(format!("--reason: 1 to {REASON_CHARS_MAX} characters")));
    }
    let settings = Settings::load(&wish.change.connect)?;
    let (author, key) = match (&wish.author.member, &wish.author.key) {
        (Some(member), Some(file)) => (member.clone(), keys::read(file)?),
        _ => return retract_through_agent(wish, &MemberSide::open(&wish.beside)?),
    };
    let client = Client::open(&settings)?;
    let NextSequence { next: sequence } = client.get(&format!("/api/v1/members/{author}/sequence"), &[])?;
    let (observable, behaviour, reason) = (wish.value.clone(), wish.behaviour, wish.reason.clone());
    let made = now();
    let retraction = Retraction { author, key: key.public().id(), sequence, made, observable, behaviour, reason };
    let signed = SignedRetraction::sign(retraction, &key);
    if wish.change.dry_run {
        out::json(&signed);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    let written: Written = client.post("/api/v1/retractions", &signed)?;
    match wish.change.json {
        true => out::json(&written),
        false => {
            let author = &signed.retraction.author;
            out::line(format_args!("{author} takes back {}, entry {}.", wish.value, written.position));
            out::say(format_args!("Next: epimachia why {}", wish.value));
        }
    }
    Ok(Exit::Done)
}

/// The agent signs and numbers it, after what it sent before.
fn retract_through_agent(wish: &Retract, side: &MemberSide) -> Outcome {
    let request =
        Request::Retract { value: wish.value.clone(), behaviour: wish.behaviour, reason: wish.reason.clone() };
    if wish.change.dry_run {
        out::json(&request);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    if wish.change.json {
        side.value(&request)?;
        waits(1);
        return Ok(Exit::Done);
    }
    order(side, &request, false)
}

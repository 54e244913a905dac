//! Joining an alliance as a company, and leaving it: apply, prove, sponsor, vote, object, suspend, restore, leave.

use crate::ask::{Change, confirm, connect};
use crate::client::answers::Written;
use crate::client::settings::Signer;
use crate::client::{Client, Settings};
use crate::clock::now;
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use alliance::KeysView;
use clap::{Args, ValueEnum};
use model::membership::{Application, Claim, MembershipStatement, Say, Word};
use model::{Capability, Domain, MemberId, MemberKind, PersonId, Prefix, PublicKey, Segment, Span};
use std::path::{Path, PathBuf};

/// Longest statement that is read from a file, in bytes.
const STATEMENT_BYTES_MAX: u64 = 64 << 10;

/// `member apply`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia member apply --alliance our.alliance --member shop --name 'Shop AG' --segments enterprise \\
    --key shop.key --contact soc@shop.example > shop.application
Nothing is sent: hand the file to a member that knows you.
Next: that member types   epimachia member hand-in shop.application")]
pub struct Apply {
    /// The alliance's name
    #[arg(long)]
    alliance: String,
    /// The short name that the company wants, for ever
    #[arg(long)]
    member: MemberId,
    /// The company's name as people write it
    #[arg(long)]
    name: String,
    /// How far it wants to belong
    #[arg(long, default_value = "full", value_parser = crate::ask::word(MemberKind::ALL, MemberKind::as_str))]
    kind: MemberKind,
    /// Which parts of the ecosystem it belongs to; several with commas
    #[arg(long, required = true, value_delimiter = ',', value_parser = crate::ask::word(Segment::ALL, Segment::as_str))]
    segments: Vec<Segment>,
    /// What it can do for others; several with commas
    #[arg(long, value_delimiter = ',', value_parser = crate::ask::word(Capability::ALL, Capability::as_str))]
    capabilities: Vec<Capability>,
    /// A person and the public half of their own key, as `name@member=PUBLIC`; may be given again
    #[arg(long = "with-person", value_name = "PERSON=PUBLIC", value_parser = person_key)]
    persons: Vec<(PersonId, PublicKey)>,
    /// How a person reaches it
    #[arg(long)]
    contact: String,
    /// The secret key file of its agent, which signs
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

fn person_key(text: &str) -> Result<(PersonId, PublicKey), String> {
    let (person, public) = text.split_once('=').ok_or("name@member=PUBLIC")?;
    let person = person.parse().map_err(|e: model::ParseError| e.to_string())?;
    Ok((person, public.parse().map_err(|e: model::ParseError| e.to_string())?))
}

/// `member prove`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia member prove --alliance our.alliance --member shop --prefixes 198.51.100.0/24 --key shop.key \\
    --proof 'RIPE inetnum, our maintainer' > shop.claim
Nothing is sent: hand the file to a member that knows you.
Next: that member types   epimachia member hand-in shop.claim")]
pub struct Prove {
    /// The alliance's name
    #[arg(long)]
    alliance: String,
    /// The short name that the company applied with
    #[arg(long)]
    member: MemberId,
    /// Networks that are its own; several with commas
    #[arg(long, value_delimiter = ',')]
    prefixes: Vec<Prefix>,
    /// Names that are its own, each with everything below it; several with commas
    #[arg(long, value_delimiter = ',')]
    domains: Vec<Domain>,
    /// Autonomous systems that are its own; several with commas
    #[arg(long, value_delimiter = ',')]
    asns: Vec<u32>,
    /// Why anybody should believe it, at most 2000 characters
    #[arg(long)]
    proof: String,
    /// The secret key file that signed the application
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// `member hand-in`
#[derive(Args, Debug)]
pub struct HandIn {
    /// What `member apply` or `member prove` wrote
    file: PathBuf,
    #[command(flatten)]
    change: Change,
}

/// A person's word.
#[derive(Args, Debug)]
pub struct Saying {
    /// About whom
    member: MemberId,
    /// Why, in words, at most 500 characters
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    signer: Signer,
    #[command(flatten)]
    change: Change,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Vote {
    /// It may belong
    Yes,
    /// It may not
    No,
}

/// `member vote`
#[derive(Args, Debug)]
pub struct Voting {
    /// Yes or no
    vote: Vote,
    #[command(flatten)]
    said: Saying,
}

/// `member leave`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia member leave shop --reason 'sold to another house'
Only a person of the member itself. Its tokens, join tokens and certificates end at once. If it may never count again what a
key signs: epimachia key revoke before.")]
pub struct Leave {
    #[command(flatten)]
    said: Saying,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// `member suspend`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia member suspend shop --for 3d --reason 'sends what its honeypot invents'
Takes a person of a member with the role admin. It ends by itself; a charter ends or confirms it before.
Next: epimachia member restore MEMBER, or epimachia charter draft")]
pub struct Suspend {
    #[command(flatten)]
    said: Saying,
    /// For how long; the charter bounds it
    #[arg(long = "for", default_value = "7d", value_name = "SPAN")]
    lasts: Span,
    /// Do it without asking
    #[arg(long)]
    yes: bool,
}

/// Writes a signed application.
pub(super) fn apply(wish: &Apply) -> Outcome {
    let key = crate::keys::read(&wish.key)?;
    let application = Application {
        alliance: wish.alliance.clone(),
        member: wish.member.clone(),
        name: wish.name.clone(),
        kind: wish.kind,
        segments: wish.segments.iter().copied().collect(),
        capabilities: wish.capabilities.iter().copied().collect(),
        key: key.public(),
        persons: wish.persons.iter().cloned().collect(),
        contact: wish.contact.clone(),
        made: now(),
    };
    written(&MembershipStatement::apply(application, &key))
}

/// Writes a signed claim.
pub(super) fn prove(wish: &Prove) -> Outcome {
    let key = crate::keys::read(&wish.key)?;
    let claim = Claim {
        alliance: wish.alliance.clone(),
        member: wish.member.clone(),
        prefixes: wish.prefixes.iter().copied().collect(),
        domains: wish.domains.iter().cloned().collect(),
        asns: wish.asns.iter().copied().collect(),
        proof: wish.proof.clone(),
        made: now(),
    };
    written(&MembershipStatement::claim(claim, &key))
}

fn written(statement: &MembershipStatement) -> Outcome {
    statement.check()?;
    out::json_list_item(statement);
    out::say("Next: a member types   epimachia member hand-in FILE");
    Ok(Exit::Done)
}

/// Hands in what an applicant signed.
pub(super) fn hand_in(wish: &HandIn) -> Outcome {
    let statement: MembershipStatement =
        serde_json::from_str(&read(&wish.file)?).map_err(|e| unreadable(&wish.file, &e))?;
    statement.check()?;
    send(&connect(&wish.change.connect)?, &statement, "handed in", &wish.change)
}

fn read(file: &Path) -> Result<String, Failure> {
    let length = std::fs::metadata(file).map_err(|e| unreadable(file, &e))?.len();
    if length > STATEMENT_BYTES_MAX {
        return Err(unreadable(file, &format_args!("{length} bytes, at most {STATEMENT_BYTES_MAX}")));
    }
    std::fs::read_to_string(file).map_err(|e| unreadable(file, &e))
}

fn unreadable(file: &Path, what: &impl std::fmt::Display) -> Failure {
    Failure::failed(format_args!("{}: {what}", file.display()), "epimachia member apply, or member prove")
}

/// Says something about somebody.
pub(super) fn say(wish: &Saying, say: Say) -> Outcome {
    let settings = Settings::load(&wish.change.connect)?;
    let (person, key) = settings.signer(&wish.signer)?;
    let client = Client::open(&settings)?;
    let keys: KeysView = client.get("/api/v1/keys", &[("member", person.member().to_string())])?;
    let alliance = keys.alliance;
    let (member, reason, made) = (wish.member.clone(), wish.reason.clone(), now());
    let word = Word { alliance, member, say, person, key: key.public().id(), made, reason };
    send(&client, &MembershipStatement::say(word, &key), say.as_str(), &wish.change)
}

/// Votes.
pub(super) fn vote(wish: &Voting) -> Outcome {
    say(&wish.said, if matches!(wish.vote, Vote::Yes) { Say::Yes } else { Say::No })
}

/// Suspends.
pub(super) fn suspend(wish: &Suspend) -> Outcome {
    if !wish.said.change.dry_run {
        let question = format!("{} is not heard any more, at once, for {}.", wish.said.member, wish.lasts);
        confirm(&question, wish.yes)?;
    }
    say(&wish.said, Say::Suspend { until: now().plus(wish.lasts) })
}

/// Leaves.
pub(super) fn leave(wish: &Leave) -> Outcome {
    if !wish.said.change.dry_run {
        let question = format!("{} leaves: its tokens, join tokens and certificates end at once.", wish.said.member);
        confirm(&question, wish.yes)?;
    }
    say(&wish.said, Say::Leave)
}

fn send(client: &Client, statement: &MembershipStatement, what: &str, change: &Change) -> Outcome {
    if change.dry_run {
        out::json_list_item(statement);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    let written: Written = client.post("/api/v1/membership", statement)?;
    match change.json {
        true => out::json(&written),
        false if written.duplicate => {
            out::line(format_args!("{}: {what} before, entry {}.", statement.member(), written.position));
        }
        false => out::line(format_args!("{}: {what}, entry {}.", statement.member(), written.position)),
    }
    out::say(format_args!("Next: epimachia member show {}", statement.member()));
    Ok(Exit::Done)
}

//! `epimachia member`: who belongs, in what standing, last heard when.

mod invite;
mod standing;

use crate::ask::{Change, Read, connect};
use crate::client::answers::MemberView;
use crate::clock::{length, now, short, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use clap::Subcommand;
use model::{MemberId, Span};
use serde_json::Value;

/// What to do with members.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the members of the charter in force
    List {
        #[command(flatten)]
        read: Read,
    },
    /// Show one member
    Show {
        /// Its short name
        member: MemberId,
        #[command(flatten)]
        read: Read,
    },
    /// Show what members' reports were worth to the others, counted from the journal
    Standing(standing::Wish),
    /// Make a join token, with which one agent of a member joins
    Invite(invite::Invite),
    /// List the join tokens that are open, without their secrets
    Invites {
        #[command(flatten)]
        read: Read,
    },
    /// Revoke a join token that nobody has used
    Uninvite {
        /// The join token's identifier, or a beginning of it
        id: String,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        change: Change,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { read } => list(&read),
        Command::Show { member, read } => show(&member, &read),
        Command::Standing(wish) => standing::run(&wish),
        Command::Invite(wish) => invite::invite(&wish),
        Command::Invites { read } => invite::list(&read),
        Command::Uninvite { id, yes, change } => invite::revoke(&id, yes, &change),
    }
}

fn list(read: &Read) -> Outcome {
    let members: Vec<Value> = connect(&read.connect)?.list("/api/v1/members", &[], usize::MAX)?;
    if read.json {
        out::json_list(&members);
        return Ok(Exit::Done);
    }
    let rows = members.into_iter().map(|member| serde_json::from_value(member).map(row)).collect::<Result<Vec<_>, _>>();
    let rows = rows.map_err(|e| Failure::failed(e, "epimachia version"))?;
    out::table(
        &["MEMBER", "COMPANY", "KIND", "STANDING", "WEIGHT", "SIGHTINGS", "LAST HEARD", "PROTECTED AFTER"],
        &rows,
    );
    Ok(Exit::Done)
}

fn row(member: MemberView) -> Vec<String> {
    vec![
        member.id.to_string(),
        member.name,
        member.kind,
        member.standing,
        format!("{:.3}", member.weight),
        member.sightings.to_string(),
        member.heard.map_or_else(|| "never".to_owned(), short),
        protected(member.protection_millis),
    ]
}

fn protected(millis: Option<i64>) -> String {
    match millis {
        None => "not measured".to_owned(),
        Some(millis @ ..10_000) => format!("{millis} ms"),
        Some(millis) => length(Span::millis(millis)),
    }
}

fn show(member: &MemberId, read: &Read) -> Outcome {
    let members: Vec<Value> = connect(&read.connect)?.list("/api/v1/members", &[], usize::MAX)?;
    let found = members.into_iter().find(|value| value["id"] == member.as_str());
    let none = || Failure::failed(format_args!("no member is called {member}"), "epimachia member list");
    let value = found.ok_or_else(none)?;
    if read.json {
        out::pass(value);
        return Ok(Exit::Done);
    }
    let shown: MemberView = serde_json::from_value(value).map_err(|e| Failure::failed(e, "epimachia version"))?;
    out::line(format_args!("{}  {}", shown.id, shown.name));
    out::line(format_args!("  kind          {}, {}", shown.kind, shown.standing));
    out::line(format_args!("  segments      {}", words(&shown.segments)));
    out::line(format_args!("  roles         {}", words(&shown.roles)));
    out::line(format_args!("  can           {}", words(&shown.capabilities)));
    out::line(format_args!("  weight        {:.3} points", shown.weight));
    out::line(format_args!("  sightings     {}", shown.sightings));
    let heard = shown.heard.map_or_else(|| "never".to_owned(), |heard| told(heard, now()));
    out::line(format_args!("  last heard    {heard}"));
    out::line(format_args!("  protected     {} after a finding (median)", protected(shown.protection_millis)));
    Ok(Exit::Done)
}

fn words(words: &[String]) -> String {
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

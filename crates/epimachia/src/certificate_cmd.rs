//! `epimachia certificate`: the agents that are in, and locking one out.

use crate::ask::{Change, Read, confirm, connect};
use crate::client::answers::{List, Written};
use crate::clock::{now, told};
use crate::exit::{Exit, Outcome};
use crate::{ids, out};
use clap::Subcommand;
use hub::wire::CertificateView;
use model::CertificateId;

/// What to do with certificates.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List agents' certificates, also those that ended lately
    List {
        #[command(flatten)]
        read: Read,
    },
    /// Lock an agent out at once; it comes back with a new join token only
    Revoke {
        /// One of its certificates, or a beginning of the identifier
        id: String,
        /// Why, in words; every member sees it
        #[arg(long)]
        reason: String,
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
        Command::Revoke { id, reason, yes, change } => revoke(&id, &reason, yes, &change),
    }
}

fn list(read: &Read) -> Outcome {
    let mut all: List<CertificateView> = connect(&read.connect)?.get("/api/v1/certificates", &[])?;
    all.items.sort_by(|a, b| (&a.member, &a.agent, a.from).cmp(&(&b.member, &b.agent, b.from)));
    if read.json {
        out::json_list(&all.items);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
    out::table(&["CERTIFICATE", "MEMBER", "AGENT", "COUNTS", "SERIAL"], &rows);
    if rows.is_empty() {
        out::say("No agent has joined. Next: epimachia member invite MEMBER");
    }
    Ok(Exit::Done)
}

fn row(view: &CertificateView) -> Vec<String> {
    let counts = match (&view.ended, view.live) {
        (Some(ended), _) => model::parse::printable(ended),
        (None, true) => format!("until {}", told(view.until, now())),
        (None, false) => "expired".to_owned(),
    };
    vec![view.id.to_string(), view.member.to_string(), view.agent.to_string(), counts, view.serial.clone()]
}

fn revoke(id: &str, reason: &str, yes: bool, change: &Change) -> Outcome {
    let client = connect(&change.connect)?;
    let id: CertificateId = ids::resolve(&client, id)?;
    if change.dry_run {
        out::say(format_args!("The agent of {id} would be locked out. Nothing was sent."));
        return Ok(Exit::Done);
    }
    confirm(&format!("The agent of {id} is locked out at once; what it enforces ends when it expires."), yes)?;
    let path = format!("/api/v1/certificates/{id}/revocation");
    let written: Written = client.post(&path, &serde_json::json!({"reason": reason}))?;
    match change.json {
        true => out::json(&written),
        false => out::line(format_args!("The agent of {id} is locked out, entry {}.", written.position)),
    }
    Ok(Exit::Done)
}

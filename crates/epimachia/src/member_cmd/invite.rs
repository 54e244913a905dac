//! Join tokens: with one an agent of a member joins. A token is shown once, or written into a private file.

use crate::ask::{Change, Read, confirm, connect};
use crate::client::Settings;
use crate::client::answers::{List, Written};
use crate::clock::{now, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::{ids, out};
use alliance::joining::JoinTokenRecord;
use clap::Args;
use model::join::Invited;
use model::{JoinTokenId, MemberId, Span};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A wish for a join token.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia member invite cloud --file cloud.join
  epimachia member invite cloud --valid 2h --hub-url https://hub.example.org:8443
The token lets one agent in, once. Whoever has it before that agent can join in its place: hand it over on a safe way.
Next: the member types   epimachia agent join cloud.join --dir DIR")]
pub struct Invite {
    /// Whose agent may join
    member: MemberId,
    /// For how long, such as 24h; at most 30d
    #[arg(long, default_value = "24h")]
    valid: Span,
    /// The hub as the member reaches it; as you reach it where this is left out
    #[arg(long, value_name = "URL")]
    hub_url: Option<String>,
    /// A new file for the token, readable by its owner only; shown here where this is left out
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    change: Change,
}

/// Makes a join token.
pub(super) fn invite(wish: &Invite) -> Outcome {
    let client = connect(&wish.change.connect)?;
    let hub = wish.hub_url.as_deref().unwrap_or_else(|| client.hub()).trim_end_matches('/').to_owned();
    let body = serde_json::json!({"member": wish.member, "valid": wish.valid, "hub": hub});
    if wish.change.dry_run {
        out::json(&body);
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    // Made first: a token that cannot be kept would be lost.
    let file = wish.file.as_deref().map(create).transpose()?;
    let sent = client.post::<Invited>("/api/v1/join-tokens", &body);
    let invited = sent.inspect_err(|_| wish.file.iter().for_each(|file| drop(std::fs::remove_file(file))))?;
    match (file, &wish.file) {
        (Some(mut file), Some(path)) => {
            let kept = writeln!(file, "{}", invited.token).and_then(|()| file.sync_all());
            kept.map_err(|e| {
                let what = format!("{}: {e}; the join token {} is of no use", path.display(), invited.id);
                Failure::failed(what, format_args!("epimachia member uninvite {}", invited.id))
            })?;
            match wish.change.json {
                true => out::json(&serde_json::json!({
                    "id": invited.id, "member": invited.member, "expires": invited.expires, "file": path,
                })),
                false => out::line(format_args!("{} for an agent of {}", invited.id, invited.member)),
            }
            out::say(format_args!("Written to {}; it ends {}.", path.display(), told(invited.expires, now())));
        }
        _ if wish.change.json => out::json(&invited),
        _ => {
            out::line(&invited.token);
            let ends = told(invited.expires, now());
            out::say(format_args!(
                "{}: one agent of {} may join with it, once; it ends {ends}.",
                invited.id, invited.member
            ));
        }
    }
    Ok(Exit::Done)
}

fn create(path: &Path) -> Result<std::fs::File, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|e| {
        Failure::failed(format_args!("{}: {e}; no token was made", path.display()), "give --file a new name")
    })
}

/// Lists the join tokens that are open.
pub(super) fn list(read: &Read) -> Outcome {
    let tokens: List<JoinTokenRecord> = connect(&read.connect)?.get("/api/v1/join-tokens", &[])?;
    if read.json {
        out::json_list(&tokens.items);
        return Ok(Exit::Done);
    }
    let now = now();
    let row = |token: &JoinTokenRecord| vec![token.id.to_string(), token.member.to_string(), told(token.expires, now)];
    let rows: Vec<Vec<String>> = tokens.items.iter().map(row).collect();
    out::table(&["JOIN TOKEN", "MEMBER", "ENDS"], &rows);
    Ok(Exit::Done)
}

/// Revokes a join token that nobody has used.
pub(super) fn revoke(id: &str, yes: bool, change: &Change) -> Outcome {
    let client = crate::client::Client::open(&Settings::load(&change.connect)?)?;
    let id: JoinTokenId = ids::resolve(&client, id)?;
    if change.dry_run {
        out::say(format_args!("{id} would be revoked. Nothing was sent."));
        return Ok(Exit::Done);
    }
    confirm(&format!("Nobody can join with {id} any more."), yes)?;
    let written: Written = client.delete(&format!("/api/v1/join-tokens/{id}"))?;
    match change.json {
        true => out::json(&written),
        false => out::line(format_args!("{id} is revoked, entry {}.", written.position)),
    }
    Ok(Exit::Done)
}

//! `epimachia token`: access tokens for members. A secret goes into a private file and is never shown.

use crate::ask::{Change, Read, confirm, connect};
use crate::client::answers::{Token, TokenShown, Written};
use crate::clock::{now, short, told};
use crate::exit::{Exit, Failure, Outcome};
use crate::{ids, out};
use alliance::Scope;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use model::{MemberId, Span, TokenId};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What to do with tokens.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a token and write it into a new private file
    New(New),
    /// List tokens, without their secrets
    List {
        #[command(flatten)]
        read: Read,
    },
    /// Revoke a token at once
    Revoke {
        /// The token's identifier, or a beginning of it
        id: String,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        change: Change,
    },
}

/// A wish for a token.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia token new --member telecom --scope report,receive,read --label agent --valid 90d --file telecom.token
Next: give the file to the member on a safe way")]
pub struct New {
    /// For which member
    #[arg(long)]
    member: MemberId,
    /// What for; several with commas
    #[arg(long = "scope", required = true, value_delimiter = ',', value_parser = scope())]
    scopes: Vec<Scope>,
    /// A note: who holds it, for what, at most 100 characters
    #[arg(long)]
    label: String,
    /// For how long, such as 90d; at most 400d
    #[arg(long, default_value = "90d")]
    valid: Span,
    /// The new file for the token, readable by its owner only
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    change: Change,
}

fn scope() -> impl TypedValueParser<Value = Scope> {
    let find = |text: String| Scope::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or("no scope");
    PossibleValuesParser::new(Scope::ALL.map(Scope::as_str)).try_map(find)
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::New(wish) => new(&wish),
        Command::List { read } => list(&read),
        Command::Revoke { id, yes, change } => revoke(&id, yes, &change),
    }
}

fn new(wish: &New) -> Outcome {
    let body = serde_json::json!({
        "member": wish.member, "scopes": wish.scopes, "label": wish.label, "valid": wish.valid,
    });
    if wish.change.dry_run {
        out::json(&body);
        out::say(format_args!("Nothing was sent, and {} was not written.", wish.file.display()));
        return Ok(Exit::Done);
    }
    let client = connect(&wish.change.connect)?;
    // Made first: a token whose secret cannot be kept would be lost.
    let mut file = create(&wish.file)?;
    let made: TokenShown =
        client.post("/api/v1/tokens", &body).inspect_err(|_| drop(std::fs::remove_file(&wish.file)))?;
    let kept = writeln!(file, "{}", made.token).and_then(|()| file.sync_all());
    kept.map_err(|e| {
        let what = format!("{}: {e}; the token {} is of no use", wish.file.display(), made.record.id);
        Failure::failed(what, format_args!("epimachia token revoke {}", made.record.id))
    })?;
    if wish.change.json {
        out::json(&made.record);
        return Ok(Exit::Done);
    }
    let record = &made.record;
    out::line(format_args!("{} for {}: {}", record.id, record.member, record.scopes.join(", ")));
    out::say(format_args!("Written to {}; it ends {}.", wish.file.display(), short(record.expires)));
    Ok(Exit::Done)
}

fn create(path: &Path) -> Result<std::fs::File, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let what =
        |e| Failure::failed(format_args!("{}: {e}; no token was made", path.display()), "give --file a new name");
    made.map_err(what)
}

fn list(read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let mut tokens: crate::client::answers::List<Token> = client.get("/api/v1/tokens", &[])?;
    tokens.items.sort_by_key(|token| (token.member.clone(), token.made));
    if read.json {
        out::json_list(&tokens.items);
        return Ok(Exit::Done);
    }
    let now = now();
    let row = |token: &Token| {
        let ends = if token.expires <= now { "ended".to_owned() } else { told(token.expires, now) };
        vec![token.id.to_string(), token.member.to_string(), token.scopes.join(","), ends, token.label.clone()]
    };
    let rows: Vec<Vec<String>> = tokens.items.iter().map(row).collect();
    out::table(&["TOKEN", "MEMBER", "SCOPES", "ENDS", "LABEL"], &rows);
    Ok(Exit::Done)
}

fn revoke(id: &str, yes: bool, change: &Change) -> Outcome {
    let client = connect(&change.connect)?;
    let id: TokenId = ids::resolve(&client, id)?;
    if change.dry_run {
        out::say(format_args!("{id} would be revoked. Nothing was sent."));
        return Ok(Exit::Done);
    }
    confirm(&format!("Whoever uses {id} is locked out at once."), yes)?;
    let written: Written = client.delete(&format!("/api/v1/tokens/{id}"))?;
    match change.json {
        true => out::json(&written),
        false => out::line(format_args!("{id} is revoked, entry {}.", written.position)),
    }
    Ok(Exit::Done)
}

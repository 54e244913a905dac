//! `epimachia agent init`: a configuration to begin with, which shows what would be done and does nothing.

use crate::exit::{Exit, Failure, Outcome};
use crate::{keys, out};
use agent::Config;
use clap::Args;
use model::{Digest, MemberId};
use std::fs::DirBuilder;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What a new agent is to be.
#[derive(Args, Debug)]
pub struct New {
    /// The agent's directory; new, or without a configuration
    dir: PathBuf,
    /// Whose agent it is, as the charter names it
    #[arg(long)]
    member: MemberId,
    /// The member's secret key, whose public half stands in the charter
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Where the hub is
    #[arg(long, value_name = "URL")]
    hub: String,
    /// The hub's certificate (the hub's ca.pem); no other is trusted
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// File with the agent's token, of scopes report and receive
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
    /// Digest of the charter in force, as another member tells it
    #[arg(long, value_name = "DIGEST")]
    charter: Digest,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(new: &New) -> Outcome {
    keys::read(&new.key)?;
    let text = text(new)?;
    let config = Config::parse(&text)?;
    DirBuilder::new().recursive(true).mode(0o700).create(&new.dir)?;
    let path = new.dir.join("agent.toml");
    let failed =
        |e| Failure::failed(format_args!("{}: {e}; nothing was changed", path.display()), "choose another directory");
    let mut file = std::fs::File::create_new(&path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    let state = config.state.directory;
    if new.json {
        out::json(&serde_json::json!({"config": path, "state": state}));
        return Ok(Exit::Done);
    }
    out::line(format_args!("{} is written; its only point shows what would be done and does nothing.", path.display()));
    out::say(format_args!("The agent's state will be in {}: give it to other commands with --agent.", state.display()));
    out::say(format_args!("Next: epimachia agent --config {}", path.display()));
    Ok(Exit::Done)
}

fn text(new: &New) -> Result<String, Failure> {
    let quoted = |text: &dyn std::fmt::Display| toml::Value::String(text.to_string()).to_string();
    let file = |path: &Path| std::path::absolute(path).map(|path| quoted(&path.display()));
    Ok(format!(
        "[member]\nid = {}\nkey = {}\n\n[hub]\nurl = {}\nca = {}\ntoken = {}\ncharter = {}\n\n\
         # Shows what would be done, and does nothing. Put nftables or rpz beside it when you have read enough.\n\
         [[point]]\ntype = \"preview\"\nname = \"by-hand\"\n\n[state]\ndirectory = {}\n",
        quoted(&new.member),
        file(&new.key)?,
        quoted(&new.hub),
        file(&new.ca)?,
        file(&new.token_file)?,
        quoted(&new.charter),
        file(&new.dir.join("state"))?,
    ))
}

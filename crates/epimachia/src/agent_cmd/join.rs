//! `epimachia agent join`: with a join token to a certificate, the charter, and a configuration that is ready to run.

use crate::exit::{Exit, Failure, Outcome};
use crate::{keys, out};
use agent::Config;
use agent::join::{CA, IDENTITY, Joined};
use clap::Args;
use model::join::{JOIN_TOKEN_CHARS_MAX, JOIN_TOKEN_PREFIX, JoinToken};
use model::{AgentName, Digest, SigningKey};
use std::fs::DirBuilder;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// How an agent joins.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia agent join token.txt --dir /var/lib/epimachia/agent --key telecom.key --charter DIGEST
  epimachia agent join - --dir agent < token.txt
Interrupted, the same command goes on where it was.
Next: epimachia agent --config DIR/agent.toml")]
pub struct Join {
    /// The join token, a file with it, or - for standard input
    token: String,
    /// The agent's directory; new, or from a join that was interrupted
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// The member's secret key; without it a new one is made in DIR, which the charter must name before it counts
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The agent's name, where a member has several
    #[arg(long, default_value = "agent")]
    name: AgentName,
    /// Digest of the charter in force, as another member tells it; refused if the hub shows another
    #[arg(long, value_name = "DIGEST")]
    charter: Option<Digest>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(join: &Join) -> Outcome {
    let token = token(&join.token)?;
    let config = join.dir.join("agent.toml");
    if config.exists() {
        let what = format!("{} is there already; nothing was changed", config.display());
        return Err(Failure::failed(what, format_args!("epimachia agent --config {}", config.display())));
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&join.dir)?;
    let (key_file, key) = signing_key(join)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let joined = runtime.block_on(agent::join::join(&token, &join.dir, &join.name, &key, join.charter));
    let joined = joined.map_err(|error| failure(error, join))?;
    write(&config, &text(&token, &joined, &key_file, &join.dir)?)?;
    tell(join, &token, &joined, &key, &config);
    Ok(Exit::Done)
}

/// The token itself, or what stands in the file of this name.
fn token(given: &str) -> Result<JoinToken, Failure> {
    if given.trim_start().starts_with(JOIN_TOKEN_PREFIX) {
        return Ok(JoinToken::parse(given)?);
    }
    let mut text = String::new();
    let longest = JOIN_TOKEN_CHARS_MAX as u64 + 2;
    let read = match given {
        "-" => std::io::stdin().take(longest).read_to_string(&mut text),
        file => std::fs::File::open(file).and_then(|file| file.take(longest).read_to_string(&mut text)),
    };
    let what = |e| format!("{}: {e}; nothing was changed", model::parse::printable(given));
    read.map_err(|e| Failure::failed(what(e), "give the token, or the file that it stands in"))?;
    Ok(JoinToken::parse(&text)?)
}

fn signing_key(join: &Join) -> Result<(PathBuf, SigningKey), Failure> {
    let (file, made) = match &join.key {
        Some(file) => (file.clone(), true),
        None => (join.dir.join("agent.key"), join.dir.join("agent.key").exists()),
    };
    let key = if made { keys::read(&file)? } else { keys::create(&file)? };
    Ok((std::path::absolute(file)?, key))
}

fn failure(error: agent::Error, join: &Join) -> Failure {
    match error {
        agent::Error::Refused(refusal) => {
            let next = match refusal.rule {
                model::Rule::DigestMismatch => {
                    "ask another member for the charter's digest, by a way that does not go through the hub".to_owned()
                }
                model::Rule::HubUnproven => "ask who gave you the token, by another way than it came".to_owned(),
                rule if rule.name().starts_with("join_token") => {
                    "ask an admin of the alliance for a join token: epimachia member invite MEMBER".to_owned()
                }
                _ => String::new(),
            };
            Failure::Refused { refusal, next }
        }
        agent::Error::Unavailable(what) => {
            let what = format!("{what}; the token counts on");
            Failure::failed(what, format_args!("type the same again; {} is gone on with", join.dir.display()))
        }
        agent::Error::Broken(broken) => Failure::failed(broken, "mend that, then type the same again"),
    }
}

fn text(token: &JoinToken, joined: &Joined, key: &Path, dir: &Path) -> Result<String, Failure> {
    let quoted = |text: &dyn std::fmt::Display| toml::Value::String(text.to_string()).to_string();
    let text = format!(
        "[member]\nid = {}\nkey = {}\n\n[hub]\nurl = {}\nca = {}\ncertificate = {}\ncharter = {}\n\n\
         # Shows what would be done, and does nothing. Put nftables or rpz beside it when you have read enough.\n\
         [[point]]\ntype = \"preview\"\nname = \"by-hand\"\n\n[state]\ndirectory = {}\n",
        quoted(&token.member),
        quoted(&key.display()),
        quoted(&token.hub),
        quoted(&CA),
        quoted(&IDENTITY),
        quoted(&joined.charter),
        quoted(&std::path::absolute(dir.join("state"))?.display()),
    );
    Config::parse(&text)?;
    Ok(text)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = std::fs::File::create_new(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}

fn tell(join: &Join, token: &JoinToken, joined: &Joined, key: &SigningKey, config: &Path) {
    let public = key.public();
    if join.json {
        return out::json(&serde_json::json!({
            "alliance": token.alliance, "member": token.member, "agent": join.name, "hub": token.hub,
            "charter": joined.charter, "version": joined.version, "until": joined.identity.until,
            "key": public, "key_in_charter": joined.key_in_charter, "config": config,
        }));
    }
    out::line(format_args!("{} of {} has joined {}.", join.name, token.member, token.alliance));
    out::line(format_args!("Charter version {}, digest {}", joined.version, joined.charter));
    match join.charter {
        Some(_) => out::say("The digest is the one you gave."),
        None => out::say("Compare the digest with another member, by a way that does not go through the hub."),
    }
    if !joined.key_in_charter {
        out::line(format_args!(
            "The charter does not name {}'s key yet: what this agent signs does not count.",
            token.member
        ));
        out::say("Hand this line to the others, for the next charter:");
        out::line(format_args!("keys = [{{ public = \"{public}\", from = \"{}\" }}]", joined.identity.from));
    }
    out::say(format_args!("The certificate is good until {}; the agent renews it.", joined.identity.until));
    out::say(format_args!("The only point shows what would be done and does nothing: {}.", config.display()));
    out::say(format_args!("Next: epimachia agent --config {}", config.display()));
}

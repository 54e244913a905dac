//! `epimachia charter`: read, check, explain and sign charters, offline.

use crate::exit::{Exit, Failure, Outcome};
use crate::keys;
use crate::out;
use charter::{Charter, SignedCharter, SignedConsent};
use clap::Subcommand;
use model::{MemberId, Rule};
use std::path::{Path, PathBuf};

/// What to do with a charter.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Read a charter and say what it holds, or which line is wrong
    Check {
        /// The charter's TOML
        file: PathBuf,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say what a rule means; without a name, list all rules
    Explain {
        /// The rule's name, as refusals carry it
        rule: Option<String>,
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
    /// Sign a charter for a member; the signature goes to standard output
    Sign {
        /// The charter's TOML
        file: PathBuf,
        /// The member that consents
        #[arg(long)]
        member: MemberId,
        /// File with the member's secret key
        #[arg(long)]
        key: PathBuf,
    },
    /// Put a charter and its signatures together, as a hub adopts it; goes to standard output
    Assemble {
        /// The charter's TOML
        file: PathBuf,
        /// Files that `charter sign` wrote
        #[arg(required = true)]
        signatures: Vec<PathBuf>,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Check { file, json } => check(&file, json),
        Command::Explain { rule, json } => explain(rule.as_deref(), json),
        Command::Sign { file, member, key } => sign(&file, &member, &key),
        Command::Assemble { file, signatures } => assemble(&file, &signatures),
    }
}

fn check(file: &Path, json: bool) -> Outcome {
    let text = read(file)?;
    let charter = Charter::parse(&text)?;
    if json {
        out::json(&charter);
        return Ok(Exit::Done);
    }
    let (alliance, quorum) = (&charter.alliance, &charter.quorum);
    out::line(format_args!(
        "{} charter version {}, {} members.",
        alliance.name,
        alliance.version,
        charter.members.len()
    ));
    out::line(format_args!("Digest {}", Charter::digest_of(&text)));
    out::line(format_args!("Quorum: charter {}, plan {}, dispute {}.", quorum.charter, quorum.plan, quorum.dispute));
    out::say("Next: epimachia charter sign FILE --member NAME --key KEYFILE");
    Ok(Exit::Done)
}

fn explain(rule: Option<&str>, json: bool) -> Outcome {
    let rules: Vec<Rule> = match rule {
        None => Rule::ALL.to_vec(),
        Some(name) => vec![name.parse().map_err(|e: model::ParseError| Failure::Usage(e.to_string()))?],
    };
    if json {
        let items: Vec<_> = rules.iter().map(|r| serde_json::json!({"rule": r.name(), "says": r.explains()})).collect();
        out::json_list(&items);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = rules.iter().map(|r| vec![r.name().to_owned(), r.explains().to_owned()]).collect();
    out::table(&["RULE", "WHAT IT SAYS"], &rows);
    Ok(Exit::Done)
}

fn sign(file: &Path, member: &MemberId, key: &Path) -> Outcome {
    let text = read(file)?;
    let charter = Charter::parse(&text)?;
    let key = keys::read(key)?;
    let known = charter.member(member)?.keys.iter().any(|k| k.public == key.public());
    if !known {
        let what = format!("the key {} is not one of {member}'s in this charter", key.public().id());
        return Err(Failure::failed(what, "epimachia charter check FILE --json"));
    }
    let consent = SignedCharter::consent(&text, member, &key)?;
    out::json_list_item(&consent);
    out::say(format_args!("{member} consents to charter {}.", Charter::digest_of(&text)));
    Ok(Exit::Done)
}

fn assemble(file: &Path, signatures: &[PathBuf]) -> Outcome {
    let text = read(file)?;
    let consents: Vec<SignedConsent> = signatures.iter().map(|path| read_consent(path)).collect::<Result<_, _>>()?;
    let signed = SignedCharter { text, consents };
    Charter::parse(&signed.text)?;
    out::json_list_item(&signed);
    Ok(Exit::Done)
}

fn read_consent(path: &Path) -> Result<SignedConsent, Failure> {
    serde_json::from_str(&read(path)?).map_err(|e| Failure::failed(format_args!("{}: {e}", path.display()), ""))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::failed(format_args!("{}: {e}", path.display()), ""))
}

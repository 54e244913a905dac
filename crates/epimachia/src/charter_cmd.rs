//! `epimachia charter`: read, check, explain and sign charters, offline; show and adopt them on a hub.

use crate::ask::{Change, Read, connect};
use crate::client::Connect;
use crate::client::answers::Written;
use crate::exit::{Exit, Failure, Outcome};
use crate::keys;
use crate::out;
use charter::{Charter, SignedCharter, SignedConsent};
use clap::Subcommand;
use model::{Digest, MemberId, Refusal, Rule, Standing};
use std::collections::BTreeSet;
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
    /// Write the policy (C2SP tlog-policy) with which proofs of this alliance are verified offline
    Policy {
        /// The charter's TOML
        file: PathBuf,
        /// How many members must have cosigned; the charter's `witness.cosignatures` where it is left out
        #[arg(long)]
        cosignatures: Option<usize>,
    },
    /// Show the charter in force, with the digest that agents pin
    Show {
        /// Print its TOML, byte for byte
        #[arg(long, conflicts_with = "json")]
        text: bool,
        #[command(flatten)]
        read: Read,
    },
    /// Write the text of the next charter as the hub would: keys and standings as they are now; goes to standard output
    Draft {
        /// With this applicant, which was admitted, on probation
        #[arg(long, value_name = "MEMBER")]
        admit: Option<MemberId>,
        /// With this member on probation as a vetted one
        #[arg(long, value_name = "MEMBER")]
        vet: Option<MemberId>,
        #[command(flatten)]
        connect: Connect,
    },
    /// Put a charter in force that a quorum has signed; the guard lists it names are handed in first
    Adopt {
        /// The file that `charter assemble` wrote
        file: PathBuf,
        /// Folder with the guard lists that the charter names; the file's own where it is left out
        #[arg(long, value_name = "DIR")]
        lists: Option<PathBuf>,
        #[command(flatten)]
        change: Change,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::Check { file, json } => check(&file, json),
        Command::Explain { rule, json } => explain(rule.as_deref(), json),
        Command::Sign { file, member, key } => sign(&file, &member, &key),
        Command::Assemble { file, signatures } => assemble(&file, &signatures),
        Command::Policy { file, cosignatures } => policy(&file, cosignatures),
        Command::Show { text, read } => show(text, &read),
        Command::Draft { admit, vet, connect } => draft(admit.as_ref(), vet.as_ref(), &connect),
        Command::Adopt { file, lists, change } => adopt(&file, lists.as_deref(), &change),
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
    let signers = charter.signers_needed();
    out::line(format_args!("Quorum: charter {signers}, plan {}, dispute {}.", quorum.plan, quorum.dispute));
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
    let signed = SignedCharter::new(text, consents);
    Charter::parse(&signed.text)?;
    out::json_list_item(&signed);
    Ok(Exit::Done)
}

fn policy(file: &Path, cosignatures: Option<usize>) -> Outcome {
    let charter = Charter::parse(&read(file)?)?;
    let alliance = &charter.alliance;
    let log = account::VerifierKey::new(&alliance.name, alliance.hub_key.as_bytes())?;
    let named = |(member, key): (&MemberId, &model::PublicKey)| {
        let name = account::witness_name(&alliance.name, member.as_str());
        Ok::<_, model::ParseError>((member.to_string(), account::WitnessKey::new(&name, *key)?))
    };
    let witnesses = charter.witnesses().map(named).collect::<Result<Vec<_>, _>>()?;
    let least = cosignatures.unwrap_or(charter.witness.cosignatures as usize);
    out::raw(&account::Policy::of(log, least, witnesses)?.to_string());
    out::say("Next: epimachia verify PROOF --policy FILE");
    Ok(Exit::Done)
}

fn show(text: bool, read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let signed: SignedCharter = client.get("/api/v1/charter", &[])?;
    if text {
        out::raw(&signed.text);
        return Ok(Exit::Done);
    }
    if read.json {
        out::json(&signed);
        return Ok(Exit::Done);
    }
    let charter = Charter::parse(&signed.text)?;
    let signers: BTreeSet<&str> = signed.consents.iter().map(|signed| signed.consent.member.as_str()).collect();
    out::line(format_args!("{} charter version {}", charter.alliance.name, charter.alliance.version));
    out::line(format_args!("  digest   {}", signed.digest()));
    out::line(format_args!("  made     {}", charter.alliance.made));
    out::line(format_args!("  members  {}", charter.members.len()));
    out::line(format_args!("  signed   by {}", Vec::from_iter(signers).join(", ")));
    out::say("Next: epimachia charter show --text");
    Ok(Exit::Done)
}

fn draft(admit: Option<&MemberId>, vet: Option<&MemberId>, at: &Connect) -> Outcome {
    let named = |name, member: Option<&MemberId>| member.map(|member| format!("{name}={member}"));
    let query: Vec<String> = named("admit", admit).into_iter().chain(named("vet", vet)).collect();
    let path = ["/api/v1/charter/draft".to_owned(), query.join("&")];
    let text = connect(at)?.text(path.join("?").trim_end_matches('?'))?;
    let charter = Charter::parse(&text)?;
    out::raw(&text);
    let silent = charter.members.iter().filter(|member| member.standing == Standing::Suspended);
    for member in silent {
        out::say(format_args!("{} is suspended by this text, until another charter says otherwise.", member.id));
    }
    out::say("Read it, and change it where it is wrong: nobody has signed it.");
    out::say("Next: epimachia charter sign FILE --member NAME --key KEYFILE");
    Ok(Exit::Done)
}

fn adopt(file: &Path, lists: Option<&Path>, change: &Change) -> Outcome {
    let signed: SignedCharter = serde_json::from_str(&read(file)?).map_err(|e| {
        Failure::failed(format_args!("{}: {e}", file.display()), "epimachia charter assemble CHARTER SIGNATURES")
    })?;
    let charter = Charter::parse(&signed.text)?;
    let folder = lists.or_else(|| file.parent()).unwrap_or(Path::new("."));
    let lists = charter.guards.list.iter().map(|list| guard_list(folder, &list.file, list.sha256));
    let lists: Vec<Vec<u8>> = lists.collect::<Result<_, _>>()?;
    let (name, version) = (&charter.alliance.name, charter.alliance.version);
    if change.dry_run {
        let (lists, consents) = (lists.len(), signed.consents.len());
        out::line(format_args!("{name} charter version {version}, {consents} signatures, {lists} guard lists."));
        out::say("Nothing was sent.");
        return Ok(Exit::Done);
    }
    let client = connect(&change.connect)?;
    for list in lists {
        client.put_bytes("/api/v1/charter/lists", list)?;
    }
    let written: Written = client.post("/api/v1/charter", &signed).map_err(more_signatures)?;
    match change.json {
        true => out::json(&written),
        false => {
            let digest = signed.digest();
            out::line(format_args!("{name} charter version {version} is in force, entry {}.", written.position));
            out::line(format_args!("Digest {digest}"));
            out::say("Members' agents pin this digest: tell it on another way than the hub.");
            out::say("Next: epimachia token new");
        }
    }
    Ok(Exit::Done)
}

fn more_signatures(failure: Failure) -> Failure {
    match failure {
        Failure::Refused { refusal, .. } if refusal.rule == Rule::CharterUnsigned => Failure::Refused {
            refusal,
            next: "epimachia charter sign, then charter assemble with all signatures".into(),
        },
        other => other,
    }
}

fn guard_list(folder: &Path, file: &str, sha256: Digest) -> Result<Vec<u8>, Failure> {
    let path = folder.join(file);
    let bytes =
        std::fs::read(&path).map_err(|e| Failure::failed(format_args!("{}: {e}", path.display()), "--lists DIR"))?;
    match Digest::of(&[&bytes]) == sha256 {
        true => Ok(bytes),
        false => {
            let value = format!("{}: {}", path.display(), Digest::of(&[&bytes]));
            Err(Refusal::new(Rule::DigestMismatch, value, sha256).into())
        }
    }
}

fn read_consent(path: &Path) -> Result<SignedConsent, Failure> {
    serde_json::from_str(&read(path)?).map_err(|e| Failure::failed(format_args!("{}: {e}", path.display()), ""))
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|e| Failure::failed(format_args!("{}: {e}", path.display()), ""))
}

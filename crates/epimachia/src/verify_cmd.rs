//! `epimachia verify`: a proof file, offline, against a policy or the hub's key.

use crate::exit::{Exit, Failure, Outcome};
use crate::{journal_cmd, out};
use account::note::NoteFault;
use account::policy::POLICY_BYTES_MAX;
use account::{CheckpointFault, EntryProof, Policy, PolicyFault, ProofFault, VerifierKey, Witnessed};
use alliance::Entry;
use clap::Args;
use model::{Refusal, Rule, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Check a proof file offline: the hub's signature, the members' cosignatures, the entry's place
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia charter policy charter.toml > alliance.policy
  epimachia verify entry.tlog-proof --policy alliance.policy

Exit codes: 0 it holds, 1 a file cannot be read, 3 too few cosignatures or a false one, 5 it does not prove what it says.
Next: epimachia charter policy CHARTER")]
pub struct Verify {
    /// The proof file (C2SP tlog-proof), as `journal proof` writes it
    proof: PathBuf,
    /// Which logs and witnesses are believed (C2SP tlog-policy)
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    policy: Option<PathBuf>,
    /// The hub's public key as `name+hash+key`, where the policy names no log; without a policy no cosignatures are
    /// asked for
    #[arg(long)]
    key: Option<VerifierKey>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What was proven.
#[derive(Serialize)]
struct Proven {
    /// Which log signed.
    log: String,
    /// The entry's position.
    position: u64,
    /// Entries under the checkpoint.
    tree_size: u64,
    /// The witnesses of the policy that cosigned, each with the time at which it did.
    witnesses: BTreeMap<String, Timestamp>,
    /// The entry, if the proof shows it.
    entry: Option<Entry>,
}

/// Runs the command.
pub fn run(verify: &Verify) -> Outcome {
    let policy = verify.policy.as_deref().map(read_policy).transpose()?;
    let proof = journal_cmd::read_proof(&verify.proof)?;
    let proven = match check(&proof, policy.as_ref(), verify.key.as_ref()) {
        Ok(proven) => proven,
        Err(Doubt::Refused(refusal)) => {
            let next = "ask the hub again in a minute, or another member".to_owned();
            return Err(Failure::Refused { refusal, next });
        }
        Err(Doubt::Differs(what)) => return differs(verify, &what),
    };
    match verify.json {
        true => out::json(&proven),
        false => print(&proven),
    }
    Ok(Exit::Done)
}

/// Why a proof does not count.
#[derive(Debug)]
enum Doubt {
    /// It may be true, but not enough of those who are believed say so.
    Refused(Refusal),
    /// It is not true.
    Differs(String),
}

fn check(proof: &EntryProof, policy: Option<&Policy>, key: Option<&VerifierKey>) -> Result<Proven, Doubt> {
    let witnessed = match (policy, key) {
        (Some(policy), key) => policy.check(proof.checkpoint(), key).map_err(doubt)?,
        (None, Some(key)) => {
            proof.checkpoint().verify(key).map_err(|fault| Doubt::Differs(fault.to_string()))?;
            Witnessed { log: key.name().to_owned(), witnesses: BTreeMap::new() }
        }
        // The command line asks for one of the two.
        (None, None) => return Err(Doubt::Differs("no key and no policy".to_owned())),
    };
    let log = log_key(proof, policy, key).ok_or_else(|| Doubt::Differs("no log's key".to_owned()))?;
    let proven = match proof.verify(&log) {
        Ok(proven) => proven,
        Err(ProofFault::NoOpening) => return Err(Doubt::Refused(unopened(proof))),
        Err(fault) => return Err(Doubt::Differs(fault.to_string())),
    };
    let entry = proven.entry.map(Entry::from_bytes).transpose();
    let entry = entry.map_err(|refusal| Doubt::Differs(refusal.to_string()))?;
    let at = |seconds: u64| Timestamp::from_millis(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000));
    let witnesses = witnessed.witnesses.into_iter().map(|(name, seconds)| (name, at(seconds))).collect();
    Ok(Proven { log: witnessed.log, position: proven.index, tree_size: proven.size, witnesses, entry })
}

/// The key of the log that signed: the policy's, or the one that was given.
fn log_key(proof: &EntryProof, policy: Option<&Policy>, key: Option<&VerifierKey>) -> Option<VerifierKey> {
    let known = policy.into_iter().flat_map(Policy::logs).chain(key);
    known.into_iter().find(|key| proof.checkpoint().verify(key).is_ok()).cloned()
}

fn doubt(fault: PolicyFault) -> Doubt {
    match fault {
        PolicyFault::Quorum { cosigned, wanted } => {
            let value = if cosigned.is_empty() { "no witness of the policy".to_owned() } else { cosigned };
            Doubt::Refused(Refusal::new(Rule::CosignaturesMissing, value, wanted))
        }
        PolicyFault::Cosignature(fault @ (NoteFault::BadSignature { .. } | NoteFault::Unsigned { .. })) => {
            Doubt::Refused(Refusal::new(Rule::BadSignature, fault, "a cosignature over this checkpoint"))
        }
        PolicyFault::Log(fault @ (CheckpointFault::Origin { .. } | CheckpointFault::Note(_))) => {
            Doubt::Differs(fault.to_string())
        }
    }
}

fn unopened(proof: &EntryProof) -> Refusal {
    let limit = "a proof that its reader may open: ask as somebody who may see the entry";
    Refusal::new(Rule::EvidenceMissing, format_args!("entry {} is not shown", proof.index()), limit)
}

/// The proof was read and is not true: that is an answer, not a failure.
fn differs(verify: &Verify, what: &str) -> Outcome {
    match verify.json {
        true => out::json(&serde_json::json!({ "fault": what })),
        false => out::line(format_args!("{}: the proof does not hold: {what}.", verify.proof.display())),
    }
    out::say("Keep the file; ask for the proof again, from another member too.");
    Ok(Exit::Differs)
}

fn print(proven: &Proven) {
    let (position, size, log) = (proven.position, proven.tree_size, &proven.log);
    out::line(format_args!("Entry {position} stands in the journal of {size} entries that {log} signed."));
    match proven.witnesses.is_empty() {
        true => out::line("No cosignature was asked for."),
        false => proven.witnesses.iter().for_each(|(name, at)| out::line(format_args!("  cosigned {at} by {name}"))),
    }
    if let Some(entry) = &proven.entry {
        out::line(journal_cmd::row(position, entry)[1..].join("  "));
    }
}

fn read_policy(file: &Path) -> Result<Policy, Failure> {
    let failed = |what: &dyn std::fmt::Display| {
        Failure::failed(format_args!("{}: {what}", file.display()), "epimachia charter policy CHARTER")
    };
    let about = std::fs::metadata(file).map_err(|error| failed(&error))?;
    if about.len() > POLICY_BYTES_MAX as u64 {
        return Err(failed(&format_args!("more than {POLICY_BYTES_MAX} bytes")));
    }
    let bytes = std::fs::read(file).map_err(|error| failed(&error))?;
    Policy::parse(&bytes).map_err(|error| failed(&error))
}

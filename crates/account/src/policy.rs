//! Which checkpoints are believed: C2SP `tlog-policy`. Known logs, known witnesses, and the quorum of them that must
//! have cosigned.
//!
//! A policy is a small text file that a person can read, write and hand on; `epimachia charter policy` makes one from a
//! charter.

use crate::checkpoint::{CheckpointFault, SignedCheckpoint};
use crate::cosignature::WitnessKey;
use crate::note::{NoteFault, VerifierKey};
use model::ParseError;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

mod parse;

/// Longest policy file, in bytes.
pub const POLICY_BYTES_MAX: usize = 4 << 20;
/// Most logs, most witnesses, most groups (the standard asks for 32 at least).
pub const POLICY_ITEMS_MAX: usize = 10_000;

/// What a checkpoint must bear to be believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<(VerifierKey, String)>,
    witnesses: Vec<PolicyWitness>,
    groups: Vec<Group>,
    quorum: Option<Part>,
}

/// A witness that a policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyWitness {
    /// Its name within the policy: octets that mean nothing elsewhere.
    pub name: Vec<u8>,
    /// Its key.
    pub key: WitnessKey,
    /// Where it can be reached; empty where nothing is said.
    pub url: String,
}

/// So many of these.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    name: Vec<u8>,
    least: usize,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Witness(usize),
    Group(usize),
}

/// What a checkpoint bears that a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Which log signed it.
    pub log: String,
    /// The policy's witnesses that cosigned, by the name of their key, each with the time in seconds since 1970.
    pub witnesses: BTreeMap<String, u64>,
}

/// Why a checkpoint is not to be believed under a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFault {
    /// No log of the policy signed it.
    #[error("{0}")]
    Log(#[from] CheckpointFault),
    /// A line in a known witness's name is not its signature.
    #[error("the checkpoint cannot be believed: {0}")]
    Cosignature(#[from] NoteFault),
    /// Too few witnesses cosigned it.
    #[error(
        "cosigned by {}, the policy asks for {wanted}",
        if .cosigned.is_empty() { "no witness of the policy" } else { .cosigned }
    )]
    Quorum {
        /// Who did, separated by commas.
        cosigned: String,
        /// What the policy asks for, in words.
        wanted: String,
    },
}

impl Policy {
    /// A policy with one log and `least` of these witnesses; 0 asks for none.
    ///
    /// # Errors
    /// More than there are, or a key twice.
    pub fn of(log: VerifierKey, least: usize, witnesses: Vec<(String, WitnessKey)>) -> Result<Self, ParseError> {
        let mut text = format!("log {log}\n");
        witnesses.iter().for_each(|(name, key)| text += &format!("witness {name} {key}\n"));
        let names: Vec<&str> = witnesses.iter().map(|(name, _)| name.as_str()).collect();
        match least {
            0 => text += "quorum none\n",
            // A name that no member can have: those are lower case.
            _ => text += &format!("group Enough {least} {}\nquorum Enough\n", names.join(" ")),
        }
        Self::parse(text.as_bytes())
    }

    /// The logs whose checkpoints are believed, each with where it can be reached.
    pub fn logs(&self) -> impl Iterator<Item = &VerifierKey> {
        self.logs.iter().map(|(key, _)| key)
    }

    /// The witnesses that are known.
    pub fn witnesses(&self) -> &[PolicyWitness] {
        &self.witnesses
    }

    /// Checks a checkpoint. Without logs in the policy, `log` is the one that is believed.
    ///
    /// # Errors
    /// [`PolicyFault`] says what is missing or wrong.
    pub fn check(&self, signed: &SignedCheckpoint, log: Option<&VerifierKey>) -> Result<Witnessed, PolicyFault> {
        let log = self.log_of(signed, log)?;
        let mut witnesses = BTreeMap::new();
        let mut cosigned = BTreeSet::new();
        for (index, witness) in self.witnesses.iter().enumerate() {
            if let Some(seconds) = witness.key.cosigned(signed.note())? {
                witnesses.insert(witness.key.name().to_owned(), seconds);
                cosigned.insert(index);
            }
        }
        match self.quorum.is_none_or(|part| self.holds(part, &cosigned)) {
            true => Ok(Witnessed { log, witnesses }),
            false => {
                let cosigned = witnesses.into_keys().collect::<Vec<_>>().join(", ");
                Err(PolicyFault::Quorum { cosigned, wanted: self.wanted() })
            }
        }
    }

    fn log_of(&self, signed: &SignedCheckpoint, log: Option<&VerifierKey>) -> Result<String, PolicyFault> {
        let known: Vec<&VerifierKey> =
            if self.logs.is_empty() { log.into_iter().collect() } else { self.logs().collect() };
        let mut fault = CheckpointFault::Origin {
            expected: "a log of the policy".to_owned(),
            found: signed.unverified().origin.clone(),
        };
        for key in known {
            match signed.verify(key) {
                Ok(_) => return Ok(key.name().to_owned()),
                // What is said about the log's own key is worth more than that it is not another's.
                Err(found @ CheckpointFault::Note(_)) => fault = found,
                Err(CheckpointFault::Origin { .. }) => {}
            }
        }
        Err(fault.into())
    }

    fn holds(&self, part: Part, cosigned: &BTreeSet<usize>) -> bool {
        match part {
            Part::Witness(index) => cosigned.contains(&index),
            // A group names earlier groups only, so this ends; each is named once, so it ends soon.
            Part::Group(index) => self.groups.get(index).is_some_and(|group| {
                group.parts.iter().filter(|part| self.holds(**part, cosigned)).count() >= group.least
            }),
        }
    }

    /// The quorum in words.
    fn wanted(&self) -> String {
        match self.quorum {
            None => "none".to_owned(),
            Some(Part::Witness(index)) => self.shown(Part::Witness(index)),
            Some(Part::Group(index)) => {
                let Some(group) = self.groups.get(index) else { return String::new() };
                let names: Vec<String> = group.parts.iter().take(20).map(|part| self.shown(*part)).collect();
                format!("{} of {}", group.least, names.join(", "))
            }
        }
    }

    fn shown(&self, part: Part) -> String {
        let name = match part {
            Part::Witness(index) => self.witnesses.get(index).map(|witness| &witness.name),
            Part::Group(index) => self.groups.get(index).map(|group| &group.name),
        };
        model::parse::printable(&String::from_utf8_lossy(name.map_or(&[], Vec::as_slice)))
    }
}

impl fmt::Display for Policy {
    /// As a policy file. Names that are not UTF-8 are shown with replacement characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spaced = |url: &str| if url.is_empty() { String::new() } else { format!(" {url}") };
        for (key, url) in &self.logs {
            writeln!(f, "log {key}{}", spaced(url))?;
        }
        for witness in &self.witnesses {
            let name = String::from_utf8_lossy(&witness.name);
            writeln!(f, "witness {name} {}{}", witness.key, spaced(&witness.url))?;
        }
        for group in &self.groups {
            write!(f, "group {} {}", String::from_utf8_lossy(&group.name), group.least)?;
            group.parts.iter().try_for_each(|part| write!(f, " {}", String::from_utf8_lossy(self.name_of(*part))))?;
            writeln!(f)?;
        }
        match self.quorum {
            None => writeln!(f, "quorum none"),
            Some(part) => writeln!(f, "quorum {}", String::from_utf8_lossy(self.name_of(part))),
        }
    }
}

impl Policy {
    fn name_of(&self, part: Part) -> &[u8] {
        match part {
            Part::Witness(index) => self.witnesses.get(index).map_or(&[], |witness| &witness.name),
            Part::Group(index) => self.groups.get(index).map_or(&[], |group| &group.name),
        }
    }
}

#[cfg(test)]
mod tests;

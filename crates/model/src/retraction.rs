//! Retractions: a member takes back what it reported of one observable.

use crate::ids::{KeyId, MemberId};
use crate::key::{Signature, SigningKey, Statement};
use crate::observable::Observable;
use crate::time::Timestamp;
use crate::words::{Behaviour, Family};
use serde::{Deserialize, Serialize};

/// Longest reason of a retraction, in characters.
pub const RETRACTION_REASON_CHARS_MAX: usize = 500;

/// A member takes back its reports of one observable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retraction {
    /// Who takes it back.
    pub author: MemberId,
    /// The key that signs.
    pub key: KeyId,
    /// The author's running number of submissions.
    pub sequence: u64,
    /// When.
    pub made: Timestamp,
    /// What was reported.
    pub observable: Observable,
    /// As which behaviour; its whole family is taken back.
    pub behaviour: Behaviour,
    /// Why, in words, at most 500 characters.
    pub reason: String,
}

impl Retraction {
    /// The family that is taken back.
    pub fn family(&self) -> Family {
        self.behaviour.family()
    }
}

impl Statement for Retraction {
    const CONTEXT: &'static str = "epimachia/retraction/v1";
}

/// A retraction with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRetraction {
    /// What is signed.
    pub retraction: Retraction,
    /// By the member's key.
    pub signature: Signature,
}

impl SignedRetraction {
    /// Signs a retraction.
    pub fn sign(retraction: Retraction, key: &SigningKey) -> Self {
        let signature = key.sign(&retraction);
        Self { retraction, signature }
    }
}

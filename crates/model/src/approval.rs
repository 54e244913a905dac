//! What persons sign: approvals of plans, and disputes of findings.

use crate::digest::Digest;
use crate::ids::{DisputeId, FindingId, KeyId, PersonId};
use crate::key::{PublicKey, Signature, SigningKey, Statement};
use crate::refusal::Refusal;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// A person's yes or no to one plan, by its digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The digest of the plan's header.
    pub plan: Digest,
    /// Who says it.
    pub person: PersonId,
    /// With which of the person's keys.
    pub key: KeyId,
    /// What is said.
    pub verdict: Verdict,
    /// When.
    pub made: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}

impl Statement for Approval {
    const CONTEXT: &'static str = "epimachia/approval/v1";
}

/// Yes or no.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The plan may come into force.
    Approve,
    /// It may not.
    Reject,
}

/// An approval with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedApproval {
    /// What is signed.
    pub approval: Approval,
    /// By the person's own key, never the agent's.
    pub signature: Signature,
}

impl SignedApproval {
    /// Signs an approval.
    pub fn sign(approval: Approval, key: &SigningKey) -> Self {
        let signature = key.sign(&approval);
        Self { approval, signature }
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// `bad_signature`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Refusal> {
        key.verify(&self.approval, &self.signature)
    }
}

/// A person's objection to a finding. It is upheld when the owner of the asset raises it, or persons of as many members
/// as the charter asks for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispute {
    /// What is disputed.
    pub finding: FindingId,
    /// Who disputes.
    pub person: PersonId,
    /// With which of the person's keys.
    pub key: KeyId,
    /// On what ground.
    pub ground: Ground,
    /// In words, at most 500 characters.
    pub reason: String,
    /// When.
    pub made: Timestamp,
}

impl Statement for Dispute {
    const CONTEXT: &'static str = "epimachia/dispute/v1";
}

/// Why a finding is disputed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ground {
    /// It is not harmful.
    FalsePositive,
    /// It is the disputing member's own, and clean.
    OwnAsset,
    /// It was harmful and is no longer (cleaned, reassigned).
    Stale,
}

/// A dispute with its signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedDispute {
    /// What is signed.
    pub dispute: Dispute,
    /// By the person's own key.
    pub signature: Signature,
}

impl SignedDispute {
    /// Signs a dispute.
    pub fn sign(dispute: Dispute, key: &SigningKey) -> Self {
        let signature = key.sign(&dispute);
        Self { dispute, signature }
    }

    /// The dispute's identifier.
    pub fn id(&self) -> DisputeId {
        DisputeId::of(&self.dispute.digest())
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// `bad_signature`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), Refusal> {
        key.verify(&self.dispute, &self.signature)
    }
}

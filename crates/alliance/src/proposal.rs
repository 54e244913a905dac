//! Proposals: plans that persons want, signed, each counting once and for a while only.

use model::{Digest, FindingId, KeyId, Measure, MemberId, PersonId, Signature, SigningKey, Span, Statement, Timestamp};
use serde::{Deserialize, Serialize};

/// A plan that a person proposes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// Who proposes.
    pub person: PersonId,
    /// The finding behind it.
    pub finding: FindingId,
    /// What is to be done.
    pub measure: Measure,
    /// By whom; empty means nobody.
    pub members: Vec<MemberId>,
    /// For how long.
    pub lasts: Span,
    /// Why, in words, at most 200 characters.
    pub reason: String,
    /// When it was signed.
    pub made: Timestamp,
    /// Until when it may become a plan; at most the charter's `quorum.approval_valid_max` after `made`.
    pub expires: Timestamp,
}

impl Statement for Proposal {
    const CONTEXT: &'static str = "epimachia/proposal/v1";
}

/// A proposal with a person's signature.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedProposal {
    /// What is signed.
    pub proposal: Proposal,
    /// With which of the person's keys.
    pub key: KeyId,
    /// By the person's own key.
    pub signature: Signature,
}

impl SignedProposal {
    /// Signs a proposal.
    pub fn sign(proposal: Proposal, key: &SigningKey) -> Self {
        Self { key: key.public().id(), signature: key.sign(&proposal), proposal }
    }

    /// By what it is known again: whoever sends it a second time changes nothing of it.
    pub fn digest(&self) -> Digest {
        self.proposal.digest()
    }
}

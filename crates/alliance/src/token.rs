//! Access tokens: shown once, stored as digests, scoped, expiring.

use model::{Digest, MemberId, Refusal, Rule, Timestamp, TokenId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a token allows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// Send sightings and retractions.
    Report,
    /// Receive the stream, send receipts.
    Receive,
    /// Send approvals, disputes and proposals, each signed by a person.
    Approve,
    /// Read findings, plans, mitigations, members.
    Read,
    /// Read the journal and its proofs.
    Audit,
    /// Make and revoke tokens, adopt charters.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [Self::Report, Self::Receive, Self::Approve, Self::Read, Self::Audit, Self::Admin];

    /// The scope as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Receive => "receive",
            Self::Approve => "approve",
            Self::Read => "read",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }
}

/// A token as the alliance knows it: never its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRecord {
    /// Safe to show; derived from `hash`.
    pub id: TokenId,
    /// SHA-256 of the secret. The secret has 256 random bits, so a plain digest cannot be searched.
    pub hash: Digest,
    /// For whom.
    pub member: MemberId,
    /// What for.
    pub scopes: BTreeSet<Scope>,
    /// A person's note, at most 100 characters.
    pub label: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

impl TokenRecord {
    /// The digest under which a secret is stored.
    pub fn hash_of(secret: &str) -> Digest {
        Digest::of(&[b"epimachia/token/v1\n", secret.as_bytes()])
    }

    /// Does the token allow `scope` at `now`?
    ///
    /// # Errors
    /// `token_invalid` when expired, `scope_missing`.
    pub fn allows(&self, scope: Scope, now: Timestamp) -> Result<(), Refusal> {
        if now >= self.expires {
            return Err(Refusal::new(Rule::TokenInvalid, self.id, format!("used before {}", self.expires)));
        }
        match self.scopes.contains(&scope) {
            true => Ok(()),
            false => Err(Refusal::new(Rule::ScopeMissing, self.id, format!("a token with scope {}", scope.as_str()))),
        }
    }
}

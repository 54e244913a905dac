//! What stands in the journal: entries, each one event with its author, time and handling.

use crate::collections::{Closing, CollectionRecord};
use crate::joining::{CertificateRecord, JoinTokenRecord};
use crate::membership::Step;
use crate::objects::{Deleted, Objection, Objects, TakenBack};
use crate::proposal::SignedProposal;
use crate::token::TokenRecord;
use charter::SignedCharter;
use model::{
    Batch, CertificateId, Digest, Finding, FindingId, Handling, JoinTokenId, MemberId, Observable, PersonId, Plan,
    PlanId, Refusal, Rule, Sighting, SignedApproval, SignedDispute, SignedKeyChange, SignedReceipts, SignedRetraction,
    Timestamp, TokenId, Withdrawal,
};
use serde::{Deserialize, Serialize};

/// The version of entries that this program writes and reads.
pub const ENTRY_VERSION: u32 = 1;

/// One entry of the journal. Its bytes are this struct as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Version of the form, 1.
    pub v: u32,
    /// When the hub accepted it.
    pub time: Timestamp,
    /// Who states it.
    pub author: Author,
    /// Who may see it.
    pub handling: Handling,
    /// What is stated.
    pub event: Event,
}

impl Entry {
    /// The entry's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Entries are plain structs of texts and finite numbers, for which serde_json cannot fail; an empty entry
        // would be refused by every reader.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// `malformed` with the place in the JSON; a newer version is named.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Refusal> {
        let entry: Self = serde_json::from_slice(bytes)
            .map_err(|e| Refusal::new(Rule::Malformed, e, "a journal entry of this version"))?;
        match entry.v {
            ENTRY_VERSION => Ok(entry),
            v => Err(Refusal::new(Rule::Malformed, format_args!("entry version {v}"), ENTRY_VERSION)),
        }
    }
}

/// Who states something.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Author {
    /// The hub: what it derived, ordered or decided by rule.
    Hub,
    /// A member's agent.
    Member(MemberId),
    /// A person of a member.
    Person(PersonId),
}

/// What happened. History is replayed from these alone: verdicts and scores that led to something stand in them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "body")]
pub enum Event {
    /// A charter came into force.
    CharterAdopted(Box<SignedCharter>),
    /// A member changed one of its keys, or a person one of theirs.
    KeyChanged(Box<SignedKeyChange>),
    /// A step of somebody's membership.
    Membership(Box<Step>),
    /// A member reported what it saw.
    SightingsReported(Report),
    /// A member takes back what it reported of one observable.
    Retracted(SignedRetraction),
    /// What the alliance holds of some observables changed; all have the entry's handling.
    FindingsChanged {
        /// Each as it is now.
        findings: Vec<Finding>,
    },
    /// A person proposed a plan.
    Proposed(Box<SignedProposal>),
    /// A plan was made and passed the checker.
    PlanProposed(Box<Plan>),
    /// A person said yes or no to a plan.
    Approved(SignedApproval),
    /// A plan has what its class asks for.
    PlanInForce {
        /// Which plan.
        plan: PlanId,
        /// The same in full: whoever makes plans can make two of one identifier. Absent in journals of before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
    },
    /// A plan was voted down or nobody approved it in time.
    PlanClosed {
        /// Which plan.
        plan: PlanId,
        /// Why, in words.
        reason: String,
    },
    /// An agent reported on mitigations.
    ReceiptsReported(SignedReceipts),
    /// A person disputes a finding.
    Disputed(SignedDispute),
    /// A dispute was upheld: the finding is revoked and barred.
    DisputeUpheld {
        /// Which finding.
        finding: FindingId,
        /// Why it was upheld, in words.
        reason: String,
    },
    /// Mitigations are to end now.
    Withdrawn {
        /// Which.
        withdrawals: Vec<Withdrawal>,
    },
    /// An access token was made.
    TokenIssued(TokenRecord),
    /// An access token no longer counts.
    TokenRevoked {
        /// Which.
        token: TokenId,
    },
    /// A join token was made.
    JoinTokenIssued(JoinTokenRecord),
    /// A join token no longer counts.
    JoinTokenRevoked {
        /// Which.
        token: JoinTokenId,
    },
    /// An agent was given a certificate.
    CertificateIssued(Box<CertificateRecord>),
    /// An agent was locked out: none of its certificates counts any more.
    CertificateRevoked {
        /// One of its certificates.
        certificate: CertificateId,
        /// Why, in words.
        reason: String,
    },
    /// A member shared objects of other tools.
    ObjectsShared(Box<Objects>),
    /// A member took an object out of a collection.
    ObjectsDeleted(Box<Deleted>),
    /// A member opened a collection.
    CollectionOpened(Box<CollectionRecord>),
    /// A member closed a collection of its own: it is read as before, and nothing is put into it.
    CollectionClosed(Box<Closing>),
    /// A member takes back what it reported, through a tool that does not sign.
    TakenBack(Box<TakenBack>),
    /// A member objects to a finding, through a tool that does not sign.
    Objected(Objection),
    /// More was reported at once than is judged in one go: so many observables are judged next; 0: that is done.
    Backlog {
        /// How many wait.
        waiting: u64,
    },
    /// A rule of the alliance kept something from happening.
    Held {
        /// The finding that went no further.
        finding: FindingId,
        /// What it is about.
        observable: Observable,
        /// The rule, the value, the limit.
        refusal: Refusal,
    },
}

impl Event {
    /// Is it shown to the author and to members with the role admin alone, whatever the entry's handling says?
    pub fn is_confidential(&self) -> bool {
        matches!(self, Self::Membership(step) if step.is_confidential())
    }

    /// The kind, as one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::CharterAdopted(_) => "charter-adopted",
            Self::KeyChanged(_) => "key-changed",
            Self::Membership(_) => "membership",
            Self::SightingsReported(_) => "sightings-reported",
            Self::Retracted(_) => "retracted",
            Self::FindingsChanged { .. } => "findings-changed",
            Self::Proposed(_) => "proposed",
            Self::PlanProposed(_) => "plan-proposed",
            Self::Approved(_) => "approved",
            Self::PlanInForce { .. } => "plan-in-force",
            Self::PlanClosed { .. } => "plan-closed",
            Self::ReceiptsReported(_) => "receipts-reported",
            Self::Disputed(_) => "disputed",
            Self::DisputeUpheld { .. } => "dispute-upheld",
            Self::Withdrawn { .. } => "withdrawn",
            Self::TokenIssued(_) => "token-issued",
            Self::TokenRevoked { .. } => "token-revoked",
            Self::JoinTokenIssued(_) => "join-token-issued",
            Self::JoinTokenRevoked { .. } => "join-token-revoked",
            Self::CertificateIssued(_) => "certificate-issued",
            Self::CertificateRevoked { .. } => "certificate-revoked",
            Self::ObjectsShared(_) => "objects-shared",
            Self::ObjectsDeleted(_) => "objects-deleted",
            Self::CollectionOpened(_) => "collection-opened",
            Self::CollectionClosed(_) => "collection-closed",
            Self::TakenBack(_) => "taken-back",
            Self::Objected(_) => "objected",
            Self::Backlog { .. } => "backlog",
            Self::Held { .. } => "held",
        }
    }
}

/// Sightings as they were reported: signed by the member, or vouched for by the hub where the member's software cannot
/// sign. Only the former are ever acted upon by machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// Signed by the member's own key.
    Signed(Box<Batch>),
    /// The hub vouches for the channel.
    Attested {
        /// Whose token was presented.
        member: MemberId,
        /// Which token.
        token: TokenId,
        /// The sightings.
        sightings: Vec<Sighting>,
    },
    /// Drawn from objects that the member shared; the hub vouches for the channel.
    Drawn {
        /// Whose they are.
        member: MemberId,
        /// The first entry of the objects.
        from: u64,
        /// The sightings.
        sightings: Vec<Sighting>,
    },
}

impl Report {
    /// Whose report it is.
    pub fn member(&self) -> &MemberId {
        match self {
            Self::Signed(batch) => &batch.header.author,
            Self::Attested { member, .. } | Self::Drawn { member, .. } => member,
        }
    }

    /// What was seen. Nothing is verified: what stands in the journal was.
    ///
    /// # Errors
    /// As [`Sighting::parse`].
    pub fn sightings(&self) -> Result<Vec<Sighting>, Refusal> {
        match self {
            Self::Signed(batch) => batch.openings.iter().map(model::Opening::parse).collect(),
            Self::Attested { sightings, .. } | Self::Drawn { sightings, .. } => Ok(sightings.clone()),
        }
    }
}

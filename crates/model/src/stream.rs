//! What the hub pushes to agents over the event stream.

use crate::digest::Digest;
use crate::finding::Finding;
use crate::ids::MitigationId;
use crate::keychange::SignedKeyChange;
use crate::plan::{PlanPart, Withdrawal};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One message of the stream. Its position, the journal's, travels as the event's id.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type", content = "body")]
pub enum StreamMessage {
    /// The member's part of a plan that came into force.
    Part(Box<PlanPart>),
    /// Mitigations of the member that are to end now.
    Withdraw(Vec<Withdrawal>),
    /// Mitigations of the member that were withdrawn while it may have been away, each by itself: what was planned anew
    /// of their findings stands.
    Withdrawn(Vec<MitigationId>),
    /// Findings changed that machines act upon or must not, and the member may see them.
    Findings(Arc<Vec<Arc<Finding>>>),
    /// A new checkpoint of the journal (C2SP signed note).
    Checkpoint(String),
    /// A new checkpoint with the path from the last one that was announced.
    Grown(Box<Growth>),
    /// The proof that a plan in force stands under a checkpoint with its cosignatures (C2SP `tlog-proof`).
    Witnessed(String),
    /// Members changed keys, under the charter in force. The signatures say so; the hub only passes them on.
    Keys(Vec<SignedKeyChange>),
    /// A new charter is in force: fetch it.
    Charter {
        /// Its version.
        version: u64,
    },
}

/// A checkpoint that continues an earlier one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// The checkpoint (C2SP signed note).
    pub note: String,
    /// Entries of the earlier one.
    pub from: u64,
    /// The path between them (RFC 9162 §2.1.4).
    pub path: Vec<Digest>,
    /// Are cosignatures asked for now? A plan may wait for them.
    pub wanted: bool,
}

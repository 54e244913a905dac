//! What the hub pushes to agents over the event stream.

use crate::finding::Finding;
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
    /// A finding changed, and the member may see it.
    Finding(Arc<Finding>),
    /// A new checkpoint of the journal (C2SP signed note).
    Checkpoint(String),
    /// A new charter is in force: fetch it.
    Charter {
        /// Its version.
        version: u64,
    },
}

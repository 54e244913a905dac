//! The guard lists: what machines never block, and what they block with caution only.

use crate::charter::Charter;
use model::{GuardHit, MemberId, Observable, Refusal};

/// The guards of a charter, ready to be asked. Overlap is tested both ways: a guarded address inside a reported prefix,
/// and a reported address inside a guarded prefix.
#[derive(Clone, Debug, Default)]
pub struct Guards {}

impl Guards {
    /// Builds the guards of a charter from its own list, its members' assets, and the texts of its list files in the
    /// order of `charter.guards.list` (CSV with header: `cidr,class,list` or `domain,class,lists`).
    ///
    /// # Errors
    /// `digest_mismatch` for a file that is not the one signed, `malformed` with line and field.
    pub fn new(_charter: &Charter, _lists: &[Vec<u8>]) -> Result<Self, Refusal> {
        Ok(Self {})
    }

    /// The strictest guard that applies, absolute before cautious; `None` if none does.
    pub fn verdict(&self, _observable: &Observable) -> Option<GuardHit> {
        None
    }

    /// The member who has proven `observable`, or something that overlaps it, to be its own.
    pub fn owner(&self, _observable: &Observable) -> Option<&MemberId> {
        None
    }
}

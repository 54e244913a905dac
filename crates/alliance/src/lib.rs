//! The state machine that joins the stages: command to events, event to state.
//!
//! The whole alliance in a page: [`Alliance::handle`] decides what a command leads to and changes nothing;
//! [`Alliance::apply`] takes an entry into the state and cannot fail; [`Alliance::follow`] draws what follows, from new
//! evidence to findings (`judge`) and from findings to one automatic plan (`follow`). Whoever owns the journal calls
//! them in this order and writes the entries before anybody hears of them.

mod admit;
mod apply;
mod archive;
mod changed;
mod collections;
mod command;
pub mod contribution;
mod entry;
mod follow;
mod forget;
mod handle;
mod heard;
pub mod joining;
mod judge;
mod keys;
pub mod membership;
mod messages;
mod objects;
mod ongoing;
mod place;
mod planning;
mod proposal;
mod rules;
mod saving;
mod snapshot;
mod state;
mod token;
pub mod view;

pub use archive::{Archive, Archived};
pub use collections::{COLLECTIONS_MAX, Closing, CollectionName, CollectionRecord, NewCollection, Writers};
pub use command::Command;
pub use entry::{Author, ENTRY_VERSION, Entry, Event, Report};
pub use follow::Followed;
pub use handle::{Drafted, REASON_CHARS_MAX};
pub use keys::{KeyView, KeysView};
pub use membership::{Amendment, Applicant, Membership, Suspension};
pub use objects::{
    Brief, Deleted, Objection, ObjectionView, Objects, Said, Share, Shared, Shown, TakenBack, Unshare, objects_of,
};
pub use place::Place;
pub use proposal::{Proposal, SignedProposal};
pub use saving::Saving;
pub use snapshot::{SNAPSHOT_VERSION, Shard};
pub use state::{Alliance, MitigationRecord, PlanRecord, PlanState, Protection, Submissions};
pub use token::{Scope, TokenRecord};

use charter::Charter;
use corroborate::{Engine, Rules, Seed};
use model::{Digest, MemberId, Refusal, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an alliance's state starts with, besides its journal.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Secret and random; keeps anybody from making observables share a key. Results do not depend on it.
    pub seed: [u8; 16],
}

impl Alliance {
    /// An alliance without a charter; the first command adopts one.
    ///
    /// # Errors
    /// Never with the built-in rules.
    pub fn new(setup: Setup) -> Result<Self, Refusal> {
        let refused = |e: corroborate::Error| Refusal::new(Rule::Malformed, e, "the built-in rules");
        let engine = Engine::new(Rules::default(), &[], Seed(setup.seed)).map_err(refused)?;
        let (ledger, ongoing) = (state::Ledger::default(), ongoing::Ongoing::default());
        Ok(Self { charter: None, lists: BTreeMap::new(), engine, ledger, ongoing })
    }

    /// Hands in a guard list by its content; the charter names it by its digest.
    pub fn add_list(&mut self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&[&bytes]);
        self.lists.insert(digest, Arc::from(bytes));
        digest
    }

    /// A guard list by its digest.
    pub fn list(&self, digest: &Digest) -> Option<Arc<[u8]>> {
        self.lists.get(digest).cloned()
    }

    /// The charter in force.
    pub fn charter(&self) -> Option<&Charter> {
        self.charter.as_ref().map(|c| &c.charter)
    }

    /// The charter in force with its signatures.
    pub fn signed_charter(&self) -> Option<&charter::SignedCharter> {
        self.charter.as_ref().map(|c| &c.signed)
    }

    /// Where the charter of this version stands in the journal.
    pub fn charter_position(&self, version: u64) -> Option<u64> {
        self.ledger.charters.get(&version).copied()
    }

    /// The token with this digest.
    pub fn token(&self, hash: &Digest) -> Option<&TokenRecord> {
        self.ledger.tokens.get(hash)
    }

    /// Where a submission stands, if it was accepted before: a resend changes nothing.
    ///
    /// # Errors
    /// `number_reused`: its number stands for something else, or is so old that nobody knows any more what for. The
    /// limit is the next free number.
    pub fn duplicate(&self, command: &Command) -> Result<Option<u64>, Refusal> {
        if let Command::ChangeKey(signed) = command {
            return Ok(self.key_change_place(signed));
        }
        if let Command::Membership { statement, .. } = command {
            return Ok(self.ledger.membership.place(statement));
        }
        let Some((member, sequence, mark)) = command.submission() else { return Ok(None) };
        let Some(submissions) = self.ledger.submissions.get(member) else { return Ok(None) };
        submissions.known(sequence, &mark).map_err(|()| {
            Refusal::new(Rule::NumberReused, format_args!("{sequence} by {member}"), submissions.last + 1)
        })
    }

    /// The number that a member's next submission carries.
    pub fn next_sequence(&self, member: &MemberId) -> u64 {
        self.ledger.submissions.get(member).map_or(1, |s| s.last + 1)
    }

    /// The position after the latest entry.
    pub fn next_position(&self) -> u64 {
        self.ledger.next_position
    }

    /// Time of the latest entry; the next one is not earlier.
    pub fn time(&self) -> Option<model::Timestamp> {
        self.ledger.time
    }
}

#[cfg(test)]
mod tests;

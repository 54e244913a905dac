//! Statements in this agent's name: it remembers what it signed, and says so when it is shown what it did not sign. The
//! other agents of the member have keys of their own and speak for themselves.

use super::{AlarmKind, Core};
use model::{Digest, Evidence, PlanPart, Signature};
use std::collections::BTreeSet;

/// Submissions that are remembered as ours: what is older is nobody's news.
const SAID_MAX: usize = 2_048;
/// Foreign ones that are remembered, so that each is an alarm once.
const FOREIGN_MAX: usize = 1_024;

/// What this agent has signed, by number and signature.
pub type Said = BTreeSet<(u64, Digest)>;

/// Remembers a submission.
pub(super) fn remember(said: &mut Said, sequence: u64, signature: &Signature) {
    said.insert((sequence, mark(signature)));
    while said.len() > SAID_MAX {
        said.pop_first();
    }
}

/// Ed25519 signatures are a function of key and content (RFC 8032 §5.1.6).
fn mark(signature: &Signature) -> Digest {
    Digest::of(&[signature.as_bytes()])
}

impl Core {
    /// Looks at evidence that a part shows in our name.
    pub(super) fn watch_our_name(&mut self, part: &PlanPart) {
        let foreign: Vec<(u64, Digest)> =
            part.evidence.values().flatten().filter_map(|piece| self.not_ours(piece)).collect();
        for (sequence, mark) in foreign {
            if !self.foreign.insert((sequence, mark)) {
                continue;
            }
            if self.foreign.len() > FOREIGN_MAX {
                self.foreign.pop_first();
            }
            let text = format!(
                "The hub shows submission {sequence} of {}, signed with this agent's key {}, which this agent did not \
                 make. Either somebody else has the key (epimachia key revoke), two agents use one key, or the state \
                 directory was restored from a backup.",
                self.settings.member,
                self.key.public().id()
            );
            self.alarm(AlarmKind::StatementNotOurs, &text);
        }
    }

    /// Signed with our key, not by us, and recent enough that we would know.
    fn not_ours(&self, piece: &Evidence) -> Option<(u64, Digest)> {
        let header = &piece.header;
        if header.author != self.settings.member || header.key != self.key.public().id() {
            return None;
        }
        let known = (header.sequence, mark(&piece.signature));
        let said = &self.state.said;
        if said.contains(&known) || self.foreign.contains(&known) {
            return None;
        }
        let oldest = said.first().map(|(sequence, _)| *sequence).or(self.state.outbox.next);
        // What nobody signed with our key is a forgery of the hub's, and is refused for that.
        let recent = oldest.is_some_and(|oldest| header.sequence >= oldest);
        (recent && self.key.public().verify(header, &piece.signature).is_ok()).then_some(known)
    }
}

//! An audit: from the entries themselves back to every leaf and the root, held against a signed checkpoint.

use crate::checkpoint::Checkpoint;
use crate::leaf;
use crate::tree::Tree;
use model::Digest;

/// Re-derives the tree from a log's entries, given in order, and compares it with a checkpoint.
#[derive(Debug, Clone)]
pub struct Audit {
    size: u64,
    root: Digest,
    tree: Tree,
    /// The root at the checkpoint's size, once that many entries were seen.
    reached: Option<Digest>,
}

/// A log that holds what its checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audited {
    /// Leaves the checkpoint covers; each was re-derived.
    pub covered: u64,
    /// Entries after the checkpoint, which it says nothing of.
    pub beyond: u64,
    /// The tree of all entries.
    pub tree: Tree,
}

/// What a log and its checkpoint disagree about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditFault {
    /// Entries are missing at the end.
    #[error("the log holds {entries} entries, its checkpoint covers {size}")]
    Shorter {
        /// Entries there are.
        entries: u64,
        /// Entries there should be at least.
        size: u64,
    },
    /// At least one entry or nonce was altered, or their order was.
    #[error("the {size} entries make root {computed}, the checkpoint says {expected}")]
    RootDiffers {
        /// Entries the checkpoint covers.
        size: u64,
        /// The root it states.
        expected: Digest,
        /// The root they make.
        computed: Digest,
    },
}

impl Audit {
    /// Begins an audit against a checkpoint that was verified.
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let audit = Self { size: checkpoint.size, root: checkpoint.root, tree: Tree::new(), reached: None };
        audit.noting()
    }

    /// Takes the next entry; returns its leaf hash.
    pub fn push(&mut self, nonce: &[u8; 32], entry: &[u8]) -> Digest {
        let hash = leaf::hash(leaf::commitment(nonce, entry));
        self.tree.push(hash);
        self.note();
        hash
    }

    /// The outcome, after the last entry.
    ///
    /// # Errors
    /// [`AuditFault`]: what the entries and the checkpoint disagree about.
    pub fn finish(self) -> Result<Audited, AuditFault> {
        let (entries, size, expected) = (self.tree.size(), self.size, self.root);
        match self.reached {
            None => Err(AuditFault::Shorter { entries, size }),
            Some(computed) if computed != expected => Err(AuditFault::RootDiffers { size, expected, computed }),
            Some(_) => Ok(Audited { covered: size, beyond: entries - size, tree: self.tree }),
        }
    }

    fn noting(mut self) -> Self {
        self.note();
        self
    }

    fn note(&mut self) {
        if self.tree.size() == self.size {
            self.reached = Some(self.tree.root());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(entries: &[Vec<u8>]) -> Tree {
        let mut tree = Tree::new();
        entries.iter().for_each(|entry| tree.push(leaf::hash(leaf::commitment(&[1; 32], entry))));
        tree
    }

    fn audit(checkpoint: &Checkpoint, entries: &[Vec<u8>]) -> Result<Audited, AuditFault> {
        let mut audit = Audit::new(checkpoint);
        entries.iter().for_each(|entry| {
            audit.push(&[1; 32], entry);
        });
        audit.finish()
    }

    #[test]
    fn empty_log_agrees_with_an_empty_checkpoint() {
        let checkpoint = Checkpoint::new("log", 0, Tree::new().root());
        assert_eq!(audit(&checkpoint, &[]).unwrap().covered, 0);
    }

    proptest! {
        #[test]
        fn log_agrees_with_its_own_checkpoint_and_no_altered_log_does(
            entries in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 1..60),
            pick: usize,
        ) {
            let covered = pick % entries.len() + 1;
            let checkpoint = Checkpoint::new("log", covered as u64, tree(&entries[..covered]).root());
            let audited = audit(&checkpoint, &entries).unwrap();
            prop_assert_eq!((audited.covered, audited.beyond), (covered as u64, (entries.len() - covered) as u64));
            prop_assert_eq!(audited.tree, tree(&entries));
            let short = audit(&checkpoint, &entries[..covered - 1]);
            prop_assert_eq!(short, Err(AuditFault::Shorter { entries: covered as u64 - 1, size: covered as u64 }));
            let mut altered = entries.clone();
            altered[pick % covered][0] ^= 1;
            let different = matches!(audit(&checkpoint, &altered), Err(AuditFault::RootDiffers { .. }));
            prop_assert!(different);
        }
    }
}

//! The hub's journal in memory, and what a crash leaves of a turn that was not written to its end.
//!
//! An append is never there by half: `crates/journal/src/file/scan.rs` counts an entry only once the last frame of its
//! append is whole, and cuts off the rest ("Appending and recovery" in `docs/journal.md`). A turn is another matter:
//! what does not fit one append goes into several (`make_room` in `crates/hub/src/sequencer.rs`), each durable before
//! the next begins, and nobody is told of any before all are. There a command's entries stay together; what follows
//! from it may be parted between any two. Appends are as short here as they can be, so that a crash parts small turns.

use account::leaf;
use model::{Digest, merkle};

/// Entries, each with the nonce of its leaf.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vec<Vec<u8>>,
    nonces: Vec<[u8; 32]>,
    leaves: Vec<Digest>,
    /// Written and not synced: the entries of one turn.
    unsynced: Vec<(Vec<u8>, [u8; 32])>,
    /// How many of those are the command's, and go into one append.
    together: usize,
}

impl Journal {
    /// Writes the entries of one turn, not yet durable; the first `together` are those of its command.
    pub fn write(&mut self, entries: Vec<(Vec<u8>, [u8; 32])>, together: usize) {
        (self.unsynced, self.together) = (entries, together);
    }

    /// How many entries were written and are not durable.
    pub fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Makes the last turn durable; gives the position of its first entry.
    pub fn sync(&mut self) -> u64 {
        let from = self.head();
        for (entry, nonce) in std::mem::take(&mut self.unsynced) {
            self.leaves.push(leaf::hash(leaf::commitment(&nonce, &entry)));
            self.entries.push(entry);
            self.nonces.push(nonce);
        }
        from
    }

    /// The process dies when this many entries of the turn had reached the disk. The append that was under way is cut
    /// off at the next start: the turn's first entries are left, and none of a command that is not there as a whole.
    pub fn crash(&mut self, reached: usize) {
        let left = if reached < self.together { 0 } else { reached };
        self.unsynced.truncate(left);
        self.sync();
    }

    /// The position after the last durable entry.
    pub fn head(&self) -> u64 {
        self.entries.len() as u64
    }

    /// All durable entries.
    pub fn entries(&self) -> &[Vec<u8>] {
        &self.entries
    }

    /// The hashes of all durable leaves.
    pub fn leaves(&self) -> &[Digest] {
        &self.leaves
    }

    /// A durable entry with the nonce of its leaf.
    pub fn entry(&self, position: u64) -> Option<(&[u8], [u8; 32])> {
        let position = usize::try_from(position).ok()?;
        Some((self.entries.get(position)?, *self.nonces.get(position)?))
    }

    /// The durable entries from a position on.
    pub fn since(&self, from: u64) -> &[Vec<u8>] {
        usize::try_from(from).ok().and_then(|from| self.entries.get(from..)).unwrap_or_default()
    }

    /// The root of the tree over the first `size` entries.
    pub fn root(&self, size: u64) -> Option<Digest> {
        Some(merkle::root(self.leaves.get(..usize::try_from(size).ok()?)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(synced: &[&str], unsynced: &[&str]) -> Journal {
        let pack = |texts: &[&str]| texts.iter().map(|text| (text.as_bytes().to_vec(), [1; 32])).collect();
        let mut journal = Journal::default();
        journal.write(pack(synced), 0);
        journal.sync();
        journal.write(pack(unsynced), 2);
        journal
    }

    #[test]
    fn a_crash_leaves_the_beginning_of_a_turn_and_parts_no_command() {
        let all = ["a", "b", "c", "d", "e", "f"].map(|text| text.as_bytes().to_vec());
        for (reached, head) in [(0, 2), (1, 2), (2, 4), (3, 5), (4, 6), (9, 6)] {
            let mut journal = with(&["a", "b"], &["c", "d", "e", "f"]);
            journal.crash(reached);
            assert_eq!(journal.entries(), &all[..head], "{reached} reached the disk");
            assert_eq!((journal.leaves().len(), journal.unsynced()), (head, 0));
        }
    }

    #[test]
    fn later_trees_are_proven_to_continue_earlier_ones() {
        let mut journal = with(&["a", "b", "c"], &["d", "e"]);
        journal.sync();
        let path = merkle::consistency_path(journal.leaves(), 3).unwrap();
        let roots = (journal.root(3).unwrap(), journal.root(5).unwrap());
        assert_eq!(merkle::verify_consistency(3, roots.0, 5, roots.1, &path), Ok(()));
        assert_eq!(journal.root(6), None);
    }
}

//! The hub's journal in memory: appends count as a whole or not at all, as the file's frames do, and an append that was
//! not synced may vanish with the process.

use account::leaf;
use model::{Digest, merkle};

/// Entries, each with the nonce of its leaf.
#[derive(Clone, Debug, Default)]
pub struct Journal {
    entries: Vec<Vec<u8>>,
    nonces: Vec<[u8; 32]>,
    leaves: Vec<Digest>,
    /// Written and not synced: the last append.
    unsynced: Vec<(Vec<u8>, [u8; 32])>,
}

impl Journal {
    /// Writes one append, not yet durable.
    pub fn write(&mut self, entries: Vec<(Vec<u8>, [u8; 32])>) {
        self.unsynced = entries;
    }

    /// Makes the last append durable; gives the position of its first entry.
    pub fn sync(&mut self) -> u64 {
        let from = self.head();
        for (entry, nonce) in std::mem::take(&mut self.unsynced) {
            self.leaves.push(leaf::hash(leaf::commitment(&nonce, &entry)));
            self.entries.push(entry);
            self.nonces.push(nonce);
        }
        from
    }

    /// The process dies: what was not synced is there as a whole, or torn and cut off at the next start.
    pub fn crash(&mut self, torn: bool) {
        match torn {
            true => self.unsynced.clear(),
            false => drop(self.sync()),
        }
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
        journal.write(pack(synced));
        journal.sync();
        journal.write(pack(unsynced));
        journal
    }

    #[test]
    fn a_torn_append_vanishes_as_a_whole_and_nothing_else_does() {
        for (torn, head) in [(true, 2), (false, 4)] {
            let mut journal = with(&["a", "b"], &["c", "d"]);
            journal.crash(torn);
            assert_eq!((journal.head(), &journal.entries()[..2]), (head, &[b"a".to_vec(), b"b".to_vec()][..]));
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

//! The growing tree, as little of it as growing needs: the roots of its complete subtrees, from left to right.

use crate::error::Error;
use crate::paths::Reader;
use crate::tiles::TileSource;
use model::Digest;
use model::merkle;

/// An append-only Merkle tree of which only the right edge is kept: at most 64 hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    size: u64,
    /// One root for each bit set in `size`, the largest subtree first.
    edge: Vec<Digest>,
}

impl Tree {
    /// The empty tree.
    pub const fn new() -> Self {
        Self { size: 0, edge: Vec::new() }
    }

    /// The tree of this size and edge, as [`Tree::edge`] gave it; `None` if that many hashes cannot be its edge.
    pub fn from_edge(size: u64, edge: Vec<Digest>) -> Option<Self> {
        (edge.len() == size.count_ones() as usize).then_some(Self { size, edge })
    }

    /// Takes up the tree of this size from its tiles. Compare the root with a checkpoint's: tiles are not signed.
    ///
    /// # Errors
    /// Unavailable: a tile is missing.
    pub fn from_tiles(source: &impl TileSource, size: u64) -> Result<Self, Error> {
        let mut reader = Reader::new(source, size);
        let (mut from, mut edge) = (0, Vec::new());
        for bit in (0..u64::BITS).rev().filter(|bit| size >> bit & 1 == 1) {
            let to = from + (1 << bit);
            edge.push(reader.range(from..to)?);
            from = to;
        }
        Ok(Self { size, edge })
    }

    /// Appends a leaf by its hash. Amortised over appends, two hashes are computed for each.
    pub fn push(&mut self, leaf_hash: Digest) {
        let complete = self.size.trailing_ones();
        let merged = (0..complete).fold(leaf_hash, |right, _| match self.edge.pop() {
            Some(left) => merkle::node_hash(left, right),
            None => right,
        });
        self.edge.push(merged);
        self.size += 1;
    }

    /// How many leaves it has.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of its complete subtrees, the largest first.
    pub fn edge(&self) -> &[Digest] {
        &self.edge
    }

    /// Its root (RFC 9162 §2.1.1).
    pub fn root(&self) -> Digest {
        let mut edge = self.edge.iter().rev().copied();
        match edge.next() {
            None => merkle::root(&[]),
            Some(last) => edge.fold(last, |right, left| merkle::node_hash(left, right)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growing_tree_has_the_root_of_the_whole_at_every_size() {
        let (mut tree, mut leaves) = (Tree::new(), Vec::new());
        for n in 0..600_u64 {
            assert_eq!((tree.size(), tree.root()), (n, merkle::root(&leaves)));
            assert_eq!(Tree::from_edge(n, tree.edge().to_vec()).as_ref(), Some(&tree));
            let leaf = merkle::leaf_hash(&n.to_be_bytes());
            tree.push(leaf);
            leaves.push(leaf);
        }
    }

    #[test]
    fn edge_of_another_size_is_no_tree() {
        assert_eq!(Tree::from_edge(3, vec![Digest::of(&[])]), None);
    }
}

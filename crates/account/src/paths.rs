//! Inclusion and consistency paths made from tiles.

use crate::error::Error;
use crate::tiles::{TileId, TileSource, fetch};
use model::Digest;
use model::merkle::{self, ProofError};
use std::collections::BTreeMap;
use std::ops::Range;

/// The path that proves leaf `index` to stand in the tree of `size` leaves.
///
/// # Errors
/// Refused: there is no such leaf. Unavailable: a tile is missing.
pub fn inclusion(source: &impl TileSource, size: u64, index: u64) -> Result<Vec<Digest>, Error> {
    let ranges = merkle::inclusion_ranges(size, index).ok_or(ProofError::IndexBeyondSize { index, size })?;
    Reader::new(source, size).ranges(ranges)
}

/// The path that proves the tree of `new_size` leaves to begin with the one of `old_size`.
///
/// # Errors
/// Refused: the tree would have shrunk. Unavailable: a tile is missing.
pub fn consistency(source: &impl TileSource, old_size: u64, new_size: u64) -> Result<Vec<Digest>, Error> {
    let ranges = merkle::consistency_ranges(old_size, new_size).ok_or(ProofError::TreeShrank { old_size, new_size })?;
    Reader::new(source, new_size).ranges(ranges)
}

/// The root of the tree of `size` leaves.
///
/// # Errors
/// Unavailable: a tile is missing.
pub fn root(source: &impl TileSource, size: u64) -> Result<Digest, Error> {
    match size {
        0 => Ok(merkle::root(&[])),
        _ => Reader::new(source, size).range(0..size),
    }
}

/// Reads hashes of a tree of one size from its tiles, each tile once.
pub(crate) struct Reader<'s, S> {
    source: &'s S,
    size: u64,
    read: BTreeMap<TileId, Vec<Digest>>,
}

impl<'s, S: TileSource> Reader<'s, S> {
    pub(crate) const fn new(source: &'s S, size: u64) -> Self {
        Self { source, size, read: BTreeMap::new() }
    }

    fn ranges(&mut self, ranges: Vec<Range<u64>>) -> Result<Vec<Digest>, Error> {
        ranges.into_iter().map(|range| self.range(range)).collect()
    }

    /// The root over some leaves: one complete subtree, or several at the tree's right edge.
    pub(crate) fn range(&mut self, range: Range<u64>) -> Result<Digest, Error> {
        let leaves = range.end - range.start;
        if leaves.is_power_of_two() {
            return self.subtree(leaves.ilog2(), range.start / leaves);
        }
        let split = range.start + merkle::left_width_u64(leaves);
        Ok(merkle::node_hash(self.range(range.start..split)?, self.range(split..range.end)?))
    }

    /// The root of the `nth` complete subtree of 2^`height` leaves.
    fn subtree(&mut self, height: u32, nth: u64) -> Result<Digest, Error> {
        // A height is at most 63, a level then at most 7.
        let (level, above) = ((height / 8) as u8, height % 8);
        let first = nth << above;
        let outside = ProofError::IndexBeyondSize { index: nth << height, size: self.size };
        let id = TileId::holding(self.size, level, first + (1 << above) - 1).ok_or(outside)?;
        let hashes = match self.read.entry(id) {
            std::collections::btree_map::Entry::Occupied(read) => read.into_mut(),
            std::collections::btree_map::Entry::Vacant(unread) => unread.insert(fetch(self.source, id)?),
        };
        let from = (first % 256) as usize;
        Ok(merkle::root(&hashes[from..from + (1 << above)]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;
    use crate::tiles::tests::{leaf, tiled};
    use proptest::prelude::*;

    #[test]
    fn paths_from_tiles_equal_those_from_all_leaves() {
        for size in [1, 2, 255, 256, 257, 700, 70_000] {
            let leaves: Vec<_> = (0..size).map(leaf).collect();
            let (kept, _) = tiled(size);
            assert_eq!(root(&kept, size).unwrap(), merkle::root(&leaves));
            for index in [0, size / 3, size - 1] {
                assert_eq!(inclusion(&kept, size, index).ok(), merkle::inclusion_path(&leaves, index));
                assert_eq!(consistency(&kept, index, size).ok(), merkle::consistency_path(&leaves, index));
            }
        }
    }

    #[test]
    fn missing_tile_is_named() {
        let (kept, _) = tiled(300);
        let error = inclusion(&kept, 600, 299).unwrap_err();
        assert_eq!(error.to_string(), "unavailable: tile/0/001 is missing or has too few hashes");
    }

    #[test]
    fn proofs_outside_the_tree_are_refused() {
        let (kept, _) = tiled(3);
        assert!(matches!(inclusion(&kept, 3, 3), Err(Error::Refused(_))));
        assert!(matches!(consistency(&kept, 4, 3), Err(Error::Refused(_))));
    }

    proptest! {
        #[test]
        fn any_size_pair_is_proven_and_taken_up(size in 1_u64..1200, a: u64, b: u64) {
            let (kept, _) = tiled(size);
            let (index, old) = (a % size, b % (size + 1));
            let tree = Tree::from_tiles(&kept, size).unwrap();
            let path = inclusion(&kept, size, index).unwrap();
            prop_assert_eq!(merkle::verify_inclusion(tree.root(), size, index, leaf(index), &path), Ok(()));
            let mut older = Tree::new();
            (0..old).for_each(|n| older.push(leaf(n)));
            let path = consistency(&kept, old, size).unwrap();
            prop_assert_eq!(merkle::verify_consistency(old, older.root(), size, tree.root(), &path), Ok(()));
        }
    }
}

//! A Merkle tree kept level by level: hashed once, then every path is a walk. For batches and plans, which show many
//! of their leaves.

use crate::digest::Digest;
use crate::merkle::{node_hash, root};

/// All levels of the tree over a list of leaves (RFC 9162 §2.1), the leaves first. A node without a sibling moves up as
/// it is, which gives the same tree as the standard's recursive definition.
#[derive(Clone, Debug)]
pub struct Levels(Vec<Vec<Digest>>);

impl Levels {
    /// Hashes the tree.
    pub fn new(leaves: Vec<Digest>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|l| l.len() > 1) {
            let above = below.chunks(2).map(|pair| match pair {
                [left, right] => node_hash(*left, *right),
                lone => lone[0],
            });
            levels.push(above.collect());
        }
        Self(levels)
    }

    /// The root; of no leaves that of the empty tree.
    pub fn root(&self) -> Digest {
        self.0.last().and_then(|top| top.first().copied()).unwrap_or_else(|| root(&[]))
    }

    /// The number of leaves.
    pub fn len(&self) -> usize {
        self.0[0].len()
    }

    /// Has the tree no leaves?
    pub fn is_empty(&self) -> bool {
        self.0[0].is_empty()
    }

    /// The path of a leaf to the root, from the leaf upwards; `None` if there is no such leaf.
    pub fn path(&self, index: usize) -> Option<Vec<Digest>> {
        self.0[0].get(index)?;
        let siblings =
            self.0.iter().enumerate().filter_map(|(height, level)| level.get((index >> height) ^ 1).copied());
        Some(siblings.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{inclusion_path, leaf_hash};

    #[test]
    fn levels_agree_with_the_standard_definition() {
        for size in 0..70_usize {
            let leaves: Vec<Digest> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
            let levels = Levels::new(leaves.clone());
            assert_eq!(levels.root(), root(&leaves), "{size}");
            assert_eq!((levels.len(), levels.is_empty()), (size, size == 0));
            for index in 0..=size {
                assert_eq!(levels.path(index), inclusion_path(&leaves, index as u64), "{index} of {size}");
            }
        }
    }
}

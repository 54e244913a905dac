//! Merkle trees as RFC 9162 §2.1 defines them: hashes, roots, inclusion and consistency paths.
//!
//! A tree is the list of its leaf hashes, in order. Everything here is a function of that list, so it serves both small
//! trees that stand in memory (the openings of a batch) and, through the `*_ranges` functions, large ones of which only
//! some hashes are at hand (the journal's tiles).

use crate::digest::Digest;
use std::ops::Range;

/// Longest path there can be: one hash a level of a tree of 2^64 leaves.
pub const PATH_HASHES_MAX: usize = 64;

/// Why a path proves nothing. The path or what it is held against was altered, or they belong to different trees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf does not stand in the tree.
    #[error("leaf index {index} is not below the tree size {size}")]
    IndexBeyondSize {
        /// The index that was asked for, from 0.
        index: u64,
        /// How many leaves the tree has.
        size: u64,
    },
    /// The newer tree is smaller than the older one.
    #[error("the newer tree has {new_size} leaves, fewer than the {old_size} of the older one")]
    TreeShrank {
        /// Leaves of the older tree.
        old_size: u64,
        /// Leaves of the newer tree.
        new_size: u64,
    },
    /// The path has too many or too few hashes for these sizes.
    #[error("the path has {found} hashes, expected {expected}")]
    PathLength {
        /// How many hashes a path between these sizes has.
        expected: usize,
        /// How many it had.
        found: usize,
    },
    /// The path leads to another root.
    #[error("the path leads to {which} root {computed}, expected {expected}")]
    RootDiffers {
        /// `the`, `the older` or `the newer`.
        which: &'static str,
        /// The root that was to be reached.
        expected: Digest,
        /// The root that was reached.
        computed: Digest,
    },
}

/// The hash of one leaf: SHA-256(0x00 || data).
pub fn leaf_hash(data: &[u8]) -> Digest {
    Digest::of(&[&[0], data])
}

/// The hash of a node above two others: SHA-256(0x01 || left || right).
pub fn node_hash(left: Digest, right: Digest) -> Digest {
    Digest::of(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// The root of the tree over these leaf hashes; of no leaves at all it is SHA-256 of nothing.
pub fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(left_width(leaves.len()));
            node_hash(root(left), root(right))
        }
    }
}

/// The path that proves leaf `index` to stand in the tree, from the leaf upwards; `None` if there is no such leaf.
pub fn inclusion_path(leaves: &[Digest], index: u64) -> Option<Vec<Digest>> {
    let ranges = inclusion_ranges(u64::try_from(leaves.len()).ok()?, index)?;
    ranges.into_iter().map(|range| range_root(leaves, range)).collect()
}

/// The path that proves the tree to begin with the tree of its first `old_size` leaves; `None` if it has fewer.
pub fn consistency_path(leaves: &[Digest], old_size: u64) -> Option<Vec<Digest>> {
    let ranges = consistency_ranges(old_size, u64::try_from(leaves.len()).ok()?)?;
    ranges.into_iter().map(|range| range_root(leaves, range)).collect()
}

/// Which subtrees the inclusion path of leaf `index` names, as ranges of leaves, from the leaf upwards.
///
/// The hash of a range is the root of the tree over its leaves alone. `None` if `index` is not below `size`.
pub fn inclusion_ranges(size: u64, index: u64) -> Option<Vec<Range<u64>>> {
    if index >= size {
        return None;
    }
    let (mut from, mut to, mut ranges) = (0, size, Vec::new());
    while to - from > 1 {
        let split = from + left_width_u64(to - from);
        if index < split {
            ranges.push(split..to);
            to = split;
        } else {
            ranges.push(from..split);
            from = split;
        }
    }
    ranges.reverse();
    Some(ranges)
}

/// Which subtrees the consistency path from `old_size` to `new_size` names, as ranges of leaves, in the path's order.
///
/// Empty where nothing needs proving: the sizes are equal, or the older tree is empty. `None` if the tree shrank.
pub fn consistency_ranges(old_size: u64, new_size: u64) -> Option<Vec<Range<u64>>> {
    if old_size > new_size {
        return None;
    }
    if old_size == 0 || old_size == new_size {
        return Some(Vec::new());
    }
    let (mut from, mut to, mut ranges) = (0, new_size, Vec::new());
    while to != old_size {
        let split = from + left_width_u64(to - from);
        if old_size <= split {
            ranges.push(split..to);
            to = split;
        } else {
            ranges.push(from..split);
            from = split;
        }
    }
    if from != 0 {
        ranges.push(from..to);
    }
    ranges.reverse();
    Some(ranges)
}

/// Checks that `leaf_hash` is leaf `index` of the tree of `size` leaves with this root (RFC 9162 §2.1.3.2).
///
/// # Errors
/// [`ProofError`] names the first thing that does not fit; the statement is then unproven.
pub fn verify_inclusion(
    root: Digest,
    size: u64,
    index: u64,
    leaf_hash: Digest,
    path: &[Digest],
) -> Result<(), ProofError> {
    let computed = root_from_inclusion(size, index, leaf_hash, path)?;
    same_root("the", root, computed)
}

/// The root that a path from a leaf leads to: what [`verify_inclusion`] compares.
///
/// # Errors
/// [`ProofError`] if there is no such leaf or the path has the wrong length.
pub fn root_from_inclusion(size: u64, index: u64, leaf_hash: Digest, path: &[Digest]) -> Result<Digest, ProofError> {
    let ranges = inclusion_ranges(size, index).ok_or(ProofError::IndexBeyondSize { index, size })?;
    path_length(ranges.len(), path)?;
    let climb = |below, (range, sibling): (Range<u64>, &Digest)| match range.start <= index {
        true => node_hash(*sibling, below),
        false => node_hash(below, *sibling),
    };
    Ok(ranges.into_iter().zip(path).fold(leaf_hash, climb))
}

/// Checks that the newer tree begins with the older one (RFC 9162 §2.1.4.2).
///
/// The empty tree begins every tree, and a tree begins itself; both are proven by the empty path alone.
///
/// # Errors
/// [`ProofError`] names the first thing that does not fit; the two roots may then be of different histories.
pub fn verify_consistency(
    old_size: u64,
    old_root: Digest,
    new_size: u64,
    new_root: Digest,
    path: &[Digest],
) -> Result<(), ProofError> {
    let ranges = consistency_ranges(old_size, new_size).ok_or(ProofError::TreeShrank { old_size, new_size })?;
    path_length(ranges.len(), path)?;
    if old_size == 0 {
        return same_root("the older", root(&[]), old_root);
    }
    let mut steps = ranges.into_iter().zip(path.iter().copied()).peekable();
    // The path starts at the older tree's last subtree; where that is the older tree itself, its root is left out.
    let seed = match steps.next_if(|(range, _)| range.end == old_size) {
        Some((_, hash)) => hash,
        None => old_root,
    };
    let (mut old, mut new) = (seed, seed);
    for (range, hash) in steps {
        if range.start < old_size {
            old = node_hash(hash, old);
            new = node_hash(hash, new);
        } else {
            new = node_hash(new, hash);
        }
    }
    same_root("the older", old_root, old)?;
    same_root("the newer", new_root, new)
}

/// How many leaves the left subtree of a tree of `size` (two or more) leaves has: the largest power of two below it.
pub const fn left_width_u64(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

fn left_width(size: usize) -> usize {
    1 << (size - 1).ilog2()
}

fn range_root(leaves: &[Digest], range: Range<u64>) -> Option<Digest> {
    let (from, to) = (usize::try_from(range.start).ok()?, usize::try_from(range.end).ok()?);
    leaves.get(from..to).map(root)
}

fn path_length(expected: usize, path: &[Digest]) -> Result<(), ProofError> {
    match path.len() == expected {
        true => Ok(()),
        false => Err(ProofError::PathLength { expected, found: path.len() }),
    }
}

fn same_root(which: &'static str, expected: Digest, computed: Digest) -> Result<(), ProofError> {
    match computed == expected {
        true => Ok(()),
        false => Err(ProofError::RootDiffers { which, expected, computed }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::unhex;
    use proptest::prelude::*;

    /// The eight leaves that certificate transparency's reference implementations test with.
    fn ct_leaves() -> Vec<Digest> {
        let data: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &unhex::<16>("606162636465666768696a6b6c6d6e6f").unwrap(),
        ];
        data.iter().map(|leaf| leaf_hash(leaf)).collect()
    }

    const CT_ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    const LEAF_1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const LEAF_4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const NODE_2_3: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const NODE_4_5: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
    const NODE_6_7: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const NODE_4_7: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";

    fn digests(texts: &[&str]) -> Vec<Digest> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn roots_equal_the_certificate_transparency_vectors() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(root(&[]).to_string(), empty);
        for (size, expected) in (1..).zip(CT_ROOTS) {
            assert_eq!(root(&ct_leaves()[..size]).to_string(), expected, "size {size}");
        }
    }

    #[test]
    fn inclusion_paths_equal_the_certificate_transparency_vectors() {
        let leaves = ct_leaves();
        let vectors: [(u64, usize, &[&str]); 5] = [
            (0, 1, &[]),
            (0, 8, &[LEAF_1, NODE_2_3, NODE_4_7]),
            (5, 8, &[LEAF_4, NODE_6_7, CT_ROOTS[3]]),
            (2, 3, &[CT_ROOTS[1]]),
            (1, 5, &[CT_ROOTS[0], NODE_2_3, LEAF_4]),
        ];
        for (index, size, expected) in vectors {
            let path = inclusion_path(&leaves[..size], index).unwrap();
            assert_eq!(path, digests(expected), "leaf {index} of {size}");
        }
    }

    #[test]
    fn consistency_paths_equal_the_certificate_transparency_vectors() {
        let leaves = ct_leaves();
        let vectors: [(u64, usize, &[&str]); 4] = [
            (1, 1, &[]),
            (1, 8, &[LEAF_1, NODE_2_3, NODE_4_7]),
            (6, 8, &[NODE_4_5, NODE_6_7, CT_ROOTS[3]]),
            (2, 5, &[NODE_2_3, LEAF_4]),
        ];
        for (old, new, expected) in vectors {
            let path = consistency_path(&leaves[..new], old).unwrap();
            assert_eq!(path, digests(expected), "{old} to {new}");
        }
    }

    #[test]
    fn leaf_outside_the_tree_has_no_path() {
        let leaves = ct_leaves();
        assert_eq!(inclusion_path(&leaves, 8), None);
        assert_eq!(inclusion_path(&[], 0), None);
        assert_eq!(
            verify_inclusion(root(&leaves), 8, 8, leaves[0], &[]),
            Err(ProofError::IndexBeyondSize { index: 8, size: 8 })
        );
    }

    #[test]
    fn shrunken_tree_is_refused() {
        let leaves = ct_leaves();
        assert_eq!(consistency_path(&leaves[..3], 4), None);
        assert_eq!(
            verify_consistency(4, root(&leaves[..4]), 3, root(&leaves[..3]), &[]),
            Err(ProofError::TreeShrank { old_size: 4, new_size: 3 })
        );
    }

    #[test]
    fn only_the_true_empty_root_is_consistent_from_size_zero() {
        let leaves = ct_leaves();
        assert_eq!(verify_consistency(0, root(&[]), 8, root(&leaves), &[]), Ok(()));
        assert!(verify_consistency(0, leaves[0], 8, root(&leaves), &[]).is_err());
    }

    #[test]
    fn largest_possible_tree_is_handled_without_overflow() {
        let ranges = inclusion_ranges(u64::MAX, u64::MAX - 1).unwrap();
        assert!(ranges.len() <= PATH_HASHES_MAX);
        let path = vec![leaf_hash(b""); ranges.len() + 1];
        let refused = verify_inclusion(path[0], u64::MAX, u64::MAX - 1, path[0], &path);
        assert!(matches!(refused, Err(ProofError::PathLength { .. })));
        assert!(consistency_ranges(1, u64::MAX).unwrap().len() <= PATH_HASHES_MAX);
    }

    fn numbered(size: u64) -> Vec<Digest> {
        (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect()
    }

    proptest! {
        #[test]
        fn every_leaf_of_any_tree_is_proven(size in 1_u64..300, pick in any::<u64>()) {
            let (leaves, index) = (numbered(size), pick % size);
            let path = inclusion_path(&leaves, index).unwrap();
            let leaf = leaves[usize::try_from(index).unwrap()];
            prop_assert_eq!(verify_inclusion(root(&leaves), size, index, leaf, &path), Ok(()));
        }

        #[test]
        fn any_tampered_inclusion_is_refused(size in 1_u64..300, pick in any::<u64>(), bit in 0_usize..256) {
            let (leaves, index) = (numbered(size), pick % size);
            let (good, path) = (root(&leaves), inclusion_path(&leaves, index).unwrap());
            let leaf = leaves[usize::try_from(index).unwrap()];
            prop_assert!(verify_inclusion(flip(good, bit), size, index, leaf, &path).is_err());
            prop_assert!(verify_inclusion(good, size, index, flip(leaf, bit), &path).is_err());
            for other in (0..size).filter(|other| *other != index) {
                prop_assert!(verify_inclusion(good, size, other, leaf, &path).is_err());
            }
            for step in 0..path.len() {
                let mut bad = path.clone();
                bad[step] = flip(bad[step], bit);
                prop_assert!(verify_inclusion(good, size, index, leaf, &bad).is_err());
            }
            let longer = [&path[..], &[leaf]].concat();
            prop_assert!(verify_inclusion(good, size, index, leaf, &longer).is_err());
        }

        #[test]
        fn any_two_sizes_of_one_history_are_consistent(new in 0_u64..300, pick in any::<u64>()) {
            let (leaves, old) = (numbered(new), pick % (new + 1));
            let path = consistency_path(&leaves, old).unwrap();
            let old_root = root(&leaves[..usize::try_from(old).unwrap()]);
            prop_assert_eq!(verify_consistency(old, old_root, new, root(&leaves), &path), Ok(()));
        }

        #[test]
        fn any_tampered_consistency_is_refused(new in 1_u64..300, pick in any::<u64>(), bit in 0_usize..256) {
            let (leaves, old) = (numbered(new), pick % (new + 1));
            let path = consistency_path(&leaves, old).unwrap();
            let (old_root, new_root) = (root(&leaves[..usize::try_from(old).unwrap()]), root(&leaves));
            prop_assert!(verify_consistency(old, flip(old_root, bit), new, new_root, &path).is_err());
            if old > 0 {
                prop_assert!(verify_consistency(old, old_root, new, flip(new_root, bit), &path).is_err());
            }
            for step in 0..path.len() {
                let mut bad = path.clone();
                bad[step] = flip(bad[step], bit);
                prop_assert!(verify_consistency(old, old_root, new, new_root, &bad).is_err());
            }
            let longer = [&path[..], &[old_root]].concat();
            prop_assert!(verify_consistency(old, old_root, new, new_root, &longer).is_err());
        }
    }

    fn flip(digest: Digest, bit: usize) -> Digest {
        let mut bytes = *digest.as_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Digest::from_bytes(bytes)
    }
}

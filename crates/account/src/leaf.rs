//! How an entry becomes a leaf: a commitment that fixes the entry and, without its nonce, says nothing about it.

use model::Digest;
use model::merkle;

/// What every commitment begins with, so that it cannot be taken for the hash of anything else.
const DOMAIN: &[u8] = b"epimachia/leaf/v1";
/// Longest entry, in bytes.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;

/// The leaf of an entry, 32 bytes whatever the entry is: SHA-256("epimachia/leaf/v1" || nonce || entry).
///
/// The nonce must be random and used once; whoever knows it can test guesses of the entry.
pub fn commitment(nonce: &[u8; 32], entry: &[u8]) -> Digest {
    Digest::of(&[DOMAIN, nonce, entry])
}

/// The hash of a leaf in the tree: SHA-256(0x00 || commitment) (RFC 9162 §2.1.1).
pub fn hash(commitment: Digest) -> Digest {
    merkle::leaf_hash(commitment.as_bytes())
}

/// Commitments as an entry bundle of C2SP `tlog-tiles`: each with its length, 32, before it as a big-endian u16.
pub fn bundle(commitments: &[Digest]) -> Vec<u8> {
    commitments.iter().flat_map(|leaf| [0, 32].into_iter().chain(*leaf.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_equals_the_documented_example() {
        // printf 'epimachia/leaf/v1' and 32 bytes 0x07 and 'abc', through sha256sum.
        let leaf = commitment(&[7; 32], b"abc");
        assert_eq!(leaf, Digest::of(&[b"epimachia/leaf/v1", &[7; 32], b"abc"]));
        assert_eq!(leaf.to_string(), EXAMPLE_COMMITMENT);
        assert_eq!(hash(leaf).to_string(), EXAMPLE_HASH);
    }

    const EXAMPLE_COMMITMENT: &str = "1753ef98c8bf7cf9427f7c86f8f0c8e4874143c11cbab91eefeb11e1e372e5a8";
    const EXAMPLE_HASH: &str = "3f0be3abab2c3e10a2f5f9348820d55437900135ddbb0b2f1f4d3a1679cd211e";

    #[test]
    fn bundle_is_length_prefixed_commitments() {
        let leaf = commitment(&[7; 32], b"abc");
        let bytes = bundle(&[leaf, leaf]);
        assert_eq!((bytes.len(), &bytes[..2], &bytes[34..36]), (68, &[0, 32][..], &[0, 32][..]));
        assert_eq!(&bytes[2..34], leaf.as_bytes());
    }
}

//! The proof of one entry, in one file: C2SP `tlog-proof`, with the opening of its leaf as the extra data.
//!
//! It verifies offline with nothing but the log's public key. Without the opening it proves that a leaf stands in the
//! log and shows nothing of the entry.

use crate::checkpoint::{CheckpointFault, SignedCheckpoint, decimal, hash};
use crate::error::Error;
use crate::leaf::{self, ENTRY_BYTES_MAX};
use crate::note::{NOTE_BYTES_MAX, VerifierKey};
use crate::paths;
use crate::tiles::TileSource;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::merkle::{self, PATH_HASHES_MAX, ProofError};
use model::{Digest, ParseError};
use std::fmt;

/// Longest proof file, in bytes: the longest entry in base64, a path and a checkpoint.
pub const PROOF_BYTES_MAX: usize = (ENTRY_BYTES_MAX + 32) / 3 * 4 + NOTE_BYTES_MAX + (8 << 10);
/// The first line of every proof.
const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";

/// What opens a leaf. Whoever may see it depends on the entry's handling; the leaf alone may be seen by anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The leaf's nonce.
    pub nonce: [u8; 32],
    /// The entry.
    pub entry: Vec<u8>,
}

impl Opening {
    /// The leaf it opens.
    pub fn commitment(&self) -> Digest {
        leaf::commitment(&self.nonce, &self.entry)
    }
}

/// A proof that an entry, or a leaf of which nothing is shown, stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryProof {
    opening: Option<Opening>,
    index: u64,
    path: Vec<Digest>,
    checkpoint: SignedCheckpoint,
}

/// What a proof has proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven<'p> {
    /// The entry's position in the journal.
    pub index: u64,
    /// The size of the tree it was proven in.
    pub size: u64,
    /// The entry's leaf.
    pub commitment: Digest,
    /// The entry, if the proof opens it.
    pub entry: Option<&'p [u8]>,
}

/// What of a proof failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    /// The checkpoint is another log's, unsigned or altered.
    #[error("{0}")]
    Checkpoint(#[from] CheckpointFault),
    /// The proof shows no entry, and no leaf was given to hold it against.
    #[error("the proof holds no opening: give the leaf it is to be held against")]
    NoOpening,
    /// The entry or its nonce is not the one that the given leaf fixes.
    #[error("the opening makes leaf {computed}, expected {expected}")]
    Opening {
        /// The leaf that was given.
        expected: Digest,
        /// The leaf that the opening makes.
        computed: Digest,
    },
    /// The entry, its index or the path was altered, or belongs to another tree.
    #[error("the entry at index {index} is not in the checkpoint's tree: {fault}")]
    Inclusion {
        /// The index the proof names.
        index: u64,
        /// What does not fit.
        fault: ProofError,
    },
}

impl EntryProof {
    /// Makes the proof of leaf `index` in the tree of a checkpoint; `opening` shows the entry.
    ///
    /// # Errors
    /// Refused: the index is not in the tree, or the opening is not that leaf's. Unavailable: a tile is missing.
    pub fn make(
        source: &impl TileSource,
        checkpoint: SignedCheckpoint,
        index: u64,
        opening: Option<Opening>,
    ) -> Result<Self, Error> {
        let stated = checkpoint.unverified();
        let path = paths::inclusion(source, stated.size, index)?;
        if let Some(opening) = &opening {
            let leaf_hash = leaf::hash(opening.commitment());
            merkle::verify_inclusion(stated.root, stated.size, index, leaf_hash, &path)?;
        }
        Ok(Self { opening, index, path, checkpoint })
    }

    /// Verifies that the entry this proof shows stands in this log.
    ///
    /// # Errors
    /// [`ProofFault`] names what failed.
    pub fn verify(&self, key: &VerifierKey) -> Result<Proven<'_>, ProofFault> {
        let opening = self.opening.as_ref().ok_or(ProofFault::NoOpening)?;
        self.included(key, opening.commitment())
    }

    /// Verifies that this leaf stands in this log; if the proof shows an entry, it must be the leaf's.
    ///
    /// # Errors
    /// [`ProofFault`] names what failed.
    pub fn verify_leaf(&self, key: &VerifierKey, commitment: Digest) -> Result<Proven<'_>, ProofFault> {
        match self.opening.as_ref().map(Opening::commitment) {
            Some(computed) if computed != commitment => Err(ProofFault::Opening { expected: commitment, computed }),
            _ => self.included(key, commitment),
        }
    }

    /// The checkpoint, with all its signatures. Cosignatures of witnesses are to be verified on it.
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The index the proof is about, proven or not.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The opening, proven or not.
    pub const fn opening(&self) -> Option<&Opening> {
        self.opening.as_ref()
    }

    /// The same proof for those who may not see the entry.
    #[must_use]
    pub fn closed(self) -> Self {
        Self { opening: None, ..self }
    }

    fn included(&self, key: &VerifierKey, commitment: Digest) -> Result<Proven<'_>, ProofFault> {
        let checkpoint = self.checkpoint.verify(key)?;
        let (size, index) = (checkpoint.size, self.index);
        merkle::verify_inclusion(checkpoint.root, size, index, leaf::hash(commitment), &self.path)
            .map_err(|fault| ProofFault::Inclusion { index, fault })?;
        Ok(Proven { index, size, commitment, entry: self.opening.as_ref().map(|opening| &opening.entry[..]) })
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// The part that is not as C2SP `tlog-proof` has it, or beyond a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > PROOF_BYTES_MAX {
            let size = format!("{} bytes", bytes.len());
            return Err(ParseError::new("proof", &size, format!("at most {PROOF_BYTES_MAX} bytes")));
        }
        let refused = |value: &str, allowed: &str| ParseError::new("proof", value, allowed);
        let text = std::str::from_utf8(bytes).map_err(|_| refused("bytes", "UTF-8 text"))?;
        let (head, checkpoint) =
            text.split_once("\n\n").ok_or_else(|| refused(text, "a path, an empty line, a checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        let first = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(refused(first, FIRST_LINE));
        }
        let opening = lines.next_if(|line| line.starts_with("extra ")).map(|line| opening(&line[6..])).transpose()?;
        let index = lines.next().and_then(|line| line.strip_prefix("index "));
        let index = decimal("proof index", index.ok_or_else(|| refused(head, "a line `index <n>`"))?)?;
        let path: Vec<Digest> = lines.take(PATH_HASHES_MAX + 1).map(hash).collect::<Result<_, _>>()?;
        if path.len() > PATH_HASHES_MAX {
            return Err(refused("more hashes", "a path of at most 64 hashes"));
        }
        Ok(Self { opening, index, path, checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes())? })
    }
}

impl fmt::Display for EntryProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        if let Some(opening) = &self.opening {
            writeln!(f, "extra {}", BASE64.encode([&opening.nonce[..], &opening.entry].concat()))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

fn opening(extra: &str) -> Result<Opening, ParseError> {
    let refused = || ParseError::new("proof extra", extra, "a nonce of 32 bytes and an entry, in base64");
    let bytes = BASE64.decode(extra).map_err(|_| refused())?;
    let (nonce, entry) = bytes.split_first_chunk().ok_or_else(refused)?;
    match entry.len() > ENTRY_BYTES_MAX {
        true => Err(refused()),
        false => Ok(Opening { nonce: *nonce, entry: entry.to_vec() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tiles::tests::Kept;
    use crate::{Checkpoint, Signer, Tiler, Tree};
    use proptest::prelude::*;

    fn signer() -> Signer {
        Signer::new("alliance.example/log", &[3; 32]).unwrap()
    }

    fn opening_of(n: u64) -> Opening {
        Opening { nonce: [n as u8; 32], entry: format!("entry {n}").into_bytes() }
    }

    fn log(size: u64) -> (Kept, SignedCheckpoint) {
        let (mut kept, mut tiler, mut tree) = (Kept::default(), Tiler::new(), Tree::new());
        for n in 0..size {
            let hash = leaf::hash(opening_of(n).commitment());
            tiler.push(hash, &mut |tile| kept.keep(&tile));
            tree.push(hash);
        }
        tiler.partials().for_each(|tile| kept.keep(&tile));
        let checkpoint = Checkpoint::new("alliance.example/log", size, tree.root()).sign(&signer());
        (kept, checkpoint.unwrap())
    }

    fn proof(size: u64, index: u64) -> EntryProof {
        let (kept, checkpoint) = log(size);
        EntryProof::make(&kept, checkpoint, index, Some(opening_of(index))).unwrap()
    }

    #[test]
    fn proof_verifies_after_its_journey_and_shows_the_entry() {
        let file = proof(300, 77).to_string();
        let back = EntryProof::parse(file.as_bytes()).unwrap();
        let proven = back.verify(signer().verifier()).unwrap();
        assert_eq!((proven.index, proven.size, proven.entry), (77, 300, Some(&b"entry 77"[..])));
        assert_eq!(back.to_string(), file);
    }

    #[test]
    fn example_of_the_specification_is_read_line_by_line() {
        let extra = "YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6kYXJ3aW4tYXJ";
        let path = "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\nB95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n";
        let note = "example.com/behind-the-sofa\n109482\nsFodV/vSp5O8n9a8QpW6PRY97tfOSW5bsc2Xl/EQi08=\n\n\
            — example.com/behind-the-sofa \
            Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let file = format!("c2sp.org/tlog-proof@v1\nextra {extra}\nindex 73894\n{path}\n{note}");
        let proof = EntryProof::parse(file.as_bytes()).unwrap();
        assert_eq!((proof.index, proof.path.len()), (73_894, 2));
        assert_eq!(proof.opening().map(|opening| &opening.nonce[..24]), Some(&b"age-v1.2.1-darwin-arm64."[..]));
        assert_eq!(proof.to_string(), file);
    }

    #[test]
    fn closed_proof_proves_the_leaf_alone() {
        let closed = proof(9, 4).closed();
        let back = EntryProof::parse(closed.to_string().as_bytes()).unwrap();
        let key = signer().verifier().clone();
        assert_eq!(back.verify(&key), Err(ProofFault::NoOpening));
        assert_eq!(back.verify_leaf(&key, opening_of(4).commitment()).unwrap().entry, None);
        let other = back.verify_leaf(&key, opening_of(5).commitment());
        assert!(matches!(other, Err(ProofFault::Inclusion { index: 4, .. })));
    }

    #[test]
    fn tampering_is_named() {
        let (good, key) = (proof(9, 4), signer().verifier().clone());
        let entry = EntryProof { opening: Some(opening_of(5)), ..good.clone() };
        assert!(matches!(entry.verify(&key), Err(ProofFault::Inclusion { .. })));
        assert!(matches!(entry.verify_leaf(&key, opening_of(4).commitment()), Err(ProofFault::Opening { .. })));
        let index = EntryProof { index: 5, ..good.clone() };
        assert!(matches!(index.verify(&key), Err(ProofFault::Inclusion { index: 5, .. })));
        let far = EntryProof { index: 9, ..good.clone() };
        let beyond = ProofError::IndexBeyondSize { index: 9, size: 9 };
        assert_eq!(far.verify(&key), Err(ProofFault::Inclusion { index: 9, fault: beyond }));
        let stranger = Signer::new("alliance.example/log", &[4; 32]).unwrap();
        assert!(matches!(good.verify(stranger.verifier()), Err(ProofFault::Checkpoint(_))));
    }

    #[test]
    fn proof_of_another_entry_is_not_made() {
        let (kept, checkpoint) = log(9);
        assert!(EntryProof::make(&kept, checkpoint.clone(), 4, Some(opening_of(5))).is_err());
        assert!(EntryProof::make(&kept, checkpoint, 9, None).is_err());
    }

    #[test]
    fn malformed_files_are_refused() {
        let good = proof(9, 4).to_string();
        let bad = [
            good.replace("@v1", "@v2"),
            good.replace("index 4", "index 04"),
            good.replace("index 4\n", ""),
            good.replace("\n\n", "\n"),
            good.replacen("=\n", "\n", 1),
            good.replace(
                "index 4\n",
                &format!("index 4\n{}", "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n".repeat(65)),
            ),
            format!("{good}x"),
            String::new(),
        ];
        for file in bad {
            assert!(EntryProof::parse(file.as_bytes()).is_err(), "{file}");
        }
        assert!(EntryProof::parse(&vec![b'a'; PROOF_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(size in 1_u64..40, pick: u64, place: usize) {
            let good = proof(size, pick % size);
            let mut bytes = good.to_string().into_bytes();
            let bit = place % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let believed = EntryProof::parse(&bytes).ok().map(|p| p.verify(signer().verifier()).is_ok());
            prop_assert!(!believed.unwrap_or(false));
        }
    }
}

//! Checkpoints as C2SP `tlog-checkpoint` defines them: which log, how many leaves, which root; signed by the log.

use crate::note::{Note, NoteFault, Signature, Signer, VerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::{Digest, ParseError};
use std::fmt;
use std::str::FromStr;

/// Most extension lines; we write none.
pub const EXTENSIONS_MAX: usize = 16;

/// What a checkpoint states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name, like `alliance.example/log`.
    pub origin: String,
    /// How many leaves the tree has.
    pub size: u64,
    /// The tree's root.
    pub root: Digest,
    /// Further lines, opaque.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    pub fn new(origin: &str, size: u64, root: Digest) -> Self {
        Self { origin: origin.to_owned(), size, root, extensions: Vec::new() }
    }

    /// Signs it. Never sign two of one log that are not consistent.
    ///
    /// # Errors
    /// The origin is not the signer's name, or a line could not be read back.
    pub fn sign(self, signer: &Signer) -> Result<SignedCheckpoint, ParseError> {
        if self.origin != signer.verifier().name() {
            let allowed = format!("the signer's name, {}", signer.verifier().name());
            return Err(ParseError::new("checkpoint origin", &self.origin, allowed));
        }
        let text = self.to_string();
        let read_back: Self = text.parse()?;
        if read_back != self {
            return Err(ParseError::new("checkpoint", &text, "lines without newlines"));
        }
        let mut note = Note::new(text)?;
        note.sign(signer)?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }
}

impl FromStr for Checkpoint {
    type Err = ParseError;

    /// Reads a note's text.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = |field: &str, value: &str, allowed: &str| Err(ParseError::new(field, value, allowed));
        let Some(lines) = text.strip_suffix('\n') else {
            return refused("checkpoint", text, "lines that each end in a newline");
        };
        let mut lines = lines.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return refused("checkpoint", text, "an origin, a size and a root");
        };
        let extensions: Vec<String> = lines.take(EXTENSIONS_MAX + 1).map(str::to_owned).collect();
        if extensions.len() > EXTENSIONS_MAX {
            return refused("checkpoint extensions", text, "at most 16 lines");
        }
        if origin.is_empty() || extensions.iter().any(String::is_empty) {
            return refused("checkpoint", text, "no empty line");
        }
        Ok(Self { origin: origin.to_owned(), size: decimal("checkpoint size", size)?, root: hash(root)?, extensions })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, BASE64.encode(self.root.as_bytes()))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint as it travels: a note. Not to be believed before [`SignedCheckpoint::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Reads a note whose text is a checkpoint.
    ///
    /// # Errors
    /// It is no note, or its text no checkpoint.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: note.text().parse()?, note })
    }

    /// What it states, once this log's key is found to have signed it.
    ///
    /// # Errors
    /// [`CheckpointFault`]: another log's, unsigned, or altered.
    pub fn verify(&self, key: &VerifierKey) -> Result<&Checkpoint, CheckpointFault> {
        if self.checkpoint.origin != key.name() {
            let (found, expected) = (self.checkpoint.origin.clone(), key.name().to_owned());
            return Err(CheckpointFault::Origin { expected, found });
        }
        self.note.verify(key)?;
        Ok(&self.checkpoint)
    }

    /// What it states, believed or not.
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, with every signature line. Cosignatures of witnesses are verified over its text.
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Adds a witness's signature line, as it is.
    ///
    /// # Errors
    /// There are too many already.
    pub fn add(&mut self, signature: Signature) -> Result<(), ParseError> {
        self.note.add(signature)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// Why a checkpoint is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// It is of another log.
    #[error("the checkpoint is of the log `{found}`, not `{expected}`")]
    Origin {
        /// The log whose key it is held against.
        expected: String,
        /// The log it names.
        found: String,
    },
    /// Its signature is missing or wrong.
    #[error("the checkpoint cannot be believed: {0}")]
    Note(#[from] NoteFault),
}

/// A number as the C2SP formats write it: decimal, no sign, no leading zero.
pub(crate) fn decimal(field: &str, text: &str) -> Result<u64, ParseError> {
    let number = text.parse::<u64>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| ParseError::new(field, text, "a decimal number below 2^64 without leading zeroes"))
}

/// A hash as the C2SP formats write it: 32 bytes in base64.
pub(crate) fn hash(text: &str) -> Result<Digest, ParseError> {
    let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Digest::from_bytes).ok_or_else(|| ParseError::new("hash", text, "32 bytes in base64"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of `tlog-cosignature`: a checkpoint with a witness's line.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 \
        jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    fn signer() -> Signer {
        Signer::new("alliance.example/log", &[3; 32]).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint::new("alliance.example/log", 42, Digest::of(&[b"root"]))
    }

    #[test]
    fn example_of_the_specification_is_read_and_printed_as_it_was() {
        let signed = SignedCheckpoint::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(signed.unverified().size, 20_852_163);
        assert_eq!(signed.unverified().origin, "example.com/behind-the-sofa");
        assert_eq!(signed.note().signatures().len(), 2);
        assert_eq!(signed.to_string(), EXAMPLE);
    }

    #[test]
    fn signed_checkpoint_verifies_after_its_journey() {
        let (signer, checkpoint) = (signer(), checkpoint());
        let signed = checkpoint.clone().sign(&signer).unwrap();
        let back = SignedCheckpoint::parse(signed.to_string().as_bytes()).unwrap();
        assert_eq!(back.verify(signer.verifier()), Ok(&checkpoint));
    }

    #[test]
    fn another_logs_checkpoint_is_refused_by_name() {
        let signed = checkpoint().sign(&signer()).unwrap();
        let other = Signer::new("other.example/log", &[3; 32]).unwrap();
        assert!(matches!(signed.verify(other.verifier()), Err(CheckpointFault::Origin { .. })));
        assert!(checkpoint().sign(&other).is_err());
    }

    #[test]
    fn checkpoint_signed_with_another_key_is_refused() {
        let impostor = Signer::new("alliance.example/log", &[4; 32]).unwrap();
        let signed = checkpoint().sign(&impostor).unwrap();
        let fault = signed.verify(signer().verifier());
        assert!(matches!(fault, Err(CheckpointFault::Note(NoteFault::Unsigned { .. }))));
    }

    #[test]
    fn malformed_texts_are_refused() {
        let hash = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
        let bad = [
            format!("o\n1\n{hash}"),
            "o\n1\n".to_owned(),
            format!("\n1\n{hash}\n"),
            format!("o\n01\n{hash}\n"),
            format!("o\n+1\n{hash}\n"),
            format!("o\n18446744073709551616\n{hash}\n"),
            format!("o\n1\n{}\n", &hash[..40]),
            format!("o\n1\n{}\n", hash.replace('=', "")),
            format!("o\n1\n{hash}\n\n"),
            format!("o\n1\n{hash}\n{}", "x\n".repeat(EXTENSIONS_MAX + 1)),
        ];
        for text in bad {
            assert!(text.parse::<Checkpoint>().is_err(), "{text}");
        }
        assert!(format!("o\n0\n{hash}\nextension\n").parse::<Checkpoint>().is_ok());
    }

    #[test]
    fn line_that_would_become_two_is_not_signed() {
        let smuggled = Checkpoint { extensions: vec!["a\nb".to_owned()], ..checkpoint() };
        assert!(smuggled.sign(&signer()).is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(place in 0_usize..10_000) {
            let signed = checkpoint().sign(&signer()).unwrap();
            let mut bytes = signed.to_string().into_bytes();
            let bit = place % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let believed = SignedCheckpoint::parse(&bytes).ok().map(|s| s.verify(signer().verifier()).is_ok());
            prop_assert!(!believed.unwrap_or(false));
        }

        #[test]
        fn any_text_is_read_without_panic(text in "(o\n[0-9]{0,25}\n)?\\PC{0,60}\n?") {
            let _ = text.parse::<Checkpoint>();
        }
    }
}

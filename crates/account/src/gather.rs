//! What witnesses sent about one log: the last few cosignatures of each, and which of them a checkpoint bears.

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::note::{SIGNATURES_MAX, Signature};
use model::Digest;
use std::collections::{BTreeMap, VecDeque};

/// How many of each witness are kept: checkpoints follow each other faster than a far witness answers.
const KEPT_OF_EACH: usize = 8;
/// Most cosignatures that one checkpoint is served with.
pub const SHOWN_MAX: usize = SIGNATURES_MAX / 2;

/// The cosignatures of one log's witnesses, by the witness's name.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    of: BTreeMap<String, VecDeque<Kept>>,
}

#[derive(Debug, Clone)]
struct Kept {
    size: u64,
    root: Digest,
    line: Signature,
}

/// What became of a cosignature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is the witness's first over this checkpoint.
    New,
    /// The witness has cosigned this checkpoint before: the newer line is kept.
    Again,
    /// The witness has cosigned larger trees since: it is not kept.
    Older {
        /// The largest one.
        largest: u64,
    },
}

impl Gathered {
    /// Keeps a cosignature that was verified.
    pub fn take(&mut self, witness: &str, checkpoint: &Checkpoint, line: Signature) -> Standing {
        let kept = self.of.entry(witness.to_owned()).or_default();
        let (size, root) = (checkpoint.size, checkpoint.root);
        if let Some(same) = kept.iter_mut().find(|kept| kept.size == size && kept.root == root) {
            same.line = line;
            return Standing::Again;
        }
        if let Some(largest) = kept.iter().map(|kept| kept.size).max().filter(|largest| *largest > size)
            && kept.len() >= KEPT_OF_EACH
        {
            return Standing::Older { largest };
        }
        kept.push_back(Kept { size, root, line });
        while kept.len() > KEPT_OF_EACH {
            drop(kept.pop_front());
        }
        Standing::New
    }

    /// Who has cosigned this checkpoint.
    pub fn witnesses_of(&self, checkpoint: &Checkpoint) -> impl Iterator<Item = &str> {
        self.lines(checkpoint).map(|(name, _)| name)
    }

    /// The checkpoint with its cosignatures, at most [`SHOWN_MAX`] of them.
    pub fn cosigned(&self, signed: &SignedCheckpoint) -> SignedCheckpoint {
        let mut whole = signed.clone();
        for (_, line) in self.lines(signed.unverified()).take(SHOWN_MAX) {
            // Cannot be too many: a checkpoint of ours bears one line, and so many are added.
            if whole.add(line.clone()).is_err() {
                break;
            }
        }
        whole
    }

    /// Forgets those who are no witnesses any more.
    pub fn retain(&mut self, is_witness: impl Fn(&str) -> bool) {
        self.of.retain(|name, _| is_witness(name));
    }

    fn lines(&self, checkpoint: &Checkpoint) -> impl Iterator<Item = (&str, &Signature)> {
        let (size, root) = (checkpoint.size, checkpoint.root);
        self.of.iter().filter_map(move |(name, kept)| {
            let over = kept.iter().find(|kept| kept.size == size && kept.root == root)?;
            Some((name.as_str(), &over.line))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Signer, WitnessKey, cosign};
    use model::SigningKey;

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint::new("log.example", size, Digest::of(&[&size.to_be_bytes()]))
    }

    fn line(witness: u8, size: u64, seconds: u64) -> (String, Signature) {
        let name = format!("log.example/witness/w{witness}");
        let line = cosign(&name, &SigningKey::from_seed(&[witness; 32]), &checkpoint(size), seconds).unwrap();
        (name, line)
    }

    fn take(gathered: &mut Gathered, witness: u8, size: u64, seconds: u64) -> Standing {
        let (name, line) = line(witness, size, seconds);
        gathered.take(&name, &checkpoint(size), line)
    }

    #[test]
    fn a_checkpoint_is_served_with_the_cosignatures_that_are_over_it_and_no_others() {
        let mut gathered = Gathered::default();
        assert_eq!(take(&mut gathered, 1, 10, 5), Standing::New);
        assert_eq!(take(&mut gathered, 2, 10, 5), Standing::New);
        assert_eq!(take(&mut gathered, 1, 11, 6), Standing::New);
        assert_eq!(gathered.witnesses_of(&checkpoint(10)).count(), 2);
        assert_eq!(gathered.witnesses_of(&checkpoint(11)).count(), 1);
        let signed = checkpoint(10).sign(&Signer::new("log.example", &[9; 32]).unwrap()).unwrap();
        let whole = gathered.cosigned(&signed);
        let key = WitnessKey::new("log.example/witness/w2", SigningKey::from_seed(&[2; 32]).public()).unwrap();
        assert_eq!(key.cosigned(whole.note()), Ok(Some(5)));
        assert_eq!(whole.note().signatures().len(), 3);
        let forked = Checkpoint { root: Digest::of(&[b"fork"]), ..checkpoint(10) };
        assert_eq!(gathered.witnesses_of(&forked).count(), 0);
    }

    #[test]
    fn a_newer_line_over_the_same_tree_replaces_the_older() {
        let mut gathered = Gathered::default();
        take(&mut gathered, 1, 10, 5);
        assert_eq!(take(&mut gathered, 1, 10, 9), Standing::Again);
        let signed = checkpoint(10).sign(&Signer::new("log.example", &[9; 32]).unwrap()).unwrap();
        assert_eq!(gathered.cosigned(&signed).note().signatures()[1], line(1, 10, 9).1);
    }

    #[test]
    fn the_last_few_of_each_are_kept_and_those_of_strangers_forgotten() {
        let mut gathered = Gathered::default();
        (1..=20).for_each(|size| assert_eq!(take(&mut gathered, 1, size, 5), Standing::New));
        assert_eq!(gathered.witnesses_of(&checkpoint(12)).count(), 0);
        assert_eq!(gathered.witnesses_of(&checkpoint(13)).count(), 1);
        assert_eq!(take(&mut gathered, 1, 3, 5), Standing::Older { largest: 20 });
        gathered.retain(|name| name.ends_with("w2"));
        assert_eq!(gathered.witnesses_of(&checkpoint(20)).count(), 0);
    }
}

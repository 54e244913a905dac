//! What a witness is asked: `add-checkpoint` of C2SP `tlog-witness`, and when it is answered how.

use crate::checkpoint::{Checkpoint, CheckpointFault, SignedCheckpoint, decimal, hash};
use crate::note::{NOTE_BYTES_MAX, VerifierKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::merkle;
use model::{Digest, ParseError};
use std::fmt;

/// Most lines of a consistency proof (C2SP `tlog-witness`).
pub const REQUEST_HASHES_MAX: usize = 63;
/// Longest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 64 * 45 + 32;

/// A request to cosign a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Which size the witness is said to have cosigned last; 0 for none.
    pub old: u64,
    /// The path from there (RFC 9162 §2.1.4).
    pub path: Vec<Digest>,
    /// The checkpoint.
    pub checkpoint: SignedCheckpoint,
}

/// What a witness answers where it does not cosign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reply {
    /// 400: not in the form of the standard, or the old size is the larger one.
    #[error("{0}")]
    Malformed(String),
    /// 403: not signed by a key that is trusted for this log.
    #[error("{0}")]
    Unsigned(String),
    /// 404: nothing is known of this log.
    #[error("the log `{0}` is not known here")]
    UnknownLog(String),
    /// 409: this size was cosigned last.
    #[error("the last cosigned size is {0}")]
    Conflict(u64),
    /// 422: the tree does not continue the one that was cosigned last.
    #[error("{0}")]
    Inconsistent(String),
}

impl Reply {
    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Unsigned(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Conflict(_) => 409,
            Self::Inconsistent(_) => 422,
        }
    }

    /// The answer's type.
    pub const fn content_type(&self) -> &'static str {
        match self {
            Self::Conflict(_) => "text/x.tlog.size",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// The answer's body: for a conflict the size that was cosigned last.
    pub fn body(&self) -> String {
        match self {
            Self::Conflict(size) => format!("{size}\n"),
            other => format!("{other}\n"),
        }
    }
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// The part that is not as C2SP `tlog-witness` has it, or beyond a limit.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > REQUEST_BYTES_MAX {
            let size = format!("{} bytes", bytes.len());
            return Err(ParseError::new("add-checkpoint", &size, format!("at most {REQUEST_BYTES_MAX} bytes")));
        }
        let refused = |value: &str, allowed: &str| ParseError::new("add-checkpoint", value, allowed);
        let text = std::str::from_utf8(bytes).map_err(|_| refused("bytes", "UTF-8 text"))?;
        let form = "a line `old SIZE`, the path, an empty line, a checkpoint";
        let (head, checkpoint) = text.split_once("\n\n").ok_or_else(|| refused(text, form))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or_else(|| refused(head, form))?;
        let path: Vec<Digest> = lines.take(REQUEST_HASHES_MAX + 1).map(hash).collect::<Result<_, _>>()?;
        if path.len() > REQUEST_HASHES_MAX {
            return Err(refused("more lines", "a path of at most 63 hashes"));
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { old: decimal("old size", old)?, path, checkpoint })
    }

    /// May the witness cosign? `keys` are those it trusts for the log that the checkpoint names, `last` is what it
    /// cosigned last of that log. The order of the checks is the standard's.
    ///
    /// # Errors
    /// The answer to give instead.
    pub fn judge(&self, keys: &[VerifierKey], last: Option<(u64, Digest)>) -> Result<&Checkpoint, Reply> {
        let new = self.checkpoint.unverified();
        let keys: Vec<&VerifierKey> = keys.iter().filter(|key| key.name() == new.origin).collect();
        if keys.is_empty() {
            return Err(Reply::UnknownLog(model::parse::printable(&new.origin)));
        }
        self.signed_by(&keys)?;
        if self.old > new.size {
            return Err(Reply::Malformed(format!("the old size {} is above the checkpoint's {}", self.old, new.size)));
        }
        let (size, root) = last.unwrap_or((0, merkle::root(&[])));
        if self.old != size {
            return Err(Reply::Conflict(size));
        }
        self.continues(size, root)?;
        Ok(new)
    }

    /// One trusted key at least has signed, and no line in a trusted key's name is false.
    fn signed_by(&self, keys: &[&VerifierKey]) -> Result<(), Reply> {
        let mut signed = false;
        for key in keys {
            match self.checkpoint.verify(key) {
                Ok(_) => signed = true,
                Err(CheckpointFault::Note(crate::note::NoteFault::Unsigned { .. })) => {}
                Err(fault) => return Err(Reply::Unsigned(fault.to_string())),
            }
        }
        signed
            .then_some(())
            .ok_or_else(|| Reply::Unsigned("no signature of a key that is trusted for this log".to_owned()))
    }

    fn continues(&self, size: u64, root: Digest) -> Result<(), Reply> {
        let new = self.checkpoint.unverified();
        let inconsistent = |what: String| Err(Reply::Inconsistent(what));
        if new.size == 0 && new.root != merkle::root(&[]) {
            return inconsistent("an empty tree has another root".to_owned());
        }
        match size {
            // The empty tree is consistent with any tree: there is nothing to prove.
            0 if !self.path.is_empty() => inconsistent("a path from the empty tree".to_owned()),
            0 => Ok(()),
            _ => merkle::verify_consistency(size, root, new.size, new.root, &self.path)
                .or_else(|fault| inconsistent(fault.to_string())),
        }
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", BASE64.encode(hash.as_bytes())))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Signer;
    use proptest::prelude::*;

    /// A log of the tests of litewitness (filippo.io/torchwood, cmd/litewitness/testdata/litewitness.txt).
    const ORIGIN: &str = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";
    const LOG: &str = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f";
    const ONE: &str = "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const ONE_SIGNED: &str =
        "UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=";
    const THREE: &str = "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=";
    const THREE_SIGNED: &str =
        "UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=";
    const PATH: &str = "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nKgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

    fn keys() -> Vec<VerifierKey> {
        vec![VerifierKey::new(ORIGIN, &model::digest::unhex(LOG).unwrap()).unwrap()]
    }

    fn request(old: u64, path: &str, origin: &str, size: u64, root: &str, signature: &str) -> AddCheckpoint {
        let text = format!("old {old}\n{path}\n{origin}\n{size}\n{root}\n\n— {origin} {signature}\n");
        let request = AddCheckpoint::parse(text.as_bytes()).unwrap();
        assert_eq!(request.to_string(), text);
        request
    }

    fn status(request: &AddCheckpoint, last: Option<(u64, Digest)>) -> u16 {
        request.judge(&keys(), last).map_or_else(|reply| reply.status(), |_| 200)
    }

    fn three(old: u64, path: &str) -> AddCheckpoint {
        request(old, path, ORIGIN, 3, THREE, THREE_SIGNED)
    }

    #[test]
    fn requests_of_another_implementations_tests_are_answered_as_there() {
        let one = Some((1, hash(ONE).unwrap()));
        assert_eq!(status(&request(0, "", ORIGIN, 1, ONE, ONE_SIGNED), None), 200);
        assert_eq!(status(&three(1, PATH), one), 200);
        let false_signature = THREE_SIGNED.replace("6go=", "6gx=");
        assert_eq!(status(&request(1, PATH, ORIGIN, 3, THREE, &false_signature.replace("gx=", "gA=")), one), 403);
        // There an unknown log is answered 403; the standard has said 404 since.
        let elsewhere = ORIGIN.replace("562", "563");
        assert_eq!(status(&request(1, PATH, &elsewhere, 3, THREE, THREE_SIGNED), one), 404);
        assert_eq!(status(&three(1, ""), one), 422);
        assert_eq!(status(&three(1, PATH), None), 409);
        assert_eq!(status(&three(0, ""), one), 409);
        assert_eq!(status(&three(4, PATH), one), 400);
    }

    #[test]
    fn a_conflict_says_what_was_cosigned_last() {
        let reply = three(0, "").judge(&keys(), Some((1, hash(ONE).unwrap()))).unwrap_err();
        assert_eq!((reply.body().as_str(), reply.content_type()), ("1\n", "text/x.tlog.size"));
    }

    #[test]
    fn another_tree_of_the_same_size_is_never_cosigned() {
        let other = Some((3, Digest::of(&[b"another tree"])));
        assert_eq!(status(&three(3, ""), other), 422);
        assert_eq!(status(&three(3, ""), Some((3, hash(THREE).unwrap()))), 200);
        assert_eq!(status(&three(3, PATH), Some((3, hash(THREE).unwrap()))), 422);
    }

    #[test]
    fn a_tree_from_nothing_needs_no_path_and_may_have_none() {
        assert_eq!(status(&three(0, ""), None), 200);
        assert_eq!(status(&three(0, PATH), None), 422);
        let signer = Signer::new("log.example", &[4; 32]).unwrap();
        let empty = |root| AddCheckpoint {
            old: 0,
            path: Vec::new(),
            checkpoint: Checkpoint::new("log.example", 0, root).sign(&signer).unwrap(),
        };
        let keys = [signer.verifier().clone()];
        assert!(empty(merkle::root(&[])).judge(&keys, None).is_ok());
        assert_eq!(empty(Digest::of(&[b"x"])).judge(&keys, None).unwrap_err().status(), 422);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let good = three(1, PATH).to_string();
        for bad in [
            good.replace("old 1", "old 01"),
            good.replace("old 1", "new 1"),
            good.replace("old 1\n", ""),
            good.replace("KgEAAAA", "KgEAAA"),
            good.replace("\n\n", "\n"),
            good.replace(PATH, &PATH.repeat(32)),
            String::new(),
        ] {
            assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(AddCheckpoint::parse(&vec![b'a'; REQUEST_BYTES_MAX + 1]).is_err());
    }

    proptest! {
        #[test]
        fn only_a_tree_that_continues_the_last_one_is_cosigned(old in 0_u64..40, new in 0_u64..40, fork in 0_u64..80) {
            let leaf = |n: u64, branch: bool| merkle::leaf_hash(&[n as u8, u8::from(branch)]);
            let leaves = |size: u64, fork: u64| -> Vec<Digest> { (0..size).map(|n| leaf(n, n >= fork)).collect() };
            let (first, second) = (leaves(old, 1_000), leaves(new, fork));
            let path = merkle::consistency_path(&second, old).filter(|_| old > 0).unwrap_or_default();
            let signer = Signer::new("log.example", &[4; 32]).unwrap();
            let checkpoint = Checkpoint::new("log.example", new, merkle::root(&second)).sign(&signer).unwrap();
            let request = AddCheckpoint { old, path, checkpoint };
            let cosigned = request.judge(&[signer.verifier().clone()], Some((old, merkle::root(&first)))).is_ok();
            prop_assert_eq!(cosigned, new >= old && fork >= old);
        }
    }
}

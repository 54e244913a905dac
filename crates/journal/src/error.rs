//! What can go wrong with a journal, by what the caller should do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Any failure of a journal or a snapshot store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule said no; nothing has changed.
    #[error("refused: {0}")]
    Refused(#[from] Refusal),
    /// Not now; nothing has changed, trying again may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Stop: going on could lose or bend what the journal holds.
    #[error("journal broken: {0}")]
    Broken(#[from] Broken),
}

/// Why nobody should go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A file does not hold what was written to it.
    #[error("{0}")]
    Damaged(#[from] Damage),
    /// The operating system or this process failed in the middle.
    #[error("{0}")]
    Failed(String),
}

/// The first byte that is wrong, and what should stand there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: byte {offset}: expected {expected}, found {found}", file.display())]
pub struct Damage {
    /// The damaged file.
    pub file: PathBuf,
    /// Offset of the field that is wrong, in bytes from the file's start.
    pub offset: u64,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl From<Damage> for Error {
    fn from(damage: Damage) -> Self {
        Self::Broken(damage.into())
    }
}

/// The rule that said no, with the value and the limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Someone else has appended, or the caller has lost count.
    #[error("the append was meant for position {expected}, the next position is {head}")]
    NotNext {
        /// The position the caller believed to be next.
        expected: u64,
        /// The position that is next.
        head: u64,
    },
    /// The entry is too long.
    #[error("the entry has {bytes} bytes, at most {limit} are allowed")]
    EntryBytes {
        /// Its bytes before compression.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The append has too many entries.
    #[error("the append has {count} entries, at most {limit} are allowed")]
    AppendEntries {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The append has too many bytes.
    #[error("the append has {bytes} bytes as stored, at most {limit} are allowed")]
    AppendBytes {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// There is nothing yet at this position.
    #[error("position {from} is beyond the head {head}")]
    BeyondHead {
        /// The position asked for.
        from: u64,
        /// The head.
        head: u64,
    },
    /// The journal was opened only for reading.
    #[error("the journal is open read-only")]
    ReadOnly,
    /// A blob (checkpoint, snapshot) is too long.
    #[error("the {what} has {bytes} bytes, at most {limit} are allowed")]
    BlobBytes {
        /// What it is.
        what: &'static str,
        /// How many bytes it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A snapshot's name would not be a safe file name.
    #[error("the snapshot name `{name}` is not 1 to 64 of a-z, 0-9 and -")]
    SnapshotName {
        /// The name, made safe to print.
        name: String,
    },
}

/// An I/O failure that leaves the journal unchanged: try again, after making room if the disk is full.
pub(crate) fn unavailable(doing: &str, path: &Path, error: &io::Error) -> Error {
    Error::Unavailable(told(doing, path, error))
}

/// An I/O failure after which nothing is sure any more.
pub(crate) fn broken(doing: &str, path: &Path, error: &io::Error) -> Error {
    failed(told(doing, path, error))
}

/// A failure in words after which nobody should go on.
pub(crate) fn failed(told: impl Into<String>) -> Error {
    Error::Broken(Broken::Failed(told.into()))
}

fn told(doing: &str, path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("{doing} {}: the disk is full ({error}); make room, or open the journal read-only", path.display())
        }
        _ => format!("{doing} {}: {error}", path.display()),
    }
}

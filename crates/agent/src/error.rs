//! What can go wrong in an agent, by what the caller should do about it.

use model::Refusal;
use std::path::PathBuf;

/// Any failure of the agent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule said no; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Not now; nothing has changed, trying again may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Stop: going on could lose what others rely on, or nobody could tell what is in force.
    #[error("agent broken: {0}")]
    Broken(#[from] Broken),
}

/// Why the agent must not go on.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// A file does not hold what was written to it.
    #[error(
        "{}: byte {offset}: expected {expected}, found {found}; put back a copy of the state directory, or move the \
         file away and join again: what is in force then ends by its own expiry", file.display()
    )]
    Damaged {
        /// The damaged file.
        file: PathBuf,
        /// Offset of what is wrong, in bytes from the file's start.
        offset: u64,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// The state was written by a newer program.
    #[error("{}: format {found}, this program knows {known}; run the newer one or restore a backup", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// Another agent uses the directory.
    #[error("{}: another agent runs on this state directory; stop it, or give this one its own", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
    },
    /// A secret could be read by others on this machine.
    #[error("{}: mode {mode:03o}; only its owner may read it: chmod 600", file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The operating system failed.
    #[error("{0}")]
    Failed(String),
}

/// An operation on a file that failed, in words.
pub(crate) fn failed(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::Broken(Broken::Failed(format!("{doing} {}: {error}", path.display())))
}

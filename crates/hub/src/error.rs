//! What can go wrong with a hub as a whole, by what the caller should do about it.

use model::{Refusal, Rule};

/// A failure of the hub. Answers to requests are problems, not these.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule said no; nothing has changed. Somebody has to change something: a configuration, a directory.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Not now; trying again may help.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Stop: going on could lose or bend what the journal holds.
    #[error("broken: {0}")]
    Broken(String),
}

impl Error {
    /// A file or directory that is not as it must be.
    pub(crate) fn refused(value: impl std::fmt::Display, limit: impl std::fmt::Display) -> Self {
        Self::Refused(Refusal::new(Rule::Malformed, value, limit))
    }

    /// An operation of the system that failed, with what was tried.
    pub(crate) fn unavailable(doing: impl std::fmt::Display, error: impl std::fmt::Display) -> Self {
        Self::Unavailable(format!("{doing}: {error}"))
    }
}

impl From<journal::Error> for Error {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::Refused(refusal) => Self::refused(refusal, "what a journal takes"),
            journal::Error::Unavailable(told) => Self::Unavailable(told),
            journal::Error::Broken(broken) => Self::Broken(broken.to_string()),
        }
    }
}

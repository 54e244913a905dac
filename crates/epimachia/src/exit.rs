//! How a command ends: six exit codes, and messages that say what happened, what was left unchanged, what to type next.

use model::Refusal;
use std::process::ExitCode;

/// How a command that did its work ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// Done in part; the output says which part.
    Partial,
    /// There is a difference, which is what was asked.
    Differs,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::from(0),
            Exit::Partial => Self::from(4),
            Exit::Differs => Self::from(5),
        }
    }
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// Something did not work: exit code 1.
    Failed {
        /// What happened.
        what: String,
        /// What to type next; empty where nothing helps.
        next: String,
    },
    /// The command was called wrongly: exit code 2.
    Usage(String),
    /// A rule said no: exit code 3.
    Refused {
        /// The rule, the value, the limit.
        refusal: Refusal,
        /// What to type next.
        next: String,
    },
}

/// What every command gives back.
pub type Outcome = Result<Exit, Failure>;

impl Failure {
    /// Something did not work.
    pub fn failed(what: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self::Failed { what: what.to_string(), next: next.to_string() }
    }

    /// The exit code.
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Failed { .. } => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Refused { .. } => ExitCode::from(3),
        }
    }

    /// The message for a person, on standard error.
    pub fn message(&self) -> String {
        match self {
            Self::Failed { what, next } if next.is_empty() => format!("Failed: {what}."),
            Self::Failed { what, next } => format!("Failed: {what}.\nNext: {next}"),
            Self::Usage(what) => format!("Usage: {what}.\nNext: epimachia help"),
            Self::Refused { refusal, next } => format!(
                "Refused by rule {}: {}. Allowed: {}. Nothing was changed.\nNext: {}",
                refusal.rule,
                refusal.value,
                refusal.limit,
                if next.is_empty() { format!("epimachia charter explain {}", refusal.rule) } else { next.clone() }
            ),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal, next: String::new() }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error, "")
    }
}

impl From<model::ParseError> for Failure {
    fn from(error: model::ParseError) -> Self {
        Refusal::from(error).into()
    }
}

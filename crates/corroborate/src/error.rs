//! What can go wrong here: a rule said no, or bytes that should be ours are not.

/// An error of this crate. Nothing was changed when one is returned.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// An argument was outside its limits; correct it and call again.
    #[error("refused: {field} is `{value}`; allowed: {allowed}")]
    Refused {
        /// Which argument or field.
        field: &'static str,
        /// What it was.
        value: String,
        /// What would have been allowed.
        allowed: String,
    },
    /// A snapshot is damaged or of another version; rebuild from the journal.
    #[error("broken snapshot at byte {at}: {what}")]
    Broken {
        /// What is wrong.
        what: &'static str,
        /// Where, from the start of the shard.
        at: usize,
    },
}

impl Error {
    /// A refusal of `value` for `field`.
    pub(crate) fn refused(field: &'static str, value: impl ToString, allowed: impl ToString) -> Self {
        Self::Refused { field, value: value.to_string(), allowed: allowed.to_string() }
    }
}

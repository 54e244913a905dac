//! Other tools' formats into the words and back; one file a format.

pub mod canonical;
pub mod limits;
pub mod pattern;
pub mod stix;

pub use limits::Limits;

//! Other tools' formats into the words and back; one file a format.
//!
//! `stix` reads and writes STIX 2.1, `pattern` its pattern language. `handling` says who may see what, for all formats.

pub mod canonical;
pub mod handling;
pub mod limits;
pub mod meaning;
pub mod pattern;
pub mod stix;

pub use handling::{PermittedActions, Terms, Viewer, may_act, may_see, shown_author};
pub use limits::Limits;

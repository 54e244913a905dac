//! Other tools' formats into the words and back; one file a format.
//!
//! `stix` reads and writes STIX 2.1, `pattern` its pattern language; `misp`, `crowdsec`, `list` and `table` read
//! what other
//! tools hold. All come to a `Reading`: words of ours, and of everything else why it is none. `handling` says who
//! may see
//! what, for all formats.

pub mod canonical;
pub mod crowdsec;
pub mod handling;
pub mod limits;
pub mod list;
mod loose;
pub mod meaning;
pub mod misp;
pub mod pattern;
pub mod reading;
pub mod search;
pub mod stix;
pub mod table;
pub mod taxii;

pub use handling::{Terms, Viewer, iep_words, may_act, may_see, of_iep_words, shown_author};
pub use limits::Limits;
pub use reading::{Defaults, Reading, Skip, Word};

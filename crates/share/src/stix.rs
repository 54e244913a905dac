//! STIX 2.1 (OASIS Standard with Errata 01): read what others send, write what we know, keep what we do not understand.
//!
//! `split` cuts a document into objects and keeps their bytes, `head` reads what every rule asks about, `body` the
//! objects
//! that we reason about, `upgrade` brings STIX 2.0 forward. `read` turns objects into the words, `write` the words into
//! objects.

pub mod back;
pub mod body;
mod evidence;
pub(crate) mod fault;
pub mod head;
pub mod id;
pub mod kind;
pub mod marking;
pub mod ours;
pub mod plan;
pub mod read;
pub mod sco;
pub mod split;
pub mod time;
pub mod upgrade;
pub mod write;

pub use back::Subject;
pub use body::Body;
pub use head::{Head, SpecVersion};
pub use kind::{Class, Kind};
pub use marking::Markings;
pub use plan::{PlanAt, Stage};
pub use read::{Context, read, read_with};
pub use split::{Split, Wrapper};
pub use time::StixTime;
pub use write::Writer;

//! The append-only log: one contract, several backends.
//!
//! [`Journal`] is the contract: entries get positions in one order, and none is acknowledged before it is durable.
//! [`file`] is the default backend, one directory of segments. `conformance` (feature `testing`) is the suite that
//! every backend passes. [`snapshot`] keeps views of the journal, so that a start is a snapshot and a tail.
//!
//! An entry is opaque here. What it means is the alliance's concern; how it becomes a leaf of the tree is `account`'s.
//!
//! What is absent: no entry is ever changed or removed, nothing here reads a clock, and nothing is decided.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod contract;
mod error;
pub mod file;
mod pack;
pub mod snapshot;

pub use contract::{
    APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Journal, READ_BYTES_MAX, Record, admit,
};
pub use error::{Broken, Damage, Error, Refusal};
pub use file::{Check, FileJournal, OpenReport, Options, Torn, Verified, read_checkpoint, verify};
pub use pack::{Packed, unpack};
pub use snapshot::{Loaded, Snapshot, SnapshotStore};

//! TAXII 2.1 (OASIS Standard) without its sockets: media types, filters, cursors, and the documents that go to and fro.
//!
//! Section numbers are those of the standard. What is here decides; who serves it asks.

pub mod cursor;
pub mod filter;
pub mod media;
pub mod resources;

pub use cursor::{Clock, Next};
pub use filter::{Filter, Versions};
pub use resources::{ApiRoot, Collection, Details, Discovery, Envelope, Failure, ManifestRecord, State, Status};

//! TAXII 2.1 (OASIS Standard) without its sockets: media types, filters, cursors, and the documents that go to and fro.
//!
//! Section numbers are those of the standard. What is here decides; who serves it asks.

pub mod client;
pub mod collection;
pub mod cursor;
mod ends;
pub mod filter;
pub mod index;
mod introduced;
pub mod media;
mod page;
pub mod resources;
pub mod subjects;

pub use client::{Page as PulledPage, Place, Walk};
pub use collection::{CollectionId, Root};
pub use cursor::{Clock, Next};
pub use filter::{Filter, Versions};
pub use index::{Index, Key, Known, NewObject, Room, Row, Source};
pub use page::{Ask, Page};
pub use resources::{ApiRoot, Collection, Details, Discovery, Envelope, Failure, ManifestRecord, State, Status};
pub use subjects::{Looked, Seen, Subjects};

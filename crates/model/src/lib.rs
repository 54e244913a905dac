//! The words: observables, sightings, findings, plans; parsed once and then typed.
//!
//! Everything the alliance speaks about is a type here, with one canonical form. Nothing in this crate does anything:
//! no clock, no randomness, no files. Read `observable`, then `sighting`, then `measure` and `plan`.

pub mod digest;
pub mod ids;
pub mod merkle;
pub mod observable;
pub mod parse;
pub mod time;

pub use digest::Digest;
pub use ids::{
    DisputeId, FindingId, GroupId, KeyId, MemberId, MitigationId, PersonId, PlanId, PointName, SightingId, TokenId,
};
pub use observable::{Domain, FileHash, Observable, Prefix, WebUrl};
pub use parse::ParseError;
pub use time::{Span, Timestamp};

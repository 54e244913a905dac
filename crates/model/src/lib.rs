//! The words: observables, sightings, findings, plans; parsed once and then typed.
//!
//! Everything the alliance speaks about is a type here, with one canonical form. Nothing in this crate does anything:
//! no clock, no randomness, no files. Read `observable`, then `sighting`, then `measure` and `plan`.

pub mod digest;
pub mod ids;
pub mod measure;
pub mod merkle;
pub mod observable;
pub mod parse;
pub mod refusal;
pub mod time;
pub mod words;

pub use digest::Digest;
pub use ids::{
    DisputeId, FindingId, GroupId, KeyId, MemberId, MitigationId, PersonId, PlanId, PointName, SightingId, TokenId,
};
pub use measure::{Action, Class, Measure, Scope, Target};
pub use observable::{Domain, FileHash, Observable, Prefix, WebUrl};
pub use parse::ParseError;
pub use refusal::{Refusal, Rule};
pub use time::{Span, Timestamp};
pub use words::{Behaviour, Capability, Family, Grade, Handling, MemberKind, Role, Segment, Sensor, Standing, Tlp};

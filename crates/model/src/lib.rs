//! The words: observables, sightings, findings, plans; parsed once and then typed.
//!
//! Everything the alliance speaks about is a type here, with one canonical form. Nothing in this crate does anything:
//! no clock, no randomness, no files. Read `observable`, then `sighting`, then `measure` and `plan`.

pub mod digest;
pub mod merkle;
pub mod parse;

pub use digest::Digest;
pub use parse::ParseError;

//! My part of a plan at my enforcement points; one file a point.
//!
//! A point is asked to apply, is then *read back*, and only what was read back is called verified. Start with `point`.

pub mod nftables;
pub mod point;
pub mod preview;
pub mod rpz;

pub use point::{Effect, Point, PointError, Presence, Protection, Seen};

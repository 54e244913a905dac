//! The STIX pattern language (STIX 2.1 §9): parse, print, reduce to observables, evaluate.
//!
//! `parse` reads the whole grammar into the `tree`, which prints itself in one canonical form. `reduce` finds the
//! observables
//! that a pattern means, and says what it could not reduce. `evaluate` matches patterns against observations.

mod evaluate;
mod lex;
mod observed;
mod parse;
mod paths;
mod reduce;
mod tree;
mod values;

pub use evaluate::{Observation, Undecided, matches};
pub use observed::observations;
pub use reduce::{Kept, Reduction};
pub use tree::{Comparison, Instant, Literal, Observations, Operator, Path, Pattern, Seconds, Step, Test};

/// Longest pattern that is read, in bytes.
pub const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of parentheses.
pub const DEPTH_MAX: usize = 64;
/// Most tests, observation expressions and set members of one pattern.
pub const PARTS_MAX: usize = 10_000;

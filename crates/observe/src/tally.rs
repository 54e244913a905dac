//! Counts what came of the lines, and keeps a few samples of the malformed ones.

use crate::source::{Outcome, Skip};
use model::ParseError;
use std::collections::BTreeMap;

/// Samples of malformed lines that are kept, the first ones.
pub const SAMPLES_MAX: usize = 20;

/// What came of a sensor's lines so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Lines read.
    pub lines: u64,
    /// Lines that were evidence.
    pub seen: u64,
    /// Good lines that were none, by reason.
    pub skipped: BTreeMap<Skip, u64>,
    /// Lines that were not what they should be.
    pub malformed: u64,
    /// The first of those, with their line numbers; at most [`SAMPLES_MAX`].
    pub samples: Vec<(u64, ParseError)>,
}

impl Tally {
    /// Counts the outcome of line `number`.
    pub fn count(&mut self, number: u64, outcome: &Outcome) {
        self.lines += 1;
        match outcome {
            Outcome::Seen(_) => self.seen += 1,
            Outcome::Skipped(reason) => *self.skipped.entry(*reason).or_default() += 1,
            Outcome::Malformed(error) => {
                self.malformed += 1;
                if self.samples.len() < SAMPLES_MAX {
                    self.samples.push((number, error.clone()));
                }
            }
        }
    }
}

//! What the demo says: one line for each thing that happened, and the same as JSON at the end.

use crate::out;
use serde::Serialize;
use std::time::Instant;

/// One thing that happened, with the second at which it did.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// Seconds since the start.
    pub second: f64,
    /// Who.
    pub who: String,
    /// Did what.
    pub did: String,
    /// In words.
    pub what: String,
}

/// Collects and, unless machines read, prints the lines.
#[derive(Debug)]
pub struct Transcript {
    start: Instant,
    quiet: bool,
    lines: Vec<Line>,
}

impl Transcript {
    /// A transcript that begins now; `quiet` where JSON is asked for.
    pub fn new(quiet: bool) -> Self {
        Self { start: Instant::now(), quiet, lines: Vec::new() }
    }

    /// Something happened.
    pub fn note(&mut self, who: &str, did: &str, what: impl std::fmt::Display) {
        let line = Line {
            second: (self.start.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            who: who.to_owned(),
            did: did.to_owned(),
            what: what.to_string(),
        };
        if !self.quiet {
            out::line(format_args!("{:5.1} s  {:<12}  {:<10}  {}", line.second, line.who, line.did, line.what));
        }
        self.lines.push(line);
    }

    /// A heading before a scene.
    pub fn scene(&mut self, title: &str) {
        if !self.quiet {
            out::line(format_args!("\n{title}"));
        }
    }

    /// Seconds since the start.
    pub fn seconds(&self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }

    /// Everything that happened.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }
}

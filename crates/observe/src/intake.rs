//! One sensor's stream from bytes to sightings: lines, source, aggregator, tally.

use crate::aggregate::Aggregator;
use crate::lines::{Line, Lines};
use crate::source::{LINE_BYTES_MAX, Outcome, Settings, Source};
use crate::tally::Tally;
use model::{ParseError, Sighting, Timestamp};

/// One sensor's stream.
pub struct Intake<S> {
    source: S,
    settings: Settings,
    lines: Lines,
    aggregator: Aggregator,
    tally: Tally,
}

impl<S: Source> Intake<S> {
    /// A stream that begins now.
    pub fn new(source: S, settings: Settings, aggregator: Aggregator) -> Self {
        Self { source, settings, lines: Lines::default(), aggregator, tally: Tally::default() }
    }

    /// Reads the next bytes; gives the sightings to report at once.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Sighting> {
        let Self { source, settings, lines, aggregator, tally } = self;
        let mut out = Vec::new();
        lines.push(bytes, |number, line| read(source, settings, aggregator, tally, number, line, &mut out));
        out
    }

    /// What has waited for its window's end, which is the clock's to say when the stream is silent.
    pub fn due(&mut self, now: Timestamp) -> Vec<Sighting> {
        self.aggregator.due(now)
    }

    /// The latest event time seen.
    pub fn latest(&self) -> Timestamp {
        self.aggregator.latest()
    }

    /// At the end of the stream: the last line, and all that has waited.
    pub fn finish(&mut self) -> Vec<Sighting> {
        let Self { source, settings, lines, aggregator, tally } = self;
        let mut out = Vec::new();
        lines.finish(|number, line| read(source, settings, aggregator, tally, number, line, &mut out));
        out.extend(aggregator.finish());
        out
    }

    /// What came of the lines so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }
}

fn read(
    source: &mut impl Source,
    settings: &Settings,
    aggregator: &mut Aggregator,
    tally: &mut Tally,
    number: u64,
    line: Line<'_>,
    out: &mut Vec<Sighting>,
) {
    let outcome = match line {
        Line::Whole(bytes) => source.line(bytes, settings),
        Line::TooLong(length) => {
            let limit = format!("at most {LINE_BYTES_MAX} bytes");
            ParseError::new("line", &format!("{length} bytes"), limit).into()
        }
    };
    tally.count(number, &outcome);
    if let Outcome::Seen(sighting) = outcome {
        aggregator.add(*sighting, out);
    }
}

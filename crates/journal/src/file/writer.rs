//! The writing end: frames go into one buffer, one write and one sync an append.

use super::frame::{self, HEADER_BYTES};
use super::recover::Known;
use super::scan::{Mark, mark};
use super::segment::{self, Segment};
use crate::contract::Entry;
use crate::error::{Broken, Error, broken, failed};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A buffer larger than this is given back after an append.
const BUFFER_BYTES_KEPT: usize = 8 << 20;

/// The end of the last segment.
#[derive(Debug)]
pub(crate) struct Writer {
    segment: Segment,
    file: File,
    end: u64,
    next: u64,
    segment_bytes: u64,
    buffer: Vec<u8>,
    last_mark: Vec<Mark>,
    failed: Option<String>,
}

/// What an append has added, durably.
pub(crate) struct Written {
    /// The new head.
    pub(crate) next: u64,
    /// The new end of the last segment.
    pub(crate) end: u64,
    /// Places for the sparse index.
    pub(crate) marks: Vec<Mark>,
    /// The segment that was begun for it, if one was.
    pub(crate) begun: Option<Known>,
}

impl Writer {
    pub(crate) const fn new(segment: Segment, file: File, end: u64, next: u64, segment_bytes: u64) -> Self {
        Self { segment, file, end, next, segment_bytes, buffer: Vec::new(), last_mark: Vec::new(), failed: None }
    }

    /// The position the next entry gets.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// Refuses everything once an append has failed.
    pub(crate) fn usable(&self) -> Result<(), Error> {
        match &self.failed {
            None => Ok(()),
            Some(told) => Err(failed(format!("an earlier append failed: {told}"))),
        }
    }

    /// No more appends: it is not known how much of the last one is on the disk.
    pub(crate) fn fail(&mut self, told: String) {
        self.failed = Some(told);
        // Best effort: on a full disk this gives the room back. What stays is cut off at the next start.
        let _ = self.file.set_len(self.end);
    }

    /// Writes an append that was admitted, and syncs it.
    pub(crate) fn write(&mut self, dir: &Path, entries: &[Entry]) -> Result<Written, Error> {
        let bytes: u64 = entries.iter().map(|entry| (HEADER_BYTES + entry.packed().body.len()) as u64).sum();
        let begun = match self.end + bytes > self.segment_bytes && self.end > segment::HEADER_BYTES as u64 {
            true => Some(self.begin_segment(dir)?),
            false => None,
        };
        let marks = self.encode(entries);
        let written = self.file.write_all_at(&self.buffer, self.end).and_then(|()| self.file.sync_data());
        written.map_err(|error| broken("appending to", &self.segment.path, &error))?;
        self.end += self.buffer.len() as u64;
        self.next += entries.len() as u64;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        Ok(Written { next: self.next, end: self.end, marks, begun })
    }

    fn encode(&mut self, entries: &[Entry]) -> Vec<Mark> {
        let before = self.last_mark.len();
        // At most APPEND_ENTRIES_MAX, which admission has checked.
        let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        for ((index, position), entry) in (0..count).zip(self.next..).zip(entries) {
            let offset = self.end + self.buffer.len() as u64;
            mark(&mut self.last_mark, position, offset);
            frame::encode(&mut self.buffer, self.segment.header.seed, offset, position, index, count, entry);
        }
        let marks = self.last_mark.split_off(before);
        if let Some(last) = marks.last() {
            self.last_mark = vec![*last];
        }
        marks
    }

    fn begin_segment(&mut self, dir: &Path) -> Result<Known, Error> {
        let header = segment::Header { first: self.next, seed: random_seed()?, ..self.segment.header };
        let (segment, file) = segment::create(dir, header).map_err(stop)?;
        self.end = segment::HEADER_BYTES as u64;
        self.last_mark.clear();
        (self.segment, self.file) = (segment, file);
        Ok(Known { segment: self.segment.clone(), end: Some(self.end), marks: Vec::new() })
    }
}

/// In the middle of an append there is no trying again.
fn stop(error: Error) -> Error {
    match error {
        Error::Unavailable(told) => Error::Broken(Broken::Failed(told)),
        other => other,
    }
}

/// A number nobody can guess, for the checksums of a new segment.
pub(crate) fn random_seed() -> Result<u64, Error> {
    getrandom::u64().map_err(|error| failed(format!("no random number from the system: {error}")))
}

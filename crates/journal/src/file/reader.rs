//! The reading end: a sparse index of every segment, and the walk from the nearest mark.

use super::recover::{Known, scan_sealed};
use super::scan::{Frames, Mark};
use super::segment::{Segment, damaged};
use super::writer::Written;
use super::{frame, segment};
use crate::contract::{READ_BYTES_MAX, Record};
use crate::error::{Error, Refusal, failed, unavailable};
use model::Digest;
use std::fs::File;
use std::sync::Mutex;

/// Where everything durable is.
#[derive(Debug)]
pub(crate) struct Index {
    known: Vec<Known>,
    /// The durable head.
    pub(crate) head: u64,
    /// Why there will be no more appends.
    pub(crate) failed: Option<String>,
}

/// Where to begin reading: the frames between two bytes of a segment.
struct Place {
    segment: Segment,
    at: u64,
    end: u64,
}

/// What the index answers: a place, or a segment it has to be taught first.
enum Found {
    Place(Place),
    Unscanned { nth: usize, segment: Segment, follower: u64 },
}

impl Index {
    pub(crate) const fn new(known: Vec<Known>, head: u64) -> Self {
        Self { known, head, failed: None }
    }

    pub(crate) fn log(&self) -> Option<Digest> {
        self.known.first().map(|known| known.segment.header.log)
    }

    /// Takes in what was appended; returns the new head.
    pub(crate) fn publish(&mut self, written: Written) -> Result<u64, Error> {
        self.known.extend(written.begun);
        let last = self.known.last_mut().ok_or_else(|| failed("a journal without segments"))?;
        last.end = Some(written.end);
        last.marks.extend(written.marks);
        self.head = written.next;
        Ok(self.head)
    }

    fn find(&self, position: u64) -> Result<Found, Error> {
        let nth = self.known.partition_point(|known| known.segment.header.first <= position);
        let nth = nth.checked_sub(1).ok_or_else(|| failed(format!("no segment holds position {position}")))?;
        let Known { segment, end, marks } = &self.known[nth];
        let segment = segment.clone();
        match end {
            Some(end) => Ok(Found::Place(Place { segment, at: nearest(marks, position), end: *end })),
            None => {
                let follower = self.known.get(nth + 1).map_or(self.head, |next| next.segment.header.first);
                Ok(Found::Unscanned { nth, segment, follower })
            }
        }
    }

    fn teach(&mut self, nth: usize, (marks, end): (Vec<Mark>, u64)) {
        let known = &mut self.known[nth];
        (known.marks, known.end) = (marks, Some(end));
    }
}

fn nearest(marks: &[Mark], position: u64) -> u64 {
    let nth = marks.partition_point(|mark| mark.position <= position);
    nth.checked_sub(1).map_or(segment::HEADER_BYTES as u64, |nth| marks[nth].at)
}

/// Reads records; holds the index only to look up where they are.
pub(crate) fn read(index: &Mutex<Index>, from: u64, max: usize) -> Result<Vec<Record>, Error> {
    let head = lock(index)?.head;
    if from > head {
        return Err(Refusal::BeyondHead { from, head }.into());
    }
    let mut wanted = Wanted { next: from, head, max, bytes: 0, records: Vec::new() };
    while wanted.more() {
        let place = locate(index, wanted.next)?;
        wanted.take(&place)?;
    }
    Ok(wanted.records)
}

fn lock(index: &Mutex<Index>) -> Result<std::sync::MutexGuard<'_, Index>, Error> {
    index.lock().map_err(|_| failed("a thread failed while it held the journal's index"))
}

fn locate(index: &Mutex<Index>, position: u64) -> Result<Place, Error> {
    loop {
        let found = lock(index)?.find(position)?;
        match found {
            Found::Place(place) => return Ok(place),
            Found::Unscanned { nth, segment, follower } => {
                // Scanned without the lock: readers elsewhere go on, and doing it twice does no harm.
                let learned = scan_sealed(&segment, follower)?;
                lock(index)?.teach(nth, learned);
            }
        }
    }
}

/// A read under way.
struct Wanted {
    next: u64,
    head: u64,
    max: usize,
    bytes: usize,
    records: Vec<Record>,
}

impl Wanted {
    const fn more(&self) -> bool {
        self.next < self.head && self.records.len() < self.max && self.bytes < READ_BYTES_MAX
    }

    /// Takes what is wanted from one segment.
    fn take(&mut self, place: &Place) -> Result<(), Error> {
        let (segment, before) = (&place.segment, self.next);
        let file = File::open(&segment.path).map_err(|error| unavailable("opening", &segment.path, &error))?;
        let mut frames = Frames::new(&file, segment.header.seed, place.at, place.end);
        while self.more() {
            let at = frames.at;
            let Some(frame) = frames.next().map_err(|stop| stop.at(segment, at))? else {
                break;
            };
            if frame.header.position < self.next {
                continue;
            }
            if frame.header.position > self.next {
                let fault = frame::Fault::new(8, format!("position {}", self.next), frame.header.position);
                return Err(damaged(&segment.path, at, &fault));
            }
            let entry = frame::unpack(&frame.header, frame.body);
            let entry = entry.map_err(|fault| damaged(&segment.path, at, &fault))?;
            self.bytes += entry.len();
            self.records.push(Record { position: self.next, nonce: frame.header.nonce, entry });
            self.next += 1;
        }
        match self.next > before {
            true => Ok(()),
            false => {
                let fault = frame::Fault::new(0, format!("the frame of position {before}"), "the end of the segment");
                Err(damaged(&segment.path, place.end, &fault))
            }
        }
    }
}

//! Walks the frames of one segment, in order, checking each and how they follow one another.

use super::frame::{self, Fault, HEADER_BYTES, Header};
use super::segment::{self, Segment, damaged};
use crate::contract::ENTRY_BYTES_MAX;
use crate::error::{Error, broken, unavailable};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// A place in the sparse index is kept for every so many bytes of frames.
const MARK_BYTES: u64 = 8 << 10;
/// Bytes read at once, at first and at most: a look-up of one entry stays small, a long scan becomes fast.
const CHUNK_BYTES: (usize, usize) = (16 << 10, 1 << 20);

/// Where in a segment the frame of a position begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: u64,
    pub(crate) at: u64,
}

/// Adds a mark if the last one is far enough back.
pub(crate) fn mark(marks: &mut Vec<Mark>, position: u64, at: u64) {
    if marks.last().is_none_or(|last| at - last.at >= MARK_BYTES) {
        marks.push(Mark { position, at });
    }
}

/// What a whole segment holds, up to the first thing that is wrong.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The position after the last complete append.
    pub(crate) next: u64,
    /// Byte after the last complete append.
    pub(crate) end: u64,
    /// Byte at which the last complete append begins; `end` if there is none.
    pub(crate) last_append: u64,
    /// The sparse index.
    pub(crate) marks: Vec<Mark>,
    /// The first thing that is wrong: the byte its frame begins at, and what.
    pub(crate) stop: Option<(u64, Fault)>,
}

/// Scans a whole segment whose file is `length` bytes long.
pub(crate) fn scan(segment: &Segment, file: &File, length: u64) -> Result<Scan, Error> {
    let start = segment::HEADER_BYTES as u64;
    let first = segment.header.first;
    let mut frames = Frames::new(file, segment.header.seed, start, length);
    let mut scan = Scan { next: first, end: start, last_append: start, marks: Vec::new(), stop: None };
    let (mut next, mut append) = (first, Append { at: start, index: 0, count: 1 });
    loop {
        let at = frames.at;
        let header = match frames.next() {
            Ok(None) => break,
            Ok(Some(frame)) => append.takes(at, next, &frame.header).map(|()| frame.header),
            Err(Stop::Bad(fault)) => Err(fault),
            Err(Stop::Io(error)) => return Err(broken("reading", &segment.path, &error)),
        };
        match header {
            Ok(header) => mark(&mut scan.marks, header.position, at),
            Err(fault) => {
                scan.stop = Some((at, fault));
                break;
            }
        }
        next += 1;
        if append.index == append.count {
            (scan.next, scan.end, scan.last_append) = (next, frames.at, append.at);
        }
    }
    if scan.stop.is_none() && scan.end < length {
        let expected = format!("{} more entries of the append that begins at byte {}", append.left(), append.at);
        scan.stop = Some((length, Fault::new(0, expected, "the end of the file")));
    }
    scan.marks.retain(|mark| mark.at < scan.end);
    Ok(scan)
}

/// The append a scan is in the middle of.
struct Append {
    at: u64,
    index: u32,
    count: u32,
}

impl Append {
    /// Takes the next frame, which must be the one that follows.
    fn takes(&mut self, at: u64, next: u64, header: &Header) -> Result<(), Fault> {
        if header.position != next {
            return Err(Fault::new(8, format!("position {next}"), header.position));
        }
        if self.index == self.count || self.index == 0 {
            *self = Self { at, index: 0, count: header.count };
        }
        if (header.index, header.count) != (self.index, self.count) {
            let expected = format!("entry {} of {} appended together", self.index, self.count);
            return Err(Fault::new(24, expected, format!("entry {} of {}", header.index, header.count)));
        }
        self.index += 1;
        Ok(())
    }

    fn left(&self) -> u32 {
        self.count - self.index
    }
}

/// Looks, from byte `from` on, for the frame of an append that begins after position `after`.
///
/// An append is written only when the one before it is durable: such a frame proves that what is wrong before it is
/// damage and not the trace of an interrupted write.
pub(crate) fn later_append(
    segment: &Segment,
    file: &File,
    from: u64,
    length: u64,
    after: u64,
) -> Result<Option<u64>, Error> {
    let seed = segment.header.seed;
    let mut frames = Frames::new(file, seed, from, length);
    let mut at = from;
    while at + HEADER_BYTES as u64 <= length {
        let window = frames.window(at, HEADER_BYTES).map_err(|error| broken("reading", &segment.path, &error))?;
        for (step, bytes) in window.windows(HEADER_BYTES).enumerate() {
            if plausible(bytes, after) && begins_after(bytes, seed, at + step as u64, after) {
                return Ok(Some(at + step as u64));
            }
        }
        at += (window.len() - HEADER_BYTES + 1) as u64;
    }
    Ok(None)
}

/// A cheap look before the checksum: could this position stand in this segment at all?
fn plausible(bytes: &[u8], after: u64) -> bool {
    let position = frame::u64_at(bytes, 8);
    position > after && position - after < u64::from(u32::MAX)
}

fn begins_after(bytes: &[u8], seed: u64, at: u64, after: u64) -> bool {
    frame::header(bytes, seed, at).is_ok_and(|header| header.position - u64::from(header.index) > after)
}

/// Why a walk over frames ended early.
pub(crate) enum Stop {
    /// The file could not be read.
    Io(io::Error),
    /// This is no frame.
    Bad(Fault),
}

impl Stop {
    /// As an error about the frame at byte `at`.
    pub(crate) fn at(self, segment: &Segment, at: u64) -> Error {
        match self {
            Self::Io(error) => unavailable("reading", &segment.path, &error),
            Self::Bad(fault) => damaged(&segment.path, at, &fault),
        }
    }
}

/// A frame whose checksums fit; the body is as stored.
pub(crate) struct Frame<'a> {
    pub(crate) header: Header,
    pub(crate) body: &'a [u8],
}

/// Reads frames one after the other through a buffer.
pub(crate) struct Frames<'f> {
    file: &'f File,
    seed: u64,
    /// The byte at which the next frame begins.
    pub(crate) at: u64,
    end: u64,
    buffer: Vec<u8>,
    buffer_at: u64,
    chunk: usize,
}

impl<'f> Frames<'f> {
    /// The frames between two bytes of a segment.
    pub(crate) const fn new(file: &'f File, seed: u64, at: u64, end: u64) -> Self {
        Self { file, seed, at, end, buffer: Vec::new(), buffer_at: at, chunk: CHUNK_BYTES.0 }
    }

    /// The next frame, or nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, Stop> {
        if self.at >= self.end {
            return Ok(None);
        }
        let (at, left) = (self.at, self.end - self.at);
        let seed = self.seed;
        let head_bytes = HEADER_BYTES.min(usize::try_from(left).unwrap_or(HEADER_BYTES));
        let header = frame::header(self.window(at, head_bytes).map_err(Stop::Io)?, seed, at).map_err(Stop::Bad)?;
        let whole = HEADER_BYTES + header.body_bytes as usize;
        if whole as u64 > left {
            let expected = format!("a body of {} bytes", header.body_bytes);
            let found = format!("{} bytes before the end", left - HEADER_BYTES as u64);
            return Err(Stop::Bad(Fault::new(HEADER_BYTES as u64, expected, found)));
        }
        self.at += whole as u64;
        let body = &self.window(at, whole).map_err(Stop::Io)?[HEADER_BYTES..whole];
        frame::check_body(&header, body).map_err(Stop::Bad)?;
        Ok(Some(Frame { header, body }))
    }

    /// At least `length` bytes from `at` on, which must lie before the end.
    fn window(&mut self, at: u64, length: usize) -> io::Result<&[u8]> {
        debug_assert!(length <= HEADER_BYTES + ENTRY_BYTES_MAX);
        let have = at.checked_sub(self.buffer_at).and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = have.filter(|skip| skip + length <= self.buffer.len()) {
            return Ok(&self.buffer[skip..]);
        }
        let left = usize::try_from(self.end - at).unwrap_or(usize::MAX);
        self.buffer.resize(self.chunk.max(length).min(left), 0);
        self.buffer_at = at;
        self.chunk = (self.chunk * 2).min(CHUNK_BYTES.1);
        self.file.read_exact_at(&mut self.buffer, at)?;
        Ok(&self.buffer)
    }
}

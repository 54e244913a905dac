//! The file backend: segments of frames in one directory, written by one process.
//!
//! `docs/journal.md` draws the files byte by byte.

mod disk;
pub mod frame;
mod reader;
mod recover;
mod scan;
pub mod segment;
mod verify;
mod writer;

pub use recover::{OpenReport, Torn};
pub use verify::{Verified, verify};

pub(crate) use disk::{make_directory, read_whole, sweep, write_atomically};

use crate::contract::{Entry, Journal, Record, admit};
use crate::error::{Error, Refusal, failed, unavailable};
use model::Digest;
use reader::Index;
use recover::{Recovered, recover, settle};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;
use writer::Writer;

/// The size at which a segment is closed, unless the options say otherwise: 64 MiB.
pub const SEGMENT_BYTES: u64 = 64 << 20;
/// The file with the newest signed checkpoint, beside the segments.
const CHECKPOINT: &str = "checkpoint";
/// Longest checkpoint file, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = 1 << 20;

/// How to open a journal.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The log this directory must belong to.
    pub log: Digest,
    /// A new segment is begun when an append would take the last one beyond this many bytes.
    pub segment_bytes: u64,
    /// How much is read and checked before the journal opens.
    pub check: Check,
    /// A head the caller has proof of, from a signed checkpoint or a snapshot: a journal that ends before it is
    /// damaged, not merely interrupted. 0 if there is no such proof.
    pub acknowledged: u64,
}

impl Options {
    /// The defaults for a log: 64 MiB segments, everything checked.
    pub const fn new(log: Digest) -> Self {
        Self { log, segment_bytes: SEGMENT_BYTES, check: Check::Everything, acknowledged: 0 }
    }
}

/// How much is read and checked before a journal opens. The last segment always is, all headers always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Every frame.
    Everything,
    /// Segments with entries from this position on; the others when they are first read.
    From(u64),
}

impl Check {
    const fn from(self) -> u64 {
        match self {
            Self::Everything => 0,
            Self::From(position) => position,
        }
    }
}

/// A journal in one directory. Only one process can have it open for appending.
#[derive(Debug)]
pub struct FileJournal {
    dir: PathBuf,
    report: OpenReport,
    index: Mutex<Index>,
    grown: Condvar,
    // None when read-only.
    writer: Option<Mutex<Writer>>,
    _lock: Option<disk::Lock>,
}

impl FileJournal {
    /// Opens a journal for appending; makes the directory if there is none.
    ///
    /// An interrupted write at the very end is cut off and reported.
    ///
    /// # Errors
    /// Unavailable: another process has it open, or the disk is full or away. Broken: damage, another log's files, or
    /// a newer format, with the file, the byte and what was expected.
    pub fn open(dir: &Path, options: Options) -> Result<Self, Error> {
        disk::make_directory(dir)?;
        let lock = disk::Lock::take(dir)?;
        let swept = disk::sweep(dir)?;
        let mut recovered = recover(dir, Some(options.log), options.check, options.acknowledged)?;
        recovered.report.swept = swept;
        let writer = match recovered.known.last() {
            None => Self::first_segment(dir, options, &mut recovered)?,
            Some(known) => {
                let segment = known.segment.clone();
                let file = File::options().read(true).write(true).open(&segment.path);
                let file = file.map_err(|error| unavailable("opening", &segment.path, &error))?;
                let end = settle(&recovered, &file)?;
                Writer::new(segment, file, end, recovered.report.head, options.segment_bytes)
            }
        };
        Ok(Self::with(dir, recovered, Some(writer), Some(lock)))
    }

    /// Opens a journal for reading only: nothing is written, locked or cut, so that it may be a copy, stand on a full
    /// disk or be in use. The journal is seen as it is now and does not grow.
    ///
    /// Without a `log` it may be any log's. An interrupted write at the end is reported and left out.
    ///
    /// # Errors
    /// As [`FileJournal::open`]; an empty directory is Unavailable.
    pub fn open_read_only(dir: &Path, log: Option<Digest>, check: Check) -> Result<Self, Error> {
        let recovered = recover(dir, log, check, 0)?;
        match recovered.known.is_empty() {
            true => Err(Error::Unavailable(format!("{} holds no journal", dir.display()))),
            false => Ok(Self::with(dir, recovered, None, None)),
        }
    }

    /// What opening found and did.
    pub const fn report(&self) -> &OpenReport {
        &self.report
    }

    /// The log this journal belongs to.
    ///
    /// # Errors
    /// Broken: a thread has failed in the middle.
    pub fn log(&self) -> Result<Digest, Error> {
        self.index()?.log().ok_or_else(|| failed("a journal without segments"))
    }

    /// Keeps the newest signed checkpoint beside the segments; the old one stays until the new one is durable.
    ///
    /// # Errors
    /// Refused: read-only, or longer than [`CHECKPOINT_BYTES_MAX`]. Unavailable: the old one stands.
    pub fn write_checkpoint(&self, bytes: &[u8]) -> Result<(), Error> {
        if self.writer.is_none() {
            return Err(Refusal::ReadOnly.into());
        }
        if bytes.len() > CHECKPOINT_BYTES_MAX {
            let (bytes, limit) = (bytes.len(), CHECKPOINT_BYTES_MAX);
            return Err(Refusal::BlobBytes { what: "checkpoint", bytes, limit }.into());
        }
        let path = self.dir.join(CHECKPOINT);
        disk::write_atomically(&path, &[bytes]).map_err(|error| unavailable("writing", &path, &error))
    }

    fn first_segment(dir: &Path, options: Options, recovered: &mut Recovered) -> Result<Writer, Error> {
        if options.acknowledged > 0 {
            let told = format!("{} holds no entry, {} were acknowledged", dir.display(), options.acknowledged);
            return Err(failed(told));
        }
        let header = segment::Header { log: options.log, first: 0, seed: writer::random_seed()? };
        let (segment, file) = segment::create(dir, header)?;
        let end = segment::HEADER_BYTES as u64;
        recovered.known.push(recover::Known { segment: segment.clone(), end: Some(end), marks: Vec::new() });
        recovered.report.segments = 1;
        Ok(Writer::new(segment, file, end, 0, options.segment_bytes))
    }

    fn with(dir: &Path, recovered: Recovered, writer: Option<Writer>, lock: Option<disk::Lock>) -> Self {
        Self {
            dir: dir.to_owned(),
            index: Mutex::new(Index::new(recovered.known, recovered.report.head)),
            report: recovered.report,
            grown: Condvar::new(),
            writer: writer.map(Mutex::new),
            _lock: lock,
        }
    }

    fn index(&self) -> Result<MutexGuard<'_, Index>, Error> {
        self.index.lock().map_err(|_| failed("a thread failed while it held the journal's index"))
    }

    /// Writes and publishes; whatever goes wrong, this journal takes no more appends.
    fn commit(&self, writer: &mut Writer, entries: &[Entry]) -> Result<u64, Error> {
        let written = writer.write(&self.dir, entries).and_then(|written| self.index()?.publish(written));
        if let Err(error) = &written {
            writer.fail(error.to_string());
            self.index()?.failed = Some(error.to_string());
        }
        self.grown.notify_all();
        written
    }
}

/// The checkpoint file of a journal's directory, if there is one.
///
/// # Errors
/// Unavailable: it cannot be read, or is longer than [`CHECKPOINT_BYTES_MAX`].
pub fn read_checkpoint(dir: &Path) -> Result<Option<Vec<u8>>, Error> {
    let path = dir.join(CHECKPOINT);
    read_whole(&path, CHECKPOINT_BYTES_MAX).map_err(|error| unavailable("reading", &path, &error))
}

impl Journal for FileJournal {
    fn append(&self, expected_next: u64, entries: &[Entry]) -> Result<u64, Error> {
        let writer = self.writer.as_ref().ok_or(Refusal::ReadOnly)?;
        let mut writer = writer.lock().map_err(|_| failed("a thread failed in the middle of an append"))?;
        writer.usable()?;
        admit(writer.next(), expected_next, entries)?;
        match entries.is_empty() {
            true => Ok(writer.next()),
            false => self.commit(&mut writer, entries),
        }
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, Error> {
        reader::read(&self.index, from, max)
    }

    fn head(&self) -> Result<u64, Error> {
        Ok(self.index()?.head)
    }

    fn wait(&self, after: u64, at_most: Duration) -> Result<u64, Error> {
        let still = |index: &mut Index| index.head <= after && index.failed.is_none();
        let waited = self.grown.wait_timeout_while(self.index()?, at_most, still);
        let (index, _) = waited.map_err(|_| failed("a thread failed while it held the journal's index"))?;
        match &index.failed {
            Some(told) if index.head <= after => Err(failed(told)),
            _ => Ok(index.head),
        }
    }
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

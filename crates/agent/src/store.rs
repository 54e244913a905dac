//! The agent's state on disk: one append-only file of records, each with its check sums.
//!
//! ```text
//! state.log   "epimachia agent\n" · format u32 = 1 · crc of both u32
//! then frames: length u32 · crc of the length u32 · crc of the body u32 · body (JSON of one batch of records) ```
//!
//! All numbers are little-endian, all check sums CRC-32C. A batch is durable when [`Store::append`] returns: it is
//! there
//! whole or not at all. A torn last frame is cut off and reported; damage anywhere else stops the start, with the
//! place. When the file has grown to several times the state's size it is written anew beside and renamed.

use crate::core::{Record, State};
use crate::error::{Broken, Error, failed};
use crate::room::{Kept, is_full};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const MAGIC: &[u8; 16] = b"epimachia agent\n";
/// The format that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 24;
const FRAME_BYTES: usize = 12;
/// Largest body of one frame.
const BODY_BYTES_MAX: usize = 1 << 30;
/// Between two looks at a lock that another process holds.
const LOCK_LOOK: Duration = Duration::from_millis(250);
/// A file is not written anew before it has this size.
const COMPACT_BYTES_MIN: u64 = 8 << 20;
/// And not before it is so many times the size of its last snapshot.
const COMPACT_TIMES: u64 = 4;

/// The open state directory. Holds its lock until it is dropped.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    file: File,
    bytes: u64,
    snapshot_bytes: u64,
    /// Set when a write failed: what is on disk is not known any more.
    broken: bool,
    /// What gives way on a full disk.
    room: Kept,
    _lock: File,
}

/// What was found when the directory was opened.
#[derive(Debug)]
pub struct Opened {
    /// The store, ready to be appended to.
    pub store: Store,
    /// The state.
    pub state: State,
    /// Bytes of a torn last frame that were cut off; they had never been acknowledged.
    pub torn_bytes: u64,
}

impl Store {
    /// Opens the state directory, which is made if it is not there (mode 0700), and locks it.
    ///
    /// # Errors
    /// Broken: another agent runs on it, it is damaged (with the place), or a newer program wrote it.
    pub fn open(directory: &Path) -> Result<Opened, Error> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|error| failed("making", directory, &error))?;
        let lock = lock(directory)?;
        let path = directory.join("state.log");
        // A compaction that did not end: the old file is still whole.
        let _ = fs::remove_file(directory.join("state.new"));
        if !path.exists() {
            write_whole(directory, &State::default())?;
        }
        let mut file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(|error| failed("opening", &path, &error))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|error| failed("reading", &path, &error))?;
        let Replayed { state, good, snapshot_bytes } = replay(&path, &bytes)?;
        let torn_bytes = bytes.len() as u64 - good;
        if torn_bytes > 0 {
            let cut = file.set_len(good).and_then(|()| file.sync_all());
            cut.map_err(|error| failed("cutting the torn end off", &path, &error))?;
        }
        file.seek(SeekFrom::Start(good)).map_err(|error| failed("seeking in", &path, &error))?;
        let directory = directory.to_owned();
        let room = Kept::in_directory(&directory);
        let store = Self { directory, file, bytes: good, snapshot_bytes, broken: false, room, _lock: lock };
        Ok(Opened { store, state, torn_bytes })
    }

    /// As [`Store::open`]; waits so long while another process holds the directory. A watchdog may, for a moment.
    pub(crate) fn open_within(directory: &Path, wait: Duration) -> Result<Opened, Error> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            match Self::open(directory) {
                Err(Error::Broken(Broken::Locked { .. })) if begun.elapsed() < wait => {}
                opened => return opened,
            }
            if !told {
                let (directory, seconds) = (directory.display(), wait.as_secs());
                tracing::warn!(%directory, "another agent or the watchdog holds it: waiting up to {seconds} s");
                told = true;
            }
            std::thread::sleep(LOCK_LOOK);
        }
    }

    /// Writes records down as one batch; durable when this returns. On a full disk it takes the room that is kept.
    ///
    /// # Errors
    /// Broken: it is not known what is on disk; the agent must stop.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Error> {
        if records.is_empty() {
            return Ok(());
        }
        let path = self.directory.join("state.log");
        if self.broken {
            return Err(Broken::Failed(format!("{}: an earlier write failed", path.display())).into());
        }
        let frame = frame(records, &path)?;
        let mut written = self.write(&frame);
        if written.as_ref().is_err_and(is_full) && self.room.give() {
            written = self.cut_off().and_then(|()| self.write(&frame));
        }
        self.broken = written.is_err();
        written.map_err(|error| failed("writing", &path, &error))?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    fn write(&mut self, frame: &[u8]) -> std::io::Result<()> {
        self.file.write_all(frame).and_then(|()| self.file.sync_data())
    }

    /// Cuts off what a write that failed has left.
    fn cut_off(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes)).map(drop)
    }

    /// Is the room there that is kept for a full disk?
    pub(crate) const fn has_room(&self) -> bool {
        self.room.is_there()
    }

    /// Looks whether there is room again.
    pub(crate) fn make_room(&mut self) {
        self.room.take();
    }

    /// Has the file grown enough to be written anew, and is there room to?
    pub fn wants_compaction(&self) -> bool {
        self.has_room() && self.bytes >= COMPACT_BYTES_MIN.max(COMPACT_TIMES * self.snapshot_bytes)
    }

    /// Writes the file anew; `state` is what its records, and those not yet appended, come to.
    ///
    /// # Errors
    /// Broken: as [`Store::append`].
    pub fn compact(&mut self, state: &State) -> Result<(), Error> {
        self.broken = true;
        self.bytes = write_whole(&self.directory, state)?;
        self.snapshot_bytes = self.bytes;
        let path = self.directory.join("state.log");
        let mut file =
            OpenOptions::new().read(true).write(true).open(&path).map_err(|error| failed("opening", &path, &error))?;
        file.seek(SeekFrom::End(0)).map_err(|error| failed("seeking in", &path, &error))?;
        self.file = file;
        self.broken = false;
        Ok(())
    }

    /// Size of the file in bytes.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// Takes the lock of a state directory, which shows that no agent runs on it.
pub(crate) fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|error| failed("opening", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Broken::Locked { directory: directory.to_owned() }.into()),
        Err(fs::TryLockError::Error(error)) => Err(failed("locking", &path, &error)),
    }
}

/// Writes a file with one snapshot beside, makes it durable, and renames it; gives its size.
fn write_whole(directory: &Path, state: &State) -> Result<u64, Error> {
    let (new, path) = (directory.join("state.new"), directory.join("state.log"));
    let mut bytes = header();
    bytes.extend(frame(&[Record::Snapshot(Box::new(state.clone()))], &path)?);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(directory)?.sync_all()
    };
    write().map_err(|error| failed("writing", &new, &error))?;
    Ok(bytes.len() as u64)
}

fn header() -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    let sum = crc32c::crc32c(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn frame(records: &[Record], path: &Path) -> Result<Vec<u8>, Error> {
    let unfit = |what: String| Error::Broken(Broken::Failed(format!("{}: {what}", path.display())));
    let body = serde_json::to_vec(records).map_err(|error| unfit(error.to_string()))?;
    let length = u32::try_from(body.len()).ok().filter(|length| *length as usize <= BODY_BYTES_MAX);
    let length = length.ok_or_else(|| unfit(format!("a batch of {} bytes", body.len())))?.to_le_bytes();
    let mut frame = Vec::with_capacity(FRAME_BYTES + body.len());
    frame.extend(length);
    frame.extend(crc32c::crc32c(&length).to_le_bytes());
    frame.extend(crc32c::crc32c(&body).to_le_bytes());
    frame.extend(body);
    Ok(frame)
}

struct Replayed {
    state: State,
    /// Bytes up to the end of the last whole frame.
    good: u64,
    snapshot_bytes: u64,
}

fn replay(path: &Path, bytes: &[u8]) -> Result<Replayed, Error> {
    check_header(path, bytes)?;
    let (mut state, mut at, mut snapshot_bytes) = (State::default(), HEADER_BYTES, 0);
    while at < bytes.len() {
        let Some(body) = next_body(path, bytes, at)? else { break };
        let records: Vec<Record> = serde_json::from_slice(body)
            .map_err(|error| damaged(path, at + FRAME_BYTES, "records of this format", &error.to_string()))?;
        if records.iter().any(|record| matches!(record, Record::Snapshot(_))) {
            snapshot_bytes = body.len() as u64;
        }
        records.into_iter().for_each(|record| state.apply(record));
        at += FRAME_BYTES + body.len();
    }
    Ok(Replayed { state, good: at as u64, snapshot_bytes })
}

fn check_header(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if bytes.get(..16) != Some(MAGIC) {
        return Err(damaged(path, 0, "an agent's state file", "something else"));
    }
    let (format, sum) = (number(bytes, 16).unwrap_or(0), number(bytes, 20));
    if sum != Some(crc32c::crc32c(bytes.get(..20).unwrap_or_default())) {
        return Err(damaged(path, 20, "the header's check sum", "another one"));
    }
    match format {
        FORMAT => Ok(()),
        found => Err(Broken::Newer { file: path.to_owned(), found, known: FORMAT }.into()),
    }
}

/// The body of the frame at `at`; `None` if the file's end is torn there.
fn next_body<'a>(path: &Path, bytes: &'a [u8], at: usize) -> Result<Option<&'a [u8]>, Error> {
    let rest = &bytes[at..];
    // A file system may have made the file longer before it wrote the bytes.
    if rest.len() < FRAME_BYTES || rest.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let length = number(rest, 0).unwrap_or(0) as usize;
    if number(rest, 4) != Some(crc32c::crc32c(&rest[..4])) {
        return Err(damaged(path, at + 4, "the check sum of the length", "another one"));
    }
    let Some(body) = rest.get(FRAME_BYTES..FRAME_BYTES + length) else { return Ok(None) };
    let whole = number(rest, 8) == Some(crc32c::crc32c(body));
    let last = rest.len() == FRAME_BYTES + length;
    match (whole, last) {
        (true, _) => Ok(Some(body)),
        (false, true) => Ok(None),
        (false, false) => Err(damaged(path, at + FRAME_BYTES, "a body with its check sum", "other bytes")),
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn damaged(path: &Path, offset: usize, expected: &str, found: &str) -> Error {
    let (file, offset) = (path.to_owned(), offset as u64);
    Broken::Damaged { file, offset, expected: expected.to_owned(), found: found.to_owned() }.into()
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;

//! The bytes of a followed file and of the files that take its place; finds a file again after it was renamed.

use crate::core::SourceMark;
use model::Digest;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// The first bytes of a file, by which it is known again.
const HEAD_BYTES: u64 = 4_096;
/// A file that was renamed is read on until it has been quiet for so long: its writer opens the new one a little later.
const LEAVE_AFTER: Duration = Duration::from_secs(1);
/// Renamed files that are looked at after a restart.
const ROTATED_MAX: usize = 64;

/// What came of one look at the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Quiet,
    /// This file has ended; the next is open, at its beginning.
    Next,
}

/// A file, and the ones that are to be read after it.
#[derive(Debug)]
pub(super) struct Feed {
    /// The file that the sensor writes.
    path: PathBuf,
    open: Open,
    /// Older files that were not read to their end, the oldest first.
    older: VecDeque<PathBuf>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    at: u64,
    /// Byte after the last line end that was read.
    line_at: u64,
    head: Vec<u8>,
    /// Is this the file that the sensor writes? Else it was renamed already.
    is_current: bool,
    quiet_since: Option<Instant>,
}

impl Feed {
    /// Opens a file that is new to us, at its beginning or at its end.
    pub async fn begin(path: &Path, from_beginning: bool) -> std::io::Result<Self> {
        let length = tokio::fs::metadata(path).await?.len();
        let at = if from_beginning { 0 } else { length };
        Ok(Self { path: path.to_owned(), open: Open::at(path, at, true).await?, older: VecDeque::new() })
    }

    /// Opens the file that was being read, wherever it is now; none if it is gone.
    pub async fn resume(path: &Path, mark: &SourceMark) -> std::io::Result<Option<Self>> {
        if is_it(path, mark).await? {
            let open = Open::at(path, mark.again.min(mark.read), true).await?;
            return Ok(Some(Self { path: path.to_owned(), open, older: VecDeque::new() }));
        }
        let mut rotated = rotated(path).await?;
        while let Some(oldest) = rotated.pop_front() {
            if is_it(&oldest, mark).await.unwrap_or(false) {
                let open = Open::at(&oldest, mark.again.min(mark.read), false).await?;
                return Ok(Some(Self { path: path.to_owned(), open, older: rotated }));
            }
        }
        Ok(None)
    }

    /// Bytes of the open file that were read.
    pub fn at(&self) -> u64 {
        self.open.at
    }

    /// The byte after the last whole line.
    pub fn line_at(&self) -> u64 {
        self.open.line_at
    }

    /// The digest of the first bytes, of which `read` have been read, and how many they are.
    pub fn head(&self, read: u64) -> (Digest, u64) {
        let bytes = read.min(self.open.head.len() as u64);
        (Digest::of(&[self.open.head.get(..bytes as usize).unwrap_or_default()]), bytes)
    }

    /// The next bytes.
    ///
    /// # Errors
    /// The file cannot be read, or the next one not be opened; the next call tries again.
    pub async fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<Piece> {
        let count = self.open.read(bytes).await?;
        if count > 0 {
            return Ok(Piece::Bytes(count));
        }
        if !self.has_ended().await {
            return Ok(Piece::Quiet);
        }
        self.open = match self.older.front() {
            Some(older) => {
                let open = Open::at(older, 0, false).await?;
                self.older.pop_front();
                open
            }
            None => Open::at(&self.path, 0, true).await?,
        };
        Ok(Piece::Next)
    }

    /// Was the file renamed, and has its writer left it? Or was it cut shorter than what was read?
    async fn has_ended(&mut self) -> bool {
        let quiet_since = *self.open.quiet_since.get_or_insert_with(Instant::now);
        if !self.open.is_current {
            return quiet_since.elapsed() >= LEAVE_AFTER;
        }
        match tokio::fs::metadata(&self.path).await {
            Ok(about) if about.ino() == self.open.inode => about.len() < self.open.at,
            Ok(_) => {
                self.open.is_current = false;
                self.open.quiet_since = Some(Instant::now());
                false
            }
            Err(_) => false,
        }
    }
}

impl Open {
    async fn at(path: &Path, at: u64, is_current: bool) -> std::io::Result<Self> {
        let mut file = File::open(path).await?;
        let inode = file.metadata().await?.ino();
        let mut head = Vec::new();
        // What is read later fills it up.
        (&mut file).take(HEAD_BYTES.min(at)).read_to_end(&mut head).await?;
        file.seek(SeekFrom::Start(at)).await?;
        Ok(Self { file, inode, at, line_at: at, head, is_current, quiet_since: None })
    }

    async fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(bytes).await?;
        let read = bytes.get(..count).unwrap_or_default();
        if (self.head.len() as u64) < HEAD_BYTES && self.head.len() as u64 == self.at {
            let room = (HEAD_BYTES - self.at) as usize;
            self.head.extend_from_slice(read.get(..room.min(count)).unwrap_or_default());
        }
        if let Some(end) = read.iter().rposition(|byte| *byte == b'\n') {
            self.line_at = self.at + end as u64 + 1;
        }
        if count > 0 {
            self.quiet_since = None;
        }
        self.at += count as u64;
        Ok(count)
    }
}

/// Does the file begin with what was read, and is it as long?
async fn is_it(path: &Path, mark: &SourceMark) -> std::io::Result<bool> {
    let mut file = match File::open(path).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    if file.metadata().await?.len() < mark.read {
        return Ok(false);
    }
    let mut head = Vec::new();
    (&mut file).take(mark.head_bytes.min(HEAD_BYTES)).read_to_end(&mut head).await?;
    Ok(head.len() as u64 == mark.head_bytes && Digest::of(&[&head]) == mark.head)
}

/// Files beside `path` whose names go on where its name ends (`eve.json.1`, `eve.json-20261122`), the oldest first.
async fn rotated(path: &Path) -> std::io::Result<VecDeque<PathBuf>> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut items, mut found) = (tokio::fs::read_dir(parent).await?, Vec::new());
    while let Some(item) = items.next_entry().await? {
        let other = item.file_name().to_string_lossy().into_owned();
        let packed = [".gz", ".xz", ".zst", ".bz2"].iter().any(|end| other.ends_with(end));
        if other.len() <= name.len() || !other.starts_with(&name) || packed {
            continue;
        }
        // A link could lead anywhere.
        if let Ok(about) = tokio::fs::symlink_metadata(item.path()).await
            && about.is_file()
        {
            // Of two that were written in one tick of the file system's clock `.2` is the older.
            found.push((about.mtime(), about.mtime_nsec(), Reverse(item.path())));
        }
    }
    found.sort();
    let newest = found.len().saturating_sub(ROTATED_MAX);
    Ok(found.drain(newest..).map(|(_, _, Reverse(path))| path).collect())
}

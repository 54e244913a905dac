//! The few things done to a file system: whole files written atomically, directories synced, the lock.

use crate::error::{Error, unavailable};
use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// How the name of a file ends that is not yet what it will be; left over after a crash, it may be deleted.
const UNFINISHED: &str = ".tmp";

/// Writes a whole file so that it is there completely and durably, or not at all (the old one stays).
pub(crate) fn write_atomically(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = PathBuf::from(unfinished);
    let written = write_synced(&unfinished, parts).and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        // Best effort: on a full disk the half file would only stand in the way.
        let _ = std::fs::remove_file(&unfinished);
    }
    written?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

fn write_synced(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut file = File::create(path)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()
}

/// Makes the directory's list of names durable.
pub(crate) fn sync_directory(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes a directory if there is none, durably.
pub(crate) fn make_directory(dir: &Path) -> Result<(), Error> {
    if dir.is_dir() {
        return Ok(());
    }
    let made = std::fs::create_dir_all(dir).and_then(|()| match dir.parent() {
        Some(parent) if parent != Path::new("") => sync_directory(parent),
        _ => Ok(()),
    });
    made.map_err(|error| unavailable("creating", dir, &error))
}

/// Deletes what a crash left unfinished; returns the names.
pub(crate) fn sweep(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut swept = Vec::new();
    let failed = |error| unavailable("sweeping", dir, &error);
    for item in std::fs::read_dir(dir).map_err(failed)? {
        let path = item.map_err(failed)?.path();
        if path.as_os_str().as_encoded_bytes().ends_with(UNFINISHED.as_bytes()) && path.is_file() {
            std::fs::remove_file(&path).map_err(|error| unavailable("deleting", &path, &error))?;
            swept.push(path);
        }
    }
    Ok(swept)
}

/// The whole file, if it is there; at most `limit` bytes.
pub(crate) fn read_whole(path: &Path, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > limit {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes"))),
        false => Ok(Some(bytes)),
    }
}

/// The lock on a directory; given back when dropped, or when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the directory's lock.
    pub(crate) fn take(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("lock");
        let file = File::options().create(true).truncate(false).write(true).open(&path);
        let file = file.map_err(|error| unavailable("opening", &path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                let told = format!("{} is open in another process (it holds {})", dir.display(), path.display());
                Err(Error::Unavailable(told))
            }
            Err(TryLockError::Error(error)) => Err(unavailable("locking", &path, &error)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file is not enough: a program just being started shares it until its own code runs.
        let _ = self.0.unlock();
    }
}

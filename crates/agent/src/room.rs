//! Room on the disk that the agent keeps for itself: a file that gives way when the disk is full, so that what is in
//! force can still be ended, and be remembered as ended. What would only fill it meanwhile waits.

use crate::core::Input;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::watch;

/// Room that is kept: receipts of the end of some thousands of mitigations.
const KEPT_BYTES: usize = 8 << 20;
const PIECE_BYTES: usize = 1 << 20;
/// Small files have a multiple of so many characters, and a line's end.
const PADDED_TO: usize = 32;

/// The file that gives way.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    is_there: bool,
}

impl Kept {
    /// Takes the room, if there is as much.
    pub(crate) fn in_directory(directory: &Path) -> Self {
        let path = directory.join("room");
        let whole = fs::metadata(&path).is_ok_and(|found| found.len() == KEPT_BYTES as u64);
        let mut kept = Self { path, is_there: whole };
        kept.take();
        kept
    }

    /// Is the room there?
    pub(crate) const fn is_there(&self) -> bool {
        self.is_there
    }

    /// Takes it, unless it is there or next to nothing would be left to others.
    pub(crate) fn take(&mut self) {
        if self.is_there || free_bytes(&self.path).is_none_or(|free| free < 2 * KEPT_BYTES as u64) {
            return;
        }
        self.is_there = fill(&self.path).is_ok();
        if !self.is_there {
            // Best effort: half of it would only stand in the way.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Gives it to whoever writes; false if there is none any more.
    pub(crate) fn give(&mut self) -> bool {
        std::mem::take(&mut self.is_there) && fs::remove_file(&self.path).is_ok()
    }
}

/// Bytes that this process may still write beside `path`.
fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path.parent()?).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Random bytes, since some file systems keep no room for zeros or for what can be compressed.
fn fill(path: &Path) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    getrandom::fill(&mut piece).map_err(|error| io::Error::other(error.to_string()))?;
    let mut file = File::create(path)?;
    (0..KEPT_BYTES / PIECE_BYTES).try_for_each(|_| file.write_all(&piece))?;
    file.sync_data()
}

/// Writes a small file anew: a reader finds the one before or this one. On a full disk it is written over, which takes
/// no room where it is as long; blanks at its end make it so.
pub(crate) fn write_small(path: &Path, text: &str) -> io::Result<()> {
    let padded = format!("{text:<width$}\n", width = text.chars().count().next_multiple_of(PADDED_TO));
    let new = path.with_extension("new");
    let written = fs::write(&new, &padded).and_then(|()| fs::rename(&new, path));
    let Err(error) = written else { return Ok(()) };
    // Best effort: half a file would only stand in the way.
    let _ = fs::remove_file(&new);
    let same = || fs::metadata(path).is_ok_and(|found| found.len() == padded.len() as u64);
    match is_full(&error) && same() {
        true => fs::OpenOptions::new().write(true).open(path)?.write_all(padded.as_bytes()),
        false => Err(error),
    }
}

/// Is this the answer of a disk without room?
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// A way to the core that stands still while there is no room: nothing that takes it is lost, it waits where it is.
pub(crate) fn gated(inputs: Sender<Input>, mut room: watch::Receiver<bool>) -> Sender<Input> {
    let (gate, mut waiting) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(input) = tokio::select! { input = waiting.recv() => input, () = inputs.closed() => None } {
            if room.wait_for(|room| *room).await.is_err() || inputs.send(input).await.is_err() {
                return;
            }
        }
    });
    gate
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn input(n: i64) -> Input {
        Input::Trouble { kind: crate::core::AlarmKind::SensorFailed, text: Timestamp::from_millis(n).to_string() }
    }

    #[test]
    fn room_that_was_given_is_taken_again_and_found_by_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let mut kept = Kept::in_directory(dir.path());
        assert!(kept.is_there() && kept.give());
        assert!(!kept.is_there() && !kept.give() && fs::read_dir(dir.path()).unwrap().next().is_none());
        kept.take();
        assert!(Kept::in_directory(dir.path()).is_there());
        assert_eq!(fs::metadata(&kept.path).unwrap().len(), KEPT_BYTES as u64);
        let nowhere = Kept::in_directory(&dir.path().join("none"));
        assert!(!nowhere.is_there());
    }

    #[test]
    fn small_file_is_read_back_with_blanks_and_nothing_stays_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sign");
        for text in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.25Z"] {
            write_small(&path, text).unwrap();
            let read = fs::read_to_string(&path).unwrap();
            assert_eq!((read.trim(), read.len()), (text, PADDED_TO + 1));
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_small(&dir.path().join("none").join("sign"), "").is_err());
    }

    #[tokio::test]
    async fn what_waits_for_room_comes_in_order_once_there_is_some() {
        let (inputs, mut core) = mpsc::channel(8);
        let (told, room) = watch::channel(false);
        let gate = gated(inputs, room);
        let sender = tokio::spawn(async move {
            for n in 0..5 {
                gate.send(input(n)).await.unwrap();
            }
            gate
        });
        tokio::task::yield_now().await;
        assert!(core.try_recv().is_err(), "nothing comes through");
        told.send_replace(true);
        let gate = sender.await.unwrap();
        for n in 0..5 {
            assert_eq!(format!("{:?}", core.recv().await.unwrap()), format!("{:?}", input(n)));
        }
        drop(core);
        gate.closed().await;
    }
}

//! A log that grows: followed from its beginning, through renaming, through cutting, until somebody stops it.

use super::log::{Intake, PIECE_BYTES, wrong};
use super::watch::Watch;
use crate::exit::Failure;
use crate::signals;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often a quiet log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// The beginning of a log by which it is known again after it was cut.
const HEAD_BYTES: usize = 256;

/// Follows `path`; `report` is called after every `every`. Ends when this process is asked to stop.
///
/// # Errors
/// The log cannot be read, or `report` fails.
pub fn follow(
    path: &Path,
    intake: &mut Intake,
    watch: &mut Watch,
    every: Duration,
    mut report: impl FnMut(&Intake, &mut Watch) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stop = std::pin::pin!(signals::stop());
        let (mut tail, mut piece, mut last) = (Tail::default(), vec![0; PIECE_BYTES], Instant::now());
        loop {
            let count = tail.read(path, &mut piece).map_err(|e| wrong(path, &e))?;
            if tail.began {
                intake.begin_file(watch)?;
                tail.began = false;
            }
            intake.push(piece.get(..count).unwrap_or_default(), watch);
            if last.elapsed() >= every {
                last = Instant::now();
                report(intake, watch)?;
            }
            let pause = if count == 0 { LOOK_EVERY } else { Duration::ZERO };
            tokio::select! {
                biased;
                asked = &mut stop => return asked,
                () = tokio::time::sleep(pause) => {}
            }
        }
    })
}

/// Where the reading of one path stands.
#[derive(Default)]
pub(super) struct Tail {
    open: Option<Open>,
    /// Another file has begun since this was last set to false.
    pub began: bool,
    begun_once: bool,
}

struct Open {
    file: File,
    inode: u64,
    at: u64,
    head: Vec<u8>,
    renamed: bool,
}

impl Tail {
    /// The next bytes; none where nothing has come. A renamed log is read to its end before the new one is begun.
    pub fn read(&mut self, path: &Path, piece: &mut [u8]) -> std::io::Result<usize> {
        if self.open.is_none() {
            self.open = match File::open(path) {
                Ok(file) => Some(Open::new(file)?),
                // Between renaming and making anew there is none.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.begun_once => return Ok(0),
                Err(error) => return Err(error),
            };
            (self.began, self.begun_once) = (true, true);
        }
        let Some(open) = &mut self.open else { return Ok(0) };
        if open.was_cut()? {
            open.at = 0;
            open.head.clear();
            self.began = true;
        }
        let count = open.file.read_at(piece, open.at)?;
        open.remember(piece.get(..count).unwrap_or_default());
        open.at += count as u64;
        if count == 0 && std::fs::metadata(path).map_or(true, |about| about.ino() != open.inode) {
            // Once more before it is left: something may have been written since the last look and the renaming.
            match open.renamed {
                true => self.open = None,
                false => open.renamed = true,
            }
        }
        Ok(count)
    }
}

impl Open {
    fn new(file: File) -> std::io::Result<Self> {
        let inode = file.metadata()?.ino();
        Ok(Self { file, inode, at: 0, head: Vec::new(), renamed: false })
    }

    /// Shorter than what was read, or with another beginning: somebody copied the log away and cut it.
    fn was_cut(&self) -> std::io::Result<bool> {
        if self.file.metadata()?.len() < self.at {
            return Ok(true);
        }
        let mut now = vec![0; self.head.len()];
        let count = self.file.read_at(&mut now, 0)?;
        Ok(count < now.len() || now != self.head)
    }

    fn remember(&mut self, piece: &[u8]) {
        if self.at == self.head.len() as u64 && self.head.len() < HEAD_BYTES {
            let room = HEAD_BYTES - self.head.len();
            self.head.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn append(path: &Path, text: &str) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// Everything that comes until nothing has come three times.
    fn rest(tail: &mut Tail, path: &Path) -> (String, bool) {
        let (mut text, mut quiet, mut piece) = (String::new(), 0, [0; 1_000]);
        while quiet < 3 {
            let count = tail.read(path, &mut piece).unwrap();
            quiet = if count == 0 { quiet + 1 } else { 0 };
            text += std::str::from_utf8(&piece[..count]).unwrap();
        }
        (text, std::mem::take(&mut tail.began))
    }

    #[test]
    fn a_log_is_followed_through_renaming_and_cutting() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eve.json");
        append(&path, "one\n");
        let mut tail = Tail::default();
        assert_eq!(rest(&mut tail, &path), ("one\n".to_owned(), true));
        append(&path, "two\n");
        assert_eq!(rest(&mut tail, &path), ("two\n".to_owned(), false));
        append(&path, "last\n");
        std::fs::rename(&path, dir.path().join("eve.json.1")).unwrap();
        assert_eq!(rest(&mut tail, &path), ("last\n".to_owned(), false), "the old file is read to its end");
        append(&path, "new\n");
        assert_eq!(rest(&mut tail, &path), ("new\n".to_owned(), true));
        std::fs::write(&path, "x\n").unwrap();
        assert_eq!(rest(&mut tail, &path), ("x\n".to_owned(), true), "cut shorter");
        std::fs::write(&path, "cut, and longer than before\n").unwrap();
        assert_eq!(rest(&mut tail, &path), ("cut, and longer than before\n".to_owned(), true));
    }

    #[test]
    fn a_log_that_is_not_there_is_told() {
        let missing = Path::new("/nonexistent/eve.json");
        assert!(Tail::default().read(missing, &mut [0; 8]).is_err());
    }
}

//! The serial number of a zone across restarts. A resolver that has seen a higher serial keeps its old zone without a
//! word, so no serial is ever served before one that is not lower is safe on disk.

use crate::PointError;
use domain::base::Serial;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Serials that one durable write makes available, so that an update does not wait for the disk.
const RESERVE: u32 = 1_024;
const FIRST_LINE: &str = "epimachia rpz serial v1";

/// Hands out serials that never repeat and never go back (RFC 1982 arithmetic), also after a crash.
#[derive(Debug)]
pub struct SerialFile {
    path: PathBuf,
    next: Serial,
    /// The first serial that is not yet safe to serve.
    reserved_end: Serial,
}

impl SerialFile {
    /// Reads the file. There is none: begins at `seconds`, the time in seconds since 1970, so that a file that was
    /// lost still leads to a higher serial than any that was served (unless there was more than one update a second
    /// for all of the zone's life).
    ///
    /// # Errors
    /// Broken: the file cannot be read or is damaged; the text says what to do.
    pub fn open(path: &Path, seconds: u64) -> Result<Self, PointError> {
        let next = match fs::read_to_string(path) {
            Ok(text) => parse(&text).ok_or_else(|| damaged(path))?,
            // The low 32 bits are meant: serials are a circle.
            Err(error) if error.kind() == ErrorKind::NotFound => Serial((seconds & u64::from(u32::MAX)) as u32),
            Err(error) => return Err(PointError::Broken(format!("{}: {error}", path.display()))),
        };
        Ok(Self { path: path.to_owned(), next, reserved_end: next })
    }

    /// The next serial, safe to serve.
    ///
    /// # Errors
    /// Unavailable: the disk refused; nothing was handed out.
    pub fn take(&mut self) -> Result<Serial, PointError> {
        if self.next == self.reserved_end {
            let end = self.reserved_end.add(RESERVE);
            write_durably(&self.path, end)
                .map_err(|error| PointError::Unavailable(format!("{}: {error}", self.path.display())))?;
            self.reserved_end = end;
        }
        let serial = self.next;
        self.next = serial.add(1);
        Ok(serial)
    }
}

fn damaged(path: &Path) -> PointError {
    PointError::Broken(format!(
        "{}: damaged; look up the zone's serial at a resolver, then delete the file if that serial is lower than the \
         present time in seconds since 1970, else write it anew",
        path.display()
    ))
}

fn render(serial: Serial) -> String {
    let number = serial.into_int();
    format!("{FIRST_LINE}\n{number} {:08x}\n", crc32c::crc32c(&number.to_be_bytes()))
}

fn parse(text: &str) -> Option<Serial> {
    let line = text.strip_prefix(FIRST_LINE)?.strip_prefix('\n')?.strip_suffix('\n')?;
    let serial = Serial(line.split(' ').next()?.parse().ok()?);
    (render(serial) == text).then_some(serial)
}

fn write_durably(path: &Path, serial: Serial) -> std::io::Result<()> {
    let (fresh, text) = (path.with_extension("new"), render(serial));
    if let Err(error) = write_new(&fresh, path, &text) {
        // Best effort: half a file would only stand in the way.
        let _ = fs::remove_file(&fresh);
        return match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => write_over(path, &text).map_err(|_| error),
            _ => Err(error),
        };
    }
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

fn write_new(fresh: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::create(fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}

/// On a full disk: what is as long takes no new room, except where file systems copy on each write. What is torn there
/// by a crash is damage, and no serial that was served before.
fn write_over(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    if file.metadata()?.len() != text.len() as u64 {
        return Err(ErrorKind::StorageFull.into());
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temp() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hot.serial");
        (dir, path)
    }

    #[test]
    fn no_serial_repeats_or_goes_back_across_crashes() {
        let (_dir, path) = temp();
        let mut last = Serial(0);
        for run in 0..20u32 {
            // Dropped without any farewell: a crash.
            let mut file = SerialFile::open(&path, 1_700_000_000).unwrap();
            for _ in 0..=(run * 130) {
                let serial = file.take().unwrap();
                assert!(serial > last, "{serial} after {last}");
                last = serial;
            }
        }
    }

    #[test]
    fn serials_wrap_as_rfc_1982_says() {
        let (_dir, path) = temp();
        fs::write(&path, render(Serial(u32::MAX - 1))).unwrap();
        let mut file = SerialFile::open(&path, 0).unwrap();
        let taken: Vec<u32> = (0..4).map(|_| file.take().unwrap().into_int()).collect();
        assert_eq!(taken, [u32::MAX - 1, u32::MAX, 0, 1]);
    }

    #[test]
    fn damaged_file_stops_the_start_instead_of_going_back() {
        let (_dir, path) = temp();
        let good = render(Serial(77));
        for bad in ["", "77\n", &good[..good.len() - 2], &good.replace("77", "76"), &format!("{good}x")] {
            fs::write(&path, bad).unwrap();
            let error = SerialFile::open(&path, 0).unwrap_err();
            assert!(matches!(error, PointError::Broken(_)), "{bad:?}");
        }
    }

    #[test]
    fn disk_that_refuses_hands_out_nothing() {
        let (_dir, path) = temp();
        let mut file = SerialFile::open(&path.join("no-such-directory/x"), 5).unwrap();
        assert!(matches!(file.take(), Err(PointError::Unavailable(_))));
    }

    /// Runs the test below on a disk of 64 KiB that only it sees.
    #[test]
    fn full_disk_keeps_no_zone_from_being_served_anew() {
        testbed::disk::run_on_disk("rpz::serial::tests::serials_go_on", 64).unwrap();
    }

    #[test]
    #[ignore = "fills its disk: full_disk_keeps_no_zone_from_being_served_anew runs it on one of its own"]
    fn serials_go_on_where_a_full_disk_takes_no_new_file() {
        let (dir, path) = temp();
        let last = SerialFile::open(&path, 1_700_000_000).unwrap().take().unwrap();
        let mut filler = File::create(dir.path().join("filler")).unwrap();
        while filler.write_all(&[1; 64]).is_ok() {}
        let next = SerialFile::open(&path, 0).unwrap().take().unwrap();
        assert!(next > last);
        assert!(SerialFile::open(&path, 0).unwrap().take().unwrap() > next);
        assert!(!path.with_extension("new").exists());
        let none = SerialFile::open(&dir.path().join("other"), 5).unwrap().take();
        assert!(matches!(none, Err(PointError::Unavailable(_))), "a zone that never was is not begun");
    }
}

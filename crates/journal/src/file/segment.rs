//! A segment file: its name, its header of 80 bytes, and the list of segments in a directory.

use super::disk;
use super::frame::{Fault, u32_at, u64_at};
use crate::error::{Damage, Error, broken, failed, unavailable};
use model::Digest;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a segment's header; the first frame follows.
pub const HEADER_BYTES: usize = 80;
/// The newest format this program writes and reads.
pub const FORMAT: u32 = 1;
/// How every segment begins.
pub const MAGIC: [u8; 8] = *b"EPIMJRNL";
/// Bytes of the header that say nothing in this format.
const UNUSED: [std::ops::Range<usize>; 2] = [12..16, 64..HEADER_BYTES - 4];
/// Most segments in one directory: 64 TiB in segments of the default size.
const SEGMENTS_MAX: usize = 1 << 20;

/// What a segment says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The log it belongs to.
    pub log: Digest,
    /// The position of its first entry.
    pub first: u64,
    /// The random number its frames' checksums start from.
    pub seed: u64,
}

impl Header {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[16..48].copy_from_slice(self.log.as_bytes());
        bytes[48..56].copy_from_slice(&self.first.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.seed.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// The first field that is not what a segment has there; a newer format is named.
    pub fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() < HEADER_BYTES {
            let expected = format!("a segment header of {HEADER_BYTES} bytes");
            return Err(Fault::new(0, expected, format!("{} bytes", bytes.len())));
        }
        if bytes[..8] != MAGIC {
            return Err(Fault::new(0, "EPIMJRNL", format!("`{}`", bytes[..8].escape_ascii())));
        }
        let version = u32_at(bytes, 8);
        if version != FORMAT {
            return Err(Fault::new(8, format!("format version {FORMAT}"), format!("version {version}")));
        }
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        let written = u32_at(bytes, HEADER_BYTES - 4);
        if written != crc {
            return Err(Fault::new(76, format!("header checksum {crc:08x}"), format!("{written:08x}")));
        }
        // What this format leaves empty may mean something to a program that writes it.
        if let Some(at) = UNUSED.into_iter().flatten().find(|at| bytes[*at] != 0) {
            return Err(Fault::new(at as u64, "0, unused in this format", format!("{}", bytes[at])));
        }
        let log = bytes[16..].first_chunk().map_or([0; 32], |id| *id);
        Ok(Self { log: Digest::from_bytes(log), first: u64_at(bytes, 48), seed: u64_at(bytes, 56) })
    }
}

/// A segment found in a directory.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Where it is.
    pub path: PathBuf,
    /// Its header, checked against its name and the log.
    pub header: Header,
}

/// Makes an empty segment durably: header written and synced under another name, then renamed.
pub(crate) fn create(dir: &Path, header: Header) -> Result<(Segment, File), Error> {
    let path = dir.join(name(header.first));
    disk::write_atomically(&path, &[&header.encode()]).map_err(|error| unavailable("creating", &path, &error))?;
    let file = File::options().read(true).write(true).open(&path);
    let file = file.map_err(|error| unavailable("opening", &path, &error))?;
    Ok((Segment { path, header }, file))
}

/// All segments of a directory in order, their headers read; `log` is the one they must belong to, if known.
pub(crate) fn list(dir: &Path, log: Option<Digest>) -> Result<Vec<Segment>, Error> {
    let mut firsts = Vec::new();
    let unlisted = |error| unavailable("listing", dir, &error);
    for item in std::fs::read_dir(dir).map_err(unlisted)? {
        let file_name = item.map_err(unlisted)?.file_name();
        firsts.extend(file_name.to_str().and_then(first_of));
        if firsts.len() > SEGMENTS_MAX {
            return Err(failed(format!("{}: more than {SEGMENTS_MAX} segments", dir.display())));
        }
    }
    firsts.sort_unstable();
    let mut log = log;
    firsts.into_iter().map(|first| open_listed(dir, first, &mut log)).collect()
}

fn open_listed(dir: &Path, first: u64, log: &mut Option<Digest>) -> Result<Segment, Error> {
    let path = dir.join(name(first));
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    let file = File::open(&path).map_err(|error| unavailable("opening", &path, &error))?;
    let read = file.take(HEADER_BYTES as u64).read_to_end(&mut bytes);
    read.map_err(|error| broken("reading", &path, &error))?;
    let header = Header::decode(&bytes).map_err(|fault| damaged(&path, 0, &fault))?;
    if header.first != first {
        let fault = Fault::new(48, format!("first position {first}, as the file's name says"), header.first);
        return Err(damaged(&path, 0, &fault));
    }
    let expected = *log.get_or_insert(header.log);
    if header.log != expected {
        return Err(damaged(&path, 0, &Fault::new(16, format!("log {expected}"), header.log)));
    }
    Ok(Segment { path, header })
}

/// An error naming the file, the byte and what was expected there.
pub(crate) fn damaged(path: &Path, frame_at: u64, fault: &Fault) -> Error {
    let Fault { at, expected, found } = fault.clone();
    Damage { file: path.to_owned(), offset: frame_at + at, expected, found }.into()
}

/// The file name of the segment whose first entry has this position.
pub fn name(first: u64) -> String {
    format!("{first:020}.seg")
}

fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header { log: Digest::of(&[b"log"]), first: 9, seed: 0x0102_0304_0506_0708 }
    }

    #[test]
    fn header_round_trips_and_any_flipped_bit_is_detected() {
        let good = header().encode();
        assert_eq!(Header::decode(&good), Ok(header()));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn newer_format_is_refused_by_its_number() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes).unwrap_err().to_string(), "expected format version 1, found version 2");
    }

    #[test]
    fn bytes_that_this_format_leaves_empty_are_empty_or_refused() {
        for at in [12, 15, 64, 75] {
            let mut bytes = header().encode();
            bytes[at] = 7;
            let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
            bytes[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
            let said = Header::decode(&bytes).unwrap_err().to_string();
            assert_eq!(said, "expected 0, unused in this format, found 7");
        }
    }

    #[test]
    fn only_segment_names_are_segments() {
        assert_eq!(first_of(&name(0)), Some(0));
        assert_eq!(first_of(&name(u64::MAX)), Some(u64::MAX));
        for other in ["checkpoint", "0.seg", "+0000000000000000001.seg", "99999999999999999999.seg"] {
            assert_eq!(first_of(other), None, "{other}");
        }
    }
}

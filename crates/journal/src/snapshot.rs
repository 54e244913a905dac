//! Snapshots: views of the journal up to a position, kept so that a start need not replay everything.
//!
//! A snapshot can always be dropped and made again. So a damaged one is passed over, with a word about it, and an older
//! one or the journal itself takes its place.

use crate::error::{Error, Refusal, failed, unavailable};
use crate::file::{make_directory, read_whole, sweep, write_atomically};
use model::Digest;
use std::path::{Path, PathBuf};

/// Longest snapshot, in bytes before compression. A larger view is kept in shards, each under its own name.
pub const SNAPSHOT_BYTES_MAX: usize = 1 << 30;
/// How many snapshots of one name are kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// How every snapshot begins.
const MAGIC: [u8; 8] = *b"EPIMSNAP";
/// The newest file format this program writes and reads; what is inside has a version of its own.
const FORMAT: u32 = 1;
/// Bytes of the header; a zstd frame follows.
const HEADER_BYTES: usize = 104;
const NAME_CHARS_MAX: usize = 64;
const LEVEL: i32 = 1;

/// A directory of snapshots of one log.
#[derive(Debug, Clone)]
pub struct SnapshotStore {
    dir: PathBuf,
    log: Digest,
}

/// A view as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The head of the journal it was made at: it holds the effect of every entry before this position.
    pub position: u64,
    /// The saved bytes.
    pub bytes: Vec<u8>,
}

/// What loading found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The newest snapshot that is whole, of the wanted version, and not ahead of the journal.
    pub snapshot: Option<Snapshot>,
    /// Newer ones that were passed over: the file and why.
    pub passed_over: Vec<(PathBuf, String)>,
}

impl SnapshotStore {
    /// Opens the store of a log; makes the directory if there is none and sweeps what a crash left unfinished.
    ///
    /// # Errors
    /// Unavailable: the directory cannot be made or read.
    pub fn open(dir: &Path, log: Digest) -> Result<Self, Error> {
        make_directory(dir)?;
        sweep(dir)?;
        Ok(Self { dir: dir.to_owned(), log })
    }

    /// Saves a view durably, then drops all but the two newest of its name.
    ///
    /// `version` is of the bytes' own format, whatever the caller counts there.
    ///
    /// # Errors
    /// Refused: a bad name or too many bytes. Unavailable: not saved, the older ones stand.
    pub fn save(&self, name: &str, version: u32, position: u64, bytes: &[u8]) -> Result<(), Error> {
        check_name(name)?;
        if bytes.len() > SNAPSHOT_BYTES_MAX {
            let (bytes, limit) = (bytes.len(), SNAPSHOT_BYTES_MAX);
            return Err(Refusal::BlobBytes { what: "snapshot", bytes, limit }.into());
        }
        let body = zstd::bulk::compress(bytes, LEVEL);
        let body = body.map_err(|error| failed(format!("zstd could not compress a snapshot: {error}")))?;
        let header =
            Header { log: self.log, version, position, bytes: bytes.len() as u64, digest: Digest::of(&[bytes]) };
        let path = self.dir.join(format!("{name}.{position:020}.snap"));
        let written = write_atomically(&path, &[&header.encode(), &body]);
        written.map_err(|error| unavailable("writing", &path, &error))?;
        self.forget_older(name)
    }

    /// Loads the newest view that is whole, of this version, and at or before `head`, the head of the journal.
    ///
    /// # Errors
    /// Refused: a bad name. Unavailable: the directory cannot be read.
    pub fn load(&self, name: &str, version: u32, head: u64) -> Result<Loaded, Error> {
        let mut loaded = Loaded::default();
        for (_, path) in self.newest_first(name)? {
            match self.read(&path, version, head) {
                Ok(snapshot) => {
                    loaded.snapshot = Some(snapshot);
                    break;
                }
                Err(why) => loaded.passed_over.push((path, why)),
            }
        }
        Ok(loaded)
    }

    fn read(&self, path: &Path, version: u32, head: u64) -> Result<Snapshot, String> {
        let limit = HEADER_BYTES + zstd::zstd_safe::compress_bound(SNAPSHOT_BYTES_MAX);
        let file = read_whole(path, limit).map_err(|error| error.to_string())?.ok_or("it is gone")?;
        let header = Header::decode(&file)?;
        if header.log != self.log {
            return Err(format!("it is of log {}, not {}", header.log, self.log));
        }
        if header.version != version {
            return Err(format!("it is of version {}, not {version}", header.version));
        }
        if header.position > head {
            return Err(format!("it is at position {}, beyond the journal's head {head}", header.position));
        }
        let room = usize::try_from(header.bytes).unwrap_or(usize::MAX);
        let bytes = zstd::bulk::decompress(&file[HEADER_BYTES..], room);
        let bytes = bytes.map_err(|error| format!("its body does not unpack: {error}"))?;
        match bytes.len() == room && Digest::of(&[&bytes]) == header.digest {
            true => Ok(Snapshot { position: header.position, bytes }),
            false => Err("its bytes are not the ones that were saved".to_owned()),
        }
    }

    fn forget_older(&self, name: &str) -> Result<(), Error> {
        for (_, path) in self.newest_first(name)?.into_iter().skip(SNAPSHOTS_KEPT) {
            std::fs::remove_file(&path).map_err(|error| unavailable("deleting", &path, &error))?;
        }
        Ok(())
    }

    fn newest_first(&self, name: &str) -> Result<Vec<(u64, PathBuf)>, Error> {
        check_name(name)?;
        let unlisted = |error| unavailable("listing", &self.dir, &error);
        let mut found = Vec::new();
        for item in std::fs::read_dir(&self.dir).map_err(unlisted)? {
            let item = item.map_err(unlisted)?;
            let position = item.file_name().to_str().and_then(|file| position_of(file, name));
            found.extend(position.map(|position| (position, item.path())));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let safe = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    match safe && (1..=NAME_CHARS_MAX).contains(&name.len()) {
        true => Ok(()),
        false => Err(Refusal::SnapshotName { name: model::parse::printable(name) }),
    }
}

fn position_of(file: &str, name: &str) -> Option<u64> {
    let digits = file.strip_prefix(name)?.strip_prefix('.')?.strip_suffix(".snap")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

struct Header {
    log: Digest,
    version: u32,
    position: u64,
    bytes: u64,
    digest: Digest,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.version.to_le_bytes());
        out[16..48].copy_from_slice(self.log.as_bytes());
        out[48..56].copy_from_slice(&self.position.to_le_bytes());
        out[56..64].copy_from_slice(&self.bytes.to_le_bytes());
        out[64..96].copy_from_slice(self.digest.as_bytes());
        let crc = crc32c::crc32c(&out[..HEADER_BYTES - 4]);
        out[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(file: &[u8]) -> Result<Self, String> {
        let Some(bytes) = file.first_chunk::<HEADER_BYTES>() else {
            return Err(format!("it has {} bytes, a header alone has {HEADER_BYTES}", file.len()));
        };
        let (u32_at, u64_at) = (crate::file::frame::u32_at, crate::file::frame::u64_at);
        if bytes[..8] != MAGIC {
            return Err("it does not begin with EPIMSNAP".to_owned());
        }
        if u32_at(bytes, 8) != FORMAT {
            return Err(format!("it has format version {}, this program reads {FORMAT}", u32_at(bytes, 8)));
        }
        if u32_at(bytes, HEADER_BYTES - 4) != crc32c::crc32c(&bytes[..HEADER_BYTES - 4]) {
            return Err("its header's checksum does not fit".to_owned());
        }
        let header = Self {
            version: u32_at(bytes, 12),
            log: digest_at(bytes, 16),
            position: u64_at(bytes, 48),
            bytes: u64_at(bytes, 56),
            digest: digest_at(bytes, 64),
        };
        match header.bytes > SNAPSHOT_BYTES_MAX as u64 {
            true => Err(format!("it unpacks to {} bytes, at most {SNAPSHOT_BYTES_MAX} are allowed", header.bytes)),
            false => Ok(header),
        }
    }
}

fn digest_at(bytes: &[u8], at: usize) -> Digest {
    Digest::from_bytes(bytes[at..].first_chunk().map_or([0; 32], |digest| *digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, SnapshotStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = SnapshotStore::open(dir.path(), Digest::of(&[b"log"])).unwrap();
        (dir, store)
    }

    fn files(dir: &Path) -> usize {
        std::fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn newest_snapshot_is_loaded_and_two_are_kept() {
        let (dir, store) = store();
        for position in [5, 9, 7, 100] {
            store.save("state-1", 3, position, &position.to_be_bytes()).unwrap();
        }
        store.save("state-10", 3, 1, b"of another name").unwrap();
        assert_eq!(files(dir.path()), 3);
        let loaded = store.load("state-1", 3, 1000).unwrap();
        assert_eq!(loaded.snapshot, Some(Snapshot { position: 100, bytes: 100_u64.to_be_bytes().to_vec() }));
        assert_eq!(loaded.passed_over, []);
    }

    #[test]
    fn snapshot_of_another_version_or_beyond_the_head_is_passed_over() {
        let (_dir, store) = store();
        store.save("state", 3, 10, b"old").unwrap();
        store.save("state", 3, 20, b"new").unwrap();
        let loaded = store.load("state", 3, 19).unwrap();
        assert_eq!(loaded.snapshot.unwrap().bytes, b"old");
        assert!(loaded.passed_over[0].1.contains("position 20, beyond the journal's head 19"));
        assert_eq!(store.load("state", 4, 20).unwrap().snapshot, None);
        let other = SnapshotStore::open(&store.dir, Digest::of(&[b"another"])).unwrap();
        assert_eq!(other.load("state", 3, 20).unwrap().snapshot, None);
    }

    #[test]
    fn any_flipped_bit_falls_back_to_the_older_snapshot() {
        let (_dir, store) = store();
        store.save("state", 1, 1, b"older").unwrap();
        store.save("state", 1, 2, &b"newer, newer, newer".repeat(4)).unwrap();
        let path = store.newest_first("state").unwrap()[0].1.clone();
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            let loaded = store.load("state", 1, 2).unwrap();
            // A bit of zstd's own header may not change what comes out; the bytes must then be the saved ones.
            match loaded.passed_over.len() {
                0 => assert_eq!(loaded.snapshot.unwrap().bytes, b"newer, newer, newer".repeat(4), "bit {bit}"),
                _ => assert_eq!(loaded.snapshot.unwrap().bytes, b"older", "bit {bit}"),
            }
        }
    }

    #[test]
    fn unfinished_snapshot_is_swept_and_never_loaded() {
        let (dir, store) = store();
        std::fs::write(dir.path().join("state.00000000000000000009.snap.tmp"), b"half").unwrap();
        assert_eq!(store.load("state", 1, 9).unwrap(), Loaded::default());
        SnapshotStore::open(dir.path(), store.log).unwrap();
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn name_that_leaves_the_directory_is_refused() {
        let (_dir, store) = store();
        for name in ["", "../x", "a/b", "A", &"a".repeat(65)] {
            assert!(matches!(store.save(name, 1, 1, b""), Err(Error::Refused(Refusal::SnapshotName { .. }))), "{name}");
        }
    }
}

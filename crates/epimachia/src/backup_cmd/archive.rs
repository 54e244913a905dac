//! A backup's file: a plain tar archive (POSIX ustar) that any `tar` unpacks, with a manifest that names every piece.
//!
//! ```text
//! EPIMACHIA-BACKUP   format, kind, program, time: the first thing that is read
//! …                  the files, in the order in which they were copied
//! manifest.json      each file's name, mode, length, and the SHA-256 of each 256 KiB of it
//! manifest.sha256    the manifest's own, as sha256sum(1) writes it
//! ```
//!
//! Every byte of the archive counts: what is padding must be zero. So no bit can change unseen.

use model::Digest;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The newest format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// The first member.
pub const HEAD: &str = "EPIMACHIA-BACKUP";
const MANIFEST: &str = "manifest.json";
const MANIFEST_SUM: &str = "manifest.sha256";
/// A piece of a file: damage is named to so many bytes.
const PIECE_BYTES: usize = 256 << 10;
/// Most files, longest manifest.
const FILES_MAX: usize = 1 << 20;
const MANIFEST_BYTES_MAX: u64 = 256 << 20;
const BLOCK: usize = 512;

/// What is in a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `hub` or `agent`.
    pub kind: String,
    /// When it was begun, RFC 3339.
    pub at: String,
    /// Are keys and tokens in it?
    pub secrets: bool,
    /// The files, in their order.
    pub files: Vec<Packed>,
}

/// One file of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packed {
    /// Its path below the directory.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of each piece of it.
    pub pieces: Vec<Digest>,
}

/// Writes an archive, one file after the other.
pub struct Writer<W> {
    out: W,
    manifest: Manifest,
}

impl<W: Write> Writer<W> {
    /// Begins an archive.
    pub fn begin(out: W, kind: &str, at: &str, secrets: bool) -> io::Result<Self> {
        let manifest = Manifest { kind: kind.to_owned(), at: at.to_owned(), secrets, files: Vec::new() };
        let mut writer = Self { out, manifest };
        let version = env!("CARGO_PKG_VERSION");
        let head = format!("format = {FORMAT}\nmade_by = \"{version}\"\nkind = \"{kind}\"\nat = \"{at}\"\n");
        writer.add(HEAD, 0o644, head.len() as u64, &mut head.as_bytes())?;
        Ok(writer)
    }

    /// Adds a file of exactly this length.
    pub fn add(&mut self, path: &str, mode: u32, bytes: u64, from: &mut dyn Read) -> io::Result<()> {
        self.out.write_all(&header(path, mode, bytes)?)?;
        let (mut left, mut pieces, mut piece) = (bytes, Vec::new(), Vec::new());
        while left > 0 {
            piece.resize(usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES), 0);
            from.read_exact(&mut piece)?;
            self.out.write_all(&piece)?;
            pieces.push(Digest::of(&[&piece]));
            left -= piece.len() as u64;
        }
        self.out.write_all(&vec![0; padding(bytes)])?;
        self.manifest.files.push(Packed { path: path.to_owned(), mode, bytes, pieces });
        Ok(())
    }

    /// Ends the archive; what is in it.
    pub fn finish(mut self) -> io::Result<(W, Manifest)> {
        let manifest = serde_json::to_vec(&self.manifest)?;
        let sum = format!("{}  {MANIFEST}\n", Digest::of(&[&manifest]));
        for (name, body) in [(MANIFEST, &manifest[..]), (MANIFEST_SUM, sum.as_bytes())] {
            self.out.write_all(&header(name, 0o644, body.len() as u64)?)?;
            self.out.write_all(body)?;
            self.out.write_all(&vec![0; padding(body.len() as u64)])?;
        }
        self.out.write_all(&[0; 2 * BLOCK])?;
        Ok((self.out, self.manifest))
    }
}

/// Reads every byte of an archive and hands each whole, right file to `each`, with what the manifest will have to say.
///
/// # Errors
/// What is wrong, with the file in the archive and the byte.
pub fn read(path: &Path, mut each: impl FnMut(&Member, &mut dyn Read) -> io::Result<()>) -> Result<Manifest, String> {
    let mut file = File::open(path).map_err(|error| error.to_string())?;
    let members = members(&mut file)?;
    let manifest = manifest(&mut file, &members)?;
    let listed: Vec<(&str, u64)> = manifest.files.iter().map(|file| (file.path.as_str(), file.bytes)).collect();
    let found: Vec<(&str, u64)> =
        members.iter().take(listed.len()).map(|member| (member.path.as_str(), member.bytes)).collect();
    if listed != found || members.len() != listed.len() + 2 {
        return Err("the files in it are not those of its manifest".to_owned());
    }
    for (member, packed) in members.iter().zip(&manifest.files) {
        if member.mode != packed.mode {
            return Err(format!("{}: its mode is not that of the manifest", member.path));
        }
        let mut checked = Checked { file: &mut file, packed, at: 0, piece: Vec::new(), used: 0 };
        checked.file.seek(SeekFrom::Start(member.at)).map_err(|error| error.to_string())?;
        let handed = each(member, &mut checked).and_then(|()| io::copy(&mut checked, &mut io::sink()));
        handed.map_err(|error| format!("{}: {error}", member.path))?;
    }
    Ok(manifest)
}

/// A file's place in an archive.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its path.
    pub path: String,
    /// Its permission bits.
    pub mode: u32,
    bytes: u64,
    at: u64,
}

/// Reads a file's pieces, each only after it was found to be right.
struct Checked<'a> {
    file: &'a mut File,
    packed: &'a Packed,
    at: u64,
    piece: Vec<u8>,
    used: usize,
}

impl Checked<'_> {
    fn next_piece(&mut self) -> io::Result<bool> {
        let left = self.packed.bytes - self.at;
        if left == 0 {
            return Ok(false);
        }
        let length = left.min(PIECE_BYTES as u64);
        self.piece.resize(length as usize, 0);
        self.file.read_exact(&mut self.piece)?;
        let wanted = self.packed.pieces.get((self.at / PIECE_BYTES as u64) as usize);
        if wanted != Some(&Digest::of(&[&self.piece])) {
            let to = self.at + length;
            return Err(io::Error::other(format!("bytes {} to {to} are not what was written", self.at)));
        }
        (self.at, self.used) = (self.at + length, 0);
        Ok(true)
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() && !self.next_piece()? {
            return Ok(0);
        }
        let rest = self.piece.get(self.used..).unwrap_or_default();
        let count = rest.len().min(out.len());
        out.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.used += count;
        Ok(count)
    }
}

/// Walks the headers; checks them, the format, and that all padding is zero.
fn members(file: &mut File) -> Result<Vec<Member>, String> {
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let (mut at, mut found) = (0, Vec::new());
    loop {
        let block = block_at(file, at)?;
        if block.iter().all(|byte| *byte == 0) {
            let (end, rest) = (at + BLOCK as u64, block_at(file, at + BLOCK as u64)?);
            if rest.iter().any(|byte| *byte != 0) || length != end + BLOCK as u64 {
                return Err(format!("byte {end}: the archive does not end where it should"));
            }
            return Ok(found);
        }
        let member = parse_header(&block, at + BLOCK as u64)
            .ok_or_else(|| format!("byte {at}: the header of a file is damaged"))?;
        let end = member.at + member.bytes;
        let padded = end + padding(member.bytes) as u64;
        if padded > length || found.len() >= FILES_MAX {
            return Err(format!("{}: it is cut off, or there are more than {FILES_MAX} files", member.path));
        }
        check_padding(file, &member.path, end, padded)?;
        if found.is_empty() {
            check_format(file, &member)?;
        }
        found.push(member);
        at = padded;
    }
}

fn check_padding(file: &mut File, path: &str, from: u64, to: u64) -> Result<(), String> {
    let mut bytes = vec![0; (to - from) as usize];
    let read = file.seek(SeekFrom::Start(from)).and_then(|_| file.read_exact(&mut bytes));
    read.map_err(|error| error.to_string())?;
    match bytes.iter().position(|byte| *byte != 0) {
        None => Ok(()),
        Some(n) => Err(format!("{path}: byte {} after its end is not zero", n)),
    }
}

/// Before anything else: is this a backup, and of a version that we know?
fn check_format(file: &mut File, member: &Member) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Head {
        format: u32,
        made_by: String,
    }
    if member.path != HEAD || member.bytes > 4_096 {
        return Err("this is no backup of epimachia".to_owned());
    }
    let text = String::from_utf8(bytes_of(file, member)?).map_err(|_| format!("{HEAD}: it is no text"))?;
    let head: Head = toml::from_str(&text).map_err(|error| format!("{HEAD}: {}", error.message()))?;
    match head.format > FORMAT {
        false => Ok(()),
        true => Err(format!(
            "it has format {}, written by version {}; this program knows {FORMAT}: restore it with that version",
            head.format,
            model::parse::printable(&head.made_by)
        )),
    }
}

fn manifest(file: &mut File, members: &[Member]) -> Result<Manifest, String> {
    let [.., manifest, sum] = members else { return Err("it has no manifest".to_owned()) };
    if manifest.path != MANIFEST || sum.path != MANIFEST_SUM {
        return Err("it does not end with its manifest".to_owned());
    }
    if manifest.bytes > MANIFEST_BYTES_MAX || sum.bytes > 128 {
        return Err(format!("{MANIFEST}: at most {MANIFEST_BYTES_MAX} bytes"));
    }
    let (body, sum) = (bytes_of(file, manifest)?, bytes_of(file, sum)?);
    if sum != format!("{}  {MANIFEST}\n", Digest::of(&[&body])).as_bytes() {
        return Err(format!("{MANIFEST} or {MANIFEST_SUM}: bytes 0 to {}: they do not fit together", body.len()));
    }
    serde_json::from_slice(&body).map_err(|error| format!("{MANIFEST}: {error}"))
}

fn bytes_of(file: &mut File, member: &Member) -> Result<Vec<u8>, String> {
    let mut bytes = vec![0; usize::try_from(member.bytes).unwrap_or_default()];
    let read = file.seek(SeekFrom::Start(member.at)).and_then(|_| file.read_exact(&mut bytes));
    read.map_err(|error| format!("{}: {error}", member.path))?;
    Ok(bytes)
}

fn block_at(file: &mut File, at: u64) -> Result<[u8; BLOCK], String> {
    let mut block = [0; BLOCK];
    let read = file.seek(SeekFrom::Start(at)).and_then(|_| file.read_exact(&mut block));
    read.map_err(|error| format!("byte {at}: the archive is cut off: {error}"))?;
    Ok(block)
}

const fn padding(bytes: u64) -> usize {
    ((BLOCK as u64 - bytes % BLOCK as u64) % BLOCK as u64) as usize
}

/// One header of POSIX.1-1988 ustar. Owner and time are zero: they belong to the machine, not to the data.
fn header(path: &str, mode: u32, bytes: u64) -> io::Result<[u8; BLOCK]> {
    if !is_safe(path) || bytes >= 1 << 33 {
        return Err(io::Error::other(format!("{path}: a name of at most 99 plain characters, and less than 8 GiB")));
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| {
        block.iter_mut().skip(at).zip(text.bytes()).for_each(|(to, from)| *to = from);
    };
    put(0, path);
    put(100, &format!("{mode:07o}"));
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{bytes:011o}"));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let text = format!("{sum:06o}\0 ");
    block.iter_mut().skip(148).zip(text.bytes()).for_each(|(to, from)| *to = from);
    Ok(block)
}

/// Reads a header that [`header`] wrote; nothing else is one.
fn parse_header(block: &[u8; BLOCK], at: u64) -> Option<Member> {
    let text = |from: usize, to: usize| -> Option<&str> {
        let field = block.get(from..to)?;
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        std::str::from_utf8(field.get(..end)?).ok()
    };
    let path = text(0, 100)?;
    let mode = u32::from_str_radix(text(100, 108)?, 8).ok()?;
    let bytes = u64::from_str_radix(text(124, 136)?, 8).ok()?;
    let same = header(path, mode, bytes).ok()? == *block;
    same.then(|| Member { path: path.to_owned(), mode, bytes, at })
}

/// A path that stays below the directory that it is unpacked into.
fn is_safe(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.starts_with('-');
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/');
    path.len() < 100 && path.bytes().all(plain) && path.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(dir: &Path) -> (std::path::PathBuf, Vec<u8>) {
        let mut writer = Writer::begin(Vec::new(), "hub", "2026-01-01T00:00:00Z", false).unwrap();
        writer.add("journal/a.seg", 0o600, 700, &mut [7_u8; 700].as_slice()).unwrap();
        writer.add("empty", 0o644, 0, &mut [].as_slice()).unwrap();
        let (bytes, _) = writer.finish().unwrap();
        let path = dir.join("backup.tar");
        std::fs::write(&path, &bytes).unwrap();
        (path, bytes)
    }

    fn look(path: &Path) -> Result<Vec<(String, usize)>, String> {
        let mut found = Vec::new();
        read(path, |member, from| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes)?;
            found.push((member.path.clone(), bytes.len()));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn what_was_written_is_read_and_any_tar_unpacks_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _) = written(dir.path());
        let found = look(&path).unwrap();
        assert_eq!(found[1..], [("journal/a.seg".to_owned(), 700), ("empty".to_owned(), 0)]);
        let out = dir.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let tar = std::process::Command::new("tar").arg("-xf").arg(&path).arg("-C").arg(&out).status().unwrap();
        assert!(tar.success());
        assert_eq!(std::fs::read(out.join("journal/a.seg")).unwrap(), [7; 700]);
    }

    #[test]
    fn no_bit_changes_unseen() {
        let dir = tempfile::tempdir().unwrap();
        let (path, good) = written(dir.path());
        // A prime step: in every field some bit of every kind.
        for bit in (0..good.len() * 8).step_by(61) {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &bad).unwrap();
            let told = look(&path).expect_err(&format!("bit {bit}"));
            assert!(!told.is_empty());
        }
        std::fs::write(&path, &good[..good.len() - 512]).unwrap();
        assert!(look(&path).is_err());
        std::fs::write(&path, [&good[..], &[0; 512]].concat()).unwrap();
        assert!(look(&path).is_err());
    }

    #[test]
    fn damage_is_named_by_file_and_byte() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut bytes) = written(dir.path());
        let at = bytes.windows(4).position(|window| window == [7; 4]).unwrap();
        bytes[at + 5] = 8;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(look(&path).unwrap_err(), "journal/a.seg: bytes 0 to 700 are not what was written");
    }

    #[test]
    fn a_newer_format_and_other_archives_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("newer.tar");
        let head = "format = 2\nmade_by = \"9.9.9\"\n";
        let block = header(HEAD, 0o644, head.len() as u64).unwrap();
        let mut bytes = block.to_vec();
        bytes.extend(head.as_bytes());
        bytes.extend(vec![0; padding(head.len() as u64) + 1_024]);
        std::fs::write(&path, &bytes).unwrap();
        let told = look(&path).unwrap_err();
        assert!(told.contains("format 2") && told.contains("9.9.9"), "{told}");
        std::fs::write(&path, [0; 1_024]).unwrap();
        assert!(look(&path).unwrap_err().contains("no manifest"));
        std::fs::write(&path, "hello").unwrap();
        assert!(look(&path).is_err());
    }

    #[test]
    fn names_that_leave_the_directory_are_not_written_and_not_read() {
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "-x", "a b", &"a".repeat(100)] {
            assert!(header(bad, 0o600, 1).is_err(), "{bad}");
        }
    }
}

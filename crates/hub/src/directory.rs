//! The hub's data directory: one owner, one version, secrets in files that nobody else can read.
//!
//! ```text
//! hub.toml.sample   every key of the configuration with its default
//! identity.toml     format, alliance, public checkpoint key
//! ca.pem            the certificate of the alliance's authority, which members pin
//! admin.token       the first token, until the operator deletes it (0600)
//! keys/             checkpoint.key, engine.seed, ca.key (0700, files 0600)
//! journal/          the journal and the newest checkpoint
//! tiles/            the tree's tiles, derived from the journal
//! lists/            guard lists by their digests
//! snapshots/        views of the journal
//! ```

use crate::error::Error;
use model::digest::{hex, unhex};
use model::{Digest, PublicKey, SigningKey};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The newest format of data directories that this program reads and writes.
pub const DIRECTORY_FORMAT: u32 = 1;
/// Longest small file that is read from the directory, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
const IDENTITY: &str = "identity.toml";

/// What a new hub is to be.
#[derive(Clone, Debug)]
pub struct Init {
    /// The alliance's name: 1 to 64 of a-z 0-9 - and dots. It is the log's origin, for ever.
    pub alliance: String,
    /// Names and addresses by which members reach the hub, for its certificate; `localhost` and the loopback addresses
    /// are always among them.
    pub names: Vec<String>,
}

/// A data directory that was found to be whole.
#[derive(Clone, Debug)]
pub struct Directory {
    root: PathBuf,
    identity: Identity,
}

/// Which hub the directory belongs to; nothing in it is secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The format of the directory.
    pub format: u32,
    /// The version of the program that made it.
    pub made_by: String,
    /// The alliance.
    pub alliance: String,
    /// The key with which checkpoints are signed; it stands in the charter as `hub_key`.
    pub checkpoint_key: PublicKey,
    /// Names and addresses by which members reach the hub; `tls.names` of the configuration adds more.
    #[serde(default)]
    pub names: Vec<String>,
}

/// The hub's secrets, as long as it runs.
pub(crate) struct Secrets {
    pub(crate) checkpoint: [u8; 32],
    pub(crate) engine: [u8; 16],
}

impl Directory {
    /// Makes a data directory: keys, certificate, empty journal folder.
    ///
    /// # Errors
    /// Refused: it exists and is not empty, or the alliance's name is not one. Unavailable: it cannot be written.
    pub fn init(root: &Path, init: &Init) -> Result<Self, Error> {
        check_name(&init.alliance)?;
        check_names(&init.names)?;
        check_empty(root)?;
        make_private(root)?;
        for folder in ["keys", "journal", "tiles", "lists", "snapshots"] {
            make_private(&root.join(folder))?;
        }
        let checkpoint: [u8; 32] = random()?;
        let engine: [u8; 16] = random()?;
        write_new(&root.join("keys/checkpoint.key"), hex(&checkpoint).as_bytes(), 0o600)?;
        write_new(&root.join("keys/engine.seed"), hex(&engine).as_bytes(), 0o600)?;
        crate::ca::make(root, &init.alliance)?;
        write_new(&root.join("hub.toml.sample"), crate::Config::sample(root).as_bytes(), 0o644)?;
        let identity = Identity {
            format: DIRECTORY_FORMAT,
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            alliance: init.alliance.clone(),
            checkpoint_key: SigningKey::from_seed(&checkpoint).public(),
            names: init.names.clone(),
        };
        // Plain texts: toml cannot fail on them. Written last: a directory without it was never finished.
        let text = toml::to_string(&identity).map_err(|error| Error::Broken(error.to_string()))?;
        write_new(&root.join(IDENTITY), text.as_bytes(), 0o644)?;
        sync(root)?;
        Ok(Self { root: root.to_owned(), identity })
    }

    /// Opens a data directory.
    ///
    /// # Errors
    /// Refused: it is none, was written by a newer version, or its secrets can be read by others.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join(IDENTITY);
        let text = read_small(&path).map_err(|error| {
            Error::refused(format_args!("{}: {error}", path.display()), "a directory made by `hub init`")
        })?;
        let format = text.lines().find_map(|line| line.strip_prefix("format = ")?.trim().parse::<u32>().ok());
        if let Some(newer) = format.filter(|format| *format > DIRECTORY_FORMAT) {
            let made_by = text.lines().find_map(|line| line.strip_prefix("made_by = ")).unwrap_or("unknown");
            let told = format!("{} has format {newer}, written by version {made_by}", root.display());
            return Err(Error::refused(
                told,
                format!("format {DIRECTORY_FORMAT}; run that version, or restore a backup"),
            ));
        }
        let identity: Identity = toml::from_str(&text).map_err(|error| {
            Error::refused(format_args!("{}: {}", path.display(), error.message()), "what init wrote")
        })?;
        Ok(Self { root: root.to_owned(), identity })
    }

    /// Which hub it belongs to.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The log this hub keeps: its origin and its key.
    pub fn log(&self) -> Digest {
        let key = self.identity.checkpoint_key;
        Digest::of(&[b"epimachia/log/v1\n", self.identity.alliance.as_bytes(), b"\n", key.as_bytes()])
    }

    /// A file or folder of the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn secrets(&self) -> Result<Secrets, Error> {
        let secrets =
            Secrets { checkpoint: self.secret("keys/checkpoint.key")?, engine: self.secret("keys/engine.seed")? };
        match SigningKey::from_seed(&secrets.checkpoint).public() == self.identity.checkpoint_key {
            true => Ok(secrets),
            false => Err(Error::refused("keys/checkpoint.key", "the key of identity.toml")),
        }
    }

    fn secret<const N: usize>(&self, name: &str) -> Result<[u8; N], Error> {
        let path = self.path(name);
        check_private(&path)?;
        let text =
            read_small(&path).map_err(|error| Error::unavailable(format_args!("reading {}", path.display()), error))?;
        // The value is a secret: an error about it does not repeat it.
        unhex(text.trim()).ok_or_else(|| Error::refused(path.display(), format!("{} hexadecimal digits", 2 * N)))
    }
}

/// Refuses a file with a secret that others can read.
pub(crate) fn check_private(path: &Path) -> Result<(), Error> {
    let found =
        fs::metadata(path).map_err(|error| Error::unavailable(format_args!("reading {}", path.display()), error))?;
    match found.permissions().mode() & 0o077 {
        0 => Ok(()),
        mode => Err(Error::refused(format_args!("{} can be read by others ({mode:03o})", path.display()), "chmod 600")),
    }
}

/// Writes a file that must not exist yet, durably.
pub(crate) fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let failed = |error| Error::unavailable(format_args!("writing {}", path.display()), error);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)
}

/// Writes a file completely or not at all; an older one stays until then.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], durable: bool) -> std::io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    fs::rename(&unfinished, path)?;
    match (durable, path.parent()) {
        (true, Some(parent)) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

/// Bytes from the system's random source.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Broken(format!("no random bytes from the system: {error}")))?;
    Ok(bytes)
}

fn check_name(name: &str) -> Result<(), Error> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    match (1..=64).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(Error::refused(format_args!("alliance {name}"), "1 to 64 of a-z 0-9 - .")),
    }
}

/// Names that a certificate can hold: found out now, not when the hub starts.
fn check_names(names: &[String]) -> Result<(), Error> {
    let fits = rcgen::CertificateParams::new(names).map(drop);
    fits.map_err(|error| Error::refused(format_args!("certificate names {names:?}: {error}"), "names and addresses"))
}

fn check_empty(root: &Path) -> Result<(), Error> {
    match fs::read_dir(root) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::unavailable(format_args!("reading {}", root.display()), error)),
        Ok(mut items) => match items.next() {
            None => Ok(()),
            Some(_) => Err(Error::refused(format_args!("{} is not empty", root.display()), "a new or empty directory")),
        },
    }
}

fn make_private(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Error::unavailable(format_args!("creating {}", path.display()), error))
}

fn sync(path: &Path) -> Result<(), Error> {
    let synced = File::open(path).and_then(|dir| dir.sync_all());
    synced.map_err(|error| Error::unavailable(format_args!("syncing {}", path.display()), error))
}

pub(crate) fn read_small(path: &Path) -> std::io::Result<String> {
    let length = fs::metadata(path)?.len();
    match length > FILE_BYTES_MAX {
        true => Err(std::io::Error::other(format!("{length} bytes, at most {FILE_BYTES_MAX}"))),
        false => fs::read_to_string(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() -> Init {
        Init { alliance: "test".to_owned(), names: vec!["hub.test".to_owned()] }
    }

    #[test]
    fn a_new_directory_opens_and_an_existing_one_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("hub");
        let made = Directory::init(&root, &init()).unwrap();
        let opened = Directory::open(&root).unwrap();
        assert_eq!((made.identity(), made.log()), (opened.identity(), opened.log()));
        opened.secrets().unwrap();
        assert!(Directory::init(&root, &init()).unwrap_err().to_string().contains("not empty"));
    }

    #[test]
    fn secrets_are_readable_by_their_owner_only_and_refused_otherwise() {
        let dir = tempfile::tempdir().unwrap();
        let made = Directory::init(&dir.path().join("hub"), &init()).unwrap();
        for name in ["keys/checkpoint.key", "keys/engine.seed", "keys/ca.key"] {
            assert_eq!(fs::metadata(made.path(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        }
        assert_eq!(fs::metadata(made.path("keys")).unwrap().permissions().mode() & 0o777, 0o700);
        fs::set_permissions(made.path("keys/engine.seed"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(made.secrets().err().unwrap().to_string().contains("engine.seed can be read by others"));
    }

    #[test]
    fn a_directory_of_a_newer_version_is_refused_with_that_version() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("hub");
        Directory::init(&root, &init()).unwrap();
        let text = "format = 2\nmade_by = \"9.9.9\"\nwhatever = true\n";
        fs::write(root.join(IDENTITY), text).unwrap();
        let told = Directory::open(&root).unwrap_err().to_string();
        assert!(told.contains("format 2") && told.contains("9.9.9"), "{told}");
    }

    #[test]
    fn anything_else_is_no_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Directory::open(dir.path()).unwrap_err().to_string().contains("hub init"));
        let bad = Init { alliance: "No Good".to_owned(), names: Vec::new() };
        assert!(Directory::init(&dir.path().join("hub"), &bad).is_err());
    }
}

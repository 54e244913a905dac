//! Key and token files: secrets stand in files that only their owner may read, never in the configuration.

use crate::error::{Broken, Error, failed};
use model::{PublicKey, SigningKey};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// First line of a key file.
const HEAD: &str = "epimachia signing key v1";
/// Largest secret file.
pub(crate) const SECRET_BYTES_MAX: u64 = 4_096;

/// Makes a new signing key from the system's random source and keeps it in a new file with mode 0600; gives the public
/// half, for the charter.
///
/// # Errors
/// Broken: the file is there already, or cannot be written.
pub fn create_key(path: &Path) -> Result<PublicKey, Error> {
    let mut seed = [0_u8; 32];
    getrandom::fill(&mut seed).map_err(|error| Broken::Failed(format!("the system's random source: {error}")))?;
    let text = key_text(&seed);
    let public = SigningKey::from_seed(&seed).public();
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| failed("making the key file", path, &error))?;
    Ok(public)
}

/// Reads the key at this path; makes one if nothing is there. For the witness's key, which the agent makes itself.
///
/// # Errors
/// As [`create_key`] and [`read_key`].
pub fn read_or_create_key(path: &Path) -> Result<SigningKey, Error> {
    if !path.exists() {
        create_key(path)?;
    }
    read_key(path)
}

/// What stands in the file of the key with this seed. It is a secret.
pub fn key_text(seed: &[u8; 32]) -> String {
    let public = SigningKey::from_seed(seed).public();
    format!("{HEAD}\n# public {public}\n{}\n", model::digest::hex(seed))
}

/// Reads a signing key.
///
/// # Errors
/// Broken: others may read it, or it is no key file. The error never repeats what stands in it.
pub fn read_key(path: &Path) -> Result<SigningKey, Error> {
    let text = read_secret(path)?;
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    let seed = (lines.next() == Some(HEAD)).then(|| lines.next().and_then(model::digest::unhex::<32>)).flatten();
    let expected = || Broken::Failed(format!("{}: no key file; make one: epimachia key new FILE", path.display()));
    Ok(SigningKey::from_seed(&seed.ok_or_else(expected)?))
}

/// Reads a secret text, without its line end.
///
/// # Errors
/// Broken: others may read the file (mode other than 0600 or 0400), it is too long, or not text.
pub fn read_secret(path: &Path) -> Result<String, Error> {
    read_secret_of(path, SECRET_BYTES_MAX)
}

/// As [`read_secret`], of at most `bytes_max` bytes.
pub(crate) fn read_secret_of(path: &Path, bytes_max: u64) -> Result<String, Error> {
    let about = fs::metadata(path).map_err(|error| failed("reading", path, &error))?;
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Broken::Exposed { file: path.to_owned(), mode }.into());
    }
    if about.len() > bytes_max {
        let text = format!("{}: {} bytes; a secret has at most {bytes_max}", path.display(), about.len());
        return Err(Broken::Failed(text).into());
    }
    let text = fs::read_to_string(path).map_err(|error| failed("reading", path, &error))?;
    Ok(text.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_private_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        let public = create_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_key(&path).unwrap().public(), public);
        assert!(create_key(&path).is_err(), "a key is never overwritten");
    }

    #[test]
    fn a_key_that_others_may_read_is_refused_and_never_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        create_key(&path).unwrap();
        let secret = fs::read_to_string(&path).unwrap().lines().last().unwrap().to_owned();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let error = read_key(&path).unwrap_err();
        assert!(matches!(error, Error::Broken(Broken::Exposed { mode: 0o644, .. })), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, format!("{secret}\n{secret}\n")).unwrap();
        let error = read_key(&path).unwrap_err().to_string();
        assert!(!error.contains(&secret), "{error}");
    }
}

//! Signs of life: a small file for the watchdog, and words for the service manager.
//!
//! Both come from the task that owns the state: where that one is stuck, both stay away.

use model::Timestamp;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file's name in the state directory; in it stands the time of the last sign, RFC 3339.
pub const HEARTBEAT: &str = "heartbeat";
/// How often a sign is given.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);
/// Longest heartbeat file that is read, in bytes.
const BEAT_BYTES_MAX: u64 = 64;

/// Gives a sign of life every [`BEAT_EVERY`].
#[derive(Debug)]
pub(crate) struct Heart {
    path: PathBuf,
    next: Instant,
}

impl Heart {
    /// A heart that has not beaten yet.
    pub fn new(directory: &Path) -> Self {
        Self { path: directory.join(HEARTBEAT), next: Instant::now() }
    }

    /// Gives the sign if it is time to.
    pub fn beat(&mut self) {
        if Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + BEAT_EVERY;
        let text = crate::clock::wall().to_string();
        // Not made durable: after a crash of the machine an old sign is right.
        if let Err(error) = crate::room::write_small(&self.path, &text) {
            tracing::warn!(path = %self.path.display(), %error, "no sign of life could be written");
        }
        notify("WATCHDOG=1");
    }
}

/// When the agent of this state directory gave its last sign of life; `None`: it never did.
///
/// # Errors
/// The file cannot be read, or holds something else.
pub fn last_beat(directory: &Path) -> io::Result<Option<Timestamp>> {
    let path = directory.join(HEARTBEAT);
    let about = match std::fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        about => about?,
    };
    if about.len() > BEAT_BYTES_MAX {
        return Err(io::Error::other(format!("{} bytes, at most {BEAT_BYTES_MAX}", about.len())));
    }
    let text = std::fs::read_to_string(&path)?;
    text.trim().parse().map(Some).map_err(|error| io::Error::other(format!("{error}")))
}

/// Tells the service manager something (sd_notify(3): `READY=1`, `WATCHDOG=1`, `STOPPING=1`); nothing where there is
/// none.
pub fn notify(state: &str) {
    let Some(to) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = tell(&to, state) {
        tracing::debug!(%error, "the service manager could not be told {state}");
    }
}

fn tell(to: &std::ffi::OsStr, state: &str) -> io::Result<()> {
    let bytes = to.as_encoded_bytes();
    let address = match bytes.split_first() {
        Some((b'@', name)) => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(Path::new(to))?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_read_back_and_none_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(last_beat(dir.path()).unwrap(), None);
        let mut heart = Heart::new(dir.path());
        heart.beat();
        let first = last_beat(dir.path()).unwrap().unwrap();
        assert!(crate::clock::wall().since(first) < model::Span::minutes(1));
        std::fs::write(dir.path().join(HEARTBEAT), "x").unwrap();
        heart.beat();
        assert!(last_beat(dir.path()).is_err(), "not before it is time again");
    }

    #[test]
    fn the_service_manager_is_told_on_a_path_and_on_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let heard = UnixDatagram::bind(&path).unwrap();
        tell(path.as_os_str(), "READY=1").unwrap();
        let mut bytes = [0; 32];
        let count = heard.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"READY=1");
        let name = format!("epimachia-test-{}", std::process::id());
        let heard = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tell(format!("@{name}").as_ref(), "WATCHDOG=1").unwrap();
        let count = heard.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..count], b"WATCHDOG=1");
    }
}

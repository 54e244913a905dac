//! The enforcer itself: who is listened to, how long, and what is done.

use super::rules::{Ledger, Rules, enter, together};
use super::wire::{self, Answer, Item, Request, SeenItem, VERSION};
use crate::nftables::{self, NetnsName, Nftables, Protected};
use crate::point::{Effect, Point, PointError, Protection, Seen};
use model::{PointName, Refusal, Rule, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Connections at one time: the agent has one; one more while it restarts, and two for a person who looks.
const CONNECTIONS_MAX: usize = 4;
/// A connection that says nothing is closed after so long; the agent opens another.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// Time for a frame to be sent or received, once it has begun.
const FRAME_MAX: Duration = Duration::from_secs(10);
/// Most users that may be named.
const USERS_MAX: usize = 16;

/// The enforcer's own configuration, which the agent's user must not be able to write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The Unix socket; made with mode 0660, for the group that the enforcer runs under.
    pub socket: PathBuf,
    /// Who is listened to: names in `/etc/passwd`, or numbers; 1 to 16. The kernel says who speaks.
    pub users: Vec<String>,
    /// Networks that are never touched; at most 4,096.
    #[serde(default)]
    pub protect: Vec<Protected>,
    /// Most elements in all; 1 to 100,000, default 10,000.
    #[serde(default = "nftables::size_default")]
    pub size: u32,
    /// The network namespace in which the table is kept; default: the enforcer's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub netns: Option<NetnsName>,
    /// Widths and times.
    #[serde(default)]
    pub limits: Rules,
}

/// An enforcer that is ready to listen.
#[derive(Debug)]
pub struct Enforcer {
    path: PathBuf,
    listener: UnixListener,
    desk: Arc<Desk>,
}

/// What all connections share.
#[derive(Debug)]
struct Desk {
    users: Vec<u32>,
    size: usize,
    rules: Rules,
    point: Nftables,
    /// Locked while the kernel is spoken to: one nft at a time, whoever asks.
    ledger: Mutex<Ledger>,
    open: AtomicUsize,
}

impl Enforcer {
    /// Opens the socket; touches nothing of the packet filter.
    ///
    /// # Errors
    /// Refused: a key of the configuration. Broken: the socket is in use or cannot be made, or a user does not exist.
    pub fn open(settings: Settings) -> Result<Self, PointError> {
        settings.limits.check()?;
        let users = user_ids(&settings.users)?;
        let name: PointName = "enforcer".parse().map_err(|error| PointError::Broken(format!("{error}")))?;
        let Settings { socket, protect, size, netns, limits, .. } = settings;
        let point = Nftables::new(nftables::Settings { name, protect, size, netns, via: None })?;
        let listener = listen(&socket).map_err(|error| {
            PointError::Broken(format!("the enforcer's socket {} cannot be made: {error}", socket.display()))
        })?;
        let desk = Desk {
            users,
            size: size as usize,
            rules: limits,
            point,
            ledger: Mutex::default(),
            open: AtomicUsize::new(0),
        };
        Ok(Self { path: socket, listener, desk: Arc::new(desk) })
    }

    /// Where it listens.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until the process ends. What is in force stays so until the kernel ends it.
    pub fn run(&self) {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => self.take(stream),
                Err(error) => {
                    tracing::warn!(%error, "enforcer: no connection could be taken");
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    fn take(&self, stream: UnixStream) {
        let desk = Arc::clone(&self.desk);
        if desk.open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            desk.open.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!("enforcer: more than {CONNECTIONS_MAX} connections; one was closed");
            return;
        }
        let work = move || {
            if let Err(error) = desk.serve(&stream) {
                tracing::debug!(%error, "enforcer: a connection has ended");
            }
            desk.open.fetch_sub(1, Ordering::SeqCst);
        };
        if let Err(error) = std::thread::Builder::new().name("connection".to_owned()).spawn(work) {
            self.desk.open.fetch_sub(1, Ordering::SeqCst);
            tracing::warn!(%error, "enforcer: no thread for a connection");
        }
    }
}

impl Desk {
    fn serve(&self, stream: &UnixStream) -> io::Result<()> {
        let peer = rustix::net::sockopt::socket_peercred(stream)?;
        let user = peer.uid.as_raw();
        if !self.users.contains(&user) {
            tracing::warn!(user, "enforcer: a user who is not in `users` was turned away");
            let refusal = Refusal::new(Rule::RoleMissing, format_args!("user {user}"), "one of the enforcer's `users`");
            return wire::send(stream, &Answer::Refused(refusal), FRAME_MAX);
        }
        let bytes_max = wire::frame_bytes_max(self.size);
        while let Some(body) = wire::receive(stream, bytes_max, IDLE_MAX, FRAME_MAX)? {
            let waits = || wire::peer_waits(stream);
            let answer =
                wire::parse(&body, self.size).map_or_else(Answer::Refused, |request| self.answer(request, &waits));
            wire::send(stream, &answer, FRAME_MAX)?;
        }
        Ok(())
    }

    fn answer(&self, request: Request, waits: &dyn Fn() -> bool) -> Answer {
        let list = |items: Vec<Item>| -> Vec<Protection> { items.into_iter().map(Protection::from).collect() };
        let done = match request {
            Request::Hello { .. } => return Answer::Version(VERSION),
            Request::Apply { wanted } => self.put(list(wanted), false, waits),
            Request::Replace { wanted } => self.put(list(wanted), true, waits),
            Request::Withdraw { ended } => self.withdraw(&list(ended)),
            Request::LiftAll => self.lift_all(),
            Request::ReadBack { asked } => return self.read_back(&list(asked)),
            Request::Effect { asked } => return self.effect(&list(asked)),
        };
        done.map_or_else(Answer::from, |()| Answer::Done)
    }

    fn put(&self, wanted: Vec<Protection>, whole: bool, waits: &dyn Fn() -> bool) -> Result<(), PointError> {
        let mut ledger = self.lock();
        // Who gave up waiting for its turn may have withdrawn this meanwhile, by another connection.
        if !waits() {
            return Err(PointError::Unavailable("whoever ordered this does not wait for it any more".to_owned()));
        }
        let now = now();
        let wanted = self.rules.admit(wanted, now)?;
        if whole {
            self.point.replace(&wanted, now)?;
            ledger.clear();
        } else {
            self.make_room(&mut ledger, &wanted, now)?;
            self.point.apply(&wanted, now)?;
        }
        enter(&mut ledger, &wanted);
        Ok(())
    }

    /// Only where the count says that there is no room, the kernel is asked what is really there.
    fn make_room(&self, ledger: &mut Ledger, wanted: &[Protection], now: Timestamp) -> Result<(), PointError> {
        // A process that has just begun knows of nothing, and something may be there.
        if ledger.is_empty() || together(ledger, wanted) > self.size {
            *ledger = self.point.ends(now)?;
        }
        match together(ledger, wanted) {
            count if count > self.size => {
                Err(Refusal::new(Rule::BlastRadius, count, format!("`size` = {} elements", self.size)).into())
            }
            _ => Ok(()),
        }
    }

    fn withdraw(&self, ended: &[Protection]) -> Result<(), PointError> {
        let _turn = self.lock();
        self.point.withdraw(ended, now())
    }

    fn lift_all(&self) -> Result<(), PointError> {
        let mut ledger = self.lock();
        self.point.lift_all()?;
        ledger.clear();
        Ok(())
    }

    fn read_back(&self, asked: &[Protection]) -> Answer {
        let _turn = self.lock();
        let items = |seen: Vec<Seen>| Answer::Seen(seen.iter().map(SeenItem::from).collect());
        self.point.read_back(asked).map_or_else(Answer::from, items)
    }

    fn effect(&self, asked: &[Protection]) -> Answer {
        let _turn = self.lock();
        let counts = |effects: Vec<Effect>| effects.into_iter().map(|effect| (effect.packets, effect.bytes)).collect();
        self.point.effect(asked).map_or_else(Answer::from, |effects| Answer::Effects(counts(effects)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ledger> {
        // A ledger that a panic left behind says too little at most; the kernel is asked when it matters.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A socket that is there and answers belongs to another enforcer; one that does not was left by one that died.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(about) if !about.file_type().is_socket() => return Err(io::Error::other("something else is there")),
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::Error::other("another enforcer runs there")),
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660))?;
    Ok(listener)
}

fn user_ids(users: &[String]) -> Result<Vec<u32>, PointError> {
    if !(1..=USERS_MAX).contains(&users.len()) {
        let value = format!("users: {}", users.len());
        return Err(Refusal::new(Rule::Malformed, value, format!("1 to {USERS_MAX} users")).into());
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let unknown = |user: &str| PointError::Broken(format!("users: there is no user {user} in /etc/passwd"));
    users.iter().map(|user| user_id(user, &passwd).ok_or_else(|| unknown(user))).collect()
}

/// A user's number: `name:password:number:…` in passwd(5).
fn user_id(user: &str, passwd: &str) -> Option<u32> {
    let named = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok()).flatten()
    };
    user.parse().ok().or_else(|| passwd.lines().find_map(named))
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number_and_nobody_else_is() {
        let passwd = "root:x:0:0::/:/bin/sh\nagent:x:991:991::/:/usr/sbin/nologin\n";
        assert_eq!(user_id("agent", passwd), Some(991));
        assert_eq!(user_id("1234", passwd), Some(1234));
        assert_eq!(user_id("age", passwd), None);
        assert!(user_ids(&[]).is_err());
        let error = user_ids(&["no-such-user-here".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("no-such-user-here"));
    }

    #[test]
    fn a_socket_in_use_is_not_taken_over_and_one_left_behind_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("enforcer.sock");
        let first = listen(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(listen(&path).unwrap_err().to_string().contains("another enforcer"));
        drop(first);
        listen(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "mine").unwrap();
        assert!(listen(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}

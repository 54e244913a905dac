//! The watchdog: lifts what a dead agent cannot lift any more.
//!
//! Packet filters end what has ended by themselves, and BIND drops a zone that expires. Unbound never does. So a small
//! process of its own looks at the agent's signs of life. When they have stayed away for too long and nobody holds the
//! state directory's lock, the agent is dead: the watchdog takes the lock, serves the agent's zones *empty* from the
//! agent's own address, tells the resolvers, waits until they have followed, and lets go. The agent's next start puts
//! back what is still due.

use crate::config::{Config, PointConfig};
use crate::error::{Broken, Error, failed};
use crate::heartbeat;
use crate::store::lock;
use act::Point as _;
use act::rpz::{RpzPoint, Timers};
use model::{PointName, Span, Timestamp};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The file in the state directory with the time of the watchdog's own last look.
pub const SEEN: &str = "watchdog";
/// The file with the last sign of life of the agent whose protections were lifted last.
const LIFTED: &str = "watchdog.lifted";
/// How long resolvers may take to follow.
const FOLLOW_MAX: Duration = Duration::from_secs(15);

/// How the agent was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    /// It gave a sign of life not long ago.
    Alive {
        /// When.
        last: Timestamp,
    },
    /// A process holds its lock and gives no sign: stuck, or stopped. Its service manager must end it.
    Stuck {
        /// The last sign.
        last: Timestamp,
    },
    /// Nobody runs there, for longer than the limit.
    Dead {
        /// The last sign.
        last: Timestamp,
        /// Everything was lifted since then already.
        lifted: bool,
    },
    /// It has never run on this state directory.
    Never,
}

/// One zone that was lifted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lifted {
    /// The point.
    pub point: PointName,
    /// Resolvers that were asked whether they have followed.
    pub asked: usize,
    /// Those that have not, with what they say; they are told again at the next look.
    pub behind: Vec<(SocketAddr, String)>,
}

impl Lifted {
    /// Is nothing of ours in force at this point, as its resolvers say?
    pub fn is_confirmed(&self) -> bool {
        self.asked > 0 && self.behind.is_empty()
    }
}

/// How long an agent may be silent unless said otherwise: as long as BIND would keep its zone.
pub fn silence_default() -> Span {
    Span::seconds(i64::from(Timers::default().expire))
}

/// Looks at the agent, and leaves word that somebody did.
///
/// # Errors
/// The state directory cannot be read or written.
pub fn look(config: &Config, silence_max: Span) -> Result<Health, Error> {
    let directory = &config.state.directory;
    if !directory.is_dir() {
        return Ok(Health::Never);
    }
    let now = crate::clock::wall();
    // A full disk is no reason not to look.
    let _ = note(directory, SEEN, now);
    let read = |error| failed("reading", &directory.join(heartbeat::HEARTBEAT), &error);
    let Some(last) = heartbeat::last_beat(directory).map_err(read)? else { return Ok(Health::Never) };
    // A clock that was set back makes an old sign look new: then the lock alone decides.
    let age = now.since(last);
    if (Span::ZERO..=silence_max).contains(&age) {
        return Ok(Health::Alive { last });
    }
    match lock(directory) {
        Ok(_free) => Ok(Health::Dead { last, lifted: was_lifted(directory, last) }),
        Err(Error::Broken(Broken::Locked { .. })) => Ok(Health::Stuck { last }),
        Err(error) => Err(error),
    }
}

/// Lifts everything of ours at the resolvers of a dead agent.
///
/// # Errors
/// Broken: an agent runs there after all, or a zone cannot be served; nothing was lifted then.
pub fn lift(config: &Config) -> Result<Vec<Lifted>, Error> {
    let directory = &config.state.directory;
    let _lock = lock(directory)?;
    let mut lifted = Vec::new();
    for point in &config.points {
        let PointConfig::Rpz(rpz) = point else { continue };
        lifted.push(serve_empty(&rpz.name, rpz.settings()?)?);
    }
    let last = heartbeat::last_beat(directory).ok().flatten();
    if let Some(last) = last.filter(|_| lifted.iter().all(Lifted::is_confirmed)) {
        note(directory, LIFTED, last)?;
    }
    Ok(lifted)
}

/// Points whose resolvers transfer without a key. That is Unbound's way, which never lets a zone expire.
pub fn needs_watchdog(config: &Config) -> Vec<&PointName> {
    let unsigned = |point: &'_ PointConfig| matches!(point, PointConfig::Rpz(rpz) if !rpz.allow_unsigned.is_empty());
    config.points.iter().filter(|point| unsigned(point)).map(PointConfig::name).collect()
}

/// When a watchdog last looked at this agent; `None`: never.
pub fn last_look(config: &Config) -> Option<Timestamp> {
    read(&config.state.directory, SEEN)
}

/// All are asked that may have the zone: the resolvers that are read back, and those that are told of changes.
fn serve_empty(name: &PointName, mut settings: act::rpz::RpzSettings) -> Result<Lifted, Error> {
    let broken = |error: act::PointError| Error::Broken(Broken::Failed(format!("point {name}: {error}")));
    let told = settings.primary.secondaries.iter().map(|secondary| secondary.address);
    settings.resolvers.extend(told);
    settings.resolvers.sort_unstable();
    settings.resolvers.dedup();
    let asked = settings.resolvers.len();
    let point = RpzPoint::start(settings).map_err(broken)?;
    point.replace(&[], crate::clock::wall()).map_err(broken)?;
    let behind = point.lagging(FOLLOW_MAX).map_err(broken)?;
    if asked == 0 {
        // Somebody may follow all the same: it is given the time to.
        std::thread::sleep(FOLLOW_MAX);
    }
    Ok(Lifted { point: name.clone(), asked, behind })
}

/// The mark is the sign of life after which everything was lifted: a later one began a new life.
fn was_lifted(directory: &Path, last: Timestamp) -> bool {
    read(directory, LIFTED) == Some(last)
}

fn read(directory: &Path, file: &str) -> Option<Timestamp> {
    let path = directory.join(file);
    let short = std::fs::metadata(&path).is_ok_and(|about| about.len() <= 64);
    std::fs::read_to_string(path).ok().filter(|_| short)?.trim().parse().ok()
}

fn note(directory: &Path, file: &str, at: Timestamp) -> Result<(), Error> {
    let path = directory.join(file);
    match std::fs::write(&path, at.to_string()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| failed("writing", &path, &error)),
    }
}

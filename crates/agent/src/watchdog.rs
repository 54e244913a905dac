//! The watchdog: lifts what a dead agent cannot lift any more.
//!
//! Packet filters end what has ended by themselves, and BIND drops a zone that expires. Unbound never does. So a small
//! process of its own looks at the agent's signs of life. When they have stayed away for too long and nobody holds the
//! state directory's lock, the agent is dead: the watchdog takes the lock, serves the agent's zones *empty* from the
//! agent's own address, tells the resolvers, waits until they have followed, and lets go. The agent's next start puts
//! back what is still due. Resolvers that have not followed are told again, seldom: the lock and the address are the
//! agent's, which may be about to start.

use crate::config::{Config, PointConfig};
use crate::error::{Broken, Error, failed};
use crate::heartbeat;
use crate::store::lock;
use act::Point as _;
use act::rpz::{RpzPoint, Timers};
use model::{PointName, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The file in the state directory with the time of the watchdog's own last look.
pub const SEEN: &str = "watchdog";
/// The file with what was lifted last ([`Work`]).
const LIFTED: &str = "watchdog.lifted";
/// How long resolvers may take to follow: so long the agent's lock and address are taken.
pub(crate) const FOLLOW_MAX: Duration = Duration::from_secs(15);
/// Minutes after which those that have not followed are told again, at first and at most; each time twice as long.
const AGAIN_MINUTES: (i64, i64) = (1, 15);
/// Longest file that is read, in bytes: every point's name has room.
const FILE_BYTES_MAX: u64 = 64 << 10;

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
        /// Everything was lifted since then already, as the resolvers say.
        lifted: bool,
        /// It is to be lifted now: for the first time, or again where resolvers have not followed.
        due: bool,
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
    /// Those that have not, with what they say; they are told again after a minute, two, four, up to 15.
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
    let _ = note(directory, SEEN, &now.to_string());
    let read = |error| failed("reading", &directory.join(heartbeat::HEARTBEAT), &error);
    let Some(last) = heartbeat::last_beat(directory).map_err(read)? else { return Ok(Health::Never) };
    // A clock that was set back makes an old sign look new: then the lock alone decides.
    let age = now.since(last);
    if (Span::ZERO..=silence_max).contains(&age) {
        return Ok(Health::Alive { last });
    }
    match lock(directory) {
        Ok(_free) => {
            let work = Work::of(directory, last);
            Ok(Health::Dead { last, lifted: work.is_confirmed(), due: work.is_due(now) })
        }
        Err(Error::Broken(Broken::Locked { .. })) => Ok(Health::Stuck { last }),
        Err(error) => Err(error),
    }
}

/// Lifts everything of ours at the resolvers of a dead agent that do not say so yet. Where nobody can be asked, it is
/// done once.
///
/// # Errors
/// Broken: an agent runs there after all, and nothing was lifted; or a zone cannot be served.
pub fn lift(config: &Config) -> Result<Vec<Lifted>, Error> {
    let directory = &config.state.directory;
    let _lock = lock(directory)?;
    let last = heartbeat::last_beat(directory).ok().flatten();
    let mut work = last.map(|last| Work::of(directory, last)).unwrap_or_default();
    let (lifted, failed): (Vec<_>, Vec<_>) = serve_all(config, &work.done).into_iter().partition(Result::is_ok);
    let lifted: Vec<Lifted> = lifted.into_iter().flatten().collect();
    work.add(&lifted, failed.is_empty(), crate::clock::wall());
    if work.life.is_some() {
        let text = serde_json::to_string(&work).map_err(|error| Broken::Failed(format!("{LIFTED}: {error}")))?;
        // What is not written down is only done once more: that it was done is said all the same.
        if let Err(error) = note(directory, LIFTED, &text) {
            tracing::warn!(%error, "what was lifted could not be written down");
        }
    }
    match failed.into_iter().find_map(Result::err) {
        Some(error) => Err(error),
        None => Ok(lifted),
    }
}

/// All at once: the agent must not wait for each of them.
fn serve_all(config: &Config, done: &BTreeSet<PointName>) -> Vec<Result<Lifted, Error>> {
    let rpz = config.points.iter().filter_map(|point| match point {
        PointConfig::Rpz(rpz) if !done.contains(&rpz.name) => Some(rpz),
        _ => None,
    });
    let ended = |_| Err(Broken::Failed("the thread that serves an empty zone has ended".to_owned()).into());
    std::thread::scope(|scope| {
        let threads: Vec<_> = rpz.map(|rpz| scope.spawn(move || serve_empty(&rpz.name, rpz.settings()?))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(ended)).collect()
    })
}

/// What was done for one agent that died.
#[derive(Default, Serialize, Deserialize)]
struct Work {
    /// Its last sign of life: a later one began a new life.
    life: Option<Timestamp>,
    /// Times that empty zones were served.
    rounds: u32,
    /// When they are to be served again; none after the first time: not any more.
    again: Option<Timestamp>,
    /// Points of which nothing more is to be learnt: their resolvers follow, or nobody can be asked.
    done: BTreeSet<PointName>,
    /// There is a point where nobody can be asked.
    unasked: bool,
}

impl Work {
    fn of(directory: &Path, life: Timestamp) -> Self {
        let known = read(directory, LIFTED).and_then(|text| serde_json::from_str::<Self>(&text).ok());
        known.filter(|work| work.life == Some(life)).unwrap_or(Self { life: Some(life), ..Self::default() })
    }

    /// A clock that was set back does not put it off for longer than was meant.
    fn is_due(&self, now: Timestamp) -> bool {
        let far = now.plus(Span::minutes(AGAIN_MINUTES.1));
        self.rounds == 0 || self.again.is_some_and(|again| again <= now || again > far)
    }

    fn is_confirmed(&self) -> bool {
        self.rounds > 0 && self.again.is_none() && !self.unasked
    }

    fn add(&mut self, lifted: &[Lifted], all_served: bool, now: Timestamp) {
        let (first, max) = AGAIN_MINUTES;
        let pause = Span::minutes((first << self.rounds.min(4)).min(max));
        let is_done = |lifted: &&Lifted| lifted.behind.is_empty();
        self.rounds = self.rounds.saturating_add(1);
        self.done.extend(lifted.iter().filter(is_done).map(|lifted| lifted.point.clone()));
        self.unasked |= lifted.iter().any(|lifted| lifted.asked == 0);
        let settled = all_served && lifted.iter().all(|lifted| is_done(&lifted));
        self.again = (!settled).then(|| now.plus(pause));
    }
}

/// Points whose resolvers transfer without a key. That is Unbound's way, which never lets a zone expire.
pub fn needs_watchdog(config: &Config) -> Vec<&PointName> {
    let unsigned = |point: &'_ PointConfig| matches!(point, PointConfig::Rpz(rpz) if !rpz.allow_unsigned.is_empty());
    config.points.iter().filter(|point| unsigned(point)).map(PointConfig::name).collect()
}

/// When a watchdog last looked at this agent; `None`: never.
pub fn last_look(config: &Config) -> Option<Timestamp> {
    read(&config.state.directory, SEEN)?.trim().parse().ok()
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

fn read(directory: &Path, file: &str) -> Option<String> {
    let path = directory.join(file);
    let short = std::fs::metadata(&path).is_ok_and(|about| about.len() <= FILE_BYTES_MAX);
    std::fs::read_to_string(path).ok().filter(|_| short)
}

fn note(directory: &Path, file: &str, text: &str) -> Result<(), Error> {
    let path = directory.join(file);
    match crate::room::write_small(&path, text) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.map_err(|error| failed("writing", &path, &error)),
    }
}

//! A zone that is being served: its contents, its serial file, and who waits for its next version.

use super::access::Identity;
use super::entry::{Change, Data};
use super::owner::Owner;
use super::serial::SerialFile;
use super::wire::{Frame, Timers, Transfer};
use super::zone::{Delta, Zone, ZoneLimits, differences};
use crate::PointError;
use domain::base::{Name, Serial};
use model::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use tokio::sync::watch;

/// One zone, as the configuration has it.
#[derive(Clone, Debug)]
pub struct ZoneSettings {
    /// The zone's name, `rpz.alliance.example`.
    pub name: String,
    /// One label that keeps its markers apart from another zone's: `hot`, `bulk`.
    pub tag: String,
    /// Where its serial is kept; the directory must exist.
    pub serial_file: PathBuf,
    /// How much it may hold.
    pub limits: ZoneLimits,
    /// Refresh, retry, expire.
    pub timers: Timers,
}

/// A zone that the primary serves. All changes pass one lock: two at once become two versions, one after the other.
#[derive(Debug)]
pub(super) struct LiveZone {
    pub(super) frame: Frame,
    pub(super) tag: String,
    state: Mutex<State>,
    shown: Mutex<Shown>,
    version: watch::Sender<Option<Serial>>,
    fetched: watch::Sender<BTreeMap<Identity, Serial>>,
}

#[derive(Debug)]
struct State {
    zone: Zone,
    serials: SerialFile,
}

/// What most answers need, kept apart so that they never wait for a large change of the zone.
#[derive(Debug)]
struct Shown {
    serial: Serial,
    /// Nothing is served before the agent has said what is in force: an empty zone would lift everything.
    open: bool,
    deltas: VecDeque<Arc<Delta>>,
    served: usize,
    earliest_end: Option<Timestamp>,
}

impl LiveZone {
    pub(super) fn new(settings: &ZoneSettings, seconds: u64) -> Result<Self, PointError> {
        let broken = |what: &str| PointError::Broken(format!("rpz zone `{}`: {what}", settings.name));
        let lower = settings.name.to_ascii_lowercase();
        let apex: Name<Vec<u8>> = lower.parse().map_err(|_| broken("not a domain name"))?;
        let tag_ok = settings.tag.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if apex.is_root() || !tag_ok || !(1..=16).contains(&settings.tag.len()) {
            return Err(broken("needs a name below the root and a tag of 1 to 16 of a-z 0-9"));
        }
        if settings.timers.retry >= settings.timers.expire || settings.timers.refresh >= settings.timers.expire {
            return Err(broken("expire must be longer than refresh and retry"));
        }
        let mut serials = SerialFile::open(&settings.serial_file, seconds)?;
        let zone = Zone::new(apex.clone(), &settings.tag, serials.take()?, settings.limits.clone());
        Ok(Self {
            frame: Frame { apex, timers: settings.timers },
            tag: settings.tag.clone(),
            shown: Mutex::new(Shown {
                serial: zone.serial(),
                open: false,
                deltas: VecDeque::new(),
                served: zone.served_len(),
                earliest_end: None,
            }),
            state: Mutex::new(State { zone, serials }),
            version: watch::Sender::new(None),
            fetched: watch::Sender::default(),
        })
    }

    /// Makes one new version of `changes`. It is served from the first [`Change::Clear`] on, since only after that the
    /// whole contents are known. Gives the version that has the changes.
    pub(super) fn commit(&self, changes: &[Change]) -> Result<Serial, PointError> {
        let mut state = lock(&self.state);
        let next = state.serials.take()?;
        let delta = state.zone.commit(changes, next)?;
        let serial = state.zone.serial();
        let mut shown = lock(&self.shown);
        shown.deltas.extend(delta);
        while shown.deltas.len() > state.zone.kept() {
            shown.deltas.pop_front();
        }
        shown.serial = serial;
        shown.served = state.zone.served_len();
        shown.earliest_end = state.zone.earliest_end();
        shown.open |= changes.iter().any(|change| matches!(change, Change::Clear));
        if shown.open {
            // Inside the locks, so that versions are announced in their order.
            self.version.send_if_modified(|known| known.replace(serial) != Some(serial));
        }
        Ok(serial)
    }

    /// Looks at the zone between two changes; waits for one that is being made.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Zone) -> T) -> T {
        look(&lock(&self.state).zone)
    }

    /// The version that is served; `None` while nothing is.
    pub(super) fn serving(&self) -> Option<Serial> {
        let shown = lock(&self.shown);
        shown.open.then_some(shown.serial)
    }

    /// Has something ended by itself at `now`?
    pub(super) fn has_ended(&self, now: Timestamp) -> bool {
        let shown = lock(&self.shown);
        shown.open && shown.earliest_end.is_some_and(|end| end <= now)
    }

    /// Everything that is served, and its version.
    ///
    /// # Errors
    /// A change is being made; ask again.
    pub(super) fn snapshot(&self) -> Result<(Serial, Arc<BTreeMap<Owner, Data>>), Busy> {
        let state = match self.state.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Busy),
        };
        Ok((state.zone.serial(), state.zone.snapshot()))
    }

    /// What a secondary with version `has` is to be sent; `None`: everything, whatever it has.
    ///
    /// # Errors
    /// As [`LiveZone::snapshot`].
    pub(super) fn transfer(&self, has: Option<Serial>) -> Result<Transfer, Busy> {
        if let Some(has) = has {
            let shown = lock(&self.shown);
            if has >= shown.serial {
                return Ok(Transfer::Nothing(shown.serial));
            }
            if let Some(deltas) = differences(&shown.deltas, shown.served, has) {
                return Ok(Transfer::Differences(shown.serial, deltas));
            }
        }
        self.snapshot().map(|(serial, served)| Transfer::Whole(serial, served))
    }

    pub(super) fn note_fetched(&self, who: Identity, serial: Serial) {
        self.fetched.send_modify(|fetched| {
            fetched.insert(who, serial);
        });
    }

    pub(super) fn versions(&self) -> watch::Receiver<Option<Serial>> {
        self.version.subscribe()
    }

    pub(super) fn fetches(&self) -> watch::Receiver<BTreeMap<Identity, Serial>> {
        self.fetched.subscribe()
    }
}

/// The zone is being changed at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Busy;

/// Every change is checked before anything is touched, so what a panic leaves behind is a valid zone.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

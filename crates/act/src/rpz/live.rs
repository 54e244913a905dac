//! A zone that is being served: its contents, its serial file, and who waits for its next version.

use super::access::Identity;
use super::entry::Change;
use super::serial::SerialFile;
use super::wire::{Frame, Timers, Transfer};
use super::zone::{Zone, ZoneLimits};
use crate::PointError;
use domain::base::{Name, Serial};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
    version: watch::Sender<Option<Serial>>,
    fetched: watch::Sender<BTreeMap<Identity, Serial>>,
}

#[derive(Debug)]
struct State {
    zone: Zone,
    serials: SerialFile,
    /// Nothing is served before the agent has said what is in force: an empty zone would lift everything.
    open: bool,
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
            state: Mutex::new(State { zone, serials, open: false }),
            version: watch::Sender::new(None),
            fetched: watch::Sender::default(),
        })
    }

    /// Makes one new version of `changes`. It is served from the first [`Change::Clear`] on, since only after that the whole
    /// contents are known. Gives the version that has the changes.
    pub(super) fn commit(&self, changes: &[Change]) -> Result<Serial, PointError> {
        let mut state = self.lock();
        let next = state.serials.take()?;
        state.zone.commit(changes, next)?;
        state.open |= changes.iter().any(|change| matches!(change, Change::Clear));
        let serial = state.zone.serial();
        if state.open {
            // Inside the lock, so that versions are announced in their order.
            self.version.send_if_modified(|known| known.replace(serial) != Some(serial));
        }
        Ok(serial)
    }

    /// Looks at the zone between two changes.
    pub(super) fn with<T>(&self, look: impl FnOnce(&Zone) -> T) -> T {
        look(&self.lock().zone)
    }

    /// The version that is served; `None` while nothing is.
    pub(super) fn serving(&self) -> Option<Serial> {
        let state = self.lock();
        state.open.then(|| state.zone.serial())
    }

    /// What a secondary with version `has` is to be sent; `None`: everything, whatever it has.
    pub(super) fn transfer(&self, has: Option<Serial>) -> Transfer {
        let state = self.lock();
        let now = state.zone.serial();
        match has {
            Some(has) if has >= now => Transfer::Nothing(now),
            Some(has) => match state.zone.since(has) {
                Some(deltas) => Transfer::Differences(now, deltas),
                None => Transfer::Whole(now, state.zone.snapshot()),
            },
            None => Transfer::Whole(now, state.zone.snapshot()),
        }
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

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is checked before anything is touched, so what a panic leaves behind is a valid zone.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

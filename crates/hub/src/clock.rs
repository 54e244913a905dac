//! The hub's clock: the system's, never backwards.

use model::{Span, Timestamp};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// A jump backwards by more than this is told in the log.
const JUMP_TOLD: Span = Span::seconds(1);

/// The system's time, held where it was while the system's clock is behind.
#[derive(Debug)]
pub(crate) struct Clock {
    latest: Mutex<Timestamp>,
    source: fn() -> Timestamp,
}

/// One reading of the clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reading {
    /// What to go by.
    pub(crate) time: Timestamp,
    /// How far the system's clock is behind what was read before.
    pub(crate) behind: Span,
}

impl Clock {
    /// Goes on from the time of the journal's last entry.
    pub(crate) fn from(latest: Timestamp) -> Self {
        Self { latest: Mutex::new(latest), source: system }
    }

    /// The time now, not before any earlier reading.
    pub(crate) fn now(&self) -> Timestamp {
        self.read().time
    }

    /// The time now, with how far the system's clock is behind.
    pub(crate) fn read(&self) -> Reading {
        let now = (self.source)();
        // A reading is one comparison: no thread can have failed in the middle.
        let mut latest = self.latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let behind = latest.since(now);
        *latest = now.max(*latest);
        Reading { time: *latest, behind: if behind > JUMP_TOLD { behind } else { Span::ZERO } }
    }
}

fn system() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    static MILLIS: AtomicI64 = AtomicI64::new(0);

    #[test]
    fn a_clock_set_back_holds_the_time_and_is_told() {
        let at = |ms: i64| Timestamp::from_millis(1_800_000_000_000 + ms);
        let source = || Timestamp::from_millis(1_800_000_000_000 + MILLIS.load(Ordering::Relaxed));
        let clock = Clock { latest: Mutex::new(at(-5)), source };
        assert_eq!(clock.read(), Reading { time: at(0), behind: Span::ZERO });
        MILLIS.store(-60_000, Ordering::Relaxed);
        assert_eq!(clock.read(), Reading { time: at(0), behind: Span::seconds(60) });
        MILLIS.store(10, Ordering::Relaxed);
        assert_eq!(clock.read(), Reading { time: at(10), behind: Span::ZERO });
    }
}

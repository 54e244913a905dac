//! The agent's clock: the machine's, but it never stands still or goes back while the process runs.

use model::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time where that goes forward; where it was set back, the time since then is counted on by the monotonic clock.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Timestamp,
    read: Instant,
}

impl Clock {
    /// A clock that starts at the machine's time.
    pub fn new() -> Self {
        Self { last: wall(), read: Instant::now() }
    }

    /// Now.
    pub fn now(&mut self) -> Timestamp {
        let elapsed = self.read.elapsed();
        // Fractions of a millisecond are not lost: the instant is kept until a whole one has passed.
        let steady = self.last.plus(model::Span::millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)));
        let now = wall();
        let went_back = now < self.last;
        let next = if went_back { steady } else { now };
        if next != self.last {
            (self.last, self.read) = (next, Instant::now());
        }
        next
    }

    /// The machine's time, whatever it was before: a person said that it is right.
    pub fn trust(&mut self) -> Timestamp {
        *self = Self::new();
        self.last
    }
}

/// The machine's time as it is.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

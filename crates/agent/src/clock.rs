//! The agent's clock: the machine's, but it never stands still or goes back.

use model::{Span, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// So much behind may the machine's clock be before somebody is told.
const BEHIND_MAX: Span = Span::minutes(1);

/// Wall time where that goes forward; where it was set back, the time since then is counted on by the monotonic clock.
#[derive(Debug)]
pub(crate) struct Clock {
    last: Timestamp,
    read: Instant,
    told: bool,
}

impl Clock {
    /// A clock that starts at the machine's time, or at the latest time that this agent has seen if that is later.
    pub fn starting(seen: Option<Timestamp>) -> Self {
        let now = wall();
        Self { last: seen.map_or(now, |seen| seen.max(now)), read: Instant::now(), told: false }
    }

    /// Now.
    pub fn now(&mut self) -> Timestamp {
        self.now_by(wall())
    }

    fn now_by(&mut self, wall: Timestamp) -> Timestamp {
        let elapsed = self.read.elapsed();
        // Fractions of a millisecond are not lost: the instant is kept until a whole one has passed.
        let steady = self.last.plus(Span::millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX)));
        let went_back = wall < self.last;
        let next = if went_back { steady } else { wall };
        if next != self.last {
            (self.last, self.read) = (next, Instant::now());
        }
        next
    }

    /// What a person is to know, once: the machine's clock is behind the time that counts here.
    pub fn trouble(&mut self) -> Option<String> {
        let (now, wall) = (self.now(), wall());
        let behind = now.since(wall);
        if behind <= BEHIND_MAX {
            self.told = false;
            return None;
        }
        let text = format!(
            "The clock says {wall}, which is {behind} before the latest time seen here. Expiry goes on from the later \
             one. If the clock is right now, run: epimachia agent clock accept"
        );
        (!std::mem::replace(&mut self.told, true)).then_some(text)
    }

    /// The machine's time, whatever it was before: a person said that it is right.
    pub fn trust(&mut self) -> Timestamp {
        *self = Self::starting(None);
        self.last
    }
}

/// The machine's time as it is.
pub(crate) fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_was_seen_goes_on_while_the_machine_is_days_behind() {
        let seen = wall().plus(Span::days(3));
        let mut clock = Clock::starting(Some(seen));
        std::thread::sleep(Duration::from_millis(20));
        let later = clock.now();
        assert!(later.since(seen) >= Span::millis(20), "{later} after {seen}");
        assert!(clock.trouble().is_some_and(|text| text.contains("clock accept")));
        assert_eq!(clock.trouble(), None, "said once");
        assert!(clock.trust().since(wall()) < Span::minutes(1));
        assert_eq!(clock.trouble(), None);
    }

    #[test]
    fn clock_set_back_while_it_runs_does_not_go_back_and_is_told_of() {
        let mut clock = Clock::starting(None);
        let false_future = wall().plus(Span::days(1));
        assert_eq!(clock.now_by(false_future), false_future);
        assert!(clock.now() >= false_future);
        assert!(clock.trouble().is_some());
    }
}

//! From where a followed file is read again after a restart.
//!
//! The first sighting of something goes out at once; what follows within a minute is counted and goes out as one. After
//! a crash that count must not be lost. So the file is read again from where the oldest open count may have begun, up
//! to where it had been read, and what comes out is thrown away: it was reported. Then all is as it was.

use super::NEVER;
use super::feed::Feed;
use crate::core::SourceMark;
use model::Timestamp;
use std::collections::VecDeque;

/// Places that are remembered; beyond that every second one is forgotten, and a restart reads a little more.
const STEPS_MAX: usize = 512;

/// Where we are in a file, and where its open counts may have begun.
#[derive(Debug)]
pub(super) struct Place {
    /// Counts that are open began after this byte.
    again: u64,
    /// Lines before this byte were dealt with.
    read: u64,
    /// Counts that ended by this time were reported.
    closed: Timestamp,
    /// Until this byte everything is read for the second time.
    behind: Option<u64>,
    /// The latest event time before each of some places.
    steps: VecDeque<(Timestamp, u64)>,
    /// What was written down last: [`Self::read`] then.
    marked: Option<u64>,
}

impl Default for Place {
    fn default() -> Self {
        Self { again: 0, read: 0, closed: NEVER, behind: None, steps: VecDeque::new(), marked: None }
    }
}

impl Place {
    /// A file that is new to us, from `at` on; no count is open.
    pub fn begin(&mut self, at: u64) {
        *self = Self { again: at, read: at, closed: self.closed, ..Self::default() };
    }

    /// A file that was read before.
    pub fn resume(&mut self, mark: &SourceMark) {
        let (again, read, closed) = (mark.again.min(mark.read), mark.read, mark.closed);
        let behind = Some(read).filter(|read| again < *read);
        *self = Self { again, read, closed, behind, marked: Some(read), ..Self::default() };
    }

    /// Is this still being read for the second time?
    pub const fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// How many bytes may be read next from byte `at` on.
    pub fn read_max(&self, at: u64) -> u64 {
        self.behind.map_or(u64::MAX, |until| until.saturating_sub(at)).max(1)
    }

    /// Read up to `at` for the second time, whole lines up to `line_at`; true once everything is as it was.
    pub fn has_come(&mut self, at: u64, line_at: u64, latest: Timestamp) -> bool {
        self.step(line_at, latest);
        if self.behind.is_some_and(|until| at < until) {
            return false;
        }
        self.behind = None;
        true
    }

    /// Up to when counts were reported before the restart.
    pub const fn closed(&self) -> Timestamp {
        self.closed
    }

    /// All lines before `line_at` were dealt with at `now`; the latest event time in them is `latest`.
    pub fn moved(&mut self, line_at: u64, latest: Timestamp, now: Timestamp) {
        self.read = line_at;
        self.closed = self.closed.max(now).max(latest);
        self.step(line_at, latest);
        while self.steps.front().is_some_and(|(latest, _)| latest.plus(observe::aggregate::WINDOW) <= self.closed) {
            self.again = self.steps.pop_front().map_or(self.again, |(_, at)| at);
        }
    }

    fn step(&mut self, at: u64, latest: Timestamp) {
        match self.steps.back_mut() {
            Some((known, place)) if *known == latest => *place = at,
            _ => self.steps.push_back((latest, at)),
        }
        if self.steps.len() > STEPS_MAX {
            let mut keep = false;
            self.steps.retain(|_| {
                keep = !keep;
                keep
            });
        }
    }

    /// Is there something new to be written down?
    pub fn is_news(&self) -> bool {
        self.marked != Some(self.read)
    }

    /// What is to be written down.
    pub fn mark(&mut self, feed: &Feed) -> SourceMark {
        self.marked = Some(self.read);
        let (head, head_bytes) = feed.head(self.read);
        SourceMark { head, head_bytes, again: self.again, read: self.read, closed: self.closed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Span;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(0).plus(Span::seconds(seconds))
    }

    #[test]
    fn what_is_read_again_begins_before_every_open_count() {
        let mut place = Place::default();
        place.begin(0);
        for second in 0..300 {
            place.moved(100 * (second as u64 + 1), at(second), at(second));
        }
        // At second 299 counts that began at 240 or later are open; their first lines begin at byte 24,000 or later.
        assert_eq!((place.again, place.read), (24_000, 30_000));
    }

    #[test]
    fn places_are_bounded_and_err_on_the_side_of_reading_more() {
        let mut place = Place::default();
        // Events of one second each, an hour within one look: nothing has ended by the clock.
        for second in 0..10_000 {
            place.step(100 * second as u64, at(second));
        }
        assert!(place.steps.len() <= STEPS_MAX);
        place.moved(1_000_000, at(10_000), at(10_000));
        assert!(place.again <= 100 * 9_940, "{}", place.again);
    }
}

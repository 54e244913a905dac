//! Merges what repeats: the first sighting goes out at once, since speed protects; what follows within its window goes
//! out as one when the window ends.

use model::{Behaviour, Grade, Observable, Sensor, Sighting, Span, Timestamp};
use std::collections::BTreeMap;

/// The usual window, in event time.
pub const WINDOW: Span = Span::minutes(1);
/// The usual number of windows that are open at once; about 40 MB.
pub const OPEN_MAX: usize = 100_000;

/// What must agree for two sightings to be one.
type Key = (Observable, Behaviour, Sensor, Grade);

/// The aggregator. Memory is bounded: when too many windows are open, the one that ends first is ended early.
#[derive(Clone, Debug)]
pub struct Aggregator {
    window: Span,
    open_max: usize,
    /// What has come of each since its first sighting went out, as one.
    open: BTreeMap<Key, Option<Sighting>>,
    /// The open windows by their ends; the number tells those of one moment apart.
    ends: BTreeMap<(Timestamp, u64), Key>,
    opened: u64,
    /// The latest event time seen.
    latest: Timestamp,
}

impl Default for Aggregator {
    fn default() -> Self {
        Self::new(WINDOW, OPEN_MAX)
    }
}

impl Aggregator {
    /// Windows of this length, at most `open_max` (at least 1) open at once.
    pub fn new(window: Span, open_max: usize) -> Self {
        let (open, ends) = (BTreeMap::new(), BTreeMap::new());
        Self { window, open_max: open_max.max(1), open, ends, opened: 0, latest: Timestamp::MIN }
    }

    /// Takes a sighting; `out` receives what is to be reported now.
    pub fn add(&mut self, sighting: Sighting, out: &mut Vec<Sighting>) {
        self.latest = self.latest.max(sighting.last);
        out.extend(self.due(self.latest));
        let key = (sighting.observable.clone(), sighting.behaviour, sighting.sensor, sighting.grade);
        match self.open.get_mut(&key) {
            Some(Some(waiting)) => merge(waiting, &sighting),
            Some(nothing) => *nothing = Some(sighting),
            None => {
                if self.open.len() >= self.open_max {
                    out.extend(self.end_first(Timestamp::MAX).flatten());
                }
                self.open(key, sighting.last);
                out.push(sighting);
            }
        }
    }

    /// The latest event time seen.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Ends the windows that end by `now`; gives what waited in them.
    pub fn due(&mut self, now: Timestamp) -> Vec<Sighting> {
        let mut out = Vec::new();
        while let Some(waited) = self.end_first(now) {
            out.extend(waited);
        }
        out
    }

    /// Ends all windows; gives what waited in them.
    pub fn finish(&mut self) -> Vec<Sighting> {
        self.due(Timestamp::MAX)
    }

    fn open(&mut self, key: Key, seen: Timestamp) {
        self.opened += 1;
        let end = (seen.plus(self.window), self.opened);
        self.ends.insert(end, key.clone());
        self.open.insert(key, None);
    }

    /// Ends the window that ends first, if it ends by `now`: `None` if none does, else what waited in it.
    fn end_first(&mut self, now: Timestamp) -> Option<Option<Sighting>> {
        let end = self.ends.first_key_value().map(|(end, _)| *end).filter(|(at, _)| *at <= now)?;
        let key = self.ends.remove(&end)?;
        self.open.remove(&key)
    }
}

fn merge(waiting: &mut Sighting, next: &Sighting) {
    waiting.first = waiting.first.min(next.first);
    waiting.last = waiting.last.max(next.last);
    waiting.count = waiting.count.saturating_add(next.count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Handling, Tlp};
    use proptest::prelude::*;

    fn sighting(host: u8, second: i64) -> Sighting {
        let at = Timestamp::from_millis(1_800_000_000_000).plus(Span::seconds(second));
        Sighting {
            observable: format!("192.88.99.{host}").parse().unwrap(),
            behaviour: Behaviour::Scan,
            first: at,
            last: at,
            count: 1,
            sensor: Sensor::Ids,
            grade: Grade::Handshake,
            handling: Handling::alliance(Tlp::Amber),
        }
    }

    fn add(aggregator: &mut Aggregator, host: u8, second: i64) -> Vec<Sighting> {
        let mut out = Vec::new();
        aggregator.add(sighting(host, second), &mut out);
        out
    }

    #[test]
    fn the_first_goes_out_at_once_and_the_rest_of_the_window_as_one() {
        let mut aggregator = Aggregator::default();
        assert_eq!(add(&mut aggregator, 1, 0), [sighting(1, 0)]);
        for second in 1..60 {
            assert_eq!(add(&mut aggregator, 1, second), []);
        }
        let merged = Sighting { last: sighting(1, 59).last, count: 59, ..sighting(1, 1) };
        assert_eq!(add(&mut aggregator, 1, 60), [merged, sighting(1, 60)]);
        assert_eq!(aggregator.finish(), []);
    }

    #[test]
    fn different_grades_and_hosts_do_not_merge() {
        let mut aggregator = Aggregator::default();
        assert_eq!(add(&mut aggregator, 1, 0).len(), 1);
        assert_eq!(add(&mut aggregator, 2, 0).len(), 1);
        let mut out = Vec::new();
        aggregator.add(Sighting { grade: Grade::Payload, ..sighting(1, 1) }, &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn the_clock_ends_windows_when_the_stream_is_silent() {
        let mut aggregator = Aggregator::default();
        add(&mut aggregator, 1, 0);
        add(&mut aggregator, 1, 5);
        assert_eq!(aggregator.due(sighting(1, 59).last), []);
        assert_eq!(aggregator.due(sighting(1, 60).last), [sighting(1, 5)]);
    }

    #[test]
    fn counts_do_not_overflow() {
        let mut aggregator = Aggregator::default();
        let mut out = Vec::new();
        for second in 0..3 {
            aggregator.add(Sighting { count: u32::MAX, ..sighting(1, second) }, &mut out);
        }
        assert_eq!(aggregator.finish()[0].count, u32::MAX);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_memory_is_bounded(events in proptest::collection::vec((0u8..9, 0i64..300), 0..200)) {
            let mut aggregator = Aggregator::new(WINDOW, 4);
            let mut out = Vec::new();
            for (host, second) in &events {
                aggregator.add(sighting(*host, *second), &mut out);
                prop_assert!(aggregator.open.len() <= 4 && aggregator.ends.len() == aggregator.open.len());
            }
            out.extend(aggregator.finish());
            prop_assert_eq!(out.iter().map(|s| s.count as usize).sum::<usize>(), events.len());
            prop_assert!(out.iter().all(|s| s.first <= s.last));
        }
    }
}

//! Alarms, at most so many of a kind a minute: one that is repeated a thousand times hides the next one.

use super::exchange::{Alarm, AlarmKind};
use model::{Span, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Most alarms of one kind in a minute.
const OF_A_KIND_PER_MINUTE: u32 = 5;
/// How many past alarms are kept to be shown.
const KEPT: usize = 200;
/// Longest alarm, in characters.
const TEXT_CHARS_MAX: usize = 600;

/// What was raised, and what was kept back.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    of_kind: BTreeMap<AlarmKind, Recent>,
    shown: VecDeque<(Timestamp, Alarm)>,
}

impl Alarms {
    /// Counts anew how often a kind was told: the clock was set back.
    pub fn begin_anew(&mut self) {
        self.of_kind.values_mut().for_each(|recent| recent.minute = Timestamp::MIN);
    }
}

#[derive(Debug)]
struct Recent {
    minute: Timestamp,
    shown: u32,
    kept_back: u32,
    total: u64,
}

impl Alarms {
    /// The alarm to be shown, unless there were too many of its kind.
    pub fn raise(&mut self, kind: AlarmKind, text: &str, now: Timestamp) -> Option<Alarm> {
        let new = || Recent { minute: now, shown: 0, kept_back: 0, total: 0 };
        let recent = self.of_kind.entry(kind).or_insert_with(new);
        recent.total += 1;
        if now.since(recent.minute) >= Span::minutes(1) {
            (recent.minute, recent.shown) = (now, 0);
        }
        if recent.shown >= OF_A_KIND_PER_MINUTE {
            recent.kept_back = recent.kept_back.saturating_add(1);
            return None;
        }
        recent.shown += 1;
        let text = text.chars().take(TEXT_CHARS_MAX).collect();
        let alarm = Alarm { kind, text, kept_back: std::mem::take(&mut recent.kept_back) };
        self.shown.push_back((now, alarm.clone()));
        while self.shown.len() > KEPT {
            drop(self.shown.pop_front());
        }
        Some(alarm)
    }

    /// The last alarms, oldest first.
    pub fn shown(&self) -> impl Iterator<Item = &(Timestamp, Alarm)> {
        self.shown.iter()
    }

    /// How many alarms of each kind there were since the start, shown or not.
    pub fn totals(&self) -> BTreeMap<AlarmKind, u64> {
        self.of_kind.iter().map(|(kind, recent)| (*kind, recent.total)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_counted_and_other_kinds_are_still_heard() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut alarms = Alarms::default();
        let shown = (0..100).filter_map(|_| alarms.raise(AlarmKind::PointFailed, "x", now)).count();
        assert_eq!(shown, 5);
        assert!(alarms.raise(AlarmKind::HistoryForked, "x", now).is_some());
        let later = alarms.raise(AlarmKind::PointFailed, "x", now.plus(Span::minutes(1))).unwrap();
        assert_eq!(later.kept_back, 95);
        assert_eq!(alarms.totals()[&AlarmKind::PointFailed], 101);
    }
}

//! Reports of the journal, looked up by position; the latest ones are kept at hand.

use alliance::{Archive, Archived, Entry, Event};
use journal::Journal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reports of a journal. Those of the turn in hand are pinned until they are durable.
pub(crate) struct Reports {
    journal: Arc<dyn Journal>,
    sightings_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    /// By position, with when each was used last.
    reports: BTreeMap<u64, (u64, Arc<Archived>)>,
    /// Positions by when each was used last.
    used: BTreeMap<u64, u64>,
    sightings: usize,
    pinned: BTreeMap<u64, Arc<Archived>>,
}

impl Reports {
    /// Over a journal; keeps reports of so many sightings in all, and the latest one whatever its length.
    pub(crate) fn new(journal: Arc<dyn Journal>, sightings_max: usize) -> Self {
        Self { journal, sightings_max, kept: Mutex::default() }
    }

    /// Holds a report that is not durable yet.
    pub(crate) fn pin(&self, position: u64, archived: Archived) {
        self.kept().pinned.insert(position, Arc::new(archived));
    }

    /// What was pinned is durable now, and is kept like anything else.
    pub(crate) fn unpin(&self) {
        let mut kept = self.kept();
        let pinned = std::mem::take(&mut kept.pinned);
        for (position, archived) in pinned {
            kept.add(position, archived, self.sightings_max);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What is kept can always be read again.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn at_hand(&self, position: u64) -> Option<Arc<Archived>> {
        let mut kept = self.kept();
        if let Some(pinned) = kept.pinned.get(&position) {
            return Some(Arc::clone(pinned));
        }
        kept.touch(position)
    }
}

impl Kept {
    fn add(&mut self, position: u64, archived: Arc<Archived>, sightings_max: usize) {
        self.clock += 1;
        self.sightings += archived.sightings();
        self.used.insert(self.clock, position);
        if let Some((used, before)) = self.reports.insert(position, (self.clock, archived)) {
            self.used.remove(&used);
            self.sightings -= before.sightings();
        }
        while self.sightings > sightings_max && self.reports.len() > 1 {
            let Some((_, position)) = self.used.pop_first() else { break };
            if let Some((_, gone)) = self.reports.remove(&position) {
                self.sightings -= gone.sightings();
            }
        }
    }

    fn touch(&mut self, position: u64) -> Option<Arc<Archived>> {
        self.clock += 1;
        let (used, archived) = self.reports.get_mut(&position)?;
        self.used.remove(used);
        *used = self.clock;
        self.used.insert(self.clock, position);
        Some(Arc::clone(archived))
    }
}

impl Archive for Reports {
    fn report(&self, position: u64) -> Option<Arc<Archived>> {
        if let Some(archived) = self.at_hand(position) {
            return Some(archived);
        }
        let record = self.journal.read(position, 1).ok()?.pop()?;
        match Entry::from_bytes(&record.entry).ok()?.event {
            Event::SightingsReported(report) => {
                let archived = Arc::new(Archived::new(report));
                self.kept().add(position, Arc::clone(&archived), self.sightings_max);
                Some(archived)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alliance::Report;
    use model::{Sighting, TokenId};

    fn report(sightings: usize) -> Arc<Archived> {
        let text = r#"{"observable":"80.1.1.1","behaviour":"scan","first":"2026-01-01T00:00:00Z",
            "last":"2026-01-01T00:00:00Z","sensor":"ids","grade":"handshake","handling":{"tlp":"green"}}"#;
        let sightings = vec![Sighting::parse(text).unwrap(); sightings];
        let (member, token) = ("bank".parse().unwrap(), TokenId::of(&model::Digest::of(&[b"token"])));
        Arc::new(Archived::new(Report::Attested { member, token, sightings }))
    }

    #[test]
    fn the_least_used_go_when_there_are_too_many_sightings() {
        let mut kept = Kept::default();
        (1..=3).for_each(|position| kept.add(position, report(10), 30));
        assert!(kept.touch(1).is_some());
        kept.add(4, report(15), 30);
        assert_eq!(kept.reports.keys().copied().collect::<Vec<_>>(), [1, 4], "2 and 3 were used longest ago");
        assert_eq!((kept.sightings, kept.used.len()), (25, 2));
    }

    #[test]
    fn one_longer_than_all_is_kept_alone_and_one_added_twice_counts_once() {
        let mut kept = Kept::default();
        kept.add(1, report(5), 30);
        kept.add(2, report(40), 30);
        kept.add(2, report(40), 30);
        assert_eq!(kept.reports.keys().copied().collect::<Vec<_>>(), [2]);
        assert_eq!((kept.sightings, kept.used.len()), (40, 1));
    }
}

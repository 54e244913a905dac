//! Reports of the journal, looked up by position; the latest ones are kept at hand.

use alliance::{Archive, Archived, Entry, Event};
use journal::Journal;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reports of a journal. Those of the turn in hand are pinned until they are durable.
pub(crate) struct Reports {
    journal: Arc<dyn Journal>,
    kept_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    clock: u64,
    reports: BTreeMap<u64, (u64, Arc<Archived>)>,
    pinned: BTreeMap<u64, Arc<Archived>>,
}

impl Reports {
    pub(crate) fn new(journal: Arc<dyn Journal>, kept_max: usize) -> Self {
        Self { journal, kept_max, kept: Mutex::default() }
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
            self.keep(&mut kept, position, archived);
        }
    }

    fn keep(&self, kept: &mut Kept, position: u64, archived: Arc<Archived>) {
        kept.clock += 1;
        let clock = kept.clock;
        kept.reports.insert(position, (clock, archived));
        while kept.reports.len() > self.kept_max {
            // Few are kept, and one goes for each that comes: looking at all of them is cheap.
            let oldest = kept.reports.iter().min_by_key(|(_, (used, _))| *used).map(|(position, _)| *position);
            let Some(oldest) = oldest else { break };
            kept.reports.remove(&oldest);
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
        kept.clock += 1;
        let clock = kept.clock;
        let (used, archived) = kept.reports.get_mut(&position)?;
        *used = clock;
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
                self.keep(&mut self.kept(), position, Arc::clone(&archived));
                Some(archived)
            }
            _ => None,
        }
    }
}

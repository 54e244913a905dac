//! Reports as they stand in the journal, handed in by whoever owns it.

use crate::entry::Report;
use crate::place::Place;
use model::{Evidence, Levels, Sighting};
use std::sync::{Arc, OnceLock};

/// Looks up reports by their position. The hub reads its journal, the simulator its memory.
pub trait Archive {
    /// The report at `position`; `None` if that entry is no report or cannot be read now.
    fn report(&self, position: u64) -> Option<Arc<Archived>>;
}

/// A report with the tree over its openings, hashed when it is first asked for: few reports ever are.
#[derive(Debug)]
pub struct Archived {
    report: Report,
    tree: OnceLock<Levels>,
}

impl Archived {
    /// Prepares a report for showing single sightings of it.
    pub const fn new(report: Report) -> Self {
        Self { report, tree: OnceLock::new() }
    }

    /// How many sightings it holds.
    pub fn sightings(&self) -> usize {
        match &self.report {
            Report::Signed(batch) => batch.openings.len(),
            Report::Attested { sightings, .. } | Report::Drawn { sightings, .. } => sightings.len(),
        }
    }

    /// The report.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The sighting at a place in this report.
    pub fn sighting(&self, place: Place) -> Option<Sighting> {
        let index = usize::try_from(place.index).ok()?;
        match &self.report {
            Report::Signed(batch) => batch.openings.get(index)?.parse().ok(),
            Report::Attested { sightings, .. } | Report::Drawn { sightings, .. } => sightings.get(index).cloned(),
        }
    }

    /// The proof that its author signed the sighting at a place in this report; none for what the hub attested.
    pub fn evidence(&self, place: Place) -> Option<Evidence> {
        match &self.report {
            Report::Signed(batch) => {
                let tree = self.tree.get_or_init(|| batch.tree());
                batch.evidence(tree, usize::try_from(place.index).ok()?)
            }
            Report::Attested { .. } | Report::Drawn { .. } => None,
        }
    }
}

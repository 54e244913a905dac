//! Snapshots of the alliance's state: its shards, and last of all a list of them, so that half a set is never taken.

use crate::error::Error;
use alliance::{Alliance, Entry, SNAPSHOT_VERSION, Saving, Setup, Shard};
use journal::{Journal, Loaded, SnapshotStore};
use model::Digest;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the list.
const LIST: &str = "state";
/// Entries replayed at a time.
const READ_MAX: usize = 1_024;

/// The snapshots of one hub.
pub(crate) struct Snapshots {
    store: SnapshotStore,
    /// Damaged files that were passed over so far.
    passed_over: AtomicU64,
}

#[derive(Serialize, Deserialize)]
struct List {
    shards: Vec<String>,
}

impl Snapshots {
    pub(crate) fn open(dir: &Path, log: Digest) -> Result<Self, Error> {
        Ok(Self { store: SnapshotStore::open(dir, log)?, passed_over: AtomicU64::new(0) })
    }

    /// Saves a state a step at a time; gives the position it stands at. Each step has the state for a moment.
    pub(crate) fn save(
        &self,
        mut saving: Saving,
        mut step: impl FnMut(&mut Saving) -> Result<bool, Error>,
    ) -> Result<u64, Error> {
        let position = saving.position();
        let (mut shards, mut more) = (Vec::new(), true);
        loop {
            while let Some(shard) = saving.shard() {
                self.store.save(&shard.name, SNAPSHOT_VERSION, position, &shard.bytes)?;
                shards.push(shard.name);
            }
            if !more {
                break;
            }
            more = step(&mut saving)?;
        }
        let bytes = serde_json::to_vec(&List { shards }).map_err(|error| Error::Broken(error.to_string()))?;
        self.store.save(LIST, SNAPSHOT_VERSION, position, &bytes)?;
        Ok(position)
    }

    /// The newest state at or before `head` that is whole; none if there is none.
    pub(crate) fn load(&self, setup: &Setup, lists: &[Vec<u8>], head: u64) -> Result<Option<Alliance>, Error> {
        let loaded = self.read(LIST, head)?;
        let Some(list) = loaded.snapshot else { return Ok(None) };
        match self.shards(&list.bytes, list.position)?.map(|shards| Alliance::restore(setup.clone(), lists, &shards)) {
            Some(Ok(state)) if state.next_position() == list.position => Ok(Some(state)),
            Some(Err(error)) => {
                tracing::warn!(%error, "a snapshot was passed over; replaying the journal");
                Ok(None)
            }
            _ => {
                tracing::warn!(position = list.position, "a snapshot is not whole; replaying the journal");
                Ok(None)
            }
        }
    }

    /// Damaged files that were passed over so far.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over.load(Ordering::Relaxed)
    }

    /// The newest whole file of a name at or before a position; damaged ones are named in the log and counted.
    fn read(&self, name: &str, position: u64) -> Result<Loaded, Error> {
        let loaded = self.store.load(name, SNAPSHOT_VERSION, position)?;
        for (path, why) in &loaded.passed_over {
            self.passed_over.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(path = %path.display(), why, "a snapshot was passed over");
        }
        Ok(loaded)
    }

    fn shards(&self, list: &[u8], position: u64) -> Result<Option<Vec<Shard>>, Error> {
        let Ok(list) = serde_json::from_slice::<List>(list) else { return Ok(None) };
        let mut shards = Vec::new();
        for name in list.shards {
            let loaded = self.read(&name, position)?;
            match loaded.snapshot.filter(|found| found.position == position) {
                Some(found) => shards.push(Shard { name, bytes: found.bytes }),
                None => return Ok(None),
            }
        }
        Ok(Some(shards))
    }
}

/// Applies the journal's entries from where the state stands to the head; gives how many there were.
///
/// # Errors
/// Broken: an entry that this version cannot read, with its position.
pub(crate) fn replay(state: &mut Alliance, journal: &dyn Journal) -> Result<u64, Error> {
    let (from, head) = (state.next_position(), journal.head()?);
    while state.next_position() < head {
        for record in journal.read(state.next_position(), READ_MAX)? {
            let entry = Entry::from_bytes(&record.entry)
                .map_err(|refusal| Error::Broken(format!("journal entry {}: {refusal}", record.position)))?;
            state.apply(record.position, &entry);
        }
    }
    Ok(head - from)
}

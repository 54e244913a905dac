//! Reads a whole directory, every byte of it, without writing: the ground for proofs about what it holds.

use super::recover::{OpenReport, Torn};
use super::{Check, FileJournal};
use crate::contract::{Journal, Record};
use crate::error::Error;
use model::Digest;
use std::path::Path;

/// Entries fetched at once.
const ENTRIES_AT_ONCE: usize = 1000;

/// A directory in which every byte is what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log it belongs to.
    pub log: Digest,
    /// Entries in it; all were visited.
    pub head: u64,
    /// Segment files.
    pub segments: usize,
    /// An interrupted write at the end, never acknowledged, which was not visited.
    pub torn: Option<Torn>,
}

/// Checks every frame of a directory, then hands every record to `visit`, in order. Never writes; needs no lock.
///
/// The visitor re-derives the leaves. Damage that makes a frame unreadable is found before the first visit.
///
/// # Errors
/// Broken with [`crate::Damage`]: the first byte that is wrong. Unavailable: nothing there, or it cannot be read.
pub fn verify(dir: &Path, log: Option<Digest>, visit: &mut dyn FnMut(Record)) -> Result<Verified, Error> {
    let journal = FileJournal::open_read_only(dir, log, Check::Everything)?;
    let OpenReport { head, segments, torn, .. } = journal.report().clone();
    let mut next = 0;
    while next < head {
        let records = journal.read(next, ENTRIES_AT_ONCE)?;
        next += records.len() as u64;
        records.into_iter().for_each(&mut *visit);
    }
    Ok(Verified { log: journal.log()?, head, segments, torn })
}

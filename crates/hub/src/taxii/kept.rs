//! Entries that were read a moment ago, as they are unpacked: all who follow a collection read the same newest ones,
//! and objects of a rare type stand in many entries that are asked for again and again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes of entries that are kept at most: some 250 full ones, 20,000 objects of usual size.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// An entry larger than this is not kept: it would push out too many others.
const ENTRY_BYTES_MAX: usize = KEPT_BYTES_MAX / 8;

/// The entries that were read last, up to [`KEPT_BYTES_MAX`]. They never change: nothing in it can be out of date.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    /// By position: the entry, and when it was asked for last.
    entries: BTreeMap<u64, (Arc<Vec<u8>>, u64)>,
    /// Positions by when they were asked for last.
    order: BTreeMap<u64, u64>,
    bytes: usize,
    asked: u64,
}

impl Kept {
    /// The entry at `position`, if it was read a moment ago.
    pub(super) fn get(&self, position: u64) -> Option<Arc<Vec<u8>>> {
        let mut kept = self.lock();
        let now = kept.tick();
        let (entry, asked) = kept.entries.get_mut(&position)?;
        let (entry, before) = (Arc::clone(entry), std::mem::replace(asked, now));
        kept.order.remove(&before);
        kept.order.insert(now, position);
        Some(entry)
    }

    /// Keeps an entry; those that nobody asked for the longest give way.
    pub(super) fn keep(&self, position: u64, entry: Vec<u8>) {
        if entry.capacity() > ENTRY_BYTES_MAX {
            return;
        }
        let mut kept = self.lock();
        let now = kept.tick();
        kept.bytes += entry.capacity();
        if let Some((old, asked)) = kept.entries.insert(position, (Arc::new(entry), now)) {
            kept.bytes -= old.capacity();
            kept.order.remove(&asked);
        }
        kept.order.insert(now, position);
        while kept.bytes > KEPT_BYTES_MAX {
            let Some((_, oldest)) = kept.order.pop_first() else { break };
            let gone = kept.entries.remove(&oldest).map_or(0, |(entry, _)| entry.capacity());
            kept.bytes -= gone;
        }
    }

    /// Each change is finished before anything can fail: whoever failed while it held the lock left nothing broken.
    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn tick(&mut self) -> u64 {
        self.asked += 1;
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_the_longest_gives_way() {
        let kept = Kept::default();
        let eighth = || vec![0; KEPT_BYTES_MAX / 8];
        (0..8).for_each(|position| kept.keep(position, eighth()));
        assert!(kept.get(0).is_some(), "all eight fit");
        kept.keep(8, eighth());
        let there = |position: &u64| kept.get(*position).is_some();
        assert_eq!((0..9).filter(there).collect::<Vec<u64>>(), [0, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(kept.lock().bytes, KEPT_BYTES_MAX);
    }

    #[test]
    fn an_entry_that_is_kept_twice_counts_once_and_one_too_large_is_not_kept() {
        let kept = Kept::default();
        (0..3).for_each(|_| kept.keep(7, vec![1; 100]));
        kept.keep(8, vec![0; ENTRY_BYTES_MAX + 1]);
        assert_eq!(kept.get(7).as_deref(), Some(&vec![1; 100]));
        assert!(kept.get(8).is_none());
        let kept = kept.lock();
        assert_eq!((kept.bytes, kept.entries.len(), kept.order.len()), (100, 1, 1));
    }
}

//! The contract every backend keeps: entries in one order, none acknowledged before it is durable.

use crate::error::{Error, Refusal};
use crate::pack::{self, Packed};
use std::time::Duration;

/// Longest entry, in bytes before compression.
pub const ENTRY_BYTES_MAX: usize = 16 << 20;
/// Most entries in one append.
pub const APPEND_ENTRIES_MAX: usize = 100_000;
/// Most bytes in one append, counted as stored (compressed), without frame headers.
pub const APPEND_BYTES_MAX: usize = 64 << 20;
/// A read stops after the entry with which it passes this many bytes, however many entries were asked for.
pub const READ_BYTES_MAX: usize = 64 << 20;

/// An append-only log of opaque entries; position 0 is the first.
///
/// Calls block; a backend may be used from many threads, and appends take their turn. A *head* is the number of entries
/// in the log, which is the position the next one gets.
pub trait Journal: Send + Sync {
    /// Appends all the entries or none, and returns the new head once they are durable.
    ///
    /// `expected_next` is the head the caller believes in: whoever has fallen behind is refused. No entries is no
    /// change.
    ///
    /// # Errors
    /// Refused: not the head, too many entries or bytes, opened read-only. Unavailable: the store is away and nothing
    /// was appended. Broken: it is unknown how much is durable; this journal takes no more appends and the process
    /// should stop.
    fn append(&self, expected_next: u64, entries: &[Entry]) -> Result<u64, Error>;

    /// Up to `max` durable entries from position `from` on, in order.
    ///
    /// Empty only at the head or for `max` 0; may be shorter than asked for ([`READ_BYTES_MAX`]).
    ///
    /// # Errors
    /// Refused: `from` is beyond the head. Broken: what is stored is damaged, with the place.
    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, Error>;

    /// The durable head.
    ///
    /// # Errors
    /// Unavailable: the store is away.
    fn head(&self) -> Result<u64, Error>;

    /// Waits until the head is beyond `after`, for at most `at_most`; returns the head, whichever came first.
    ///
    /// # Errors
    /// Broken: an append has failed, so that there will be no more.
    fn wait(&self, after: u64, at_most: Duration) -> Result<u64, Error>;
}

/// An entry ready to be appended: compressed already, so that this work is done where the caller likes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    nonce: [u8; 32],
    packed: Packed,
}

impl Entry {
    /// Packs an entry and the random nonce of its leaf.
    ///
    /// # Errors
    /// Refused: more than [`ENTRY_BYTES_MAX`] bytes. Broken: the compressor failed.
    pub fn new(nonce: [u8; 32], entry: &[u8]) -> Result<Self, Error> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(Refusal::EntryBytes { bytes: entry.len(), limit: ENTRY_BYTES_MAX }.into());
        }
        Ok(Self { nonce, packed: pack::pack(entry)? })
    }

    /// The nonce of the entry's leaf.
    pub const fn nonce(&self) -> &[u8; 32] {
        &self.nonce
    }

    /// The entry as it is stored.
    pub const fn packed(&self) -> &Packed {
        &self.packed
    }
}

/// An entry as it stands in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it stands, from 0; also the index of its leaf.
    pub position: u64,
    /// The nonce of its leaf.
    pub nonce: [u8; 32],
    /// The entry itself, opaque to the journal.
    pub entry: Vec<u8>,
}

/// Checks what every backend has to before an append.
///
/// # Errors
/// Refused: `expected_next` is not `head`, or there are too many entries or bytes.
pub fn admit(head: u64, expected_next: u64, entries: &[Entry]) -> Result<(), Refusal> {
    if expected_next != head {
        return Err(Refusal::NotNext { expected: expected_next, head });
    }
    if entries.len() > APPEND_ENTRIES_MAX {
        return Err(Refusal::AppendEntries { count: entries.len(), limit: APPEND_ENTRIES_MAX });
    }
    let bytes = entries.iter().map(|entry| entry.packed.body.len()).sum();
    if bytes > APPEND_BYTES_MAX {
        return Err(Refusal::AppendBytes { bytes, limit: APPEND_BYTES_MAX });
    }
    Ok(())
}

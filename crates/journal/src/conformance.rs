//! What every backend must do, as one suite that runs against any of them.
//!
//! It is test code: it asserts, and a failing assertion names the rule.

use crate::contract::{APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX, Entry, Journal, Record};
use crate::error::{Error, Refusal};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for any waiting here; nothing is measured with it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A store that can be opened again and again; each one made for the suite starts out empty.
pub trait Store {
    /// Opens the journal in this store. The suite drops one before it opens the next.
    ///
    /// # Errors
    /// Whatever the backend says; the suite fails then.
    fn open(&self) -> Result<Arc<dyn Journal>, Error>;
}

/// Runs the whole suite; `fresh` makes an empty store.
///
/// # Errors
/// The first error a backend gave where it should not have.
pub fn run<S: Store>(fresh: impl Fn() -> S) -> Result<(), Error> {
    starts_empty(&*fresh().open()?)?;
    keeps_order_and_bytes(&*fresh().open()?)?;
    refuses_another_position(&*fresh().open()?)?;
    refuses_too_much(&*fresh().open()?)?;
    reads_ranges(&*fresh().open()?)?;
    survives_reopening(&fresh())?;
    one_of_two_racing_appends_wins(&fresh().open()?)?;
    wakes_who_waits(&fresh().open()?)
}

/// Entries that are easy to tell apart, some compressible, some empty.
///
/// # Errors
/// None in practice: they are short.
pub fn entries(from: u64, count: u64) -> Result<Vec<Entry>, Error> {
    (from..from + count).map(|n| Entry::new(nonce(n), &body(n))).collect()
}

/// The record that [`entries`] leads to at a position.
pub fn record(position: u64) -> Record {
    Record { position, nonce: nonce(position), entry: body(position) }
}

fn nonce(n: u64) -> [u8; 32] {
    let mut nonce = [0xa5; 32];
    nonce[..8].copy_from_slice(&n.to_be_bytes());
    nonce
}

fn body(n: u64) -> Vec<u8> {
    format!("entry {n}; ").into_bytes().repeat(usize::try_from(n * 7 % 90).unwrap_or(0))
}

fn starts_empty(journal: &dyn Journal) -> Result<(), Error> {
    assert_eq!(journal.head()?, 0, "a new journal is empty");
    assert_eq!(journal.read(0, 10)?, [], "there is nothing at the head");
    assert_eq!(journal.append(0, &[])?, 0, "no entries is no change");
    assert!(matches!(journal.read(1, 1), Err(Error::Refused(Refusal::BeyondHead { from: 1, head: 0 }))));
    Ok(())
}

fn keeps_order_and_bytes(journal: &dyn Journal) -> Result<(), Error> {
    assert_eq!(journal.append(0, &entries(0, 1)?)?, 1);
    assert_eq!(journal.append(1, &entries(1, 250)?)?, 251);
    assert_eq!(journal.head()?, 251, "what is acknowledged is in the head");
    let expected: Vec<Record> = (0..251).map(record).collect();
    assert_eq!(journal.read(0, 1000)?, expected, "records come back in order, byte for byte");
    Ok(())
}

fn refuses_another_position(journal: &dyn Journal) -> Result<(), Error> {
    journal.append(0, &entries(0, 3)?)?;
    for expected in [0, 2, 4, u64::MAX] {
        let refused = journal.append(expected, &entries(3, 1)?);
        assert!(
            matches!(refused, Err(Error::Refused(Refusal::NotNext { head: 3, expected: e })) if e == expected),
            "append meant for {expected}"
        );
    }
    assert_eq!(journal.head()?, 3, "a refused append changes nothing");
    assert_eq!(journal.append(3, &entries(3, 1)?)?, 4, "and the next one goes on");
    Ok(())
}

fn refuses_too_much(journal: &dyn Journal) -> Result<(), Error> {
    let long = Entry::new([0; 32], &vec![0; ENTRY_BYTES_MAX + 1]);
    assert!(matches!(long, Err(Error::Refused(Refusal::EntryBytes { .. }))));
    let many = vec![Entry::new([0; 32], b"")?; APPEND_ENTRIES_MAX + 1];
    assert!(matches!(journal.append(0, &many), Err(Error::Refused(Refusal::AppendEntries { .. }))));
    assert_eq!(journal.head()?, 0);
    let longest = vec![7; ENTRY_BYTES_MAX];
    journal.append(0, &[Entry::new([1; 32], &longest)?])?;
    assert!(journal.read(0, 1)?.iter().all(|record| record.entry == longest), "the longest entry is kept");
    Ok(())
}

fn reads_ranges(journal: &dyn Journal) -> Result<(), Error> {
    for batch in 0..20 {
        journal.append(batch * 13, &entries(batch * 13, 13)?)?;
    }
    for from in 0..=260 {
        let expected: Vec<Record> = (from..260).take(5).map(record).collect();
        assert_eq!(journal.read(from, 5)?, expected, "five from {from}");
    }
    assert_eq!(journal.read(100, 0)?, []);
    assert!(journal.read(261, 1).is_err());
    Ok(())
}

fn survives_reopening(store: &impl Store) -> Result<(), Error> {
    for round in 0..5 {
        let journal = store.open()?;
        assert_eq!(journal.head()?, round * 9, "the head is where it was");
        journal.append(round * 9, &entries(round * 9, 9)?)?;
        let expected: Vec<Record> = (0..round * 9 + 9).map(record).collect();
        assert_eq!(journal.read(0, 1000)?, expected);
    }
    Ok(())
}

fn one_of_two_racing_appends_wins(journal: &Arc<dyn Journal>) -> Result<(), Error> {
    for position in 0..50 {
        let mine = entries(position, 1)?;
        let racers: Vec<_> = (0..2)
            .map(|_| {
                let (journal, mine) = (Arc::clone(journal), mine.clone());
                std::thread::spawn(move || journal.append(position, &mine).is_ok())
            })
            .collect();
        let won = racers.into_iter().filter_map(|racer| racer.join().ok()).filter(|won| *won).count();
        assert_eq!(won, 1, "exactly one append gets position {position}");
    }
    assert_eq!(journal.head()?, 50);
    Ok(())
}

fn wakes_who_waits(journal: &Arc<dyn Journal>) -> Result<(), Error> {
    assert_eq!(journal.wait(0, Duration::ZERO)?, 0, "waiting ends when its time is up");
    let waiter = {
        let journal = Arc::clone(journal);
        std::thread::spawn(move || journal.wait(0, PATIENCE).ok())
    };
    journal.append(0, &entries(0, 2)?)?;
    assert_eq!(waiter.join().ok().flatten(), Some(2), "the waiter learns the new head");
    assert_eq!(journal.wait(1, PATIENCE)?, 2, "nobody waits for what is there");
    Ok(())
}

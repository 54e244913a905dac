//! `journal_only_grows`: entries get the positions that come next, and no restart finds another entry where one was.

use super::Checker;
use crate::fact::Fact;
use model::{Digest, Timestamp};

/// Its books: the digest of every durable entry.
#[derive(Default)]
pub struct JournalOnlyGrows {
    entries: Vec<Digest>,
}

impl Checker for JournalOnlyGrows {
    fn promise(&self) -> &'static str {
        "journal_only_grows"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Durable { from, entries } => {
                if *from != self.entries.len() as u64 {
                    return Err(format!("entries were written at {from}, the head is {}", self.entries.len()));
                }
                self.entries.extend(entries.iter().map(|entry| Digest::of(&[entry])));
            }
            Fact::ReadBack { entries } => {
                let read: Vec<Digest> = entries.iter().map(|entry| Digest::of(&[entry])).collect();
                let differs = (0..self.entries.len()).find(|i| read.get(*i) != self.entries.get(*i));
                if let Some(position) = differs {
                    return Err(format!("the entry at {position} is gone or another one after a restart"));
                }
                self.entries = read;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::at;

    fn entries(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    fn after(first: &[&str], fact: &Fact<'_>) -> bool {
        let (mut checker, entries) = (JournalOnlyGrows::default(), entries(first));
        checker.see(&Fact::Durable { from: 0, entries: &entries }, at(0)).unwrap();
        checker.see(fact, at(1)).is_ok()
    }

    #[test]
    fn growing_is_well() {
        assert!(after(&["a", "b"], &Fact::Durable { from: 2, entries: &entries(&["c"]) }));
        assert!(after(&["a", "b"], &Fact::ReadBack { entries: &entries(&["a", "b", "c"]) }));
    }

    #[test]
    fn holes_overwriting_shrinking_and_changing_are_seen() {
        assert!(!after(&["a", "b"], &Fact::Durable { from: 3, entries: &entries(&["c"]) }));
        assert!(!after(&["a", "b"], &Fact::Durable { from: 1, entries: &entries(&["c"]) }));
        assert!(!after(&["a", "b"], &Fact::ReadBack { entries: &entries(&["a"]) }));
        assert!(!after(&["a", "b"], &Fact::ReadBack { entries: &entries(&["a", "x", "c"]) }));
    }
}

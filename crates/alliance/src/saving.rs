//! A snapshot made a little at a time, so that whoever owns the state gives it up for moments only.

use crate::snapshot::{Head, Shard};
use crate::state::Alliance;
use corroborate::{Error, Saver};
use std::collections::VecDeque;

/// A snapshot in the making, of the state as it was when it began.
#[derive(Debug)]
pub struct Saving {
    position: u64,
    head: Option<Head>,
    saver: Saver,
    tables: usize,
    ready: VecDeque<Shard>,
}

impl Alliance {
    /// Begins a snapshot of the state as of the latest entry. One that was begun before is lost.
    pub fn begin_saving(&mut self) -> Saving {
        let (position, head) = (self.next_position(), Some(self.head()));
        Saving { position, head, saver: self.engine.begin_saving(), tables: 0, ready: VecDeque::new() }
    }

    /// Ends a snapshot before it is whole.
    pub fn end_saving(&mut self) {
        self.engine.end_saving();
    }
}

impl Saving {
    /// The position of the state that is saved.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Copies the next part, which takes about a hundred microseconds; false when all is copied.
    ///
    /// # Errors
    /// Broken: another snapshot was begun.
    pub fn step(&mut self, state: &mut Alliance) -> Result<bool, Error> {
        self.saver.step(&mut state.engine)
    }

    /// The next shard that is whole. The state is not needed for it, and this is where the time goes.
    pub fn shard(&mut self) -> Option<Shard> {
        if let Some(head) = self.head.take() {
            self.ready.push_back(Shard { name: "ledger".to_owned(), bytes: head.to_bytes() });
        }
        if let Some(bytes) = self.saver.shard() {
            self.ready.push_back(Shard { name: format!("table-{}", self.tables), bytes });
            self.tables += 1;
        }
        self.ready.pop_front()
    }
}

//! What is taken out, when all of it is shown so, and which versions an object has.

use super::super::collection::CollectionId;
use super::{GONE, Index, NONE, Row};
use crate::stix::StixTime;
use model::MemberId;

impl Index {
    /// Takes an object of `author`'s out of a collection: all of its versions, or those that are named. What is taken
    /// out is shown until [`Index::settle`].
    pub fn delete(&mut self, collection: CollectionId, author: &MemberId, id: &str, versions: &[StixTime]) {
        let Some(key) = self.key(collection, id) else { return };
        let mut at = self.newest.get(&key).copied().unwrap_or(NONE);
        while let Some(row) = self.rows.get(at as usize) {
            let own = self.authors[usize::from(row.author)] == *author;
            if own && (versions.is_empty() || versions.contains(&row.version)) {
                self.leaving.push(at);
            }
            at = row.previous;
        }
    }

    /// All that was added is durable: it may be shown, and what was taken out is not any more.
    pub fn settle(&mut self) {
        // `add` keeps the number of rows within 32 bits.
        self.shown = self.rows.len() as u32;
        for at in self.leaving.drain(..) {
            if let Some(row) = self.rows.get_mut(at as usize) {
                row.flags |= GONE;
            }
        }
    }

    /// Was anything added or taken out that is not shown so?
    pub const fn is_unsettled(&self) -> bool {
        self.rows.len() != self.shown as usize || !self.leaving.is_empty()
    }

    /// The rows of the same object in the same collection that are shown.
    pub fn siblings(&self, row: &Row) -> impl Iterator<Item = &Row> {
        self.chain(row.key()).filter(|row| self.is_shown(row))
    }

    /// Is it the only version there ever was?
    pub(in crate::taxii) fn is_alone(&self, row: &Row) -> bool {
        let newest = self.newest.get(&row.key()).and_then(|at| self.rows.get(*at as usize));
        row.previous == NONE && newest.is_some_and(|newest| newest.sequence == row.sequence)
    }
}

//! What is taken out, when all of it is shown so, and which versions of an object are its first and its last.

use super::super::collection::CollectionId;
use super::super::filter::{Ends, Version};
use super::{Audience, GONE, Index, Key, NONE, Row};
use crate::stix::StixTime;
use model::{Handling, MemberId};
use std::collections::BTreeSet;

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
        let new = self.len()..self.rows.len();
        // `add` keeps the number of rows within 32 bits.
        self.shown = self.rows.len() as u32;
        let mut lessened = BTreeSet::new();
        for at in self.leaving.drain(..) {
            if let Some(row) = self.rows.get_mut(at as usize) {
                row.flags |= GONE;
                lessened.insert(row.key());
            }
        }
        let mut ends = std::mem::take(&mut self.ends);
        for key in lessened {
            self.unlink(key);
            ends.renew(key, self.audiences(key));
        }
        // Of what is the first of its object the next one takes notice.
        for row in self.rows.get(new).unwrap_or_default().iter().filter(|row| row.previous != NONE && !row.is_gone()) {
            ends.add(row.key(), (row.audience(), row.dated()), self.audiences(row.key()));
        }
        self.ends = ends;
    }

    /// Takes the rows that are gone out of the chain of their object: whoever adds and takes out again and again makes
    /// it no longer than it may be.
    fn unlink(&mut self, key: Key) {
        let all =
            std::iter::successors(self.newest.get(&key).copied(), |at| Some(self.rows.get(*at as usize)?.previous));
        let stays = |at: &u32| self.rows.get(*at as usize).is_some_and(|row| !row.is_gone());
        let staying: Vec<u32> = all.filter(stays).collect();
        match staying.first() {
            Some(newest) => self.newest.insert(key, *newest),
            None => self.newest.remove(&key),
        };
        for (n, at) in staying.iter().enumerate() {
            if let Some(row) = self.rows.get_mut(*at as usize) {
                row.previous = staying.get(n + 1).copied().unwrap_or(NONE);
            }
        }
    }

    /// The versions of an object that are shown, each with who sees it.
    fn audiences(&self, key: Key) -> impl Iterator<Item = (Audience, Version)> + Clone {
        self.chain(key).filter(|row| self.is_shown(row)).map(|row| (row.audience(), row.dated()))
    }

    /// The ends of the versions of a row's object that a caller sees; adds to `looked_at` how much was looked at.
    pub(in crate::taxii) fn ends(&self, row: &Row, looked_at: &mut usize, sees: impl FnMut(Audience) -> bool) -> Ends {
        self.ends.seen(&row.key(), self.audiences(row.key()), looked_at, sees)
    }

    /// Was anything added or taken out that is not shown so?
    pub const fn is_unsettled(&self) -> bool {
        self.rows.len() != self.shown as usize || !self.leaving.is_empty()
    }

    /// How much [`Index::ends`] looks at.
    pub(in crate::taxii) fn ends_cost(&self, row: &Row) -> usize {
        self.ends.cost(&row.key(), self.audiences(row.key()))
    }

    /// Is it the only version there is?
    pub(in crate::taxii) fn is_alone(&self, row: &Row) -> bool {
        let is_newest = || {
            let newest = self.newest.get(&row.key()).and_then(|at| self.rows.get(*at as usize));
            newest.is_some_and(|newest| newest.sequence == row.sequence)
        };
        row.previous == NONE && is_newest()
    }

    /// The latest version of a row's object that is shown and that a caller sees.
    pub fn latest(&self, row: &Row, mut sees: impl FnMut(&Handling, &MemberId) -> bool) -> Option<StixTime> {
        self.ends(row, &mut 0, |audience| self.is_seen(audience, &mut sees)).latest()
    }

    /// Does the caller see what has this audience?
    pub(in crate::taxii) fn is_seen(
        &self,
        (handling, author): Audience,
        mut sees: impl FnMut(&Handling, &MemberId) -> bool,
    ) -> bool {
        match (self.handlings.get(usize::from(handling)), self.authors.get(usize::from(author))) {
            (Some(handling), Some(author)) => sees(handling, author),
            _ => false,
        }
    }
}

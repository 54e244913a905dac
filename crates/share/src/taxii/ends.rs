//! The first and the last of an object's versions, kept for objects that have many: a page need not look at them all.
//!
//! Not every caller sees every version. Versions that the same callers see are kept as one: for whoever asks, the ends
//! are those of what is seen of them, exactly.

use super::filter::{Ends, Version};
use std::collections::BTreeMap;

/// Fewest versions of an object whose ends are kept. Nearly all objects have one; to look at fewer than this costs
/// little, and to keep their ends would take about as much memory as their rows do.
pub(super) const MANY: usize = 16;

/// The ends of objects' versions, by the object and by who sees them (`A`).
#[derive(Clone, Debug)]
pub(super) struct KeptEnds<K, A>(BTreeMap<K, Vec<(A, Ends)>>);

impl<K, A> Default for KeptEnds<K, A> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, A: Copy + Ord> KeptEnds<K, A> {
    /// Takes a version that is shown from now on; `all` gives those of its object that are shown, with it.
    pub(super) fn add(&mut self, key: K, one: (A, Version), all: impl Iterator<Item = (A, Version)> + Clone) {
        match self.0.get_mut(&key) {
            Some(parts) => put(parts, one),
            None => self.renew(key, all),
        }
    }

    /// `all` versions of an object are shown, and no others any more.
    pub(super) fn renew(&mut self, key: K, all: impl Iterator<Item = (A, Version)> + Clone) {
        self.0.remove(&key);
        if all.clone().take(MANY).count() < MANY {
            return;
        }
        let mut parts = Vec::new();
        all.for_each(|one| put(&mut parts, one));
        self.0.insert(key, parts);
    }

    /// The ends of the versions of an object that the caller `sees`, of `all` that are shown. Adds to `looked_at` how
    /// much was looked at: of an object with few versions each, else one for all with the same audience.
    pub(super) fn seen(
        &self,
        key: &K,
        all: impl Iterator<Item = (A, Version)>,
        looked_at: &mut usize,
        mut sees: impl FnMut(A) -> bool,
    ) -> Ends {
        let mut ends = Ends::default();
        let mut looks = |audience| {
            *looked_at += 1;
            sees(audience)
        };
        match self.0.get(key) {
            Some(parts) => parts.iter().filter(|(by, _)| looks(*by)).for_each(|(_, part)| ends.merge(part)),
            None => all.filter(|(by, _)| looks(*by)).for_each(|(_, version)| ends.add(version)),
        }
        ends
    }

    /// How much [`KeptEnds::seen`] looks at.
    pub(super) fn cost(&self, key: &K, all: impl Iterator<Item = (A, Version)>) -> usize {
        self.0.get(key).map_or_else(|| all.take(MANY).count(), Vec::len)
    }
}

fn put<A: Copy + Ord>(parts: &mut Vec<(A, Ends)>, (audience, version): (A, Version)) {
    let at = parts.binary_search_by_key(&audience, |(known, _)| *known).unwrap_or_else(|at| {
        // Nearly always there is one audience: no room for more of them before there are.
        if parts.is_empty() {
            parts.reserve_exact(1);
        }
        parts.insert(at, (audience, Ends::default()));
        at
    });
    if let Some((_, ends)) = parts.get_mut(at) {
        ends.add(version);
    }
}

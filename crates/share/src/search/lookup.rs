//! Things by the observables that they speak of, in the order in which they came: found by a part of the order of keys,
//! the newest first.
//!
//! What comes in is kept in short parts, each sorted when it is full, so that adding costs little and a question
//! costs a binary search a part.

use super::key::Key;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Things of a part that is not sorted yet.
const OPEN_MAX: usize = 8_192;
/// Things of the longest part: two parts are made one up to here.
const PART_MAX: usize = 131_072;
/// Most things that are looked at for one page. Findings are looked at while the state is held: not for long.
pub const LOOKED_AT_MAX: usize = 20_000;

/// One thing.
#[derive(Clone, Debug)]
struct Thing<T> {
    key: Key,
    place: u64,
    what: T,
}

/// Sorted by key.
#[derive(Clone, Debug)]
struct Part<T> {
    first: u64,
    things: Vec<Thing<T>>,
}

/// Things by observable.
#[derive(Clone, Debug)]
pub struct Lookup<T> {
    parts: VecDeque<Part<T>>,
    open: Vec<Thing<T>>,
    count: usize,
    most: usize,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The parts of the order to look in; `None`: everything.
    pub ranges: Option<Vec<RangeInclusive<Key>>>,
    /// Only what came before this place.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: usize,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found<F> {
    /// The newest first.
    pub things: Vec<F>,
    /// Ask again before this place for the rest; `None`: there is none. A page may be short, or empty, and go on.
    pub next: Option<u64>,
}

impl<T> Default for Lookup<T> {
    fn default() -> Self {
        Self::keeping(usize::MAX)
    }
}

impl<T> Lookup<T> {
    /// Keeps at least the `most` latest things, and some more; forgets what is older.
    pub const fn keeping(most: usize) -> Self {
        Self { parts: VecDeque::new(), open: Vec::new(), count: 0, most }
    }

    /// Adds a thing. Places never go back; one that speaks of several observables is added for each, at one place.
    pub fn add(&mut self, key: Key, place: u64, what: T) {
        self.count += 1;
        self.open.push(Thing { key, place, what });
        if self.open.len() >= OPEN_MAX {
            self.close();
        }
    }

    /// How many are kept.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Is there nothing?
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets what `keep` does not want any more; walks everything once.
    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.open.retain(|thing| keep(&thing.what));
        self.parts.iter_mut().for_each(|part| part.things.retain(|thing| keep(&thing.what)));
        self.parts.retain(|part| !part.things.is_empty());
        self.count = self.open.len() + self.parts.iter().map(|part| part.things.len()).sum::<usize>();
    }

    fn close(&mut self) {
        let things = std::mem::replace(&mut self.open, Vec::with_capacity(OPEN_MAX));
        let first = things.first().map_or(0, |thing| thing.place);
        self.parts.push_back(Part { first, things });
        self.merge();
        if let Some(newest) = self.parts.back_mut() {
            // Sorted parts one behind the other: sorting joins them.
            newest.things.sort_by(|a, b| (&a.key, a.place).cmp(&(&b.key, b.place)));
        }
        while let Some(oldest) = self.parts.front()
            && self.count - oldest.things.len() >= self.most
        {
            self.count -= oldest.things.len();
            self.parts.pop_front();
        }
    }

    /// Joins the last parts as long as the one before is no longer than what is joined to it.
    fn merge(&mut self) {
        let part_max = PART_MAX.min(self.most.div_ceil(4)).max(OPEN_MAX);
        while self.parts.len() >= 2 {
            let (before, last) = (&self.parts[self.parts.len() - 2].things, &self.parts[self.parts.len() - 1].things);
            if before.len() > last.len() || before.len() + last.len() > part_max {
                return;
            }
            let Some(last) = self.parts.pop_back() else { return };
            if let Some(before) = self.parts.back_mut() {
                before.things.extend(last.things);
            }
        }
    }

    /// What is asked for and what `keep` makes something of, the newest first. At most [`LOOKED_AT_MAX`] are looked at.
    pub fn find<F>(&self, ask: &Ask, mut keep: impl FnMut(u64, &Key, &T) -> Option<F>) -> Found<F> {
        let mut found = Found { things: Vec::new(), next: None };
        let (mut looked_at, mut last_kept) = (0, None);
        let is_before = |place: u64| ask.before.is_none_or(|before| place < before);
        let open = self.open.iter().filter(|thing| is_asked(ask, &thing.key)).collect::<Vec<_>>();
        let parts = self.parts.iter().rev().filter(|part| is_before(part.first)).map(|part| part.within(ask));
        for mut hits in std::iter::once(open).chain(parts) {
            hits.retain(|thing| is_before(thing.place));
            hits.sort_by_key(|thing| Reverse(thing.place));
            hits.dedup_by_key(|thing| thing.place);
            for thing in hits {
                looked_at += 1;
                if let Some(kept) = keep(thing.place, &thing.key, &thing.what) {
                    if found.things.len() >= ask.limit {
                        found.next = last_kept;
                        return found;
                    }
                    found.things.push(kept);
                    last_kept = Some(thing.place);
                }
                if looked_at >= LOOKED_AT_MAX {
                    found.next = Some(thing.place);
                    return found;
                }
            }
        }
        found
    }
}

impl<T> Part<T> {
    fn within(&self, ask: &Ask) -> Vec<&Thing<T>> {
        let Some(ranges) = &ask.ranges else { return self.things.iter().collect() };
        let of_range = |range: &RangeInclusive<Key>| {
            let from = self.things.partition_point(|thing| thing.key < *range.start());
            let rest = &self.things[from..];
            &rest[..rest.partition_point(|thing| thing.key <= *range.end())]
        };
        ranges.iter().flat_map(of_range).collect()
    }
}

fn is_asked(ask: &Ask, key: &Key) -> bool {
    ask.ranges.as_ref().is_none_or(|ranges| ranges.iter().any(|range| range.contains(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Reach, ranges};
    use model::Observable;

    fn address(n: u32) -> Key {
        Key::V4(n, 32)
    }

    fn ask(ranges: Option<Vec<RangeInclusive<Key>>>, limit: usize) -> Ask {
        Ask { ranges, before: None, limit }
    }

    /// All pages, one behind the other.
    fn all(lookup: &Lookup<u32>, mut ask: Ask, keep: impl Fn(u32) -> bool) -> Vec<(u64, u32)> {
        let mut found = Vec::new();
        loop {
            let page = lookup.find(&ask, |place, _, what| keep(*what).then_some((place, *what)));
            found.extend(page.things);
            match page.next {
                Some(next) => ask.before = Some(next),
                None => return found,
            }
        }
    }

    #[test]
    fn what_lies_in_a_network_is_found_over_all_parts_the_newest_first_and_once() {
        let mut lookup = Lookup::default();
        let count = OPEN_MAX as u32 * 5 + 7;
        for n in 0..count {
            // Each place speaks of two addresses of 16 networks.
            lookup.add(address((n % 16) << 24 | n), (n / 2).into(), n);
        }
        assert_eq!(lookup.len(), count as usize);
        let network: Observable = "3.0.0.0/8".parse().unwrap();
        let asked = ask(Some(ranges(&network, Reach { below: true, above: false })), 100);
        let found = all(&lookup, asked, |_| true);
        let wanted: Vec<u32> = (0..count).rev().filter(|n| n % 16 == 3).collect();
        assert_eq!(found.iter().map(|(_, what)| *what).collect::<Vec<_>>(), wanted);
        let both = all(&lookup, ask(None, 1_000), |_| true);
        let places: Vec<u64> = both.iter().map(|(place, _)| *place).collect();
        assert!(places.windows(2).all(|two| two[0] > two[1]), "each place once, falling");
        assert_eq!(places.len(), count.div_ceil(2) as usize);
    }

    #[test]
    fn a_search_that_finds_little_stops_and_goes_on_where_it_stopped() {
        let mut lookup = Lookup::default();
        let count = LOOKED_AT_MAX as u32 + 50_000;
        (0..count).for_each(|n| lookup.add(Key::Nothing, n.into(), n));
        let first = lookup.find(&ask(None, 10), |_, _, what| (*what == 5).then_some(*what));
        assert!(first.things.is_empty() && first.next.is_some());
        assert_eq!(all(&lookup, ask(None, 10), |what| what == 5), [(5, 5)]);
    }

    #[test]
    fn a_full_page_says_whether_there_is_more() {
        let mut lookup = Lookup::default();
        (0..4_u32).for_each(|n| lookup.add(Key::Nothing, n.into(), n));
        let page = |limit, before| lookup.find(&Ask { before, ..ask(None, limit) }, |place, _, _| Some(place));
        assert_eq!(page(4, None), Found { things: vec![3, 2, 1, 0], next: None });
        assert_eq!(page(3, None), Found { things: vec![3, 2, 1], next: Some(1) });
        assert_eq!(page(3, Some(1)), Found { things: vec![0], next: None });
    }

    #[test]
    fn what_is_not_wanted_any_more_is_gone_and_the_rest_is_found_as_before() {
        let mut lookup = Lookup::default();
        let count = OPEN_MAX as u32 * 3 + 100;
        (0..count).for_each(|n| lookup.add(address(n % 50), n.into(), n));
        lookup.retain(|what| what % 3 == 0 && *what >= OPEN_MAX as u32);
        let wanted: Vec<u32> = (OPEN_MAX as u32..count).rev().filter(|n| n % 3 == 0).collect();
        assert_eq!(lookup.len(), wanted.len());
        let found = all(&lookup, ask(None, 1_000), |_| true);
        assert_eq!(found.iter().map(|(_, what)| *what).collect::<Vec<_>>(), wanted);
        let one = all(&lookup, ask(Some(vec![address(7)..=address(7)]), 1_000), |_| true);
        assert!(!one.is_empty() && one.iter().all(|(_, what)| what % 50 == 7 && what % 3 == 0));
        lookup.retain(|_| false);
        assert!(lookup.is_empty() && all(&lookup, ask(None, 10), |_| true).is_empty());
    }

    #[test]
    fn the_oldest_are_forgotten_and_the_latest_kept() {
        let most = 4 * OPEN_MAX;
        let mut lookup = Lookup::keeping(most);
        let count = 20 * OPEN_MAX as u32;
        (0..count).for_each(|n| lookup.add(address(n), n.into(), n));
        assert!((most..=2 * most).contains(&lookup.len()), "{}", lookup.len());
        let kept = all(&lookup, ask(None, 10_000), |_| true);
        let wanted: Vec<u32> = (0..count).rev().take(lookup.len()).collect();
        assert_eq!(kept.iter().map(|(_, what)| *what).collect::<Vec<_>>(), wanted);
    }
}

//! One page of a collection: what a request's filters leave of what the caller may see, in the order of adding.

use super::collection::CollectionId;
use super::cursor::Next;
use super::filter::{Ends, Filter, Version};
use super::index::{Index, Key, Row, Shelf};
use model::{Handling, MemberId};
use std::collections::{BTreeMap, BTreeSet};

/// Most bytes of objects on one page, roughly.
pub const PAGE_BYTES_MAX: u64 = 8 << 20;
/// Most rows that are looked at for one page: with filters that leave next to nothing, a page may be short, and says
/// that there is more.
const LOOKED_AT_MAX: usize = 200_000;
/// A page that has to look at no more rows than this is made at once.
const BRIEF_MAX: usize = 32;

/// What is asked of a collection.
pub struct Ask<'a> {
    /// Which.
    pub collection: CollectionId,
    /// Only what everybody may see.
    pub public: bool,
    /// The request's filters.
    pub filter: &'a Filter,
    /// May the caller see what this member brought under this handling?
    pub sees: &'a dyn Fn(&Handling, &MemberId) -> bool,
}

/// A page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Its rows, in order.
    pub rows: Vec<Row>,
    /// Where to go on; none if there is nothing more.
    pub next: Option<Next>,
}

impl Index {
    /// The page that is asked for.
    pub fn page(&self, ask: &Ask<'_>) -> Page {
        let Some(shelf) = self.shelf(ask.collection) else { return Page::default() };
        let candidates = self.candidates(shelf, ask);
        let lists: Vec<&[u32]> = candidates.iter().map(|list| self.after(list, ask.filter)).collect();
        let mut walk = Walk::new(self, ask);
        match lists.as_slice() {
            [] => {}
            [one] => drop(one.iter().copied().all(|at| walk.take(at))),
            many => drop(merged(many).all(|at| walk.take(at))),
        }
        walk.page
    }

    /// Is the page made in next to no time? The others are work for a worker.
    pub fn is_brief(&self, ask: &Ask<'_>) -> bool {
        let Some(shelf) = self.shelf(ask.collection) else { return true };
        if !ask.filter.ids.is_empty() {
            let rows = ask.filter.ids.iter().flat_map(|id| self.numbers(ask.collection, id));
            return ask.filter.ids.len() <= BRIEF_MAX && rows.take(BRIEF_MAX + 1).count() <= BRIEF_MAX;
        }
        let lists = self.candidates(shelf, ask);
        let lists: Vec<&[u32]> = lists.iter().map(|list| self.after(list, ask.filter)).collect();
        if lists.iter().map(|list| list.len()).sum::<usize>() > BRIEF_MAX {
            return false;
        }
        // A row, and the versions of its object if it has several.
        let looked_at = |row: &Row| 1 + if self.is_alone(row) { 0 } else { self.siblings(row).take(BRIEF_MAX).count() };
        let rows = lists.iter().flat_map(|list| list.iter()).filter_map(|at| self.row(*at));
        rows.map(looked_at).sum::<usize>() <= BRIEF_MAX
    }

    /// Lists of rows that hold all that can be on the page.
    fn candidates<'s>(&self, shelf: &'s Shelf, ask: &Ask<'_>) -> Vec<std::borrow::Cow<'s, [u32]>> {
        let filter = ask.filter;
        if !filter.ids.is_empty() {
            let mut rows: Vec<u32> = filter.ids.iter().flat_map(|id| self.numbers(ask.collection, id)).collect();
            rows.sort_unstable();
            return vec![rows.into()];
        }
        if !filter.types.is_empty() {
            let kinds: BTreeSet<u16> = filter.types.iter().filter_map(|name| self.kind_number(name)).collect();
            return kinds.iter().filter_map(|kind| Some(shelf.by_kind.get(kind)?.as_slice().into())).collect();
        }
        let list = if ask.public { &shelf.clear } else { &shelf.all };
        vec![list.as_slice().into()]
    }

    /// The part of a list that comes after `next` and `added_after`. Rows that are gone have their place all the same.
    fn after<'l>(&self, list: &'l [u32], filter: &Filter) -> &'l [u32] {
        let is_before = |row: &Row| {
            filter.next.is_some_and(|next| row.sequence <= next.0)
                || filter.added_after.is_some_and(|time| row.added <= time)
        };
        let from = list.partition_point(|at| self.any(*at).is_some_and(is_before));
        &list[from..]
    }
}

/// A page in the making.
struct Walk<'a> {
    index: &'a Index,
    ask: &'a Ask<'a>,
    page: Page,
    bytes: u64,
    looked_at: usize,
    last: Option<u64>,
    /// What the caller may see: asked once for each handling and author.
    seen: BTreeMap<(u16, u16), bool>,
    /// Of objects with several versions: what there is of those that the caller may see.
    ends: BTreeMap<Key, Ends>,
}

impl<'a> Walk<'a> {
    fn new(index: &'a Index, ask: &'a Ask<'a>) -> Self {
        let (seen, ends) = (BTreeMap::new(), BTreeMap::new());
        Self { index, ask, page: Page::default(), bytes: 0, looked_at: 0, last: None, seen, ends }
    }

    /// Does this version pass, of all that the caller may see?
    fn keeps(&mut self, row: &Row) -> bool {
        let version = |row: &Row| Version { time: row.version, spec: row.spec() };
        let filter = self.ask.filter;
        // Nearly all objects have one version.
        if self.index.is_alone(row) {
            return filter.keeps(version(row), &[version(row)].into_iter().collect());
        }
        if let Some(ends) = self.ends.get(&row.key()) {
            return filter.keeps(version(row), ends);
        }
        let mut ends = Ends::default();
        for sibling in self.index.siblings(row) {
            self.looked_at += 1;
            if self.sees(sibling) {
                ends.add(version(sibling));
            }
        }
        self.ends.insert(row.key(), ends);
        filter.keeps(version(row), &ends)
    }

    fn sees(&mut self, row: &Row) -> bool {
        if let Some(seen) = self.seen.get(&row.audience()) {
            return *seen;
        }
        let sees = match (self.index.handling(row), self.index.author(row)) {
            (Some(handling), Some(author)) => (self.ask.sees)(handling, author),
            _ => false,
        };
        self.seen.insert(row.audience(), sees);
        sees
    }

    /// Looks at one more row; false when the page is done.
    fn take(&mut self, at: u32) -> bool {
        let Some(row) = self.index.row(at) else {
            // Gone, or not durable yet: then so is all that comes after it.
            return (at as usize) < self.index.len();
        };
        if self.looked_at >= LOOKED_AT_MAX {
            self.page.next = self.last.map(Next);
            return false;
        }
        self.looked_at += 1;
        let filter = self.ask.filter;
        let right_type = filter.types.is_empty() || self.index.kind_of(row).is_some_and(|k| filter.types.contains(k));
        if !right_type || !self.sees(row) || !self.keeps(row) {
            self.last = Some(row.sequence);
            return true;
        }
        if self.page.rows.len() >= filter.limit || self.bytes >= PAGE_BYTES_MAX {
            self.page.next = self.page.rows.last().map(|row| Next(row.sequence));
            return false;
        }
        self.bytes += u64::from(row.bytes);
        self.last = Some(row.sequence);
        self.page.rows.push(*row);
        true
    }
}

/// Lists that each rise as one that does.
fn merged(lists: &[&[u32]]) -> impl Iterator<Item = u32> {
    let mut heads: Vec<&[u32]> = lists.to_vec();
    std::iter::from_fn(move || {
        let least = heads.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list[0])?;
        let (first, rest) = least.split_first()?;
        *least = rest;
        Some(*first)
    })
}

#[cfg(test)]
mod tests {
    use super::super::collection::Root;
    use super::super::index::{NewObject, Source};
    use super::*;
    use crate::stix::SpecVersion;
    use model::{Timestamp, Tlp};
    use std::cell::Cell;

    #[test]
    fn a_page_of_many_versions_takes_as_many_steps_as_there_are_rows() {
        let (objects, versions) = (100, 999);
        let (collection, mut index) = (CollectionId::of("test", &Root::Alliance, "sightings"), Index::default());
        let members: Vec<MemberId> = ["cloud", "bank"].iter().map(|name| name.parse().unwrap()).collect();
        let handling = Handling::alliance(Tlp::Green);
        for n in 0..objects * versions {
            let id = format!("ipv4-addr--{:08x}-1111-4111-8111-111111111111", n % objects);
            let source = Source {
                collection,
                author: &members[n % members.len()],
                handling: &handling,
                position: n as u64,
                time: Timestamp::MIN,
            };
            let (spec, print) = (SpecVersion::V21, n as u64);
            index.add(&source, 0, &NewObject { id: &id, spec, version: None, print, bytes: 1, after: 0 });
        }
        index.settle();
        let asked = Cell::new(0);
        let sees = |_: &Handling, _: &MemberId| {
            asked.set(asked.get() + 1);
            true
        };
        let filter = Filter::default();
        let ask = Ask { collection, public: false, filter: &filter, sees: &sees };
        let mut walk = Walk::new(&index, &ask);
        assert!(index.shelf(collection).unwrap().all.iter().all(|at| walk.take(*at)));
        assert_eq!(walk.looked_at, 2 * objects * versions, "each row by itself, and once for its object");
        assert_eq!(asked.get(), members.len(), "once for each author");
        assert_eq!((walk.page.rows.len(), walk.page.next), (objects, None), "of each object the last");
        assert!(!index.is_brief(&ask));
        let next = Some(Next(Row::sequence_of((objects * versions) as u64 - 9, 0)));
        let filter = Filter { next, ..Filter::default() };
        let ask = Ask { filter: &filter, ..ask };
        assert!(!index.is_brief(&ask), "nine rows, and a thousand versions of each one's object");
        let next = Some(Next(Row::sequence_of((objects * versions) as u64 - 1, 0)));
        for n in 0..9 {
            let id = format!("ipv4-addr--{n:08x}-2222-4222-8222-222222222222");
            let position = (objects * versions + n) as u64;
            let source =
                Source { collection, author: &members[0], handling: &handling, position, time: Timestamp::MIN };
            let spec = SpecVersion::V21;
            index.add(&source, 0, &NewObject { id: &id, spec, version: None, print: 1, bytes: 1, after: 0 });
        }
        index.settle();
        let filter = Filter { next, ..Filter::default() };
        assert!(index.is_brief(&Ask { collection, public: false, filter: &filter, sees: &sees }));
    }
}

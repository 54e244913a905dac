//! One page of a collection: what a request's filters leave of what the caller may see, in the order of adding.

use super::collection::CollectionId;
use super::cursor::Next;
use super::filter::{Ends, Filter};
use super::index::{Audience, Index, Key, Row, Shelf};
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
        // A row, and what tells the ends of its object if it has several versions.
        let looked_at = |row: &Row| 1 + if self.is_alone(row) { 0 } else { self.ends_cost(row) };
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
    seen: BTreeMap<Audience, bool>,
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
        let (filter, index) = (self.ask.filter, self.index);
        // Nearly all objects have one version.
        if index.is_alone(row) {
            return filter.keeps(row.dated(), &[row.dated()].into_iter().collect());
        }
        if let Some(ends) = self.ends.get(&row.key()) {
            return filter.keeps(row.dated(), ends);
        }
        let mut looked_at = 0;
        let ends = index.ends(row, &mut looked_at, |audience| self.sees(audience));
        self.looked_at += looked_at;
        self.ends.insert(row.key(), ends);
        filter.keeps(row.dated(), &ends)
    }

    fn sees(&mut self, audience: Audience) -> bool {
        let (index, sees) = (self.index, self.ask.sees);
        *self.seen.entry(audience).or_insert_with(|| index.is_seen(audience, sees))
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
        if !right_type || !self.sees(row.audience()) || !self.keeps(row) {
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
mod tests;

//! One page of a collection: what a request's filters leave of what the caller may see, in the order of adding.

use super::collection::CollectionId;
use super::cursor::Next;
use super::filter::{Filter, Version};
use super::index::{Index, Row, Shelf};
use model::{Handling, MemberId};
use std::collections::BTreeSet;

/// Most bytes of objects on one page, roughly.
pub const PAGE_BYTES_MAX: u64 = 8 << 20;
/// Most rows that are looked at for one page: with filters that leave next to nothing, a page may be short, and says
/// that there is more.
const LOOKED_AT_MAX: usize = 200_000;

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
        let mut walk = Walk { index: self, ask, page: Page::default(), bytes: 0, looked_at: 0, last: None };
        match lists.as_slice() {
            [] => {}
            [one] => drop(one.iter().copied().all(|at| walk.take(at))),
            many => drop(merged(many).all(|at| walk.take(at))),
        }
        walk.page
    }

    /// Lists of rows that hold all that can be on the page.
    fn candidates<'s>(&self, shelf: &'s Shelf, ask: &Ask<'_>) -> Vec<std::borrow::Cow<'s, [u32]>> {
        let filter = ask.filter;
        if !filter.ids.is_empty() {
            let rows = filter.ids.iter().flat_map(|id| self.versions(ask.collection, id));
            let places: BTreeSet<u32> = rows.map(|row| self.place_of(row)).collect();
            return vec![places.into_iter().collect::<Vec<_>>().into()];
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

    /// Does this version pass, of all that the caller may see?
    fn keeps(&self, row: &Row, ask: &Ask<'_>) -> bool {
        let version = |row: &Row| Version { time: row.version, spec: row.spec() };
        // Nearly all objects have one version.
        if self.is_alone(row) {
            return ask.filter.keeps(version(row), &[version(row)]);
        }
        let all: Vec<Version> = self.siblings(row).filter(|row| self.sees(row, ask)).map(version).collect();
        ask.filter.keeps(version(row), &all)
    }

    fn sees(&self, row: &Row, ask: &Ask<'_>) -> bool {
        match (self.handling(row), self.author(row)) {
            (Some(handling), Some(author)) => (ask.sees)(handling, author),
            _ => false,
        }
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
}

impl Walk<'_> {
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
        if !right_type || !self.index.sees(row, self.ask) || !self.index.keeps(row, self.ask) {
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

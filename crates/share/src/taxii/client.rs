//! A TAXII 2.1 client without its sockets: what to ask next, given what was answered (§3.4, §3.5).
//!
//! Servers differ: some give `next`, some `more` alone; several objects may have one time of adding, also at the
//! end of a page; some begin anew for ever. A [`Walk`] takes every object once, or says that it cannot; it never
//! asks without end.

mod outcome;
mod page;

pub use outcome::{Failed, Outcome};
pub use page::{Page, Picked};

use super::cursor;
use crate::stix::id;
use model::{ParseError, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// Most objects that are asked for at once.
pub const LIMIT: usize = 1_000;
/// Most bytes of one page.
pub const PAGE_BYTES_MAX: usize = 32 << 20;
/// Most pages in one walk; the next walk goes on from there.
pub const PAGES_MAX: usize = 10_000;
/// Pages in a row that bring nothing new before a server is said to turn in circles.
const IDLE_PAGES_MAX: usize = 8;
/// Longest `next` that is kept, in bytes.
const NEXT_BYTES_MAX: usize = 2_048;
/// Objects by which it is known that they were taken: those of the last times of adding.
const SEEN_MAX: usize = 4 * LIMIT;
/// Most types that are asked for.
pub const TYPES_MAX: usize = 64;
/// The longest that a server may put us off.
pub const RETRY_MAX: Span = Span::hours(1);

/// How far a collection was read. It is written down together with what was taken up to there.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// What the server gave to go on with, while a walk is under way.
    pub next: Option<String>,
    /// What that belongs to: the walk began after this, in microseconds since 1970.
    pub after: Option<i64>,
    /// The latest time of adding that was seen, in microseconds since 1970.
    pub last: Option<i64>,
    /// Short digests of objects that were added at that time, or a little before.
    pub seen: VecDeque<u64>,
}

/// What is asked of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wish {
    /// Only these types; all where there are none.
    pub types: BTreeSet<String>,
    /// Every version and not only the latest one.
    pub every_version: bool,
    /// At the first time nothing that was added before this, in microseconds since 1970.
    pub since: Option<i64>,
}

impl Wish {
    /// Is it within its limits?
    ///
    /// # Errors
    /// Too many types, or one that is none.
    pub fn check(&self) -> Result<(), ParseError> {
        if self.types.len() > TYPES_MAX {
            let found = format!("{} types", self.types.len());
            return Err(ParseError::new("types", &found, format_args!("at most {TYPES_MAX}")));
        }
        // An identifier of that type must be one.
        let wrong = |kind: &&String| id::split("types", &format!("{kind}--{}", id::uuid_text(&[0; 16]))).is_err();
        match self.types.iter().find(wrong) {
            Some(kind) => Err(ParseError::new("types", kind, "a type of STIX, such as indicator")),
            None => Ok(()),
        }
    }
}

/// What a server did that the standard does not have, or that loses something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quirk {
    /// `more` is true, and nothing says how to go on.
    NoWayOn,
    /// No `X-TAXII-Date-Added-Last`: the whole collection is read at every walk.
    NoDates,
    /// It turns in circles: the walk was ended.
    Circle,
    /// More objects of one time of adding than one page holds: some may have been passed over.
    Crowded,
    /// It did not know its own `next` any more; the walk began again from the last time of adding.
    NextForgotten,
    /// It says that objects were added in a time to come: such a time is no place to go on from.
    Ahead,
}

impl Quirk {
    /// The quirk as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoWayOn => "no_way_on",
            Self::NoDates => "no_dates",
            Self::Circle => "circle",
            Self::Crowded => "crowded",
            Self::NextForgotten => "next_forgotten",
            Self::Ahead => "ahead",
        }
    }

    /// In words.
    pub const fn explains(self) -> &'static str {
        match self {
            Self::NoWayOn => "the server says that there is more and not how to go on: the rest is not read",
            Self::NoDates => "the server does not say when objects were added: everything is read at every look",
            Self::Circle => "the server gives the same pages again and again: the walk was ended",
            Self::Crowded => "more objects have one time of adding than a page holds: some may have been passed over",
            Self::NextForgotten => "the server did not know its own place any more: gone on from the time of adding",
            Self::Ahead => "the server says that objects were added in a time to come: not gone on from there",
        }
    }
}

/// What a page came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Of each good object of the page: is it new?
    pub fresh: Vec<bool>,
    /// Is there more to be asked for now?
    pub more: bool,
    /// What is to be told about the server.
    pub quirks: Vec<Quirk>,
}

/// One reading of a collection from where the last one stopped.
#[derive(Clone, Debug)]
pub struct Walk {
    wish: Wish,
    place: Place,
    limit: usize,
    /// Digests of every `next` of this walk.
    nexts: BTreeSet<u64>,
    idle: usize,
    pages: usize,
    /// No time of adding after this is believed.
    latest: i64,
}

impl Walk {
    /// Goes on from `place`.
    pub fn new(wish: Wish, place: Place) -> Self {
        Self { wish, place, limit: LIMIT, nexts: BTreeSet::new(), idle: 0, pages: 0, latest: i64::MAX }
    }

    /// Believes no time of adding after `latest`, in microseconds since 1970: from such a one nothing would be seen
    /// before it has come. True: the place was one, and is given up; it is read from the beginning.
    pub fn believe_until(&mut self, latest: i64) -> bool {
        self.latest = latest;
        let ahead = self.place.last.is_some_and(|last| last > latest);
        if ahead {
            self.place = Place { seen: std::mem::take(&mut self.place.seen), ..Place::default() };
        }
        ahead
    }

    /// How far it has come; to be written down once what was taken is safe.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The parameters of the next request (§3.4), not yet encoded. Those of a walk stay the same beside `next` (§3.5).
    pub fn ask(&self) -> Vec<(&'static str, String)> {
        let mut pairs = vec![("limit", self.limit.to_string())];
        if let Some(after) = self.after() {
            pairs.push(("added_after", cursor::text(after)));
        }
        if !self.wish.types.is_empty() {
            let types: Vec<&str> = self.wish.types.iter().map(String::as_str).collect();
            pairs.push(("match[type]", types.join(",")));
        }
        if self.wish.every_version {
            pairs.push(("match[version]", "all".to_owned()));
        }
        pairs.extend(self.place.next.iter().map(|next| ("next", next.clone())));
        pairs
    }

    fn after(&self) -> Option<i64> {
        match self.place.next {
            Some(_) => self.place.after,
            // What was added at the very time of the last object, and was not shown with it, is asked for once more.
            None => self.place.last.map(|last| last.saturating_sub(1)).or(self.wish.since),
        }
    }

    /// Takes the answer; `None` for `last` where the header is missing or no time.
    pub fn take(&mut self, page: &Page<'_>, first: Option<i64>, last: Option<i64>) -> Taken {
        self.pages += 1;
        let prints: Vec<u64> = page.good.iter().map(|picked| picked.print).collect();
        let fresh = self.fresh(&prints);
        let news = fresh.iter().any(|fresh| *fresh);
        self.idle = if news { 0 } else { self.idle + 1 };
        let after = self.after();
        // Up to the first object of the page everything was shown.
        let believed = |time: &i64| *time <= self.latest;
        let ahead = last.is_some_and(|last| last > self.latest);
        let first = first.filter(believed);
        let last = if ahead { first.max(self.place.last) } else { last };
        let moved = last.is_some_and(|last| self.place.last.is_none_or(|known| known < last));
        self.remember(prints, first, last);
        let (more, quirk) = self.go_on(page, after, moved, last.is_some());
        let quirks = quirk.into_iter().chain(ahead.then_some(Quirk::Ahead)).collect();
        if !more {
            self.place.next = None;
            self.place.after = None;
        }
        Taken { fresh, more: more && self.pages < PAGES_MAX, quirks }
    }

    /// An object that comes twice on one page is new once.
    fn fresh(&self, prints: &[u64]) -> Vec<bool> {
        let mut known: BTreeSet<u64> = self.place.seen.iter().copied().collect();
        prints.iter().map(|print| known.insert(*print)).collect()
    }

    /// What was added at the latest time is remembered: it will be shown again.
    fn remember(&mut self, prints: Vec<u64>, first: Option<i64>, last: Option<i64>) {
        let place = &mut self.place;
        match (last, place.last) {
            (Some(last), Some(known)) if last < known => return,
            // The page begins after everything that was remembered: that is not shown again.
            (Some(_), Some(known)) if first.is_some_and(|first| first > known) => place.seen.clear(),
            _ => {}
        }
        place.last = last.or(place.last);
        let known: BTreeSet<u64> = place.seen.iter().copied().collect();
        place.seen.extend(prints.into_iter().filter(|print| !known.contains(print)));
        let beyond = place.seen.len().saturating_sub(SEEN_MAX);
        drop(place.seen.drain(..beyond));
    }

    fn go_on(&mut self, page: &Page<'_>, after: Option<i64>, moved: bool, dated: bool) -> (bool, Option<Quirk>) {
        let undated = (!dated && !page.good.is_empty()).then_some(Quirk::NoDates);
        if !page.more {
            return (false, undated);
        }
        if self.idle >= IDLE_PAGES_MAX {
            return (false, Some(Quirk::Circle));
        }
        match page.next.as_deref().filter(|next| next.len() <= NEXT_BYTES_MAX) {
            Some(next) if !self.nexts.insert(super::index::print(next.as_bytes())) => (false, Some(Quirk::Circle)),
            Some(next) => {
                self.place.next = Some(next.to_owned());
                self.place.after = after;
                (true, undated)
            }
            None => self.go_on_by_time(moved),
        }
    }

    /// `more` without `next`: by the time of the last object (§3.5), with those of the same time once more.
    fn go_on_by_time(&mut self, moved: bool) -> (bool, Option<Quirk>) {
        self.place.next = None;
        match (self.place.last, moved) {
            (None, _) => (false, Some(Quirk::NoWayOn)),
            (Some(_), true) => (true, None),
            // A whole page of one time: past it, since nothing else leads on.
            (Some(last), false) => {
                self.place.last = Some(last.saturating_add(1));
                (true, Some(Quirk::Crowded))
            }
        }
    }

    /// A page was larger than [`PAGE_BYTES_MAX`]: smaller ones are asked for. False where it was of one object.
    pub const fn ask_for_less(&mut self) -> bool {
        let less = self.limit > 1;
        self.limit = if less { self.limit / 2 } else { 1 };
        less
    }

    /// The server does not take its own `next` any more: goes on by time. False where none was asked with.
    pub fn forget_next(&mut self) -> bool {
        self.place.after = None;
        self.place.next.take().is_some()
    }
}

/// What a `Retry-After` header says, at most [`RETRY_MAX`]: seconds, or a date (RFC 9110 §10.2.3).
pub fn retry_after(text: &str, now: Timestamp) -> Option<Span> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = match digits {
        // So many digits are more than the limit anyway.
        true => text.parse::<i64>().map_or(RETRY_MAX, |seconds| Span::seconds(seconds.min(3_600))),
        false => http_date(text)?.since(now),
    };
    Some(wait.clamp(Span::millis(0), RETRY_MAX))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests;

//! What objects of a page refer to and the page does not hold: the definitions of their markings and, where they are
//! this member's own evidence, what was seen. It came in an earlier round, or before a restart, or stands on another
//! page. It is asked for by its identifier, so often and no more, before anything is refused for want of it.

use super::remote::{Remote, Trouble};
use super::sort::{Rules, is_ours};
use crate::config::Becomes;
use serde::Deserialize;
use serde_json::value::RawValue;
use share::stix::{Class, Head, Kind, Markings, back, id};
use share::taxii::Place;
use share::taxii::client::Page;
use std::collections::{BTreeMap, BTreeSet};

/// Most objects that are asked for by identifier at once. A page that needs more is asked for in a smaller part.
pub(super) const FETCH_MAX: usize = 200;
/// From a sighting to its observed data, to what that holds, to how it is marked.
const DEPTH_MAX: usize = 4;
/// Most bytes of such objects that are kept.
const BYTES_MAX: usize = 16 << 20;
/// Most definitions, and identifiers of what is not there, that are kept.
const KNOWN_MAX: usize = 10_000;
/// A server that fails so often in a row when it is asked for an object by identifier cannot do that.
const FAILURES_MAX: u32 = 3;

/// What is known beside the page that is being read.
#[derive(Default)]
pub(super) struct Beside {
    /// Definitions of this round and of earlier ones.
    markings: Markings,
    /// Where the page stands that the rest is about.
    at: Option<Place>,
    fetched: BTreeMap<String, Box<RawValue>>,
    /// What the server does not have, or cannot show.
    absent: BTreeSet<String>,
    failures: u32,
}

impl Beside {
    /// A page is read that stands here. What was fetched stays until the page has got through.
    pub fn turn_to(&mut self, place: &Place, alliance: &str) {
        if self.at.is_none() || self.markings.learned() > KNOWN_MAX {
            self.markings = Markings::new(alliance, []);
        }
        if self.at.as_ref() != Some(place) {
            self.fetched.clear();
            self.at = Some(place.clone());
        }
    }

    /// The collection was read to its end: what was not there may be there next time.
    pub fn end(&mut self) {
        self.absent.clear();
    }

    /// What markings mean.
    pub const fn markings(&self) -> &Markings {
        &self.markings
    }

    /// What was fetched for this page.
    pub fn heads(&self) -> Vec<Head<'_>> {
        self.fetched.values().filter_map(|object| Head::read(object).ok()).collect()
    }

    /// Learns the definitions of a page, also of those that were taken before.
    pub fn learn(&mut self, page: &Page<'_>, rules: &Rules<'_>) {
        let heads = page.good.iter().map(|picked| &picked.head);
        for head in heads.filter(|head| head.kind == Kind::MarkingDefinition && !is_ours(head, rules)) {
            // One that says nothing we know stays unknown, and what it marks is refused.
            let _ = self.markings.learn(head);
        }
    }

    /// Fetches what the new objects of a page refer to and nothing here holds, from `path`. False: it is more than
    /// `FETCH_MAX`, and with `whole` nothing was asked for.
    ///
    /// # Errors
    /// The server cannot be asked now.
    pub async fn complete(
        &mut self,
        (remote, path): (&Remote, &str),
        page: &Page<'_>,
        fresh: &[bool],
        rules: &Rules<'_>,
        whole: bool,
    ) -> Result<bool, Trouble> {
        for _ in 0..DEPTH_MAX {
            let wanted = self.wanted(page, fresh, rules);
            if whole && wanted.len() > FETCH_MAX {
                return Ok(false);
            }
            if wanted.is_empty() {
                break;
            }
            for id in wanted.into_iter().take(FETCH_MAX) {
                self.fetch(remote, path, id, rules).await?;
            }
        }
        Ok(true)
    }

    fn wanted(&self, page: &Page<'_>, fresh: &[bool], rules: &Rules<'_>) -> BTreeSet<String> {
        let own = rules.becomes == Becomes::Own;
        let mut wanted = BTreeSet::new();
        for (picked, fresh) in page.good.iter().zip(fresh).filter(|(picked, _)| !is_ours(&picked.head, rules)) {
            // What was taken before is context of own evidence, if its marking is known.
            if *fresh || own {
                wanted.extend(self.markings.unknown(&picked.head));
            }
            if *fresh && own {
                wanted.extend(references(&picked.head));
            }
        }
        for head in self.heads() {
            wanted.extend(self.markings.unknown(&head));
            wanted.extend(references(&head));
        }
        let here: BTreeSet<&str> = page.good.iter().map(|picked| &*picked.head.id).collect();
        let known = |id: &str| here.contains(id) || self.fetched.contains_key(id) || self.absent.contains(id);
        wanted.retain(|id| !known(id) && back::finding_of(rules.alliance, id).is_none());
        wanted
    }

    async fn fetch(&mut self, remote: &Remote, path: &str, id: String, rules: &Rules<'_>) -> Result<(), Trouble> {
        match remote.taxii(&format!("{path}{id}/"), &[]).await {
            Ok(got) => {
                self.failures = 0;
                if !self.keep(&got.bytes, &id, rules) {
                    self.is_absent(id);
                }
            }
            Err(Trouble::Answered(status, why)) if status >= 500 && self.failures < FAILURES_MAX => {
                self.failures += 1;
                return Err(Trouble::Answered(status, why));
            }
            Err(Trouble::Refused(..) | Trouble::TooLarge(_) | Trouble::Answered(..)) => self.is_absent(id),
            Err(later) => return Err(later),
        }
        Ok(())
    }

    /// Keeps the newest version of the object of this identifier; false where there is none that can be used.
    fn keep(&mut self, bytes: &[u8], id: &str, rules: &Rules<'_>) -> bool {
        let Ok(page) = Page::read(bytes) else { return false };
        let heads = page.good.iter().map(|picked| &picked.head).filter(|head| head.id == id);
        let newest = heads.max_by_key(|head| head.version()).filter(|head| !is_ours(head, rules));
        let held: usize = self.fetched.values().map(|object| object.get().len()).sum();
        let Some(head) = newest.filter(|head| held + head.raw.get().len() <= BYTES_MAX) else { return false };
        if head.kind == Kind::MarkingDefinition {
            let _ = self.markings.learn(head);
            if !self.markings.knows(id) {
                return false;
            }
        }
        self.fetched.insert(id.to_owned(), head.raw.to_owned());
        true
    }

    fn is_absent(&mut self, id: String) {
        if self.absent.len() >= KNOWN_MAX {
            self.absent.clear();
        }
        self.absent.insert(id);
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct References {
    sighting_of_ref: Option<String>,
    observed_data_refs: Vec<String>,
    object_refs: Vec<String>,
}

/// What evidence says nothing without.
fn references(head: &Head<'_>) -> impl Iterator<Item = String> {
    let says = matches!(head.kind, Kind::Sighting | Kind::ObservedData);
    // What cannot be read is refused by whoever reads all of it.
    let read = || serde_json::from_str::<References>(head.raw.get()).unwrap_or_default();
    let References { sighting_of_ref, observed_data_refs, object_refs } = if says { read() } else { <_>::default() };
    let is = |id: &String, kind: Kind| id::kind_of(id) == Some(kind);
    let of = sighting_of_ref.into_iter().filter(move |id| is(id, Kind::Indicator));
    let data = observed_data_refs.into_iter().filter(move |id| is(id, Kind::ObservedData));
    let is_observable = |id: &String| id::kind_of(id).is_some_and(|kind| kind.class() == Class::Observable);
    of.chain(data).chain(object_refs.into_iter().filter(is_observable))
}

/// May this object of another page be context of own evidence?
pub(super) fn is_context(head: &Head<'_>) -> bool {
    matches!(head.kind, Kind::Indicator | Kind::ObservedData) || head.kind.class() == Class::Observable
}

//! The index of shared objects beside the journal that holds them.

use super::kept::Kept;
use super::roots::Holds;
use crate::error::Error;
use crate::problem::Problem;
use alliance::{Brief, Entry, Event, Share, objects_of};
use journal::Journal;
use model::{Finding, FindingId, Handling};
use serde_json::value::RawValue;
use share::stix::{Head, StixTime, Subject, back};
use share::taxii::index::print;
use share::taxii::{Envelope, Index, Known, NewObject, Page, Row, Seen, Source, Subjects};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Entries read at a time when the index is made.
const READ_MAX: usize = 1_024;
/// Pause before the journal is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Entries between two that are wanted which are rather read than looked for.
const GAP_MAX: u64 = 8;
/// Most entries read at a time for a page.
const RUN_MAX: u64 = 128;
/// How an entry ends behind its last object: `]}}}`.
const ENTRY_END: usize = 4;
/// Where the kind of an entry stands at the latest: before it come a version, a time, an author, a handling.
const KIND_WITHIN: usize = 1 << 10;

/// What became of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It was added.
    Added,
    /// It is not kept, and what it says is taken.
    Heard,
    /// It stood there before.
    Same,
    /// This version stands there with other bytes: whether they say something else is for [`Store::weigh`] to find.
    Other(Row, String),
    /// A rule said no: why, in words.
    Refused(&'static str),
}

/// Objects that members shared: where they are, and how to read them.
pub(crate) struct Store {
    alliance: String,
    /// How identifiers of its findings are told from others.
    tag: [u8; 4],
    journal: Arc<dyn Journal>,
    index: RwLock<Index>,
    findings: RwLock<Subjects>,
    plans: RwLock<Subjects>,
    /// How far the journal was taken in; held while an entry is.
    taken: Mutex<Taken>,
    /// Entries that were read a moment ago.
    kept: Kept,
    pub(super) statuses: super::status::Statuses,
}

/// How far the index is.
#[derive(Debug, Default)]
struct Taken {
    /// The entry that comes next.
    next: u64,
    /// Entries before this one were passed by while the index was behind.
    passed: u64,
}

impl Store {
    /// An index that is still empty.
    pub(crate) fn new(alliance: &str, journal: Arc<dyn Journal>) -> Self {
        Self {
            alliance: alliance.to_owned(),
            tag: back::tag(alliance),
            journal,
            index: RwLock::default(),
            findings: RwLock::new(Subjects::new(alliance)),
            plans: RwLock::new(Subjects::new(alliance)),
            taken: Mutex::default(),
            kept: Kept::default(),
            statuses: super::status::Statuses::default(),
        }
    }

    /// Takes in what the journal holds, from where the index is: until it is up to the head, at most so many entries,
    /// or until it is told to stop. True when it is up to the head; then every further entry comes by [`Store::take`].
    ///
    /// # Errors
    /// Broken: an entry that cannot be read, with its position.
    pub(crate) fn catch_up(&self, entries_max: u64, stop: &dyn Fn() -> bool) -> Result<bool, Error> {
        let mut left = entries_max;
        loop {
            let (next, head) = (self.taken().next, self.journal.head()?);
            // What is taken already may be in a turn that is still being written.
            let records = if next < head { self.journal.read(next, READ_MAX)? } else { Vec::new() };
            let count = records.len() as u64;
            for record in records {
                let entry =
                    match is_ours(&record.entry) {
                        true => Some(Entry::from_bytes(&record.entry).map_err(|refusal| {
                            Error::Broken(format!("journal entry {}: {refusal}", record.position))
                        })?),
                        false => None,
                    };
                let mut taken = self.taken();
                if taken.next == record.position {
                    entry.iter().for_each(|entry| self.enter(record.position, entry));
                    taken.next += 1;
                    // All that is in the index came from the journal: nothing of a turn can come between.
                    self.settle();
                }
            }
            // What was passed by is in a turn that is being written: it is in the journal in a moment.
            let taken = self.taken();
            if count == 0 && taken.passed <= taken.next {
                return Ok(true);
            }
            drop(taken);
            left = left.saturating_sub(count);
            if left == 0 || stop() {
                return Ok(false);
            }
            if count == 0 {
                std::thread::sleep(LOOK_AGAIN);
            }
        }
    }

    /// The index is up to the journal?
    ///
    /// # Errors
    /// Unavailable: after a start with a long journal it takes a while.
    pub(crate) fn require_ready(&self) -> Result<(), Problem> {
        let taken = self.taken();
        match taken.passed <= taken.next && taken.next >= self.journal.head().unwrap_or(u64::MAX) {
            true => Ok(()),
            false => Err(Problem::unavailable("the index of objects is still being made from the journal")),
        }
    }

    /// What identifiers of the alliance's findings have in them.
    pub(super) const fn tag(&self) -> [u8; 4] {
        self.tag
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Two numbers, each written at once.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The alliance's name.
    pub(crate) fn alliance(&self) -> &str {
        &self.alliance
    }

    /// Takes an entry into the index, in the order of the journal; it is shown once it is durable. While the index is
    /// behind, the journal gives it later.
    pub(crate) fn take(&self, position: u64, entry: &Entry) {
        let mut taken = self.taken();
        if taken.next == position {
            self.enter(position, entry);
            taken.next += 1;
        } else {
            taken.passed = taken.passed.max(position + 1);
        }
    }

    fn enter(&self, position: u64, entry: &Entry) {
        match &entry.event {
            Event::FindingsChanged { findings } => {
                change(&self.findings).add_findings(position, findings);
            }
            Event::PlanProposed(plan) => change(&self.plans).add_plan(position, plan, &entry.handling),
            Event::PlanInForce { plan, .. } | Event::PlanClosed { plan, .. } => {
                change(&self.plans).change_plan(position, plan, entry.time);
            }
            Event::ObjectsShared(shared) => {
                let source = Source {
                    collection: shared.collection,
                    author: &shared.member,
                    handling: &entry.handling,
                    position,
                    time: entry.time,
                };
                let mut index = self.change();
                // Each but the first has a comma before it.
                let mut after = shared.objects.iter().map(|object| object.get().len() + 1).sum::<usize>() + ENTRY_END;
                for (at, object) in shared.objects.iter().enumerate() {
                    after -= object.get().len() + 1;
                    let head;
                    let new = match shared.briefs.get(at) {
                        Some(brief) => of_brief(brief, object.get().len()),
                        None => {
                            // It was read before it was taken in.
                            let Ok(read) = Head::read(object) else { continue };
                            head = read;
                            of_head(&head, object)
                        }
                    };
                    debug_assert!(Head::read(object).is_ok_and(|head| of_head(&head, object) == new));
                    index.add(&source, at, &NewObject { after, ..new });
                    // Journals of before have what members sent back of the alliance's own: nobody is shown it.
                    if back::finding_marked(self.tag, new.id).is_some() {
                        index.delete(shared.collection, &shared.member, new.id, &[]);
                    }
                }
            }
            Event::ObjectsDeleted(deleted) => {
                let versions: Vec<StixTime> =
                    deleted.versions.iter().filter_map(|text| StixTime::parse("version", text).ok()).collect();
                self.change().delete(deleted.collection, &deleted.member, &deleted.id, &versions);
            }
            _ => {}
        }
    }

    /// All that was taken is durable.
    pub(crate) fn settle(&self) {
        if self.index().is_unsettled() {
            self.change().settle();
        }
        for subjects in [&self.findings, &self.plans] {
            if look(subjects).is_unsettled() {
                change(subjects).settle();
            }
        }
    }

    /// Leaves in a share only what is new, and says what becomes of each object. Called in the order of the journal, so
    /// that of two who bring the same at once one is first.
    pub(crate) fn sort(&self, share: &mut Share) -> BTreeMap<usize, Fate> {
        let index = self.index();
        let mut room = index.room(&share.member);
        let mut fates = BTreeMap::new();
        let mut here: BTreeMap<(&str, Option<StixTime>), u64> = BTreeMap::new();
        for object in &share.objects {
            let (brief, bytes) = (&object.brief, object.object.get().len());
            if !object.kept {
                fates.insert(object.place, Fate::Heard);
                continue;
            }
            let fate = match here.get(&(brief.id.as_str(), brief.version)) {
                Some(print) if *print == brief.print => Fate::Same,
                Some(_) if brief.version.is_some() => Fate::Refused(IMMUTABLE),
                _ => match index.known(share.collection, &share.member, &of_brief(brief, bytes), &mut room) {
                    Known::New => Fate::Added,
                    Known::Same => Fate::Same,
                    Known::Other(row) => Fate::Other(row, object.object.get().to_owned()),
                    Known::Foreign => Fate::Refused(FOREIGN),
                    Known::Full => Fate::Refused(FULL),
                    Known::Types => Fate::Refused(TYPES),
                },
            };
            here.insert((&brief.id, brief.version), brief.print);
            fates.insert(object.place, fate);
        }
        drop(index);
        share.retain(|object| matches!(fates.get(&object.place), Some(Fate::Added | Fate::Heard)));
        fates
    }

    /// What becomes of an object whose version stands there with other bytes: blanks and the order of properties are no
    /// content. Reads the journal and both objects: work for a worker.
    pub(crate) fn weigh(&self, fate: Fate) -> Fate {
        let Fate::Other(row, object) = fate else { return fate };
        let mut same = false;
        let read = self.each(&[row], |stored| same = says_the_same(stored, &object));
        // What cannot be read now is not known to be the same.
        if read.is_ok() && same { Fate::Same } else { Fate::Refused(IMMUTABLE) }
    }

    /// The index as it is now.
    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        look(&self.index)
    }

    /// Findings as they are now.
    pub(super) fn findings(&self) -> RwLockReadGuard<'_, Subjects> {
        look(&self.findings)
    }

    /// A finding as it stood last, from the journal, where the alliance may have forgotten it.
    ///
    /// # Errors
    /// What the journal says.
    pub(crate) fn finding(&self, seen: &Seen, id: FindingId) -> Result<Option<Finding>, journal::Error> {
        match self.entry(seen.position())?.event {
            Event::FindingsChanged { findings } => Ok(findings.into_iter().find(|finding| finding.id == id)),
            _ => Ok(None),
        }
    }

    /// Where the latest version of a finding stands that the caller may see.
    pub(crate) fn latest(&self, id: FindingId, sees: impl Fn(&Handling) -> bool) -> Option<Seen> {
        self.findings().latest(Subject::from(&id), sees)
    }

    /// What a collection of findings or of plans is made of, as it is now.
    pub(super) fn subjects(&self, holds: Holds) -> RwLockReadGuard<'_, Subjects> {
        match holds {
            Holds::Plans => look(&self.plans),
            Holds::Findings | Holds::Objects => look(&self.findings),
        }
    }

    /// An entry.
    ///
    /// # Errors
    /// What the journal says; broken if there is none, or it cannot be read.
    pub(super) fn entry(&self, position: u64) -> Result<Entry, journal::Error> {
        let broken = |told: String| journal::Error::Broken(journal::Broken::Failed(told));
        let record = self.journal.read(position, 1)?.pop().ok_or_else(|| broken(format!("no entry {position}")))?;
        Entry::from_bytes(&record.entry).map_err(|refusal| broken(format!("entry {position}: {refusal}")))
    }

    fn change(&self) -> RwLockWriteGuard<'_, Index> {
        change(&self.index)
    }

    /// Calls `each` with the bytes of each row's object, in the order of the rows, which are in the journal's order.
    ///
    /// # Errors
    /// What the journal says; broken if an object is not where the index says.
    pub(crate) fn each(&self, rows: &[Row], mut each: impl FnMut(&str)) -> Result<(), journal::Error> {
        let missing = |row: &Row| {
            let told = format!("entry {} has no object {}", row.position(), row.number());
            journal::Error::Broken(journal::Broken::Failed(told))
        };
        let mut left = rows;
        while let Some(first) = left.first() {
            let from = first.position();
            let of = |position: u64, left: &[Row]| left.iter().take_while(|row| row.position() == position).count();
            if let Some(entry) = self.kept.get(from) {
                let (here, rest) = left.split_at(of(from, left));
                in_entry(here, &entry, &mut each).map_err(|row| missing(&row))?;
                left = rest;
                continue;
            }
            let to = run_end(left);
            for record in self.journal.read(from, usize::try_from(to - from + 1).unwrap_or(1))? {
                let (here, rest) = left.split_at(of(record.position, left));
                if !here.is_empty() {
                    in_entry(here, &record.entry, &mut each).map_err(|row| missing(&row))?;
                    left = rest;
                    self.kept.keep(record.position, record.entry);
                }
            }
            if left.first().is_some_and(|row| row.position() == from) {
                return Err(missing(first));
            }
        }
        Ok(())
    }

    /// A page as an envelope.
    pub(super) fn envelope(&self, page: &Page) -> Result<Vec<u8>, journal::Error> {
        let bytes: usize = page.rows.iter().map(|row| row.bytes as usize + 1).sum();
        let mut envelope = Envelope::new(page.next, bytes);
        self.each(&page.rows, |object| envelope.push(object))?;
        Ok(envelope.finish())
    }
}

/// Rows are added whole, and what is half done is not shown: whoever failed while it held the lock left nothing broken.
fn look<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn change<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

fn says_the_same(one: &str, other: &str) -> bool {
    let read = |text| serde_json::from_str::<serde_json::Value>(text).ok();
    read(one).is_some_and(|one| read(other) == Some(one))
}

/// Calls `each` with the objects of these rows of one entry; gives the row of one that is not there.
fn in_entry(rows: &[Row], entry: &[u8], each: &mut impl FnMut(&str)) -> Result<(), Row> {
    let mut all = None;
    for row in rows {
        if let Some(object) = row.object_in(entry) {
            each(object);
            continue;
        }
        // Not where it was expected: all of the entry is read.
        let all = all.get_or_insert_with(|| objects_of(entry).unwrap_or_default());
        each(all.get(row.number()).ok_or(*row)?.get());
    }
    Ok(())
}

pub(super) const IMMUTABLE: &str = "this version is there with other content; versions do not change: send it with a \
                                    later `modified`";
const FOREIGN: &str = "another member brought this object, and alone brings its versions";
const FULL: &str = "there are as many versions of this object as the hub keeps";
const TYPES: &str =
    "the standard does not have this type, and the hub takes no more such types of this member, or of all";

/// The last entry that is read together with the first: as long as not too much between them is read for nothing.
fn run_end(rows: &[Row]) -> u64 {
    let first = rows.first().map_or(0, Row::position);
    let near = rows
        .windows(2)
        .take_while(|two| two[1].position() - two[0].position() <= GAP_MAX && two[1].position() - first < RUN_MAX);
    near.last().map_or(first, |two| two[1].position())
}

/// What the index looks at, where it is known.
fn of_brief(brief: &Brief, bytes: usize) -> NewObject<'_> {
    NewObject { id: &brief.id, spec: brief.spec, version: brief.version, print: brief.print, bytes, after: 0 }
}

/// What the index looks at.
pub(super) fn of_head<'a>(head: &'a Head<'_>, object: &RawValue) -> NewObject<'a> {
    let bytes = object.get().as_bytes();
    let (version, print) = (head.version(), print(bytes));
    NewObject { id: &head.id, spec: head.spec, version, print, bytes: bytes.len(), after: 0 }
}

/// Is this entry one of those that are indexed?
fn is_ours(entry: &[u8]) -> bool {
    let kind = from_kind(entry);
    [&b"objects-"[..], b"findings-changed", b"plan-"].into_iter().any(|ours| kind.starts_with(ours))
}

/// An entry from the word that says its kind. Only its beginning is looked at: nothing before the kind can hold these
/// words.
pub(crate) fn from_kind(entry: &[u8]) -> &[u8] {
    const KIND: &[u8] = b"\"event\":{\"kind\":\"";
    let beginning = entry.get(..KIND_WITHIN).unwrap_or(entry);
    let at = beginning.windows(KIND.len()).position(|window| window == KIND);
    at.and_then(|at| entry.get(at + KIND.len()..)).unwrap_or_default()
}

#[cfg(test)]
mod tests;

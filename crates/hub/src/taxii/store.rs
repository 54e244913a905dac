//! The index of shared objects beside the journal that holds them.

use crate::error::Error;
use alliance::{Entry, Event, Share, objects_of};
use journal::Journal;
use serde_json::value::RawValue;
use share::stix::{Head, StixTime};
use share::taxii::index::print;
use share::taxii::{Envelope, Index, Known, NewObject, Page, Row, Source};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Entries read at a time when the index is made.
const READ_MAX: usize = 1_024;
/// Entries between two that are wanted which are rather read than looked for.
const GAP_MAX: u64 = 8;
/// Most entries read at a time for a page.
const RUN_MAX: u64 = 128;
/// Where the kind of an entry stands at the latest: before it come a version, a time, an author, a handling.
const KIND_WITHIN: usize = 1 << 10;

/// What became of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It was added.
    Added,
    /// It stood there before.
    Same,
    /// A rule said no: why, in words.
    Refused(&'static str),
}

/// Objects that members shared: where they are, and how to read them.
pub(crate) struct Store {
    alliance: String,
    journal: Arc<dyn Journal>,
    index: RwLock<Index>,
    pub(super) statuses: super::status::Statuses,
}

impl Store {
    /// Makes the index from the journal.
    ///
    /// # Errors
    /// Broken: an entry that cannot be read, with its position.
    pub(crate) fn open(alliance: &str, journal: Arc<dyn Journal>) -> Result<Self, Error> {
        let store = Self {
            alliance: alliance.to_owned(),
            journal,
            index: RwLock::default(),
            statuses: super::status::Statuses::default(),
        };
        let (mut at, head) = (0, store.journal.head()?);
        while at < head {
            for record in store.journal.read(at, READ_MAX)? {
                at = record.position + 1;
                if is_of_objects(&record.entry) {
                    let entry = Entry::from_bytes(&record.entry)
                        .map_err(|refusal| Error::Broken(format!("journal entry {}: {refusal}", record.position)))?;
                    store.take(record.position, &entry);
                }
            }
        }
        store.settle();
        Ok(store)
    }

    /// The alliance's name.
    pub(crate) fn alliance(&self) -> &str {
        &self.alliance
    }

    /// Takes an entry into the index; it is shown once it is durable.
    pub(crate) fn take(&self, position: u64, entry: &Entry) {
        match &entry.event {
            Event::ObjectsShared(shared) => {
                let source = Source {
                    collection: shared.collection,
                    author: &shared.member,
                    handling: &entry.handling,
                    position,
                    time: entry.time,
                };
                let mut index = self.change();
                for (at, object) in shared.objects.iter().enumerate() {
                    // It was read before it was taken in.
                    let Ok(head) = Head::read(object) else { continue };
                    index.add(&source, at, &of_head(&head, object));
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
    }

    /// Leaves in a share only what is new, and says what becomes of each object. Called in the order of the journal, so
    /// that of two who bring the same at once one is first.
    pub(crate) fn sort(&self, share: &mut Share) -> BTreeMap<usize, Fate> {
        let index = self.index();
        let mut fates = BTreeMap::new();
        let mut here: BTreeMap<(&str, Option<StixTime>), u64> = BTreeMap::new();
        for object in &share.objects {
            let new = NewObject {
                id: &object.id,
                spec: share::stix::SpecVersion::V21,
                version: object.version,
                print: object.print,
                bytes: 0,
            };
            let fate = match here.get(&(object.id.as_str(), object.version)) {
                Some(print) if *print == object.print => Fate::Same,
                Some(_) if object.version.is_some() => Fate::Refused(IMMUTABLE),
                _ => match index.known(share.collection, &share.member, &new) {
                    Known::New => Fate::Added,
                    Known::Same => Fate::Same,
                    Known::Other(_) => Fate::Refused(IMMUTABLE),
                    Known::Foreign => Fate::Refused(FOREIGN),
                    Known::Full => Fate::Refused(FULL),
                },
            };
            here.insert((&object.id, object.version), object.print);
            fates.insert(object.place, fate);
        }
        drop(index);
        share.retain(|object| fates.get(&object.place) == Some(&Fate::Added));
        fates
    }

    /// The index as it is now.
    pub(super) fn index(&self) -> RwLockReadGuard<'_, Index> {
        // Rows are added whole; what is half done is not shown.
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `each` with the bytes of each row's object, in the order of the rows, which are in the journal's order.
    ///
    /// # Errors
    /// What the journal says; broken if an object is not where the index says.
    pub(super) fn each(&self, rows: &[Row], mut each: impl FnMut(&str)) -> Result<(), journal::Error> {
        let missing = |row: &Row| {
            let told = format!("entry {} has no object {}", row.position(), row.number());
            journal::Error::Broken(journal::Broken::Failed(told))
        };
        let mut left = rows;
        while let Some(first) = left.first() {
            let from = first.position();
            let to = run_end(left);
            for record in self.journal.read(from, usize::try_from(to - from + 1).unwrap_or(1))? {
                let here = left.iter().take_while(|row| row.position() == record.position).count();
                if here > 0 {
                    let objects = objects_of(&record.entry).ok_or_else(|| missing(&left[0]))?;
                    for row in &left[..here] {
                        each(objects.get(row.number()).ok_or_else(|| missing(row))?.get());
                    }
                    left = &left[here..];
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

const IMMUTABLE: &str = "this version is there with other content; versions do not change: send it with a later \
                         `modified`";
const FOREIGN: &str = "another member brought this object, and alone brings its versions";
const FULL: &str = "there are as many versions of this object, or types of objects, as the hub keeps";

/// The last entry that is read together with the first: as long as not too much between them is read for nothing.
fn run_end(rows: &[Row]) -> u64 {
    let first = rows.first().map_or(0, Row::position);
    let near = rows
        .windows(2)
        .take_while(|two| two[1].position() - two[0].position() <= GAP_MAX && two[1].position() - first < RUN_MAX);
    near.last().map_or(first, |two| two[1].position())
}

/// What the index looks at.
pub(super) fn of_head<'a>(head: &'a Head<'_>, object: &RawValue) -> NewObject<'a> {
    let bytes = object.get().as_bytes();
    NewObject { id: &head.id, spec: head.spec, version: head.version(), print: print(bytes), bytes: bytes.len() }
}

/// Is this entry about objects? Only its beginning is looked at: nothing before the kind can hold these words.
fn is_of_objects(entry: &[u8]) -> bool {
    const KIND: &[u8] = b"\"event\":{\"kind\":\"objects-";
    entry.get(..KIND_WITHIN).unwrap_or(entry).windows(KIND.len()).any(|window| window == KIND)
}

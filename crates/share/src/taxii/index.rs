//! Where every object stands: a small row for each version of each object in each collection, in the order of the
//! journal. The bytes stay in the journal.
//!
//! Rows are added by whoever makes the order and shown once they are durable ([`Index::settle`]). A row never moves,
//! so that a place in the order stays a place. All of it can be dropped and made again from the journal.

mod settle;

use super::collection::CollectionId;
use super::cursor::Clock;
use super::ends::KeptEnds;
use super::filter::Version;
use crate::stix::{Kind, SpecVersion, StixTime, id};
use model::{Handling, MemberId, Timestamp, Tlp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most versions that a collection keeps of one object; of one without versions of its own, which every member may
/// bring, of each member.
pub const VERSIONS_MAX: usize = 1_000;
/// Most types of objects that a hub takes beyond those of the standard.
pub const TYPES_MAX: usize = 4_096;
/// Most of them that one member is the first to bring.
pub const MEMBER_TYPES_MAX: usize = 256;
/// Bits of a sequence for the object's number in its entry.
const NUMBER_BITS: u32 = 14;
/// No row.
const NONE: u32 = u32::MAX;

/// One version of one object in one collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// When it was added, in microseconds since 1970; each row of a hub has its own.
    pub added: i64,
    /// The entry of the journal that holds it, and its number in that entry.
    pub sequence: u64,
    /// Which version: `modified`, else `created`, else when it was added.
    pub version: StixTime,
    /// Its length, in bytes.
    pub bytes: u32,
    /// Bytes of the entry after it.
    after: u32,
    uuid: [u8; 16],
    print: u64,
    previous: u32,
    kind: u16,
    shelf: u16,
    author: u16,
    handling: u16,
    flags: u8,
}

/// Who may see a row, and who brought it: their numbers.
pub(super) type Audience = (u16, u16);

/// STIX 2.0.
const OLD: u8 = 1;
/// Taken out of its collection.
const GONE: u8 = 2;
/// It has no version of its own: cyber-observables.
const UNVERSIONED: u8 = 4;

impl Row {
    /// The entry of the journal that holds the object.
    pub const fn position(&self) -> u64 {
        Self::position_of(self.sequence)
    }

    /// The entry that a sequence is of.
    pub const fn position_of(sequence: u64) -> u64 {
        sequence >> NUMBER_BITS
    }

    /// Its number in that entry, from 0.
    pub const fn number(&self) -> usize {
        (self.sequence & ((1 << NUMBER_BITS) - 1)) as usize
    }

    /// The sequence of an object in an entry.
    pub const fn sequence_of(position: u64, number: usize) -> u64 {
        (position << NUMBER_BITS) + number as u64
    }

    /// The object in the bytes of its entry, without reading what stands around it; none where something else stands
    /// there.
    pub fn object_in<'e>(&self, entry: &'e [u8]) -> Option<&'e str> {
        let end = entry.len().checked_sub(self.after as usize)?;
        let bytes = entry.get(end.checked_sub(self.bytes as usize)?..end)?;
        (print(bytes) == self.print).then_some(())?;
        std::str::from_utf8(bytes).ok()
    }

    /// The version of the standard that it follows.
    pub const fn spec(&self) -> SpecVersion {
        if self.flags & OLD != 0 { SpecVersion::V20 } else { SpecVersion::V21 }
    }

    /// Rows with the same audience are seen by the same.
    pub(super) const fn audience(&self) -> Audience {
        (self.handling, self.author)
    }

    /// Its version as filters ask for it.
    pub(super) const fn dated(&self) -> Version {
        Version { time: self.version, spec: self.spec() }
    }

    pub(super) const fn is_gone(&self) -> bool {
        self.flags & GONE != 0
    }

    /// Which object it is a version of, and where.
    pub const fn key(&self) -> Key {
        Key { uuid: self.uuid, kind: self.kind, shelf: self.shelf }
    }
}

/// What an object is known by in a collection.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    uuid: [u8; 16],
    kind: u16,
    shelf: u16,
}

/// A collection's rows, in their order.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    id: CollectionId,
    pub(super) all: Vec<u32>,
    /// Those that everybody may see.
    pub(super) clear: Vec<u32>,
    pub(super) by_kind: BTreeMap<u16, Vec<u32>>,
}

/// A type of objects.
#[derive(Clone, Debug)]
struct Type {
    name: Arc<str>,
    /// Who brought the first object of it; none for those of the standard.
    by: Option<u16>,
}

/// All rows.
#[derive(Clone, Debug)]
pub struct Index {
    rows: Vec<Row>,
    newest: BTreeMap<Key, u32>,
    ends: KeptEnds<Key, Audience>,
    shelves: Vec<Shelf>,
    /// The standard's first, as [`Kind::ALL`] has them.
    kinds: Vec<Type>,
    authors: Vec<MemberId>,
    handlings: Vec<Handling>,
    clock: Clock,
    shown: u32,
    leaving: Vec<u32>,
}

/// Where objects come from: what all objects of an entry share.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Into which collection.
    pub collection: CollectionId,
    /// Who brought them.
    pub author: &'a MemberId,
    /// Who may see them.
    pub handling: &'a Handling,
    /// The entry.
    pub position: u64,
    /// The entry's time.
    pub time: Timestamp,
}

/// An object as the index looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewObject<'a> {
    /// Its identifier, well formed.
    pub id: &'a str,
    /// The standard it follows.
    pub spec: SpecVersion,
    /// Its version, if it has versions.
    pub version: Option<StixTime>,
    /// A short digest of its bytes: [`print`].
    pub print: u64,
    /// Its length, in bytes.
    pub bytes: usize,
    /// Bytes of the entry after it.
    pub after: usize,
}

/// What a collection knows of an object that is to be added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// Nothing, or only other versions: it may come in.
    New,
    /// The same: there is nothing to do.
    Same,
    /// This version with other bytes, in this row.
    Other(Row),
    /// The object was brought by another member, who alone brings its versions.
    Foreign,
    /// There are as many versions as may be.
    Full,
    /// It is of a type that the standard does not have, and there are as many of those, or of this member, as may be.
    Types,
}

/// The types that a member may still be the first to bring: counted over all that is to be added together.
#[derive(Clone, Debug)]
pub struct Room<'a> {
    types: BTreeSet<&'a str>,
    max: usize,
}

impl<'a> Room<'a> {
    /// Is there room for this type, too?
    fn takes(&mut self, name: &'a str) -> bool {
        let takes = self.types.contains(name) || self.types.len() < self.max;
        takes.then(|| self.types.insert(name));
        takes
    }
}

impl Default for Index {
    /// Nothing but the standard's types: nobody can leave others without them.
    fn default() -> Self {
        let kinds = Kind::ALL.iter().map(|kind| Type { name: Arc::from(kind.as_str()), by: None }).collect();
        Self {
            rows: Vec::new(),
            newest: BTreeMap::new(),
            ends: KeptEnds::default(),
            shelves: Vec::new(),
            kinds,
            authors: Vec::new(),
            handlings: Vec::new(),
            clock: Clock::default(),
            shown: 0,
            leaving: Vec::new(),
        }
    }
}

impl Index {
    /// The types that `author` may still be the first to bring. What stands in the journal counts, and stays.
    pub fn room(&self, author: &MemberId) -> Room<'static> {
        let of = self.authors.iter().position(|known| known == author).map(number);
        let own = self.kinds.iter().filter(|kind| kind.by.is_some() && kind.by == of).count();
        let all = self.kinds.len() - Kind::ALL.len();
        let max = MEMBER_TYPES_MAX.saturating_sub(own).min(TYPES_MAX.saturating_sub(all));
        Room { types: BTreeSet::new(), max }
    }

    /// What the collection knows of an object of `author`'s; a type that is new takes its place of the room.
    pub fn known<'o>(
        &self,
        collection: CollectionId,
        author: &MemberId,
        object: &NewObject<'o>,
        room: &mut Room<'o>,
    ) -> Known {
        let Some((name, uuid)) = parts(object.id) else { return Known::Full };
        let Some(kind) = self.kind_number(name) else {
            return if room.takes(name) { Known::New } else { Known::Types };
        };
        let Some(shelf) = self.shelf_of(collection) else { return Known::New };
        let key = Key { uuid, kind, shelf };
        let (mut versions, mut owner) = (0, None);
        for row in self.chain(key).filter(|row| !row.is_gone()) {
            let own = self.authors[usize::from(row.author)] == *author;
            versions += usize::from(own || object.version.is_some());
            owner = Some(row.author);
            match object.version {
                None if row.print == object.print => return Known::Same,
                Some(version) if row.version == version && row.flags & UNVERSIONED == 0 => {
                    return if row.print == object.print { Known::Same } else { Known::Other(*row) };
                }
                _ => {}
            }
        }
        let foreign = owner.is_some_and(|owner| self.authors[usize::from(owner)] != *author);
        match object.version.is_some() && foreign {
            true => Known::Foreign,
            false if versions >= VERSIONS_MAX => Known::Full,
            false => Known::New,
        }
    }

    /// Adds the object with this number in its entry. Entries come in the order of the journal. What was accepted
    /// stays: limits are for [`Index::known`]. An object whose identifier is none, or beyond what can be counted, is
    /// left out.
    pub fn add(&mut self, source: &Source<'_>, at: usize, object: &NewObject<'_>) {
        let (Some((kind, uuid)), false) = (parts(object.id), self.rows.len() >= NONE as usize) else { return };
        let author = interned(&mut self.authors, |known| known == source.author, || source.author.clone());
        let new = || Type { name: Arc::from(kind), by: author };
        let kind = interned(&mut self.kinds, |known| *known.name == *kind, new);
        let handling = interned(&mut self.handlings, |known| known == source.handling, || source.handling.clone());
        let shelf = interned(
            &mut self.shelves,
            |known| known.id == source.collection,
            || Shelf { id: source.collection, all: Vec::new(), clear: Vec::new(), by_kind: BTreeMap::new() },
        );
        let (Some(author), Some(kind), Some(handling), Some(shelf)) = (author, kind, handling, shelf) else { return };
        let added = self.clock.tick(source.time);
        let old = if object.spec == SpecVersion::V20 { OLD } else { 0 };
        let key = Key { uuid, kind, shelf };
        // Fewer than NONE, as was looked at above.
        let row = self.rows.len() as u32;
        let previous = self.newest.insert(key, row).unwrap_or(NONE);
        self.rows.push(Row {
            added,
            sequence: Row::sequence_of(source.position, at),
            version: object.version.unwrap_or_else(|| StixTime::from_micros(added)),
            bytes: u32::try_from(object.bytes).unwrap_or(u32::MAX),
            after: u32::try_from(object.after).unwrap_or(u32::MAX),
            uuid,
            print: object.print,
            previous,
            kind,
            shelf,
            author,
            handling,
            flags: old | if object.version.is_none() { UNVERSIONED } else { 0 },
        });
        let everybody = source.handling.tlp == Tlp::Clear && source.handling.group.is_none();
        let shelf = &mut self.shelves[usize::from(shelf)];
        shelf.all.push(row);
        shelf.by_kind.entry(kind).or_default().push(row);
        if everybody {
            shelf.clear.push(row);
        }
    }

    /// Rows that are shown.
    pub const fn len(&self) -> usize {
        self.shown as usize
    }

    /// Is nothing shown?
    pub const fn is_empty(&self) -> bool {
        self.shown == 0
    }

    /// The identifier of a row's object.
    pub fn id(&self, row: &Row) -> String {
        let kind = self.kinds.get(usize::from(row.kind)).map_or("", |kind| &kind.name);
        format!("{kind}--{}", id::uuid_text(&row.uuid))
    }

    /// Who brought a row's object.
    pub fn author(&self, row: &Row) -> Option<&MemberId> {
        self.authors.get(usize::from(row.author))
    }

    /// Who may see a row's object.
    pub fn handling(&self, row: &Row) -> Option<&Handling> {
        self.handlings.get(usize::from(row.handling))
    }

    /// Versions of an object in a collection that are shown, from the one that was added last.
    pub fn versions(&self, collection: CollectionId, id: &str) -> impl Iterator<Item = &Row> {
        self.key(collection, id).into_iter().flat_map(|key| self.chain(key)).filter(|row| self.is_shown(row))
    }

    /// The row of the object that stands at this place in the order, if it is shown.
    pub fn at(&self, sequence: u64) -> Option<&Row> {
        let at = self.rows.partition_point(|row| row.sequence < sequence);
        self.rows.get(at).filter(|row| row.sequence == sequence && self.is_shown(row))
    }

    /// Versions of an object that are shown, in every collection that has it.
    pub fn everywhere(&self, id: &str) -> impl Iterator<Item = &Row> {
        self.shelves.iter().flat_map(move |shelf| self.versions(shelf.id, id))
    }

    /// The collection that a row is in.
    pub fn collection(&self, row: &Row) -> Option<CollectionId> {
        self.shelves.get(usize::from(row.shelf)).map(|shelf| shelf.id)
    }

    pub(super) fn shelf(&self, collection: CollectionId) -> Option<&Shelf> {
        self.shelves.iter().find(|shelf| shelf.id == collection)
    }

    pub(super) fn kind_number(&self, name: &str) -> Option<u16> {
        self.kinds.iter().position(|known| *known.name == *name).map(number)
    }

    /// The row with this number, if it is shown.
    pub(super) fn row(&self, at: u32) -> Option<&Row> {
        self.rows.get(at as usize).filter(|row| at < self.shown && !row.is_gone())
    }

    /// The row with this number, shown or not.
    pub(super) fn any(&self, at: u32) -> Option<&Row> {
        self.rows.get(at as usize)
    }

    /// The type of a row's object.
    pub fn kind_of(&self, row: &Row) -> Option<&str> {
        self.kinds.get(usize::from(row.kind)).map(|kind| &*kind.name)
    }

    /// The numbers of the rows of an object, shown or not, from the one that was added last.
    pub(super) fn numbers(&self, collection: CollectionId, id: &str) -> impl Iterator<Item = u32> {
        let newest = self.key(collection, id).and_then(|key| self.newest.get(&key).copied());
        std::iter::successors(newest, |at| {
            self.rows.get(*at as usize).map(|row| row.previous).filter(|previous| *previous != NONE)
        })
    }

    fn is_shown(&self, row: &Row) -> bool {
        let last = self.shown.checked_sub(1).and_then(|last| self.rows.get(last as usize));
        !row.is_gone() && last.is_some_and(|last| row.sequence <= last.sequence)
    }

    fn shelf_of(&self, collection: CollectionId) -> Option<u16> {
        self.shelves.iter().position(|shelf| shelf.id == collection).map(number)
    }

    fn key(&self, collection: CollectionId, id: &str) -> Option<Key> {
        let (kind, uuid) = parts(id)?;
        Some(Key { uuid, kind: self.kind_number(kind)?, shelf: self.shelf_of(collection)? })
    }

    fn chain(&self, key: Key) -> impl Iterator<Item = &Row> + Clone {
        let newest = self.newest.get(&key).and_then(|at| self.rows.get(*at as usize));
        std::iter::successors(newest, |row| self.rows.get(row.previous as usize))
    }
}

/// A short digest of an object's bytes: the same bytes have the same one. Others may too, if somebody looks for them:
/// then what stands already stays, which harms nobody.
pub fn print(bytes: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut chunks = bytes.chunks_exact(8);
    let mut mixed = (&mut chunks).fold(bytes.len() as u64, |sum, chunk| {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        (sum.rotate_left(23) ^ word).wrapping_mul(ODD)
    });
    for byte in chunks.remainder() {
        mixed = (mixed.rotate_left(23) ^ u64::from(*byte)).wrapping_mul(ODD);
    }
    mixed ^ mixed >> 29
}

fn parts(id: &str) -> Option<(&str, [u8; 16])> {
    let (kind, text) = id::split("id", id).ok()?;
    Some((kind, id::uuid(text)?))
}

/// The place of a name in its table, which holds at most 65,535.
fn number(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

fn interned<T>(names: &mut Vec<T>, same: impl Fn(&T) -> bool, name: impl FnOnce() -> T) -> Option<u16> {
    if let Some(known) = names.iter().position(same) {
        return Some(number(known));
    }
    if names.len() >= usize::from(u16::MAX) {
        return None;
    }
    names.push(name());
    Some(number(names.len() - 1))
}

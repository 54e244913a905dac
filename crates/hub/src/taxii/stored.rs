//! Stored objects that a request refers to: whose are taken, and how much is read for one request.

use super::roots::Access;
use super::subjects;
use crate::core::Core;
use serde_json::{Map, Value};
use share::stix::{Class, Kind, back, sco};
use share::taxii::Row;
use std::collections::{BTreeMap, BTreeSet};

/// Most stored objects that are read for one request.
const STORED_MAX: usize = 10_000;
/// Most bytes of them.
const STORED_BYTES_MAX: usize = 16 << 20;
/// Most objects of the alliance's own findings that are written for one request.
const FINDINGS_MAX: usize = 1_000;
/// Most members whose object of the same identifier is looked at.
const OTHERS_MAX: usize = 4;

/// Whose objects are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The caller's own: what only its author may say.
    Own,
    /// The caller's own, and where it has none another's, as long as that one is what its identifier says.
    Any,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// Objects, byte for byte.
    pub(super) texts: Vec<String>,
    /// What was not read: there is too much of it.
    pub(super) left: BTreeSet<String>,
}

/// Objects of the collection that the caller may see, each in its latest version.
pub(super) fn find(core: &Core, access: &Access, whose: Whose, ids: &BTreeSet<&str>) -> Found {
    let mut found = Found::default();
    let (ours, theirs): (Vec<&str>, Vec<&str>) =
        ids.iter().copied().partition(|id| back::finding_marked(core.taxii.tag(), id).is_some());
    if whose == Whose::Any {
        found.texts = subjects::texts_of(core, access, ours.get(..FINDINGS_MAX).unwrap_or(&ours));
        found.left.extend(ours.iter().skip(FINDINGS_MAX).map(|id| (*id).to_owned()));
    }
    let mut rows: Vec<(Row, Option<&str>)> = Vec::new();
    let mut bytes = 0;
    for (n, id) in theirs.into_iter().enumerate() {
        let of_id = if n < STORED_MAX { candidates(core, access, whose, id) } else { Vec::new() };
        bytes += of_id.iter().map(|(row, _)| row.bytes as usize).sum::<usize>();
        match n < STORED_MAX && bytes <= STORED_BYTES_MAX {
            true => rows.extend(of_id.into_iter().map(|(row, check)| (row, check.then_some(id)))),
            false => drop(found.left.insert(id.to_owned())),
        }
    }
    rows.sort_by_key(|(row, _)| row.sequence);
    let places: Vec<Row> = rows.iter().map(|(row, _)| *row).collect();
    let (mut checks, mut known) = (rows.iter().map(|(_, check)| *check), BTreeSet::new());
    // What cannot be read now is as if it were not there: what refers to it says less.
    let _ = core.taxii.each(&places, |text| {
        let is_right = checks.next().flatten().is_none_or(|id| is_what_it_says(text, id) && known.insert(id));
        if is_right {
            found.texts.push(text.to_owned());
        }
    });
    found
}

/// The rows that may be meant by an identifier, and whether their content has to be held against it.
///
/// Everybody may bring an observable under any identifier. The caller means its own; what another brought could be any
/// value, and would be the caller's report: it counts where the identifier is made of the value.
fn candidates(core: &Core, access: &Access, whose: Whose, id: &str) -> Vec<(Row, bool)> {
    let index = core.taxii.index();
    let caller = access.caller.as_ref().map(|caller| &caller.member);
    let mut others: BTreeMap<_, Row> = BTreeMap::new();
    let mut own: Option<Row> = None;
    let later = |row: &Row, than: &Row| row.version > than.version;
    for row in index.versions(access.shelf, id) {
        let (Some(handling), Some(author)) = (index.handling(row), index.author(row)) else { continue };
        if Some(author) == caller {
            own = own.filter(|own| !later(row, own)).or(Some(*row));
        } else if own.is_none() && whose == Whose::Any {
            let known = others.get(author);
            let more = known.is_some() || others.len() < OTHERS_MAX;
            if more && known.is_none_or(|known| later(row, known)) && access.sees(handling, author) {
                others.insert(author, *row);
            }
        }
    }
    let check = Kind::of(id.split_once("--").map_or("", |(kind, _)| kind)).class() == Class::Observable;
    match own {
        Some(own) => vec![(own, false)],
        None => others.into_values().map(|row| (row, check)).collect(),
    }
}

/// Is the identifier of this observable the one that its value makes (STIX 2.1 §2.9)?
fn is_what_it_says(text: &str, id: &str) -> bool {
    let Ok(object) = serde_json::from_str::<Map<String, Value>>(text) else { return false };
    let kind = Kind::of(id.split_once("--").map_or("", |(kind, _)| kind));
    matches!(sco::identifier(kind, &object), Ok(Some(made)) if made == id)
}

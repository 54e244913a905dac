//! How much is looked at for a page.

use super::super::collection::Root;
use super::super::ends::MANY;
use super::super::index::{NewObject, Source, VERSIONS_MAX};
use super::*;
use crate::stix::SpecVersion;
use model::{Timestamp, Tlp};
use std::cell::Cell;

fn collection() -> CollectionId {
    CollectionId::of("test", &Root::Alliance, "sightings")
}

fn member(n: usize) -> MemberId {
    ["cloud", "bank"][n % 2].parse().unwrap()
}

/// Adds a version of the object of this number as the entry of this position.
fn add(index: &mut Index, object: usize, position: usize, handling: &Handling) {
    let id = format!("ipv4-addr--{object:08x}-1111-4111-8111-111111111111");
    let (position, author) = (position as u64, &member(position));
    let source = Source { collection: collection(), author, handling, position, time: Timestamp::MIN };
    let spec = SpecVersion::V21;
    index.add(&source, 0, &NewObject { id: &id, spec, version: None, print: position, bytes: 1, after: 0 });
}

/// So many versions of so many objects, in turns.
fn in_turns(objects: usize, versions: usize, handlings: &[Handling]) -> Index {
    let mut index = Index::default();
    for n in 0..objects * versions {
        add(&mut index, n % objects, n, &handlings[n / objects % handlings.len()]);
    }
    index.settle();
    index
}

fn green() -> [Handling; 1] {
    [Handling::alliance(Tlp::Green)]
}

fn after(position: usize) -> Filter {
    Filter { next: Some(Next(Row::sequence_of(position as u64, 0) - 1)), ..Filter::default() }
}

fn is_brief(index: &Index, filter: &Filter) -> bool {
    index.is_brief(&Ask { collection: collection(), public: false, filter, sees: &|_, _| true })
}

#[test]
fn a_page_of_many_versions_takes_as_many_steps_as_there_are_rows() {
    let (objects, versions) = (100, VERSIONS_MAX - 1);
    let index = in_turns(objects, versions, &green());
    let asked = Cell::new(0);
    let sees = |_: &Handling, _: &MemberId| {
        asked.set(asked.get() + 1);
        true
    };
    let ask = Ask { collection: collection(), public: false, filter: &Filter::default(), sees: &sees };
    let mut walk = Walk::new(&index, &ask);
    assert!(index.shelf(collection()).unwrap().all.iter().all(|at| walk.take(*at)));
    assert_eq!(walk.looked_at, objects * versions + objects, "each row by itself, and once for its object");
    assert_eq!(asked.get(), 2, "once for each author");
    assert_eq!((walk.page.rows.len(), walk.page.next), (objects, None), "of each object the last");
}

/// Three hundred objects of a thousand versions each had taken 1,500 pages of 200,000 steps.
#[test]
fn versions_in_turns_are_gone_through_in_as_many_pages_as_their_rows_take() {
    let (objects, versions) = (300, VERSIONS_MAX);
    let index = in_turns(objects, versions, &green());
    let (mut filter, mut pages) = (Filter::default(), Vec::new());
    loop {
        let page = index.page(&Ask { collection: collection(), public: false, filter: &filter, sees: &|_, _| true });
        pages.push(page.rows.len());
        filter.next = page.next;
        if filter.next.is_none() {
            break;
        }
    }
    assert_eq!(pages, [0, objects], "{} rows, of which {LOOKED_AT_MAX} are looked at for a page", objects * versions);
}

/// What one member can do to make a page slow: each handling that it may choose, for a thousand versions.
#[test]
fn an_object_costs_a_page_no_more_than_the_audiences_that_its_versions_have() {
    let markings = [Tlp::Clear, Tlp::Green, Tlp::Amber, Tlp::AmberStrict];
    let of = |(tlp, unnamed)| Handling { unnamed, ..Handling::alliance(tlp) };
    let handlings: Vec<Handling> = markings.into_iter().flat_map(|tlp| [(tlp, false), (tlp, true)]).map(of).collect();
    let index = in_turns(3, VERSIONS_MAX, &handlings);
    let sees = |handling: &Handling, _: &MemberId| handling.tlp == Tlp::Clear;
    let filter = after(3 * VERSIONS_MAX - 24);
    let ask = Ask { collection: collection(), public: false, filter: &filter, sees: &sees };
    let mut walk = Walk::new(&index, &ask);
    let list = &index.shelf(collection()).unwrap().all;
    assert!(index.after(list, &filter).iter().all(|at| walk.take(*at)));
    assert_eq!(walk.looked_at, 24 + 3 * handlings.len(), "each row by itself, and each handling once for its object");
    assert_eq!(walk.page.rows.len(), 3, "of each object the last that is seen");
}

#[test]
fn who_adds_and_takes_out_again_makes_no_object_longer_than_it_may_be() {
    let mut index = in_turns(1, MANY, &green());
    let id = "ipv4-addr--00000000-1111-4111-8111-111111111111";
    for position in (0..1_000).map(|n| MANY + 2 * n) {
        add(&mut index, 0, position, &green()[0]);
        index.settle();
        index.delete(collection(), &member(position), id, &[]);
        index.settle();
    }
    let other = index.numbers(collection(), id).count();
    assert_eq!(other, MANY / 2, "those of the other member, and none of those that are gone");
    index.delete(collection(), &member(1), id, &[]);
    index.settle();
    assert_eq!(index.numbers(collection(), id).next(), None);
}

#[test]
fn a_page_is_brief_if_little_is_looked_at_for_it() {
    let (objects, versions) = (100, 999);
    let mut index = in_turns(objects, versions, &green());
    let rows = objects * versions;
    assert!(!is_brief(&index, &Filter::default()));
    assert!(is_brief(&index, &after(rows - 9)), "nine rows, and the ends of each one's object");
    // Objects that have too few versions for their ends to be kept.
    for n in 0..3 * (MANY - 1) {
        add(&mut index, objects + n % 3, rows + n, &green()[0]);
    }
    index.settle();
    let rows = rows + 3 * (MANY - 1);
    assert!(!is_brief(&index, &after(rows - 3)), "three rows, and fifteen versions of each one's object");
    for n in 0..9 {
        add(&mut index, 2 * objects + n, rows + n, &green()[0]);
    }
    index.settle();
    assert!(is_brief(&index, &after(rows)), "nine rows by themselves");
}

//! Walks through collections of servers that keep to the standard, and of some that do not.

use super::*;
use crate::limits::Limits;
use proptest::prelude::*;
use serde_json::json;

/// A time in the years that words hold.
const T: i64 = 1_700_000_000_000_000;

fn object(n: usize) -> String {
    json!({
        "type": "tool", "spec_version": "2.1", "id": format!("tool--00000000-0000-4000-8000-{n:012x}"),
        "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "name": "x",
    })
    .to_string()
}

/// How a server pages.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// With `next`.
    Next,
    /// With `more` alone.
    More,
}

/// A collection: the times of adding of its objects, ascending.
struct Server {
    added: Vec<i64>,
    way: Way,
    page_max: usize,
}

impl Server {
    /// Answers as §3.4 and §3.5 say: envelope, first and last time.
    fn answer(&self, pairs: &[(&'static str, String)]) -> (String, Option<i64>, Option<i64>) {
        let value = |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        let after = value("added_after").map_or(i64::MIN, |text| cursor::micros("added_after", text).unwrap());
        let limit = value("limit").unwrap().parse::<usize>().unwrap().min(self.page_max);
        let from = value("next").map_or(0, |next| next.parse::<usize>().unwrap());
        let matching: Vec<usize> = (from..self.added.len()).filter(|n| self.added[*n] > after).collect();
        let shown: Vec<usize> = matching.iter().copied().take(limit).collect();
        let more = matching.len() > shown.len();
        let objects: Vec<String> = shown.iter().map(|n| object(*n)).collect();
        let next = match (self.way, shown.last()) {
            (Way::Next, Some(last)) if more => format!(r#","next":"{}""#, last + 1),
            _ => String::new(),
        };
        let time = |n: Option<&usize>| n.map(|n| self.added[*n]);
        let body = format!(r#"{{"more":{more}{next},"objects":[{}]}}"#, objects.join(","));
        (body, time(shown.first()), time(shown.last()))
    }
}

/// Walks to the end, with a restart from what was written down before every page if `restarts`.
fn walk(server: &Server, place: Place, restarts: bool) -> (Vec<String>, Place, Vec<Quirk>) {
    let (mut walk, mut taken, mut quirks) = (Walk::new(Wish::default(), place), Vec::new(), Vec::new());
    for _ in 0..2_000 {
        let (body, first, last) = server.answer(&walk.ask());
        let page = Page::read(body.as_bytes()).unwrap();
        let came = walk.take(&page, first, last);
        let fresh = page.good.iter().zip(&came.fresh).filter(|(_, fresh)| **fresh);
        taken.extend(fresh.map(|(picked, _)| picked.head.id.to_string()));
        quirks.extend(came.quirks);
        if !came.more {
            return (taken, walk.place().clone(), quirks);
        }
        if restarts {
            let text = serde_json::to_string(walk.place()).unwrap();
            walk = Walk::new(Wish::default(), serde_json::from_str(&text).unwrap());
        }
    }
    panic!("a walk without an end");
}

fn all(count: usize) -> Vec<String> {
    let id = |n| serde_json::from_str::<serde_json::Value>(&object(n)).unwrap()["id"].as_str().unwrap().to_owned();
    (0..count).map(id).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However many objects share one time: while a page has room for them, none is missed and none comes twice.
    #[test]
    fn every_object_is_taken_once_across_pages_restarts_and_walks(
        steps in proptest::collection::vec(0_i64..3, 1..120),
        page_max in 40_usize..60,
        way in prop_oneof![Just(Way::Next), Just(Way::More)],
        cut in 0_usize..120,
        restarts: bool,
    ) {
        // Runs of one time of adding shorter than a page.
        let mut added: Vec<i64> = Vec::new();
        for step in &steps {
            let last = added.last().copied().unwrap_or(T);
            let same = added.iter().rev().take_while(|time| **time == last).count();
            added.push(if same >= 30 { last + 1 } else { last + step });
        }
        let whole = Server { added, way, page_max };
        let early = Server { added: whole.added[..cut.min(whole.added.len())].to_vec(), way, page_max };
        let (mut taken, place, quirks) = walk(&early, Place::default(), restarts);
        prop_assert!(quirks.is_empty(), "{quirks:?}");
        let (more, place, _) = walk(&whole, place, restarts);
        taken.extend(more);
        prop_assert_eq!(&taken, &all(whole.added.len()));
        prop_assert!(walk(&whole, place, restarts).0.is_empty(), "an idle look brings nothing");
    }

    #[test]
    fn whatever_is_answered_a_walk_ends_and_takes_nothing_twice_in_a_row(
        answers in proptest::collection::vec(
            (any::<bool>(), proptest::option::of(0_u8..4), 0_usize..6, proptest::option::of(-3_i64..9)), 1..40),
    ) {
        let mut walk = Walk::new(Wish::default(), Place::default());
        let mut asked = 0;
        for (more, next, n, last) in answers.iter().cycle().take(50_000) {
            let next = next.map_or(String::new(), |next| format!(r#","next":"{next}""#));
            let body = format!(r#"{{"more":{more}{next},"objects":[{}]}}"#, object(*n));
            let taken = walk.take(&Page::read(body.as_bytes()).unwrap(), *last, *last);
            asked += 1;
            if !taken.more { break; }
        }
        prop_assert!(asked <= PAGES_MAX, "{asked}");
    }
}

#[test]
fn more_objects_of_one_time_than_a_page_holds_are_passed_and_said() {
    let server = Server { added: vec![T; 100], way: Way::More, page_max: 30 };
    let (taken, _, quirks) = walk(&server, Place::default(), false);
    assert_eq!((taken.len(), quirks), (30, vec![Quirk::Crowded]));
    let server = Server { way: Way::Next, ..server };
    let (taken, place, quirks) = walk(&server, Place::default(), true);
    assert_eq!((taken, quirks), (all(100), vec![]), "`next` leads through them");
    assert!(walk(&server, place, true).0.is_empty());
}

#[test]
fn a_server_that_turns_in_circles_is_left() {
    let mut walk = Walk::new(Wish::default(), Place::default());
    let same = format!(r#"{{"more":true,"next":"a","objects":[{}]}}"#, object(1));
    assert!(walk.take(&Page::read(same.as_bytes()).unwrap(), Some(5), Some(5)).more);
    let taken = walk.take(&Page::read(same.as_bytes()).unwrap(), Some(5), Some(5));
    assert_eq!((taken.more, taken.quirks, taken.fresh), (false, vec![Quirk::Circle], vec![false]));
    assert_eq!((walk.place().last, walk.place().next.as_deref()), (Some(5), None));
    // Ever new places and nothing in them.
    let mut walk = Walk::new(Wish::default(), Place::default());
    let mut pages = 0;
    let quirks = loop {
        let empty = format!(r#"{{"more":true,"next":"{pages}"}}"#);
        let taken = walk.take(&Page::read(empty.as_bytes()).unwrap(), None, None);
        pages += 1;
        if !taken.more {
            break taken.quirks;
        }
    };
    assert_eq!((quirks, pages), (vec![Quirk::Circle], IDLE_PAGES_MAX));
}

#[test]
fn what_is_missing_is_said_and_the_next_walk_begins_where_this_one_did() {
    for (body, quirk) in [
        (format!(r#"{{"more":true,"objects":[{}]}}"#, object(1)), Quirk::NoWayOn),
        (format!(r#"{{"objects":[{}]}}"#, object(1)), Quirk::NoDates),
    ] {
        let mut walk = Walk::new(Wish { since: Some(T), ..Wish::default() }, Place::default());
        let taken = walk.take(&Page::read(body.as_bytes()).unwrap(), None, None);
        assert_eq!((taken.more, taken.quirks), (false, vec![quirk]));
        assert!(walk.ask().contains(&("added_after", cursor::text(T))));
        let again = walk.take(&Page::read(body.as_bytes()).unwrap(), None, None);
        assert_eq!(again.fresh, [false], "and takes nothing twice while it is remembered");
    }
}

#[test]
fn a_time_to_come_is_no_place_to_go_on_from() {
    let walk_on = |place: Place, objects: &[usize], first: i64, last: i64| {
        let mut walk = Walk::new(Wish::default(), place);
        let given_up = walk.believe_until(T + 100);
        let texts: Vec<String> = objects.iter().map(|n| object(*n)).collect();
        let body = format!(r#"{{"objects":[{}]}}"#, texts.join(","));
        let taken = walk.take(&Page::read(body.as_bytes()).unwrap(), Some(first), Some(last));
        (given_up, taken, walk.place().clone())
    };
    // Of three objects the last one has a time that no server can have.
    let (_, taken, place) = walk_on(Place::default(), &[1, 2, 3], T, 9 * T);
    assert_eq!((taken.fresh, taken.quirks, place.last), (vec![true; 3], vec![Quirk::Ahead], Some(T)));
    // What comes between is seen, and nothing twice.
    let (_, taken, place) = walk_on(place, &[1, 2, 4, 3], T, 9 * T);
    assert_eq!((taken.fresh, place.last), (vec![false, false, true, false], Some(T)));
    let (_, taken, again) = walk_on(place, &[3], 9 * T, 9 * T);
    assert_eq!((taken.fresh, taken.quirks, again.last), (vec![false], vec![Quirk::Ahead], Some(T)));
    // A server that has no other times has none.
    let (_, taken, _) = walk_on(Place::default(), &[1], 9 * T, 9 * T);
    assert_eq!(taken.quirks, [Quirk::NoDates, Quirk::Ahead]);
    // What was written down before such times were known is given up.
    let (given_up, taken, place) = walk_on(Place { last: Some(9 * T), ..Place::default() }, &[5], T, T);
    assert_eq!((given_up, taken.fresh, place.last), (true, vec![true], Some(T)));
}

#[test]
fn a_request_repeats_its_filters_beside_next() {
    let types = ["indicator".to_owned(), "sighting".to_owned()].into();
    let wish = Wish { types, every_version: true, since: Some(T) };
    let mut walk = Walk::new(wish, Place { last: Some(T + 10), ..Place::default() });
    let asked = walk.ask();
    let body = format!(r#"{{"more":true,"next":"n&x","objects":[{}]}}"#, object(1));
    walk.take(&Page::read(body.as_bytes()).unwrap(), Some(T + 20), Some(T + 30));
    let mut again = walk.ask();
    assert_eq!(again.pop(), Some(("next", "n&x".to_owned())));
    assert_eq!(again, asked, "also the time after which the walk began");
    assert!(walk.forget_next() && !walk.forget_next());
    assert!(walk.ask().contains(&("added_after", cursor::text(T + 29))));
    assert!(walk.ask_for_less() && walk.ask().contains(&("limit", "500".to_owned())));
    while walk.ask_for_less() {}
    assert!(walk.ask().contains(&("limit", "1".to_owned())));
}

#[test]
fn bad_objects_are_named_and_the_good_ones_taken() {
    let long = "x".repeat(Limits::ENVELOPE.object_bytes);
    let deep = "[".repeat(40) + &"]".repeat(40);
    let (good, no_id, last) = (object(1), r#"{"type":"tool"}"#, object(2));
    let body = format!(
        r#"{{"objects":[7,{good},{no_id},{{"type":"tool","id":"tool--x"}},{{"a":"{long}"}},{{"a":{deep}}},{last}]}}"#
    );
    let page = Page::read(body.as_bytes()).unwrap();
    assert_eq!(page.good.iter().map(|picked| picked.place).collect::<Vec<_>>(), [1, 6]);
    assert_eq!(page.good[0].head.raw.get(), good, "byte for byte");
    assert_eq!(page.bad.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
    assert!(Page::read(b"{}").unwrap().good.is_empty());
    for none in ["", "[]", "7", r#"{"objects":7}"#, r#"{"objects":{}}"#, "{", "\u{feff}{}"] {
        assert!(Page::read(none.as_bytes()).is_err(), "{none}");
    }
}

#[test]
fn a_server_may_put_us_off_for_an_hour_at_most() {
    let now: Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
    for (text, wanted) in [
        ("7", Some(7)),
        ("0", Some(0)),
        ("999999999999999999999999", Some(3_600)),
        ("Sun, 22 Nov 2026 10:00:30 GMT", Some(30)),
        ("Sun, 22 Nov 2026 09:00:00 GMT", Some(0)),
        ("Mon, 23 Nov 2026 10:00:00 GMT", Some(3_600)),
        ("soon", None),
        ("", None),
        ("-1", None),
    ] {
        assert_eq!(retry_after(text, now), wanted.map(Span::seconds), "{text}");
    }
}

#[test]
fn wishes_have_limits() {
    let of = |types: Vec<String>| Wish { types: types.into_iter().collect(), ..Wish::default() }.check();
    assert!(of(vec!["indicator".to_owned(), "x-mitre-tactic".to_owned()]).is_ok());
    assert!(of(vec!["indicator,malware".to_owned()]).is_err());
    assert!(of((0..=TYPES_MAX).map(|n| format!("x-t{n}")).collect()).is_err());
}

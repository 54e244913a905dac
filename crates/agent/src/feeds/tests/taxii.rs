//! Collections of odd servers, and what stands on another page, read as the agent reads them.

use super::http::serve;
use super::{GREEN, indicator};
use crate::config::PullConfig;
use crate::core::{Fed, Mark};
use crate::feeds::deliver::deliver;
use crate::feeds::reader::{Here, Reader, Step};
use crate::feeds::remote::{Other, Remote, Trouble};
use crate::feeds::sort::Sorted;
use crate::strip::{Strip, StripConfig};
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use observe::Networks;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const STATEMENT: &str = "marking-definition--00000000-1111-4111-8111-111111111111";
/// A time of adding.
const T: i64 = 1_767_225_600_000_000;

/// A collection: each object with its time of adding. `page` at once, at most.
#[derive(Default)]
struct Collection {
    objects: Vec<(i64, Value)>,
    page: usize,
    /// What is answered to a `next`, in place of a page.
    to_next: Option<StatusCode>,
    /// By what was asked.
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Collection>>;

async fn list(State(shared): State<Shared>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let mut held = shared.lock().unwrap();
    held.asked.push(query.get("next").map_or("page", |_| "next").to_owned());
    if let Some(status) = held.to_next.filter(|_| query.contains_key("next")) {
        return status.into_response();
    }
    let micros = |text: &String| share::taxii::cursor::micros("added_after", text).unwrap();
    let after = query.get("added_after").map_or(i64::MIN, micros);
    let types: Option<Vec<&str>> = query.get("match[type]").map(|types| types.split(',').collect());
    let is_asked =
        |object: &Value| types.as_ref().is_none_or(|types| types.contains(&object["type"].as_str().unwrap()));
    let from = query.get("next").map_or(0, |next| next.parse::<usize>().unwrap());
    let matching = held.objects.iter().enumerate().skip(from);
    let matching: Vec<_> = matching.filter(|(_, (at, object))| *at > after && is_asked(object)).collect();
    let limit = held.page.min(query["limit"].parse().unwrap());
    let shown = &matching[..matching.len().min(limit)];
    let objects: Vec<&Value> = shown.iter().map(|(_, (_, object))| object).collect();
    let mut body = json!({ "objects": objects, "more": matching.len() > shown.len() });
    let (Some((_, (first, _))), Some((at, (last, _)))) = (shown.first(), shown.last()) else {
        return body.to_string().into_response();
    };
    if body["more"] == true {
        body["next"] = (at + 1).to_string().into();
    }
    let text = |micros: &i64| share::taxii::cursor::text(*micros);
    let dates = [("x-taxii-date-added-first", text(first)), ("x-taxii-date-added-last", text(last))];
    (dates, body.to_string()).into_response()
}

async fn one(State(shared): State<Shared>, Path((_, id)): Path<(String, String)>) -> Response {
    let mut held = shared.lock().unwrap();
    held.asked.push(id.clone());
    match held.objects.iter().find(|(_, object)| object["id"] == *id) {
        Some((_, object)) => json!({ "objects": [object] }).to_string().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A server of one collection, and its address.
async fn server(objects: Vec<(i64, Value)>, page: usize) -> (Shared, String) {
    let shared: Shared = Arc::new(Mutex::new(Collection { objects, page, ..Collection::default() }));
    let router = Router::new()
        .route("/api/collections/{collection}/objects/", get(list))
        .route("/api/collections/{collection}/objects/{id}/", get(one));
    let url = serve(router.with_state(Arc::clone(&shared))).await;
    (shared, url)
}

fn reader(url: &str, rest: &str) -> Reader {
    let text = format!("name = 'a'\nkind = 'taxii'\ncollection = 'c'\n{rest}\n[from]\nurl = '{url}'");
    Reader::open(toml::from_str::<PullConfig>(&text).unwrap()).unwrap()
}

async fn step(reader: &mut Reader, mark: Option<&Mark>) -> Result<Step, Trouble> {
    let strip = Strip::new(&StripConfig::default(), &serde_json::from_str::<Networks>("[]").unwrap());
    reader.step(mark, &Here { alliance: "ours", strip: &strip }).await
}

/// One round: everything that was sorted, and how far it is then.
async fn round(reader: &mut Reader, mut mark: Option<Mark>) -> (Sorted, Option<Mark>, Vec<&'static str>) {
    reader.begin().unwrap();
    let (mut sorted, mut odd) = (Sorted::default(), Vec::new());
    loop {
        let step = step(reader, mark.as_ref()).await.unwrap();
        sorted.add(step.sorted);
        odd.extend(step.odd);
        // As it is written down.
        let text = serde_json::to_string(&Fed { mark: Some(step.mark), ..Fed::default() }).unwrap();
        mark = serde_json::from_str::<Fed>(&text).unwrap().mark;
        if !step.more {
            return (sorted, mark, odd);
        }
    }
}

fn definition() -> Value {
    json!({ "type": "marking-definition", "spec_version": "2.1", "id": STATEMENT, "created": "2026-01-01T00:00:00Z",
        "definition_type": "statement", "definition": {"statement": "(c)"} })
}

fn marked(n: u32) -> Value {
    let mut object = indicator(n, &format!("[ipv4-addr:value = '80.0.0.{n}']"), STATEMENT);
    object["object_marking_refs"] = json!([STATEMENT, GREEN]);
    object
}

fn ids(sorted: &Sorted) -> Vec<String> {
    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["id"].as_str().unwrap().to_owned();
    sorted.objects.iter().map(|object| id(object.get())).collect()
}

#[tokio::test]
async fn a_marking_that_was_defined_in_an_earlier_round_counts_also_after_a_restart() {
    let (server, url) = server(vec![(T, definition()), (T + 1, marked(1))], 1_000).await;
    let mut first = reader(&url, "");
    let (sorted, mark, _) = round(&mut first, None).await;
    assert_eq!(ids(&sorted), [STATEMENT, marked(1)["id"].as_str().unwrap()]);
    server.lock().unwrap().objects.push((T + 10, marked(2)));
    let (sorted, _, _) = round(&mut first, mark.clone()).await;
    assert_eq!(ids(&sorted), [marked(2)["id"].as_str().unwrap()], "{sorted:?}");
    assert!(!server.lock().unwrap().asked.iter().any(|asked| asked == STATEMENT), "it is known");
    let mut restarted = reader(&url, "");
    let (sorted, mark, _) = round(&mut restarted, mark).await;
    assert_eq!(ids(&sorted), [STATEMENT, marked(2)["id"].as_str().unwrap()], "with what it means: {sorted:?}");
    // One that is nowhere is asked for once, and what it marks is refused.
    let nowhere = "marking-definition--00000000-3333-4333-8333-333333333333";
    for n in [3, 4] {
        let object = indicator(n, "[ipv4-addr:value = '80.0.0.3']", nowhere);
        server.lock().unwrap().objects.push((T + 20, object));
    }
    let (sorted, ..) = round(&mut restarted, mark).await;
    assert_eq!((sorted.counts["refused:marking"], sorted.objects.len()), (2, 0), "{sorted:?}");
    assert_eq!(server.lock().unwrap().asked.iter().filter(|asked| *asked == nowhere).count(), 1);
}

#[tokio::test]
async fn with_some_types_the_definitions_of_their_markings_come_too() {
    let (_, url) = server(vec![(T, definition()), (T + 1, marked(1))], 1_000).await;
    let types = "types = ['indicator', 'sighting', 'observed-data', 'ipv4-addr', 'domain-name']";
    let (sorted, ..) = round(&mut reader(&url, types), None).await;
    assert_eq!(ids(&sorted), [STATEMENT, marked(1)["id"].as_str().unwrap()], "{sorted:?}");
}

#[tokio::test]
async fn evidence_counts_over_the_border_of_a_page_and_after_a_restart() {
    let common = |kind: &str, n: u32| {
        let id = format!("{kind}--{n:08x}-1111-4111-8111-111111111111");
        json!({ "type": kind, "spec_version": "2.1", "id": id, "created": "2026-01-01T00:00:00.000Z",
            "modified": "2026-01-01T00:00:00.000Z", "object_marking_refs": [GREEN] })
    };
    let mut many = indicator(1, "[ipv4-addr:value = '80.0.0.1']", GREEN);
    // What it is by itself says nothing, and a sighting of it does.
    many["valid_until"] = json!("2026-01-02T00:00:00Z");
    let mut sighting = common("sighting", 2);
    sighting["sighting_of_ref"] = many["id"].clone();
    let address = json!({ "type": "ipv4-addr", "spec_version": "2.1", "value": "80.0.0.2",
        "id": "ipv4-addr--00000003-1111-4111-8111-111111111111" });
    let observed = |n: u32| {
        let mut data = common("observed-data", n);
        data["first_observed"] = json!("2026-01-01T00:00:00Z");
        data["last_observed"] = json!("2026-01-01T00:00:00Z");
        data["number_observed"] = json!(1);
        data["object_refs"] = json!([address["id"]]);
        data["labels"] = json!(["scan"]);
        data
    };
    let mut nothing = common("sighting", 9);
    nothing["sighting_of_ref"] = json!("indicator--00000009-1111-4111-8111-111111111111");
    let objects = [many, sighting, address.clone(), observed(4), nothing];
    let objects = (T..).zip(objects).collect();
    let (server, url) = server(objects, 1).await;
    let own = "as = 'own'\nhandling = { tlp = 'green' }";
    let (sorted, mark, _) = round(&mut reader(&url, own), None).await;
    let seen: Vec<String> = sorted.sightings.iter().map(|sighting| sighting.observable.to_string()).collect();
    assert_eq!(seen, ["80.0.0.1", "80.0.0.2"], "{sorted:?}");
    assert_eq!(sorted.counts["skipped:unresolved"], 1, "what is nowhere: {sorted:?}");
    // The same address once more, which is not new.
    server.lock().unwrap().objects.push((T + 10, observed(5)));
    let (sorted, ..) = round(&mut reader(&url, own), mark).await;
    assert_eq!(sorted.sightings.len(), 1, "{sorted:?}");
}

#[tokio::test]
async fn a_place_that_a_server_does_not_know_any_more_is_given_up() {
    for status in [StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR] {
        let object = |n: u32| indicator(n, &format!("[ipv4-addr:value = '80.0.0.{n}']"), GREEN);
        let (server, url) = server((0..4).map(|n| (T + i64::from(n), object(n))).collect(), 2).await;
        let mut first = reader(&url, "");
        first.begin().unwrap();
        let begun = step(&mut first, None).await.unwrap();
        assert!(begun.more);
        let Mark::Taxii(place) = &begun.mark else { panic!() };
        assert_eq!(place.next.as_deref(), Some("2"));
        // It runs out while the agent is not there. The server goes on by time, with all on one page.
        {
            let mut held = server.lock().unwrap();
            (held.to_next, held.page) = (Some(status), 10);
        }
        let mut restarted = reader(&url, "");
        let (mut tries, step) = (0, loop_until(&mut restarted, &begun.mark).await);
        tries += step.1;
        assert_eq!(tries, if status.is_server_error() { 2 } else { 0 }, "{status}");
        assert_eq!(ids(&step.0.sorted), [object(2)["id"].as_str().unwrap(), object(3)["id"].as_str().unwrap()]);
        assert!(step.0.odd.iter().any(|odd| odd.contains("its own place")), "{:?}", step.0.odd);
        let Mark::Taxii(place) = &step.0.mark else { panic!() };
        assert_eq!((&place.next, place.last), (&None, Some(T + 3)));
    }
    let (_, url) = server(Vec::new(), 1).await;
    let mut lost = reader(&url.replace("/api/", "/elsewhere/"), "");
    let error = step(&mut lost, None).await.err().unwrap().to_string();
    assert!(error.contains("no such collection"), "{error}");
}

/// A step that gets through, and how many rounds failed before.
async fn loop_until(reader: &mut Reader, mark: &Mark) -> (Step, usize) {
    for failed in 0..10 {
        reader.begin().unwrap();
        if let Ok(step) = step(reader, Some(mark)).await {
            return (step, failed);
        }
    }
    panic!("it stands still");
}

#[tokio::test]
async fn a_time_of_adding_that_has_not_come_holds_nothing_up() {
    let object = |n: u32| indicator(n, &format!("[ipv4-addr:value = '80.0.0.{n}']"), GREEN);
    let future = 4_070_908_800_000_000; // 2099
    let (server, url) = server(vec![(T, object(1)), (future, object(2))], 1_000).await;
    let mut reader = reader(&url, "");
    let (sorted, mark, odd) = round(&mut reader, None).await;
    assert_eq!(sorted.objects.len(), 2);
    assert!(odd.iter().any(|odd| odd.contains("a time to come")), "{odd:?}");
    server.lock().unwrap().objects.insert(1, (T + 5, object(3)));
    let (sorted, ..) = round(&mut reader, mark).await;
    assert_eq!(ids(&sorted), [object(3)["id"].as_str().unwrap()], "{sorted:?}");
    // A place that was written down when such times were believed.
    let place = share::taxii::Place { last: Some(future), ..Default::default() };
    let (sorted, mark, _) = round(&mut reader, Some(Mark::Taxii(place))).await;
    assert_eq!(sorted.objects.len(), 3);
    assert!(matches!(mark, Some(Mark::Taxii(place)) if place.last.is_some_and(|last| last < future)));
}

/// Sends three objects to a server that answers so, and when it is asked again so; gives what became of them, and
/// whether anything is odd.
async fn sent(answer: &'static str, again: &'static [&'static str]) -> (Result<(), Trouble>, Sorted, bool) {
    let (asked, odd) = (Arc::new(AtomicUsize::new(0)), AtomicBool::new(false));
    let status = move || {
        let text = again[asked.fetch_add(1, Ordering::SeqCst).min(again.len() - 1)];
        async move { text }
    };
    let router = Router::new()
        .route("/api/collections/c/objects/", post(move || async move { answer }))
        .route("/api/status/7/", get(status));
    let to = format!("url = '{}'", serve(router).await);
    let to = Remote::Other(Other::open(&toml::from_str(&to).unwrap()).unwrap());
    let objects = vec![RawValue::from_string("{}".to_owned()).unwrap(); 3];
    let mut sorted = Sorted::default();
    let done = deliver(&to, "", "c", &objects, &mut sorted, |_| odd.store(true, Ordering::SeqCst)).await;
    (done, sorted, odd.into_inner())
}

#[tokio::test]
async fn a_server_that_says_yes_and_nothing_else_has_taken_what_was_sent() {
    for answer in ["OK", "[]", r#"{"id":"7","status":"complete","success_count":3,"failure_count":"no"}"#, "\u{1}"] {
        let (done, sorted, odd) = sent(answer, &[]).await;
        assert_eq!((done, sorted.counts["pending_there"], odd), (Ok(()), 3, true), "{answer}: {sorted:?}");
    }
    for answer in ["", "{}", r#"{"id":"7","status":"complete","success_count":3,"failure_count":null}"#] {
        let (done, sorted, odd) = sent(answer, &[]).await;
        assert_eq!((done, sorted.counts["objects"], odd), (Ok(()), 3, false), "{answer}: {sorted:?}");
    }
    // It says later what became of it, after it has said something else.
    let again = &["<html>", r#"{"pending_count":"no"}"#, r#"{"status":"complete","failure_count":1}"#];
    let (done, sorted, _) = sent(r#"{"id":"7","status":"pending"}"#, again).await;
    assert_eq!((done, sorted.counts["objects"], sorted.counts["refused:there"]), (Ok(()), 2, 1), "{sorted:?}");
}

#[tokio::test]
async fn a_page_for_people_is_no_answer_of_a_server() {
    for page in ["\n<!DOCTYPE html><title>Sign in</title>", "\u{feff}<taxii_11:Status_Message/>"] {
        let (done, sorted, _) = sent(page, &[]).await;
        let told = done.unwrap_err().to_string();
        assert!(
            told.contains("not as a TAXII 2.1 server") && told.contains(page.trim().trim_matches('\u{feff}')),
            "{told}"
        );
        assert!(sorted.counts.is_empty(), "nothing was taken: {sorted:?}");
    }
}

#[tokio::test]
async fn what_was_taken_counts_as_waiting_where_nobody_says_what_became_of_it() {
    let pending = r#"{"id":"7","status":"pending","failure_count":1,"failures":[{"id":"x"}]}"#;
    let none = r#"{"status":"pending"}"#;
    for (body, status, waiting) in [
        (pending, StatusCode::NOT_FOUND, 2),
        (pending, StatusCode::GONE, 2),
        (pending, StatusCode::FORBIDDEN, 2),
        (none, StatusCode::NOT_FOUND, 3),
    ] {
        let router = Router::new()
            .route("/api/collections/c/objects/", post(move || async move { (StatusCode::ACCEPTED, body) }))
            .route("/api/status/7/", get(move || async move { status }));
        let text = format!("url = '{}'", serve(router).await);
        let to = Remote::Other(Other::open(&toml::from_str(&text).unwrap()).unwrap());
        let objects = vec![RawValue::from_string("{}".to_owned()).unwrap(); 3];
        let mut sorted = Sorted::default();
        deliver(&to, "", "c", &objects, &mut sorted, |odd| panic!("{odd}")).await.unwrap();
        let refused = sorted.counts.get("refused:there").copied().unwrap_or_default();
        assert_eq!((sorted.counts["pending_there"], refused), (waiting, 3 - waiting), "{status}: {sorted:?}");
        assert_eq!(sorted.counts.get("objects"), None, "{sorted:?}");
    }
}

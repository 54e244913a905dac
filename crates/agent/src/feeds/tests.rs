//! What becomes of a page, object by object.

mod http;
mod misp;
mod taxii;

use super::aside;
use super::push::Choice;
use super::sort::{Rules, Sorted, sort};
use crate::config::{Becomes, PushConfig};
use crate::strip::{Strip, StripConfig};
use model::{Behaviour, FindingId, Grade, Handling, Sensor, Timestamp, Tlp};
use observe::Networks;
use serde_json::{Value, json};
use share::Defaults;
use share::stix::{Head, Markings, Writer, back, ours};
use share::taxii::client::Page;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const GREEN: &str = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb";
const AMBER: &str = "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421";

fn indicator(n: u32, pattern: &str, marking: &str) -> Value {
    json!({
        "type": "indicator", "spec_version": "2.1", "id": format!("indicator--{n:08x}-1111-4111-8111-111111111111"),
        "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "labels": ["scan"],
        "pattern_type": "stix", "pattern": pattern, "valid_from": "2026-01-01T00:00:00Z",
        "object_marking_refs": [marking],
    })
}

fn sorted(objects: &[Value], becomes: Becomes) -> Sorted {
    let body = json!({ "objects": objects }).to_string();
    let page = Page::read(body.as_bytes()).unwrap();
    let config = StripConfig { names: ["corp.example".to_owned()].into(), ..StripConfig::default() };
    let own: Networks = serde_json::from_str("[\"198.51.100.0/24\"]").unwrap();
    let strip = Strip::new(&config, &own);
    let handling = Handling::alliance(Tlp::Amber);
    let defaults = Defaults { handling, behaviour: None, sensor: Sensor::List, grade: Grade::Spoofable };
    let latest: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let (alliance, tlp_max) = ("ours", Tlp::Green);
    let rules = Rules { alliance, becomes, defaults: &defaults, tlp_max, strip: &strip, latest };
    sort(&page, &vec![true; objects.len()], &[], &Markings::new("ours", []), &rules)
}

#[test]
fn what_others_say_is_passed_on_as_it_came_and_the_rest_is_left_out_with_its_reason() {
    let finding = FindingId::of(&model::Digest::of(&[b"x"]));
    let mut echo = indicator(1, "[ipv4-addr:value = '80.0.0.1']", GREEN);
    echo["id"] = back::indicator_id("ours", &finding).into();
    let mut author = indicator(2, "[ipv4-addr:value = '80.0.0.2']", GREEN);
    author["created_by_ref"] = ours::alliance_id("ours").into();
    let mut theirs = indicator(3, "[ipv4-addr:value = '80.0.0.3']", GREEN);
    theirs["id"] = back::indicator_id("theirs", &finding).into();
    let mut unmarked = indicator(4, "[ipv4-addr:value = '80.0.0.4']", GREEN);
    unmarked.as_object_mut().unwrap().remove("object_marking_refs");
    let mut late = indicator(5, "[ipv4-addr:value = '80.0.0.5']", GREEN);
    late["modified"] = json!("2027-01-01T00:00:00.000Z");
    let group = "marking-definition--00000000-1111-4111-8111-111111111111";
    let objects = [
        echo,
        author,
        theirs.clone(),
        unmarked,
        late,
        indicator(6, "[ipv4-addr:value = '80.0.0.6']", AMBER),
        indicator(7, "[ipv4-addr:value = '80.0.0.7']", group),
        indicator(8, "[ipv4-addr:value = '198.51.100.7']", GREEN),
        indicator(9, "[domain-name:value = 'vpn.corp.example']", GREEN),
        json!({"type": "indicator"}),
    ];
    let sorted = sorted(&objects, Becomes::Objects);
    let passed: Vec<&str> = sorted.objects.iter().map(|object| object.get()).collect();
    assert_eq!(passed, [theirs.to_string()], "another alliance's finding of the same observable is no echo");
    let counts: Vec<(&str, u64)> = sorted.counts.iter().map(|(what, count)| (what.as_str(), *count)).collect();
    let wanted = [
        ("echo", 2),
        ("refused:future", 1),
        ("refused:malformed", 1),
        ("refused:marking", 3),
        ("stripped:own_name", 1),
        ("stripped:own_prefix", 1),
    ];
    assert_eq!(counts, wanted);
    assert!(
        sorted.samples.iter().any(|sample| sample.contains("indicator--00000008") && sample.contains("own_prefix"))
    );
    assert!(sorted.sightings.is_empty());
}

#[test]
fn an_identity_that_nobody_marked_goes_with_what_it_made_and_no_other_does() {
    let identity = |n: u32| {
        let id = format!("identity--{n:08x}-1111-4111-8111-111111111111");
        json!({ "type": "identity", "spec_version": "2.1", "id": id,
            "created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "name": format!("n{n}"),
            "identity_class": "organization" })
    };
    let [author, of_amber, victim, mut secret, mut within] = [1, 2, 3, 4, 5].map(identity);
    secret["object_marking_refs"] = json!([AMBER]);
    within["name"] = json!("vpn.corp.example");
    let by = |n: u32, who: &Value, marking: &str| {
        let mut object = indicator(n, &format!("[ipv4-addr:value = '80.0.0.{n}']"), marking);
        object["created_by_ref"] = who["id"].clone();
        object
    };
    let good = [by(1, &author, GREEN), by(3, &secret, GREEN), by(4, &within, GREEN)];
    let mut objects = vec![author.clone(), of_amber.clone(), victim, secret, within, by(2, &of_amber, AMBER)];
    objects.extend(good.clone());
    let sorted = sorted(&objects, Becomes::Objects);
    let passed: Vec<&str> = sorted.objects.iter().map(|object| object.get()).collect();
    let wanted: Vec<String> = [author].iter().chain(&good).map(Value::to_string).collect();
    assert_eq!(passed, wanted);
    assert_eq!((sorted.counts["refused:marking"], sorted.counts["stripped:own_name"]), (4, 1), "{:?}", sorted.counts);
}

#[test]
fn own_sensors_become_sightings_and_an_alliances_finding_never_does() {
    let finding = FindingId::of(&model::Digest::of(&[b"x"]));
    let mut theirs = indicator(1, "[ipv4-addr:value = '80.0.0.1']", GREEN);
    theirs["extensions"] = json!({ ours::EXTENSION: {"extension_type": "property-extension", "finding": finding} });
    let mut revoked = indicator(2, "[ipv4-addr:value = '80.0.0.2']", GREEN);
    revoked["revoked"] = json!(true);
    let objects = [
        theirs,
        revoked,
        indicator(3, "[ipv4-addr:value = '80.0.0.3']", AMBER),
        indicator(4, "[ipv4-addr:value = '198.51.100.4']", GREEN),
        indicator(5, "[file:name = 'x']", GREEN),
    ];
    let sorted = sorted(&objects, Becomes::Own);
    let [one] = &sorted.sightings[..] else { panic!("{:?}", sorted.sightings) };
    assert_eq!((one.observable.to_string(), one.behaviour), ("80.0.0.3".to_owned(), Behaviour::Scan));
    assert_eq!((one.handling.tlp, one.grade), (Tlp::Amber, Grade::Spoofable));
    let counts: Vec<&str> = sorted.counts.keys().map(String::as_str).collect();
    assert_eq!(counts, ["skipped:finding", "skipped:not_reducible", "skipped:revoked", "stripped:own_prefix"]);
    assert!(sorted.objects.is_empty());
}

/// A finding's objects as tools give them out that make identifiers and authors of their own, drop what they do not
/// know and keep the rest.
fn renamed(alliance: &str, n: u32) -> Vec<Value> {
    let written = Writer { alliance, hub: None, named: &|_| true };
    let finding = finding(3.0, "corroborated", "green");
    let mut objects = written.finding(&finding, finding.made);
    let ids: Vec<String> = objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect();
    for (object, place) in objects.iter_mut().zip(0..) {
        let fields = object.as_object_mut().unwrap();
        fields.remove("extensions");
        fields.insert("labels".to_owned(), json!(["scan"]));
        if fields.insert("created_by_ref".to_owned(), json!("identity--f431f809-377b-45e0-aa1c-6a4751cae5ff")).is_none()
        {
            // An observable has no author, and is called as everybody calls it.
            fields.remove("created_by_ref");
        }
        let mut text = object.to_string();
        for (id, at) in ids.iter().zip(0..) {
            let kind = id.split("--").next().unwrap();
            let other = format!("{kind}--{n:08x}-2222-4222-8222-{at:012x}");
            text = if kind == "ipv4-addr" { text } else { text.replace(id.as_str(), &other) };
        }
        *object = serde_json::from_str(&text).unwrap();
        assert!(object["type"] == "ipv4-addr" || object["id"] != ids[place], "{object}");
    }
    objects
}

#[test]
fn what_came_back_under_another_name_is_an_echo() {
    let (ours, theirs) = (renamed("ours", 1), renamed("theirs", 2));
    let kinds: Vec<&str> = ours.iter().map(|object| object["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["indicator", "observed-data", "ipv4-addr", "sighting", "sighting", "note"]);
    for objects in [&ours, &theirs] {
        let own = sorted(objects, Becomes::Own);
        assert_eq!((own.counts["echo"], own.sightings.len()), (5, 0), "no finding is evidence: {own:?}");
        for object in objects {
            let own = sorted(&[object.clone(), ours[2].clone()], Becomes::Own);
            assert!(own.sightings.is_empty(), "nor one object of it by itself: {own:?}");
        }
    }
    let passed = sorted(&ours, Becomes::Objects);
    assert_eq!((passed.counts["echo"], passed.objects.len()), (5, 1), "all but the address: {passed:?}");
    let passed = sorted(&theirs, Becomes::Objects);
    assert_eq!((passed.counts.get("echo"), passed.objects.len()), (None, 6), "{passed:?}");
    // Before references named the alliance.
    let mut of_old = ours[0].clone();
    of_old["external_references"][0]["source_name"] = json!("epimachia");
    assert_eq!(sorted(&[of_old], Becomes::Own).counts["echo"], 1);
    let mut other = indicator(9, "[ipv4-addr:value = '80.0.0.9']", GREEN);
    other["external_references"] = json!([null, {"source_name": "epimachia ours", "external_id": "our ticket 7"},
        {"source_name": "epimachian", "external_id": ours[0]["external_references"][0]["external_id"]},
        {"source_name": "cve", "external_id": ours[0]["external_references"][0]["external_id"]}]);
    assert_eq!(sorted(&[other.clone()], Becomes::Own).sightings.len(), 1, "a word of ours is no way back");
    other["external_references"].as_array_mut().unwrap().push(ours[0]["external_references"][0].clone());
    assert_eq!(sorted(&[other], Becomes::Own).counts["echo"], 1, "one that is not well formed hides no other");
}

/// A finding of two members, as the hub shows it to a third.
fn finding(points: f64, state: &str, tlp: &str) -> model::Finding {
    let line = |member: &str| {
        json!({"member": member, "grade": "handshake", "weight": 1.5, "age_days": 0.0, "decay": 1.0,
               "dependence": 0.0, "points": points / 2.0, "note": ""})
    };
    let observable: model::Observable = "80.1.1.1".parse().unwrap();
    serde_json::from_value(json!({
        "id": model::finding_id(&observable, Behaviour::Scan.family()), "observable": observable,
        "family": Behaviour::Scan.family(), "behaviours": ["scan"], "state": state,
        "actionable": state == "corroborated",
        "sum": {"lines": [line("telecom"), line("cloud")], "cut": 0.0, "total": points, "threshold": 2.0},
        "guard": null, "handling": {"tlp": tlp}, "first": "2026-01-01T00:00:00Z", "last": "2026-01-01T00:00:00Z",
        "made": "2026-01-01T00:00:00Z",
    }))
    .unwrap()
}

/// Types of what goes, and the outcomes of what does not.
fn pushed(finding: &model::Finding, config: &str) -> (Vec<String>, Vec<String>) {
    let text = format!("name = 'b'\ncollection = 'c'\n{config}\n[to]\nurl = 'http://127.0.0.1:9/'");
    let config: PushConfig = toml::from_str(&text).unwrap();
    let objects = Writer { alliance: "ours", hub: None, named: &|_| true }.finding(finding, finding.made);
    let body = json!({ "objects": objects }).to_string();
    let page = Page::read(body.as_bytes()).unwrap();
    let heads: Vec<&Head<'_>> = page.good.iter().map(|picked| &picked.head).collect();
    let is_ours = |head: &Head<'_>| back::finding_of("ours", &head.id).is_some();
    assert!(heads.iter().filter(|head| head.kind.as_str() != "ipv4-addr").all(|head| is_ours(head)));
    let mut sorted = Sorted::default();
    let chosen = Choice::new(&config, "ours").of(&heads, &mut sorted);
    let kind = |text: &str| serde_json::from_str::<Value>(text).unwrap()["type"].as_str().unwrap().to_owned();
    let kinds = chosen.iter().map(|object| kind(object.get())).collect();
    assert!(Choice::new(&config, "another").of(&heads, &mut Sorted::default()).len() <= 1, "only ours go");
    (kinds, sorted.counts.into_keys().collect())
}

#[test]
fn a_partner_gets_what_it_may_see_and_no_members_name() {
    let (kinds, kept) = pushed(&finding(3.0, "corroborated", "green"), "");
    assert_eq!((kinds, kept), (names("indicator observed-data ipv4-addr"), names("kept:names_members")));
    let (kinds, _) = pushed(&finding(3.0, "corroborated", "green"), "audience = 'organisation'");
    assert_eq!(kinds, names("indicator observed-data ipv4-addr sighting sighting note"));
    for (tlp, config) in [("amber", ""), ("green", "audience = 'public'"), ("green", "tlp_max = 'clear'")] {
        let (kinds, kept) = pushed(&finding(3.0, "corroborated", tlp), config);
        assert_eq!((kinds, kept), (names(""), names("kept:marking")), "{tlp} {config}");
    }
}

#[test]
fn what_is_too_weak_stays_and_what_is_over_is_always_told() {
    assert_eq!(pushed(&finding(3.0, "corroborated", "green"), "points_least = 4.0").0, names(""));
    assert_eq!(pushed(&finding(3.0, "observed", "green"), "actionable = true").1, names("kept:score"));
    let (kinds, _) = pushed(&finding(0.0, "revoked", "green"), "points_least = 4.0\nactionable = true");
    assert_eq!(kinds, names("indicator observed-data ipv4-addr opinion"));
}

#[tokio::test]
async fn a_feed_that_is_busy_holds_nobody_up_and_ends_with_the_agent() {
    let long = Duration::from_secs(120);
    let (inputs, inbox) = mpsc::channel(1);
    let (begun, begins) = oneshot::channel();
    let (end, ends) = std::sync::mpsc::channel::<()>();
    // As one that reads a page of 32 MiB: it gives way to nobody.
    let busy = aside(inputs.clone(), async move {
        begun.send(()).unwrap();
        ends.recv_timeout(long).unwrap();
    });
    begins.await.unwrap();
    end.send(()).unwrap();
    busy.await.unwrap();
    let waits = aside(inputs, std::future::pending());
    drop(inbox);
    tokio::time::timeout(long, waits).await.unwrap().unwrap();
}

fn names(text: &str) -> Vec<String> {
    text.split(' ').filter(|name| !name.is_empty()).map(ToOwned::to_owned).collect()
}

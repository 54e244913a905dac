//! The words through STIX and back, and what other people's objects come to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod support;

use model::{Behaviour, FindingState, Grade, Ground, Handling, Observable, Sensor, Sighting, SightingId, Tlp};
use proptest::prelude::*;
use serde_json::{Value, json};
use share::stix::{Context, Markings, PlanAt, Split, Stage, StixTime, Writer, back};
use share::{Defaults, Limits, Reading, Skip, Word};
use support::{ALLIANCE, STATES, finding, member};

fn defaults() -> Defaults {
    let handling = Handling::alliance(Tlp::Amber);
    Defaults { handling, behaviour: None, sensor: Sensor::List, grade: Grade::Spoofable }
}

/// Reads a document as if it came in on 2 June 2026; findings of ours are those of `support::finding`.
fn read_with(document: &str, defaults: &Defaults) -> Reading {
    read_up_to(document, defaults, usize::MAX)
}

fn read_up_to(document: &str, defaults: &Defaults, words_max: usize) -> Reading {
    let split = Split::read(document.as_bytes(), &Limits::ENVELOPE).unwrap();
    let ours = finding(FindingState::Corroborated).id;
    let groups = ["banks".parse().unwrap()];
    let context = Context {
        defaults,
        markings: Markings::new(ALLIANCE, &groups),
        finding: &|id| (id == back::indicator_id(ALLIANCE, &ours)).then_some(ours),
        latest: StixTime::parse("now", "2026-06-02T00:00:00Z").unwrap(),
        words_max,
    };
    let reading = share::stix::read(&split.objects, context);
    for (place, named) in &reading.mentions {
        assert_eq!(*named, share::search::mentions(split.objects[*place]), "found as what is read later would be");
    }
    reading
}

fn read(objects: &[Value]) -> Reading {
    read_with(&json!({ "type": "bundle", "id": "bundle--1", "objects": objects }).to_string(), &defaults())
}

fn sightings(reading: &Reading) -> Vec<&Sighting> {
    reading.sightings().map(|(_, sighting)| sighting).collect()
}

fn values(reading: &Reading) -> Vec<String> {
    sightings(reading).iter().map(|sighting| sighting.observable.to_string()).collect()
}

fn object(kind: &str, number: u8, rest: Value) -> Value {
    let mut object = json!({
        "type": kind, "spec_version": "2.1", "id": format!("{kind}--00000000-0000-4000-8000-0000000000{number:02x}"),
        "created": "2026-06-01T00:00:00.000Z", "modified": "2026-06-01T00:00:00.000Z",
    });
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

fn indicator(number: u8, pattern: &str, rest: Value) -> Value {
    let mut base = json!({
        "pattern": pattern, "pattern_type": "stix", "valid_from": "2026-05-01T00:00:00Z", "labels": ["phishing"],
    });
    base.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object("indicator", number, base)
}

const URL: &str = "[url:value = 'http://a.example/']";

fn words() -> impl Strategy<Value = Sighting> {
    let observable = prop_oneof![
        any::<[u8; 4]>().prop_map(|a| Observable::Address(a.into())),
        "[a-z]{1,8}\\.example".prop_map(|name| name.parse().unwrap()),
        any::<[u8; 3]>().prop_map(|[a, b, c]| format!("{a}.{b}.{c}.0/24").parse().unwrap()),
    ];
    let times = (1_700_000_000_000_i64..1_780_000_000_000, 0..100_000_000_i64);
    let handling = (prop::sample::select(&Tlp::ALL[..4]), any::<bool>());
    let kinds =
        (prop::sample::select(Behaviour::ALL), prop::sample::select(Sensor::ALL), prop::sample::select(Grade::ALL));
    (observable, times, 1..999_999_999_u32, handling, kinds).prop_map(|(observable, times, count, handling, kinds)| {
        let first = model::Timestamp::from_millis(times.0);
        Sighting {
            observable,
            behaviour: kinds.0,
            first,
            last: first.plus(model::Span::millis(times.1)),
            count,
            sensor: kinds.1,
            grade: kinds.2,
            handling: Handling::new(handling.0, handling.1.then(|| "banks".parse().unwrap())),
        }
    })
}

proptest! {
    #[test]
    fn a_sighting_survives_the_way_through_stix(sighting in words()) {
        let writer = Writer { alliance: ALLIANCE, hub: None, named: &|_| true };
        let author = member("telecom");
        let id = SightingId::of(&model::Digest::of(&[b"x"]));
        let mut objects = writer.common([&sighting.handling], [&author]);
        objects.extend(writer.sighting(&sighting, &id, &author, sighting.last));
        let reading = read(&objects);
        prop_assert!(reading.refused.is_empty(), "{:?}", reading.refused);
        prop_assert_eq!(sightings(&reading), vec![&sighting]);
    }
}

#[test]
fn a_finding_is_no_evidence_when_it_comes_back() {
    for state in support::STATES {
        let writer = Writer { alliance: ALLIANCE, hub: Some("https://hub.example"), named: &|_| true };
        let finding = finding(state);
        let reading = read_with(&writer.findings([(&finding, finding.first)]).to_string(), &defaults());
        assert!(reading.refused.is_empty() && sightings(&reading).is_empty(), "{state}: {reading:?}");
    }
    let elsewhere = Writer { alliance: "another", hub: None, named: &|_| true };
    let mut other = finding(FindingState::Corroborated);
    other.id = model::finding_id(&"http://b.example/".parse().unwrap(), model::Family::ALL[0]);
    let reading = read_with(&elsewhere.findings([(&other, other.first)]).to_string(), &defaults());
    assert!(sightings(&reading).is_empty() && reading.skipped.iter().any(|(_, skip)| *skip == Skip::Finding));
}

#[test]
fn a_finding_under_other_names_is_no_evidence_when_it_comes_back() {
    let writer = Writer { alliance: ALLIANCE, hub: Some("https://hub.example"), named: &|_| true };
    let finding = finding(FindingState::Corroborated);
    let mut objects = writer.finding(&finding, finding.first);
    for (object, n) in objects.iter_mut().zip(0..).filter(|(object, _)| object["type"] != "url") {
        assert_eq!(object["external_references"][0]["source_name"], format!("epimachia {ALLIANCE}"), "{object}");
        let url = format!("https://hub.example/api/v1/findings/{}", finding.id);
        assert_eq!(object["external_references"][0]["url"], url, "{object}");
        object["id"] = format!("{}--{n:08x}-2222-4222-8222-222222222222", object["type"].as_str().unwrap()).into();
        object["labels"] = json!(["scan"]);
        object.as_object_mut().unwrap().remove("extensions");
    }
    let said = |objects: &[Value]| sightings(&read(objects)).len();
    assert_eq!(said(&objects), 0);
    let observed = objects.iter_mut().find(|object| object["type"] == "observed-data").unwrap();
    observed.as_object_mut().unwrap().remove("external_references");
    assert_eq!(said(&objects), 1, "it would be, if it did not say so");
}

#[test]
fn opinions_on_our_findings_become_disputes_and_agreements() {
    let finding = finding(FindingState::Corroborated).id;
    let about = |opinion: &str, rest: Value| {
        let mut base = json!({ "opinion": opinion, "object_refs": [back::indicator_id(ALLIANCE, &finding)] });
        base.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        read(&[object("opinion", 1, base)])
    };
    let long = "x".repeat(2_000);
    for (opinion, rest, ground, reason) in [
        (
            "strongly-disagree",
            json!({ "explanation": "ours, and clean", "labels": ["own-asset"] }),
            Ground::OwnAsset,
            "ours, and clean",
        ),
        ("disagree", json!({ "explanation": &long }), Ground::FalsePositive, &long[..500]),
        ("disagree", json!({ "labels": ["stale"] }), Ground::Stale, "The sender disagrees and does not say why"),
    ] {
        let wanted = Word::Dispute { finding, ground, reason: reason.to_owned() };
        assert_eq!(about(opinion, rest).words, [(0, wanted)]);
    }
    assert_eq!(about("agree", json!({})).words, [(0, Word::Agreement { finding })]);
    assert_eq!(about("neutral", json!({})).skipped, [(0, Skip::Context)]);
    assert_eq!(about("never", json!({})).refused[0].1.field, "opinion");
    let stranger = json!({ "opinion": "disagree", "object_refs": ["indicator--00000000-0000-4000-8000-000000000009"] });
    assert_eq!(read(&[object("opinion", 1, stranger)]).skipped, [(0, Skip::Context)]);
}

#[test]
fn revocations_become_disputes_of_ours_and_retractions_of_theirs() {
    let finding = finding(FindingState::Corroborated).id;
    let mut ours = indicator(1, URL, json!({ "revoked": true }));
    ours["id"] = back::indicator_id(ALLIANCE, &finding).into();
    let reading = read(&[ours, indicator(2, URL, json!({ "revoked": true }))]);
    assert!(matches!(reading.words[0].1, Word::Dispute { finding: found, .. } if found == finding));
    let observables = ["http://a.example/".parse().unwrap()].into();
    assert_eq!(reading.words[1].1, Word::Retraction { observables, behaviour: Some(Behaviour::Phishing) });
}

#[test]
fn an_indicator_says_what_its_pattern_means() {
    let reading = read(&[indicator(1, "[domain-name:value IN ('a.example', 'b.example')]", json!({}))]);
    assert_eq!(values(&reading), ["a.example", "b.example"]);
    let seen = sightings(&reading)[0];
    assert_eq!((seen.behaviour, seen.sensor, seen.grade), (Behaviour::Phishing, Sensor::List, Grade::Spoofable));
    assert_eq!(
        (seen.first.to_string(), seen.last.to_string()),
        ("2026-05-01T00:00:00Z".into(), "2026-06-01T00:00:00Z".into())
    );
    assert_eq!(seen.handling, Handling::alliance(Tlp::Amber));
}

#[test]
fn what_says_nothing_says_why() {
    for (object, skip) in [
        (indicator(1, "rule x {}", json!({ "pattern_type": "yara" })), Skip::OtherLanguage),
        (indicator(1, "[process:name = 'x']", json!({})), Skip::NotReducible),
        (indicator(1, URL, json!({ "valid_until": "2026-05-20T00:00:00Z" })), Skip::Expired),
        (indicator(1, URL, json!({ "labels": ["malicious-activity"] })), Skip::NoBehaviour),
        (object("malware", 1, json!({ "is_family": false })), Skip::Context),
        (
            object(
                "sighting",
                1,
                json!({ "sighting_of_ref": "malware--00000000-0000-4000-8000-000000000001", "count": 0 }),
            ),
            Skip::NotSeen,
        ),
        (
            object("sighting", 1, json!({ "sighting_of_ref": "malware--00000000-0000-4000-8000-000000000001" })),
            Skip::Unresolved,
        ),
    ] {
        assert_eq!(read(std::slice::from_ref(&object)).skipped, [(0, skip)], "{object}");
    }
}

#[test]
fn what_is_wrong_is_refused_by_field_and_the_rest_is_read() {
    let red = ["marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"];
    let unknown = ["marking-definition--00000000-0000-4000-8000-0000000000ff"];
    let reading = read(&[
        indicator(1, "[url:value = ", json!({})),
        indicator(2, URL, json!({ "object_marking_refs": red })),
        indicator(3, URL, json!({ "object_marking_refs": unknown })),
        indicator(4, URL, json!({ "valid_until": "2026-04-01T00:00:00Z" })),
        indicator(5, URL, json!({ "modified": "2026-07-01T00:00:00Z" })),
        json!({ "type": "indicator" }),
        indicator(7, URL, json!({})),
    ]);
    let fields: Vec<(usize, &str)> = reading.refused.iter().map(|(at, e)| (*at, e.field.as_str())).collect();
    for wanted in [
        (0, "pattern at byte 13"),
        (1, "object_marking_refs"),
        (2, "object_marking_refs"),
        (3, "valid_until"),
        (4, "modified"),
        (5, "id"),
    ] {
        assert!(fields.contains(&wanted), "{wanted:?}: {fields:?}");
    }
    assert_eq!((fields.len(), values(&reading)), (6, vec!["http://a.example/".to_owned()]));
}

#[test]
fn only_the_newest_version_of_an_object_speaks() {
    let newer = indicator(1, URL, json!({ "modified": "2026-06-01T00:00:00.001Z", "revoked": true }));
    for objects in [[indicator(1, URL, json!({})), newer.clone()], [newer.clone(), indicator(1, URL, json!({}))]] {
        let reading = read(&objects);
        assert!(matches!(reading.words.as_slice(), [(_, Word::Retraction { .. })]), "{reading:?}");
        assert_eq!(reading.skipped.iter().map(|(_, skip)| *skip).collect::<Vec<_>>(), [Skip::Superseded]);
    }
}

/// An attacker, a victim, and the traffic between them.
fn traffic() -> [Value; 4] {
    let address = |n: u8| format!("ipv4-addr--00000000-0000-5000-8000-00000000000{n}");
    let flow = "network-traffic--00000000-0000-5000-8000-000000000003";
    [
        json!({ "type": "ipv4-addr", "id": address(1), "value": "198.51.100.1" }),
        json!({ "type": "ipv4-addr", "id": address(2), "value": "203.0.113.2" }),
        json!({
            "type": "network-traffic", "id": flow, "protocols": ["tcp"], "src_ref": address(1), "dst_ref": address(2),
        }),
        object(
            "observed-data",
            4,
            json!({
                "first_observed": "2026-05-30T00:00:00Z", "last_observed": "2026-05-30T00:00:05Z", "number_observed": 3,
                "object_refs": [address(1), address(2), flow], "labels": ["scanner"],
            }),
        ),
    ]
}

#[test]
fn the_victims_side_of_traffic_is_left_out() {
    let reading = read(&traffic());
    assert_eq!((values(&reading), sightings(&reading)[0].count), (vec!["198.51.100.1".to_owned()], 3));
}

#[test]
fn a_sighting_takes_what_was_seen_from_its_data_and_what_it_means_from_its_indicator() {
    let either = "[ipv4-addr:value IN ('198.51.100.1', '198.51.100.9')]";
    let sighting = |data: Value| {
        object(
            "sighting",
            6,
            json!({
                "sighting_of_ref": "indicator--00000000-0000-4000-8000-000000000005", "observed_data_refs": data,
                "last_seen": "2026-05-31T00:00:00Z", "count": 7,
            }),
        )
    };
    let mut objects = traffic().to_vec();
    objects.push(indicator(5, either, json!({})));
    objects.push(sighting(json!(["observed-data--00000000-0000-4000-8000-000000000004"])));
    let reading = read(&objects);
    let seen = sightings(&reading);
    assert_eq!(
        (values(&reading), seen[0].behaviour, seen[0].count),
        (vec!["198.51.100.1".to_owned()], Behaviour::Scan, 7)
    );
    assert_eq!(seen[0].last.to_string(), "2026-05-31T00:00:00Z");
    let reading = read(&[indicator(5, either, json!({})), sighting(json!([]))]);
    assert_eq!((values(&reading).len(), reading.skipped), (0, vec![(0, Skip::Sighted), (1, Skip::Ambiguous)]));
}

#[test]
fn the_old_standard_is_brought_forward() {
    let old = json!({ "type": "bundle", "id": "bundle--1", "spec_version": "2.0", "objects": [
        { "type": "observed-data", "id": "observed-data--00000000-0000-4000-8000-000000000001",
          "created": "2026-05-01T00:00:00.000Z", "modified": "2026-05-01T00:00:00.000Z",
          "first_observed": "2026-05-01T00:00:00Z", "last_observed": "2026-05-01T00:00:00Z", "number_observed": 2,
          "objects": {
              "0": { "type": "ipv4-addr", "value": "198.51.100.3", "x_self_ref": "3" },
              "1": { "type": "domain-name", "value": "c2.example", "resolves_to_refs": ["0"] },
              "2": { "type": "x-odd", "other_ref": "3" }, "3": { "type": "x-odd", "other_ref": "2" } } },
        { "type": "sighting", "id": "sighting--00000000-0000-4000-8000-000000000002",
          "created": "2026-05-02T00:00:00.000Z", "modified": "2026-05-02T00:00:00.000Z",
          "sighting_of_ref": "indicator--00000000-0000-4000-8000-000000000003",
          "observed_data_refs": ["observed-data--00000000-0000-4000-8000-000000000001"] },
        { "type": "indicator", "id": "indicator--00000000-0000-4000-8000-000000000003", "labels": ["botnet"],
          "created": "2026-05-01T00:00:00.000Z", "modified": "2026-05-01T00:00:00.000Z",
          "pattern": "[domain-name:value = 'c2.example']", "valid_from": "2026-05-01T00:00:00Z" },
        { "type": "observed-data", "id": "observed-data--00000000-0000-4000-8000-000000000004",
          "created": "2026-05-01T00:00:00.000Z", "modified": "2026-05-01T00:00:00.000Z",
          "first_observed": "2026-05-01T00:00:00Z", "last_observed": "2026-05-01T00:00:00Z", "number_observed": 1,
          "objects": { "0": { "type": "url", "value": "http://a.example/", "x_ref": "7" } } },
    ] });
    let reading = read_with(&old.to_string(), &defaults());
    assert_eq!(values(&reading), ["c2.example"]);
    assert_eq!(sightings(&reading)[0].behaviour, Behaviour::C2);
    assert_eq!(reading.refused.iter().map(|(at, e)| (*at, e.field.as_str())).collect::<Vec<_>>(), [(3, "x_ref")]);
}

#[test]
fn members_who_are_not_named_are_nowhere_in_the_bundle() {
    let finding = finding(FindingState::Corroborated);
    let all = |named: &dyn Fn(&model::MemberId) -> bool| {
        Writer { alliance: ALLIANCE, hub: None, named }.findings([(&finding, finding.first)]).to_string()
    };
    let text = all(&|member| member.as_str() != "telecom");
    let secret = share::stix::ours::member_id(ALLIANCE, &member("telecom"));
    assert!(!text.contains("telecom") && !text.contains(&secret) && text.contains("cloud"));
    assert!(all(&|_| true).contains(&secret));
}

#[test]
fn neither_whom_a_line_copies_nor_whose_asset_it_is_is_told_to_whom_members_are_not_named() {
    let mut copied = finding(FindingState::Corroborated);
    copied.sum.lines[1].copies = Some(member("bank"));
    let mut of_old = finding(FindingState::Corroborated);
    of_old.sum.lines[1].note = "seems to copy bank".to_owned();
    let mut asset = finding(FindingState::Guarded);
    asset.guard = Some(model::GuardHit {
        class: "member-space".to_owned(),
        entry: "mail.bank.example".to_owned(),
        list: "members' assets".to_owned(),
        owner: Some(member("bank")),
        absolute: true,
    });
    let mut asset_of_old = asset.clone();
    asset_of_old.guard =
        asset.guard.clone().map(|hit| model::GuardHit { list: "assets of bank".to_owned(), owner: None, ..hit });
    let text = |finding: &model::Finding, named: &dyn Fn(&model::MemberId) -> bool| {
        let writer = Writer { alliance: ALLIANCE, hub: None, named };
        Value::from(writer.finding(finding, finding.first)).to_string()
    };
    for finding in [&copied, &of_old, &asset, &asset_of_old] {
        let public = text(finding, &|_| false);
        for name in ["bank", "telecom", "cloud"] {
            assert!(!public.contains(name), "{name} in {public}");
        }
    }
    for finding in [&copied, &asset] {
        assert!(text(finding, &|_| true).contains("bank"), "members are told");
        assert!(!text(finding, &|member| member.as_str() != "bank").contains("bank"));
    }
}

#[test]
fn what_a_reporter_took_back_is_a_revoked_sighting_and_is_not_counted() {
    let mut finding = finding(FindingState::Faded);
    finding.sum.lines[1].retracted = true;
    finding.sum.lines[1].points = 0.0;
    let objects = |named: bool| {
        let names = move |_: &model::MemberId| named;
        let writer = Writer { alliance: ALLIANCE, hub: None, named: &names };
        writer.finding(&finding, finding.first)
    };
    let of = |objects: &[Value], kind: &str| -> Vec<Value> {
        objects.iter().filter(|object| object["type"] == kind).cloned().collect()
    };
    let (members, public) = (objects(true), objects(false));
    let revoked: Vec<Value> = of(&members, "sighting").iter().map(|object| object["revoked"].clone()).collect();
    assert_eq!(revoked, [json!(false), json!(true)]);
    assert_eq!(of(&public, "sighting")[0]["count"], 1);
    for objects in [members, public] {
        assert_eq!(of(&objects, "observed-data")[0]["number_observed"], 1);
        assert_eq!(of(&objects, "indicator")[0]["extensions"][share::stix::ours::EXTENSION]["reporters"], 1);
    }
}

#[test]
fn a_plan_says_who_is_asked_for_what_and_a_closed_one_is_revoked() {
    let findings = STATES.map(|state| {
        let value = format!("{state}.example").parse().unwrap();
        support::of(&value, state, Handling::alliance(Tlp::Green))
    });
    let (plan, handling) = (support::plan(&findings), Handling::alliance(Tlp::Green));
    assert_eq!(share::stix::plan::objects_of(&plan), 6);
    let writer = Writer { alliance: ALLIANCE, hub: Some("https://hub.example"), named: &|_| true };
    let since = plan.header.made;
    let all = |stage| writer.plan(&PlanAt { plan: &plan, handling: &handling, stage, since }, |_| true);
    let objects = all(Stage::InForce);
    assert_eq!(objects.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    let action = &objects[0].1;
    assert_eq!(action["extensions"][share::stix::ours::EXTENSION]["members"], json!(["cloud", "telecom"]));
    for (_, relationship) in &objects[1..] {
        let asked = &relationship["extensions"][share::stix::ours::EXTENSION]["asked"];
        assert_eq!((&relationship["source_ref"], asked.as_array().unwrap().len()), (&action["id"], 2));
    }
    let closed = all(Stage::Closed("voted down"));
    assert!(closed.iter().zip(&objects).all(|((_, closed), (_, open))| closed["id"] == open["id"]));
    assert!(closed.iter().all(|(_, object)| object["revoked"] == true));
    assert_eq!(closed[0].1["extensions"][share::stix::ours::EXTENSION]["reason"], "voted down");
    let one = writer.plan(&PlanAt { plan: &plan, handling: &handling, stage: Stage::Proposed, since }, |kind| {
        kind == "relationship"
    });
    assert_eq!(one[0].0, 1, "places stay, whatever types are wanted");
    let texts: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
    assert!(sightings(&read(&texts)).is_empty(), "a plan is no evidence when it comes back");
}

#[test]
fn what_few_objects_say_of_many_observables_has_an_end() {
    let ids: Vec<String> = (0..30).map(|n| format!("ipv4-addr--00000000-0000-4000-8000-0000000001{n:02x}")).collect();
    let mut objects: Vec<Value> = (ids.iter().enumerate())
        .map(|(n, id)| json!({ "type": "ipv4-addr", "id": id, "value": format!("198.51.100.{n}") }))
        .collect();
    let seen = json!({
        "first_observed": "2026-05-30T00:00:00Z", "last_observed": "2026-05-30T00:00:05Z", "number_observed": 3,
        "object_refs": ids, "labels": ["scanner"],
    });
    objects.extend((0..3).map(|n| object("observed-data", n, seen.clone())));
    objects.extend((3..6).map(|n| {
        let mut object = object("observed-data", n, seen.clone());
        object["revoked"] = true.into();
        object
    }));
    let document = json!({ "type": "bundle", "id": "bundle--1", "objects": objects }).to_string();
    let said = |words_max| {
        let reading = read_up_to(&document, &defaults(), words_max);
        let too_many = reading.skipped.iter().filter(|(_, skip)| *skip == Skip::TooMany).count();
        (sightings(&reading).len(), reading.words.len() - sightings(&reading).len(), too_many)
    };
    assert_eq!(said(usize::MAX), (90, 3, 0));
    assert_eq!(said(180), (90, 3, 0));
    assert_eq!(said(179), (90, 2, 1), "what is taken back counts like what is seen");
    assert_eq!(said(60), (60, 0, 4));
    assert_eq!(said(1), (0, 0, 6), "nor is looked for without an end");
}

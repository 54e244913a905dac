//! The TAXII 2.1 server: what the standard asks, what comes in, who sees it.

use crate::support::{Bench, now};
use model::{Span, Timestamp};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

pub const TAXII: &str = "application/taxii+json;version=2.1";
pub const SIGHTINGS: &str = "/taxii2/alliance/collections/sightings";
pub const GREEN: &str = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb";
pub const CLEAR: &str = "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487";
pub const RED: &str = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1";

/// The n-th indicator, made a second ago.
pub fn indicator(n: u32) -> Value {
    indicator_at(n, now().minus(Span::seconds(1)))
}

/// With thousandths, as the server writes versions: a time that happens to end in a nought would differ as text.
pub fn indicator_at(n: u32, modified: Timestamp) -> Value {
    let modified = modified.to_string();
    let (seconds, fraction) =
        modified.trim_end_matches('Z').split_once('.').unwrap_or((modified.trim_end_matches('Z'), ""));
    let modified = format!("{seconds}.{fraction:0<3}Z");
    json!({
        "type": "indicator", "spec_version": "2.1", "id": id(n),
        "created": "2026-01-01T00:00:00.000Z", "modified": modified,
        "indicator_types": ["malicious-activity"], "labels": ["scan"], "pattern_type": "stix",
        "pattern": format!("[ipv4-addr:value = '80.{}.{}.{}']", n >> 16 & 255, n >> 8 & 255, n & 255),
        "valid_from": "2026-01-01T00:00:00Z", "object_marking_refs": [GREEN],
    })
}

pub fn id(n: u32) -> String {
    format!("indicator--{n:08x}-1111-4111-8111-111111111111")
}

pub async fn get(bench: &Bench, who: &str, path: &str) -> Response {
    bench.request(who, Method::GET, path).header("accept", TAXII).send().await.unwrap()
}

pub async fn get_json(bench: &Bench, who: &str, path: &str) -> (u16, Value) {
    crate::support::read(get(bench, who, path).await).await
}

pub async fn push(bench: &Bench, who: &str, collection: &str, objects: &[Value]) -> (u16, Value) {
    push_text(bench, who, collection, json!({ "objects": objects }).to_string()).await
}

async fn push_text(bench: &Bench, who: &str, collection: &str, body: String) -> (u16, Value) {
    let request = bench.request(who, Method::POST, &format!("{collection}/objects/"));
    let request = request.header("accept", TAXII).header("content-type", TAXII);
    crate::support::read(request.body(body).send().await.unwrap()).await
}

pub fn ids(envelope: &Value) -> Vec<String> {
    let objects = envelope["objects"].as_array().cloned().unwrap_or_default();
    objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_in_is_pulled_out_byte_for_byte_and_counts_as_the_members() {
    let bench = Bench::start().await;
    let odd = format!(
        "{{ \"type\":\"x-own\",\"id\":\"x-own--00000001-1111-4111-8111-111111111111\",\n\t\"spec_version\":\"2.1\", \
         \"created\":\"2026-01-01T00:00:00.000000Z\",\"modified\":\"2026-01-01T00:00:00.000000Z\", \
         \"n\":1.50, \"u\":\"\\u00e9é\", \"object_marking_refs\":[\"{GREEN}\"] }}"
    );
    let body = format!("{{\"objects\":[{odd},{}]}}", indicator(7));
    let request = bench.request("cloud", Method::POST, &format!("{SIGHTINGS}/objects/"));
    let response = request.header("content-type", TAXII).header("accept", TAXII).body(body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    assert_eq!(response.headers()["content-type"], TAXII);
    let (_, status) = crate::support::read(response).await;
    assert_eq!((&status["status"], &status["success_count"]), (&json!("complete"), &json!(2)), "{status}");
    let (code, again) =
        get_json(&bench, "cloud", &format!("/taxii2/alliance/status/{}/", status["id"].as_str().unwrap())).await;
    assert_eq!((code, &again), (200, &status));
    let other = get(&bench, "bank", &format!("/taxii2/alliance/status/{}/", status["id"].as_str().unwrap())).await;
    assert_eq!(other.status(), 404, "a status is its member's own");
    let text = get(&bench, "bank", &format!("{SIGHTINGS}/objects/")).await.text().await.unwrap();
    assert!(text.contains(&odd), "{text}");
    let (_, why) = bench.get("bank", "/api/v1/why?value=80.0.0.7").await;
    let line = &why["findings"][0]["finding"]["sum"]["lines"][0];
    assert_eq!((&line["member"], &line["grade"]), (&json!("cloud"), &json!("analyst")), "{why}");
    assert!(line["note"].as_str().unwrap().contains("not signed by the member"), "{line}");
    let (_, journal) = bench.get("bank", "/api/v1/journal").await;
    let kinds: Vec<&str> = journal["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["entry"]["event"]["kind"].as_str().unwrap())
        .collect();
    assert!(kinds.contains(&"objects-shared") && kinds.contains(&"sightings-reported"), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_two_members_push_inform_and_no_machine_acts_on_them() {
    let bench = Bench::start().await;
    for member in ["telecom", "cloud"] {
        let mut object = indicator(9);
        object["id"] = format!("indicator--0000000{}-2222-4222-8222-222222222222", member.len()).into();
        assert_eq!(push(&bench, member, SIGHTINGS, &[object]).await.1["success_count"], 1);
    }
    let finding = crate::submit::wait_for_item(&bench, "/api/v1/findings").await;
    assert_eq!((&finding["state"], &finding["actionable"]), (&json!("corroborated"), &json!(false)), "{finding}");
    let (_, plans) = bench.get("bank", "/api/v1/plans").await;
    assert_eq!(plans["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_object_has_its_own_message_and_the_good_ones_are_stored() {
    let bench = Bench::start().await;
    let mut objects: Vec<Value> = (0..9).map(indicator).collect();
    objects[1]["id"] = "indicator--1".into();
    objects[2]["modified"] = "2999-01-01T00:00:00Z".into();
    objects[3]["modified"] = "2025-01-01T00:00:00Z".into();
    objects[4]["object_marking_refs"] = json!(["marking-definition--11111111-1111-4111-8111-111111111111"]);
    objects[5]["object_marking_refs"] = json!([RED]);
    objects[6]["pattern"] = format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000)).into();
    objects[7]["pattern"] = "[ipv4-addr:value = ".into();
    let (code, status) = push(&bench, "cloud", SIGHTINGS, &objects).await;
    assert_eq!((code, &status["success_count"], &status["failure_count"]), (202, &json!(2), &json!(7)), "{status}");
    assert_eq!(ids(&get_json(&bench, "bank", &format!("{SIGHTINGS}/objects/")).await.1), [id(0), id(8)]);
    let failures = status["failures"].as_array().unwrap();
    for (failure, named) in
        failures.iter().zip(["id", "modified", "modified", "object_marking_refs", "TLP:RED", "pattern", "pattern"])
    {
        assert!(failure["message"].as_str().unwrap().contains(named), "{named}: {failure}");
    }
    assert_eq!(failures[0]["id"], "indicator--1");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_do_not_change_and_come_from_whom_the_object_came() {
    let bench = Bench::start().await;
    let first = indicator_at(1, now().minus(Span::minutes(9)));
    assert_eq!(push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&first)).await.1["success_count"], 1);
    let (_, again) = push(&bench, "bank", SIGHTINGS, std::slice::from_ref(&first)).await;
    assert_eq!(
        (&again["success_count"], &again["failure_count"]),
        (&json!(1), &json!(0)),
        "an exact duplicate is no error"
    );
    // As another tool would write it.
    let properties = first.as_object().unwrap().iter().rev().map(|(name, value)| format!("  \"{name}\" : {value}"));
    let written = format!("{{\"objects\":[{{\n{}\n}}]}}", properties.collect::<Vec<_>>().join(",\n"));
    let (_, again) = push_text(&bench, "bank", SIGHTINGS, written.clone()).await;
    assert_eq!((&again["success_count"], &again["failure_count"]), (&json!(1), &json!(0)), "{again}");
    assert!(again["successes"][0]["message"].as_str().unwrap().contains("there before"), "{again}");
    let (_, wrong) = push_text(&bench, "bank", SIGHTINGS, written.replace("80.0.0.1", "80.0.0.2")).await;
    assert_eq!((&wrong["success_count"], &wrong["failure_count"]), (&json!(0), &json!(1)), "{wrong}");
    assert_eq!(ids(&get_json(&bench, "bank", &format!("{SIGHTINGS}/objects/")).await.1).len(), 1);
    let mut other = first.clone();
    other["name"] = "other content".into();
    let (_, refused) = push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&other)).await;
    assert!(refused["failures"][0]["message"].as_str().unwrap().contains("do not change"), "{refused}");
    let newer = indicator_at(1, now().minus(Span::minutes(1)));
    let (_, refused) = push(&bench, "bank", SIGHTINGS, std::slice::from_ref(&newer)).await;
    assert!(refused["failures"][0]["message"].as_str().unwrap().contains("another member"), "{refused}");
    let twice = [newer.clone(), newer.clone(), {
        let mut other = newer.clone();
        other["name"] = "x".into();
        other
    }];
    let (_, sent) = push(&bench, "cloud", SIGHTINGS, &twice).await;
    assert_eq!((&sent["success_count"], &sent["failure_count"]), (&json!(2), &json!(1)), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_a_new_version_that_followers_see_and_takes_the_evidence_back() {
    let bench = Bench::start().await;
    let object = indicator_at(2, now().minus(Span::minutes(9)));
    push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&object)).await;
    assert_eq!(bench.get("bank", "/api/v1/why?value=80.0.0.2").await.1["known"], true);
    let before = get(&bench, "bank", &format!("{SIGHTINGS}/objects/")).await;
    let last = before.headers()["x-taxii-date-added-last"].to_str().unwrap().to_owned();
    let mut revoked = object;
    revoked["revoked"] = true.into();
    revoked["modified"] = json!(now().minus(Span::seconds(1)));
    assert_eq!(push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&revoked)).await.1["success_count"], 1);
    let (_, followed) = get_json(&bench, "bank", &format!("{SIGHTINGS}/objects/?added_after={last}")).await;
    assert_eq!(followed["objects"], json!([revoked]));
    assert_eq!(bench.get("bank", "/api/v1/why?value=80.0.0.2").await.1["known"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sighting_of_what_was_shared_before_counts() {
    let bench = Bench::start().await;
    push(&bench, "cloud", SIGHTINGS, &[indicator(3)]).await;
    let at = now().minus(Span::seconds(2));
    let sighting = json!({
        "type": "sighting", "spec_version": "2.1", "id": "sighting--00000001-1111-4111-8111-111111111111",
        "created": at, "modified": at, "sighting_of_ref": id(3), "first_seen": at, "last_seen": at, "count": 5,
    });
    let (_, status) = push(&bench, "bank", SIGHTINGS, &[sighting]).await;
    assert_eq!((&status["success_count"], status["successes"][0].get("message")), (&json!(1), None), "{status}");
    let (_, why) = bench.get("telecom", "/api/v1/why?value=80.0.0.3").await;
    let reporters: Vec<&Value> =
        why["findings"][0]["finding"]["sum"]["lines"].as_array().unwrap().iter().map(|line| &line["member"]).collect();
    assert_eq!(reporters.len(), 2, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_the_index_anew_with_the_same_order_and_times() {
    let bench = Bench::start().await;
    push(&bench, "cloud", SIGHTINGS, &[indicator(1), indicator(2)]).await;
    push(&bench, "bank", SIGHTINGS, &[indicator(3)]).await;
    bench.request("cloud", Method::DELETE, &format!("{SIGHTINGS}/objects/{}/", id(1))).send().await.unwrap();
    let (_, before) = get_json(&bench, "telecom", &format!("{SIGHTINGS}/manifest/")).await;
    let bench = bench.restart().await;
    let (_, after) = get_json(&bench, "telecom", &format!("{SIGHTINGS}/manifest/")).await;
    assert_eq!((ids(&after), &after), (vec![id(2), id(3)], &before));
    assert_eq!(push(&bench, "bank", SIGHTINGS, &[indicator(4)]).await.1["success_count"], 1);
    assert_eq!(ids(&get_json(&bench, "telecom", &format!("{SIGHTINGS}/objects/")).await.1), [id(2), id(3), id(4)]);
}

/// The followers' view while writers write: everything once, whatever way they follow.
#[tokio::test(flavor = "multi_thread")]
async fn followers_miss_nothing_and_see_nothing_twice_while_writers_write() {
    const WRITERS: u32 = 4;
    const EACH: u32 = 120;
    let bench = std::sync::Arc::new(Bench::start().await);
    let wanted = (WRITERS * EACH) as usize;
    let followers: Vec<_> = [(true, 7), (false, 7), (true, 100), (false, 100)]
        .into_iter()
        .map(|(by_time, limit)| tokio::spawn(follow(bench.clone(), by_time, limit, wanted)))
        .collect();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let bench = bench.clone();
            tokio::spawn(async move {
                for batch in 0..EACH / 4 {
                    let from = writer * EACH + batch * 4;
                    let objects: Vec<Value> = (from..from + 4).map(indicator).collect();
                    let who = ["telecom", "cloud", "bank"][writer as usize % 3];
                    assert_eq!(push(&bench, who, SIGHTINGS, &objects).await.1["success_count"], 4);
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for follower in followers {
        let mut found = follower.await.unwrap();
        assert_eq!(found.len(), wanted, "as many as there are");
        found.sort();
        found.dedup();
        assert_eq!(found.len(), wanted, "each once");
    }
}

async fn follow(bench: std::sync::Arc<Bench>, by_time: bool, limit: usize, wanted: usize) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), "&added_after=2026-01-01T00:00:00Z".to_owned());
    let until = std::time::Instant::now() + crate::support::PATIENCE;
    while found.len() < wanted && std::time::Instant::now() < until {
        let response = get(&bench, "bank", &format!("{SIGHTINGS}/objects/?limit={limit}{cursor}")).await;
        let last = response.headers()["x-taxii-date-added-last"].to_str().unwrap().to_owned();
        let (_, page) = crate::support::read(response).await;
        found.extend(ids(&page));
        cursor = match page["next"].as_str() {
            Some(next) if !by_time => format!("&next={next}"),
            _ => format!("&added_after={last}"),
        };
        if page["objects"].is_null() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    found
}

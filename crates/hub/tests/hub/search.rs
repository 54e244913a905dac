//! Searches: what is found by value, network, name and the rest, by whom, and after a start.

use crate::support::{Bench, sighting, signed_report};
use crate::taxii::{SIGHTINGS, id, indicator, push};
use reqwest::Method;
use serde_json::{Value, json};

/// Items of all pages of a search, once `wanted` holds for them.
pub async fn found(bench: &Bench, who: &str, path: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let mut last = Vec::new();
    for _ in 0..1_200 {
        last = all(bench, who, path).await;
        if wanted(&last) {
            return last;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} for {who}: {last:?}");
}

/// Items of all pages, as they are now; nothing while the index is being made.
pub async fn all(bench: &Bench, who: &str, path: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = bench.get(who, &format!("{path}{after}")).await;
        match status {
            200 => items.extend(page["items"].as_array().unwrap().iter().cloned()),
            _ => return Vec::new(),
        }
        after = match page["next"].as_str() {
            Some(next) => format!("&after={next}"),
            None => return items,
        };
    }
}

fn texts<'v>(items: &'v [Value], name: &str) -> Vec<&'v str> {
    items.iter().map(|item| item[name].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sightings_are_found_by_value_network_name_behaviour_member_time_and_marking() {
    let bench = Bench::start().await;
    let mut reported: Vec<Value> =
        ["80.1.1.1", "80.1.2.0/24", "80.2.0.1", "www.evil.example", "http://evil.example/x"].map(sighting).into();
    reported[2]["behaviour"] = "c2".into();
    reported[3]["handling"] = json!({ "tlp": "amber" });
    assert_eq!(bench.report("cloud", signed_report("cloud", 1, &reported)).await.0, 200);
    let mut grouped = sighting("80.1.1.9");
    grouped["handling"] = json!({ "tlp": "green", "group": "pair" });
    assert_eq!(bench.report("telecom", signed_report("telecom", 1, &[grouped])).await.0, 200);
    found(&bench, "cloud", "/api/v1/search/sightings?limit=2", |items| items.len() == 6).await;
    for (who, query, wanted) in [
        ("bank", "value=80.1.1.1", vec!["80.1.1.1"]),
        ("bank", "value=80.1.0.0/16", vec![]),
        ("bank", "value=80.1.0.0/16&below=true", vec!["80.1.2.0/24", "80.1.1.1"]),
        ("cloud", "value=80.1.0.0/16&below=true", vec!["80.1.1.9", "80.1.2.0/24", "80.1.1.1"]),
        ("bank", "value=80.1.2.7&above=true", vec!["80.1.2.0/24"]),
        ("bank", "value=evil.example&below=true", vec!["http://evil.example/x", "www.evil.example"]),
        ("bank", "behaviour=c2", vec!["80.2.0.1"]),
        ("bank", "type=ipv4-net", vec!["80.1.2.0/24"]),
        ("bank", "tlp=amber", vec!["www.evil.example"]),
        ("cloud", "group=pair", vec!["80.1.1.9"]),
        ("bank", "group=pair", vec![]),
        ("cloud", "member=telecom", vec!["80.1.1.9"]),
        ("bank", "member=telecom", vec![]),
        ("bank", "since=2100-01-01T00:00:00Z", vec![]),
        ("bank", "value=80.1.1.1&until=2001-01-01T00:00:00Z", vec![]),
    ] {
        let items = all(&bench, who, &format!("/api/v1/search/sightings?limit=2&{query}")).await;
        assert_eq!(texts(&items, "observable"), wanted, "{who} {query}");
    }
    let one = &all(&bench, "bank", "/api/v1/search/sightings?value=80.1.1.1").await[0];
    assert_eq!((&one["member"], &one["signed"], &one["count"]), (&json!("cloud"), &json!(true), &json!(3)));
    crate::api::check("FoundSighting", one).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_are_found_as_they_are_now_and_each_once() {
    let bench = Bench::start().await;
    for member in ["telecom", "cloud", "bank"] {
        let seen = [sighting("80.3.0.1"), sighting("80.3.0.2")];
        assert_eq!(bench.report(member, signed_report(member, 1, &seen)).await.0, 200);
    }
    let path = "/api/v1/search/findings?value=80.3.0.0/24&below=true&limit=1";
    let items = found(&bench, "bank", path, |items| items.len() == 2).await;
    items.iter().for_each(|item| crate::api::check("Finding", item).unwrap());
    let one = items.iter().find(|item| item["observable"] == "80.3.0.1").unwrap();
    let (_, same) = bench.get("bank", &format!("/api/v1/findings/{}", one["id"].as_str().unwrap())).await;
    assert_eq!(*one, same);
    for (query, count) in [
        ("state=corroborated", 2),
        ("state=revoked", 0),
        ("member=cloud&behaviour=scan", 2),
        ("behaviour=c2", 0),
        ("type=ipv4-addr&tlp=green", 2),
        ("type=domain-name", 0),
        ("value=80.3.0.1&since=2026-01-01T00:00:00Z", 1),
    ] {
        let found = all(&bench, "bank", &format!("/api/v1/search/findings?{query}")).await;
        assert_eq!(found.len(), count, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_found_by_what_they_name_by_type_identifier_and_version_also_after_a_start() {
    let bench = Bench::start().await;
    let mut newer = indicator(7);
    assert_eq!(push(&bench, "cloud", SIGHTINGS, &[indicator(7), indicator(8)]).await.1["success_count"], 2);
    newer["modified"] = crate::support::now().to_string().into();
    newer["name"] = "again".into();
    let malware = json!({
        "type": "malware", "spec_version": "2.1", "id": "malware--00000001-1111-4111-8111-111111111111",
        "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "is_family": false,
    });
    assert_eq!(push(&bench, "cloud", SIGHTINGS, &[newer.clone(), malware]).await.1["success_count"], 2);
    let pair = "/taxii2/group-pair/collections/shares";
    assert_eq!(push(&bench, "telecom", pair, &[indicator(9)]).await.1["success_count"], 1);
    expect_all(&bench).await;
    let one = &all(&bench, "bank", "/api/v1/search/objects?value=80.0.0.7").await[0];
    crate::api::check("FoundObject", one).unwrap();
    assert_eq!(one["object"], newer, "the latest version, byte for byte");
    assert_eq!((&one["root"], &one["member"]), (&json!("alliance"), &json!("cloud")));
    let path = format!("/taxii2/{}/collections/{}/objects/{}/", "alliance", one["collection"].as_str().unwrap(), id(7));
    assert_eq!(crate::taxii::get_json(&bench, "bank", &path).await.0, 200, "where TAXII has it");
    let deleted = bench.request("cloud", Method::DELETE, &format!("{SIGHTINGS}/objects/{}/", id(8)));
    assert_eq!(deleted.header("accept", crate::taxii::TAXII).send().await.unwrap().status(), 200);
    assert!(all(&bench, "bank", "/api/v1/search/objects?value=80.0.0.8").await.is_empty(), "taken out");
}

/// Looks for objects by everything by which they can be found.
async fn expect_all(bench: &Bench) {
    found(bench, "cloud", "/api/v1/search/objects?version=all&limit=2", |items| items.len() == 5).await;
    for (who, query, wanted) in [
        ("bank", "value=80.0.0.7".to_owned(), vec![id(7)]),
        ("bank", "value=80.0.0.0/24&below=true".to_owned(), vec![id(7), id(8)]),
        ("cloud", "value=80.0.0.0/24&below=true".to_owned(), vec![id(9), id(7), id(8)]),
        ("bank", format!("id={}", id(7)), vec![id(7)]),
        ("bank", format!("id={}&version=all", id(7)), vec![id(7), id(7)]),
        ("bank", format!("id={}", id(9)), vec![]),
        ("bank", "type=malware".to_owned(), vec!["malware--00000001-1111-4111-8111-111111111111".to_owned()]),
        ("cloud", "member=telecom".to_owned(), vec![id(9)]),
        ("cloud", "group=pair".to_owned(), vec![id(9)]),
        ("bank", "tlp=amber&type=indicator".to_owned(), vec![]),
        ("bank", "until=2020-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let items = all(bench, who, &format!("/api/v1/search/objects?limit=2&{query}")).await;
        assert_eq!(texts(&items, "id"), wanted, "{who} {query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_a_start_is_found_after_it_and_no_more_than_is_kept() {
    let bench = Bench::start_with(|config| config.search.sightings_max = 1_000).await;
    for sequence in 1..=3 {
        let seen: Vec<Value> =
            (0..9_000).map(|n| sighting(&format!("80.{sequence}.{}.{}", n / 250, n % 250))).collect();
        assert_eq!(bench.report("cloud", signed_report("cloud", sequence, &seen)).await.0, 200);
    }
    assert_eq!(push(&bench, "cloud", SIGHTINGS, &[indicator(7)]).await.1["success_count"], 1);
    let Bench { running, client: _, tokens, dir } = bench;
    running.shutdown().await.unwrap();
    let mut config = crate::support::config(&dir.path().join("hub"));
    config.search.sightings_max = 1_000;
    let running = hub::Hub::start(config).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    found(&bench, "bank", "/api/v1/search/sightings?value=80.3.1.1", |items| items.len() == 1).await;
    assert!(all(&bench, "bank", "/api/v1/search/sightings?value=80.1.1.1").await.is_empty(), "too old to be kept");
    found(&bench, "bank", "/api/v1/search/objects?value=80.0.0.7", |items| items.len() == 1).await;
    let drawn = found(&bench, "bank", "/api/v1/search/sightings?value=80.0.0.7", |items| items.len() == 1).await;
    assert_eq!(drawn[0]["signed"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_by_name() {
    let bench = Bench::start().await;
    for query in [
        "sightings?below=true",
        "findings?value=nonsense",
        "objects?version=soon",
        "objects?value=80.1.1.1&id=indicator--1",
        "sightings?limit=0",
        "sightings?colour=red",
        "findings?state=good",
    ] {
        let (status, problem) = bench.get("bank", &format!("/api/v1/search/{query}")).await;
        assert_eq!((status, problem["kind"].as_str()), (400, Some("refused")), "{query}: {problem}");
    }
}

//! What members might push into a TAXII collection to harm the hub or each other.

use crate::support::{Bench, now};
use crate::taxii::{CLEAR, GREEN, SIGHTINGS, get_json, ids, indicator, push};
use model::Span;
use serde_json::{Value, json};

fn observed(n: u32, refs: &[String]) -> Value {
    let at = now().minus(Span::seconds(2));
    json!({
        "type": "observed-data", "spec_version": "2.1",
        "id": format!("observed-data--{n:08x}-1111-4111-8111-111111111111"),
        "created": at, "modified": at, "first_observed": at, "last_observed": at, "number_observed": 1,
        "labels": ["scan"], "object_refs": refs, "object_marking_refs": [GREEN],
    })
}

fn address(id: &str, value: &str) -> Value {
    json!({ "type": "ipv4-addr", "spec_version": "2.1", "id": id, "value": value, "object_marking_refs": [GREEN] })
}

fn noise(mut seed: u64, chars: usize) -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz012345";
    let mut letter = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(LETTERS[(seed >> 59) as usize])
    };
    (0..chars).map(|_| letter()).collect()
}

async fn knows(bench: &Bench, value: &str) -> bool {
    bench.get("telecom", &format!("/api/v1/why?value={value}")).await.1["known"] == true
}

#[tokio::test(flavor = "multi_thread")]
async fn an_envelope_that_says_the_same_many_things_again_and_again_harms_nobody() {
    let bench = Bench::start().await;
    let id = |n: u32| format!("url--{n:08x}-1111-4111-8111-111111111111");
    let url = |n: u32| {
        let value = format!("http://a.example/{}", noise(u64::from(n), 1_100));
        json!({ "type": "url", "spec_version": "2.1", "id": id(n), "value": value, "object_marking_refs": [GREEN] })
    };
    for part in 0..9 {
        let objects: Vec<Value> = (part * 1_000..(part + 1) * 1_000).map(url).collect();
        assert_eq!(push(&bench, "cloud", SIGHTINGS, &objects).await.1["success_count"], 1_000);
    }
    let part = |n: u32| (n * 1_000..(n + 1) * 1_000).map(id).collect::<Vec<_>>();
    let mut objects: Vec<Value> = (0..9).map(|n| observed(n, &part(n))).collect();
    let data: Vec<Value> = objects.iter().map(|object| object["id"].clone()).collect();
    let at = now().minus(Span::seconds(2));
    objects.extend((0..12).map(|n| {
        json!({
            "type": "sighting", "spec_version": "2.1", "id": format!("sighting--{n:08x}-1111-4111-8111-111111111111"),
            "created": at, "modified": at, "sighting_of_ref": data[0], "observed_data_refs": data, "labels": ["scan"],
            "object_marking_refs": [GREEN],
        })
    }));
    let (code, status) = push(&bench, "cloud", SIGHTINGS, &objects).await;
    assert_eq!((code, &status["success_count"]), (202, &json!(21)), "{status}");
    let told = |n: usize| status["successes"][n]["message"].as_str().map(ToOwned::to_owned);
    assert_eq!(told(9), None, "the first counts");
    assert!(told(10).unwrap().contains("no evidence: too many sightings at a time, at most 10000"), "{status}");
    assert_eq!(bench.get("cloud", "/health").await.0, 200);
    assert_eq!(push(&bench, "bank", SIGHTINGS, &[indicator(1)]).await.1["success_count"], 1);
    assert!(knows(&bench, "80.0.0.1").await, "others go on");
    let url = url(0)["value"].as_str().unwrap().to_owned();
    assert!(knows(&bench, &url).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_marking_means_only_its_author_says() {
    let bench = Bench::start().await;
    let definition = |n: u32, tlp: &str| {
        json!({
            "type": "marking-definition", "spec_version": "2.1", "created": "2026-01-01T00:00:00.000Z",
            "id": format!("marking-definition--{n:08x}-1111-4111-8111-111111111111"),
            "definition_type": "tlp", "definition": { "tlp": tlp }, "object_marking_refs": [CLEAR],
        })
    };
    let (theirs, own) = (definition(1, "white"), definition(2, "green"));
    assert_eq!(push(&bench, "bank", SIGHTINGS, std::slice::from_ref(&theirs)).await.1["success_count"], 1);
    assert_eq!(push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&own)).await.1["success_count"], 1);
    let marked = |n: u32, definition: &Value| {
        let mut object = indicator(n);
        object["object_marking_refs"] = json!([definition["id"]]);
        object
    };
    let (_, status) = push(&bench, "cloud", SIGHTINGS, &[marked(1, &theirs), marked(2, &own)]).await;
    assert_eq!((&status["success_count"], &status["failure_count"]), (&json!(1), &json!(1)), "{status}");
    assert_eq!(status["failures"][0]["id"], crate::taxii::id(1));
    assert!(status["failures"][0]["message"].as_str().unwrap().contains("object_marking_refs"), "{status}");
    let public = "/taxii2/public/collections/sightings/objects/?match[type]=indicator";
    assert_eq!(ids(&get_json(&bench, "nobody", public).await.1), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_of_the_value_that_its_member_means() {
    let bench = Bench::start().await;
    let own = "ipv4-addr--00000001-1111-4111-8111-111111111111";
    let theirs = "ipv4-addr--00000002-1111-4111-8111-111111111111";
    let made: Value = share::stix::sco::object(&"80.0.0.4".parse().unwrap()).into();
    let put = |who, object| {
        let bench = &bench;
        async move { push(bench, who, SIGHTINGS, &[object]).await.1["success_count"] == 1 }
    };
    assert!(put("cloud", address(own, "80.0.0.1")).await);
    assert!(put("bank", address(own, "80.0.0.2")).await);
    assert!(put("bank", address(theirs, "80.0.0.3")).await);
    assert!(put("bank", made.clone()).await);
    let made = made["id"].as_str().unwrap().to_owned();
    assert!(put("telecom", address(&made, "80.0.0.5")).await);
    let (_, status) = push(
        &bench,
        "cloud",
        SIGHTINGS,
        &[observed(1, &[own.to_owned()]), observed(2, &[theirs.to_owned()]), observed(3, &[made])],
    )
    .await;
    assert_eq!(status["success_count"], 3, "{status}");
    assert!(status["successes"][1]["message"].as_str().unwrap().contains("unresolved"), "{status}");
    let mut known = Vec::new();
    for n in 1..=5 {
        known.push(knows(&bench, &format!("80.0.0.{n}")).await);
    }
    assert_eq!(known, [true, false, false, true, false]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_makes_up_types_without_end_takes_them_from_nobody() {
    let bench = Bench::start().await;
    let own = |n: u32| {
        let mut object = address(&format!("x-own-{n}--{n:08x}-1111-4111-8111-111111111111"), "80.0.0.1");
        object["type"] = format!("x-own-{n}").into();
        object
    };
    let many: Vec<Value> = (0..300).map(own).collect();
    let (_, status) = push(&bench, "cloud", SIGHTINGS, &many).await;
    assert_eq!((&status["success_count"], &status["failure_count"]), (&json!(256), &json!(44)), "{status}");
    assert!(status["failures"][0]["message"].as_str().unwrap().contains("types"), "{status}");
    let (_, again) = push(&bench, "cloud", SIGHTINGS, &many[..256]).await;
    assert_eq!(again["success_count"], 256, "they are there: {again}");
    let bench = bench.restart().await;
    assert_eq!(push(&bench, "cloud", SIGHTINGS, &many[256..]).await.1["failure_count"], 44);
    assert_eq!(push(&bench, "bank", SIGHTINGS, &many[256..]).await.1["success_count"], 44);
    assert_eq!(push(&bench, "cloud", SIGHTINGS, &[indicator(1)]).await.1["success_count"], 1, "what the standard has");
}

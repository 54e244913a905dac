//! Collections that members open: whom they are there for, who writes into them, and what closing one leaves.

use crate::search::found;
use crate::support::Bench;
use crate::taxii::{get_json, ids, indicator, push};
use reqwest::Method;
use serde_json::{Value, json};

async fn open(bench: &Bench, who: &str, wish: Value) -> (u16, Value) {
    bench.post(who, "/api/v1/collections", &wish).await
}

async fn aliases(bench: &Bench, who: &str, root: &str) -> Vec<String> {
    let (_, all) = get_json(bench, who, &format!("/taxii2/{root}/collections/")).await;
    let listed = all["collections"].as_array().cloned().unwrap_or_default();
    listed.iter().map(|collection| collection["alias"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_opens_a_collection_that_its_audience_reads_and_only_its_writers_write() {
    let bench = Bench::start().await;
    let wish = json!({ "name": "kits", "title": "Phishing kits", "description": "Since 2026" });
    let (code, kits) = open(&bench, "telecom", wish.clone()).await;
    assert_eq!((code, &kits["writers"], &kits["root"]), (200, &json!("own"), &json!("alliance")), "{kits}");
    let path = kits["path"].as_str().unwrap().trim_end_matches('/');
    assert_eq!(push(&bench, "telecom", path, &[indicator(1)]).await.1["success_count"], 1);
    assert_eq!(push(&bench, "cloud", path, &[indicator(2)]).await.0, 403, "its opener's alone");
    for who in ["bank", "cloud", "telecom"] {
        assert!(aliases(&bench, who, "alliance").await.contains(&"kits".to_owned()), "{who}");
        let (_, seen) = get_json(&bench, who, "/taxii2/alliance/collections/kits/").await;
        assert_eq!((&seen["can_read"], &seen["can_write"]), (&json!(true), &json!(who == "telecom")), "{who}");
        let (_, page) = get_json(&bench, who, &format!("{path}/objects/")).await;
        assert_eq!(ids(&page), [crate::taxii::id(1)], "{who}");
    }
    assert!(!aliases(&bench, "", "public").await.contains(&"kits".to_owned()));
    let (_, why) = bench.get("bank", "/api/v1/why?value=80.0.0.1").await;
    assert_eq!(why["known"], true, "evidence counts as its sender's, in whichever collection");
    found(&bench, "bank", "/api/v1/search/objects?value=80.0.0.1", |items| items.len() == 1).await;
    let (code, again) = open(&bench, "cloud", wish).await;
    assert_eq!((code, &again["rule"]), (409, &json!("collection_name")), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_collection_is_there_for_the_group_alone() {
    let bench = Bench::start().await;
    let wish = json!({ "name": "hashes", "title": "Hashes", "group": "pair", "writers": "all" });
    assert_eq!(open(&bench, "bank", wish.clone()).await.1["rule"], "unknown_group", "not of the group");
    let (code, hashes) = open(&bench, "telecom", wish).await;
    assert_eq!((code, &hashes["root"]), (200, &json!("group-pair")));
    let path = hashes["path"].as_str().unwrap().trim_end_matches('/');
    assert_eq!(push(&bench, "cloud", path, &[indicator(3)]).await.1["success_count"], 1);
    assert_eq!(get_json(&bench, "bank", &format!("{path}/objects/")).await.0, 404);
    for (who, count) in [("telecom", 1), ("cloud", 1), ("bank", 0)] {
        let (_, listed) = bench.get(who, "/api/v1/collections").await;
        assert_eq!(listed["items"].as_array().unwrap().len(), count, "{who}: {listed}");
    }
    for way in ["/api/v1/journal", "/api/v1/collections"] {
        let (_, told) = bench.get("bank", way).await;
        assert!(!told.to_string().contains("hashes"), "{way}: {told}");
    }
    let close = format!("/api/v1/collections/{}", hashes["id"].as_str().unwrap());
    let foreign = bench.request("bank", Method::DELETE, &close).send().await.unwrap();
    assert_eq!(foreign.status(), 404, "whoever may not know of it is not told");
    let another = bench.request("cloud", Method::DELETE, &close).send().await.unwrap();
    assert_eq!(crate::support::read(another).await.1["rule"], "collection_own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_collection_is_read_as_before_and_stays_closed_over_a_restart() {
    let mut bench = Bench::start().await;
    let (_, kits) = open(&bench, "telecom", json!({ "name": "kits", "title": "Kits", "writers": "all" })).await;
    let path = kits["path"].as_str().unwrap().trim_end_matches('/').to_owned();
    assert_eq!(push(&bench, "cloud", &path, &[indicator(4)]).await.1["success_count"], 1);
    let close = format!("/api/v1/collections/{}", kits["id"].as_str().unwrap());
    let closed = bench.request("telecom", Method::DELETE, &close).send().await.unwrap();
    assert_eq!(closed.status(), 200);
    for restarted in [false, true] {
        if restarted {
            bench = bench.restart().await;
        }
        assert_eq!(push(&bench, "cloud", &path, &[indicator(5)]).await.0, 403, "{restarted}");
        let (_, page) = get_json(&bench, "bank", &format!("{path}/objects/")).await;
        assert_eq!(ids(&page), [crate::taxii::id(4)], "{restarted}");
        let (_, listed) = bench.get("bank", "/api/v1/collections").await;
        assert!(listed["items"][0]["closed"].is_string(), "{listed}");
    }
    let again = bench.request("telecom", Method::DELETE, &close).send().await.unwrap();
    assert_eq!(crate::support::read(again).await.1["rule"], "collection_own");
}

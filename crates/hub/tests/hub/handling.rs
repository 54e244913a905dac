//! Handling that holds everywhere: every route that shows statements is asked by every viewer, and what it must not
//! show is looked for in each of its answers.

use crate::search::found;
use crate::support::{Bench, sighting, signed_report};
use crate::taxii::{TAXII, get_json, indicator, push};
use hub::Need;
use hub::routes::TABLE;
use reqwest::Method;
use serde_json::{Value, json};

const ROOTS: [&str; 3] = ["alliance", "public", "group-pair"];
const COLLECTIONS: [&str; 4] = ["findings", "plans", "sightings", "shares"];

/// Everything that can be read, asked for with everything that `knower` can see.
async fn paths(bench: &Bench, knower: &str) -> Vec<String> {
    let mut ids: Vec<(&str, Vec<String>)> = Vec::new();
    for list in ["/api/v1/findings", "/api/v1/plans", "/api/v1/mitigations"] {
        let (_, value) = bench.get(knower, list).await;
        let of = value["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
        ids.push((list, of.collect()));
    }
    let mut paths = Vec::new();
    let readable = TABLE.iter().filter(|route| route.method == "GET" && !route.path.contains("stream"));
    for route in readable.filter(|route| !matches!(route.need, Need::Nothing | Need::Stranger | Need::Loopback)) {
        match route.path {
            "/api/v1/why" => {
                paths.extend(["80.8.8.8", "80.0.0.6", "80.9.9.9"].map(|v| format!("/api/v1/why?value={v}")))
            }
            path if path.starts_with("/taxii2/{root}") => paths.extend(of_taxii(bench, knower, path).await),
            path if path.contains("{id}") => {
                let of = ids.iter().filter(|(list, _)| path.starts_with(list)).flat_map(|(_, ids)| ids);
                paths.extend(of.map(|id| path.replace("{id}", id)));
            }
            path if path.contains("{position}") => {
                paths.extend((0..40).map(|position| path.replace("{position}", &position.to_string())));
            }
            path if path.contains('{') => {}
            path => paths.push(path.to_owned()),
        }
    }
    for what in ["findings", "sightings", "objects"] {
        let values = ["80.8.8.0/24", "80.9.9.9", "80.0.0.6", "80.0.0.77"];
        paths.extend(values.map(|value| format!("/api/v1/search/{what}?value={value}&below=true&above=true")));
    }
    paths
}

async fn of_taxii(bench: &Bench, knower: &str, path: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for root in ROOTS {
        let of_root = path.replace("{root}", root);
        if of_root.contains("status") || !of_root.contains("{id}") {
            paths.push(of_root.replace("{id}", "x"));
            continue;
        }
        for collection in COLLECTIONS {
            let of_collection = of_root.replace("{id}", collection);
            if !of_collection.contains("{object}") {
                paths.push(of_collection);
                continue;
            }
            let all = format!("/taxii2/{root}/collections/{collection}/objects/");
            let (_, known) = get_json(bench, knower, &all).await;
            let ids = known["objects"].as_array().cloned().unwrap_or_default();
            paths.extend(ids.iter().map(|object| of_collection.replace("{object}", object["id"].as_str().unwrap())));
        }
    }
    paths
}

async fn text(bench: &Bench, who: &str, path: &str) -> String {
    let accept = if path.starts_with("/taxii2/") { TAXII } else { "application/json, text/plain" };
    bench.request(who, Method::GET, path).header("accept", accept).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_shows_what_is_for_a_group_to_anybody_else() {
    let bench = Bench::start_with(|config| config.join.strangers_per_minute_max = 100_000).await;
    let mut seen = sighting("80.8.8.8");
    seen["handling"] = json!({ "tlp": "green", "group": "pair" });
    for member in ["telecom", "cloud"] {
        assert_eq!(bench.report(member, signed_report(member, 1, std::slice::from_ref(&seen))).await.0, 200);
    }
    let shares = "/taxii2/group-pair/collections/shares";
    assert_eq!(push(&bench, "cloud", shares, &[indicator(6)]).await.1["success_count"], 1);
    found(&bench, "cloud", "/api/v1/search/findings?value=80.8.8.8", |items| items.len() == 1).await;
    found(&bench, "cloud", "/api/v1/search/objects?value=80.0.0.6", |items| items.len() == 1).await;
    let paths = paths(&bench, "cloud").await;
    let finding = found(&bench, "cloud", "/api/v1/search/findings?value=80.8.8.8", |items| items.len() == 1).await;
    let secrets = ["80.8.8.8", "80.0.0.6", finding[0]["id"].as_str().unwrap()];
    let (mut asked, mut shown) = (0, 0);
    for path in &paths {
        for who in ["bank", ""] {
            let text = text(&bench, who, path).await;
            for secret in secrets {
                // A question may be repeated; nothing may be answered.
                let told = text.contains(secret) && !path.contains(secret);
                assert!(!told, "{path} shows {who:?} {secret}: {text}");
            }
            asked += 1;
        }
        shown += usize::from(
            secrets.iter().any(|secret| !path.contains(secret)) && {
                let text = text(&bench, "cloud", path).await;
                secrets.iter().any(|secret| text.contains(secret))
            },
        );
    }
    assert!(asked > 100 && shown > 15, "{shown} of {asked} show it to those who may see it");
}

/// What stands together in an answer: items of a list, objects of an envelope, or all of it.
fn parts(text: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
    let list = value["items"].as_array().or_else(|| value["objects"].as_array());
    list.map_or_else(|| vec![text.to_owned()], |items| items.iter().map(Value::to_string).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_names_whoever_wishes_to_stay_unnamed_but_to_itself() {
    let bench = Bench::start_with(|config| config.join.strangers_per_minute_max = 100_000).await;
    let mut seen = sighting("80.9.9.9");
    seen["handling"] = json!({ "tlp": "clear" });
    assert_eq!(bench.report("cloud", signed_report("cloud", 1, &[seen.clone()])).await.0, 200);
    seen["handling"]["unnamed"] = true.into();
    assert_eq!(bench.report("bank", signed_report("bank", 1, &[seen])).await.0, 200);
    let policy = "marking-definition--77777777-1111-4111-8111-111111111111";
    let definition = json!({
        "type": "marking-definition", "spec_version": "2.1", "id": policy, "created": "2026-01-01T00:00:00Z",
        "definition_type": "iep",
        "definition": { "provider_attribution": "must not", "permitted_actions": "internally visible actions" },
    });
    let mut object = indicator(77);
    object["object_marking_refs"] = json!([crate::taxii::GREEN, policy]);
    let pushed = push(&bench, "bank", crate::taxii::SIGHTINGS, &[definition, object]).await;
    assert_eq!(pushed.1["success_count"], 2, "{}", pushed.1);
    let finding = "/api/v1/search/findings?value=80.9.9.9";
    found(&bench, "bank", finding, |items| items.iter().any(|item| item["state"] == "corroborated")).await;
    let own = found(&bench, "bank", "/api/v1/search/objects?value=80.0.0.77", |items| items.len() == 1).await;
    assert_eq!(own[0]["member"], "bank", "its own view names it");
    let mut shown = 0;
    for path in paths(&bench, "bank").await {
        for who in ["telecom", "cloud", ""] {
            for part in parts(&text(&bench, who, &path).await) {
                let told = ["80.9.9.9", "80.0.0.77"].iter().any(|secret| part.contains(secret));
                assert!(!(told && part.contains("bank")), "{path} names it to {who:?}: {part}");
                shown += usize::from(told);
            }
        }
    }
    assert!(shown > 20, "{shown}");
    let of_bank = |who: &'static str| crate::search::all(&bench, who, "/api/v1/search/sightings?member=bank");
    assert_eq!((of_bank("bank").await.len(), of_bank("telecom").await.len()), (2, 0), "nor by asking for it");
    let (_, why) = bench.get("bank", "/api/v1/why?value=80.9.9.9").await;
    assert!(why["findings"][0]["finding"]["sum"].to_string().contains("bank"), "{why}");
    let (_, members) = bench.get("telecom", "/api/v1/members").await;
    let bank = members["items"].as_array().unwrap().iter().find(|item| item["id"] == "bank").unwrap().clone();
    assert_eq!((&bank["sightings"], &bank["heard"]), (&json!(0), &json!(null)), "counts and times tell nothing");
}

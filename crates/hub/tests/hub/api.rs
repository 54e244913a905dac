//! The API's description is true: it names every route, and answers and statements are as it says.

use crate::support::{Bench, charter, key, key_id, now, sighting, signed_charter, signed_report};
use hub::openapi;
use hub::routes::{Answer, Request, TABLE};
use model::{Receipts, Retraction, SignedReceipts, SignedRetraction, Span};
use serde_json::{Value, json};
use std::sync::OnceLock;

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(openapi::document)
}

/// Holds a value against a named schema.
pub fn check(name: &str, value: &Value) -> Result<(), String> {
    conforms(&json!({ "$ref": format!("#/components/schemas/{name}") }), value, name)
}

/// As much of JSON Schema as the document uses.
fn conforms(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"].as_str() {
        let named = &document()["components"]["schemas"][name.rsplit('/').next().unwrap()];
        assert!(named.is_object(), "{name} is not in the document");
        return conforms(named, value, at);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let tried: Vec<_> = any.iter().map(|schema| conforms(schema, value, at)).collect();
        return tried.iter().find(|result| result.is_ok()).cloned().unwrap_or_else(|| tried[0].clone());
    }
    if let Some(words) = schema["enum"].as_array() {
        return if words.contains(value) { Ok(()) } else { Err(format!("{at}: {value} is not one of {words:?}")) };
    }
    match schema["type"].as_str() {
        None => Ok(()),
        Some("null") if value.is_null() => Ok(()),
        Some("string") if value.is_string() => Ok(()),
        Some("integer") if value.is_u64() || value.is_i64() => Ok(()),
        Some("number") if value.is_number() => Ok(()),
        Some("boolean") if value.is_boolean() => Ok(()),
        Some("array") if value.is_array() => {
            let mut items = value.as_array().unwrap().iter().enumerate();
            items.try_for_each(|(n, item)| conforms(&schema["items"], item, &format!("{at}[{n}]")))
        }
        Some("object") if value.is_object() => object(schema, value, at),
        Some(kind) => Err(format!("{at}: {value} is no {kind}")),
    }
}

fn object(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    for name in schema["required"].as_array().into_iter().flatten() {
        if value.get(name.as_str().unwrap()).is_none() {
            return Err(format!("{at}: {name} is missing"));
        }
    }
    for (name, item) in value.as_object().unwrap() {
        let at = format!("{at}.{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{at} is not in the description")),
            (Value::Null, Value::Null) => {}
            (Value::Null, others) => conforms(others, item, &at)?,
            (property, _) => conforms(property, item, &at)?,
        }
    }
    Ok(())
}

/// The schema of a route's answer.
fn answer_of(method: &str, path: &str) -> Value {
    let operation = &document()["paths"][path][method];
    assert!(operation.is_object(), "{method} {path} is not in the document");
    operation["responses"]["200"]["content"]["application/json"]["schema"].clone()
}

#[test]
fn the_document_holds_every_route_and_no_other() {
    let mut described: Vec<(String, String)> = Vec::new();
    for (path, operations) in document()["paths"].as_object().unwrap() {
        described.extend(operations.as_object().unwrap().keys().map(|method| (path.clone(), method.clone())));
    }
    let mut routed: Vec<(String, String)> =
        TABLE.iter().map(|route| (route.path.replace("{*", "{"), route.method.to_lowercase())).collect();
    described.sort();
    routed.sort();
    assert_eq!(described, routed);
}

#[test]
fn every_reference_leads_to_a_schema() {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| match (key.as_str(), value) {
                ("$ref", Value::String(name)) => found.push(name.clone()),
                _ => walk(value, found),
            }),
            Value::Array(list) => list.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document(), &mut found);
    assert!(found.len() > 100);
    for name in found {
        assert!(document().pointer(&name[1..]).is_some(), "{name}");
    }
}

#[test]
fn the_checked_in_document_is_the_one_the_hub_serves() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");
    if std::env::var_os("EPIMACHIA_WRITE_OPENAPI").is_some() {
        std::fs::write(path, openapi::text()).unwrap();
    }
    let checked_in = std::fs::read_to_string(path).unwrap();
    assert!(checked_in == openapi::text(), "write it anew: EPIMACHIA_WRITE_OPENAPI=1 cargo test -p hub");
}

#[test]
fn the_pages_name_every_route_and_every_metric() {
    let page = |name: &str| {
        let path = format!("{}/../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(path).unwrap()
    };
    let api = page("api.md");
    for route in TABLE {
        let row = format!("`{} {}`", route.method, route.path);
        assert!(api.contains(&row), "docs/reference/api.md does not name {row}");
    }
    let metrics = page("metrics.md");
    for metric in hub::figures::METRICS {
        assert!(metrics.contains(&format!("`{}`", metric.name)), "docs/reference/metrics.md: {}", metric.name);
    }
    for name in metrics.split('`').filter(|word| word.starts_with("epimachia_")) {
        assert!(hub::figures::METRICS.iter().any(|metric| metric.name == name), "there is no {name}");
    }
}

/// Makes the hub hold one of everything, then asks every route.
#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_described() {
    let bench = Bench::start().await;
    for member in ["telecom", "cloud"] {
        let answer =
            bench.report(member, signed_report(member, 1, &[sighting("80.1.2.3"), sighting("80.1.2.4")])).await;
        assert_eq!(answer.0, 200, "{}", answer.1);
        conforms(&answer_of("post", "/api/v1/sightings"), &answer.1, "sightings").unwrap();
    }
    let finding = crate::submit::wait_for_item(&bench, "/api/v1/findings").await;
    let plan = crate::submit::wait_for_item(&bench, "/api/v1/plans").await;
    let mitigation = crate::submit::wait_for_item(&bench, "/api/v1/mitigations?member=telecom").await;
    send_one_of_each(&bench, &mitigation).await;
    crate::joining::invite_and_join(&bench).await;
    let (_, pushed) = crate::taxii::push(&bench, "cloud", crate::taxii::SIGHTINGS, &[crate::taxii::indicator(1)]).await;
    assert_eq!(pushed["success_count"], 1, "{pushed}");
    let wish = serde_json::json!({ "name": "kits", "title": "Kits", "group": "pair" });
    let (_, opened) = bench.post("cloud", "/api/v1/collections", &wish).await;
    conforms(&answer_of("post", "/api/v1/collections"), &opened, "collections").unwrap();
    let (_, tokens) = bench.get("admin", "/api/v1/tokens").await;
    let mut asked = 0;
    for route in TABLE.iter().filter(|route| route.method == "GET") {
        let (Answer::Json(_) | Answer::List(_)) = route.answer else { continue };
        let id = match route.path {
            "/api/v1/findings/{id}" => finding["id"].as_str().unwrap(),
            "/api/v1/plans/{id}" => plan["id"].as_str().unwrap(),
            "/api/v1/tokens/{id}" => tokens["items"][0]["id"].as_str().unwrap(),
            _ => "",
        };
        let mut path = route.path.replace("{id}", id).replace("{member}", "telecom");
        match route.path {
            "/api/v1/why" => path += "?value=80.1.2.3",
            "/api/v1/log/consistency" => path += "?from=1&to=2",
            _ => {}
        }
        let of_admins = route.path.contains("tokens") || route.path.contains("certificates");
        let who = if of_admins { "admin" } else { "telecom" };
        let (mut status, mut value) = bench.get(who, &path).await;
        // The log's tree and what can be searched grow behind the sequencer: a moment after the answer.
        for _ in 0..1_200 {
            if status == 200 && value["items"].as_array().is_none_or(|items| !items.is_empty()) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            (status, value) = bench.get(who, &path).await;
        }
        assert_eq!(status, 200, "{path}: {value}");
        conforms(&answer_of("get", route.path), &value, route.path).unwrap();
        if let Answer::List(_) = route.answer {
            assert!(!value["items"].as_array().unwrap().is_empty(), "{path} is empty");
        }
        asked += 1;
    }
    assert!(asked >= 15, "{asked}");
}

/// Statements of every other kind: each is held against its schema, and so is the answer.
async fn send_one_of_each(bench: &Bench, mitigation: &Value) {
    let at = now();
    let receipts = Receipts {
        author: "telecom".parse().unwrap(),
        key: key_id("telecom", false),
        sequence: 2,
        made: at,
        receipts: vec![
            serde_json::from_value(json!({ "mitigation": mitigation["id"], "state": "applied", "at": at,
                "point": "rpz", "evidence": "serial 7", "packets": 1, "bytes": 60 }))
            .unwrap(),
        ],
    };
    let receipts = SignedReceipts::sign(receipts, &key("telecom", false));
    let retraction = Retraction {
        author: "telecom".parse().unwrap(),
        key: key_id("telecom", false),
        sequence: 3,
        made: at,
        observable: "80.1.2.4".parse().unwrap(),
        behaviour: model::Behaviour::Scan,
        reason: "our own scanner".to_owned(),
    };
    let signature = key("telecom", false).sign(&retraction);
    let retraction = SignedRetraction { retraction, signature };
    let dispute = crate::submit::dispute("cloud", mitigation["finding"].as_str().unwrap());
    let (_, second) = bench.get("telecom", "/api/v1/charter").await;
    let digest = charter::Charter::digest_of(second["text"].as_str().unwrap()).to_string();
    let next = signed_charter(&charter(bench.running.directory(), 2, Some(&digest)));
    for (who, path, body) in [
        ("telecom", "/api/v1/receipts", serde_json::to_value(receipts).unwrap()),
        ("telecom", "/api/v1/retractions", serde_json::to_value(retraction).unwrap()),
        ("cloud", "/api/v1/disputes", serde_json::to_value(dispute).unwrap()),
        ("admin", "/api/v1/charter", next),
        (
            "admin",
            "/api/v1/tokens",
            json!({ "member": "bank", "scopes": ["read"], "label": "", "valid": Span::days(1) }),
        ),
    ] {
        let route = TABLE.iter().find(|route| route.path == path && route.method == "POST").unwrap();
        let Request::Json(schema) = route.request else { panic!("{path}") };
        check(schema, &body).unwrap();
        let (status, value) = bench.post(who, path, &body).await;
        assert_eq!(status, 200, "{path}: {value}");
        conforms(&answer_of("post", path), &value, path).unwrap();
    }
}

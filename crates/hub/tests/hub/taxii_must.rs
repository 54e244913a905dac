//! What TAXII 2.1 says that a server MUST do, a test for each row of docs/reference/taxii.md.

use crate::support::{Bench, now, read};
use crate::taxii::{CLEAR, SIGHTINGS, TAXII, get, get_json, id, ids, indicator, indicator_at, push};
use model::Span;
use reqwest::{Method, Response};
use serde_json::{Value, json};

const OBJECTS: &str = "/taxii2/alliance/collections/sightings/objects/";
const MANIFEST: &str = "/taxii2/alliance/collections/sightings/manifest/";

fn header(response: &Response, name: &str) -> String {
    response.headers()[name].to_str().unwrap().to_owned()
}

/// TAXII 2.1 §2: `YYYY-MM-DDTHH:MM:SS.ssssssZ`.
fn is_timestamp(text: &str) -> bool {
    text.len() == 27
        && text.ends_with('Z')
        && text.as_bytes()[19] == b'.'
        && text[20..26].bytes().all(|b| b.is_ascii_digit())
}

fn is_uuid4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
        && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
        && parts[2].starts_with('4')
        && parts[3].starts_with(['8', '9', 'a', 'b'])
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_stands_at_the_servers_root_and_names_relative_roots_that_exist() {
    let bench = Bench::start().await;
    for (who, expected) in [
        ("cloud", &["/taxii2/alliance/", "/taxii2/group-pair/", "/taxii2/public/"][..]),
        ("bank", &["/taxii2/alliance/", "/taxii2/public/"][..]),
        ("", &["/taxii2/public/"][..]),
    ] {
        let (code, discovery) = get_json(&bench, who, "/taxii2/").await;
        assert_eq!(code, 200);
        assert_eq!(discovery["api_roots"], json!(expected), "{who}");
        assert_eq!(discovery["default"], expected[0], "the default is one of them");
        crate::api::check("TaxiiDiscovery", &discovery).unwrap();
        for root in expected {
            let (code, root) = get_json(&bench, who, root).await;
            assert_eq!((code, &root["versions"]), (200, &json!([TAXII])));
            assert!(root["max_content_length"].as_u64().unwrap() > 0);
            crate::api::check("TaxiiApiRoot", &root).unwrap();
        }
    }
    assert_eq!(get(&bench, "bank", "/taxii2/group-pair/").await.status(), 404, "a group that does not hold the caller");
    assert_eq!(get(&bench, "cloud", "/taxii2").await.status(), 404, "paths end with a slash");
    assert_eq!(get(&bench, "cloud", "/taxii2/alliance").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_are_listed_in_one_order_with_what_the_caller_may_do() {
    let mut bench = Bench::start().await;
    for scope in ["read", "report", "audit"] {
        let scopes = [serde_json::from_value(json!(scope)).unwrap()].into();
        let token = bench.token("admin", "cloud", scopes, Span::days(1)).await.unwrap();
        bench.tokens.insert(scope.to_owned(), token);
    }
    for (who, can_read, can_write) in
        [("cloud", true, true), ("read", true, false), ("report", false, true), ("audit", false, false)]
    {
        let (_, all) = get_json(&bench, who, "/taxii2/alliance/collections/").await;
        crate::api::check("TaxiiCollections", &all).unwrap();
        let (_, again) = get_json(&bench, who, "/taxii2/alliance/collections/").await;
        assert_eq!(all, again);
        let listed = all["collections"].as_array().unwrap();
        let sightings = listed.iter().find(|collection| collection["alias"] == "sightings").unwrap();
        assert_eq!((&sightings["can_read"], &sightings["can_write"]), (&json!(can_read), &json!(can_write)), "{who}");
        let by_id = format!("/taxii2/alliance/collections/{}/", sightings["id"].as_str().unwrap());
        assert!(is_uuid4(sightings["id"].as_str().unwrap()));
        assert_eq!(get_json(&bench, who, &by_id).await.1, *sightings);
        let aliases: std::collections::BTreeSet<_> = listed.iter().map(|c| c["alias"].as_str().unwrap()).collect();
        assert_eq!((aliases.len(), listed.len()), (3, 3));
        let read = if can_read { 200 } else { 403 };
        for path in [OBJECTS, MANIFEST] {
            assert_eq!(get(&bench, who, path).await.status().as_u16(), read, "{who} {path}");
        }
        assert_eq!(push(&bench, who, SIGHTINGS, &[indicator(1)]).await.0, if can_write { 202 } else { 403 }, "{who}");
        let delete = bench.request(who, Method::DELETE, &format!("{OBJECTS}{}/", id(77))).send().await.unwrap();
        let expected = match (can_read, can_write) {
            (true, true) | (false, false) => 404,
            _ => 403,
        };
        assert_eq!(delete.status().as_u16(), expected, "{who}");
    }
    assert_eq!(get(&bench, "cloud", "/taxii2/alliance/collections/nothing/").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn media_types_are_negotiated_and_every_answer_has_taxiis_own() {
    let bench = Bench::start().await;
    for (accept, status) in [
        (TAXII, 200),
        ("application/taxii+json", 200),
        ("application/taxii+json; version=2.1", 200),
        ("text/html, application/taxii+json;version=2.1", 200),
        ("application/taxii+json;version=2.0", 406),
        ("application/json", 406),
        ("text/html", 406),
    ] {
        for path in ["/taxii2/", "/taxii2/alliance/", "/taxii2/alliance/collections/", OBJECTS, MANIFEST] {
            let response = bench.request("cloud", Method::GET, path).header("accept", accept).send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path} {accept}");
            assert_eq!(header(&response, "content-type"), TAXII, "{path} {accept}");
            read(response).await;
        }
    }
    for (sent, status) in [(TAXII, 202), ("application/taxii+json", 202), ("application/json", 415), ("", 415)] {
        let body = json!({ "objects": [indicator(1)] }).to_string();
        let mut request = bench.request("cloud", Method::POST, OBJECTS).header("accept", TAXII).body(body);
        if !sent.is_empty() {
            request = request.header("content-type", sent);
        }
        assert_eq!(read(request.send().await.unwrap()).await.0, status, "{sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_taxiis_error_body_and_say_what_is_wrong() {
    let bench = Bench::start_with(|config| config.limits.body_bytes_max = 4_096).await;
    let unknown =
        bench.client.get(format!("{}{OBJECTS}", bench.running.url())).bearer_auth(format!("epi_{}", "A".repeat(43)));
    let response = unknown.header("accept", TAXII).send().await.unwrap();
    assert_eq!(response.status(), 401);
    assert!(header(&response, "www-authenticate").contains("Basic"));
    assert_eq!(read(response).await.1["http_status"], "401");
    let response = get(&bench, "", OBJECTS).await;
    assert_eq!((response.status().as_u16(), response.headers().contains_key("www-authenticate")), (401, true));
    for query in [
        "limit=0",
        "limit=x",
        "limit=1&limit=2",
        "added_after=today",
        "next=7",
        "match[version]=all,last",
        "match[type]=",
        "match[id]=x",
        "match[spec_version]=3.0",
        "match[type]=a&match[type]=b",
    ] {
        let (code, error) = get_json(&bench, "cloud", &format!("{OBJECTS}?{query}")).await;
        assert_eq!((code, &error["http_status"]), (400, &json!("400")), "{query}");
        assert!(!error["details"]["limit"].as_str().unwrap().is_empty(), "{query}: {error}");
    }
    let large = json!({ "objects": [indicator(1)], "x_filler": "a".repeat(5_000) }).to_string();
    for (body, status) in
        [(large.as_str(), 413), ("{", 422), ("[]", 422), ("{}", 422), ("{\"objects\":7}", 422), ("\"x\"", 422)]
    {
        let request = bench.request("cloud", Method::POST, OBJECTS).header("content-type", TAXII).body(body.to_owned());
        assert_eq!(read(request.send().await.unwrap()).await.0, status, "{body:.20}");
    }
    assert_eq!(get(&bench, "cloud", &format!("/taxii2/alliance/status/{}/", "0".repeat(8))).await.status(), 404);
    let wrong = bench.request("cloud", Method::PUT, OBJECTS).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), header(&wrong, "content-type").as_str()), (405, TAXII));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_in_the_order_of_adding_and_hold_every_object_once_by_next_and_by_time() {
    let bench = Bench::start().await;
    for batch in 0..5 {
        let objects: Vec<Value> = (batch * 7..batch * 7 + 7).map(indicator).collect();
        assert_eq!(push(&bench, "cloud", SIGHTINGS, &objects).await.1["success_count"], 7);
    }
    let wanted: Vec<String> = (0..35).map(id).collect();
    for by_time in [false, true] {
        for what in [OBJECTS, MANIFEST] {
            let (mut found, mut cursor, mut pages, mut times) = (Vec::new(), String::new(), 0, Vec::new());
            loop {
                let response = get(&bench, "bank", &format!("{what}?limit=4{cursor}")).await;
                let (first, last) =
                    (header(&response, "x-taxii-date-added-first"), header(&response, "x-taxii-date-added-last"));
                assert!(is_timestamp(&first) && is_timestamp(&last) && first <= last);
                let (_, page) = read(response).await;
                found.extend(ids(&page));
                pages += 1;
                times.extend([first, last.clone()]);
                if page["more"] != json!(true) {
                    assert!(page.get("more").is_none());
                    break;
                }
                cursor = match by_time {
                    true => format!("&added_after={last}"),
                    false => format!("&next={}", page["next"].as_str().unwrap()),
                };
            }
            assert_eq!((&found, pages), (&wanted, 9), "{what} {by_time}");
            assert!(times.is_sorted());
        }
    }
    let (_, manifest) = get_json(&bench, "bank", MANIFEST).await;
    let added: Vec<&str> =
        manifest["objects"].as_array().unwrap().iter().map(|row| row["date_added"].as_str().unwrap()).collect();
    assert!(added.windows(2).all(|two| two[0] < two[1]) && added.iter().all(|time| is_timestamp(time)));
    crate::api::check("TaxiiManifest", &manifest).unwrap();
    let nothing_new = get(&bench, "bank", &format!("{OBJECTS}?added_after={}", added[34])).await;
    assert_eq!(header(&nothing_new, "x-taxii-date-added-last"), added[34], "whoever goes on from here misses nothing");
    assert_eq!(nothing_new.text().await.unwrap(), "{}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_keeps_what_it_says() {
    let bench = Bench::start().await;
    let begun = now();
    let at = |minutes: i64| begun.minus(Span::minutes(60 - minutes));
    let (first, second) = (indicator_at(1, at(1)), indicator_at(1, at(2)));
    let mut old = indicator_at(2, at(1));
    old.as_object_mut().unwrap().remove("spec_version");
    let sco = json!({ "type": "ipv4-addr", "spec_version": "2.1", "value": "80.0.0.1", "object_marking_refs": [CLEAR],
                      "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd" });
    let (_, status) = push(&bench, "cloud", SIGHTINGS, &[first.clone(), old, sco.clone(), second.clone()]).await;
    assert_eq!(status["failure_count"], 0, "{status}");
    let sco_id = sco["id"].as_str().unwrap();
    let version = first["modified"].as_str().unwrap();
    for (query, expected) in [
        ("", vec![id(2), sco_id.to_owned(), id(1)]),
        ("match[type]=ipv4-addr", vec![sco_id.to_owned()]),
        ("match[type]=ipv4-addr,indicator", vec![id(2), sco_id.to_owned(), id(1)]),
        ("match[type]=malware", vec![]),
        ("match[version]=all", vec![id(1), id(2), sco_id.to_owned(), id(1)]),
        ("match[version]=first", vec![id(1), id(2), sco_id.to_owned()]),
        ("match[spec_version]=2.0", vec![id(2)]),
        ("match[spec_version]=2.0,2.1&match[type]=indicator", vec![id(2), id(1)]),
        (&format!("match[version]={version}"), vec![id(1), id(2)]),
        (&format!("match[id]={}", id(1)), vec![id(1)]),
        (&format!("match[id]={},{sco_id}&match[type]=indicator", id(1)), vec![id(1)]),
        (&format!("match[id]={}&match[version]=all", id(1)), vec![id(1), id(1)]),
        ("unheard[of]=x", vec![id(2), sco_id.to_owned(), id(1)]),
    ] {
        assert_eq!(ids(&get_json(&bench, "bank", &format!("{OBJECTS}?{query}")).await.1), expected, "{query}");
        assert_eq!(ids(&get_json(&bench, "bank", &format!("{MANIFEST}?{query}")).await.1), expected, "{query}");
    }
    let one = get(&bench, "bank", &format!("{OBJECTS}{}/", id(1))).await;
    assert!(is_timestamp(&header(&one, "x-taxii-date-added-first")));
    assert_eq!(read(one).await.1["objects"], json!([second]));
    let (_, versions) = get_json(&bench, "bank", &format!("{OBJECTS}{}/versions/", id(1))).await;
    assert_eq!(versions, json!({ "versions": [first["modified"], second["modified"]] }));
    let none = format!("{OBJECTS}{}/?match[version]=2020-01-01T00:00:00Z", id(1));
    assert_eq!(get_json(&bench, "bank", &none).await, (200, json!({})));
    assert_eq!(get(&bench, "bank", &format!("{OBJECTS}{}/", id(99))).await.status(), 404);
    assert_eq!(get(&bench, "bank", &format!("{OBJECTS}{}/versions/", id(99))).await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_not_found_and_its_evidence_is_taken_back() {
    let bench = Bench::start().await;
    push(&bench, "cloud", SIGHTINGS, &[indicator(3), indicator(4)]).await;
    let path = format!("{OBJECTS}{}/", id(3));
    let delete =
        async |who: &str| bench.request(who, Method::DELETE, &path).header("accept", TAXII).send().await.unwrap();
    assert_eq!(delete("bank").await.status(), 403, "what another member brought");
    let done = delete("cloud").await;
    assert_eq!((done.status().as_u16(), header(&done, "content-type").as_str()), (200, TAXII));
    assert_eq!(get(&bench, "bank", &path).await.status(), 404);
    assert_eq!(delete("cloud").await.status(), 404);
    for what in [OBJECTS, MANIFEST] {
        assert_eq!(ids(&get_json(&bench, "bank", what).await.1), [id(4)]);
    }
    for (value, known) in [("80.0.0.3", false), ("80.0.0.4", true)] {
        assert_eq!(bench.get("bank", &format!("/api/v1/why?value={value}")).await.1["known"], known, "{value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_and_bearer_and_certificates_let_in_alike() {
    let bench = Bench::start().await;
    push(&bench, "cloud", SIGHTINGS, &[indicator(5)]).await;
    let url = format!("{}{OBJECTS}", bench.running.url());
    let basic = |user: &'static str, token: &str| {
        bench.client.get(&url).basic_auth(user, Some(token.to_owned())).header("accept", TAXII).send()
    };
    let token = &bench.tokens["cloud"];
    assert_eq!(ids(&read(basic("cloud", token).await.unwrap()).await.1), [id(5)]);
    for (user, token) in [("bank", token.as_str()), ("cloud", "epi_wrong"), ("", token.as_str())] {
        assert_eq!(read(basic(user, token).await.unwrap()).await.0, 401, "{user}");
    }
    let written = |scheme: &'static str, token: &str| {
        let header = format!("{scheme} {token}");
        bench.client.get(&url).header("authorization", header).header("accept", TAXII).send()
    };
    assert_eq!(ids(&read(written("Token", token).await.unwrap()).await.1), [id(5)], "as taxii2-client's TokenAuth");
    assert_eq!(read(written("Token", "epi_wrong").await.unwrap()).await.0, 401);
    assert_eq!(read(written("Digest", token).await.unwrap()).await.0, 401);
    let (_, agent) = crate::joining::joined(&bench, &crate::joining::Applicant::new("bank")).await;
    let response = agent.get(&url).header("accept", TAXII).send().await.unwrap();
    assert_eq!(ids(&read(response).await.1), [id(5)]);
    let body = json!({ "objects": [indicator(6)] }).to_string();
    let added = agent.post(&url).header("accept", TAXII).header("content-type", TAXII).body(body).send().await.unwrap();
    assert_eq!(read(added).await.1["success_count"], 1);
    let elsewhere = bench.client.get(format!("{}/api/v1/findings", bench.running.url()));
    let elsewhere = elsewhere.basic_auth("cloud", Some(token)).send().await.unwrap();
    assert_eq!(elsewhere.status(), 401, "Basic counts at the TAXII server only");
    let elsewhere = bench.client.get(format!("{}/api/v1/findings", bench.running.url()));
    let elsewhere = elsewhere.header("authorization", format!("Token {token}")).send().await.unwrap();
    assert_eq!(elsewhere.status(), 401, "and so does Token");
}

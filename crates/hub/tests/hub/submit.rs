//! Statements: what is accepted is durable, what is refused is named with field, value and limit.

use crate::support::{Bench, PATIENCE, key, key_id, now, read, sighting, signed_report};
use model::{Dispute, Ground, SignedDispute, Span};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The first item of a list, once there is one.
pub async fn wait_for_item(bench: &Bench, path: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, list) = bench.get("telecom", path).await;
        assert_eq!(status, 200, "{path}: {list}");
        if let Some(item) = list["items"].as_array().and_then(|items| items.first()) {
            return item.clone();
        }
        assert!(Instant::now() < until, "{path} stays empty");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn dispute(member: &str, finding: &str) -> SignedDispute {
    let dispute = Dispute {
        finding: finding.parse().unwrap(),
        person: format!("ada@{member}").parse().unwrap(),
        key: key_id(member, true),
        ground: Ground::FalsePositive,
        reason: "a scanner of the university".to_owned(),
        made: now(),
    };
    SignedDispute::sign(dispute, &key(member, true))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_report_is_durable_and_a_resend_changes_nothing() {
    let bench = Bench::start().await;
    let body = signed_report("telecom", 1, &[sighting("80.1.2.3"), sighting("bad.example.net")]);
    let response = bench.send_report("telecom", body.clone()).await;
    let header = response.headers()["x-epimachia-position"].to_str().unwrap().to_owned();
    let (status, first) = read(response).await;
    assert_eq!((status, &first["accepted"], &first["duplicate"]), (200, &json!(2), &json!(false)), "{first}");
    assert_eq!(first["position"].to_string(), header);
    let (_, again) = bench.report("telecom", body).await;
    assert_eq!((&again["position"], &again["duplicate"]), (&first["position"], &json!(true)));
    let (_, next) = bench.get("telecom", "/api/v1/members/telecom/sequence").await;
    assert_eq!(next, json!({ "next": 2 }));
    let at = first["position"].as_u64().unwrap();
    let (_, page) = bench.get("telecom", &format!("/api/v1/journal?after={}&max=1", at - 1)).await;
    assert_eq!(page["items"][0]["entry"]["event"]["kind"], "sightings-reported");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_in_the_numbers_is_refused_with_the_next_one() {
    let bench = Bench::start().await;
    let (status, problem) = bench.report("telecom", signed_report("telecom", 3, &[sighting("80.1.2.3")])).await;
    assert_eq!((status, &problem["rule"], &problem["limit"]), (409, &json!("out_of_sequence"), &json!("1")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_plain_client_reports_is_attested() {
    let bench = Bench::start().await;
    let body = format!("{}\n{}\n", sighting("80.1.2.3"), sighting("80.1.2.4"));
    let (status, answer) = bench.report("cloud", body).await;
    assert_eq!((status, &answer["accepted"], &answer["sequence"]), (200, &json!(2), &Value::Null), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_report_is_refused_by_its_rule_and_nothing_of_it_is_kept() {
    let bench = Bench::start().await;
    let (_, before) = bench.get("telecom", "/api/v1/status").await;
    let with = |field: &str, value: Value| {
        let mut changed = sighting("80.1.2.3");
        changed[field] = value;
        changed
    };
    let good = sighting("80.1.2.3");
    let in_an_hour = now().plus(Span::hours(1));
    let long_ago = now().minus(Span::days(40));
    let deep = format!("{{\"observable\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    let cases: Vec<(String, u16, &str, &[&str])> = vec![
        (with("victim", json!("x")).to_string(), 400, "malformed", &["line 1", "victim"]),
        (format!("{good}\n{}", with("behaviour", json!("hack"))), 400, "malformed", &["line 2", "hack", "bruteforce"]),
        (with("count", json!(0)).to_string(), 400, "malformed", &["count"]),
        (with("observable", json!("10.1.2.3")).to_string(), 422, "bogon_evidence", &["10.1.2.3", "private"]),
        (with("observable", json!("45.0.1.2")).to_string(), 422, "own_space_evidence", &["45.0.1.2"]),
        (with("last", json!(in_an_hour)).to_string(), 422, "clock_skew", &["last"]),
        (with("first", json!(long_ago)).to_string(), 422, "clock_skew", &["first"]),
        (with("handling", json!({ "tlp": "red" })).to_string(), 422, "red_not_accepted", &["amber"]),
        (with("handling", json!({ "tlp": "green", "group": "none" })).to_string(), 422, "unknown_group", &["none"]),
        (deep, 413, "too_large", &["32"]),
        (String::new(), 400, "malformed", &["one sighting a line"]),
        ("not json".to_owned(), 400, "malformed", &["line 1"]),
        (format!("{good}\n").repeat(10_001), 413, "too_large", &["10000"]),
        (" ".repeat((8 << 20) + 1), 413, "too_large", &["8388608"]),
    ];
    for (body, status, rule, named) in cases {
        let (found, problem) = bench.report("telecom", body).await;
        assert_eq!((found, &problem["rule"]), (status, &json!(rule)), "{problem}");
        for word in named {
            assert!(problem["detail"].as_str().unwrap().contains(word), "{word}: {problem}");
        }
    }
    let (_, after) = bench.get("telecom", "/api/v1/status").await;
    assert_eq!((&before["sightings"], &before["entries"]), (&after["sightings"], &after["entries"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_bent_on_its_way_is_refused() {
    let bench = Bench::start().await;
    let body = signed_report("telecom", 1, &[sighting("80.1.2.3"), sighting("80.1.2.4")]);
    for (from, to, rule) in [
        ("80.1.2.4", "80.1.2.5", "digest_mismatch"),
        ("\"sequence\":1", "\"sequence\":2", "bad_signature"),
        ("\"author\":\"telecom\"", "\"author\":\"cloud\"", "scope_missing"),
        ("\"header\"", "\"x\":1,\"header\"", "malformed"),
    ] {
        let bent = body.replace(from, to);
        assert_ne!(bent, body);
        let (_, problem) = bench.report("telecom", bent).await;
        assert_eq!(problem["rule"], rule, "{problem}");
    }
    let mut bytes = body.clone().into_bytes();
    bytes[10] = 0xff;
    let (status, problem) = bench.report("telecom", bytes).await;
    assert_eq!(status, 400);
    assert!(problem["detail"].as_str().unwrap().contains("byte 10"), "{problem}");
    let half = bench.report("telecom", body[..body.len() / 2].to_owned()).await;
    assert_eq!(half.0, 400, "{}", half.1);
    assert_eq!(bench.report("telecom", body).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_bodies_are_read_and_bombs_are_not() {
    let bench = Bench::start().await;
    let send = |body: Vec<u8>, coding: &'static str| {
        let request = bench.request("telecom", Method::POST, "/api/v1/sightings");
        let request = request.header("content-type", "application/x-ndjson").header("content-encoding", coding);
        async move { read(request.body(body).send().await.unwrap()).await }
    };
    let body = signed_report("telecom", 1, &[sighting("80.1.2.3")]);
    assert_eq!(send(zstd::bulk::compress(body.as_bytes(), 3).unwrap(), "zstd").await.0, 200);
    let bomb = zstd::bulk::compress(&vec![b' '; 256 << 20], 9).unwrap();
    assert!(bomb.len() < 100_000);
    let (status, problem) = send(bomb, "zstd").await;
    assert_eq!((status, &problem["rule"]), (413, &json!("too_large")));
    assert_eq!(send(body.clone().into_bytes(), "zstd").await.0, 400);
    assert_eq!(send(body.into_bytes(), "gzip").await.0, 415);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_make_a_finding_a_plan_and_two_persons_revoke_it() {
    let bench = Bench::start().await;
    for member in ["telecom", "cloud"] {
        assert_eq!(bench.report(member, signed_report(member, 1, &[sighting("80.9.9.9")])).await.0, 200);
    }
    let finding = wait_for_item(&bench, "/api/v1/findings?state=corroborated").await;
    assert_eq!(finding["observable"], "80.9.9.9");
    wait_for_item(&bench, "/api/v1/mitigations").await;
    let id = finding["id"].as_str().unwrap();
    for member in ["cloud", "bank"] {
        let body = serde_json::to_value(dispute(member, id)).unwrap();
        let (status, answer) = bench.post(member, "/api/v1/disputes", &body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (_, revoked) = bench.get("bank", &format!("/api/v1/findings/{id}")).await;
    assert_eq!(revoked["state"], "revoked");
    let forged = SignedDispute::sign(dispute("bank", id).dispute, &key("cloud", true));
    let (status, problem) = bench.post("bank", "/api/v1/disputes", &serde_json::to_value(forged).unwrap()).await;
    assert_eq!((status, &problem["rule"]), (422, &json!("bad_signature")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_reports_are_seen_by_the_group_only() {
    let bench = Bench::start().await;
    let mut shared = sighting("80.7.7.7");
    shared["handling"] = json!({ "tlp": "amber", "group": "pair" });
    for member in ["telecom", "cloud"] {
        assert_eq!(bench.report(member, signed_report(member, 1, &[shared.clone()])).await.0, 200);
    }
    let finding = wait_for_item(&bench, "/api/v1/findings").await;
    let id = finding["id"].as_str().unwrap();
    assert_eq!(bench.get("cloud", &format!("/api/v1/findings/{id}")).await.0, 200);
    assert_eq!(bench.get("bank", &format!("/api/v1/findings/{id}")).await.0, 404);
    assert_eq!(bench.get("bank", &format!("/api/v1/why?value={id}")).await.0, 404);
    for path in ["/api/v1/findings", "/api/v1/plans", "/api/v1/mitigations", "/api/v1/why?value=80.7.7.7"] {
        let (_, shown) = bench.get("bank", path).await;
        let told = shown.to_string();
        assert!(!told.contains(id) && (path.contains("why") || !told.contains("80.7.7.7")), "{path}: {told}");
    }
    let (_, journal) = bench.get("bank", "/api/v1/journal?max=1000").await;
    assert!(!journal.to_string().contains("80.7.7.7"), "{journal}");
    let (_, journal) = bench.get("cloud", "/api/v1/journal?max=1000").await;
    let items = journal["items"].as_array().unwrap();
    let hidden = items.iter().find(|item| item["entry"]["event"]["kind"] == "sightings-reported").unwrap();
    let position = hidden["position"].as_u64().unwrap();
    crate::stream::wait_for_checkpoint(&bench, position + 1).await;
    let (_, open) = bench.get("cloud", &format!("/api/v1/log/proof/{position}")).await;
    let (_, closed) = bench.get("bank", &format!("/api/v1/log/proof/{position}")).await;
    let key =
        account::VerifierKey::new("test.alliance", bench.running.directory().identity().checkpoint_key.as_bytes())
            .unwrap();
    let open = account::EntryProof::parse(open.as_str().unwrap().as_bytes()).unwrap();
    let proven = open.verify(&key).unwrap();
    assert!(String::from_utf8_lossy(proven.entry.unwrap()).contains("80.7.7.7"));
    let closed = account::EntryProof::parse(closed.as_str().unwrap().as_bytes()).unwrap();
    assert!(closed.opening().is_none());
    closed.verify_leaf(&key, proven.commitment).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charter_of_another_hub_is_refused() {
    let bench = Bench::start().await;
    let (_, current) = bench.get("bank", "/api/v1/charter").await;
    let text = current["text"].as_str().unwrap();
    let ours = bench.running.directory().identity().checkpoint_key.to_string();
    for (from, to, named) in
        [(ours.as_str(), key("bank", true).public().to_string(), "hub_key"), ("test.alliance", "other".into(), "name")]
    {
        let foreign = crate::support::signed_charter(&text.replace(from, &to));
        let (status, problem) = bench.post("admin", "/api/v1/charter", &foreign).await;
        assert_eq!(status, 400, "{problem}");
        assert!(problem["value"].as_str().unwrap().contains(named), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_list_comes_in_before_its_charter_and_is_there_after_a_restart() {
    let bench = Bench::start().await;
    let list = "cidr,class,list\n80.5.0.0/16,university,test\n".to_owned();
    let put = bench.request("admin", Method::PUT, "/api/v1/charter/lists").body(list.clone());
    let (status, taken) = read(put.send().await.unwrap()).await;
    assert_eq!(status, 200, "{taken}");
    let sha256 = taken["sha256"].as_str().unwrap().to_owned();
    let (_, current) = bench.get("bank", "/api/v1/charter").await;
    let previous = charter::Charter::digest_of(current["text"].as_str().unwrap()).to_string();
    let directory = bench.running.directory().clone();
    let text = crate::support::charter(&directory, 2, Some(&previous));
    let row = format!("[[guards.list]]\nfile = \"u.csv\"\nsha256 = \"{sha256}\"\n[[group]]");
    let text = text.replacen("[[group]]", &row, 1);
    let (status, answer) = bench.post("admin", "/api/v1/charter", &crate::support::signed_charter(&text)).await;
    assert_eq!(status, 200, "{answer}");
    let Bench { running, dir, tokens, .. } = bench;
    running.shutdown().await.unwrap();
    let running = hub::Hub::start(crate::support::config(directory.path("").as_path())).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    let back = bench.request("bank", Method::GET, &format!("/api/v1/charter/lists/{sha256}")).send().await.unwrap();
    assert_eq!(back.text().await.unwrap(), list);
    let (_, why) = bench.get("bank", "/api/v1/why?value=80.5.1.1").await;
    assert_eq!(why["guard"]["class"], "university", "{why}");
}

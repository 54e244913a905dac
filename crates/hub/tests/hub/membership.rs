//! Membership over the wire: an objection is for admins alone, and a suspension takes effect at once.

use crate::joining::{Applicant, get, joined};
use crate::support::{Bench, charter, config, key, now, sighting, signed_charter, signed_report};
use model::membership::{Application, MembershipStatement, Say, Word};
use model::{MemberKind, Segment, SigningKey, Span};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What only the secretariat is told.
const SECRET: &str = "their last incident";

fn word(member: &str, by: &str, say: Say) -> MembershipStatement {
    let signer = key(by, true);
    let word = Word {
        alliance: crate::joining::ALLIANCE.to_owned(),
        member: member.parse().unwrap(),
        say,
        person: format!("ada@{by}").parse().unwrap(),
        key: signer.public().id(),
        made: now(),
        reason: if say == Say::Object { SECRET } else { "a reason for everybody" }.to_owned(),
    };
    MembershipStatement::say(word, &signer)
}

async fn hand(bench: &Bench, who: &str, statement: &MembershipStatement) -> (u16, Value) {
    let body = json!(statement);
    crate::api::check("MembershipStatement", &body).unwrap();
    bench.post(who, "/api/v1/membership", &body).await
}

/// One company as somebody sees it; every answer is held against the API's description.
async fn shown(bench: &Bench, who: &str, company: &str) -> Value {
    let (status, list) = bench.get(who, "/api/v1/membership").await;
    assert_eq!(status, 200, "{list}");
    let items = list["items"].as_array().unwrap();
    items.iter().for_each(|item| crate::api::check("CompanyView", item).unwrap());
    items.iter().find(|item| item["member"] == company).cloned().unwrap_or_default()
}

/// A proof, once a checkpoint is over its entry.
async fn proof(bench: &Bench, who: &str, path: &str) -> String {
    for _ in 0..600 {
        if let (200, Value::String(text)) = bench.get(who, path).await {
            return text;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    panic!("no proof within a minute");
}

async fn with_admin() -> Bench {
    let bench = Bench::start().await;
    let (_, in_force) = bench.get("cloud", "/api/v1/charter").await;
    let digest = charter::Charter::digest_of(in_force["text"].as_str().unwrap());
    let directory = hub::Directory::open(&bench.root());
    let text = charter(&directory.unwrap(), 2, Some(&digest.to_string()));
    let text = text.replacen("\"operator\"]", "\"operator\", \"admin\"]", 1);
    let (status, problem) = bench.post("admin", "/api/v1/charter", &signed_charter(&text)).await;
    assert_eq!(status, 200, "{problem}");
    bench
}

#[tokio::test(flavor = "multi_thread")]
async fn an_objection_is_shown_to_admins_and_in_no_journal_of_others() {
    let bench = with_admin().await;
    let applicant = SigningKey::from_seed(&[77; 32]);
    let application = Application {
        alliance: crate::joining::ALLIANCE.to_owned(),
        member: "shop".parse().unwrap(),
        name: "Shop".to_owned(),
        kind: MemberKind::Full,
        segments: BTreeSet::from([Segment::Enterprise]),
        capabilities: BTreeSet::new(),
        key: applicant.public(),
        persons: BTreeMap::new(),
        contact: "soc@shop.example".to_owned(),
        made: now(),
    };
    let applied = MembershipStatement::apply(application, &applicant);
    assert_eq!(hand(&bench, "bank", &applied).await.0, 200);
    assert_eq!(hand(&bench, "cloud", &word("shop", "cloud", Say::Sponsor)).await.0, 200);
    let object = word("shop", "bank", Say::Object);
    let (status, problem) = hand(&bench, "cloud", &object).await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("scope_missing")), "another member's person");
    let (status, written) = hand(&bench, "bank", &object).await;
    assert_eq!(status, 200, "{written}");
    for (who, sees) in [("telecom", true), ("bank", true), ("cloud", false)] {
        let shown = shown(&bench, who, "shop").await;
        assert_eq!(
            (shown["stage"].as_str(), shown["applicant"]["sponsor"].as_str()),
            (Some("voting"), Some("ada@cloud"))
        );
        assert_eq!(shown.to_string().contains(SECRET), sees, "{who}: {shown}");
    }
    for (who, sees) in [("telecom", true), ("bank", true), ("cloud", false)] {
        let (_, journal) = bench.get(who, "/api/v1/journal?max=1000").await;
        let entries = journal["items"].as_array().unwrap();
        let found = entries.iter().any(|item| item["position"] == written["position"]);
        assert_eq!(found, sees, "{who}");
        assert_eq!(journal.to_string().contains(SECRET), sees, "{who}");
        let path = format!("/api/v1/log/proof/{}", written["position"]);
        let shows = proof(&bench, who, &path).await.lines().any(|line| line.starts_with("extra "));
        assert_eq!(shows, sees, "{who}: the proof opens the entry");
    }
    let draft = bench.get("cloud", "/api/v1/charter/draft?admit=shop").await;
    assert_eq!(draft.1["rule"], "membership_stage");
    let draft = bench.get("cloud", "/api/v1/charter/draft").await;
    assert!(draft.0 == 200 && draft.1.as_str().unwrap().contains("version = 3"), "{draft:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_takes_effect_at_once_on_tokens_certificates_and_reports_and_is_taken_back() {
    let bench = with_admin().await;
    let agent = Applicant::new("cloud");
    let (_, certified) = joined(&bench, &agent).await;
    assert_eq!(bench.get("cloud", "/api/v1/status").await.0, 200);
    let mut stream = bench.request("cloud", Method::GET, "/api/v1/stream").send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    let until = now().plus(Span::days(1));
    let by_other = word("cloud", "bank", Say::Suspend { until });
    let (status, problem) = hand(&bench, "bank", &by_other).await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("role_missing")));
    let suspended = word("cloud", "telecom", Say::Suspend { until });
    let (status, written) = hand(&bench, "telecom", &suspended).await;
    assert_eq!((status, written["duplicate"].as_bool()), (200, Some(false)), "{written}");
    let (_, again) = hand(&bench, "telecom", &suspended).await;
    assert_eq!((again["duplicate"].as_bool(), &again["position"]), (Some(true), &written["position"]), "a resend");
    for path in ["/api/v1/status", "/api/v1/charter", "/api/v1/stream"] {
        let (status, problem) = bench.get("cloud", path).await;
        assert_eq!((status, problem["rule"].as_str()), (403, Some("member_suspended")), "{path}");
        assert!(problem["next"].as_str().unwrap().contains("member show"), "{problem}");
    }
    let (status, problem) = get(&bench, &certified, "/api/v1/charter").await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("member_suspended")), "by certificate");
    let (status, problem) = agent.renew(&bench, &bench.client).await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("member_suspended")), "no other certificate either");
    let over = async { while let Ok(Some(_)) = stream.chunk().await {} };
    assert!(tokio::time::timeout(crate::support::PATIENCE, over).await.is_ok(), "the stream goes on");
    let (status, _) = bench.report("cloud", signed_report("cloud", 1, &[sighting("80.1.1.1")])).await;
    assert_eq!(status, 403);
    let seen = shown(&bench, "bank", "cloud").await;
    assert_eq!((seen["stage"].as_str(), seen["by"].as_str()), (Some("suspended"), Some("ada@telecom")));
    assert_eq!(hand(&bench, "telecom", &word("cloud", "telecom", Say::Restore)).await.0, 200);
    assert_eq!(bench.get("cloud", "/api/v1/status").await.0, 200);
    assert_eq!(get(&bench, &certified, "/api/v1/charter").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_loses_its_credentials_for_good_across_a_restart() {
    let bench = with_admin().await;
    let agent = Applicant::new("cloud");
    let (certificate, _) = joined(&bench, &agent).await;
    let (status, problem) = hand(&bench, "bank", &word("cloud", "bank", Say::Leave)).await;
    assert_eq!((status, problem["rule"].as_str()), (422, Some("not_for_us")), "{problem}");
    assert_eq!(hand(&bench, "cloud", &word("cloud", "cloud", Say::Leave)).await.0, 200);
    let Bench { running, client, tokens, dir } = bench;
    running.shutdown().await.unwrap();
    drop(client);
    let running = hub::Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    let (status, problem) = bench.get("cloud", "/api/v1/status").await;
    assert_eq!((status, problem["rule"].as_str()), (401, Some("token_invalid")), "{problem}");
    let certified = agent.client(&bench, &certificate.certificate);
    let (status, problem) = get(&bench, &certified, "/api/v1/charter").await;
    assert_eq!((status, problem["rule"].as_str()), (401, Some("certificate_revoked")), "{problem}");
    assert_eq!(shown(&bench, "bank", "cloud").await["stage"], "left");
    let (_, draft) = bench.get("bank", "/api/v1/charter/draft").await;
    assert!(!draft.as_str().unwrap().contains("ada@cloud"), "{draft}");
}

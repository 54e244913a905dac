//! Keys over the wire: a member changes its own and nobody else's, every stream hears of it, and what rested on a
//! revoked one ends, across restarts.

use crate::joining::{Applicant, get, joined};
use crate::support::{Bench, config, key, now, sighting, signed_report};
use model::{Digest, KeyAct, KeyChange, KeyPossession, MemberId, SignedKeyChange, SigningKey};
use serde_json::{Value, json};

pub fn second(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

/// The next change of a member's chain, as the hub shows it.
pub async fn change(bench: &Bench, member: &str, act: KeyAct, of: &SigningKey, signer: &SigningKey) -> SignedKeyChange {
    let (status, shown) = bench.get(member, &format!("/api/v1/keys?member={member}")).await;
    assert_eq!(status, 200, "{shown}");
    crate::api::check("Keys", &shown).unwrap();
    let changes: Vec<SignedKeyChange> = serde_json::from_value(shown["changes"].clone()).unwrap();
    let charter: Digest = serde_json::from_value(shown["charter"].clone()).unwrap();
    let id: MemberId = member.parse().unwrap();
    let book = charter::KeyBook { changes, ..charter::KeyBook::default() };
    let (number, previous) = book.head(&id, charter);
    let alliance = shown["alliance"].as_str().unwrap().to_owned();
    let possession = KeyPossession { alliance, member: id.clone(), person: None, key: of.public() };
    let change = KeyChange {
        charter,
        member: id,
        person: None,
        number: number + 1,
        previous,
        act,
        key: of.public(),
        made: now(),
        reason: "a test".to_owned(),
        signer: None,
        signed_with: signer.public().id(),
    };
    let proof = (act == KeyAct::Add).then(|| of.sign(&possession));
    SignedKeyChange::sign(change, signer, proof)
}

async fn post(bench: &Bench, who: &str, signed: &SignedKeyChange) -> (u16, Value) {
    let body = json!(signed);
    crate::api::check("SignedKeyChange", &body).unwrap();
    bench.post(who, "/api/v1/keys", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_changes_its_own_keys_and_nobody_elses() {
    let bench = Bench::start().await;
    let added = change(&bench, "cloud", KeyAct::Add, &second(50), &key("cloud", false)).await;
    let (status, problem) = post(&bench, "bank", &added).await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("scope_missing")), "another member's token");
    let forged = change(&bench, "cloud", KeyAct::Add, &second(51), &key("bank", false)).await;
    let (status, problem) = post(&bench, "cloud", &forged).await;
    assert_eq!((status, problem["rule"].as_str()), (422, Some("unknown_key")), "{problem}");
    let (status, written) = post(&bench, "cloud", &added).await;
    assert_eq!((status, written["duplicate"].as_bool()), (200, Some(false)), "{written}");
    let (status, again) = post(&bench, "cloud", &added).await;
    assert_eq!(
        (status, again["position"].clone(), again["duplicate"].as_bool()),
        (200, written["position"].clone(), Some(true))
    );
    let old = key("cloud", false).public().id().to_string();
    let retired = change(&bench, "cloud", KeyAct::Retire, &key("cloud", false), &second(50)).await;
    assert_eq!(post(&bench, "cloud", &retired).await.0, 200);
    let (status, problem) = bench.report("cloud", signed_report("cloud", 1, &[sighting("80.1.1.1")])).await;
    assert_eq!((status, problem["rule"].as_str()), (422, Some("unknown_key")));
    let (_, shown) = bench.get("bank", "/api/v1/keys?member=cloud").await;
    let keys = shown["keys"].as_array().unwrap();
    assert!(keys.iter().any(|key| key["id"] == old.as_str() && key["live"] == false));
    assert_eq!(keys.iter().filter(|key| key["person"].is_null() && key["live"] == true).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_the_certificates_on_it_and_the_agent_comes_back_with_another_key_across_a_restart() {
    let bench = Bench::start().await;
    let mut agent = Applicant::new("cloud");
    let (_, client) = joined(&bench, &agent).await;
    assert_eq!(get(&bench, &client, "/api/v1/charter").await.0, 200);
    let added = change(&bench, "cloud", KeyAct::Add, &second(50), &key("cloud", false)).await;
    assert_eq!(post(&bench, "cloud", &added).await.0, 200);
    let revoked = change(&bench, "cloud", KeyAct::Revoke, &key("cloud", false), &second(50)).await;
    assert_eq!(post(&bench, "cloud", &revoked).await.0, 200);
    let (status, problem) = get(&bench, &client, "/api/v1/charter").await;
    assert_eq!((status, problem["rule"].as_str()), (401, Some("certificate_revoked")), "{problem}");
    let old = agent.renew(&bench, &bench.client).await;
    assert_eq!((old.0, old.1["rule"].as_str()), (422, Some("key_revoked")), "{}", old.1);
    agent.key = second(50);
    let (status, certified) = agent.renew(&bench, &bench.client).await;
    assert_eq!(status, 200, "{certified}");
    let Bench { running, client, tokens, dir } = bench;
    running.shutdown().await.unwrap();
    drop(client);
    let running = hub::Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    let (_, shown) = bench.get("bank", "/api/v1/keys").await;
    assert_eq!(shown["revoked"], json!([key("cloud", false).public().id()]));
    let (status, problem) = bench.report("cloud", signed_report("cloud", 1, &[sighting("80.1.1.1")])).await;
    assert_eq!((status, problem["rule"].as_str()), (422, Some("key_revoked")));
}

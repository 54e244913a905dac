//! Roles: a table of what somebody wants to do by the role it has, found by doing it, and held against the page that
//! says so. Each member here has one role and nothing else; its token was made before and has every scope that it can.

use crate::support::{Bench, MEMBERS, charter, lines, now, read, sighting, signed_report};
use crate::taxii::{SIGHTINGS, TAXII, indicator};
use alliance::Scope;
use charter::SignedCharter;
use model::membership::{Application, MembershipStatement, Say, Word};
use model::{
    Batch, Digest, Dispute, FindingId, Ground, MemberId, MemberKind, MitigationId, MitigationState, Opening, PersonId,
    Receipt, Receipts, Retraction, Role, Salt, Segment, Sighting, SignedDispute, SignedReceipts, SignedRetraction,
    SigningKey, Span,
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the page lists, in its order.
const ACTS: [&str; 17] = [
    "report sightings",
    "take a report back",
    "share objects over TAXII",
    "open a collection",
    "send receipts",
    "dispute a finding",
    "hand in an application",
    "object to an applicant",
    "suspend a member, restore it",
    "make a token",
    "invite an agent",
    "list tokens",
    "list join tokens",
    "list certificates",
    "read what is CLEAR or GREEN",
    "read what is AMBER",
    "read the journal",
];

fn key(name: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(&[b"roles", name.as_bytes()]).as_bytes())
}

fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// The bench's charter with one member more for each role. The admin is one from version 3 on only: tokens with every
/// scope are made before anybody is.
fn charter_text(bench: &Bench, version: u64, previous: Digest) -> String {
    let directory = hub::Directory::open(&bench.root()).unwrap();
    let mut text = charter(&directory, version, Some(&previous.to_string()));
    for role in Role::ALL {
        let kind = if *role == Role::Approver { "full" } else { "associate" };
        let roles = if *role == Role::Admin && version < 3 { String::new() } else { format!("\"{role}\"") };
        let (agent, person) = (key(role.as_str()).public(), key(&format!("eve@{role}")).public());
        text += &format!(
            "[[member]]\nid = \"{role}\"\nname = \"{role}\"\nkind = \"{kind}\"\nstanding = \"vetted\"\n\
             segments = [\"enterprise\"]\nroles = [{roles}]\n\
             keys = [{{ public = \"{agent}\", from = \"2026-01-01T00:00:00Z\" }}]\n\
             [[member.person]]\nid = \"eve@{role}\"\n\
             keys = [{{ public = \"{person}\", from = \"2026-01-01T00:00:00Z\" }}]\n"
        );
    }
    text
}

async fn adopt(bench: &Bench, version: u64) {
    let (_, in_force) = bench.get("bank", "/api/v1/charter").await;
    let previous = charter::Charter::digest_of(in_force["text"].as_str().unwrap());
    let text = charter_text(bench, version, previous);
    let consent = |m: &str| SignedCharter::consent(&text, &member(m), &crate::support::key(m, false)).unwrap();
    let body = json!({ "text": text, "consents": MEMBERS.map(consent) });
    let (status, problem) = bench.post("admin-token", "/api/v1/charter", &body).await;
    assert_eq!(status, 200, "{problem}");
}

async fn scene() -> Bench {
    let mut bench = Bench::start().await;
    let token = bench.tokens["admin"].clone();
    bench.tokens.insert("admin-token".to_owned(), token);
    adopt(&bench, 2).await;
    for role in Role::ALL {
        let token = bench.token("admin-token", role.as_str(), Scope::ALL.into(), Span::days(1)).await.unwrap();
        bench.tokens.insert(role.as_str().to_owned(), token);
    }
    adopt(&bench, 3).await;
    for (n, tlp) in [(1, "green"), (2, "amber")] {
        for (sequence, who) in [(n, "telecom"), (n, "cloud")] {
            let mut seen = sighting(&format!("80.1.1.{n}"));
            seen["handling"]["tlp"] = tlp.into();
            assert_eq!(bench.report(who, signed_report(who, sequence, &[seen])).await.0, 200);
        }
    }
    let (status, problem) = hand(&bench, "bank", &application("shop")).await;
    assert_eq!(status, 200, "{problem}");
    bench
}

async fn hand(bench: &Bench, who: &str, statement: &MembershipStatement) -> (u16, Value) {
    bench.post(who, "/api/v1/membership", &json!(statement)).await
}

fn application(name: &str) -> MembershipStatement {
    let application = Application {
        alliance: crate::joining::ALLIANCE.to_owned(),
        member: member(name),
        name: name.to_owned(),
        kind: MemberKind::Full,
        segments: BTreeSet::from([Segment::Enterprise]),
        capabilities: BTreeSet::new(),
        key: key(name).public(),
        persons: BTreeMap::new(),
        contact: "soc@shop.example".to_owned(),
        made: now(),
    };
    MembershipStatement::apply(application, &key(name))
}

fn eve(of: &str) -> (PersonId, SigningKey) {
    let person = format!("eve@{of}");
    (person.parse().unwrap(), key(&person))
}

fn word(of: &str, about: &str, say: Say) -> MembershipStatement {
    let (person, signer) = eve(of);
    let word = Word {
        alliance: crate::joining::ALLIANCE.to_owned(),
        member: member(about),
        say,
        person,
        key: signer.public().id(),
        made: now(),
        reason: "a test".to_owned(),
    };
    MembershipStatement::say(word, &signer)
}

async fn next_sequence(bench: &Bench, of: &str) -> u64 {
    bench.get(of, &format!("/api/v1/members/{of}/sequence")).await.1["next"].as_u64().unwrap()
}

async fn report(bench: &Bench, of: &str) -> (u16, Value) {
    let seen = Sighting::parse(&sighting("80.2.2.2").to_string()).unwrap();
    let opening = Opening::seal(Salt([7; 16]), &seen);
    let batch = Batch::seal(member(of), &key(of), next_sequence(bench, of).await, now(), vec![opening]);
    bench.report(of, lines(&batch)).await
}

async fn take_back(bench: &Bench, of: &str) -> (u16, Value) {
    let seen = Sighting::parse(&sighting("80.2.2.2").to_string()).unwrap();
    let retraction = Retraction {
        author: member(of),
        key: key(of).public().id(),
        sequence: next_sequence(bench, of).await,
        made: now(),
        observable: seen.observable,
        behaviour: seen.behaviour,
        reason: "a test".to_owned(),
    };
    bench.post(of, "/api/v1/retractions", &json!(SignedRetraction::sign(retraction, &key(of)))).await
}

async fn receipts(bench: &Bench, of: &str) -> (u16, Value) {
    let receipt = Receipt {
        mitigation: MitigationId::of(&Digest::of(&[b"none"])),
        state: MitigationState::Expired,
        at: now(),
        point: None,
        evidence: String::new(),
        packets: None,
        bytes: None,
        refusal: None,
    };
    let (author, key) = (member(of), key(of));
    let sequence = next_sequence(bench, of).await;
    let receipts = Receipts { author, key: key.public().id(), sequence, made: now(), receipts: vec![receipt] };
    bench.post(of, "/api/v1/receipts", &json!(SignedReceipts::sign(receipts, &key))).await
}

async fn dispute(bench: &Bench, of: &str) -> (u16, Value) {
    let (person, signer) = eve(of);
    let (finding, key) = (FindingId::of(&Digest::of(&[b"none"])), signer.public().id());
    let (ground, reason) = (Ground::Stale, "a test".to_owned());
    let dispute = Dispute { finding, person, key, ground, reason, made: now() };
    bench.post(of, "/api/v1/disputes", &json!(SignedDispute::sign(dispute, &signer))).await
}

async fn suspend(bench: &Bench, of: &str) -> (u16, Value) {
    let until = now().plus(Span::days(1));
    let suspended = hand(bench, of, &word(of, "bank", Say::Suspend { until })).await;
    // A word is newer than the last one of its person.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let restored = hand(bench, of, &word(of, "bank", Say::Restore)).await;
    assert!(suspended.0 != 200 || restored.0 == 200, "{}", restored.1);
    suspended
}

async fn share(bench: &Bench, of: &str) -> (u16, Value) {
    let body = json!({ "objects": [indicator(7)] }).to_string();
    let request = bench.request(of, Method::POST, &format!("{SIGHTINGS}/objects/"));
    read(request.header("content-type", TAXII).header("accept", TAXII).body(body).send().await.unwrap()).await
}

/// Is a finding of this observable shown?
async fn sees(bench: &Bench, of: &str, observable: &str) -> (u16, Value) {
    let (status, findings) = bench.get(of, "/api/v1/findings").await;
    let found = findings["items"].as_array().unwrap().iter().any(|finding| finding["observable"] == observable);
    let (_, journal) = bench.get(of, "/api/v1/journal?max=1000").await;
    let (_, why) = bench.get(of, &format!("/api/v1/why?value={observable}")).await;
    assert_eq!(journal.to_string().contains(observable), found, "{of}: the journal agrees about {observable}");
    assert_eq!(why["known"] == true, found, "{of}: why agrees about {observable}");
    (if found { status } else { 403 }, findings)
}

/// Does it, as a member that has this role alone.
async fn does(bench: &Bench, act: &str, role: &str) -> (u16, Value) {
    match act {
        "report sightings" => report(bench, role).await,
        "take a report back" => take_back(bench, role).await,
        "share objects over TAXII" => share(bench, role).await,
        "open a collection" => {
            let wish = json!({ "name": format!("of-{role}"), "title": "A test" });
            bench.post(role, "/api/v1/collections", &wish).await
        }
        "send receipts" => receipts(bench, role).await,
        "dispute a finding" => dispute(bench, role).await,
        "hand in an application" => hand(bench, role, &application(&format!("shop-of-{role}"))).await,
        "object to an applicant" => hand(bench, role, &word(role, "shop", Say::Object)).await,
        "suspend a member, restore it" => suspend(bench, role).await,
        "make a token" => {
            let wish = json!({ "member": "bank", "scopes": ["read"], "label": "x", "valid": "1h" });
            bench.post(role, "/api/v1/tokens", &wish).await
        }
        "invite an agent" => {
            let wish = json!({ "member": "bank", "valid": "1h", "hub": bench.running.url() });
            bench.post(role, "/api/v1/join-tokens", &wish).await
        }
        "list tokens" => bench.get(role, "/api/v1/tokens").await,
        "list join tokens" => bench.get(role, "/api/v1/join-tokens").await,
        "list certificates" => bench.get(role, "/api/v1/certificates").await,
        "read what is CLEAR or GREEN" => sees(bench, role, "80.1.1.1").await,
        "read what is AMBER" => sees(bench, role, "80.1.1.2").await,
        "read the journal" => bench.get(role, "/api/v1/journal").await,
        other => panic!("{other} is not done here"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_what_the_page_on_roles_says_and_nothing_else() {
    let bench = scene().await;
    let page = include_str!("../../../../docs/reference/roles.md");
    for act in ACTS {
        let mut row = format!("| {act} |");
        for role in Role::ALL {
            let (status, answer) = does(&bench, act, role.as_str()).await;
            let yes = match status {
                200 | 202 => true,
                // It was let in, and there is no such finding.
                404 => true,
                403 => false,
                _ => panic!("{act} as {role}: {status} {answer}"),
            };
            if let (false, Some(rule)) = (yes, answer["rule"].as_str()) {
                assert_eq!(rule, "role_missing", "{act} as {role}: {answer}");
            }
            row += if yes { " yes |" } else { " |" };
        }
        assert!(page.contains(&row), "docs/reference/roles.md lacks: {row}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_scope_admin_is_made_for_admins_only_where_the_charter_names_any() {
    let bench = scene().await;
    let wish = |of: &str| json!({ "member": of, "scopes": ["admin"], "label": "x", "valid": "1h" });
    let (status, problem) = bench.post("admin", "/api/v1/tokens", &wish("cloud")).await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("role_missing")), "{problem}");
    assert_eq!(bench.post("admin", "/api/v1/tokens", &wish("admin")).await.0, 200);
}

//! Joining over the wire: a token lets one agent in once, certificates are renewed, revoked, and end on time;
//! everything
//! else is refused by its name.

use crate::support::{Bench, PATIENCE, key, now, read, sighting, signed_report};
use model::join::{CertificateWish, Certified, JoinRequest, JoinToken, Nonce, SignedWish, agent_uri};
use model::{Digest, SigningKey, Span};
use rcgen::{CertificateParams, Issuer, KeyPair, SanType};
use reqwest::{Client, Identity, Method};
use serde_json::{Value, json};
use std::time::Duration;

pub const ALLIANCE: &str = "test.alliance";

/// An agent that wants in.
pub struct Applicant {
    pub member: String,
    pub agent: String,
    pub key: SigningKey,
    pub tls: KeyPair,
}

impl Applicant {
    pub fn new(member: &str) -> Self {
        let (agent, tls) = ("agent".to_owned(), KeyPair::generate().unwrap());
        Self { member: member.to_owned(), agent, key: key(member, false), tls }
    }

    /// A certificate signing request in its own name.
    pub fn request(&self) -> Vec<u8> {
        request(&agent_uri(ALLIANCE, &self.member.parse().unwrap(), &self.agent.parse().unwrap()), &self.tls)
    }

    pub async fn wish(&self, bench: &Bench, der: &[u8]) -> CertificateWish {
        let (_, nonce) = bench.get("", "/api/v1/nonce").await;
        let nonce: Nonce = serde_json::from_value(nonce).unwrap();
        CertificateWish {
            alliance: ALLIANCE.to_owned(),
            member: self.member.parse().unwrap(),
            agent: self.agent.parse().unwrap(),
            nonce: nonce.nonce,
            request: Digest::of(&[der]),
        }
    }

    pub async fn signed(&self, bench: &Bench) -> SignedWish {
        let der = self.request();
        SignedWish::sign(self.wish(bench, &der).await, &self.key, &der)
    }

    pub async fn join(&self, bench: &Bench, token: &JoinToken) -> (u16, Value) {
        let asked = JoinRequest { secret: token.secret.clone(), signed: self.signed(bench).await };
        bench.post("", "/api/v1/join", &serde_json::to_value(asked).unwrap()).await
    }

    /// Asks for the next certificate as this client.
    pub async fn renew(&self, bench: &Bench, client: &Client) -> (u16, Value) {
        let signed = self.signed(bench).await;
        let url = format!("{}/api/v1/certificate", bench.running.url());
        read(client.post(url).json(&signed).send().await.unwrap()).await
    }

    /// A client that shows this certificate.
    pub fn client(&self, bench: &Bench, certificate: &str) -> Client {
        client(bench, &self.tls, certificate)
    }
}

pub fn request(uri: &str, tls: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(uri.to_owned().try_into().unwrap())];
    params.serialize_request(tls).unwrap().der().to_vec()
}

pub fn client(bench: &Bench, tls: &KeyPair, certificate: &str) -> Client {
    let root = reqwest::Certificate::from_pem(bench.running.certificate_pem().as_bytes()).unwrap();
    let identity = Identity::from_pem(format!("{}{certificate}", tls.serialize_pem()).as_bytes()).unwrap();
    Client::builder().add_root_certificate(root).identity(identity).use_rustls_tls().build().unwrap()
}

/// A certificate that somebody with the authority's key has made past the journal.
pub fn forged(bench: &Bench, tls: &KeyPair, days: std::ops::Range<i64>) -> String {
    let key = std::fs::read_to_string(bench.root().join("keys/ca.key")).unwrap();
    let authority = std::fs::read_to_string(bench.root().join("ca.pem")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&authority, KeyPair::from_pem(&key).unwrap()).unwrap();
    signed_by(&issuer, tls, days)
}

pub fn signed_by(issuer: &Issuer<'_, KeyPair>, tls: &KeyPair, days: std::ops::Range<i64>) -> String {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI("epimachia://test.alliance/cloud/agent".try_into().unwrap())];
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let at =
        |days| time::OffsetDateTime::from_unix_timestamp(now().plus(Span::days(days)).as_millis() / 1_000).unwrap();
    (params.not_before, params.not_after) = (at(days.start), at(days.end));
    params.signed_by(tls, issuer).unwrap().pem()
}

pub async fn invite(bench: &Bench, member: &str) -> JoinToken {
    let wish = json!({ "member": member, "valid": "1h", "hub": bench.running.url() });
    let (status, invited) = bench.post("admin", "/api/v1/join-tokens", &wish).await;
    assert_eq!(status, 200, "{invited}");
    JoinToken::parse(invited["token"].as_str().unwrap()).unwrap()
}

pub fn certified((status, value): (u16, Value)) -> Certified {
    assert_eq!(status, 200, "{value}");
    serde_json::from_value(value).unwrap()
}

pub async fn joined(bench: &Bench, applicant: &Applicant) -> (Certified, Client) {
    let token = invite(bench, &applicant.member).await;
    let certified = certified(applicant.join(bench, &token).await);
    let client = applicant.client(bench, &certified.certificate);
    (certified, client)
}

pub async fn get(bench: &Bench, client: &Client, path: &str) -> (u16, Value) {
    read(client.get(format!("{}{path}", bench.running.url())).send().await.unwrap()).await
}

fn rule((status, problem): (u16, Value)) -> (u16, String) {
    (status, problem["rule"].as_str().unwrap_or("none").to_owned())
}

fn refused(status: u16, rule: &str) -> (u16, String) {
    (status, rule.to_owned())
}

/// One open join token and one agent that is in: every list of the API has something in it then.
pub async fn invite_and_join(bench: &Bench) {
    joined(bench, &Applicant::new("telecom")).await;
    let open = json!({ "member": "bank", "valid": "1h", "hub": "https://hub.example" });
    crate::api::check("Invitation", &open).unwrap();
    let (_, invited) = bench.post("admin", "/api/v1/join-tokens", &open).await;
    crate::api::check("Invited", &invited).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_joins_reports_and_receives_with_its_certificate_alone() {
    let bench = Bench::start().await;
    let applicant = Applicant::new("telecom");
    let token = invite(&bench, "telecom").await;
    assert_eq!(token.hub_key, bench.running.directory().identity().checkpoint_key);
    let signed = applicant.signed(&bench).await;
    crate::api::check("SignedWish", &serde_json::to_value(&signed).unwrap()).unwrap();
    let asked = serde_json::to_value(JoinRequest { secret: token.secret.clone(), signed }).unwrap();
    crate::api::check("JoinRequest", &asked).unwrap();
    let (status, answer) = bench.post("", "/api/v1/join", &asked).await;
    assert_eq!(status, 200, "{answer}");
    crate::api::check("Certified", &answer).unwrap();
    assert_eq!(answer["key_in_charter"], true);
    let client = applicant.client(&bench, answer["certificate"].as_str().unwrap());
    assert_eq!(get(&bench, &client, "/api/v1/charter").await.0, 200);
    assert_eq!(get(&bench, &client, "/api/v1/members/telecom/sequence").await.0, 200);
    let send = |body: String| {
        let url = format!("{}/api/v1/sightings", bench.running.url());
        client.post(url).header("content-type", "application/x-ndjson").body(body).send()
    };
    let report = signed_report("telecom", 1, &[sighting("80.1.2.3")]);
    assert_eq!(send(report).await.unwrap().status(), 200);
    let unsigned = read(send(sighting("80.1.2.4").to_string()).await.unwrap()).await;
    assert_eq!(rule(unsigned), refused(422, "evidence_unsigned"));
    let (status, journal) = bench.get("telecom", "/api/v1/journal?max=1000").await;
    assert_eq!(status, 200);
    let text = journal.to_string();
    assert!(text.contains("certificate-issued") && text.contains("join-token-issued"));
    assert!(!text.contains(&String::from(token.secret)), "a secret stands in the journal");
}

/// A token whose time is over. On a slow machine the shortest are over before the hub issued them: longer ones follow.
async fn ended(bench: &Bench) -> JoinToken {
    for millis in [100, 1_000, 10_000] {
        let asked = json!({ "member": "telecom", "valid": format!("{millis}ms"), "hub": "https://hub.example" });
        let (_, invited) = bench.post("admin", "/api/v1/join-tokens", &asked).await;
        if let Some(text) = invited["token"].as_str() {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            return JoinToken::parse(text).unwrap();
        }
    }
    panic!("no token was issued within ten seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn join_tokens_and_requests_that_are_wrong_are_refused_by_their_names_and_counted() {
    let bench = Bench::start().await;
    let applicant = Applicant::new("telecom");
    let token = invite(&bench, "telecom").await;
    let foreign = JoinToken { secret: model::join::JoinSecret::from_bytes([1; 32]), ..token.clone() };
    assert_eq!(rule(applicant.join(&bench, &foreign).await), refused(401, "join_token_unknown"));
    assert_eq!(rule(Applicant::new("cloud").join(&bench, &token).await), refused(422, "request_name"));
    let expired = ended(&bench).await;
    assert_eq!(rule(applicant.join(&bench, &expired).await), refused(401, "join_token_expired"));
    let bad = json!({ "member": "telecom", "valid": "1h", "hub": "http://hub.example" });
    assert_eq!(rule(bench.post("admin", "/api/v1/join-tokens", &bad).await), refused(400, "malformed"));
    let join = async |signed: SignedWish| {
        let asked = JoinRequest { secret: token.secret.clone(), signed };
        rule(bench.post("", "/api/v1/join", &serde_json::to_value(asked).unwrap()).await)
    };
    let signed_for = async |der: Vec<u8>| SignedWish::sign(applicant.wish(&bench, &der).await, &applicant.key, &der);
    // The request names another member's agent, though the wish does not.
    let other = request("epimachia://test.alliance/cloud/agent", &applicant.tls);
    assert_eq!(join(signed_for(other).await).await, refused(422, "request_name"));
    let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let weak = request("epimachia://test.alliance/telecom/agent", &p384);
    assert_eq!(join(signed_for(weak).await).await, refused(422, "request_weak_key"));
    let rsa = include_bytes!("rsa1024.der").to_vec();
    assert_eq!(join(signed_for(rsa).await).await, refused(422, "request_weak_key"));
    assert_eq!(join(signed_for(vec![0x30; 4_097]).await).await, refused(413, "too_large"));
    assert_eq!(join(signed_for(b"nonsense".to_vec()).await).await, refused(400, "malformed"));
    let mut broken = applicant.request();
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(join(signed_for(broken).await).await, refused(422, "bad_signature"));
    let mut other_nonce = applicant.signed(&bench).await;
    other_nonce.wish.nonce = Digest::of(&[b"mine"]);
    assert_eq!(join(other_nonce).await, refused(401, "nonce_invalid"));
    let mut altered = applicant.signed(&bench).await;
    altered.wish.agent = "other".parse().unwrap();
    assert_eq!(join(altered).await, refused(422, "bad_signature"));
    certified(applicant.join(&bench, &token).await);
    certified(applicant.join(&bench, &token).await);
    let thief = Applicant::new("telecom");
    assert_eq!(rule(thief.join(&bench, &token).await), refused(401, "join_token_used"));
    let big = json!({ "secret": "A".repeat(20_000) });
    assert_eq!(rule(bench.post("", "/api/v1/join", &big).await), refused(413, "too_large"));
    let (_, figures) = bench.get("", "/metrics").await;
    for name in ["join_token_unknown", "join_token_expired", "join_token_used", "request_name", "request_weak_key"] {
        let line = format!("epimachia_refusals_total{{rule=\"{name}\"}}");
        assert!(figures.as_str().unwrap().contains(&line), "{name} is not counted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_is_taken_once() {
    let bench = Bench::start().await;
    let applicant = Applicant::new("telecom");
    let (_, client) = joined(&bench, &applicant).await;
    let signed = serde_json::to_value(applicant.signed(&bench).await).unwrap();
    let url = format!("{}/api/v1/certificate", bench.running.url());
    let post = async || read(client.post(&url).json(&signed).send().await.unwrap()).await;
    assert_eq!(post().await.0, 200);
    assert_eq!(rule(post().await), refused(401, "nonce_invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_with_itself_or_by_the_members_key_but_not_by_anothers() {
    let bench = Bench::start().await;
    let mut applicant = Applicant::new("telecom");
    let plain = bench.client.clone();
    assert_eq!(rule(applicant.renew(&bench, &plain).await), refused(422, "agent_unknown"), "it never joined");
    let (first, client) = joined(&bench, &applicant).await;
    applicant.tls = KeyPair::generate().unwrap();
    let second = certified(applicant.renew(&bench, &client).await);
    assert_ne!(first.id, second.id);
    assert_eq!(get(&bench, &applicant.client(&bench, &second.certificate), "/api/v1/charter").await.0, 200);
    // After an outage: no certificate, the member's key alone.
    applicant.tls = KeyPair::generate().unwrap();
    let third = certified(applicant.renew(&bench, &plain).await);
    assert_eq!(get(&bench, &applicant.client(&bench, &third.certificate), "/api/v1/charter").await.0, 200);
    let mut stranger = Applicant::new("telecom");
    stranger.key = SigningKey::from_seed(&[77; 32]);
    assert_eq!(rule(stranger.renew(&bench, &plain).await), refused(422, "unknown_key"));
    assert_eq!(rule(stranger.renew(&bench, &client).await), refused(422, "unknown_key"), "a stolen TLS key alone");
    let cloud = Applicant::new("cloud");
    assert_eq!(rule(cloud.renew(&bench, &client).await), refused(422, "request_name"), "telecom's certificate");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_in_the_charter_yet_may_join_and_is_told_so() {
    let bench = Bench::start().await;
    let mut applicant = Applicant::new("telecom");
    applicant.key = SigningKey::from_seed(&[78; 32]);
    let (first, client) = joined(&bench, &applicant).await;
    assert!(!first.key_in_charter);
    certified(applicant.renew(&bench, &client).await);
    assert_eq!(rule(applicant.renew(&bench, &bench.client).await), refused(422, "unknown_key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_agent_is_locked_out_at_once_its_stream_ends_and_it_needs_a_new_token() {
    let bench = Bench::start().await;
    let applicant = Applicant::new("telecom");
    let (first, client) = joined(&bench, &applicant).await;
    let second = certified(applicant.renew(&bench, &client).await);
    let mut stream = client.get(format!("{}/api/v1/stream", bench.running.url())).send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stream.chunk().await.unwrap().unwrap();
    let path = format!("/api/v1/certificates/{}/revocation", first.id);
    let (status, answer) = bench.post("admin", &path, &json!({ "reason": "stolen laptop" })).await;
    assert_eq!(status, 200, "{answer}");
    ends(&mut stream).await;
    assert_eq!(rule(get(&bench, &client, "/api/v1/charter").await), refused(401, "certificate_revoked"));
    let newer = applicant.client(&bench, &second.certificate);
    assert_eq!(rule(get(&bench, &newer, "/api/v1/charter").await), refused(401, "certificate_revoked"));
    assert_eq!(rule(applicant.renew(&bench, &client).await), refused(401, "certificate_revoked"));
    assert_eq!(rule(applicant.renew(&bench, &bench.client).await), refused(401, "certificate_revoked"));
    let (_, shown) = bench.get("admin", "/api/v1/certificates").await;
    let of = shown["items"].as_array().unwrap().iter().find(|c| c["id"] == second.id.to_string()).unwrap();
    assert_eq!((&of["live"], &of["ended"]), (&json!(false), &json!("revoked: stolen laptop")));
    joined(&bench, &applicant).await;
}

/// The stream, or its connection, is over after a while.
async fn ends(stream: &mut reqwest::Response) {
    let over = async { while let Ok(Some(_)) = stream.chunk().await {} };
    tokio::time::timeout(PATIENCE, over).await.expect("the stream goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_connections_end_with_what_they_were_let_in_by() {
    let bench = Bench::start_with(|config| config.join.certificate_valid = Span::seconds(5)).await;
    let applicant = Applicant::new("telecom");
    let (certified, client) = joined(&bench, &applicant).await;
    let by_certificate = client.get(format!("{}/api/v1/stream", bench.running.url())).send().await.unwrap();
    let revoked = bench.request("bank", Method::GET, "/api/v1/stream").send().await.unwrap();
    let mut goes_on = bench.request("cloud", Method::GET, "/api/v1/stream").send().await.unwrap();
    let (_, tokens) = bench.get("admin", "/api/v1/tokens").await;
    let of_bank = tokens["items"].as_array().unwrap().iter().find(|token| token["member"] == "bank").unwrap();
    let path = format!("/api/v1/tokens/{}", of_bank["id"].as_str().unwrap());
    assert_eq!(bench.request("admin", Method::DELETE, &path).send().await.unwrap().status(), 200);
    for mut stream in [revoked, by_certificate] {
        ends(&mut stream).await;
    }
    assert!(now() >= certified.until, "it ended before its certificate");
    assert_eq!(rule(get(&bench, &client, "/api/v1/charter").await), refused(401, "certificate_expired"));
    while let Ok(chunk) = tokio::time::timeout(Duration::from_millis(200), goes_on.chunk()).await {
        assert!(chunk.unwrap().is_some(), "another member's stream ended too");
    }
    // By the member's key it comes back.
    assert_eq!(applicant.renew(&bench, &bench.client).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_a_suspended_member_and_of_one_that_left_are_refused_by_name() {
    let bench = Bench::start().await;
    let (_, client) = joined(&bench, &Applicant::new("bank")).await;
    let mut stream = client.get(format!("{}/api/v1/stream", bench.running.url())).send().await.unwrap();
    adopt(&bench, 2, |text| suspended(text, "bank")).await;
    ends(&mut stream).await;
    assert_eq!(rule(get(&bench, &client, "/api/v1/charter").await), refused(403, "member_suspended"));
    assert_eq!(rule(bench.get("bank", "/api/v1/charter").await), refused(403, "member_suspended"));
    let again = Applicant::new("bank");
    assert_eq!(rule(again.renew(&bench, &bench.client).await), refused(403, "member_suspended"));
    let wish = json!({ "member": "bank", "valid": "1h", "hub": "https://hub.example" });
    assert_eq!(rule(bench.post("admin", "/api/v1/join-tokens", &wish).await), refused(403, "member_suspended"));
    adopt(&bench, 3, |text| text[..text.find("[[member]]\nid = \"bank\"").unwrap()].to_owned()).await;
    assert_eq!(rule(get(&bench, &client, "/api/v1/charter").await), refused(403, "unknown_member"));
}

fn suspended(text: String, member: &str) -> String {
    let at = text.find(&format!("id = \"{member}\"")).unwrap();
    let (before, after) = text.split_at(at);
    format!("{before}{}", after.replacen("standing = \"vetted\"", "standing = \"suspended\"", 1))
}

async fn adopt(bench: &Bench, version: u64, change: impl Fn(String) -> String) {
    let (_, current) = bench.get("cloud", "/api/v1/charter").await;
    let previous = charter::Charter::digest_of(current["text"].as_str().unwrap()).to_string();
    let text = change(crate::support::charter(bench.running.directory(), version, Some(&previous)));
    let (status, answer) = bench.post("admin", "/api/v1/charter", &crate::support::signed_charter(&text)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_past_charter_is_shown_by_its_version() {
    let bench = Bench::start().await;
    adopt(&bench, 2, |text| text).await;
    adopt(&bench, 3, |text| text).await;
    let mut before: Option<String> = None;
    for version in 1..=3 {
        let (status, shown) = bench.get("cloud", &format!("/api/v1/charter?version={version}")).await;
        assert_eq!(status, 200, "{shown}");
        let charter = charter::Charter::parse(shown["text"].as_str().unwrap()).unwrap();
        assert_eq!(charter.alliance.version, version);
        assert_eq!(charter.alliance.previous.map(|digest| digest.to_string()), before);
        before = Some(charter::Charter::digest_of(shown["text"].as_str().unwrap()).to_string());
    }
    assert_eq!(bench.get("cloud", "/api/v1/charter?version=4").await.0, 404);
    assert_eq!(bench.get("cloud", "/api/v1/charter?version=x").await.0, 400);
    let Bench { running, dir, tokens, .. } = bench;
    running.shutdown().await.unwrap();
    let running = hub::Hub::start(crate::support::config(&dir.path().join("hub"))).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    let (status, shown) = bench.get("cloud", "/api/v1/charter?version=2").await;
    assert_eq!((status, shown["text"].as_str().unwrap().contains("version = 2")), (200, true), "after a start");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_join_tokens_survive_a_restart_and_a_rotation_of_the_authority() {
    let bench = Bench::start().await;
    let mut applicant = Applicant::new("telecom");
    let (first, _) = joined(&bench, &applicant).await;
    let open = invite(&bench, "cloud").await;
    let old = bench.running.certificate_pem().to_owned();
    let Bench { running, dir, tokens, .. } = bench;
    running.shutdown().await.unwrap();
    let root = dir.path().join("hub");
    hub::rotate_authority(&hub::Directory::open(&root).unwrap()).unwrap();
    let running = hub::Hub::start(crate::support::config(&root)).await.unwrap();
    assert_ne!(running.certificate_pem(), old);
    // Whoever pinned the old authority still finds the way up.
    let client = crate::support::client(&old);
    let bench = Bench { running, client, tokens, dir };
    assert_eq!(bench.get("cloud", "/api/v1/charter").await.0, 200);
    let with_old = {
        let root = reqwest::Certificate::from_pem(old.as_bytes()).unwrap();
        let identity = format!("{}{}", applicant.tls.serialize_pem(), first.certificate);
        let identity = Identity::from_pem(identity.as_bytes()).unwrap();
        Client::builder().add_root_certificate(root).identity(identity).use_rustls_tls().build().unwrap()
    };
    assert_eq!(get(&bench, &with_old, "/api/v1/charter").await.0, 200, "its certificate counts on");
    applicant.tls = KeyPair::generate().unwrap();
    let renewed = certified(applicant.renew(&bench, &with_old).await);
    assert!(renewed.ca.contains(old.trim()) && renewed.ca.contains(bench.running.certificate_pem().trim()));
    let only_new = applicant.client(&bench, &renewed.certificate);
    assert_eq!(get(&bench, &only_new, "/api/v1/charter").await.0, 200, "by the new authority alone");
    assert_eq!(Applicant::new("cloud").join(&bench, &open).await.0, 200, "an open token counts on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_from_before_the_authority_keeps_its_pinned_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("hub");
    crate::support::init(&root);
    for file in ["ca.pem", "keys/ca.key"] {
        std::fs::remove_file(root.join(file)).unwrap();
    }
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(root.join("tls.pem"), made.cert.pem()).unwrap();
    let key = root.join("keys/tls.key");
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let running = hub::Hub::start(crate::support::config(&root)).await.unwrap();
    let pinned = crate::support::client(&made.cert.pem());
    assert_eq!(pinned.get(format!("{}/health", running.url())).send().await.unwrap().status(), 200);
    assert!(root.join("ca.pem").exists(), "it has an authority now");
    running.shutdown().await.unwrap();
    for file in ["tls.pem", "keys/tls.key"] {
        std::fs::remove_file(root.join(file)).unwrap();
    }
    let running = hub::Hub::start(crate::support::config(&root)).await.unwrap();
    let authority = std::fs::read_to_string(root.join("ca.pem")).unwrap();
    let client = crate::support::client(&authority);
    assert_eq!(client.get(format!("{}/health", running.url())).send().await.unwrap().status(), 200);
}

//! The hostile client: every route with every credential that must not count; and clients that want to hold the hub.

use crate::crash::Victim;
use crate::joining::{Applicant, client, forged, joined, signed_by};
use crate::support::{Bench, PATIENCE, read};
use alliance::Scope;
use hub::routes::{Request, Route, TABLE};
use hub::{AGENT_SCOPES, Need};
use model::{Span, Timestamp};
use rcgen::{CertificateParams, Issuer, KeyPair};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A way to come, and by which rule it is turned away; none if its owner may do what an agent may.
struct Credential {
    name: &'static str,
    client: Client,
    token: Option<String>,
    refused: Option<&'static str>,
}

async fn credentials(bench: &mut Bench) -> Vec<Credential> {
    let none = |name, refused| (name, Some(refused));
    let agent = Applicant::new("cloud");
    let (_, right) = joined(bench, &agent).await;
    let mut lost = Applicant::new("cloud");
    lost.agent = "lost".to_owned();
    let (certificate, revoked) = joined(bench, &lost).await;
    let path = format!("/api/v1/certificates/{}/revocation", certificate.id);
    assert_eq!(bench.post("admin", &path, &json!({ "reason": "lost" })).await.0, 200);
    let shows = |certificate: &str, tls: &KeyPair| client(bench, tls, certificate);
    let tls = KeyPair::generate().unwrap();
    let mut other = CertificateParams::default();
    other.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let other = Issuer::new(other, KeyPair::generate().unwrap());
    let by_certificate = [
        (("right certificate", None), right),
        (none("revoked certificate", "certificate_revoked"), revoked),
        (none("certificate of another authority", "certificate_foreign"), shows(&signed_by(&other, &tls, -1..1), &tls)),
        (none("expired certificate", "certificate_expired"), shows(&forged(bench, &tls, -3..-1), &tls)),
        (none("certificate past the journal", "certificate_unknown"), shows(&forged(bench, &tls, -1..1), &tls)),
    ];
    let by_certificate =
        by_certificate.map(|((name, refused), client)| Credential { name, client, token: None, refused });
    let expired = bench.ended_token("admin", "cloud", Scope::ALL.into()).await;
    let gone = bench.token("admin", "cloud", Scope::ALL.into(), Span::days(1)).await.unwrap();
    let (_, tokens) = bench.get("admin", "/api/v1/tokens").await;
    // As times: RFC 3339 leaves out zeros at the end, so texts do not sort.
    let ends = |token: &&Value| token["expires"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let newest = tokens["items"].as_array().unwrap().iter().max_by_key(ends);
    let path = format!("/api/v1/tokens/{}", newest.unwrap()["id"].as_str().unwrap());
    assert_eq!(bench.request("admin", Method::DELETE, &path).send().await.unwrap().status(), 200);
    let token = |name, token| Credential {
        name,
        client: bench.client.clone(),
        token: Some(token),
        refused: Some("token_invalid"),
    };
    let nothing =
        Credential { name: "nothing", client: bench.client.clone(), token: None, refused: Some("token_invalid") };
    let by_token = [token("expired token", expired), token("revoked token", gone)];
    by_certificate.into_iter().chain(by_token).chain([nothing]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_refuses_every_wrong_credential_by_its_name() {
    let mut bench = Bench::start_with(|config| config.join.strangers_per_minute_max = 1_000).await;
    let credentials = credentials(&mut bench).await;
    let mut asked = 0;
    for route in TABLE {
        for credential in &credentials {
            let (status, problem) = ask(&bench, credential, route).await;
            // TAXII's errors carry the same in their details.
            let problem = if problem["rule"].is_null() { problem["details"].clone() } else { problem };
            let rule = problem["rule"].as_str();
            let expected = match (route.need, credential.refused) {
                (Need::Nothing | Need::Stranger | Need::Loopback, _) => None,
                (Need::Guest, _) if credential.name == "nothing" => None,
                (_, Some(refused)) => Some((401, refused)),
                (Need::Scope(scope), None) if !AGENT_SCOPES.contains(&scope) => Some((403, "scope_missing")),
                (Need::Admin | Need::Credentials, None) => Some((403, "scope_missing")),
                (_, None) => None,
            };
            let at = format!("{} {} with {}: {status} {problem}", route.method, route.path, credential.name);
            match expected {
                Some((expected, name)) => {
                    assert_eq!((status, rule), (expected, Some(name)), "{at}");
                    assert!(!problem["next"].as_str().unwrap().is_empty(), "{at}");
                }
                None => {
                    let kept_out = ["token_invalid", "scope_missing"].iter().any(|name| rule == Some(name))
                        || rule.is_some_and(|rule| rule.starts_with("certificate_"));
                    assert!(!kept_out, "{at}");
                }
            }
            asked += 1;
        }
    }
    assert_eq!(asked, TABLE.len() * 8);
    let (_, figures) = bench.get("", "/metrics").await;
    for name in ["certificate_foreign", "certificate_expired", "certificate_revoked", "certificate_unknown"] {
        let line = format!("epimachia_refusals_total{{rule=\"{name}\"}}");
        assert!(figures.as_str().unwrap().contains(&line), "{name} is not counted");
    }
}

/// Asks for something that no handler would do, so that the guard's answer, or something harmless, comes back.
async fn ask(bench: &Bench, credential: &Credential, route: &Route) -> (u16, Value) {
    let path = route.path.replace("{member}", "cloud").replace("{*path}", "0/000").replace("{sha256}", "x");
    let path = path.replace("{id}", "x").replace("{position}", "x").replace("{root}", "x").replace("{object}", "x");
    let method = Method::from_bytes(route.method.as_bytes()).unwrap();
    let mut request = credential.client.request(method, format!("{}{path}", bench.running.url()));
    if let Some(token) = &credential.token {
        request = request.bearer_auth(token);
    }
    if route.request != Request::Nothing {
        request = request.header("content-type", "text/nonsense").body("x");
    }
    let response = request.send().await.unwrap();
    match response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream") {
        true => (response.status().as_u16(), Value::Null),
        false => read(response).await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_one_member_says_nothing_for_another() {
    let bench = Bench::start().await;
    let (_, cloud) = joined(&bench, &Applicant::new("cloud")).await;
    let url = bench.running.url();
    let response = cloud.get(format!("{url}/api/v1/members/telecom/sequence")).send().await.unwrap();
    assert_eq!(read(response).await.0, 403);
    let report = crate::support::signed_report("telecom", 1, &[crate::support::sighting("80.1.1.1")]);
    let request = cloud.post(format!("{url}/api/v1/sightings")).header("content-type", "application/x-ndjson");
    let (status, problem) = read(request.body(report).send().await.unwrap()).await;
    assert_eq!((status, problem["rule"].as_str()), (403, Some("scope_missing")));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_counted_by_address_and_told_when_to_come_back() {
    let bench = Bench::start_with(|config| config.join.strangers_per_minute_max = 5).await;
    let mut answers = BTreeMap::<u16, u32>::new();
    // Two minutes' worth, wherever the minute ends.
    for _ in 0..16 {
        let response = bench.request("", Method::GET, "/api/v1/nonce").send().await.unwrap();
        let status = response.status().as_u16();
        assert!(status == 200 || response.headers().contains_key("retry-after"));
        *answers.entry(status).or_default() += 1;
    }
    assert!(answers[&200] >= 5 && answers[&200] <= 10 && answers[&429] >= 6, "{answers:?}");
    assert_eq!(bench.get("cloud", "/api/v1/charter").await.0, 200, "members are not strangers");
}

/// Bytes of memory that one connection of a stranger may cost, with what it has sent.
const PER_STRANGER_MAX: u64 = 256 << 10;

async fn shake(address: SocketAddr, pem: &str, protocol: &str) -> TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

/// The hub closes the connection, whatever it says before.
async fn is_let_go(stream: &mut TlsStream<TcpStream>, what: &str) {
    let mut rest = Vec::new();
    let gone = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    assert!(gone.is_ok(), "{what} is still held");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_on_which_nothing_is_asked_are_let_go_whatever_they_speak() {
    let bench = Bench::start_with(|config| {
        config.limits.header_time_max = Span::seconds(3);
        config.limits.idle_time_max = Span::seconds(3);
    })
    .await;
    let (address, pem) = (bench.running.address(), bench.running.certificate_pem().to_owned());
    for protocol in ["h2", "http/1.1"] {
        let mut silent = shake(address, &pem, protocol).await;
        is_let_go(&mut silent, &format!("a silent client of {protocol}")).await;
    }
    let mut preface = shake(address, &pem, "h2").await;
    // The preface and empty settings (RFC 9113 §3.4), and then never a request.
    preface.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    is_let_go(&mut preface, "a client that only begins").await;
    let mut once = shake(address, &pem, "http/1.1").await;
    once.write_all(b"GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    is_let_go(&mut once, "a client that asked once").await;
    let mut stream = bench.request("cloud", Method::GET, "/api/v1/stream").send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    // Longer than a connection may be idle.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(bench.report("cloud", crate::support::sighting("80.1.1.1").to_string()).await.0, 200);
    let next = tokio::time::timeout(PATIENCE, stream.chunk()).await;
    assert!(next.unwrap().unwrap().is_some(), "a stream is no idle connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_that_send_half_of_as_much_as_they_may_hold_little_memory() {
    let Bench { running, dir, .. } = Bench::start().await;
    let pem = running.certificate_pem().to_owned();
    running.shutdown().await.unwrap();
    let victim = Victim::start(&dir.path().join("hub"));
    let address: SocketAddr = victim.url.trim_start_matches("https://").parse().unwrap();
    let head = "POST /api/v1/join HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let half = format!("{head}content-length: 16384\r\n\r\n{}", "{".repeat(12_000));
    let header = format!("GET /health HTTP/1.1\r\nhost: x\r\nx-filler: {}", "a".repeat(12_000));
    let before = resident(victim.child.id());
    let mut held = Vec::new();
    for n in 0..200 {
        let mut stream = shake(address, &pem, "http/1.1").await;
        let part = if n % 2 == 0 { &half } else { &header };
        stream.write_all(part.as_bytes()).await.unwrap();
        held.push(stream);
    }
    let grown = resident(victim.child.id()).saturating_sub(before);
    let at_most = 200 * PER_STRANGER_MAX;
    assert!(grown < at_most, "{grown} bytes for 200 connections, at most {at_most}");
    let mut huge = shake(address, &pem, "http/1.1").await;
    huge.write_all(format!("{head}content-length: 1073741824\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    huge.read_exact(&mut answer).await.unwrap();
    assert!([&b"HTTP/1.1 413"[..], b"HTTP/1.1 429"].contains(&&answer[..]), "{answer:?}");
}

/// Bytes of a process that are in memory (proc_pid_statm(5)).
fn resident(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}

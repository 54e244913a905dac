//! Connections, quotas and figures: caps hold, slow clients go, a full queue says so.

use crate::support::{Bench, PATIENCE, config, init, sighting, signed_report, until};
use hub::Hub;
use journal::{Entry, Journal, Record};
use model::Span;
use reqwest::Method;
use serde_json::json;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A journal whose appends can be held up or fail.
struct Unruly {
    below: Arc<dyn Journal>,
    mode: Arc<Mode>,
}

#[derive(Default)]
pub struct Mode {
    state: AtomicU8,
    lock: Mutex<()>,
    changed: Condvar,
}

const WELL: u8 = 0;
const HELD: u8 = 1;
const FAILING: u8 = 2;

impl Mode {
    fn set(&self, state: u8) {
        let _lock = self.lock.lock().unwrap();
        self.state.store(state, Ordering::SeqCst);
        self.changed.notify_all();
    }
}

impl Journal for Unruly {
    fn append(&self, expected_next: u64, entries: &[Entry]) -> Result<u64, journal::Error> {
        let mut lock = self.mode.lock.lock().unwrap();
        while self.mode.state.load(Ordering::SeqCst) == HELD {
            lock = self.mode.changed.wait(lock).unwrap();
        }
        match self.mode.state.load(Ordering::SeqCst) {
            FAILING => Err(journal::Error::Broken(journal::Broken::Failed("the disk is gone".to_owned()))),
            _ => self.below.append(expected_next, entries),
        }
    }

    fn read(&self, from: u64, max: usize) -> Result<Vec<Record>, journal::Error> {
        self.below.read(from, max)
    }

    fn head(&self) -> Result<u64, journal::Error> {
        self.below.head()
    }

    fn wait(&self, after: u64, at_most: Duration) -> Result<u64, journal::Error> {
        self.below.wait(after, at_most)
    }
}

async fn unruly(change: impl FnOnce(&mut hub::Config)) -> (Bench, Arc<Mode>) {
    let mode = Arc::new(Mode::default());
    let between = mode.clone();
    let start = |config| Hub::start_over(config, move |below| Arc::new(Unruly { below, mode: between }));
    (Bench::start_from(change, start).await, mode)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_is_429_and_what_waited_is_accepted() {
    let (bench, mode) = unruly(|config| config.order.queue_max = 2).await;
    let bench = Arc::new(bench);
    mode.set(HELD);
    let waiting: Vec<_> = (0..12_u8)
        .map(|n| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.report("cloud", sighting(&format!("80.1.1.{n}")).to_string()).await })
        })
        .collect();
    until("the queue is full", || bench_metrics(&bench).contains("epimachia_queue_full_total")).await;
    mode.set(WELL);
    let (mut accepted, mut full) = (0, 0);
    for task in waiting {
        match task.await.unwrap() {
            (200, _) => accepted += 1,
            (429, problem) => {
                assert_eq!((&problem["kind"], &problem["limit"]), (&json!("unavailable"), &json!("2")));
                full += 1;
            }
            (status, other) => panic!("{status}: {other}"),
        }
    }
    assert!(accepted >= 2 && full >= 1 && accepted + full == 12, "{accepted} accepted, {full} turned away");
    let (_, status) = bench.get("bank", "/api/v1/status").await;
    assert_eq!(status["sightings"], accepted);
}

/// Figures without the state, which a held turn has locked.
fn bench_metrics(bench: &Bench) -> String {
    bench.running.figures()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_breaks_the_hub_and_shows_nothing_of_it() {
    let (bench, mode) = unruly(|_| ()).await;
    assert_eq!(bench.report("cloud", sighting("80.1.1.1").to_string()).await.0, 200);
    mode.set(FAILING);
    let (status, problem) = bench.report("cloud", sighting("80.1.1.2").to_string()).await;
    assert_eq!((status, &problem["kind"]), (503, &json!("broken")));
    assert!(!problem.to_string().contains("disk is gone"), "{problem}");
    let reason = tokio::time::timeout(PATIENCE, bench.running.broken()).await.unwrap();
    assert!(reason.contains("disk is gone"), "{reason}");
    for path in ["/api/v1/status", "/api/v1/why?value=80.1.1.2", "/health", "/metrics"] {
        let (status, problem) = bench.get("cloud", path).await;
        assert_eq!((status, &problem["kind"]), (503, &json!("broken")), "{path}");
    }
    assert!(bench.running.shutdown().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_beyond_its_quota_is_429_and_the_others_are_not() {
    let bench = Bench::start_with(|config| config.limits.reads_per_minute_max = 20).await;
    let mut refused = None;
    for _ in 0..40 {
        let response = bench.request("bank", Method::GET, "/api/v1/charter").send().await.unwrap();
        if response.status() == 429 {
            refused = Some(response);
            break;
        }
    }
    let response = refused.expect("no request was refused");
    assert!(response.headers().contains_key("retry-after"));
    let (_, problem) = crate::support::read(response).await;
    assert_eq!((&problem["rule"], &problem["kind"]), (&json!("quota_exceeded"), &json!("unavailable")));
    assert_eq!(bench.get("cloud", "/api/v1/charter").await.0, 200);
    // What it asked too often is a class of its own: its reports are still taken.
    assert_eq!(bench.report("bank", signed_report("bank", 1, &[sighting("80.1.1.1")])).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_slow_with_handshake_header_or_body_are_let_go() {
    // The quick ones are held to the same: long enough for them on a machine that is busy.
    let bench = Bench::start_with(|config| {
        config.limits.handshake_time_max = Span::seconds(3);
        config.limits.header_time_max = Span::seconds(3);
        config.limits.body_time_max = Span::seconds(3);
    })
    .await;
    let mut silent = TcpStream::connect(bench.running.address()).await.unwrap();
    let mut byte = [0; 1];
    let gone = tokio::time::timeout(PATIENCE, silent.read(&mut byte)).await;
    assert!(matches!(gone, Ok(Ok(0) | Err(_))), "{gone:?}");
    let mut half = tls(&bench).await;
    half.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\nx-slow:").await.unwrap();
    let mut answer = Vec::new();
    let gone = tokio::time::timeout(PATIENCE, half.read_to_end(&mut answer)).await;
    assert!(gone.is_ok() && !answer.starts_with(b"HTTP/1.1 200"), "{gone:?}");
    let mut dripping = tls(&bench).await;
    let head = format!(
        "POST /api/v1/sightings HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n{{",
        bench.tokens["cloud"]
    );
    dripping.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(PATIENCE, dripping.read(&mut answer)).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"), "{answer:?}");
}

/// A client that writes head and body by themselves, as Python's does, and goes on with the same connection: a request
/// that is refused for its head alone takes none of the following ones with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_request_leaves_its_connection_whole_or_says_that_it_ends() {
    let bench = Bench::start().await;
    for (path, token, code) in [
        ("/taxii2/alliance/collections/findings/objects/", bench.tokens["cloud"].as_str(), "403"),
        ("/api/v1/sightings", "epi_wrong", "401"),
    ] {
        let mut stream = tls(&bench).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\naccept: application/taxii+json\r\n\
             content-type: application/taxii+json\r\ncontent-length: 14\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        // Time enough for a hub that would not wait to close; nothing depends on it where it does.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let next = "{\"objects\":[]}GET /api/v1/openapi.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let written = stream.write_all(next.as_bytes()).await;
        let mut answers = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answers)).await.unwrap();
        let answers = String::from_utf8_lossy(&answers);
        assert!(answers.starts_with(&format!("HTTP/1.1 {code}")), "{written:?} {read:?} {answers:.300}");
        let first = answers.split("\r\n\r\n").next().unwrap().to_ascii_lowercase();
        let goes_on = answers.contains("HTTP/1.1 200");
        assert!(goes_on || first.contains("connection: close"), "{written:?} {read:?} {answers:.600}");
    }
}

async fn tls(bench: &Bench) -> tokio_rustls::client::TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    let pem = bench.running.certificate_pem().as_bytes();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(pem).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(bench.running.address()).await.unwrap();
    let name = "localhost".try_into().unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_from_one_address_are_capped() {
    let bench = Bench::start_with(|config| config.limits.connections_per_address_max = 3).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(bench.running.address()).await.unwrap());
    }
    let mut one_more = TcpStream::connect(bench.running.address()).await.unwrap();
    let mut byte = [0; 1];
    let gone = tokio::time::timeout(PATIENCE, one_more.read(&mut byte)).await;
    assert!(matches!(gone, Ok(Ok(0) | Err(_))), "{gone:?}");
    let counted = "epimachia_connections_refused_total{reason=\"one-address\"}";
    until("the refusal is counted", || bench_metrics(&bench).contains(counted)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_route_or_method_or_media_type_is_a_problem() {
    let bench = Bench::start().await;
    assert_eq!(bench.get("bank", "/api/v2/nothing").await.0, 404);
    assert_eq!(bench.post("bank", "/api/v1/status", &json!({})).await.0, 405);
    assert_eq!(bench.post("cloud", "/api/v1/sightings", &json!({})).await.0, 415);
    assert_eq!(bench.get("bank", "/api/v1/findings?limit=0").await.0, 400);
    assert_eq!(bench.get("bank", "/api/v1/findings?limit=1001").await.0, 413);
    assert_eq!(bench.get("bank", "/api/v1/findings?nonsense=1").await.0, 400);
    assert_eq!(bench.get("bank", "/api/v1/findings/fin-nonsense").await.0, 400);
    assert_eq!(bench.get("bank", "/api/v1/why?value=not%20a%20thing%1b").await.0, 400);
    assert_eq!(bench.get("bank", "/log/tile/8/000").await.0, 404);
    assert_eq!(bench.get("bank", "/api/v1/log/proof/99999").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_and_http_2_are_both_spoken() {
    let bench = Bench::start().await;
    let response = bench.request("", Method::GET, "/health").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_2));
    assert!(response.headers().contains_key("x-request-id"));
    let certificate = reqwest::Certificate::from_pem(bench.running.certificate_pem().as_bytes()).unwrap();
    let old = reqwest::Client::builder().add_root_certificate(certificate).http1_only().build().unwrap();
    let response = old.get(format!("{}/health", bench.running.url())).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, reqwest::Version::HTTP_11));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_count_what_happened() {
    let bench = Bench::start().await;
    for member in ["telecom", "cloud"] {
        assert_eq!(bench.report(member, signed_report(member, 1, &[sighting("80.1.2.3")])).await.0, 200);
    }
    crate::submit::wait_for_item(&bench, "/api/v1/mitigations").await;
    assert_eq!(bench.report("cloud", "nonsense").await.0, 400);
    let (_, text) = bench.get("", "/metrics").await;
    let text = text.as_str().unwrap();
    for line in [
        "epimachia_sightings_total{source=\"signed\",kind=\"scan\"} 2",
        "epimachia_findings{state=\"corroborated\"} 1",
        "epimachia_plans_total{outcome=\"in-force\"} 1",
        "epimachia_refusals_total{rule=\"malformed\"} 1",
        "epimachia_read_only 0",
        "epimachia_member_last_heard_timestamp_seconds{member=\"bank\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_told() {
    let bench = Bench::start().await;
    let other = tempfile::tempdir().unwrap();
    init(&other.path().join("hub"));
    let mut config = config(&other.path().join("hub"));
    config.listen.address = bench.running.address();
    let told = Hub::start(config).await.err().unwrap().to_string();
    assert!(told.contains(&bench.running.address().to_string()), "{told}");
}

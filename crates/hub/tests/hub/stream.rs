//! The stream: nothing lost, nothing twice; readers that fall behind are cut off; an orderly end.

use crate::submit::{dispute, wait_for_item};
use crate::support::{Bench, PATIENCE, sighting, signed_report};
use futures_util::StreamExt;
use model::{Span, StreamMessage};
use reqwest::Method;
use std::time::{Duration, Instant};

/// One event as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<u64>,
    pub kind: String,
    pub data: String,
}

/// A reader of one stream.
pub struct Reader {
    chunks: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes_of::Bytes>> + Send>>,
    text: String,
    pub comments: Vec<String>,
}

mod bytes_of {
    pub use axum::body::Bytes;
}

pub async fn open(bench: &Bench, who: &str, after: Option<u64>) -> Reader {
    let query = after.map_or(String::new(), |after| format!("?after={after}"));
    // On a connection of its own, as an agent has it: cutting it off hurts nobody else.
    let client = crate::support::client(bench.running.certificate_pem());
    let url = format!("{}/api/v1/stream{query}", bench.running.url());
    let response = client.request(Method::GET, url).bearer_auth(&bench.tokens[who]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    Reader { chunks: Box::pin(response.bytes_stream()), text: String::new(), comments: Vec::new() }
}

impl Reader {
    /// The next event; none at the stream's end.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                match parse(&block) {
                    Some(event) => return Some(event),
                    None => self.comments.push(block),
                }
                continue;
            }
            let chunk = self.chunks.next().await?.ok()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event of a kind.
    pub async fn of(&mut self, kind: &str) -> Event {
        let wanted = async {
            loop {
                let event = self.next().await.expect("the stream ended");
                if event.kind == kind {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wanted).await.unwrap_or_else(|_| panic!("no {kind} came"))
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
    let data = field("data: ")?.to_owned();
    Some(Event { id: field("id: ").map(|id| id.parse().unwrap()), kind: field("event: ")?.to_owned(), data })
}

pub async fn wait_for_checkpoint(bench: &Bench, size: u64) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let (_, health) = bench.get("", "/health").await;
        if health["checkpoint"].as_u64().is_some_and(|found| found >= size) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no checkpoint over {size} entries");
}

/// Both members report the same, so that everybody gets a mitigation.
async fn corroborate(bench: &Bench, sequence: u64, observable: &str) {
    for member in ["telecom", "cloud"] {
        let (status, answer) = bench.report(member, signed_report(member, sequence, &[sighting(observable)])).await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn part_of(event: &Event) -> Vec<String> {
    let StreamMessage::Part(part) = serde_json::from_str(&event.data).unwrap() else { panic!("{event:?}") };
    part.items.iter().map(|item| item.mitigation.observable.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_hello_and_pushes_parts_findings_and_checkpoints() {
    let bench = Bench::start().await;
    let mut reader = open(&bench, "bank", None).await;
    let hello = reader.next().await.unwrap();
    assert_eq!(hello.kind, "hello");
    crate::api::check("Hello", &serde_json::from_str(&hello.data).unwrap()).unwrap();
    corroborate(&bench, 1, "80.3.3.3").await;
    let finding = reader.of("findings").await;
    crate::api::check("StreamMessage", &serde_json::from_str(&finding.data).unwrap()).unwrap();
    let part = reader.of("part").await;
    assert_eq!(part_of(&part), ["80.3.3.3"]);
    let value: serde_json::Value = serde_json::from_str(&part.data).unwrap();
    crate::api::check("PlanPart", &value["body"]).unwrap();
    let StreamMessage::Grown(growth) = serde_json::from_str(&reader.of("grown").await.data).unwrap() else {
        panic!("no checkpoint")
    };
    let note = growth.note;
    let key = bench.running.directory().identity().checkpoint_key;
    let key = account::VerifierKey::new("test.alliance", key.as_bytes()).unwrap();
    account::SignedCheckpoint::parse(note.as_bytes()).unwrap().verify(&key).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_stream_loses_nothing_and_repeats_nothing() {
    let bench = Bench::start().await;
    let observables: Vec<String> = (1..=12).map(|n| format!("80.4.4.{n}")).collect();
    let mut reader = open(&bench, "bank", None).await;
    let (mut seen, mut last) = (Vec::new(), None);
    for (n, observable) in (1..).zip(&observables) {
        corroborate(&bench, n, observable).await;
        // Away for every third, and back by the last id.
        if n % 3 == 0 {
            drop(reader);
            corroborate_later(&bench, n).await;
            reader = open(&bench, "bank", last).await;
        }
        while seen.len() < usize::try_from(n).unwrap() {
            let event = reader.of("part").await;
            assert!(event.id >= last, "{:?} after {last:?}", event.id);
            last = event.id;
            seen.extend(part_of(&event));
        }
    }
    assert_eq!(seen, observables);
    let mut reader = open(&bench, "bank", last).await;
    assert_eq!(reader.next().await.unwrap().kind, "hello");
    assert_eq!(reader.next().await.unwrap().kind, "checkpoint");
    let mut reader = open(&bench, "bank", None).await;
    let mut again = Vec::new();
    while again.len() < observables.len() {
        again.extend(part_of(&reader.of("part").await));
    }
    assert_eq!(again, observables);
}

async fn corroborate_later(bench: &Bench, n: u64) {
    let (_, status) = bench.get("bank", "/api/v1/status").await;
    assert!(status["sightings"].as_u64().unwrap() >= 2 * n);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_finding_is_withdrawn_at_once() {
    let bench = Bench::start().await;
    let mut reader = open(&bench, "telecom", None).await;
    corroborate(&bench, 1, "80.3.3.4").await;
    reader.of("part").await;
    let finding = wait_for_item(&bench, "/api/v1/findings").await;
    for member in ["cloud", "bank"] {
        let body = serde_json::to_value(dispute(member, finding["id"].as_str().unwrap())).unwrap();
        assert_eq!(bench.post(member, "/api/v1/disputes", &body).await.0, 200);
    }
    let withdraw = reader.of("withdraw").await;
    assert!(withdraw.data.contains(finding["id"].as_str().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_falls_behind_is_cut_off_and_resumes() {
    let bench = Bench::start_with(|config| config.stream.queue_max = 1).await;
    let mut slow = open(&bench, "bank", None).await;
    assert_eq!(slow.next().await.unwrap().kind, "hello");
    // Findings, parts and checkpoints until it is cut off: at the latest when the connection's buffers are full. Each
    // pair of members reports a third of them, so that nobody looks like an echo.
    let pairs = [("telecom", "cloud"), ("cloud", "bank"), ("bank", "telecom")].into_iter().cycle();
    for (n, (first, second)) in (1..=200).zip(pairs) {
        let seen: Vec<_> = (1..=200).map(|host| sighting(&format!("81.{n}.0.{host}"))).collect();
        for member in [first, second] {
            let (_, next) = bench.get(member, &format!("/api/v1/members/{member}/sequence")).await;
            let body = signed_report(member, next["next"].as_u64().unwrap(), &seen);
            let (status, answer) = bench.report(member, body).await;
            assert_eq!(status, 200, "{answer}");
        }
        if bench.running.figures().contains("epimachia_streams_cut_total 1") {
            break;
        }
    }
    let mut last = None;
    let ended = tokio::time::timeout(PATIENCE, async {
        while let Some(event) = slow.next().await {
            last = last.max(event.id);
        }
    });
    ended.await.expect("a slow reader is cut off");
    let (_, metrics) = bench.get("", "/metrics").await;
    assert!(metrics.as_str().unwrap().contains("epimachia_streams_cut_total 1"), "{metrics}");
    let mut resumed = open(&bench, "bank", last).await;
    assert_eq!(resumed.next().await.unwrap().kind, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_stream_shows_signs_of_life_and_ends_with_a_word() {
    let bench = Bench::start_with(|config| config.stream.heartbeat = Span::millis(100)).await;
    let mut reader = open(&bench, "bank", None).await;
    assert_eq!(reader.next().await.unwrap().kind, "hello");
    let begun = Instant::now();
    while !reader.comments.iter().any(|comment| comment.contains("heartbeat")) {
        assert!(begun.elapsed() < PATIENCE, "no sign of life: {:?}", reader.comments);
        let next = tokio::time::timeout(Duration::from_millis(50), reader.next()).await;
        assert!(next != Ok(None), "the stream ended");
    }
    let reading = tokio::spawn(async move {
        while reader.next().await.is_some() {}
        reader.comments
    });
    bench.running.shutdown().await.unwrap();
    let comments = tokio::time::timeout(PATIENCE, reading).await.unwrap().unwrap();
    assert!(comments.last().unwrap().contains("ends this stream"), "{comments:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_a_member_are_counted() {
    let bench = Bench::start_with(|config| config.stream.per_member_max = 2).await;
    let _first = open(&bench, "bank", None).await;
    let _second = open(&bench, "bank", None).await;
    let (status, problem) = bench.get("bank", "/api/v1/stream").await;
    assert_eq!((status, &problem["rule"]), (429, &"quota_exceeded".into()));
    let _other = open(&bench, "cloud", None).await;
}

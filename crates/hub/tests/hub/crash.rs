//! The hub is killed in the middle of its work, again and again: what it acknowledged is there, and the log verifies.

use crate::support::{Bench, PATIENCE, client, config, key, now, sighting, signed_report};
use hub::{Hub, Running};
use model::{Batch, Opening, Salt, Sighting};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is killed; `EPIMACHIA_KILLS` says otherwise.
const ROUNDS: u64 = 50;

/// A hub in a process of its own; killed when dropped.
pub struct Victim {
    pub child: Child,
    pub url: String,
}

impl Victim {
    pub fn start(root: &Path) -> Self {
        let mut child = Command::new(example()).arg(root).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().to_owned();
        assert!(url.starts_with("https://"), "the hub did not start: {line:?}");
        Self { child, url }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example is built with the tests, beside them.
fn example() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().parent().unwrap().join("examples/hub_child")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_when_the_hub_is_killed_under_load() {
    let bench = Bench::start().await;
    let Bench { running, dir, tokens, .. } = bench;
    let pem = running.certificate_pem().to_owned();
    running.shutdown().await.unwrap();
    let root = dir.path().join("hub");
    let rounds = std::env::var("EPIMACHIA_KILLS").map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let mut next = Waiting { sequence: 1, body: None };
    for round in 0..rounds {
        let victim = Victim::start(&root);
        let (client, url) = (client(&pem), victim.url.clone());
        let (count, counted) = watch::channel(0);
        let sent = send_until_killed(&client, &url, &tokens["cloud"], next, (&mut acknowledged, count));
        (next, ()) = tokio::join!(sent, kill_after(1 + round % 11 * 29, counted, victim));
    }
    assert!(acknowledged.len() as u64 > rounds, "only {} statements in {rounds} rounds", acknowledged.len());
    println!("{rounds} kills, {} statements acknowledged", acknowledged.len());
    let again = Hub::start(config(&root)).await.unwrap();
    let verified = verify(&again, &root, *acknowledged.values().max().unwrap()).await;
    for (sequence, position) in &acknowledged {
        assert_eq!(verified.get(position), Some(sequence), "statement {sequence} at {position} is lost");
    }
}

/// Kills the hub a moment after it has acknowledged so many: each time at another step of what it does next.
async fn kill_after(wanted: u64, mut counted: watch::Receiver<u64>, victim: Victim) {
    let begun = counted.wait_for(|count| *count >= wanted);
    tokio::time::timeout(PATIENCE, begun).await.expect("a hub that acknowledges nothing").unwrap();
    tokio::time::sleep(Duration::from_micros(700 * (wanted * 5 % 11))).await;
    drop(victim);
}

/// The report that was not acknowledged yet: sent again, it is the same bytes.
struct Waiting {
    sequence: u64,
    body: Option<String>,
}

/// Sends numbered reports, each until it is acknowledged, as an agent does; gives the one it was at.
async fn send_until_killed(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    mut waiting: Waiting,
    (acknowledged, count): (&mut BTreeMap<u64, u64>, watch::Sender<u64>),
) -> Waiting {
    loop {
        let sequence = waiting.sequence;
        let observable = format!("80.{}.{}.7", sequence / 250 % 250, sequence % 250);
        let request = client.post(format!("{url}/api/v1/sightings")).bearer_auth(token);
        let body =
            waiting.body.get_or_insert_with(|| signed_report("cloud", sequence, &[sighting(&observable)])).clone();
        let sent = request.header("content-type", "application/x-ndjson").body(body).send().await;
        let Ok(response) = sent else { return waiting };
        let status = response.status();
        let Ok(answer) = response.json::<serde_json::Value>().await else { return waiting };
        assert_eq!(status, 200, "{answer}");
        acknowledged.insert(sequence, answer["position"].as_u64().unwrap());
        count.send_modify(|count| *count += 1);
        waiting = Waiting { sequence: sequence + 1, body: None };
    }
}

/// The newest checkpoint, once it is over the entry at `last`.
async fn newest(root: &Path, key: &account::VerifierKey, last: u64) -> account::Checkpoint {
    let begun = std::time::Instant::now();
    loop {
        let bytes = journal::read_checkpoint(&root.join("journal")).unwrap().unwrap();
        let signed = account::SignedCheckpoint::parse(&bytes).unwrap();
        let checkpoint = signed.verify(key).unwrap().clone();
        if checkpoint.size > last {
            return checkpoint;
        }
        assert!(begun.elapsed() < PATIENCE, "the checkpoint stays at {}, {last} is acknowledged", checkpoint.size);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Reads the whole journal offline, verifies it against the newest checkpoint, and gives the reports by position.
async fn verify(running: &Running, root: &Path, last: u64) -> BTreeMap<u64, u64> {
    let directory = running.directory();
    let key = account::VerifierKey::new("test.alliance", directory.identity().checkpoint_key.as_bytes()).unwrap();
    let checkpoint = newest(root, &key, last).await;
    let log = Some(directory.log());
    let journal = journal::FileJournal::open_read_only(&root.join("journal"), log, journal::Check::Everything).unwrap();
    let mut audit = account::Audit::new(&checkpoint);
    let mut reports = BTreeMap::new();
    let mut at = 0;
    while at < checkpoint.size {
        for record in journal::Journal::read(&journal, at, 1_000).unwrap() {
            if record.position < checkpoint.size {
                audit.push(&record.nonce, &record.entry);
            }
            at = record.position + 1;
            let entry = alliance::Entry::from_bytes(&record.entry).unwrap();
            if let alliance::Event::SightingsReported(alliance::Report::Signed(batch)) = entry.event {
                reports.insert(record.position, batch.header.sequence);
            }
        }
    }
    audit.finish().unwrap();
    reports
}

/// Figures, not a test of right and wrong: `cargo test -p hub --release -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; run it by hand on a quiet machine"]
async fn figures_of_reports_and_restarts() {
    let bench = Bench::start().await;
    let batches = 60;
    let bodies: Vec<String> = (1..=batches).map(|n| large_report("cloud", n, 5_000)).collect();
    let begun = std::time::Instant::now();
    let mut slowest = Duration::ZERO;
    for body in bodies {
        let one = std::time::Instant::now();
        assert_eq!(bench.report("cloud", body).await.0, 200);
        slowest = slowest.max(one.elapsed());
    }
    let took = begun.elapsed();
    let rate = (batches * 5_000) as f64 / took.as_secs_f64();
    println!("one sender, reports of 5,000: {rate:.0} sightings/s, slowest report {slowest:?}");
    let begun = std::time::Instant::now();
    let small: Vec<_> =
        (0..2_000_u32).map(|n| sighting(&format!("82.{}.{}.1", n / 250, n % 250)).to_string()).collect();
    let small = std::sync::Arc::new((bench, small));
    let senders: Vec<_> = (0..16)
        .map(|sender| {
            let small = small.clone();
            tokio::spawn(async move {
                let mut times = Vec::new();
                for body in small.1.iter().skip(sender).step_by(16) {
                    let one = std::time::Instant::now();
                    assert_eq!(small.0.report("telecom", body.clone()).await.0, 200);
                    times.push(one.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for sender in senders {
        times.extend(sender.await.unwrap());
    }
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    println!("16 senders, reports of 1: {rate:.0} durable statements/s, p50 {p50:?}, p99 {p99:?}");
    let (bench, _) = std::sync::Arc::into_inner(small).unwrap();
    bench.running.snapshot().await.unwrap();
    println!("{}", bench.running.figures().lines().filter(|l| l.contains("snapshot_seconds_sum")).collect::<String>());
    let Bench { running, dir, .. } = bench;
    running.shutdown().await.unwrap();
    let begun = std::time::Instant::now();
    let again = Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    println!("start from a snapshot of {} sightings: {:?}", batches * 5_000, begun.elapsed());
    again.shutdown().await.unwrap();
    std::fs::remove_dir_all(dir.path().join("hub/snapshots")).unwrap();
    let begun = std::time::Instant::now();
    let again = Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    println!("start from the journal alone: {:?}", begun.elapsed());
    drop(again);
}

fn large_report(member: &str, sequence: u64, count: u64) -> String {
    let openings: Vec<Opening> = (0..count)
        .map(|n| {
            let at = sequence * count + n;
            let observable = format!("{}.{}.{}.{}", 60 + at / 15_625_000, at / 62_500 % 250, at / 250 % 250, at % 250);
            let mut seen = sighting(&observable);
            seen["count"] = json!(1);
            Opening::seal(Salt([7; 16]), &Sighting::parse(&seen.to_string()).unwrap())
        })
        .collect();
    crate::support::lines(&Batch::seal(member.parse().unwrap(), &key(member, false), sequence, now(), openings))
}

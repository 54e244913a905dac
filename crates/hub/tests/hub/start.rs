//! Starts and stops: nothing is lost, a snapshot and its tail are the whole journal, foreign directories are refused.

use crate::support::{Bench, config, init, sighting, signed_report, until};
use hub::{Error, Hub};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_under_load_loses_nothing_that_was_acknowledged() {
    let bench = Arc::new(Bench::start().await);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let senders: Vec<_> = (0..4_u8)
        .map(|sender| {
            let (bench, acknowledged) = (bench.clone(), acknowledged.clone());
            tokio::spawn(async move {
                for n in 0..=255_u8 {
                    let request = bench.request("cloud", reqwest::Method::POST, "/api/v1/sightings");
                    let body = sighting(&format!("80.{sender}.1.{n}")).to_string();
                    let sent = request.header("content-type", "application/x-ndjson").body(body).send().await;
                    match sent {
                        Ok(response) if response.status() == 200 => acknowledged.fetch_add(1, Ordering::SeqCst),
                        _ => break,
                    };
                }
            })
        })
        .collect();
    // In the midst of it: some are acknowledged, and hundreds wait.
    until("the load has begun", || acknowledged.load(Ordering::SeqCst) >= 20).await;
    bench.running.stop_accepting();
    for sender in senders {
        sender.await.unwrap();
    }
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    let Bench { running, dir, .. } = Arc::into_inner(bench).unwrap();
    running.shutdown().await.unwrap();
    let again = Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    assert!(sightings(&again) >= acknowledged);
}

fn sightings(running: &hub::Running) -> u64 {
    let ledger = running.state_bytes().into_iter().find(|(name, _)| name == "ledger").unwrap().1;
    let ledger: serde_json::Value = serde_json::from_slice(&ledger).unwrap();
    ledger["ledger"]["sightings"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_its_tail_give_the_same_state_as_the_whole_journal() {
    let bench = Bench::start().await;
    let round = |sequence: u64, net: u8| {
        let seen: Vec<_> = (1..=40).map(|n| sighting(&format!("80.{net}.0.{n}"))).collect();
        ["telecom", "cloud", "bank"].map(|member| (member, signed_report(member, sequence, &seen[..20 + net as usize])))
    };
    for (member, body) in round(1, 1).into_iter().chain(round(2, 2)) {
        assert_eq!(bench.report(member, body).await.0, 200);
    }
    bench.running.snapshot().await.unwrap();
    for (member, body) in round(3, 3).into_iter().chain(round(4, 4)) {
        assert_eq!(bench.report(member, body).await.0, 200);
    }
    let Bench { running, dir, .. } = bench;
    // Dropped, not shut down: no newer snapshot is made, so that there is a tail.
    drop(running);
    let root = dir.path().join("hub");
    let with_snapshot = state_at_start(&root).await;
    std::fs::remove_dir_all(root.join("snapshots")).unwrap();
    let whole = state_at_start(&root).await;
    assert_eq!(with_snapshot.len(), whole.len());
    for ((name, a), (_, b)) in with_snapshot.iter().zip(&whole) {
        assert!(a == b, "{name} differs: {}", difference(a, b));
    }
}

/// Where two shards differ, for whoever has to find out why.
fn difference(a: &[u8], b: &[u8]) -> String {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let (Some(a), Some(b)) = (parsed(a), parsed(b)) else { return format!("{} and {} bytes", a.len(), b.len()) };
    let ledger = a["ledger"].as_object().unwrap();
    let keys: Vec<_> = ledger.keys().filter(|key| a["ledger"][key] != b["ledger"][key]).collect();
    format!("{keys:?}")
}

/// The state as a start leaves it: a hub that serves reads only adds nothing. What is yet to be judged is left out: a
/// replay marks everything for that.
async fn state_at_start(root: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let running = start_again(root).await;
    let mut shards = running.state_bytes();
    let ledger = &mut shards.iter_mut().find(|(name, _)| name == "ledger").unwrap().1;
    let mut parsed: serde_json::Value = serde_json::from_slice(ledger).unwrap();
    parsed["ledger"].as_object_mut().unwrap().remove("pending").unwrap();
    *ledger = serde_json::to_vec(&parsed).unwrap();
    running.shutdown().await.unwrap();
    shards
}

async fn start_again(root: &std::path::Path) -> hub::Running {
    let mut config = config(root);
    config.journal.free_bytes_min = 1 << 60;
    for _ in 0..2_000 {
        match Hub::start(config.clone()).await {
            Ok(running) => return running,
            // The one before still has the journal's lock.
            Err(Error::Unavailable(_)) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the journal stays locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_of_a_newer_version_or_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("hub");
    assert!(matches!(Hub::start(config(&root)).await, Err(Error::Refused(_))));
    init(&root);
    let path = root.join("identity.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("format = 1", "format = 99")).unwrap();
    let told = Hub::start(config(&root)).await.err().unwrap().to_string();
    assert!(told.contains("format 99"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_with_a_flipped_bit_is_passed_over_counted_and_costs_nothing_but_time() {
    let bench = Bench::start().await;
    for member in ["telecom", "cloud"] {
        assert_eq!(bench.report(member, signed_report(member, 1, &[sighting("80.1.1.1")])).await.0, 200);
    }
    let Bench { running, dir, .. } = bench;
    running.shutdown().await.unwrap();
    let root = dir.path().join("hub");
    let whole = state_at_start(&root).await;
    for name in ["ledger", "table-0", "state"] {
        let files = std::fs::read_dir(root.join("snapshots")).unwrap().map(|item| item.unwrap().path());
        let named = |path: &std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(name);
        let damaged: Vec<_> = files.filter(named).map(|path| (path.clone(), std::fs::read(path).unwrap())).collect();
        assert_eq!(damaged.len(), 1, "{name}");
        for (path, good) in &damaged {
            let mut bent = good.clone();
            bent[good.len() / 2] ^= 1;
            std::fs::write(path, bent).unwrap();
        }
        let running = start_again(&root).await;
        assert!(running.figures().contains("epimachia_snapshots_passed_over_total 1"), "{name}: {}", running.figures());
        drop(running);
        let again = state_at_start(&root).await;
        for ((shard, a), (_, b)) in whole.iter().zip(&again) {
            assert!(a == b, "{name}: {shard} differs: {}", difference(a, b));
        }
        damaged.into_iter().for_each(|(path, good)| std::fs::write(path, good).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hubs_do_not_share_a_directory() {
    let bench = Bench::start().await;
    assert!(matches!(Hub::start(config(&bench.root())).await, Err(Error::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_journal_stops_the_start_with_the_place() {
    let bench = Bench::start().await;
    for n in 1..=3 {
        assert_eq!(bench.report("cloud", signed_report("cloud", n, &[sighting("80.1.1.1")])).await.0, 200);
    }
    let Bench { running, dir, .. } = bench;
    running.shutdown().await.unwrap();
    let journal = dir.path().join("hub/journal");
    let segment = std::fs::read_dir(journal).unwrap().map(|item| item.unwrap().path());
    let segment = segment.max_by_key(|path| std::fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let told = Hub::start(config(&dir.path().join("hub"))).await.err().unwrap();
    assert!(matches!(&told, Error::Broken(_)), "{told}");
    assert!(told.to_string().contains("byte"), "{told}");
}

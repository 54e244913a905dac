//! Room on the disk: with little the hub only reads, with none it stops, and nothing acknowledged is lost.

use crate::support::{Bench, PATIENCE, config, sighting};
use hub::{Condition, Hub};
use model::Span;
use serde_json::json;
use std::time::Duration;

/// Runs the tests below that fill a disk, each in a process of its own with a disk of 24 MiB that only it sees.
#[test]
fn full_disks_lose_nothing_acknowledged() {
    for test in ["room::a_full_disk_is_read_only", "room::a_write_that_meets_a_full_disk"] {
        testbed::disk::run_on_disk(test, 24 << 10).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_little_room_the_hub_serves_reads_and_refuses_the_rest() {
    let bench = Bench::start().await;
    assert_eq!(bench.report("cloud", sighting("80.1.1.1").to_string()).await.0, 200);
    let Bench { running, dir, tokens, .. } = bench;
    running.shutdown().await.unwrap();
    let mut config = config(&dir.path().join("hub"));
    config.journal.free_bytes_min = 1 << 60;
    let running = Hub::start(config).await.unwrap();
    assert!(matches!(running.condition(), Condition::ReadOnly(_)));
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    let (status, problem) = bench.report("cloud", sighting("80.1.1.2").to_string()).await;
    assert_eq!((status, &problem["rule"]), (503, &json!("read_only")), "{problem}");
    let (_, status) = bench.get("cloud", "/api/v1/status").await;
    assert_eq!((&status["sightings"], &status["condition"]), (&json!(1), &json!("read-only")));
    assert_eq!(bench.get("", "/health").await.0, 503);
    assert_eq!(bench.get("cloud", "/log/checkpoint").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fills its disk: full_disks_lose_nothing_acknowledged runs it on one of its own"]
async fn a_full_disk_is_read_only_before_and_after_a_start_until_there_is_room() {
    let bench = Bench::start_with(|config| config.journal.free_bytes_min = 4 << 20).await;
    assert_eq!(bench.report("cloud", sighting("80.1.1.1").to_string()).await.0, 200);
    let filler = fill(&bench);
    wait_until(&bench, |condition| matches!(condition, Condition::ReadOnly(_))).await;
    let (status, problem) = bench.report("cloud", sighting("80.1.1.2").to_string()).await;
    assert_eq!((status, &problem["rule"]), (503, &json!("read_only")), "{problem}");
    let Bench { running, dir, tokens, .. } = bench;
    running.shutdown().await.unwrap();
    let running = Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    assert!(matches!(bench.running.condition(), Condition::ReadOnly(_)));
    let (_, status) = bench.get("cloud", "/api/v1/status").await;
    assert_eq!((&status["sightings"], &status["condition"]), (&json!(1), &json!("read-only")));
    assert_eq!(bench.get("cloud", "/log/checkpoint").await.0, 200);
    let Bench { running, dir, tokens, .. } = bench;
    running.shutdown().await.unwrap();
    let mut roomy = config(&dir.path().join("hub"));
    roomy.journal.free_bytes_min = 4 << 20;
    let running = Hub::start(roomy).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    assert!(matches!(bench.running.condition(), Condition::ReadOnly(_)));
    std::fs::remove_file(&filler).unwrap();
    wait_until(&bench, |condition| *condition == Condition::Serving).await;
    assert_eq!(bench.report("cloud", sighting("80.1.1.2").to_string()).await.0, 200);
}

/// Writes until the disk is full.
fn fill(bench: &Bench) -> std::path::PathBuf {
    let filler = bench.dir.path().join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    let mut written = 0_u64;
    while std::io::Write::write_all(&mut file, &[1; 4_096]).is_ok() {
        written += 4_096;
        assert!(written < 64 << 20, "TMPDIR is no small tmpfs");
    }
    filler
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "fills its disk: full_disks_lose_nothing_acknowledged runs it on one of its own"]
async fn a_write_that_meets_a_full_disk_breaks_the_hub_and_loses_nothing_acknowledged() {
    // Too slow a tick to notice the disk before the write does.
    let bench = Bench::start_with(|config| {
        config.order.tick = Span::minutes(1);
        config.journal.free_bytes_min = 1 << 20;
    })
    .await;
    assert_eq!(bench.report("cloud", sighting("80.1.1.1").to_string()).await.0, 200);
    fill(&bench);
    let many: String =
        (0..4_000).map(|n| format!("{}\n", sighting(&format!("80.2.{}.{}", n / 250, n % 250)))).collect();
    let (status, problem) = bench.report("cloud", many).await;
    assert_eq!((status, &problem["kind"]), (503, &json!("broken")), "{problem}");
    let reason = bench.running.broken().await;
    assert!(reason.contains("disk is full"), "{reason}");
    let Bench { running, dir, tokens, .. } = bench;
    assert!(running.shutdown().await.is_err());
    let running = Hub::start(config(&dir.path().join("hub"))).await.unwrap();
    let client = crate::support::client(running.certificate_pem());
    let bench = Bench { running, client, tokens, dir };
    let (_, status) = bench.get("cloud", "/api/v1/status").await;
    assert_eq!((&status["sightings"], &status["condition"]), (&json!(1), &json!("read-only")));
}

async fn wait_until(bench: &Bench, wanted: impl Fn(&Condition) -> bool) {
    let begun = std::time::Instant::now();
    while !wanted(&bench.running.condition()) {
        assert!(begun.elapsed() < PATIENCE, "still {:?}", bench.running.condition());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

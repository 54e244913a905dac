//! From the report that corroborates to the last of many streams that has its part of the plan.

use crate::batches::{Batch, sighting};
use crate::client::Sender;
use crate::figures::Latencies;
use crate::stage::{Alliance, Stage};
use crate::words::Words;
use crate::{Failure, ingest};
use futures_util::StreamExt;
use model::Grade;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Fewer than the twenty after which two members that always agree count as one.
const ROUNDS: u64 = 16;
/// A part that takes longer is lost.
const PART_WITHIN: Duration = Duration::from_secs(30);
/// Streams opened at a time.
const OPENED_AT_ONCE: usize = 32;

pub async fn run(words: &Words, count: usize) -> Result<(), Failure> {
    let alliance = Alliance { members: count.max(3), ..ingest::generous(count) };
    let stage = Stage::new(words, alliance).await?;
    let (heard, mut hears) = mpsc::unbounded_channel();
    let mut reporters = ingest::senders(&stage, 2).await?;
    for first in (0..count).step_by(OPENED_AT_ONCE) {
        let opening = (first..(first + OPENED_AT_ONCE).min(count)).map(|member| listen(&stage, member, heard.clone()));
        futures_util::future::try_join_all(opening).await?;
    }
    println!("{count} members, one stream each");
    let before = stage.taken().0;
    let (mut each, mut last) = (Latencies::default(), Latencies::default());
    for round in 0..ROUNDS {
        let batch = Batch::seal(&[sighting(&format!("52.1.{round}.7"), Grade::Handshake)?])?;
        report(&mut reporters[0], &batch).await?;
        let begun = Instant::now();
        report(&mut reporters[1], &batch).await?;
        let mut latest = Duration::ZERO;
        for _ in 0..count {
            let at: Instant = tokio::time::timeout(PART_WITHIN, hears.recv()).await?.ok_or("the streams have ended")?;
            latest = at.saturating_duration_since(begun);
            each.add(latest);
        }
        last.add(latest);
    }
    each.print("each stream has its part");
    last.print("the last stream has its part");
    let parts = (ROUNDS * count as u64) as f64;
    println!("processor: hub {:.1} us a part", (stage.taken().0 - before) / parts * 1e6);
    Ok(())
}

async fn report(sender: &mut Sender, batch: &Batch) -> Result<(), Failure> {
    let body = batch.body(sender, false)?;
    crate::client::good(sender.report(body, false).await?).await.map(|_| ())
}

/// Opens a stream, and from then on tells the time of each part it brings.
async fn listen(stage: &Stage, member: usize, heard: mpsc::UnboundedSender<Instant>) -> Result<(), Failure> {
    let sender = stage.sender(member).await?;
    let response = sender.get("/api/v1/stream").send().await?;
    if !response.status().is_success() {
        return Err(format!("{}: {}", response.status(), response.text().await?).into());
    }
    tokio::spawn(async move {
        // The client goes with its stream.
        let _sender = sender;
        let mut chunks = response.bytes_stream();
        let mut line = Vec::new();
        while let Some(Ok(chunk)) = chunks.next().await {
            for byte in chunk {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                if line == b"event: part" && heard.send(Instant::now()).is_err() {
                    return;
                }
                line.clear();
            }
        }
    });
    Ok(())
}

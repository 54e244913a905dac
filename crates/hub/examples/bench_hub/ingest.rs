//! Sightings a second until they are durable, and beside it as many alerts on CrowdSec's local API.

use crate::batches::{Batch, Range};
use crate::client::Sender;
use crate::figures::{Latencies, processor_seconds};
use crate::stage::{self, Alliance, Stage};
use crate::words::Words;
use crate::{Failure, crowdsec};
use model::Grade;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

pub async fn run(words: &Words) -> Result<(), Failure> {
    let stage = match &words.hub {
        Some(_) => None,
        None => Some(Stage::new(words, generous(words.connections)).await?),
    };
    let senders = match (&stage, &words.hub) {
        (Some(stage), _) => senders(stage, words.connections).await?,
        (None, Some(hub)) => vec![stage::given(hub).await?],
        (None, None) => Vec::new(),
    };
    let connections = senders.len();
    let work = prepare(words, connections)?;
    println!(
        "{connections} connections, batches of {}, {} distinct values, {} of a million shared, {}{}",
        words.batch,
        words.distinct,
        words.shared,
        if words.hub.is_some() { "TLS and a token" } else { "mutual TLS" },
        if words.zstd { ", zstd" } else { "" }
    );
    let before = (stage.as_ref().map(Stage::taken), processor_seconds("self"), Instant::now());
    let sent = send(senders, &work, words.time, words.zstd).await?;
    let took = before.2.elapsed().as_secs_f64();
    let rate = sent.accepted as f64 / took;
    println!("{:<44} {rate:12.0} sightings/s   ({} in {took:.1} s)", "signed, acknowledged = durable", sent.accepted);
    sent.latencies.print("a batch, from its first byte to the answer");
    if let (Some(stage), Some((hub, _))) = (&stage, before.0) {
        let (now, resident) = stage.taken();
        let client = processor_seconds("self") - before.1;
        let per = |seconds: f64| seconds / sent.accepted as f64 * 1e6;
        println!(
            "processor: hub {:.2} s ({:.2} us a sighting), client {client:.2} s ({:.2} us); hub resident {} MiB",
            now - hub,
            per(now - hub),
            per(client),
            resident >> 20
        );
    }
    drop(stage);
    if let Some(program) = &words.crowdsec {
        let alerts = crowdsec::run(program, words).await?;
        println!("{:<44} {:12.1}", "sightings a second for one alert a second", rate / alerts);
    }
    Ok(())
}

/// Members enough for the connections, and a quota that nobody reaches.
pub fn generous(connections: usize) -> Alliance {
    Alliance { members: connections.max(3), sightings_per_minute_max: 1_000_000_000 }
}

pub async fn senders(stage: &Stage, count: usize) -> Result<Vec<Sender>, Failure> {
    let mut senders = Vec::new();
    for member in 0..count {
        senders.push(stage.sender(member).await?);
    }
    Ok(senders)
}

/// Each connection's batches: its share of the distinct values.
pub fn prepare(words: &Words, connections: usize) -> Result<Vec<Arc<Vec<Batch>>>, Failure> {
    let each = (words.distinct / words.batch as u64).max(1).div_ceil(connections as u64);
    let begin = |connection: usize| connection as u64 * each * words.batch as u64;
    let range = |from: u64| Range { from, count: words.batch, shared: words.shared, grade: Grade::Handshake };
    (0..connections)
        .map(|connection| {
            let from = (0..each).map(|batch| begin(connection) + batch * words.batch as u64);
            from.map(|from| Batch::of(range(from))).collect::<Result<Vec<_>, _>>().map(Arc::new)
        })
        .collect()
}

/// What was sent.
#[derive(Default)]
pub struct Sent {
    pub accepted: u64,
    pub refused: u64,
    pub latencies: Latencies,
}

/// Every sender sends its batches over and over, one at a time, until the time is over.
pub async fn send(senders: Vec<Sender>, work: &[Arc<Vec<Batch>>], time: Duration, zstd: bool) -> Result<Sent, Failure> {
    let until = Instant::now() + time;
    let tasks: Vec<_> = (senders.into_iter().zip(work))
        .map(|(mut sender, batches)| {
            let batches = Arc::clone(batches);
            tokio::spawn(async move {
                let mut sent = Sent::default();
                for batch in batches.iter().cycle() {
                    if Instant::now() >= until {
                        break;
                    }
                    let body = batch.body(&mut sender, zstd)?;
                    let begun = Instant::now();
                    let response = sender.report(body, zstd).await?;
                    crate::client::good(response).await?;
                    sent.latencies.add(begun.elapsed());
                    sent.accepted += batch.count();
                }
                Ok::<_, Failure>(sent)
            })
        })
        .collect();
    all_of(tasks).await
}

/// What all senders together sent, once the last has ended.
pub async fn all_of(tasks: Vec<JoinHandle<Result<Sent, Failure>>>) -> Result<Sent, Failure> {
    let mut all = Sent::default();
    for task in tasks {
        let sent = task.await??;
        all.accepted += sent.accepted;
        all.refused += sent.refused;
        all.latencies.append(sent.latencies);
    }
    Ok(all)
}

//! One member sends ten times its quota: what the others notice of it.

use crate::Failure;
use crate::batches::{Batch, Range};
use crate::client::{Sender, good};
use crate::figures::Latencies;
use crate::ingest::{Sent, all_of};
use crate::stage::{Alliance, Stage};
use crate::words::Words;
use model::Grade;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Sightings a member may send a minute in this run.
const QUOTA: u32 = 300_000;
/// What a quiet member sends, as a share of its quota.
const QUIET_SHARE: f64 = 0.25;
/// Sightings a batch of a quiet member.
const QUIET_BATCH: usize = 100;
/// How often its quota the flooding member sends.
const TIMES: u32 = 10;
/// Connections of the flooding member.
const FLOOD_CONNECTIONS: usize = 8;

pub async fn run(words: &Words) -> Result<(), Failure> {
    let quiet_members = words.connections;
    let alliance = Alliance { members: quiet_members + 1, sightings_per_minute_max: QUOTA };
    let stage = Stage::new(words, alliance).await?;
    let mut quiet = Vec::new();
    for member in 0..quiet_members {
        let from = member as u64 * 100_000;
        let of = |n: u64| {
            Batch::of(Range {
                from: from + n * QUIET_BATCH as u64,
                count: QUIET_BATCH,
                shared: words.shared,
                grade: Grade::Handshake,
            })
        };
        quiet.push((stage.sender(member).await?, Arc::new((0..200).map(of).collect::<Result<Vec<_>, _>>()?)));
    }
    println!("{quiet_members} members at {:.0} % of their quota of {QUOTA} a minute", QUIET_SHARE * 100.0);
    let (quiet, alone) = round(quiet, words.time).await?;
    alone.latencies.print("a quiet member's batch, nobody floods");
    let over = Arc::new(AtomicBool::new(false));
    let flood =
        tokio::spawn(flood(stage.attested(quiet_members, FLOOD_CONNECTIONS).await?, Arc::clone(&over), words.batch));
    // Its minute's worth goes through at once; what counts is what comes then.
    tokio::time::sleep(Duration::from_secs(u64::from(60 / TIMES) + 4)).await;
    let (_, beside) = round(quiet, words.time).await?;
    over.store(true, Ordering::Relaxed);
    let flooded = flood.await??;
    beside.latencies.print("a quiet member's batch, one member floods");
    flooded.latencies.print("the flooding member's batch");
    println!("the flooding member: {} sightings taken, {} batches refused", flooded.accepted, flooded.refused);
    println!("quiet members: {} batches refused", alone.refused + beside.refused);
    println!("p99 of the others, against quiet: {:.2}", beside.latencies.ms(0.99) / alone.latencies.ms(0.99));
    Ok(())
}

type Quiet = Vec<(Sender, Arc<Vec<Batch>>)>;

/// Quiet members send evenly, whatever the hub does: a late answer does not slow what follows down.
async fn round(quiet: Quiet, time: Duration) -> Result<(Quiet, Sent), Failure> {
    let every = Duration::from_secs_f64(60.0 * QUIET_BATCH as f64 / (f64::from(QUOTA) * QUIET_SHARE));
    let until = Instant::now() + time;
    let tasks: Vec<_> =
        quiet.into_iter().map(|(sender, batches)| tokio::spawn(evenly(sender, batches, every, until))).collect();
    let (mut back, mut all) = (Vec::new(), Sent::default());
    for task in tasks {
        let (sender, batches, sent) = task.await??;
        all.accepted += sent.accepted;
        all.refused += sent.refused;
        all.latencies.append(sent.latencies);
        back.push((sender, batches));
    }
    Ok((back, all))
}

async fn evenly(
    mut sender: Sender,
    batches: Arc<Vec<Batch>>,
    every: Duration,
    until: Instant,
) -> Result<(Sender, Arc<Vec<Batch>>, Sent), Failure> {
    let mut sent = Sent::default();
    let mut due = Instant::now();
    for batch in batches.iter().cycle() {
        if due >= until {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let body = batch.body(&mut sender, false)?;
        let response = sender.report(body, false).await?;
        // From when it was due: waiting behind a late answer counts as well.
        sent.latencies.add(due.elapsed());
        match response.status().as_u16() {
            429 => {
                sent.refused += 1;
                sender.sequence -= 1;
            }
            _ => {
                good(response).await?;
                sent.accepted += batch.count();
            }
        }
        due += every;
    }
    Ok((sender, batches, sent))
}

/// Ten times the quota over all connections, whatever is answered.
async fn flood(senders: Vec<Sender>, over: Arc<AtomicBool>, batch: usize) -> Result<Sent, Failure> {
    let every = Duration::from_secs_f64(60.0 * (batch * FLOOD_CONNECTIONS) as f64 / f64::from(QUOTA * TIMES));
    let tasks: Vec<_> = (senders.into_iter().enumerate())
        .map(|(n, mut sender)| {
            let over = Arc::clone(&over);
            tokio::spawn(async move {
                let from = 10_000_000 + n as u64 * batch as u64;
                let batch = Batch::of(Range { from, count: batch, shared: 0, grade: Grade::Handshake })?;
                let mut sent = Sent { latencies: Latencies::default(), ..Sent::default() };
                let mut due = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    tokio::time::sleep_until(due.into()).await;
                    due += every;
                    let body = batch.body(&mut sender, false)?;
                    let begun = Instant::now();
                    match sender.report(body, false).await {
                        Ok(response) if response.status().as_u16() == 429 => sent.refused += 1,
                        Ok(response) => {
                            good(response).await?;
                            sent.accepted += batch.count();
                        }
                        // Cut off while it was still sending.
                        Err(_) => sent.refused += 1,
                    }
                    sent.latencies.add(begun.elapsed());
                }
                Ok::<_, Failure>(sent)
            })
        })
        .collect();
    all_of(tasks).await
}

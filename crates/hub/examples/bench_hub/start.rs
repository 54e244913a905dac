//! How long a start takes with so many observables, and what they take in memory.

use crate::batches::{Batch, Range};
use crate::client::Sender;
use crate::stage::Stage;
use crate::words::Words;
use crate::{Failure, ingest};
use model::Grade;
use std::time::Instant;

/// Sightings a batch while the table is filled.
const BATCH: u64 = 10_000;

pub async fn run(words: &Words, observables: u64) -> Result<(), Failure> {
    let mut stage = Stage::new(words, ingest::generous(words.connections)).await?;
    let empty = stage.taken().1;
    let senders = ingest::senders(&stage, words.connections).await?;
    let begun = Instant::now();
    let reports = fill(senders, observables).await?;
    let took = begun.elapsed().as_secs_f64();
    println!("{observables} observables, {reports} reports, taken in at {:.0}/s", reports as f64 / took);
    let held = (stage.taken().1 - empty) as f64 / observables as f64;
    println!("{:<44} {held:12.1}", "resident bytes an observable, all of the hub");
    let stalled = stage.metric("epimachia_snapshot_seconds_sum").await?;
    stage.restart(true).await?;
    let (empty_again, mib) = ((stage.taken().1 - empty) as f64 / observables as f64, stage.bytes_of("snapshots") >> 20);
    println!("{:<44} {:12.2} s   ({mib} MiB of snapshots)", "start from a snapshot", stage.started.as_secs_f64());
    println!("{:<44} {empty_again:12.1}", "resident bytes an observable, after the start");
    match stalled {
        None => println!("{:<44} {:>12}     before the stop", "the sequencer waited for snapshots", "none made"),
        Some(stalled) => {
            println!("{:<44} {:12.2} ms  before the stop", "the sequencer waited for snapshots", stalled * 1e3);
        }
    }
    Ok(())
}

/// Every value once, and three tenths of them by a second member; forgeable, so that no findings come of it.
async fn fill(senders: Vec<Sender>, observables: u64) -> Result<u64, Failure> {
    let members = senders.len() as u64;
    let tasks: Vec<_> = (senders.into_iter().enumerate())
        .map(|(n, mut sender)| {
            tokio::spawn(async move {
                let (mut sent, n) = (0, n as u64);
                let batches = observables.div_ceil(BATCH);
                let own = (n..batches).step_by(members as usize).map(|batch| (batch, 1.0));
                let second = ((n + 1) % members..batches).step_by(members as usize).map(|batch| (batch, 0.3));
                for (batch, share) in own.chain(second) {
                    let left = (observables - batch * BATCH).min(BATCH);
                    let count = (left as f64 * share) as usize;
                    if count == 0 {
                        continue;
                    }
                    let batch = Batch::of(Range { from: batch * BATCH, count, shared: 0, grade: Grade::Spoofable })?;
                    let body = batch.body(&mut sender, false)?;
                    crate::client::good(sender.report(body, false).await?).await?;
                    sent += batch.count();
                }
                Ok::<_, Failure>(sent)
            })
        })
        .collect();
    let mut reports = 0;
    for task in tasks {
        reports += task.await??;
    }
    Ok(reports)
}

//! Following while writers write: does every reader see every object once, and how long after it was sent?

use crate::figures::Latencies;
use crate::stage::{Credential, Stage, Talker, now};
use crate::steps::Page;
use crate::{Failure, Words, objects};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const WRITERS: u32 = 8;
const READERS: usize = 10;
/// Objects an envelope, and all writers' objects a second.
const SIZE: u32 = 10;
const RATE: u32 = 1_000;
/// The first number that no other step has sent.
const FROM: u32 = 1 << 28;
const POLL: Duration = Duration::from_millis(50);
/// How long a reader waits for the last ones.
const PATIENCE: Duration = Duration::from_secs(30);

/// When each object was sent.
type Sent = Arc<Mutex<BTreeMap<u32, Instant>>>;

pub async fn run(stage: &Stage, words: Words) -> Result<(), Failure> {
    let (sent, acknowledged): (Sent, _) = (Arc::default(), Arc::new(AtomicU64::new(0)));
    let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let start = now()?;
    let readers: Vec<_> = (0..READERS)
        .map(|n| {
            let (talker, sent, ended, acknowledged) =
                (stage.talker(n), Arc::clone(&sent), Arc::clone(&ended), Arc::clone(&acknowledged));
            let start = start.clone();
            tokio::spawn(async move { read(talker?, n % 2 == 0, start, sent, ended, acknowledged).await })
        })
        .collect();
    let begun = Instant::now();
    let envelopes = u32::try_from(words.follow)? * RATE / SIZE;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (talker, sent, acknowledged) =
                (stage.talker(writer as usize), Arc::clone(&sent), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let talker = talker?;
                for envelope in (writer..envelopes).step_by(WRITERS as usize) {
                    let due = Duration::from_secs_f64(f64::from(envelope * SIZE) / f64::from(RATE));
                    tokio::time::sleep(due.saturating_sub(begun.elapsed())).await;
                    let from = FROM + envelope * SIZE;
                    let body = objects::envelope(from, SIZE, &now()?);
                    let at = Instant::now();
                    sent.lock().unwrap_or_else(PoisonError::into_inner).extend((from..from + SIZE).map(|n| (n, at)));
                    acknowledged.fetch_add(talker.add(body).await?, Ordering::AcqRel);
                }
                Ok::<_, Failure>(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    let wrote = begun.elapsed().as_secs_f64();
    ended.store(true, Ordering::Release);
    let (mut latencies, mut missed, mut repeated) = (Latencies::default(), 0, 0);
    for reader in readers {
        let seen = reader.await??;
        missed += acknowledged.load(Ordering::Acquire).saturating_sub(seen.once);
        repeated += seen.again;
        latencies.append(seen.latencies);
    }
    let rate = acknowledged.load(Ordering::Acquire) as f64 / wrote;
    let readers = format!("{READERS} readers, half by next, half by time");
    println!("following: {rate:.0} objects/s by {WRITERS} writers, {readers}, {wrote:.0} s");
    println!("{:<44} {missed:10} missed {repeated:10} repeated", "of what was acknowledged, all readers");
    latencies.print("from the sending to a reader");
    Ok(())
}

#[derive(Default)]
struct Seen {
    once: u64,
    again: u64,
    latencies: Latencies,
}

async fn read(
    talker: Talker,
    by_next: bool,
    start: String,
    sent: Sent,
    ended: Arc<std::sync::atomic::AtomicBool>,
    acknowledged: Arc<AtomicU64>,
) -> Result<Seen, Failure> {
    let (mut seen, mut known) = (Seen::default(), std::collections::BTreeSet::new());
    let (mut cursor, mut after, mut quiet) = (format!("&added_after={start}"), start, Instant::now());
    while !ended.load(Ordering::Acquire)
        || (seen.once < acknowledged.load(Ordering::Acquire) && quiet.elapsed() < PATIENCE)
    {
        let (bytes, last) = talker.ask(&format!("/objects/?limit=1000{cursor}"), Credential::Bearer).await?;
        let (at, page): (_, Page) = (Instant::now(), serde_json::from_slice(&bytes)?);
        for number in page.objects.iter().filter_map(|object| number_of(&object.id)) {
            quiet = at;
            if !known.insert(number) {
                seen.again += 1;
                continue;
            }
            seen.once += 1;
            let when = sent.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied();
            when.into_iter().for_each(|when| seen.latencies.add(at.saturating_duration_since(when)));
        }
        if !page.objects.is_empty() {
            after = last;
        }
        cursor = match page.next {
            Some(next) if by_next => format!("&next={next}"),
            _ => format!("&added_after={after}"),
        };
        if page.objects.is_empty() {
            tokio::time::sleep(POLL).await;
        }
    }
    Ok(seen)
}

/// The number that an identifier was made from, of those that are sent here.
fn number_of(id: &str) -> Option<u32> {
    let (_, uuid) = id.split_once("--")?;
    u32::from_str_radix(uuid.get(..8)?, 16).ok().filter(|number| *number >= FROM)
}

//! Objects in, paging, polls, the times of answers, memory.

use crate::figures::{Latencies, processor_seconds};
use crate::stage::{Credential, Stage, Talker, now};
use crate::{Failure, Words, objects};
use serde::Deserialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Writers at a time, and connections that poll.
pub const WRITERS: usize = 4;
const POLLERS: usize = 8;

/// A page, as far as it is counted.
#[derive(Deserialize)]
pub struct Page {
    #[serde(default)]
    pub next: Option<String>,
    #[serde(default)]
    pub objects: Vec<Object>,
}

#[derive(Deserialize)]
pub struct Object {
    pub id: String,
}

pub async fn run(stage: &Stage, words: Words) -> Result<(), Failure> {
    let numbers = Arc::new(AtomicU32::new(0));
    for size in [1, 100, 1_000] {
        add(stage, &numbers, size, u32::MAX, Duration::from_secs(words.seconds)).await?;
    }
    let stored = numbers.load(Ordering::Relaxed);
    let (lacking, hours) = (words.objects.saturating_sub(stored), Duration::from_secs(36_000));
    if lacking > 0 {
        add(stage, &numbers, 1_000, words.objects, hours).await?;
    }
    let stored = numbers.load(Ordering::Relaxed);
    page_all(stage, stored).await?;
    for shown in [Credential::Bearer, Credential::Basic, Credential::Certificate] {
        poll(stage, words, shown).await?;
    }
    for (what, path) in [
        ("first page of 100", "/objects/?limit=100".to_owned()),
        ("match[type], 100 of 1 %", "/objects/?match[type]=malware&limit=100".to_owned()),
        ("manifest of 100", "/manifest/?limit=100".to_owned()),
    ] {
        answers(stage, words, what, move |_| path.clone()).await?;
    }
    let one = move |n: u32| objects::id(n.wrapping_mul(2_654_435_761) % stored);
    answers(stage, words, "match[id]", move |n| format!("/objects/?match[id]={}", one(n))).await?;
    answers(stage, words, "one object", move |n| format!("/objects/{}/", one(n))).await?;
    println!("{:<44} {:10} MiB with {stored} objects", "resident", stage.resident() >> 20);
    Ok(())
}

/// Objects in, until there are so many or so much time has gone.
async fn add(stage: &Stage, numbers: &Arc<AtomicU32>, size: u32, up_to: u32, time: Duration) -> Result<(), Failure> {
    let talkers = (0..WRITERS).map(|writer| stage.talker(writer)).collect::<Result<_, _>>()?;
    let what = format!("in, envelopes of {size}, {WRITERS} writers");
    write(&what, talkers, &stage.process(), Load { numbers: Arc::clone(numbers), size, up_to, time }).await
}

/// What is written: envelopes of so many objects, of which each number is taken once.
#[derive(Clone)]
pub struct Load {
    pub numbers: Arc<AtomicU32>,
    pub size: u32,
    pub up_to: u32,
    pub time: Duration,
}

/// Each writer sends its next envelope when its last one is answered.
pub async fn write(what: &str, talkers: Vec<Talker>, process: &str, load: Load) -> Result<(), Failure> {
    let (begun, before) = (Instant::now(), processor_seconds(process));
    let tasks: Vec<_> = (talkers.into_iter())
        .map(|talker| {
            let Load { numbers, size, up_to, time } = load.clone();
            tokio::spawn(async move {
                let mut sent = 0;
                while begun.elapsed() < time && numbers.load(Ordering::Relaxed) < up_to {
                    let from = numbers.fetch_add(size, Ordering::Relaxed);
                    sent += talker.add(objects::envelope(from, size, &now()?)).await?;
                }
                Ok::<_, Failure>(sent)
            })
        })
        .collect();
    let mut sent = 0;
    for task in tasks {
        sent += task.await??;
    }
    let (took, processor) = (begun.elapsed().as_secs_f64(), processor_seconds(process) - before);
    let (rate, per_processor) = (sent as f64 / took, sent as f64 / processor);
    println!("{what:<44} {rate:10.0} objects/s {per_processor:10.0} a CPU-second");
    Ok(())
}

async fn page_all(stage: &Stage, stored: u32) -> Result<(), Failure> {
    let talker = stage.talker(1)?;
    let (begun, before, mut cursor, mut found) = (Instant::now(), stage.processor(), String::new(), 0_u32);
    let mut waited = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let (bytes, _) = talker.ask(&format!("/objects/?limit=1000{cursor}"), Credential::Bearer).await?;
        waited += asked.elapsed();
        let page: Page = serde_json::from_slice(&bytes)?;
        found += u32::try_from(page.objects.len())?;
        let Some(next) = page.next else { break };
        cursor = format!("&next={next}");
    }
    let (took, processor) = (waited.as_secs_f64(), stage.processor() - before);
    let (rate, per_processor) = (f64::from(found) / took, f64::from(found) / processor);
    let whole = if found == stored { "all" } else { "NOT ALL" };
    let what = format!("paging {found} at 1,000, {whole}");
    println!(
        "{what:<44} {rate:10.0} objects/s {per_processor:10.0} a CPU-second ({:.1} s)",
        begun.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn poll(stage: &Stage, words: Words, shown: Credential) -> Result<(), Failure> {
    let first = "/manifest/?limit=1&match[version]=all";
    let (_, last) = stage.talker(0)?.ask(first, Credential::Bearer).await?;
    // Nothing is later than this: what a member hears all day.
    let path = format!("/objects/?added_after={}", last.replacen("20", "21", 1));
    let latencies = many(stage, words, POLLERS, move |_| path.clone(), shown).await?;
    report(&format!("idle polls, {shown:?}, {POLLERS} connections"), latencies);
    Ok(())
}

async fn answers(
    stage: &Stage,
    words: Words,
    what: &str,
    path: impl Fn(u32) -> String + Clone + Send + 'static,
) -> Result<(), Failure> {
    let latencies = many(stage, words, 2, path, Credential::Bearer).await?;
    report(what, latencies);
    Ok(())
}

/// What many requests took: how long each, how much processor of the hub, how long in all.
struct Many {
    latencies: Latencies,
    processor: f64,
    took: f64,
}

fn report(what: &str, many: Many) {
    let count = many.latencies.count() as f64;
    let (rate, per_processor) = (count / many.took, count / many.processor);
    println!("{what:<44} {rate:10.0} requests/s {per_processor:9.0} a CPU-second");
    many.latencies.print(what);
}

async fn many(
    stage: &Stage,
    words: Words,
    connections: usize,
    path: impl Fn(u32) -> String + Clone + Send + 'static,
    shown: Credential,
) -> Result<Many, Failure> {
    let mut talkers = Vec::with_capacity(connections);
    for n in 0..connections {
        talkers.push(match shown {
            Credential::Certificate => stage.joined(n).await?,
            _ => stage.talker(n)?,
        });
    }
    let (begun, before, time) = (Instant::now(), stage.processor(), Duration::from_secs(words.seconds));
    let number = Arc::new(AtomicU32::new(1));
    let tasks: Vec<_> = talkers
        .into_iter()
        .map(|talker| {
            let (path, number) = (path.clone(), Arc::clone(&number));
            tokio::spawn(async move {
                let mut latencies = Latencies::default();
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    talker.ask(&path(number.fetch_add(1, Ordering::Relaxed)), shown).await?;
                    latencies.add(asked.elapsed());
                }
                Ok::<_, Failure>(latencies)
            })
        })
        .collect();
    let mut latencies = Latencies::default();
    for task in tasks {
        latencies.append(task.await??);
    }
    Ok(Many { latencies, processor: stage.processor() - before, took: begun.elapsed().as_secs_f64() })
}

//! Feeds: what other tools hold comes in by itself, and findings go out.
//!
//! Each pull and push is one task on a thread of its own. It asks, sorts, hands on, and has written down how far it is
//! together with what came of it; whatever fails in between is done again from there. `remote` speaks HTTPS, `taxii`,
//! `crowdsec` and `misp` read step by step (`reader`), `sort` decides without I/O, `pull` and `push` join them.

mod beside;
mod board;
mod crowdsec;
mod deliver;
mod misp;
mod pull;
mod push;
mod reader;
mod remote;
mod sort;
mod taxii;
#[cfg(test)]
mod tests;

pub(crate) use board::Board;
pub use board::FeedView;

use crate::client::Client;
use crate::config::{Config, PullConfig};
use crate::core::{AlarmKind, Fed, Input};
use crate::error::Error;
use crate::stream::pause;
use crate::strip::Strip;
use crate::wishes::Requests;
use reader::{Here, Reader, Step};
use remote::Trouble;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;

/// Failures in a row before somebody is told.
const FAILURES_SILENT: u32 = 3;

/// What every feed needs.
#[derive(Clone)]
pub(crate) struct Around {
    /// Our hub.
    pub client: Client,
    /// Our agent.
    pub requests: Requests,
    /// Where alarms go.
    pub inputs: Sender<Input>,
    /// What is shown of feeds.
    pub board: Arc<Board>,
    /// What stays here.
    pub strip: Arc<Strip>,
}

/// One round of a feed: everything that is there now. Gives what is worth telling of the other side.
enum Feed {
    Pull(Box<pull::Pull>),
    Push(Box<push::Push>),
}

/// Starts all pulls and pushes; `fed` is what is remembered of them.
///
/// # Errors
/// Broken: a file of a feed cannot be used.
pub(crate) fn start(
    config: &Config,
    fed: &BTreeMap<String, Fed>,
    around: &Around,
) -> Result<Vec<JoinHandle<()>>, Error> {
    let mut tasks = Vec::new();
    let mark = |name: &str| fed.get(name).and_then(|fed| fed.mark.clone());
    for pull in &config.pulls {
        let (name, every) = (pull.name.clone(), pull.every.to_std());
        let feed = Feed::Pull(Box::new(pull::Pull::open(pull.clone(), mark(&name), around.clone())?));
        around.board.add(&name, "pull", pull.kind.as_str(), pull.every);
        tasks.push(aside(around.inputs.clone(), run(feed, name, every, around.clone())));
    }
    for push in &config.pushes {
        let (name, every) = (push.name.clone(), push.every.to_std());
        let feed = Feed::Push(Box::new(push::Push::open(push.clone(), mark(&name), around.clone())?));
        around.board.add(&name, "push", "taxii", push.every);
        tasks.push(aside(around.inputs.clone(), run(feed, name, every, around.clone())));
    }
    Ok(tasks)
}

/// A task beside the others, until the agent stops. Between two waits it reads many megabytes of JSON, and whoever
/// shared a thread with it would wait for that, the core among them.
fn aside(inputs: Sender<Input>, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = inputs.closed() => {}
                () = task => {}
            }
        });
    })
}

async fn run(mut feed: Feed, name: String, every: Duration, around: Around) {
    let mut failures = 0;
    loop {
        around.board.began(&name);
        let round = match &mut feed {
            Feed::Pull(pull) => pull.round().await,
            Feed::Push(push) => push.round().await,
        };
        let wait = match round {
            Ok(()) => {
                failures = 0;
                around.board.succeeded(&name, remote::now());
                every
            }
            Err(trouble) => {
                failures += 1;
                tell(&around, &name, &trouble, failures).await;
                around.board.failed(&name, &trouble.to_string());
                match trouble {
                    Trouble::Later(_, Some(wish)) => wish,
                    _ => pause(failures + 2).min(every),
                }
            }
        };
        around.board.wait(&name, wait).await;
    }
}

async fn tell(around: &Around, name: &str, trouble: &Trouble, failures: u32) {
    tracing::debug!(feed = name, %trouble, "a feed did not get through");
    if failures % 16 == FAILURES_SILENT {
        let text = format!("Feed {name}: {trouble}. Nothing is lost: it goes on from where it was.");
        // The agent is stopping if nobody listens.
        let _ = around.inputs.send(Input::Trouble { kind: AlarmKind::FeedFailed, text }).await;
    }
}

/// Looks once at what a pull would bring, without an agent: nothing is sent or written down.
///
/// # Errors
/// Broken: a file cannot be used. Unavailable: the other side gives nothing that can be read.
pub async fn probe(config: &PullConfig, strip: &Strip, alliance: &str) -> Result<Probe, Error> {
    let mut reader = Reader::open(config.clone())?;
    let step = reader.step(None, &Here { alliance, strip }).await;
    let Step { sorted, more, odd, .. } = step.map_err(|trouble| Error::Unavailable(trouble.to_string()))?;
    let objects = sorted.objects.len();
    let (sightings, counts, samples) = (sorted.sightings, sorted.counts, sorted.samples);
    Ok(Probe { objects, sightings, counts, samples, more, odd: odd.iter().map(|odd| (*odd).to_owned()).collect() })
}

/// What a look at a pull found.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Probe {
    /// Objects that would be passed on.
    pub objects: usize,
    /// Sightings that this member would sign.
    pub sightings: Vec<model::Sighting>,
    /// What would become of everything else, by outcome.
    pub counts: BTreeMap<String, u64>,
    /// Some of what would be refused or withheld.
    pub samples: Vec<String>,
    /// Is there more than this first part?
    pub more: bool,
    /// What is odd about the other side.
    pub odd: Vec<String>,
}

//! What is shown of feeds beside what is remembered: the last look, the last failure, samples of what was refused.

use crate::core::{Fed, Mark};
use model::{Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// Samples that are kept of one feed.
const SAMPLES_MAX: usize = 20;

/// One feed, as it is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FeedView {
    /// Its name.
    pub name: String,
    /// `pull` or `push`.
    pub direction: String,
    /// How the other side speaks.
    pub kind: String,
    /// How often it is looked at.
    pub every: Span,
    /// How far it is, in words; none before the first time.
    pub position: Option<String>,
    /// When everything that was there had been taken, or was being taken, for the last time.
    pub last_success: Option<Timestamp>,
    /// Rounds that have ended since the agent started, well or not.
    pub rounds: u64,
    /// Is one under way?
    pub busy: bool,
    /// Why the last round failed; none where it did not.
    pub failure: Option<String>,
    /// What is odd about the other side.
    pub quirks: BTreeSet<String>,
    /// What became of everything since the first time, by outcome.
    pub counts: BTreeMap<String, u64>,
    /// Some of what was refused or withheld since the start, the oldest first.
    pub samples: VecDeque<String>,
}

/// The feeds of an agent.
#[derive(Debug, Default)]
pub(crate) struct Board {
    feeds: Mutex<BTreeMap<String, Live>>,
}

#[derive(Debug)]
struct Live {
    view: FeedView,
    wanted: Arc<Notify>,
}

impl Board {
    /// A feed that has not begun.
    pub fn add(&self, name: &str, direction: &str, kind: &str, every: Span) {
        let view = FeedView {
            name: name.to_owned(),
            direction: direction.to_owned(),
            kind: kind.to_owned(),
            every,
            position: None,
            last_success: None,
            rounds: 0,
            busy: false,
            failure: None,
            quirks: BTreeSet::new(),
            counts: BTreeMap::new(),
            samples: VecDeque::new(),
        };
        self.lock().insert(name.to_owned(), Live { view, wanted: Arc::default() });
    }

    /// A round begins.
    pub fn began(&self, name: &str) {
        self.change(name, |view| view.busy = true);
    }

    /// A round has taken everything.
    pub fn succeeded(&self, name: &str, at: Timestamp) {
        self.change(name, |view| {
            (view.busy, view.failure, view.last_success) = (false, None, Some(at));
            view.rounds += 1;
        });
    }

    /// A round has failed.
    pub fn failed(&self, name: &str, why: &str) {
        self.change(name, |view| {
            (view.busy, view.failure) = (false, Some(model::parse::printable(why)));
            view.rounds += 1;
        });
    }

    /// Keeps samples of what was refused.
    pub fn samples(&self, name: &str, samples: Vec<String>) {
        self.change(name, |view| {
            view.samples.extend(samples);
            let beyond = view.samples.len().saturating_sub(SAMPLES_MAX);
            drop(view.samples.drain(..beyond));
        });
    }

    /// Keeps what is odd about the other side.
    pub fn odd(&self, name: &str, what: &str) {
        self.change(name, |view| {
            view.quirks.insert(what.to_owned());
        });
    }

    /// Waits until it is time, or somebody wants it now.
    pub async fn wait(&self, name: &str, longest: Duration) {
        let wanted = self.lock().get(name).map(|live| Arc::clone(&live.wanted));
        if let Some(wanted) = wanted {
            // Over, or wanted: both mean now.
            let _ = tokio::time::timeout(longest, wanted.notified()).await;
        }
    }

    /// Wants a round now; gives the rounds that have ended so far. `None`: there is no such feed.
    pub fn want(&self, name: &str) -> Option<u64> {
        self.lock().get(name).map(|live| {
            live.wanted.notify_one();
            live.view.rounds + u64::from(live.view.busy)
        })
    }

    /// All feeds, with what is remembered of them.
    pub fn views(&self, fed: &BTreeMap<String, Fed>) -> Vec<FeedView> {
        let view = |live: &Live| {
            let mut view = live.view.clone();
            if let Some(fed) = fed.get(&view.name) {
                view.position = fed.mark.as_ref().map(position);
                view.last_success = view.last_success.max(fed.last);
                view.counts.clone_from(&fed.counts);
            }
            view
        };
        self.lock().values().map(view).collect()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut FeedView)) {
        if let Some(live) = self.lock().get_mut(name) {
            change(&mut live.view);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Live>> {
        // Views are replaced whole: a thread cannot have failed in the middle of one.
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a feed is, in words.
fn position(mark: &Mark) -> String {
    match mark {
        Mark::Taxii(place) => {
            let time = place.last.map_or("the beginning".to_owned(), share::taxii::cursor::text);
            if place.next.is_some() { format!("{time}, more to come") } else { time }
        }
        Mark::Alerts(place) => place.newest.map_or("the beginning".to_owned(), |newest| newest.to_string()),
        Mark::Misp(place) => format!("{} events", place.0.len()),
        Mark::MispChange(change) => format!("{} more events", change.taken.len()),
    }
}

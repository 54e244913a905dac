//! What all parts of a running hub share: the state behind its lock, the gate, the queue, and whether it is well.

use crate::archive::Reports;
use crate::clock::Clock;
use crate::config::Config;
use crate::directory::Directory;
use crate::fair::{Queue, Turned, Turnstile, Whose};
use crate::figures::{Figures, QUEUE_FULL};
use crate::gate::Gate;
use crate::joining::Joining;
use crate::problem::Problem;
use crate::quota::Quotas;
use crate::sequencer::{Job, Outcome};
use crate::streams::Streams;
use crate::taxii::Fate;
use crate::tree::Log;
use alliance::{Alliance, Command, Share};
use journal::Journal;
use model::{Refusal, Rule};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};

/// How a hub is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Condition {
    /// Everything works.
    Serving,
    /// Reads are served, statements are refused by `read_only`: why, in words.
    ReadOnly(String),
    /// The hub has stopped: its memory may be ahead of the disk. Start it again.
    Broken(String),
}

/// The shared parts.
pub(crate) struct Core {
    pub(crate) config: Config,
    pub(crate) directory: Directory,
    pub(crate) clock: Clock,
    pub(crate) figures: Arc<Figures>,
    pub(crate) gate: Gate,
    pub(crate) joining: Joining,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) reports: Reports,
    pub(crate) log: Log,
    /// Objects that members shared.
    pub(crate) taxii: crate::taxii::Store,
    /// Sightings, findings and objects by what they speak of.
    pub(crate) search: crate::search::Search,
    pub(crate) witnesses: crate::witness::Witnesses,
    /// Changed by the sequencer, but for guard lists that are added; locked from the first decision of a turn until it
    /// is durable.
    pub(crate) state: RwLock<Alliance>,
    /// Who waits for the state: between two turns the sequencer lets them have it.
    pub(crate) queueing: Queueing,
    /// Held while a snapshot is made.
    pub(crate) saving: Mutex<()>,
    pub(crate) condition: watch::Sender<Condition>,
    pub(crate) queue: Queue<Job>,
    pub(crate) workers: Arc<Turnstile>,
    pub(crate) protections: crate::gauges::Counted,
    /// The sequencer has stopped in good order.
    pub(crate) stopping: AtomicBool,
    /// Ticks of the sequencer since the start.
    pub(crate) ticks: AtomicU64,
}

impl Core {
    /// Puts a command into the order and waits until it is durable or refused.
    ///
    /// # Errors
    /// The rule that said no; 429 when the queue is full; broken.
    pub(crate) async fn submit(&self, command: Command) -> Result<Accepted, Problem> {
        match self.ask(command).await? {
            Outcome::Accepted { position } => Ok(Accepted { position, duplicate: false }),
            Outcome::Duplicate { position } => Ok(Accepted { position, duplicate: true }),
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Shared(_) => Err(Problem::unavailable("an answer to another question")),
        }
    }

    /// As [`Core::submit`], for objects: what became of each, by its place.
    ///
    /// # Errors
    /// As [`Core::submit`].
    pub(crate) async fn submit_share(&self, share: Box<Share>) -> Result<BTreeMap<usize, Fate>, Problem> {
        match self.ask(Command::Share(share)).await? {
            Outcome::Shared(fates) => Ok(fates),
            Outcome::Refused(refusal) => Err(refusal.into()),
            Outcome::Accepted { .. } | Outcome::Duplicate { .. } => {
                Err(Problem::unavailable("an answer to another question"))
            }
        }
    }

    async fn ask(&self, command: Command) -> Result<Outcome, Problem> {
        self.require_writable()?;
        let (reply, answer) = oneshot::channel();
        let queue_max = self.config.order.queue_max;
        let (whose, cost) = (whose(), cost(&command));
        match self.queue.push(whose, cost, Job { command: Box::new(command), reply }) {
            Ok(()) => {}
            Err(Turned::Full) => {
                self.figures.counter(&QUEUE_FULL, &[]).increment(1);
                return Err(Problem::queue_full(queue_max));
            }
            Err(Turned::Ended) => return Err(self.stopped()),
        }
        answer.await.map_err(|_| self.stopped())
    }

    /// Reads the state as of the last durable turn. Blocks while a turn is written: not for the server's own threads.
    ///
    /// # Errors
    /// Broken: what is in memory may not be on the disk.
    pub(crate) fn read<T>(&self, view: impl FnOnce(&Alliance) -> T) -> Result<T, Problem> {
        let state = self.queueing.wait(|| self.state.read()).map_err(|_| self.stopped())?;
        // Set while the state was locked, so it cannot change before the view is done.
        let broken = matches!(&*self.condition.borrow(), Condition::Broken(_));
        if broken { Err(self.stopped()) } else { Ok(view(&state)) }
    }

    /// Has the state for a moment between two turns, and tells for how long.
    ///
    /// # Errors
    /// Broken: what is in memory may not be on the disk.
    pub(crate) fn change<T>(
        &self,
        held: &mut dyn FnMut(Duration),
        change: impl FnOnce(&mut Alliance) -> T,
    ) -> Result<T, Problem> {
        let mut state = self.queueing.wait(|| self.state.write()).map_err(|_| self.stopped())?;
        let begun = Instant::now();
        let broken = matches!(&*self.condition.borrow(), Condition::Broken(_));
        let changed = if broken { Err(self.stopped()) } else { Ok(change(&mut state)) };
        drop(state);
        held(begun.elapsed());
        changed
    }

    /// The hub takes statements?
    ///
    /// # Errors
    /// `read_only`, or broken.
    pub(crate) fn require_writable(&self) -> Result<(), Problem> {
        match &*self.condition.borrow() {
            Condition::Serving => Ok(()),
            Condition::ReadOnly(why) => Err(Refusal::new(Rule::ReadOnly, why, "reads").into()),
            Condition::Broken(_) => Err(self.stopped()),
        }
    }

    pub(crate) fn set(&self, condition: Condition) {
        self.condition.send_if_modified(|now| {
            let changed = *now != condition && !matches!(now, Condition::Broken(_));
            if changed {
                *now = condition;
            }
            changed
        });
    }

    /// Does this work on a thread of its own, as many at a time as there are workers, each member its fair share.
    ///
    /// # Errors
    /// What the work gives; unavailable if it failed.
    pub(crate) async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let crowded = || Problem::queue_full(WAITING_MAX as u32);
        let worker = self.workers.enter(whose()).await.ok_or_else(crowded)?;
        let core = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _worker = worker;
            work(&core)
        });
        done.await.map_err(|_| Problem::unavailable("the work on this request failed"))?
    }

    fn stopped(&self) -> Problem {
        match &*self.condition.borrow() {
            // The reason may name files of the operator's: it stands in the log, not in answers.
            Condition::Broken(_) => Problem::broken("the hub could not write its journal, or has failed"),
            _ => Problem::unavailable("the hub is stopping"),
        }
    }
}

/// Requests that may wait for a worker.
pub(crate) const WAITING_MAX: usize = 16_384;
/// What a command costs besides its sightings, counted in sightings.
const COMMAND_COST: u64 = 20;

tokio::task_local! {
    /// The member whose request is worked on: the guard says so, and what waits, waits in its line.
    pub(crate) static WHOSE: Whose;
}

fn whose() -> Whose {
    WHOSE.try_with(Clone::clone).unwrap_or_default()
}

fn cost(command: &Command) -> u64 {
    match command {
        Command::Report { sightings, .. } => COMMAND_COST + sightings.len() as u64,
        Command::Share(share) => COMMAND_COST + (share.objects.len() + share.sightings.len()) as u64,
        _ => COMMAND_COST,
    }
}

/// How long the sequencer gives way at most.
const GIVES_WAY: Duration = Duration::from_millis(2);

/// How many wait for the state. A lock alone lets the sequencer have it again at once, turn after turn.
#[derive(Debug, Default)]
pub(crate) struct Queueing(AtomicU64);

impl Queueing {
    fn wait<T>(&self, lock: impl FnOnce() -> T) -> T {
        self.0.fetch_add(1, Ordering::AcqRel);
        let locked = lock();
        self.0.fetch_sub(1, Ordering::AcqRel);
        locked
    }

    /// Lets those who wait go first, for a moment.
    pub(crate) fn give_way(&self) {
        let begun = Instant::now();
        while self.0.load(Ordering::Acquire) > 0 && begun.elapsed() < GIVES_WAY {
            std::thread::yield_now();
        }
    }
}

/// What became of a command that was not refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Accepted {
    /// Where it stands in the journal.
    pub(crate) position: u64,
    /// It stood there already.
    pub(crate) duplicate: bool,
}

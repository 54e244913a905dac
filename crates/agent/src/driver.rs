//! One thread for each enforcement point: its calls block, and one that is slow must not hold up the others.

use crate::core::{AlarmKind, Input, Order, Outcome, Trouble};
use act::{Effect, Point, Protection, Seen};
use model::{MitigationId, Observable, PointName, Span, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Sender;

/// When a point that could not take the allow-list is given it again.
const ALLOW_AGAIN: Duration = Duration::from_secs(5);

/// Calls that change what is in force and may go before a read-back that waits, so that a point which is never idle is
/// read back, too.
const OVERTAKEN_MAX: usize = 64;

/// What a point is to do.
#[derive(Debug)]
pub(crate) struct Job {
    order: Order,
    protections: Vec<Protection>,
    /// When it was ordered, by the agent's clock and by the monotonic one.
    ordered: (Timestamp, Instant),
}

impl Job {
    /// A job that is ordered at `now` by the agent's clock, which is what expiry goes by.
    pub fn new(order: Order, protections: Vec<Protection>, now: Timestamp) -> Self {
        Self { order, protections, ordered: (now, Instant::now()) }
    }

    /// Now, by the agent's clock.
    fn now(&self) -> Timestamp {
        let (at, read) = self.ordered;
        at.plus(Span::millis(i64::try_from(read.elapsed().as_millis()).unwrap_or(i64::MAX)))
    }
}

#[derive(Debug)]
enum Task {
    Job(Job),
    /// Makes exactly this the allow-list.
    Allow(Arc<[Observable]>),
}

/// The threads, by point. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Drivers {
    jobs: BTreeMap<PointName, mpsc::Sender<Task>>,
}

impl Drivers {
    /// Starts a thread for each point; what they did is sent to `done`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(points: &[Arc<dyn Point>], done: &Sender<Input>) -> std::io::Result<Self> {
        let mut jobs = BTreeMap::new();
        for point in points {
            let (sender, receiver) = mpsc::channel();
            let (point, done) = (Arc::clone(point), done.clone());
            let name = point.name().clone();
            let work = move || drive(&*point, &receiver, &done);
            std::thread::Builder::new().name(format!("point {name}")).spawn(work)?;
            jobs.insert(name, sender);
        }
        Ok(Self { jobs })
    }

    /// Queues a job; false if there is no such point or its thread has ended.
    pub fn give(&self, point: &PointName, job: Job) -> bool {
        self.jobs.get(point).is_some_and(|jobs| jobs.send(Task::Job(job)).is_ok())
    }

    /// Has every point let through what is on the member's allow-list, before whatever it is ordered next.
    pub fn allow(&self, list: &Arc<[Observable]>) {
        for jobs in self.jobs.values() {
            // A thread that has ended is told of when it is ordered something.
            let _ = jobs.send(Task::Allow(Arc::clone(list)));
        }
    }
}

fn drive(point: &dyn Point, tasks: &mpsc::Receiver<Task>, done: &Sender<Input>) {
    let mut queue = Queue::default();
    while let Ok(news) = queue.fill(tasks) {
        // First, so that nothing is put in force that the newest list lets through.
        if news
            && let Some(list) = queue.allow.take()
            && let Err(error) = point.set_allowed(&list)
        {
            let text = format!(
                "Point {} did not take the allow-list: {error}. What overlaps it is lifted by the agent all the same; \
                 it is tried again.",
                point.name()
            );
            queue.allow = Some(list);
            if done.blocking_send(Input::Trouble { kind: AlarmKind::PointFailed, text }).is_err() {
                return;
            }
        }
        if let Some(job) = queue.pop()
            && done.blocking_send(carry_out(point, job)).is_err()
        {
            return;
        }
    }
}

/// What waits for the point. What changes it keeps its order and goes before what is read back: a resolver that is
/// silent makes each look take seconds, and neither protection nor the kill switch may wait for it.
#[derive(Default)]
struct Queue {
    /// The allow-list that the point has not taken yet.
    allow: Option<Arc<[Observable]>>,
    /// Everything else; neighbours of one kind are one call where they can.
    changes: VecDeque<Job>,
    /// The targets of the last of `changes`: what waits may be thousands.
    written: BTreeSet<Target>,
    /// All that is to be read back, as one call.
    check: Option<Job>,
    /// Changes that went before `check`.
    overtaken: usize,
}

impl Queue {
    /// Takes in all that has come, and waits where there is nothing to do; is there news, or is what is owed to be
    /// tried again?
    fn fill(&mut self, tasks: &mpsc::Receiver<Task>) -> Result<bool, mpsc::RecvError> {
        let idle = self.changes.is_empty() && self.check.is_none();
        let waited = if idle { next(tasks, self.allow.is_some())? } else { None };
        let mut news = idle;
        for task in waited.into_iter().chain(tasks.try_iter()) {
            news = true;
            match task {
                Task::Job(job) => self.push(job),
                Task::Allow(list) => self.allow = Some(list),
            }
        }
        Ok(news)
    }

    fn push(&mut self, job: Job) {
        let before = match job.order {
            Order::ReadBack => self.check.as_mut(),
            order => self.changes.back_mut().filter(|last| last.order == order && takes(&self.written, &job)),
        };
        match (before, job.order) {
            (Some(before), order) => {
                if order == Order::Apply {
                    self.written.extend(targets(&job).cloned());
                }
                before.protections.extend(job.protections);
            }
            (None, Order::ReadBack) => self.check = Some(job),
            (None, _) => {
                self.written = targets(&job).cloned().collect();
                self.changes.push_back(job);
            }
        }
    }

    fn pop(&mut self) -> Option<Job> {
        let its_turn = self.changes.is_empty() || self.overtaken >= OVERTAKEN_MAX;
        if let Some(mut check) = self.check.take_if(|_| its_turn) {
            self.overtaken = 0;
            // It may have been asked for many times meanwhile.
            let mut asked = BTreeSet::new();
            check.protections.retain(|protection| asked.insert(protection.mitigation));
            return Some(check);
        }
        self.overtaken += usize::from(self.check.is_some());
        self.changes.pop_front()
    }
}

/// May `next` go into a call of its kind about the targets in `written`? A target that is in both is written twice, so
/// that the later order decides which of several mitigations holds it: a withdrawal of the other one then leaves it
/// alone.
fn takes(written: &BTreeSet<Target>, next: &Job) -> bool {
    match next.order {
        Order::Withdraw => true,
        Order::Apply => !targets(next).any(|target| written.contains(target)),
        Order::ReadBack | Order::LiftAll | Order::Replace => false,
    }
}

fn targets(job: &Job) -> impl Iterator<Item = &Target> {
    job.protections.iter().map(|protection| protection.measure.target())
}

/// The next task; none when what is owed is to be tried again.
fn next(tasks: &mpsc::Receiver<Task>, owes: bool) -> Result<Option<Task>, mpsc::RecvError> {
    match owes {
        false => tasks.recv().map(Some),
        true => match tasks.recv_timeout(ALLOW_AGAIN) {
            Ok(task) => Ok(Some(task)),
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(mpsc::RecvError),
        },
    }
}

fn carry_out(point: &dyn Point, job: Job) -> Input {
    let now = job.now();
    let Job { order, protections, .. } = job;
    let name = point.name().clone();
    let asked: Vec<MitigationId> = protections.iter().map(|p| p.mitigation).collect();
    let outcome: Outcome = match order {
        Order::ReadBack => return Input::ReadBack { point: name, asked, answer: read_back(point, &protections) },
        Order::Apply => apply(point, &protections, now),
        Order::Withdraw => point.withdraw(&protections, now).map(|()| Vec::new()).map_err(Trouble::from),
        Order::LiftAll => point.lift_all().map(|()| Vec::new()).map_err(Trouble::from),
        Order::Replace => match point.replace(&protections, now).map_err(Trouble::from) {
            Ok(()) => Ok(Vec::new()),
            // One that the point refuses must not keep the others out: nothing first, then each that it takes.
            Err(Trouble::Refused(_)) => match point.replace(&[], now) {
                Ok(()) => apply(point, &protections, now),
                Err(error) => Err(error.into()),
            },
            Err(trouble) => Err(trouble),
        },
    };
    Input::PointDone { point: name, order, asked, outcome }
}

/// Applies all; where a rule of the point refuses the whole, halves it until what is refused stands alone.
fn apply(point: &dyn Point, protections: &[Protection], now: Timestamp) -> Outcome {
    match (point.apply(protections, now).map_err(Trouble::from), protections) {
        (Ok(()), _) => Ok(Vec::new()),
        (Err(trouble), [one]) => Ok(vec![(one.mitigation, trouble)]),
        (Err(Trouble::Refused(_)), [_, _, ..]) => {
            let (first, second) = protections.split_at(protections.len() / 2);
            let exceptions = |half: &[Protection]| match apply(point, half, now) {
                Ok(exceptions) => exceptions,
                Err(trouble) => half.iter().map(|p| (p.mitigation, trouble.clone())).collect(),
            };
            Ok([exceptions(first), exceptions(second)].concat())
        }
        (Err(trouble), _) => Err(trouble),
    }
}

fn read_back(point: &dyn Point, asked: &[Protection]) -> Result<Vec<(Seen, Effect)>, Trouble> {
    let seen = point.read_back(asked)?;
    // Counting is a courtesy: where it fails, what was seen still counts.
    let effects = point.effect(asked).unwrap_or_else(|_| vec![Effect::default(); asked.len()]);
    Ok(seen.into_iter().zip(effects).collect())
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;

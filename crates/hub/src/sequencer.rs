//! The sequencer: one thread that owns the order. It takes a batch of commands, handles and applies each in turn, draws
//! what follows, appends all entries with one durable write, and only then answers and publishes.
//!
//! If the write fails, memory is ahead of the disk: the hub says `Broken` and shows nothing any more.

use crate::core::{Condition, Core};
use crate::fair::Next;
use crate::figures::{APPEND_SECONDS, CLOCK_BEHIND, ENTRIES, QUEUE, SIGHTINGS, TURN_COMMANDS, TURN_SECONDS};
use crate::search::{Heard, Turned};
use crate::space::free_bytes;
use crate::streams::Addressed;
use crate::taxii::Fate;
use account::leaf;
use alliance::{Alliance, Archived, Command, Drafted, ENTRY_VERSION, Entry, Event, Report};
use journal::{APPEND_BYTES_MAX, APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX};
use model::{Digest, Refusal, Rule, Sighting, Span, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What waits for the sequencer: the answer comes once it is durable or refused.
pub(crate) struct Job {
    /// What is asked.
    pub(crate) command: Box<Command>,
    /// Where the answer goes.
    pub(crate) reply: oneshot::Sender<Outcome>,
}

/// A turn takes no more commands after this time, so that whoever comes meanwhile does not wait for all of another's.
const TURN_MAX: Duration = Duration::from_millis(20);

/// What became of a command.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It stands in the journal, durably.
    Accepted { position: u64 },
    /// It stood in the journal before.
    Duplicate { position: u64 },
    /// Objects were ordered: what became of each, by its place.
    Shared(BTreeMap<usize, Fate>),
    /// A rule said no.
    Refused(Refusal),
}

/// What a turn leaves for others to do, once it is durable.
pub(crate) struct Done {
    pub(crate) messages: Vec<Addressed>,
    pub(crate) commitments: Vec<Digest>,
}

pub(crate) struct Sequencer {
    core: Arc<Core>,
    after: SyncSender<Done>,
    hears: SyncSender<Turned>,
    stopping: bool,
    /// More follows from the state than one turn took.
    more: bool,
    /// So much more that no commands are taken meanwhile.
    behind: bool,
}

/// A turn in the making.
#[derive(Default)]
struct Turn {
    /// What is not written yet, and how many bytes that is.
    packed: Vec<journal::Entry>,
    unwritten: usize,
    /// Bytes of all that it entered.
    bytes: u64,
    commitments: Vec<Digest>,
    messages: Vec<Addressed>,
    answers: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    heard: Vec<Heard>,
    /// The position after its last entry.
    to: u64,
    gate_changed: bool,
}

impl Sequencer {
    pub(crate) fn new(core: Arc<Core>, after: SyncSender<Done>, hears: SyncSender<Turned>) -> Self {
        Self { core, after, hears, stopping: false, more: true, behind: false }
    }

    /// Runs until it is told to stop or the hub is broken.
    pub(crate) fn run(mut self) {
        let tick = self.core.config.order.tick.to_std();
        let mut next_tick = Instant::now();
        while !self.stopping {
            let wait = if self.more { Duration::ZERO } else { next_tick.saturating_duration_since(Instant::now()) };
            let first = match self.next(wait) {
                Next::Item(job) => Some(job),
                Next::Nothing => None,
                Next::Ended => {
                    self.stopping = true;
                    None
                }
            };
            let ticked = Instant::now() >= next_tick;
            if ticked {
                next_tick = Instant::now() + tick;
                self.look_after();
            }
            if let Err(told) = self.turn(first, ticked) {
                tracing::error!(reason = %told, "the hub stops: its memory is ahead of its journal");
                return;
            }
        }
        self.core.stopping.store(true, Ordering::Release);
    }

    /// The next command. While what was reported waits to be judged, nothing is taken: what waits stays short.
    fn next(&self, wait: Duration) -> Next<Job> {
        match self.behind {
            true => Next::Nothing,
            false => self.core.queue.next(wait),
        }
    }

    /// Once a tick: room on the disk, samples into buckets.
    fn look_after(&self) {
        self.core.ticks.fetch_add(1, Ordering::Relaxed);
        let figures = &self.core.figures;
        figures.gauge(&QUEUE, &[]).set(self.core.queue.len() as f64);
        figures.upkeep();
        let least = self.core.config.journal.free_bytes_min;
        let writable = self.serving();
        match free_bytes(&self.core.directory.path("journal")) {
            Ok(free) if free < least && writable => {
                tracing::warn!(free, least, "the disk is nearly full: the hub serves reads only");
                self.core
                    .set(Condition::ReadOnly(format!("{free} bytes are free on the hub's disk, {least} are kept")));
            }
            Ok(free) if free >= least && !writable && self.core.log.can_write() => {
                tracing::info!(free, "there is room on the disk again");
                self.core.set(Condition::Serving);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "free room on the disk is not known"),
        }
    }

    /// One turn. The state's lock is held from the first decision until all is durable.
    fn turn(&mut self, first: Option<Job>, ticked: bool) -> Result<(), String> {
        let begun = Instant::now();
        let core = Arc::clone(&self.core);
        let now = self.now();
        core.queueing.give_way();
        let mut state = core.state.write().map_err(|_| "the state is broken".to_owned())?;
        let mut turn = Turn::default();
        let commands = self.order(&mut state, &mut turn, first, ticked, now).inspect_err(|told| {
            // Said while the lock is held: nobody reads what may not be on the disk.
            core.set(Condition::Broken(told.clone()));
        })?;
        drop(state);
        if commands > 0 {
            core.figures.histogram(&TURN_SECONDS, &[]).record(begun.elapsed());
            core.figures.histogram(&TURN_COMMANDS, &[]).record(f64::from(commands));
        }
        self.tell(turn)
    }

    /// Decides, applies and writes.
    fn order(
        &mut self,
        state: &mut Alliance,
        turn: &mut Turn,
        first: Option<Job>,
        ticked: bool,
        now: Timestamp,
    ) -> Result<u32, String> {
        let commands = self.take(state, turn, first, now)?;
        match self.serving() {
            true => self.follow(state, turn, ticked, now)?,
            // Nothing may follow now: the next tick asks again.
            false => self.more = false,
        }
        self.behind = self.more && state.is_behind();
        self.write(state, turn)?;
        turn.to = state.next_position();
        self.core.reports.unpin();
        self.core.taxii.settle();
        if turn.gate_changed {
            let before = self.core.gate.pass();
            self.core.gate.publish(before.next(state));
        }
        Ok(commands)
    }

    fn serving(&self) -> bool {
        matches!(&*self.core.condition.borrow(), Condition::Serving)
    }

    fn now(&self) -> Timestamp {
        let reading = self.core.clock.read();
        if reading.behind > Span::ZERO {
            self.core.figures.counter(&CLOCK_BEHIND, &[]).increment(1);
            tracing::warn!(behind = %reading.behind, "the system's clock is behind the journal's: time stands still");
        }
        reading.time
    }

    /// Takes commands until there are no more, or enough.
    fn take(
        &mut self,
        state: &mut Alliance,
        turn: &mut Turn,
        first: Option<Job>,
        now: Timestamp,
    ) -> Result<u32, String> {
        let order = self.core.config.order.clone();
        let (mut taken, mut next, begun) = (0, first, Instant::now());
        while let Some(Job { command, reply }) = next {
            let outcome = self.command(state, turn, *command, now)?;
            turn.answers.push((reply, outcome));
            taken += 1;
            let full = taken >= order.batch_max || turn.bytes >= order.batch_bytes_max || state.is_behind();
            next = match full || begun.elapsed() >= TURN_MAX {
                true => None,
                false => match self.core.queue.next(Duration::ZERO) {
                    Next::Item(job) => Some(job),
                    Next::Nothing | Next::Ended => None,
                },
            };
        }
        Ok(taken)
    }

    fn command(
        &self,
        state: &mut Alliance,
        turn: &mut Turn,
        command: Command,
        now: Timestamp,
    ) -> Result<Outcome, String> {
        if let Condition::ReadOnly(why) = &*self.core.condition.borrow() {
            return Ok(Outcome::Refused(Refusal::new(Rule::ReadOnly, why, "reads")));
        }
        match state.duplicate(&command) {
            Ok(Some(position)) => return Ok(Outcome::Duplicate { position }),
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
            Ok(None) => {}
        }
        let mut command = command;
        let fates = match &mut command {
            Command::Share(share) => Some(self.core.taxii.sort(share)),
            _ => None,
        };
        if let (Some(fates), Command::Share(share)) = (&fates, &command)
            && share.objects.is_empty()
        {
            return Ok(Outcome::Shared(fates.clone()));
        }
        let drafts = match state.handle(command, now) {
            Ok(drafts) => drafts,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        };
        let position = state.next_position();
        match made(drafts, now)?.and_then(fitting) {
            Err(refusal) => Ok(Outcome::Refused(refusal)),
            Ok(made) => {
                // All of a command in one write, so that it stands as a whole or not at all.
                self.make_room(state, turn, &made)?;
                made.into_iter().try_for_each(|made| self.enter(state, turn, made))?;
                Ok(fates.map_or(Outcome::Accepted { position }, Outcome::Shared))
            }
        }
    }

    /// What follows from the state: time's passing, findings, plans.
    fn follow(&mut self, state: &mut Alliance, turn: &mut Turn, ticked: bool, now: Timestamp) -> Result<(), String> {
        if ticked && let Ok(drafts) = state.handle(Command::Tick, now) {
            self.enter_all(state, turn, drafts, now)?;
        }
        let mut followed = state.follow(now, ticked, &self.core.reports);
        let drafts = std::mem::take(&mut followed.drafts);
        self.enter_all(state, turn, drafts, now)?;
        state.settled(&followed);
        self.more = followed.more;
        Ok(())
    }

    /// Enters all or, if one is longer than an entry may be, none: the hub goes on, and says so.
    fn enter_all(
        &self,
        state: &mut Alliance,
        turn: &mut Turn,
        drafts: Vec<Drafted>,
        now: Timestamp,
    ) -> Result<(), String> {
        match made(drafts, now)? {
            Ok(made) => made.into_iter().try_for_each(|made| {
                self.make_room(state, turn, std::slice::from_ref(&made))?;
                self.enter(state, turn, made)
            }),
            Err(refusal) => {
                tracing::error!(%refusal, "what follows was left out: it does not fit an entry");
                crate::gauges::refusal(&self.core.figures, refusal.rule);
                Ok(())
            }
        }
    }

    /// Writes what the turn has so far, if what comes next does not fit the same append.
    fn make_room(&self, state: &Alliance, turn: &mut Turn, made: &[Made]) -> Result<(), String> {
        let bytes: usize = made.iter().map(Made::packed_bytes).sum();
        let fits = turn.unwritten + bytes <= APPEND_BYTES_MAX && turn.packed.len() + made.len() <= APPEND_ENTRIES_MAX;
        if fits { Ok(()) } else { self.write(state, turn) }
    }

    /// Gives an entry its position, applies it, and notes who is to hear of it.
    fn enter(&self, state: &mut Alliance, turn: &mut Turn, made: Made) -> Result<(), String> {
        let bytes = made.packed_bytes();
        let Made { entry, packed, commitment, sightings } = made;
        let position = state.next_position();
        turn.unwritten += bytes;
        turn.bytes += bytes as u64;
        turn.packed.push(packed);
        turn.commitments.push(commitment);
        turn.gate_changed |= crate::gate::concerns(&entry.event);
        state.apply_typed(position, &entry, sightings.as_deref());
        self.core.taxii.take(position, &entry);
        let messages = state.messages(&entry).into_iter();
        turn.messages.extend(messages.map(|(member, message)| Addressed { position, member, message }));
        self.count(&entry, sightings.as_deref());
        match entry.event {
            Event::SightingsReported(report) => {
                turn.heard.push(Heard::report(position, &report, sightings));
                self.core.reports.pin(position, Archived::new(report));
            }
            event => turn.heard.extend(Heard::of(position, event)),
        }
        Ok(())
    }

    fn count(&self, entry: &Entry, sightings: Option<&[Sighting]>) {
        let figures = &self.core.figures;
        figures.counter(&ENTRIES, &[("kind", entry.event.kind())]).increment(1);
        let source = match &entry.event {
            Event::SightingsReported(Report::Signed(_)) => "signed",
            Event::SightingsReported(Report::Attested { .. } | Report::Drawn { .. }) => "attested",
            Event::PlanProposed(_) => return crate::gauges::plan(figures, "proposed"),
            Event::PlanInForce { .. } => return crate::gauges::plan(figures, "in-force"),
            Event::PlanClosed { .. } => return crate::gauges::plan(figures, "closed"),
            Event::Held { refusal, .. } => return crate::gauges::refusal(figures, refusal.rule),
            _ => return,
        };
        let mut counts = std::collections::BTreeMap::<model::Behaviour, u64>::new();
        sightings.unwrap_or_default().iter().for_each(|s| *counts.entry(s.behaviour).or_default() += 1);
        for (behaviour, count) in counts {
            figures.counter(&SIGHTINGS, &[("source", source), ("kind", behaviour.as_str())]).increment(count);
        }
    }

    /// Appends what is not written yet: the last entries that the state knows.
    fn write(&self, state: &Alliance, turn: &mut Turn) -> Result<(), String> {
        if turn.packed.is_empty() {
            return Ok(());
        }
        let (entries, begun) = (std::mem::take(&mut turn.packed), Instant::now());
        turn.unwritten = 0;
        let written = self.core.journal.append(state.next_position() - entries.len() as u64, &entries);
        self.core.figures.histogram(&APPEND_SECONDS, &[]).record(begun.elapsed());
        written.map(|_| ()).map_err(|error| error.to_string())
    }

    /// All is durable: answer, then let the tree grow and the agents hear.
    fn tell(&self, turn: Turn) -> Result<(), String> {
        for (reply, outcome) in turn.answers {
            // Whoever asked may have gone: the statement stands all the same.
            let _ = reply.send(outcome);
        }
        if turn.commitments.is_empty() {
            return Ok(());
        }
        // Search finds it a moment later; where that one is behind, it reads the journal.
        let _ = self.hears.try_send(Turned { to: turn.to, count: turn.commitments.len() as u64, heard: turn.heard });
        let done = Done { messages: turn.messages, commitments: turn.commitments };
        self.after.send(done).map_err(|_| "the thread behind the sequencer has stopped".to_owned())
    }
}

impl Drop for Sequencer {
    /// Whatever ends the thread but an orderly stop leaves a hub that must not go on; also a panic.
    fn drop(&mut self) {
        if !self.core.stopping.load(Ordering::Acquire) {
            self.core.set(Condition::Broken("the sequencer has stopped: its last words stand in the log".to_owned()));
        }
    }
}

/// An entry that fits, before it has its place.
#[derive(Debug)]
struct Made {
    entry: Entry,
    packed: journal::Entry,
    commitment: Digest,
    sightings: Option<Vec<Sighting>>,
}

impl Made {
    fn packed_bytes(&self) -> usize {
        self.packed.packed().body.len()
    }
}

/// The entries of drafts, with their nonces.
///
/// # Errors
/// Refused with `too_large`: one would be longer than the journal takes. Broken: no random bytes, or the compressor
/// failed.
fn made(drafts: Vec<Drafted>, now: Timestamp) -> Result<Result<Vec<Made>, Refusal>, String> {
    let mut all = Vec::with_capacity(drafts.len());
    for Drafted { author, handling, event, sightings } in drafts {
        let entry = Entry { v: ENTRY_VERSION, time: now, author, handling, event };
        let bytes = entry.to_bytes();
        debug_assert!(Entry::from_bytes(&bytes).is_ok(), "what is written can be read again: {}", entry.event.kind());
        if bytes.len() > ENTRY_BYTES_MAX {
            let value = format!("{} of {} bytes", entry.event.kind(), bytes.len());
            return Ok(Err(Refusal::new(Rule::TooLarge, value, format!("entries of {ENTRY_BYTES_MAX} bytes"))));
        }
        let nonce = crate::directory::random::<32>().map_err(|error| error.to_string())?;
        let packed = journal::Entry::new(nonce, &bytes).map_err(|error| error.to_string())?;
        all.push(Made { entry, packed, commitment: leaf::commitment(&nonce, &bytes), sightings });
    }
    Ok(Ok(all))
}

/// The entries of one command, which are appended at once.
///
/// # Errors
/// `too_large`: the journal does not take as much at a time. Said before any of it is applied: afterwards memory would
/// be ahead of the disk.
fn fitting(made: Vec<Made>) -> Result<Vec<Made>, Refusal> {
    let bytes: usize = made.iter().map(Made::packed_bytes).sum();
    let too = [(made.len(), APPEND_ENTRIES_MAX, "entries"), (bytes, APPEND_BYTES_MAX, "bytes in the journal")];
    match too.into_iter().find(|(found, limit, _)| found > limit) {
        Some((found, limit, what)) => {
            Err(Refusal::new(Rule::TooLarge, format!("{found} {what} at a time"), format!("{limit} {what}")))
        }
        None => Ok(made),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alliance::Author;
    use model::{Handling, Tlp};

    fn entries(count: usize, bytes: usize) -> Vec<Made> {
        let mut noise = 1_u64;
        let mut random = || {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (noise >> 56) as u8
        };
        let text: Vec<u8> = (0..bytes).map(|_| random()).collect();
        let packed = journal::Entry::new([0; 32], &text).unwrap();
        let (author, handling) = (Author::Hub, Handling::alliance(Tlp::Green));
        let event = Event::Backlog { waiting: 0 };
        let entry = || Entry {
            v: ENTRY_VERSION,
            time: Timestamp::MIN,
            author: author.clone(),
            handling: handling.clone(),
            event: event.clone(),
        };
        let made = |_| Made { entry: entry(), packed: packed.clone(), commitment: Digest::of(&[]), sightings: None };
        (0..count).map(made).collect()
    }

    #[test]
    fn a_command_that_no_append_takes_is_refused_before_it_is_applied() {
        let fits = |count, bytes| fitting(entries(count, bytes)).map(|made| made.len());
        assert_eq!(fits(63, 1 << 20), Ok(63));
        let refusal = fits(65, 1 << 20).unwrap_err();
        assert_eq!(refusal.rule, Rule::TooLarge);
        assert!(refusal.limit.contains("67108864 bytes"), "{refusal}");
        assert_eq!(fits(APPEND_ENTRIES_MAX, 1), Ok(APPEND_ENTRIES_MAX));
        assert!(fits(APPEND_ENTRIES_MAX + 1, 1).unwrap_err().limit.contains("100000 entries"));
    }
}

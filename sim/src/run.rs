//! One run: a queue of events in virtual time, and what each of them means. One thread, one seed.
//!
//! A run has three acts: work under faults; calm, after which everybody must hold what the journal says; and the end,
//! in which the hub is gone and everything must run out by itself.

use crate::cast::Cast;
use crate::checkers::Checkers;
use crate::fact::{Fact, House, Violation};
use crate::hub::{Hub, Request};
use crate::keys::Step;
use crate::member::Member;
use crate::point::Change;
use crate::random::Random;
use crate::tally::Tally;
use act::Protection;
use agent::core::{Input, Order};
use charter::Charter;
use model::{MemberId, PlanPart, PointName, Refusal, Span, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// Most events in one run: more means that something never comes to rest.
const STEPS_MAX: u64 = 400_000;
/// Parts that a hostile hub remembers, to send again.
pub const REMEMBERED: usize = 64;

/// Something that is going to happen.
#[derive(Debug)]
pub enum Event {
    /// Time passes on the hub.
    HubTick,
    /// The hub starts again.
    HubStart,
    /// A question or a command reaches the hub.
    ToHub {
        /// Who asks.
        member: MemberId,
        /// Which of its questions; none: nobody waits for an answer.
        ask: Option<u64>,
        /// In which life of its agent.
        life: u64,
        /// What.
        request: Request,
    },
    /// An answer reaches an agent.
    Answer {
        /// Whose agent.
        member: MemberId,
        /// In which life it asked.
        life: u64,
        /// Which question.
        ask: u64,
        /// The answer.
        input: Box<Input>,
    },
    /// No answer came for long: ask again.
    Again {
        /// Who asked.
        member: MemberId,
        /// In which life.
        life: u64,
        /// Which question.
        ask: u64,
    },
    /// A message of the stream reaches an agent.
    Stream {
        /// Whose agent.
        member: MemberId,
        /// In which life the stream was opened.
        life: u64,
        /// Which stream.
        stream: u64,
        /// The event's id.
        id: u64,
        /// The message, as it travels.
        text: String,
    },
    /// An agent opens its stream.
    Connect {
        /// Whose agent.
        member: MemberId,
        /// In which life.
        life: u64,
    },
    /// An agent's timer.
    Wake {
        /// Whose agent.
        member: MemberId,
        /// In which life.
        life: u64,
    },
    /// An agent starts again.
    Start(MemberId),
    /// A point carries out an order.
    Work {
        /// Whose point.
        member: MemberId,
        /// In which life the agent gave the order.
        life: u64,
        /// Which point.
        point: PointName,
        /// What.
        order: Order,
        /// For which protections.
        protections: Vec<Protection>,
    },
    /// A point answers.
    Done {
        /// Whose point.
        member: MemberId,
        /// In which life the agent asked.
        life: u64,
        /// The answer.
        input: Box<Input>,
    },
    /// A point works again.
    Well {
        /// Whose point.
        member: MemberId,
        /// Which point.
        point: PointName,
    },
    /// The next step of a member that rotates its agents' key.
    Rotate {
        /// Which member.
        member: MemberId,
        /// What comes next.
        step: Step,
    },
    /// Somebody does something.
    Deed,
    /// Something breaks.
    Fault,
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What happened, in numbers.
    pub tally: Tally,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// The promises that were watched.
    pub promises: Vec<&'static str>,
    /// What happened, line by line, where that was asked for.
    pub trace: Vec<String>,
}

/// A run under way.
pub struct Run {
    pub(crate) now: Timestamp,
    pub(crate) random: Random,
    pub(crate) cast: Cast,
    pub(crate) hub: Hub,
    pub(crate) members: BTreeMap<MemberId, Member>,
    pub(crate) checkers: Checkers,
    pub(crate) tally: Tally,
    /// Are things lost, broken and killed at present?
    pub(crate) faults: bool,
    /// Are messages of a stream reordered and lost in silence, as no honest connection does?
    pub(crate) disorder: bool,
    /// Is the hub gone for good?
    pub(crate) gone: bool,
    /// What a hostile hub keeps to send again.
    pub(crate) remembered: VecDeque<PlanPart>,
    /// Until when changes of keys may be on their way: no charter is signed meanwhile.
    pub(crate) keys_quiet_at: Timestamp,
    /// Numbers for questions, streams, markers.
    pub(crate) counter: u64,
    queue: BTreeMap<(Timestamp, u64), Event>,
    queued: u64,
    tracing: bool,
    trace: Vec<String>,
}

/// Runs one seed to its end, or to the first broken promise.
pub fn run(seed: u64, tracing: bool) -> Outcome {
    match Run::new(seed, tracing) {
        Ok(mut run) => {
            let violation = run.live().err();
            run.tally.facts = run.checkers.step;
            run.tally.entries = run.hub.journal.head();
            Outcome { seed, promises: run.checkers.promises(), tally: run.tally, violation, trace: run.trace }
        }
        Err(violation) => {
            let (tally, trace) = (Tally::default(), Vec::new());
            Outcome { seed, tally, violation: Some(violation), promises: Vec::new(), trace }
        }
    }
}

impl Run {
    fn new(seed: u64, tracing: bool) -> Result<Self, Violation> {
        let mut random = Random::new(seed);
        let begin = |refusal: Refusal| broken(Timestamp::MIN, 0, refusal);
        let cast = Cast::new(&mut random).map_err(begin)?;
        let hub = Hub::new(&cast, random.fork()).map_err(begin)?;
        let mut members = BTreeMap::new();
        for id in cast.honest() {
            members.insert(id.clone(), Member::new(id, &cast, &mut random).map_err(begin)?);
        }
        let disorder = random.chance(200);
        let checkers = Checkers::new(cast.hostile_hub);
        Ok(Self {
            now: cast.start(),
            random,
            hub,
            members,
            checkers,
            tally: Tally::default(),
            faults: true,
            disorder,
            gone: false,
            remembered: VecDeque::new(),
            keys_quiet_at: Timestamp::MIN,
            counter: 0,
            queue: BTreeMap::new(),
            queued: 0,
            tracing,
            trace: Vec::new(),
            cast,
        })
    }

    fn live(&mut self) -> Result<(), Violation> {
        self.open()?;
        let hours = self.random.between(6, 12);
        self.pass(Span::hours(hours))?;
        self.calm()?;
        // Not on the minute: what the hub plans at its last tick has arrived by then.
        self.pass(Span::seconds(36 * 60 + 30))?;
        self.announce_growth(true)?;
        self.pass(Span::minutes(2))?;
        self.compare_all()?;
        self.pass(Span::minutes(2))?;
        let members = self.houses();
        self.show(&Fact::Settled { members: &members })?;
        (self.hub.state, self.gone) = (None, true);
        self.note(|| "the hub is gone for good".to_owned());
        self.pass(Span::hours(25))?;
        let members = self.houses();
        self.show(&Fact::Over { members: &members })
    }

    /// The charter is adopted, and everybody starts.
    fn open(&mut self) -> Result<(), Violation> {
        self.note(|| "the alliance begins".to_owned());
        if let Some(signed) = self.cast.charters.first().cloned() {
            self.sign_charter(&signed)?;
            // Whoever founds an alliance does not go on before that is answered.
            let found = || Some(alliance::Command::AdoptCharter(Box::new(signed.clone())));
            while self.order(found(), false)?.is_none() {
                self.start_hub()?;
            }
        }
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            self.after(Span::millis(10), Event::Start(id));
        }
        self.after(Span::minutes(1), Event::HubTick);
        self.after(Span::seconds(5), Event::Deed);
        self.after(Span::minutes(2), Event::Fault);
        Ok(())
    }

    /// A quorum has signed this charter.
    pub(crate) fn sign_charter(&mut self, signed: &charter::SignedCharter) -> Result<(), Violation> {
        let charter = Charter::parse(&signed.text).map_err(|refusal| broken(self.now, 0, refusal))?;
        self.show(&Fact::Charter { digest: signed.digest(), charter: &charter })
    }

    /// The faults are over: everything works again, people turn their kill switches off.
    fn calm(&mut self) -> Result<(), Violation> {
        self.note(|| "the faults are over".to_owned());
        self.faults = false;
        if self.hub.state.is_none() {
            self.start_hub()?;
        }
        let ids: Vec<MemberId> = self.members.keys().cloned().collect();
        for id in ids {
            self.heal_points(&id)?;
            if self.members.get(&id).is_some_and(|member| member.core.is_none()) {
                self.start_member(&id)?;
            }
            self.calm_member(&id)?;
        }
        Ok(())
    }

    fn calm_member(&mut self, id: &MemberId) -> Result<(), Violation> {
        let Some(member) = self.members.get(id) else { return Ok(()) };
        let unproven = member.disk.forked.as_ref().is_some_and(|forked| forked.fault.starts_with("no proof came"));
        if member.disk.killed.is_some() {
            self.show(&Fact::Switched { member: id, on: false })?;
            self.give(id, Input::Resume)?;
        }
        if unproven && !self.cast.hostile_hub {
            self.give(id, Input::HistoryAccepted)?;
        }
        let disorder = self.disorder;
        if let Some(member) = self.members.get_mut(id).filter(|_| disorder) {
            // What was lost in silence is asked for anew, as a person would by a restart with everything.
            member.stream = None;
            member.asked.retain(|_, request| !matches!(request, Request::Subscribe { .. }));
            let life = member.life;
            self.after(Span::seconds(1), Event::Connect { member: id.clone(), life });
        }
        Ok(())
    }

    /// Everything that is due within `span`.
    fn pass(&mut self, span: Span) -> Result<(), Violation> {
        let until = self.now.plus(span);
        while let Some(entry) = self.queue.first_entry().filter(|entry| entry.key().0 <= until) {
            self.now = self.now.max(entry.key().0);
            let event = entry.remove();
            self.tally.steps += 1;
            if self.tally.steps > STEPS_MAX {
                let seen = format!("more than {STEPS_MAX} events: something never comes to rest");
                return Err(Violation { promise: "it_comes_to_rest", step: self.checkers.step, at: self.now, seen });
            }
            self.time_passes()?;
            self.happen(event)?;
        }
        self.now = until;
        self.time_passes()
    }

    fn time_passes(&mut self) -> Result<(), Violation> {
        let now = self.now;
        let mut changes = Vec::new();
        for (id, member) in &mut self.members {
            for (name, point) in &mut member.points {
                changes.extend(point.time_passes(now).into_iter().map(|change| (id.clone(), name.clone(), change)));
            }
        }
        for (id, point, change) in changes {
            self.changed(&id, &point, change)?;
        }
        self.show(&Fact::Time)
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        match event {
            Event::HubTick => self.hub_tick(),
            Event::HubStart => self.start_hub(),
            Event::ToHub { member, ask, life, request } => self.bring_to_hub(&member, ask, life, request),
            Event::Answer { member, life, ask, input } => self.answered(&member, life, ask, *input),
            Event::Again { member, life, ask } => self.ask_again(&member, life, ask),
            Event::Stream { member, life, stream, id, text } => self.streamed(&member, life, stream, id, &text),
            Event::Connect { member, life } => self.connect(&member, life),
            Event::Wake { member, life } => self.wake(&member, life),
            Event::Start(member) => self.start_member(&member),
            Event::Work { member, life, point, order, protections } => {
                self.work(&member, life, &point, order, &protections)
            }
            Event::Done { member, life, input } => self.done(&member, life, *input),
            Event::Well { member, point } => self.heal(&member, &point),
            Event::Rotate { member, step } if self.faults => self.rotate_on(&member, step),
            Event::Deed if self.faults => self.deed(),
            Event::Fault if self.faults => self.fault(),
            Event::Rotate { .. } | Event::Deed | Event::Fault => Ok(()),
        }
    }

    /// Puts an event into the queue.
    pub(crate) fn after(&mut self, span: Span, event: Event) {
        self.at(self.now.plus(span), event);
    }

    /// Puts an event into the queue.
    pub(crate) fn at(&mut self, at: Timestamp, event: Event) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), event);
    }

    /// Shows a fact to the checkers.
    pub(crate) fn show(&mut self, fact: &Fact<'_>) -> Result<(), Violation> {
        self.checkers.see(fact, self.now)
    }

    /// Writes a line of the trace, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            self.trace.push(format!("{} {:>6} {}", self.now, self.checkers.step, line()));
        }
    }

    /// A fresh number.
    pub(crate) fn number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A point of an honest member changed.
    pub(crate) fn changed(&mut self, id: &MemberId, point: &PointName, change: Change) -> Result<(), Violation> {
        match change {
            Change::Enforced(protection) => {
                self.tally.enforced += 1;
                self.note(|| format!("{point} of {id} enforces {}", protection.measure));
                self.show(&Fact::Enforced { member: id, point, protection: &protection })
            }
            Change::Lifted(target) => {
                self.note(|| format!("{point} of {id} lets go of {target}"));
                self.show(&Fact::Lifted { member: id, point, target: &target })
            }
        }
    }

    fn houses(&self) -> BTreeMap<MemberId, House> {
        self.members.iter().map(|(id, member)| (id.clone(), member.house())).collect()
    }

    /// Something that only a fault of the code, or of the simulator, can refuse.
    pub(crate) fn broken(&self, refusal: Refusal) -> Violation {
        broken(self.now, self.checkers.step, refusal)
    }
}

fn broken(at: Timestamp, step: u64, refusal: Refusal) -> Violation {
    Violation { promise: "it_starts_from_what_it_wrote", step, at, seen: refusal.to_string() }
}

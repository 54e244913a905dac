//! A core with one enforcement point in memory, driven by hand: everything it orders is carried out at once.

use crate::common::{Everywhere, ME, Memory, alliance, settings};
use act::{Point, PointError};
use agent::core::{Alarm, AlarmKind, Core, Input, Order, Outcome, Output, Record, State, Submission, Trouble};
use charter::{Charter, SignedCharter};
use decide::testing::World;
use model::{
    MitigationId, MitigationState, PlanPart, PointName, Receipt, SigningKey, Span, StreamMessage, Timestamp, Withdrawal,
};
use std::collections::VecDeque;
use std::sync::Arc;

pub struct Rig {
    pub world: World,
    pub charter: SignedCharter,
    pub core: Core,
    pub point: Arc<Memory>,
    pub now: Timestamp,
    pub records: Vec<Record>,
    pub receipts: Vec<Receipt>,
    pub alarms: Vec<Alarm>,
    pub asked: Vec<Output>,
    pub sent: Vec<Submission>,
    pub orders: Vec<(Order, usize)>,
    pub position: u64,
    pub acknowledges: bool,
    /// Of the key with which the agent signs after the next start; none: the first one.
    pub seed: Option<[u8; 32]>,
    /// The allow-list and, where set, the points of the configuration after the next start.
    pub allow: std::collections::BTreeSet<model::Observable>,
    pub points: Option<Vec<agent::core::PointSetup>>,
}

impl Rig {
    /// An agent that has adopted its charter.
    pub fn new() -> Self {
        Self::fresh().adopting()
    }

    /// The same in an alliance that asks for so many members' cosignatures.
    pub fn asking(cosignatures: u32) -> Self {
        Self::under(|charter| charter.witness.cosignatures = cosignatures)
    }

    /// One whose charter lets each member have one mitigation in force.
    pub fn with_room_for_one() -> Self {
        Self::under(|charter| charter.limits.in_force_per_member_max = 1)
    }

    /// An agent that has adopted a charter that differs in this from the one of the tests.
    fn under(change: impl FnOnce(&mut Charter)) -> Self {
        let mut world = World::with(change);
        world.charter.guards.list.clear();
        let charter = crate::common::signed(&world, &world.charter, &["telecom", "cloud", "bank"]);
        Self::fresh_in(world, charter).adopting()
    }

    fn adopting(mut self) -> Self {
        let signed = Box::new(self.charter.clone());
        self.give(Input::Charter { signed, lists: Vec::new() });
        assert!(self.core.is_ready());
        self.give(Input::NextSequence(1));
        self
    }

    /// An agent that knows nothing but its configuration.
    pub fn fresh() -> Self {
        let (world, charter) = alliance();
        Self::fresh_in(world, charter)
    }

    fn fresh_in(world: World, charter: SignedCharter) -> Self {
        let core = core(&world, &charter, State::default());
        let mut rig = Self {
            now: world.now,
            world,
            charter,
            core,
            point: Memory::named("edge"),
            records: Vec::new(),
            receipts: Vec::new(),
            alarms: Vec::new(),
            asked: Vec::new(),
            sent: Vec::new(),
            orders: Vec::new(),
            position: 0,
            acknowledges: true,
            seed: None,
            allow: Default::default(),
            points: None,
        };
        rig.give(Input::Restarted);
        rig
    }

    /// kill -9 and start: only what was written down is known.
    pub fn restart(&mut self) {
        self.restart_unanswered();
        let next = self.core.state().outbox.next.unwrap_or(1);
        self.give(Input::NextSequence(next));
    }

    /// The same, and the hub does not answer.
    pub fn restart_unanswered(&mut self) {
        let mut state = State::default();
        self.records.clone().into_iter().for_each(|record| state.apply(record));
        let key = self.seed.map_or_else(|| self.world.agent_key(ME), |seed| SigningKey::from_seed(&seed));
        let mut settings = settings(self.charter.digest());
        settings.allow = self.allow.clone();
        settings.points = self.points.clone().unwrap_or(settings.points);
        self.core = core_of(settings, key, state);
        self.asked.clear();
        self.give(Input::Restarted);
    }

    pub fn give(&mut self, input: Input) -> Vec<Output> {
        let mut all = Vec::new();
        let mut queue = VecDeque::from([input]);
        while let Some(input) = queue.pop_front() {
            for output in self.core.handle(input, self.now) {
                all.push(output.clone());
                queue.extend(self.carry_out(output));
            }
        }
        all
    }

    fn carry_out(&mut self, output: Output) -> Option<Input> {
        match output {
            Output::Persist(record) => {
                if let Record::Receipt(receipt) = &record {
                    self.receipts.push((**receipt).clone());
                }
                self.records.push(record);
                None
            }
            Output::Point { point, order, protections } => {
                self.orders.push((order, protections.len()));
                Some(drive(&self.point, point, order, &protections, self.now))
            }
            Output::Send(submission) => {
                let sequence = submission.sequence();
                self.sent.push(submission);
                self.acknowledges.then_some(Input::Acknowledged { sequence })
            }
            Output::Alarm(alarm) => {
                self.alarms.push(alarm);
                None
            }
            other => {
                self.asked.push(other);
                None
            }
        }
    }

    pub fn message(&mut self, message: StreamMessage) -> Vec<Output> {
        self.position += 1;
        let position = self.position;
        self.give(Input::Message { position, message: Box::new(message) })
    }

    pub fn part(&mut self, part: PlanPart) -> MitigationId {
        let id = part.items[0].mitigation.id();
        self.message(StreamMessage::Part(Box::new(part)));
        id
    }

    pub fn withdraw(&mut self, part: &PlanPart) {
        self.withdraw_as_of(part, self.now);
    }

    pub fn withdraw_as_of(&mut self, part: &PlanPart, made: Timestamp) {
        let withdrawal = |item: &model::PartItem| Withdrawal {
            member: ME.parse().unwrap(),
            finding: item.mitigation.finding,
            reason: "faded".into(),
            made,
        };
        let withdrawals = part.items.iter().map(withdrawal).collect();
        self.message(StreamMessage::Withdraw(withdrawals));
    }

    /// Time passes; every timer that comes due on the way is served.
    pub fn pass(&mut self, span: Span) {
        let until = self.now.plus(span);
        for _ in 0..100_000 {
            match self.core.wakes_at().filter(|at| *at <= until) {
                Some(at) => self.now = self.now.max(at),
                None => {
                    self.now = until;
                    self.give(Input::Tick);
                    return;
                }
            }
            self.give(Input::Tick);
        }
        panic!("timers never come to rest");
    }

    pub fn state(&self, id: &MitigationId) -> Option<MitigationState> {
        self.core.state().held.get(id).map(|held| held.state)
    }

    /// The states that were reported of one mitigation, in order.
    pub fn reported(&self, id: &MitigationId) -> Vec<MitigationState> {
        self.receipts.iter().filter(|receipt| receipt.mitigation == *id).map(|receipt| receipt.state).collect()
    }

    pub fn alarmed(&self, kind: AlarmKind) -> bool {
        self.alarms.iter().any(|alarm| alarm.kind == kind)
    }

    pub fn refusals(&self) -> Vec<model::Rule> {
        self.receipts.iter().filter_map(|receipt| Some(receipt.refusal.as_ref()?.rule)).collect()
    }
}

pub fn core(world: &World, charter: &SignedCharter, state: State) -> Core {
    core_with(world.agent_key(ME), charter, state)
}

fn core_with(key: SigningKey, charter: &SignedCharter, state: State) -> Core {
    core_of(settings(charter.digest()), key, state)
}

fn core_of(settings: agent::core::Settings, key: SigningKey, state: State) -> Core {
    let lists = state.charter.is_some().then(Vec::new);
    Core::new(settings, key, Arc::new(Everywhere), state, lists.as_deref()).unwrap()
}

fn drive(at: &Memory, point: PointName, order: Order, protections: &[act::Protection], now: Timestamp) -> Input {
    let asked: Vec<MitigationId> = protections.iter().map(|p| p.mitigation).collect();
    if order == Order::ReadBack {
        let seen =
            at.read_back(protections).and_then(|seen| Ok(seen.into_iter().zip(at.effect(protections)?).collect()));
        return Input::ReadBack { point, asked, answer: seen.map_err(Trouble::from) };
    }
    let result: Result<(), PointError> = match order {
        Order::Apply => at.apply(protections, now),
        Order::Withdraw => at.withdraw(protections, now),
        Order::Replace => at.replace(protections, now),
        _ => at.lift_all(),
    };
    let outcome: Outcome = result.map(|()| Vec::new()).map_err(Trouble::from);
    Input::PointDone { point, order, asked, outcome }
}

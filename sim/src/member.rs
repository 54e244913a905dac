//! One honest member of a run: the real core of an agent, its disk, its enforcement points, its clock.

use crate::cast::Cast;
use crate::fact::House;
use crate::hub::Request;
use crate::point::{ByKind, SimPoint};
use crate::random::Random;
use agent::core::{Core, PointSetup, Settings, State};
use decide::StandingOrders;
use model::{MemberId, PointName, Refusal, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How far an honest member's clock is off at most.
const SKEW: Span = Span::minutes(2);

/// A member with its agent.
pub struct Member {
    /// Who.
    pub id: MemberId,
    /// None while the process is down.
    pub core: Option<Core>,
    /// What is on its disk.
    pub disk: State,
    /// Its enforcement points.
    pub points: BTreeMap<PointName, SimPoint>,
    /// Which life of the process this is: what was on its way to an earlier one does not arrive.
    pub life: u64,
    /// The number of its open stream.
    pub stream: Option<u64>,
    /// When the last message on that stream arrives, so that order is kept.
    pub stream_busy: Timestamp,
    /// When the last order to each point is carried out.
    pub point_busy: BTreeMap<PointName, Timestamp>,
    /// Questions without an answer.
    pub asked: BTreeMap<u64, Request>,
    /// When the core is woken next.
    pub wakes: Option<Timestamp>,
    settings: Settings,
    skew: Span,
}

impl Member {
    /// A member whose agent was never started.
    ///
    /// # Errors
    /// A name here cannot be read: a fault of this file.
    pub fn new(id: MemberId, cast: &Cast, random: &mut Random) -> Result<Self, Refusal> {
        let mut points = BTreeMap::new();
        for name in ["edge", "dns"] {
            let name: PointName = name.parse().map_err(Refusal::from)?;
            points.insert(name.clone(), SimPoint::new(name, random.chance(500)));
        }
        let settings = Settings {
            member: id.clone(),
            pin: cast.pin(),
            orders: StandingOrders::default(),
            allow: BTreeSet::new(),
            points: points
                .keys()
                .map(|name| PointSetup { name: name.clone(), shows_only: false, reads_back: true })
                .collect(),
            patrol: Span::seconds(random.between(60, 300)),
            settle: Span::seconds(5),
            decision_holds: Span::hours(24),
            history_grace: Span::minutes(30),
            witness: Some(Arc::new(cast.world.witness_key(id.as_str()))),
            logs: Vec::new(),
            outbox_sightings_max: 1_000,
            strip: agent::strip::Strip::default(),
        };
        let mut member = Self {
            id,
            core: None,
            disk: State::default(),
            points,
            life: 0,
            stream: None,
            stream_busy: Timestamp::MIN,
            point_busy: BTreeMap::new(),
            asked: BTreeMap::new(),
            wakes: None,
            settings,
            skew: Span::ZERO,
        };
        member.set_clock(random);
        Ok(member)
    }

    /// Its clock goes wrong in another way.
    pub fn set_clock(&mut self, random: &mut Random) {
        let most = SKEW.as_millis();
        self.skew = Span::millis(random.between(-most, most));
    }

    /// What its clock shows.
    pub fn clock(&self, now: Timestamp) -> Timestamp {
        now.plus(self.skew)
    }

    /// When its clock shows a time.
    pub fn when(&self, clock: Timestamp) -> Timestamp {
        clock.minus(self.skew)
    }

    /// The process starts from its disk.
    ///
    /// # Errors
    /// The state or its charter cannot be read back.
    pub fn start(&mut self, cast: &Cast) -> Result<(), Refusal> {
        self.disk = through_json(&self.disk)?;
        let lists = self.disk.charter.is_some().then_some(cast.lists.as_slice());
        let key = cast.agent_key(self.id.as_str());
        self.core = Some(Core::new(self.settings.clone(), key, Arc::new(ByKind), self.disk.clone(), lists)?);
        Ok(())
    }

    /// The process dies.
    pub fn die(&mut self) {
        self.core = None;
        self.life += 1;
        self.stream = None;
        self.wakes = None;
        self.asked.clear();
    }

    /// What it has, for the checkers.
    pub fn house(&self) -> House {
        let held = |wanted: bool| {
            let held =
                self.disk.held.iter().filter(move |(_, held)| held.ending.is_none() && held.asks.is_none() == wanted);
            held.map(|(id, _)| *id).collect()
        };
        House {
            wanted: held(true),
            waiting: held(false),
            enforced: self.points.values().flat_map(SimPoint::targets).cloned().collect(),
            forked: self.disk.forked.as_ref().map(|forked| forked.fault.clone()),
            unsent: self.disk.outbox.len(),
        }
    }
}

/// A value as it is after being written and read.
///
/// # Errors
/// `malformed`: it cannot be read back.
pub fn through_json<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> Result<T, Refusal> {
    let unreadable =
        |error: serde_json::Error| Refusal::new(model::Rule::Malformed, error, "what was written can be read back");
    let bytes = serde_json::to_vec(value).map_err(unreadable)?;
    serde_json::from_slice(&bytes).map_err(unreadable)
}

//! A member of a small alliance, for tests: charter, signed parts, and an enforcement point that forgets and lies on
//! command.

use act::{Effect, Point, PointError, Presence, Protection, Seen};
use agent::core::{PointSetup, Router, Settings};
use charter::{Charter, SignedCharter};
use decide::StandingOrders;
use decide::testing::World;
use model::{
    Behaviour, Measure, Observable, Plan, PlanPart, PointName, Refusal, Rule, Span, Target, Timestamp, merkle,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Whose agent is tested.
pub const ME: &str = "telecom";

/// The alliance and its first charter, without list files.
pub fn alliance() -> (World, SignedCharter) {
    let world = World::new();
    let signed = signed(&world, &world.charter, &["telecom", "cloud", "bank"]);
    (world, signed)
}

/// A charter's text signed by some members' agents.
pub fn signed(world: &World, charter: &Charter, by: &[&str]) -> SignedCharter {
    let mut charter = charter.clone();
    charter.guards.list.clear();
    let text = toml::to_string(&charter).unwrap();
    let consent =
        |member: &&str| SignedCharter::consent(&text, &member.parse().unwrap(), &world.agent_key(member)).unwrap();
    let consents = by.iter().map(consent).collect();
    SignedCharter::new(text, consents)
}

pub fn observable(text: &str) -> Observable {
    text.parse().unwrap()
}

/// An automatic plan for everybody that denies these, signed by two witnesses.
pub fn plan(world: &World, observables: &[&str]) -> Plan {
    let findings: Vec<_> = observables.iter().map(|o| world.finding(&observable(o), Behaviour::Scan)).collect();
    world.plan(&findings).plans.remove(0)
}

/// The part of one member, in a generation, with an end so much later than the world's now.
pub fn part(world: &World, member: &str, observables: &[&str], generation: u64, lasts: Span) -> PlanPart {
    let mut plan = plan(world, observables);
    for mitigation in &mut plan.mitigations {
        (mitigation.generation, mitigation.expires) = (generation, world.now.plus(lasts));
    }
    // A later plan has a parent.
    plan.header.generation = generation;
    plan.header.parent = (generation > 1).then(|| plan.id());
    plan.header.root = merkle::root(&plan.mitigations.iter().map(model::Mitigation::leaf).collect::<Vec<_>>());
    plan.parts(&[]).remove(&member.parse().unwrap()).unwrap()
}

/// My part, first generation, six hours.
pub fn mine(world: &World, observables: &[&str]) -> PlanPart {
    part(world, ME, observables, 1, Span::hours(6))
}

pub fn settings(pin: model::Digest) -> Settings {
    Settings {
        member: ME.parse().unwrap(),
        pin,
        orders: StandingOrders::default(),
        allow: Default::default(),
        points: vec![PointSetup { name: "edge".parse().unwrap(), shows_only: false, reads_back: true }],
        patrol: Span::seconds(30),
        settle: Span::seconds(5),
        decision_holds: Span::hours(24),
        history_grace: Span::minutes(1),
        witness: Some(Arc::new(World::new().witness_key(ME))),
        logs: Vec::new(),
        outbox_sightings_max: 1_000,
        strip: agent::strip::Strip::default(),
    }
}

/// Takes addresses and names.
pub struct Everywhere;

impl Router for Everywhere {
    fn accepts(&self, _point: &PointName, measure: &Measure) -> bool {
        !matches!(measure.target(), Target::File(_) | Target::Uri(_))
    }
}

/// An enforcement point in memory, one object a target, as packet filters have it.
#[derive(Default)]
pub struct Memory {
    pub name: Option<PointName>,
    pub holds: Mutex<BTreeMap<Target, Protection>>,
    pub faults: Mutex<Faults>,
}

#[derive(Clone, Default)]
pub struct Faults {
    /// Nothing can be changed.
    pub stuck: bool,
    /// Cannot be asked.
    pub deaf: bool,
    /// Can be asked, and cannot say.
    pub vague: bool,
    /// Withdrawals and lifting everything are acknowledged and not carried out.
    pub clings: bool,
    /// It ends everything by itself so many seconds after it was applied, as it says.
    pub ends_after: Option<u64>,
    /// So many times applying fails.
    pub fails_applying: u32,
    /// Applying is acknowledged and not carried out.
    pub forgets: bool,
    /// This target is refused by a rule of the point.
    pub refuses: Option<Target>,
}

impl Memory {
    pub fn named(name: &str) -> Arc<Self> {
        Arc::new(Self { name: Some(name.parse().unwrap()), ..Self::default() })
    }

    pub fn targets(&self) -> Vec<String> {
        self.holds.lock().unwrap().keys().map(ToString::to_string).collect()
    }

    pub fn fault(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.faults.lock().unwrap());
    }

    fn check(&self, wanted: &[Protection]) -> Result<Faults, PointError> {
        let faults = self.faults.lock().unwrap().clone();
        if faults.stuck {
            return Err(PointError::Unavailable("the filter does not answer".into()));
        }
        match wanted.iter().find(|p| faults.refuses.as_ref() == Some(p.measure.target())) {
            Some(p) => Err(Refusal::new(Rule::GuardNever, &p.measure, "what this point may touch").into()),
            None => Ok(faults),
        }
    }
}

impl Point for Memory {
    fn name(&self) -> &PointName {
        self.name.as_ref().unwrap()
    }

    fn accepts(&self, measure: &Measure) -> bool {
        Everywhere.accepts(self.name(), measure)
    }

    fn preview(&self, wanted: &[Protection], _now: Timestamp) -> String {
        wanted.iter().map(|p| format!("{}\n", p.measure)).collect()
    }

    fn apply(&self, wanted: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        let faults = self.check(wanted)?;
        if faults.fails_applying > 0 {
            self.fault(|faults| faults.fails_applying -= 1);
            return Err(PointError::Unavailable("it took too long".into()));
        }
        let mut holds = self.holds.lock().unwrap();
        let mut put: BTreeMap<Target, Protection> = BTreeMap::new();
        for p in wanted.iter().filter(|_| !faults.forgets) {
            let held = put.entry(p.measure.target().clone()).or_insert_with(|| p.clone());
            if held.expires < p.expires {
                *held = p.clone();
            }
        }
        holds.extend(put);
        Ok(())
    }

    fn replace(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError> {
        self.check(wanted)?;
        self.holds.lock().unwrap().clear();
        self.apply(wanted, now)
    }

    fn withdraw(&self, ended: &[Protection], _now: Timestamp) -> Result<(), PointError> {
        let faults = self.check(&[])?;
        let mut holds = self.holds.lock().unwrap();
        for p in ended.iter().filter(|_| !faults.clings) {
            if holds.get(p.measure.target()).is_some_and(|held| held.mitigation == p.mitigation) {
                holds.remove(p.measure.target());
            }
        }
        Ok(())
    }

    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError> {
        if self.faults.lock().unwrap().deaf {
            return Err(PointError::Unavailable("the filter does not speak".into()));
        }
        let vague = self.faults.lock().unwrap().vague;
        let holds = self.holds.lock().unwrap();
        let seen = |p: &Protection| {
            let presence = match holds.contains_key(p.measure.target()) {
                _ if vague => Presence::Unknown,
                true => Presence::Enforced,
                false => Presence::Absent,
            };
            let held = holds.get(p.measure.target());
            Seen {
                by_another: held.is_some_and(|held| held.mitigation != p.mitigation),
                seconds_left: self.faults.lock().unwrap().ends_after,
                ..Seen::new(p.mitigation, presence, format!("{} is {presence}", p.measure.target()))
            }
        };
        Ok(asked.iter().map(seen).collect())
    }

    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError> {
        Ok(vec![Effect { packets: Some(7), bytes: None }; asked.len()])
    }

    fn lift_all(&self) -> Result<(), PointError> {
        if !self.check(&[])?.clings {
            self.holds.lock().unwrap().clear();
        }
        Ok(())
    }
}

//! An enforcement point in memory: one object a target, as packet filters and zones have it. It fails, stays silent,
//! does half of what it was told, and loses rules to third parties; it never says what is not so.

use act::{Effect, Presence, Protection, Seen};
use agent::core::{Input, Order, Router, Trouble};
use model::{Measure, MitigationId, PointName, Target, Timestamp};
use std::collections::BTreeMap;

/// Takes addresses and networks at `edge`, names at `dns`.
pub struct ByKind;

impl Router for ByKind {
    fn accepts(&self, point: &PointName, measure: &Measure) -> bool {
        match measure.target() {
            Target::Host(_) | Target::Net(_) => point.as_str() == "edge",
            Target::DomainName(_) => point.as_str() == "dns",
            Target::Uri(_) | Target::File(_) => false,
        }
    }
}

/// How a point is out of order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ailment {
    /// Nothing can be changed.
    Stuck,
    /// It cannot be asked.
    Silent,
    /// It does half of what it is told, and says that it failed.
    Halfway,
}

/// What changed at a point.
#[derive(Clone, Debug)]
pub enum Change {
    /// This is in force now.
    Enforced(Protection),
    /// This is not any more.
    Lifted(Target),
}

/// One point.
#[derive(Clone, Debug)]
pub struct SimPoint {
    name: PointName,
    /// Does it end things by its own clock, as kernels do?
    ends_by_itself: bool,
    holds: BTreeMap<Target, Protection>,
    /// What is wrong with it.
    pub ailment: Option<Ailment>,
}

impl SimPoint {
    /// A healthy point that holds nothing.
    pub fn new(name: PointName, ends_by_itself: bool) -> Self {
        Self { name, ends_by_itself, holds: BTreeMap::new(), ailment: None }
    }

    /// What it enforces.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.holds.keys()
    }

    /// Carries out an order: the answer, and what changed.
    pub fn carry_out(&mut self, order: Order, protections: &[Protection]) -> (Input, Vec<Change>) {
        let asked: Vec<MitigationId> = protections.iter().map(|p| p.mitigation).collect();
        let point = self.name.clone();
        if order == Order::ReadBack {
            return (Input::ReadBack { point, asked, answer: self.read_back(protections) }, Vec::new());
        }
        let failed = |text: &str| Err(Trouble::Failed(text.to_owned()));
        let (outcome, changes) = match self.ailment {
            Some(Ailment::Stuck) => (failed("it does not answer"), Vec::new()),
            Some(Ailment::Halfway) => {
                let half = &protections[..protections.len() / 2];
                (failed("it broke off halfway"), self.change(order, half, true))
            }
            _ => (Ok(Vec::new()), self.change(order, protections, false)),
        };
        (Input::PointDone { point, order, asked, outcome }, changes)
    }

    /// Ends by itself what has ended, if it is of that kind.
    pub fn time_passes(&mut self, now: Timestamp) -> Vec<Change> {
        if !self.ends_by_itself {
            return Vec::new();
        }
        let over = self.holds.iter().filter(|(_, p)| p.expires <= now).map(|(target, _)| target.clone());
        let over: Vec<Target> = over.collect();
        over.into_iter().map(|target| self.lift(target)).collect()
    }

    /// Somebody else takes one of ours away, or all of them.
    pub fn lose(&mut self, nth: Option<usize>) -> Vec<Change> {
        let targets: Vec<Target> = match nth {
            Some(nth) => self.holds.keys().nth(nth).cloned().into_iter().collect(),
            None => self.holds.keys().cloned().collect(),
        };
        targets.into_iter().map(|target| self.lift(target)).collect()
    }

    fn change(&mut self, order: Order, protections: &[Protection], halfway: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        if matches!(order, Order::LiftAll | Order::Replace) && !halfway {
            changes.extend(self.lose(None));
        }
        match order {
            Order::Apply | Order::Replace => changes.extend(self.put(protections)),
            Order::Withdraw => {
                let ours = |p: &&Protection| {
                    self.holds.get(p.measure.target()).is_some_and(|held| held.mitigation == p.mitigation)
                };
                let gone: Vec<Target> = protections.iter().filter(ours).map(|p| p.measure.target().clone()).collect();
                changes.extend(gone.into_iter().map(|target| self.lift(target)));
            }
            Order::LiftAll | Order::ReadBack => {}
        }
        changes
    }

    /// Of several for one target the one that lasts longest holds it.
    fn put(&mut self, protections: &[Protection]) -> Vec<Change> {
        let mut longest: BTreeMap<Target, Protection> = BTreeMap::new();
        for protection in protections {
            let held = longest.entry(protection.measure.target().clone()).or_insert_with(|| protection.clone());
            if held.expires < protection.expires {
                *held = protection.clone();
            }
        }
        self.holds.extend(longest.clone());
        longest.into_values().map(Change::Enforced).collect()
    }

    fn lift(&mut self, target: Target) -> Change {
        self.holds.remove(&target);
        Change::Lifted(target)
    }

    fn read_back(&self, asked: &[Protection]) -> Result<Vec<(Seen, Effect)>, Trouble> {
        if self.ailment == Some(Ailment::Silent) {
            return Err(Trouble::Failed("it does not speak".to_owned()));
        }
        let seen = |p: &Protection| {
            let held = self.holds.get(p.measure.target());
            let by_another = held.is_some_and(|held| held.mitigation != p.mitigation);
            let presence = if held.is_some() { Presence::Enforced } else { Presence::Absent };
            let evidence = format!("{} is {presence}", p.measure.target());
            let seen = Seen { by_another, ..Seen::new(p.mitigation, presence, evidence) };
            (seen, Effect { packets: Some(7), bytes: None })
        };
        Ok(asked.iter().map(seen).collect())
    }
}

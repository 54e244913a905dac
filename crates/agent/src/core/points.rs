//! How mitigations come into force, are put back and taken out, at each enforcement point.

use super::exchange::Outcome;
use super::places::{Place, Stage};
use super::seen::Owed;
use super::state::Held;
use super::{AlarmKind, Core, Order, Output, Trouble};
use act::Protection;
use model::{MitigationId, MitigationState, PointName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// When a point that owes an answer about everything is ordered again.
const WHOLE_AGAIN: model::Span = model::Span::seconds(30);
/// Orders are given in this sequence: nothing is taken out before what replaces it was put in.
const SEQUENCE: [Order; 5] = [Order::LiftAll, Order::Replace, Order::Apply, Order::Withdraw, Order::ReadBack];

/// When what is read back next.
#[derive(Debug, Default)]
pub(super) struct Patrol {
    next: Option<Timestamp>,
    /// Points that owe an answer.
    pub(super) owed: BTreeMap<PointName, Owed>,
    /// Points that are still to replace or lift everything, and when that is ordered again.
    pub(super) whole: BTreeMap<PointName, (Order, Timestamp)>,
}

impl Core {
    /// After a start nothing is believed: everything wanted is ordered as the whole, and read back.
    pub(super) fn restart_points(&mut self) {
        self.places.clear();
        self.patrol = Patrol { next: Some(self.now.plus(self.settings.patrol)), ..Patrol::default() };
        let known: BTreeSet<PointName> = self.settings.points.iter().map(|p| p.name.clone()).collect();
        self.report_missing(&known);
        let held: Vec<(MitigationId, Held)> = self.state.held.iter().map(|(id, h)| (*id, h.clone())).collect();
        let whole = if self.state.killed.is_some() { Order::LiftAll } else { Order::Replace };
        known.iter().for_each(|point| self.order_whole(point, whole));
        for (id, held) in held {
            self.changed.insert(id);
            if held.ending.is_some() {
                held.points.intersection(&known).for_each(|point| self.order(&id, point, Order::Withdraw));
            } else {
                self.restart(&id, &held, &known);
            }
        }
    }

    /// The points may have changed, also of what a person is still asked about.
    fn restart(&mut self, id: &MitigationId, held: &Held, known: &BTreeSet<PointName>) {
        let mut points = self.settings.points_for(&*self.router, &held.mitigation.measure);
        if held.is_wanted() {
            points.iter().for_each(|point| self.enter(id, point, Order::Replace));
            // One that is not configured any more may have it still: that is not forgotten.
            points.extend(held.points.difference(known).cloned());
        }
        if points != held.points {
            self.change(id, |held| held.points = points);
        }
    }

    fn report_missing(&mut self, known: &BTreeSet<PointName>) {
        let named: BTreeSet<PointName> = self.state.held.values().flat_map(|held| held.points.clone()).collect();
        for point in named.difference(known) {
            let text = format!(
                "Point {point} is not configured any more. What it still enforces ends by its own expiry, where it has \
                 one (Unbound has none); to end it now, configure the point again and lift it."
            );
            self.alarm(AlarmKind::PointMissing, &text);
        }
    }

    /// Brings a mitigation into force at all its points.
    pub(super) fn put_in_force(&mut self, id: &MitigationId) {
        let points = self.state.held.get(id).map(|held| held.points.clone()).unwrap_or_default();
        let known = |point: &&PointName| self.settings.points.iter().any(|setup| setup.name == **point);
        let points: Vec<PointName> = points.iter().filter(known).cloned().collect();
        points.iter().for_each(|point| self.enter(id, point, Order::Apply));
    }

    /// Everything wanted comes back after the kill switch, as the whole: whatever ended meanwhile goes with it.
    pub(super) fn resume_points(&mut self) -> usize {
        let wanted = self.state.held.iter().filter(|(_, held)| held.is_wanted());
        let wanted: Vec<(MitigationId, BTreeSet<PointName>)> =
            wanted.map(|(id, held)| (*id, held.points.clone())).collect();
        let known: Vec<PointName> = self.settings.points.iter().map(|point| point.name.clone()).collect();
        for point in known {
            let here = wanted.iter().filter(|(_, points)| points.contains(&point));
            here.for_each(|(id, _)| self.order(id, &point, Order::Replace));
            self.order_whole(&point, Order::Replace);
        }
        wanted.len()
    }

    /// Orders a protection into force at one point, or notes that the kill switch keeps it out: what may be there
    /// already is to be read back as gone.
    fn enter(&mut self, id: &MitigationId, point: &PointName, order: Order) {
        match (self.state.killed.is_some(), order) {
            (true, Order::Replace) => self.stage(id, point, Stage::Suspending, ""),
            (true, _) => self.stage(id, point, Stage::Suspended, ""),
            (false, _) => self.order(id, point, order),
        }
    }

    /// Takes a mitigation out of force wherever it may be.
    pub(super) fn take_out(&mut self, id: &MitigationId) {
        let places: Vec<(PointName, Stage)> = self.places.of(id).map(|(p, place)| (p.clone(), place.stage)).collect();
        for (point, stage) in places {
            if stage.may_be_in_force() || stage == Stage::Suspending {
                self.order(id, &point, Order::Withdraw);
            }
        }
        self.changed.insert(*id);
    }

    pub(super) fn order(&mut self, id: &MitigationId, point: &PointName, order: Order) {
        let stage = match order {
            Order::Apply | Order::Replace => Stage::Ordered,
            Order::Withdraw => Stage::Lifting,
            Order::ReadBack | Order::LiftAll => return self.ask(id, point, order),
        };
        let attempts = self.places.at(id, point).map_or(0, |place| place.attempts);
        let evidence = self.places.at(id, point).map(|place| place.evidence.clone()).unwrap_or_default();
        self.places.set(*id, point, Place { attempts, evidence, ..Place::new(stage, self.now) });
        self.ask(id, point, order);
    }

    pub(super) fn ask(&mut self, id: &MitigationId, point: &PointName, order: Order) {
        self.orders.entry((point.clone(), order)).or_default().insert(*id);
    }

    pub(super) fn stage(&mut self, id: &MitigationId, point: &PointName, stage: Stage, evidence: &str) {
        self.places.set(*id, point, Place { evidence: super::short(evidence), ..Place::new(stage, self.now) });
        self.changed.insert(*id);
    }

    /// The same stage once more, later.
    pub(super) fn again(&mut self, id: &MitigationId, point: &PointName, stage: Stage, evidence: &str) {
        let before = self.places.at(id, point).cloned().unwrap_or_else(|| Place::new(stage, self.now));
        let since = if before.stage == stage { before.since } else { self.now };
        let mut place = Place { stage, since, evidence: super::short(evidence), ..before };
        place.wakes = Some(place.again(self.now));
        place.attempts = place.attempts.saturating_add(1);
        self.places.set(*id, point, place);
        self.changed.insert(*id);
    }

    pub(super) fn on_point_done(&mut self, point: &PointName, order: Order, asked: &[MitigationId], outcome: &Outcome) {
        if matches!(order, Order::Replace | Order::LiftAll) {
            self.on_whole_done(point, order, outcome.as_ref().err());
        }
        for id in asked {
            let trouble = match outcome {
                Ok(exceptions) => exceptions.iter().find(|(other, _)| other == id).map(|(_, trouble)| trouble),
                Err(trouble) => Some(trouble),
            };
            match order {
                Order::Apply | Order::Replace => self.on_applied(id, point, trouble),
                Order::Withdraw => self.on_withdrawn(id, point, trouble),
                Order::ReadBack | Order::LiftAll => {}
            }
        }
    }

    fn on_applied(&mut self, id: &MitigationId, point: &PointName, trouble: Option<&Trouble>) {
        match (self.places.at(id, point).map(|place| place.stage), trouble) {
            (Some(Stage::Ordered), _) => {}
            // Put in again because another of its target was taken out, and that took what is there along, maybe.
            (Some(stage), Some(trouble)) if stage.may_be_in_force() => {
                return self.not_applied(id, point, &trouble.to_string());
            }
            // Ordered out meanwhile: that answer is still to come.
            _ => return,
        }
        match trouble {
            None => {
                self.stage(id, point, Stage::Settling, "");
                self.ask(id, point, Order::ReadBack);
            }
            Some(Trouble::Refused(refusal)) => self.stage(id, point, Stage::Barred, &refusal.to_string()),
            Some(Trouble::Failed(text)) => self.not_applied(id, point, text),
        }
    }

    fn not_applied(&mut self, id: &MitigationId, point: &PointName, trouble: &str) {
        self.again(id, point, Stage::Failed, trouble);
        let text = format!("Point {point} does not apply {id}: {trouble}. It is tried again.");
        self.alarm(AlarmKind::PointFailed, &text);
    }

    fn on_withdrawn(&mut self, id: &MitigationId, point: &PointName, trouble: Option<&Trouble>) {
        if self.places.at(id, point).is_none_or(|place| place.stage != Stage::Lifting) {
            return;
        }
        match trouble {
            None => {
                self.stage(id, point, Stage::Checking, "");
                self.ask(id, point, Order::ReadBack);
            }
            Some(trouble) => {
                self.again(id, point, Stage::Lifting, &trouble.to_string());
                self.not_lifted(id, point, &trouble.to_string());
                let text = format!("Point {point} does not lift {id}: {trouble}. It is tried again.");
                self.alarm(AlarmKind::StillEnforced, &text);
            }
        }
    }

    fn on_whole_done(&mut self, point: &PointName, order: Order, trouble: Option<&Trouble>) {
        let Some(trouble) = trouble else {
            if self.patrol.whole.get(point).is_some_and(|(awaited, _)| *awaited == order) {
                self.patrol.whole.remove(point);
            }
            // It has taken the order: what it enforces is another question.
            for id in self.places.where_stage(point, |stage| stage == Stage::Suspending) {
                self.ask(&id, point, Order::ReadBack);
            }
            return;
        };
        if (order == Order::LiftAll) == self.state.killed.is_some() {
            self.patrol.whole.entry(point.clone()).or_insert((order, self.now.plus(WHOLE_AGAIN)));
        }
        let text = match order {
            Order::LiftAll => format!("Point {point} does not lift everything: {trouble}. It is tried again."),
            _ => format!("Point {point} may still enforce what has ended: {trouble}. It is tried again."),
        };
        self.alarm(AlarmKind::StillEnforced, &text);
    }

    /// Whoever waited long enough is tried again, and the patrol goes round.
    pub(super) fn retry(&mut self) {
        let mut unsure = BTreeSet::new();
        for (id, point) in self.places.take_awake(self.now) {
            match self.places.at(&id, &point).map(|place| place.stage) {
                Some(Stage::Failed) => self.order(&id, &point, Order::Apply),
                Some(Stage::Lifting) => self.order(&id, &point, Order::Withdraw),
                Some(Stage::Settling) => self.ask(&id, &point, Order::ReadBack),
                // The point ends it before its time.
                Some(Stage::Enforced) => self.order(&id, &point, Order::Apply),
                Some(Stage::Checking | Stage::Suspending) => {
                    unsure.insert(point);
                }
                _ => {}
            }
        }
        unsure.iter().for_each(|point| self.ask_unsure(point));
        let due = self.patrol.whole.iter().filter(|(_, (_, at))| *at <= self.now);
        let again: Vec<(PointName, Order)> = due.map(|(point, (order, _))| (point.clone(), *order)).collect();
        again.iter().for_each(|(point, order)| self.order_whole(point, *order));
        if self.patrol.next.is_some_and(|at| at <= self.now) {
            self.patrol.next = Some(self.now.plus(self.settings.patrol));
            self.go_round();
            self.forget_lineages();
        }
    }

    fn go_round(&mut self) {
        let points: Vec<PointName> = self.settings.points.iter().map(|point| point.name.clone()).collect();
        for point in points {
            self.hear_silence(&point);
            let due = self.places.where_stage(&point, Stage::is_patrolled);
            if !due.is_empty() {
                self.patrol.owed.entry(point.clone()).or_default().since.get_or_insert(self.now);
            }
            due.iter().for_each(|id| self.ask(id, &point, Order::ReadBack));
        }
    }

    pub(super) fn patrol_at(&self) -> Option<Timestamp> {
        self.patrol.next.into_iter().chain(self.patrol.whole.values().map(|(_, at)| *at)).min()
    }

    /// Orders a point to have exactly what is wanted, or nothing, in force; again and again until it says so.
    pub(super) fn order_whole(&mut self, point: &PointName, order: Order) {
        let wanted = match order {
            Order::Replace => self.places.where_stage(point, Stage::may_be_in_force),
            _ => Vec::new(),
        };
        self.orders.entry((point.clone(), order)).or_default().extend(wanted);
        self.patrol.whole.insert(point.clone(), (order, self.now.plus(WHOLE_AGAIN)));
    }

    /// Everything wanted is out of force until the kill switch is turned off.
    pub(super) fn suspend(&mut self) {
        let points: Vec<PointName> = self.settings.points.iter().map(|point| point.name.clone()).collect();
        self.orders.retain(|(_, order), _| !matches!(order, Order::Apply | Order::Replace));
        for point in points {
            for id in self.places.where_stage(&point, Stage::may_be_in_force) {
                self.stage(&id, &point, Stage::Suspending, "");
            }
            self.order_whole(&point, Order::LiftAll);
        }
    }

    /// Looks at everything that changed, and reports what became of it.
    pub(super) fn settle(&mut self) {
        while let Some(id) = self.changed.pop_first() {
            let Some(held) = self.state.held.get(&id) else { continue };
            match &held.ending {
                Some(ending) => {
                    let out = self.places.of(&id).all(|(_, place)| place.stage.is_out());
                    let (state, reason) = (ending.state, ending.reason.clone());
                    if out {
                        self.finish(&id, state, &reason);
                    }
                }
                None if held.asks.is_none() => self.look_at(&id),
                None => {}
            }
        }
    }

    fn finish(&mut self, id: &MitigationId, state: MitigationState, reason: &str) {
        let point = self.places.of(id).next().map(|(point, _)| point.clone());
        let may = self.state.held.get(id).is_some_and(|held| held.state.may_become(state));
        // What was in force once cannot have been refused: it was withdrawn.
        let state = if may { state } else { MitigationState::Withdrawn };
        let reason = match self.unconfirmed(id) {
            Some(doubt) => format!("{reason}; {doubt}"),
            None => reason.to_owned(),
        };
        self.become_state(id, state, point, &reason);
    }

    fn look_at(&mut self, id: &MitigationId) {
        let places: Vec<(PointName, Stage, String)> =
            self.places.of(id).map(|(p, place)| (p.clone(), place.stage, place.evidence.clone())).collect();
        let (barred, able): (Vec<_>, Vec<_>) = places.into_iter().partition(|(_, stage, _)| *stage == Stage::Barred);
        if able.is_empty() {
            match barred.into_iter().next() {
                Some((_, _, reason)) => drop(self.end(id, MitigationState::Refused, reason, None)),
                None if self.state.held.get(id).is_some_and(|held| held.state != MitigationState::Failed) => {
                    self.become_state(id, MitigationState::Failed, None, "no enforcement point is configured for it")
                }
                None => {}
            }
            return;
        }
        let find = |stage: fn(Stage) -> bool| able.iter().find(|(_, s, _)| stage(*s)).cloned();
        if self.state.killed.is_some() {
            let lifted = able.iter().all(|(_, stage, _)| *stage == Stage::Suspended);
            if !lifted || self.state.held.get(id).is_none_or(|held| held.state == MitigationState::Failed) {
                return;
            }
            let doubt = self.unconfirmed(id).map(|doubt| format!("; {doubt}")).unwrap_or_default();
            let text = format!("suspended by this member's kill switch{doubt}");
            return self.become_state(id, MitigationState::Failed, None, &text);
        }
        let (state, shown) = if let Some(failed) = find(|s| s == Stage::Failed) {
            (MitigationState::Failed, failed)
        } else if find(|s| matches!(s, Stage::Ordered | Stage::Suspending | Stage::Suspended)).is_some() {
            return;
        } else if find(|s| s == Stage::Settling).is_some() && self.is_verified(id) {
            // After a restart it is read back anew: what was so is taken back only when that fails.
            return;
        } else if let Some(settling) = find(|s| matches!(s, Stage::Settling | Stage::Shown)) {
            (MitigationState::Applied, settling)
        } else if let Some(enforced) = find(|s| s == Stage::Enforced) {
            (MitigationState::Verified, enforced)
        } else {
            return;
        };
        self.reached(id, state, shown);
    }

    fn is_verified(&self, id: &MitigationId) -> bool {
        self.state.held.get(id).is_some_and(|held| held.state == MitigationState::Verified)
    }

    fn reached(&mut self, id: &MitigationId, state: MitigationState, (point, _, evidence): (PointName, Stage, String)) {
        let Some(held) = self.state.held.get(id) else { return };
        // A first read-back goes through `applied`; so does one that was failed and is put back.
        let before = held.state;
        if state == MitigationState::Verified && !before.may_become(state) {
            self.become_state(id, MitigationState::Applied, Some(point.clone()), "");
        }
        if before != state {
            self.become_state(id, state, Some(point), &evidence);
        }
        let in_force = match state {
            MitigationState::Verified => true,
            MitigationState::Applied => self.places.of(id).all(|(_, place)| place.stage != Stage::Settling),
            _ => false,
        };
        if in_force {
            self.retire_predecessors(id);
        }
    }

    /// Gives the orders of this call, each point its own, in a sequence that leaves no gap.
    pub(super) fn give_orders(&mut self) {
        let mut orders = std::mem::take(&mut self.orders);
        self.keep_shared(&mut orders);
        // What came and went in one call is only taken out.
        let ended: Vec<(PointName, BTreeSet<MitigationId>)> = (orders.iter())
            .filter(|((_, order), _)| *order == Order::Withdraw)
            .map(|((point, _), ids)| (point.clone(), ids.clone()))
            .collect();
        for (point, ids) in ended {
            if let Some(applied) = orders.get_mut(&(point, Order::Apply)) {
                applied.retain(|id| !ids.contains(id));
            }
        }
        for order in SEQUENCE {
            for ((point, _), ids) in orders.iter().filter(|((_, o), _)| *o == order) {
                let protection = |id: &MitigationId| self.state.held.get(id).map(|held| protection(*id, held));
                let protections: Vec<Protection> = ids.iter().filter_map(protection).collect();
                if !protections.is_empty() || matches!(order, Order::LiftAll | Order::Replace) {
                    self.out.push(Output::Point { point: point.clone(), order, protections });
                }
            }
        }
    }

    /// Several mitigations may share one target at one point, which then holds one object. Whenever that object is
    /// written or removed, all that still want it are applied with it: the one that lasts longest holds it.
    fn keep_shared(&self, orders: &mut BTreeMap<(PointName, Order), BTreeSet<MitigationId>>) {
        let touched: Vec<(PointName, MitigationId)> = (orders.iter())
            .filter(|((_, order), _)| matches!(order, Order::Apply | Order::Withdraw))
            .flat_map(|((point, _), ids)| ids.iter().map(|id| (point.clone(), *id)))
            .collect();
        for (point, id) in touched {
            let others = self.others_at(&id, &point);
            if !others.is_empty() {
                orders.entry((point, Order::Apply)).or_default().extend(others);
            }
        }
    }

    /// The other mitigations that want the same target at the same point.
    pub(super) fn others_at(&self, id: &MitigationId, point: &PointName) -> Vec<MitigationId> {
        let Some(held) = self.state.held.get(id) else { return Vec::new() };
        let siblings = self.by_target.get(held.mitigation.measure.target()).into_iter().flatten();
        let wants = |other: &&MitigationId| {
            let stage = self.places.at(other, point).map(|place| place.stage);
            *other != id && stage.is_some_and(Stage::may_be_in_force)
        };
        siblings.filter(wants).copied().collect()
    }
}

pub(super) fn protection(id: MitigationId, held: &Held) -> Protection {
    Protection {
        mitigation: id,
        finding: held.mitigation.finding,
        measure: held.mitigation.measure.clone(),
        expires: held.mitigation.expires,
    }
}

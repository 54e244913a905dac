//! Where each mitigation stands at each enforcement point. Not durable: after a start everything is ordered and read
//! back anew, since only what was read back is believed.

use model::{MitigationId, PointName, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// The shortest and the longest wait before something is tried again.
const AGAIN_MIN: Span = Span::millis(250);
const AGAIN_MAX: Span = Span::seconds(60);

/// One mitigation at one point.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub stage: Stage,
    /// When it came into this stage.
    pub since: Timestamp,
    /// Failures in a row, of whatever is tried in this stage.
    pub attempts: u32,
    /// When it is looked at again; none: an answer is awaited, or nothing is to be done.
    pub wakes: Option<Timestamp>,
    /// What the point said last.
    pub evidence: String,
}

/// How far it has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Stage {
    /// Ordered; the point has not answered.
    Ordered,
    /// The point has done it; not yet read back as enforced.
    Settling,
    /// Read back as enforced.
    Enforced,
    /// Done, and the point does not let itself be asked.
    Shown,
    /// Not done, or read back as absent; it is tried again.
    Failed,
    /// A rule of the point said no.
    Barred,
    /// To be out of force because of the kill switch; not yet read back as absent.
    Suspending,
    /// Out of force because of the kill switch.
    Suspended,
    /// Ordered to be taken out of force.
    Lifting,
    /// The point has taken it out; not yet read back as absent.
    Checking,
    /// Out of force.
    Lifted,
}

impl Stage {
    /// May the point have it in force?
    pub const fn may_be_in_force(self) -> bool {
        matches!(self, Self::Ordered | Self::Settling | Self::Enforced | Self::Shown | Self::Failed)
    }

    /// Is it read back on patrol?
    pub const fn is_patrolled(self) -> bool {
        matches!(self, Self::Enforced | Self::Shown)
    }

    /// Is nothing more to be done here for one that ends?
    pub const fn is_out(self) -> bool {
        matches!(self, Self::Lifted | Self::Barred | Self::Suspended)
    }
}

impl Place {
    pub fn new(stage: Stage, now: Timestamp) -> Self {
        Self { stage, since: now, attempts: 0, wakes: None, evidence: String::new() }
    }

    /// The wait before the next attempt: a quarter of a second, doubling to a minute.
    pub fn again(&self, now: Timestamp) -> Timestamp {
        let factor = 1_i64 << self.attempts.min(12);
        now.plus(Span::millis(AGAIN_MIN.as_millis().saturating_mul(factor)).min(AGAIN_MAX))
    }
}

/// All places, by mitigation, with an index of when they wake.
#[derive(Debug, Default)]
pub(super) struct Places {
    of: BTreeMap<MitigationId, BTreeMap<PointName, Place>>,
    wakes: BTreeSet<(Timestamp, MitigationId, PointName)>,
}

impl Places {
    /// The places of one mitigation.
    pub fn of(&self, id: &MitigationId) -> impl Iterator<Item = (&PointName, &Place)> {
        self.of.get(id).into_iter().flatten()
    }

    /// One place.
    pub fn at(&self, id: &MitigationId, point: &PointName) -> Option<&Place> {
        self.of.get(id)?.get(point)
    }

    /// Sets one place.
    pub fn set(&mut self, id: MitigationId, point: &PointName, place: Place) {
        self.forget_wake(&id, point);
        if let Some(at) = place.wakes {
            self.wakes.insert((at, id, point.clone()));
        }
        self.of.entry(id).or_default().insert(point.clone(), place);
    }

    /// Forgets a mitigation.
    pub fn remove(&mut self, id: &MitigationId) {
        for (point, place) in self.of.remove(id).into_iter().flatten() {
            if let Some(at) = place.wakes {
                self.wakes.remove(&(at, *id, point));
            }
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The next time at which a place wakes.
    pub fn wakes_at(&self) -> Option<Timestamp> {
        self.wakes.first().map(|(at, _, _)| *at)
    }

    /// The places that wake now; they do not wake again by themselves.
    pub fn take_awake(&mut self, now: Timestamp) -> Vec<(MitigationId, PointName)> {
        let mut awake = Vec::new();
        while self.wakes.first().is_some_and(|(at, _, _)| *at <= now) {
            let Some((_, id, point)) = self.wakes.pop_first() else { break };
            if let Some(place) = self.of.get_mut(&id).and_then(|places| places.get_mut(&point)) {
                place.wakes = None;
            }
            awake.push((id, point));
        }
        awake
    }

    /// Of those that a point could say nothing of and that wait, all wake with the last: one question for all of them.
    pub fn wake_together(&mut self, point: &PointName, ids: impl Iterator<Item = MitigationId>) {
        let unsure = |place: &Place| matches!(place.stage, Stage::Checking | Stage::Suspending);
        let wakes = |places: &Self, id: &MitigationId| places.at(id, point).filter(|p| unsure(p))?.wakes;
        let waiting: Vec<(MitigationId, Timestamp)> = ids.filter_map(|id| Some((id, wakes(self, &id)?))).collect();
        let Some(last) = waiting.iter().map(|(_, at)| *at).max() else { return };
        for (id, _) in waiting {
            if let Some(place) = self.at(&id, point).cloned() {
                self.set(id, point, Place { wakes: Some(last), ..place });
            }
        }
    }

    /// The mitigations at one point whose stage is of a kind.
    pub fn where_stage(&self, point: &PointName, is: impl Fn(Stage) -> bool) -> Vec<MitigationId> {
        let at = |places: &BTreeMap<PointName, Place>| places.get(point).is_some_and(|place| is(place.stage));
        self.of.iter().filter(|(_, places)| at(places)).map(|(id, _)| *id).collect()
    }

    fn forget_wake(&mut self, id: &MitigationId, point: &PointName) {
        if let Some(at) = self.at(id, point).and_then(|place| place.wakes) {
            self.wakes.remove(&(at, *id, point.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_wakes_once_and_at_its_latest_time() {
        let (id, point) = ("mit-0123456789ab".parse().unwrap(), "nft".parse().unwrap());
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut places = Places::default();
        for seconds in [5, 9] {
            let wakes = Some(start.plus(Span::seconds(seconds)));
            places.set(id, &point, Place { wakes, ..Place::new(Stage::Failed, start) });
        }
        assert_eq!(places.wakes_at(), Some(start.plus(Span::seconds(9))));
        assert_eq!(places.take_awake(start.plus(Span::seconds(8))), []);
        assert_eq!(places.take_awake(start.plus(Span::seconds(9))), [(id, point.clone())]);
        assert_eq!(places.wakes_at(), None);
        places.remove(&id);
        assert!(places.at(&id, &point).is_none());
    }

    #[test]
    fn attempts_wait_longer_each_time_up_to_a_minute() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let wait = |attempts| Place { attempts, ..Place::new(Stage::Failed, now) }.again(now).since(now);
        assert_eq!([wait(0), wait(1), wait(3)], [Span::millis(250), Span::millis(500), Span::seconds(2)]);
        assert_eq!(wait(40), Span::seconds(60));
    }
}

//! What enforcement points say when they are read back, and what follows: nothing is called active, lifted or suspended
//! on our own word.

use super::places::{Place, Stage};
use super::{AlarmKind, Core, Order, Trouble};
use act::{Effect, Presence, Seen};
use model::{MitigationId, MitigationState, PointName, Span, Timestamp};
use std::collections::BTreeSet;

/// The kernel may end a protection this much before we do; that is no fault.
const EARLY_MAX: Span = Span::seconds(2);
/// And so much before its time it is put in again.
const EARLY_MARGIN: Span = Span::seconds(5);
/// Answers in a row that a point may owe before somebody is told and what it enforces is called unknown.
const UNANSWERED_MAX: u32 = 3;
/// How long it may say nothing at all before the same.
const SILENT_MIN: Span = Span::minutes(2);
/// How long something that ended is asked about that nobody can say is gone.
const ASKED_MAX: Span = Span::hours(24);
/// How the evidence of an end begins that no read-back showed.
const NOT_CONFIRMED: &str = "not confirmed: ";

/// What a point owes.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// Since when an answer is waited for on patrol.
    pub since: Option<Timestamp>,
    /// Answers in a row that said only that it could not be asked.
    pub unanswered: u32,
}

impl Core {
    pub(super) fn on_read_back(
        &mut self,
        point: &PointName,
        asked: &[MitigationId],
        answer: Result<Vec<(Seen, Effect)>, Trouble>,
    ) {
        match answer {
            Ok(seen) => {
                self.on_answered(point, &seen);
                seen.iter().for_each(|(seen, effect)| self.on_seen(point, seen, effect));
                let unsure = seen.iter().filter(|(seen, _)| seen.presence == Presence::Unknown);
                self.places.wake_together(point, unsure.map(|(seen, _)| seen.mitigation));
            }
            Err(trouble) => self.on_unanswered(point, asked, &trouble),
        }
    }

    /// One that can say nothing of anything in force is as one that does not answer: a moment's silence of a resolver
    /// takes nothing back. Of what has just come or is to be gone it may not know yet; that is no silence.
    fn on_answered(&mut self, point: &PointName, seen: &[(Seen, Effect)]) {
        let patrolled = |(seen, _): &&(Seen, Effect)| {
            self.places.at(&seen.mitigation, point).is_some_and(|place| place.stage.is_patrolled())
        };
        let patrolled: Vec<&Seen> = seen.iter().filter(patrolled).map(|(seen, _)| seen).collect();
        match patrolled.first() {
            None => self.patrol.owed.entry(point.clone()).or_default().since = None,
            Some(first) if patrolled.iter().all(|seen| seen.presence == Presence::Unknown) => {
                self.no_answer(point, &first.evidence);
            }
            Some(_) => drop(self.patrol.owed.remove(point)),
        }
    }

    /// Asks once about all that is to be gone and that nobody could say is.
    pub(super) fn ask_unsure(&mut self, point: &PointName) {
        for id in self.places.where_stage(point, |stage| matches!(stage, Stage::Checking | Stage::Suspending)) {
            self.ask(&id, point, Order::ReadBack);
        }
    }

    fn no_answer(&mut self, point: &PointName, why: &str) {
        let owed = self.patrol.owed.entry(point.clone()).or_default();
        owed.since = None;
        owed.unanswered = owed.unanswered.saturating_add(1);
        if owed.unanswered >= UNANSWERED_MAX {
            self.nobody_knows(point, why);
        }
    }

    fn on_unanswered(&mut self, point: &PointName, asked: &[MitigationId], trouble: &Trouble) {
        self.no_answer(point, &trouble.to_string());
        for id in asked {
            match self.places.at(id, point).map(|place| place.stage) {
                Some(Stage::Settling) if self.is_late(id, point) => {
                    self.stage(id, point, Stage::Shown, &trouble.to_string());
                }
                Some(stage @ (Stage::Settling | Stage::Suspending)) => {
                    self.again(id, point, stage, &trouble.to_string());
                }
                Some(Stage::Checking) => self.unsure(id, point, Stage::Checking, &trouble.to_string()),
                _ => {}
            }
        }
    }

    /// A point that was asked on patrol and has said nothing for long.
    pub(super) fn hear_silence(&mut self, point: &PointName) {
        let patience = Span::millis(self.settings.patrol.as_millis().saturating_mul(i64::from(UNANSWERED_MAX)));
        let since = self.patrol.owed.get(point).and_then(|owed| owed.since);
        if since.is_some_and(|since| self.now.since(since) >= patience.max(SILENT_MIN)) {
            self.nobody_knows(point, "it does not answer");
        }
    }

    /// What was read back once is not said on for ever.
    fn nobody_knows(&mut self, point: &PointName, why: &str) {
        let text = format!("Point {point} cannot be read back: {why}. Nobody knows what it enforces.");
        self.alarm(AlarmKind::PointFailed, &text);
        for id in self.places.where_stage(point, |stage| stage == Stage::Enforced) {
            self.stage(&id, point, Stage::Shown, why);
        }
    }

    fn on_seen(&mut self, point: &PointName, seen: &Seen, effect: &Effect) {
        let (id, stage) = (&seen.mitigation, self.places.at(&seen.mitigation, point).map(|place| place.stage));
        self.count(id, effect);
        // An answer from before the point lifted everything says nothing.
        if stage == Some(Stage::Suspending) && self.patrol.whole.contains_key(point) {
            return;
        }
        match (stage, seen.presence) {
            (Some(Stage::Settling | Stage::Shown), Presence::Enforced) => {
                self.stage(id, point, Stage::Enforced, &seen.evidence);
                self.renew_in_time(id, point, seen.seconds_left);
            }
            (Some(Stage::Enforced), Presence::Enforced) => self.renew_in_time(id, point, seen.seconds_left),
            (Some(Stage::Settling), Presence::Unknown) => self.stage(id, point, Stage::Shown, &seen.evidence),
            (Some(Stage::Settling), Presence::Absent) => self.not_yet(id, point, &seen.evidence),
            (Some(Stage::Enforced), Presence::Unknown) if !self.is_silent(point) => {
                self.not_known(id, point, &seen.evidence);
            }
            (Some(Stage::Enforced | Stage::Shown), Presence::Absent) => self.missing(id, point, &seen.evidence),
            // What others want there stays.
            (Some(Stage::Checking), Presence::Enforced) if seen.by_another && self.is_shared(id, point) => {
                self.stage(id, point, Stage::Lifted, &seen.evidence);
            }
            (Some(Stage::Checking), Presence::Enforced) => self.still_there(id, point, &seen.evidence),
            (Some(Stage::Checking), Presence::Absent) => self.stage(id, point, Stage::Lifted, &seen.evidence),
            (Some(stage @ (Stage::Checking | Stage::Suspending)), Presence::Unknown) => {
                self.unsure(id, point, stage, &seen.evidence);
            }
            (Some(Stage::Suspending), presence) => self.on_suspending(id, point, presence, &seen.evidence),
            _ => {}
        }
    }

    fn is_shared(&self, id: &MitigationId, point: &PointName) -> bool {
        !self.others_at(id, point).is_empty()
    }

    /// One that the point ends by itself before its time is put in again at half of what is left.
    fn renew_in_time(&mut self, id: &MitigationId, point: &PointName, seconds_left: Option<u64>) {
        let Some(left) = seconds_left.and_then(|seconds| i64::try_from(seconds).ok()).map(Span::seconds) else {
            return;
        };
        let Some(ends) = self.state.held.get(id).map(|held| held.mitigation.expires) else { return };
        let Some(place) = self.places.at(id, point).cloned() else { return };
        let by_itself = self.now.plus(left).plus(EARLY_MARGIN);
        if place.wakes.is_none() && ends > by_itself {
            let half = Span::millis(left.as_millis() / 2).max(EARLY_MAX);
            self.places.set(*id, point, Place { wakes: Some(self.now.plus(half)), ..place });
        }
    }

    /// Applied, and not to be seen yet: a resolver needs a moment to fetch its zone.
    fn not_yet(&mut self, id: &MitigationId, point: &PointName, evidence: &str) {
        if !self.is_late(id, point) {
            return self.again(id, point, Stage::Settling, evidence);
        }
        self.again(id, point, Stage::Failed, evidence);
        self.alarm(AlarmKind::PointFailed, &format!("Point {point} took {id} but does not enforce it: {evidence}"));
    }

    /// Read back before, and now the point cannot say.
    fn not_known(&mut self, id: &MitigationId, point: &PointName, evidence: &str) {
        self.stage(id, point, Stage::Shown, evidence);
        let text = format!("Point {point} does not say whether it still enforces {id}: {evidence}. It is asked again.");
        self.alarm(AlarmKind::PointFailed, &text);
    }

    /// In force a moment ago, and now gone: somebody else took it away.
    fn missing(&mut self, id: &MitigationId, point: &PointName, evidence: &str) {
        let Some(held) = self.state.held.get(id) else { return };
        if held.mitigation.expires.since(self.now) <= EARLY_MAX {
            return;
        }
        let text =
            format!("{id} ({}) is gone from point {point}: {evidence}. It is put back.", held.mitigation.measure);
        self.stage(id, point, Stage::Failed, evidence);
        self.settle();
        self.order(id, point, Order::Apply);
        self.alarm(AlarmKind::RuleMissing, &text);
    }

    /// The watchdog of expiry: taken out, and still read back.
    fn still_there(&mut self, id: &MitigationId, point: &PointName, evidence: &str) {
        if !self.is_late(id, point) {
            return self.again(id, point, Stage::Checking, evidence);
        }
        self.again(id, point, Stage::Lifting, evidence);
        self.not_lifted(id, point, evidence);
        let text = format!("{id} has ended and point {point} still enforces it: {evidence}. It is lifted again.");
        self.alarm(AlarmKind::StillEnforced, &text);
    }

    /// The kill switch: the point has lifted everything, as it says.
    fn on_suspending(&mut self, id: &MitigationId, point: &PointName, presence: Presence, evidence: &str) {
        if presence == Presence::Absent {
            return self.stage(id, point, Stage::Suspended, evidence);
        }
        if !self.is_late(id, point) {
            return self.again(id, point, Stage::Suspending, evidence);
        }
        let text =
            format!("The kill switch is on and point {point} still enforces {id}: {evidence}. It is lifted again.");
        self.alarm(AlarmKind::StillEnforced, &text);
        self.stage(id, point, Stage::Suspending, evidence);
        self.order_whole(point, Order::LiftAll);
    }

    /// It is to be gone, and nobody can say whether it is.
    fn unsure(&mut self, id: &MitigationId, point: &PointName, stage: Stage, evidence: &str) {
        let out = if stage == Stage::Checking { Stage::Lifted } else { Stage::Suspended };
        let ended = self.state.held.get(id).and_then(|held| held.ending.as_ref()).map(|ending| ending.since);
        let given_up = ended.is_some_and(|ended| self.now.since(ended) >= ASKED_MAX);
        if given_up || !self.reads_back(point) {
            return self.stage(id, point, out, &format!("{NOT_CONFIRMED}{evidence}"));
        }
        let late = self.is_late(id, point);
        self.again(id, point, stage, evidence);
        if late {
            self.not_lifted(id, point, evidence);
            let text = format!(
                "Nobody can say whether point {point} still enforces {id}, which is to be out of force: {evidence}. It \
                 is asked again."
            );
            self.alarm(AlarmKind::StillEnforced, &text);
        }
    }

    /// One that has ended, and that a point may still have in force: said until it is known to be gone.
    pub(super) fn not_lifted(&mut self, id: &MitigationId, point: &PointName, evidence: &str) {
        let ends = |held: &super::state::Held| held.ending.is_some() && held.state != MitigationState::Failed;
        if self.state.held.get(id).is_some_and(ends) {
            self.become_state(id, MitigationState::Failed, Some(point.clone()), evidence);
        }
    }

    /// Of one that ends: what is not known of its points.
    pub(super) fn unconfirmed(&self, id: &MitigationId) -> Option<String> {
        let known: BTreeSet<&PointName> = self.settings.points.iter().map(|point| &point.name).collect();
        let held = self.state.held.get(id)?;
        let gone = held.points.iter().find(|point| !known.contains(point));
        let gone = gone.map(|point| format!("{NOT_CONFIRMED}point {point} is not configured any more"));
        let unsaid =
            || self.places.of(id).map(|(_, place)| &place.evidence).find(|text| text.starts_with(NOT_CONFIRMED));
        gone.or_else(|| unsaid().cloned())
    }

    /// Did it say nothing of anything when it was asked last?
    fn is_silent(&self, point: &PointName) -> bool {
        self.patrol.owed.get(point).is_some_and(|owed| owed.unanswered > 0)
    }

    fn reads_back(&self, point: &PointName) -> bool {
        self.settings.points.iter().any(|setup| setup.name == *point && setup.reads_back)
    }

    /// Has it been in its stage for longer than the point may take?
    fn is_late(&self, id: &MitigationId, point: &PointName) -> bool {
        let since = self.places.at(id, point).map_or(self.now, |place| place.since);
        self.now.since(since) >= self.settings.settle
    }

    /// Counters go into what is held without being written down: the next change takes them along.
    fn count(&mut self, id: &MitigationId, effect: &Effect) {
        if let Some(held) = self.state.held.get_mut(id) {
            held.packets = effect.packets.or(held.packets).max(held.packets);
            held.bytes = effect.bytes.or(held.bytes).max(held.bytes);
        }
    }
}

//! What persons of the member decide, lift, allow and stop. Their word is carried out at once.

use super::state::{Allowed, Decision, Killed};
use super::{AlarmKind, Core, Output, Record, not_held};
use model::{MitigationId, MitigationState, Observable, Refusal, Rule};

/// Most entries that persons may add to the allow-list while the agent runs.
const ALLOW_MAX: usize = 100_000;
/// Longest note or reason, in characters.
const REASON_CHARS_MAX: usize = 200;

impl Core {
    pub(super) fn on_decision(&mut self, id: MitigationId, accept: bool, reason: String) {
        let Some(held) = self.state.held.get(&id) else { return self.refuse(not_held(&id)) };
        if held.asks.is_none() || held.ending.is_some() {
            return self.refuse(Refusal::new(Rule::StandingOrder, id, "a mitigation that waits for a person"));
        }
        let (finding, measure) = (held.mitigation.finding, held.mitigation.measure.clone());
        let (until, reason) = (self.now.plus(self.settings.decision_holds), cut(&reason));
        let decision = match accept {
            true => Decision::Accepted { measure, until },
            false => Decision::Refused { until, reason: reason.clone() },
        };
        self.decide(finding, decision);
        match accept {
            true => {
                self.change(&id, |held| held.asks = None);
                self.put_in_force(&id);
            }
            false => {
                let refusal = Refusal::new(
                    Rule::StandingOrder,
                    measure_of(self, &id),
                    format_args!("refused by a person: {reason}"),
                );
                self.end(&id, MitigationState::Refused, format!("refused by a person: {reason}"), Some(refusal));
            }
        }
        let word = if accept { "comes into force" } else { "is refused" };
        self.done(format!("{id} {word}; this holds for its renewals until {until}"));
    }

    fn decide(&mut self, finding: model::FindingId, decision: Decision) {
        self.persist(Record::Decision(finding, Some(decision)));
    }

    pub(super) fn on_lift(&mut self, id: MitigationId, reason: String) {
        let Some(held) = self.state.held.get(&id) else { return self.refuse(not_held(&id)) };
        let (finding, reason) = (held.mitigation.finding, cut(&reason));
        let until = self.now.plus(self.settings.decision_holds);
        self.decide(finding, Decision::Refused { until, reason: reason.clone() });
        let ids: Vec<MitigationId> = self.by_finding.get(&finding).into_iter().flatten().copied().collect();
        for id in ids {
            self.end(&id, MitigationState::Withdrawn, format!("lifted by this member: {reason}"), None);
        }
        self.done(format!("{id} is being lifted, and nothing of {finding} comes into force here before {until}"));
    }

    pub(super) fn on_allow(&mut self, observable: Observable, note: String) {
        if self.state.allow.len() >= ALLOW_MAX {
            let value = format!("{} entries", self.state.allow.len());
            return self.refuse(Refusal::new(Rule::TooLarge, value, format!("{ALLOW_MAX} entries")));
        }
        let allowed = Allowed { since: self.now, note: cut(&note) };
        self.persist(Record::Allow(observable.clone(), Some(allowed)));
        let lifted = self.lift_allowed();
        self.done(format!("{observable} is on this member's allow-list; {lifted} mitigations are being lifted"));
    }

    pub(super) fn on_disallow(&mut self, observable: &Observable) {
        if self.settings.allow.contains(observable) {
            let limit = "an entry added while running; this one stands in the configuration file";
            return self.refuse(Refusal::new(Rule::OwnAllowList, observable, limit));
        }
        if !self.state.allow.contains_key(observable) {
            return self.refuse(Refusal::new(Rule::OwnAllowList, observable, "an entry of the allow-list"));
        }
        self.persist(Record::Allow(observable.clone(), None));
        self.read_allow_list();
        self.done(format!("{observable} is off this member's allow-list; what the alliance still plans may come back"));
    }

    /// Lifts whatever overlaps the allow-list; how many that were.
    pub(super) fn lift_allowed(&mut self) -> usize {
        self.read_allow_list();
        let lifted: Vec<(MitigationId, Refusal)> = (self.state.held.iter())
            .filter(|(_, held)| held.ending.is_none())
            .filter_map(|(id, held)| Some((*id, self.allowed(&held.mitigation)?)))
            .collect();
        for (id, refusal) in &lifted {
            let reason = "it is on this member's allow-list".to_owned();
            self.end(id, MitigationState::Withdrawn, reason, Some(refusal.clone()));
        }
        lifted.len()
    }

    pub(super) fn on_kill(&mut self, reason: String) {
        let reason = cut(&reason);
        if self.state.killed.is_none() {
            self.persist(Record::Killed(Some(Killed { since: self.now, reason: reason.clone() })));
            let text =
                format!("Kill switch on: {reason}. Everything is lifted, and nothing is accepted until it is off.");
            self.alarm(AlarmKind::KillSwitch, &text);
        }
        self.suspend();
        self.done("everything of ours is being lifted; nothing is accepted until: epimachia agent resume".to_owned());
    }

    pub(super) fn on_resume(&mut self) {
        if self.state.killed.is_none() {
            return self.done("the kill switch is off".to_owned());
        }
        self.persist(Record::Killed(None));
        self.alarm(AlarmKind::KillSwitch, "Kill switch off: what is still due comes back into force.");
        let wanted = self.resume_points();
        // What was planned meanwhile was refused because of the switch.
        self.ask_anew();
        self.done(format!("the kill switch is off; {wanted} mitigations come back into force"));
    }

    pub(super) fn on_settings(&mut self, settings: super::Settings) {
        if settings.member != self.settings.member || settings.pin != self.settings.pin {
            let limit = "the same member and charter pin; for another one, use another state directory";
            return self.refuse(Refusal::new(Rule::UnknownMember, settings.member, limit));
        }
        let points_changed = settings.points != self.settings.points;
        self.settings = settings;
        let lifted = self.lift_allowed();
        if points_changed {
            self.restart_points();
        }
        self.out.push(Output::Done(format!("the configuration was read again; {lifted} mitigations are being lifted")));
    }
}

fn cut(reason: &str) -> String {
    let text: String = reason.chars().take(REASON_CHARS_MAX).collect();
    match text.trim() {
        "" => "no reason given".to_owned(),
        text => text.to_owned(),
    }
}

fn measure_of(core: &Core, id: &MitigationId) -> String {
    core.state.held.get(id).map(|held| held.mitigation.measure.to_string()).unwrap_or_default()
}

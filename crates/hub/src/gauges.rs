//! Figures that are read from the state when somebody asks, and the few that several parts count.

use crate::core::{Condition, Core};
use crate::figures::{
    CHECKPOINT, CHECKPOINT_SIZE, FINDINGS, Figures, JOURNAL_SIZE, MEMBER_HEARD, MITIGATIONS, PLANS, PROTECTION_SECONDS,
    QUEUE, READ_ONLY, REFUSALS, seconds,
};
use crate::problem::Problem;
use model::{FindingState, MitigationNow, MitigationState, Rule};
use std::sync::{Mutex, PoisonError};

/// Members that have a gauge of their own: labels stay bounded.
const MEMBERS_SHOWN_MAX: usize = 200;

/// A plan took this step.
pub(crate) fn plan(figures: &Figures, outcome: &str) {
    figures.counter(&PLANS, &[("outcome", outcome)]).increment(1);
}

/// A rule said no.
pub(crate) fn refusal(figures: &Figures, rule: Rule) {
    figures.counter(&REFUSALS, &[("rule", rule.name())]).increment(1);
}

/// Times to protection that were counted already, to count each once.
#[derive(Default)]
pub(crate) struct Counted(Mutex<Vec<i64>>);

impl Counted {
    /// Those of `now` that are new: it goes on where the last one ended, and may have lost its beginning.
    fn news(&self, now: &[i64]) -> Vec<i64> {
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = |lost: &usize| now.starts_with(before.get(*lost..).unwrap_or_default());
        let lost = (0..=before.len()).find(goes_on).unwrap_or(before.len());
        let news = now.get(before.len() - lost..).unwrap_or_default().to_vec();
        *before = now.to_vec();
        news
    }
}

/// Brings the gauges up to date and writes all figures. Reads the state: not for the server's own threads.
pub(crate) fn render(core: &Core) -> Result<String, Problem> {
    let now = core.clock.now();
    let (status, members) = core.read(|state| (state.status(now), state.members(now)))?;
    let figures = &core.figures;
    for state in FINDING_STATES {
        let count = status.findings.get(state.as_str()).copied().unwrap_or_default();
        figures.gauge(&FINDINGS, &[("state", state.as_str())]).set(count as f64);
    }
    for state in MitigationState::ALL.map(MitigationNow::from).into_iter().chain([MitigationNow::Unreported]) {
        let count = status.mitigations.get(state.as_str()).copied().unwrap_or_default();
        figures.gauge(&MITIGATIONS, &[("state", state.as_str())]).set(count as f64);
    }
    for member in members.iter().take(MEMBERS_SHOWN_MAX) {
        let heard = member.heard.map_or(0.0, seconds);
        figures.gauge(&MEMBER_HEARD, &[("member", member.id.as_str())]).set(heard);
    }
    for millis in core.protections.news(&status.protections_millis) {
        figures.histogram(&PROTECTION_SECONDS, &[("scope", "alliance")]).record(millis as f64 / 1_000.0);
    }
    figures.gauge(&JOURNAL_SIZE, &[]).set(status.entries as f64);
    figures.gauge(&QUEUE, &[]).set(core.queue.len() as f64);
    let read_only = !matches!(&*core.condition.borrow(), Condition::Serving);
    figures.gauge(&READ_ONLY, &[]).set(f64::from(u8::from(read_only)));
    if let Some(newest) = core.log.newest() {
        figures.gauge(&CHECKPOINT, &[]).set(seconds(newest.at));
        figures.gauge(&CHECKPOINT_SIZE, &[]).set(newest.signed.unverified().size as f64);
    }
    Ok(figures.render())
}

const FINDING_STATES: [FindingState; 5] = [
    FindingState::Observed,
    FindingState::Corroborated,
    FindingState::Guarded,
    FindingState::Faded,
    FindingState::Revoked,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_to_protection_is_counted_once() {
        let counted = Counted::default();
        assert_eq!(counted.news(&[5, 6]), [5, 6]);
        assert!(counted.news(&[5, 6]).is_empty());
        assert_eq!(counted.news(&[5, 6, 7]), [7]);
        assert_eq!(counted.news(&[6, 7, 8]), [8]);
        assert_eq!(counted.news(&[20, 21]), [20, 21]);
    }
}

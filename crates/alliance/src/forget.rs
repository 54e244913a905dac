//! What ended is forgotten after a time: the journal has it, and nothing here needs it any more.

use crate::state::{Alliance, MitigationRecord, PlanRecord, PlanState};
use model::{FindingId, FindingState, MitigationId, Span, Timestamp};
use std::collections::BTreeSet;

/// How long an ended mitigation is remembered.
const REMEMBER_ENDED: Span = Span::days(1);

impl Alliance {
    /// What ended more than a day ago stands in the journal and is needed here no more.
    pub(crate) fn forget_ended(&mut self, now: Timestamp) {
        let ledger = &mut self.ledger;
        if !ledger.next_position.is_multiple_of(1024) {
            return;
        }
        let gone = |m: &MitigationRecord| now.since(m.expires) > REMEMBER_ENDED;
        let mut lineages = std::mem::take(&mut ledger.lineages);
        // Where the newest is forgotten, what outlasts it is reached without it.
        let mut newest_now = Vec::new();
        let mut outlasts = |id: &mut MitigationId| {
            let Some((left, _)) = ledger.line(*id).find(|(_, m)| !gone(m)) else { return false };
            newest_now.extend((left != *id).then_some(left));
            *id = left;
            true
        };
        lineages.retain(|_, lineage| {
            lineage.values_mut().for_each(|newest| newest.retain(|_, id| outlasts(id)));
            lineage.retain(|_, newest| !newest.is_empty());
            !lineage.is_empty()
        });
        ledger.lineages = lineages;
        ledger.mitigations.retain(|_, m| !gone(m));
        let live = &ledger.mitigations;
        ledger.renewals.retain(|id| live.contains_key(id));
        ledger.proposals.retain(|_, expires| *expires > now);
        let over = |p: &PlanRecord| p.plan.mitigations.iter().all(|m| now.since(m.expires) > REMEMBER_ENDED);
        ledger.plans.retain(|_, record| record.state == PlanState::Proposed || !over(record));
        newest_now.iter().for_each(|id| self.ongoing.note(&self.ledger, id));
    }

    /// Findings that ended, once the charter's time to forget has passed without anybody seeing their observable: the
    /// journal has them, and all that was said of them. Once a day of the journal's time, so that whoever replays it
    /// forgets the same. `spoken_of`: more of this one may follow in the same turn.
    pub(crate) fn forget_findings(&mut self, now: Timestamp, spoken_of: Option<FindingId>) {
        let Some(in_force) = &self.charter else { return };
        let after = in_force.charter.corroboration.forget_after;
        let (engine, ledger) = (&self.engine, &mut self.ledger);
        let open = self.ongoing.open().filter_map(|plan| ledger.plans.get(plan));
        let planned = open.flat_map(|record| &record.plan.mitigations).map(|mitigation| mitigation.finding);
        let shown = ledger.mitigations.values().filter(|m| now.since(m.expires) <= REMEMBER_ENDED).map(|m| m.finding);
        let kept: BTreeSet<FindingId> = planned.chain(shown).chain(spoken_of).collect();
        ledger.findings.retain(|id, finding| {
            let over = finding.state != FindingState::Corroborated && now.since(finding.made) > after;
            let key = || engine.keys().finding(&finding.observable, finding.family);
            !over || kept.contains(id) || engine.remembers(key(), now)
        });
        let known = &ledger.findings;
        ledger.disputes.retain(|id, _| known.contains_key(id));
        ledger.objections.retain(|id, _| known.contains_key(id));
        ledger.held.retain(|id, _| known.contains_key(id));
        ledger.unwithdrawn.retain(|id| known.contains_key(id));
    }
}

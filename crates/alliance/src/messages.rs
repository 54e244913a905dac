//! What goes to whose agent, and what is in force for a member that reconnects.

use crate::entry::{Entry, Event};
use crate::state::{Alliance, PlanState};
use model::{
    FindingId, Handling, MemberId, Mitigation, MitigationId, PlanId, SignedKeyChange, StreamMessage, Timestamp,
    Withdrawal,
};
use std::collections::BTreeMap;

impl Alliance {
    /// The messages that an entry, already applied, means for each member's agent.
    pub fn messages(&self, entry: &Entry) -> Vec<(MemberId, StreamMessage)> {
        match &entry.event {
            Event::PlanInForce { plan, .. } => self.parts_of(*plan),
            Event::Withdrawn { withdrawals } => by_member(withdrawals),
            Event::FindingsChanged { findings } => self.findings_for_all(findings),
            Event::CharterAdopted(_) => self.charter_for_all(),
            Event::KeyChanged(signed) => self.for_all(&StreamMessage::Keys(vec![SignedKeyChange::clone(signed)])),
            _ => Vec::new(),
        }
    }

    /// What a member's agent has to know when it connects: its parts of plans in force, each with the position by which
    /// it was announced, later than `after`, in order; and the withdrawals it may have missed.
    pub fn in_force_for(&self, member: &MemberId, after: Option<u64>) -> Vec<(u64, StreamMessage)> {
        let mut messages: Vec<(u64, StreamMessage)> = Vec::new();
        for record in self.ledger.plans.values() {
            let PlanState::InForce { position, .. } = record.state else { continue };
            if after.is_some_and(|after| position <= after) {
                continue;
            }
            let Some(mut part) = record.plan.parts(&record.approvals).remove(member) else { continue };
            part.items.retain(|item| self.stands(&item.mitigation));
            part.evidence.retain(|finding, _| part.items.iter().any(|item| item.mitigation.finding == *finding));
            if !part.items.is_empty() {
                messages.push((position, StreamMessage::Part(Box::new(part))));
            }
        }
        messages.sort_by_key(|(position, _)| *position);
        // Before anything that a new key has signed, and whatever was missed: a reader takes each change once.
        if !self.ledger.keys.changes.is_empty() {
            messages.insert(0, (after.unwrap_or(0), StreamMessage::Keys(self.ledger.keys.changes.clone())));
        }
        // By itself, whatever the reader's place in the stream: its memory may be ahead of that.
        let replaced = self.withdrawn_and_planned_anew(member);
        if !replaced.is_empty() {
            messages.insert(0, (after.unwrap_or(0), StreamMessage::Withdrawn(replaced)));
        }
        let revoked = self.withdrawn_for(member);
        if !revoked.is_empty() {
            let last = self.ledger.next_position.saturating_sub(1);
            messages.push((last, StreamMessage::Withdraw(revoked)));
        }
        messages
    }

    /// May `viewer` see what is handled like this? Without a viewer it is the hub's own operator, who may not see RED.
    pub fn may_see(&self, viewer: Option<&MemberId>, handling: &Handling) -> bool {
        if handling.tlp == model::Tlp::Red {
            return false;
        }
        let Some(viewer) = viewer else { return true };
        if self.charter().and_then(|charter| charter.member(viewer).ok()).is_some_and(|of| !of.reads(handling.tlp)) {
            return false;
        }
        let Some(group) = &handling.group else { return true };
        let members = self.charter.as_ref().and_then(|c| c.charter.group(group)).map(|g| &g.members);
        members.is_some_and(|members| members.contains(viewer))
    }

    /// Neither ended, nor withdrawn, nor renewed: whoever begins anew is given nothing that it would take back to life.
    fn stands(&self, mitigation: &Mitigation) -> bool {
        let of_finding = self.ledger.lineages.get(&mitigation.finding);
        let newest = of_finding.and_then(|lineage| lineage.get(&mitigation.member)?.get(&mitigation.lineage()));
        newest == Some(&mitigation.id()) && self.ledger.time.is_none_or(|time| mitigation.expires > time)
    }

    fn parts_of(&self, plan: PlanId) -> Vec<(MemberId, StreamMessage)> {
        let Some(record) = self.ledger.plans.get(&plan) else { return Vec::new() };
        let parts = record.plan.parts(&record.approvals);
        parts.into_iter().map(|(member, part)| (member, StreamMessage::Part(Box::new(part)))).collect()
    }

    /// What was withdrawn and would still last: whatever an agent still has in force of these findings is to end. A
    /// plan that persons approved for a finding that has faded since was not withdrawn, and stands.
    fn withdrawn_for(&self, member: &MemberId) -> Vec<Withdrawal> {
        let time = self.ledger.time.unwrap_or(Timestamp::MIN);
        let stands =
            |finding: &FindingId| self.ledger.lineages.get(finding).is_some_and(|lineage| lineage.contains_key(member));
        let ended =
            |m: &&crate::state::MitigationRecord| m.member == *member && m.expires > time && !stands(&m.finding);
        let candidates = self.ledger.mitigations.values().filter(ended);
        let mut withdrawals: Vec<Withdrawal> = candidates
            .filter_map(|m| self.ledger.findings.get(&m.finding))
            .map(|finding| Withdrawal {
                member: member.clone(),
                finding: finding.id,
                reason: format!("withdrawn before; the finding is {}", finding.state),
                made: time,
            })
            .collect();
        withdrawals.dedup();
        withdrawals
    }

    /// What was withdrawn and would still last, of findings that were planned anew since: whoever was away holds it,
    /// and may refuse what took its place.
    fn withdrawn_and_planned_anew(&self, member: &MemberId) -> Vec<MitigationId> {
        let time = self.ledger.time.unwrap_or(Timestamp::MIN);
        let of_member = || self.ledger.mitigations.iter().filter(|(_, record)| record.member == *member);
        let mut last: BTreeMap<FindingId, Timestamp> = BTreeMap::new();
        for (_, record) in of_member() {
            let Some(made) = record.withdrawn else { continue };
            let last = last.entry(record.finding).or_insert(made);
            *last = made.max(*last);
        }
        let of_finding = |finding| self.ledger.lineages.get(finding).and_then(|lineage| lineage.get(member));
        // What a renewal had replaced ended with it, and is not marked.
        let over = of_member().filter(|(id, record)| {
            let ended = last.get(&record.finding).is_some_and(|last| record.since <= *last);
            let newest = of_finding(&record.finding);
            ended && record.expires > time && newest.is_some_and(|newest| newest.values().all(|newest| newest != *id))
        });
        over.map(|(id, _)| *id).collect()
    }

    fn charter_for_all(&self) -> Vec<(MemberId, StreamMessage)> {
        let Some(in_force) = &self.charter else { return Vec::new() };
        self.for_all(&StreamMessage::Charter { version: in_force.charter.alliance.version })
    }

    fn for_all(&self, message: &StreamMessage) -> Vec<(MemberId, StreamMessage)> {
        let members = self.charter.iter().flat_map(|in_force| &in_force.charter.members);
        members.map(|member| (member.id.clone(), message.clone())).collect()
    }
}

fn by_member(withdrawals: &[Withdrawal]) -> Vec<(MemberId, StreamMessage)> {
    let mut members: BTreeMap<MemberId, Vec<Withdrawal>> = BTreeMap::new();
    for withdrawal in withdrawals {
        members.entry(withdrawal.member.clone()).or_default().push(withdrawal.clone());
    }
    members.into_iter().map(|(member, list)| (member, StreamMessage::Withdraw(list))).collect()
}

//! Findings into plans, and what persons say to them.

use crate::entry::{Author, Event};
use crate::handle::{Drafted, ended, internal};
use crate::judge::Judged;
use crate::proposal::SignedProposal;
use crate::state::{Alliance, PlanRecord, PlanState};
use charter::{Charter, Guards};
use decide::{Candidate, CheckContext, Draft, Head, InForce, Input, Lineage, Vote};
use model::{
    Class, GroupId, Handling, MemberId, MitigationState, Plan, PlanId, Refusal, Role, Rule, SignedApproval, Span,
    Statement as _, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Longest reason of a proposal, in characters.
const PROPOSAL_REASON_CHARS_MAX: usize = 200;

impl Alliance {
    /// One automatic plan for the findings of the moment, for each audience; in force at once if the checker agrees.
    pub(crate) fn automatic_plans(&self, judged: Vec<Judged>, now: Timestamp) -> Vec<Drafted> {
        let now = self.after_withdrawals(now);
        let Some(in_force) = &self.charter else { return Vec::new() };
        let Some(guards) = &in_force.guards else { return Vec::new() };
        let mut audiences: BTreeMap<(Option<GroupId>, usize), Vec<Judged>> = BTreeMap::new();
        let at_once = findings_at_once(in_force.charter.members.len());
        for (i, judged) in judged.into_iter().enumerate() {
            audiences.entry((judged.finding.handling.group.clone(), i / at_once)).or_default().push(judged);
        }
        let mut room_taken = self.room_taken(now);
        let mut drafts = Vec::new();
        let mut head = Head { plan: self.ledger.parent, generation: self.ledger.generation };
        for ((group, _), judged) in audiences {
            let charter = self.audience(&in_force.charter, group.as_ref());
            let in_force_now = self.lineages_in_force(&judged, now);
            let candidates: Vec<Candidate> = judged.iter().map(|j| self.candidate(j, &charter, now)).collect();
            let planned = decide::plan(&Input {
                charter: &charter,
                guards,
                candidates: &candidates,
                in_force: &in_force_now,
                room_taken: &room_taken,
                trust_alone: &BTreeMap::new(),
                parent: head.plan,
                generation: head.generation + 1,
                now,
            });
            for skipped in planned.skipped.into_iter().filter(|s| s.member.is_none()) {
                let finding = judged.iter().find(|j| j.finding.id == skipped.finding).map(|j| &j.finding);
                drafts.extend(finding.and_then(|finding| self.held(finding, skipped.refusal)));
            }
            for plan in planned.plans {
                let handling = handling_of(&plan, &judged);
                let (id, asked) = (plan.id(), members_asked(&plan, &in_force_now));
                drafts.extend(self.propose_checked(plan, handling, &charter, guards, &mut head, now));
                // What this one takes the next one does not have.
                for member in asked.into_iter().filter(|_| head.plan == Some(id)) {
                    *room_taken.entry(member).or_default() += 1;
                }
            }
        }
        drafts
    }

    /// The charter as it is for one audience: members outside a group are asked for nothing.
    fn audience(&self, charter: &Charter, group: Option<&GroupId>) -> Charter {
        let mut charter = charter.clone();
        if let Some(id) = group {
            let inside: BTreeSet<MemberId> = charter.group(id).map(|g| g.members.clone()).unwrap_or_default();
            for member in charter.members.iter_mut().filter(|m| !inside.contains(&m.id)) {
                member.roles.remove(&Role::Operator);
            }
        }
        charter
    }

    /// A withdrawal ends what was planned up to its moment, also where it arrives after what was planned since: that is
    /// of a later one.
    fn after_withdrawals(&self, now: Timestamp) -> Timestamp {
        if self.ledger.withdrawn == Some(now) { now.plus(Span::millis(1)) } else { now }
    }

    fn candidate<'a>(&self, judged: &'a Judged, charter: &Charter, now: Timestamp) -> Candidate<'a> {
        let (finding, keys) = (&judged.finding, self.engine.keys());
        let (key, near) =
            (keys.finding(&finding.observable, finding.family), keys.neighbourhood_of(&finding.observable));
        let relevance = charter.members.iter().filter_map(|member| {
            let score = self.engine.relevance_score(key, near, self.number(&member.id)?, now)?;
            Some((member.id.clone(), score))
        });
        Candidate { finding, evidence: judged.evidence.clone(), relevance: relevance.collect() }
    }

    /// What is in force now of these findings, or on its way to be, by lineage: also what waits for persons is not
    /// asked for twice.
    fn lineages_in_force(&self, judged: &[Judged], now: Timestamp) -> BTreeMap<Lineage, InForce> {
        let mut in_force: BTreeMap<Lineage, InForce> = self.waiting(now).collect();
        for finding in judged.iter().map(|judged| judged.finding.id) {
            let members = self.ledger.lineages.get(&finding).into_iter().flatten();
            let newest = members.flat_map(|(member, newest)| newest.iter().map(move |(id, m)| (member, id, m)));
            for (member, lineage, id) in newest {
                let record = self.ledger.mitigations.get(id).filter(|m| m.expires > now && !lets_go(m.state));
                let plan = record.and_then(|m| self.ledger.plans.get(&m.plan));
                if let (Some(record), Some(plan)) = (record, plan) {
                    let lineage = Lineage { member: member.clone(), finding, id: *lineage };
                    let generation = plan.plan.header.generation;
                    in_force.insert(lineage, InForce { generation, since: record.since, expires: record.expires });
                }
            }
        }
        in_force
    }

    /// What plans that wait for persons would put in force.
    fn waiting(&self, now: Timestamp) -> impl Iterator<Item = (Lineage, InForce)> {
        let records = self.ongoing.open().filter_map(|id| self.ledger.plans.get(id));
        records.flat_map(move |record| {
            let (generation, since) = (record.plan.header.generation, record.plan.header.made);
            let live = record.plan.mitigations.iter().filter(move |m| m.expires > now);
            live.map(move |m| (Lineage::of(m), InForce { generation, since, expires: m.expires }))
        })
    }

    /// How much room each member has given away: what is in force, and what waits for persons and is not in force yet.
    fn room_taken(&self, now: Timestamp) -> BTreeMap<MemberId, usize> {
        let mut taken = self.ongoing.room_taken(now);
        let waiting: BTreeSet<Lineage> = self.waiting(now).map(|(lineage, _)| lineage).collect();
        for lineage in waiting {
            let members = self.ledger.lineages.get(&lineage.finding);
            let newest = members.and_then(|members| members.get(&lineage.member)?.get(&lineage.id));
            if newest.is_none_or(|newest| !self.ongoing.takes_room(newest)) {
                *taken.entry(lineage.member).or_default() += 1;
            }
        }
        taken
    }

    /// The second judge, before anybody hears of the plan.
    fn propose_checked(
        &self,
        plan: Plan,
        handling: Handling,
        charter: &Charter,
        guards: &Guards,
        head: &mut Head,
        now: Timestamp,
    ) -> Vec<Drafted> {
        let trust_alone = BTreeMap::new();
        let context = CheckContext { charter, guards, trust_alone: &trust_alone, head: Some(*head), now };
        let fault = decide::check(&plan, &context).into_iter().find(|f| f.severity == decide::Severity::Refused);
        if let Some(fault) = fault {
            return self.held_plan(&plan, handling, fault.refusal);
        }
        let (digest, class) = (plan.header.digest(), plan.header.class);
        let id = PlanId::of(&digest);
        *head = Head { plan: Some(id), generation: plan.header.generation };
        let mut drafts = vec![Drafted::hub(handling.clone(), Event::PlanProposed(Box::new(plan)))];
        if class == Class::Automatic {
            drafts.push(Drafted::hub(handling, Event::PlanInForce { plan: id, digest: Some(digest) }));
        }
        drafts
    }

    /// A plan that the checker does not let pass is named in the journal once for each of its findings.
    fn held_plan(&self, plan: &Plan, handling: Handling, refusal: Refusal) -> Vec<Drafted> {
        let subjects: BTreeMap<_, _> = plan.mitigations.iter().map(|m| (m.finding, m.observable.clone())).collect();
        let known = |id: &model::FindingId| self.ledger.held.get(id).is_some_and(|rules| rules.contains(&refusal.rule));
        (subjects.into_iter().filter(|(id, _)| !known(id)))
            .map(|(finding, observable)| {
                let event = Event::Held { finding, observable, refusal: refusal.clone() };
                Drafted::hub(handling.clone(), event)
            })
            .collect()
    }

    pub(crate) fn approve(&self, signed: SignedApproval, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let in_force = self.in_force()?;
        let approval = &signed.approval;
        let id = PlanId::of(&approval.plan);
        let open =
            |record: &&PlanRecord| record.state == PlanState::Proposed && record.plan.header.digest() == approval.plan;
        let unknown = || Refusal::new(Rule::UnknownPlan, id, "a plan that waits for approvals");
        let record = self.ledger.plans.get(&id).filter(open).ok_or_else(unknown)?;
        let header = &record.plan.header;
        let acting = record.plan.mitigations.first().map(|m| &m.member);
        decide::admit(&signed, header, acting, &in_force.charter, now)?;
        let said = |a: &SignedApproval| a.approval.person == approval.person && a.approval.verdict == approval.verdict;
        if record.approvals.iter().any(said) {
            return Err(Refusal::new(Rule::ApprovalReplayed, &approval.person, "one verdict a person and plan"));
        }
        let author = Author::Person(approval.person.clone());
        let mut approvals = record.approvals.clone();
        approvals.push(signed.clone());
        let mut drafts = vec![Drafted {
            author,
            handling: record.handling.clone(),
            event: Event::Approved(signed),
            sightings: None,
        }];
        let tally = decide::count(header, acting, &approvals, &in_force.charter, now);
        let event = match tally.vote {
            Vote::Waiting { .. } => None,
            Vote::Rejected => {
                Some(Event::PlanClosed { plan: header.id(), reason: "rejected by its approvers".to_owned() })
            }
            Vote::Approved { .. } => Some(self.enact(record, now)),
        };
        drafts.extend(event.map(|event| Drafted::hub(record.handling.clone(), event)));
        Ok(drafts)
    }

    /// An approved plan comes into force unless the checker, asked once more, says that the world has changed.
    fn enact(&self, record: &PlanRecord, now: Timestamp) -> Event {
        let plan = record.plan.id();
        let refused = match self.charter.as_ref().and_then(|c| Some((&c.charter, c.guards.as_ref()?))) {
            None => Some("no guards are loaded".to_owned()),
            Some((charter, guards)) => {
                let trust_alone = BTreeMap::new();
                let context = CheckContext { charter, guards, trust_alone: &trust_alone, head: None, now };
                let faults = decide::check(&record.plan, &context);
                faults.into_iter().find(|f| f.severity == decide::Severity::Refused).map(|f| f.refusal.to_string())
            }
        };
        match refused {
            None => Event::PlanInForce { plan, digest: Some(record.plan.header.digest()) },
            Some(reason) => Event::PlanClosed { plan, reason },
        }
    }

    pub(crate) fn propose(&self, signed: SignedProposal, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let now = self.after_withdrawals(now);
        let in_force = self.in_force()?;
        let proposal = &signed.proposal;
        self.require_person(&proposal.person, now)?;
        if !(1..=PROPOSAL_REASON_CHARS_MAX).contains(&proposal.reason.chars().count()) {
            let limit = format!("a reason of 1 to {PROPOSAL_REASON_CHARS_MAX} characters");
            return Err(Refusal::new(Rule::Malformed, &proposal.reason, limit));
        }
        let unknown = || Refusal::new(Rule::UnknownFinding, proposal.finding, "a finding the alliance holds");
        let finding = self.ledger.findings.get(&proposal.finding).ok_or_else(unknown)?;
        let closed =
            || Refusal::new(Rule::GuardNever, &finding.observable, "a charter whose guard lists are all there");
        let guards = in_force.guards.as_ref().ok_or_else(closed)?;
        if proposal.members.is_empty() {
            return Err(Refusal::new(Rule::NotForUs, "no members", "members by name; nobody means nobody"));
        }
        let draft = Draft {
            person: proposal.person.clone(),
            finding,
            evidence: Vec::new(),
            measure: proposal.measure.clone(),
            members: proposal.members.iter().cloned().collect(),
            lasts: proposal.lasts,
            reason: proposal.reason.clone(),
        };
        let head = Some(Head { plan: self.ledger.parent, generation: self.ledger.generation });
        let trust_alone = BTreeMap::new();
        let context = CheckContext { charter: &in_force.charter, guards, trust_alone: &trust_alone, head, now };
        let (plan, _notices) = decide::propose(&draft, &context).map_err(first_refusal)?;
        let author = Author::Person(proposal.person.clone());
        let handling = finding.handling.clone();
        let said = |event| Drafted { author: author.clone(), handling: handling.clone(), event, sightings: None };
        Ok(vec![said(Event::Proposed(Box::new(signed))), said(Event::PlanProposed(Box::new(plan)))])
    }
}

/// How many findings one plan may cover, so that its entry stays well within what the journal takes (16 MiB): about 1
/// kB for each member's mitigation, 8 kB for the evidence.
fn findings_at_once(members: usize) -> usize {
    const PLAN_BYTES: usize = 8 << 20;
    (PLAN_BYTES / (8_192 + members * 1_024)).max(1)
}

/// Whom a plan asks for something new, once for each: what renews takes no room.
fn members_asked(plan: &Plan, in_force: &BTreeMap<Lineage, InForce>) -> Vec<MemberId> {
    let new = plan.mitigations.iter().filter(|mitigation| !in_force.contains_key(&Lineage::of(mitigation)));
    new.map(|mitigation| mitigation.member.clone()).collect()
}

/// A mitigation whose member lifted or refused it is not in force there; its lineage may be asked again.
pub(crate) fn lets_go(state: MitigationState) -> bool {
    ended(state) && state != MitigationState::Refused
}

fn first_refusal(faults: Vec<decide::Fault>) -> Refusal {
    let refused = faults.into_iter().find(|f| f.severity == decide::Severity::Refused).map(|f| f.refusal);
    refused.unwrap_or_else(|| Refusal::new(Rule::Malformed, "the plan", "a plan without faults"))
}

/// The strictest handling of the findings a plan acts upon; they have one audience.
fn handling_of(plan: &Plan, judged: &[Judged]) -> Handling {
    let used: BTreeSet<_> = plan.mitigations.iter().map(|m| m.finding).collect();
    let handlings = judged.iter().filter(|j| used.contains(&j.finding.id)).map(|j| j.finding.handling.clone());
    handlings.reduce(|a, b| a.strictest(&b).unwrap_or(a)).unwrap_or_else(internal)
}

//! What can be asked: typed answers for API, command line and console. A viewer sees only what its handling allows.

use crate::archive::Archive;
use crate::state::{Alliance, MitigationRecord, PlanRecord, PlanState};
use model::{
    BlastRadius, Capability, Class, Family, Finding, FindingId, FindingState, GuardHit, MemberId, MemberKind,
    MitigationId, MitigationNow, MitigationState, Observable, PlanId, Role, Rule, Segment, SignedDispute, Standing,
    Timestamp, Verdict,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The alliance in one screen.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The alliance's name.
    pub alliance: String,
    /// The charter's version.
    pub charter: u64,
    /// Entries in the journal.
    pub entries: u64,
    /// Time of the latest entry.
    pub latest: Option<Timestamp>,
    /// Members of the charter.
    pub members: usize,
    /// Sightings accepted in all.
    pub sightings: u64,
    /// Observables held.
    pub observables: usize,
    /// Findings by state.
    pub findings: BTreeMap<&'static str, u64>,
    /// Plans that wait for approvals.
    pub plans_waiting: usize,
    /// Mitigations by what is known of them now.
    pub mitigations: BTreeMap<&'static str, u64>,
    /// Refusals in the journal, by rule.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Entries by kind.
    pub entries_by_kind: BTreeMap<String, u64>,
    /// Time to protection: from the sighting that corroborates to the read-back, of the last mitigations.
    pub time_to_protection: Option<TimeToProtection>,
    /// The same, one by one, milliseconds, in the order of measuring.
    #[serde(skip)]
    pub protections_millis: Vec<i64>,
}

/// Time to protection as a few figures, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct TimeToProtection {
    /// How many were measured.
    pub count: usize,
    /// Half were protected within this.
    pub p50_ms: u64,
    /// 99 of 100 were.
    pub p99_ms: u64,
    /// All were.
    pub last_ms: u64,
}

/// One plan, with where it stands.
#[derive(Clone, Debug, Serialize)]
pub struct PlanView {
    /// The plan's identifier.
    pub id: PlanId,
    /// Digest that approvals sign.
    pub digest: model::Digest,
    /// Where it stands.
    pub state: &'static str,
    /// Why it was closed, or since when it is in force.
    pub note: String,
    /// How it comes into force.
    pub class: Class,
    /// Its number.
    pub generation: u64,
    /// The plan it follows.
    pub parent: Option<PlanId>,
    /// When it was made.
    pub made: Timestamp,
    /// Why.
    pub reasons: Vec<String>,
    /// How much it touches.
    pub blast_radius: BlastRadius,
    /// Who has said yes.
    pub approved_by: Vec<String>,
    /// Who has said no.
    pub rejected_by: Vec<String>,
    /// How many distinct members (or persons of the owner) must say yes.
    pub approvals_needed: u32,
    /// The mitigations.
    pub mitigations: Vec<PlannedView>,
}

/// One mitigation as a plan proposes it.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedView {
    /// Its identifier.
    pub id: MitigationId,
    /// Who is asked.
    pub member: MemberId,
    /// What is to be done.
    pub measure: String,
    /// The finding behind it.
    pub finding: FindingId,
    /// When it ends.
    pub expires: Timestamp,
}

/// One mitigation in force or lately ended.
#[derive(Clone, Debug, Serialize)]
pub struct MitigationView {
    /// Its identifier.
    pub id: MitigationId,
    /// What is known of it.
    #[serde(flatten)]
    pub record: MitigationRecord,
    /// What is known as of now: after its end, that its agent has not said how it ended.
    pub now: MitigationNow,
}

/// One member.
#[derive(Clone, Debug, Serialize)]
pub struct MemberView {
    /// Short name.
    pub id: MemberId,
    /// The company.
    pub name: String,
    /// How far it belongs.
    pub kind: MemberKind,
    /// How far it is trusted.
    pub standing: Standing,
    /// Segments.
    pub segments: BTreeSet<Segment>,
    /// Roles.
    pub roles: BTreeSet<Role>,
    /// Capabilities.
    pub capabilities: BTreeSet<Capability>,
    /// Points its word weighs now.
    pub weight: f64,
    /// Sightings it sent in all.
    pub sightings: u64,
    /// When it last sent something.
    pub heard: Option<Timestamp>,
    /// Median time to protection, milliseconds, of its last mitigations.
    pub protection_millis: Option<i64>,
}

/// The answer to `why VALUE`.
#[derive(Clone, Debug, Serialize)]
pub struct Why {
    /// What was asked.
    pub observable: Observable,
    /// Is it known to the alliance at all?
    pub known: bool,
    /// What a guard says of it.
    pub guard: Option<GuardHit>,
    /// Who has proven it to be its own.
    pub owner: Option<MemberId>,
    /// What is held of it, for each family in which it was reported.
    pub findings: Vec<WhyFinding>,
}

/// One finding of a `why`.
#[derive(Clone, Debug, Serialize)]
pub struct WhyFinding {
    /// The finding as it stands now, its sum counted anew.
    pub finding: Finding,
    /// The state in one sentence.
    pub sentence: &'static str,
    /// Where it is blocked, by whom, since, until.
    pub mitigations: Vec<MitigationView>,
    /// Who disputes it.
    pub disputes: Vec<SignedDispute>,
    /// Who objects to it without a person's signature; that informs, and does not count.
    pub objections: Vec<crate::objects::ObjectionView>,
    /// Rules that kept it from going further.
    pub held: BTreeSet<Rule>,
}

impl WhyFinding {
    /// A finding that the alliance has forgotten, as the journal has it: it ended long ago, and nothing is in force.
    pub fn forgotten(finding: Finding) -> Self {
        Self {
            sentence: finding.state.explains(),
            mitigations: Vec::new(),
            disputes: Vec::new(),
            objections: Vec::new(),
            held: BTreeSet::new(),
            finding,
        }
    }
}

impl Alliance {
    /// The alliance in one screen.
    pub fn status(&self, now: Timestamp) -> Status {
        let ledger = &self.ledger;
        let charter = self.charter();
        let mut findings = BTreeMap::new();
        ledger.findings.values().for_each(|f| *findings.entry(f.state.as_str()).or_default() += 1);
        let mut mitigations = BTreeMap::new();
        let live = ledger.mitigations.values().map(|record| state_now(record, now));
        live.for_each(|state| *mitigations.entry(state.as_str()).or_default() += 1);
        Status {
            alliance: charter.map_or_else(String::new, |c| c.alliance.name.clone()),
            charter: charter.map_or(0, |c| c.alliance.version),
            entries: ledger.next_position,
            latest: ledger.time,
            members: charter.map_or(0, |c| c.members.len()),
            sightings: ledger.sightings,
            observables: self.engine.len(),
            findings,
            plans_waiting: ledger.plans.values().filter(|p| p.state == PlanState::Proposed).count(),
            mitigations,
            refusals: ledger.refusals.iter().map(|(rule, n)| (rule.name(), *n)).collect(),
            entries_by_kind: ledger.entries.clone(),
            time_to_protection: self.time_to_protection(),
            protections_millis: ledger.protections.iter().map(|p| p.millis).collect(),
        }
    }

    /// Sightings accepted in all.
    pub fn sightings(&self) -> u64 {
        self.ledger.sightings
    }

    /// Findings that the viewer may see, by identifier, after `after`.
    pub fn findings(
        &self,
        viewer: Option<&MemberId>,
        state: Option<FindingState>,
        after: Option<FindingId>,
        limit: usize,
    ) -> Vec<Finding> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let all = self.ledger.findings.range((from, std::ops::Bound::Unbounded)).map(|(_, f)| f.as_ref());
        all.filter(|f| self.may_see(viewer, &f.handling) && state.is_none_or(|s| f.state == s))
            .take(limit)
            .cloned()
            .collect()
    }

    /// One finding, if the viewer may see it.
    pub fn finding(&self, id: FindingId, viewer: Option<&MemberId>) -> Option<&Finding> {
        self.ledger.findings.get(&id).map(AsRef::as_ref).filter(|f| self.may_see(viewer, &f.handling))
    }

    /// Plans that the viewer may see, newest first.
    pub fn plans(&self, viewer: Option<&MemberId>, limit: usize) -> Vec<PlanView> {
        let mut records: Vec<_> = self.ledger.plans.values().filter(|p| self.may_see(viewer, &p.handling)).collect();
        records.sort_by_key(|record| std::cmp::Reverse(record.plan.header.generation));
        records.into_iter().take(limit).map(|record| self.plan_view(record)).collect()
    }

    /// One plan, if the viewer may see it.
    pub fn plan(&self, id: PlanId, viewer: Option<&MemberId>) -> Option<&PlanRecord> {
        self.ledger.plans.get(&id).filter(|p| self.may_see(viewer, &p.handling))
    }

    /// A plan as people read it.
    pub fn plan_view(&self, record: &PlanRecord) -> PlanView {
        let header = &record.plan.header;
        let said = |verdict: Verdict| {
            let said = record.approvals.iter().filter(|a| a.approval.verdict == verdict);
            said.map(|a| a.approval.person.to_string()).collect()
        };
        let (state, note) = match &record.state {
            PlanState::Proposed => ("proposed", String::new()),
            PlanState::InForce { since, .. } => ("in-force", format!("since {since}")),
            PlanState::Closed { reason } => ("closed", reason.clone()),
        };
        PlanView {
            id: header.id(),
            digest: model::Statement::digest(header),
            state,
            note,
            class: header.class,
            generation: header.generation,
            parent: header.parent,
            made: header.made,
            reasons: header.reasons.clone(),
            blast_radius: header.blast_radius,
            approved_by: said(Verdict::Approve),
            rejected_by: said(Verdict::Reject),
            approvals_needed: self.approvals_needed(header.class),
            mitigations: record.plan.mitigations.iter().map(planned).collect(),
        }
    }

    /// Mitigations of findings that the viewer may see.
    pub fn mitigations(&self, viewer: Option<&MemberId>, of: Option<&MemberId>, now: Timestamp) -> Vec<MitigationView> {
        let wanted = |record: &&MitigationRecord| of.is_none_or(|member| record.member == *member);
        let seen = |record: &&MitigationRecord| self.finding(record.finding, viewer).is_some();
        let all = self.ledger.mitigations.iter().filter(|(_, record)| wanted(record) && seen(record));
        all.map(|(id, record)| mitigation_view(*id, record, now)).collect()
    }

    /// The members of the charter in force.
    pub fn members(&self, now: Timestamp) -> Vec<MemberView> {
        let members = self.charter().map_or(&[][..], |c| c.members.as_slice());
        members.iter().map(|member| self.member_view(member, now)).collect()
    }

    /// All tokens, without secrets.
    pub fn tokens(&self) -> Vec<&crate::TokenRecord> {
        self.ledger.tokens.values().collect()
    }

    /// Why is this blocked, or not?
    pub fn why(
        &self,
        observable: &Observable,
        viewer: Option<&MemberId>,
        now: Timestamp,
        archive: &dyn Archive,
    ) -> Why {
        let findings: Vec<WhyFinding> = (Family::ALL.iter())
            .filter_map(|family| self.judge_for(viewer, observable, *family, now, archive))
            .filter(|judged| self.may_see(viewer, &judged.finding.handling))
            .map(|judged| self.why_finding(judged.finding, viewer, now))
            .collect();
        let guards = self.charter.as_ref().and_then(|c| c.guards.as_ref());
        Why {
            observable: observable.clone(),
            known: !findings.is_empty(),
            guard: self.guard(observable),
            owner: guards.and_then(|g| g.owner(observable)).cloned(),
            findings,
        }
    }

    fn time_to_protection(&self) -> Option<TimeToProtection> {
        let times: Vec<u64> = self.ledger.protections.iter().map(|p| p.millis.max(0).unsigned_abs()).collect();
        let figures = account::Figures::of(&times)?;
        let (count, last_ms) = (figures.count, figures.max_ms);
        Some(TimeToProtection { count, p50_ms: figures.p50_ms, p99_ms: figures.p99_ms, last_ms })
    }

    fn why_finding(&self, finding: Finding, viewer: Option<&MemberId>, now: Timestamp) -> WhyFinding {
        let id = finding.id;
        let of = self.ledger.mitigations.iter().filter(|(_, record)| record.finding == id);
        WhyFinding {
            sentence: finding.state.explains(),
            mitigations: of.map(|(mitigation, record)| mitigation_view(*mitigation, record, now)).collect(),
            disputes: self.ledger.disputes.get(&id).cloned().unwrap_or_default(),
            objections: self.objections_seen(viewer, &finding),
            held: self.ledger.held.get(&id).cloned().unwrap_or_default(),
            finding,
        }
    }

    fn member_view(&self, member: &charter::Member, now: Timestamp) -> MemberView {
        let submissions = self.ledger.submissions.get(&member.id);
        let weight = self.number(&member.id).and_then(|n| self.engine.member_weight(n, now).ok());
        let mut times: Vec<i64> =
            (self.ledger.protections.iter()).filter(|p| p.member == member.id).map(|p| p.millis).collect();
        times.sort_unstable();
        MemberView {
            id: member.id.clone(),
            name: member.name.clone(),
            kind: member.kind,
            standing: member.standing,
            segments: member.segments.clone(),
            roles: member.roles.clone(),
            capabilities: member.capabilities.clone(),
            weight: (weight.unwrap_or(0.0) * 1000.0).round() / 1000.0,
            sightings: submissions.map_or(0, |s| s.sightings),
            heard: submissions.and_then(|s| s.heard),
            protection_millis: times.get(times.len() / 2).copied(),
        }
    }

    fn approvals_needed(&self, class: Class) -> u32 {
        match (class, self.charter()) {
            (Class::Automatic, _) | (_, None) => 0,
            (Class::Quorum, Some(charter)) => charter.quorum.plan,
            (Class::Owner, Some(charter)) => charter.quorum.owner_persons,
        }
    }
}

fn planned(mitigation: &model::Mitigation) -> PlannedView {
    PlannedView {
        id: mitigation.id(),
        member: mitigation.member.clone(),
        measure: mitigation.measure.to_string(),
        finding: mitigation.finding,
        expires: mitigation.expires,
    }
}

fn mitigation_view(id: MitigationId, record: &MitigationRecord, now: Timestamp) -> MitigationView {
    MitigationView { id, record: record.clone(), now: state_now(record, now) }
}

/// It ends by its agent's own clock; that it has ended only its agent can say. One that failed is not done by its end.
fn state_now(record: &MitigationRecord, now: Timestamp) -> MitigationNow {
    match record.state {
        // Nobody took it up before it was taken back; whoever comes now is not given it.
        MitigationState::Due if record.withdrawn.is_some() => MitigationState::Withdrawn.into(),
        state if state.is_final() || state == MitigationState::Failed => state.into(),
        _ if record.expires <= now => MitigationNow::Unreported,
        state => state.into(),
    }
}

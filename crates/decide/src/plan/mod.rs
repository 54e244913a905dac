//! The planner: findings into plans. Pure and deterministic; making a plan changes nothing.
//!
//! One automatic plan covers all findings of a moment. Measures that need persons (a finding about a network) go into a
//! second plan of class `quorum`. What is left out is said with the rule that left it out.

pub(crate) mod assemble;
mod expiry;
mod room;
mod support;

use crate::check::mitigation::CAUTIOUS_LONGEST;
use assemble::{Assembly, reasons};
use charter::{Charter, Guards, Member};
use model::{
    Class, Evidence, Finding, FindingId, FindingState, Inverse, LineageId, Measure, MemberId, Mitigation, Plan, PlanId,
    Refusal, Role, Rule, Span, Target, Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that a plan is made of. Frozen: the planner asks nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The charter in force.
    pub charter: &'a Charter,
    /// Its guards.
    pub guards: &'a Guards,
    /// The findings of the moment.
    pub candidates: &'a [Candidate<'a>],
    /// What is in force of these findings, by lineage.
    pub in_force: &'a BTreeMap<Lineage, InForce>,
    /// How many mitigations of any finding each member has in force, or on their way to be.
    pub room_taken: &'a BTreeMap<MemberId, usize>,
    /// Members whose owners have let the alliance know whose evidence they accept alone.
    pub trust_alone: &'a BTreeMap<MemberId, BTreeSet<MemberId>>,
    /// The latest plan.
    pub parent: Option<PlanId>,
    /// The number of the plan to be made: one higher than the latest plan's.
    pub generation: u64,
    /// When it is made.
    pub now: Timestamp,
}

/// A finding with what is needed to plan about it.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// The finding.
    pub finding: &'a Finding,
    /// Signed sightings behind it, strongest reporter first. The caller has verified them.
    pub evidence: Vec<Evidence>,
    /// How likely it is to hit each member within a day, where that is known; higher comes first.
    pub relevance: BTreeMap<MemberId, f64>,
}

/// In what generations count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Lineage {
    /// Whose mitigation.
    pub member: MemberId,
    /// The finding behind it.
    pub finding: FindingId,
    /// The finding with the target: [`Mitigation::lineage`].
    pub id: LineageId,
}

impl Lineage {
    /// The lineage of a mitigation.
    pub fn of(mitigation: &Mitigation) -> Self {
        Self { member: mitigation.member.clone(), finding: mitigation.finding, id: mitigation.lineage() }
    }
}

/// A mitigation in force, or on its way to be: also those of plans that wait for approval belong into
/// [`Input::in_force`], with the end they would have, or the same plan would be made again at every moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InForce {
    /// Its plan's generation.
    pub generation: u64,
    /// When its plan was made.
    pub since: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// What came of an input.
#[derive(Clone, Debug, Default)]
pub struct Planned {
    /// At most one automatic plan, then at most one for a quorum, each the parent of the next.
    pub plans: Vec<Plan>,
    /// What was left out, with the rule.
    pub skipped: Vec<Skipped>,
}

/// A finding that was left out, for all members or for one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Skipped {
    /// The finding.
    pub finding: FindingId,
    /// For whom; none: for everybody.
    pub member: Option<MemberId>,
    /// Why.
    pub refusal: Refusal,
}

/// Makes the plans that these findings call for; none if nothing is to be done.
pub fn plan(input: &Input<'_>) -> Planned {
    let mut planned = Planned::default();
    let mut rooms = room::Rooms::default();
    for candidate in input.candidates {
        match consider(input, candidate) {
            Ok(wanted) => rooms.want(input, candidate, wanted, &mut planned.skipped),
            Err(refusal) => {
                planned.skipped.push(Skipped { finding: candidate.finding.id, member: None, refusal });
            }
        }
    }
    let chosen = rooms.choose(input, &mut planned.skipped);
    let (mut parent, mut generation) = (input.parent, input.generation);
    for class in [Class::Automatic, Class::Quorum] {
        let mut mitigations: Vec<Mitigation> =
            (chosen.iter()).filter(|choice| choice.class == class).map(|choice| choice.mitigation.clone()).collect();
        if mitigations.is_empty() {
            continue;
        }
        mitigations.iter_mut().for_each(|m| m.generation = generation);
        let reasons = reasons(input, &mitigations, &planned.skipped);
        let made = Assembly { charter: input.charter, parent, generation, class, made: input.now, reasons };
        let plan = made.plan(mitigations, evidence_for(input, &chosen, class));
        (parent, generation) = (Some(plan.id()), generation + 1);
        planned.plans.push(plan);
    }
    planned
}

/// What is to be done about a finding, by whom it may be done, and for how long.
pub(crate) struct Wanted {
    pub measure: Measure,
    pub class: Class,
    pub expires: Timestamp,
    pub supporters: BTreeSet<MemberId>,
    pub cautious: bool,
}

fn consider(input: &Input<'_>, candidate: &Candidate<'_>) -> Result<Wanted, Refusal> {
    let finding = candidate.finding;
    stands(finding)?;
    let measure = Measure::deny(&finding.observable)?;
    let class = measure.class().max(Class::Automatic);
    let cautious = unguarded(input, finding, measure.target(), class)?;
    let supporters = match class {
        Class::Automatic => support::supporters(input, candidate, cautious)?,
        _ => BTreeSet::new(),
    };
    let longest = if cautious && class == Class::Automatic { CAUTIOUS_LONGEST } else { Span::days(365) };
    let expires = expiry::expires(input.charter, finding, longest, input.now);
    Ok(Wanted { measure, class, expires, supporters, cautious })
}

/// Only what is corroborated, by evidence that may be acted upon.
fn stands(finding: &Finding) -> Result<(), Refusal> {
    match finding.state {
        FindingState::Corroborated if finding.actionable => Ok(()),
        FindingState::Revoked => Err(Refusal::new(Rule::Barred, &finding.observable, "what was not revoked")),
        state => {
            let value = format!("{} is {state}", finding.observable);
            Err(Refusal::new(Rule::NotCorroborated, value, "corroborated by evidence that may be acted upon"))
        }
    }
}

/// No absolute guard stands before the finding or what would be touched. Gives whether a cautious one does.
fn unguarded(input: &Input<'_>, finding: &Finding, target: &Target, class: Class) -> Result<bool, Refusal> {
    let mut cautious = false;
    for observable in [&finding.observable, &target.observable()] {
        let Some(hit) = input.guards.verdict(observable) else { continue };
        let value = format!("{observable} meets {} ({}, list {})", hit.entry, hit.class, hit.list);
        if hit.absolute {
            let rule = if hit.class == "member-space" { Rule::MemberSpace } else { Rule::GuardNever };
            return Err(Refusal::new(rule, value, "nothing that a guard stands before; a person may propose"));
        }
        cautious = true;
        let threshold = input.charter.corroboration.threshold_cautious;
        if class == Class::Automatic && finding.sum.total < threshold {
            let value = format!("{} points, {value}", finding.sum.total);
            return Err(Refusal::new(Rule::GuardCaution, value, format!("{threshold} points, or a person")));
        }
    }
    Ok(cautious)
}

/// May this member be asked, as far as it itself goes?
fn may_act(member: &Member, finding: &Finding, measure: &Measure, charter: &Charter) -> bool {
    let able = measure.capability().is_none_or(|needed| member.capabilities.contains(&needed));
    let sees = match &finding.handling.group {
        Some(group) => charter.group(group).is_some_and(|group| group.members.contains(&member.id)),
        None => true,
    };
    able && sees && member.require(Role::Operator).is_ok()
}

fn mitigation(input: &Input<'_>, finding: &Finding, member: &MemberId, wanted: &Wanted) -> Mitigation {
    Mitigation {
        member: member.clone(),
        finding: finding.id,
        observable: finding.observable.clone(),
        family: finding.family,
        generation: input.generation,
        measure: wanted.measure.clone(),
        expires: wanted.expires,
        inverse: Inverse::of(wanted.measure.action()),
    }
}

fn evidence_for(input: &Input<'_>, chosen: &[room::Choice], class: Class) -> BTreeMap<FindingId, Vec<Evidence>> {
    let findings: BTreeSet<FindingId> =
        chosen.iter().filter(|c| c.class == class).map(|c| c.mitigation.finding).collect();
    (input.candidates.iter())
        .filter(|candidate| findings.contains(&candidate.finding.id))
        .map(|candidate| (candidate.finding.id, support::shown(input, candidate)))
        .collect()
}

#[cfg(test)]
mod tests;

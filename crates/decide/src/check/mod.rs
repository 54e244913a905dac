//! The checker: a second judge of plans, written apart from the planner.
//!
//! It recomputes what the planner claims (digest, counts, class) and asks every rule that can apply. The hub runs it
//! before a plan is proposed and before it comes into force; the agent runs the same rules on its part alone.

mod blast;
mod header;
pub(crate) mod mitigation;

use crate::evidence::Verifier;
use charter::{Charter, Guards};
use model::{MemberId, MitigationId, Plan, PlanId, Refusal, Rule, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) use header::check_header;

/// What a plan is checked against.
#[derive(Clone, Copy, Debug)]
pub struct CheckContext<'a> {
    /// The charter in force.
    pub charter: &'a Charter,
    /// Its guards.
    pub guards: &'a Guards,
    /// Members whose owners accept the evidence of some other member alone, and of whom. Empty where nobody said so.
    pub trust_alone: &'a BTreeMap<MemberId, BTreeSet<MemberId>>,
    /// The latest plan, where the plan is to follow it; `None` where its place is not in question.
    pub head: Option<Head>,
    /// When it is checked.
    pub now: Timestamp,
}

/// Where the alliance's plans stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// The latest plan; none before the first.
    pub plan: Option<PlanId>,
    /// Its generation; 0 before the first.
    pub generation: u64,
}

/// Something about a plan that a rule has an opinion on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// How bad it is.
    pub severity: Severity,
    /// The mitigation it is about; none: the plan.
    pub mitigation: Option<MitigationId>,
    /// The rule, the value, the limit.
    pub refusal: Refusal,
}

/// How bad a fault is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// The plan must not come into force.
    Refused,
    /// It may, but the persons who approve it should know.
    Notice,
}

/// The faults of a plan, in the order of the plan; none means that every rule agrees.
pub fn check(plan: &Plan, context: &CheckContext<'_>) -> Vec<Fault> {
    let mut faults = Faults::default();
    check_header(&plan.header, context, &mut faults);
    whole(plan, context, &mut faults);
    blast::check_blast(plan, context, &mut faults);
    let mut verifier = Verifier::new(context.charter, context.now);
    for mitigation in &plan.mitigations {
        faults.about = Some(mitigation.id());
        let evidence = plan.evidence.get(&mitigation.finding).map_or(&[][..], Vec::as_slice);
        mitigation::check_mitigation(&plan.header, mitigation, evidence, context, &mut verifier, &mut faults);
    }
    faults.list
}

/// Does any of these faults keep the plan from coming into force?
pub fn is_refused(faults: &[Fault]) -> bool {
    faults.iter().any(|fault| fault.severity == Severity::Refused)
}

/// Faults as they are found.
#[derive(Default)]
pub(crate) struct Faults {
    pub list: Vec<Fault>,
    pub about: Option<MitigationId>,
}

impl Faults {
    pub fn refuse(&mut self, rule: Rule, value: impl std::fmt::Display, limit: impl std::fmt::Display) {
        self.add(Severity::Refused, Refusal::new(rule, value, limit));
    }

    pub fn add(&mut self, severity: Severity, refusal: Refusal) {
        self.list.push(Fault { severity, mitigation: self.about, refusal });
    }

    /// The first refusal, if there is one.
    pub fn first_refusal(&self) -> Option<&Refusal> {
        self.list.iter().find(|fault| fault.severity == Severity::Refused).map(|fault| &fault.refusal)
    }
}

/// What only the whole plan shows: that its digest is of these mitigations, each once, and nothing hangs on it.
fn whole(plan: &Plan, context: &CheckContext<'_>, faults: &mut Faults) {
    let leaves: Vec<_> = plan.mitigations.iter().map(model::Mitigation::leaf).collect();
    if plan.header.count as usize != leaves.len() {
        faults.refuse(Rule::DigestMismatch, format_args!("count {}", plan.header.count), leaves.len());
    }
    let root = model::merkle::root(&leaves);
    if plan.header.root != root {
        faults.refuse(Rule::DigestMismatch, plan.header.root, format_args!("root {root}"));
    }
    if leaves.iter().collect::<BTreeSet<_>>().len() != leaves.len() {
        faults.refuse(Rule::Malformed, "a mitigation twice", "each mitigation once");
    }
    if plan.header.class == model::Class::Owner {
        let members: BTreeSet<_> = plan.mitigations.iter().map(|m| &m.member).collect();
        if members.len() != 1 {
            faults.refuse(
                Rule::BlastRadius,
                format_args!("{} members", members.len()),
                "one member for an owner's plan",
            );
        }
    }
    let findings: BTreeSet<_> = plan.mitigations.iter().map(|m| m.finding).collect();
    if let Some(stray) = plan.evidence.keys().find(|finding| !findings.contains(finding)) {
        faults.refuse(Rule::TooLarge, stray, "evidence for the plan's own findings only");
    }
    follows(plan, context, faults);
}

fn follows(plan: &Plan, context: &CheckContext<'_>, faults: &mut Faults) {
    let Some(head) = context.head else { return };
    if plan.header.parent != head.plan {
        let parent = plan.header.parent.map_or_else(|| "no parent".to_owned(), |id| id.to_string());
        faults.refuse(Rule::OldGeneration, parent, format_args!("{:?}, the latest plan", head.plan));
    }
    if plan.header.generation != head.generation + 1 {
        faults.refuse(Rule::OldGeneration, plan.header.generation, head.generation + 1);
    }
}

#[cfg(test)]
mod tests;

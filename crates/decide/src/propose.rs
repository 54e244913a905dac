//! Plans that a person makes: checked like any other, and in force only when persons approve them.

use crate::check::{CheckContext, Fault, check, is_refused};
use crate::plan::assemble::Assembly;
use model::{Class, Evidence, Finding, Inverse, Measure, MemberId, Mitigation, PersonId, Plan, Span};
use std::collections::{BTreeMap, BTreeSet};

/// What a person wants done.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// Who wants it.
    pub person: PersonId,
    /// The finding behind it.
    pub finding: &'a Finding,
    /// Signed sightings behind the finding, for those who approve.
    pub evidence: Vec<Evidence>,
    /// What is to be done.
    pub measure: Measure,
    /// By whom.
    pub members: BTreeSet<MemberId>,
    /// For how long.
    pub lasts: Span,
    /// Why, in words, at most 200 characters.
    pub reason: String,
}

/// Makes a plan of a draft. Its class is that of the measure, at least `quorum`: persons' plans need approval.
/// `context.head` says which plan it follows. Notices in the result are for those who approve.
///
/// # Errors
/// The faults, if any of them keeps the plan from coming into force.
pub fn propose(draft: &Draft<'_>, context: &CheckContext<'_>) -> Result<(Plan, Vec<Fault>), Vec<Fault>> {
    let head = context.head.unwrap_or_default();
    let generation = head.generation + 1;
    let mitigation = |member: &MemberId| Mitigation {
        member: member.clone(),
        finding: draft.finding.id,
        observable: draft.finding.observable.clone(),
        family: draft.finding.family,
        generation,
        measure: draft.measure.clone(),
        expires: context.now.plus(draft.lasts),
        inverse: Inverse::of(draft.measure.action()),
    };
    let assembly = Assembly {
        charter: context.charter,
        parent: head.plan,
        generation,
        class: draft.measure.class().max(Class::Quorum),
        made: context.now,
        reasons: vec![format!("Proposed by {}.", draft.person), draft.reason.clone()],
    };
    let mitigations: Vec<Mitigation> = draft.members.iter().map(mitigation).collect();
    let evidence = match mitigations.is_empty() || draft.evidence.is_empty() {
        true => BTreeMap::new(),
        false => BTreeMap::from([(draft.finding.id, draft.evidence.clone())]),
    };
    let plan = assembly.plan(mitigations, evidence);
    let faults = check(&plan, context);
    match is_refused(&faults) {
        true => Err(faults),
        false => Ok((plan, faults)),
    }
}

#[cfg(test)]
#[path = "propose_tests.rs"]
mod tests;

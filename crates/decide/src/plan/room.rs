//! Who gets which mitigation: what is in force and fresh stays, what is due is renewed, and where a member's room does
//! not suffice the most relevant comes first.

use super::{Candidate, InForce, Input, Lineage, Skipped, Wanted, may_act, mitigation};
use model::{Class, MemberId, Mitigation, Refusal, Rule, Timestamp};
use std::collections::BTreeMap;

/// A mitigation that is to be in the plan.
#[derive(Clone)]
pub(super) struct Choice {
    pub mitigation: Mitigation,
    pub class: Class,
    relevance: f64,
    renews: bool,
}

/// The members' wishes.
#[derive(Default)]
pub(super) struct Rooms {
    wanted: BTreeMap<MemberId, Vec<Choice>>,
}

impl Rooms {
    /// Notes what is wanted for each member that can do it and does not have it yet.
    pub fn want(&mut self, input: &Input<'_>, candidate: &Candidate<'_>, wanted: Wanted, skipped: &mut Vec<Skipped>) {
        let finding = candidate.finding;
        let enough = wanted.supporters.len() >= crate::evidence::members_needed(input.charter, wanted.cautious);
        for member in &input.charter.members {
            if !may_act(member, finding, &wanted.measure, input.charter) {
                continue;
            }
            if wanted.class == Class::Automatic && !enough && !trusts(input, &member.id, &wanted) {
                let value = format!("evidence of {} members for {}", wanted.supporters.len(), finding.observable);
                let refusal = Refusal::new(Rule::EvidenceMissing, value, "more members, or one that is trusted alone");
                skipped.push(Skipped { finding: finding.id, member: Some(member.id.clone()), refusal });
                continue;
            }
            let mitigation = mitigation(input, finding, &member.id, &wanted);
            let current = input.in_force.get(&Lineage::of(&mitigation)).filter(|force| force.expires > input.now);
            if current.is_some_and(|force| !is_due(force, wanted.expires, input.now)) {
                continue;
            }
            let choice = Choice {
                mitigation,
                class: wanted.class,
                relevance: candidate.relevance.get(&member.id).copied().unwrap_or(f64::NEG_INFINITY),
                renews: current.is_some(),
            };
            self.wanted.entry(member.id.clone()).or_default().push(choice);
        }
    }

    /// Fits the wishes into each member's room and the plan's; in the order of findings, then members.
    pub fn choose(self, input: &Input<'_>, skipped: &mut Vec<Skipped>) -> Vec<Choice> {
        let limits = &input.charter.limits;
        let mut chosen = Vec::new();
        for (member, mut choices) in self.wanted {
            let held = input.room_taken.get(&member).copied().unwrap_or(0);
            let room = (limits.in_force_per_member_max as usize).saturating_sub(held);
            choices.sort_by(|a, b| b.renews.cmp(&a.renews).then_with(|| order(a, b)));
            let renewals = choices.iter().filter(|choice| choice.renews).count();
            let left_out = choices.split_off(choices.len().min(renewals + room));
            leave_out(left_out, "in_force_per_member_max", limits.in_force_per_member_max, skipped);
            chosen.append(&mut choices);
        }
        chosen.sort_by(|a, b| b.renews.cmp(&a.renews).then_with(|| order(a, b)));
        let mut fitting = Vec::new();
        for class in [Class::Automatic, Class::Quorum] {
            let mut of_class: Vec<Choice> = chosen.iter().filter(|choice| choice.class == class).cloned().collect();
            let left_out = of_class.split_off(of_class.len().min(limits.plan_mitigations_max as usize));
            leave_out(left_out, "plan_mitigations_max", limits.plan_mitigations_max, skipped);
            fitting.append(&mut of_class);
        }
        let place = |choice: &Choice| (choice.mitigation.finding, choice.mitigation.member.clone());
        fitting.sort_by_cached_key(place);
        fitting.dedup_by(|a, b| place(a) == place(b));
        fitting
    }
}

/// Higher relevance first; ties in the order of findings and members, so that the same input gives the same plan.
fn order(a: &Choice, b: &Choice) -> std::cmp::Ordering {
    let place = |choice: &Choice| (choice.mitigation.finding, choice.mitigation.member.clone());
    b.relevance.total_cmp(&a.relevance).then_with(|| place(a).cmp(&place(b)))
}

fn leave_out(choices: Vec<Choice>, limit: &str, value: u32, skipped: &mut Vec<Skipped>) {
    skipped.extend(choices.into_iter().map(|choice| Skipped {
        finding: choice.mitigation.finding,
        member: Some(choice.mitigation.member),
        refusal: Refusal::new(Rule::BlastRadius, choice.mitigation.measure, format_args!("{limit} = {value}")),
    }));
}

fn trusts(input: &Input<'_>, member: &MemberId, wanted: &Wanted) -> bool {
    input.trust_alone.get(member).is_some_and(|trusted| !trusted.is_disjoint(&wanted.supporters))
}

/// Less than a third of its time is left, and renewing would make it last longer.
fn is_due(force: &InForce, expires: Timestamp, now: Timestamp) -> bool {
    let third = force.expires.since(force.since).as_millis() / 3;
    force.expires.since(now).as_millis() < third && expires > force.expires
}

//! What a plan's header shows by itself.

use super::{CheckContext, Faults, Severity};
use model::{PlanHeader, Refusal, Rule};

/// Most lines of reasons.
const REASONS_MAX: usize = 20;
/// Longest line of reasons, in characters.
const REASON_CHARS_MAX: usize = 200;

/// Checks what needs the header alone.
pub(crate) fn check_header(header: &PlanHeader, context: &CheckContext<'_>, faults: &mut Faults) {
    let charter = context.charter;
    if header.alliance != charter.alliance.name {
        faults.refuse(Rule::NotForUs, &header.alliance, &charter.alliance.name);
    }
    if header.charter > charter.alliance.version {
        let limit = format!("at most {}, the charter in force here", charter.alliance.version);
        faults.refuse(Rule::CharterOld, format_args!("made under charter {}", header.charter), limit);
    }
    if header.charter < charter.alliance.version {
        let limit = format!("now checked against {}", charter.alliance.version);
        let value = format!("made under charter {}", header.charter);
        faults.add(Severity::Notice, Refusal::new(Rule::CharterOld, value, limit));
    }
    if header.generation == 0 || (header.generation == 1) != header.parent.is_none() {
        let limit = "1 and no parent, or more and a parent";
        faults.refuse(Rule::OldGeneration, format_args!("generation {}", header.generation), limit);
    }
    let latest = context.now.plus(charter.limits.skew_future_max);
    if header.made > latest {
        faults.refuse(Rule::ClockSkew, format_args!("made {}", header.made), format_args!("not after {latest}"));
    }
    sizes(header, context, faults);
}

fn sizes(header: &PlanHeader, context: &CheckContext<'_>, faults: &mut Faults) {
    let limits = &context.charter.limits;
    let largest = limits.plan_mitigations_max;
    if !(1..=largest).contains(&header.count) || header.blast_radius.mitigations != header.count {
        let limit = format!("1 to {largest} mitigations, as many as counted");
        faults.refuse(Rule::BlastRadius, format_args!("{} mitigations", header.count), limit);
    }
    let most = header.blast_radius.most_for_one_member;
    if most > limits.in_force_per_member_max {
        let value = format!("{most} for one member");
        faults.refuse(Rule::BlastRadius, value, limits.in_force_per_member_max);
    }
    let long = header.reasons.iter().any(|reason| reason.chars().count() > REASON_CHARS_MAX);
    if header.reasons.len() > REASONS_MAX || long {
        let limit = format!("{REASONS_MAX} lines of {REASON_CHARS_MAX} characters");
        faults.refuse(Rule::TooLarge, format_args!("{} lines of reasons", header.reasons.len()), limit);
    }
}

//! What a charter must be in itself, before anybody signs it.

use crate::charter::Charter;
use crate::rules::{COSIGNATURES_MAX, MEMBERSHIP_SPAN_MAX};
use model::{MemberKind, Refusal, Role, Rule, Span};
use std::collections::BTreeSet;

/// Checks a charter that was read.
///
/// # Errors
/// The first rule it breaks, with the key.
pub fn check(charter: &Charter) -> Result<(), Refusal> {
    name(charter)?;
    distinct_members(charter)?;
    roles(charter)?;
    distinct_keys(charter)?;
    persons(charter)?;
    groups(charter)?;
    guards(charter)?;
    numbers(charter)?;
    witnesses(charter)?;
    quorum(charter)
}

fn malformed(key: &str, value: impl std::fmt::Display, allowed: impl std::fmt::Display) -> Refusal {
    Refusal::new(Rule::Malformed, format_args!("{key} = {value}"), allowed)
}

fn name(charter: &Charter) -> Result<(), Refusal> {
    let name = &charter.alliance.name;
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    if !(1..=64).contains(&name.len()) || !name.bytes().all(allowed) {
        return Err(malformed("alliance.name", name, "1 to 64 of a-z 0-9 - ."));
    }
    match (charter.alliance.version, charter.alliance.previous) {
        (0, _) => Err(malformed("alliance.version", 0, "1 or more")),
        (1, Some(_)) => Err(malformed("alliance.previous", "set", "absent in version 1")),
        (2.., None) => Err(malformed("alliance.previous", "absent", "the digest of the charter before")),
        _ => Ok(()),
    }
}

fn distinct_members(charter: &Charter) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for member in &charter.members {
        if !seen.insert(&member.id) {
            return Err(malformed("member.id", &member.id, "each member once"));
        }
        if member.id.is_unnamed() {
            return Err(malformed("member.id", &member.id, "a name of its own: this one stands for the unnamed"));
        }
    }
    let limit = charter.limits.members_max;
    match charter.members.len() <= limit as usize {
        true => Ok(()),
        false => Err(Refusal::new(Rule::TooLarge, format_args!("{} members", charter.members.len()), limit)),
    }
}

/// Whoever looks on decides nothing: an auditor of itself would be none.
fn roles(charter: &Charter) -> Result<(), Refusal> {
    for member in &charter.members {
        let looks_on = member.roles.iter().find(|role| matches!(role, Role::Auditor | Role::Observer));
        if let Some(role) = looks_on.filter(|_| member.roles.len() > 1) {
            return Err(malformed(
                "member.roles",
                format_args!("{role} and others, of {}", member.id),
                "it stands alone",
            ));
        }
    }
    Ok(())
}

/// A key belongs to one agent or one person: with shared keys somebody would count twice.
fn distinct_keys(charter: &Charter) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for key in charter.all_keys() {
        if !seen.insert(key) {
            return Err(malformed("public", key, "each key once, for one agent, one person or one witness"));
        }
    }
    Ok(())
}

fn persons(charter: &Charter) -> Result<(), Refusal> {
    for member in &charter.members {
        let mut seen = BTreeSet::new();
        for person in &member.persons {
            if person.id.member() != member.id || !seen.insert(&person.id) {
                return Err(malformed("member.person.id", &person.id, format!("name@{}, each once", member.id)));
            }
        }
    }
    Ok(())
}

fn groups(charter: &Charter) -> Result<(), Refusal> {
    for group in &charter.groups {
        for member in &group.members {
            charter.member(member).map_err(|_| malformed("group.members", member, "members of this charter"))?;
        }
    }
    Ok(())
}

fn guards(charter: &Charter) -> Result<(), Refusal> {
    for (index, text) in charter.guards.never.iter().enumerate() {
        crate::guards::never_entry(index, text)?;
    }
    let mut seen = BTreeSet::new();
    for list in &charter.guards.list {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let name = &list.file;
        let ok = (1..=100).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('.');
        if !ok || !seen.insert(name) {
            return Err(malformed("guards.list.file", name, "a file name of a-z A-Z 0-9 - _ . without folders, once"));
        }
    }
    Ok(())
}

fn numbers(charter: &Charter) -> Result<(), Refusal> {
    let c = &charter.corroboration;
    positive("corroboration.threshold", c.threshold)?;
    positive("corroboration.threshold_cautious", c.threshold_cautious)?;
    positive("corroboration.prior_vetted", c.prior_vetted)?;
    positive("corroboration.prior_probation", c.prior_probation)?;
    if !(0.0..c.threshold).contains(&c.weak_max) {
        return Err(malformed("corroboration.weak_max", c.weak_max, "0 or more, below corroboration.threshold"));
    }
    if c.threshold_cautious < c.threshold {
        let allowed = "at least corroboration.threshold";
        return Err(malformed("corroboration.threshold_cautious", c.threshold_cautious, allowed));
    }
    if c.evidence_members < 2 {
        return Err(malformed("corroboration.evidence_members", c.evidence_members, "2 or more"));
    }
    for (key, span) in [
        ("corroboration.half_life_report", c.half_life_report),
        ("corroboration.half_life_record", c.half_life_record),
        ("corroboration.evidence_age_max", c.evidence_age_max),
        ("quorum.approval_valid_max", charter.quorum.approval_valid_max),
    ] {
        if span <= Span::ZERO {
            return Err(malformed(key, span, "more than 0s"));
        }
    }
    let m = &charter.membership;
    for (key, span) in [("membership.vote_window", m.vote_window), ("membership.suspension_max", m.suspension_max)] {
        if span <= Span::ZERO || span > MEMBERSHIP_SPAN_MAX {
            return Err(malformed(key, span, format!("more than 0s, at most {MEMBERSHIP_SPAN_MAX}")));
        }
    }
    let l = &charter.limits;
    let longest = Span::days(7);
    if l.mitigation_max > longest || l.mitigation_max <= Span::ZERO {
        return Err(malformed("limits.mitigation_max", l.mitigation_max, format!("more than 0s, at most {longest}")));
    }
    if l.mitigation_default > l.mitigation_max || l.mitigation_default <= Span::ZERO {
        return Err(malformed("limits.mitigation_default", l.mitigation_default, "at most limits.mitigation_max"));
    }
    let largest = model::plan::PLAN_MITIGATIONS_MAX;
    if !(1..=largest).contains(&(l.plan_mitigations_max as usize)) {
        return Err(malformed("limits.plan_mitigations_max", l.plan_mitigations_max, format!("1 to {largest}")));
    }
    Ok(())
}

/// What no member could ever have is not asked for: each needs the cosignatures of others.
fn witnesses(charter: &Charter) -> Result<(), Refusal> {
    let (asked, there) = (charter.witness.cosignatures, charter.witnesses().count());
    let most = COSIGNATURES_MAX.min(u32::try_from(there.saturating_sub(1)).unwrap_or(u32::MAX));
    match asked <= most {
        true => Ok(()),
        false => {
            let allowed = format!("at most {most}: {there} members have a witness key, and each needs others");
            Err(malformed("witness.cosignatures", asked, allowed))
        }
    }
}

fn positive(key: &str, value: f64) -> Result<(), Refusal> {
    match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => Err(malformed(key, value, "a number above 0")),
    }
}

fn quorum(charter: &Charter) -> Result<(), Refusal> {
    let full = charter.members.iter().filter(|m| m.kind == MemberKind::Full).count();
    if full < 2 {
        let found = format!("{full} of kind full");
        return Err(malformed("member", found, "two members of kind full or more: nothing holds by one member's word"));
    }
    let majority = (full / 2 + 1).max(2);
    let asked = charter.quorum.charter as usize;
    if (asked != 0 && asked < majority) || asked > full {
        let allowed = format!("{majority}, the majority of the full members, to {full}, or 0 for the majority");
        return Err(malformed("quorum.charter", asked, allowed));
    }
    for (key, value) in [("quorum.plan", charter.quorum.plan), ("quorum.dispute", charter.quorum.dispute)] {
        if value < 2 || value as usize > full {
            return Err(malformed(key, value, format!("2 to {full}, the number of full members")));
        }
    }
    match charter.quorum.owner_persons {
        0 => Err(malformed("quorum.owner_persons", 0, "1 or more")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;

//! Which evidence the planner counts on and shows to agents. Signatures were verified when the batches came in; the
//! checker verifies them again.

use super::{Candidate, Input};
use crate::evidence::members_needed;
use model::{Evidence, Grade, MemberId, MemberKind, Refusal, Role, Rule, Standing};
use std::collections::BTreeSet;

/// Most pieces of evidence shown for one finding: enough for every threshold, little to carry.
const SHOWN_MAX: usize = 16;

/// The members whose evidence agents will accept.
///
/// # Errors
/// `evidence_missing`, or the reason why pieces do not count; `guard_caution` where a cautious guard asks for more.
pub(super) fn supporters(
    input: &Input<'_>,
    candidate: &Candidate<'_>,
    cautious: bool,
) -> Result<BTreeSet<MemberId>, Refusal> {
    let mut members = BTreeSet::new();
    let mut first = None;
    for piece in &candidate.evidence {
        match usable(input, candidate, piece) {
            Ok(()) => drop(members.insert(piece.header.author.clone())),
            Err(refusal) => first = first.or(Some(refusal)),
        }
    }
    let needed = members_needed(input.charter, cautious);
    let trusted = || input.trust_alone.values().any(|trusted| !trusted.is_disjoint(&members));
    if members.len() >= needed || (!cautious && trusted()) {
        return Ok(members);
    }
    let rule = if cautious { Rule::GuardCaution } else { Rule::EvidenceMissing };
    let value = format!("evidence of {} members for {}", members.len(), candidate.finding.observable);
    let fallback = || Refusal::new(rule, value, format!("signed evidence of {needed} vetted members"));
    Err(first.unwrap_or_else(fallback))
}

/// The evidence that goes with the plan: one piece a member, the strongest reporters first.
pub(super) fn shown(input: &Input<'_>, candidate: &Candidate<'_>) -> Vec<Evidence> {
    let mut seen = BTreeSet::new();
    (candidate.evidence.iter())
        .filter(|piece| usable(input, candidate, piece).is_ok() && seen.insert(&piece.header.author))
        .take(SHOWN_MAX)
        .cloned()
        .collect()
}

fn usable(input: &Input<'_>, candidate: &Candidate<'_>, piece: &Evidence) -> Result<(), Refusal> {
    let member = input.charter.member(&piece.header.author)?;
    member.require(Role::Reporter)?;
    if member.standing != Standing::Vetted || member.kind == MemberKind::Observer {
        return Err(Refusal::new(Rule::EvidenceMissing, &member.id, "vetted members who are no observers"));
    }
    input.charter.member_key(&member.id, &piece.header.key, piece.header.made)?;
    let sighting = piece.opening.parse()?;
    if sighting.finding() != candidate.finding.id {
        return Err(Refusal::new(Rule::EvidenceMissing, &sighting.observable, &candidate.finding.observable));
    }
    if sighting.grade == Grade::Spoofable {
        return Err(Refusal::new(Rule::EvidenceSpoofable, &sighting.observable, "grade handshake or better"));
    }
    if !sighting.handling.lets_act() {
        let limit = "evidence whose named sender permits internal actions";
        return Err(Refusal::new(Rule::ActionsNotPermitted, &sighting.observable, limit));
    }
    let skew = input.charter.limits.skew_future_max;
    let latest = piece.header.made.min(input.now).plus(skew);
    if sighting.last > latest || piece.header.made > input.now.plus(skew) {
        return Err(Refusal::new(Rule::ClockSkew, sighting.last, format_args!("not after {latest}")));
    }
    // An agent may judge some time after the plan was made: what is about to become stale is left out.
    let oldest = input.now.minus(input.charter.corroboration.evidence_age_max).plus(skew);
    match sighting.last >= oldest {
        true => Ok(()),
        false => Err(Refusal::new(Rule::EvidenceStale, sighting.last, format_args!("not before {oldest}"))),
    }
}

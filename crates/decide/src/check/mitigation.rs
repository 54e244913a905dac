//! One mitigation, against every rule that can apply to it alone.

use super::{CheckContext, Faults, Severity};
use crate::evidence::{Verifier, members_needed};
use charter::{GuardClass, Guards, Member};
use model::{
    Action, Class, Evidence, GuardHit, Inverse, Mitigation, Observable, PlanHeader, Refusal, Role, Rule, Scope, Span,
    Target,
};

/// Longest automatic mitigation where a cautious guard applies.
pub(crate) const CAUTIOUS_LONGEST: Span = Span::hours(1);

/// Checks one mitigation of a plan with this header.
pub(crate) fn check_mitigation(
    header: &PlanHeader,
    mitigation: &Mitigation,
    evidence: &[Evidence],
    context: &CheckContext<'_>,
    verifier: &mut Verifier<'_>,
    faults: &mut Faults,
) {
    identity(header, mitigation, faults);
    let hit = guarded(header.class, mitigation, context.guards, faults);
    let cautious = hit.is_some_and(|hit| !hit.absolute);
    class(header, mitigation, faults);
    time(header, mitigation, cautious, context, faults);
    inverse(mitigation, faults);
    match context.charter.member(&mitigation.member) {
        Ok(member) => able(member, mitigation, faults),
        Err(refusal) => faults.add(Severity::Refused, refusal),
    }
    if header.class == Class::Automatic {
        supported(mitigation, evidence, cautious, context, verifier, faults);
    }
}

/// A mitigation is of its plan's generation, and its finding is derived from what it says.
fn identity(header: &PlanHeader, mitigation: &Mitigation, faults: &mut Faults) {
    if mitigation.generation != header.generation {
        faults.refuse(Rule::OldGeneration, mitigation.generation, format_args!("the plan's {}", header.generation));
    }
    let finding = model::sighting::finding_id(&mitigation.observable, mitigation.family);
    if mitigation.finding != finding {
        let limit = format!("{finding}, which {} ({}) has", mitigation.observable, mitigation.family);
        faults.refuse(Rule::DigestMismatch, mitigation.finding, limit);
    }
}

/// Guards on what is reported and on what is to be touched. A member's own space is its own to act upon; what changes
/// nothing for anybody needs no guard.
pub(crate) fn guarded(plan: Class, mitigation: &Mitigation, guards: &Guards, faults: &mut Faults) -> Option<GuardHit> {
    if matches!(mitigation.measure.action(), Action::Notify | Action::Investigate) {
        return None;
    }
    let touched = mitigation.measure.target().observable();
    let hits = [&touched, &mitigation.observable].map(|observable| guards.verdict(observable));
    let hit = hits.into_iter().flatten().min_by_key(class_of)?;
    let class = class_of(&hit);
    let value = format!("{touched} meets {} ({}, list {})", hit.entry, hit.class, hit.list);
    let own = matches!(mitigation.measure.scope(), Scope::ProtectOwn | Scope::ContainOwn);
    let rule = class.rule();
    match (class, plan) {
        (GuardClass::Never, _) => faults.refuse(rule, value, "nothing on the never list"),
        (GuardClass::MemberSpace, Class::Owner) if own => {}
        (_, Class::Automatic) if hit.absolute => faults.refuse(rule, value, "a quorum of persons, not a machine"),
        (_, Class::Automatic) => {}
        _ => faults.add(Severity::Notice, Refusal::new(rule, value, "persons may, who know it")),
    }
    Some(hit)
}

/// Hits carry their class as text; one that is unknown here counts as the strictest.
fn class_of(hit: &GuardHit) -> GuardClass {
    hit.class.parse().unwrap_or(GuardClass::Never)
}

fn class(header: &PlanHeader, mitigation: &Mitigation, faults: &mut Faults) {
    let least = mitigation.measure.class();
    if header.class < least {
        faults.refuse(Rule::ClassTooLow, header.class.as_str(), format_args!("{} or stricter", least.as_str()));
    }
    let narrowest = Target::protecting_from(&mitigation.observable);
    if header.class == Class::Automatic && *mitigation.measure.target() != narrowest {
        let limit = format!("{narrowest}; machines do not widen");
        faults.refuse(Rule::TargetTooWide, mitigation.measure.target(), limit);
    }
}

fn time(header: &PlanHeader, mitigation: &Mitigation, cautious: bool, context: &CheckContext<'_>, faults: &mut Faults) {
    let automatic = header.class == Class::Automatic;
    let limits = &context.charter.limits;
    let longest = match cautious && automatic {
        true => limits.mitigation_max.min(CAUTIOUS_LONGEST),
        false => limits.mitigation_max,
    };
    let (from, latest) = (header.made.max(context.now), header.made.plus(longest));
    if mitigation.expires <= from || mitigation.expires > latest {
        let limit = format!("after {from}, not after {latest}");
        faults.refuse(Rule::ExpiryRequired, mitigation.expires, limit);
    }
}

fn inverse(mitigation: &Mitigation, faults: &mut Faults) {
    let expected = Inverse::of(mitigation.measure.action());
    if mitigation.inverse != expected {
        faults.refuse(Rule::InverseRequired, format_args!("{:?}", mitigation.inverse), format_args!("{expected:?}"));
    }
}

/// The member may act, can, and claims only what is its own.
pub(crate) fn able(member: &Member, mitigation: &Mitigation, faults: &mut Faults) {
    if let Err(refusal) = member.require(Role::Operator) {
        faults.add(Severity::Refused, refusal);
    }
    if let Some(needed) = mitigation.measure.capability().filter(|needed| !member.capabilities.contains(needed)) {
        faults.refuse(Rule::CapabilityMissing, needed, format_args!("what {} said it can do", member.id));
    }
    for claimed in claims(mitigation) {
        if !owns(member, &claimed) {
            let limit = format!("what {} has proven to be its own", member.id);
            faults.refuse(Rule::OnlyOwnAssets, claimed, limit);
        }
    }
}

/// What a measure claims to be the acting member's own.
fn claims(mitigation: &Mitigation) -> Vec<Observable> {
    let measure = &mitigation.measure;
    let own_target = matches!(measure.scope(), Scope::ProtectOwn | Scope::ContainOwn);
    match measure.action() {
        Action::Redirect { to } => vec![Observable::Domain(to.clone())],
        Action::Notify => vec![measure.target().observable()],
        _ if own_target => vec![measure.target().observable()],
        _ => Vec::new(),
    }
}

fn owns(member: &Member, claimed: &Observable) -> bool {
    let address = match claimed {
        Observable::Url(url) => url.address().map(ipnet::IpNet::from),
        other => other.network(),
    };
    if let Some(network) = address {
        return member.assets.prefixes.iter().any(|prefix| prefix.network().contains(&network));
    }
    claimed.domain().is_some_and(|name| member.assets.domains.iter().any(|own| name.is_within(own)))
}

/// Enough members signed for it, or one whom this member's owner trusts alone.
fn supported(
    mitigation: &Mitigation,
    evidence: &[Evidence],
    cautious: bool,
    context: &CheckContext<'_>,
    verifier: &mut Verifier<'_>,
    faults: &mut Faults,
) {
    let support = verifier.support(&mitigation.observable, mitigation.family, evidence);
    let needed = members_needed(context.charter, cautious);
    let trusted = context.trust_alone.get(&mitigation.member);
    let alone = !cautious && trusted.is_some_and(|trusted| !trusted.is_disjoint(&support.members));
    if alone || support.members.len() >= needed {
        return;
    }
    let have = support.members.len();
    let enough_otherwise = cautious && have >= members_needed(context.charter, false);
    match support.refused.into_iter().next() {
        Some(refusal) => faults.add(Severity::Refused, refusal),
        None => {
            let rule = if enough_otherwise { Rule::GuardCaution } else { Rule::EvidenceMissing };
            let value = format!("evidence of {have} members for {}", mitigation.observable);
            faults.refuse(rule, value, format_args!("signed evidence of {needed} vetted members"));
        }
    }
}

//! The second look at a plan before a person signs: on this machine, against the charter and its guards.

use crate::client::Client;
use crate::client::answers::PlanShown;
use crate::clock::now;
use crate::exit::Failure;
use charter::{Charter, Guards, SignedCharter};
use decide::{CheckContext, Fault, Severity};
use model::{Digest, PlanId, Refusal, Rule, Statement as _};
use std::collections::BTreeMap;

/// Is what the hub shows the plan that is asked for, and does it show its digest rightly?
///
/// # Errors
/// `digest_mismatch`.
pub(super) fn require_same(id: PlanId, shown: &PlanShown) -> Result<(), Failure> {
    let digest = shown.plan.header.digest();
    match PlanId::of(&digest) == id && digest == shown.view.digest {
        true => Ok(()),
        false => {
            let refusal =
                Refusal::new(Rule::DigestMismatch, shown.view.digest, format!("the digest of {id}, {digest}"));
            Err(Failure::Refused {
                refusal,
                next: "epimachia journal proof POSITION, and tell the other members".into(),
            })
        }
    }
}

/// Refuses to sign what a rule forbids.
///
/// # Errors
/// The first rule that says no.
pub(super) fn require_lawful(client: &Client, shown: &PlanShown) -> Result<(), Failure> {
    let faults = look(client, shown)?;
    match faults.into_iter().find(|fault| fault.severity == Severity::Refused) {
        None => Ok(()),
        Some(fault) => Err(Failure::Refused { refusal: fault.refusal, next: "epimachia plan reject ID".into() }),
    }
}

/// What the checker finds, with the charter and lists that the hub shows, each checked by its digest.
pub(super) fn look(client: &Client, shown: &PlanShown) -> Result<Vec<Fault>, Failure> {
    let signed: SignedCharter = client.get("/api/v1/charter", &[])?;
    let charter = Charter::parse(&signed.text)?;
    let lists =
        charter.guards.list.iter().map(|list| guard_list(client, list.sha256)).collect::<Result<Vec<_>, _>>()?;
    let guards = Guards::new(&charter, &lists)?;
    let nobody = BTreeMap::new();
    let context = CheckContext { charter: &charter, guards: &guards, trust_alone: &nobody, head: None, now: now() };
    Ok(decide::check(&shown.plan, &context))
}

fn guard_list(client: &Client, sha256: Digest) -> Result<Vec<u8>, Failure> {
    let bytes = client.bytes(&format!("/api/v1/charter/lists/{sha256}"))?;
    match Digest::of(&[&bytes]) == sha256 {
        true => Ok(bytes),
        false => Err(Refusal::new(Rule::DigestMismatch, Digest::of(&[&bytes]), format!("the list {sha256}")).into()),
    }
}

/// The second look in words.
pub(super) fn tell(faults: &[Fault]) -> Vec<String> {
    if faults.is_empty() {
        return vec!["  checked    here, against the charter: every rule agrees".to_owned()];
    }
    let line = |fault: &Fault| {
        let word = if fault.severity == Severity::Refused { "refused by" } else { "noticed by" };
        let about = fault.mitigation.map_or_else(|| "the plan".to_owned(), |id| id.to_string());
        format!("  {word} {}: {about}: {}; allowed: {}", fault.refusal.rule, fault.refusal.value, fault.refusal.limit)
    };
    faults.iter().map(line).collect()
}

//! Events in one line each, as the journal's listing and the demo's transcript say them.

use alliance::membership::Step;
use alliance::{Event, Report};
use model::membership::MembershipStatement;
use model::{Finding, KeyChange, MitigationState, SignedReceipts, Verdict};
use std::collections::BTreeMap;

/// What happened, in one line.
pub fn what(event: &Event) -> String {
    match event {
        Event::CharterAdopted(signed) => format!("charter {}", &signed.digest().to_string()[..12]),
        Event::KeyChanged(signed) => key_changed(&signed.change),
        Event::Membership(step) => membership(step),
        Event::SightingsReported(report) => reported(report),
        Event::Retracted(signed) => format!("{} taken back", signed.retraction.observable),
        Event::FindingsChanged { findings } => changed(findings),
        Event::Proposed(signed) => format!("{}: {}", signed.proposal.person, signed.proposal.measure),
        Event::PlanProposed(plan) => format!(
            "{} generation {}, {} mitigations, class {}",
            plan.id(),
            plan.header.generation,
            plan.header.count,
            plan.header.class.as_str()
        ),
        Event::Approved(signed) => {
            let verb = if signed.approval.verdict == Verdict::Approve { "approves" } else { "rejects" };
            format!("{verb} {}", model::PlanId::of(&signed.approval.plan))
        }
        Event::PlanInForce { plan, .. } => plan.to_string(),
        Event::PlanClosed { plan, reason } => format!("{plan}: {reason}"),
        Event::ReceiptsReported(signed) => receipts(signed),
        Event::Disputed(signed) => format!("{}: {}", signed.dispute.finding, signed.dispute.reason),
        Event::DisputeUpheld { finding, reason } => format!("{finding}: {reason}"),
        Event::Withdrawn { withdrawals } => format!("{} mitigations", withdrawals.len()),
        Event::TokenIssued(token) => format!("{} for {}", token.id, token.member),
        Event::TokenRevoked { token } => token.to_string(),
        Event::JoinTokenIssued(record) => format!("{}, an agent of {} may join", record.id, record.member),
        Event::JoinTokenRevoked { token } => format!("{token}"),
        Event::CertificateIssued(record) => {
            format!("{} for {} of {}, until {}", record.id, record.agent, record.member, record.until)
        }
        Event::CertificateRevoked { certificate, reason } => format!("{certificate}: {reason}"),
        Event::ObjectsShared(shared) => format!("{} objects in {}", shared.objects.len(), shared.collection),
        Event::ObjectsDeleted(deleted) => format!("{} out of {}", deleted.id, deleted.collection),
        Event::CollectionOpened(record) => {
            format!(
                "{} under {}: {}",
                record.wish.name,
                record.wish.root(),
                model::parse::printable(&record.wish.title)
            )
        }
        Event::CollectionClosed(closing) => closing.collection.to_string(),
        Event::TakenBack(taken) => format!("{} reports taken back", taken.reports.len()),
        Event::Objected(objection) => format!("{}: {}", objection.finding, objection.reason),
        Event::Backlog { waiting: 0 } => "all reports are judged".to_owned(),
        Event::Backlog { waiting } => format!("{waiting} observables wait to be judged"),
        Event::Held { finding, refusal, .. } => format!("{finding}: {}: {}", refusal.rule, refusal.value),
    }
}

fn changed(findings: &[Finding]) -> String {
    let Some(f) = findings.first() else { return "no findings".to_owned() };
    let first = format!("{} {} is {}, {} of {} points", f.id, f.observable, f.state, f.sum.total, f.sum.threshold);
    match findings.len() - 1 {
        0 => first,
        more => format!("{first}; {more} more"),
    }
}

fn key_changed(change: &KeyChange) -> String {
    let of = change.person.as_ref().map_or_else(|| change.member.to_string(), ToString::to_string);
    format!("{} {} of {of}: {}", change.act, change.key.id(), model::parse::printable(&change.reason))
}

fn membership(step: &Step) -> String {
    match step {
        Step::Handed { statement: MembershipStatement::Say(word, _), .. } => {
            let reason = model::parse::printable(&word.reason);
            format!("{}: {} says {}: {reason}", word.member, word.person, word.say.as_str())
        }
        Step::Handed { by, statement } => format!("{}: {}, handed in by {by}", statement.member(), statement.act()),
        Step::Decided { member, admitted: true } => format!("{member} is admitted: the next charter may name it"),
        Step::Decided { member, admitted: false } => format!("{member} is refused"),
        Step::Ended { member } => format!("{member} is heard again: its suspension ran out"),
    }
}

fn reported(report: &Report) -> String {
    match report {
        Report::Signed(batch) => format!("{} sightings, signed, number {}", batch.header.count, batch.header.sequence),
        Report::Drawn { sightings, from, .. } => format!("{} sightings, drawn from entry {from}", sightings.len()),
        Report::Attested { sightings, .. } => format!("{} sightings, not signed", sightings.len()),
    }
}

fn receipts(signed: &SignedReceipts) -> String {
    let mut states: BTreeMap<MitigationState, usize> = BTreeMap::new();
    for receipt in &signed.receipts.receipts {
        *states.entry(receipt.state).or_default() += 1;
    }
    let parts: Vec<String> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    parts.join(", ")
}

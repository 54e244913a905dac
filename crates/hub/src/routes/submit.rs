//! Statements of members and persons: read, verified beside the sequencer, then ordered.

use super::query::{body, typed, written};
use crate::core::{Accepted, Core};
use crate::gate::{Caller, Credential, Pass};
use crate::intake::{self, Packed};
use crate::problem::Problem;
use crate::wire::{ReportHead, SCHEMA, SignedProposal, Written};
use alliance::{Command, Report};
use axum::extract::{Request, State};
use axum::response::Response;
use model::sighting::BATCH_SIGHTINGS_MAX;
use model::{
    Batch, MemberId, Opening, Refusal, Rule, Sighting, SignedApproval, SignedDispute, SignedReceipts, SignedRetraction,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// JSON lines.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// JSON.
pub(crate) const JSON: &str = "application/json";

/// A command that is known to be true, with how it is answered.
struct Prepared {
    command: Command,
    accepted: usize,
    sequence: Option<u64>,
}

/// `POST /api/v1/sightings`
pub(crate) async fn sightings(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body(&core, NDJSON, request).await?;
    order(&core, move |core| report(core, &caller, packed)).await
}

/// `POST /api/v1/receipts`
pub(crate) async fn receipts(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    signed(&core, request, move |_, pass, signed: SignedReceipts| {
        let of = &signed.receipts;
        require_own(&caller, &of.author)?;
        signed.verify(&pass.member_key(&of.author, &of.key, of.made)?)?;
        let (accepted, sequence) = (of.receipts.len(), Some(of.sequence));
        Ok(Prepared { accepted, sequence, command: Command::Receipts(signed) })
    })
    .await
}

/// `POST /api/v1/retractions`
pub(crate) async fn retractions(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    signed(&core, request, move |_, pass, signed: SignedRetraction| {
        let of = &signed.retraction;
        require_own(&caller, &of.author)?;
        pass.member_key(&of.author, &of.key, of.made)?.verify(of, &signed.signature)?;
        let sequence = Some(of.sequence);
        Ok(Prepared { accepted: 1, sequence, command: Command::Retract(signed) })
    })
    .await
}

/// `POST /api/v1/approvals`
pub(crate) async fn approvals(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    signed(&core, request, move |_, pass, signed: SignedApproval| {
        let of = &signed.approval;
        require_own(&caller, &of.person.member())?;
        signed.verify(&pass.person_key(&of.person, &of.key, of.made)?)?;
        Ok(Prepared { accepted: 1, sequence: None, command: Command::Approve(signed) })
    })
    .await
}

/// `POST /api/v1/disputes`
pub(crate) async fn disputes(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    signed(&core, request, move |_, pass, signed: SignedDispute| {
        let of = &signed.dispute;
        require_own(&caller, &of.person.member())?;
        signed.verify(&pass.person_key(&of.person, &of.key, of.made)?)?;
        Ok(Prepared { accepted: 1, sequence: None, command: Command::Dispute(signed) })
    })
    .await
}

/// `POST /api/v1/plans`
pub(crate) async fn plans(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    signed(&core, request, move |core, pass, signed: SignedProposal| {
        let of = &signed.proposal;
        require_own(&caller, &of.person.member())?;
        let key = pass.person_key(&of.person, &signed.key, core.clock.now())?;
        key.verify(of, &signed.signature)?;
        Ok(Prepared { accepted: 1, sequence: None, command: Command::Propose(Box::new(signed)) })
    })
    .await
}

/// Reads a signed statement, has it verified, and puts it into the order.
async fn signed<T: serde::de::DeserializeOwned + 'static>(
    core: &Arc<Core>,
    request: Request,
    verify: impl FnOnce(&Core, &Pass, T) -> Result<Prepared, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body(core, JSON, request).await?;
    order(core, move |core| {
        let statement = typed(core, packed, "the documented statement")?;
        verify(core, &core.gate.pass(), statement)
    })
    .await
}

async fn order(
    core: &Arc<Core>,
    prepare: impl FnOnce(&Core) -> Result<Prepared, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    let Prepared { command, accepted, sequence } = core.work(prepare).await?;
    let Accepted { position, duplicate } = core.submit(command).await?;
    Ok(written(Written { schema: SCHEMA, position, accepted, sequence, duplicate }))
}

/// A report: signed, if its first line has a header; otherwise the hub vouches for the channel.
fn report(core: &Core, caller: &Caller, packed: Packed) -> Result<Prepared, Problem> {
    let bytes = packed.unpack()?;
    let lines = lines(intake::text(&bytes)?, core.config.limits.json_depth_max)?;
    let Some((first, rest)) = lines.split_first() else {
        return Err(Refusal::new(Rule::Malformed, "no line", "one sighting a line").into());
    };
    let count = u32::try_from(rest.len().max(1)).unwrap_or(u32::MAX);
    let pass = core.gate.pass();
    let per_minute = pass.charter()?.limits.sightings_per_minute_max;
    let head: Option<Probe<'_>> = serde_json::from_str(first).ok();
    if head.is_some_and(|head| head.header.is_some()) {
        let head: ReportHead = parsed(0, first, "a line {header, signature}")?;
        require_own(caller, &head.header.author)?;
        core.quotas.sightings(&caller.member, count, per_minute, core.clock.now())?;
        return signed_report(&pass, head, rest);
    }
    core.quotas.sightings(&caller.member, count, per_minute, core.clock.now())?;
    attested_report(caller, &lines)
}

/// Only looks whether a line is the head of a signed report.
#[derive(Deserialize)]
struct Probe<'l> {
    #[serde(borrow, default)]
    header: Option<&'l RawValue>,
}

fn signed_report(pass: &Pass, head: ReportHead, lines: &[&str]) -> Result<Prepared, Problem> {
    let ReportHead { header, signature } = head;
    let key = pass.member_key(&header.author, &header.key, header.made)?;
    let openings: Vec<Opening> = (lines.iter().enumerate())
        .map(|(index, line)| parsed(index + 1, line, "a line {salt, sighting}"))
        .collect::<Result<_, _>>()?;
    let sequence = Some(header.sequence);
    let batch = Batch { header, signature, openings };
    let sightings = batch.verify(&key)?;
    let accepted = sightings.len();
    let command = Command::Report { report: Report::Signed(Box::new(batch)), sightings };
    Ok(Prepared { command, accepted, sequence })
}

fn attested_report(caller: &Caller, lines: &[&str]) -> Result<Prepared, Problem> {
    let sightings: Vec<Sighting> = (lines.iter().enumerate())
        .map(|(index, line)| Sighting::parse(line).map_err(|refusal| at(index, refusal)))
        .collect::<Result<_, _>>()?;
    let Credential::Token(token) = &caller.credential else {
        let limit = "sightings that the agent has signed: a ReportHead first";
        return Err(Refusal::new(Rule::EvidenceUnsigned, "sightings without a head", limit).into());
    };
    let (member, token) = (caller.member.clone(), token.id);
    let report = Report::Attested { member, token, sightings: sightings.clone() };
    Ok(Prepared { accepted: sightings.len(), sequence: None, command: Command::Report { report, sightings } })
}

/// The lines of a body that are not blank, each of bounded depth.
fn lines(text: &str, depth_max: u32) -> Result<Vec<&str>, Refusal> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        if lines.len() > BATCH_SIGHTINGS_MAX {
            let value = format!("more than {BATCH_SIGHTINGS_MAX} sightings");
            return Err(Refusal::new(Rule::TooLarge, value, format!("1 to {BATCH_SIGHTINGS_MAX}")));
        }
        intake::check_depth(line, depth_max).map_err(|refusal| at(index, refusal))?;
        lines.push(line);
    }
    Ok(lines)
}

fn parsed<T: serde::de::DeserializeOwned>(index: usize, line: &str, what: &str) -> Result<T, Refusal> {
    serde_json::from_str(line).map_err(|error| at(index, Refusal::new(Rule::Malformed, error, what)))
}

/// Says which line a refusal is about, from 1.
fn at(index: usize, refusal: Refusal) -> Refusal {
    Refusal { value: format!("line {}: {}", index + 1, refusal.value), ..refusal }
}

/// A token speaks for its own member only.
pub(crate) fn require_own(caller: &Caller, author: &MemberId) -> Result<(), Refusal> {
    match caller.member == *author {
        true => Ok(()),
        false => {
            let limit = format!("statements of {}, whose token this is", caller.member);
            Err(Refusal::new(Rule::ScopeMissing, format_args!("author {author}"), limit))
        }
    }
}

//! The journal and its log: entries that a member may see, checkpoints, tiles, proofs.

use super::query::{Asked, answer, page};
use crate::core::Core;
use crate::gate::Caller;
use crate::problem::Problem;
use crate::tree::Newest;
use crate::wire::{ConsistencyPath, JournalItem, List, SCHEMA};
use account::{EntryProof, Opening, paths};
use alliance::{Entry, PlanState};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use journal::Record;
use model::{Digest, PlanId, Refusal, Rule};
use serde::Deserialize;
use std::sync::Arc;

/// Entries looked at for one page: a member that may see little must not make the hub read everything.
const LOOKED_AT_MAX: u64 = 10_000;
/// Bytes of entries looked at for one page, roughly.
const LOOKED_AT_BYTES_MAX: usize = 32 << 20;
/// Entries read at a time.
const READ_MAX: usize = 16;
/// Bytes of entries on one page, roughly.
const PAGE_BYTES_MAX: usize = 8 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JournalQuery {
    after: Option<u64>,
    max: Option<usize>,
}

/// `GET /api/v1/journal`
pub(crate) async fn entries(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<JournalQuery>,
) -> Result<Response, Problem> {
    let max = page(asked.max)?;
    let from = asked.after.map_or(0, |after| after.saturating_add(1));
    Ok(answer(core.work(move |core| visible(core, &caller, from, max)).await?))
}

/// Entries from a position on that the caller may see. `next` is the last one that was looked at.
fn visible(core: &Core, caller: &Caller, from: u64, max: usize) -> Result<List<JournalItem>, Problem> {
    let head = core.read(alliance::Alliance::next_position)?;
    let pass = core.gate.pass();
    let (mut items, mut bytes, mut looked_at, mut at) = (Vec::new(), 0, 0, from);
    let end = head.min(from.saturating_add(LOOKED_AT_MAX));
    while at < end && items.len() < max && bytes < PAGE_BYTES_MAX && looked_at < LOOKED_AT_BYTES_MAX {
        for record in core.journal.read(at, READ_MAX)? {
            if record.position >= end || items.len() >= max || bytes >= PAGE_BYTES_MAX {
                break;
            }
            at = record.position + 1;
            looked_at += record.entry.len();
            if may_see(&pass, caller, &record)? {
                bytes += record.entry.len();
                items.push(item(record)?);
            }
        }
    }
    let next = (at > from && at < head).then(|| (at - 1).to_string());
    Ok(List { next, ..List::whole(items) })
}

fn may_see(pass: &crate::gate::Pass, caller: &Caller, record: &Record) -> Result<bool, Problem> {
    let entry = Entry::from_bytes(&record.entry).map_err(|_| Problem::broken("an entry cannot be read"))?;
    Ok(pass.may_open(&caller.member, &entry.author, &entry.handling)
        && (!entry.event.is_confidential() || pass.may_see_confidential(&caller.member, &entry.author)))
}

fn item(record: Record) -> Result<JournalItem, Problem> {
    let unreadable = || Problem::broken("an entry cannot be read");
    let text = String::from_utf8(record.entry).map_err(|_| unreadable())?;
    let entry = serde_json::value::RawValue::from_string(text).map_err(|_| unreadable())?;
    Ok(JournalItem { position: record.position, nonce: Digest::from_bytes(record.nonce), entry })
}

/// `GET /log/checkpoint`
pub(crate) async fn checkpoint(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let newest = newest(&core)?;
    Ok(text(core.witnesses.shown(&newest).to_string()))
}

/// `GET /log/tile/{path}`
pub(crate) async fn tile(State(core): State<Arc<Core>>, Path(path): Path<String>) -> Result<Response, Problem> {
    let name = format!("tile/{path}");
    let asked = name.clone();
    let file = core.work(move |core| Ok(core.log.file(&*newest(core)?, &asked))).await?;
    let none = || Problem::request(StatusCode::NOT_FOUND, &name, "a tile of the newest checkpoint");
    let bytes = HeaderValue::from_static("application/octet-stream");
    let forever = HeaderValue::from_static("private, max-age=31536000, immutable");
    Ok(([(header::CONTENT_TYPE, bytes), (header::CACHE_CONTROL, forever)], file.ok_or_else(none)?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsistencyQuery {
    from: u64,
    to: u64,
}

/// `GET /api/v1/log/consistency`
pub(crate) async fn consistency(
    State(core): State<Arc<Core>>,
    Asked(asked): Asked<ConsistencyQuery>,
) -> Result<Response, Problem> {
    let ConsistencyQuery { from, to } = asked;
    let path = core
        .work(move |core| {
            let newest = newest(core)?;
            let size = newest.signed.unverified().size;
            if to > size {
                return Err(Refusal::new(Rule::Malformed, format_args!("to: {to}"), format!("at most {size}")).into());
            }
            paths::consistency(&core.log.tiles(&newest), from, to).map_err(proof_problem)
        })
        .await?;
    Ok(answer(ConsistencyPath { schema: SCHEMA, path }))
}

/// `GET /api/v1/log/proof/{position}`
pub(crate) async fn proof(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Path(position): Path<String>,
) -> Result<Response, Problem> {
    let refused = |_| Refusal::new(Rule::Malformed, format_args!("position: {position}"), "a position in the journal");
    let position: u64 = position.parse().map_err(refused)?;
    let proof = core.work(move |core| make_proof(core, &caller, position)).await?;
    Ok(text(proof.to_string()))
}

/// `GET /api/v1/plans/{id}/proof`
pub(crate) async fn plan_proof(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: PlanId = id.parse()?;
    let proof = core.work(move |core| {
        let state = core.read(|state| state.plan(id, Some(&caller.member)).map(|record| record.state.clone()))?;
        let Some(PlanState::InForce { position, .. }) = state else {
            return Err(Refusal::new(Rule::UnknownPlan, id, "a plan in force that this member may see").into());
        };
        make_proof(core, &caller, position)
    });
    Ok(text(proof.await?.to_string()))
}

/// The proof of an entry; it shows the entry only to those who may see it.
fn make_proof(core: &Core, caller: &Caller, position: u64) -> Result<EntryProof, Problem> {
    let newest = newest(core)?;
    let size = newest.signed.unverified().size;
    if position >= size {
        let limit = format!("below {size}, the newest checkpoint's size");
        return Err(Refusal::new(Rule::Malformed, format_args!("position: {position}"), limit).into());
    }
    let record = core.journal.read(position, 1)?.pop().ok_or_else(|| Problem::broken("an entry is missing"))?;
    let seen = may_see(&core.gate.pass(), caller, &record)?;
    let opening = seen.then_some(Opening { nonce: record.nonce, entry: record.entry });
    // The cosigned one proves more, where the entry is under it already.
    let cosigned = Some(core.witnesses.shown(&newest)).filter(|shown| position < shown.unverified().size);
    let checkpoint = cosigned.unwrap_or_else(|| newest.signed.clone());
    EntryProof::make(&core.log.tiles(&newest), checkpoint, position, opening).map_err(proof_problem)
}

fn newest(core: &Core) -> Result<Arc<Newest>, Problem> {
    core.log.newest().ok_or_else(|| Problem::unavailable("no checkpoint has been signed yet"))
}

fn proof_problem(error: account::Error) -> Problem {
    match error {
        account::Error::Refused(error) => Refusal::new(Rule::Malformed, error, "positions in the log, in order").into(),
        account::Error::Unavailable(missing) => Problem::unavailable(missing),
    }
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], body).into_response()
}

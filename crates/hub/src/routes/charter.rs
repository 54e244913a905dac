//! The charter in force, the guard lists it names, and how the next ones come in.

use super::query::{Asked, answer, body, typed, written};
use super::submit::JSON;
use crate::core::{Accepted, Core};
use crate::directory::write_whole;
use crate::intake::{self, Bounds};
use crate::problem::Problem;
use crate::wire::{ListTaken, SCHEMA, Written};
use alliance::{Command, Entry, Event};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use charter::{Charter, SignedCharter};
use model::{Digest, Refusal, Rule};
use serde::Deserialize;
use std::sync::Arc;

/// Guard lists that may be kept: those of the charter in force and of some that are prepared.
const LISTS_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CharterQuery {
    version: Option<u64>,
}

/// `GET /api/v1/charter`
pub(crate) async fn shown(
    State(core): State<Arc<Core>>,
    Asked(asked): Asked<CharterQuery>,
) -> Result<Response, Problem> {
    let version = asked.version;
    let signed = core.work(move |core| version.map_or_else(|| current(core), |version| past(core, version))).await?;
    Ok(answer(signed))
}

fn current(core: &Core) -> Result<SignedCharter, Problem> {
    let none = || Refusal::new(Rule::CharterUnsigned, "none", "a charter, adopted before anything else");
    Ok(core.read(|state| state.signed_charter().cloned())?.ok_or_else(none)?)
}

/// The charter of a version, from its place in the journal: whoever missed several catches up step by step.
fn past(core: &Core, version: u64) -> Result<SignedCharter, Problem> {
    let position = core.read(|state| state.charter_position(version))?;
    let none = || {
        let value = format!("charter version {version}");
        Problem::request(axum::http::StatusCode::NOT_FOUND, value, "a version that was in force")
    };
    let record = core.journal.read(position.ok_or_else(none)?, 1)?.into_iter().next().ok_or_else(none)?;
    match Entry::from_bytes(&record.entry).map(|entry| entry.event) {
        Ok(Event::CharterAdopted(signed)) => Ok(*signed),
        _ => Err(Problem::broken("an entry cannot be read")),
    }
}

/// `POST /api/v1/charter`
pub(crate) async fn adopt(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body(&core, JSON, request).await?;
    let signed = core
        .work(move |core| {
            let signed: SignedCharter = typed(core, packed, "a charter's text and its consents")?;
            require_ours(core, &Charter::parse(&signed.text)?)?;
            Ok(signed)
        })
        .await?;
    let Accepted { position, duplicate } = core.submit(Command::AdoptCharter(Box::new(signed))).await?;
    Ok(written(Written { schema: SCHEMA, position, accepted: 1, sequence: None, duplicate }))
}

/// Agents hold this hub's checkpoints against the charter's key and name: another's charter would lock them all out.
fn require_ours(core: &Core, charter: &Charter) -> Result<(), Refusal> {
    let identity = core.directory.identity();
    if charter.alliance.name != identity.alliance {
        let value = format!("alliance.name = {}", charter.alliance.name);
        return Err(Refusal::new(Rule::Malformed, value, &identity.alliance));
    }
    match charter.alliance.hub_key == identity.checkpoint_key {
        true => Ok(()),
        false => {
            let value = format!("alliance.hub_key = {}", charter.alliance.hub_key);
            Err(Refusal::new(Rule::Malformed, value, format!("this hub's key, {}", identity.checkpoint_key)))
        }
    }
}

/// `GET /api/v1/charter/lists/{sha256}`
pub(crate) async fn list(State(core): State<Arc<Core>>, Path(sha256): Path<String>) -> Result<Response, Problem> {
    let digest: Digest = sha256.parse()?;
    let found = core.work(move |core| core.read(|state| state.list(&digest))).await?;
    let none = || Problem::request(axum::http::StatusCode::NOT_FOUND, digest, "a list this hub was given");
    let bytes = axum::body::Bytes::from_owner(found.ok_or_else(none)?);
    let text = HeaderValue::from_static("application/octet-stream");
    let forever = HeaderValue::from_static("private, max-age=31536000, immutable");
    Ok(([(header::CONTENT_TYPE, text), (header::CACHE_CONTROL, forever)], bytes).into_response())
}

/// `PUT /api/v1/charter/lists`
pub(crate) async fn put_list(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Problem> {
    core.require_writable()?;
    let limits = &core.config.limits;
    let bounds = Bounds { bytes_max: limits.list_bytes_max, time_max: limits.body_time_max.to_std() };
    let (parts, body) = request.into_parts();
    let packed = intake::read(&parts.headers, body, bounds).await?;
    let taken = core.work(move |core| take_list(core, packed)).await?;
    Ok(answer(taken))
}

/// Keeps the file durably, then hands it to the alliance: a charter that names it can be replayed.
fn take_list(core: &Core, packed: intake::Packed) -> Result<ListTaken, Problem> {
    let bytes = packed.unpack()?;
    let sha256 = Digest::of(&[&bytes]);
    let taken = ListTaken { sha256, bytes: bytes.len() as u64 };
    if core.read(|state| state.list(&sha256).is_some())? {
        return Ok(taken);
    }
    let dir = core.directory.path("lists");
    let kept = std::fs::read_dir(&dir).map_or(LISTS_MAX, Iterator::count);
    if kept >= LISTS_MAX {
        return Err(Refusal::new(Rule::TooLarge, format_args!("{kept} lists"), format!("{LISTS_MAX} lists")).into());
    }
    write_whole(&dir.join(sha256.to_string()), &bytes, true)
        .map_err(|error| Problem::unavailable(format_args!("the list was not kept: {error}")))?;
    let mut state = core.state.write().map_err(|_| Problem::broken("the hub has failed"))?;
    state.add_list(bytes.to_vec());
    Ok(taken)
}

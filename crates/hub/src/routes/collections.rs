//! Collections that members open for their tools: opened, listed, closed. What is in them is `taxii`'s.

use super::query::{answer, body_within, typed, written};
use super::submit::JSON;
use crate::core::{Accepted, Core};
use crate::gate::Caller;
use crate::problem::Problem;
use crate::taxii::shown;
use crate::wire::{CollectionShown, List, SCHEMA, Written};
use alliance::{Closing, CollectionRecord, Command, NewCollection};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// Longest body, in bytes.
const BODY_BYTES_MAX: u64 = 16 << 10;

/// `GET /api/v1/collections`
pub(crate) async fn list(State(core): State<Arc<Core>>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer(List::whole(of(&core, &caller))))
}

/// Those whose audience the caller belongs to, in the order of opening.
fn of(core: &Core, caller: &Caller) -> Vec<CollectionShown> {
    let pass = core.gate.pass();
    let charter = pass.charter.as_deref();
    let seen = |record: &&Arc<CollectionRecord>| {
        record.wish.group.as_ref().is_none_or(|id| {
            let group = charter.and_then(|charter| charter.group(id));
            group.is_some_and(|group| group.members.contains(&caller.member))
        })
    };
    let mut records: Vec<&Arc<CollectionRecord>> = pass.collections.values().filter(seen).collect();
    records.sort_by_key(|record| (record.opened, record.id));
    records.into_iter().map(|record| CollectionShown::of(record)).collect()
}

/// `POST /api/v1/collections`
pub(crate) async fn open(State(core): State<Arc<Core>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let form = "name, title, description, group and writers";
    let wish: NewCollection = core.work(move |core| typed(core, packed, form)).await?;
    let (name, root) = (wish.name.clone(), wish.root());
    let command = Command::OpenCollection { member: caller.member.clone(), by: shown(&caller), wish: Box::new(wish) };
    let Accepted { position, .. } = core.submit(command).await?;
    let opened = of(&core, &caller).into_iter().find(|shown| shown.name == name && shown.root == root.to_string());
    let header = (HeaderName::from_static("x-epimachia-position"), HeaderValue::from(position));
    Ok(([header], axum::Json(opened.ok_or_else(|| Problem::unavailable("the collection is not there yet"))?))
        .into_response())
}

/// `DELETE /api/v1/collections/{id}`
pub(crate) async fn close(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let shown_to = of(&core, &caller).into_iter().find(|shown| shown.id.to_string().eq_ignore_ascii_case(&id));
    let none = || Problem::request(StatusCode::NOT_FOUND, &id, "a collection that a member opened");
    let collection = shown_to.ok_or_else(none)?.id;
    let closing = Closing { collection, member: caller.member.clone(), by: shown(&caller) };
    let Accepted { position, duplicate } = core.submit(Command::CloseCollection(Box::new(closing))).await?;
    Ok(written(Written { schema: SCHEMA, position, accepted: 1, sequence: None, duplicate }))
}

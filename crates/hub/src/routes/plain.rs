//! What needs no token: health, figures, the API's own description.

use super::query::answer;
use crate::core::{Condition, Core};
use crate::problem::Problem;
use crate::wire::Health;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// `GET /health`: 200 only if statements are taken and the newest checkpoint is fresh.
pub(crate) async fn health(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    match &*core.condition.borrow() {
        Condition::Serving => {}
        Condition::ReadOnly(_) => return Err(Problem::unavailable("the hub serves reads only")),
        Condition::Broken(_) => return Err(Problem::broken("the hub has stopped")),
    }
    let newest = core.log.newest().ok_or_else(|| Problem::unavailable("no checkpoint has been signed yet"))?;
    let age_max = core.config.account.checkpoint_age_max;
    if core.clock.now().since(newest.at) > age_max {
        return Err(Problem::unavailable(format_args!("the newest checkpoint is older than {age_max}")));
    }
    let journal = core.work(|core| core.read(alliance::Alliance::next_position)).await?;
    let checkpoint = newest.signed.unverified().size;
    Ok(answer(Health { status: "ok".to_owned(), journal, checkpoint }))
}

/// `GET /metrics`
pub(crate) async fn metrics(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let text = core.work(crate::gauges::render).await?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"))], text).into_response())
}

/// `GET /api/v1/openapi.json`
pub(crate) async fn openapi() -> Response {
    let json = HeaderValue::from_static(super::submit::JSON);
    ([(header::CONTENT_TYPE, json)], crate::openapi::text()).into_response()
}

//! `POST /api/v1/log/cosignatures`: what a member's witness says of a checkpoint.

use super::query::{answer, body, typed};
use super::submit::JSON;
use crate::core::Core;
use crate::gate::Caller;
use crate::problem::Problem;
use crate::wire::Cosignature;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// `POST /api/v1/log/cosignatures`
pub(crate) async fn cosignatures(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let packed = body(&core, JSON, request).await?;
    let taken = core
        .work(move |core| {
            let sent: Cosignature = typed(core, packed, "{note}")?;
            core.witnesses.take(core, &caller.member, &sent.note)
        })
        .await?;
    Ok(answer(taken))
}

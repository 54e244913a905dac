//! Membership: where every company stands, the next step of one, and the charter that would name it.

use super::query::{Asked, answer, body_within, typed, written};
use super::submit::{JSON, require_own};
use crate::core::{Accepted, Core};
use crate::gate::Caller;
use crate::problem::Problem;
use crate::wire::{List, SCHEMA, Written};
use alliance::{Amendment, Command};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::MemberId;
use model::membership::MembershipStatement;
use serde::Deserialize;
use std::sync::Arc;

/// Longest body, in bytes.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// `GET /api/v1/membership`
pub(crate) async fn companies(State(core): State<Arc<Core>>, caller: Caller) -> Result<Response, Problem> {
    let found = core.work(move |core| core.read(|state| state.companies(&caller.member))).await?;
    Ok(answer(List::whole(found)))
}

/// `POST /api/v1/membership`
pub(crate) async fn step(State(core): State<Arc<Core>>, caller: Caller, request: Request) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let now = core.clock.now();
    let command = core
        .work(move |core| {
            let statement: MembershipStatement = typed(core, packed, "apply, claim or say, with its signature")?;
            if let MembershipStatement::Say(word, _) = &statement {
                require_own(&caller, &word.person.member())?;
            }
            let command = Command::Membership { by: caller.member.clone(), statement: Box::new(statement.clone()) };
            // Signatures cost the sequencer nothing for what is refused anyway.
            core.read(|state| match state.duplicate(&command)? {
                Some(_) => Ok(()),
                None => state.check_membership(&caller.member, &statement, now),
            })??;
            Ok(command)
        })
        .await?;
    let Accepted { position, duplicate } = core.submit(command).await?;
    Ok(written(Written { schema: SCHEMA, position, accepted: 1, sequence: None, duplicate }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DraftQuery {
    admit: Option<MemberId>,
    vet: Option<MemberId>,
}

/// `GET /api/v1/charter/draft`
pub(crate) async fn draft(State(core): State<Arc<Core>>, Asked(asked): Asked<DraftQuery>) -> Result<Response, Problem> {
    let DraftQuery { admit, vet } = asked;
    let (amendment, now) = (Amendment { admit, vet }, core.clock.now());
    let text = core.work(move |core| Ok(core.read(|state| state.draft_charter(&amendment, now))??)).await?;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, plain)], text).into_response())
}

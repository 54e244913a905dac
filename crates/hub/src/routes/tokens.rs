//! Tokens: made, listed without their secrets, revoked.

use super::query::{answer, body, typed, written};
use super::submit::JSON;
use crate::admin::issue;
use crate::core::{Accepted, Core};
use crate::problem::Problem;
use crate::wire::{List, NewToken, SCHEMA, TokenShown, Written};
use alliance::{Command, TokenRecord};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use model::{Refusal, Rule, Span, TokenId};
use std::sync::Arc;

/// Longest life of a token.
pub(crate) const TOKEN_VALID_MAX: Span = Span::days(400);

/// `GET /api/v1/tokens`
pub(crate) async fn list(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let tokens = core.work(|core| core.read(tokens_of)).await?;
    Ok(answer(List::whole(tokens)))
}

/// `GET /api/v1/tokens/{id}`
pub(crate) async fn one(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: TokenId = id.parse()?;
    let found = core.work(move |core| core.read(|state| tokens_of(state).into_iter().find(|t| t.id == id))).await?;
    let none = || Problem::request(axum::http::StatusCode::NOT_FOUND, id, "a token the alliance knows");
    Ok(answer(found.ok_or_else(none)?))
}

fn tokens_of(state: &alliance::Alliance) -> Vec<TokenRecord> {
    state.tokens().into_iter().cloned().collect()
}

/// `POST /api/v1/tokens`
pub(crate) async fn make(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body(&core, JSON, request).await?;
    let wish: NewToken = core.work(move |core| typed(core, packed, "member, scopes, label and valid")).await?;
    if wish.valid <= Span::ZERO || wish.valid > TOKEN_VALID_MAX {
        let limit = format!("more than 0s, at most {TOKEN_VALID_MAX}");
        return Err(Refusal::new(Rule::Malformed, format_args!("valid: {}", wish.valid), limit).into());
    }
    let NewToken { member, scopes, label, valid } = wish;
    let issued = issue(member, scopes, label, core.clock.now(), valid)
        .map_err(|_| Problem::unavailable("no random bytes from the system"))?;
    let Accepted { position, .. } = core.submit(Command::IssueToken(issued.record.clone())).await?;
    let header = (HeaderName::from_static("x-epimachia-position"), HeaderValue::from(position));
    let shown = TokenShown { token: issued.secret, record: issued.record };
    Ok(([header], axum::Json(shown)).into_response())
}

/// `DELETE /api/v1/tokens/{id}`
pub(crate) async fn revoke(State(core): State<Arc<Core>>, Path(id): Path<String>) -> Result<Response, Problem> {
    let id: TokenId = id.parse()?;
    let Accepted { position, duplicate } = core.submit(Command::RevokeToken(id)).await?;
    Ok(written(Written { schema: SCHEMA, position, accepted: 1, sequence: None, duplicate }))
}

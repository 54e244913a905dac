//! Keys: which count, how they came to be, and a member's change of one. A change says by itself who may make it: the
//! hub verifies it and passes it on, and could not make one.

use super::query::{Asked, answer, body_within, typed, written};
use super::submit::{JSON, require_own};
use crate::core::{Accepted, Core};
use crate::gate::Caller;
use crate::problem::Problem;
use crate::wire::{SCHEMA, Written};
use alliance::Command;
use axum::extract::{Request, State};
use axum::response::Response;
use model::{MemberId, SignedKeyChange};
use serde::Deserialize;
use std::sync::Arc;

/// Longest body, in bytes.
const BODY_BYTES_MAX: u64 = 16 << 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysQuery {
    member: Option<MemberId>,
}

/// `GET /api/v1/keys`
pub(crate) async fn keys(State(core): State<Arc<Core>>, Asked(asked): Asked<KeysQuery>) -> Result<Response, Problem> {
    let member = asked.member;
    let now = core.clock.now();
    let shown = core.work(move |core| Ok(core.read(|state| state.keys(member.as_ref(), now))??)).await?;
    Ok(answer(shown))
}

/// `POST /api/v1/keys`
pub(crate) async fn change(
    State(core): State<Arc<Core>>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let command = core
        .work(move |core| {
            let signed: SignedKeyChange = typed(core, packed, "a signed change of a key")?;
            require_own(&caller, &signed.change.member)?;
            let command = Command::ChangeKey(Box::new(signed.clone()));
            // Signatures cost the sequencer nothing for what is refused anyway.
            core.read(|state| match state.duplicate(&command)? {
                Some(_) => Ok(()),
                None => state.check_key_change(&signed),
            })??;
            Ok(command)
        })
        .await?;
    let Accepted { position, duplicate } = core.submit(command).await?;
    Ok(written(Written { schema: SCHEMA, position, accepted: 1, sequence: None, duplicate }))
}

//! Joining: nonces, certificates, join tokens.

use super::query::{answer, body_within, typed, written};
use super::submit::JSON;
use crate::core::{Accepted, Core};
use crate::joining::{self, Prepared};
use crate::problem::Problem;
use crate::serve::Connection;
use crate::wire::{CertificateView, List, Reason, SCHEMA, Written};
use alliance::Command;
use alliance::joining::JoinTokenRecord;
use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use model::join::{HUB_URL_BYTES_MAX, Invitation, Invited, JoinRequest, JoinToken, Nonce, SignedWish};
use model::{CertificateId, JoinTokenId, Refusal, Rule};
use std::sync::Arc;

/// Longest body of somebody who has shown nothing yet, in bytes.
const BODY_BYTES_MAX: u64 = 16 << 10;

/// `GET /api/v1/nonce`
pub(crate) async fn nonce(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let now = core.clock.now();
    let nonce = core.joining.nonces.draw(now).map_err(|_| Problem::unavailable("no random bytes from the system"))?;
    Ok(answer(Nonce { nonce, expires: now.plus(crate::strangers::NONCE_VALID) }))
}

/// `POST /api/v1/join`
pub(crate) async fn join(
    State(core): State<Arc<Core>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let prepared = core
        .work(move |core| {
            let asked: JoinRequest = typed(core, packed, "a secret and a signed wish")?;
            joining::join(core, asked)
        })
        .await;
    issue(&core, &connection, "join", prepared).await
}

/// `POST /api/v1/certificate`
pub(crate) async fn renew(
    State(core): State<Arc<Core>>,
    Extension(connection): Extension<Connection>,
    request: Request,
) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let shown = connection.certificate.clone();
    let prepared = core
        .work(move |core| {
            let signed: SignedWish = typed(core, packed, "a signed wish")?;
            joining::renew(core, shown.as_deref(), &signed)
        })
        .await;
    issue(&core, &connection, "renew", prepared).await
}

/// Ordered, durable, and only then handed out; whoever is turned away stands in the log.
async fn issue(
    core: &Core,
    connection: &Connection,
    what: &'static str,
    prepared: Result<Prepared, Problem>,
) -> Result<Response, Problem> {
    let issued = match prepared {
        Ok(Prepared { command, answer }) => core.submit(command).await.map(|accepted| (accepted, answer)),
        Err(problem) => Err(problem),
    };
    let (Accepted { position, .. }, certified) = issued.inspect_err(|problem| {
        let rule = problem.rule.map_or("", Rule::name);
        tracing::warn!(what, rule, value = problem.value, peer = %connection.peer, "an agent was given no certificate");
    })?;
    tracing::info!(what, certificate = %certified.id, until = %certified.until, "an agent was given a certificate");
    Ok(([position_header(position)], axum::Json(certified)).into_response())
}

fn position_header(position: u64) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static("x-epimachia-position"), HeaderValue::from(position))
}

/// `GET /api/v1/certificates`
pub(crate) async fn certificates(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let now = core.clock.now();
    let all =
        core.work(move |core| core.read(|state| state.certificates().map(|c| CertificateView::of(c, now)).collect()));
    Ok(answer(List::<CertificateView>::whole(all.await?)))
}

/// `POST /api/v1/certificates/{id}/revocation`
pub(crate) async fn revoke_certificate(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let certificate: CertificateId = id.parse()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let Reason { reason } = core.work(move |core| typed(core, packed, "a reason")).await?;
    done(core.submit(Command::RevokeCertificate { certificate, reason }).await?)
}

/// `GET /api/v1/join-tokens`
pub(crate) async fn join_tokens(State(core): State<Arc<Core>>) -> Result<Response, Problem> {
    let now = core.clock.now();
    let open = core.work(move |core| core.read(|state| state.join_tokens(now).into_iter().cloned().collect()));
    Ok(answer(List::<JoinTokenRecord>::whole(open.await?)))
}

/// `POST /api/v1/join-tokens`
pub(crate) async fn invite(State(core): State<Arc<Core>>, request: Request) -> Result<Response, Problem> {
    core.require_writable()?;
    let packed = body_within(&core, JSON, BODY_BYTES_MAX, request).await?;
    let Invitation { member, valid, hub } =
        core.work(move |core| typed(core, packed, "member, valid and the hub's address")).await?;
    if !hub.starts_with("https://") || hub.len() > HUB_URL_BYTES_MAX {
        let limit = format!("https://… of at most {HUB_URL_BYTES_MAX} bytes");
        return Err(Refusal::new(Rule::Malformed, format_args!("hub: {hub}"), limit).into());
    }
    let secret = joining::secret().map_err(|_| Problem::unavailable("no random bytes from the system"))?;
    let made = core.clock.now();
    let (hash, expires) = (secret.digest(), made.plus(valid));
    let id = JoinTokenId::of(&hash);
    let identity = core.directory.identity();
    let token = JoinToken {
        hub,
        alliance: identity.alliance.clone(),
        ca: core.joining.anchors.pin,
        hub_key: identity.checkpoint_key,
        member: member.clone(),
        expires,
        secret,
    };
    let record = JoinTokenRecord { id, hash, member: member.clone(), made, expires };
    let Accepted { position, .. } = core.submit(Command::IssueJoinToken(record)).await?;
    let invited = Invited { token: token.to_text(), id, member, expires };
    Ok(([position_header(position)], axum::Json(invited)).into_response())
}

/// `DELETE /api/v1/join-tokens/{id}`
pub(crate) async fn revoke_join_token(
    State(core): State<Arc<Core>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let id: JoinTokenId = id.parse()?;
    done(core.submit(Command::RevokeJoinToken(id)).await?)
}

fn done(accepted: Accepted) -> Result<Response, Problem> {
    let Accepted { position, duplicate } = accepted;
    Ok(written(Written { schema: SCHEMA, position, accepted: 1, sequence: None, duplicate }))
}

//! Queries, path parts and JSON bodies as typed values; what is wrong with them is a problem.

use crate::core::Core;
use crate::gate::Caller;
use crate::intake::{self, Bounds, Packed};
use crate::problem::Problem;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{Refusal, Rule};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Most items of one page, and how many are given where nobody says.
pub(crate) const PAGE_MAX: usize = 1_000;
const PAGE_DEFAULT: usize = 100;

/// A typed query; one that is none is refused.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let refused = |error: QueryRejection| Refusal::new(Rule::Malformed, error.body_text(), "the documented query");
        Ok(Self(Query::try_from_uri(&parts.uri).map_err(refused)?.0))
    }
}

/// How many items a page has.
pub(crate) fn page(limit: Option<usize>) -> Result<usize, Problem> {
    match limit.unwrap_or(PAGE_DEFAULT) {
        0 => Err(Refusal::new(Rule::Malformed, "limit: 0", format!("1 to {PAGE_MAX}")).into()),
        limit if limit > PAGE_MAX => {
            Err(Refusal::new(Rule::TooLarge, format_args!("limit: {limit}"), format!("1 to {PAGE_MAX}")).into())
        }
        limit => Ok(limit),
    }
}

/// Who asks: the guard has put it there.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let missing = || Problem::request(StatusCode::UNAUTHORIZED, "no token", "a route that asks for one");
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// A body of this media type, within the limits of requests.
pub(crate) async fn body(core: &Core, media_type: &str, request: Request) -> Result<Packed, Problem> {
    body_within(core, media_type, core.config.limits.body_bytes_max, request).await
}

/// As [`body`], with another limit of bytes.
pub(crate) async fn body_within(
    core: &Core,
    media_type: &str,
    bytes_max: u64,
    request: Request,
) -> Result<Packed, Problem> {
    let bounds = Bounds { bytes_max, time_max: core.config.limits.body_time_max.to_std() };
    require_type(request.headers(), media_type)?;
    let (parts, body) = request.into_parts();
    intake::read(&parts.headers, body, bounds).await
}

fn require_type(headers: &HeaderMap, media_type: &str) -> Result<(), Problem> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    match sent.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media_type) {
        true => Ok(()),
        false => {
            let value = format!("Content-Type: {sent}");
            Err(Problem::request(StatusCode::UNSUPPORTED_MEDIA_TYPE, value, media_type))
        }
    }
}

/// The JSON of a body in its type.
pub(crate) fn typed<T: DeserializeOwned>(core: &Core, packed: Packed, what: &str) -> Result<T, Problem> {
    let bytes = packed.unpack()?;
    Ok(intake::json(intake::text(&bytes)?, core.config.limits.json_depth_max, what)?)
}

/// A JSON answer.
pub(crate) fn answer<T: Serialize>(value: T) -> Response {
    Json(value).into_response()
}

/// A durable answer: the position also stands in a header.
pub(crate) fn written(value: crate::wire::Written) -> Response {
    let header = (HeaderName::from_static("x-epimachia-position"), HeaderValue::from(value.position));
    ([header], Json(value)).into_response()
}

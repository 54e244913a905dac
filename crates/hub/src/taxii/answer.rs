//! Answers in TAXII's media type, errors included (TAXII 2.1 §3.1, §3.6).

use crate::problem::{Problem, ProblemBody};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{ParseError, Refusal, Rule};
use serde::Serialize;
use share::taxii::{Failure, cursor, media};

/// How every path of the server begins.
const PREFIX: &str = "/taxii2/";
/// The schemes of authentication that count here.
const CHALLENGE: &str = "Basic realm=\"taxii\", Bearer realm=\"taxii\"";
static FIRST: HeaderName = HeaderName::from_static("x-taxii-date-added-first");
static LAST: HeaderName = HeaderName::from_static("x-taxii-date-added-last");

/// Is this a path of the TAXII server?
pub(crate) fn is_ours(path: &str) -> bool {
    path.starts_with(PREFIX)
}

/// A problem as TAXII clients read it.
#[derive(Debug)]
pub(crate) struct Trouble(Problem);

impl Trouble {
    /// There is no such thing, or the caller may not know of it.
    pub(super) fn not_found(what: &str, value: &str) -> Self {
        Self(Problem::request(StatusCode::NOT_FOUND, value, what))
    }

    /// The caller may not do this.
    pub(super) fn forbidden(value: impl std::fmt::Display, limit: impl std::fmt::Display) -> Self {
        Refusal::new(Rule::ScopeMissing, value, limit).into()
    }

    /// The request is understood as a request, and what it carries is not.
    pub(super) fn unprocessable(error: &ParseError) -> Self {
        let value = format!("{}: {}", error.field, error.value);
        Self(Problem::request(StatusCode::UNPROCESSABLE_ENTITY, value, &error.allowed))
    }

    /// A media type that is not spoken here.
    pub(super) fn media(status: StatusCode, header: &str, value: &str) -> Self {
        Self(Problem::request(status, format_args!("{header}: {value}"), media::TAXII))
    }
}

impl<T: Into<Problem>> From<T> for Trouble {
    fn from(problem: T) -> Self {
        Self(problem.into())
    }
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = failure(&self.0);
        let (rule, retry_after) = (self.0.rule, self.0.retry_after);
        let mut response = json(status, &body);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(CHALLENGE));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(rule) = rule {
            response.extensions_mut().insert(rule);
        }
        response
    }
}

fn failure(problem: &ProblemBody) -> Failure {
    let details = serde_json::json!({
        "kind": problem.kind,
        "rule": problem.rule,
        "value": problem.value,
        "limit": problem.limit,
        "next": problem.next,
    });
    Failure { details: Some(details), ..Failure::new(problem.status, &problem.title, Some(problem.detail.clone())) }
}

/// A document as an answer.
pub(super) fn json<T: Serialize>(status: StatusCode, document: &T) -> Response {
    // Documents are texts, numbers and lists of them: serde_json cannot fail on them.
    body(status, serde_json::to_vec(document).unwrap_or_default())
}

/// JSON that is written already.
pub(super) fn body(status: StatusCode, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media::TAXII));
    response
}

/// When the first and the last object of a page were added (§3.2). On an empty page both are the time after which was
/// asked, so that whoever goes on from there misses nothing.
pub(super) fn dated(mut response: Response, ends: Option<(i64, i64)>, added_after: Option<i64>) -> Response {
    let asked = added_after.unwrap_or(0);
    let (first, last) = ends.unwrap_or((asked, asked));
    for (name, micros) in [(&FIRST, first), (&LAST, last)] {
        if let Ok(value) = HeaderValue::from_str(&cursor::text(micros)) {
            response.headers_mut().insert(name.clone(), value);
        }
    }
    response
}

//! Errors as members see them: RFC 9457 problems, each with its kind, the rule, the value, the limit and the next step.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{ParseError, Refusal, Rule};
use serde::{Deserialize, Serialize};

/// The media type of problems.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What to do about a problem.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A rule said no: the same request will be refused again.
    Refused,
    /// Not now: try again.
    Unavailable,
    /// The hub has stopped taking statements: tell its operator.
    Broken,
}

/// A problem as an error: one pointer, so that results stay small.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem(Box<ProblemBody>);

impl std::ops::Deref for Problem {
    type Target = ProblemBody;

    fn deref(&self) -> &ProblemBody {
        &self.0
    }
}

/// An RFC 9457 problem as it travels. The text fields never hold a secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProblemBody {
    /// A name for the kind of problem: `urn:epimachia:rule:<rule>` or `urn:epimachia:<kind>`.
    #[serde(rename = "type")]
    pub type_: String,
    /// The rule or the state of the hub, in one sentence.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What was wrong here.
    pub detail: String,
    /// What to do about it.
    pub kind: Kind,
    /// The rule that said no; null where none did.
    pub rule: Option<Rule>,
    /// What was refused; empty where nothing was.
    pub value: String,
    /// What would have been allowed; for `out_of_sequence` the number that comes next.
    pub limit: String,
    /// What to do next, in words.
    pub next: String,
    /// Seconds after which to try again, where that helps.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A rule said no.
    pub fn refused(refusal: &Refusal) -> Self {
        let status = status_of(refusal.rule);
        Self(Box::new(ProblemBody {
            type_: format!("urn:epimachia:rule:{}", refusal.rule),
            title: refusal.rule.explains().to_owned(),
            status: status.as_u16(),
            detail: refusal.to_string(),
            kind: if status == StatusCode::TOO_MANY_REQUESTS { Kind::Unavailable } else { Kind::Refused },
            rule: Some(refusal.rule),
            value: refusal.value.clone(),
            limit: refusal.limit.clone(),
            next: next_of(refusal.rule).to_owned(),
            retry_after: (status == StatusCode::TOO_MANY_REQUESTS).then_some(1),
        }))
    }

    /// A request that is not as documented, with a status of its own.
    pub fn request(status: StatusCode, value: impl std::fmt::Display, limit: impl std::fmt::Display) -> Self {
        let mut problem = Self::refused(&Refusal::new(Rule::Malformed, value, limit));
        problem.0.status = status.as_u16();
        problem
    }

    /// Not now.
    pub fn unavailable(detail: impl std::fmt::Display) -> Self {
        Self::state(Kind::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "The hub cannot do this now.", detail, 5)
    }

    /// With the seconds after which to try again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// The queue is full.
    pub fn queue_full(limit: u32) -> Self {
        let detail = format!("{limit} statements are waiting to be ordered");
        let mut problem =
            Self::state(Kind::Unavailable, StatusCode::TOO_MANY_REQUESTS, "The hub is at its limit.", detail, 1);
        problem.0.limit = limit.to_string();
        problem
    }

    /// The hub has stopped taking statements.
    pub fn broken(detail: impl std::fmt::Display) -> Self {
        Self::state(Kind::Broken, StatusCode::SERVICE_UNAVAILABLE, "The hub has stopped.", detail, 30)
    }

    fn state(kind: Kind, status: StatusCode, title: &str, detail: impl std::fmt::Display, retry_after: u64) -> Self {
        let (name, next) = match kind {
            Kind::Broken => ("broken", "tell the hub's operator: the reason stands in its log"),
            _ => ("unavailable", "try again after the seconds in Retry-After"),
        };
        Self(Box::new(ProblemBody {
            type_: format!("urn:epimachia:{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: model::parse::printable(&detail.to_string()),
            kind,
            rule: None,
            value: String::new(),
            limit: String::new(),
            next: next.to_owned(),
            retry_after: Some(retry_after),
        }))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::refused(&refusal)
    }
}

impl From<ParseError> for Problem {
    fn from(error: ParseError) -> Self {
        Self::refused(&error.into())
    }
}

impl From<journal::Error> for Problem {
    fn from(error: journal::Error) -> Self {
        match error {
            journal::Error::Refused(refusal) => {
                Refusal::new(Rule::Malformed, refusal, "a position in the journal").into()
            }
            journal::Error::Unavailable(told) => Self::unavailable(told),
            journal::Error::Broken(_) => Self::broken("the journal is damaged"),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // Texts and numbers: serde_json cannot fail on them.
        let mut response = Response::new(Body::from(serde_json::to_vec(&*self.0).unwrap_or_default()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(rule) = self.rule {
            response.extensions_mut().insert(rule);
        }
        response
    }
}

/// The status of a rule; 422 for statements that were understood and not accepted.
const fn status_of(rule: Rule) -> StatusCode {
    match rule {
        Rule::Malformed => StatusCode::BAD_REQUEST,
        Rule::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Rule::TokenInvalid
        | Rule::CertificateForeign
        | Rule::CertificateUnknown
        | Rule::CertificateExpired
        | Rule::CertificateRevoked
        | Rule::JoinTokenUnknown
        | Rule::JoinTokenExpired
        | Rule::JoinTokenUsed
        | Rule::NonceInvalid => StatusCode::UNAUTHORIZED,
        Rule::ScopeMissing | Rule::RoleMissing | Rule::MemberSuspended | Rule::UnknownMember => StatusCode::FORBIDDEN,
        Rule::UnknownFinding | Rule::UnknownPlan => StatusCode::NOT_FOUND,
        Rule::OutOfSequence | Rule::CharterOld | Rule::KeyChain | Rule::MembershipStage | Rule::CollectionName => {
            StatusCode::CONFLICT
        }
        Rule::QuotaExceeded => StatusCode::TOO_MANY_REQUESTS,
        Rule::ReadOnly => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

const fn next_of(rule: Rule) -> &'static str {
    match rule {
        Rule::Malformed => "compare the request with /api/v1/openapi.json",
        Rule::TooLarge => "send less at a time",
        Rule::TokenInvalid => "ask an admin of the alliance for a token",
        Rule::ScopeMissing => "ask an admin of the alliance for a token with this scope",
        Rule::JoinTokenAltered | Rule::JoinTokenUnknown | Rule::JoinTokenExpired | Rule::JoinTokenUsed => {
            "ask an admin of the alliance for a join token: epimachia member invite MEMBER"
        }
        Rule::CertificateForeign | Rule::CertificateUnknown | Rule::CertificateRevoked | Rule::AgentUnknown => {
            "join again with a new join token: epimachia agent join TOKEN"
        }
        Rule::CertificateExpired => "renew it by the member's key: the agent does so by itself",
        Rule::NonceInvalid => "ask for a new nonce: GET /api/v1/nonce",
        Rule::MemberSuspended => {
            "ask an admin of the alliance: epimachia member show MEMBER says until when; what is in force stays"
        }
        Rule::MembershipStage => "see where the company stands: epimachia member show MEMBER",
        Rule::CollectionName => "give it another name: epimachia collection list says which are taken",
        Rule::RoleMissing => "see what a role may do: docs/reference/roles.md; the next charter gives it",
        Rule::OutOfSequence => "go on with the number in `limit`",
        Rule::QuotaExceeded => "wait for the seconds in Retry-After, then send the same again",
        Rule::ReadOnly => "ask the hub's operator to make room on its disk; reads are served",
        Rule::ClockSkew => "set the clock, and leave out what is too old",
        Rule::UnknownKey => "ask for a charter with this key, or sign with a registered one",
        _ => "see the rule: epimachia charter explain RULE",
    }
}

//! In front of every handler: request id, token and scope, quota, time limit; behind it: figures and one log line.

use super::Route;
use super::unread::Unread;
use crate::config::Limits;
use crate::core::{Core, WHOSE};
use crate::figures::{REQUEST_SECONDS, REQUESTS};
use crate::gate::Need;
use crate::problem::Problem;
use crate::quota::{Allowed, Class};
use crate::serve::Connection;
use alliance::Scope;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use model::{Refusal, Rule};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static COUNT: AtomicU64 = AtomicU64::new(1);

/// Lets a request through to its handler, or answers the problem.
pub(crate) async fn guard(
    State((core, route)): State<(Arc<Core>, &'static Route)>,
    mut request: Request,
    next: Next,
) -> Response {
    let begun = Instant::now();
    let id = format!("{:08x}", COUNT.fetch_add(1, Ordering::Relaxed));
    let unread = Unread::of(&mut request);
    let mut response = match admit(&core, route, &mut request) {
        Err(problem) => shaped(route, problem),
        Ok(in_hand) => {
            let limits = &core.config.limits;
            let time_max = limits.body_time_max.to_std() + limits.answer_time_max.to_std();
            let late = "no answer in time: the statement may stand all the same; send it again with the same number";
            let whose = in_hand.as_ref().map(|in_hand| in_hand.member().clone());
            let response = tokio::time::timeout(time_max, WHOSE.scope(whose, next.run(request))).await;
            drop(in_hand);
            response.unwrap_or_else(|_| shaped(route, Problem::unavailable(late)))
        }
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID.clone(), id);
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    note(&core, route, &id, &response, begun);
    if let Some(unread) = unread {
        unread.settle(&mut response).await;
    }
    response
}

/// A problem in the form that the route's clients read.
fn shaped(route: &Route, problem: Problem) -> Response {
    match crate::taxii::is_ours(route.path) {
        true => crate::taxii::Trouble::from(problem).into_response(),
        false => problem.into_response(),
    }
}

/// Is this caller let in, and within its quota? What the request takes is given back when it is answered.
fn admit(core: &Arc<Core>, route: &Route, request: &mut Request) -> Result<Option<crate::quota::InHand>, Problem> {
    match route.need {
        Need::Nothing => Ok(None),
        Need::Stranger => {
            let peer = request.extensions().get::<Connection>().map(|connection| connection.peer.ip());
            let peer = peer.ok_or_else(|| Problem::unavailable("the caller's address is not known"))?;
            core.joining.strangers.take(peer, core.config.join.strangers_per_minute_max, core.clock.now())?;
            Ok(None)
        }
        Need::Loopback => {
            let local =
                request.extensions().get::<Connection>().is_some_and(|c| c.peer.ip().to_canonical().is_loopback());
            match local || core.config.metrics.public {
                true => Ok(None),
                false => {
                    Err(Refusal::new(Rule::ScopeMissing, "another machine", "loopback; or set metrics.public").into())
                }
            }
        }
        Need::Guest if shows_nothing(request) => {
            let peer = request.extensions().get::<Connection>().map(|connection| connection.peer.ip());
            let peer = peer.ok_or_else(|| Problem::unavailable("the caller's address is not known"))?;
            core.joining.strangers.take(peer, core.config.join.strangers_per_minute_max, core.clock.now())?;
            Ok(None)
        }
        need @ (Need::Token | Need::Scope(_) | Need::Guest | Need::Admin | Need::Credentials) => {
            let now = core.clock.now();
            let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            let shown = request.extensions().get::<Connection>().and_then(|connection| connection.certificate.clone());
            let meant = header.filter(|_| need == Need::Guest).and_then(crate::taxii::as_bearer);
            let header = meant.as_ref().map_or(header, |(_, bearer)| Some(bearer));
            let caller = core.gate.pass().admit(header, shown.as_deref(), need, now)?;
            let user = meant.and_then(|(user, _)| user);
            if let Some(user) = user.filter(|user| *user != caller.member.as_str()) {
                let limit = format!("{}, whose token this is", caller.member);
                return Err(Refusal::new(Rule::TokenInvalid, format_args!("user name {user}"), limit).into());
            }
            let class = class(route);
            let in_hand = core.quotas.request(&caller.member, class, allowed(&core.config.limits, class), now)?;
            if class == Class::Sightings
                && let Ok(charter) = core.gate.pass().charter()
            {
                // Before the body is read: what cannot be taken costs nobody anything.
                core.quotas.sightings(&caller.member, 0, charter.limits.sightings_per_minute_max, now)?;
            }
            // Nothing behind the guard can put the secret anywhere.
            request.headers_mut().remove(header::AUTHORIZATION);
            request.extensions_mut().insert(caller);
            Ok(Some(in_hand))
        }
    }
}

fn shows_nothing(request: &Request) -> bool {
    let certificate = request.extensions().get::<Connection>().is_some_and(|c| c.certificate.is_some());
    !certificate && !request.headers().contains_key(header::AUTHORIZATION)
}

fn class(route: &Route) -> Class {
    match (route.need, route.method) {
        _ if route.request == super::Request::Report => Class::Sightings,
        (Need::Scope(Scope::Receive), "GET") => Class::Streams,
        (Need::Scope(Scope::Receive), _) => Class::Receipts,
        (_, "GET") => Class::Reads,
        _ => Class::Statements,
    }
}

fn allowed(limits: &Limits, class: Class) -> Allowed {
    let per_minute = match class {
        Class::Sightings | Class::Statements => limits.requests_per_minute_max,
        Class::Receipts => limits.receipts_per_minute_max,
        Class::Reads => limits.reads_per_minute_max,
        Class::Streams => limits.streams_per_minute_max,
    };
    Allowed { per_minute, at_once: limits.requests_at_once_max }
}

fn note(core: &Core, route: &Route, id: &str, response: &Response, begun: Instant) {
    let status = response.status();
    let rule = response.extensions().get::<Rule>().copied();
    if let Some(rule) = rule {
        crate::gauges::refusal(&core.figures, rule);
        if rule.name().starts_with("certificate_") {
            tracing::warn!(request = id, rule = rule.name(), route = route.path, "an agent's certificate was refused");
        }
    }
    core.figures.counter(&REQUESTS, &[("route", route.path), ("status", status.as_str())]).increment(1);
    core.figures.histogram(&REQUEST_SECONDS, &[("route", route.path)]).record(begun.elapsed());
    // The path's template, never the path: what was asked about is nobody's business in a log.
    tracing::debug!(
        request = id,
        method = route.method,
        route = route.path,
        status = status.as_u16(),
        rule = rule.map_or("", Rule::name),
        took_us = begun.elapsed().as_micros() as u64,
        "answered"
    );
}

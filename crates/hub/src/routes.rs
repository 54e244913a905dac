//! Every route in one table: what it needs, what it takes, what it answers. The router, the guard in front of each
//! handler and the OpenAPI document are made from it, so they cannot disagree.

mod charter;
mod collections;
mod forgotten;
mod guard;
mod join;
mod journal;
mod keys;
mod membership;
mod plain;
mod query;
mod read;
mod search;
mod stream;
mod submit;
mod table;
mod tokens;
mod unread;
mod witness;

pub use table::{Answer, Param, Request, Route, TABLE};

use crate::core::Core;
use crate::problem::Problem;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

/// The whole API.
pub(crate) fn router(core: &Arc<Core>) -> Router {
    let mut router = Router::new();
    for route in TABLE {
        let guard = from_fn_with_state((Arc::clone(core), route), guard::guard);
        router = router.route(route.path, (route.handler)().route_layer(guard));
    }
    router.fallback(no_such_route).method_not_allowed_fallback(no_such_method).with_state(Arc::clone(core))
}

async fn no_such_route(uri: axum::http::Uri) -> Response {
    shaped(&uri, Problem::request(StatusCode::NOT_FOUND, uri.path(), "a path of /api/v1/openapi.json"))
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Response {
    shaped(&uri, Problem::request(StatusCode::METHOD_NOT_ALLOWED, method, "a method of /api/v1/openapi.json"))
}

fn shaped(uri: &axum::http::Uri, problem: Problem) -> Response {
    match crate::taxii::is_ours(uri.path()) {
        true => crate::taxii::Trouble::from(problem).into_response(),
        false => problem.into_response(),
    }
}

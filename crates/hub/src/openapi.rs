//! The API's description (OpenAPI 3.1), made from the table of routes and the table of schemas. Tests hold every answer
//! of a running hub and every statement that the tests send against it.

mod membership;
mod schemas;

use crate::gate::{AGENT_SCOPES, Need};
use crate::routes::{Answer, Request, Route, TABLE};
use serde_json::{Map, Value, json};

/// What the document says of the whole API.
const ABOUT: &str = "JSON over HTTPS. Unknown fields are refused. Times are RFC 3339 in UTC. Errors are RFC 9457 \
                     problems with kind, rule, value, limit and next. What is answered is durable.";
/// What it says of streams.
const EVENTS: &str = "First `hello` with Hello, then `part`, `withdraw`, `withdrawn`, `findings`, `checkpoint`, \
                      `grown`, `witnessed`, `keys`, `charter` with StreamMessage; a comment as a sign of life.";

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in TABLE {
        // OpenAPI has no word for a part that spans slashes.
        let path = route.path.replace("{*", "{");
        let operations = paths.entry(path).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(operations) = operations {
            operations.insert(route.method.to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Epimachia hub",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "epi_ and 43 characters of base64url" },
                "basic": {
                    "type": "http", "scheme": "basic", "description": "The member's name, and a token as password.",
                },
                "certificate": { "type": "mutualTLS", "description": "An agent's certificate of the hub's authority." },
            },
            "schemas": schemas::all(),
        },
    })
}

/// The document as JSON text, as it stands in `docs/reference/openapi.json`.
pub fn text() -> String {
    // A JSON value: serde_json cannot fail on it.
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": parameters(route),
        "responses": responses(route),
    });
    let (needs, security) = match route.need {
        Need::Nothing | Need::Stranger => ("no token", json!([])),
        Need::Loopback => ("no token, loopback only", json!([])),
        Need::Guest => {
            ("no token for what is public", json!([{}, { "basic": [] }, { "token": [] }, { "certificate": [] }]))
        }
        Need::Token => ("any token", json!([{ "token": [] }, { "certificate": [] }])),
        Need::Scope(scope) if AGENT_SCOPES.contains(&scope) => {
            (scope.as_str(), json!([{ "token": [scope.as_str()] }, { "certificate": [] }]))
        }
        Need::Scope(scope) => (scope.as_str(), json!([{ "token": [scope.as_str()] }])),
        Need::Admin => ("admin, and the role admin", json!([{ "token": ["admin"] }])),
        Need::Credentials => (
            "admin and the role admin, or audit and the role auditor",
            json!([{ "token": ["admin"] }, { "token": ["audit"] }]),
        ),
    };
    operation["description"] = format!("Needs: {needs}.").into();
    operation["security"] = security;
    if let Some(body) = request_body(route.request) {
        operation["requestBody"] = body;
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '{', '}', '*', '.']).filter(|word| !word.is_empty());
    let words = words.filter(|word| !["api", "v1"].contains(word));
    words.fold(route.method.to_ascii_lowercase(), |id, word| format!("{id}_{word}"))
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let in_path = in_path.map(|name| {
        let name = name.trim_start_matches('*');
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
    });
    let in_query = route.query.iter().map(|param| {
        json!({
            "name": param.name,
            "in": "query",
            "required": param.required,
            "description": param.explains,
            "schema": schemas::named(param.schema),
        })
    });
    in_path.chain(in_query).collect()
}

fn request_body(request: Request) -> Option<Value> {
    let content = match request {
        Request::Nothing => return None,
        Request::Json(schema) => json!({ "application/json": { "schema": schemas::named(schema) } }),
        Request::Report => json!({ "application/x-ndjson": { "schema": {
            "type": "string",
            "description": "One JSON value a line: a ReportHead and then Openings, or Sightings.",
        } } }),
        Request::Taxii(schema) => json!({ share::taxii::media::TAXII: { "schema": schemas::named(schema) } }),
        Request::Bytes => json!({ "application/octet-stream": { "schema": { "type": "string", "format": "binary" } } }),
    };
    Some(json!({ "required": true, "content": content }))
}

fn responses(route: &Route) -> Value {
    let (media_type, schema) = match route.answer {
        Answer::Json(schema) | Answer::Written(schema) => ("application/json", schemas::named(schema)),
        Answer::List(schema) => ("application/json", schemas::list_of(schema)),
        Answer::Taxii(schema) => (share::taxii::media::TAXII, schemas::named(schema)),
        Answer::Text => ("text/plain", json!({ "type": "string" })),
        Answer::Bytes => ("application/octet-stream", json!({ "type": "string", "format": "binary" })),
        Answer::Events => (
            "text/event-stream",
            json!({
                "type": "string",
                "description": EVENTS,
            }),
        ),
    };
    let mut ok = json!({ "description": "All is well.", "content": { media_type: { "schema": schema } } });
    if matches!(route.answer, Answer::Written(_)) {
        ok["headers"] = json!({ "X-Epimachia-Position": {
            "description": "Where the statement stands in the journal, durably.",
            "schema": { "type": "integer" },
        } });
    }
    let (media_type, problem) = match crate::taxii::is_ours(route.path) {
        true => (share::taxii::media::TAXII, "TaxiiError"),
        false => ("application/problem+json", "Problem"),
    };
    let all_is_well = if matches!(route.request, Request::Taxii(_)) { "202" } else { "200" };
    json!({
        all_is_well: ok,
        "default": {
            "description": "A problem; 429 and 503 come with Retry-After.",
            "content": { media_type: { "schema": schemas::named(problem) } },
        },
    })
}

//! Reads JSON into types and, where that fails, says which field is at fault.

use model::ParseError;
use serde::Deserialize;

/// Reads `json` as a `T`; a second, slower pass finds the field where the first one fails.
///
/// # Errors
/// Names the field by its path (`object_refs[2]`), what stands there, and what should.
pub fn read<'a, T: Deserialize<'a>>(what: &str, json: &'a str) -> Result<T, ParseError> {
    serde_json::from_str(json).map_err(|_| accuse::<T>(what, json))
}

fn accuse<'a, T: Deserialize<'a>>(what: &str, json: &'a str) -> ParseError {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return ParseError::new(what, json, "one JSON value and nothing after it");
    };
    let path = error.path().to_string();
    let inner = error.into_inner();
    let missing = inner.to_string().strip_prefix("missing field `").and_then(|m| Some(m.split_once('`')?.0.to_owned()));
    match missing {
        Some(field) => ParseError::new(&join(what, &path, &field), "nothing", "a value: the property is required"),
        None => ParseError::new(&join(what, &path, ""), at(json, &inner), message(&inner)),
    }
}

fn join(what: &str, path: &str, field: &str) -> String {
    let parts = [what, path, field];
    let named: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty() && *part != ".").collect();
    if named.is_empty() { "document".to_owned() } else { named.join(".") }
}

/// The text around the place where reading stopped.
fn at<'a>(json: &'a str, error: &serde_json::Error) -> &'a str {
    let line = json.lines().nth(error.line().saturating_sub(1)).unwrap_or("");
    let mut from = error.column().saturating_sub(24).min(line.len());
    while !line.is_char_boundary(from) {
        from -= 1;
    }
    &line[from..]
}

/// What the parser expected, without its line and column: an object is often one line long.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(message, _)| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, Debug)]
    struct Thing {
        #[serde(rename = "refs")]
        _refs: Vec<String>,
        #[serde(rename = "count")]
        _count: u32,
    }

    #[test]
    fn the_field_at_fault_is_named_by_its_path() {
        for (json, field, said) in [
            (r#"{"refs":["a",3],"count":1}"#, "sighting.refs[1]", "expected a string"),
            (r#"{"refs":[]}"#, "sighting.count", "required"),
            (r#"{"refs":[],"count":-1}"#, "sighting.count", "expected u32"),
            (r#"{"refs":[],"count":1} x"#, "sighting", "nothing after it"),
            (r#"{"refs":["é","#, "sighting.refs", "EOF"),
        ] {
            let error = read::<Thing>("sighting", json).unwrap_err();
            assert_eq!(error.field, field, "{json}: {error}");
            assert!(error.allowed.contains(said), "{error}");
        }
    }
}

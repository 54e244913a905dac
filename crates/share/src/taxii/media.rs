//! Media types (TAXII 2.1 §3.1, §1.6.8): what a client may ask for, what it may send, what it gets.

/// What every answer is, errors included.
pub const TAXII: &str = "application/taxii+json;version=2.1";
/// The type without its version: the server's latest is meant.
const PLAIN: &str = "application/taxii+json";
/// Longest header that is looked at, in bytes.
const HEADER_BYTES_MAX: usize = 4_096;

/// May we answer a request with this `Accept` header? Without one we may (RFC 9110 §12.5.1).
pub fn acceptable(accept: Option<&str>) -> bool {
    let Some(accept) = accept.map(str::trim).filter(|accept| !accept.is_empty()) else { return true };
    accept.len() <= HEADER_BYTES_MAX && accept.split(',').any(|range| fits(range, true))
}

/// Is a request body of this `Content-Type` one that we read?
pub fn readable(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|content_type| content_type.len() <= HEADER_BYTES_MAX && fits(content_type, false))
}

/// One media range or type. Parameters other than `version` change nothing; a weight of 0 is a no.
fn fits(range: &str, wildcards: bool) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let kind = parts.next().unwrap_or("").to_ascii_lowercase();
    let named = kind == PLAIN || (wildcards && matches!(kind.as_str(), "*/*" | "application/*"));
    named && parts.all(allowed)
}

fn allowed(parameter: &str) -> bool {
    let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
    let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
    match name.as_str() {
        "version" => value == "2.1",
        "q" => value.parse::<f32>().is_ok_and(|weight| weight > 0.0),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_version_spaces_and_lists_are_understood() {
        for accept in [
            TAXII,
            "application/taxii+json",
            "application/taxii+json; version=2.1",
            "Application/TAXII+json ; Version=\"2.1\"",
            "text/html, application/taxii+json;version=2.1;q=0.5",
            "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
            "*/*",
            "application/*;q=0.1",
            "",
        ] {
            assert!(acceptable(Some(accept)), "{accept}");
        }
        assert!(acceptable(None));
    }

    #[test]
    fn other_types_and_versions_are_not() {
        let long = format!("{}{TAXII}", "a/b,".repeat(2_000));
        for accept in [
            "application/json",
            "application/taxii+json;version=2.0",
            "application/taxii+json;version=2.1;q=0",
            "application/taxii+jsonx",
            "text/*",
            &long,
        ] {
            assert!(!acceptable(Some(accept)), "{accept}");
        }
    }

    #[test]
    fn a_body_says_what_it_is() {
        assert!(readable(Some(TAXII)) && readable(Some("application/taxii+json; charset=utf-8")));
        for bad in [None, Some("application/json"), Some("*/*"), Some("application/taxii+json;version=2.0")] {
            assert!(!readable(bad), "{bad:?}");
        }
    }
}

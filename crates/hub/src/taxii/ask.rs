//! What a request asks for: media types, credentials in other forms than Bearer, filters.

use super::answer::Trouble;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use share::taxii::{Filter, media};

/// Longest query that is read, in bytes: a thousand identifiers.
const QUERY_BYTES_MAX: usize = 64 << 10;

/// May the answer be in TAXII's media type (§3.1)?
pub(super) fn acceptable(headers: &HeaderMap) -> Result<(), Trouble> {
    let accept = text(headers, header::ACCEPT);
    match media::acceptable(accept) {
        true => Ok(()),
        false => Err(Trouble::media(StatusCode::NOT_ACCEPTABLE, "Accept", accept.unwrap_or("none"))),
    }
}

/// Is the body in TAXII's media type?
pub(super) fn readable(headers: &HeaderMap) -> Result<(), Trouble> {
    let sent = text(headers, header::CONTENT_TYPE);
    match media::readable(sent) {
        true => Ok(()),
        false => Err(Trouble::media(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type", sent.unwrap_or("none"))),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    // What is no text is no media type either.
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

/// The filters of a query (§3.4).
pub(super) fn filter(query: Option<&str>) -> Result<Filter, Trouble> {
    let query = query.unwrap_or("");
    if query.len() > QUERY_BYTES_MAX {
        let found = format!("{} bytes", query.len());
        return Err(model::ParseError::new("query", &found, format_args!("at most {QUERY_BYTES_MAX} bytes")).into());
    }
    let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
    Ok(Filter::read(pairs.iter().map(|(name, value)| (&**name, &**value)))?)
}

/// Does a query name versions? Who takes out an object and names none means all.
pub(super) fn chooses_versions(query: Option<&str>) -> bool {
    let mut pairs = url::form_urlencoded::parse(query.unwrap_or("").as_bytes());
    pairs.any(|(name, _)| matches!(&*name, "match[version]" | "match[spec_version]"))
}

/// The `Bearer` header that means the same as this one, and the user name that stands in it. `Basic` (RFC 7617): the
/// password is the token, the user name the member's. `Token`, which `TokenAuth` of taxii2-client writes, names nobody.
/// None for other schemes.
pub(crate) fn as_bearer(header: &str) -> Option<(Option<String>, String)> {
    let (scheme, rest) = header.split_once(' ').filter(|(_, rest)| rest.len() <= 512)?;
    if scheme.eq_ignore_ascii_case("token") {
        return Some((None, format!("Bearer {rest}")));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((Some(user.to_owned()), format!("Bearer {password}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_basic_header_is_the_bearer_of_its_password_and_a_token_header_of_its_token() {
        let header = format!("bAsIc {}", STANDARD.encode("cloud:epi_secret:with colon"));
        let meant = as_bearer(&header).unwrap();
        assert_eq!(meant, (Some("cloud".to_owned()), "Bearer epi_secret:with colon".to_owned()));
        assert_eq!(as_bearer("token epi_x"), Some((None, "Bearer epi_x".to_owned())));
        let long = "A".repeat(600);
        let long = [format!("Basic {long}"), format!("Token {long}")];
        for bad in ["Basic", "Token", "Basic !", "Bearer epi_x", "Basic Y2xvdWQ=", &long[0], &long[1]] {
            assert_eq!(as_bearer(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_query_that_is_too_long_or_malformed_is_refused_by_name() {
        assert!(filter(Some(&"a".repeat(QUERY_BYTES_MAX + 1))).is_err());
        assert!(filter(Some("limit=0")).is_err());
        assert_eq!(filter(Some("match%5Btype%5D=indicator%2Cmalware")).unwrap().types.len(), 2);
        assert_eq!(filter(None).unwrap(), Filter::default());
    }
}

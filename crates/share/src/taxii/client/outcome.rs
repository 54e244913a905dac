//! What a server says became of what it was sent (§4.3), read leniently: servers leave out what they like.

use model::ParseError;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Longest status resource that is read, in bytes.
const BYTES_MAX: usize = 16 << 20;

/// A status resource.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Outcome<'a> {
    /// Its identifier.
    #[serde(borrow, deserialize_with = "or_nothing")]
    pub id: Cow<'a, str>,
    /// `complete` or `pending`.
    #[serde(borrow, deserialize_with = "or_nothing")]
    pub status: Cow<'a, str>,
    /// Objects that were not taken.
    #[serde(deserialize_with = "or_nothing")]
    pub failure_count: usize,
    /// Which, and why.
    #[serde(borrow, deserialize_with = "or_nothing")]
    pub failures: Vec<Failed<'a>>,
    /// Objects that wait.
    #[serde(deserialize_with = "or_nothing")]
    pub pending_count: usize,
}

/// One object that was not taken.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Failed<'a> {
    /// Its identifier.
    #[serde(borrow, deserialize_with = "or_nothing")]
    pub id: Cow<'a, str>,
    /// Why.
    #[serde(borrow)]
    pub message: Option<Cow<'a, str>>,
}

/// Some servers write `null` where there is nothing to say.
fn or_nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(source: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(source)?.unwrap_or_default())
}

impl<'a> Outcome<'a> {
    /// Reads a status resource. An answer without a body means that all was taken.
    ///
    /// # Errors
    /// No status resource.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        if bytes.len() > BYTES_MAX || !bytes.trim_ascii_start().starts_with(b"{") {
            let value = format!("{} bytes", bytes.len());
            return Err(ParseError::new("status", &value, format_args!("an object of at most {BYTES_MAX} bytes")));
        }
        serde_json::from_slice(bytes)
            .map_err(|error| ParseError::new("status", &error.to_string(), "a status resource (TAXII 2.1 §4.3)"))
    }

    /// Is it to be asked for again?
    pub fn is_pending(&self) -> bool {
        self.status == "pending"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_objects_is_read_also_where_much_is_left_out() {
        let text = br#"{"id":"a-1","status":"pending","total_count":3,"failure_count":1,"pending_count":1,
            "failures":[{"id":"tool--1","version":"x","message":"no \"such\" thing"},{}]}"#;
        let outcome = Outcome::read(text).unwrap();
        assert!(outcome.is_pending() && outcome.failures.len() == 2);
        assert_eq!(outcome.failures[0].message.as_deref(), Some("no \"such\" thing"));
        assert_eq!(Outcome::read(b" \n").unwrap(), Outcome::default());
        assert!(!Outcome::read(b"{}").unwrap().is_pending());
        let nulls = br#"{"id":null,"status":"complete","failure_count":null,"failures":null,"pending_count":null}"#;
        assert_eq!(Outcome::read(nulls).unwrap(), Outcome { status: "complete".into(), ..Outcome::default() });
        let failed = Outcome::read(br#"{"failure_count":1,"failures":[{"id":null,"message":null}]}"#).unwrap();
        assert_eq!((failed.failure_count, &failed.failures[..]), (1, &[Failed::default()][..]));
        for none in ["[]", "7", r#"{"failure_count":-1}"#, r#"{"failures":7}"#, "{"] {
            assert!(Outcome::read(none.as_bytes()).is_err(), "{none}");
        }
    }
}

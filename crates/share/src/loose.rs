//! Numbers, truth and times as other tools write them: as text or not, in several forms.

use model::{ParseError, Timestamp};
use serde::Deserialize;

/// A whole number, also as text. Anything else is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "Either")]
pub struct Number(pub i64);

/// True, `1`, `"1"`, `"true"`; all else is false.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "Either")]
pub struct Truth(pub bool);

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    Number(i64),
    Truth(bool),
    Text(String),
    Other(serde::de::IgnoredAny),
}

impl From<Either> for Number {
    fn from(either: Either) -> Self {
        Self(match either {
            Either::Number(number) => number,
            Either::Truth(truth) => truth.into(),
            Either::Text(text) => text.trim().parse().unwrap_or(0),
            Either::Other(_) => 0,
        })
    }
}

impl From<Either> for Truth {
    fn from(either: Either) -> Self {
        Self(match either {
            Either::Number(number) => number != 0,
            Either::Truth(truth) => truth,
            Either::Text(text) => matches!(text.trim(), "1" | "true" | "True"),
            Either::Other(_) => false,
        })
    }
}

impl Number {
    /// The number as seconds since 1970.
    ///
    /// # Errors
    /// Names `field` where that lies outside of the years 2000 to 2199.
    pub fn time(self, field: &str) -> Result<Timestamp, ParseError> {
        let millis = self.0.saturating_mul(1_000);
        let time = Timestamp::from_millis(millis);
        match time.as_millis() == millis {
            true => Ok(time),
            false => Err(ParseError::new(field, &self.0.to_string(), "seconds since 1970, in the years 2000 to 2199")),
        }
    }
}

/// Longest text that is read as a time, in bytes.
const MOMENT_BYTES_MAX: usize = 64;

/// A time in RFC 3339, or with a blank for its `T`, or without a zone (then UTC), or a day alone, or seconds since
/// 1970.
///
/// # Errors
/// Names `field` and the text.
pub fn moment(field: &str, text: &str) -> Result<Timestamp, ParseError> {
    let text = text.trim();
    let error = || ParseError::new(field, text, "RFC 3339, `2026-01-31 23:59:59`, `2026-01-31` or seconds since 1970");
    if text.len() > MOMENT_BYTES_MAX || text.is_empty() {
        return Err(error());
    }
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return Number(text.parse().map_err(|_| error())?).time(field);
    }
    let plain = with_colon(text.strip_suffix(" UTC").unwrap_or(text)).replacen(' ', "T", 1);
    let zoned = |plain: &str| match plain.get(10..) {
        Some("") => format!("{plain}T00:00:00Z"),
        Some(time) if time.contains(['Z', '+', '-']) => plain.to_owned(),
        _ => format!("{plain}Z"),
    };
    zoned(&plain).parse().map_err(|_| error())
}

/// `2026-05-05 16:53:20 +0000`, as CrowdSec writes times, with the zone as RFC 3339 has it.
fn with_colon(text: &str) -> String {
    let parts = text.rsplit_once(' ').filter(|(_, zone)| {
        zone.len() == 5 && zone.starts_with(['+', '-']) && zone.bytes().skip(1).all(|b| b.is_ascii_digit())
    });
    match parts {
        Some((time, zone)) => format!("{time}{}:{}", &zone[..3], &zone[3..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_other_tools_are_read() {
        for (text, wanted) in [
            ("2026-05-05T16:53:20.5+02:00", "2026-05-05T14:53:20.5Z"),
            ("2026-05-05 16:53:20", "2026-05-05T16:53:20Z"),
            ("2026-05-05 16:53:20 UTC", "2026-05-05T16:53:20Z"),
            ("2026-05-05 16:53:20 +0000 UTC", "2026-05-05T16:53:20Z"),
            ("2026-05-05 16:53:20.123456789 +0230 UTC", "2026-05-05T14:23:20.123Z"),
            ("2026-05-05T16:53:20", "2026-05-05T16:53:20Z"),
            ("2026-05-05", "2026-05-05T00:00:00Z"),
            ("1778000000", "2026-05-05T16:53:20Z"),
        ] {
            assert_eq!(moment("t", text).unwrap().to_string(), wanted, "{text}");
        }
        for bad in ["", "yesterday", "5", "05/05/2026", "é", &"1".repeat(65), "2026-05-05 16:53:20 CET"] {
            assert_eq!(moment("first_seen", bad).unwrap_err().field, "first_seen", "{bad}");
        }
    }

    #[test]
    fn numbers_and_truth_come_as_text_or_not() {
        let read = |json: &str| {
            (serde_json::from_str::<Number>(json).unwrap().0, serde_json::from_str::<Truth>(json).unwrap().0)
        };
        for (json, wanted) in
            [("1", (1, true)), ("\"1\"", (1, true)), ("true", (1, true)), ("null", (0, false)), ("\"x\"", (0, false))]
        {
            assert_eq!(read(json), wanted, "{json}");
        }
    }
}

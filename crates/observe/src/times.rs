//! Times as sensors write them: with or without an offset, as text or as seconds since 1970.

use model::{ParseError, Timestamp};
use serde::{Deserialize, Serialize};

/// How a source writes its times.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeFormat {
    /// `2026-01-31T23:59:59.123Z`, any offset or none, a blank in place of the `T`.
    #[default]
    Text,
    /// Seconds since 1970, with or without a fraction.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
}

/// The offset of times that are written without one: `Z`, or `+HH:MM` and `-HH:MM` up to 14 hours. It does not
/// change in summer: let the sensor write UTC.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Offset(String);

impl Default for Offset {
    fn default() -> Self {
        Self("Z".to_owned())
    }
}

impl TryFrom<String> for Offset {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        let valid = match text.as_bytes() {
            b"Z" => true,
            [b'+' | b'-', h1, h2, b':', m1, m2] if [h1, h2, m1, m2].iter().all(|b| b.is_ascii_digit()) => {
                let minutes = |tens: &u8, ones: &u8| u32::from(tens - b'0') * 10 + u32::from(ones - b'0');
                minutes(m1, m2) < 60 && minutes(h1, h2) * 60 + minutes(m1, m2) <= 14 * 60
            }
            _ => false,
        };
        match valid {
            true => Ok(Self(text)),
            false => Err(ParseError::new("utc_offset", &text, "Z, or +HH:MM and -HH:MM up to 14:00")),
        }
    }
}

impl From<Offset> for String {
    fn from(offset: Offset) -> Self {
        offset.0
    }
}

/// Reads a time; `offset` stands in where it is written without one.
///
/// # Errors
/// Names the text and what is allowed; the years are 2000 to 2199.
pub fn read(text: &str, format: TimeFormat, offset: &Offset) -> Result<Timestamp, ParseError> {
    match format {
        TimeFormat::Text => read_text(text.trim(), offset),
        TimeFormat::Unix => from_decimal(text.trim(), 3),
        TimeFormat::UnixMs => from_decimal(text.trim(), 0),
    }
}

fn read_text(text: &str, offset: &Offset) -> Result<Timestamp, ParseError> {
    let mut text = text.to_owned();
    if text.as_bytes().get(10) == Some(&b' ') {
        text.replace_range(10..11, "T");
    }
    let clock = text.get(11..).unwrap_or_default();
    let has_offset = clock.ends_with(['Z', 'z']) || clock.contains(['+', '-']);
    if !has_offset {
        text.push_str(&offset.0);
    }
    text.parse()
}

/// A decimal number of units of which 10^`digits` milliseconds make one; cut below milliseconds.
fn from_decimal(text: &str, digits: usize) -> Result<Timestamp, ParseError> {
    let error = || ParseError::new("time", text, "seconds or milliseconds since 1970, between 2000 and 2199");
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |part: &str| part.len() <= 20 && part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(error());
    }
    let padded: String = fraction.chars().chain(std::iter::repeat('0')).take(digits).collect();
    let millis: i64 = format!("{whole}{padded}").parse().map_err(|_| error())?;
    let time = Timestamp::from_millis(millis);
    match time.as_millis() == millis && time < Timestamp::MAX {
        true => Ok(time),
        false => Err(error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, format: TimeFormat, offset: &str) -> Option<String> {
        let offset = Offset::try_from(offset.to_owned()).unwrap();
        read(text, format, &offset).ok().map(|t| t.to_string())
    }

    #[test]
    fn times_with_an_offset_keep_theirs_and_others_get_the_given_one() {
        for (text, wanted) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.5Z"),
            ("2026-01-31T12:00:00.123456-0500", "2026-01-31T17:00:00.123Z"),
            ("2026-01-31 12:00:00", "2026-01-31T11:00:00Z"),
            ("2026-01-31T12:00:00.25", "2026-01-31T11:00:00.25Z"),
        ] {
            assert_eq!(at(text, TimeFormat::Text, "+01:00").as_deref(), Some(wanted), "{text}");
        }
        for bad in ["", "2026-01-31", "12:00", "1769860800", "1999-01-01 00:00:00", "2026-01-31\u{2003}12:00:00"] {
            assert_eq!(at(bad, TimeFormat::Text, "Z"), None, "{bad}");
        }
    }

    #[test]
    fn seconds_and_milliseconds_since_1970_are_read() {
        let wanted = Some("2026-01-31T12:00:00.25Z".to_owned());
        assert_eq!(at("1769860800.2509", TimeFormat::Unix, "Z"), wanted);
        assert_eq!(at("1769860800250", TimeFormat::UnixMs, "Z"), wanted);
        for bad in ["", "-1", "1", "1e9", "99999999999999999999", "1769860800,5", ".5", "4102444800000000"] {
            assert_eq!(at(bad, TimeFormat::Unix, "Z"), None, "{bad}");
        }
    }

    #[test]
    fn impossible_offsets_are_refused() {
        for bad in ["", "CET", "+1:00", "+15:00", "+01:60", "01:00"] {
            assert!(Offset::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}

//! Points in time and spans, in whole milliseconds, UTC, RFC 3339. Nothing here reads a clock.

use crate::parse::ParseError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// 2000-01-01T00:00:00Z: nothing the alliance speaks about is older.
const EARLIEST_MS: i64 = 946_684_800_000;
/// 2200-01-01T00:00:00Z: nothing lasts longer.
const LATEST_MS: i64 = 7_258_118_400_000;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z, within the years 2000 to 2199. Written as RFC 3339 in UTC
/// with milliseconds only where they are not zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest representable time, 2000-01-01T00:00:00Z.
    pub const MIN: Self = Self(EARLIEST_MS);
    /// The end of representable time, 2200-01-01T00:00:00Z.
    pub const MAX: Self = Self(LATEST_MS);

    /// From milliseconds since 1970; clamped into the years 2000 to 2199.
    pub fn from_millis(millis: i64) -> Self {
        Self(millis.clamp(EARLIEST_MS, LATEST_MS))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Days since 1970-01-01T00:00:00Z, with their fraction.
    pub fn as_days(self) -> f64 {
        self.0 as f64 / 86_400_000.0
    }

    /// This time moved forward by `span` (backward if it is negative), clamped.
    pub fn plus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_add(span.0))
    }

    /// This time moved backward by `span`, clamped.
    pub fn minus(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; negative if it is before.
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0 - earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = i128::from(self.0) * 1_000_000;
        let date = OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| fmt::Error)?;
        f.pad(&date.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseError;

    /// Reads RFC 3339 with any offset, and Suricata's `+0000` without a colon; cuts below milliseconds.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("time", text, "RFC 3339 between 2000 and 2199, such as 2026-01-31T23:59:59Z");
        let date = OffsetDateTime::parse(&with_colon(text), &Rfc3339).map_err(|_| error())?;
        let millis = date.to_offset(UtcOffset::UTC).unix_timestamp_nanos() / 1_000_000;
        match i64::try_from(millis) {
            Ok(ms) if (EARLIEST_MS..LATEST_MS).contains(&ms) => Ok(Self(ms)),
            _ => Err(error()),
        }
    }
}

/// Sensors write `+0000` where RFC 3339 asks for `+00:00`.
fn with_colon(text: &str) -> std::borrow::Cow<'_, str> {
    let bytes = text.as_bytes();
    let n = bytes.len();
    if n > 5 && matches!(bytes[n - 5], b'+' | b'-') && bytes[n - 4..].iter().all(u8::is_ascii_digit) {
        return format!("{}:{}", &text[..n - 2], &text[n - 2..]).into();
    }
    text.into()
}

impl TryFrom<String> for Timestamp {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Timestamp> for String {
    fn from(time: Timestamp) -> Self {
        time.to_string()
    }
}

/// A length of time in milliseconds. Written as people say it: `90s`, `10m`, `24h`, `7d`, `250ms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `n` milliseconds.
    pub const fn millis(n: i64) -> Self {
        Self(n)
    }

    /// `n` seconds.
    pub const fn seconds(n: i64) -> Self {
        Self(n * 1_000)
    }

    /// `n` minutes.
    pub const fn minutes(n: i64) -> Self {
        Self(n * 60_000)
    }

    /// `n` hours.
    pub const fn hours(n: i64) -> Self {
        Self(n * 3_600_000)
    }

    /// `n` days of 24 hours.
    pub const fn days(n: i64) -> Self {
        Self(n * 86_400_000)
    }

    /// The span in milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The span in days, with their fraction.
    pub fn as_days(self) -> f64 {
        self.0 as f64 / 86_400_000.0
    }

    /// For timers: the span as a standard duration; a negative one is none.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.max(0).unsigned_abs())
    }
}

/// Units from the longest; a span is written in the longest one that divides it.
const UNITS: [(&str, i64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, ms) = UNITS.into_iter().find(|(_, ms)| self.0 % ms == 0 && self.0 != 0).unwrap_or(("s", 1_000));
        write!(f, "{}{unit}", self.0 / ms)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("span", text, "a whole number and a unit: ms, s, m, h or d, such as 24h");
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, ms) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let number: i64 = number.parse().map_err(|_| error())?;
        number.checked_mul(ms).filter(|ms| *ms < LATEST_MS).map(Self).ok_or_else(error)
    }
}

impl TryFrom<String> for Span {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_and_read_back() {
        let time: Timestamp = "2026-03-01T01:30:00.250+02:00".parse().unwrap();
        assert_eq!(time.to_string(), "2026-02-28T23:30:00.25Z");
        assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
    }

    #[test]
    fn suricata_offsets_without_colon_are_read() {
        let time: Timestamp = "2026-03-01T01:30:00.123456+0000".parse().unwrap();
        assert_eq!(time.to_string(), "2026-03-01T01:30:00.123Z");
    }

    #[test]
    fn times_outside_the_allowed_years_are_refused() {
        for bad in ["1999-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "yesterday", "", "2026-03-01"] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_written_as_people_say_them() {
        for text in ["250ms", "90s", "10m", "25h", "7d", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("24h".parse::<Span>().unwrap(), Span::days(1));
        for bad in ["", "5", "h", "-5s", "5 s", "5w", "99999999999999999999d"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }
}

//! STIX timestamps (STIX 2.1 §2.16): UTC, any number of decimals, years 0000 to 9999.

use model::{ParseError, Timestamp};
use std::fmt;

/// A point in time with nanoseconds, as versions of objects are told apart by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StixTime {
    /// Seconds since 1970-01-01T00:00:00Z.
    seconds: i64,
    /// 0 to 999,999,999; digits beyond the ninth are cut.
    nanos: u32,
}

const ALLOWED: &str = "a time such as 2026-01-31T23:59:59.000Z";

impl StixTime {
    /// Reads `YYYY-MM-DDTHH:MM:SS[.digits]Z`. Days are not compared with the month's length: the pattern language
    /// allows
    /// 30 February, which is then 2 March (or 1 March).
    ///
    /// # Errors
    /// Names `field` and the text.
    pub fn parse(field: &str, text: &str) -> Result<Self, ParseError> {
        read(text.as_bytes()).ok_or_else(|| ParseError::new(field, text, ALLOWED))
    }

    /// The time in the alliance's words: whole milliseconds, years 2000 to 2199.
    ///
    /// # Errors
    /// Names `field` and the time, where it lies outside those years.
    pub fn word(self, field: &str) -> Result<Timestamp, ParseError> {
        let millis = self.seconds.saturating_mul(1_000).saturating_add(i64::from(self.nanos / 1_000_000));
        let time = Timestamp::from_millis(millis);
        match time.as_millis() == millis {
            true => Ok(time),
            false => Err(ParseError::new(field, &self.to_string(), "a time in the years 2000 to 2199")),
        }
    }

    /// Microseconds since 1970.
    pub fn from_micros(micros: i64) -> Self {
        let nanos = u32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1_000;
        Self { seconds: micros.div_euclid(1_000_000), nanos }
    }

    /// Nanoseconds from `earlier` to this; negative if it is before.
    pub fn nanos_since(self, earlier: Self) -> i128 {
        let seconds = i128::from(self.seconds) - i128::from(earlier.seconds);
        seconds * 1_000_000_000 + i128::from(self.nanos) - i128::from(earlier.nanos)
    }
}

impl From<Timestamp> for StixTime {
    fn from(time: Timestamp) -> Self {
        let millis = time.as_millis();
        let nanos = u32::try_from(millis.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
        Self { seconds: millis.div_euclid(1_000), nanos }
    }
}

/// With three decimals, and with six or nine where it has them.
impl fmt::Display for StixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.")?;
        match self.nanos {
            n if n % 1_000_000 == 0 => write!(f, "{:03}Z", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{:06}Z", n / 1_000),
            n => write!(f, "{n:09}Z"),
        }
    }
}

fn read(text: &[u8]) -> Option<StixTime> {
    let (head, tail) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| head[*at] != *byte) {
        return None;
    }
    let (year, month, day) = (number(&head[..4])?, number(&head[5..7])?, number(&head[8..10])?);
    let (hour, minute, second) = (number(&head[11..13])?, number(&head[14..16])?, number(&head[17..])?);
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let nanos = fraction(tail)?;
    in_range.then_some(())?;
    Some(StixTime { seconds: days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second, nanos })
}

/// `Z`, or `.` with one digit or more and `Z`.
fn fraction(tail: &[u8]) -> Option<u32> {
    let digits = match tail {
        [b'Z'] => return Some(0),
        [b'.', digits @ .., b'Z'] if !digits.is_empty() => digits,
        _ => return None,
    };
    let all_digits = digits.iter().all(u8::is_ascii_digit);
    let padded = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    all_digits.then(|| padded.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march_month = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march_month + 2) / 5 + 1, (march_month + 2) % 12 + 1);
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn time(text: &str) -> StixTime {
        StixTime::parse("created", text).unwrap()
    }

    #[test]
    fn precision_is_kept_and_versions_differ_by_a_microsecond() {
        assert!(time("2026-01-01T00:00:00.000001Z") > time("2026-01-01T00:00:00Z"));
        assert_eq!(time("2026-01-01T00:00:00.5Z"), time("2026-01-01T00:00:00.500000Z"));
        assert_eq!(time("1960-02-29T12:00:01.000001Z").to_string(), "1960-02-29T12:00:01.000001Z");
    }

    #[test]
    fn what_is_no_stix_time_is_refused() {
        for bad in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00z",
            "2026-01-01T00:00:00.Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:61Z",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01T00:00:00.1ZZ",
        ] {
            let error = StixTime::parse("modified", bad).unwrap_err();
            assert_eq!(error.field, "modified", "{bad}");
        }
    }

    #[test]
    fn words_hold_the_years_2000_to_2199() {
        assert!(time("1999-12-31T23:59:59Z").word("first_seen").is_err());
        assert_eq!(
            time("2026-03-01T00:00:00.1239Z").word("first_seen").unwrap().to_string(),
            "2026-03-01T00:00:00.123Z"
        );
    }

    proptest! {
        #[test]
        fn written_times_read_back(millis in 946_684_800_000_i64..7_258_118_399_999) {
            let word = Timestamp::from_millis(millis);
            let written = StixTime::from(word).to_string();
            prop_assert_eq!(time(&written).word("t").unwrap(), word);
            prop_assert_eq!(written.parse::<Timestamp>().unwrap(), word);
        }
    }
}

//! Where a client is: the journal's sequence, and a time of adding that is derived from it and never stands still.

use crate::stix::StixTime;
use model::{ParseError, Timestamp};

/// Gives each object its `date_added`: whole microseconds, strictly increasing in the order of adding (§3.5), so
/// that a client
/// that goes on after the last time it saw misses nothing. Runs only where the order is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clock {
    /// Microseconds since 1970 of the last object.
    last: i64,
}

impl Clock {
    /// Goes on after an object added at `last`, in microseconds since 1970.
    pub const fn after(last: i64) -> Self {
        Self { last }
    }

    /// The time of the next object: `now`, or a microsecond after the last one where the clock has not moved.
    pub fn tick(&mut self, now: Timestamp) -> i64 {
        self.last = now.as_millis().saturating_mul(1_000).max(self.last.saturating_add(1));
        self.last
    }
}

/// Microseconds since 1970 as TAXII writes times: exactly six decimals (§2).
pub fn text(micros: i64) -> String {
    let time = StixTime::from(Timestamp::from_millis(micros.div_euclid(1_000))).to_string();
    // Three decimals are there; three more are the rest of the millisecond.
    let millis = time.strip_suffix('Z').unwrap_or(&time);
    format!("{millis}{:03}Z", micros.rem_euclid(1_000))
}

/// Microseconds since 1970 out of a time with any number of decimals; what is below a microsecond is cut.
///
/// # Errors
/// Names `field` and the text.
pub fn micros(field: &str, text: &str) -> Result<i64, ParseError> {
    let time = StixTime::parse(field, text)?;
    let epoch = StixTime::parse(field, "1970-01-01T00:00:00Z")?;
    let micros = time.nanos_since(epoch).div_euclid(1_000);
    i64::try_from(micros).map_err(|_| ParseError::new(field, text, "a time"))
}

/// Where to go on: after this sequence. Opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Next(pub u64);

impl std::fmt::Display for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{:x}", self.0)
    }
}

impl std::str::FromStr for Next {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let error = || ParseError::new("next", text, "what an answer of this collection gave");
        let digits = text.strip_prefix('s').filter(|digits| (1..=16).contains(&digits.len())).ok_or_else(error)?;
        let lower = digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        u64::from_str_radix(digits, 16).ok().filter(|_| lower).map(Self).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clock_that_stands_or_goes_back_never_repeats_a_time() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut clock = Clock::default();
        let nows = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2025-12-31T00:00:00Z", "2026-01-01T00:00:00.001Z"];
        let times: Vec<String> = nows.into_iter().map(|now| text(clock.tick(at(now)))).collect();
        let wanted = ["00.000000Z", "00.000001Z", "00.000002Z", "00.001000Z"].map(|s| format!("2026-01-01T00:00:{s}"));
        assert_eq!(times, wanted);
        assert_eq!(Clock::after(7).tick(Timestamp::MIN), Timestamp::MIN.as_millis() * 1_000);
    }

    proptest! {
        #[test]
        fn times_and_cursors_read_back(micros_since in 946_684_800_000_000_i64..7_258_118_399_999_999, n: u64) {
            prop_assert_eq!(micros("t", &text(micros_since)).unwrap(), micros_since);
            prop_assert_eq!(text(micros_since).len(), "2026-01-01T00:00:00.000000Z".len());
            prop_assert_eq!(Next(n).to_string().parse::<Next>().unwrap(), Next(n));
        }
    }

    #[test]
    fn a_cursor_of_somebody_else_is_refused() {
        for bad in ["", "s", "7", "sg", "sFF", "s+1", "s00000000000000000", "2026-01-01T00:00:00Z"] {
            assert_eq!(bad.parse::<Next>().unwrap_err().field, "next", "{bad}");
        }
    }
}

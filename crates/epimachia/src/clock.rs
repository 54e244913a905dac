//! The time, and how far off another one is, in words.

use model::{Span, Timestamp};
use std::time::{SystemTime, UNIX_EPOCH};

/// The system's time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// A time in UTC to the second, with how far off it is: `2026-01-01T00:00:00Z (3 min ago)`.
pub fn told(time: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", short(time), far(time, now))
}

/// A time in UTC to the second.
pub fn short(time: Timestamp) -> String {
    Timestamp::from_millis(time.as_millis().div_euclid(1_000) * 1_000).to_string()
}

fn far(time: Timestamp, now: Timestamp) -> String {
    match time.since(now).as_millis() {
        ahead if ahead > 0 => format!("in {}", length(Span::millis(ahead))),
        behind => format!("{} ago", length(Span::millis(-behind))),
    }
}

/// A length of time in its two largest units: `5 h 57 min`.
pub fn length(span: Span) -> String {
    let seconds = span.as_millis() / 1_000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, 0) => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, 0, _) => format!("{days} d"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_say_how_far_off_they_are() {
        let now: Timestamp = "2026-01-01T00:00:00.250Z".parse().unwrap();
        assert_eq!(told(now.minus(Span::minutes(3)), now), "2025-12-31T23:57:00Z (3 min ago)");
        assert_eq!(told(now.plus(Span::minutes(357)), now), "2026-01-01T05:57:00Z (in 5 h 57 min)");
        assert_eq!(told(now, now), "2026-01-01T00:00:00Z (0 s ago)");
        assert_eq!(length(Span::hours(49)), "2 d 1 h");
    }
}

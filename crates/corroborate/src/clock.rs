//! The engine's time: whole seconds since 2000-01-01T00:00:00Z in 32 bits, which last until 2136.

use model::Timestamp;

pub(crate) const DAY: u32 = 86_400;

/// Seconds of the engine; fractions are cut.
pub(crate) fn seconds(time: Timestamp) -> u32 {
    let millis = time.as_millis() - Timestamp::MIN.as_millis();
    u32::try_from(millis / 1000).unwrap_or(u32::MAX)
}

/// The same as a [`Timestamp`].
pub(crate) fn timestamp(seconds: u32) -> Timestamp {
    Timestamp::from_millis(Timestamp::MIN.as_millis() + i64::from(seconds) * 1000)
}

/// A rule's days in seconds.
pub(crate) fn days(days: f64) -> u32 {
    (days * f64::from(DAY)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_timestamps_agree_and_days_start_at_midnight() {
        let time: Timestamp = "2013-03-03T21:53:59Z".parse().unwrap();
        assert_eq!(timestamp(seconds(time)), time);
        let midnight: Timestamp = "2013-03-03T00:00:00Z".parse().unwrap();
        assert_eq!(seconds(midnight) % DAY, 0);
    }

    #[test]
    fn times_beyond_2136_stand_still() {
        assert_eq!(seconds(Timestamp::MAX), u32::MAX);
        assert_eq!(seconds(Timestamp::MIN), 0);
    }
}

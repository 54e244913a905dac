//! Exact quantiles of durations: nothing sampled, nothing interpolated.
//!
//! A quantile is taken by *nearest rank*: `p99` is the smallest of the durations that at least 99 % of them do not
//! exceed. So every quantile is a duration that was measured, and with fewer than 100 of them `p99` is the longest.

/// Quantiles of a list of durations, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    /// How many durations.
    pub count: usize,
    /// The shortest.
    pub min_ms: u64,
    /// Half of them were no longer than this (nearest rank; the lower of the two middle ones of an even number).
    pub p50_ms: u64,
    /// The middle one, or the mean of the two middle ones of an even number, half a millisecond rounded up.
    pub median_ms: u64,
    /// 90 % were no longer than this.
    pub p90_ms: u64,
    /// 99 % were no longer than this.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

impl Figures {
    /// The figures of some durations, in any order; `None` if there are none.
    pub fn of(durations_ms: &[u64]) -> Option<Self> {
        let mut sorted = durations_ms.to_vec();
        sorted.sort_unstable();
        let (min_ms, max_ms) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self {
            count: sorted.len(),
            min_ms,
            p50_ms: low,
            median_ms: low + (high - low).div_ceil(2),
            p90_ms: nearest_rank(&sorted, 900),
            p99_ms: nearest_rank(&sorted, 990),
            max_ms,
        })
    }
}

/// The smallest of the sorted durations that at least this share of them, in thousandths, does not exceed.
///
/// 0 and less than one duration's share are the shortest; there must be at least one duration.
fn nearest_rank(sorted: &[u64], thousandths: usize) -> u64 {
    let rank = (sorted.len() * thousandths).div_ceil(1000).clamp(1, sorted.len());
    sorted[rank - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn figures_of_one_to_a_hundred_are_the_obvious_ones() {
        let figures = Figures::of(&(1..=100).rev().collect::<Vec<_>>()).unwrap();
        let expected =
            Figures { count: 100, min_ms: 1, p50_ms: 50, median_ms: 51, p90_ms: 90, p99_ms: 99, max_ms: 100 };
        assert_eq!(figures, expected);
    }

    #[test]
    fn no_durations_have_no_figures_and_one_is_all_of_them() {
        assert_eq!(Figures::of(&[]), None);
        let one = Figures::of(&[7]).unwrap();
        assert_eq!([one.min_ms, one.p50_ms, one.median_ms, one.p90_ms, one.p99_ms, one.max_ms], [7; 6]);
    }

    proptest! {
        #[test]
        fn quantiles_are_measured_durations_that_enough_do_not_exceed(
            durations in proptest::collection::vec(any::<u64>(), 1..400),
        ) {
            let figures = Figures::of(&durations).unwrap();
            for (value, percent) in [(figures.p50_ms, 50), (figures.p90_ms, 90), (figures.p99_ms, 99)] {
                prop_assert!(durations.contains(&value));
                let within = durations.iter().filter(|d| **d <= value).count();
                let below = durations.iter().filter(|d| **d < value).count();
                prop_assert!(within * 100 >= durations.len() * percent);
                prop_assert!(below * 100 < durations.len() * percent);
            }
            prop_assert!(figures.p50_ms <= figures.median_ms && figures.median_ms <= figures.max_ms);
        }
    }
}

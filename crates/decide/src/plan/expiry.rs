//! How long a mitigation lasts: never longer than the evidence behind it stands.

use charter::Charter;
use model::{Finding, Span, Timestamp};

/// What has just been corroborated is worth at least this much protection (or the charter's usual time, where that is
/// shorter), however narrowly it was.
const SHORTEST: Span = Span::minutes(10);

/// When a mitigation made `now` is to end: after the charter's usual time, before the score falls below its threshold,
/// and after `longest` at the latest.
pub(super) fn expires(charter: &Charter, finding: &Finding, longest: Span, now: Timestamp) -> Timestamp {
    let limits = &charter.limits;
    let fades = finding.made.plus(standing_time(finding, charter.corroboration.half_life_report));
    let usual = now.plus(limits.mitigation_default);
    let last = now.plus(limits.mitigation_max.min(longest));
    usual.min(fades).max(now.plus(SHORTEST.min(limits.mitigation_default))).min(last)
}

/// How long the total T, which decays as 2^(-t / half-life), stays at its threshold or above.
pub(super) fn standing_time(finding: &Finding, half_life: Span) -> Span {
    let ratio = finding.sum.total / finding.sum.threshold;
    match ratio.is_finite() && ratio > 1.0 {
        // Within days: a ratio of 1,000 is ten half-lives.
        true => Span::millis((half_life.as_millis() as f64 * ratio.log2()) as i64),
        false => Span::ZERO,
    }
}

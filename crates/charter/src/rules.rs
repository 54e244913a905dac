//! The rules of the charter as data: corroboration, relevance, quorum, limits. Each key says what it does, its unit,
//! and who can be hurt if it is wrong. Defaults are those of the reference evaluation.

use model::{Span, Tlp};
use serde::{Deserialize, Serialize};

/// `[corroboration]`: when the alliance may publish an observable. Points are log-odds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Corroboration {
    /// Points that corroborate. Too low: liars publish; too high: nobody is protected in time.
    pub threshold: f64,
    /// Points asked for where a cautious guard applies (shared hosting, clouds, carrier NAT).
    pub cautious_threshold: f64,
    /// Confirmations a vetted member starts with (a_j).
    pub vetted_prior: f64,
    /// Confirmations a member on probation starts with.
    pub probation_prior: f64,
    /// Largest weight of one reporter.
    pub weight_max: f64,
    /// Half-life of a report.
    pub report_half_life: Span,
    /// Half-life of a member's confirmations and faults.
    pub record_half_life: Span,
    /// Two reports within this time confirm each other.
    pub horizon: Span,
    /// Faults (F_j) added to each reporter when a dispute is upheld.
    pub fault: f64,
    /// Upheld disputes within a day that suspend a member's right to publish alone.
    pub suspend_after: u32,
    /// How long the first suspension lasts; it doubles each time.
    pub suspend_for: Span,
    /// Credit for a report that nobody disputed within the horizon.
    pub undisputed_credit: f64,
    /// Largest sum of such credit.
    pub undisputed_credit_max: f64,
    /// Confirmations a member needs before its word alone may publish. Too low: a founder with two publishes alone.
    pub solo_record: f64,
    /// Share of the threshold that all members on probation together may reach.
    pub probation_share: f64,
    /// Members whose signed evidence an agent asks for before it acts automatically.
    pub evidence_members: u32,
    /// Evidence older than this no longer supports an action.
    pub evidence_age_max: Span,
}

impl Default for Corroboration {
    fn default() -> Self {
        Self {
            threshold: 2.0,
            cautious_threshold: 6.0,
            vetted_prior: 6.0,
            probation_prior: 2.0,
            weight_max: 3.5,
            report_half_life: Span::days(7),
            record_half_life: Span::days(30),
            horizon: Span::days(7),
            fault: 5.0,
            suspend_after: 3,
            suspend_for: Span::days(7),
            undisputed_credit: 0.05,
            undisputed_credit_max: 10.0,
            solo_record: 12.0,
            probation_share: 0.9,
            evidence_members: 2,
            evidence_age_max: Span::days(7),
        }
    }
}

/// `[relevance]`: the weights that order and bound each member's list; refitted by `epimachia evaluate`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Relevance {
    /// Constant term.
    pub base: f64,
    /// Weight of the member's own active days.
    pub own: f64,
    /// Weight of all members' active days.
    pub all: f64,
    /// Weight of the last hours.
    pub burst: f64,
    /// Weight of how recently the member itself saw it.
    pub recent: f64,
    /// Weight of the neighbourhood (/24, /48, registered domain).
    pub neighbourhood: f64,
    /// Saturation inside the logarithms.
    pub saturation: f64,
    /// Half-life of own active days.
    pub own_half_life: Span,
    /// Half-life of all members' active days.
    pub all_half_life: Span,
    /// Half-life of the burst counter.
    pub burst_half_life: Span,
    /// Half-life of the neighbourhood counter.
    pub neighbourhood_half_life: Span,
    /// Least score that puts an observable on a member's list.
    pub least: f64,
}

impl Default for Relevance {
    fn default() -> Self {
        Self {
            base: -7.0,
            own: 1.10,
            all: 0.60,
            burst: 0.40,
            recent: 0.45,
            neighbourhood: 0.85,
            saturation: 8.0,
            own_half_life: Span::days(7),
            all_half_life: Span::days(1),
            burst_half_life: Span::hours(3),
            neighbourhood_half_life: Span::days(1),
            least: -5.40,
        }
    }
}

/// `[quorum]`: how many must agree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quorum {
    /// Full members whose keys must sign the next charter.
    pub charter: u32,
    /// Distinct members whose persons must approve a plan of class `quorum`.
    pub plan: u32,
    /// Distinct persons of the acting member who must approve a plan of class `owner`.
    pub owner_persons: u32,
    /// Distinct members whose persons uphold a dispute; the owner of the asset upholds it alone.
    pub dispute: u32,
    /// How long an approval counts at most.
    pub approval_valid_max: Span,
}

impl Default for Quorum {
    fn default() -> Self {
        Self { charter: 2, plan: 2, owner_persons: 2, dispute: 2, approval_valid_max: Span::hours(24) }
    }
}

/// `[limits]`: bounds on everything that comes from outside and on everything that is asked of members.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Members in the alliance.
    pub members_max: u32,
    /// Longest automatic mitigation.
    pub mitigation_max: Span,
    /// How long an automatic mitigation lasts where nothing else is said.
    pub mitigation_default: Span,
    /// Mitigations in force for one member.
    pub in_force_per_member_max: u32,
    /// Mitigations in one plan.
    pub plan_mitigations_max: u32,
    /// Sightings in one batch.
    pub batch_sightings_max: u32,
    /// How far in the future a sighting's time may lie.
    pub skew_future_max: Span,
    /// How far in the past a sighting's time may lie.
    pub skew_past_max: Span,
    /// Sightings a member may send a minute, on average.
    pub sightings_per_minute_max: u32,
    /// Bytes of one request.
    pub request_bytes_max: u32,
    /// Levels of JSON.
    pub json_depth_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members_max: 10_000,
            mitigation_max: Span::hours(24),
            mitigation_default: Span::hours(6),
            in_force_per_member_max: 10_000,
            plan_mitigations_max: 10_000,
            batch_sightings_max: 10_000,
            skew_future_max: Span::minutes(5),
            skew_past_max: Span::days(30),
            sightings_per_minute_max: 600_000,
            request_bytes_max: 8 << 20,
            json_depth_max: 32,
        }
    }
}

/// `[handling]`: defaults for statements that do not say it themselves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HandlingDefaults {
    /// Marking of sightings whose source says none.
    pub tlp: Tlp,
}

impl Default for HandlingDefaults {
    fn default() -> Self {
        Self { tlp: Tlp::Green }
    }
}

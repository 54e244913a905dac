//! The rules of the charter as data: corroboration, relevance, quorum, limits. Each key says what it does, its unit,
//! and who can be hurt if it is wrong. Defaults are those of the reference evaluation.

use model::{Span, Tlp};
use serde::{Deserialize, Serialize};

/// `[corroboration]`: when the alliance may publish an observable. Points are log-odds. The names and defaults are
/// those of the engine that adds them up; docs/why/corroboration.md explains the sum.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Corroboration {
    /// Points that corroborate. Too low: liars publish; too high: nobody is protected in time.
    pub threshold: f64,
    /// Points asked for where a cautious guard applies (shared hosting, clouds, carrier NAT).
    pub threshold_cautious: f64,
    /// Half-life of a report.
    pub half_life_report: Span,
    /// Half-life of a member's confirmations and faults.
    pub half_life_record: Span,
    /// Confirmations a vetted member starts with (a_j).
    pub prior_vetted: f64,
    /// Confirmations a member on probation starts with.
    pub prior_probation: f64,
    /// Largest weight of one reporter.
    pub weight_max: f64,
    /// Two reports within this time confirm each other; a report undisputed for so long has survived.
    pub horizon: Span,
    /// Faults (F_j) added to each reporter when a dispute is upheld. Too low: liars stay; too high: nobody reports.
    pub fault: f64,
    /// Upheld disputes within a day that make a member suspect, 1 to 8.
    pub strikes: u8,
    /// How long a member is suspect the first time; it doubles each time.
    pub suspect_for: Span,
    /// Confirmations without which no member publishes alone. Too low: a founder with two publishes alone.
    pub solo_confirmations: u32,
    /// Distinct members who must have confirmed one that publishes alone, 1 to 4.
    pub solo_confirmers: u8,
    /// Reports that must have stood undisputed before a member publishes alone.
    pub solo_survivals: u32,
    /// Points others must contribute where no reporter may publish alone.
    pub second_opinion: f64,
    /// The most that weak evidence (probation, spoofable) contributes jointly; below the threshold.
    pub weak_max: f64,
    /// An observable nobody saw for so long is forgotten.
    pub forget_after: Span,
    /// How long a revoked observable stays barred.
    pub bar_for: Span,
    /// Members whose signed evidence an agent asks for before it acts automatically; 2 or more.
    pub evidence_members: u32,
    /// Evidence older than this no longer supports an action.
    pub evidence_age_max: Span,
}

impl Default for Corroboration {
    fn default() -> Self {
        Self {
            threshold: 2.0,
            threshold_cautious: 6.0,
            half_life_report: Span::days(7),
            half_life_record: Span::days(30),
            prior_vetted: 6.0,
            prior_probation: 2.0,
            weight_max: 3.5,
            horizon: Span::days(7),
            fault: 5.0,
            strikes: 3,
            suspect_for: Span::days(7),
            solo_confirmations: 5,
            solo_confirmers: 2,
            solo_survivals: 30,
            second_opinion: 0.5,
            weak_max: 1.79,
            forget_after: Span::days(30),
            bar_for: Span::days(365),
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
    /// Full members whose keys must sign the next charter; 0 means the majority of them, and fewer is refused. Too few:
    /// two houses that fall into one hand rewrite the alliance.
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
        Self { charter: 0, plan: 2, owner_persons: 2, dispute: 2, approval_valid_max: Span::hours(24) }
    }
}

/// `[membership]`: how companies come, and how long one may be silenced without a charter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Membership {
    /// How long members may vote on an applicant, and object. Too short: whoever knows something is not heard.
    pub vote_window: Span,
    /// How long an admin's suspension lasts at most, and how long it takes until the same member may be suspended
    /// again. Too long: one admin silences a member; too short: a flood comes back before a charter ends it.
    pub suspension_max: Span,
}

impl Default for Membership {
    fn default() -> Self {
        Self { vote_window: Span::days(7), suspension_max: Span::days(14) }
    }
}

/// Longest `membership.vote_window` and `membership.suspension_max`.
pub const MEMBERSHIP_SPAN_MAX: Span = Span::days(90);

/// `[witness]`: how the hub is held to one history.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Witnessing {
    /// How many *other* members must have cosigned a checkpoint that holds a plan before an agent acts on it; 0 to 16.
    /// 0 asks for none: forks are then found after the fact.
    pub cosignatures: u32,
}

/// Most cosignatures that a charter can ask for.
pub const COSIGNATURES_MAX: u32 = 16;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_reference_evaluation_and_of_the_limits_page() {
        let c = Corroboration::default();
        assert_eq!((c.threshold, c.threshold_cautious, c.prior_vetted, c.prior_probation), (2.0, 6.0, 6.0, 2.0));
        assert_eq!((c.half_life_report, c.half_life_record), (Span::days(7), Span::days(30)));
        let r = Relevance::default();
        assert_eq!((r.base, r.own, r.all, r.burst, r.recent, r.neighbourhood), (-7.0, 1.1, 0.6, 0.4, 0.45, 0.85));
        let l = Limits::default();
        assert_eq!((l.members_max, l.in_force_per_member_max, l.mitigation_max), (10_000, 10_000, Span::days(1)));
        assert_eq!((l.request_bytes_max, l.json_depth_max, l.batch_sightings_max), (8_388_608, 32, 10_000));
    }

    #[test]
    fn two_vetted_founders_corroborate_and_one_alone_does_not() {
        let c = Corroboration::default();
        let weight = c.prior_vetted.ln();
        assert!(weight < c.threshold && 2.0 * weight >= c.threshold);
        assert!(c.weak_max < c.threshold && 2.0 * weight < c.threshold_cautious);
    }

    #[test]
    fn a_missing_section_has_the_defaults() {
        assert_eq!(toml::from_str::<Quorum>("").unwrap(), Quorum::default());
        assert_eq!(toml::from_str::<Limits>("members_max = 7").unwrap().members_max, 7);
    }
}

//! The constants of both scores, as plain data with their defaults and limits. The charter fills them in.

use crate::error::Error;
use model::Standing;
use serde::{Deserialize, Serialize};

/// Every constant of truth and relevance. Points are natural log-odds, times are days.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// T at which an observable is corroborated, points. Too low and two colluding members publish what they like.
    pub threshold: f64,
    /// T needed for the cautious classes (shared hosting, carrier NAT, relays) without a person, points.
    pub threshold_cautious: f64,
    /// Half-life of a report in T, days.
    pub half_life_report: f64,
    /// Half-life of confirmations K and faults F, days.
    pub half_life_record: f64,
    /// The head start a of a vetted member: as if it had been right so many times.
    pub prior_vetted: f64,
    /// The head start a of a member on probation.
    pub prior_probation: f64,
    /// The most one report can weigh, points.
    pub weight_max: f64,
    /// The most one report of a member weighs while three upheld disputes in a day hang over it, points.
    pub weight_suspect: f64,
    /// A member whose weight is at least this may confirm others, points.
    pub weight_confirming: f64,
    /// Two reports within this time confirm each other; a report undisputed for this time survived; days.
    pub horizon: f64,
    /// Credit for a vetted member's report that survived.
    pub survival_credit: f64,
    /// The most credit a member can ever gain by survival.
    pub survival_cap: f64,
    /// F added to every reporter of an observable whose dispute was upheld.
    pub fault: f64,
    /// Upheld disputes within 24 h that make a member suspect, 1 to 8.
    pub strikes: u8,
    /// How long a member is suspect the first time, days; doubles each time.
    pub suspect_for: f64,
    /// Exclusive pairs two members need before they can count as dependent.
    pub dependence_pairs: u32,
    /// Dependence at and above which two reports do not confirm each other, 0 to 1.
    pub dependence_confirming: f64,
    /// Confirmations ever without which no member publishes alone, unless enough of its reports survived.
    pub solo_confirmations: u32,
    /// Distinct members who must have given them, 1 to 4.
    pub solo_confirmers: u8,
    /// Reports that survived, ever, which are as good.
    pub solo_survivals: u32,
    /// Points others must contribute where no reporter may publish alone.
    pub second_opinion: f64,
    /// The most that weak evidence (probation, spoofable) contributes jointly, points; below the threshold.
    pub weak_max: f64,
    /// An observable nobody saw for so long is forgotten, days.
    pub forget_after: f64,
    /// How long a revoked observable stays barred, days.
    pub bar_for: f64,
    /// Relevance.
    pub relevance: RelevanceRules,
    /// Which holes are closed. All of them, except in an evaluation that measures what closing one costs.
    #[serde(skip)]
    pub(crate) closings: Closings,
}

/// The constants of relevance. Weights are natural log-odds per unit, half-lives days.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RelevanceRules {
    /// The sum's start.
    pub base: f64,
    /// Weight of the member's own active days.
    pub own: f64,
    /// Weight of all members' active days.
    pub all: f64,
    /// Weight of the burst.
    pub burst: f64,
    /// Weight of how recently the member itself saw it.
    pub recent: f64,
    /// Weight of the neighbourhood.
    pub neighbourhood: f64,
    /// How fast the first three saturate.
    pub saturation: f64,
    /// Half-life of own active days, days.
    pub half_life_own: f64,
    /// Half-life of all members' active days, days.
    pub half_life_all: f64,
    /// Half-life of the burst, days.
    pub half_life_burst: f64,
    /// Half-life of the neighbourhood's counter, days.
    pub half_life_neighbourhood: f64,
}

/// The five holes of the formula as first given; `true` means closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Closings {
    /// Credit only for reports made before the observable was corroborated.
    pub early_credit: bool,
    /// Publishing alone needs a record of confirmations by several members.
    pub solo_record: bool,
    /// Members on probation count jointly below the threshold.
    pub probation: bool,
    /// Spoofable evidence counts jointly below the threshold and never acts.
    pub spoofable: bool,
    /// What no member signed does not act.
    pub unsigned: bool,
}

impl Closings {
    pub(crate) const ALL: Self =
        Self { early_credit: true, solo_record: true, probation: true, spoofable: true, unsigned: true };
    pub(crate) const NONE: Self =
        Self { early_credit: false, solo_record: false, probation: false, spoofable: false, unsigned: false };
}

/// What a member starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberTrust {
    /// Vetted, on probation, or without a voice.
    pub standing: Standing,
}

impl MemberTrust {
    /// A founder, or a member vetted since.
    pub const VETTED: Self = Self { standing: Standing::Vetted };
    /// A newcomer.
    pub const PROBATION: Self = Self { standing: Standing::Probation };
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            threshold: 2.0,
            threshold_cautious: 6.0,
            half_life_report: 7.0,
            half_life_record: 30.0,
            prior_vetted: 6.0,
            prior_probation: 2.0,
            weight_max: 3.5,
            weight_suspect: 1.2,
            weight_confirming: 1.0,
            horizon: 7.0,
            survival_credit: 0.05,
            survival_cap: 10.0,
            fault: 5.0,
            strikes: 3,
            suspect_for: 7.0,
            dependence_pairs: 20,
            dependence_confirming: 0.5,
            solo_confirmations: 5,
            solo_confirmers: 2,
            solo_survivals: 30,
            second_opinion: 0.5,
            weak_max: 1.79,
            forget_after: 30.0,
            bar_for: 365.0,
            relevance: RelevanceRules::default(),
            closings: Closings::ALL,
        }
    }
}

impl Default for RelevanceRules {
    fn default() -> Self {
        Self {
            base: -7.0,
            own: 1.10,
            all: 0.60,
            burst: 0.40,
            recent: 0.45,
            neighbourhood: 0.85,
            saturation: 8.0,
            half_life_own: 7.0,
            half_life_all: 1.0,
            half_life_burst: 0.125,
            half_life_neighbourhood: 1.0,
        }
    }
}

impl Rules {
    /// Whether every constant lies within its limits and those that depend on each other agree.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first constant that does not.
    pub fn validate(&self) -> Result<(), Error> {
        for (field, value, low, high) in self.ranges() {
            if !(low..=high).contains(&value) {
                return Err(Error::refused(field, value, format!("{low} to {high}")));
            }
        }
        Ok(())
    }

    fn ranges(&self) -> [(&'static str, f64, f64, f64); 30] {
        let r = &self.relevance;
        [
            ("threshold", self.threshold, 0.1, 100.0),
            ("threshold_cautious", self.threshold_cautious, self.threshold, 1000.0),
            ("half_life_report", self.half_life_report, 0.01, 365.0),
            ("half_life_record", self.half_life_record, 0.01, 3650.0),
            ("prior_vetted", self.prior_vetted, 1.0, 1000.0),
            ("prior_probation", self.prior_probation, 1.0, self.prior_vetted),
            ("weight_max", self.weight_max, 0.0, 100.0),
            ("weight_suspect", self.weight_suspect, 0.0, self.threshold * 0.99),
            ("weight_confirming", self.weight_confirming, 0.0, 100.0),
            ("horizon", self.horizon, 0.01, self.forget_after),
            ("survival_credit", self.survival_credit, 0.001, 10.0),
            ("survival_cap", self.survival_cap, 0.0, (self.survival_credit * 1000.0).min(1000.0)),
            ("fault", self.fault, 0.0, 1000.0),
            ("strikes", f64::from(self.strikes), 1.0, 8.0),
            ("suspect_for", self.suspect_for, 0.0, 365.0),
            ("dependence_pairs", f64::from(self.dependence_pairs), 1.0, 1e6),
            ("dependence_confirming", self.dependence_confirming, 0.0, 1.0),
            ("solo_confirmations", f64::from(self.solo_confirmations), 3.0, 1e6),
            ("solo_confirmers", f64::from(self.solo_confirmers), 1.0, 4.0),
            ("solo_survivals", f64::from(self.solo_survivals), 1.0, 1e6),
            ("second_opinion", self.second_opinion, 0.0, self.threshold / 2.0),
            ("weak_max", self.weak_max, 0.0, self.threshold * 0.99),
            ("forget_after", self.forget_after, 1.0, 365.0),
            ("bar_for", self.bar_for, 1.0, 3650.0),
            ("relevance.saturation", r.saturation, 0.001, 1000.0),
            ("relevance.half_life_own", r.half_life_own, 0.01, 365.0),
            ("relevance.half_life_all", r.half_life_all, 0.01, 365.0),
            ("relevance.half_life_burst", r.half_life_burst, 0.01, 365.0),
            ("relevance.half_life_neighbourhood", r.half_life_neighbourhood, 0.01, 365.0),
            ("relevance weights", self.heaviest(), 0.0, 100.0),
        ]
    }

    /// The largest of the weights of relevance by magnitude (NaN where one is not a number).
    fn heaviest(&self) -> f64 {
        let r = &self.relevance;
        let weights = [r.base, r.own, r.all, r.burst, r.recent, r.neighbourhood];
        weights.iter().fold(0.0, |most, w| if w.is_nan() || w.abs() > most { w.abs() } else { most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Rules::default().validate(), Ok(()));
    }

    #[test]
    fn weak_evidence_that_could_reach_the_threshold_is_refused() {
        let rules = Rules { weak_max: 2.0, ..Rules::default() };
        assert!(matches!(rules.validate(), Err(Error::Refused { field: "weak_max", .. })));
    }

    #[test]
    fn a_constant_that_is_not_a_number_is_refused() {
        let rules = Rules { threshold: f64::NAN, ..Rules::default() };
        assert!(matches!(rules.validate(), Err(Error::Refused { field: "threshold", .. })));
        let mut rules = Rules::default();
        rules.relevance.burst = f64::NAN;
        assert!(matches!(rules.validate(), Err(Error::Refused { field: "relevance weights", .. })));
    }

    #[test]
    fn closings_cannot_be_switched_off_from_outside() {
        let text = serde_json::to_string(&Rules::default()).unwrap();
        assert!(!text.contains("closings"));
        assert_eq!(serde_json::from_str::<Rules>(&text).unwrap().closings, Closings::ALL);
        assert!(serde_json::from_str::<Rules>("{\"closings\":{}}").is_err());
    }
}

//! Findings: what the alliance holds of one observable and one family of behaviours, with the sum behind it.

use crate::ids::{FindingId, MemberId};
use crate::observable::Observable;
use crate::time::Timestamp;
use crate::words::{Behaviour, Family, Grade, Handling};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// What the alliance holds of one observable and one family of behaviours.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Derived from observable and family; the same for ever.
    pub id: FindingId,
    /// What it is about.
    pub observable: Observable,
    /// Under which family it is corroborated.
    pub family: Family,
    /// Which behaviours of the family were reported.
    pub behaviours: BTreeSet<Behaviour>,
    /// Where it stands.
    pub state: FindingState,
    /// May members' machines act on it, or is it for people's eyes only?
    pub actionable: bool,
    /// The sum that led here.
    pub sum: Sum,
    /// What a guard said, if one did.
    pub guard: Option<GuardHit>,
    /// The strictest marking of the evidence it used.
    pub handling: Handling,
    /// First sighting.
    pub first: Timestamp,
    /// Latest sighting.
    pub last: Timestamp,
    /// When this version was made.
    pub made: Timestamp,
}

/// Where a finding stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingState {
    /// Reported, not corroborated.
    Observed,
    /// Corroborated by independent members.
    Corroborated,
    /// A guard holds it back from machines.
    Guarded,
    /// Was corroborated; the evidence has faded below the threshold.
    Faded,
    /// An upheld dispute revoked it; it does not come back by itself.
    Revoked,
}

impl FindingState {
    /// The state as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Corroborated => "corroborated",
            Self::Guarded => "guarded",
            Self::Faded => "faded",
            Self::Revoked => "revoked",
        }
    }

    /// The state in one sentence.
    pub const fn explains(self) -> &'static str {
        match self {
            Self::Observed => "Reported, but not by enough independent members: nobody acts on it.",
            Self::Corroborated => "Independent members have reported it: members may protect themselves from it.",
            Self::Guarded => "A guard holds it back: machines do not act on it, a person may.",
            Self::Faded => {
                "What stands of the evidence is below the threshold, by age or taken back: what was in force ends."
            }
            Self::Revoked => "A dispute was upheld: lifted everywhere, and it does not come back by itself.",
        }
    }
}

impl fmt::Display for FindingState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The sum of a finding: points of each reporter, and the threshold. Adding up `points` of the lines and taking off
/// `cut` gives `total`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// One line for each reporter, by weight from the highest.
    pub lines: Vec<SumLine>,
    /// Points taken off because weak evidence (probation, spoofable) counts jointly up to a limit only.
    #[serde(default)]
    pub cut: f64,
    /// The total, to three decimals.
    pub total: f64,
    /// What the total had to reach.
    pub threshold: f64,
}

/// What one reporter contributes. All numbers to three decimals.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SumLine {
    /// The reporter.
    pub member: MemberId,
    /// The best evidence it gave.
    pub grade: Grade,
    /// Its weight in log-odds points: ln(p / (1 - p)).
    pub weight: f64,
    /// Age of its latest report in days.
    pub age_days: f64,
    /// 2^(-age / half-life).
    pub decay: f64,
    /// Share taken off because it reports what an earlier line's member reports.
    pub dependence: f64,
    /// Points: weight * decay * (1 - dependence), or 0 where `note` says why.
    pub points: f64,
    /// It said so and counts for it no more, for good: taken back, or signed with a key that was revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retracted: bool,
    /// Whose reports it seems to copy, for those to whom members are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<MemberId>,
    /// Why the points are fewer than the weight, in words; empty where nothing was taken off.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A guard's word on an observable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardHit {
    /// The class of the list (`never`, `resolver`, `top`, `cloud-shared`, …).
    pub class: String,
    /// The entry that overlaps.
    pub entry: String,
    /// The list that holds it.
    pub list: String,
    /// Whose proven asset it is, for those to whom members are named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<MemberId>,
    /// Absolute guards hold back machines altogether; cautious ones ask for more.
    pub absolute: bool,
}

//! The frontier between first contacts met and damage done by liars: what each number of the charter buys and costs.
//!
//! One number is changed at a time, the others stay as they are in force. A setting is on the frontier if no other one
//! meets more first contacts with as little harm, or does less harm with as many met.

use super::ablation::Ablation;
use super::first_contacts::{met_by_count, met_by_gate};
use super::history::History;
use super::poison::{Cast, Harm, Policy, Stages};
use crate::error::Error;
use crate::rules::Rules;
use serde::Serialize;
use std::fmt;

/// A number that is not reached: nobody ever publishes alone.
const NEVER: u32 = 1_000_000;

/// Which number a point varies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sweep {
    /// `threshold`, with the limits that hang on it.
    Threshold,
    /// `prior_vetted`.
    Prior,
    /// `weight_max`.
    WeightMax,
    /// `solo_confirmations` and `solo_survivals`: the record for publishing alone.
    Record,
    /// `fault`.
    Fault,
    /// Rules of another kind, to compare with.
    Other,
}

impl Sweep {
    /// All, in the order of the legend.
    pub const ALL: [Self; 6] = [Self::Threshold, Self::Prior, Self::WeightMax, Self::Record, Self::Fault, Self::Other];

    /// The charter's key.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Threshold => "threshold",
            Self::Prior => "prior_vetted",
            Self::WeightMax => "weight_max",
            Self::Record => "solo_confirmations / solo_survivals",
            Self::Fault => "fault",
            Self::Other => "other rules",
        }
    }
}

/// One setting and what comes of it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FrontierPoint {
    /// Which number was changed.
    pub sweep: Sweep,
    /// To what.
    pub setting: String,
    /// Share of first contacts met by the truth gate at 10 s each way.
    pub first_contacts: f64,
    /// The harm done by liars.
    pub harm: Harm,
    /// As the rules in force have it.
    pub in_force: bool,
    /// No other setting is better in one thing and not worse in the other.
    pub on_frontier: bool,
}

impl FrontierPoint {
    /// The worst scenario's share of harmless addresses published.
    pub fn worst(&self) -> f64 {
        self.harm.outsiders.max(self.harm.insiders)
    }
}

/// All of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Frontier {
    /// By sweep, in its order.
    pub points: Vec<FrontierPoint>,
}

/// How many settings [`frontier`] tries.
pub fn settings(rules: &Rules) -> usize {
    plan(rules).len() + 2
}

/// Tries every setting on `history`; `tried` is told after each.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits, or a member of `cast` does not occur.
pub fn frontier(history: &History, rules: &Rules, cast: &Cast, mut tried: impl FnMut()) -> Result<Frontier, Error> {
    let stages = Stages::new(history, cast)?;
    let mut points = Vec::new();
    for (sweep, setting, changed) in plan(rules) {
        let harm = stages.harm(&changed, Policy::Gate)?;
        let first_contacts = met_by_gate(history, &changed)?;
        let in_force = changed == *rules;
        points.push(FrontierPoint { sweep, setting, first_contacts, harm, in_force, on_frontier: false });
        tried();
    }
    for (setting, policy, members) in [("union of all", Policy::Union, 1), ("two members", Policy::TwoMembers, 2)] {
        let (harm, first_contacts) = (stages.harm(rules, policy)?, met_by_count(history, members));
        let (sweep, setting) = (Sweep::Other, setting.to_owned());
        points.push(FrontierPoint { sweep, setting, first_contacts, harm, in_force: false, on_frontier: false });
        tried();
    }
    mark(&mut points);
    Ok(Frontier { points })
}

fn mark(points: &mut [FrontierPoint]) {
    let all: Vec<(f64, f64)> = points.iter().map(|point| (point.first_contacts, point.worst())).collect();
    for point in points.iter_mut() {
        let (met, harm) = (point.first_contacts, point.worst());
        let beaten = all.iter().any(|(m, h)| (*m > met && *h <= harm) || (*m >= met && *h < harm));
        point.on_frontier = !beaten;
    }
}

fn plan(rules: &Rules) -> Vec<(Sweep, String, Rules)> {
    let mut plan = Vec::new();
    let mut add = |sweep, setting: String, changed: Rules| plan.push((sweep, setting, changed));
    for threshold in [1.0, 1.5, 1.9, 2.0, 2.5, 3.0, 3.5, 4.5] {
        add(Sweep::Threshold, format!("{threshold:.1}"), with_threshold(rules, threshold));
    }
    for prior in [2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 20.0] {
        let prior_probation = rules.prior_probation.min(prior);
        add(Sweep::Prior, format!("{prior:.0}"), Rules { prior_vetted: prior, prior_probation, ..rules.clone() });
    }
    for weight_max in [2.0, 2.5, 3.0, 3.5, 5.0] {
        add(Sweep::WeightMax, format!("{weight_max:.1}"), Rules { weight_max, ..rules.clone() });
    }
    for (solo_confirmations, solo_survivals) in
        [(3, 10), (3, 20), (5, 30), (10, 60), (20, 120), (60, 360), (NEVER, NEVER)]
    {
        let name = match solo_confirmations {
            NEVER => "never alone".to_owned(),
            _ => format!("{solo_confirmations} / {solo_survivals}"),
        };
        add(Sweep::Record, name, Rules { solo_confirmations, solo_survivals, ..rules.clone() });
    }
    for fault in [0.0, 1.0, 2.0, 5.0, 10.0, 20.0] {
        add(Sweep::Fault, format!("{fault:.0}"), Rules { fault, ..rules.clone() });
    }
    add(Sweep::Other, "formula as first given".to_owned(), Ablation::AsGiven.apply(rules));
    plan
}

/// The limits that must stay below the threshold keep their share of it where they have to.
fn with_threshold(rules: &Rules, threshold: f64) -> Rules {
    let share = threshold / rules.threshold;
    Rules {
        threshold,
        threshold_cautious: rules.threshold_cautious.max(threshold),
        weak_max: rules.weak_max.min(rules.weak_max * share),
        weight_suspect: rules.weight_suspect.min(rules.weight_suspect * share),
        second_opinion: rules.second_opinion.min(threshold / 2.0),
        ..rules.clone()
    }
}

/// The points as an aligned text.
impl fmt::Display for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "first contacts met by the truth gate (10 s each way) and harmless addresses published by liars,")?;
        writeln!(f, "one number changed at a time; > in force, * on the frontier")?;
        write!(f, "  {:<38}{:<28}{:>9}{:>11}{:>10}", "number", "setting", "met", "newcomers", "members")?;
        write!(f, "{:>21}", "entry-hours a day")?;
        for point in &self.points {
            let mark = |yes, mark| if yes { mark } else { ' ' };
            let (force, front) = (mark(point.in_force, '>'), mark(point.on_frontier, '*'));
            let Harm { outsiders, insiders, entry_hours } = point.harm;
            write!(f, "\n{force}{front}{:<38}{:<28}{:>9.4}", point.sweep.name(), point.setting, point.first_contacts)?;
            write!(f, "{:>10.2}%{:>9.2}%{entry_hours:>21.1}", outsiders * 100.0, insiders * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(first_contacts: f64, harm: f64) -> FrontierPoint {
        let harm = Harm { outsiders: 0.0, insiders: harm, entry_hours: 0.0 };
        let (sweep, setting) = (Sweep::Other, String::new());
        FrontierPoint { sweep, setting, first_contacts, harm, in_force: false, on_frontier: false }
    }

    #[test]
    fn only_what_nothing_beats_is_on_the_frontier() {
        let mut points = [point(0.3, 0.1), point(0.3, 0.2), point(0.2, 0.0), point(0.1, 0.05), point(0.3, 0.1)];
        mark(&mut points);
        assert_eq!(points.map(|point| point.on_frontier), [true, false, true, false, true]);
    }

    #[test]
    fn every_setting_of_the_sweeps_is_valid_and_the_rules_in_force_are_among_them() {
        let rules = Rules::default();
        let plan = plan(&rules);
        assert_eq!(plan.iter().filter(|(.., changed)| *changed == rules).count(), 5);
        for (sweep, setting, changed) in plan {
            assert_eq!(changed.validate(), Ok(()), "{sweep:?} {setting}");
        }
    }
}

//! Liars, the sloppy and the compromised: how much of what is harmless gets published, and what stays of the good.

mod play;
pub(crate) mod stage;

use super::history::History;
use super::mersenne::Mersenne;
use crate::error::Error;
use crate::rules::Rules;
use play::play;
use serde::Serialize;
use stage::{Scenario, Stage};

pub(crate) use play::Policy;

/// Where every scenario's random numbers start.
const SEED: u32 = 7;

/// Which members play which part; without a name the fourth and the second busiest do.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Cast {
    /// A quarter of its reports come with a harmless address.
    pub sloppy: Option<String>,
    /// Lies 200 times a day in the name of a veteran.
    pub compromised: Option<String>,
}

/// What one policy published in one scenario.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PoisonRow {
    /// What was played.
    pub scenario: &'static str,
    /// Harmless addresses reported.
    pub benign_reported: usize,
    /// The policy.
    pub policy: &'static str,
    /// Harmless addresses published.
    pub benign_published: usize,
    /// As a share of those reported.
    pub share: f64,
    /// Hours of harmless entries in force, a day.
    pub entry_hours: f64,
    /// Share of the real attackers that were published.
    pub real_published: f64,
}

/// The poison table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PoisonTable {
    /// By scenario, then policy.
    pub rows: Vec<PoisonRow>,
}

/// Replays `history` with each kind of poison mixed in.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits or a named member does not occur.
pub fn poison(history: &History, rules: &Rules, cast: &Cast) -> Result<PoisonTable, Error> {
    let mut random = Mersenne::new(SEED);
    let mut rows = Vec::new();
    for (name, scenario) in Scenario::ALL {
        let stage = Stage::new(history, scenario, cast, &mut random)?;
        for policy in Policy::ALL {
            rows.push(row(name, &stage, policy, rules, &mut random)?);
        }
    }
    Ok(PoisonTable { rows })
}

/// The stages of the hardest scenarios, to be played under many rules.
pub(crate) struct Stages(Vec<(Scenario, Stage)>);

/// The harm under one set of rules: the worst scenario's share of harmless addresses published.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Harm {
    /// By newcomers, echo farmers and forged packets.
    pub outsiders: f64,
    /// By a sloppy or compromised vetted member.
    pub insiders: f64,
    /// Hours of harmless entries in force a day, in the scenario with most.
    pub entry_hours: f64,
}

impl Stages {
    pub fn new(history: &History, cast: &Cast) -> Result<Self, Error> {
        let mut random = Mersenne::new(SEED);
        let stage = |scenario| Ok((scenario, Stage::new(history, scenario, cast, &mut random)?));
        Ok(Self(Scenario::HARDEST.into_iter().map(stage).collect::<Result<_, Error>>()?))
    }

    pub fn harm(&self, rules: &Rules, policy: Policy) -> Result<Harm, Error> {
        let mut harm = Harm { outsiders: 0.0, insiders: 0.0, entry_hours: 0.0 };
        for (scenario, stage) in &self.0 {
            let row = row("", stage, policy, rules, &mut Mersenne::new(SEED))?;
            let worst = if scenario.is_by_insider() { &mut harm.insiders } else { &mut harm.outsiders };
            *worst = worst.max(row.share);
            harm.entry_hours = harm.entry_hours.max(row.entry_hours);
        }
        Ok(harm)
    }
}

fn row(
    scenario: &'static str,
    stage: &Stage,
    policy: Policy,
    rules: &Rules,
    random: &mut Mersenne,
) -> Result<PoisonRow, Error> {
    let played = play(stage, policy, rules, random)?;
    Ok(PoisonRow {
        scenario,
        benign_reported: stage.reported,
        policy: policy.name(),
        benign_published: played.benign,
        share: played.benign as f64 / stage.reported.max(1) as f64,
        entry_hours: played.hours / (stage.end - stage.attack),
        real_published: played.real as f64 / played.seen_real.max(1) as f64,
    })
}

/// The table as an aligned text.
impl std::fmt::Display for PoisonTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "liars mixed in: how much of the harmless is published, and how much of the real stays")?;
        write!(f, "{:<36}{:>9}  {:<9}", "scenario", "reported", "policy")?;
        writeln!(f, "{:>17}{:>8}{:>22}{:>16}", "benign published", "share", "entry-hours a day", "real published")?;
        for row in &self.rows {
            write!(f, "{:<36}{:>9}  {:<9}", row.scenario, row.benign_reported, row.policy)?;
            write!(f, "{:>17}{:>8.4}", row.benign_published, row.share)?;
            writeln!(f, "{:>22.3}{:>16.3}", row.entry_hours, row.real_published)?;
        }
        Ok(())
    }
}

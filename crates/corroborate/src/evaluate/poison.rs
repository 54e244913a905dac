//! Liars, the sloppy and the compromised: how much of what is harmless gets published, and what stays of the good.

use super::history::{DAY_MS, History};
use super::mersenne::Mersenne;
use crate::engine::{Attestation, Engine, MemberIndex, Sight};
use crate::error::Error;
use crate::key::{Keys, NeighbourhoodKey, ObservableKey, Seed};
use crate::rules::{MemberTrust, Rules};
use model::{Grade, Timestamp};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Harmless addresses that are lied about, at most.
const BENIGN: u32 = 5000;
/// Lies a day.
const LIES: u32 = 200;
const POLICIES: [&str; 3] = ["b union", "d k>=2", "e gate"];

/// Which members play which part; without a name the second and the fourth busiest do.
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

#[derive(Clone, Copy, PartialEq)]
enum Scenario {
    Newcomers(u16),
    Sloppy,
    Compromised,
}

/// Days since 1970 with their fraction, value (harmless ones negative), member.
type Event = (f64, i64, u16);

/// Replays `history` with each kind of poison mixed in.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits or a named member does not occur.
pub fn poison(history: &History, rules: &Rules, cast: &Cast) -> Result<PoisonTable, Error> {
    let scenarios = [
        ("1 new liar", Scenario::Newcomers(1)),
        ("2 colluding new liars", Scenario::Newcomers(2)),
        ("4 colluding new liars", Scenario::Newcomers(4)),
        ("sloppy vetted member (20% benign)", Scenario::Sloppy),
        ("compromised vetted member", Scenario::Compromised),
    ];
    let mut random = Mersenne::new(7);
    let mut rows = Vec::new();
    for (name, scenario) in scenarios {
        let stage = Stage::new(history, scenario, cast, &mut random)?;
        for policy in 0..POLICIES.len() {
            rows.push(stage.play(name, policy, rules, &mut random)?);
        }
    }
    Ok(PoisonTable { rows })
}

struct Stage {
    events: Vec<Event>,
    members: Vec<MemberTrust>,
    reported: usize,
    start: f64,
    attack: f64,
    end: f64,
}

impl Stage {
    fn new(history: &History, scenario: Scenario, cast: &Cast, random: &mut Mersenne) -> Result<Self, Error> {
        let days = |at: i64| at as f64 / DAY_MS as f64;
        let mut events: Vec<Event> =
            history.events.iter().map(|e| (days(e.at), i64::from(e.value), e.member)).collect();
        let (start, end) = (history.start as f64, events.last().map_or(0.0, |event| event.0));
        let attack = start + 6.0;
        let span = attack as i64..end as i64;
        let mut members = vec![MemberTrust::VETTED; history.members.len()];
        let lies = match scenario {
            Scenario::Newcomers(count) => {
                let first = members.len() as u16;
                members.extend(vec![MemberTrust::PROBATION; usize::from(count)]);
                colluding(span, first, count, random)
            }
            Scenario::Sloppy => sloppy(&events, member(history, cast.sloppy.as_deref(), 3)?, start, random),
            Scenario::Compromised => lying(span, member(history, cast.compromised.as_deref(), 1)?, random),
        };
        let reported = lies.iter().map(|lie| lie.1).collect::<BTreeSet<_>>().len();
        events.extend(lies);
        events.sort_by(|a, b| a.0.total_cmp(&b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        Ok(Self { events, members, reported, start, attack, end })
    }

    fn play(
        &self,
        scenario: &'static str,
        policy: usize,
        rules: &Rules,
        random: &mut Mersenne,
    ) -> Result<PoisonRow, Error> {
        let mut play = Play::new(self, rules)?;
        for event in &self.events {
            play.pass(event, policy, random)?;
        }
        let hours =
            play.hours + play.disputes.iter().map(|Reverse((at, value))| play.hours_of(at.0, *value)).sum::<f64>();
        Ok(PoisonRow {
            scenario,
            benign_reported: self.reported,
            policy: POLICIES[policy],
            benign_published: play.benign,
            share: play.benign as f64 / self.reported.max(1) as f64,
            entry_hours: hours / (self.end - self.attack),
            real_published: play.real as f64 / play.seen_real.len().max(1) as f64,
        })
    }
}

struct Play<'a> {
    stage: &'a Stage,
    engine: Engine,
    keys: Keys,
    published: BTreeMap<i64, f64>,
    revoked: BTreeSet<i64>,
    disputes: BinaryHeap<Reverse<(Days, i64)>>,
    reporters: BTreeMap<i64, Vec<(u16, f64)>>,
    seen_real: BTreeSet<i64>,
    hours: f64,
    benign: usize,
    real: usize,
}

impl<'a> Play<'a> {
    fn new(stage: &'a Stage, rules: &Rules) -> Result<Self, Error> {
        let seed = Seed(*b"evaluation only.");
        Ok(Self {
            stage,
            engine: Engine::new(rules.clone(), &stage.members, seed)?,
            keys: Keys::new(seed),
            published: BTreeMap::new(),
            revoked: BTreeSet::new(),
            disputes: BinaryHeap::new(),
            reporters: BTreeMap::new(),
            seen_real: BTreeSet::new(),
            hours: 0.0,
            benign: 0,
            real: 0,
        })
    }

    fn pass(&mut self, event: &Event, policy: usize, random: &mut Mersenne) -> Result<(), Error> {
        let &(at, value, _) = event;
        self.settle_disputes(at)?;
        self.report(event)?;
        if at < self.stage.start {
            return Ok(());
        }
        if value >= 0 {
            self.seen_real.insert(value);
        }
        if self.revoked.contains(&value) || self.published.contains_key(&value) || !self.publishes(policy, at, value) {
            return Ok(());
        }
        self.published.insert(value, at);
        if value < 0 {
            self.benign += 1;
            self.disputes.push(Reverse((Days(at + random.exponential(4.0)), value)));
        } else {
            self.real += 1;
        }
        Ok(())
    }

    /// On average six hours after its publication somebody disputes a harmless address, and is upheld.
    fn settle_disputes(&mut self, now: f64) -> Result<(), Error> {
        while let Some(Reverse((at, value))) = self.disputes.peek().copied().filter(|Reverse((at, _))| at.0 <= now) {
            self.disputes.pop();
            if let Some(since) = self.published.remove(&value) {
                self.hours += (at.0 - since) * 24.0;
            }
            self.revoked.insert(value);
            self.engine.dispute_upheld(self.key(value), time(at.0))?;
        }
        Ok(())
    }

    fn report(&mut self, &(at, value, member): &Event) -> Result<(), Error> {
        let reporters = self.reporters.entry(value).or_default();
        match reporters.iter_mut().find(|(who, _)| *who == member) {
            Some((_, last)) => *last = at,
            None => reporters.push((member, at)),
        }
        let observable = self.key(value);
        let member = MemberIndex(member);
        let (grade, attested) = (Grade::Handshake, Attestation::Signed);
        let neighbourhood = NeighbourhoodKey::NONE;
        self.engine.sight(&Sight { observable, neighbourhood, member, at: time(at), grade, attested })?;
        Ok(())
    }

    fn publishes(&self, policy: usize, at: f64, value: i64) -> bool {
        match policy {
            0 => true,
            1 => self.reporters.get(&value).is_some_and(|r| r.iter().filter(|(_, t)| at - t <= 7.0).count() >= 2),
            _ => self.engine.is_corroborated(self.key(value), time(at)),
        }
    }

    fn hours_of(&self, disputed: f64, value: i64) -> f64 {
        self.published.get(&value).map_or(0.0, |since| (disputed.min(self.stage.end) - since) * 24.0)
    }

    fn key(&self, value: i64) -> ObservableKey {
        self.keys.observable(&value.to_le_bytes())
    }
}

/// Newcomers that report the same harmless addresses.
fn colluding(days: std::ops::Range<i64>, first: u16, count: u16, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for day in days {
        for _ in 0..LIES {
            let value = -1 - i64::from(random.below(BENIGN));
            for j in 0..count {
                lies.push((day as f64 + random.random() * 0.5 + f64::from(j) * 0.02, value, first + j));
            }
        }
    }
    lies
}

/// A member that adds a harmless address to every fourth report.
fn sloppy(events: &[Event], member: u16, start: f64, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for &(at, _, who) in events {
        if who == member && at >= start && random.random() < 0.25 {
            lies.push((at, -1 - i64::from(random.below(BENIGN)), member));
        }
    }
    lies
}

/// A member that lies all day.
fn lying(days: std::ops::Range<i64>, member: u16, random: &mut Mersenne) -> Vec<Event> {
    let mut lies = Vec::new();
    for day in days {
        for _ in 0..LIES {
            let at = day as f64 + random.random();
            lies.push((at, -1 - i64::from(random.below(BENIGN)), member));
        }
    }
    lies
}

/// The member of that name, or the one at `rank` by sightings.
fn member(history: &History, name: Option<&str>, rank: usize) -> Result<u16, Error> {
    if let Some(name) = name {
        let found = history.members.iter().position(|member| member == name);
        return found.map(|at| at as u16).ok_or_else(|| Error::refused("member", name, "a member of the history"));
    }
    let mut counts = vec![0_usize; history.members.len()];
    history.events.iter().for_each(|event| counts[usize::from(event.member)] += 1);
    let mut by_count: Vec<u16> = (0..counts.len() as u16).collect();
    by_count.sort_by_key(|member| Reverse(counts[usize::from(*member)]));
    Ok(by_count.get(rank).or(by_count.last()).copied().unwrap_or_default())
}

fn time(days: f64) -> Timestamp {
    Timestamp::from_millis((days * DAY_MS as f64) as i64)
}

/// Days in their total order.
#[derive(Clone, Copy, PartialEq)]
struct Days(f64);

impl Eq for Days {}

impl PartialOrd for Days {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Days {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The table as an aligned text.
impl std::fmt::Display for PoisonTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

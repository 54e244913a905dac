//! Plays one stage under one policy: reports, publications, disputes that are upheld, and those who repeat for credit.

use super::stage::{Event, Stage};
use crate::engine::{Engine, MemberIndex, Sight};
use crate::error::Error;
use crate::evaluate::history::DAY_MS;
use crate::evaluate::mersenne::Mersenne;
use crate::key::{Keys, NeighbourhoodKey, ObservableKey, Seed};
use crate::rules::Rules;
use model::Timestamp;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Disputes of harmless entries a day: six hours each on average.
const DISPUTE_RATE: f64 = 4.0;
/// How long those who repeat wait after a publication, days: a minute.
const ECHO_AFTER: f64 = 1.0 / 1440.0;

/// When something is published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Policy {
    /// As soon as anybody reports it.
    Union,
    /// When two members reported it within a week.
    TwoMembers,
    /// When the truth gate says so.
    Gate,
}

impl Policy {
    /// All, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Union, Self::TwoMembers, Self::Gate];

    /// As the tables write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Union => "b union",
            Self::TwoMembers => "d k>=2",
            Self::Gate => "e gate",
        }
    }
}

/// What came of it.
pub(crate) struct Played {
    /// Harmless addresses published.
    pub benign: usize,
    /// Real attackers published, and seen.
    pub real: usize,
    pub seen_real: usize,
    /// Hours that harmless entries were in force, all together.
    pub hours: f64,
}

/// Plays `stage` from its beginning to its end.
pub(crate) fn play(stage: &Stage, policy: Policy, rules: &Rules, random: &mut Mersenne) -> Result<Played, Error> {
    let mut play = Play::new(stage, policy, rules)?;
    for event in &stage.events {
        play.echo(event.at)?;
        play.pass(event, random)?;
    }
    let open = play.disputes.iter().map(|Reverse((at, value))| play.hours_of(at.0, *value)).sum::<f64>();
    Ok(Played { benign: play.benign, real: play.real, seen_real: play.seen_real.len(), hours: play.hours + open })
}

struct Play<'a> {
    stage: &'a Stage,
    policy: Policy,
    engine: Engine,
    keys: Keys,
    published: BTreeMap<i64, f64>,
    revoked: BTreeSet<i64>,
    disputes: BinaryHeap<Reverse<(Days, i64)>>,
    echoes: BinaryHeap<Reverse<(Days, i64, u16)>>,
    reporters: BTreeMap<i64, Vec<(u16, f64)>>,
    seen_real: BTreeSet<i64>,
    hours: f64,
    benign: usize,
    real: usize,
}

impl<'a> Play<'a> {
    fn new(stage: &'a Stage, policy: Policy, rules: &Rules) -> Result<Self, Error> {
        let seed = Seed(*b"evaluation only.");
        Ok(Self {
            stage,
            policy,
            engine: Engine::new(rules.clone(), &stage.members, seed)?,
            keys: Keys::new(seed),
            published: BTreeMap::new(),
            revoked: BTreeSet::new(),
            disputes: BinaryHeap::new(),
            echoes: BinaryHeap::new(),
            reporters: BTreeMap::new(),
            seen_real: BTreeSet::new(),
            hours: 0.0,
            benign: 0,
            real: 0,
        })
    }

    fn pass(&mut self, event: &Event, random: &mut Mersenne) -> Result<(), Error> {
        let &Event { at, value, .. } = event;
        self.settle_disputes(at)?;
        self.report(event)?;
        if at < self.stage.start {
            return Ok(());
        }
        if value >= 0 {
            self.seen_real.insert(value);
        }
        if self.revoked.contains(&value) || self.published.contains_key(&value) || !self.publishes(at, value) {
            return Ok(());
        }
        self.published.insert(value, at);
        if value < 0 {
            self.benign += 1;
            self.disputes.push(Reverse((Days(at + random.exponential(DISPUTE_RATE)), value)));
        } else {
            self.real += 1;
            let echoes = self.stage.farmers.clone().map(|who| Reverse((Days(at + ECHO_AFTER), value, who)));
            self.echoes.extend(echoes);
        }
        Ok(())
    }

    /// Those who want credit report what was published a minute ago.
    fn echo(&mut self, now: f64) -> Result<(), Error> {
        while let Some(Reverse((at, value, member))) =
            self.echoes.peek().copied().filter(|Reverse((at, ..))| at.0 <= now)
        {
            self.echoes.pop();
            self.report(&Event { at: at.0, value, member, forged: false })?;
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

    fn report(&mut self, event: &Event) -> Result<(), Error> {
        let &Event { at, value, member, .. } = event;
        let reporters = self.reporters.entry(value).or_default();
        match reporters.iter_mut().find(|(who, _)| *who == member) {
            Some((_, last)) => *last = at,
            None => reporters.push((member, at)),
        }
        let observable = self.key(value);
        let (member, (grade, attested)) = (MemberIndex(member), event.evidence());
        let neighbourhood = NeighbourhoodKey::NONE;
        self.engine.sight(&Sight { observable, neighbourhood, member, at: time(at), grade, attested })?;
        Ok(())
    }

    fn publishes(&self, at: f64, value: i64) -> bool {
        match self.policy {
            Policy::Union => true,
            Policy::TwoMembers => {
                self.reporters.get(&value).is_some_and(|r| r.iter().filter(|(_, t)| at - t <= 7.0).count() >= 2)
            }
            Policy::Gate => self.engine.is_corroborated(self.key(value), time(at)),
        }
    }

    fn hours_of(&self, disputed: f64, value: i64) -> f64 {
        self.published.get(&value).map_or(0.0, |since| (disputed.min(self.stage.end) - since) * 24.0)
    }

    fn key(&self, value: i64) -> ObservableKey {
        self.keys.observable(&value.to_le_bytes())
    }
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

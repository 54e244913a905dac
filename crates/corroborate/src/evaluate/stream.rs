//! The alliance in real time: every sighting asks whether what it saw was blocked already, for several latencies.

use super::history::{DAY_MS, Event, History};
use crate::engine::{Engine, MemberIndex};
use crate::error::Error;
use crate::relevance::Own;
use crate::rules::Rules;
use model::Timestamp;
use serde::Serialize;
use std::collections::{BTreeSet, VecDeque};

/// How long a report keeps a block in force where no score says otherwise.
const LIVES_MS: i64 = 7 * DAY_MS;
/// After so long a value is off every list.
const LISTED_MS: i64 = 30 * DAY_MS;
/// Lists are counted every third day.
const SAMPLED_DAYS: i64 = 3;

const POLICIES: [&str; 7] = [
    "a own 7 d",
    "b union 7 d",
    "d own or k>=2 in 7 d",
    "e gate only, 7 d",
    "e gate + R>=-4.16",
    "e gate + R>=-4.90",
    "e gate + R>=-5.40",
];
const RELEVANCES: [f64; 3] = [-4.16, -4.90, -5.40];

/// How long what one member reports takes to reach the others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Latency {
    /// So many seconds from the reporter to the hub, and as many from the hub to the members.
    EachWay(u32),
    /// Everything of a day at the following midnight.
    Nightly,
}

impl Latency {
    /// Those of the reference table.
    pub const ALL: [Self; 7] = [
        Self::EachWay(0),
        Self::EachWay(10),
        Self::EachWay(60),
        Self::EachWay(300),
        Self::EachWay(3600),
        Self::EachWay(21_600),
        Self::Nightly,
    ];

    /// As the table writes it.
    pub fn name(self) -> String {
        match self {
            Self::Nightly => "nightly".into(),
            Self::EachWay(s) if s >= 3600 => format!("{} h", s / 3600),
            Self::EachWay(s) if s >= 60 => format!("{} min", s / 60),
            Self::EachWay(s) => format!("{s} s"),
        }
    }
}

/// One policy at one latency.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StreamRow {
    /// The latency each way.
    pub latency: String,
    /// The policy.
    pub policy: &'static str,
    /// Share of attempts that met a block.
    pub attempts: f64,
    /// Share of attackers a member and day whose first packet met a block.
    pub member_days: f64,
    /// Share of first contacts of an attacker with a member that met a block.
    pub first_contacts: f64,
    /// Entries a member at midnight (sampled).
    pub entries: f64,
    /// Share of the entries that came within the day.
    pub precision: f64,
}

/// A member pair that seems dependent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DependentPair {
    /// Both names.
    pub members: (String, String),
    /// dep.
    pub dependence: f64,
    /// Observables whose first two reporters they were.
    pub together: u32,
    /// Observables with exactly two first reporters of the less active of both.
    pub of: u32,
}

/// The stream table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct StreamTable {
    /// Sightings replayed.
    pub events: usize,
    /// The rows, by latency, then policy.
    pub rows: Vec<StreamRow>,
    /// Each member's weight at the end.
    pub weights: Vec<(String, f64)>,
    /// The pairs that seem dependent at the end.
    pub dependent: Vec<DependentPair>,
}

/// Replays `history` once for each latency.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits.
pub fn stream(history: &History, rules: &Rules, latencies: &[Latency]) -> Result<StreamTable, Error> {
    let mut table = StreamTable { events: history.len(), rows: Vec::new(), weights: Vec::new(), dependent: Vec::new() };
    for latency in latencies {
        let mut replay = Replay::new(history, rules, *latency)?;
        for event in &history.events {
            replay.pass(event)?;
        }
        table.rows.extend(replay.rows());
        (table.weights, table.dependent) = (replay.weights(), replay.dependent());
    }
    Ok(table)
}

/// A member's own history of a value, known to it at once.
#[derive(Clone, Copy)]
struct Mine {
    member: u16,
    active: f64,
    last: i64,
}

/// What the alliance knows of a value, after the latency.
#[derive(Clone, Default)]
struct Known {
    last: Option<i64>,
    members: Vec<(u16, i64)>,
}

#[derive(Clone, Copy, Default)]
struct Count {
    attempts: u64,
    member_days: u64,
    first_contacts: u64,
}

struct Replay<'a> {
    history: &'a History,
    engine: Engine,
    latency: Latency,
    queue: VecDeque<&'a Event>,
    own: Vec<Vec<Mine>>,
    known: Vec<Known>,
    day: i64,
    today: BTreeSet<(u32, u16)>,
    counts: [Count; 7],
    all: Count,
    /// Of the sampled midnight: which (value, member) each policy lists.
    listed: [BTreeSet<(u32, u16)>; 7],
    samples: u64,
    entries: [u64; 7],
    came: [u64; 7],
}

impl<'a> Replay<'a> {
    fn new(history: &'a History, rules: &Rules, latency: Latency) -> Result<Self, Error> {
        Ok(Self {
            engine: history.engine(rules)?,
            latency,
            queue: VecDeque::new(),
            own: vec![Vec::new(); history.values.len()],
            known: vec![Known::default(); history.values.len()],
            day: -1,
            today: BTreeSet::new(),
            counts: [Count::default(); 7],
            all: Count::default(),
            listed: Default::default(),
            samples: 0,
            entries: [0; 7],
            came: [0; 7],
            history,
        })
    }

    fn pass(&mut self, event: &'a Event) -> Result<(), Error> {
        let day = event.at / DAY_MS;
        if day != self.day {
            self.begin_day(day, event)?;
        }
        if let Latency::EachWay(seconds) = self.latency {
            self.deliver(event.at - 2 * i64::from(seconds) * 1000)?;
        }
        if day >= self.history.start && event.scored {
            self.score(event);
        }
        self.remember(event);
        self.queue.push_back(event);
        Ok(())
    }

    fn begin_day(&mut self, day: i64, event: &Event) -> Result<(), Error> {
        if self.latency == Latency::Nightly {
            self.deliver(day * DAY_MS)?;
        }
        self.day = day;
        self.today.clear();
        self.listed.iter_mut().for_each(BTreeSet::clear);
        let offset = day - self.history.events.first().map_or(0, |first| first.at / DAY_MS);
        let scored = day >= self.history.start && event.scored;
        if scored && self.latency == Latency::EachWay(10) && offset % SAMPLED_DAYS == 0 {
            self.sample(day * DAY_MS);
        }
        Ok(())
    }

    /// The alliance learns everything reported up to `until`.
    fn deliver(&mut self, until: i64) -> Result<(), Error> {
        while let Some(event) = self.queue.front().filter(|event| event.at <= until) {
            let known = &mut self.known[event.value as usize];
            known.last = Some(event.at);
            match known.members.iter_mut().find(|(member, _)| *member == event.member) {
                Some((_, last)) => *last = event.at,
                None => known.members.push((event.member, event.at)),
            }
            self.engine.sight(&self.history.sight(event))?;
            self.queue.pop_front();
        }
        Ok(())
    }

    fn score(&mut self, event: &Event) {
        let blocked = self.blocked(event.value, event.member, event.at);
        let first_today = self.today.insert((event.value, event.member));
        let first_ever = self.mine(event.value, event.member).is_none();
        self.all.add(first_today, first_ever);
        for (policy, blocked) in blocked.into_iter().enumerate() {
            if blocked {
                self.counts[policy].add(first_today, first_ever);
            }
            if first_today && self.listed[policy].contains(&(event.value, event.member)) {
                self.came[policy] += 1;
            }
        }
    }

    /// Whether each policy blocks `value` for `member` at `at`.
    fn blocked(&self, value: u32, member: u16, at: i64) -> [bool; 7] {
        let (key, near) = (self.history.keys[value as usize], self.history.near[value as usize]);
        let (mine, known) = (self.mine(value, member), &self.known[value as usize]);
        let own = mine.is_some_and(|mine| at - mine.last <= LIVES_MS);
        let union = known.last.is_some_and(|last| at - last <= LIVES_MS);
        let recent = known.members.iter().filter(|(_, last)| at - last <= LIVES_MS).count();
        let time = Timestamp::from_millis(at);
        let listed = |last: i64| at - last <= LISTED_MS;
        let relevance = if mine.is_some_and(|mine| listed(mine.last)) || known.last.is_some_and(listed) {
            let own = mine.map(|mine| Own { active: mine.active, last: Timestamp::from_millis(mine.last) });
            self.engine.relevance_with(key, near, own, time)
        } else {
            f64::NEG_INFINITY
        };
        let asked = union || (mine.is_none() && relevance >= RELEVANCES[2]);
        let gate = asked && self.engine.is_corroborated(key, time);
        let open = gate || mine.is_some();
        let [most, more, many] = RELEVANCES.map(|least| open && relevance >= least);
        [own, union || own, (union && recent >= 2) || own, own || (gate && union), most, more, many]
    }

    fn sample(&mut self, at: i64) {
        self.samples += 1;
        for value in 0..self.own.len() as u32 {
            let known = self.known[value as usize].last.is_some_and(|last| at - last <= LISTED_MS);
            for member in 0..self.history.members.len() as u16 {
                if !known && self.mine(value, member).is_none_or(|mine| at - mine.last > LISTED_MS) {
                    continue;
                }
                for (policy, blocked) in self.blocked(value, member, at).into_iter().enumerate() {
                    if blocked {
                        self.entries[policy] += 1;
                        self.listed[policy].insert((value, member));
                    }
                }
            }
        }
    }

    fn mine(&self, value: u32, member: u16) -> Option<&Mine> {
        self.own[value as usize].iter().find(|mine| mine.member == member)
    }

    fn remember(&mut self, event: &Event) {
        let mine = &mut self.own[event.value as usize];
        match mine.iter_mut().find(|mine| mine.member == event.member) {
            Some(mine) => {
                let elapsed = (event.at - mine.last) as f64 / DAY_MS as f64;
                let new_day = mine.last / DAY_MS != event.at / DAY_MS;
                let half_life = self.engine.rules().relevance.half_life_own;
                mine.active = mine.active * (-elapsed / half_life).exp2() + f64::from(u8::from(new_day));
                mine.last = event.at;
            }
            None => mine.push(Mine { member: event.member, active: 1.0, last: event.at }),
        }
    }

    fn rows(&self) -> impl Iterator<Item = StreamRow> {
        let share = |part: u64, whole: u64| if whole == 0 { f64::NAN } else { part as f64 / whole as f64 };
        POLICIES.iter().enumerate().map(move |(i, policy)| StreamRow {
            latency: self.latency.name(),
            policy,
            attempts: share(self.counts[i].attempts, self.all.attempts),
            member_days: share(self.counts[i].member_days, self.all.member_days),
            first_contacts: share(self.counts[i].first_contacts, self.all.first_contacts),
            entries: share(self.entries[i], self.samples * self.history.members.len() as u64),
            precision: share(self.came[i], self.entries[i]),
        })
    }

    fn weights(&self) -> Vec<(String, f64)> {
        let end = self.end();
        let weight = |i: u16| self.engine.member_weight(MemberIndex(i), end).unwrap_or(f64::NAN);
        self.history.members.iter().zip(0..).map(|(name, i)| (name.clone(), weight(i))).collect()
    }

    fn dependent(&self) -> Vec<DependentPair> {
        let members = self.history.members.len() as u16;
        let pairs = (0..members).flat_map(|a| (a + 1..members).map(move |b| (a, b)));
        let name = |i: u16| self.history.members[usize::from(i)].clone();
        let pair = |(a, b)| {
            let (dependence, together, of) = self.engine.dependence(MemberIndex(a), MemberIndex(b));
            (dependence > 0.0).then(|| DependentPair { members: (name(a), name(b)), dependence, together, of })
        };
        pairs.filter_map(pair).collect()
    }

    fn end(&self) -> Timestamp {
        Timestamp::from_millis(self.history.events.last().map_or(0, |event| event.at))
    }
}

impl Count {
    fn add(&mut self, first_today: bool, first_ever: bool) {
        self.attempts += 1;
        self.member_days += u64::from(first_today);
        self.first_contacts += u64::from(first_ever);
    }
}

/// The table as an aligned text.
impl std::fmt::Display for StreamTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} sightings; latency is each way: reporter to hub, hub to member", self.events)?;
        writeln!(
            f,
            "{:<8} {:<22} {:>9} {:>11} {:>14} {:>9} {:>9}",
            "latency", "policy", "attempts", "member-days", "first contacts", "entries", "precision"
        )?;
        for row in &self.rows {
            write!(f, "{:<8} {:<22} {:>9.4}", row.latency, row.policy, row.attempts)?;
            write!(f, " {:>11.4} {:>14.4}", row.member_days, row.first_contacts)?;
            if row.entries.is_nan() {
                writeln!(f, " {:>9} {:>9}", "-", "-")?;
            } else {
                writeln!(f, " {:>9.1} {:>9.4}", row.entries, row.precision)?;
            }
        }
        let weights: Vec<String> = self.weights.iter().map(|(name, w)| format!("{name} {w:.2}")).collect();
        writeln!(f, "reporter weights: {}", weights.join(", "))?;
        let pairs = self.dependent.iter().map(|pair| {
            let DependentPair { members: (a, b), dependence, together, of } = pair;
            format!("{a} and {b} {dependence:.2} ({together} of {of})")
        });
        write!(f, "dependent pairs: {}", pairs.collect::<Vec<_>>().join(", "))
    }
}

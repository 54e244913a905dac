//! The next day's attackers: lists of fixed sizes made at midnight by nine policies, scored by who came that day.

use super::history::{DAY_MS, Event, History};
use crate::engine::{Engine, MemberIndex};
use crate::error::Error;
use crate::key::NeighbourhoodKey;
use crate::rules::Rules;
use model::Timestamp;
use serde::Serialize;
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeSet;

/// The list sizes that are scored, per member; "all" besides.
pub const SIZES: [usize; 4] = [100, 300, 1000, 3000];
/// A neighbourhood with so much of a day's activity is hot.
const HOT: f64 = 4.0;

const POLICIES: [&str; 9] = [
    "a own, most recent 30 d",
    "a own, LWOL by count 7 d",
    "a own, decayed active days (h 3 d)",
    "b union 7 d, most recent",
    "b union 30 d, most recent",
    "c GWOL members 7 d",
    "c GWOL attempts 30 d",
    "d k>=2 in 7 d, most recent",
    "e fused score",
];

/// How well lists of one size did.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct Cell {
    /// Share of the attackers that were on their member's list.
    pub hit_rate: f64,
    /// Share of the entries that attacked their member that day.
    pub precision: f64,
    /// Entries a member and day.
    pub entries: f64,
}

/// One policy.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DailyRow {
    /// Its name.
    pub policy: &'static str,
    /// For each of [`SIZES`].
    pub sizes: [Cell; 4],
    /// With everything the policy would list.
    pub all: Cell,
    /// Hit rate of each member at 1,000 entries, in the order of members.
    pub members: Vec<f64>,
}

/// What neighbourhoods could add.
#[derive(Clone, Copy, PartialEq, Default, Debug, Serialize)]
pub struct PrefixLine {
    /// Share of attackers that no member had seen for 30 days.
    pub unseen: f64,
    /// Hot neighbourhoods a member and day.
    pub hot: f64,
    /// Hit rate that listing them whole would add.
    pub would_add: f64,
}

/// The daily table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct DailyTable {
    /// Pairs of a member and a day that were scored.
    pub member_days: usize,
    /// Attackers to predict, over all of them.
    pub attackers: usize,
    /// The members' names.
    pub members: Vec<String>,
    /// The policies.
    pub rows: Vec<DailyRow>,
    /// What neighbourhoods could add.
    pub prefix: PrefixLine,
}

/// Replays `history` day by day.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits.
pub fn daily(history: &History, rules: &Rules) -> Result<DailyTable, Error> {
    let mut replay = Replay::new(history, rules)?;
    for day in history.events.chunk_by(|a, b| a.at / DAY_MS == b.at / DAY_MS) {
        let number = day[0].at / DAY_MS;
        if number >= history.start {
            replay.score(number, day);
        }
        replay.learn(number, day)?;
    }
    Ok(replay.table())
}

/// A member's history of a value, as the simple policies see it.
#[derive(Clone, Copy)]
struct Seen {
    member: u16,
    count: f64,
    /// Days since 1970, with their fraction.
    last: f64,
    /// Active days with a half-life of three days, decayed to `day`.
    active: f64,
}

/// A value that somebody saw within 30 days, as one day's lists see it.
struct Active<'a> {
    value: u32,
    seen: &'a [Seen],
    newest: f64,
    members_7: f64,
    attempts: f64,
}

struct Replay<'a> {
    history: &'a History,
    engine: Engine,
    seen: Vec<Vec<Seen>>,
    hits: Vec<[u64; 5]>,
    listed: Vec<[u64; 5]>,
    member_hits: Vec<Vec<u64>>,
    member_attackers: Vec<u64>,
    member_days: u64,
    unseen: u64,
    hot: u64,
    hot_hits: u64,
    neighbourhoods: Vec<NeighbourhoodKey>,
}

impl<'a> Replay<'a> {
    fn new(history: &'a History, rules: &Rules) -> Result<Self, Error> {
        let members = history.members.len();
        let distinct: BTreeSet<_> = history.near.iter().copied().filter(|n| *n != NeighbourhoodKey::NONE).collect();
        Ok(Self {
            engine: history.engine(rules)?,
            seen: vec![Vec::new(); history.values.len()],
            hits: vec![[0; 5]; POLICIES.len()],
            listed: vec![[0; 5]; POLICIES.len()],
            member_hits: vec![vec![0; members]; POLICIES.len()],
            member_attackers: vec![0; members],
            member_days: 0,
            unseen: 0,
            hot: 0,
            hot_hits: 0,
            neighbourhoods: distinct.into_iter().collect(),
            history,
        })
    }

    fn score(&mut self, day: i64, events: &[Event]) {
        let at = Timestamp::from_millis(day * DAY_MS);
        let seen = std::mem::take(&mut self.seen);
        let active = actives(&seen, day as f64);
        let hot: BTreeSet<NeighbourhoodKey> =
            self.neighbourhoods.iter().copied().filter(|near| self.engine.activity(*near, at) >= HOT).collect();
        for member in 0..self.history.members.len() as u16 {
            let mine = events.iter().filter(|event| event.member == member && event.scored);
            let targets: BTreeSet<u32> = mine.map(|event| event.value).collect();
            if targets.is_empty() {
                continue;
            }
            self.member_days += 1;
            self.member_attackers[usize::from(member)] += targets.len() as u64;
            self.score_policies(member, day as f64, at, &active, &targets);
            self.score_prefixes(&active, &targets, &hot);
        }
        self.seen = seen;
    }

    fn score_policies(&mut self, member: u16, day: f64, at: Timestamp, active: &[Active<'_>], targets: &BTreeSet<u32>) {
        let keys = &self.history.keys;
        let mut lists: Vec<Vec<(f64, u32)>> = vec![Vec::new(); POLICIES.len()];
        for one in active {
            let scores = self.scores(one, member, day, at);
            for (list, score) in lists.iter_mut().zip(scores) {
                list.extend(score.map(|score| (score, one.value)));
            }
        }
        for (policy, mut list) in lists.into_iter().enumerate() {
            // Ties go by key, a hash: the same every time, and in favour of nobody.
            list.sort_unstable_by_key(|(score, value)| (Reverse(Total(*score)), keys[*value as usize]));
            let hit: Vec<bool> = list.iter().map(|(_, value)| targets.contains(value)).collect();
            let count = |n: usize| hit.iter().take(n).filter(|hit| **hit).count() as u64;
            for (i, size) in SIZES.into_iter().chain([usize::MAX]).enumerate() {
                self.hits[policy][i] += count(size);
                self.listed[policy][i] += size.min(list.len()) as u64;
            }
            self.member_hits[policy][usize::from(member)] += count(1000);
        }
    }

    /// What each policy gives the value for this member; `None` where it does not list it.
    fn scores(&self, one: &Active<'_>, member: u16, day: f64, at: Timestamp) -> [Option<f64>; 9] {
        let own = one.seen.iter().find(|seen| seen.member == member);
        let age = own.map_or(f64::INFINITY, |own| day - own.last);
        let any = one.newest;
        let value = one.value as usize;
        let (key, near) = (self.history.keys[value], self.history.near[value]);
        let when = |listed: bool, score: f64| listed.then_some(score);
        [
            when(age <= 30.0, -age),
            own.filter(|_| age <= 7.0).map(|own| own.count),
            own.filter(|_| age <= 30.0).map(|own| own.active),
            when(any <= 7.0, -any),
            when(any <= 30.0, -any),
            when(any <= 7.0, one.members_7 + one.attempts / 1e9),
            when(any <= 30.0, one.attempts),
            when(one.members_7 >= 2.0, -any),
            self.engine.relevance_score(key, near, MemberIndex(member), at),
        ]
    }

    fn score_prefixes(&mut self, active: &[Active<'_>], targets: &BTreeSet<u32>, hot: &BTreeSet<NeighbourhoodKey>) {
        let is_active = |value: &u32| active.binary_search_by_key(value, |one| one.value).is_ok();
        self.hot += hot.len() as u64;
        for value in targets.iter().filter(|value| !is_active(value)) {
            self.unseen += 1;
            self.hot_hits += u64::from(hot.contains(&self.history.near[*value as usize]));
        }
    }

    fn learn(&mut self, day: i64, events: &[Event]) -> Result<(), Error> {
        let step = (-1.0_f64 / 3.0).exp2();
        self.seen.iter_mut().flatten().for_each(|seen| seen.active *= step);
        let mut today: BTreeSet<(u32, u16)> = BTreeSet::new();
        for event in events {
            self.engine.sight(&self.history.sight(event))?;
            let at = event.at as f64 / DAY_MS as f64;
            let first = today.insert((event.value, event.member));
            let credit = if first { (-((day + 1) as f64 - at) / 3.0).exp2() } else { 0.0 };
            let of_value = &mut self.seen[event.value as usize];
            match of_value.iter_mut().find(|seen| seen.member == event.member) {
                Some(seen) => {
                    seen.count += 1.0;
                    seen.last = seen.last.max(at);
                    seen.active += credit;
                }
                None => of_value.push(Seen { member: event.member, count: 1.0, last: at, active: credit }),
            }
        }
        Ok(())
    }

    fn table(self) -> DailyTable {
        let attackers: u64 = self.member_attackers.iter().sum();
        let share = |part: u64, whole: u64| part as f64 / whole.max(1) as f64;
        let cell = |policy: usize, i: usize| Cell {
            hit_rate: share(self.hits[policy][i], attackers),
            precision: share(self.hits[policy][i], self.listed[policy][i]),
            entries: share(self.listed[policy][i], self.member_days),
        };
        let row = |(policy, name): (usize, &&'static str)| DailyRow {
            policy: name,
            sizes: std::array::from_fn(|i| cell(policy, i)),
            all: cell(policy, 4),
            members: self.member_hits[policy].iter().zip(&self.member_attackers).map(|(h, n)| share(*h, *n)).collect(),
        };
        DailyTable {
            member_days: self.member_days as usize,
            attackers: attackers as usize,
            members: self.history.members.clone(),
            rows: POLICIES.iter().enumerate().map(row).collect(),
            prefix: PrefixLine {
                unseen: share(self.unseen, attackers),
                hot: share(self.hot, self.member_days),
                would_add: share(self.hot_hits, attackers),
            },
        }
    }
}

/// The values that anybody saw in the 30 days before `day`, by number.
fn actives(seen: &[Vec<Seen>], day: f64) -> Vec<Active<'_>> {
    let mut actives = Vec::new();
    for (value, seen) in (0..).zip(seen) {
        let newest = seen.iter().map(|seen| day - seen.last).fold(f64::INFINITY, f64::min);
        if newest <= 30.0 {
            let members_7 = seen.iter().filter(|seen| day - seen.last <= 7.0).count() as f64;
            let attempts = seen.iter().map(|seen| seen.count).sum();
            actives.push(Active { value, seen, newest, members_7, attempts });
        }
    }
    actives
}

/// Scores in their total order.
#[derive(PartialEq)]
struct Total(f64);

impl Eq for Total {}

impl PartialOrd for Total {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Total {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Policies and members as an aligned text.
impl std::fmt::Display for DailyTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let a_day = self.attackers as f64 / self.member_days.max(1) as f64;
        writeln!(
            f,
            "member-days {}, attackers to predict {} ({a_day:.1} a member-day)",
            self.member_days, self.attackers
        )?;
        writeln!(f, "cell: hit rate | precision on the next day")?;
        write!(f, "{:<36}", "policy")?;
        SIZES.iter().try_for_each(|size| write!(f, "{:>15}", format!("N={size}")))?;
        writeln!(f, "{:>30}", "all")?;
        for row in &self.rows {
            write!(f, "{:<36}", row.policy)?;
            row.sizes
                .iter()
                .try_for_each(|c| write!(f, "{:>15}", format!("{:.3} | {:.3}", c.hit_rate, c.precision)))?;
            let all = &row.all;
            writeln!(f, "{:>30}", format!("{:.3} | {:.3} | {:.0} entries", all.hit_rate, all.precision, all.entries))?;
        }
        writeln!(f, "\nhit rate of each member at N=1000\n{:<36}{}", "policy", named(&self.members))?;
        for row in &self.rows {
            let rates: String = row.members.iter().map(|rate| format!("{rate:>18.3}")).collect();
            writeln!(f, "{:<36}{rates}", row.policy)?;
        }
        let PrefixLine { unseen, hot, would_add } = self.prefix;
        write!(f, "\nprefix: {unseen:.3} of attackers were unseen by all for 30 d; ")?;
        write!(f, "hot neighbourhoods (C >= 4, {hot:.1} a day) would add {would_add:.4} hit rate")
    }
}

fn named(members: &[String]) -> String {
    members.iter().map(|name| format!(" {name:>17}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rows::{HEADER, parse};
    use super::*;

    fn table(lines: &[String]) -> DailyTable {
        let rows = parse(format!("{HEADER}\n{}\n", lines.join("\n")).as_bytes()).unwrap();
        daily(&History::new(&rows, None).unwrap(), &Rules::default()).unwrap()
    }

    fn cell(table: &DailyTable, policy: &str) -> Cell {
        table.rows.iter().find(|row| row.policy.starts_with(policy)).unwrap().all
    }

    #[test]
    fn an_attacker_that_comes_every_day_is_always_listed_and_a_stranger_never() {
        let daily =
            |day: u32, member: &str, value: String| format!("2025-01-{day:02}T12:00:00Z,{member},ipv4,{value},x");
        let mut lines: Vec<String> = (1..=24).map(|day| daily(day, "a", "198.51.100.1".into())).collect();
        lines.extend((15..=24).map(|day| daily(day, "b", format!("203.0.113.{day}"))));
        let table = table(&lines);
        assert_eq!((table.member_days, table.attackers), (20, 20));
        assert_eq!(cell(&table, "a own, most recent").hit_rate, 0.5);
        assert_eq!(cell(&table, "b union 7").hit_rate, 0.5);
        assert_eq!(cell(&table, "d k>=2").hit_rate, 0.0);
        assert_eq!(table.prefix.unseen, 0.5);
        assert_eq!(table.rows[0].members, [1.0, 0.0]);
    }

    #[test]
    fn what_two_members_saw_is_on_the_list_of_two_and_in_the_text() {
        let both = |day: u32, member: &str| format!("2025-01-{day:02}T12:00:00Z,{member},ipv4,198.51.100.1,x");
        let table = table(&(1..=20).flat_map(|day| [both(day, "a"), both(day, "b")]).collect::<Vec<_>>());
        assert_eq!(cell(&table, "d k>=2").hit_rate, 1.0);
        assert!(table.to_string().contains("d k>=2 in 7 d, most recent"));
    }
}

//! Refits the weights of relevance on some days of a history, and judges them on the days outside.
//!
//! A pair is an observable that somebody saw within 30 days and a member, at midnight; it hit if the member met it on
//! the day that followed. The weights are those of a logistic regression over the pairs' five terms, found by Newton's
//! method with a small ridge. Half-lives and saturation stay as they are. Nothing random: the same history gives the
//! same weights.

mod newton;

use super::daily::SIZES;
use super::history::{DAY_MS, Event, History};
use crate::engine::{Engine, MemberIndex};
use crate::error::Error;
use crate::rules::{RelevanceRules, Rules};
use model::Timestamp;
use newton::Model;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// The most pairs that are held, 28 bytes each.
pub const PAIRS_MAX: usize = 40_000_000;
/// After so long a value is no candidate.
const LISTED_MS: i64 = 30 * DAY_MS;
/// Weights are given to so many decimals, and judged as they are given.
const DECIMALS: f64 = 100.0;
/// A hit rate that differs by less is no difference.
const SAME: f64 = 0.001;

/// Days of a history, counted from its first one (0), both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Days {
    /// The first one.
    pub from: u32,
    /// The last one.
    pub to: u32,
}

impl std::str::FromStr for Days {
    type Err = Error;

    /// `14..39`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let refused = || Error::refused("days", text, "FROM..TO, both counted from the first day (0) and included");
        let (from, to) = text.split_once("..").ok_or_else(refused)?;
        let days = Self { from: from.parse().map_err(|_| refused())?, to: to.parse().map_err(|_| refused())? };
        if days.from <= days.to { Ok(days) } else { Err(refused()) }
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.from, self.to)
    }
}

/// How well one set of weights does on one set of days.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Judged {
    /// Mean surprise of a pair's outcome, in natural units; lower is better.
    pub log_loss: f64,
    /// Share of the attackers on lists of [`SIZES`].
    pub hit_rates: [f64; 4],
}

/// Both sets of weights on one set of days.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Compared {
    /// Pairs of a member and a day.
    pub member_days: usize,
    /// Pairs of an observable and a member.
    pub pairs: usize,
    /// Of them, those that hit.
    pub hits: usize,
    /// The weights in force.
    pub current: Judged,
    /// The refitted ones.
    pub refitted: Judged,
}

/// What to do with the refitted weights.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Advice {
    /// Better outside the fitted days: propose them to the alliance.
    Propose,
    /// Not better outside: keep what is in force.
    Keep,
    /// There are no days outside to judge by.
    Unjudged,
}

/// The result of a refit.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FitTable {
    /// The days fitted on.
    pub days: Days,
    /// The weights in force.
    pub current: RelevanceRules,
    /// The refitted ones, rounded as they would stand in a charter.
    pub refitted: RelevanceRules,
    /// Newton's steps.
    pub steps: usize,
    /// On the days fitted on.
    pub inside: Compared,
    /// On all other scored days.
    pub outside: Compared,
    /// What to do.
    pub advice: Advice,
    /// The charter's section with the refitted weights.
    pub charter: String,
}

/// Refits on `days` of `history`; changes nothing.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits, no pair of these days hit, or there are more than
/// [`PAIRS_MAX`] pairs.
pub fn fit(history: &History, rules: &Rules, days: Days) -> Result<FitTable, Error> {
    let pairs = Pairs::collect(history, rules)?;
    let first = history.events.first().map_or(0, |event| event.at / DAY_MS);
    let is_inside = |group: &Group| (i64::from(days.from)..=i64::from(days.to)).contains(&(group.day - first));
    let (inside, outside): (Vec<&Group>, Vec<&Group>) = pairs.groups.iter().partition(|group| is_inside(group));
    let model =
        newton::fit(|each| inside.iter().for_each(|group| pairs.of(group).iter().for_each(|p| each(&p.x, p.hit))))
            .ok_or_else(|| Error::refused("days", days, "days of the scored span on which something hit"))?;
    let current = &rules.relevance;
    let refitted = rounded(&model, current);
    let compare = |groups: &[&Group]| Compared {
        member_days: groups.len(),
        pairs: groups.iter().map(|group| group.to - group.from).sum(),
        hits: groups.iter().flat_map(|group| pairs.of(group)).filter(|pair| pair.hit).count(),
        current: pairs.judge(history, groups, current),
        refitted: pairs.judge(history, groups, &refitted),
    };
    let (inside, outside) = (compare(&inside), compare(&outside));
    let (advice, charter) = (advice(&outside), charter(&refitted));
    Ok(FitTable { days, current: current.clone(), refitted, steps: model.steps, inside, outside, advice, charter })
}

/// One pair: the terms without their weights, and what happened.
struct Pair {
    x: [f32; 5],
    value: u32,
    hit: bool,
}

/// The pairs of one member and day.
struct Group {
    day: i64,
    from: usize,
    to: usize,
    /// Who attacked the member that day, listed or not.
    attackers: usize,
}

struct Pairs {
    pairs: Vec<Pair>,
    groups: Vec<Group>,
}

impl Pairs {
    fn collect(history: &History, rules: &Rules) -> Result<Self, Error> {
        // With every weight at 1 the engine's terms are the bare ones.
        let bare = RelevanceRules {
            base: 0.0,
            own: 1.0,
            all: 1.0,
            burst: 1.0,
            recent: 1.0,
            neighbourhood: 1.0,
            ..rules.relevance.clone()
        };
        let mut engine = history.engine(&Rules { relevance: bare, ..rules.clone() })?;
        let mut last = vec![i64::MIN; history.values.len()];
        let mut all = Self { pairs: Vec::new(), groups: Vec::new() };
        for events in history.events.chunk_by(|a, b| a.at / DAY_MS == b.at / DAY_MS) {
            let day = events[0].at / DAY_MS;
            if day >= history.start {
                all.day(history, &engine, day, events, &last)?;
            }
            for event in events {
                engine.sight(&history.sight(event))?;
                last[event.value as usize] = event.at;
            }
        }
        Ok(all)
    }

    fn day(
        &mut self,
        history: &History,
        engine: &Engine,
        day: i64,
        events: &[Event],
        last: &[i64],
    ) -> Result<(), Error> {
        let midnight = day * DAY_MS;
        let listed = |value: &u32| midnight.saturating_sub(last[*value as usize]) <= LISTED_MS;
        let candidates: Vec<u32> = (0..history.values.len() as u32).filter(listed).collect();
        for member in 0..history.members.len() as u16 {
            let mine = events.iter().filter(|event| event.member == member && event.scored);
            let attackers: BTreeSet<u32> = mine.map(|event| event.value).collect();
            if attackers.is_empty() {
                continue;
            }
            let from = self.pairs.len();
            for value in &candidates {
                let x = terms(history, engine, *value, member, midnight);
                self.pairs.extend(x.map(|x| Pair { x, value: *value, hit: attackers.contains(value) }));
            }
            if self.pairs.len() > PAIRS_MAX {
                return Err(Error::refused(
                    "pairs",
                    self.pairs.len(),
                    format!("at most {PAIRS_MAX}: a shorter history"),
                ));
            }
            self.groups.push(Group { day, from, to: self.pairs.len(), attackers: attackers.len() });
        }
        Ok(())
    }

    fn of(&self, group: &Group) -> &[Pair] {
        &self.pairs[group.from..group.to]
    }

    fn judge(&self, history: &History, groups: &[&Group], weights: &RelevanceRules) -> Judged {
        let model = Model::of(weights);
        let (mut loss, mut pairs, mut attackers, mut met) = (0.0, 0_usize, 0_usize, [0_usize; 4]);
        for group in groups {
            let mut list: Vec<(f64, u32, bool)> =
                self.of(group).iter().map(|pair| (model.log_odds(&pair.x), pair.value, pair.hit)).collect();
            loss += list.iter().map(|(z, _, hit)| newton::loss(*z, *hit)).sum::<f64>();
            pairs += list.len();
            attackers += group.attackers;
            // Ties go by key, a hash: the same every time, and in favour of nobody.
            let key = |value: u32| history.keys[value as usize];
            list.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| key(a.1).cmp(&key(b.1))));
            for (met, size) in met.iter_mut().zip(SIZES) {
                *met += list.iter().take(size).filter(|(_, _, hit)| *hit).count();
            }
        }
        let share = |part: usize| part as f64 / attackers.max(1) as f64;
        Judged { log_loss: loss / pairs.max(1) as f64, hit_rates: met.map(share) }
    }
}

fn terms(history: &History, engine: &Engine, value: u32, member: u16, midnight: i64) -> Option<[f32; 5]> {
    let (key, near) = (history.keys[value as usize], history.near[value as usize]);
    let sum = engine.relevance(key, near, MemberIndex(member), Timestamp::from_millis(midnight))?;
    Some([sum.own, sum.all, sum.burst, sum.recent, sum.neighbourhood].map(|term| term as f32))
}

fn rounded(model: &Model, current: &RelevanceRules) -> RelevanceRules {
    let round = |weight: f64| (weight * DECIMALS).round() / DECIMALS;
    let [own, all, burst, recent, neighbourhood] = model.weights.map(round);
    RelevanceRules { base: round(model.base), own, all, burst, recent, neighbourhood, ..current.clone() }
}

fn advice(outside: &Compared) -> Advice {
    if outside.pairs == 0 {
        return Advice::Unjudged;
    }
    let (before, after) = (&outside.current, &outside.refitted);
    let gains: Vec<f64> = after.hit_rates.iter().zip(before.hit_rates).map(|(after, before)| after - before).collect();
    // Lists are what members get: a refit that is less surprised and fills a list worse is no progress.
    let loses = gains.iter().any(|gain| *gain < -SAME);
    let gain = gains.iter().sum::<f64>() / SIZES.len() as f64;
    let better = !loses && (gain > SAME || after.log_loss < before.log_loss);
    if better { Advice::Propose } else { Advice::Keep }
}

fn charter(weights: &RelevanceRules) -> String {
    let lines = named(weights).map(|(name, weight)| format!("{name} = {weight:.2}\n"));
    format!("[relevance]\n{}", lines.concat())
}

fn named(weights: &RelevanceRules) -> [(&'static str, f64); 6] {
    [
        ("base", weights.base),
        ("own", weights.own),
        ("all", weights.all),
        ("burst", weights.burst),
        ("recent", weights.recent),
        ("neighbourhood", weights.neighbourhood),
    ]
}

/// The result as text.
impl fmt::Display for FitTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, inside, outside, .. } = self;
        writeln!(f, "refit of the weights of relevance on days {days}: {} steps of Newton's method", self.steps)?;
        for (name, part) in [("fitted on", inside), ("judged on", outside)] {
            let Compared { member_days, pairs, hits, .. } = part;
            writeln!(f, "{name:<10}{member_days:>6} member-days, {pairs:>10} pairs, {hits:>8} hits")?;
        }
        writeln!(f, "\n{:<16}{:>10}{:>10}", "weight", "current", "refitted")?;
        for ((name, current), (_, refitted)) in named(&self.current).into_iter().zip(named(&self.refitted)) {
            writeln!(f, "{name:<16}{current:>10.2}{refitted:>10.2}")?;
        }
        writeln!(f, "\n{:<16}{:>20}{:>20}", "", "fitted days", "days outside")?;
        writeln!(f, "{:<16}{:>10}{:>10}{:>10}{:>10}", "", "current", "refitted", "current", "refitted")?;
        let columns = [inside.current, inside.refitted, outside.current, outside.refitted];
        let losses: String = columns.iter().map(|judged| format!("{:>10.5}", judged.log_loss)).collect();
        writeln!(f, "{:<16}{losses}", "log-loss")?;
        for (i, size) in SIZES.iter().enumerate() {
            let rates: String = columns.iter().map(|judged| format!("{:>10.4}", judged.hit_rates[i])).collect();
            writeln!(f, "{:<16}{rates}", format!("hit rate N={size}"))?;
        }
        writeln!(
            f,
            "\n{}",
            match self.advice {
                Advice::Propose => "Outside the fitted days the refitted weights do better. For the next charter:",
                Advice::Keep =>
                    "Outside the fitted days the refitted weights do no better: keep the current ones. Refitted:",
                Advice::Unjudged => "No day is left to judge by: do not use these weights before some is.",
            }
        )?;
        write!(f, "\n{}\nNothing was changed.", self.charter)
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{HEADER, parse};
    use super::*;

    /// One visits each member every day, a hundred come once.
    fn history() -> History {
        let line =
            |day: u32, member: &str, value: String| format!("2025-01-{day:02}T12:00:00Z,{member},ipv4,{value},x\n");
        let mut text = format!("{HEADER}\n");
        for day in 1..=28 {
            for member in ["a", "b"] {
                text += &line(day, member, "198.51.100.1".into());
                (0..5).for_each(|i| text += &line(day, member, format!("203.{}.{day}.{i}", member.as_bytes()[0])));
            }
        }
        History::new(&parse(text.as_bytes()).unwrap(), None).unwrap()
    }

    #[test]
    fn days_are_read_and_what_is_none_is_named() {
        assert_eq!("14..39".parse::<Days>().unwrap(), Days { from: 14, to: 39 });
        for wrong in ["14", "39..14", "a..b", "..", "-1..3"] {
            assert!(wrong.parse::<Days>().unwrap_err().to_string().contains(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_refit_is_the_same_every_time_and_fits_its_own_days_better() {
        let (history, rules, days) = (history(), Rules::default(), Days { from: 14, to: 20 });
        let table = fit(&history, &rules, days).unwrap();
        assert_eq!(table, fit(&history, &rules, days).unwrap());
        assert!(table.inside.refitted.log_loss < table.inside.current.log_loss, "{table}");
        assert_eq!((table.inside.member_days, table.outside.member_days), (14, 14));
        assert_eq!(table.current, rules.relevance);
        assert!(table.charter.starts_with("[relevance]\nbase = "), "{}", table.charter);
        assert!(table.to_string().ends_with("Nothing was changed."));
    }

    #[test]
    fn days_outside_the_history_and_days_that_leave_none_to_judge_by_are_told() {
        let error = fit(&history(), &Rules::default(), Days { from: 500, to: 600 }).unwrap_err();
        assert!(error.to_string().contains("500 to 600"), "{error}");
        assert_eq!(fit(&history(), &Rules::default(), Days { from: 0, to: 99 }).unwrap().advice, Advice::Unjudged);
    }

    #[test]
    fn weights_that_do_worse_outside_are_not_proposed() {
        let judged = |log_loss, rate| Judged { log_loss, hit_rates: [rate; 4] };
        let compared = |current, refitted| Compared { member_days: 1, pairs: 1, hits: 1, current, refitted };
        assert_eq!(advice(&compared(judged(0.1, 0.5), judged(0.05, 0.4))), Advice::Keep);
        assert_eq!(advice(&compared(judged(0.1, 0.5), judged(0.05, 0.5))), Advice::Propose);
        assert_eq!(advice(&compared(judged(0.1, 0.5), judged(0.2, 0.5))), Advice::Keep);
    }
}

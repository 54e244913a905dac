//! RELEVANCE: will this observable hit this member within 24 hours? A sum of six terms that orders and bounds its list.

use crate::clock::{DAY, seconds};
use crate::engine::{Engine, MemberIndex};
use crate::key::{NeighbourhoodKey, ObservableKey};
use crate::report::decay;
use crate::table::record::{NOBODY, Record, Report};
use model::Timestamp;
use serde::Serialize;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::fmt;

/// A member's own history of an observable, where the caller knows it better than the table does.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Own {
    /// Active days, decayed to `last`.
    pub active: f64,
    /// When the member last saw it.
    pub last: Timestamp,
}

/// R, term by term; natural log-odds.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct RelevanceSum {
    /// The start.
    pub base: f64,
    /// From the member's own active days A.
    pub own: f64,
    /// A itself.
    pub own_days: f64,
    /// From all members' active days G.
    pub all: f64,
    /// G itself.
    pub all_days: f64,
    /// From the burst B.
    pub burst: f64,
    /// B itself.
    pub burst_count: f64,
    /// From how recently the member saw it.
    pub recent: f64,
    /// From the neighbourhood C.
    pub neighbourhood: f64,
    /// C itself.
    pub neighbourhood_count: f64,
    /// R.
    pub total: f64,
}

/// An observable on a member's list.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Ranked {
    /// Which.
    pub observable: ObservableKey,
    /// R.
    pub relevance: f64,
}

impl Engine {
    /// R of `key` for `member` at `at`, term by term. `None` when nobody saw it within the forgetting time.
    pub fn relevance(
        &self,
        key: ObservableKey,
        near: NeighbourhoodKey,
        member: MemberIndex,
        at: Timestamp,
    ) -> Option<RelevanceSum> {
        let now = seconds(at);
        let record = self.record(key, now)?;
        Some(self.terms(Some(record), near, self.own(record, member, now), now))
    }

    /// R alone.
    pub fn relevance_score(
        &self,
        key: ObservableKey,
        near: NeighbourhoodKey,
        member: MemberIndex,
        at: Timestamp,
    ) -> Option<f64> {
        self.relevance(key, near, member, at).map(|sum| sum.total)
    }

    /// R for a member whose own history the caller brings: an agent knows its own sightings before the alliance does.
    pub fn relevance_with(&self, key: ObservableKey, near: NeighbourhoodKey, own: Option<Own>, at: Timestamp) -> f64 {
        let now = seconds(at);
        let own = own.map(|own| (own.active, seconds(own.last)));
        self.terms(self.record(key, now), near, own, now).total
    }

    /// The `most` observables most relevant to `member`, with R of at least `least`: those that may inform people,
    /// and the member's own. By relevance, then by key, so that the same state gives the same list. Walks the whole
    /// table.
    pub fn list_for(&self, member: MemberIndex, at: Timestamp, most: usize, least: f64) -> Vec<Ranked> {
        let now = seconds(at);
        let ids = (0..self.records.places()).filter(|id| self.is_live(*id, now));
        let records = ids.map(|id| &self.records[id]).filter(|record| {
            !self.stands_barred(record, now)
                && (self.own(record, member, now).is_some()
                    || self.is_enough(record, now, crate::tally::Question::Inform))
        });
        best(records.map(|record| self.rank(record, member, now)), most, least)
    }

    /// The same among `candidates`, without asking whether they may be published; those nobody saw are left out.
    pub fn rank_among(
        &self,
        member: MemberIndex,
        candidates: impl IntoIterator<Item = ObservableKey>,
        at: Timestamp,
        most: usize,
        least: f64,
    ) -> Vec<Ranked> {
        let now = seconds(at);
        let records = candidates.into_iter().filter_map(|key| self.record(key, now));
        best(records.map(|record| self.rank(record, member, now)), most, least)
    }

    /// C of a neighbourhood: how many of its days were active, decayed to `at`.
    pub fn activity(&self, near: NeighbourhoodKey, at: Timestamp) -> f64 {
        f64::from(self.counters.value(near.0, seconds(at)))
    }

    fn is_live(&self, id: u32, now: u32) -> bool {
        let record = &self.records[id];
        record.reports > 0 && !self.is_forgotten(record, now)
    }

    fn rank(&self, record: &Record, member: MemberIndex, now: u32) -> Ranked {
        let near = NeighbourhoodKey(record.neighbourhood);
        let relevance = self.terms(Some(record), near, self.own(record, member, now), now).total;
        Ranked { observable: ObservableKey(record.key), relevance }
    }

    /// (active days at `last`, `last`) of the member's own report.
    fn own(&self, record: &Record, member: MemberIndex, now: u32) -> Option<(f64, u32)> {
        if record.reports == 0 || member.0 == NOBODY {
            return None;
        }
        let mine = |report: &&Report| report.member == member.0;
        let report = std::iter::once(&record.first).find(mine).or_else(|| {
            let further = self.blocks.get(record.block, record.further());
            further.binary_search_by_key(&member.0, |report| report.member).ok().and_then(|at| further.get(at))
        })?;
        let known = now.saturating_sub(report.last) <= self.rates.forget;
        known.then_some((f64::from(report.active), report.last))
    }

    fn terms(
        &self,
        record: Option<&Record>,
        near: NeighbourhoodKey,
        own: Option<(f64, u32)>,
        now: u32,
    ) -> RelevanceSum {
        let (rules, rates) = (&self.rules.relevance, &self.rates);
        let left = |count: f64, last: u32, rate: f32| count * f64::from(decay(now.saturating_sub(last), rate));
        let saturated = |count: f64| (rules.saturation * count).ln_1p();
        let (own_days, recent) = own.map_or((0.0, 0.0), |(active, last)| {
            let days = f64::from(now.saturating_sub(last)) / f64::from(DAY);
            (left(active, last, rates.own), rules.recent * (-days).exp())
        });
        let (all_days, burst_count) = record.map_or((0.0, 0.0), |r| {
            (left(f64::from(r.all), r.last, rates.all), left(f64::from(r.burst), r.last, rates.burst))
        });
        let neighbourhood_count = f64::from(self.counters.value(near.0, now));
        let (own, all) = (rules.own * saturated(own_days), rules.all * saturated(all_days));
        let burst = rules.burst * saturated(burst_count);
        let neighbourhood = rules.neighbourhood * neighbourhood_count.ln_1p();
        let total = rules.base + own + all + burst + recent + neighbourhood;
        RelevanceSum {
            base: rules.base,
            own,
            own_days,
            all,
            all_days,
            burst,
            burst_count,
            recent,
            neighbourhood,
            neighbourhood_count,
            total,
        }
    }
}

/// The `most` best of `all` at or above `least`, best first.
fn best(all: impl Iterator<Item = Ranked>, most: usize, least: f64) -> Vec<Ranked> {
    let mut heap: BinaryHeap<Reverse<ByRank>> = BinaryHeap::new();
    for ranked in all.filter(|ranked| ranked.relevance >= least) {
        heap.push(Reverse(ByRank(ranked)));
        if heap.len() > most {
            heap.pop();
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse(ByRank(ranked))| ranked).collect()
}

/// Higher relevance is greater; among equals the lower key is.
struct ByRank(Ranked);

impl Ord for ByRank {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_relevance = self.0.relevance.total_cmp(&other.0.relevance);
        by_relevance.then_with(|| other.0.observable.cmp(&self.0.observable))
    }
}

impl PartialOrd for ByRank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByRank {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ByRank {}

impl fmt::Display for RelevanceSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "start            {:+.3}", self.base)?;
        writeln!(f, "own days         {:+.3}   A = {:.3}", self.own, self.own_days)?;
        writeln!(f, "all days         {:+.3}   G = {:.3}", self.all, self.all_days)?;
        writeln!(f, "burst            {:+.3}   B = {:.3}", self.burst, self.burst_count)?;
        writeln!(f, "recently         {:+.3}", self.recent)?;
        writeln!(f, "neighbourhood    {:+.3}   C = {:.3}", self.neighbourhood, self.neighbourhood_count)?;
        write!(f, "relevance        {:+.3}", self.total)
    }
}

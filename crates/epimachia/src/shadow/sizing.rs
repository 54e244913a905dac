//! The figures of a change request: how many entries, how many changes an hour, how large.

use super::watch::{Watch, bump};
use model::{Target, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the enforcement points would have to hold and to take in, while the log lasts.
#[derive(Clone, Default, Debug, Serialize)]
pub struct Sizing {
    /// When most entries were in force.
    pub peak_at: Option<Timestamp>,
    /// Entries at that time.
    pub entries: usize,
    /// Of them names, for resolvers.
    pub names: usize,
    /// Of them IPv4 addresses, for the packet filter.
    pub ipv4: usize,
    /// Of them IPv6 networks, for the packet filter.
    pub ipv6: usize,
    /// Bytes of the policy zone and of the packet filter's table with these entries.
    pub rpz_bytes: usize,
    pub nft_bytes: usize,
    /// Entries that come or go, in the busiest hour and on average.
    pub changes_peak_hour: u64,
    pub changes_an_hour: f64,
    /// Sightings that would have gone out, in the busiest hour and on average, and their size.
    pub reports_peak_hour: u64,
    pub reports_an_hour: f64,
    pub report_bytes: u64,
    /// Hours from the log's first to its last line.
    pub hours: f64,
}

/// Which blocks were in force when most were; with [`Watch::any_time`] all of them.
pub fn at_peak(watch: &Watch) -> (Option<Timestamp>, Vec<usize>) {
    let (Some((first, last)), all) = (watch.span, watch.blocks.all()) else { return (None, Vec::new()) };
    if watch.any_time {
        return (Some(last), (0..all.len()).collect());
    }
    let mut steps: Vec<(Timestamp, i64)> = Vec::new();
    for block in all.iter().filter(|block| block.from <= last && block.until >= first) {
        steps.push((block.from.max(first), 1));
        steps.push((block.until, -1));
    }
    // What ends at a moment is still in force at it.
    steps.sort_by_key(|(at, step)| (*at, -step));
    let (mut now, mut most, mut peak) = (0, 0, first);
    for (at, step) in steps.into_iter().filter(|(at, _)| *at <= last) {
        now += step;
        if now > most {
            (most, peak) = (now, at);
        }
    }
    let in_force = |i: &usize| all.get(*i).is_some_and(|block| block.from <= peak && block.until >= peak);
    (Some(peak), (0..all.len()).filter(in_force).collect())
}

/// The figures, but for the bytes of the texts.
pub fn sizing(watch: &Watch, peak: (Option<Timestamp>, &[usize])) -> Sizing {
    let mut sizing = Sizing { peak_at: peak.0, entries: peak.1.len(), ..Sizing::default() };
    for block in peak.1.iter().filter_map(|i| watch.blocks.all().get(*i)) {
        match block.measure.target() {
            Target::DomainName(_) => sizing.names += 1,
            Target::Host(address) if address.is_ipv4() => sizing.ipv4 += 1,
            _ => sizing.ipv6 += 1,
        }
    }
    let Some((first, last)) = watch.span else { return sizing };
    sizing.hours = last.since(first).as_millis() as f64 / 3_600_000.0;
    let an_hour = |count: u64| count as f64 / sizing.hours.max(1.0);
    let mut changes: BTreeMap<i64, u64> = BTreeMap::new();
    if !watch.any_time {
        let moments = watch.blocks.all().iter().flat_map(|block| [block.from, block.until]);
        moments.filter(|at| (first..=last).contains(at)).for_each(|at| bump(&mut changes, at));
    }
    sizing.changes_peak_hour = changes.values().copied().max().unwrap_or(0);
    sizing.changes_an_hour = an_hour(changes.values().sum());
    sizing.reports_peak_hour = watch.reported.hours.values().copied().max().unwrap_or(0);
    sizing.reports_an_hour = an_hour(watch.reported.sightings);
    sizing.report_bytes = watch.reported.bytes;
    sizing
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::{blocks, finding};
    use super::*;

    /// Blocks that begin on these days of January and last a week, in a log of the whole month.
    fn watch(days: &[u32]) -> Watch {
        let made = |day: &u32| format!("2026-01-{day:02}T00:00:00Z");
        let findings = days.iter().enumerate().map(|(i, day)| finding(&format!("1.2.3.{i}"), &made(day), &[]));
        let span = Some((made(&1).parse().unwrap(), made(&31).parse().unwrap()));
        Watch { blocks: blocks(findings.collect()), span, ..Watch::default() }
    }

    #[test]
    fn the_peak_is_where_most_blocks_overlap() {
        let (at, which) = at_peak(&watch(&[2, 4, 20, 22, 24]));
        assert_eq!((at.unwrap().to_string().as_str(), which), ("2026-01-24T00:00:00Z", vec![2, 3, 4]));
        assert_eq!(at_peak(&watch(&[])).1, Vec::<usize>::new());
    }

    #[test]
    fn at_any_time_all_are_in_force() {
        let watch = Watch { any_time: true, ..watch(&[2, 4, 20]) };
        assert_eq!(at_peak(&watch).1.len(), 3);
    }

    #[test]
    fn entries_are_counted_by_kind_and_changes_by_hour() {
        let watch = watch(&[2, 2, 20]);
        let (at, which) = at_peak(&watch);
        let sizing = sizing(&watch, (at, &which));
        assert_eq!((sizing.entries, sizing.ipv4, sizing.names), (2, 2, 0));
        assert_eq!(sizing.changes_peak_hour, 2);
        assert!((sizing.changes_an_hour - 6.0 / 720.0).abs() < 1e-9 && (sizing.hours - 720.0).abs() < 1e-9);
    }
}

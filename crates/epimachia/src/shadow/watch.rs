//! What a log comes to, line by line: what would have been reported, which blocks it meets, whom they would have hurt.
//!
//! Memory is bounded by the findings and by fixed limits, never by the log.

use super::blocks::{Block, Blocks};
use model::{Behaviour, Sighting, Timestamp};
use observe::eve::traffic::Contact;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;

/// Distinct observables that are told apart; beyond it counts say "at least".
pub const DISTINCT_MAX: usize = 4_000_000;
/// Own machines that are named beside one block.
pub const MACHINES_MAX: usize = 16;
/// Hours that are told apart: eleven years.
const HOURS_MAX: usize = 100_000;
const HOUR_MS: i64 = 3_600_000;

/// What the log says about one block.
#[derive(Clone, Default, Debug)]
pub struct Met {
    /// First and last evidence against it in the log.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// Evidence before it was in force, while it was, and after.
    pub before: u64,
    pub stopped: u64,
    pub after: u64,
    /// Exchanges without an alert while it was in force: begun by own machines, begun by the other side.
    pub we_began: u64,
    pub they_began: u64,
    /// Questions for the name by own machines.
    pub asked: u64,
    /// Some of those own machines.
    pub machines: BTreeSet<IpAddr>,
}

impl Met {
    /// Ordinary traffic that the block would have cut.
    pub fn ordinary(&self) -> u64 {
        self.we_began + self.they_began
    }
}

/// What would have been reported.
#[derive(Debug, Default)]
pub struct Reported {
    /// Sightings as they would have gone out, repetitions within a minute merged.
    pub sightings: u64,
    /// Their size as JSON.
    pub bytes: u64,
    /// By behaviour.
    pub behaviours: BTreeMap<Behaviour, u64>,
    /// By hour since 1970.
    pub hours: BTreeMap<i64, u64>,
    distinct: HashSet<u64>,
    hasher: RandomState,
}

impl Reported {
    fn add(&mut self, sighting: &Sighting) {
        self.sightings += 1;
        self.bytes += serde_json::to_string(sighting).map_or(0, |json| json.len() as u64);
        *self.behaviours.entry(sighting.behaviour).or_default() += 1;
        bump(&mut self.hours, sighting.last);
        if self.distinct.len() < DISTINCT_MAX {
            self.distinct.insert(self.hasher.hash_one(&sighting.observable));
        }
    }

    /// Distinct observables, and whether there may be more.
    pub fn observables(&self) -> (usize, bool) {
        (self.distinct.len(), self.distinct.len() >= DISTINCT_MAX)
    }
}

/// Counts one in the hour of `at`, unless there are too many hours already.
pub fn bump(hours: &mut BTreeMap<i64, u64>, at: Timestamp) {
    let hour = at.as_millis().div_euclid(HOUR_MS);
    if hours.len() < HOURS_MAX || hours.contains_key(&hour) {
        *hours.entry(hour).or_default() += 1;
    }
}

/// The whole state.
#[derive(Debug, Default)]
pub struct Watch {
    /// What is watched for.
    pub blocks: Blocks,
    /// What came of each, by its number.
    pub met: Vec<Met>,
    /// What would have gone out.
    pub reported: Reported,
    /// As if every finding had been in force all along.
    pub any_time: bool,
    /// First and last time in the log.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Lines that told of ordinary traffic.
    pub contacts: u64,
}

impl Watch {
    /// A sighting that would have gone out.
    pub fn report(&mut self, sighting: &Sighting) {
        self.reported.add(sighting);
    }

    /// One line of evidence.
    pub fn evidence(&mut self, sighting: &Sighting) {
        self.stretch(sighting.first);
        self.stretch(sighting.last);
        let Some(number) = self.blocks.of(&sighting.observable) else { return };
        let (count, when) = (u64::from(sighting.count), self.when(number, sighting.last));
        let met = self.met(number);
        met.first = Some(met.first.map_or(sighting.first, |first| first.min(sighting.first)));
        met.last = Some(met.last.map_or(sighting.last, |last| last.max(sighting.last)));
        match when {
            When::Before => met.before += count,
            When::During => met.stopped += count,
            When::After => met.after += count,
        }
    }

    /// One line of traffic.
    pub fn contact(&mut self, contact: &Contact) {
        self.stretch(contact.at);
        self.contacts += 1;
        if let Some(number) = contact.asked.as_ref().and_then(|name| self.blocks.of_name(name)) {
            self.cut(number, contact, |met| &mut met.asked);
        }
        if !contact.two_way || contact.alerted {
            return;
        }
        if let Some(number) = self.blocks.of_address(contact.remote) {
            let began = contact.own_began;
            self.cut(number, contact, |met| if began { &mut met.we_began } else { &mut met.they_began });
        }
    }

    fn cut(&mut self, number: usize, contact: &Contact, which: impl Fn(&mut Met) -> &mut u64) {
        if self.when(number, contact.at) != When::During {
            return;
        }
        let met = self.met(number);
        *which(met) += 1;
        if met.machines.len() < MACHINES_MAX {
            met.machines.insert(contact.own);
        }
    }

    /// Each block with what came of it.
    pub fn outcomes(&self) -> impl Iterator<Item = (&Block, Met)> {
        self.blocks.all().iter().enumerate().map(|(i, block)| (block, self.met.get(i).cloned().unwrap_or_default()))
    }

    fn met(&mut self, number: usize) -> &mut Met {
        if self.met.len() <= number {
            self.met.resize(number + 1, Met::default());
        }
        &mut self.met[number]
    }

    fn when(&self, number: usize, at: Timestamp) -> When {
        match self.blocks.all().get(number) {
            Some(block) if !self.any_time && at < block.from => When::Before,
            Some(block) if !self.any_time && at > block.until => When::After,
            _ => When::During,
        }
    }

    fn stretch(&mut self, at: Timestamp) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    During,
    After,
}

#[cfg(test)]
mod tests {
    use super::super::blocks::tests::{blocks, finding};
    use super::*;
    use model::{Grade, Handling, Sensor, Span, Tlp};

    const MADE: &str = "2026-01-01T00:00:00Z";

    fn at(minutes: i64) -> Timestamp {
        MADE.parse::<Timestamp>().unwrap().plus(Span::minutes(minutes))
    }

    fn sighting(observable: &str, minutes: i64) -> Sighting {
        Sighting {
            observable: observable.parse().unwrap(),
            behaviour: Behaviour::Scan,
            first: at(minutes),
            last: at(minutes),
            count: 2,
            sensor: Sensor::Ids,
            grade: Grade::Handshake,
            handling: Handling::alliance(Tlp::Amber),
        }
    }

    fn contact(remote: &str, minutes: i64) -> Contact {
        Contact {
            at: at(minutes),
            remote: remote.parse().unwrap(),
            own: "198.51.100.7".parse().unwrap(),
            own_began: true,
            two_way: true,
            alerted: false,
            asked: None,
        }
    }

    fn watch(findings: &[&str]) -> Watch {
        let blocks = blocks(findings.iter().map(|observable| finding(observable, MADE, &[])).collect());
        Watch { blocks, ..Watch::default() }
    }

    #[test]
    fn evidence_before_during_and_after_a_block_is_told_apart() {
        let mut watch = watch(&["1.2.3.4"]);
        for minutes in [-5, 0, 60, 8 * 1440] {
            watch.evidence(&sighting("1.2.3.4", minutes));
        }
        watch.evidence(&sighting("1.2.3.5", 0));
        let met = &watch.met[0];
        assert_eq!((met.before, met.stopped, met.after), (2, 4, 2));
        assert_eq!((met.first, met.last), (Some(at(-5)), Some(at(8 * 1440))));
        assert_eq!(watch.span, Some((at(-5), at(8 * 1440))));
    }

    #[test]
    fn at_any_time_everything_counts_as_met() {
        let mut watch = Watch { any_time: true, ..watch(&["1.2.3.4"]) };
        watch.evidence(&sighting("1.2.3.4", -5));
        assert_eq!(watch.met[0].stopped, 2);
    }

    #[test]
    fn ordinary_traffic_hurts_only_while_the_block_is_in_force_and_without_an_alert() {
        let mut watch = watch(&["1.2.3.4"]);
        watch.contact(&contact("1.2.3.4", -1));
        watch.contact(&Contact { alerted: true, ..contact("1.2.3.4", 1) });
        watch.contact(&Contact { two_way: false, ..contact("1.2.3.4", 1) });
        assert!(watch.met.is_empty());
        watch.contact(&contact("1.2.3.4", 1));
        watch.contact(&Contact { own_began: false, ..contact("1.2.3.4", 2) });
        assert_eq!((watch.met[0].we_began, watch.met[0].they_began, watch.met[0].machines.len()), (1, 1, 1));
    }

    #[test]
    fn names_that_own_machines_ask_for_are_counted_with_the_machine() {
        let mut watch = watch(&["bad.example.org"]);
        let asked = Some("www.bad.example.org".parse().unwrap());
        watch.contact(&Contact { asked, two_way: false, ..contact("9.9.9.9", 1) });
        assert_eq!((watch.met[0].asked, watch.met[0].ordinary()), (1, 0));
    }

    #[test]
    fn reports_are_counted_by_behaviour_hour_and_observable() {
        let mut watch = watch(&[]);
        for minutes in [0, 1, 61] {
            watch.report(&sighting("1.2.3.4", minutes));
        }
        let reported = &watch.reported;
        assert_eq!((reported.sightings, reported.observables()), (3, (1, false)));
        assert_eq!(reported.hours.values().copied().collect::<Vec<_>>(), [2, 1]);
        assert!(reported.bytes > 300);
    }
}

//! Which versions of an object are its first and its last, for whoever asks: what the index keeps of them against a
//! walk over all that was ever added, however it is added, marked and taken out.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use model::{Handling, MemberId, Span, Timestamp, Tlp};
use proptest::prelude::*;
use share::stix::{SpecVersion, StixTime};
use share::taxii::filter::{Ends, Version};
use share::taxii::{Ask, CollectionId, Filter, Index, NewObject, Root, Row, Source};
use std::collections::BTreeSet;

const IDS: [&str; 2] =
    ["malware--00000001-1111-4111-8111-111111111111", "malware--00000002-1111-4111-8111-111111111111"];
const MEMBERS: [&str; 2] = ["cloud", "bank"];
const MARKINGS: [Tlp; 3] = [Tlp::Clear, Tlp::Green, Tlp::Amber];

#[derive(Clone, Debug)]
enum Step {
    /// So many versions of an object.
    Add { of: Of, marking: usize, old: bool, first: Option<i64>, count: u8 },
    /// All of a member's versions of an object; or of those that there ever were each fourth one, from this one on.
    Delete { of: Of, named: Option<usize> },
    /// What was added and taken out is durable.
    Settle,
}

/// An object, a collection, a member: numbers.
type Of = (usize, usize, usize);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let of = || (0..IDS.len(), 0..2_usize, 0..MEMBERS.len());
    let first = prop::option::weighted(0.8, 0..50_i64);
    let add = (of(), 0..MARKINGS.len(), prop::bool::weighted(0.3), first, 1..6_u8)
        .prop_map(|(of, marking, old, first, count)| Step::Add { of, marking, old, first, count });
    let delete = (of(), prop::option::weighted(0.9, 0..4_usize)).prop_map(|(of, named)| Step::Delete { of, named });
    prop::collection::vec(prop_oneof![12 => add, 2 => delete, 3 => Just(Step::Settle)], 0..120)
}

fn member(number: usize) -> MemberId {
    MEMBERS[number].parse().unwrap()
}

fn collection(number: usize) -> CollectionId {
    CollectionId::of("test", &Root::Alliance, ["one", "two"][number])
}

/// One row of the plain list.
#[derive(Clone, Copy, Debug)]
struct Plain {
    of: Of,
    marking: usize,
    version: Version,
    sequence: u64,
    gone: bool,
}

impl Plain {
    /// Does the viewer see it, who sees these pairs of a marking and a member?
    fn is_seen(&self, viewer: u8) -> bool {
        !self.gone && viewer & (1 << (self.marking * MEMBERS.len() + self.of.2)) != 0
    }

    fn is_of(&self, object: usize, place: usize) -> bool {
        (self.of.0, self.of.1) == (object, place)
    }
}

/// The index, and all that was ever added, as it is once all is durable.
#[derive(Default)]
struct Both {
    index: Index,
    plain: Vec<Plain>,
    added: i64,
}

impl Both {
    /// Takes the steps; each is durable at once, as when the index is made from the journal, or when it is said so.
    fn after(steps: &[Step], at_once: bool) -> Self {
        let mut both = Self::default();
        for step in steps {
            both.take(step);
            if at_once {
                both.index.settle();
            }
        }
        both.index.settle();
        both
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Add { of, marking, old, first, count } => {
                let spec = if old { SpecVersion::V20 } else { SpecVersion::V21 };
                (0..i64::from(count)).for_each(|n| self.add(of, marking, spec, first.map(|first| first + n)));
            }
            Step::Delete { of, named } => {
                let Self { index, plain, .. } = self;
                let here = plain.iter().filter(|row| row.is_of(of.0, of.1)).map(|row| row.version.time);
                let versions: Vec<StixTime> = named.map_or_else(Vec::new, |from| here.skip(from).step_by(4).collect());
                if named.is_none() || !versions.is_empty() {
                    index.delete(collection(of.1), &member(of.2), IDS[of.0], &versions);
                    let is_meant =
                        |row: &&mut Plain| row.of == of && (named.is_none() || versions.contains(&row.version.time));
                    plain.iter_mut().filter(is_meant).for_each(|row| row.gone = true);
                }
            }
            Step::Settle => self.index.settle(),
        }
    }

    fn add(&mut self, of: Of, marking: usize, spec: SpecVersion, version: Option<i64>) {
        let position = self.plain.len() as u64;
        let time = Timestamp::MIN.plus(Span::seconds(position as i64 / 3));
        let handling = Handling::alliance(MARKINGS[marking]);
        let source =
            Source { collection: collection(of.1), author: &member(of.2), handling: &handling, position, time };
        let version = version.map(|second| StixTime::from_micros(second * 1_000_000));
        self.index.add(&source, 0, &NewObject { id: IDS[of.0], spec, version, print: position, bytes: 9, after: 0 });
        self.added = (self.added + 1).max(time.as_millis() * 1_000);
        let version = Version { time: version.unwrap_or_else(|| StixTime::from_micros(self.added)), spec };
        self.plain.push(Plain { of, marking, version, sequence: Row::sequence_of(position, 0), gone: false });
    }

    /// What a filter leaves for a viewer, by a walk over all.
    fn walked(&self, filter: &Filter, viewer: u8, place: usize) -> Vec<u64> {
        let seen = |object: usize| self.plain.iter().filter(move |row| row.is_of(object, place) && row.is_seen(viewer));
        let ends: Vec<Ends> = (0..IDS.len()).map(|object| seen(object).map(|row| row.version).collect()).collect();
        let visible = self.plain.iter().filter(|row| row.of.1 == place && row.is_seen(viewer));
        visible.filter(|row| filter.keeps(row.version, &ends[row.of.0])).map(|row| row.sequence).collect()
    }

    /// The same by pages of the index.
    fn paged(&self, filter: &Filter, viewer: u8, place: usize) -> Vec<u64> {
        let (mut filter, mut found) = (filter.clone(), Vec::new());
        loop {
            let sees = |handling: &Handling, member: &MemberId| sees(viewer, handling, member);
            let ask = Ask { collection: collection(place), public: false, filter: &filter, sees: &sees };
            let page = self.index.page(&ask);
            found.extend(page.rows.iter().map(|row| row.sequence));
            filter.next = page.next;
            if filter.next.is_none() {
                return found;
            }
        }
    }
}

fn sees(viewer: u8, handling: &Handling, member: &MemberId) -> bool {
    let marking = MARKINGS.iter().position(|tlp| *tlp == handling.tlp).unwrap();
    let member = MEMBERS.iter().position(|name| *name == member.as_str()).unwrap();
    viewer & (1 << (marking * MEMBERS.len() + member)) != 0
}

fn filters(limit: usize) -> impl Iterator<Item = Filter> {
    let versions = ["last", "first", "first,last", "all", "1970-01-01T00:00:20Z,last"];
    let specs = [None, Some("2.0"), Some("2.1"), Some("2.0,2.1")];
    let pairs = move |spec: Option<&'static str>, version| {
        let pairs = [("match[version]", version)].into_iter().chain(spec.map(|spec| ("match[spec_version]", spec)));
        Filter { limit, ..Filter::read(pairs).unwrap() }
    };
    specs.into_iter().flat_map(move |spec| versions.map(|version| pairs(spec, version)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn each_viewers_first_and_last_are_those_that_a_walk_over_all_finds(
        steps in steps(), viewer in 0..64_u8, limit in 1..5_usize
    ) {
        let (both, rebuilt) = (Both::after(&steps, false), Both::after(&steps, true));
        for (filter, place) in filters(limit).flat_map(|filter| [(filter.clone(), 0), (filter, 1)]) {
            for viewer in [viewer, 0b11_1111] {
                let walked = both.walked(&filter, viewer, place);
                prop_assert_eq!(both.paged(&filter, viewer, place), &walked[..], "{:?}", filter);
                prop_assert_eq!(rebuilt.paged(&filter, viewer, place), &walked[..], "from the journal: {:?}", filter);
            }
        }
    }

    #[test]
    fn the_latest_that_a_viewer_sees_is_the_one_that_a_walk_over_all_finds(steps in steps(), viewer in 0..64_u8) {
        let both = Both::after(&steps, false);
        let rows = both.plain.iter().filter_map(|row| both.index.at(row.sequence));
        prop_assert_eq!(rows.clone().count(), both.plain.iter().filter(|row| !row.gone).count());
        for row in rows {
            let of = both.plain.iter().find(|plain| plain.sequence == row.sequence).unwrap().of;
            let seen = both.plain.iter().filter(|plain| plain.is_of(of.0, of.1) && plain.is_seen(viewer));
            let latest = both.index.latest(row, |handling, member| sees(viewer, handling, member));
            prop_assert_eq!(latest, seen.map(|plain| plain.version.time).max());
            let shown: BTreeSet<u64> =
                both.index.versions(collection(of.1), IDS[of.0]).map(|row| row.sequence).collect();
            let there = both.plain.iter().filter(|plain| plain.is_of(of.0, of.1) && !plain.gone);
            prop_assert_eq!(shown, there.map(|plain| plain.sequence).collect::<BTreeSet<u64>>());
        }
    }
}

//! The index against a plain list: whatever is added, taken out and asked, both say the same.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use model::{Handling, MemberId, Timestamp, Tlp};
use proptest::prelude::*;
use share::stix::{SpecVersion, StixTime};
use share::taxii::index::{MEMBER_TYPES_MAX, TYPES_MAX};
use share::taxii::{Ask, CollectionId, Filter, Index, Known, NewObject, Next, Page, Root, Row, Source};

const KINDS: [&str; 3] = ["indicator", "malware", "x-own"];

#[derive(Clone, Debug)]
enum Step {
    /// Object number, kind, version in seconds (none: unversioned), content, author, CLEAR?
    Add(u8, u8, Option<u8>, u8, u8, bool),
    Delete(u8, u8, u8),
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8, 0..3_u8, prop::option::weighted(0.8, 0..4_u8), 0..2_u8, 0..2_u8, any::<bool>())
            .prop_map(|(id, kind, at, content, author, clear)| Step::Add(id, kind, at, content, author, clear)),
        1 => (0..6_u8, 0..3_u8, 0..2_u8).prop_map(|(id, kind, author)| Step::Delete(id, kind, author)),
        2 => Just(Step::Settle),
    ]
}

fn id(kind: u8, number: u8) -> String {
    format!("{}--0000000{number}-1111-4111-8111-111111111111", KINDS[usize::from(kind)])
}

fn author(number: u8) -> MemberId {
    ["cloud", "bank"][usize::from(number)].parse().unwrap()
}

fn version(seconds: u8) -> StixTime {
    StixTime::parse("t", &format!("2026-01-01T00:00:0{seconds}Z")).unwrap()
}

/// One row of the plain list.
#[derive(Clone, Debug)]
struct Plain {
    id: String,
    version: StixTime,
    unversioned: bool,
    content: u64,
    author: MemberId,
    clear: bool,
    sequence: u64,
    added: i64,
    shown: bool,
    gone: bool,
}

/// The whole world twice.
struct Both {
    index: Index,
    plain: Vec<Plain>,
    leaving: Vec<usize>,
    collection: CollectionId,
    position: u64,
}

impl Both {
    fn new() -> Self {
        let collection = CollectionId::of("test", &Root::Alliance, "sightings");
        Self { index: Index::default(), plain: Vec::new(), leaving: Vec::new(), collection, position: 0 }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Add(number, kind, at, content, by, clear) => {
                let (id, by, content) = (id(kind, number), author(by), u64::from(content));
                let new = NewObject {
                    id: &id,
                    spec: SpecVersion::V21,
                    version: at.map(version),
                    print: content,
                    bytes: 9,
                    after: 0,
                };
                let known = self.known(&by, &new);
                assert_eq!(word(known), self.expected(&id, at.map(version), content, &by), "{step:?}");
                if known == Known::New {
                    self.add(&new, &by, clear);
                }
            }
            Step::Delete(number, kind, by) => {
                let (id, by) = (id(kind, number), author(by));
                self.index.delete(self.collection, &by, &id, &[]);
                let own = (0..self.plain.len()).filter(|at| self.plain[*at].id == id && self.plain[*at].author == by);
                self.leaving.extend(own);
            }
            Step::Settle => {
                self.index.settle();
                self.plain.iter_mut().for_each(|row| row.shown = true);
                self.leaving.drain(..).for_each(|at| self.plain[at].gone = true);
            }
        }
    }

    /// What is known of one that comes alone.
    fn known(&self, by: &MemberId, new: &NewObject<'_>) -> Known {
        self.index.known(self.collection, by, new, &mut self.index.room(by))
    }

    fn add(&mut self, new: &NewObject<'_>, by: &MemberId, clear: bool) {
        self.position += 1;
        let handling = Handling::alliance(if clear { Tlp::Clear } else { Tlp::Green });
        let time = Timestamp::MIN.plus(model::Span::seconds(i64::try_from(self.position / 3).unwrap()));
        let source =
            Source { collection: self.collection, author: by, handling: &handling, position: self.position, time };
        self.index.add(&source, 0, new);
        let before = self.plain.last().map_or(0, |row| row.added + 1);
        let added = before.max(time.as_millis() * 1_000);
        self.plain.push(Plain {
            id: new.id.to_owned(),
            version: new.version.unwrap_or_else(|| StixTime::from_micros(added)),
            unversioned: new.version.is_none(),
            content: new.print,
            author: by.clone(),
            clear,
            sequence: Row::sequence_of(self.position, 0),
            added,
            shown: false,
            gone: false,
        });
    }

    fn expected(&self, id: &str, version: Option<StixTime>, content: u64, by: &MemberId) -> &'static str {
        let of: Vec<&Plain> = self.plain.iter().filter(|row| row.id == id && !row.gone).collect();
        let same = |row: &&&Plain| version.is_none() || (row.version == version.unwrap() && !row.unversioned);
        let here: Vec<_> = of.iter().filter(same).collect();
        if let Some(version) = version {
            return match here.iter().find(|row| row.version == version) {
                Some(row) if row.content == content => "same",
                Some(_) => "other",
                None if of.first().is_some_and(|row| row.author != *by) => "foreign",
                None => "new",
            };
        }
        if here.iter().any(|row| row.content == content) { "same" } else { "new" }
    }

    /// What a page should hold.
    fn wanted(&self, filter: &Filter, public: bool, only: Option<&MemberId>) -> Vec<u64> {
        let seen = |row: &&Plain| {
            row.shown && !row.gone && (!public || row.clear) && only.is_none_or(|only| row.author == *only)
        };
        let visible: Vec<&Plain> = self.plain.iter().filter(seen).collect();
        let kept = visible.iter().filter(|row| {
            let kind = row.id.split("--").next().unwrap();
            let version = |row: &Plain| share::taxii::filter::Version { time: row.version, spec: SpecVersion::V21 };
            let of: Vec<_> = visible.iter().filter(|other| other.id == row.id).map(|row| version(row)).collect();
            filter.wants(&row.id, kind)
                && filter.keeps(version(row), &of.iter().copied().collect())
                && filter.added_after.is_none_or(|time| row.added > time)
                && filter.next.is_none_or(|next| row.sequence > next.0)
        });
        kept.map(|row| row.sequence).collect()
    }

    fn check(&self, filter: &Filter) {
        for (public, only) in [(false, None), (true, None), (false, Some(author(0)))] {
            let sees = |handling: &Handling, by: &MemberId| {
                (!public || handling.tlp == Tlp::Clear) && only.as_ref().is_none_or(|only| by == only)
            };
            let wanted = self.wanted(filter, public, only.as_ref());
            let mut found = Vec::new();
            let mut filter = filter.clone();
            loop {
                let ask = Ask { collection: self.collection, public, filter: &filter, sees: &sees };
                let Page { rows, next } = self.index.page(&ask);
                assert!(rows.len() <= filter.limit);
                assert!(next.is_none() || !rows.is_empty());
                found.extend(rows.iter().map(|row| row.sequence));
                let Some(next) = next else { break };
                filter.next = Some(next);
            }
            assert_eq!(found, wanted, "{filter:?} {public} {only:?}");
        }
    }
}

fn word(known: Known) -> &'static str {
    match known {
        Known::New => "new",
        Known::Same => "same",
        Known::Other(_) => "other",
        Known::Foreign => "foreign",
        Known::Full => "full",
        Known::Types => "types",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn pages_are_what_a_plain_list_would_give(steps in prop::collection::vec(step(), 0..60), limit in 1..5_usize) {
        let mut both = Both::new();
        for step in &steps {
            both.take(step);
        }
        let two = format!("{},{}", id(0, 1), id(1, 2));
        let queries: [&[(&str, &str)]; 7] = [
            &[],
            &[("match[version]", "all")],
            &[("match[version]", "first")],
            &[("match[type]", "indicator,x-own")],
            &[("match[type]", "malware"), ("match[version]", "all")],
            &[("match[id]", &two)],
            &[("match[spec_version]", "2.0")],
        ];
        for query in queries {
            let mut filter = Filter::read(query.iter().copied()).unwrap();
            filter.limit = limit;
            both.check(&filter);
            filter.added_after = both.plain.get(both.plain.len() / 2).map(|row| row.added);
            both.check(&filter);
            filter.added_after = None;
            filter.next = both.plain.get(both.plain.len() / 3).map(|row| Next(row.sequence));
            both.check(&filter);
        }
        prop_assert!(both.plain.windows(2).all(|two| two[0].added < two[1].added));
    }
}

#[test]
fn a_collection_keeps_a_thousand_versions_of_an_object() {
    let mut both = Both::new();
    let (id, by) = (id(2, 0), author(0));
    for content in 0..1_001 {
        let new = NewObject { id: &id, spec: SpecVersion::V21, version: None, print: content, bytes: 9, after: 0 };
        let known = both.known(&by, &new);
        assert_eq!(known, if content < 1_000 { Known::New } else { Known::Full }, "{content}");
        if known == Known::New {
            both.add(&new, &by, false);
        }
    }
    let new = NewObject { id: &id, spec: SpecVersion::V21, version: None, print: 2_000, bytes: 9, after: 0 };
    let known = both.known(&author(1), &new);
    assert_eq!(known, Known::New, "one member's do not take another's room");
}

fn of_type(id: &str) -> NewObject<'_> {
    NewObject { id, spec: SpecVersion::V21, version: None, print: 1, bytes: 9, after: 0 }
}

fn typed(name: &str) -> String {
    format!("{name}--00000001-1111-4111-8111-111111111111")
}

impl Both {
    /// Brings what may come of types that nobody brought before, one by one; how many of them may not.
    fn bring(&mut self, by: &MemberId, names: impl Iterator<Item = String>) -> usize {
        let one = |name: String| {
            let id = typed(&name);
            let known = self.known(by, &of_type(&id));
            if known == Known::New {
                self.add(&of_type(&id), by, false);
            }
            known == Known::Types
        };
        names.map(one).filter(|refused| *refused).count()
    }
}

#[test]
fn no_member_uses_up_the_types_of_all() {
    let mut both = Both::new();
    let names = |by: usize, count| (0..count).map(move |n| format!("x-of{by}-{n}"));
    let member = |n: usize| -> MemberId { format!("m{n}").parse().unwrap() };
    assert_eq!(both.bring(&member(0), names(0, MEMBER_TYPES_MAX + 3)), 3, "a member's own limit");
    assert_eq!(both.bring(&member(0), names(0, MEMBER_TYPES_MAX)), 0, "further objects of the types that are known");
    let members = TYPES_MAX / MEMBER_TYPES_MAX;
    for by in 1..members {
        assert_eq!(both.bring(&member(by), names(by, MEMBER_TYPES_MAX)), 0, "{by}");
    }
    assert_eq!(both.bring(&member(members), names(members, 5)), 5, "all together");
    assert_eq!(both.bring(&member(members), names(0, 5)), 0, "of types that others brought");
    let standard = ["malware", "vulnerability", "language-content"].map(ToOwned::to_owned);
    assert_eq!(both.bring(&member(members), standard.into_iter()), 0, "nobody is without the standard's");
}

#[test]
fn what_comes_together_is_counted_together_and_what_was_accepted_stays() {
    let mut both = Both::new();
    both.bring(&author(0), (1..MEMBER_TYPES_MAX).map(|n| format!("x-own-{n}")));
    let ids = ["x-one", "x-one", "x-two", "tool"].map(typed);
    let mut room = both.index.room(&author(0));
    let known = ids.each_ref().map(|id| word(both.index.known(both.collection, &author(0), &of_type(id), &mut room)));
    assert_eq!(known, ["new", "new", "types", "new"], "room for one more");
    // A journal of before has more of one member's.
    let more: Vec<String> = (0..MEMBER_TYPES_MAX).map(|n| typed(&format!("x-more-{n}"))).collect();
    more.iter().for_each(|id| both.add(&of_type(id), &author(0), false));
    both.index.settle();
    assert!(more.iter().all(|id| both.index.versions(both.collection, id).count() == 1));
    assert_eq!(both.known(&author(0), &of_type(&ids[0])), Known::Types);
    assert_eq!(both.known(&author(1), &of_type(&ids[0])), Known::New);
}

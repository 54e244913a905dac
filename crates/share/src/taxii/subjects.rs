//! Where every version of every finding and of every plan stands, as TAXII clients see them: 64 bytes each. Their
//! objects are written from the journal when they are asked for. Between them stand the objects that they refer to.

use super::cursor::{Clock, Next};
use super::ends::KeptEnds;
use super::filter::{self, Ends, Filter};
use super::index::Row;
use super::introduced::{Introduced, Introduction};
use crate::stix::{SpecVersion, StixTime, Subject, id, plan, sco};
use model::{Finding, Handling, Plan, PlanId, Span, Timestamp};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// Room in the order for the objects of a finding beside one for each reporter: indicator, observed data, observable,
/// note, opinion, a sighting of all unnamed ones.
const OBJECTS: usize = 6;
/// Most versions that are looked at for one page.
const LOOKED_AT_MAX: usize = 20_000;
/// A page that has to look at no more versions than this is made at once.
const BRIEF_MAX: usize = 32;

/// What was looked through for a page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Looked {
    /// Versions that may have objects for it, in order.
    pub versions: Vec<Seen>,
    /// Where it goes on, if not all was looked at.
    pub more: Option<Next>,
}

/// One version of a subject, or an object that subjects refer to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The place of its first object in the order; its further ones follow.
    pub sequence: u64,
    /// When its first object was added, in microseconds since 1970; each further one is a microsecond later.
    pub added: i64,
    /// When it was made: the version of its objects.
    pub made: Timestamp,
    subject: Subject,
    previous: u32,
    /// Its number in its entry, from 0; or among the objects that findings refer to.
    pub number: u32,
    objects: u16,
    handling: u16,
    is_introduction: bool,
}

impl Seen {
    /// The entry of the journal that holds it.
    pub const fn position(&self) -> u64 {
        Row::position_of(self.sequence)
    }

    /// The place of the last object that it may have.
    pub fn last(&self) -> Next {
        Next(self.sequence + u64::from(self.objects) - 1)
    }

    /// Its version as filters ask for it.
    fn dated(&self) -> filter::Version {
        filter::Version { time: StixTime::from(self.made), spec: SpecVersion::V21 }
    }

    fn last_added(&self) -> i64 {
        self.added + i64::from(self.objects) - 1
    }
}

/// All versions of all findings, or of all plans, in the order of the journal.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    seen: Vec<Seen>,
    newest: BTreeMap<Subject, u32>,
    /// By the number of the handling.
    ends: KeptEnds<Subject, u16>,
    /// Findings by the beginning of their observable's identifier.
    by_observable: BTreeSet<(u64, Subject)>,
    handlings: Vec<Handling>,
    introduced: Introduced,
    last: i64,
    shown: u32,
}

/// A version that is to be added.
struct Version {
    sequence: u64,
    number: u32,
    objects: usize,
    made: Timestamp,
    is_introduction: bool,
}

impl Subjects {
    /// Those of the alliance called `alliance`: none yet.
    pub fn new(alliance: &str) -> Self {
        Self { introduced: Introduced::new(alliance), ..Self::default() }
    }

    /// Takes the findings of an entry; they are shown once they are durable.
    pub fn add_findings(&mut self, position: u64, findings: &[Finding]) {
        let mut place = 0;
        for (number, finding) in findings.iter().enumerate() {
            let objects = finding.sum.lines.len().saturating_add(OBJECTS);
            let members = finding.sum.lines.iter().map(|line| &line.member).filter(|member| !member.is_unnamed());
            let news = self.introduced.by(&finding.handling, members);
            let sequence = Row::sequence_of(position, place);
            place += news.len() + objects;
            // An entry has room for that many objects; what had none would stand among those of the next entry.
            if Row::position_of(Row::sequence_of(position, place)) != position {
                return;
            }
            let own = self.introduce(sequence, finding.made, &news);
            let Ok(number) = u32::try_from(number) else { return };
            let version = Version { sequence: own, number, objects, made: finding.made, is_introduction: false };
            let subject = Subject::from(&finding.id);
            if self.add(subject, &version, &finding.handling, finding.made) {
                let object = sco::object(&finding.observable);
                let key = object.get("id").and_then(|id| id.as_str()).and_then(beginning);
                self.by_observable.extend(key.map(|key| (key, subject)));
            }
        }
    }

    /// Takes a plan that was proposed.
    pub fn add_plan(&mut self, position: u64, plan: &Plan, handling: &Handling) {
        let news = self.introduced.by(handling, std::iter::empty());
        let (made, objects) = (plan.header.made, plan::objects_of(plan));
        let sequence = self.introduce(Row::sequence_of(position, 0), made, &news);
        let version = Version { sequence, number: 0, objects, made, is_introduction: false };
        self.add(Subject::from(&plan.id()), &version, handling, made);
    }

    /// A plan came into force or was closed: a new version of all its objects, later than the one before.
    pub fn change_plan(&mut self, position: u64, plan: &PlanId, time: Timestamp) {
        let subject = Subject::from(plan);
        let Some(before) = self.newest.get(&subject).and_then(|at| self.seen.get(*at as usize)).copied() else {
            return;
        };
        let Some(handling) = self.handlings.get(usize::from(before.handling)).cloned() else { return };
        let made = time.max(before.made.plus(Span::millis(1)));
        let (sequence, objects) = (Row::sequence_of(position, 0), usize::from(before.objects));
        let version = Version { sequence, number: 0, objects, made, is_introduction: false };
        self.add(subject, &version, &handling, made);
    }

    /// Adds objects that are referred to, from this place on; gives the place after them.
    fn introduce(&mut self, sequence: u64, now: Timestamp, news: &[Introduction]) -> u64 {
        for (new, sequence) in news.iter().zip(sequence..) {
            let (number, made) = (new.number, new.made);
            let version = Version { sequence, number, objects: 1, made, is_introduction: true };
            self.add(Subject(new.bits), &version, &new.handling, now);
        }
        sequence + news.len() as u64
    }

    /// Adds a version at this time; is it the subject's first?
    fn add(&mut self, subject: Subject, version: &Version, handling: &Handling, now: Timestamp) -> bool {
        let known = self.handlings.iter().position(|other| other == handling);
        let at = known.unwrap_or_else(|| {
            self.handlings.push(handling.clone());
            self.handlings.len() - 1
        });
        let Version { sequence, number, made, is_introduction, .. } = *version;
        let (Ok(handling), Ok(row)) = (u16::try_from(at), u32::try_from(self.seen.len())) else { return false };
        let Ok(objects) = u16::try_from(version.objects) else { return false };
        let previous = self.newest.insert(subject, row).unwrap_or(u32::MAX);
        let added = Clock::after(self.last).tick(now);
        self.last = added + i64::from(objects) - 1;
        self.seen.push(Seen { sequence, added, made, subject, previous, number, objects, handling, is_introduction });
        previous == u32::MAX
    }

    /// The object that was introduced there; none where a subject stands.
    pub fn introduced(&self, seen: &Seen) -> Option<&Value> {
        if seen.is_introduction { self.introduced.object(seen.number) } else { None }
    }

    /// All that was added is durable.
    pub fn settle(&mut self) {
        let new = (self.shown as usize)..self.seen.len();
        self.shown = u32::try_from(self.seen.len()).unwrap_or(u32::MAX);
        let mut ends = std::mem::take(&mut self.ends);
        // Of what is the first of its subject the next one takes notice.
        let new = self.seen.get(new).unwrap_or_default().iter();
        for seen in new.filter(|seen| seen.previous != u32::MAX) {
            ends.add(seen.subject, (seen.handling, seen.dated()), self.audiences(seen.subject));
        }
        self.ends = ends;
    }

    /// Is there anything that is not shown yet?
    pub const fn is_unsettled(&self) -> bool {
        self.shown as usize != self.seen.len()
    }

    /// The first version of the same subject: its objects were created then.
    pub fn first(&self, seen: &Seen) -> Seen {
        self.chain(seen.subject).last().copied().unwrap_or(*seen)
    }

    /// The latest version of a subject that is shown and that the caller may see.
    pub fn latest(&self, subject: Subject, sees: impl Fn(&Handling) -> bool) -> Option<Seen> {
        let sees = |number: u16| self.handlings.get(usize::from(number)).is_some_and(&sees);
        self.visible(subject, &sees).next().copied()
    }

    /// Is a page made in next to no time?
    pub fn is_brief(&self, filter: &Filter) -> bool {
        let after = (self.first_after(filter) as usize)..(self.shown as usize);
        if !filter.ids.is_empty() || after.len() > BRIEF_MAX {
            return false;
        }
        let rows = self.seen.get(after).unwrap_or_default().iter();
        // A version by itself, and what tells the ends of its subject.
        let looked_at = |seen: &Seen| 1 + self.ends.cost(&seen.subject, self.audiences(seen.subject));
        rows.map(looked_at).sum::<usize>() <= BRIEF_MAX
    }

    /// Up to `max` versions that may have objects for this page, with what they refer to.
    pub fn page(&self, filter: &Filter, sees: &dyn Fn(&Handling) -> bool, max: usize) -> Looked {
        let first = self.first_after(filter);
        let candidates: Vec<u32> = match filter.ids.is_empty() {
            true => (first..self.shown).take(LOOKED_AT_MAX + 1).collect(),
            false => self.of_ids(filter).into_iter().filter(|at| *at >= first).collect(),
        };
        let (mut looked, mut versions, mut looked_at, mut last) = (Looked::default(), 0, 0, None);
        let asked = RefCell::new(BTreeMap::new());
        // Asked once for each handling.
        let sees = |number: u16| {
            let sees = || self.handlings.get(usize::from(number)).is_some_and(sees);
            *asked.borrow_mut().entry(number).or_insert_with(sees)
        };
        let mut ends: BTreeMap<Subject, Ends> = BTreeMap::new();
        for at in candidates {
            let Some(seen) = self.seen.get(at as usize) else { break };
            if versions >= max || looked_at >= LOOKED_AT_MAX {
                looked.more = last;
                return looked;
            }
            looked_at += 1;
            last = Some(seen.last());
            if !sees(seen.handling) {
                continue;
            }
            let ends = ends
                .entry(seen.subject)
                .or_insert_with(|| self.ends.seen(&seen.subject, self.audiences(seen.subject), &mut looked_at, sees));
            if filter.keeps(seen.dated(), ends) {
                versions += usize::from(!seen.is_introduction);
                looked.versions.push(*seen);
            }
        }
        looked
    }

    /// The first version that may have objects after the place or the time that is asked for.
    fn first_after(&self, filter: &Filter) -> u32 {
        let is_before = |seen: &Seen| {
            filter.next.is_some_and(|next| seen.last() <= next)
                || filter.added_after.is_some_and(|time| seen.last_added() <= time)
        };
        let shown = self.seen.get(..self.shown as usize).unwrap_or_default();
        // Fewer than 2^32, as `add` looks at.
        shown.partition_point(is_before) as u32
    }

    fn of_ids(&self, filter: &Filter) -> Vec<u32> {
        let own = filter.ids.iter().filter_map(|id| Subject::of_object(id));
        let keys = filter.ids.iter().filter_map(|id| beginning(id));
        let all = |key| (key, Subject(0))..=(key, Subject(u64::MAX));
        let of_observables = keys.flat_map(|key| self.by_observable.range(all(key))).map(|(_, subject)| *subject);
        let introduced = filter.ids.iter().filter_map(|id| beginning(id)).map(Subject);
        let introduced = introduced.filter(|subject| self.newest.contains_key(subject));
        let subjects: BTreeSet<Subject> = own.chain(of_observables).chain(introduced).collect();
        let rows: BTreeSet<u32> = subjects.into_iter().flat_map(|subject| self.rows(subject)).collect();
        rows.into_iter().filter(|at| *at < self.shown).collect()
    }

    fn rows(&self, subject: Subject) -> impl Iterator<Item = u32> + Clone {
        let newest = self.newest.get(&subject).copied();
        std::iter::successors(newest, |at| {
            self.seen.get(*at as usize).map(|seen| seen.previous).filter(|at| *at != u32::MAX)
        })
    }

    fn chain(&self, subject: Subject) -> impl Iterator<Item = &Seen> {
        self.rows(subject).filter_map(|at| self.seen.get(at as usize))
    }

    /// The versions of a subject that are shown, each with the number of its handling.
    fn audiences(&self, subject: Subject) -> impl Iterator<Item = (u16, filter::Version)> + Clone {
        let shown = self.rows(subject).filter(|at| *at < self.shown);
        shown.filter_map(|at| self.seen.get(at as usize)).map(|seen| (seen.handling, seen.dated()))
    }

    /// The versions whose handling, by its number, the caller may see.
    fn visible<'s>(&'s self, subject: Subject, sees: &'s dyn Fn(u16) -> bool) -> impl Iterator<Item = &'s Seen> {
        let shown = self.rows(subject).filter(|at| *at < self.shown);
        shown.filter_map(|at| self.seen.get(at as usize)).filter(move |seen| sees(seen.handling))
    }
}

/// The first bits of an identifier's UUID.
pub(super) fn beginning(id: &str) -> Option<u64> {
    let (_, text) = id::split("id", id).ok()?;
    id::uuid(text)?.first_chunk().map(|eight| u64::from_be_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::super::ends::MANY;
    use super::*;
    use crate::stix::back;
    use model::{Family, FindingState, Observable, Sum, Tlp, finding_id};

    fn finding(n: u8, second: i64, tlp: Tlp) -> Finding {
        let observable: Observable = format!("80.0.0.{n}").parse().unwrap();
        let made = Timestamp::MIN.plus(Span::seconds(second));
        Finding {
            id: finding_id(&observable, Family::Source),
            observable,
            family: Family::Source,
            behaviours: BTreeSet::new(),
            state: FindingState::Corroborated,
            actionable: true,
            sum: Sum { lines: Vec::new(), cut: 0.0, total: 3.0, threshold: 2.0 },
            guard: None,
            handling: Handling::alliance(tlp),
            first: made,
            last: made,
            made,
        }
    }

    fn positions(found: &Looked) -> Vec<u64> {
        versions(found).iter().map(Seen::position).collect()
    }

    /// Without what they refer to.
    fn versions(found: &Looked) -> Vec<Seen> {
        found.versions.iter().filter(|seen| !seen.is_introduction).copied().collect()
    }

    #[test]
    fn the_latest_version_of_each_finding_that_may_be_seen_is_shown_once_it_is_durable() {
        let mut findings = Subjects::default();
        for (position, n, second, tlp) in
            [(3, 1, 0, Tlp::Clear), (4, 2, 0, Tlp::Green), (7, 1, 5, Tlp::Amber), (9, 3, 5, Tlp::Clear)]
        {
            findings.add_findings(position, &[finding(n, second, tlp)]);
        }
        let (all, clear) = (|_: &Handling| true, |handling: &Handling| handling.tlp == Tlp::Clear);
        assert!(positions(&findings.page(&Filter::default(), &all, 10)).is_empty());
        findings.settle();
        assert_eq!(positions(&findings.page(&Filter::default(), &all, 10)), [4, 7, 9]);
        assert_eq!(positions(&findings.page(&Filter::default(), &clear, 10)), [3, 9], "each viewer's own latest");
        let every = Filter::read([("match[version]", "all")]).unwrap();
        assert_eq!(positions(&findings.page(&every, &all, 10)), [3, 4, 7, 9]);
        let two = findings.page(&every, &all, 2);
        assert_eq!((positions(&two), two.more), (vec![3, 4], two.versions.last().map(Seen::last)));
        let one = back::indicator_id("ours", &finding(1, 0, Tlp::Clear).id);
        let one = Filter::read([("match[id]", one.as_str()), ("match[version]", "all")]).unwrap();
        assert_eq!(positions(&findings.page(&one, &all, 10)), [3, 7]);
        let observable = sco::object(&finding(2, 0, Tlp::Clear).observable)["id"].as_str().unwrap().to_owned();
        let two = Filter::read([("match[id]", observable.as_str())]).unwrap();
        assert_eq!(positions(&findings.page(&two, &all, 10)), [4]);
        let seen = findings.latest(Subject::from(&finding(1, 0, Tlp::Clear).id), all).unwrap();
        assert_eq!((seen.position(), findings.first(&seen).made), (7, Timestamp::MIN));
    }

    #[test]
    fn going_on_after_an_object_begins_with_its_own_finding() {
        let mut findings = Subjects::default();
        let of = |n: u8| [finding(n, 0, Tlp::Green), finding(n + 100, 0, Tlp::Green)];
        (0..9).for_each(|n| findings.add_findings(u64::from(n) * 2, &of(n)));
        findings.settle();
        let all = |_: &Handling| true;
        let next = Next(Row::sequence_of(8, 2));
        let filter = Filter { next: Some(next), ..Filter::default() };
        assert_eq!(positions(&findings.page(&filter, &all, 3)), [8, 8, 10]);
        let every = versions(&findings.page(&Filter::default(), &all, 18));
        assert!(every.windows(2).all(|two| two[0].last_added() < two[1].added && two[0].last().0 < two[1].sequence));
        assert_eq!(every.iter().map(|seen| seen.number).collect::<Vec<_>>(), [0, 1].repeat(9));
        let filter = Filter { next: Some(every[8].last()), ..Filter::default() };
        assert_eq!(findings.page(&filter, &all, 2).versions, every[9..11], "the second one of the entry");
        let filter = Filter { added_after: Some(every[9].added + 1), ..Filter::default() };
        assert_eq!(findings.page(&filter, &all, 2).versions, every[9..11]);
    }

    #[test]
    fn a_page_of_which_nothing_is_left_says_where_it_goes_on() {
        let mut findings = Subjects::default();
        let objects = 3 * LOOKED_AT_MAX as u64 / 2;
        let dull = |n| Finding { made: Timestamp::MIN, ..finding(n as u8, 0, Tlp::Red) };
        (1..objects).for_each(|at| findings.add_findings(at, &[dull(at % 200)]));
        findings.add_findings(objects, &[finding(250, 0, Tlp::Clear)]);
        findings.settle();
        let clear = |handling: &Handling| handling.tlp == Tlp::Clear;
        let mut filter = Filter::default();
        let mut pages = Vec::new();
        loop {
            let looked = findings.page(&filter, &clear, 10);
            pages.push(versions(&looked).len());
            assert!(looked.more.is_none() || looked.more > filter.next, "it goes on");
            filter.next = looked.more;
            if filter.next.is_none() {
                break;
            }
        }
        assert!(pages.len() > 1, "{pages:?}");
        assert_eq!((pages.last(), pages.iter().sum()), (Some(&1), 1));
    }

    #[test]
    fn a_page_is_brief_if_few_versions_are_looked_at_for_it() {
        let mut findings = Subjects::default();
        (1..=10).for_each(|at| findings.add_findings(at, &[finding(at as u8, 0, Tlp::Clear)]));
        findings.settle();
        assert!(findings.is_brief(&Filter::default()));
        (11..=99).for_each(|at| findings.add_findings(at, &[finding(1, at as i64, Tlp::Clear)]));
        findings.settle();
        let next = findings.page(&Filter::default(), &|_: &Handling| true, 99).versions.last().map(Seen::last);
        let last = Filter { next: next.map(|next| Next(next.0 - 1)), ..Filter::default() };
        assert_eq!(positions(&findings.page(&last, &|_: &Handling| true, 99)), [99]);
        assert!(findings.is_brief(&last), "one version, and the ends of all of the same finding");
        let end = 100 + 3 * (MANY as u64 - 1);
        (100..end).for_each(|at| findings.add_findings(at, &[finding(at as u8 % 3 + 101, at as i64, Tlp::Clear)]));
        findings.settle();
        let last = Filter { next: Some(Next(Row::sequence_of(end - 3, 0) - 1)), ..Filter::default() };
        assert_eq!(positions(&findings.page(&last, &|_: &Handling| true, 99)), [end - 3, end - 2, end - 1]);
        assert!(!findings.is_brief(&last), "three versions, and each one of their findings, which have few");
    }

    #[test]
    fn of_many_versions_each_viewer_has_its_own_first_and_last() {
        let (mut findings, markings) = (Subjects::default(), [Tlp::Clear, Tlp::Green, Tlp::Amber]);
        let marking = |at: usize| markings[(at * at + at / 7) % 3];
        for at in 0..9 * MANY {
            findings.add_findings(at as u64, &[finding(1, at as i64, marking(at))]);
            findings.settle();
            for most in markings {
                let visible: Vec<u64> = (0..=at).filter(|at| marking(*at) <= most).map(|at| at as u64).collect();
                let sees = |handling: &Handling| handling.tlp <= most;
                for (named, wanted) in [("first", visible.first()), ("last", visible.last())] {
                    let filter = Filter::read([("match[version]", named)]).unwrap();
                    assert_eq!(positions(&findings.page(&filter, &sees, 9)), Vec::from_iter(wanted.copied()), "{at}");
                }
            }
        }
    }

    #[test]
    fn versions_of_one_object_are_gone_through_page_by_page() {
        let mut findings = Subjects::default();
        (1..=9).for_each(|at| findings.add_findings(at, &[finding(1, at as i64, Tlp::Clear)]));
        findings.settle();
        let id = back::indicator_id("ours", &finding(1, 0, Tlp::Clear).id);
        let mut filter = Filter::read([("match[id]", id.as_str()), ("match[version]", "all")]).unwrap();
        let mut seen = Vec::new();
        loop {
            let looked = findings.page(&filter, &|_: &Handling| true, 2);
            seen.extend(positions(&looked));
            filter.next = looked.more;
            if filter.next.is_none() {
                break;
            }
            assert_eq!(looked.versions.len(), 2);
        }
        assert_eq!(seen, (1..=9).collect::<Vec<_>>());
    }

    #[test]
    fn a_plan_has_a_later_version_for_each_stage_also_within_a_millisecond() {
        let (mut plans, plan) = (Subjects::default(), PlanId::of(&model::Digest::of(&[b"plan"])));
        let sequence = Row::sequence_of(5, 0);
        let proposed = Version { sequence, number: 0, objects: 3, made: Timestamp::MIN, is_introduction: false };
        assert!(plans.add(Subject::from(&plan), &proposed, &Handling::alliance(Tlp::Amber), Timestamp::MIN));
        plans.change_plan(6, &plan, Timestamp::MIN);
        plans.change_plan(9, &PlanId::of(&model::Digest::of(&[b"unknown"])), Timestamp::MIN);
        plans.settle();
        let all = |_: &Handling| true;
        assert_eq!(positions(&plans.page(&Filter::default(), &all, 10)), [6]);
        let every = Filter::read([("match[version]", "all")]).unwrap();
        let versions = plans.page(&every, &all, 10).versions;
        assert_eq!(versions.iter().map(Seen::position).collect::<Vec<_>>(), [5, 6]);
        assert!(versions[0].made < versions[1].made && versions[0].last_added() < versions[1].added);
        assert_eq!(plans.first(&versions[1]), versions[0]);
        let id = back::course_of_action_id("ours", &plan);
        let one = Filter::read([("match[id]", id.as_str())]).unwrap();
        assert_eq!(positions(&plans.page(&one, &all, 10)), [6]);
    }
}

//! The engine: every sighting passes through `sight`, every question is answered from what it left behind.

use crate::clock::{DAY, days, seconds};
use crate::error::Error;
use crate::key::{Keys, NeighbourhoodKey, ObservableKey, Seed};
use crate::member::Member;
use crate::pairs::Pairs;
use crate::report::{Mark, strength};
use crate::rules::{MemberTrust, Rules};
use crate::saving::Pending;
use crate::survival::Survival;
use crate::table::arena::Arena;
use crate::table::blocks::{Blocks, REPORTS_MAX};
use crate::table::counters::Counters;
use crate::table::index::Index;
use crate::table::record::{Flags, NOBODY, Record, Report, State};
use crate::tally::Question;
use model::{Grade, Standing, Timestamp};

/// The most members an engine holds: a block of reports holds one of each.
pub const MEMBERS_MAX: usize = REPORTS_MAX;

/// A lapse shorter than this is not looked for: what was corroborated an hour ago is not announced again.
const LAPSE: u32 = 3600;

/// Places of the table looked at for forgetting with every sighting.
const SWEPT_A_SIGHTING: u32 = 2;

/// A member's number in one engine, in the order of adding, from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MemberIndex(pub u16);

/// Who vouches for a statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attestation {
    /// The member signed it: an agent can verify it without trusting the hub.
    Signed,
    /// The hub says that this member sent it (a plain TAXII client): good enough to inform people.
    ByHub,
}

/// One statement: this member saw this observable at this time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sight {
    /// What was seen.
    pub observable: ObservableKey,
    /// Where it lies; the first sighting of an observable decides.
    pub neighbourhood: NeighbourhoodKey,
    /// Who saw it.
    pub member: MemberIndex,
    /// When.
    pub at: Timestamp,
    /// How hard the evidence is to forge.
    pub grade: Grade,
    /// Who vouches.
    pub attested: Attestation,
}

/// What a sighting changed.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SightOutcome {
    /// Nobody had seen the observable within the forgetting time.
    pub new_observable: bool,
    /// The member had not reported it within the horizon (7 days).
    pub fresh: bool,
    /// It was corroborated or barred at some time and is remembered for it.
    pub known: bool,
    /// With this sighting it became corroborated: people may be informed, unless a guard applies.
    pub now_informs: bool,
    /// With this sighting it may be acted upon automatically, unless a guard applies.
    pub now_acts: bool,
}

/// The corroboration table and the members' records: all state of truth and relevance.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) rules: Rules,
    pub(crate) keys: Keys,
    pub(crate) rates: Rates,
    pub(crate) members: Vec<Member>,
    pub(crate) records: Arena<Record>,
    pub(crate) index: Index,
    pub(crate) blocks: Blocks,
    pub(crate) counters: Counters,
    pub(crate) pairs: Pairs,
    pub(crate) survival: Survival,
    /// The latest time seen.
    pub(crate) now: u32,
    /// Where the sweep stands.
    pub(crate) hand: u32,
    /// The snapshot in the making.
    pub(crate) pending: Option<Box<Pending>>,
    /// How many were begun.
    pub(crate) rounds: u64,
}

/// The rules' times in the engine's units.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Rates {
    pub horizon: u32,
    pub forget: u32,
    pub bar: u32,
    pub own: f32,
    pub all: f32,
    pub burst: f32,
    pub report: f64,
}

impl Engine {
    /// An empty engine. `seed` is secret and random; results do not depend on it.
    ///
    /// # Errors
    /// [`Error::Refused`] if a rule is outside its limits or there are more than [`MEMBERS_MAX`] members.
    pub fn new(rules: Rules, members: &[MemberTrust], seed: Seed) -> Result<Self, Error> {
        rules.validate()?;
        let mut engine = Self {
            rates: Rates::of(&rules),
            counters: Counters::new(rules.relevance.half_life_neighbourhood * f64::from(DAY)),
            rules,
            keys: Keys::new(seed),
            members: Vec::new(),
            records: Arena::new(),
            index: Index::new(),
            blocks: Blocks::default(),
            pairs: Pairs::default(),
            survival: Survival::default(),
            now: 0,
            hand: 0,
            pending: None,
            rounds: 0,
        };
        for member in members {
            engine.add_member(*member)?;
        }
        Ok(engine)
    }

    /// Makes this engine's keys.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The rules it works by.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Adds a member; its number is the next.
    ///
    /// # Errors
    /// [`Error::Refused`] when there are [`MEMBERS_MAX`] already.
    pub fn add_member(&mut self, trust: MemberTrust) -> Result<MemberIndex, Error> {
        if self.members.len() >= MEMBERS_MAX {
            return Err(Error::refused("members", self.members.len() + 1, format!("at most {MEMBERS_MAX}")));
        }
        self.members.push(Member::new(trust.standing));
        Ok(MemberIndex((self.members.len() - 1) as u16))
    }

    /// Changes a member's standing; its record stays. A suspended member's reports count for nothing until it is back.
    ///
    /// # Errors
    /// [`Error::Refused`] for a member that was never added.
    pub fn set_standing(&mut self, member: MemberIndex, standing: Standing) -> Result<(), Error> {
        self.known(member)?;
        self.members[usize::from(member.0)].standing = standing;
        Ok(())
    }

    /// Takes in one sighting. Costs the same whatever the table holds.
    ///
    /// # Errors
    /// [`Error::Refused`] for a member that was never added, or a full table (2³² observables).
    pub fn sight(&mut self, sight: &Sight) -> Result<SightOutcome, Error> {
        self.known(sight.member)?;
        self.sight_marked(sight, Mark::NONE, NOWHERE)
    }

    /// `expected` is where the record may stand; it is looked at before the index is.
    fn sight_marked(&mut self, sight: &Sight, mark: Mark, expected: u32) -> Result<SightOutcome, Error> {
        let now = seconds(sight.at);
        self.advance(now);
        let id = self.record_for(sight, now, expected)?;
        let new_observable = self.records[id].reports == 0;
        self.notice_lapse(id, now);
        let fresh = self.note(id, sight, mark, now);
        if fresh {
            self.credit(id, sight.member.0, now);
        }
        let (now_informs, now_acts) = self.notice_crossing(id, sight.member.0, now);
        self.sweep(SWEPT_A_SIGHTING);
        let known = self.records[id].since != 0;
        Ok(SightOutcome { new_observable, fresh, known, now_informs, now_acts })
    }

    /// Takes in many sightings in order, as [`Engine::sight`] does, and tells each outcome with its place in the batch.
    /// Faster than one by one: memory is touched ahead of its use.
    ///
    /// # Errors
    /// As [`Engine::sight`], checked for all before any is taken in.
    pub fn sight_all(&mut self, sights: &[Sight], outcome: impl FnMut(usize, SightOutcome)) -> Result<(), Error> {
        self.sight_all_marked(sights, |_| Mark::NONE, outcome)
    }

    /// As [`Engine::sight_all`], and each report keeps its mark, by its place in the batch.
    ///
    /// # Errors
    /// As [`Engine::sight_all`].
    pub fn sight_all_marked(
        &mut self,
        sights: &[Sight],
        mark: impl Fn(usize) -> Mark,
        mut outcome: impl FnMut(usize, SightOutcome),
    ) -> Result<(), Error> {
        for sight in sights {
            self.known(sight.member)?;
        }
        for (part, chunk) in sights.chunks(AHEAD).enumerate() {
            let expected = self.touch(chunk);
            for (i, sight) in chunk.iter().enumerate() {
                let place = part * AHEAD + i;
                outcome(place, self.sight_marked(sight, mark(place), expected[i])?);
            }
        }
        Ok(())
    }

    /// Observables held, barred ones included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reports held: pairs of an observable and a member. Walks the whole table.
    pub fn reports_held(&self) -> u64 {
        (0..self.records.places()).map(|id| u64::from(self.records[id].reports)).sum()
    }

    /// Bytes of every table as allocated.
    pub fn bytes(&self) -> usize {
        self.bytes_by_table().iter().map(|(_, bytes)| bytes).sum()
    }

    /// The same, table by table.
    pub fn bytes_by_table(&self) -> [(&'static str, usize); 7] {
        [
            ("records with their first report", self.records.bytes()),
            ("index", self.index.bytes()),
            ("further reports", self.blocks.bytes()),
            ("neighbourhood counters", self.counters.bytes()),
            ("pairs", self.pairs.bytes()),
            ("reports that wait to survive", self.survival.bytes()),
            ("members", self.members.capacity() * size_of::<Member>()),
        ]
    }

    pub(crate) fn known(&self, member: MemberIndex) -> Result<(), Error> {
        if usize::from(member.0) < self.members.len() {
            return Ok(());
        }
        Err(Error::refused("member", member.0, format!("a number below {}", self.members.len())))
    }

    pub(crate) fn find(&self, key: ObservableKey) -> Option<u32> {
        self.index.find(key.0, |id| self.records[id].key == key.0)
    }

    /// The record of `key` unless it is forgotten at `now`; what is forgotten by now stays so for questions about the
    /// past.
    pub(crate) fn record(&self, key: ObservableKey, now: u32) -> Option<&Record> {
        let now = now.max(self.now);
        self.find(key).map(|id| &self.records[id]).filter(|record| !self.is_forgotten(record, now))
    }

    /// The reports of a record, the first one first, then by member.
    pub(crate) fn reports<'a>(&'a self, record: &'a Record) -> impl Iterator<Item = &'a Report> {
        let first = std::iter::once(&record.first).filter(|report| report.member != NOBODY);
        first.chain(self.blocks.get(record.block, record.further()))
    }

    pub(crate) fn report_mut(&mut self, id: u32, member: u16) -> Option<&mut Report> {
        let record = &mut self.records[id];
        if record.first.member == member {
            return Some(&mut record.first);
        }
        let further = self.blocks.get_mut(record.block, record.further());
        let at = further.binary_search_by_key(&member, |report| report.member).ok()?;
        further.get_mut(at)
    }

    /// Whether enough time passed without a sighting. A bar holds a record.
    pub(crate) fn is_forgotten(&self, record: &Record, now: u32) -> bool {
        let unseen = now.saturating_sub(record.last) > self.rates.forget;
        unseen && !(record.state.has(State::BARRED) && now.saturating_sub(record.since) <= self.rates.bar)
    }

    /// Moves the engine's time on: reports that stood undisputed for the horizon earn their credit.
    pub(crate) fn advance(&mut self, now: u32) {
        self.now = self.now.max(now);
        while let Some((id, member)) = self.survival.due(self.now) {
            let survives = !self.records[id].state.has(State::BARRED)
                && self.report_mut(id, member).is_some_and(|report| !report.flags.has(Flags::RETRACTED));
            let waiting = &mut self.members[usize::from(member)];
            waiting.surviving = waiting.surviving.saturating_sub(1);
            if survives {
                waiting.survive(now, &self.rules);
            }
        }
    }

    fn record_for(&mut self, sight: &Sight, now: u32, expected: u32) -> Result<u32, Error> {
        let found = if self.holds(expected, sight.observable) { Some(expected) } else { self.find(sight.observable) };
        if let Some(id) = found {
            self.before_change(id);
            self.renew_forgotten(id, sight.neighbourhood.0, now);
            if self.records[id].state.has(State::BARRED) && !self.stands_barred(&self.records[id], now) {
                self.end_bar(id);
            }
            return Ok(id);
        }
        self.create(sight.observable, sight.neighbourhood, now)
    }

    pub(crate) fn create(&mut self, key: ObservableKey, near: NeighbourhoodKey, now: u32) -> Result<u32, Error> {
        let full = || Error::refused("observables", "one more", "at most 4294967294");
        if let Some(id) = self.records.next_free() {
            self.before_change(id);
        }
        let id = self.records.insert(Record::new(key.0, near.0, now)).ok_or_else(full)?;
        self.index.insert(key.0, id);
        Ok(id)
    }

    /// Adds one member's report, or renews it; true if it is the member's first within the horizon.
    fn note(&mut self, id: u32, sight: &Sight, mark: Mark, now: u32) -> bool {
        let record = &mut self.records[id];
        let new_record = record.reports == 0;
        if new_record {
            record.neighbourhood = sight.neighbourhood.0; // a bar may have made the record
        }
        let early = record.since == 0 || record.since >= now;
        if new_record || record.last / DAY < now / DAY {
            self.counters.add(record.neighbourhood, now);
        }
        let rates = self.rates;
        let (new_day, fresh) = match self.report_mut(id, sight.member.0) {
            Some(report) => report.renew(sight, mark, now, early, &rates),
            None => {
                self.add_report(id, Report::new(sight, mark, now, early));
                (true, true)
            }
        };
        let record = &mut self.records[id];
        record.pass(now, new_day, &rates);
        fresh
    }

    pub(crate) fn add_report(&mut self, id: u32, report: Report) {
        let record = &mut self.records[id];
        if record.first.member == NOBODY {
            record.first = report;
        } else {
            record.block = self.blocks.add(record.block, record.further(), report);
        }
        record.reports += 1;
    }

    /// Marks the end of a corroboration that nothing renewed in time, so that the next one is announced again.
    fn notice_lapse(&mut self, id: u32, now: u32) {
        let record = self.records[id];
        let stood = record.state.has(State::INFORMS) || record.state.has(State::ACTS);
        if stood && now.saturating_sub(record.last) > LAPSE {
            let informs = self.is_enough(&record, now, Question::Inform);
            let acts = informs && (self.all_may_act(&record) || self.is_enough(&record, now, Question::Act));
            let state = &mut self.records[id].state;
            state.set(State::INFORMS, informs);
            state.set(State::ACTS, acts);
        }
    }

    fn notice_crossing(&mut self, id: u32, member: u16, now: u32) -> (bool, bool) {
        let record = self.records[id];
        let known = record.state.has(State::ACTS) || record.state.has(State::BARRED);
        if known || (record.reports == 1 && self.cannot_stand_alone(member, now)) {
            return (false, false);
        }
        let informs = !record.state.has(State::INFORMS) && self.is_enough(&record, now, Question::Inform);
        let informed = informs || record.state.has(State::INFORMS);
        let acts = informed && ((informs && self.all_may_act(&record)) || self.is_enough(&record, now, Question::Act));
        let record = &mut self.records[id];
        if informs {
            record.state.set(State::INFORMS, true);
            record.since = if record.since == 0 { now.max(1) } else { record.since };
        }
        record.state.set(State::ACTS, acts);
        (informs, acts)
    }

    /// Whether both questions have the same answer, since every report is signed and cannot be spoofed.
    fn all_may_act(&self, record: &Record) -> bool {
        self.reports(record).all(|report| strength(report.flags) == 2)
    }

    fn cannot_stand_alone(&self, member: u16, now: u32) -> bool {
        self.members[usize::from(member)].may_not_publish_alone(now, &self.rules)
    }

    /// Whether the place `id` is in use for `key`.
    fn holds(&self, id: u32, key: ObservableKey) -> bool {
        id < self.records.places() && self.records[id].key == key.0 && self.records[id].state.has(State::LIVE)
    }

    /// Reads what the sightings of `chunk` will need, layer by layer, so that the misses of one layer overlap; gives
    /// the places where their records may stand.
    fn touch(&self, chunk: &[Sight]) -> [u32; AHEAD] {
        let slots = chunk.iter().map(|s| self.index.touch(s.observable.0) as u32).fold(0, u32::wrapping_add);
        let nets = chunk.iter().map(|s| self.counters.touch(s.neighbourhood.0)).fold(slots, u32::wrapping_add);
        let mut found = [NOWHERE; AHEAD];
        for (id, sight) in found.iter_mut().zip(chunk) {
            *id = self.index.find(sight.observable.0, |_| true).unwrap_or(NOWHERE);
        }
        let known = found.iter().take(chunk.len()).filter(|id| **id < self.records.places());
        let records = known.clone().map(|id| &self.records[*id]);
        let sum = records
            .clone()
            .fold(nets, |sum, record| sum.wrapping_add(record.key as u32).wrapping_add(u32::from(record.state.0)));
        let further = records.map(|record| self.blocks.get(record.block, record.further()).first());
        let sum = further.flatten().fold(sum, |sum, report| sum.wrapping_add(report.last));
        std::hint::black_box(sum);
        found
    }
}

/// How many sightings of a batch are touched ahead: enough misses in flight, few enough to stay in the cache.
const AHEAD: usize = 32;

/// No place of the table.
const NOWHERE: u32 = u32::MAX;

impl Rates {
    pub fn of(rules: &Rules) -> Self {
        let per_second = |half_life: f64| (1.0 / (half_life * f64::from(DAY))) as f32;
        Self {
            horizon: days(rules.horizon),
            forget: days(rules.forget_after),
            bar: days(rules.bar_for),
            own: per_second(rules.relevance.half_life_own),
            all: per_second(rules.relevance.half_life_all),
            burst: per_second(rules.relevance.half_life_burst),
            report: 1.0 / (rules.half_life_report * f64::from(DAY)),
        }
    }
}

//! A snapshot made a little at a time while the engine goes on: it holds the state as it was when it began.
//!
//! Records are saved page by page. Whatever is about to change before its page's turn has the page saved early, so a
//! step copies a bounded part of the table, and a sighting pays for one page at most. The bytes are those that
//! [`Engine::snapshot`] would have given at the beginning.

use crate::engine::Engine;
use crate::error::Error;
use crate::snapshot::{COUNTER_GROUPS, RECORDS_A_SHARD, broken, frame, write_counters};
use crate::table::counters::Counter;
use std::collections::{BTreeMap, VecDeque};

/// Records saved together: about four kilobytes.
const PAGE: u32 = 64;
/// Pages a step: about a hundred microseconds.
const PAGES_A_STEP: u32 = 16;

/// What the engine keeps while it is being saved.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    round: u64,
    /// Records there were at the beginning.
    limit: u32,
    /// Pages before this one are saved.
    next: u32,
    /// A bit a page: saved early.
    kept: Vec<u64>,
    early: BTreeMap<u32, Page>,
}

/// Records of a page as they are written.
#[derive(Clone, Default, Debug)]
struct Page {
    count: u32,
    bytes: Vec<u8>,
}

/// A snapshot in the making. It belongs to the engine that began it.
#[derive(Debug)]
pub struct Saver {
    round: u64,
    stamp: u64,
    of: u32,
    number: u32,
    place: Place,
    filling: Page,
    full: VecDeque<Full>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Page(u32),
    Counters(usize),
    End,
}

#[derive(Debug)]
enum Full {
    Bytes(u8, Vec<u8>),
    Counters(Vec<Counter>),
}

impl Engine {
    /// Begins a snapshot of the state as it is now; one that was begun before is lost. Costs as much as there are
    /// members and pairs of them, whatever the table holds.
    pub fn begin_saving(&mut self) -> Saver {
        let head = self.head();
        let limit = self.records.places();
        let pages = limit.div_ceil(PAGE);
        self.rounds += 1;
        let kept = vec![0; pages.div_ceil(64) as usize];
        self.pending = Some(Box::new(Pending { round: self.rounds, limit, next: 0, kept, early: BTreeMap::new() }));
        self.counters.begin_saving();
        let of = 1 + limit.div_ceil(RECORDS_A_SHARD) + COUNTER_GROUPS as u32;
        let stamp = crate::key::checksum(&head);
        let place = if limit == 0 { Place::Counters(0) } else { Place::Page(0) };
        let full = VecDeque::from([Full::Bytes(0, head)]);
        Saver { round: self.rounds, stamp, of, number: 0, place, filling: Page::default(), full }
    }

    /// Ends a snapshot before it is whole; nothing is kept for it any more.
    pub fn end_saving(&mut self) {
        self.pending = None;
        self.counters.end_saving();
    }

    /// Saves the page of a record that is about to change, if its turn has not come yet.
    pub(crate) fn before_change(&mut self, id: u32) {
        if let Some(pending) = &self.pending
            && pending.is_waiting(id)
        {
            self.save_early(id / PAGE);
        }
    }

    fn save_early(&mut self, number: u32) {
        let Some(pending) = &self.pending else { return };
        let page = self.page(number, pending.limit);
        if let Some(pending) = &mut self.pending {
            pending.kept[number as usize / 64] |= 1 << (number % 64);
            pending.early.insert(number, page);
        }
    }

    fn page(&self, number: u32, limit: u32) -> Page {
        let mut page = Page::default();
        self.write_records(
            number * PAGE,
            (number * PAGE).saturating_add(PAGE).min(limit),
            &mut page.count,
            &mut page.bytes,
        );
        page
    }
}

impl Pending {
    fn is_waiting(&self, id: u32) -> bool {
        let page = id / PAGE;
        id < self.limit && page >= self.next && self.kept[page as usize / 64] & 1 << (page % 64) == 0
    }
}

impl Saver {
    /// Copies the next part of the engine; false when all is copied.
    ///
    /// # Errors
    /// [`Error::Broken`]: the engine began another snapshot, or ended this one.
    pub fn step(&mut self, engine: &mut Engine) -> Result<bool, Error> {
        match self.place {
            Place::Page(from) => self.step_pages(engine, from)?,
            Place::Counters(group) => {
                self.full.push_back(Full::Counters(engine.counters.saved_group(group, COUNTER_GROUPS)));
                self.place = match group + 1 < COUNTER_GROUPS {
                    true => Place::Counters(group + 1),
                    false => Place::End,
                };
            }
            Place::End => engine.end_saving(),
        }
        Ok(self.place != Place::End)
    }

    fn step_pages(&mut self, engine: &mut Engine, from: u32) -> Result<(), Error> {
        let lost = || broken("a snapshot that was begun anew", 0);
        let limit = engine.pending.as_ref().filter(|pending| pending.round == self.round).ok_or_else(lost)?.limit;
        let (pages, a_shard) = (limit.div_ceil(PAGE), RECORDS_A_SHARD / PAGE);
        let to = (from + PAGES_A_STEP).min(pages);
        for number in from..to {
            let early = engine.pending.as_mut().and_then(|pending| pending.early.remove(&number));
            let page = early.unwrap_or_else(|| engine.page(number, limit));
            self.filling.count += page.count;
            self.filling.bytes.extend_from_slice(&page.bytes);
            if (number + 1) % a_shard == 0 || number + 1 == pages {
                let Page { count, bytes } = std::mem::take(&mut self.filling);
                self.full.push_back(Full::Bytes(1, [&count.to_le_bytes(), bytes.as_slice()].concat()));
            }
        }
        if let Some(pending) = &mut engine.pending {
            pending.next = to;
        }
        self.place = if to == pages { Place::Counters(0) } else { Place::Page(to) };
        Ok(())
    }

    /// The next shard that is whole, in order; the engine is not needed for it.
    pub fn shard(&mut self) -> Option<Vec<u8>> {
        let (kind, payload) = match self.full.pop_front()? {
            Full::Bytes(kind, payload) => (kind, payload),
            Full::Counters(counters) => (2, write_counters(counters)),
        };
        let number = self.number;
        self.number += 1;
        Some(frame(kind, number, self.of, self.stamp, &payload))
    }
}

#[cfg(test)]
mod tests {
    use crate::{Attestation, Engine, MemberIndex, MemberTrust, Rules, Seed, Sight};
    use model::{Grade, Timestamp};
    use proptest::prelude::*;

    fn sight(engine: &mut Engine, value: u32, member: u16, at: i64) {
        let (observable, neighbourhood) =
            (engine.keys().observable(&value.to_le_bytes()), engine.keys().neighbourhood(&(value / 3).to_le_bytes()));
        let (at, grade) = (Timestamp::from_millis(at * 1000), Grade::Handshake);
        let member = MemberIndex(member);
        engine.sight(&Sight { observable, neighbourhood, member, at, grade, attested: Attestation::Signed }).unwrap();
    }

    const START: i64 = 1_767_225_600;

    fn engine(observables: u32) -> Engine {
        let members = [MemberTrust::VETTED; 5];
        let mut engine = Engine::new(Rules::default(), &members, Seed([7; 16])).unwrap();
        (0..observables).for_each(|value| sight(&mut engine, value, (value % 5) as u16, START));
        engine
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn what_happens_meanwhile_is_not_in_it(
            count in 0_u32..5_000,
            steps in prop::collection::vec((0_usize..3, 0_u32..6_000, 0_u16..5, 0_i64..90), 0..400),
        ) {
            let mut engine = engine(count);
            let whole = engine.snapshot();
            let mut saver = engine.begin_saving();
            let (mut saved, mut more, mut at) = (Vec::new(), true, START);
            for (saves, value, member, days) in steps {
                // Rarely so long that records are forgotten and their places used again.
                at += if days == 89 { 40 * 86_400 } else { days };
                let (key, now) = (engine.keys().observable(&value.to_le_bytes()), Timestamp::from_millis(at * 1000));
                match days % 17 {
                    3 => drop(engine.dispute_upheld(key, now)),
                    5 => drop(engine.retract(key, MemberIndex(member), now)),
                    7 => engine.lift_bar(key),
                    _ => sight(&mut engine, value, member, at),
                }
                for _ in 0..saves {
                    more = more && saver.step(&mut engine).unwrap();
                    saved.extend(saver.shard());
                }
            }
            while more {
                more = saver.step(&mut engine).unwrap();
            }
            saved.extend(std::iter::from_fn(|| saver.shard()));
            prop_assert!(saved == whole, "{} shards of {}", saved.len(), whole.len());
            prop_assert!(Engine::restore(Rules::default(), &saved).is_ok());
        }
    }

    #[test]
    fn a_snapshot_that_was_begun_anew_is_lost() {
        let mut engine = engine(100);
        let mut first = engine.begin_saving();
        let mut second = engine.begin_saving();
        assert!(first.step(&mut engine).is_err());
        assert!(second.step(&mut engine).is_ok());
        engine.end_saving();
        assert!(engine.begin_saving().step(&mut engine).is_ok());
    }
}

//! What was said, by what it speaks of: fed by a thread of its own with what is durable, and from the journal at the
//! start and where that thread falls behind.

use crate::core::Core;
use crate::error::Error;
use crate::problem::Problem;
use crate::taxii::from_kind;
use alliance::{Brief, Entry, Event, Objects, Report};
use model::{Finding, FindingId, MemberId, Observable, Sighting, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use share::search::{Key, Lookup, Sightings, mentions};
use share::taxii::Row;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// Entries read at a time.
const READ_MAX: usize = 1_024;
/// How often the journal is looked at where nothing is heard.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// What comes within this time is taken together: the sequencer does not wake this thread at every turn.
const GATHERED: Duration = Duration::from_millis(5);

/// Versions of findings that are kept, though a later one has taken their place, beside one for each finding.
const OUTDATED_MAX: usize = if cfg!(test) { 64 } else { 100_000 };

/// A version of a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    /// Of which finding.
    pub(crate) finding: FindingId,
    /// When it was made.
    pub(crate) made: Timestamp,
}

/// What can be found.
pub(crate) struct Search {
    sightings: RwLock<Sightings>,
    findings: RwLock<Lookup<Version>>,
    /// The latest version of each finding: earlier ones are forgotten now and then. The feeding thread's own.
    latest: Mutex<BTreeMap<FindingId, Timestamp>>,
    objects: RwLock<Lookup<()>>,
    ready: AtomicBool,
}

/// What a turn of the sequencer wrote, as far as it is searched.
pub(crate) struct Turned {
    /// The position after its last entry.
    pub(crate) to: u64,
    /// Its entries.
    pub(crate) count: u64,
    /// What they say.
    pub(crate) heard: Vec<Heard>,
}

/// What one entry says.
pub(crate) enum Heard {
    /// A report.
    Sightings { position: u64, member: MemberId, signed: bool, sightings: Vec<Sighting> },
    /// Findings that changed.
    Findings { position: u64, findings: Vec<(Key, Version)> },
    /// Objects that were shared, and what is known of them.
    Objects { position: u64, objects: Vec<Box<RawValue>>, briefs: Vec<Brief> },
}

impl Heard {
    /// What an entry says, if it is searched; a report's sightings where they are typed already.
    pub(crate) fn of(position: u64, event: Event) -> Option<Self> {
        match event {
            Event::SightingsReported(report) => Some(Self::report(position, &report, None)),
            Event::FindingsChanged { findings } => {
                let version = |finding: &Finding| {
                    (Key::of(&finding.observable), Version { finding: finding.id, made: finding.made })
                };
                Some(Self::Findings { position, findings: findings.iter().map(version).collect() })
            }
            Event::ObjectsShared(shared) => {
                let Objects { objects, briefs, .. } = *shared;
                Some(Self::Objects { position, objects, briefs })
            }
            _ => None,
        }
    }

    /// What a report says; its sightings where they are typed already.
    pub(crate) fn report(position: u64, report: &Report, typed: Option<Vec<Sighting>>) -> Self {
        // What stands in the journal was read before.
        let sightings = typed.or_else(|| report.sightings().ok()).unwrap_or_default();
        let signed = matches!(report, Report::Signed(_));
        Self::Sightings { position, member: report.member().clone(), signed, sightings }
    }
}

impl Search {
    /// Nothing yet; at least so many of the latest sightings will be found.
    pub(crate) fn keeping(sightings_max: u32) -> Self {
        Self {
            sightings: RwLock::new(Sightings::keeping(sightings_max as usize)),
            findings: RwLock::default(),
            latest: Mutex::default(),
            objects: RwLock::default(),
            ready: AtomicBool::new(false),
        }
    }

    /// Everything that the journal held at the start can be found?
    ///
    /// # Errors
    /// Unavailable: after a start with a long journal it takes a while.
    pub(crate) fn require_ready(&self) -> Result<(), Problem> {
        match self.ready.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(Problem::unavailable("what can be searched is still being made from the journal")),
        }
    }

    pub(crate) fn sightings(&self) -> RwLockReadGuard<'_, Sightings> {
        read(&self.sightings)
    }

    pub(crate) fn findings(&self) -> RwLockReadGuard<'_, Lookup<Version>> {
        read(&self.findings)
    }

    pub(crate) fn objects(&self) -> RwLockReadGuard<'_, Lookup<()>> {
        read(&self.objects)
    }

    fn take(&self, heard: Heard) {
        match heard {
            Heard::Sightings { position, member, signed, sightings } => {
                write(&self.sightings).add(position, &member, signed, &sightings);
            }
            Heard::Findings { position, findings } => {
                let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
                let mut all = write(&self.findings);
                for (at, (key, version)) in findings.into_iter().enumerate() {
                    all.add(key, Row::sequence_of(position, at), version);
                    latest.insert(version.finding, version.made);
                }
                if all.len() > 2 * latest.len() + OUTDATED_MAX {
                    all.retain(|version| latest.get(&version.finding) == Some(&version.made));
                }
            }
            Heard::Objects { position, objects, briefs } => {
                let mut known = briefs.into_iter().map(|brief| brief.mentions);
                let named: Vec<Vec<Observable>> =
                    objects.iter().map(|object| named(object, known.next().flatten())).collect();
                let mut all = write(&self.objects);
                for (at, named) in named.into_iter().enumerate() {
                    let place = Row::sequence_of(position, at);
                    if named.is_empty() {
                        all.add(Key::Nothing, place, ());
                    }
                    named.iter().for_each(|observable| all.add(Key::of(observable), place, ()));
                }
            }
        }
    }
}

/// The observables by which an object is found, as far as they are not known.
fn named(object: &RawValue, known: Option<Vec<Observable>>) -> Vec<Observable> {
    debug_assert!(known.as_ref().is_none_or(|known| *known == mentions(object)), "{object}");
    known.unwrap_or_else(|| mentions(object))
}

/// The thread that takes in what the sequencer wrote, until that one ends.
pub(crate) fn follow(core: &Core, heard: &Receiver<Turned>) {
    let mut next = 0;
    loop {
        match catch_up(core, next) {
            Ok(at) => next = at,
            Err(error) => {
                tracing::error!(%error, "what can be searched cannot be made: search answers that it is away");
                return;
            }
        }
        core.search.ready.store(true, Ordering::Release);
        loop {
            match hear(heard) {
                Ok(turned) if turned.to <= next => {}
                Ok(turned) if turned.to - turned.count == next => {
                    turned.heard.into_iter().for_each(|heard| core.search.take(heard));
                    next = turned.to;
                }
                // Something was not heard.
                Ok(_) => break,
                Err(RecvTimeoutError::Timeout) if core.journal.head().unwrap_or(next) > next => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}

/// What came, or what comes next.
fn hear(heard: &Receiver<Turned>) -> Result<Turned, RecvTimeoutError> {
    heard.try_recv().or_else(|_| {
        std::thread::sleep(GATHERED);
        heard.recv_timeout(LOOK_AGAIN)
    })
}

/// Takes in what the journal holds from a position on; gives the next one.
fn catch_up(core: &Core, from: u64) -> Result<u64, Error> {
    let (mut next, most) = (from, u64::from(core.config.search.sightings_max));
    // Sightings that are still to come.
    let mut left = if from == 0 { core.read(alliance::Alliance::sightings).unwrap_or(0) } else { 0 };
    while next < core.journal.head()? && !core.stopping.load(Ordering::Acquire) {
        for record in core.journal.read(next, READ_MAX)? {
            next = record.position + 1;
            if !is_searched(&record.entry) {
                continue;
            }
            let old = if left > most { signed_count(&record.entry) } else { 0 };
            if left.saturating_sub(old) >= most && old > 0 {
                // It would be forgotten again: enough come after it.
                left -= old;
                continue;
            }
            let entry = Entry::from_bytes(&record.entry)
                .map_err(|refusal| Error::Broken(format!("journal entry {}: {refusal}", record.position)))?;
            let Some(heard) = Heard::of(record.position, entry.event) else { continue };
            if let Heard::Sightings { sightings, .. } = &heard {
                left = left.saturating_sub(sightings.len() as u64);
            }
            core.search.take(heard);
        }
    }
    Ok(next)
}

fn is_searched(entry: &[u8]) -> bool {
    let kind = from_kind(entry);
    ["sightings-reported\"", "findings-changed\"", "objects-shared\""].iter().any(|k| kind.starts_with(k.as_bytes()))
}

/// How many sightings a signed report has, without reading them; 0 for other entries.
fn signed_count(entry: &[u8]) -> u64 {
    #[derive(Deserialize)]
    struct Shape {
        event: EventShape,
    }
    #[derive(Deserialize)]
    struct EventShape {
        body: Body,
    }
    #[derive(Deserialize)]
    struct Body {
        signed: Signed,
    }
    #[derive(Deserialize)]
    struct Signed {
        header: Header,
    }
    #[derive(Deserialize)]
    struct Header {
        count: u64,
    }
    serde_json::from_slice::<Shape>(entry).map_or(0, |shape| shape.event.body.signed.header.count)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    // Things are added whole.
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Span;

    fn version(n: u64, made: i64) -> (Key, Version) {
        let finding = FindingId::of(&model::Digest::of(&[&n.to_be_bytes()]));
        (Key::V4(n as u32, 32), Version { finding, made: Timestamp::MIN.plus(Span::millis(made)) })
    }

    #[test]
    fn a_finding_that_changes_for_ever_takes_the_room_of_a_few_versions() {
        let search = Search::keeping(1_000);
        for position in 0..2_000 {
            let findings = vec![version(position % 10, position as i64)];
            search.take(Heard::Findings { position, findings });
        }
        assert!(search.findings().len() <= 2 * 10 + OUTDATED_MAX + 1, "{}", search.findings().len());
        let all = share::search::Ask { ranges: None, before: None, limit: 1_000 };
        let late = |version: &Version| version.made.since(Timestamp::MIN).as_millis() >= 1_990;
        let found = search.findings().find(&all, |_, _, version| late(version).then_some(*version));
        assert_eq!(found.things.len(), 10, "the latest of each are there");
    }
}

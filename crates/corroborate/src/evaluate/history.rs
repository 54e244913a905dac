//! A recorded history made ready for replay: sorted, numbered, with the day from which on it is scored.

use super::rows::{self, Row};
use crate::engine::{Attestation, Engine, MemberIndex, Sight};
use crate::error::Error;
use crate::key::{Keys, NeighbourhoodKey, ObservableKey, Seed};
use crate::rules::{MemberTrust, Rules};
use model::{Grade, Observable, Timestamp};
use std::collections::BTreeMap;

/// Milliseconds of a day.
pub(crate) const DAY_MS: i64 = 86_400_000;
/// Days at the start of a history without a warm-up file that only fill state.
const WARM_DAYS: i64 = 14;

/// Evaluations draw no secrets: nobody searches for keys of recorded data.
const SEED: Seed = Seed(*b"evaluation only.");

/// One sighting of a history.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Event {
    pub at: i64,
    pub value: u32,
    pub member: u16,
    /// From the scored file, not from the warm-up.
    pub scored: bool,
    /// It named a page, not a whole host.
    pub narrow: bool,
}

/// A history, sorted by time.
#[derive(Clone, Debug)]
pub struct History {
    pub(crate) events: Vec<Event>,
    pub(crate) members: Vec<String>,
    pub(crate) values: Vec<String>,
    pub(crate) keys: Vec<ObservableKey>,
    pub(crate) near: Vec<NeighbourhoodKey>,
    /// The first scored day, since 1970.
    pub(crate) start: i64,
}

impl History {
    /// A history of `rows`, after `warm`, which only fills state. Without `warm` the first 14 days do that.
    ///
    /// # Errors
    /// [`Error::Refused`] when nothing is left to score, or there are too many members.
    pub fn new(rows: &[Row], warm: Option<&[Row]>) -> Result<Self, Error> {
        Self::with_values(rows, warm, |row| row.value.clone())
    }

    /// The same, where the observable of a row is what `value_of` says.
    pub(crate) fn with_values(
        rows: &[Row],
        warm: Option<&[Row]>,
        value_of: impl Fn(&Row) -> String,
    ) -> Result<Self, Error> {
        let members = rows::members(rows.iter().chain(warm.unwrap_or_default()))?;
        let number: BTreeMap<&str, u16> = members.iter().zip(0..).map(|(name, i)| (name.as_str(), i)).collect();
        let all = warm.unwrap_or_default().iter().map(|row| (row, false)).chain(rows.iter().map(|row| (row, true)));
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|(row, _)| row.at);
        let mut values = Values::default();
        let event = |(row, scored): (&Row, bool)| Event {
            at: row.at.as_millis(),
            value: values.number(value_of(row)),
            member: number.get(row.member.as_str()).copied().unwrap_or_default(),
            scored,
            narrow: row.kind == "url" && names_a_page(&row.value),
        };
        let events: Vec<Event> = all.into_iter().map(event).collect();
        let first = events.iter().find(|event| event.scored);
        let first = first.ok_or_else(|| Error::refused("rows", 0, "at least one to score"))?.at / DAY_MS;
        let start = if warm.is_some() { first } else { first + WARM_DAYS };
        Ok(Self::numbered(events, members, values.names, start))
    }

    fn numbered(events: Vec<Event>, members: Vec<String>, values: Vec<String>, start: i64) -> Self {
        let maker = Keys::new(SEED);
        let keys = values.iter().map(|value| maker.observable(value.as_bytes())).collect();
        let near = values.iter().map(|value| {
            value.parse::<Observable>().map_or(NeighbourhoodKey::NONE, |known| maker.neighbourhood_of(&known))
        });
        Self { near: near.collect(), events, members, values, keys, start }
    }

    /// How many sightings it holds.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// An engine for its members, all of them vetted.
    pub(crate) fn engine(&self, rules: &Rules) -> Result<Engine, Error> {
        Engine::new(rules.clone(), &vec![MemberTrust::VETTED; self.members.len()], SEED)
    }

    /// A sighting as the engine takes it: every recorded one counts as a signed completed connection.
    pub(crate) fn sight(&self, event: &Event) -> Sight {
        Sight {
            observable: self.keys[event.value as usize],
            neighbourhood: self.near[event.value as usize],
            member: MemberIndex(event.member),
            at: Timestamp::from_millis(event.at),
            grade: Grade::Handshake,
            attested: Attestation::Signed,
        }
    }
}

/// Whether a URL names more than its host.
fn names_a_page(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split_once('/').is_some_and(|(_, page)| !page.trim_matches('/').is_empty())
}

/// Values by the order of their first appearance.
#[derive(Default)]
struct Values {
    names: Vec<String>,
    numbers: BTreeMap<String, u32>,
}

impl Values {
    fn number(&mut self, name: String) -> u32 {
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        number
    }
}

//! Matches patterns against observations: finds observations, all different, that satisfy the pattern together.

use super::tree::{Comparison, Observations, Pattern, Test};
use super::values;
use crate::stix::StixTime;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most steps of one search. A pattern of few words can ask for more combinations than there are atoms.
const STEPS_MAX: usize = 2_000_000;

/// What was observed at one time: the objects of one `observed-data`.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When it was first seen.
    pub first: StixTime,
    /// When it was last seen.
    pub last: StixTime,
    /// How many times; each can satisfy one observation expression.
    pub number: u32,
    /// The objects that were observed, by identifier.
    pub roots: Vec<String>,
    /// All objects that references may lead to, by identifier.
    pub objects: Rc<BTreeMap<String, Value>>,
}

/// Why a pattern cannot be said to match or not.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Undecided {
    /// A regular expression that needs looking around or back, or is too large.
    #[error("the regular expression `{0}` cannot be evaluated")]
    Expression(String),
    /// A time was asked for, and the observation has something else there.
    #[error("the observation's `{0}` is not a time")]
    Time(String),
    /// The search would take too long.
    #[error("more than {STEPS_MAX} combinations")]
    TooMany,
}

/// The places of the observations that satisfy `pattern` together, in the pattern's order; `None` if none do.
///
/// # Errors
/// See [`Undecided`].
pub fn matches(pattern: &Pattern, observations: &[Observation]) -> Result<Option<Vec<usize>>, Undecided> {
    let left = observations.iter().map(|observation| observation.number).collect();
    let mut search = Search { observations, left, chosen: Vec::new(), steps: 0 };
    let found = search.expression(&pattern.root, &mut |_| Ok(true))?;
    Ok(found.then_some(search.chosen))
}

type Found = Result<bool, Undecided>;

/// Goes on with the rest of the pattern once a part of it is satisfied.
type Then<'t, 'a> = &'t mut dyn FnMut(&mut Search<'a>) -> Found;

/// A search that goes back where it cannot go on. `chosen` is what was picked so far; it is left as it is on success.
struct Search<'a> {
    observations: &'a [Observation],
    /// How often each may still be chosen.
    left: Vec<u32>,
    chosen: Vec<usize>,
    steps: usize,
}

impl<'a> Search<'a> {
    fn expression(&mut self, expression: &'a Observations, then: Then<'_, 'a>) -> Found {
        let from = self.chosen.len();
        match expression {
            Observations::One(comparison) => self.one(comparison, 0, then),
            Observations::All(parts) => self.all(parts, then),
            Observations::Any(parts) => {
                for part in parts {
                    if self.expression(part, then)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Observations::Followed(parts) => self.followed(parts, from, then),
            Observations::Within(part, seconds) => {
                self.expression(part, &mut |search| Ok(search.within(from, seconds.nanos) && then(search)?))
            }
            Observations::During(part, start, stop) => {
                self.expression(part, &mut |search| Ok(search.during(from, start.time, stop.time) && then(search)?))
            }
            Observations::Repeats(part, times) => self.repeats(part, *times, 0, then),
        }
    }

    /// Tries each observation from place `from` on.
    fn one(&mut self, comparison: &'a Comparison, from: usize, then: Then<'_, 'a>) -> Found {
        for place in from..self.observations.len() {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                return Err(Undecided::TooMany);
            }
            if self.left[place] == 0 || !satisfies(&self.observations[place], comparison)? {
                continue;
            }
            self.left[place] -= 1;
            self.chosen.push(place);
            if then(self)? {
                return Ok(true);
            }
            self.chosen.pop();
            self.left[place] += 1;
        }
        Ok(false)
    }

    fn all(&mut self, parts: &'a [Observations], then: Then<'_, 'a>) -> Found {
        match parts {
            [] => then(self),
            [first, rest @ ..] => self.expression(first, &mut |search| search.all(rest, then)),
        }
    }

    /// Each part can be after all before it: their latest beginning is not after its earliest end.
    fn followed(&mut self, parts: &'a [Observations], from: usize, then: Then<'_, 'a>) -> Found {
        let [first, rest @ ..] = parts else { return then(self) };
        let here = self.chosen.len();
        self.expression(first, &mut |search| {
            let (before, this) = (&search.chosen[from..here], &search.chosen[here..]);
            let latest = before.iter().map(|place| search.observations[*place].first).max();
            let earliest = this.iter().map(|place| search.observations[*place].last).min();
            let in_order = latest.zip(earliest).is_none_or(|(latest, earliest)| latest <= earliest);
            Ok(in_order && search.followed(rest, from, then)?)
        })
    }

    /// Repetitions of one comparison are tried in the order of the observations only: all orders would come to the
    /// same.
    fn repeats(&mut self, part: &'a Observations, times: u32, from: usize, then: Then<'_, 'a>) -> Found {
        match part {
            _ if times == 0 => then(self),
            Observations::One(comparison) => self.one(comparison, from, &mut |search| {
                let place = search.chosen.last().copied().unwrap_or(0);
                search.repeats(part, times - 1, place, then)
            }),
            _ => self.expression(part, &mut |search| search.repeats(part, times - 1, 0, then)),
        }
    }

    /// Is there a stretch of this length that touches all that was chosen since `from`? If so, one that begins at the
    /// earliest end.
    fn within(&self, from: usize, nanos: i128) -> bool {
        let chosen = || self.chosen[from..].iter().map(|place| &self.observations[*place]);
        let Some(earliest) = chosen().map(|observation| observation.last).min() else { return true };
        chosen().all(|observation| observation.first.nanos_since(earliest) <= nanos)
    }

    /// From `start`, until before `stop`.
    fn during(&self, from: usize, start: StixTime, stop: StixTime) -> bool {
        let touches = |place: &usize| {
            let observation = &self.observations[*place];
            observation.first < stop && observation.last >= start
        };
        start < stop && self.chosen[from..].iter().all(touches)
    }
}

/// Is there one object of the observation that satisfies the comparison?
fn satisfies(observation: &Observation, comparison: &Comparison) -> Found {
    Ok(roots(observation, comparison)?.contains(&true))
}

/// Which of the observation's objects satisfy the comparison.
fn roots(observation: &Observation, comparison: &Comparison) -> Result<Vec<bool>, Undecided> {
    let combine = |parts: &[Comparison], with: fn(&mut bool, bool)| {
        let mut parts = parts.iter().map(|part| roots(observation, part));
        let first = parts.next().unwrap_or_else(|| Ok(Vec::new()))?;
        parts.try_fold(first, |mut left, right| {
            left.iter_mut().zip(right?).for_each(|(left, right)| with(left, right));
            Ok(left)
        })
    };
    match comparison {
        Comparison::Test(test) => observation.roots.iter().map(|id| of_test(observation, id, test)).collect(),
        Comparison::All(parts) => combine(parts, |left, right| *left &= right),
        Comparison::Any(parts) => combine(parts, |left, right| *left |= right),
    }
}

fn of_test(observation: &Observation, id: &str, test: &Test) -> Found {
    let Some(object) = observation.objects.get(id) else { return Ok(false) };
    if object.get("type").and_then(Value::as_str) != Some(test.path.kind.as_str()) {
        return Ok(false);
    }
    let values = values::select(object, &test.path.steps, &observation.objects)?;
    values::holds(&values, test)
}

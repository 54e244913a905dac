//! The alerts of a CrowdSec local API, read from where they were left: what to ask next, without its sockets.
//!
//! `GET /v1/alerts` answers the newest first and knows no place to go on from, only spans before now. So the last
//! minute is asked for again, and what was taken of it is known by its number.

use crate::limits::Limits;
use crate::loose::moment;
use crate::stix::fault;
use model::{ParseError, Span, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most alerts that are asked for at once. CrowdSec 1.4.6 never answers one that asks for a hundred or more than there
/// are: fewer than its pages of 100, or all with 0.
pub const LIMIT: usize = 90;
/// Most alerts of one look; of more the oldest are passed over, and that is said.
pub const ALERTS_MAX: usize = 9_000;
/// Alerts are numbered and dated by different hands: so far back they are asked for again.
const OVERLAP: Span = Span::minutes(1);
/// Numbers that are remembered.
const SEEN_MAX: usize = 8_192;

/// How far alerts were read.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// When the newest one that was taken was made.
    pub newest: Option<Timestamp>,
    /// Numbers of those of the last minute before.
    pub seen: VecDeque<u64>,
}

/// One look, from the newest alert back to what is known.
#[derive(Clone, Debug)]
pub struct Look {
    place: Place,
    /// Nothing older is wanted.
    since: Option<Timestamp>,
    /// Goes on with what was made up to here.
    until: Option<Timestamp>,
    limit: usize,
    /// Is everything asked for at once?
    all: bool,
    /// Was an answer too large?
    is_large: bool,
    /// By when they were made and their numbers: in this order they are handed over.
    found: BTreeMap<(Timestamp, u64), Box<RawValue>>,
}

/// What a look has come to.
#[derive(Debug)]
pub struct Found {
    /// New alerts, the oldest first, each as it came.
    pub alerts: Vec<Box<RawValue>>,
    /// How far it is now.
    pub place: Place,
    /// Were there more than are looked at?
    pub passed_over: bool,
}

#[derive(Deserialize)]
struct Known<'a> {
    id: u64,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
}

/// What an answer leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Ask again, for what is older.
    Older,
    /// That was all.
    Done,
    /// That was enough: what is older is passed over.
    Enough,
}

impl Look {
    /// A look from `place`; `since` where there is none yet.
    pub fn new(place: Place, since: Option<Timestamp>) -> Self {
        let since = place.newest.map(|newest| newest.minus(OVERLAP)).or(since);
        Self { place, since, until: None, limit: LIMIT, all: false, is_large: false, found: BTreeMap::new() }
    }

    /// The parameters of the next request: spans before `now`, the bounds included.
    pub fn ask(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let before =
            |time: Timestamp, margin: i64| format!("{}s", (now.since(time).as_millis() / 1_000 + margin).max(0));
        let mut pairs = vec![("limit", if self.all { 0 } else { self.limit }.to_string())];
        pairs.extend(self.since.map(|since| ("since", before(since, 1))));
        pairs.extend(self.until.map(|until| ("until", before(until, -1))));
        pairs
    }

    /// An answer was too large: fewer are asked for. False where it was one alert.
    pub const fn ask_for_less(&mut self) -> bool {
        let less = self.all || self.limit > 1;
        if !self.all {
            self.limit = if self.limit > 1 { self.limit / 2 } else { 1 };
        }
        self.all = false;
        self.is_large = true;
        less
    }

    /// Takes an answer. What is no alert is handed over as it came, for who reads alerts to refuse.
    ///
    /// # Errors
    /// The answer is no list of alerts, or one of them has no number and time.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Turn, ParseError> {
        let limits = Limits { bytes: 32 << 20, objects: 100_000, ..Limits::FILE };
        let text = limits.json(bytes)?;
        // An empty answer is `null`.
        let alerts: Vec<&RawValue> = if text.trim() == "null" { Vec::new() } else { fault::read("alerts", text)? };
        limits.count("alerts", alerts.len())?;
        let (count, before) = (alerts.len(), self.found.len());
        let mut oldest: Option<Timestamp> = None;
        for alert in alerts {
            let known: Known<'_> = fault::read("alert", alert.get())?;
            let made = moment("created_at", &known.created_at)?;
            oldest = Some(oldest.map_or(made, |oldest| oldest.min(made)));
            self.found.insert((made, known.id), alert.to_owned());
        }
        let news = self.found.len() > before;
        // As many as were asked for: there may be older ones.
        if self.all {
            return Ok(self.cut());
        }
        if count < self.limit {
            return Ok(Turn::Done);
        }
        if self.found.len() >= ALERTS_MAX {
            return Ok(Turn::Enough);
        }
        // Nothing new among them: all of one second, and spans lead no further. Only all at once does.
        if !news && self.is_large {
            return Ok(Turn::Enough);
        }
        self.all = !news;
        self.until = oldest;
        Ok(Turn::Older)
    }

    /// Passes over the oldest where everything at once was too much.
    fn cut(&mut self) -> Turn {
        let turn = if self.found.len() > ALERTS_MAX { Turn::Enough } else { Turn::Done };
        while self.found.len() > ALERTS_MAX {
            drop(self.found.pop_first());
        }
        turn
    }

    /// What was found and is new.
    pub fn done(self, last: Turn) -> Found {
        let seen: BTreeSet<u64> = self.place.seen.iter().copied().collect();
        let earliest = self.since;
        let newest = self.found.keys().next_back().map(|(made, _)| *made).max(self.place.newest);
        let mut place = Place { newest, seen: self.place.seen };
        let mut alerts = Vec::new();
        for ((made, id), alert) in self.found {
            if !seen.contains(&id) && earliest.is_none_or(|earliest| made >= earliest) {
                alerts.push(alert);
                place.seen.push_back(id);
            }
        }
        let beyond = place.seen.len().saturating_sub(SEEN_MAX);
        drop(place.seen.drain(..beyond));
        Found { alerts, place, passed_over: last == Turn::Enough }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        "2026-05-05T10:00:00Z".parse::<Timestamp>().unwrap().plus(Span::seconds(second))
    }

    /// An API with alerts of these seconds, numbered from 1.
    struct Api(Vec<i64>);

    impl Api {
        fn answer(&self, pairs: &[(&'static str, String)], now: Timestamp) -> Vec<u8> {
            let span = |name: &str| {
                let (_, text) = pairs.iter().find(|(known, _)| *known == name)?;
                Some(now.minus(Span::seconds(text.strip_suffix('s').unwrap().parse().unwrap())))
            };
            let (since, until) = (span("since"), span("until"));
            let limit = Some(pairs[0].1.parse().unwrap()).filter(|limit| *limit > 0).unwrap_or(usize::MAX);
            assert!(limit < 100 || limit == usize::MAX, "such a one is never answered");
            let all = self.0.iter().enumerate().map(|(n, second)| (at(*second), n + 1));
            let mut fit: Vec<_> = all
                .filter(|(made, _)| {
                    since.is_none_or(|since| *made >= since) && until.is_none_or(|until| *made <= until)
                })
                .collect();
            fit.sort_by_key(|alert| std::cmp::Reverse(*alert));
            let shown: Vec<_> =
                fit.iter().take(limit).map(|(made, id)| json!({"id": id, "created_at": made, "n": 1.50})).collect();
            if shown.is_empty() { b"null".to_vec() } else { serde_json::to_vec(&shown).unwrap() }
        }

        fn look(&self, place: Place, now: Timestamp) -> (Vec<u64>, Place, bool) {
            let mut look = Look::new(place, None);
            let last = loop {
                match look.take(&self.answer(&look.ask(now), now)).unwrap() {
                    Turn::Older => {}
                    last => break last,
                }
            };
            let found = look.done(last);
            let number = |alert: &RawValue| serde_json::from_str::<Known<'_>>(alert.get()).unwrap().id;
            (found.alerts.iter().map(|alert| number(alert)).collect(), found.place, found.passed_over)
        }
    }

    #[test]
    fn every_alert_is_taken_once_in_order_also_those_that_are_numbered_late() {
        let mut api = Api((0..2_500).map(|n| n / 10).collect());
        let (taken, place, _) = api.look(Place::default(), at(250));
        assert_eq!(taken, (1..=2_500).collect::<Vec<u64>>());
        let text = serde_json::to_string(&place).unwrap();
        let place: Place = serde_json::from_str(&text).unwrap();
        assert!(api.look(place.clone(), at(260)).0.is_empty(), "an idle look brings nothing");
        // Made thirty seconds ago, written only now; and one of the last second.
        api.0.extend([230, 249, 400]);
        let (taken, place, _) = api.look(place, at(401));
        assert_eq!(taken, [2_501, 2_502, 2_503]);
        assert!(api.look(place, at(402)).0.is_empty());
    }

    #[test]
    fn a_flood_is_cut_at_its_oldest_end_and_said() {
        let api = Api((0..30_000).collect());
        let (taken, place, passed_over) = api.look(Place::default(), at(30_000));
        assert!(passed_over && taken.len() >= ALERTS_MAX && taken.last() == Some(&30_000));
        assert!(place.seen.len() <= SEEN_MAX);
    }

    #[test]
    fn more_of_one_second_than_one_answer_holds_are_asked_for_at_once() {
        let mut seconds = vec![5, 6];
        seconds.extend([7; 3_000]);
        let (taken, _, passed_over) = Api(seconds.clone()).look(Place::default(), at(10));
        assert_eq!((taken, passed_over), ((1..=3_002).collect::<Vec<u64>>(), false));
        let (taken, _, passed_over) = Api(vec![7; 30_000]).look(Place::default(), at(10));
        assert!(passed_over && taken.len() >= ALERTS_MAX);
        // Where that is too large to be answered, what is left over is said.
        let mut look = Look::new(Place::default(), None);
        assert!(look.ask_for_less());
        let last = loop {
            match look.take(&Api(seconds.clone()).answer(&look.ask(at(10)), at(10))).unwrap() {
                Turn::Older => {}
                last => break last,
            }
        };
        assert_eq!((last, look.done(last).alerts.len()), (Turn::Enough, LIMIT / 2));
    }

    #[test]
    fn what_is_no_list_of_alerts_is_refused() {
        for none in ["{}", "[7]", r#"[{"id":1}]"#, r#"[{"id":1,"created_at":"soon"}]"#, "["] {
            assert!(Look::new(Place::default(), None).take(none.as_bytes()).is_err(), "{none}");
        }
        assert_eq!(
            Look::new(Place::default(), Some(at(0))).ask(at(10)),
            [("limit", "90".into()), ("since", "11s".into())]
        );
    }
}

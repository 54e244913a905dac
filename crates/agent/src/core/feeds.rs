//! What pulls and pushes have come to: how far each is, and what became of everything. Written down together with the
//! sightings that came of it, so that a restart neither loses nor repeats one.

use super::state::Record;
use super::{AlarmKind, Core, Output};
use model::{Grade, Refusal, Rule, Salt, Sighting, Span, Timestamp};
use serde::{Deserialize, Serialize};
use share::misp::feed::Change;
use share::taxii::Place;
use std::collections::BTreeMap;

/// Most counters of one feed; what is beyond is counted as `other`.
const COUNTERS_MAX: usize = 128;
/// Most sightings that are heard at once.
pub const FED_SIGHTINGS_MAX: usize = model::sighting::BATCH_SIGHTINGS_MAX;

/// How far a feed has come, in its own terms.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// In a TAXII collection.
    Taxii(Place),
    /// In the alerts of a CrowdSec local API.
    Alerts(share::crowdsec::alerts::Place),
    /// In a MISP feed.
    Misp(share::misp::feed::Place),
    /// In a MISP feed, by what has changed. In news alone: what is remembered is whole.
    MispChange(Change),
}

impl Mark {
    /// Goes on to here from where a feed was.
    pub(crate) fn follow(self, from: &mut Option<Self>) {
        let change = match self {
            Self::MispChange(change) => change,
            whole => return *from = Some(whole),
        };
        match from {
            Some(Self::Misp(place)) => place.change(&change),
            _ => *from = Some(Self::Misp(share::misp::feed::Place(change.taken))),
        }
    }
}

/// One feed, as it is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fed {
    /// How far it is; none before the first time.
    pub mark: Option<Mark>,
    /// When something was taken, or nothing new was found, for the last time.
    pub last: Option<Timestamp>,
    /// What became of everything since the first time, by outcome: `objects`, `sightings`, `echo`, `refused:…`, …
    pub counts: BTreeMap<String, u64>,
}

/// News of one feed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FedNews {
    /// Its name.
    pub feed: String,
    /// How far it is now.
    pub mark: Mark,
    /// When.
    pub at: Timestamp,
    /// What is to be added to its counters.
    pub counts: BTreeMap<String, u64>,
}

impl Fed {
    fn take(&mut self, news: FedNews) {
        news.mark.follow(&mut self.mark);
        self.last = Some(news.at);
        for (what, count) in news.counts {
            let full = self.counts.len() >= COUNTERS_MAX && !self.counts.contains_key(&what);
            let key = if full { "other".to_owned() } else { what };
            let counter = self.counts.entry(key).or_default();
            *counter = counter.saturating_add(count);
        }
    }
}

/// Takes news into what is remembered.
pub(super) fn remember(feeds: &mut BTreeMap<String, Fed>, news: FedNews) {
    feeds.entry(news.feed.clone()).or_default().take(news);
}

impl Core {
    /// What came of a feed. All of it, or nothing: without room for every sighting it is refused and tried again.
    pub(super) fn on_fed(&mut self, mut news: FedNews, sightings: Vec<(Salt, Sighting)>) {
        if sightings.len() > FED_SIGHTINGS_MAX {
            let limit = format!("{FED_SIGHTINGS_MAX} at once");
            return self.refuse(Refusal::new(Rule::TooLarge, format_args!("{} sightings", sightings.len()), limit));
        }
        if let Some(full) = self.full() {
            return self.refuse(full);
        }
        let grade = sightings.iter().map(|(_, sighting)| sighting.grade).min().unwrap_or(Grade::Analyst);
        let room = self.state.outbox.admit(grade, sightings.len(), self.settings.outbox_sightings_max);
        if let Err(refusal) = room {
            let text = format!("Feed {} waits: {refusal}. Is the hub reachable?", news.feed);
            self.alarm(AlarmKind::OutboxFull, &text);
            return self.refuse(refusal);
        }
        let sightings = sightings.into_iter().map(|(salt, sighting)| (salt, self.within_reach(sighting))).collect();
        let (openings, refused) = self.admitted(sightings);
        *news.counts.entry("sightings".to_owned()).or_default() += openings.len() as u64;
        for rule in refused {
            *news.counts.entry(format!("refused:{rule}")).or_default() += 1;
        }
        if !openings.is_empty() {
            self.persist(Record::Heard(openings));
        }
        let told = format!("{} is written down", news.feed);
        self.persist(Record::Fed(Box::new(news)));
        self.out.push(Output::Done(told));
    }

    /// What is said to hold since long ago holds since the earliest time that the charter lets a report begin; the
    /// hub does the same with objects.
    fn within_reach(&self, sighting: Sighting) -> Sighting {
        let Some(law) = &self.law else { return sighting };
        let past = law.charter.limits.skew_past_max;
        // A tenth is left for the way to the hub.
        let earliest = self.now.minus(past).plus(Span::millis(past.as_millis() / 10));
        let first = sighting.first.max(earliest).min(sighting.last);
        Sighting { first, ..sighting }
    }
}

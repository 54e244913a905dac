//! STIX objects into the words: what was seen, what is disputed, what is taken back; and of every object what became
//! of it.

use super::body::{Body, Indicator, ObservedData, Said, Sighting as Seen};
use super::evidence::{Claims, Ours, times};
use super::head::{Head, SpecVersion, Text};
use super::kind::Kind;
use super::marking::Markings;
use super::time::StixTime;
use super::{back, sco, upgrade};
use crate::meaning;
use crate::pattern::{Pattern, Reduction};
use crate::reading::{Defaults, Reading, Silent, Skip, Word};
use crate::search::mentions;
use model::{Behaviour, FindingId, Ground, Observable, ParseError, Sighting};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};

/// What is looked at of observables for each word that there is room for.
const LOOKS_PER_WORD: usize = 16;
/// Longest reason of a dispute, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What is known beside the objects themselves.
pub struct Context<'a> {
    /// For what the objects do not say.
    pub defaults: &'a Defaults,
    /// Known markings; those that come along are learned on the way.
    pub markings: Markings,
    /// The finding for which an indicator of ours stands.
    pub finding: &'a dyn Fn(&str) -> Option<FindingId>,
    /// Nothing may be made after this: now, and a little for clocks that go ahead.
    pub latest: StixTime,
    /// Most observables of sightings and of retractions: few objects can refer to the same many ones again and again.
    pub words_max: usize,
}

/// Reads objects into words. STIX 2.0 is brought forward first. One bad object does not spoil the others.
pub fn read(objects: &[&RawValue], context: Context<'_>) -> Reading {
    read_with(objects.iter().map(|object| Head::read(object)), context)
}

/// As [`read`], of objects whose heads were read before.
pub fn read_with<'a>(heads: impl Iterator<Item = Result<Head<'a>, ParseError>>, mut context: Context<'_>) -> Reading {
    let mut reading = Reading::default();
    let (mut current, mut old) = (Vec::with_capacity(heads.size_hint().0), Vec::new());
    for (place, head) in heads.enumerate() {
        match head {
            Ok(head) if head.spec == SpecVersion::V20 => match upgrade::upgrade(&head) {
                Ok(newer) => old.extend(newer.into_iter().map(|object| (place, object))),
                Err(error) => reading.refused.push((place, error)),
            },
            Ok(head) => current.push((place, head)),
            Err(error) => reading.refused.push((place, error)),
        }
    }
    let as_they_came = current.len();
    for (place, object) in &old {
        match Head::read(object) {
            Ok(head) => current.push((*place, head)),
            Err(error) => reading.refused.push((*place, error)),
        }
    }
    let mut items = Vec::with_capacity(current.len());
    for (at, (place, head)) in current.into_iter().enumerate() {
        let body = head
            .not_after(context.latest)
            .and_then(|()| if head.kind == Kind::MarkingDefinition { context.markings.learn(&head) } else { Ok(()) });
        match body.and_then(|()| Body::read(&head)) {
            Ok(body) => items.push(Item { place, as_it_came: at < as_they_came, head, body, meant: OnceCell::new() }),
            Err(error) => reading.refused.push((place, error)),
        }
    }
    reading.words.reserve(items.len());
    Reader::new(&items, &context).read(&items, &mut reading);
    reading.mentions = items.iter().filter_map(|item| Some((item.place, item.mentions()?))).collect();
    reading
}

/// An object with its head and body.
struct Item<'a> {
    place: usize,
    /// Was it not brought forward?
    as_it_came: bool,
    head: Head<'a>,
    body: Body<'a>,
    meant: OnceCell<Meant>,
}

/// What an indicator's pattern comes to; none in another language.
type Meant = Result<Option<Reduction>, ParseError>;

impl Item<'_> {
    /// What the pattern of an indicator comes to, reduced once.
    fn reduction(&self, indicator: &Indicator<'_>) -> &Meant {
        self.meant.get_or_init(|| {
            let is_stix = matches!(indicator.pattern_type.as_deref(), None | Some("stix"));
            let reduce = || Pattern::parse(&indicator.pattern, self.head.spec).map(|pattern| Reduction::of(&pattern));
            is_stix.then(reduce).transpose()
        })
    }

    /// The observables by which it is found; none of what was brought forward, which is not what is stored.
    fn mentions(&self) -> Option<Vec<Observable>> {
        let mentions = match &self.body {
            Body::Indicator(indicator) => match self.reduction(indicator) {
                Ok(Some(reduction)) => mentions::of_reduction(reduction),
                Ok(None) | Err(_) => Vec::new(),
            },
            Body::Observable(object) => sco::observable(self.head.kind, object).into_iter().collect(),
            _ => Vec::new(),
        };
        self.as_it_came.then_some(mentions)
    }
}

struct Reader<'a> {
    context: &'a Context<'a>,
    /// Of each object the newest version.
    by_id: BTreeMap<&'a str, &'a Item<'a>>,
    /// Objects of which a sighting or the observed data of one is here.
    sighted: BTreeSet<&'a str>,
    /// Observables that may still be said.
    words_left: Cell<usize>,
    /// Observables that may still be looked at.
    looks_left: Cell<usize>,
}

impl<'a> Reader<'a> {
    fn new(items: &'a [Item<'a>], context: &'a Context<'a>) -> Self {
        let mut by_id: BTreeMap<&'a str, &'a Item<'a>> = BTreeMap::new();
        for item in items {
            let newest = by_id.entry(&item.head.id).or_insert(item);
            if newest.head.version() < item.head.version() {
                *newest = item;
            }
        }
        let sightings = items.iter().filter_map(|item| match &item.body {
            Body::Sighting(seen) => Some(seen),
            _ => None,
        });
        let ids = |seen: &'a Seen<'a>| {
            std::iter::once(&*seen.sighting_of_ref).chain(seen.observed_data_refs.iter().map(|id| &**id))
        };
        Self {
            context,
            by_id,
            sighted: sightings.flat_map(ids).collect(),
            words_left: Cell::new(context.words_max),
            looks_left: Cell::new(context.words_max.saturating_mul(LOOKS_PER_WORD)),
        }
    }

    fn read(&self, items: &[Item<'_>], reading: &mut Reading) {
        for item in items {
            reading.take(item.place, self.words(item));
        }
    }

    fn words(&self, item: &Item<'_>) -> Result<Vec<Word>, Silent> {
        if self.by_id.get(&*item.head.id).is_some_and(|newest| newest.head.version() > item.head.version()) {
            return Err(Skip::Superseded.into());
        }
        match &item.body {
            Body::Indicator(indicator) => self.indicator(item, indicator),
            Body::ObservedData(data) => self.observed(item, data),
            Body::Sighting(seen) => self.seen(item, seen),
            Body::Said(said) if item.head.kind == Kind::Opinion => self.opinion(said),
            _ => Err(Skip::Context.into()),
        }
    }

    fn indicator(&self, item: &Item<'_>, indicator: &Indicator<'_>) -> Result<Vec<Word>, Silent> {
        let ours = Ours::read(&indicator.extensions)?;
        if let Some(finding) = (self.context.finding)(&item.head.id) {
            let reason = "The indicator was revoked".to_owned();
            let dispute = Word::Dispute { finding, ground: Ground::FalsePositive, reason };
            return if item.head.revoked { Ok(vec![dispute]) } else { Err(Skip::Finding.into()) };
        }
        if ours.finding || leads_back(item) {
            return Err(Skip::Finding.into());
        }
        let observables = self.meant(item, indicator)?;
        let behaviour = ours.behaviour.or_else(|| of_indicator(indicator));
        if item.head.revoked {
            return self.taken_back(observables, behaviour);
        }
        let from = StixTime::parse("valid_from", &indicator.valid_from)?;
        let until = indicator.valid_until.as_deref().map(|text| StixTime::parse("valid_until", text)).transpose()?;
        if until.is_some_and(|until| until <= from) {
            let found = indicator.valid_until.as_deref().unwrap_or("");
            return Err(ParseError::new("valid_until", found, format_args!("after `valid_from`, {from}")).into());
        }
        if until.is_some_and(|until| until <= self.context.latest) {
            return Err(Skip::Expired.into());
        }
        if self.sighted.contains(&*item.head.id) {
            return Err(Skip::Sighted.into());
        }
        let last = item.head.version().unwrap_or(from);
        let claims = Claims { behaviour, first: from.min(last), last, count: 1, ours };
        self.sightings(item, observables, &claims)
    }

    /// The observables that an indicator means by themselves.
    fn meant(&self, item: &Item<'_>, indicator: &Indicator<'_>) -> Result<BTreeSet<Observable>, Silent> {
        match item.reduction(indicator) {
            Err(error) => Err(error.clone().into()),
            Ok(None) => Err(Skip::OtherLanguage.into()),
            Ok(Some(reduction)) if reduction.any_of.is_empty() => Err(Skip::NotReducible.into()),
            Ok(Some(reduction)) => {
                take(&self.looks_left, reduction.any_of.len())?;
                Ok(reduction.any_of.clone())
            }
        }
    }

    fn observed(&self, item: &Item<'_>, data: &ObservedData<'_>) -> Result<Vec<Word>, Silent> {
        let ours = Ours::read(&data.extensions)?;
        if ours.finding || leads_back(item) {
            return Err(Skip::Finding.into());
        }
        let behaviour = ours.behaviour.or_else(|| meaning::behaviour(data.labels.iter().map(|label| &**label)));
        let observables = self.remote(data)?;
        if item.head.revoked {
            return self.taken_back(observables, behaviour);
        }
        if self.sighted.contains(&*item.head.id) {
            return Err(Skip::Sighted.into());
        }
        let (first, last) = times(data)?;
        self.sightings(item, observables, &Claims { behaviour, first, last, count: data.number_observed, ours })
    }

    /// The observables of observed data, without the addresses to which its traffic went: those are the victim's.
    fn remote(&self, data: &ObservedData<'_>) -> Result<BTreeSet<Observable>, Silent> {
        take(&self.looks_left, data.object_refs.len())?;
        let scos = || {
            let items = data.object_refs.iter().filter_map(|id| self.by_id.get(&**id));
            items.filter_map(|item| match &item.body {
                Body::Observable(object) => Some((&*item.head.id, item.head.kind, object)),
                _ => None,
            })
        };
        if scos().next().is_none() {
            return Err(Skip::Unresolved.into());
        }
        let traffic = || scos().filter(|(_, kind, _)| *kind == Kind::NetworkTraffic);
        let side = |name: &'static str| traffic().filter_map(move |(_, _, object)| object.get(name)?.as_str());
        let (sources, targets): (BTreeSet<&str>, BTreeSet<&str>) =
            (side("src_ref").collect(), side("dst_ref").collect());
        let remote = scos().filter(|(id, ..)| sources.contains(id) || !targets.contains(id));
        let found: BTreeSet<Observable> =
            remote.filter_map(|(_, kind, object)| sco::observable(kind, object)).collect();
        match found.is_empty() {
            true => Err(Skip::NoObservable.into()),
            false => Ok(found),
        }
    }

    fn seen(&self, item: &Item<'_>, seen: &Seen<'_>) -> Result<Vec<Word>, Silent> {
        let mut ours = Ours::read(&seen.extensions)?;
        if ours.finding || leads_back(item) {
            return Err(Skip::Finding.into());
        }
        if seen.count == Some(0) {
            return Err(Skip::NotSeen.into());
        }
        let data: Vec<&ObservedData<'_>> = seen.observed_data_refs.iter().filter_map(|id| self.data(id)).collect();
        let of = self.by_id.get(&*seen.sighting_of_ref);
        let indicator =
            of.and_then(|of| if let Body::Indicator(indicator) = &of.body { Some((*of, indicator)) } else { None });
        let meant = indicator.map(|(of, indicator)| self.meant(of, indicator)).transpose()?;
        let observables = self.which(&data, meant)?;
        for data in &data {
            ours = ours.or(Ours::read(&data.extensions)?);
        }
        let labels = seen.labels.iter().chain(data.iter().flat_map(|data| &data.labels)).map(|label| &**label);
        let behaviour = ours.behaviour.or_else(|| meaning::behaviour(labels));
        let behaviour = behaviour.or_else(|| indicator.and_then(|(_, indicator)| of_indicator(indicator)));
        if item.head.revoked {
            return self.taken_back(observables, behaviour);
        }
        let (first, last) = self.when(item, seen, &data)?;
        let number = data.iter().map(|data| data.number_observed).fold(0, u32::saturating_add);
        let claims = Claims { behaviour, first, last, count: seen.count.unwrap_or(number).max(1), ours };
        self.sightings(item, observables, &claims)
    }

    fn data(&self, id: &Text<'_>) -> Option<&ObservedData<'_>> {
        match &self.by_id.get(&**id)?.body {
            Body::ObservedData(data) => Some(data),
            _ => None,
        }
    }

    /// What was seen: what the data holds of what the indicator means; without data the indicator must mean one thing.
    fn which(
        &self,
        data: &[&ObservedData<'_>],
        meant: Option<BTreeSet<Observable>>,
    ) -> Result<BTreeSet<Observable>, Silent> {
        let mut held = BTreeSet::new();
        for data in data {
            held.extend(self.remote(data)?);
        }
        match meant {
            Some(meant) if !held.is_empty() => {
                let both: BTreeSet<_> = held.into_iter().filter(|seen| meant.contains(seen)).collect();
                if both.is_empty() { Err(Skip::NoObservable.into()) } else { Ok(both) }
            }
            Some(meant) if meant.len() == 1 => Ok(meant),
            Some(_) => Err(Skip::Ambiguous.into()),
            None if held.is_empty() => Err(Skip::Unresolved.into()),
            None => Ok(held),
        }
    }

    /// The sighting's own times, else those of its data, else when it was written.
    fn when(
        &self,
        item: &Item<'_>,
        seen: &Seen<'_>,
        data: &[&ObservedData<'_>],
    ) -> Result<(StixTime, StixTime), ParseError> {
        let own = |field, text: &Option<Cow<'_, str>>| text.as_deref().map(|t| StixTime::parse(field, t)).transpose();
        let (first, last) = (own("first_seen", &seen.first_seen)?, own("last_seen", &seen.last_seen)?);
        let spans = data.iter().map(|data| times(data)).collect::<Result<Vec<_>, _>>()?;
        let written = item.head.version().unwrap_or(self.context.latest);
        let last = last.or_else(|| spans.iter().map(|(_, last)| *last).max()).or(first).unwrap_or(written);
        let first = first.or_else(|| spans.iter().map(|(first, _)| *first).min()).unwrap_or(last);
        match last < first {
            true => Err(ParseError::new("last_seen", &last.to_string(), format_args!("not before {first}"))),
            false => Ok((first, last)),
        }
    }

    fn taken_back(&self, observables: BTreeSet<Observable>, behaviour: Option<Behaviour>) -> Result<Vec<Word>, Silent> {
        take(&self.words_left, observables.len())?;
        Ok(vec![Word::Retraction { observables, behaviour }])
    }

    fn sightings(
        &self,
        item: &Item<'_>,
        observables: BTreeSet<Observable>,
        claims: &Claims,
    ) -> Result<Vec<Word>, Silent> {
        let defaults = self.context.defaults;
        let handling = self.context.markings.of(&item.head, &defaults.handling)?;
        if handling.tlp == model::Tlp::Red {
            return Err(ParseError::new("object_marking_refs", "TLP:RED", "CLEAR, GREEN, AMBER or AMBER+STRICT").into());
        }
        if claims.last > self.context.latest {
            let limit = format!("not after {}", self.context.latest);
            return Err(ParseError::new("last seen", &claims.last.to_string(), limit).into());
        }
        let behaviour = claims.behaviour.or(defaults.behaviour).ok_or(Skip::NoBehaviour)?;
        take(&self.words_left, observables.len())?;
        let (first, last) = (claims.first.word("first seen")?, claims.last.word("last seen")?);
        let sighting = |observable| Sighting {
            observable,
            behaviour,
            first,
            last,
            count: claims.count.max(1),
            sensor: claims.ours.sensor.unwrap_or(defaults.sensor),
            grade: claims.ours.grade.unwrap_or(defaults.grade),
            handling: handling.clone(),
        };
        Ok(observables.into_iter().map(|observable| Word::Sighting(sighting(observable))).collect())
    }

    fn opinion(&self, said: &Said<'_>) -> Result<Vec<Word>, Silent> {
        let findings: Vec<FindingId> = said.object_refs.iter().filter_map(|id| (self.context.finding)(id)).collect();
        if findings.is_empty() {
            return Err(Skip::Context.into());
        }
        let word: fn(FindingId, &Said<'_>) -> Word = match said.opinion.as_deref() {
            Some("strongly-disagree" | "disagree") => |finding, said| {
                let stale = said.labels.iter().any(|label| &**label == "stale");
                let own = said.labels.iter().any(|label| &**label == "own-asset");
                let ground = match (own, stale) {
                    (true, _) => Ground::OwnAsset,
                    (_, true) => Ground::Stale,
                    _ => Ground::FalsePositive,
                };
                let reason = said.text.as_deref().unwrap_or("The sender disagrees and does not say why");
                Word::Dispute { finding, ground, reason: reason.chars().take(REASON_CHARS_MAX).collect() }
            },
            Some("strongly-agree" | "agree") => |finding, _| Word::Agreement { finding },
            Some("neutral") => return Err(Skip::Context.into()),
            other => {
                let allowed = "strongly-disagree, disagree, neutral, agree, strongly-agree";
                return Err(ParseError::new("opinion", other.unwrap_or(""), allowed).into());
            }
        };
        Ok(findings.into_iter().map(|finding| word(finding, said)).collect())
    }
}

/// Does it carry the way back to a finding or plan, whatever its identifier is by now? Then it is no evidence.
fn leads_back(item: &Item<'_>) -> bool {
    back::references(&item.head).next().is_some()
}

/// Takes from what is left, if there is that much.
fn take(left: &Cell<usize>, count: usize) -> Result<(), Skip> {
    left.set(left.get().checked_sub(count).ok_or(Skip::TooMany)?);
    Ok(())
}

fn of_indicator(indicator: &Indicator<'_>) -> Option<Behaviour> {
    let words = indicator.labels.iter().chain(&indicator.indicator_types).map(|word| &**word);
    meaning::behaviour(words.chain(indicator.kill_chain_phases.iter().map(|phase| &*phase.phase_name)))
}

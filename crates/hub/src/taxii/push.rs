//! Adding objects (TAXII 2.1 §5.5): each is read, kept as it came or refused with its reason, and what it says as
//! evidence is drawn from it. One bad object does not spoil the others.

use super::answer::{Trouble, body};
use super::roots::{Access, Asking, access, shown};
use super::store::{Fate, IMMUTABLE};
use super::stored::{self, Found, Whose};
use super::{ask, reserved, subjects};
use crate::core::Core;
use crate::intake::{self, Bounds, Packed};
use alliance::{Brief, Said, Share, Shared};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use model::{FindingId, Grade, Observable, ParseError, Sensor, Sighting, Span, Timestamp, Tlp};
use serde::Deserialize;
use serde_json::value::RawValue;
use share::stix::{Context, Head, Kind, Markings, Split, StixTime};
use share::taxii::cursor;
use share::taxii::index::print;
use share::taxii::resources::{Details, Status};
use share::{Defaults, Limits, Reading, Skip, Word};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most objects of the collection that are read because an object that is added refers to them.
const REFERRED_MAX: usize = 1_000;
/// Reports are held against the clock once more when they are ordered: what is just not too old here is not then.
const ORDERED_WITHIN: Span = Span::minutes(2);
/// What is said of an object of the alliance's own that somebody sends back.
const HEARD: &str = "heard, and not kept: the alliance alone writes the objects of its findings and plans";
/// Longest identifier that an answer repeats, in characters.
const ID_CHARS_MAX: usize = 288;

/// `POST /taxii2/{root}/collections/{id}/objects/`
pub(crate) async fn add(
    State(core): State<Arc<Core>>,
    asking: Asking,
    Path((root, id)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Trouble> {
    let (parts, incoming) = request.into_parts();
    ask::acceptable(&parts.headers)?;
    let access = access(&core, asking, &root, &id)?;
    let caller = access.writer()?.clone();
    ask::readable(&parts.headers)?;
    core.require_writable()?;
    let limits = &core.config.limits;
    let bounds = Bounds { bytes_max: limits.body_bytes_max, time_max: limits.body_time_max.to_std() };
    let packed = intake::read(&parts.headers, incoming, bounds).await?;
    let came = core.clock.now();
    let mut prepared = prepared(&core, access, packed, came).await?;
    let count = u32::try_from(prepared.charge()).unwrap_or(u32::MAX);
    let per_minute = core.gate.pass().charter()?.limits.sightings_per_minute_max;
    core.quotas.sightings(&caller.member, count, per_minute, came)?;
    if let Some(share) = prepared.share.take() {
        prepared.settle(weighed(&core, core.submit_share(share).await?).await?);
    }
    let id = random_id()?;
    let status = prepared.status(id.clone(), came);
    // Texts and numbers: serde_json cannot fail on them.
    let json = serde_json::to_vec(&status).unwrap_or_default();
    core.taxii.statuses.keep(id, &caller.member, root, &json, came);
    Ok(body(StatusCode::ACCEPTED, json))
}

/// Reads a request: here if it is short and refers to nothing that the journal would have to be read for, else in a
/// worker. Two changes of threads cost more than a short request does.
async fn prepared(core: &Arc<Core>, access: Access, packed: Packed, came: Timestamp) -> Result<Prepared, Trouble> {
    if packed.is_short()
        && let Some(prepared) = prepare(core, &access, packed.as_it_came(), came, Stored::Left)?
    {
        return Ok(prepared);
    }
    let read = move |core: &Core| {
        let bytes = packed.unpack()?;
        Ok(prepare(core, &access, &bytes, came, Stored::Read))
    };
    let prepared = core.work(read).await??;
    Ok(prepared.ok_or_else(|| crate::problem::Problem::unavailable("the work on this request failed"))?)
}

/// What became of each object, once those that stand there with other bytes were held against these.
async fn weighed(core: &Arc<Core>, fates: BTreeMap<usize, Fate>) -> Result<BTreeMap<usize, Fate>, Trouble> {
    if !fates.values().any(|fate| matches!(fate, Fate::Other(..))) {
        return Ok(fates);
    }
    let weigh = |core: &Core| Ok(fates.into_iter().map(|(place, fate)| (place, core.taxii.weigh(fate))).collect());
    Ok(core.work(weigh).await?)
}

/// What is done of stored objects that a request refers to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stored {
    /// They are read from the journal.
    Read,
    /// They are left: whether there are any is all that is wanted.
    Left,
}

/// A UUID of version 4 (RFC 9562 §5.4).
fn random_id() -> Result<String, Trouble> {
    let random = crate::directory::random::<16>();
    let mut bytes = random.map_err(|_| crate::problem::Problem::unavailable("no random bytes"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(share::stix::id::uuid_text(&bytes))
}

/// What is known of a request before it is ordered, and after.
struct Prepared {
    /// Identifier and version of each object.
    objects: Vec<(String, String)>,
    /// Why objects are refused.
    refused: BTreeMap<usize, String>,
    /// What there is to say of those that are not.
    notes: BTreeMap<usize, String>,
    /// What is to be ordered.
    share: Option<Box<Share>>,
}

impl Prepared {
    /// What it takes of the member's minute: one for each object, and one for each sighting beyond an object's first.
    fn charge(&self) -> usize {
        let sightings = self.share.iter().flat_map(|share| &share.sightings).map(|(place, _)| place);
        let speakers: BTreeSet<&usize> = sightings.clone().collect();
        self.objects.len() + sightings.count() - speakers.len()
    }

    fn settle(&mut self, fates: BTreeMap<usize, Fate>) {
        for (place, fate) in fates {
            match fate {
                Fate::Added | Fate::Heard => {}
                Fate::Same => drop(self.notes.insert(place, "it was there before".to_owned())),
                Fate::Refused(why) => drop(self.refused.insert(place, why.to_owned())),
                Fate::Other(..) => drop(self.refused.insert(place, IMMUTABLE.to_owned())),
            }
        }
    }

    fn status(mut self, id: String, came: Timestamp) -> Status {
        let (mut successes, mut failures) = (Vec::new(), Vec::new());
        for (place, (id, version)) in self.objects.into_iter().enumerate() {
            match self.refused.remove(&place) {
                Some(why) => failures.push(Details::new(id, version, Some(why))),
                None => successes.push(Details::new(id, version, self.notes.remove(&place))),
            }
        }
        Status::complete(id, cursor::text(came.as_millis() * 1_000), successes, failures)
    }
}

/// Reads a request; none where it refers to stored objects and they are to be left.
///
/// # Errors
/// The body is no envelope: 422, and nothing is stored.
fn prepare(
    core: &Core,
    access: &Access,
    bytes: &[u8],
    now: Timestamp,
    stored: Stored,
) -> Result<Option<Prepared>, Trouble> {
    let limits = Limits { bytes: bytes.len(), depth: core.config.limits.json_depth_max as usize, ..Limits::ENVELOPE };
    let split = Split::read(bytes, &limits).map_err(|error| Trouble::unprocessable(&error))?;
    if split.objects.is_empty() {
        let error = ParseError::new("objects", "none", "an envelope with one object or more");
        return Err(Trouble::unprocessable(&error));
    }
    let caller = access.writer()?;
    let mut reader = Reader { stored, ..Reader::new(core, access, now)? };
    let heads = reader.heads(&split.objects);
    let mut objects = reader.shared(&heads);
    let (mut retractions, mut objections) = (Vec::new(), Vec::new());
    let (words, mut mentions) = reader.words(&split.objects, &heads)?;
    for object in &mut objects {
        let known = mentions.binary_search_by_key(&object.place, |(place, _)| *place);
        object.brief.mentions = known.ok().and_then(|at| Some(std::mem::take(&mut mentions.get_mut(at)?.1)));
    }
    let mut sightings = Vec::with_capacity(words.len());
    for (place, word) in words {
        match word {
            Word::Sighting(sighting) => sightings.extend(reader.timely(place, sighting)),
            Word::Retraction { observables, behaviour } => {
                retractions.extend(observables.into_iter().map(|observable| (place, observable, behaviour)));
            }
            Word::Dispute { finding, ground, reason } => objections.push((place, finding, ground, reason)),
            Word::Agreement { .. } => {}
        }
    }
    if reader.lacks.get() {
        return Ok(None);
    }
    let heard = retractions.iter().map(|(place, ..)| *place).chain(objections.iter().map(|(place, ..)| *place));
    reader.hear(&objects, &heard.collect());
    let Reader { refused, notes, .. } = reader;
    let mut share = Share {
        collection: access.shelf,
        member: caller.member.clone(),
        by: shown(caller),
        objects,
        sightings,
        retractions,
        objections,
    };
    share.retain(|object| !refused.contains_key(&object.place));
    let named = split.objects.iter().zip(&heads).map(|(object, head)| match head {
        Some(head) => (
            head.id.clone().into_owned(),
            head.version().map_or_else(|| cursor::text(now.as_millis() * 1_000), |v| v.to_string()),
        ),
        None => (id_of(object), cursor::text(now.as_millis() * 1_000)),
    });
    let objects = named.collect();
    let share = (!share.objects.is_empty()).then(|| Box::new(share));
    Ok(Some(Prepared { objects, refused, notes, share }))
}

/// The identifier of an object that cannot be read, as far as it has one.
fn id_of(object: &RawValue) -> String {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let id = serde_json::from_str::<Id<'_>>(object.get()).map_or_else(|_| "unknown".into(), |object| object.id);
    id.chars().take(ID_CHARS_MAX).collect()
}

/// What objects say, each with its place.
type Words = Vec<(usize, Word)>;
/// By what objects are found, in the order of their places.
type Mentions = Vec<(usize, Vec<Observable>)>;

/// Reads the objects of one request.
struct Reader<'a> {
    core: &'a Core,
    access: &'a Access,
    defaults: Defaults,
    markings: Markings,
    /// Nothing is made after this.
    latest: Timestamp,
    /// Most sightings of one envelope: what fits one report, and one for each object in any case.
    words_max: usize,
    /// What was seen before this is no evidence any more.
    earliest: Timestamp,
    refused: BTreeMap<usize, String>,
    notes: BTreeMap<usize, String>,
    stored: Stored,
    /// Stored objects were wanted and left.
    lacks: Cell<bool>,
}

impl<'a> Reader<'a> {
    fn new(core: &'a Core, access: &'a Access, now: Timestamp) -> Result<Self, Trouble> {
        let charter = access.pass.charter()?;
        // A member says so under its own name: nobody else can have forged it. What a machine saw says so itself, in
        // our extension.
        let defaults = Defaults {
            handling: access.default_handling(),
            behaviour: None,
            sensor: Sensor::Analyst,
            grade: Grade::Analyst,
        };
        Ok(Self {
            core,
            access,
            defaults,
            markings: access.pass.markings.clone(),
            latest: now.plus(charter.limits.skew_future_max),
            words_max: (charter.limits.batch_sightings_max as usize).max(Limits::ENVELOPE.objects),
            earliest: now.minus(charter.limits.skew_past_max).plus(ORDERED_WITHIN),
            refused: BTreeMap::new(),
            notes: BTreeMap::new(),
            stored: Stored::Read,
            lacks: Cell::new(false),
        })
    }

    /// The heads of objects that have a good one; markings that come along are learned.
    fn heads<'o>(&mut self, objects: &[&'o RawValue]) -> Vec<Option<Head<'o>>> {
        let latest = StixTime::from(self.latest);
        let caller = self.access.caller.as_ref().map(|caller| &caller.member);
        let mut heads = Vec::with_capacity(objects.len());
        for (place, object) in objects.iter().enumerate() {
            let head = Head::read(object).and_then(|head| head.not_after(latest).map(|()| head));
            let head = head.and_then(|head| self.access.pass.identities.admit(&head, caller).map(|()| head));
            let head = head.and_then(|head| match head.kind {
                Kind::MarkingDefinition => self.markings.learn(&head).map(|()| head),
                _ => Ok(head),
            });
            heads.push(head.map_err(|error| drop(self.refused.insert(place, error.to_string()))).ok());
        }
        self.learn_stored(&heads);
        heads
    }

    /// Of what the alliance alone writes, what objects or takes back is heard, and nothing is kept.
    fn hear(&mut self, objects: &[Shared], heard: &BTreeSet<usize>) {
        for object in objects.iter().filter(|object| !object.kept) {
            if heard.contains(&object.place) {
                self.notes.insert(object.place, HEARD.to_owned());
            } else {
                self.refused.entry(object.place).or_insert_with(|| reserved::refused(&object.brief.id).to_string());
            }
        }
    }

    /// Markings that the caller defined in this collection before: nobody else says what its markings mean.
    fn learn_stored(&mut self, heads: &[Option<Head<'_>>]) {
        let marked = heads.iter().flatten().flat_map(|head| &head.markings);
        let unknown: BTreeSet<&str> =
            marked.map(|id| &**id).filter(|id| !self.markings.knows(id)).take(REFERRED_MAX).collect();
        for text in self.stored(Whose::Own, &unknown).texts {
            let raw: Option<&RawValue> = serde_json::from_str(&text).ok();
            if let Some(head) = raw.and_then(|raw| Head::read(raw).ok()) {
                // One that says nothing we know stays unknown, and what refers to it is refused.
                let _ = self.markings.learn(&head);
            }
        }
    }

    /// Objects of the collection that are referred to.
    fn stored(&self, whose: Whose, ids: &BTreeSet<&str>) -> Found {
        if ids.is_empty() || self.stored == Stored::Left {
            self.lacks.set(!ids.is_empty() || self.lacks.get());
            return Found::default();
        }
        stored::find(self.core, self.access, whose, ids)
    }

    /// The objects that may be shared, with who may see them.
    fn shared(&mut self, heads: &[Option<Head<'_>>]) -> Vec<Shared> {
        let mut objects = Vec::with_capacity(heads.len());
        for (place, head) in heads.iter().enumerate() {
            let Some(head) = head else { continue };
            match self.handling(head) {
                Ok(handling) => objects.push(Shared {
                    place,
                    brief: Brief {
                        id: head.id.clone().into_owned(),
                        spec: head.spec,
                        version: head.version(),
                        print: print(head.raw.get().as_bytes()),
                        mentions: None,
                    },
                    handling,
                    object: head.raw.to_owned(),
                    kept: !self.access.pass.identities.reserves(&head.id),
                }),
                Err(error) => drop(self.refused.insert(place, error.to_string())),
            }
        }
        objects
    }

    /// A marking that does not resolve could be RED; RED is not taken; another group has another API root.
    fn handling(&self, head: &Head<'_>) -> Result<model::Handling, ParseError> {
        let handling = self.markings.of(head, &self.defaults.handling)?;
        if handling.tlp == Tlp::Red {
            return Err(ParseError::new("object_marking_refs", "TLP:RED", "CLEAR, GREEN, AMBER or AMBER+STRICT"));
        }
        match handling.group == self.defaults.handling.group {
            true => Ok(handling),
            false => {
                let limit = "objects of this API root's audience; each sharing group has its own API root";
                Err(ParseError::new("object_marking_refs", &handling.to_string(), limit))
            }
        }
    }

    /// What the objects say. Those of the collection that they refer to are read with them.
    fn words(&mut self, objects: &[&RawValue], heads: &[Option<Head<'_>>]) -> Result<(Words, Mentions), Trouble> {
        let good: Vec<usize> = (0..objects.len()).filter(|place| !self.refused.contains_key(place)).collect();
        let of_others = |place: &&usize| {
            let kind = heads.get(**place).and_then(Option::as_ref).map(|head| head.kind);
            matches!(kind, Some(Kind::Sighting | Kind::ObservedData))
        };
        let refers: Vec<(usize, Vec<&str>)> =
            good.iter().filter(of_others).map(|place| (*place, references(objects[*place]))).collect();
        let here: BTreeSet<&str> = heads.iter().flatten().map(|head| &*head.id).collect();
        let named = refers.iter().flat_map(|(_, ids)| ids).copied();
        let Found { texts, left } = self.stored(Whose::Any, &named.filter(|id| !here.contains(id)).collect());
        let stored: Vec<&RawValue> = texts.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        // What is not refused has a head.
        let here = good.iter().filter_map(|place| heads.get(*place)?.clone()).map(Ok);
        let all = here.chain(stored.into_iter().map(Head::read));
        let finding = |id: &str| subjects::finding_of(self.core, self.access, id);
        let Reading { words, skipped, refused, mentions } = share::stix::read_with(all, self.context(&finding));
        for (at, error) in refused {
            good.get(at).map(|place| self.refused.insert(*place, error.to_string()));
        }
        for (at, skip) in skipped {
            good.get(at).zip(self.said(skip)).map(|(place, why)| self.notes.insert(*place, why));
        }
        let mut words: Words = words.into_iter().filter_map(|(at, word)| Some((*good.get(at)?, word))).collect();
        let half: BTreeSet<usize> =
            refers.iter().filter(|(_, ids)| ids.iter().any(|id| left.contains(*id))).map(|(place, _)| *place).collect();
        // What it refers to is known in part only: rather nothing than half of it.
        words.retain(|(place, _)| !half.contains(place));
        if let Some(why) = self.said(Skip::TooMany) {
            self.notes.extend(half.into_iter().map(|place| (place, why.clone())));
        }
        let mut mentions: Mentions =
            mentions.into_iter().filter_map(|(at, named)| Some((*good.get(at)?, named))).collect();
        mentions.sort_by_key(|(place, _)| *place);
        Ok((words, mentions))
    }

    fn context<'c>(&'c self, finding: &'c dyn Fn(&str) -> Option<FindingId>) -> Context<'c> {
        Context {
            defaults: &self.defaults,
            markings: self.markings.clone(),
            finding,
            latest: StixTime::from(self.latest),
            words_max: self.words_max,
        }
    }

    /// Why an object is no evidence, where its sender would want to know.
    fn said(&self, skip: Skip) -> Option<String> {
        let why = match skip {
            Skip::Context | Skip::Sighted | Skip::Superseded | Skip::Finding | Skip::NotSeen => return None,
            Skip::TooMany => format!("too many sightings at a time, at most {}: send fewer objects", self.words_max),
            other => other.as_str().to_owned(),
        };
        Some(format!("kept; no evidence: {why}"))
    }

    /// Evidence is from the time that reports may be from; what is said to hold since long ago holds since then.
    fn timely(&mut self, place: usize, sighting: Sighting) -> Option<(usize, Sighting)> {
        if sighting.last < self.earliest {
            let why = format!("kept; no evidence: last seen before {}", self.earliest);
            self.notes.insert(place, why);
            return None;
        }
        let first = sighting.first.max(self.earliest);
        Some((place, Sighting { first, ..sighting }))
    }
}

/// What a sighting or observed data refers to.
fn references(object: &RawValue) -> Vec<&str> {
    #[derive(Deserialize)]
    struct Refs<'a> {
        #[serde(borrow, rename = "type")]
        kind: &'a str,
        #[serde(borrow, default)]
        sighting_of_ref: Option<&'a str>,
        #[serde(borrow, default)]
        observed_data_refs: Vec<&'a str>,
        #[serde(borrow, default)]
        object_refs: Vec<&'a str>,
    }
    // Identifiers have no escapes: what cannot be borrowed is none.
    let Ok(refs) = serde_json::from_str::<Refs<'_>>(object.get()) else { return Vec::new() };
    let named: Vec<&str> = match refs.kind {
        "sighting" => refs.sighting_of_ref.into_iter().chain(refs.observed_data_refs).collect(),
        "observed-data" => refs.object_refs,
        _ => Vec::new(),
    };
    named.into_iter().take(REFERRED_MAX).collect()
}

/// What an object that is taken out had said as evidence.
pub(super) fn words_of(core: &Core, access: &Access, text: &str) -> Vec<Said> {
    let Ok(reader) = Reader::new(core, access, core.clock.now()) else { return Vec::new() };
    let Ok(object) = serde_json::from_str::<&RawValue>(text) else { return Vec::new() };
    let texts = reader.stored(Whose::Any, &references(object).into_iter().collect()).texts;
    let stored = texts.iter().filter_map(|text| serde_json::from_str::<&RawValue>(text).ok());
    let all: Vec<&RawValue> = std::iter::once(object).chain(stored).collect();
    let words = share::stix::read(&all, reader.context(&|_| None)).words;
    let own = words.into_iter().filter(|(place, _)| *place == 0);
    own.flat_map(|(_, word)| match word {
        Word::Sighting(sighting) => vec![(sighting.observable, Some(sighting.behaviour))],
        Word::Retraction { observables, behaviour } => {
            observables.into_iter().map(|observable| (observable, behaviour)).collect()
        }
        Word::Dispute { .. } | Word::Agreement { .. } => Vec::new(),
    })
    .collect()
}

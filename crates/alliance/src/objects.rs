//! Objects that members share as they are, STIX from other tools above all, and what they say in our words.
//!
//! Who shares them shows a credential and signs nothing: the hub vouches for the channel. So what is drawn from objects
//! informs people and is never what an agent acts upon; an objection is shown and does not count among those that a
//! person signed; only what a member takes back of its own holds, since it can but lift.

use crate::entry::{Author, Event, Report};
use crate::handle::{Drafted, REASON_CHARS_MAX};
use crate::state::Alliance;
use corroborate::{Guard, Reason};
use model::{
    Behaviour, CertificateId, Family, Finding, FindingId, Ground, Handling, MemberId, Observable, Refusal, Role, Rule,
    Sighting, Timestamp, Tlp, TokenId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use share::stix::{SpecVersion, StixTime};
use share::taxii::CollectionId;
use share::{Terms, Viewer};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Bytes of objects in one entry, roughly: whoever reads one of them unpacks all.
const ENTRY_OBJECT_BYTES: usize = 64 << 10;
/// Most objects in one entry.
const ENTRY_OBJECTS_MAX: usize = 1_000;

/// Bytes of observables in one drawn report, roughly: far below what an entry of the journal holds.
const REPORT_OBSERVABLE_BYTES: usize = 4 << 20;

/// What somebody showed that shared objects.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// A token.
    Token(TokenId),
    /// An agent's certificate.
    Certificate(CertificateId),
}

/// Objects of one member in one collection, under one handling.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// Where they were put.
    pub collection: CollectionId,
    /// Whose they are.
    pub member: MemberId,
    /// What was shown.
    pub by: Shown,
    /// The objects, byte for byte.
    pub objects: Vec<Box<RawValue>>,
    /// What is known of each since it came in, so that nobody has to read it again; empty in an entry from the journal.
    #[serde(skip)]
    pub briefs: Vec<Brief>,
}

/// What was found in an object when it came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brief {
    /// Its identifier.
    pub id: String,
    /// The standard it follows.
    pub spec: SpecVersion,
    /// Its version, if it has versions.
    pub version: Option<StixTime>,
    /// [`share::taxii::index::print`] of its bytes.
    pub print: u64,
    /// [`share::search::mentions`] of it, where that was found on the way.
    pub mentions: Option<Vec<Observable>>,
}

/// A member takes an object of its own out of a collection.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deleted {
    /// Where from.
    pub collection: CollectionId,
    /// Whose it was.
    pub member: MemberId,
    /// What was shown.
    pub by: Shown,
    /// Which object.
    pub id: String,
    /// Which of its versions; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

/// A member takes back what it reported of observables, through a tool that does not sign.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenBack {
    /// Whose reports.
    pub member: MemberId,
    /// What was shown.
    pub by: Shown,
    /// Of what, and as which family.
    pub reports: Vec<(Observable, Family)>,
}

/// A member objects to a finding through a tool that does not sign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objection {
    /// Who objects.
    pub member: MemberId,
    /// To which finding.
    pub finding: FindingId,
    /// On what ground.
    pub ground: Ground,
    /// In its words.
    pub reason: String,
    /// Who may see it, and whether its sender is named; absent in journals of before: as the finding, and named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handling: Option<Handling>,
}

/// An objection as somebody may see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ObjectionView {
    /// Who objects; none: a member that wishes to stay unnamed.
    pub member: Option<MemberId>,
    /// To which finding.
    pub finding: FindingId,
    /// On what ground.
    pub ground: Ground,
    /// In its words.
    pub reason: String,
}

/// An object to be shared, its head read.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Its place among those that were sent, from 0.
    pub place: usize,
    /// What was found in it.
    pub brief: Brief,
    /// Who may see it.
    pub handling: Handling,
    /// The object.
    pub object: Box<RawValue>,
    /// Does it come into the collection? Else it is heard only: what it takes back or objects to.
    pub kept: bool,
}

/// What a member shares at a time, with what it says in our words. What belongs to an object carries its place.
#[derive(Clone, Debug)]
pub struct Share {
    /// Into which collection.
    pub collection: CollectionId,
    /// Who shares.
    pub member: MemberId,
    /// What was shown.
    pub by: Shown,
    /// The objects.
    pub objects: Vec<Shared>,
    /// What was seen.
    pub sightings: Vec<(usize, Sighting)>,
    /// What is taken back.
    pub retractions: Vec<(usize, Observable, Option<Behaviour>)>,
    /// What is objected to.
    pub objections: Vec<(usize, FindingId, Ground, String)>,
}

/// What a member takes out of a collection.
#[derive(Clone, Debug)]
pub struct Unshare {
    /// The statement.
    pub deleted: Deleted,
    /// Who might see the object.
    pub handling: Handling,
    /// What it said, which is taken back with it.
    pub said: Vec<Said>,
}

/// An observable, and as which behaviour it was reported, where the object says so.
pub type Said = (Observable, Option<Behaviour>);

impl Share {
    /// Leaves out objects, with all that they say.
    pub fn retain(&mut self, keep: impl Fn(&Shared) -> bool) {
        self.objects.retain(keep);
        let places: std::collections::BTreeSet<usize> = self.objects.iter().map(|object| object.place).collect();
        self.sightings.retain(|(place, _)| places.contains(place));
        self.retractions.retain(|(place, ..)| places.contains(place));
        self.objections.retain(|(place, ..)| places.contains(place));
    }
}

impl Alliance {
    pub(crate) fn share(&self, share: Share, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let member = self.in_force()?.charter.member(&share.member)?;
        member.require(Role::Reporter)?;
        self.require_open(share.collection, &share.member)?;
        for object in &share.objects {
            self.admit_handling(&share.member, &object.handling)?;
        }
        let Share { collection, member, by, objects, sightings, retractions, objections } = share;
        let author = Author::Member(member.clone());
        let first = self.next_position();
        let audience: BTreeMap<usize, Handling> =
            objects.iter().map(|object| (object.place, object.handling.clone())).collect();
        let mut drafts: Vec<Drafted> = in_entries(objects.into_iter().filter(|object| object.kept))
            .into_iter()
            .map(|Together { handling, objects, briefs, .. }| {
                let shared = Objects { collection, member: member.clone(), by, objects, briefs };
                Drafted::by(author.clone(), handling, Event::ObjectsShared(Box::new(shared)))
            })
            .collect();
        drafts.extend(self.drawn(&member, first, sightings, now));
        let mut taken: BTreeMap<Handling, Vec<Said>> = BTreeMap::new();
        for (place, observable, behaviour) in retractions {
            let Some(handling) = audience.get(&place) else { continue };
            taken.entry(handling.clone()).or_default().push((observable, behaviour));
        }
        let taken = taken.into_iter();
        drafts.extend(taken.filter_map(|(handling, said)| self.taken_back(&member, by, handling, said, now)));
        drafts.extend(objections.into_iter().filter_map(|objection| {
            let handling = audience.get(&objection.0)?;
            self.objected(&member, objection, handling)
        }));
        Ok(drafts)
    }

    pub(crate) fn unshare(&self, unshare: Unshare, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let Unshare { deleted, handling, said } = unshare;
        self.in_force()?.charter.member(&deleted.member)?.require(Role::Reporter)?;
        let (member, by) = (deleted.member.clone(), deleted.by);
        let author = Author::Member(member.clone());
        let event = Event::ObjectsDeleted(Box::new(deleted));
        let mut drafts = vec![Drafted::by(author, handling.clone(), event)];
        drafts.extend(self.taken_back(&member, by, handling, said, now));
        Ok(drafts)
    }

    /// RED stays with its recipients; a group holds its author.
    fn admit_handling(&self, author: &MemberId, handling: &Handling) -> Result<(), Refusal> {
        if handling.tlp == Tlp::Red {
            return Err(Refusal::new(Rule::RedNotAccepted, handling, "clear, green, amber or amber+strict"));
        }
        crate::admit::require_group(&self.in_force()?.charter, author, handling)
    }

    /// Reports of what objects say that was seen: one for each audience. What a report could not hold is left out: the
    /// object stands all the same.
    fn drawn(&self, member: &MemberId, from: u64, sightings: Vec<(usize, Sighting)>, now: Timestamp) -> Vec<Drafted> {
        let admitted = sightings.into_iter().map(|(_, sighting)| sighting);
        let admitted = admitted.filter(|sighting| self.admit_sighting(member, sighting, now).is_ok());
        let mut audiences: BTreeMap<Handling, Vec<Sighting>> = BTreeMap::new();
        for sighting in together(admitted) {
            audiences.entry(sighting.handling.clone()).or_default().push(sighting);
        }
        let max = self.charter().map_or(0, |charter| charter.limits.batch_sightings_max as usize).max(1);
        let mut drafts = Vec::new();
        for (handling, sightings) in audiences {
            for part in in_reports(sightings, max) {
                let sightings = Some(part.clone());
                let report = Report::Drawn { member: member.clone(), from, sightings: part };
                let event = Event::SightingsReported(report);
                let author = Author::Member(member.clone());
                drafts.push(Drafted { author, handling: handling.clone(), event, sightings });
            }
        }
        drafts
    }

    /// Without a behaviour what was said of an observable is taken back in every family.
    fn taken_back(
        &self,
        member: &MemberId,
        by: Shown,
        handling: Handling,
        said: Vec<Said>,
        now: Timestamp,
    ) -> Option<Drafted> {
        let mut reports: Vec<(Observable, Family)> = Vec::new();
        for (observable, behaviour) in said {
            match behaviour {
                Some(behaviour) => reports.push((observable, behaviour.family())),
                None => reports.extend(Family::ALL.iter().map(|family| (observable.clone(), *family))),
            }
        }
        // What the table does not know of this member is no news.
        let number = self.number(member)?;
        reports.retain(|(observable, family)| {
            let truth = self.engine.truth(self.engine.keys().finding(observable, *family), now, &Guard::None);
            truth.reporters.iter().any(|r| r.member == number && r.inform_limited != Some(Reason::Retracted))
        });
        reports.sort();
        reports.dedup();
        let author = Author::Member(member.clone());
        let taken = TakenBack { member: member.clone(), by, reports };
        let any = !taken.reports.is_empty();
        any.then(|| Drafted::by(author, handling, Event::TakenBack(Box::new(taken))))
    }

    /// Did this member report it without its name?
    pub(crate) fn spoke_unnamed(&self, member: &MemberId, what: &Observable, family: Family, now: Timestamp) -> bool {
        let Some(number) = self.number(member) else { return false };
        let truth = self.engine.truth(self.engine.keys().finding(what, family), now, &Guard::None);
        truth.reporters.iter().any(|of| of.member == number && crate::place::is_unnamed(of.mark))
    }

    /// Only to what the member may see, and once; for those who may see both the finding and the objection.
    fn objected(
        &self,
        member: &MemberId,
        said: (usize, FindingId, Ground, String),
        handling: &Handling,
    ) -> Option<Drafted> {
        let (_, finding, ground, reason) = said;
        let known = self.finding(finding, Some(member))?;
        if self.objections(finding).iter().any(|objection| objection.member == *member) {
            return None;
        }
        let reason = reason.chars().take(REASON_CHARS_MAX).collect();
        let handling = known.handling.strictest(handling)?;
        let objection = Objection { member: member.clone(), finding, ground, reason, handling: Some(handling.clone()) };
        Some(Drafted::by(Author::Member(member.clone()), handling, Event::Objected(objection)))
    }

    /// What `viewer` may see of the objections to a finding; without a viewer it is the hub's own operator.
    pub(crate) fn objections_seen(&self, viewer: Option<&MemberId>, finding: &Finding) -> Vec<ObjectionView> {
        let seen = |objection: &Objection| {
            let handling = objection.handling.as_ref().unwrap_or(&finding.handling);
            let (own, unnamed) = (viewer == Some(&objection.member), handling.unnamed);
            if !own && !self.may_see(viewer, handling) {
                return None;
            }
            let terms = Terms { handling, group: None, author: Some(&objection.member), unnamed };
            let member = match viewer {
                Some(viewer) => share::shown_author(Viewer::Member(viewer), &terms),
                None => terms.author.filter(|_| !unnamed),
            };
            let Objection { finding, ground, ref reason, .. } = *objection;
            Some(ObjectionView { member: member.cloned(), finding, ground, reason: reason.clone() })
        };
        self.objections(finding.id).iter().filter_map(seen).collect()
    }

    /// What members object to a finding without a person's signature.
    pub fn objections(&self, finding: FindingId) -> &[Objection] {
        self.ledger.objections.get(&finding).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn take_objection(&mut self, objection: &Objection) {
        self.ledger.objections.entry(objection.finding).or_default().push(objection.clone());
    }

    pub(crate) fn take_back(&mut self, taken: &TakenBack, now: Timestamp) {
        for (observable, family) in &taken.reports {
            self.take_back_one(&taken.member, observable, *family, now);
        }
    }
}

/// Objects of one entry.
struct Together {
    handling: Handling,
    bytes: usize,
    objects: Vec<Box<RawValue>>,
    briefs: Vec<Brief>,
}

/// Objects in entries: each of one handling, and small enough to be read for the sake of one.
fn in_entries(objects: impl Iterator<Item = Shared>) -> Vec<Together> {
    let mut entries: Vec<Together> = Vec::new();
    for Shared { handling, object, brief, .. } in objects {
        let bytes = object.get().len();
        let room = |last: &&mut Together| {
            let (fits, few) = (last.bytes + bytes <= ENTRY_OBJECT_BYTES, last.objects.len() < ENTRY_OBJECTS_MAX);
            last.handling == handling && fits && few
        };
        match entries.last_mut().filter(room) {
            Some(last) => {
                last.bytes += bytes;
                last.objects.push(object);
                last.briefs.push(brief);
            }
            None => entries.push(Together { handling, bytes, objects: vec![object], briefs: vec![brief] }),
        }
    }
    entries
}

/// Sightings that differ in nothing but when and how often as one: several objects may speak of the same.
fn together(sightings: impl Iterator<Item = Sighting>) -> Vec<Sighting> {
    let (mut all, mut places): (Vec<Sighting>, BTreeMap<_, usize>) = (Vec::new(), BTreeMap::new());
    for seen in sightings {
        let (what, who) = ((seen.observable.clone(), seen.behaviour), (seen.sensor, seen.grade, seen.handling.clone()));
        match places.entry((what, who)) {
            Entry::Vacant(free) => {
                free.insert(all.len());
                all.push(seen);
            }
            Entry::Occupied(known) => {
                let Some(one) = all.get_mut(*known.get()) else { continue };
                one.first = one.first.min(seen.first);
                one.last = one.last.max(seen.last);
                one.count = one.count.saturating_add(seen.count);
            }
        }
    }
    all
}

/// Sightings in reports: each of at most so many, and short enough for an entry.
fn in_reports(sightings: Vec<Sighting>, max: usize) -> Vec<Vec<Sighting>> {
    let (mut reports, mut bytes): (Vec<Vec<Sighting>>, usize) = (Vec::new(), 0);
    for sighting in sightings {
        let own = match &sighting.observable {
            Observable::Url(url) => url.as_str().len(),
            Observable::Domain(name) => name.as_str().len(),
            _ => 0,
        };
        let fits = |last: &&mut Vec<Sighting>| last.len() < max && bytes + own <= REPORT_OBSERVABLE_BYTES;
        match reports.last_mut().filter(fits) {
            Some(last) => last.push(sighting),
            None => {
                reports.push(vec![sighting]);
                bytes = 0;
            }
        }
        bytes += own;
    }
    reports
}

/// The objects of an entry's bytes, without reading anything else of it; `None` for entries that hold none.
pub fn objects_of(entry: &[u8]) -> Option<Vec<&RawValue>> {
    #[derive(Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        event: Event<'a>,
    }
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        body: Body<'a>,
    }
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        objects: Vec<&'a RawValue>,
    }
    serde_json::from_slice::<Entry<'_>>(entry).ok().map(|entry| entry.event.body.objects)
}

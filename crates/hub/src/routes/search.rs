//! Searches: findings, sightings and objects by value, network or name, and by what else is known of them. Nothing is
//! looked through from end to end: a page looks at so much, and says where to go on.

use super::query::{Asked, answer, page};
use crate::core::Core;
use crate::gate::Caller;
use crate::problem::Problem;
use crate::wire::{FoundObject, FoundSighting, List};
use alliance::Author;
use axum::extract::State;
use axum::response::Response;
use model::{Behaviour, Finding, FindingState, GroupId, Handling, MemberId, Observable, Refusal, Rule, Timestamp, Tlp};
use serde::Deserialize;
use serde_json::value::RawValue;
use share::search::{Ask, Found, Key, Noted, Reach, ranges};
use share::stix::StixTime;
use share::taxii::{Index, Key as ObjectKey, Root, Row, cursor};
use share::{Terms, Viewer};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every search may be narrowed by: the value, who brought it, who may see it.
struct Narrowed {
    member: Option<MemberId>,
    tlp: Option<Tlp>,
    group: Option<GroupId>,
}

impl Narrowed {
    /// Whoever asks for what a member brought does not find what it brought without its name.
    fn wants(&self, viewer: &MemberId, member: &MemberId, handling: &Handling) -> bool {
        let named = named(viewer, member, handling);
        (self.member.is_none() || self.member.as_ref() == named) && self.wants_handling(handling)
    }

    fn wants_handling(&self, handling: &Handling) -> bool {
        self.tlp.is_none_or(|tlp| handling.tlp == tlp)
            && self.group.as_ref().is_none_or(|group| handling.group.as_ref() == Some(group))
    }
}

/// What is asked of the lookup.
fn ask(
    value: Option<&Observable>,
    reach: (Option<bool>, Option<bool>),
    after: Option<u64>,
    limit: Option<usize>,
) -> Result<Ask, Problem> {
    let limit = page(limit)?;
    let reach = Reach { below: reach.0.unwrap_or(false), above: reach.1.unwrap_or(false) };
    if value.is_none() && reach != Reach::default() {
        return Err(Refusal::new(Rule::Malformed, "below or above without a value", "a value").into());
    }
    Ok(Ask { ranges: value.map(|value| ranges(value, reach)), before: after, limit })
}

/// Under which name the viewer sees what `author` brought.
fn named<'a>(viewer: &MemberId, author: &'a MemberId, handling: &'a Handling) -> Option<&'a MemberId> {
    let terms = Terms { handling, group: None, author: Some(author), unnamed: handling.unnamed };
    share::shown_author(Viewer::Member(viewer), &terms)
}

fn list<T>(found: Found<T>) -> List<T> {
    List { next: found.next.map(|next| next.to_string()), ..List::whole(found.things) }
}

fn is_of_kind(wanted: Option<&str>, observable: impl FnOnce() -> Option<Observable>) -> bool {
    wanted.is_none_or(|kind| observable().is_some_and(|observable| observable.kind() == kind))
}

/// Was something between these times?
fn within(first: Timestamp, last: Timestamp, since: Option<Timestamp>, until: Option<Timestamp>) -> bool {
    since.is_none_or(|since| last >= since) && until.is_none_or(|until| first <= until)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindingsQuery {
    value: Option<Observable>,
    below: Option<bool>,
    above: Option<bool>,
    #[serde(rename = "type")]
    kind: Option<String>,
    behaviour: Option<Behaviour>,
    state: Option<FindingState>,
    member: Option<MemberId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    tlp: Option<Tlp>,
    group: Option<GroupId>,
    limit: Option<usize>,
    after: Option<u64>,
}

impl FindingsQuery {
    fn wants(&self, finding: &Finding) -> bool {
        let narrowed = Narrowed { member: None, tlp: self.tlp, group: self.group.clone() };
        narrowed.wants_handling(&finding.handling)
            && self.state.is_none_or(|state| finding.state == state)
            && self.behaviour.is_none_or(|behaviour| finding.behaviours.contains(&behaviour))
            && within(finding.first, finding.last, self.since, self.until)
            && is_of_kind(self.kind.as_deref(), || Some(finding.observable.clone()))
            && self.member.as_ref().is_none_or(|member| finding.sum.lines.iter().any(|line| line.member == *member))
    }
}

/// `GET /api/v1/search/findings`
pub(crate) async fn findings(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<FindingsQuery>,
) -> Result<Response, Problem> {
    let ask = ask(asked.value.as_ref(), (asked.below, asked.above), asked.after, asked.limit)?;
    let found = core.work(move |core| {
        core.search.require_ready()?;
        core.read(|state| {
            core.search.findings().find(&ask, |_, _, version| {
                let finding = state.finding(version.finding, Some(&caller.member))?;
                // Of its versions the one that stands.
                (finding.made == version.made && asked.wants(finding)).then(|| finding.clone())
            })
        })
    });
    Ok(answer(list(found.await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SightingsQuery {
    value: Option<Observable>,
    below: Option<bool>,
    above: Option<bool>,
    #[serde(rename = "type")]
    kind: Option<String>,
    behaviour: Option<Behaviour>,
    member: Option<MemberId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    tlp: Option<Tlp>,
    group: Option<GroupId>,
    limit: Option<usize>,
    after: Option<u64>,
}

/// `GET /api/v1/search/sightings`
pub(crate) async fn sightings(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<SightingsQuery>,
) -> Result<Response, Problem> {
    let ask = ask(asked.value.as_ref(), (asked.below, asked.above), asked.after, asked.limit)?;
    let found = core.work(move |core| {
        core.search.require_ready()?;
        let pass = core.gate.pass();
        let narrowed = Narrowed { member: asked.member, tlp: asked.tlp, group: asked.group };
        let sees = |member: &MemberId, handling: &Handling| {
            pass.may_see(&caller.member, &Author::Member(member.clone()), handling)
        };
        let found = core.search.sightings().find(&ask, |seen, member, handling, key| {
            narrowed.wants(&caller.member, member, handling)
                && asked.behaviour.is_none_or(|behaviour| seen.behaviour == behaviour)
                && within(seen.first, seen.last, asked.since, asked.until)
                && is_of_kind(asked.kind.as_deref(), || key.observable())
                && sees(member, handling)
        });
        let shown = |noted: Noted| {
            let member = named(&caller.member, &noted.member, &noted.sighting.handling).cloned();
            FoundSighting { position: noted.position, member, signed: noted.signed, sighting: noted.sighting }
        };
        Ok(Found { things: found.things.into_iter().map(shown).collect(), next: found.next })
    });
    Ok(answer(list(found.await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectsQuery {
    value: Option<Observable>,
    below: Option<bool>,
    above: Option<bool>,
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
    version: Option<String>,
    member: Option<MemberId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    tlp: Option<Tlp>,
    group: Option<GroupId>,
    limit: Option<usize>,
    after: Option<u64>,
}

/// `GET /api/v1/search/objects`
pub(crate) async fn objects(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Asked(asked): Asked<ObjectsQuery>,
) -> Result<Response, Problem> {
    let ask = ask(asked.value.as_ref(), (asked.below, asked.above), asked.after, asked.limit)?;
    let wanted = Wanted::of(&asked)?;
    if asked.id.is_some() && asked.value.is_some() {
        return Err(Refusal::new(Rule::Malformed, "id and value", "one of the two").into());
    }
    let found = core.work(move |core| {
        core.search.require_ready()?;
        core.taxii.require_ready()?;
        let rows = rows(core, &caller, &wanted, &ask, asked.id.as_deref());
        shown(core, &caller.member, rows)
    });
    Ok(answer(list(found.await?)))
}

/// Which versions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Latest,
    All,
    At(StixTime),
}

/// Which objects.
struct Wanted {
    narrowed: Narrowed,
    kind: Option<String>,
    which: Which,
    /// When it was added, in microseconds since 1970.
    since: i64,
    until: i64,
}

impl Wanted {
    fn of(asked: &ObjectsQuery) -> Result<Self, Problem> {
        let which = match asked.version.as_deref() {
            None => Which::Latest,
            Some("all") => Which::All,
            Some(time) => Which::At(StixTime::parse("version", time)?),
        };
        let (member, group) = (asked.member.clone(), asked.group.clone());
        Ok(Self {
            narrowed: Narrowed { member, tlp: asked.tlp, group },
            kind: asked.kind.clone(),
            which,
            since: asked.since.map_or(i64::MIN, |time| time.as_millis() * 1_000),
            until: asked.until.map_or(i64::MAX, |time| time.as_millis() * 1_000 + 999),
        })
    }

    fn wants(&self, viewer: &MemberId, index: &Index, row: &Row, latest: &mut Latest<'_>) -> bool {
        let (Some(member), Some(handling)) = (index.author(row), index.handling(row)) else { return false };
        self.narrowed.wants(viewer, member, handling)
            && (self.since..=self.until).contains(&row.added)
            && self.kind.as_deref().is_none_or(|kind| index.kind_of(row) == Some(kind))
            && (latest.sees)(member, handling)
            && match self.which {
                Which::All => true,
                Which::At(time) => row.version == time,
                Which::Latest => latest.of(index, row) == Some(row.version),
            }
    }
}

/// The latest version of each object that the caller may see, looked for once each.
struct Latest<'a> {
    sees: &'a dyn Fn(&MemberId, &Handling) -> bool,
    known: BTreeMap<ObjectKey, Option<StixTime>>,
}

impl Latest<'_> {
    fn of(&mut self, index: &Index, row: &Row) -> Option<StixTime> {
        let look = || index.latest(row, |handling, author| (self.sees)(author, handling));
        *self.known.entry(row.key()).or_insert_with(look)
    }
}

/// The rows that are asked for and that the caller may see, the newest first.
fn rows(core: &Core, caller: &Caller, wanted: &Wanted, ask: &Ask, id: Option<&str>) -> Found<Row> {
    let (pass, index) = (core.gate.pass(), core.taxii.index());
    let sees = |author: &MemberId, handling: &Handling| {
        pass.may_see(&caller.member, &Author::Member(author.clone()), handling)
    };
    let mut latest = Latest { sees: &sees, known: BTreeMap::new() };
    let Some(id) = id else {
        let row = |place: u64, _: &Key, (): &()| {
            index.at(place).filter(|row| wanted.wants(&caller.member, &index, row, &mut latest)).copied()
        };
        return core.search.objects().find(ask, row);
    };
    let before = |row: &&Row| ask.before.is_none_or(|before| row.sequence < before);
    let all = index.everywhere(id).filter(before).filter(|row| wanted.wants(&caller.member, &index, row, &mut latest));
    let mut things: Vec<Row> = all.copied().collect();
    things.sort_by_key(|row| std::cmp::Reverse(row.sequence));
    let more = things.len() > ask.limit;
    things.truncate(ask.limit);
    let next = things.last().filter(|_| more).map(|row| row.sequence);
    Found { things, next }
}

/// The rows with their objects, in the same order.
fn shown(core: &Core, viewer: &MemberId, found: Found<Row>) -> Result<Found<FoundObject>, Problem> {
    let Found { things: mut rows, next } = found;
    rows.reverse();
    let mut objects = Vec::with_capacity(rows.len());
    core.taxii.each(&rows, |object| objects.push(object.to_owned()))?;
    let index = core.taxii.index();
    let one = |(row, object): (&Row, String)| {
        let unreadable = |_| Problem::broken("an object cannot be read");
        let handling = index.handling(row).cloned().unwrap_or(Handling::alliance(Tlp::Red));
        let root = handling.group.clone().map_or(Root::Alliance, Root::Group);
        Ok(FoundObject {
            root: root.to_string(),
            collection: index.collection(row).map_or_else(String::new, |id| id.to_string()),
            id: index.id(row),
            version: row.version.to_string(),
            added: cursor::text(row.added),
            member: index.author(row).and_then(|author| named(viewer, author, &handling)).cloned(),
            handling,
            object: RawValue::from_string(object).map_err(unreadable)?,
        })
    };
    let things: Result<Vec<FoundObject>, Problem> = rows.iter().zip(objects).rev().map(one).collect();
    Ok(Found { things: things?, next })
}

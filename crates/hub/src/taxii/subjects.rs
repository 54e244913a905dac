//! The collections of findings and of plans: each version of one, written as STIX objects when it is asked for and for
//! this caller. Of a finding: indicator, observed data, observable, who saw it, the sum, the way back to `why`; of a
//! plan: the course of action, and what it mitigates. Before it stands what it is the first to refer to.

use super::answer::{Trouble, body, dated, json};
use super::read::{Manifest, Versions};
use super::roots::{Access, Holds};
use crate::core::Core;
use alliance::Event;
use axum::http::StatusCode;
use axum::response::Response;
use model::{Finding, FindingId, Handling, MemberId, Plan};
use serde_json::Value;
use share::stix::{PlanAt, SpecVersion, Stage, StixTime, Subject, Writer, back};
use share::taxii::filter::{Ends, LIMIT_MAX, Version};
use share::taxii::{Envelope, Filter, Looked, ManifestRecord, Next, Seen, cursor, resources};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Fewest objects that a version of a finding, or of a plan, has.
const OBJECTS_MIN: usize = 2;
/// Most versions of findings that are written for one page, and of plans, whose entries are long.
const WRITTEN_MAX: usize = 500;
const PLANS_MAX: usize = 100;

/// One object of a page.
struct Written {
    id: String,
    added: i64,
    sequence: u64,
    version: String,
    time: StixTime,
    object: Value,
}

/// A page of findings' objects.
#[derive(Default)]
struct Page {
    objects: Vec<Written>,
    next: Option<Next>,
}

impl Page {
    fn ends(&self) -> Option<(i64, i64)> {
        Some((self.objects.first()?.added, self.objects.last()?.added))
    }
}

pub(super) async fn objects(core: &Arc<Core>, access: Access, filter: Filter) -> Result<Response, Trouble> {
    let (page, after) = (page(core, access, filter.clone()).await?, filter.added_after);
    Ok(envelope(&page, after))
}

pub(super) async fn object(core: &Arc<Core>, access: Access, id: String, filter: Filter) -> Result<Response, Trouble> {
    let after = filter.added_after;
    Ok(envelope(&of_one(core, access, id, filter).await?, after))
}

pub(super) async fn manifest(core: &Arc<Core>, access: Access, filter: Filter) -> Result<Response, Trouble> {
    let after = filter.added_after;
    let page = page(core, access, filter).await?;
    let record = |written: &Written| ManifestRecord {
        id: written.id.clone(),
        date_added: cursor::text(written.added),
        version: written.version.clone(),
        media_type: resources::STIX,
    };
    let objects = page.objects.iter().map(record).collect();
    let manifest = Manifest { more: page.next.is_some(), next: page.next.as_ref().map(Next::to_string), objects };
    Ok(dated(json(StatusCode::OK, &manifest), page.ends(), after))
}

pub(super) async fn versions(
    core: &Arc<Core>,
    access: Access,
    id: String,
    mut filter: Filter,
) -> Result<Response, Trouble> {
    filter.versions = share::taxii::Versions { all: true, ..share::taxii::Versions::default() };
    let after = filter.added_after;
    let page = of_one(core, access, id, filter).await?;
    let versions = page.objects.iter().map(|written| written.version.clone()).collect();
    let document = Versions { more: page.next.is_some(), next: page.next.as_ref().map(Next::to_string), versions };
    Ok(dated(json(StatusCode::OK, &document), page.ends(), after))
}

fn envelope(page: &Page, after: Option<i64>) -> Response {
    let mut envelope = Envelope::new(page.next, page.objects.len() << 10);
    page.objects.iter().for_each(|written| envelope.push(&written.object.to_string()));
    dated(body(StatusCode::OK, envelope.finish()), page.ends(), after)
}

/// The versions of one object that are asked for, of all that this caller may see: it may begin with any version of
/// what it is about, and end with any. Which is the first or the last is known once all were written.
async fn of_one(core: &Arc<Core>, access: Access, id: String, mut filter: Filter) -> Result<Page, Trouble> {
    filter.types.clear();
    filter.ids = [id.clone()].into();
    let mut any = Filter {
        ids: filter.ids.clone(),
        versions: share::taxii::Versions { all: true, ..share::taxii::Versions::default() },
        limit: LIMIT_MAX,
        specs: filter.specs.clone(),
        ..Filter::default()
    };
    let access = Arc::new(access);
    if filter.versions.all {
        let page = all_of_one(core, &access, filter).await?;
        // Where nothing is left of it, is it there at all?
        any.limit = 1;
        let known = !page.objects.is_empty() || !all_of_one(core, &access, any).await?.objects.is_empty();
        return if known { Ok(page) } else { Err(Trouble::not_found("an object of this collection", &id)) };
    }
    let version = |written: &Written| Version { time: written.time, spec: SpecVersion::V21 };
    let (mut kept, mut ends) = (Vec::new(), Ends::default());
    loop {
        let found = of(core, Arc::clone(&access), any.clone()).await?;
        found.objects.iter().for_each(|written| ends.add(version(written)));
        kept.extend(found.objects);
        // What is neither the first nor the last of those so far is not that of all.
        kept.retain(|written| filter.keeps(version(written), &ends));
        any.next = found.next;
        if any.next.is_none() {
            break;
        }
    }
    if ends == Ends::default() {
        return Err(Trouble::not_found("an object of this collection", &id));
    }
    let mut page = Page::default();
    // A full page says where it goes on.
    let _ = page.take(&filter, kept.into_iter());
    Ok(page)
}

/// A page of all versions of one object: no more of them are written than it takes.
async fn all_of_one(core: &Arc<Core>, access: &Arc<Access>, mut filter: Filter) -> Result<Page, Trouble> {
    let mut page = Page::default();
    loop {
        let found = of(core, Arc::clone(access), filter.clone()).await?;
        filter.limit = filter.limit.saturating_sub(found.objects.len());
        page.objects.extend(found.objects);
        (page.next, filter.next) = (found.next, found.next);
        if page.next.is_none() || filter.limit == 0 {
            return Ok(page);
        }
    }
}

async fn page(core: &Arc<Core>, access: Access, filter: Filter) -> Result<Page, Trouble> {
    of(core, Arc::new(access), filter).await
}

async fn of(core: &Arc<Core>, access: Arc<Access>, filter: Filter) -> Result<Page, Trouble> {
    let most = if access.holds == Holds::Plans { PLANS_MAX } else { WRITTEN_MAX };
    let max = (filter.limit / OBJECTS_MIN + 2).min(most);
    let find = move |core: &Core, access: &Access, filter: &Filter| {
        let sees = |handling: &Handling| access.sees_subject(handling);
        core.taxii.subjects(access.holds).page(filter, &sees, max)
    };
    let is_brief = core.taxii.subjects(access.holds).is_brief(&filter);
    let brief = is_brief.then(|| find(core, &access, &filter));
    if let Some(next) = brief.as_ref().filter(|looked| looked.versions.is_empty()).map(|looked| looked.more) {
        return Ok(Page { next, ..Page::default() });
    }
    let work = move |core: &Core| {
        let looked = brief.unwrap_or_else(|| find(core, &access, &filter));
        write(core, &access, &filter, &looked)
    };
    Ok(core.work(work).await?)
}

/// Writes the versions and keeps what the filter leaves, up to the limit.
fn write(core: &Core, access: &Access, filter: &Filter, looked: &Looked) -> Result<Page, crate::problem::Problem> {
    let named = |_: &MemberId| access.root != share::taxii::Root::Public;
    let hub = core.directory.identity().names.first().map(|name| format!("https://{name}"));
    let writer = Writer { alliance: core.taxii.alliance(), hub: hub.as_deref(), named: &named };
    let (mut page, mut reading) = (Page::default(), Reading::default());
    for seen in &looked.versions {
        let introduced = core.taxii.subjects(access.holds).introduced(seen).cloned();
        let objects = match introduced {
            Some(object) => vec![(0, object)],
            None => reading.objects(core, access, seen, &writer, filter)?,
        };
        if page.take(filter, objects.into_iter().map(|(at, object)| written(seen, at, object))).is_break() {
            return Ok(page);
        }
    }
    page.next = looked.more;
    Ok(page)
}

impl Page {
    /// Takes what the filter leaves; breaks off where the page is full and there is more.
    fn take(&mut self, filter: &Filter, all: impl Iterator<Item = Written>) -> ControlFlow<()> {
        for written in all.filter(|written| wanted(filter, written)) {
            if self.objects.len() >= filter.limit {
                self.next = self.objects.last().map(|written| Next(written.sequence));
                return ControlFlow::Break(());
            }
            self.objects.push(written);
        }
        ControlFlow::Continue(())
    }
}

/// What was read last: findings that changed in one moment stand in one entry, and a plan's versions rest on one.
#[derive(Default)]
struct Reading {
    position: Option<u64>,
    findings: Vec<Finding>,
    proposed: Option<(u64, Box<Plan>, Handling)>,
}

impl Reading {
    /// The objects of a version of a finding or of a plan, each with its place among all of them.
    fn objects(
        &mut self,
        core: &Core,
        access: &Access,
        seen: &Seen,
        writer: &Writer<'_>,
        filter: &Filter,
    ) -> Result<Vec<(usize, Value)>, journal::Error> {
        let first = core.taxii.subjects(access.holds).first(seen);
        match access.holds {
            Holds::Plans => self.plan(core, seen, &first, writer, filter),
            _ => Ok(writer.finding(self.finding(core, seen)?, first.made).into_iter().enumerate().collect()),
        }
    }

    fn finding(&mut self, core: &Core, seen: &Seen) -> Result<&Finding, journal::Error> {
        if self.position != Some(seen.position()) {
            self.findings = match core.taxii.entry(seen.position())?.event {
                Event::FindingsChanged { findings } => findings,
                _ => return Err(lacking(seen, "finding")),
            };
            self.position = Some(seen.position());
        }
        self.findings.get(seen.number as usize).ok_or_else(|| lacking(seen, "finding"))
    }

    /// The objects of a plan: as it was proposed, at the stage that the version's own entry says.
    fn plan(
        &mut self,
        core: &Core,
        seen: &Seen,
        first: &Seen,
        writer: &Writer<'_>,
        filter: &Filter,
    ) -> Result<Vec<(usize, Value)>, journal::Error> {
        if self.proposed.as_ref().is_none_or(|(position, ..)| *position != first.position()) {
            let entry = core.taxii.entry(first.position())?;
            let Event::PlanProposed(plan) = entry.event else { return Err(lacking(first, "plan")) };
            self.proposed = Some((first.position(), plan, entry.handling));
        }
        let Some((_, plan, handling)) = &self.proposed else { return Err(lacking(first, "plan")) };
        let reason = match seen.position() == first.position() {
            true => None,
            false => Some(core.taxii.entry(seen.position())?.event),
        };
        let stage = match &reason {
            None => Stage::Proposed,
            Some(Event::PlanClosed { reason, .. }) => Stage::Closed(reason),
            Some(_) => Stage::InForce,
        };
        let at = PlanAt { plan, handling, stage, since: seen.made };
        Ok(writer.plan(&at, |kind| filter.types.is_empty() || filter.types.contains(kind)))
    }
}

fn lacking(seen: &Seen, what: &str) -> journal::Error {
    let told = format!("entry {} has no {what} {}", seen.position(), seen.number);
    journal::Error::Broken(journal::Broken::Failed(told))
}

fn written(seen: &Seen, at: usize, object: Value) -> Written {
    // A subject has fewer objects than an entry has places.
    let added = seen.added + i64::try_from(at).unwrap_or(i64::MAX);
    let made = StixTime::from(seen.made);
    let version = object["modified"].as_str().map_or_else(|| made.to_string(), ToOwned::to_owned);
    let time = StixTime::parse("modified", &version).unwrap_or(made);
    let id = object["id"].as_str().unwrap_or_default().to_owned();
    Written { id, added, sequence: seen.sequence + at as u64, version, time, object }
}

fn wanted(filter: &Filter, written: &Written) -> bool {
    let kind = written.object["type"].as_str().unwrap_or_default();
    filter.wants(&written.id, kind)
        && filter.added_after.is_none_or(|time| written.added > time)
        && filter.next.is_none_or(|next| written.sequence > next.0)
}

/// The finding for which an indicator of ours stands, if the caller may see it.
pub(super) fn finding_of(core: &Core, access: &Access, id: &str) -> Option<FindingId> {
    let alliance = core.taxii.alliance();
    let finding =
        back::finding_marked(core.taxii.tag(), id).filter(|finding| back::indicator_id(alliance, finding) == id)?;
    core.taxii.findings().latest(Subject::from(&finding), |handling| access.sees_subject(handling)).map(|_| finding)
}

/// The objects of a finding that the caller may see, as texts: what it refers to.
pub(super) fn texts_of(core: &Core, access: &Access, ids: &[&str]) -> Vec<String> {
    let named = |_: &MemberId| true;
    let writer = Writer { alliance: core.taxii.alliance(), hub: None, named: &named };
    let latest = |id: &&str| {
        let finding = back::finding_marked(core.taxii.tag(), id)?;
        core.taxii.findings().latest(Subject::from(&finding), |handling| access.sees_subject(handling))
    };
    let mut seen: Vec<Seen> = ids.iter().filter_map(latest).collect();
    seen.sort_by_key(|seen| seen.sequence);
    seen.dedup();
    let (mut reading, mut texts) = (Reading::default(), Vec::new());
    for seen in &seen {
        // What cannot be read now is as if it were not there: what refers to it says less.
        let Ok(finding) = reading.finding(core, seen) else { continue };
        let objects = writer.finding(finding, finding.made).into_iter();
        let meant = objects.filter(|object| object["id"].as_str().is_some_and(|id| ids.contains(&id)));
        texts.extend(meant.map(|object| object.to_string()));
    }
    texts
}

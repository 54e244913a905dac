//! The words into STIX objects: findings and sightings, each with its marking, its reasons and the way back to `why`.

use super::id::named;
use super::kind::Kind;
use super::ours::{self, EXTENSION, NAMESPACE};
use super::time::StixTime;
use super::{back, marking, sco};
use model::{
    Finding, FindingState, GuardHit, Handling, MemberId, Sighting, SightingId, Span, Sum, SumLine, Timestamp, Tlp,
};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Most observations that an object may count (STIX 2.1 §4.14).
const NUMBER_MAX: u32 = 999_999_999;

/// The class of what members have proven to be their own. Journals of before name the owner in the list.
const MEMBER_SPACE: &str = "member-space";

/// Writes objects for one alliance.
#[derive(Clone, Copy)]
pub struct Writer<'a> {
    /// The alliance's name.
    pub alliance: &'a str,
    /// Where its hub is reached, without a slash at the end: references lead back there. None: by identifier only.
    pub hub: Option<&'a str>,
    /// May the reader know that this member reported? Others are "a member".
    pub named: &'a dyn Fn(&MemberId) -> bool,
}

impl Writer<'_> {
    /// A finding: its observable, an indicator, the observed data, who saw it, and a note with the sum; an opinion
    /// where it was revoked. `created` is when the finding first was one; it must stay the same in later versions.
    pub fn finding(&self, finding: &Finding, created: Timestamp) -> Vec<Value> {
        let seen = sco::object(&finding.observable);
        let frame = Frame { writer: self, finding, created: created.min(finding.made) };
        let mut objects = vec![frame.indicator(), frame.observed(&seen)];
        objects.push(Value::Object(self.marked(seen, &finding.handling)));
        objects.extend(frame.sightings());
        objects.push(frame.note());
        objects.extend((finding.state == FindingState::Revoked).then(|| frame.opinion()));
        objects
    }

    /// A sighting as observed data and its observable.
    pub fn sighting(&self, sighting: &Sighting, id: &SightingId, author: &MemberId, made: Timestamp) -> Vec<Value> {
        let seen = sco::object(&sighting.observable);
        let object = json!({
            "type": "observed-data",
            "spec_version": "2.1",
            "id": named(Kind::ObservedData, &NAMESPACE, &format!("sighting\n{}\n{id}", self.alliance)),
            "created": time(made),
            "modified": time(made),
            "first_observed": time(sighting.first),
            "last_observed": time(sighting.last),
            "number_observed": sighting.count.min(NUMBER_MAX),
            "object_refs": [seen["id"]],
            "labels": [sighting.behaviour.as_str()],
            "extensions": { EXTENSION: {
                "extension_type": "property-extension",
                "behaviour": sighting.behaviour,
                "sensor": sighting.sensor,
                "grade": sighting.grade,
            } },
        });
        let mut object = self.marked(members(object), &sighting.handling);
        if self.names(author) && !sighting.handling.unnamed {
            object.insert("created_by_ref".to_owned(), ours::member_id(self.alliance, author).into());
        }
        vec![Value::Object(object), Value::Object(self.marked(seen, &sighting.handling))]
    }

    /// What the objects refer to: the markings, the alliance, our extension, members that are named.
    pub fn common<'h>(
        &self,
        handlings: impl IntoIterator<Item = &'h Handling>,
        authors: impl IntoIterator<Item = &'h MemberId>,
    ) -> Vec<Value> {
        let (handlings, authors): (BTreeSet<_>, BTreeSet<_>) =
            (handlings.into_iter().collect(), authors.into_iter().collect());
        let strictest = handlings.iter().map(|handling| handling.tlp).max().unwrap_or(Tlp::Amber);
        let level = if strictest <= Tlp::Green { Tlp::Green } else { Tlp::Amber };
        let named: Vec<_> = authors.into_iter().filter(|author| (self.named)(author)).collect();
        let of_names = (!named.is_empty()).then(|| Handling::alliance(level));
        let of_ours = [Some(Handling::alliance(Tlp::Clear)), of_names];
        let handlings = handlings.into_iter().cloned().chain(of_ours.into_iter().flatten());
        let mut objects: Vec<Value> =
            handlings.flat_map(|handling| marking::definitions(self.alliance, &handling)).collect();
        objects.push(ours::alliance(self.alliance));
        objects.extend(ours::extension());
        objects.extend(named.into_iter().map(|author| ours::member(self.alliance, author, level)));
        once_each(objects)
    }

    /// A bundle of findings with all that they refer to.
    pub fn findings<'f>(&self, findings: impl IntoIterator<Item = (&'f Finding, Timestamp)>) -> Value {
        let findings: Vec<_> = findings.into_iter().collect();
        let authors = findings.iter().flat_map(|(f, _)| f.sum.lines.iter().map(|line| &line.member));
        let authors = authors.filter(|author| !author.is_unnamed());
        let mut objects = self.common(findings.iter().map(|(finding, _)| &finding.handling), authors);
        objects.extend(findings.iter().flat_map(|(finding, created)| self.finding(finding, *created)));
        bundle(objects)
    }

    /// May the reader know this name? Those who wish to stay unnamed have none.
    fn names(&self, member: &MemberId) -> bool {
        !member.is_unnamed() && (self.named)(member)
    }

    /// The way back to the alliance's own answer, which is shown at the hub's `path`. Every object of ours that
    /// somebody could take for evidence carries it: tools that give objects other identifiers and authors keep it.
    pub(super) fn reference(&self, id: &str, path: &str, description: &str) -> Value {
        let source = back::source(self.alliance);
        let mut reference = json!({ "source_name": source, "external_id": id, "description": description });
        if let Some(hub) = self.hub {
            reference["url"] = format!("{hub}{path}{id}").into();
        }
        reference
    }

    pub(super) fn marked(&self, mut object: Map<String, Value>, handling: &Handling) -> Map<String, Value> {
        object.insert("object_marking_refs".to_owned(), marking::references(self.alliance, handling).into());
        object
    }
}

/// Objects in a bundle, each identifier once. The same objects make the same bundle.
pub fn bundle(objects: Vec<Value>) -> Value {
    let objects = once_each(objects);
    let ids: Vec<&str> = objects.iter().filter_map(|object| object["id"].as_str()).collect();
    json!({ "type": "bundle", "id": named_bundle(&ids), "objects": objects })
}

fn named_bundle(ids: &[&str]) -> String {
    format!("bundle--{}", super::id::uuid_text(&super::id::uuid5(&NAMESPACE, &ids.join("\n"))))
}

/// Two findings may share an observable: the first of each identifier stays.
fn once_each(objects: Vec<Value>) -> Vec<Value> {
    let mut seen = BTreeSet::new();
    objects.into_iter().filter(|object| seen.insert(object["id"].as_str().map(ToOwned::to_owned))).collect()
}

/// One finding on its way out.
struct Frame<'a> {
    writer: &'a Writer<'a>,
    finding: &'a Finding,
    created: Timestamp,
}

impl Frame<'_> {
    fn indicator_id(&self) -> String {
        back::indicator_id(self.writer.alliance, &self.finding.id)
    }

    /// The members that every object of this finding has.
    fn base(&self, kind: Kind, part: &str) -> Map<String, Value> {
        let finding = self.finding;
        let object = json!({
            "type": kind.as_str(),
            "spec_version": "2.1",
            "id": back::of_finding(kind, self.writer.alliance, &finding.id, part),
            "created": time(self.created),
            "modified": time(finding.made),
            "created_by_ref": ours::alliance_id(self.writer.alliance),
            "external_references": [self.writer.reference(
                &finding.id.to_string(),
                "/api/v1/findings/",
                "Why: the alliance's sum behind it",
            )],
        });
        self.writer.marked(members(object), &finding.handling)
    }

    fn with(&self, kind: Kind, part: &str, rest: Value) -> Value {
        let mut object = self.base(kind, part);
        object.extend(members(rest));
        Value::Object(object)
    }

    fn indicator(&self) -> Value {
        let finding = self.finding;
        let behaviours: Vec<&str> = finding.behaviours.iter().map(|behaviour| behaviour.as_str()).collect();
        let mut indicator = self.with(
            Kind::Indicator,
            "",
            json!({
                "name": format!("{}: {}", behaviours.join(", "), finding.observable),
                "description": finding.state.explains(),
                "indicator_types": [indicator_type(finding.state)],
                "labels": behaviours,
                "pattern": sco::pattern(&finding.observable).to_string(),
                "pattern_type": "stix",
                "pattern_version": "2.1",
                "valid_from": time(finding.first),
                "revoked": finding.state == FindingState::Revoked,
                "confidence": confidence(finding),
                "extensions": { EXTENSION: self.extension() },
            }),
        );
        let ended = matches!(finding.state, FindingState::Faded | FindingState::Revoked);
        if let Some(object) = indicator.as_object_mut().filter(|_| ended && finding.made > finding.first) {
            object.insert("valid_until".to_owned(), time(finding.made).into());
        }
        indicator
    }

    fn extension(&self) -> Value {
        let finding = self.finding;
        json!({
            "extension_type": "property-extension",
            "finding": finding.id,
            "family": finding.family.as_str(),
            "state": finding.state,
            "actionable": finding.actionable,
            "points": finding.sum.total,
            "threshold": finding.sum.threshold,
            "reporters": self.reporters(),
        })
    }

    fn observed(&self, seen: &Map<String, Value>) -> Value {
        let finding = self.finding;
        let reports = u32::try_from(self.reporters()).unwrap_or(NUMBER_MAX).clamp(1, NUMBER_MAX);
        self.with(
            Kind::ObservedData,
            "",
            json!({
                "first_observed": time(finding.first),
                "last_observed": time(finding.last.max(finding.first)),
                "number_observed": reports,
                "object_refs": [seen["id"]],
                "extensions": { EXTENSION: { "extension_type": "property-extension", "finding": finding.id } },
            }),
        )
    }

    /// Reporters whose word was not taken back.
    fn reporters(&self) -> usize {
        self.finding.sum.lines.iter().filter(|line| !line.retracted).count()
    }

    /// One for each reporter who may be named, one for all others together; revoked where it was taken back.
    fn sightings(&self) -> Vec<Value> {
        let lines = &self.finding.sum.lines;
        let (named, unnamed): (Vec<_>, Vec<_>) = lines.iter().partition(|line| self.writer.names(&line.member));
        let each = named.into_iter().map(|line| {
            let member = ours::member_id(self.writer.alliance, &line.member);
            self.seen(line.member.as_str(), &[line], Some(member))
        });
        let standing: Vec<_> = unnamed.iter().copied().filter(|line| !line.retracted).collect();
        let shown = if standing.is_empty() { unnamed } else { standing };
        let together = (!shown.is_empty()).then(|| self.seen("\nunnamed", &shown, None));
        each.chain(together).collect()
    }

    fn seen(&self, part: &str, lines: &[&SumLine], by: Option<String>) -> Value {
        let youngest = lines.iter().map(|line| line.age_days).fold(f64::INFINITY, f64::min);
        let last = self.finding.made.minus(Span::millis((youngest * 86_400_000.0).round() as i64));
        let data = back::of_finding(Kind::ObservedData, self.writer.alliance, &self.finding.id, "");
        let mut sighting = self.with(
            Kind::Sighting,
            part,
            json!({
                "sighting_of_ref": self.indicator_id(),
                "observed_data_refs": [data],
                "last_seen": time(last),
                "count": lines.len(),
                "revoked": lines.iter().all(|line| line.retracted),
                "extensions": { EXTENSION: { "extension_type": "property-extension", "finding": self.finding.id } },
            }),
        );
        if let Some(by) = by {
            sighting["where_sighted_refs"] = json!([by]);
        }
        sighting
    }

    fn note(&self) -> Value {
        let finding = self.finding;
        self.with(
            Kind::Note,
            "",
            json!({
                "abstract": format!("{}: {} of {} points", finding.state, finding.sum.total, finding.sum.threshold),
                "content": self.reasons(),
                "object_refs": [self.indicator_id()],
            }),
        )
    }

    /// The sum, a line each, as it can be added up by hand.
    fn reasons(&self) -> String {
        let Sum { lines, cut, total, threshold } = &self.finding.sum;
        let mut text = String::new();
        for line in lines {
            let who = if self.writer.names(&line.member) { line.member.as_str() } else { "a member" };
            text += &format!(
                "{who}: {} points ({} evidence, weight {}, {} days old, decay {}, dependence {}){}\n",
                line.points,
                line.grade,
                line.weight,
                line.age_days,
                line.decay,
                line.dependence,
                self.notes(line),
            );
        }
        if *cut > 0.0 {
            text += &format!("taken off for weak evidence counted jointly: {cut}\n");
        }
        if let Some(guard) = &self.finding.guard {
            text += &format!("held back by the guard {}{}\n", guard.class, self.listed(guard));
        }
        text + &format!("total {total}, needed {threshold}")
    }

    /// Why a line has fewer points than its weight. A note may name others, as those of earlier journals do: it is for
    /// those to whom the line itself is named, and that of all unnamed ones names nobody.
    fn notes(&self, line: &SumLine) -> String {
        let named = self.writer.names(&line.member);
        let note = Some(line.note.clone()).filter(|note| !note.is_empty() && (named || line.member.is_unnamed()));
        let copied = line.copies.as_ref().filter(|copied| named && self.writer.names(copied));
        let notes = note.into_iter().chain(copied.map(|copied| format!("seems to copy {copied}")));
        notes.map(|note| format!("; {note}")).collect()
    }

    /// Where a guard stands: what a member owns is for those to whom that member is named.
    fn listed(&self, guard: &GuardHit) -> String {
        let GuardHit { entry, list, .. } = guard;
        match &guard.owner {
            Some(owner) if self.writer.names(owner) => format!(" ({entry} in {list}, of {owner})"),
            None if guard.class != MEMBER_SPACE => format!(" ({entry} in {list})"),
            _ => String::new(),
        }
    }

    fn opinion(&self) -> Value {
        self.with(
            Kind::Opinion,
            "",
            json!({
                "opinion": "strongly-disagree",
                "explanation": self.finding.state.explains(),
                "object_refs": [self.indicator_id()],
            }),
        )
    }
}

const fn indicator_type(state: FindingState) -> &'static str {
    match state {
        FindingState::Corroborated | FindingState::Faded => "malicious-activity",
        FindingState::Observed | FindingState::Guarded => "anomalous-activity",
        FindingState::Revoked => "benign",
    }
}

/// Points are log-odds: the odds that the total stands for, in percent, at most 99. Revoked: 0.
fn confidence(finding: &Finding) -> u8 {
    match finding.state {
        FindingState::Revoked => 0,
        // Between 0 and 99: no bits are lost.
        _ => (100.0 / (1.0 + (-finding.sum.total).exp())).clamp(0.0, 99.0) as u8,
    }
}

pub(super) fn time(time: Timestamp) -> String {
    StixTime::from(time).to_string()
}

pub(super) fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

//! A plan as STIX objects: a course of action, and for each finding a relationship that says who is asked to do what.

use super::back::{course_of_action_id, indicator_id, of_plan};
use super::kind::Kind;
use super::ours::{self, EXTENSION};
use super::write::{Writer, members, time};
use model::{FindingId, Handling, Mitigation, Plan, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most mitigations that an object lists; the plan itself, on the hub, has all.
const LISTED_MAX: usize = 100;

/// Where a plan stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage<'a> {
    /// It waits for approvals.
    Proposed,
    /// Agents are to carry it out; each mitigation ends by itself.
    InForce,
    /// It was voted down, or nobody approved it in time: why.
    Closed(&'a str),
}

impl Stage<'_> {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::InForce => "in-force",
            Self::Closed(_) => "closed",
        }
    }
}

/// A plan at one moment.
#[derive(Clone, Copy, Debug)]
pub struct PlanAt<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Who may see it.
    pub handling: &'a Handling,
    /// Where it stands.
    pub stage: Stage<'a>,
    /// Since when: the version of its objects.
    pub since: Timestamp,
}

/// How many objects a plan has.
pub fn objects_of(plan: &Plan) -> usize {
    1 + by_finding(plan).len()
}

fn by_finding(plan: &Plan) -> BTreeMap<FindingId, Vec<&Mitigation>> {
    let mut findings: BTreeMap<FindingId, Vec<&Mitigation>> = BTreeMap::new();
    for mitigation in &plan.mitigations {
        findings.entry(mitigation.finding).or_default().push(mitigation);
    }
    findings
}

impl Writer<'_> {
    /// A plan's objects of the types that are wanted, each with its place among all of the plan's. A closed plan is
    /// `revoked`: it asks nothing of anybody any more.
    pub fn plan(&self, at: &PlanAt<'_>, wanted: impl Fn(&str) -> bool) -> Vec<(usize, Value)> {
        let mut objects = Vec::new();
        if wanted(Kind::CourseOfAction.as_str()) {
            objects.push((0, self.course_of_action(at)));
        }
        if wanted(Kind::Relationship.as_str()) {
            let findings = by_finding(at.plan).into_iter().enumerate();
            objects.extend(findings.map(|(n, (finding, asked))| (n + 1, self.mitigates(at, &finding, &asked))));
        }
        objects
    }

    fn course_of_action(&self, at: &PlanAt<'_>) -> Value {
        let header = &at.plan.header;
        let mut members: Vec<&str> = at.plan.mitigations.iter().map(|mitigation| mitigation.member.as_str()).collect();
        members.sort_unstable();
        members.dedup();
        let mut extension = json!({
            "extension_type": "property-extension",
            "plan": header.id(),
            "generation": header.generation,
            "class": header.class,
            "state": at.stage.as_str(),
            "mitigations": header.count,
            "members": members,
        });
        if let Some(last) = at.plan.mitigations.iter().map(|mitigation| mitigation.expires).max() {
            extension["expires"] = time(last).into();
        }
        if let Stage::Closed(why) = at.stage {
            extension["reason"] = why.into();
        }
        let mut rest = json!({
            "name": format!("Plan {}: {} mitigations by {} members", header.generation, header.count, members.len()),
            "extensions": { EXTENSION: extension },
        });
        if !header.reasons.is_empty() {
            rest["description"] = header.reasons.join("\n").into();
        }
        self.of_plan(at, Kind::CourseOfAction, "", rest)
    }

    fn mitigates(&self, at: &PlanAt<'_>, finding: &FindingId, asked: &[&Mitigation]) -> Value {
        let listed: Vec<Value> = asked
            .iter()
            .take(LISTED_MAX)
            .map(|mitigation| {
                json!({
                    "member": mitigation.member,
                    "measure": mitigation.measure.to_string(),
                    "expires": time(mitigation.expires),
                })
            })
            .collect();
        let rest = json!({
            "relationship_type": "mitigates",
            "source_ref": course_of_action_id(self.alliance, &at.plan.id()),
            "target_ref": indicator_id(self.alliance, finding),
            "extensions": { EXTENSION: {
                "extension_type": "property-extension",
                "plan": at.plan.id(),
                "finding": finding,
                "mitigations": asked.len(),
                "asked": listed,
            } },
        });
        self.of_plan(at, Kind::Relationship, &finding.to_string(), rest)
    }

    fn of_plan(&self, at: &PlanAt<'_>, kind: Kind, part: &str, rest: Value) -> Value {
        let (plan, made) = (at.plan.id(), at.plan.header.made);
        let what = "The plan with all its mitigations, reasons and approvals";
        let mut object: Map<String, Value> = members(json!({
            "type": kind.as_str(),
            "spec_version": "2.1",
            "id": of_plan(kind, self.alliance, &plan, part),
            "created": time(made),
            "modified": time(at.since.max(made)),
            "created_by_ref": ours::alliance_id(self.alliance),
            "external_references": [self.reference(&plan.to_string(), "/api/v1/plans/", what)],
            "revoked": matches!(at.stage, Stage::Closed(_)),
        }));
        object.extend(members(rest));
        Value::Object(self.marked(object, at.handling))
    }
}

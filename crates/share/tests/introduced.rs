//! What findings refer to, as those see it who follow a collection of findings.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use model::{Finding, FindingState, Handling, MemberId, Tlp};
use serde_json::Value;
use share::stix::{Writer, ours};
use share::taxii::{Filter, Seen, Subjects};
use std::collections::BTreeSet;
use support::{ALLIANCE, member, of};

type Sees = fn(&Handling) -> bool;

/// The audiences that the roots of a hub are.
const MEMBERS: Sees = |handling| handling.group.is_none();
const GROUP: Sees = |handling| handling.group.is_some();
const PUBLIC: Sees = |handling| handling.group.is_none() && handling.tlp == Tlp::Clear;

fn finding(n: u8, tlp: Tlp, group: Option<&str>) -> Finding {
    let handling = Handling::new(tlp, group.map(|group| group.parse().unwrap()));
    of(&format!("80.0.0.{n}").parse().unwrap(), FindingState::Corroborated, handling)
}

/// Two entries of one finding, two of others, one of a sharing group's.
fn entries() -> [Vec<Finding>; 4] {
    let one = || finding(1, Tlp::Amber, None);
    [
        vec![one(), finding(2, Tlp::Green, None)],
        vec![Finding { made: "2026-06-02T16:00:00Z".parse().unwrap(), ..one() }],
        vec![finding(3, Tlp::Clear, None), finding(4, Tlp::Amber, Some("banks"))],
        vec![finding(5, Tlp::Clear, None), finding(6, Tlp::Green, Some("banks"))],
    ]
}

fn findings() -> Subjects {
    let mut findings = Subjects::new(ALLIANCE);
    entries().iter().zip(1..).for_each(|(entry, position)| findings.add_findings(position, entry));
    findings.settle();
    findings
}

fn seen(findings: &Subjects, sees: Sees) -> Vec<Seen> {
    let every = Filter::read([("match[version]", "all")]).unwrap();
    findings.page(&every, &sees, 100).versions
}

fn introduced(findings: &Subjects, sees: Sees) -> Vec<Value> {
    seen(findings, sees).iter().filter_map(|seen| findings.introduced(seen).cloned()).collect()
}

fn id(object: &Value) -> String {
    object["id"].as_str().unwrap().to_owned()
}

/// What an object leads to by `…_ref` and `…_refs`.
fn references(object: &Value) -> BTreeSet<String> {
    let fields = object.as_object().unwrap().iter();
    let named = fields.filter(|(name, _)| name.ends_with("_ref") || name.ends_with("_refs"));
    let each = named.flat_map(|(_, value)| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
    each.map(|value| value.as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_reference_of_a_finding_leads_nowhere_for_any_audience() {
    let findings = findings();
    for (sees, named) in [(MEMBERS, true), (GROUP, true), (PUBLIC, false)] {
        let names = move |_: &MemberId| named;
        let writer = Writer { alliance: ALLIANCE, hub: None, named: &names };
        let mut known: BTreeSet<String> = BTreeSet::new();
        let mut versions = 0;
        for seen in seen(&findings, sees) {
            let objects = match findings.introduced(&seen) {
                Some(object) => vec![object.clone()],
                None => {
                    let finding = &entries()[seen.position() as usize - 1][seen.number as usize];
                    versions += 1;
                    writer.finding(finding, findings.first(&seen).made)
                }
            };
            known.extend(objects.iter().map(id));
            for reference in objects.iter().flat_map(references) {
                assert!(known.contains(&reference), "{reference} comes later, or never: {objects:?}");
            }
        }
        assert!(versions >= 2, "{versions}");
    }
}

#[test]
fn each_audience_is_told_once_and_outsiders_no_names() {
    let findings = findings();
    for sees in [MEMBERS, GROUP, PUBLIC] {
        let version = |object: &Value| format!("{} {}", id(object), object["modified"]);
        let told: Vec<String> = introduced(&findings, sees).iter().map(version).collect();
        assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), told.len(), "{told:?}");
        let order = seen(&findings, sees);
        assert!(order.windows(2).all(|two| two[0].last() < two[1].last() && two[0].added < two[1].added));
    }
    let names = |sees| {
        let told = introduced(&findings, sees);
        told.iter().filter_map(|object| object["name"].as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let common = [ALLIANCE, "Epimachia", "Epimachia findings and sightings"];
    assert_eq!(names(PUBLIC), [&["TLP:CLEAR"], &common[..]].concat());
    let members = names(MEMBERS);
    for name in ["telecom", "cloud", "TLP:AMBER", "TLP:GREEN", "TLP:CLEAR"] {
        let versions = members.iter().filter(|told| *told == name).count();
        assert!((1..=if name.starts_with("TLP") { 1 } else { 2 }).contains(&versions), "{name} in {members:?}");
    }
    assert!(names(GROUP).iter().any(|name| name == "telecom"), "the group is an audience of its own");
    for object in [MEMBERS, GROUP, PUBLIC].iter().flat_map(|sees| introduced(&findings, *sees)) {
        let named = object["type"] == "identity";
        let marking =
            if object["description"].to_string().contains("A member of") { "green or amber" } else { "clear" };
        let marked = Handling::alliance(if marking == "clear" { Tlp::Clear } else { Tlp::Green });
        let [clear, green, amber] = [Tlp::Clear, Tlp::Green, Tlp::Amber]
            .map(|tlp| share::stix::marking::references("", &Handling::alliance(tlp)));
        let is = |refs: &Vec<String>| object["object_marking_refs"] == serde_json::json!(refs);
        let right = if marked.tlp == Tlp::Clear { is(&clear) } else { is(&green) || is(&amber) };
        assert!(!named || right, "{object}");
    }
}

#[test]
fn what_was_introduced_is_found_by_its_identifier_and_by_nobody_outside() {
    let findings = findings();
    let wanted = ours::member_id(ALLIANCE, &member("cloud"));
    let filter = Filter::read([("match[id]", wanted.as_str())]).unwrap();
    let found = findings.page(&filter, &MEMBERS, 10);
    assert_eq!((found.versions.len(), found.more), (1, None));
    assert_eq!(findings.introduced(&found.versions[0]).map(id), Some(wanted));
    assert!(findings.page(&filter, &PUBLIC, 10).versions.is_empty());
}

#[test]
fn what_is_introduced_takes_no_room_of_a_page_from_findings() {
    let found = findings().page(&Filter::default(), &MEMBERS, 2);
    let findings = findings();
    let versions = found.versions.iter().filter(|seen| findings.introduced(seen).is_none()).count();
    assert_eq!((versions, found.more.is_some()), (2, true));
}

#[test]
fn who_reads_up_to_green_is_not_told_by_a_name_that_there_is_something_amber() {
    let mut findings = Subjects::new(ALLIANCE);
    let order = [Tlp::Amber, Tlp::Green, Tlp::AmberStrict, Tlp::Clear];
    order.into_iter().zip(1..).for_each(|(tlp, at)| findings.add_findings(at, &[finding(at as u8, tlp, None)]));
    findings.settle();
    let observer: Sees = |handling| handling.group.is_none() && handling.tlp <= Tlp::Green;
    let telecom = ours::member_id(ALLIANCE, &member("telecom"));
    let named = |sees: Sees| {
        let is_it = |at: &Seen| findings.introduced(at).is_some_and(|object| id(object) == telecom);
        seen(&findings, sees).iter().filter(|at| is_it(at)).map(Seen::position).collect::<Vec<_>>()
    };
    assert_eq!(named(observer), [2]);
    assert_eq!(named(MEMBERS), [1, 2], "once more, as a later version");
}

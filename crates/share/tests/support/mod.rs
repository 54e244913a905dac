//! A finding in every state, for tests and for the example that prints all that we emit.
#![allow(dead_code, reason = "not every test needs all of it")]

use model::{
    Behaviour, BlastRadius, Class, Digest, Family, Finding, FindingState, Grade, GuardHit, Handling, Inverse, Measure,
    MemberId, Mitigation, Observable, Plan, PlanHeader, Sum, SumLine, Tlp,
};
use std::collections::BTreeMap;

/// The alliance of the tests.
pub const ALLIANCE: &str = "example-alliance";

/// Every state of a finding.
pub const STATES: [FindingState; 5] = [
    FindingState::Observed,
    FindingState::Corroborated,
    FindingState::Guarded,
    FindingState::Faded,
    FindingState::Revoked,
];

/// A member by name.
pub fn member(name: &str) -> MemberId {
    name.parse().unwrap()
}

/// A finding about a web address in this state.
pub fn finding(state: FindingState) -> Finding {
    of(&"http://evil.example/it's".parse().unwrap(), state, Handling::alliance(Tlp::Green))
}

/// A finding about `observable`.
pub fn of(observable: &Observable, state: FindingState, handling: Handling) -> Finding {
    let line = |name: &str, points: f64, note: &str| SumLine {
        member: member(name),
        grade: Grade::Payload,
        weight: points,
        age_days: 0.25,
        decay: 0.976,
        dependence: 0.0,
        points,
        retracted: false,
        copies: None,
        note: note.to_owned(),
    };
    let guard = (state == FindingState::Guarded).then(|| GuardHit {
        class: "top".to_owned(),
        entry: "evil.example".to_owned(),
        list: "top.txt".to_owned(),
        owner: None,
        absolute: true,
    });
    Finding {
        id: model::finding_id(observable, Family::ALL[0]),
        observable: observable.clone(),
        family: Family::ALL[0],
        behaviours: [Behaviour::C2].into(),
        state,
        actionable: state == FindingState::Corroborated,
        sum: Sum {
            lines: vec![line("telecom", 1.792, ""), line("cloud", 1.693, "on probation")],
            cut: 0.1,
            total: 3.385,
            threshold: 2.0,
        },
        guard,
        handling,
        first: "2026-05-30T10:00:00.5Z".parse().unwrap(),
        last: "2026-06-01T10:00:00Z".parse().unwrap(),
        made: "2026-06-01T16:00:00.25Z".parse().unwrap(),
    }
}

/// A plan that asks two members to deny what each finding is about.
pub fn plan(findings: &[Finding]) -> Plan {
    let made = "2026-06-01T16:00:01Z".parse().unwrap();
    let asked = findings.iter().flat_map(|finding| {
        ["telecom", "cloud"].map(|name| Mitigation {
            member: member(name),
            finding: finding.id,
            observable: finding.observable.clone(),
            family: finding.family,
            generation: 7,
            measure: Measure::deny(&finding.observable).unwrap(),
            expires: "2026-06-02T16:00:01Z".parse().unwrap(),
            inverse: Inverse::Lift,
        })
    });
    let mitigations: Vec<Mitigation> = asked.collect();
    let header = PlanHeader {
        alliance: ALLIANCE.to_owned(),
        charter: 1,
        parent: None,
        generation: 7,
        class: Class::Automatic,
        made,
        reasons: vec!["two members saw it".to_owned()],
        blast_radius: BlastRadius::default(),
        count: mitigations.len() as u32,
        root: Digest::of(&[b"root"]),
    };
    Plan { header, mitigations, evidence: BTreeMap::new() }
}

//! A finding in every state, for tests and for the example that prints all that we emit.
#![allow(dead_code, reason = "not every test needs all of it")]

use model::{
    Behaviour, Family, Finding, FindingState, Grade, GuardHit, Handling, MemberId, Observable, Sum, SumLine, Tlp,
};

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
        note: note.to_owned(),
    };
    let guard = (state == FindingState::Guarded).then(|| GuardHit {
        class: "top".to_owned(),
        entry: "evil.example".to_owned(),
        list: "top.txt".to_owned(),
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

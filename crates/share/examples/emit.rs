//! Prints one bundle with everything we emit: findings about every kind of observable in every state and marking, and
//! sightings of every behaviour, a plan in force and one that was closed.
//! `cargo run -p share --example emit > all.json && stix2_validator all.json`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an example that cannot go on fails, and prints")]

#[path = "../tests/support/mod.rs"]
mod support;

use model::{Behaviour, Digest, Grade, Handling, Observable, Sensor, Sighting, SightingId, Tlp};
use share::stix::{PlanAt, Stage, Writer, write};
use support::{ALLIANCE, STATES, member, of, plan};

const VALUES: [&str; 9] = [
    "198.51.100.7",
    "198.51.100.0/24",
    "2001:db8::7",
    "2001:db8::/48",
    "evil.example",
    "http://evil.example/it's",
    "md5:79054025255fb1a26e4bc422aef54eb4",
    "sha1:cf23df2207d99a74fbe169e3eba035e633b65d94",
    "sha256:aec070645fe53ee3b3763059376134f058cc337247c978add178b6ccdfb0019f",
];

fn main() {
    let writer = Writer { alliance: ALLIANCE, hub: Some("https://hub.example"), named: &|m| m.as_str() == "telecom" };
    let mut findings = Vec::new();
    for (i, text) in VALUES.iter().enumerate() {
        let observable: Observable = text.parse().unwrap();
        let tlp = Tlp::ALL[i % 4];
        let group = (i % 3 == 0).then(|| "banks".parse().unwrap());
        findings.push(of(&observable, STATES[i % 5], Handling::new(tlp, group)));
    }
    let all = writer.findings(findings.iter().map(|finding| (finding, finding.first)));
    let mut objects: Vec<_> = all["objects"].as_array().unwrap().clone();
    for (i, behaviour) in Behaviour::ALL.iter().enumerate() {
        let sighting = Sighting {
            observable: VALUES[i % VALUES.len()].parse().unwrap(),
            behaviour: *behaviour,
            first: "2026-06-01T00:00:00Z".parse().unwrap(),
            last: "2026-06-01T00:00:00.123Z".parse().unwrap(),
            count: 1,
            sensor: Sensor::ALL[i % Sensor::ALL.len()],
            grade: Grade::ALL[i % Grade::ALL.len()],
            handling: Handling::alliance(Tlp::Green),
        };
        let id = SightingId::of(&Digest::of(&[behaviour.as_str().as_bytes()]));
        objects.extend(writer.sighting(&sighting, &id, &member("telecom"), sighting.last));
    }
    let about: Vec<_> = findings.iter().filter(|finding| finding.handling.group.is_none()).take(3).cloned().collect();
    let (mut plan, handling) = (plan(&about), Handling::alliance(Tlp::Green));
    for (stage, since) in
        [(Stage::InForce, "2026-06-01T16:00:02Z"), (Stage::Closed("nobody approved it"), "2026-06-01T17:00:00Z")]
    {
        let at = PlanAt { plan: &plan, handling: &handling, stage, since: since.parse().unwrap() };
        objects.extend(writer.plan(&at, |_| true).into_iter().map(|(_, object)| object));
        plan.header.generation += 1;
    }
    println!("{:#}", write::bundle(objects));
}

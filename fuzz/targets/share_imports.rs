//! Any bytes as a MISP event, CrowdSec alerts, a list, a table: never a panic, and what is said is fit for the
//! alliance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Behaviour, Grade, Handling, Sensor, Timestamp, Tlp};
use share::{Defaults, Limits, Reading, crowdsec, list, misp, table};

fuzz_target!(|bytes: &[u8]| {
    let latest: Timestamp = "2026-06-01T00:00:00Z".parse().expect("a time");
    let defaults = Defaults {
        handling: Handling::alliance(Tlp::Amber),
        behaviour: Some(Behaviour::Scan),
        sensor: Sensor::List,
        grade: Grade::Spoofable,
    };
    let limits = Limits::ENVELOPE;
    let readings = [
        misp::read(bytes, &limits, &defaults, latest),
        crowdsec::read(bytes, &limits, &defaults, latest),
        list::read(bytes, &limits, &defaults, latest),
        table::read(bytes, &table::Columns::default(), &limits, &defaults, latest),
    ];
    for reading in readings.iter().flatten() {
        check(reading, latest);
    }
});

fn check(reading: &Reading, latest: Timestamp) {
    for (_, sighting) in reading.sightings() {
        assert!(sighting.count > 0 && sighting.first <= sighting.last && sighting.last <= latest);
        assert!(sighting.handling.tlp != Tlp::Red);
    }
}

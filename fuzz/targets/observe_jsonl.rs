//! Any bytes as JSON lines through a column map: never a panic, every line counted, nothing counted twice.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Behaviour, Grade, Sensor};
use observe::columns::{ColumnField, Field};
use observe::{Aggregator, ColumnMap, Intake, JsonLines, Settings};
use std::collections::BTreeMap;

fn columns(observable: &str) -> ColumnMap {
    let words = BTreeMap::from([("ssh".to_owned(), Behaviour::Bruteforce)]);
    ColumnMap {
        observable: observable.to_owned(),
        time: "t".to_owned(),
        last: None,
        time_format: Default::default(),
        utc_offset: Default::default(),
        behaviour: Field::Column(ColumnField { column: "b".to_owned(), words, otherwise: Some(Behaviour::Scan) }),
        grade: Field::Constant(Grade::Handshake),
        sensor: Field::Constant(Sensor::Firewall),
        count: Some("n".to_owned()),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut intake = Intake::new(JsonLines::new(columns("/src/ip")), Settings::default(), Aggregator::default());
    let mut sightings = intake.push(bytes);
    sightings.extend(intake.finish());
    let tally = intake.tally();
    assert_eq!(tally.lines, tally.seen + tally.malformed + tally.skipped.values().sum::<u64>());
    assert!(sightings.len() as u64 <= tally.seen && sightings.iter().all(|s| s.count > 0 && s.first <= s.last));
});

//! Which column is what, for the targets of columns; and what must hold of whatever a source reads.

use model::{Behaviour, Grade, Sensor};
use observe::columns::{ColumnField, Field};
use observe::{ColumnMap, Intake, Source};
use std::collections::BTreeMap;

/// The observable stands in the column `observable`.
pub fn columns(observable: &str) -> ColumnMap {
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

/// Every line is counted, and nothing twice.
pub fn check<S: Source>(mut intake: Intake<S>, bytes: &[u8]) {
    let mut sightings = intake.push(bytes);
    sightings.extend(intake.finish());
    let tally = intake.tally();
    assert_eq!(tally.lines, tally.seen + tally.malformed + tally.skipped.values().sum::<u64>());
    assert!(sightings.len() as u64 <= tally.seen && sightings.iter().all(|s| s.count > 0 && s.first <= s.last));
}

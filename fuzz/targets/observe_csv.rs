//! Any bytes as CSV with a header through a column map: never a panic, every line counted, nothing counted twice.
#![no_main]

#[path = "../columns.rs"]
mod columns;

use columns::{check, columns};
use libfuzzer_sys::fuzz_target;
use observe::{Aggregator, Csv, CsvSettings, Intake, Settings};

fuzz_target!(|bytes: &[u8]| {
    let settings = CsvSettings { names: None, separator: ',', comment: '#', columns: columns("a") };
    let csv = Csv::new(settings).expect("a separator of one byte");
    check(Intake::new(csv, Settings::default(), Aggregator::default()), bytes);
});

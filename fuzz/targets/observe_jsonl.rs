//! Any bytes as JSON lines through a column map: never a panic, every line counted, nothing counted twice.
#![no_main]

#[path = "../columns.rs"]
mod columns;

use columns::{check, columns};
use libfuzzer_sys::fuzz_target;
use observe::{Aggregator, Intake, JsonLines, Settings};

fuzz_target!(|bytes: &[u8]| {
    check(Intake::new(JsonLines::new(columns("/src/ip")), Settings::default(), Aggregator::default()), bytes);
});

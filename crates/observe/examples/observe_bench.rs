//! Lines a second of each source on one core: `cargo run --release -p observe --example observe_bench`.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures time")]

use observe::{Aggregator, ColumnMap, Csv, CsvSettings, Eve, Intake, JsonLines, Settings, Source};
use std::time::Instant;

const EVE: &str = include_str!("../testdata/eve.json");
const LINES: usize = 200_000;
const COLUMNS: &str =
    "observable = 'ip'\ntime = 't'\nbehaviour = { column = 'b' }\ngrade = 'handshake'\nsensor = 'firewall'";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings: Settings = toml::from_str("own = ['198.51.100.0/24', '2001:db8:51::/48']")?;
    let columns: ColumnMap = toml::from_str(COLUMNS)?;
    let host = |n: usize| format!("192.88.99.{}", n % 250);
    let csv: String = (0..LINES).map(|n| format!("2026-01-31T12:00:00Z,{},scan\n", host(n))).collect();
    let json = |n| format!("{{\"t\":\"2026-01-31T12:00:00Z\",\"ip\":\"{}\",\"b\":\"scan\",\"x\":[1,2]}}\n", host(n));
    let json: String = (0..LINES).map(json).collect();
    let alert = EVE.lines().next().unwrap_or_default();
    let eve: String = (0..LINES / 4).map(|n| alert.replace("192.88.99.10", &host(n)) + "\n").collect();
    let names = Some(vec!["t".to_owned(), "ip".to_owned(), "b".to_owned()]);
    let csv_settings = CsvSettings { names, separator: ',', comment: '#', columns: columns.clone() };
    run("eve, alerts", Eve::default(), &settings, &eve);
    run("jsonl", JsonLines::new(columns), &settings, &json);
    run("csv", Csv::new(csv_settings)?, &settings, &csv);
    Ok(())
}

fn run(name: &str, source: impl Source, settings: &Settings, text: &str) {
    let mut intake = Intake::new(source, settings.clone(), Aggregator::default());
    let start = Instant::now();
    let sightings: usize = text.as_bytes().chunks(1 << 16).map(|piece| intake.push(piece).len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    let (lines, seen) = (intake.tally().lines as f64, intake.tally().seen);
    let rate = lines / seconds / 1e3;
    println!(
        "{name:<12}{rate:>8.0} k lines/s  {:>6.0} MB/s  {seen} seen, {sightings} out",
        text.len() as f64 / seconds / 1e6
    );
}

//! How fast STIX is split, read, understood, and patterns parsed, on one core, by processor time:
//! `cargo run --release -p share --example share_bench [BUNDLE …]`. Every object of a bundle is checked byte for byte.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints a table")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it reads files")]

use model::{Grade, Handling, Sensor, Tlp};
use share::pattern::{Pattern, Reduction};
use share::stix::{Context, Head, Markings, Split, StixTime};
use share::{Defaults, Limits};
use std::hint::black_box;

const ROUNDS: usize = 7;
const INDICATORS: usize = 20_000;

fn main() {
    let indicators = indicators();
    documents("indicators", indicators.as_bytes());
    for file in std::env::args().skip(1) {
        let bytes = std::fs::read(&file).unwrap();
        faithful(&bytes);
        documents(&file, &bytes);
    }
    words(indicators.as_bytes());
    patterns();
}

/// The median of several rounds, in seconds.
fn median(mut round: impl FnMut()) -> f64 {
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = seconds();
            round();
            seconds() - start
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

/// The processor time of this thread so far, which is all that the program has (Linux, proc_pid_schedstat(5)).
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap() / 1e9
}

fn documents(name: &str, bytes: &[u8]) {
    let count = Split::read(bytes, &Limits::FILE).unwrap().objects.len();
    let seconds = median(|| {
        let split = Split::read(bytes, &Limits::FILE).unwrap();
        for object in &split.objects {
            drop(black_box(Head::read(object)));
        }
    });
    rate(&format!("split and head: {name}"), bytes.len(), count, seconds);
}

fn words(bytes: &[u8]) {
    let defaults = Defaults {
        handling: Handling::alliance(Tlp::Amber),
        behaviour: None,
        sensor: Sensor::List,
        grade: Grade::Spoofable,
    };
    let split = Split::read(bytes, &Limits::FILE).unwrap();
    let seconds = median(|| {
        let latest = StixTime::parse("now", "2026-06-01T00:00:00Z").unwrap();
        let markings = Markings::new("bench", []);
        let context = Context { defaults: &defaults, markings, finding: &|_| None, latest, words_max: usize::MAX };
        assert_eq!(share::stix::read(&split.objects, context).sightings().count(), INDICATORS);
    });
    rate("objects into sightings: indicators", bytes.len(), split.objects.len(), seconds);
}

fn patterns() {
    let corpus: serde_json::Value = serde_json::from_str(include_str!("../testdata/oasis/validator.json")).unwrap();
    let texts: Vec<&str> = corpus["spec"].as_array().unwrap().iter().filter_map(|text| text.as_str()).collect();
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    let repeat = 1_000;
    let seconds = median(|| {
        for _ in 0..repeat {
            texts.iter().for_each(|text| drop(black_box(text.parse::<Pattern>().unwrap())));
        }
    });
    rate("patterns parsed: the standard's 23", bytes * repeat, texts.len() * repeat, seconds);
    let parsed: Vec<Pattern> = texts.iter().map(|text| text.parse().unwrap()).collect();
    let seconds = median(|| {
        for _ in 0..repeat {
            parsed.iter().for_each(|pattern| drop(black_box(Reduction::of(pattern))));
        }
    });
    rate("patterns reduced: the standard's 23", bytes * repeat, texts.len() * repeat, seconds);
}

fn rate(what: &str, bytes: usize, count: usize, seconds: f64) {
    let (megabytes, thousands) = (bytes as f64 / seconds / 1e6, count as f64 / seconds / 1e3);
    println!("{what}: {count} in {:.1} ms, {megabytes:.0} MB/s, {thousands:.0} k/s", seconds * 1e3);
}

/// Each object's bytes stand in the document, one after the other.
fn faithful(bytes: &[u8]) {
    let split = Split::read(bytes, &Limits::FILE).unwrap();
    let whole: serde_json::Value = serde_json::from_slice(bytes).unwrap();
    let values = whole["objects"].as_array().unwrap();
    assert_eq!(values.len(), split.objects.len());
    let mut from = bytes.as_ptr();
    for (object, value) in split.objects.iter().zip(values) {
        let raw = object.get().as_bytes();
        assert!(raw.as_ptr() >= from && raw.as_ptr_range().end <= bytes.as_ptr_range().end);
        from = raw.as_ptr_range().end;
        assert_eq!(&serde_json::from_slice::<serde_json::Value>(raw).unwrap(), value);
    }
}

/// A bundle of small indicators, as feeds are.
fn indicators() -> String {
    let one = |n: usize| {
        format!(
            r#"{{"type":"indicator","spec_version":"2.1","id":"indicator--00000000-0000-4000-8000-{n:012x}",
"created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff","created":"2026-05-01T00:00:00.000Z",
"modified":"2026-05-01T00:00:00.000Z","name":"botnet node","indicator_types":["malicious-activity"],"labels":["c2"],
"pattern":"[ipv4-addr:value = '198.{}.{}.{}']","pattern_type":"stix","valid_from":"2026-05-01T00:00:00Z",
"object_marking_refs":["marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"],"confidence":80}}"#,
            n >> 16 & 255,
            n >> 8 & 255,
            n & 255
        )
    };
    let all: Vec<String> = (0..INDICATORS).map(one).collect();
    format!("{{\"type\":\"bundle\",\"id\":\"bundle--1\",\"objects\":[{}]}}", all.join(","))
}

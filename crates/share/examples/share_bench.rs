//! How fast STIX is split, read, understood, and patterns parsed, on one core, by processor time:
//! `cargo run --release -p share --example share_bench [BUNDLE …]`. Every object of a bundle is checked byte for byte.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program that prints a table")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it reads files")]

use model::{Grade, Handling, Sensor, Timestamp, Tlp};
use share::pattern::{Pattern, Reduction};
use share::stix::{Context, Head, Markings, SpecVersion, Split, StixTime};
use share::taxii::{Ask, CollectionId, Filter, Index, NewObject, Root, Source};
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
    paging(300, 1_000);
    for versions in [1, 16] {
        memory(1_000_000 / versions, versions);
    }
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

/// An index of so many versions of so many objects, which came in turns: each page meets many objects.
fn in_turns(objects: usize, versions: usize, collection: CollectionId) -> Index {
    let (author, handling) = ("cloud".parse().unwrap(), Handling::alliance(Tlp::Green));
    let mut index = Index::default();
    for n in 0..objects * versions {
        let id = format!("malware--{:08x}-1111-4111-8111-111111111111", n % objects);
        let (position, time) = (n as u64, Timestamp::MIN);
        let source = Source { collection, author: &author, handling: &handling, position, time };
        let version = Some(StixTime::from_micros(n as i64));
        let object = NewObject { id: &id, spec: SpecVersion::V21, version, print: position, bytes: 700, after: 0 };
        index.add(&source, 0, &object);
    }
    index.settle();
    index
}

/// The last version of each object of a TAXII collection, page by page.
fn paging(objects: usize, versions: usize) {
    let collection = CollectionId::of("bench", &Root::Alliance, "sightings");
    let index = in_turns(objects, versions, collection);
    let (mut filter, mut pages, mut slowest, mut rows) = (Filter::default(), 0_u32, 0.0_f64, 0);
    let begun = seconds();
    loop {
        let asked = seconds();
        let page = index.page(&Ask { collection, public: false, filter: &filter, sees: &|_, _| true });
        slowest = slowest.max(seconds() - asked);
        (pages, rows) = (pages + 1, rows + page.rows.len());
        filter.next = page.next;
        if filter.next.is_none() {
            break;
        }
    }
    let all = (seconds() - begun) * 1e3;
    println!(
        "taxii: the last of {versions} versions of {objects} objects in turns: {rows} rows in {pages} pages, \
         {:.1} ms a page, at most {:.1} ms, {all:.0} ms in all",
        all / f64::from(pages),
        slowest * 1e3
    );
}

/// What an index takes.
fn memory(objects: usize, versions: usize) {
    let before = resident();
    let index = in_turns(objects, versions, CollectionId::of("bench", &Root::Alliance, "sightings"));
    let each = (resident() - before) / index.len() as f64;
    println!("taxii: {versions} versions of {objects} objects: {each:.0} bytes a row");
}

/// Bytes that this process holds (Linux, proc_pid_statm(5)).
fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap() * 4_096.0
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

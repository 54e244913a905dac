//! Whole streams: bytes in, sightings and counts out, through the column maps a member would write.
#![expect(clippy::unwrap_used, reason = "tests")]

use model::Sighting;
use observe::csv::Csv;
use observe::{Aggregator, Eve, Intake, JsonLines, Settings, Skip, Source};
use proptest::prelude::*;

const FIREWALL: &[u8] = include_bytes!("../testdata/firewall.csv");
const DECOY: &[u8] = include_bytes!("../testdata/decoy.jsonl");
const EVE: &[u8] = include_bytes!("../testdata/eve.json");

fn settings() -> Settings {
    toml::from_str("own = ['198.51.100.0/24', '2001:db8:51::/48']\nhandling = { tlp = 'green' }").unwrap()
}

fn csv() -> Csv {
    let text = r#"
        separator = ";"
        [columns]
        observable = "src"
        time = "ts"
        utc_offset = "+01:00"
        behaviour = { column = "service", words = { ssh = "bruteforce", telnet = "scan" } }
        grade = "handshake"
        sensor = "firewall"
        count = "hits"
    "#;
    Csv::new(toml::from_str(text).unwrap()).unwrap()
}

fn jsonl() -> JsonLines {
    let text = r#"
        observable = "/src/ip"
        time = "timestamp"
        behaviour = { column = "eventid", words = { "cowrie.login.failed" = "bruteforce" }, otherwise = "scan" }
        grade = "payload"
        sensor = "honeypot"
        count = "count"
    "#;
    JsonLines::new(toml::from_str(text).unwrap())
}

fn shown(sightings: &[Sighting]) -> Vec<String> {
    let show =
        |s: &Sighting| format!("{} {} {} {} {}x{}", s.observable, s.behaviour, s.grade, s.sensor, s.first, s.count);
    sightings.iter().map(show).collect()
}

fn all<S: Source>(intake: &mut Intake<S>, bytes: &[u8]) -> Vec<Sighting> {
    let mut sightings = intake.push(bytes);
    sightings.extend(intake.finish());
    sightings
}

#[test]
fn a_csv_export_with_header_is_read_through_its_map() {
    let mut intake = Intake::new(csv(), settings(), Aggregator::default());
    let wanted = [
        "192.88.99.20 bruteforce handshake firewall 2026-01-31T11:00:00Zx12",
        "192.88.99.0/26 scan handshake firewall 2026-01-31T11:00:31Zx1",
        "192.88.99.20 bruteforce handshake firewall 2026-01-31T11:00:30Zx3",
    ];
    assert_eq!(shown(&all(&mut intake, FIREWALL)), wanted);
    let tally = intake.tally();
    assert_eq!((tally.lines, tally.seen, tally.malformed), (10, 3, 3));
    assert_eq!(tally.skipped, [(Skip::Blank, 2), (Skip::NoBehaviour, 1), (Skip::Own, 1)].into());
    let samples: Vec<(u64, &str)> = tally.samples.iter().map(|(n, e)| (*n, e.value.as_str())).collect();
    assert_eq!(samples, [(7, "not an address"), (8, "0"), (9, "3 fields")]);
}

#[test]
fn json_lines_of_a_decoy_are_read_through_pointers() {
    let mut intake = Intake::new(jsonl(), settings(), Aggregator::default());
    let wanted = [
        "192.88.99.30 bruteforce payload honeypot 2026-01-31T12:00:00.5Zx4",
        "192.88.99.32 scan payload honeypot 2026-01-31T12:00:02Zx1",
        "192.88.99.30 bruteforce payload honeypot 2026-01-31T12:00:20Zx5",
    ];
    assert_eq!(shown(&all(&mut intake, DECOY)), wanted);
    let samples: Vec<(u64, &str)> = intake.tally().samples.iter().map(|(n, e)| (*n, e.field.as_str())).collect();
    assert_eq!(samples, [(2, "time"), (4, "/src/ip")]);
}

#[test]
fn columns_may_be_named_by_their_place() {
    let text = r#"
        names = ["time", "member", "kind", "value", "category"]
        [columns]
        observable = "value"
        time = "time"
        behaviour = "scan"
        grade = "spoofable"
        sensor = "honeypot"
    "#;
    let source = Csv::new(toml::from_str(text).unwrap()).unwrap();
    let mut intake = Intake::new(source, settings(), Aggregator::default());
    let sightings = all(&mut intake, b"2026-01-31T12:00:00Z,m1,ipv4,192.88.99.1,tcp/23\r\n");
    assert_eq!(shown(&sightings), ["192.88.99.1 scan spoofable honeypot 2026-01-31T12:00:00Zx1"]);
}

#[test]
fn a_map_with_unknown_words_or_keys_is_refused() {
    for (from, to) in [("\"ts\"", "\"ts\"\ntimee = 1"), ("handshake", "certain"), ("\"+01:00\"", "\"CET\"")] {
        let good =
            "observable='a'\ntime=\"ts\"\nutc_offset=\"+01:00\"\nbehaviour='scan'\ngrade='handshake'\nsensor='ids'";
        assert!(toml::from_str::<observe::ColumnMap>(good).is_ok());
        assert!(toml::from_str::<observe::ColumnMap>(&good.replace(from, to)).is_err(), "{to}");
    }
}

#[test]
fn samples_of_malformed_lines_are_bounded_and_all_are_counted() {
    let mut intake = Intake::new(jsonl(), settings(), Aggregator::default());
    assert!(intake.push("}\n".repeat(500).as_bytes()).is_empty());
    assert_eq!((intake.tally().malformed, intake.tally().samples.len()), (500, observe::tally::SAMPLES_MAX));
}

fn eve_in_pieces(cuts: &[usize]) -> (Vec<Sighting>, observe::Tally) {
    let mut intake = Intake::new(Eve::default(), settings(), Aggregator::default());
    let mut sightings = Vec::new();
    let mut rest = EVE;
    for cut in cuts {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        sightings.extend(intake.push(piece));
        rest = after;
    }
    sightings.extend(all(&mut intake, rest));
    (sightings, intake.tally().clone())
}

fn tally_of(source: impl Source, bytes: &[u8]) -> observe::Tally {
    let mut intake = Intake::new(source, settings(), Aggregator::default());
    all(&mut intake, bytes);
    intake.tally().clone()
}

proptest! {
    #[test]
    fn it_does_not_matter_how_a_file_arrives(cuts in proptest::collection::vec(0usize..3_000, 0..8)) {
        prop_assert_eq!(eve_in_pieces(&cuts), eve_in_pieces(&[]));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_every_line_is_counted(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for tally in [tally_of(jsonl(), &bytes), tally_of(csv(), &bytes)] {
            prop_assert_eq!(tally.lines, tally.seen + tally.malformed + tally.skipped.values().sum::<u64>());
        }
    }
}

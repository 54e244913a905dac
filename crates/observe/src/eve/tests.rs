//! Lines as Suricata 7 writes them, and each reason why one is no evidence.

use super::*;
use crate::source::LINE_BYTES_MAX;
use model::Domain;
use proptest::prelude::*;

const LINES: &str = include_str!("../../testdata/eve.json");

fn settings() -> Settings {
    toml::from_str("own = ['198.51.100.0/24', '2001:db8:51::/48', '10.0.0.0/8']").unwrap()
}

fn eve(toml: &str) -> Eve {
    Eve::new(toml::from_str(toml).unwrap()).unwrap()
}

fn read(eve: &mut Eve, line: &str) -> Outcome {
    eve.line(line.as_bytes(), &settings())
}

fn line(number: usize) -> &'static str {
    LINES.lines().nth(number - 1).unwrap()
}

fn seen(outcome: Outcome) -> (String, Behaviour, Grade, Sensor) {
    match outcome {
        Outcome::Seen(s) => (s.observable.to_string(), s.behaviour, s.grade, s.sensor),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_alert_gives_the_remote_side_its_behaviour_and_grade() {
    use Behaviour::{Bruteforce, C2, Ddos, Exploit, Scan};
    use Grade::{Handshake, Payload, Spoofable};
    let mut eve = eve("decoys = ['198.51.100.192/27']");
    for (number, observable, behaviour, grade, sensor) in [
        (1, "192.88.99.10", Exploit, Payload, Sensor::Ids),
        (2, "192.88.99.11", Scan, Spoofable, Sensor::Ids),
        (3, "192.88.99.12", C2, Payload, Sensor::Ids),
        (4, "cnc.evil.example", C2, Spoofable, Sensor::Ids),
        (5, "192.88.99.13", Ddos, Spoofable, Sensor::Ids),
        (6, "3ffe:0:0:1::66", Bruteforce, Payload, Sensor::Ids),
        (7, "192.88.99.14", Scan, Handshake, Sensor::Honeypot),
    ] {
        let found = seen(read(&mut eve, line(number)));
        assert_eq!(found, (observable.to_owned(), behaviour, grade, sensor), "line {number}");
    }
    for number in 8..=11 {
        assert_eq!(read(&mut eve, line(number)), Outcome::Skipped(Skip::NotEvidence), "line {number}");
    }
    assert_eq!(read(&mut eve, line(12)), Outcome::Skipped(Skip::NoBehaviour), "somebody else's list is no evidence");
}

#[test]
fn a_sighting_carries_the_events_time_in_utc_and_the_members_handling() {
    let Outcome::Seen(sighting) = read(&mut eve(""), line(3)) else { panic!() };
    assert_eq!((sighting.first.to_string(), sighting.count), ("2026-01-31T12:00:02.5Z".to_owned(), 1));
    assert_eq!((sighting.first, sighting.handling), (sighting.last, settings().handling));
}

#[test]
fn each_reason_for_passing_over_is_told_apart() {
    let first = line(1);
    let no_flow =
        first.replace(r#","src_ip":"192.88.99.10","dest_ip":"198.51.100.20","src_port":51234,"dest_port":80}}"#, "}}");
    assert_ne!(no_flow, first);
    for (what, changed, wanted) in [
        ("both own", first.replace("192.88.99.10", "10.1.2.3"), Skip::BothOwn),
        ("neither own", first.replace("198.51.100.20", "192.88.99.77"), Skip::NeitherOwn),
        ("a bogon", first.replace("192.88.99.10", "192.168.7.7"), Skip::Bogon),
        ("no behaviour", first.replace("Attempted Administrator Privilege Gain", "Misc activity"), Skip::NoBehaviour),
        ("own attacks, by flow", swapped(first), Skip::OwnActs),
        ("own attacks, by direction", no_flow.replace("to_server", "to_client"), Skip::OwnActs),
        (
            "own attacks, by the signature's target",
            first.replace(r#""severity":1,"#, r#""severity":1,"target":{"ip":"192.88.99.10","port":1},"#),
            Skip::OwnActs,
        ),
        ("resolver", line(4).replace(r#""rrname":"cnc.evil.example","#, ""), Skip::NoObservable),
        ("resolver", line(4).replace("cnc.evil.example", "localhost"), Skip::NoObservable),
        ("ignored", first.replace("2034647", "1"), Skip::Ignored),
        ("blank", "  ".to_owned(), Skip::Blank),
        ("statistics", r#"{"timestamp":"x","event_type":"stats"}"#.to_owned(), Skip::NotEvidence),
    ] {
        let mut eve = eve("signatures = [{ id = 1, behaviour = 'ignore' }]");
        assert_eq!(read(&mut eve, &changed), Outcome::Skipped(wanted), "{what}");
    }
}

/// The same event with the sides exchanged.
fn swapped(line: &str) -> String {
    line.replace("192.88.99.10", "@").replace("198.51.100.20", "192.88.99.10").replace('@', "198.51.100.20")
}

#[test]
fn a_forged_syn_that_was_answered_stays_spoofable_and_an_answer_to_us_does_not() {
    let answered = line(2).replace(r#""pkts_toclient":0"#, r#""pkts_toclient":3"#);
    assert_eq!(seen(read(&mut eve(""), &answered)).2, Grade::Spoofable);
    let to_us = line(3).replace(r#""app_proto":"tls","#, "").replace(r#""tls":{"#, r#""x":{"#);
    assert_eq!(seen(read(&mut eve(""), &to_us)).2, Grade::Handshake);
    let refused = line(7).replace("established", "closed");
    assert_eq!(seen(read(&mut eve("decoys = ['198.51.100.192/27']"), &refused)).2, Grade::Spoofable);
}

#[test]
fn the_members_own_table_wins_over_the_built_in_one() {
    let mut eve = eve("signatures = [{ id = 2403300, behaviour = 'spam' }]\n[categories]\n'misc attack' = 'scan'");
    assert_eq!(seen(read(&mut eve, line(12))).1, Behaviour::Spam);
    assert_eq!(seen(read(&mut eve, &line(12).replace("2403300", "7"))).1, Behaviour::Scan);
    assert!(toml::from_str::<EveSettings>("signatures = [{ id = 1, behaviour = 'hack' }]").is_err());
}

#[test]
fn a_name_asked_for_in_a_version_8_alert_is_found_too() {
    let eight = line(4).replace(r#""dns":{"query":["#, r#""dns":{"version":3,"queries":["#);
    assert_eq!(seen(read(&mut eve(""), &eight)).0.parse::<Domain>().unwrap().as_str(), "cnc.evil.example");
}

#[test]
fn malformed_lines_name_field_and_value() {
    for (text, named) in [
        ("{", "JSON object"),
        ("[]", "EVE"),
        (r#"{"event_type":"alert"}"#, "timestamp"),
        (r#"{"timestamp":"2026-01-31T12:00:00Z","event_type":"alert"}"#, "alert"),
        (r#"{"timestamp":"2026-01-31T12:00:00Z","event_type":"flow","src_ip":"x"}"#, "IP address"),
        (r#"{"timestamp":"2026-01-31T12:00:00Z","event_type":"flow"}"#, "src_ip"),
        (&line(1).replacen("2026", "1926", 1), "1926"),
        (&format!("{}1{}", "[".repeat(33), "]".repeat(33)), "32 levels"),
        (&"x".repeat(LINE_BYTES_MAX + 1), "65536 bytes"),
    ] {
        let Outcome::Malformed(error) = read(&mut eve(""), text) else { panic!("{text}") };
        assert!(error.to_string().contains(named), "{error}");
    }
    assert!(matches!(eve("").line(b"\xff\xfe", &settings()), Outcome::Malformed(_)));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        eve("").line(&bytes, &settings());
    }

    /// One byte of a good line changed: whatever comes out, it names nothing of ours.
    #[test]
    fn a_damaged_line_never_accuses_own_space(number in 1usize..=12, place: prop::sample::Index, byte: u8) {
        let mut bytes = line(number).as_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        if let Outcome::Seen(sighting) = eve("decoys = ['198.51.100.192/27']").line(&bytes, &settings()) {
            let own = sighting.observable.network().is_some_and(|net| settings().own.overlaps(net));
            prop_assert!(!own, "{}", sighting.observable);
        }
    }
}

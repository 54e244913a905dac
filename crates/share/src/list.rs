//! Plain lists: one observable a line, comments after `#`, `;` or `//`, hosts files; and findings as a list.

use crate::limits::Limits;
use crate::reading::{Defaults, Reading, Silent, Skip, Word};
use model::{Finding, FindingState, Observable, ParseError, Sighting, Timestamp, Tlp};
use std::fmt::Write as _;

/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 4_096;

/// Reads a list that was fetched at `seen`, which is all that it tells about time. Places are lines, from 0; blank
/// lines
/// and comments are none.
///
/// # Errors
/// What is beyond `limits` or no text. A bad line is refused by itself.
pub fn read(bytes: &[u8], limits: &Limits, defaults: &Defaults, seen: Timestamp) -> Result<Reading, ParseError> {
    let text = limits.text(bytes)?;
    let mut reading = Reading::default();
    let mut values = 0;
    for (place, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let Some(value) = value(line) else { continue };
        values += 1;
        limits.count("lines", values)?;
        let sighting = sighting(line, value, defaults, seen);
        reading.take(place, sighting.map(|sighting| vec![Word::Sighting(sighting)]));
    }
    Ok(reading)
}

/// What a line holds besides comments: its first word, or the name after an address of a hosts file.
fn value(line: &str) -> Option<&str> {
    let end = [line.find('#'), line.find(';'), line.find(" //").or(line.starts_with("//").then_some(0))];
    let line = end.into_iter().flatten().min().map_or(line, |end| &line[..end]);
    let mut words = line.split([' ', '\t', ',', '\r']).filter(|word| !word.is_empty());
    match words.next()? {
        "0.0.0.0" | "127.0.0.1" | "::" | "::1" => words.next().or(Some("0.0.0.0")),
        first => Some(first),
    }
}

fn sighting(line: &str, value: &str, defaults: &Defaults, seen: Timestamp) -> Result<Sighting, Silent> {
    if line.len() > LINE_BYTES_MAX {
        let found = format!("{} bytes", line.len());
        return Err(ParseError::new("line", &found, format_args!("at most {LINE_BYTES_MAX} bytes")).into());
    }
    let observable = Observable::parse_pasted(value)?;
    let behaviour = defaults.behaviour.ok_or(Skip::NoBehaviour)?;
    if defaults.handling.tlp == Tlp::Red {
        return Err(ParseError::new("tlp", "red", "clear, green, amber or amber+strict").into());
    }
    let (sensor, grade, handling) = (defaults.sensor, defaults.grade, defaults.handling.clone());
    Ok(Sighting { observable, behaviour, first: seen, last: seen, count: 1, sensor, grade, handling })
}

/// The observables of the corroborated findings on which machines may act, sorted, each once, one a line.
pub fn write<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> String {
    let acted_on = |finding: &&Finding| finding.actionable && finding.state == FindingState::Corroborated;
    let observables: std::collections::BTreeSet<_> =
        findings.into_iter().filter(acted_on).map(|finding| &finding.observable).collect();
    observables.into_iter().fold(String::new(), |mut text, observable| {
        // Writing into a String does not fail.
        let _ = writeln!(text, "{observable}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Behaviour, Grade, Handling, Sensor};

    fn read_all(text: &str, behaviour: Option<Behaviour>) -> Reading {
        let handling = Handling::alliance(Tlp::Green);
        let defaults = Defaults { handling, behaviour, sensor: Sensor::List, grade: Grade::Spoofable };
        read(text.as_bytes(), &Limits::ENVELOPE, &defaults, "2026-06-01T00:00:00Z".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_lists_that_people_publish_are_read() {
        let text = "\u{feff}# a list\n198.51.100.0/24 ; SBL1\r\n\n203.0.113.9,2026-01-01\nevil[.]example # c2\n\
            0.0.0.0 ads.example\n127.0.0.1\tbad.example\nhttp://evil.example/x // note\n// all\n2001:db8::1\n";
        let reading = read_all(text, Some(Behaviour::C2));
        assert!(reading.refused.is_empty(), "{:?}", reading.refused);
        let found: Vec<(usize, String)> = reading.sightings().map(|(at, s)| (at, s.observable.to_string())).collect();
        let wanted = [
            (1, "198.51.100.0/24"),
            (3, "203.0.113.9"),
            (4, "evil.example"),
            (5, "ads.example"),
            (6, "bad.example"),
            (7, "http://evil.example/x"),
            (9, "2001:db8::1"),
        ];
        assert_eq!(found, wanted.map(|(at, text)| (at, text.to_owned())));
    }

    #[test]
    fn bad_lines_are_refused_by_their_number_and_the_rest_is_read() {
        let long = "a".repeat(LINE_BYTES_MAX + 1);
        let reading = read_all(&format!("198.51.100.1\n198.51.100.0/0\n{long}\nevil.example"), Some(Behaviour::Scan));
        assert_eq!(reading.refused.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(reading.words.len(), 2);
        assert_eq!(read_all("198.51.100.1", None).skipped, [(0, Skip::NoBehaviour)]);
    }

    #[test]
    fn a_list_longer_than_allowed_is_refused() {
        let handling = Handling::alliance(Tlp::Green);
        let defaults = Defaults { handling, behaviour: None, sensor: Sensor::List, grade: Grade::Spoofable };
        let text = "a.example\n".repeat(1_001);
        let seen = "2026-06-01T00:00:00Z".parse().unwrap();
        assert!(read(text.as_bytes(), &Limits::ENVELOPE, &defaults, seen).is_err());
    }
}

//! Any bytes as objects of a sender: each is said, passed over or refused; what is said is fit for the alliance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::{Grade, Handling, Sensor, Tlp};
use share::stix::{Context, Markings, Split, StixTime};
use share::{Defaults, Limits, Word};

/// Few, so that inputs that reach it are short.
const WORDS_MAX: usize = 16;

fuzz_target!(|bytes: &[u8]| {
    let Ok(split) = Split::read(bytes, &Limits::ENVELOPE) else { return };
    let defaults = Defaults {
        handling: Handling::alliance(Tlp::Amber),
        behaviour: Some(model::Behaviour::Scan),
        sensor: Sensor::List,
        grade: Grade::Spoofable,
    };
    let latest = StixTime::parse("now", "2026-06-01T00:00:00Z").expect("a time");
    let markings = Markings::new("fuzz", []);
    let context = Context { defaults: &defaults, markings, finding: &|_| None, latest, words_max: WORDS_MAX };
    let reading = share::stix::read(&split.objects, context);
    let places = reading.words.iter().map(|(place, _)| place).chain(reading.skipped.iter().map(|(place, _)| place));
    assert!(places.chain(reading.refused.iter().map(|(place, _)| place)).all(|place| *place < split.objects.len()));
    let mut sightings = 0;
    for (_, word) in &reading.words {
        sightings += usize::from(matches!(word, Word::Sighting(_)));
        if let Word::Sighting(sighting) = word {
            assert!(sighting.count > 0 && sighting.first <= sighting.last && sighting.handling.tlp != Tlp::Red);
        }
    }
    assert!(sightings <= WORDS_MAX);
});

//! Any bytes as a stream of Suricata's EVE lines: never a panic, every line counted, own space never accused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use observe::{Aggregator, Eve, EveSettings, Intake, Networks, Settings};
use std::sync::LazyLock;

static SETTINGS: LazyLock<(Settings, EveSettings)> = LazyLock::new(|| {
    let own = ["198.51.100.0/24", "2001:db8:51::/48"].map(|net| net.parse().expect("a network"));
    let decoys = Networks::new(&["198.51.100.192/27".parse().expect("a network")]);
    (Settings { own: Networks::new(&own), ..Settings::default() }, EveSettings { decoys, ..EveSettings::default() })
});

fuzz_target!(|bytes: &[u8]| {
    let (settings, eve) = SETTINGS.clone();
    let own = settings.own.clone();
    let source = Eve::new(eve).expect("settings within their limits");
    for line in bytes.split(|byte| *byte == b'\n') {
        let (_, contact) = source.line_and_contact(line, &settings);
        assert!(contact.is_none_or(|contact| own.contains(contact.own) && !own.contains(contact.remote)));
    }
    let mut intake = Intake::new(source, settings, Aggregator::default());
    let mut sightings = intake.push(bytes);
    sightings.extend(intake.finish());
    let tally = intake.tally();
    assert_eq!(tally.lines, tally.seen + tally.malformed + tally.skipped.values().sum::<u64>());
    assert!(sightings.iter().all(|s| !s.observable.network().is_some_and(|net| own.overlaps(net))));
});

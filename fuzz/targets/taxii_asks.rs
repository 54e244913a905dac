//! Any text as what a TAXII client may send beside its body: queries, cursors, times, media types, roots, identifiers;
//! and as an observable that is searched for. What is read says the same when it is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use share::search::{Key, Reach, ranges};
use share::taxii::{CollectionId, Filter, Next, Root, cursor, media};

fuzz_target!(|text: &str| {
    let pairs: Vec<(&str, &str)> = text.split('&').filter_map(|pair| pair.split_once('=')).collect();
    if let Ok(filter) = Filter::read(pairs.iter().copied()) {
        assert!((1..=share::taxii::filter::LIMIT_MAX).contains(&filter.limit));
    }
    let _ = (media::acceptable(Some(text)), media::readable(Some(text)));
    if let Ok(next) = text.parse::<Next>() {
        assert_eq!(next.to_string().parse::<Next>().expect("what was written is read"), next);
    }
    if let Ok(micros) = cursor::micros("time", text) {
        assert_eq!(cursor::text(micros).len(), "2026-01-01T00:00:00.000000Z".len());
    }
    if let Ok(root) = text.parse::<Root>() {
        assert_eq!(root.to_string(), text);
    }
    if let Ok(id) = text.parse::<CollectionId>() {
        assert_eq!(id.to_string().parse::<CollectionId>().expect("what was written is read"), id);
    }
    if let Ok(observable) = text.parse::<model::Observable>() {
        let key = Key::of(&observable);
        assert_eq!(key.observable().as_ref(), Some(&observable), "its place leads back to it");
        for (below, above) in [(false, false), (true, false), (false, true), (true, true)] {
            let found = ranges(&observable, Reach { below, above });
            assert!(found.iter().any(|range| range.contains(&key)), "it is found by itself");
        }
    }
});

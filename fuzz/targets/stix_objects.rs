//! Any bytes as a bundle, an envelope, a list or an object: each object's bytes stand in the document, heads never
//! panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use share::Limits;
use share::stix::{Head, Split};

fuzz_target!(|bytes: &[u8]| {
    let Ok(split) = Split::read(bytes, &Limits::ENVELOPE) else { return };
    let mut from = 0;
    for object in &split.objects {
        let raw = object.get().as_bytes();
        let place = bytes[from..].windows(raw.len()).position(|window| window == raw).expect("a slice of the document");
        from += place + raw.len();
        if let Ok(head) = Head::read(object) {
            assert!(head.id.starts_with(head.kind.as_str()) || head.kind.as_str() == "x-custom");
            assert_eq!(head.raw.get().as_bytes(), raw);
        }
    }
});

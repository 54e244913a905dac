//! Any bytes as a signed checkpoint, a verifier key, a tile path: what is read is printed again byte for byte.
#![no_main]

use account::{SignedCheckpoint, TileId, VerifierKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(checkpoint) = SignedCheckpoint::parse(bytes) {
        assert_eq!(checkpoint.to_string().as_bytes(), bytes);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(id) = TileId::parse(text) {
        assert_eq!(id.path(), text);
    }
});

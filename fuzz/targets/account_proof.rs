//! Any bytes as a proof file: read or refused; what is read is printed again byte for byte and verifies or not.
#![no_main]

use account::{EntryProof, VerifierKey};
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static KEY: LazyLock<VerifierKey> = LazyLock::new(|| {
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k".parse().expect("the specification's key")
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(proof) = EntryProof::parse(bytes) {
        assert_eq!(proof.to_string().as_bytes(), bytes);
        // Nobody here has the key's secret half.
        assert!(proof.verify(&KEY).is_err());
    }
});

//! Any bytes as a policy: what is read prints what reads the same, and is held against a checkpoint without harm.
#![no_main]

use account::{Checkpoint, Policy, Signer};
use libfuzzer_sys::fuzz_target;
use model::Digest;

fuzz_target!(|bytes: &[u8]| {
    let Ok(policy) = Policy::parse(bytes) else { return };
    if std::str::from_utf8(bytes).is_ok() {
        let again = Policy::parse(policy.to_string().as_bytes());
        assert_eq!(again.as_ref(), Ok(&policy));
    }
    let Ok(signer) = Signer::new("log.example", &[1; 32]) else { return };
    let checkpoint = Checkpoint::new("log.example", 1, Digest::of(&[b"root"]));
    if let Ok(signed) = checkpoint.sign(&signer) {
        let _ = policy.check(&signed, Some(signer.verifier()));
    }
});

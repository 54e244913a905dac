//! Any bytes as a witness's key, a signed note, a request to a witness: what is read is printed again as it was, and no
//! line verifies by chance.
#![no_main]

use account::{AddCheckpoint, SignedCheckpoint, WitnessKey};
use libfuzzer_sys::fuzz_target;
use model::SigningKey;

fuzz_target!(|bytes: &[u8]| {
    let witness = SigningKey::from_seed(&[1; 32]).public();
    if let Ok(signed) = SignedCheckpoint::parse(bytes) {
        for line in signed.note().signatures() {
            // Whatever the line says, a key that never signed anything has not cosigned.
            if let Ok(key) = WitnessKey::new(&line.name, witness) {
                assert!(!matches!(key.cosigned(signed.note()), Ok(Some(_))));
            }
        }
    }
    if let Ok(request) = AddCheckpoint::parse(bytes) {
        assert_eq!(request.to_string().as_bytes(), bytes);
        let _ = request.judge(&[], None);
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(key) = text.parse::<WitnessKey>()
    {
        assert_eq!(key.to_string().parse::<WitnessKey>().as_ref(), Ok(&key));
    }
});

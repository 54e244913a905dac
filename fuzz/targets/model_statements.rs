//! Any text as what members state: sightings, retractions, disputes, changes of keys, steps of a membership. What is
//! read can be written and read again: it goes into a journal that has to be readable.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::membership::MembershipStatement;
use model::{Observable, Sighting, SignedDispute, SignedKeyChange, SignedRetraction};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).expect("what was read is written");
    serde_json::from_str(&text).expect("what was written is read")
}

fuzz_target!(|text: &str| {
    if let Ok(sighting) = Sighting::parse(text) {
        let written = serde_json::to_string(&sighting).expect("what was read is written");
        assert_eq!(Sighting::parse(&written).expect("what was written is read"), sighting);
    }
    if let Ok(observable) = Observable::parse_pasted(text) {
        assert_eq!(observable.to_string().parse::<Observable>().expect("what was written is read"), observable);
    }
    if let Ok(statement) = serde_json::from_str::<MembershipStatement>(text) {
        let _ = statement.check();
        assert_eq!(again(&statement).mark(), statement.mark());
    }
    if let Ok(change) = serde_json::from_str::<SignedKeyChange>(text) {
        let _ = again(&change);
    }
    if let Ok(retraction) = serde_json::from_str::<SignedRetraction>(text) {
        let _ = again(&retraction);
    }
    if let Ok(dispute) = serde_json::from_str::<SignedDispute>(text) {
        let _ = again(&dispute);
    }
});

//! Any bytes as a join token: read or refused by name, never repeated; what is read is written the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::join::JoinToken;

fuzz_target!(|text: &str| {
    match JoinToken::parse(text) {
        Ok(token) => assert_eq!(JoinToken::parse(&token.to_text()).expect("what was written reads back"), token),
        Err(refusal) => assert_eq!(refusal.rule, model::Rule::JoinTokenAltered),
    }
});

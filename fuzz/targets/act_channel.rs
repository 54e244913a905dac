//! The enforcer's channel: bytes from an agent that was taken over.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = act::nftables::enforcer::wire::parse(bytes, 100) {
        // What was read is written as what is read again.
        let again = serde_json::to_vec(&request).expect("plain documents");
        assert_eq!(act::nftables::enforcer::wire::parse(&again, 100).as_ref(), Ok(&request));
    }
});

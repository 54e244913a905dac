//! Any bytes as a segment header and as a frame: read or refused, never a panic, never more memory than an entry's.
#![no_main]

use journal::file::{frame, segment};
use journal::{ENTRY_BYTES_MAX, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, u64, bool, u32, &[u8])| {
    let (seed, offset, compressed, entry_bytes, bytes) = input;
    if let Ok(header) = segment::Header::decode(bytes) {
        assert_eq!(header.encode(), bytes[..segment::HEADER_BYTES]);
    }
    if let Ok((header, entry)) = frame::decode(bytes, seed, offset) {
        assert_eq!(entry.len(), header.entry_bytes as usize);
    }
    // Behind the checksums, which random bytes do not pass, stands the decompressor.
    if let Ok(entry) = unpack(compressed, entry_bytes, bytes) {
        assert!(entry.len() == entry_bytes as usize && entry.len() <= ENTRY_BYTES_MAX);
    }
});

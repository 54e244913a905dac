//! How an entry's bytes are stored: compressed with zstd, or as they are where that is not longer.

use crate::contract::ENTRY_BYTES_MAX;
use crate::error::{Error, failed};
use std::cell::RefCell;
use zstd::bulk::{Compressor, Decompressor};

/// The zstd level for entries: the fastest that still finds what JSON repeats.
const LEVEL: i32 = 1;
/// Shorter entries are not tried: zstd's own frame would eat what it saves.
const TRIED_BYTES_MIN: usize = 96;

/// An entry as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Whether `body` is a zstd frame.
    pub compressed: bool,
    /// How many bytes the entry has when unpacked.
    pub entry_bytes: u32,
    /// CRC-32C of `body`.
    pub crc: u32,
    /// The stored bytes.
    pub body: Vec<u8>,
}

thread_local! {
    // A zstd context takes longer to make than a short entry takes to compress.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Packs an entry; the caller has checked its length.
pub(crate) fn pack(entry: &[u8]) -> Result<Packed, Error> {
    let entry_bytes = u32::try_from(entry.len()).map_err(|_| failed("an entry of over 4 GiB"))?;
    let squeezed = match entry.len() >= TRIED_BYTES_MIN {
        true => Some(compress(entry)?).filter(|body| body.len() < entry.len()),
        false => None,
    };
    let compressed = squeezed.is_some();
    let body = squeezed.unwrap_or_else(|| entry.to_vec());
    Ok(Packed { compressed, entry_bytes, crc: crc32c::crc32c(&body), body })
}

/// The entry of a stored body; never makes more than `entry_bytes` bytes, nor more than an entry may have.
///
/// # Errors
/// What is wrong with the body, in words.
pub fn unpack(compressed: bool, entry_bytes: u32, body: &[u8]) -> Result<Vec<u8>, String> {
    let expected = usize::try_from(entry_bytes).unwrap_or(usize::MAX);
    if expected > ENTRY_BYTES_MAX {
        return Err(format!("entry of {expected} bytes, at most {ENTRY_BYTES_MAX} are allowed"));
    }
    let entry = match compressed {
        true => decompress(body, expected)?,
        false => body.to_vec(),
    };
    match entry.len() == expected {
        true => Ok(entry),
        false => Err(format!("entry of {} bytes, its header says {expected}", entry.len())),
    }
}

fn compress(entry: &[u8]) -> Result<Vec<u8>, Error> {
    COMPRESSOR.with_borrow_mut(|slot| {
        let made = slot.take().map_or_else(|| Compressor::new(LEVEL), Ok);
        let mut compressor = made.map_err(|error| failed(format!("no zstd compressor: {error}")))?;
        let body = compressor.compress(entry);
        *slot = Some(compressor);
        body.map_err(|error| failed(format!("zstd could not compress an entry: {error}")))
    })
}

fn decompress(body: &[u8], expected: usize) -> Result<Vec<u8>, String> {
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let made = slot.take().map_or_else(Decompressor::new, Ok);
        let mut decompressor = made.map_err(|error| format!("no zstd decompressor: {error}"))?;
        let entry = decompressor.decompress(body, expected);
        *slot = Some(decompressor);
        entry.map_err(|error| format!("zstd body is not an entry of {expected} bytes: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repetitive_entry_is_compressed_and_random_entry_is_not() {
        let packed = pack(&[b'a'; 1000]).unwrap();
        assert!(packed.compressed && packed.body.len() < 100);
        let noise: Vec<u8> =
            (0..400_u32).flat_map(|n| model::Digest::of(&[&n.to_be_bytes()]).as_bytes()[..8].to_vec()).collect();
        assert!(!pack(&noise).unwrap().compressed);
    }

    #[test]
    fn zstd_bomb_is_refused() {
        let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 19).unwrap();
        assert!(bomb.len() < 10_000);
        let told = unpack(true, 1000, &bomb).unwrap_err();
        assert!(told.contains("1000 bytes"), "{told}");
        assert!(unpack(true, 64 << 20, &bomb).unwrap_err().contains("at most"));
    }

    #[test]
    fn entry_shorter_than_its_header_says_is_refused() {
        assert!(unpack(false, 4, b"abc").is_err());
        let packed = pack(&[b'a'; 1000]).unwrap();
        assert!(unpack(true, 1001, &packed.body).is_err());
    }

    proptest! {
        #[test]
        fn packing_loses_nothing(entry in proptest::collection::vec(any::<u8>(), 0..2000), repeat in 1_usize..4) {
            let entry = entry.repeat(repeat);
            let packed = pack(&entry).unwrap();
            prop_assert_eq!(unpack(packed.compressed, packed.entry_bytes, &packed.body), Ok(entry));
        }
    }
}

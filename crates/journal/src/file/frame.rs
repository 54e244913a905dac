//! One frame of a segment: a header of 68 bytes with its own checksum, then the entry as stored.
//!
//! The header's checksum starts from the segment's secret seed and the frame's own offset, so that bytes inside an
//! entry, whoever wrote them, cannot pass for a frame, and a frame that landed elsewhere is no frame either.

use crate::contract::{APPEND_ENTRIES_MAX, ENTRY_BYTES_MAX, Entry};

/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 68;
/// Flag: the body is a zstd frame. No other flag is known.
const FLAG_ZSTD: u32 = 1;

/// A frame's header, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The entry's position in the journal.
    pub position: u64,
    /// Which entry of its append this is, from 0.
    pub index: u32,
    /// How many entries were appended together; they count together or not at all.
    pub count: u32,
    /// Bytes of the stored body that follows.
    pub body_bytes: u32,
    /// Bytes of the entry when unpacked.
    pub entry_bytes: u32,
    /// CRC-32C of the stored body.
    pub body_crc: u32,
    /// Whether the body is a zstd frame.
    pub compressed: bool,
    /// The nonce of the entry's leaf.
    pub nonce: [u8; 32],
}

/// What is wrong with bytes that should be a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Fault {
    /// Offset of the first wrong field, in bytes from the frame's start.
    pub at: u64,
    /// What should stand there.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl Fault {
    pub(crate) fn new(at: u64, expected: impl Into<String>, found: impl ToString) -> Self {
        Self { at, expected: expected.into(), found: found.to_string() }
    }
}

/// Adds one frame to `out`: entry `index` of `count` appended together, at byte `offset` of a segment with this seed.
pub fn encode(out: &mut Vec<u8>, seed: u64, offset: u64, position: u64, index: u32, count: u32, entry: &Entry) {
    let packed = entry.packed();
    // A packed body is never longer than its entry, whose length is a u32.
    let body_bytes = u32::try_from(packed.body.len()).unwrap_or(u32::MAX);
    let mut fields = [0; HEADER_BYTES - 4];
    fields[0..4].copy_from_slice(&packed.crc.to_le_bytes());
    fields[4..12].copy_from_slice(&position.to_le_bytes());
    fields[12..16].copy_from_slice(&body_bytes.to_le_bytes());
    fields[16..20].copy_from_slice(&packed.entry_bytes.to_le_bytes());
    fields[20..24].copy_from_slice(&index.to_le_bytes());
    fields[24..28].copy_from_slice(&count.to_le_bytes());
    fields[28..32].copy_from_slice(&if packed.compressed { FLAG_ZSTD } else { 0 }.to_le_bytes());
    fields[32..64].copy_from_slice(entry.nonce());
    out.extend_from_slice(&header_crc(seed, offset, &fields).to_le_bytes());
    out.extend_from_slice(&fields);
    out.extend_from_slice(&packed.body);
}

/// The header at byte `offset` of a segment with this seed; `bytes` may be longer.
///
/// # Errors
/// The first field that is not what a header has there.
pub fn header(bytes: &[u8], seed: u64, offset: u64) -> Result<Header, Fault> {
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Err(Fault::new(0, format!("a frame header of {HEADER_BYTES} bytes"), format!("{} bytes", bytes.len())));
    };
    let crc = header_crc(seed, offset, &bytes[4..]);
    if u32_at(bytes, 0) != crc {
        return Err(Fault::new(0, format!("header checksum {crc:08x}"), format!("{:08x}", u32_at(bytes, 0))));
    }
    let header = Header {
        body_crc: u32_at(bytes, 4),
        position: u64::from(u32_at(bytes, 8)) | u64::from(u32_at(bytes, 12)) << 32,
        body_bytes: u32_at(bytes, 16),
        entry_bytes: u32_at(bytes, 20),
        index: u32_at(bytes, 24),
        count: u32_at(bytes, 28),
        compressed: u32_at(bytes, 32) & FLAG_ZSTD != 0,
        nonce: *bytes[36..].first_chunk().unwrap_or(&[0; 32]),
    };
    match u32_at(bytes, 32) & !FLAG_ZSTD {
        0 => within_limits(header),
        unknown => Err(Fault::new(32, "no flag but zstd (1)", format!("flags {unknown:#x}"))),
    }
}

/// Checks the stored body against its header.
///
/// # Errors
/// The checksum that differs.
pub fn check_body(header: &Header, body: &[u8]) -> Result<(), Fault> {
    let crc = crc32c::crc32c(body);
    match crc == header.body_crc {
        true => Ok(()),
        false => Err(Fault::new(
            HEADER_BYTES as u64,
            format!("a body with checksum {:08x}", header.body_crc),
            format!("one with {crc:08x}"),
        )),
    }
}

/// One whole frame at byte `offset` of a segment with this seed: its header and the unpacked entry.
///
/// # Errors
/// The first field, or the body, that is not what it should be.
pub fn decode(bytes: &[u8], seed: u64, offset: u64) -> Result<(Header, Vec<u8>), Fault> {
    let head = header(bytes, seed, offset)?;
    let length = head.body_bytes as usize;
    let Some(body) = bytes.get(HEADER_BYTES..HEADER_BYTES + length) else {
        let found = format!("{} bytes", bytes.len() - HEADER_BYTES);
        return Err(Fault::new(HEADER_BYTES as u64, format!("a body of {length} bytes"), found));
    };
    check_body(&head, body)?;
    Ok((head, unpack(&head, body)?))
}

/// The entry of a body that [`check_body`] found good.
///
/// # Errors
/// The body does not unpack to the length its header gives.
pub fn unpack(header: &Header, body: &[u8]) -> Result<Vec<u8>, Fault> {
    crate::pack::unpack(header.compressed, header.entry_bytes, body)
        .map_err(|told| Fault::new(HEADER_BYTES as u64, format!("an entry of {} bytes", header.entry_bytes), told))
}

fn within_limits(header: Header) -> Result<Header, Fault> {
    let limit = ENTRY_BYTES_MAX as u32;
    if header.body_bytes > limit {
        return Err(Fault::new(16, format!("a body of at most {limit} bytes"), header.body_bytes));
    }
    if header.entry_bytes > limit {
        return Err(Fault::new(20, format!("an entry of at most {limit} bytes"), header.entry_bytes));
    }
    if header.count == 0 || header.count as usize > APPEND_ENTRIES_MAX {
        return Err(Fault::new(28, format!("1 to {APPEND_ENTRIES_MAX} entries appended together"), header.count));
    }
    if header.index >= header.count {
        return Err(Fault::new(24, format!("an index below {}", header.count), header.index));
    }
    if header.position.checked_sub(header.index.into()).is_none() || header.position == u64::MAX {
        return Err(Fault::new(8, "a position that an append can begin at", header.position));
    }
    Ok(header)
}

fn header_crc(seed: u64, offset: u64, fields: &[u8]) -> u32 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&seed.to_le_bytes());
    place[8..].copy_from_slice(&offset.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c(&place), fields)
}

/// The little-endian u32 at `at`; 0 beyond the end, which the callers' fixed lengths rule out.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |four| u32::from_le_bytes(*four))
}

/// The little-endian u64 at `at`; 0 beyond the end, which the callers' fixed lengths rule out.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(entry: &[u8], seed: u64, offset: u64) -> Vec<u8> {
        let mut out = Vec::new();
        encode(&mut out, seed, offset, 41, 1, 3, &Entry::new([7; 32], entry).unwrap());
        out
    }

    #[test]
    fn frame_is_laid_out_as_documented() {
        let bytes = frame(b"abc", 5, 64);
        assert_eq!(bytes.len(), HEADER_BYTES + 3);
        assert_eq!(u32_at(&bytes, 4), 0x364b_3fb7, "CRC-32C of abc");
        assert_eq!(bytes[8..16], 41_u64.to_le_bytes());
        assert_eq!(bytes[16..36], [3, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[36..68], [7; 32]);
        assert_eq!(&bytes[68..], b"abc");
    }

    #[test]
    fn frame_at_another_offset_or_with_another_seed_is_refused() {
        let bytes = frame(b"abc", 5, 64);
        assert!(decode(&bytes, 5, 64).is_ok());
        assert_eq!(decode(&bytes, 5, 65).unwrap_err().at, 0);
        assert_eq!(decode(&bytes, 6, 64).unwrap_err().at, 0);
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let good = frame(&[b'x'; 200], 5, 64);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&bad, 5, 64).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_frame_even_with_a_fitting_checksum() {
        let mut bytes = [0; HEADER_BYTES];
        let crc = header_crc(5, 64, &bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(header(&bytes, 5, 64).unwrap_err().at, 28);
    }

    proptest! {
        #[test]
        fn frames_round_trip(entry in proptest::collection::vec(any::<u8>(), 0..600), seed: u64, offset: u64) {
            let (head, back) = decode(&frame(&entry, seed, offset), seed, offset).unwrap();
            prop_assert_eq!((head.position, head.index, head.count, head.nonce), (41, 1, 3, [7; 32]));
            prop_assert_eq!(back, entry);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), seed: u64) {
            let _ = decode(&bytes, seed, 0);
        }
    }
}

//! Bodies on their way to the hub: long ones compressed, which for sightings saves nine tenths of the line.

/// Shorter bodies go as they are: a report of a few sightings is not kept waiting.
const PLAIN_BYTES_MAX: usize = 4_096;
/// How hard zstd tries: its fastest ordinary level.
const LEVEL: i32 = 1;

/// A body, and how it is coded: the value of `Content-Encoding` (RFC 9110 §8.4), none where it goes as it is.
pub(crate) fn packed(body: Vec<u8>) -> (Vec<u8>, Option<&'static str>) {
    if body.len() <= PLAIN_BYTES_MAX {
        return (body, None);
    }
    match zstd::bulk::compress(&body, LEVEL) {
        Ok(short) if short.len() < body.len() => (short, Some("zstd")),
        // Whatever cannot be made shorter is sent as it is.
        _ => (body, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_bodies_are_shorter_on_the_line_and_the_same_behind_it() {
        let body = "{\"observable\": \"192.0.2.7\"}\n".repeat(1_000).into_bytes();
        let (short, coding) = packed(body.clone());
        assert!(coding == Some("zstd") && short.len() < body.len() / 9, "{} bytes", short.len());
        assert_eq!(zstd::bulk::decompress(&short, body.len()).unwrap(), body);
    }

    #[test]
    fn short_bodies_and_those_that_cannot_be_made_shorter_go_as_they_are() {
        assert_eq!(packed(vec![b'a'; PLAIN_BYTES_MAX]), (vec![b'a'; PLAIN_BYTES_MAX], None));
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(10_000)
        .collect();
        assert_eq!(packed(noise.clone()), (noise, None));
    }
}

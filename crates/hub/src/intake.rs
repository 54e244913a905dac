//! What is done to a body before anybody looks at it: length, time, compression, depth, characters.

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt;
use model::{Refusal, Rule};
use serde::de::DeserializeOwned;
use std::io::Read;
use std::time::Duration;

/// What a body may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes, as sent and as unpacked.
    pub(crate) bytes_max: u64,
    /// Time for all of it.
    pub(crate) time_max: Duration,
}

/// A body as it was sent, within its bounds.
#[derive(Debug)]
pub(crate) struct Packed {
    bytes: Bytes,
    zstd: bool,
    bytes_max: u64,
}

/// Reads a body.
///
/// # Errors
/// 413 beyond the bytes, 408 beyond the time, 415 for a compression other than zstd, 400 where it breaks off.
pub(crate) async fn read(headers: &HeaderMap, body: Body, bounds: Bounds) -> Result<Packed, Problem> {
    let zstd = is_zstd(headers)?;
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bounds.bytes_max) {
        return Err(too_large(bounds.bytes_max));
    }
    let late =
        |_| Problem::request(StatusCode::REQUEST_TIMEOUT, "body", format!("all of it within {:?}", bounds.time_max));
    let bytes =
        tokio::time::timeout(bounds.time_max, collect(body, announced, bounds.bytes_max)).await.map_err(late)??;
    Ok(Packed { bytes, zstd, bytes_max: bounds.bytes_max })
}

/// Room that is made at once for a body of announced length: whoever only announces takes no more.
const ROOM_BYTES_MAX: u64 = 1 << 20;

async fn collect(body: Body, announced: Option<u64>, bytes_max: u64) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    // At most a mebibyte, which is a number of any width.
    let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(ROOM_BYTES_MAX) as usize);
    while let Some(chunk) = chunks.next().await {
        let chunk =
            chunk.map_err(|_| Problem::request(StatusCode::BAD_REQUEST, "body breaks off", "the whole body"))?;
        if (bytes.len() + chunk.len()) as u64 > bytes_max {
            return Err(too_large(bytes_max));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}

fn is_zstd(headers: &HeaderMap) -> Result<bool, Problem> {
    let Some(coding) = headers.get(header::CONTENT_ENCODING) else { return Ok(false) };
    match coding.to_str().map(str::to_ascii_lowercase).as_deref() {
        Ok("identity") => Ok(false),
        Ok("zstd") => Ok(true),
        _ => {
            let value = String::from_utf8_lossy(coding.as_bytes()).into_owned();
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            Err(Problem::request(status, format_args!("Content-Encoding: {value}"), "zstd, identity"))
        }
    }
}

/// The longest body that the server's own threads read.
const SHORT_BYTES_MAX: usize = 8 << 10;

fn too_large(bytes_max: u64) -> Problem {
    Refusal::new(Rule::TooLarge, "body", format!("at most {bytes_max} bytes")).into()
}

impl Packed {
    /// Is it so short, and as it is, that reading it takes less than handing it to a worker?
    pub(crate) fn is_short(&self) -> bool {
        !self.zstd && self.bytes.len() <= SHORT_BYTES_MAX
    }

    /// The body as it came.
    pub(crate) fn as_it_came(&self) -> &[u8] {
        &self.bytes
    }

    /// The body itself: unpacked as far as it may be long. Work for a worker, not for the server's own threads.
    ///
    /// # Errors
    /// `too_large`, and `malformed` where the compression is not whole.
    pub(crate) fn unpack(self) -> Result<Bytes, Problem> {
        if !self.zstd {
            return Ok(self.bytes);
        }
        let broken =
            |error: std::io::Error| Refusal::new(Rule::Malformed, format_args!("body: {error}"), "a zstd frame");
        let decoder = zstd::stream::read::Decoder::new(&self.bytes[..]).map_err(broken)?;
        let mut bytes = Vec::new();
        // One byte more than allowed is enough to know.
        decoder.take(self.bytes_max + 1).read_to_end(&mut bytes).map_err(broken)?;
        match bytes.len() as u64 > self.bytes_max {
            true => Err(too_large(self.bytes_max)),
            false => Ok(bytes.into()),
        }
    }
}

/// The text of a body.
///
/// # Errors
/// `malformed`: the first byte that is not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes)
        .map_err(|error| Refusal::new(Rule::Malformed, format_args!("byte {}", error.valid_up_to()), "UTF-8"))
}

/// Reads JSON of bounded depth into its type.
///
/// # Errors
/// `too_large` beyond the depth, `malformed` with field, line and column.
pub(crate) fn json<T: DeserializeOwned>(text: &str, depth_max: u32, what: &str) -> Result<T, Refusal> {
    check_depth(text, depth_max)?;
    serde_json::from_str(text).map_err(|error| Refusal::new(Rule::Malformed, error, what))
}

/// Counts brackets outside of strings: nothing is built from what is too deep.
///
/// # Errors
/// `too_large`.
pub(crate) fn check_depth(text: &str, depth_max: u32) -> Result<(), Refusal> {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{') => {
                depth += 1;
                if depth > depth_max {
                    let value = format!("JSON deeper than {depth_max} levels");
                    return Err(Refusal::new(Rule::TooLarge, value, format!("at most {depth_max} levels")));
                }
            }
            (false, b']' | b'}') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(bytes: Vec<u8>, bytes_max: u64) -> Packed {
        Packed { bytes: bytes.into(), zstd: true, bytes_max }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = zstd::bulk::compress(&vec![b' '; 64 << 20], 19).unwrap();
        assert!(bomb.len() < 10_000);
        let problem = packed(bomb, 1 << 20).unpack().unwrap_err();
        assert_eq!((problem.status, problem.rule), (413, Some(Rule::TooLarge)));
    }

    #[test]
    fn half_a_frame_is_malformed_and_a_whole_one_is_read() {
        let whole = zstd::bulk::compress(b"{\"a\": 1}", 3).unwrap();
        assert_eq!(packed(whole.clone(), 100).unpack().unwrap(), &b"{\"a\": 1}"[..]);
        assert_eq!(packed(whole[..whole.len() / 2].to_vec(), 100).unpack().unwrap_err().status, 400);
    }

    #[test]
    fn depth_is_counted_outside_of_strings_only() {
        assert!(check_depth(&"[".repeat(33), 32).is_err());
        assert!(check_depth(&"[".repeat(32), 32).is_ok());
        assert!(check_depth(r#"["[[[[[\"[[[[", {}]"#, 2).is_ok());
        assert!(check_depth(r#"["\\", [[]]]"#, 2).is_err());
    }

    #[test]
    fn bytes_that_are_no_text_are_named_by_their_place() {
        assert_eq!(text(b"abc\xff").unwrap_err().value, "byte 3");
    }

    proptest! {
        #[test]
        fn whatever_serde_reads_deeper_is_refused_and_the_rest_is_not(depth in 1_u32..60) {
            let text = format!("{}1{}", "[".repeat(depth as usize), "]".repeat(depth as usize));
            prop_assert_eq!(check_depth(&text, 32).is_ok(), depth <= 32);
            let read: Result<serde_json::Value, _> = json(&text, 32, "a list");
            prop_assert_eq!(read.is_ok(), depth <= 32);
        }
    }
}

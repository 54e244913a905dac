//! What may be said on the channel: a length and one JSON document, each way. Closed types; nothing is free text that
//! could reach nft.

use crate::point::{PointError, Presence, Protection, Seen};
use model::{FindingId, Measure, MitigationId, Refusal, Rule, Timestamp};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The channel's version; both sides must have the same.
pub const VERSION: u32 = 1;
/// Bytes of a frame beside its items.
const FRAME_BYTES: usize = 4 << 10;
/// Most bytes of one item: an IPv6 prefix with a rate is about 230, an answer's evidence has at most 200 characters.
const ITEM_BYTES_MAX: usize = 1 << 10;

/// What the agent asks for.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do", deny_unknown_fields)]
pub enum Request {
    /// First on every connection.
    Hello {
        /// [`VERSION`] of the asking side.
        version: u32,
    },
    /// Put these in force beside what is.
    Apply {
        /// Which.
        wanted: Vec<Item>,
    },
    /// Have exactly these in force.
    Replace {
        /// Which.
        wanted: Vec<Item>,
    },
    /// Take these out of force.
    Withdraw {
        /// Which.
        ended: Vec<Item>,
    },
    /// What does the kernel say of these?
    ReadBack {
        /// Which.
        asked: Vec<Item>,
    },
    /// What have these done so far?
    Effect {
        /// Which.
        asked: Vec<Item>,
    },
    /// Lift everything.
    LiftAll,
}

/// One protection. A [`Measure`] is proof that the vocabulary allows it, also when it is read here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The mitigation.
    pub mitigation: MitigationId,
    /// The finding behind it.
    pub finding: FindingId,
    /// What is to be done.
    pub measure: Measure,
    /// When it ends.
    pub expires: Timestamp,
}

/// What the enforcer answers; of lists one item for each that was asked about, in the same order.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// To `hello`: the enforcer's [`VERSION`].
    Version(u32),
    /// It was done.
    Done,
    /// What was read back.
    Seen(Vec<SeenItem>),
    /// Packets and bytes.
    Effects(Vec<(Option<u64>, Option<u64>)>),
    /// A rule of the enforcer said no; nothing was changed.
    Refused(Refusal),
    /// Not now; try again.
    Unavailable(String),
    /// It cannot work as it is configured.
    Broken(String),
}

/// One protection as read back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenItem {
    /// Is it enforced; none: it could not be seen.
    pub enforced: Option<bool>,
    /// In the kernel's words.
    pub evidence: String,
    /// It is there for another mitigation of the same target.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_another: bool,
    /// Seconds until the kernel ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_left: Option<u64>,
}

impl From<&Protection> for Item {
    fn from(of: &Protection) -> Self {
        let Protection { mitigation, finding, measure, expires } = of.clone();
        Self { mitigation, finding, measure, expires }
    }
}

impl From<Item> for Protection {
    fn from(of: Item) -> Self {
        let Item { mitigation, finding, measure, expires } = of;
        Self { mitigation, finding, measure, expires }
    }
}

impl From<&Seen> for SeenItem {
    fn from(seen: &Seen) -> Self {
        let enforced = match seen.presence {
            Presence::Enforced => Some(true),
            Presence::Absent => Some(false),
            Presence::Unknown => None,
        };
        let Seen { by_another, seconds_left, .. } = *seen;
        Self { enforced, evidence: seen.evidence.clone(), by_another, seconds_left }
    }
}

impl SeenItem {
    /// The same, of this mitigation. What came over the channel is made safe to print.
    pub fn of(self, mitigation: MitigationId) -> Seen {
        let presence = match self.enforced {
            Some(true) => Presence::Enforced,
            Some(false) => Presence::Absent,
            None => Presence::Unknown,
        };
        let evidence = model::parse::printable(&self.evidence).chars().take(200).collect();
        let Self { by_another, seconds_left, .. } = self;
        Seen { mitigation, presence, evidence, by_another, seconds_left }
    }
}

impl From<PointError> for Answer {
    fn from(error: PointError) -> Self {
        match error {
            PointError::Refused(refusal) => Self::Refused(refusal),
            PointError::Unavailable(text) => Self::Unavailable(text),
            PointError::Broken(text) => Self::Broken(text),
        }
    }
}

/// Most bytes of a frame about so many items.
pub const fn frame_bytes_max(items: usize) -> usize {
    FRAME_BYTES + items.saturating_mul(ITEM_BYTES_MAX)
}

/// Reads a request of at most `items_max` items.
///
/// # Errors
/// Refused: it is no request, or is about more.
pub fn parse(body: &[u8], items_max: usize) -> Result<Request, Refusal> {
    if body.len() > frame_bytes_max(items_max) {
        let limit = format!("at most {} bytes", frame_bytes_max(items_max));
        return Err(Refusal::new(Rule::TooLarge, format_args!("{} bytes", body.len()), limit));
    }
    let request: Request = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(Rule::Malformed, error, "a request as docs/reference/enforcer.md has it"))?;
    match request.items().len() <= items_max {
        true => Ok(request),
        false => {
            let limit = format!("`size` = {items_max} items");
            Err(Refusal::new(Rule::BlastRadius, format_args!("{} items", request.items().len()), limit))
        }
    }
}

impl Request {
    /// What it is about.
    pub fn items(&self) -> &[Item] {
        match self {
            Self::Apply { wanted: items } | Self::Replace { wanted: items } => items,
            Self::Withdraw { ended: items } | Self::ReadBack { asked: items } | Self::Effect { asked: items } => items,
            Self::Hello { .. } | Self::LiftAll => &[],
        }
    }
}

/// Sends one document within `limit`.
///
/// # Errors
/// The other side is gone or does not read.
pub fn send(stream: &UnixStream, document: &impl Serialize, limit: Duration) -> io::Result<()> {
    let body = serde_json::to_vec(document)?;
    let length = u32::try_from(body.len()).map_err(|_| io::Error::other("a frame of more than 4 GiB"))?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(body);
    let (mut rest, deadline) = (frame.as_slice(), Instant::now() + limit);
    while !rest.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        match { stream }.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Receives one body of at most `bytes_max`: its first byte within `wait`, all of it `limit` later. `None`: the other
/// side has closed the channel.
///
/// # Errors
/// Too long, too slow, or cut off.
pub fn receive(stream: &UnixStream, bytes_max: usize, wait: Duration, limit: Duration) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if fill(stream, &mut length[..1], Instant::now() + wait)? == 0 {
        return Ok(None);
    }
    let deadline = Instant::now() + limit;
    whole(stream, &mut length[1..], deadline)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > bytes_max {
        return Err(io::Error::other(format!("a frame of {length} bytes, at most {bytes_max}")));
    }
    // Grows as it comes: whoever announces much must also send it.
    let mut body = Vec::new();
    while body.len() < length {
        let begun = body.len();
        body.resize(length.min(begun + (64 << 10)), 0);
        whole(stream, body.get_mut(begun..).unwrap_or_default(), deadline)?;
    }
    Ok(Some(body))
}

fn whole(stream: &UnixStream, bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
    match fill(stream, bytes, deadline)? == bytes.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Fills as much as comes until the deadline or the end; how much that was.
fn fill(stream: &UnixStream, bytes: &mut [u8], deadline: Instant) -> io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match { stream }.read(bytes.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    // Zero would mean no limit at all.
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// Is the other side still there? Who has closed its end waits for no answer.
pub(super) fn peer_waits(stream: &UnixStream) -> bool {
    use rustix::net::{RecvFlags, recv};
    let mut byte = [0];
    match recv(stream, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((read, _)) => read > 0,
        Err(error) => error == rustix::io::Errno::AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item() -> Item {
        Item {
            mitigation: "mit-0123456789ab".parse().unwrap(),
            finding: "fin-0123456789ab".parse().unwrap(),
            measure: Measure::deny(&"8.8.8.8".parse().unwrap()).unwrap(),
            expires: Timestamp::MIN,
        }
    }

    #[test]
    fn what_is_not_defensive_or_too_wide_cannot_be_read() {
        let good = serde_json::to_string(&Request::Apply { wanted: vec![item()] }).unwrap();
        assert_eq!(parse(good.as_bytes(), 1).unwrap().items(), [item()]);
        for (from, to) in [
            ("8.8.8.8", "0.0.0.0/0"),
            ("8.8.8.8", "8.0.0.0/8"),
            ("\"apply\"", "\"run\""),
            ("deny", "strike"),
            ("\"do\"", "\"also\":1,\"do\""),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            assert!(parse(bad.as_bytes(), 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_items_or_bytes_than_the_size_are_refused() {
        let two = serde_json::to_vec(&Request::Apply { wanted: vec![item(), item()] }).unwrap();
        assert_eq!(parse(&two, 1).unwrap_err().rule, Rule::BlastRadius);
        assert!(parse(&two, 2).is_ok());
        let long = vec![b' '; frame_bytes_max(1) + 1];
        assert_eq!(parse(&long, 1).unwrap_err().rule, Rule::TooLarge);
    }

    #[test]
    fn a_frame_that_is_too_long_cut_off_or_slow_ends_the_connection() {
        let (near, far) = UnixStream::pair().unwrap();
        let (brief, long) = (Duration::from_millis(50), Duration::from_secs(30));
        let receive = |wait| receive(&near, 100, wait, wait);
        assert!(receive(brief).is_err(), "nothing came");
        send(&far, &Request::LiftAll, long).unwrap();
        assert_eq!(receive(long).unwrap().unwrap(), b"{\"do\":\"lift-all\"}");
        { &far }.write_all(&200_u32.to_le_bytes()).unwrap();
        assert!(receive(long).unwrap_err().to_string().contains("200 bytes"));
        { &far }.write_all(&[50, 0, 0, 0, b'{']).unwrap();
        assert!(receive(brief).is_err(), "the rest never came");
        drop(far);
        assert!(receive(long).unwrap().is_none());
    }

    #[test]
    fn peer_that_has_gone_does_not_wait() {
        let (near, far) = UnixStream::pair().unwrap();
        assert!(peer_waits(&near), "silent");
        { &far }.write_all(b"next").unwrap();
        assert!(peer_waits(&near), "with more to ask");
        let (near, far) = UnixStream::pair().unwrap();
        drop(far);
        assert!(!peer_waits(&near));
    }

    proptest! {
        #[test]
        fn bytes_of_any_kind_are_refused_or_read_and_never_more(body in proptest::collection::vec(0u8.., 0..300)) {
            let _ = parse(&body, 3);
        }

        #[test]
        fn requests_read_back(count in 0usize..5, which in 0u8..7) {
            let items = vec![item(); count];
            let request = match which {
                0 => Request::Hello { version: count as u32 },
                1 => Request::Apply { wanted: items },
                2 => Request::Replace { wanted: items },
                3 => Request::Withdraw { ended: items },
                4 => Request::ReadBack { asked: items },
                5 => Request::Effect { asked: items },
                _ => Request::LiftAll,
            };
            let body = serde_json::to_vec(&request).unwrap();
            prop_assert_eq!(parse(&body, 5).unwrap(), request);
        }
    }
}

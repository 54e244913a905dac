//! Reports made before the clock runs: random salts, distinct values, everything but the signed head.

use crate::Failure;
use crate::client::Sender;
use hub::wire::ReportHead;
use model::{BatchHeader, Digest, Grade, Opening, Salt, Sighting, Span, Timestamp, merkle};
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// One report without its head: what is signed does not depend on when.
pub struct Batch {
    root: Digest,
    count: u32,
    lines: Vec<u8>,
    plain: Vec<u8>,
}

/// Which values a batch holds.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The first value's number.
    pub from: u64,
    /// How many.
    pub count: usize,
    /// In a million sightings, how many are of one of a few values that everybody shares.
    pub shared: u64,
    /// How hard the evidence is to forge.
    pub grade: Grade,
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The address with this number, below 2^29: all between 20.0.0.0 and 51.255.255.255, spread as attackers are.
pub fn address(number: u64) -> String {
    let spread = (number as u32).wrapping_mul(0x9e37_79b1) & ((1 << 29) - 1);
    std::net::Ipv4Addr::from(spread + (20 << 24)).to_string()
}

/// A sighting of an observable a moment ago, as JSON.
pub fn sighting(observable: &str, grade: Grade) -> Result<Sighting, Failure> {
    let (first, last) = (now().minus(Span::seconds(9)), now().minus(Span::seconds(8)));
    let json = json!({ "observable": observable, "behaviour": "bruteforce", "first": first, "last": last, "count": 3,
                       "sensor": "ids", "grade": grade, "handling": { "tlp": "green" } });
    Sighting::parse(&json.to_string()).map_err(|refusal| refusal.to_string().into())
}

impl Batch {
    /// The sightings of a range of values.
    pub fn of(range: Range) -> Result<Self, Failure> {
        let mut sightings = Vec::with_capacity(range.count);
        for number in range.from..range.from + range.count as u64 {
            // A shared value comes from the top of the space, where no range reaches.
            let shared = range.shared > 0 && number % (1_000_000 / range.shared.min(1_000_000)) == 0;
            let number = if shared { (1 << 29) - 1 - number % 100_000 } else { number };
            sightings.push(sighting(&address(number), range.grade)?);
        }
        Self::seal(&sightings)
    }

    /// Seals sightings with random salts.
    pub fn seal(sightings: &[Sighting]) -> Result<Self, Failure> {
        let mut openings = Vec::with_capacity(sightings.len());
        let mut plain = Vec::new();
        for sighting in sightings {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|error| error.to_string())?;
            openings.push(Opening::seal(Salt(salt), sighting));
            serde_json::to_writer(&mut plain, sighting)?;
            plain.push(b'\n');
        }
        let leaves: Vec<Digest> = openings.iter().map(Opening::leaf).collect();
        let mut lines = Vec::new();
        for opening in &openings {
            serde_json::to_writer(&mut lines, opening)?;
            lines.push(b'\n');
        }
        let count = u32::try_from(openings.len())?;
        Ok(Self { root: merkle::root(&leaves), count, lines, plain })
    }

    /// How many sightings it holds.
    pub fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// The body of the sender's next report; takes its number.
    pub fn body(&self, sender: &mut Sender, zstd: bool) -> Result<Vec<u8>, Failure> {
        let body = match &sender.key {
            None => self.plain.clone(),
            Some(key) => {
                let (author, key_id) = (sender.member.clone(), key.public().id());
                let (sequence, count, root) = (sender.sequence, self.count, self.root);
                let header = BatchHeader { author, key: key_id, sequence, made: now(), count, root };
                let head = ReportHead { signature: key.sign(&header), header };
                let mut body = Vec::with_capacity(self.lines.len() + 512);
                serde_json::to_writer(&mut body, &head)?;
                body.push(b'\n');
                body.extend_from_slice(&self.lines);
                body
            }
        };
        sender.sequence += 1;
        if zstd { Ok(zstd::bulk::compress(&body, 1)?) } else { Ok(body) }
    }
}

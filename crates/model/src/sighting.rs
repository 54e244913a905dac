//! Sightings, and the signed batches in which members send them.

use crate::digest::{Digest, hex, unhex};
use crate::ids::{FindingId, KeyId, MemberId, SightingId};
use crate::key::{PublicKey, Signature, SigningKey, Statement};
use crate::levels::Levels;
use crate::merkle;
use crate::observable::Observable;
use crate::parse::ParseError;
use crate::refusal::{Refusal, Rule};
use crate::time::Timestamp;
use crate::words::{Behaviour, Family, Grade, Handling, Sensor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;

/// Most sightings in one batch.
pub const BATCH_SIGHTINGS_MAX: usize = 10_000;
/// Longest sighting as JSON, in bytes.
pub const SIGHTING_BYTES_MAX: usize = 4_096;

/// A member saw an observable in a behaviour, from first to last, so many times.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sighting {
    /// What was seen.
    pub observable: Observable,
    /// What it did.
    pub behaviour: Behaviour,
    /// When it was first seen.
    pub first: Timestamp,
    /// When it was last seen; not before `first`.
    pub last: Timestamp,
    /// How many times; at least 1.
    #[serde(default = "once")]
    pub count: u32,
    /// The kind of sensor.
    pub sensor: Sensor,
    /// How hard it is to forge.
    pub grade: Grade,
    /// Who may see it.
    pub handling: Handling,
}

fn once() -> u32 {
    1
}

impl Sighting {
    /// Reads one sighting from JSON and checks what needs no context.
    ///
    /// # Errors
    /// `too_large`, `malformed` (with the field), `red_not_accepted`.
    pub fn parse(json: &str) -> Result<Self, Refusal> {
        if json.len() > SIGHTING_BYTES_MAX {
            let limit = format!("at most {SIGHTING_BYTES_MAX} bytes a sighting");
            return Err(Refusal::new(Rule::TooLarge, format_args!("{} bytes", json.len()), limit));
        }
        let sighting: Self = serde_json::from_str(json)
            .map_err(|e| Refusal::new(Rule::Malformed, e, "a sighting as docs/reference/words.md describes it"))?;
        sighting.checked()
    }

    fn checked(self) -> Result<Self, Refusal> {
        if self.last < self.first {
            return Err(Refusal::new(Rule::Malformed, format_args!("last: {}", self.last), "not before `first`"));
        }
        if self.count == 0 {
            return Err(Refusal::new(Rule::Malformed, "count: 0", "at least 1"));
        }
        if self.handling.tlp == crate::words::Tlp::Red {
            return Err(Refusal::new(Rule::RedNotAccepted, &self.observable, "clear, green, amber or amber+strict"));
        }
        Ok(self)
    }

    /// The finding that this sighting speaks of.
    pub fn finding(&self) -> FindingId {
        finding_id(&self.observable, self.behaviour.family())
    }
}

/// The finding of one observable and one family of behaviours.
pub fn finding_id(observable: &Observable, family: Family) -> FindingId {
    let text = format!("epimachia/finding/v1\n{}\n{observable}", family.as_str());
    FindingId::of(&Digest::of(&[text.as_bytes()]))
}

/// Sixteen random bytes that keep an opening's commitment from being guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Salt(pub [u8; 16]);

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl TryFrom<String> for Salt {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        unhex(&text).map(Self).ok_or_else(|| ParseError::new("salt", &text, "32 lower-case hexadecimal digits"))
    }
}

impl From<Salt> for String {
    fn from(salt: Salt) -> Self {
        hex(&salt.0)
    }
}

/// One sighting of a batch with its salt. The sighting's bytes stay exactly as the author wrote them, since the author
/// signed them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The salt.
    pub salt: Salt,
    /// The sighting, byte for byte.
    pub sighting: Box<RawValue>,
}

impl Opening {
    /// Salts a sighting.
    pub fn seal(salt: Salt, sighting: &Sighting) -> Self {
        // A sighting is a plain struct of texts and numbers: serde_json cannot fail on it.
        let raw = serde_json::value::to_raw_value(sighting).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self { salt, sighting: raw }
    }

    /// The leaf in the batch's tree: the hash of a commitment to salt and bytes.
    pub fn leaf(&self) -> Digest {
        let commitment = Digest::of(&[b"epimachia/sighting/v1", &self.salt.0, self.sighting.get().as_bytes()]);
        merkle::leaf_hash(commitment.as_bytes())
    }

    /// The sighting's identifier.
    pub fn id(&self) -> SightingId {
        SightingId::of(&self.leaf())
    }

    /// The typed sighting.
    ///
    /// # Errors
    /// As [`Sighting::parse`].
    pub fn parse(&self) -> Result<Sighting, Refusal> {
        Sighting::parse(self.sighting.get())
    }
}

/// What the author of a batch signs: the root of the tree of its openings, not each opening.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchHeader {
    /// Whose batch it is.
    pub author: MemberId,
    /// The key that signs it.
    pub key: KeyId,
    /// The author's running number of submissions, from 1.
    pub sequence: u64,
    /// When it was made.
    pub made: Timestamp,
    /// How many openings it has; 1 to 10,000.
    pub count: u32,
    /// The root of the tree over the openings' leaves (RFC 9162 §2.1.1).
    pub root: Digest,
}

impl Statement for BatchHeader {
    const CONTEXT: &'static str = "epimachia/batch/v1";
}

/// A batch of sightings as it travels and as it stands in the journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// What is signed.
    pub header: BatchHeader,
    /// The author's signature over the header.
    pub signature: Signature,
    /// The openings, in the order of the tree.
    pub openings: Vec<Opening>,
}

impl Batch {
    /// Seals sightings into a signed batch. The salts come from the caller's random source, one for each.
    pub fn seal(author: MemberId, key: &SigningKey, sequence: u64, made: Timestamp, openings: Vec<Opening>) -> Self {
        let leaves: Vec<Digest> = openings.iter().map(Opening::leaf).collect();
        let count = u32::try_from(openings.len()).unwrap_or(u32::MAX);
        let root = merkle::root(&leaves);
        let header = BatchHeader { author, key: key.public().id(), sequence, made, count, root };
        let signature = key.sign(&header);
        Self { header, signature, openings }
    }

    /// Checks count, tree and signature, and gives the typed sightings in order.
    ///
    /// # Errors
    /// `too_large`, `malformed`, `digest_mismatch`, `bad_signature`; the first opening at fault is named by its number.
    pub fn verify(&self, key: &PublicKey) -> Result<Vec<Sighting>, Refusal> {
        let count = self.openings.len();
        if !(1..=BATCH_SIGHTINGS_MAX).contains(&count) || count != self.header.count as usize {
            let limit = format!("1 to {BATCH_SIGHTINGS_MAX}, as many as the header says ({})", self.header.count);
            return Err(Refusal::new(Rule::TooLarge, format_args!("{count} sightings"), limit));
        }
        let leaves: Vec<Digest> = self.openings.iter().map(Opening::leaf).collect();
        if merkle::root(&leaves) != self.header.root {
            return Err(Refusal::new(Rule::DigestMismatch, self.header.root, "the root of the batch's openings"));
        }
        key.verify(&self.header, &self.signature)?;
        self.openings.iter().enumerate().map(|(i, o)| o.parse().map_err(|r| at(i, r))).collect()
    }

    /// The tree over the batch's openings.
    pub fn tree(&self) -> Levels {
        Levels::new(self.openings.iter().map(Opening::leaf).collect())
    }

    /// The proof that opening `index` belongs to this batch, whose tree is given; `None` if there is no such opening.
    pub fn evidence(&self, tree: &Levels, index: usize) -> Option<Evidence> {
        Some(Evidence {
            header: self.header.clone(),
            signature: self.signature,
            index: u32::try_from(index).ok()?,
            opening: self.openings.get(index)?.clone(),
            path: tree.path(index)?,
        })
    }
}

/// Says which sighting of a batch a refusal is about, counting from 1 as people and files do.
fn at(index: usize, refusal: Refusal) -> Refusal {
    Refusal { value: format!("sighting {}: {}", index + 1, refusal.value), ..refusal }
}

/// One sighting shown with the proof that its author signed it, and without the rest of its batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The batch's header.
    pub header: BatchHeader,
    /// The author's signature over the header.
    pub signature: Signature,
    /// The opening's place in the batch, from 0.
    pub index: u32,
    /// The opening.
    pub opening: Opening,
    /// The path from the opening's leaf to the root (RFC 9162 §2.1.3).
    pub path: Vec<Digest>,
}

impl Evidence {
    /// Checks the signature and the path, and gives the typed sighting.
    ///
    /// # Errors
    /// `bad_signature`, `digest_mismatch`, or what [`Sighting::parse`] refuses.
    pub fn verify(&self, key: &PublicKey) -> Result<Sighting, Refusal> {
        key.verify(&self.header, &self.signature)?;
        let size = u64::from(self.header.count);
        merkle::verify_inclusion(self.header.root, size, u64::from(self.index), self.opening.leaf(), &self.path)
            .map_err(|e| Refusal::new(Rule::DigestMismatch, e, "a path to the signed root"))?;
        self.opening.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(n: u32) -> Sighting {
        let json = format!(
            r#"{{"observable":"8.8.{}.{}","behaviour":"scan","first":"2026-01-01T00:00:00Z",
            "last":"2026-01-01T00:00:01Z","sensor":"ids","grade":"handshake","handling":{{"tlp":"green"}}}}"#,
            n / 256,
            n % 256
        );
        Sighting::parse(&json).unwrap()
    }

    fn batch(count: u32) -> (Batch, PublicKey) {
        let key = SigningKey::from_seed(&[3; 32]);
        let openings = (0..count).map(|n| Opening::seal(Salt([n as u8; 16]), &sighting(n))).collect();
        let made = "2026-01-01T00:00:02Z".parse().unwrap();
        (Batch::seal("telecom".parse().unwrap(), &key, 1, made, openings), key.public())
    }

    #[test]
    fn a_sealed_batch_verifies_and_survives_the_wire() {
        let (batch, key) = batch(5);
        let wire = serde_json::to_string(&batch).unwrap();
        let read: Batch = serde_json::from_str(&wire).unwrap();
        assert_eq!(read.verify(&key).unwrap().len(), 5);
    }

    #[test]
    fn a_changed_sighting_is_noticed() {
        let (mut batch, key) = batch(3);
        batch.openings[1] = Opening::seal(Salt([1; 16]), &sighting(77));
        assert_eq!(batch.verify(&key).unwrap_err().rule, Rule::DigestMismatch);
    }

    #[test]
    fn one_sighting_is_shown_without_the_rest() {
        let (batch, key) = batch(7);
        for index in 0..7 {
            let evidence = batch.evidence(&batch.tree(), index).unwrap();
            assert_eq!(evidence.verify(&key).unwrap(), sighting(index as u32));
            let mut moved = evidence.clone();
            moved.index = (moved.index + 1) % 7;
            assert!(moved.verify(&key).is_err());
        }
        assert!(batch.evidence(&batch.tree(), 7).is_none());
    }

    #[test]
    fn a_wrong_count_is_refused() {
        let (mut batch, key) = batch(2);
        batch.openings.pop();
        assert_eq!(batch.verify(&key).unwrap_err().rule, Rule::TooLarge);
    }

    #[test]
    fn what_is_wrong_in_a_sighting_is_named() {
        let good = serde_json::to_string(&sighting(1)).unwrap();
        for (from, to, named) in [
            (r#""count":1"#, r#""count":0"#, "count"),
            ("scan", "hack", "hack"),
            ("00:00:01Z", "00:00:01Q", "RFC 3339"),
            (r#""sensor""#, r#""victim":"x","sensor""#, "victim"),
            ("00:00:01Z", "00:00:00Z\",\"last\":\"1999-01-01T00:00:00Z", "last"),
        ] {
            let refusal = Sighting::parse(&good.replace(from, to)).unwrap_err();
            assert!(refusal.to_string().contains(named), "{refusal}");
        }
        let red = Sighting::parse(&good.replace("green", "red")).unwrap_err();
        assert_eq!(red.rule, Rule::RedNotAccepted);
    }
}

//! Identifiers that lead back: what an object of ours is about stands in the object's identifier, so that no table is
//! needed to find it.

use super::head::Head;
use super::id::{split, uuid, uuid_text, uuid5};
use super::kind::Kind;
use super::ours::NAMESPACE;
pub use super::ours::tag;
use model::{FindingId, PlanId};
use serde::Deserialize;

/// What external references to findings and plans name as their source, before the alliance.
const SOURCE: &str = "epimachia";

/// The source that external references to the findings and plans of the alliance called `alliance` name. Another
/// alliance's finding of the same observable has the same identifier.
pub fn source(alliance: &str) -> String {
    format!("{SOURCE} {alliance}")
}

/// What our objects are about, as 60 bits: those of its own identifier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subject(pub u64);

impl From<&FindingId> for Subject {
    fn from(finding: &FindingId) -> Self {
        Self(bits(&finding.to_string(), FindingId::PREFIX))
    }
}

impl From<&PlanId> for Subject {
    fn from(plan: &PlanId) -> Self {
        Self(bits(&plan.to_string(), PlanId::PREFIX))
    }
}

impl Subject {
    /// What an object of ours, or of another alliance that is like ours, is about. There may be no such thing: whoever
    /// acts on it looks.
    pub fn of_object(id: &str) -> Option<Self> {
        subject_in(id, |_| true)
    }
}

/// A way back that an object carries to a finding or a plan of an alliance, its own or another's. Tools that give
/// objects other identifiers keep it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WayBack {
    /// The alliance's name; none where it does not say.
    pub alliance: Option<String>,
}

/// The ways back among the `external_references` of an object.
pub fn references(head: &Head<'_>) -> impl Iterator<Item = WayBack> + use<> {
    #[derive(Deserialize)]
    struct Object {
        // One that is not well formed hides none of the others.
        #[serde(default)]
        external_references: Vec<serde_json::Value>,
    }
    // Most objects name us nowhere, and are not read.
    let text = Some(head.raw.get()).filter(|text| text.contains(SOURCE));
    let object = text.and_then(|text| serde_json::from_str::<Object>(text).ok());
    object.into_iter().flat_map(|object| object.external_references).filter_map(|reference| {
        let id = reference["external_id"].as_str()?;
        let leads = id.parse::<FindingId>().is_ok() || id.parse::<PlanId>().is_ok();
        let alliance = match reference["source_name"].as_str()?.strip_prefix(SOURCE)? {
            "" => None,
            named => Some(named.strip_prefix(' ')?.to_owned()),
        };
        leads.then_some(WayBack { alliance })
    })
}

/// The identifier of the indicator that stands for a finding of the alliance called `alliance`.
pub fn indicator_id(alliance: &str, finding: &FindingId) -> String {
    of_finding(Kind::Indicator, alliance, finding, "")
}

/// The identifier of the course of action that stands for a plan of the alliance called `alliance`.
pub fn course_of_action_id(alliance: &str, plan: &PlanId) -> String {
    of_plan(Kind::CourseOfAction, alliance, plan, "")
}

/// The finding of the alliance called `alliance` that an identifier leads back to; `None` for what another made. There
/// may be no such finding: whoever acts on it looks.
pub fn finding_of(alliance: &str, id: &str) -> Option<FindingId> {
    finding_marked(tag(alliance), id)
}

/// As [`finding_of`], by the [`tag`] of the alliance: for whoever asks of many identifiers.
pub fn finding_marked(tag: [u8; 4], id: &str) -> Option<FindingId> {
    let Subject(bits) = subject_in(id, |other| other == tag)?;
    text(bits, FindingId::PREFIX).parse().ok()
}

/// The identifier of an object about a finding; `part` tells those of one kind apart.
pub(super) fn of_finding(kind: Kind, alliance: &str, finding: &FindingId, part: &str) -> String {
    let name = format!("finding\n{alliance}\n{}\n{finding}\n{part}", kind.as_str());
    object_id(kind, alliance, finding.into(), &name)
}

/// The identifier of an object about a plan.
pub(super) fn of_plan(kind: Kind, alliance: &str, plan: &PlanId, part: &str) -> String {
    let name = format!("plan\n{alliance}\n{}\n{plan}\n{part}", kind.as_str());
    object_id(kind, alliance, plan.into(), &name)
}

/// A UUID of version 4: its first 60 bits (beside the version) are the subject's own, the next 32 (two of them the
/// variant) are those of the alliance's identity, the last 32 tell the objects of one subject apart.
fn object_id(kind: Kind, alliance: &str, subject: Subject, name: &str) -> String {
    let mut uuid = uuid5(&NAMESPACE, name);
    let bits = subject.0.to_be_bytes();
    uuid[..6].copy_from_slice(&[
        bits[0] << 4 | bits[1] >> 4,
        bits[1] << 4 | bits[2] >> 4,
        bits[2] << 4 | bits[3] >> 4,
        bits[3] << 4 | bits[4] >> 4,
        bits[4] << 4 | bits[5] >> 4,
        bits[5] << 4 | bits[6] >> 4,
    ]);
    uuid[6] = 0x40 | bits[6] & 0x0f;
    uuid[7] = bits[7];
    uuid[8..12].copy_from_slice(&tag(alliance));
    format!("{}--{}", kind.as_str(), uuid_text(&uuid))
}

fn subject_in(id: &str, of: impl Fn([u8; 4]) -> bool) -> Option<Subject> {
    let (_, text) = split("id", id).ok()?;
    let uuid = uuid(text).filter(|uuid| uuid[6] >> 4 == 4)?;
    of([uuid[8], uuid[9], uuid[10], uuid[11]]).then_some(())?;
    let high = uuid[..6].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    Some(Subject(high << 12 | u64::from(uuid[6] & 0x0f) << 8 | u64::from(uuid[7])))
}

/// The alphabet of our identifiers: Crockford's base 32 in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The 60 bits of an identifier of ours.
fn bits(id: &str, prefix: &str) -> u64 {
    id.bytes().skip(prefix.len()).fold(0, |bits, digit| {
        let value = ALPHABET.iter().position(|known| *known == digit).unwrap_or(0);
        bits << 5 | value as u64
    })
}

fn text(bits: u64, prefix: &str) -> String {
    let digit = |at: u32| char::from(ALPHABET[(bits >> (55 - 5 * at)) as usize & 31]);
    (0..12).map(digit).fold(prefix.to_owned(), |text, digit| text + digit.encode_utf8(&mut [0; 4]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_identifier_of_a_finding_leads_back_to_it_in_its_own_alliance(bytes: [u8; 32]) {
            let finding = FindingId::of(&model::Digest::from_bytes(bytes));
            for (kind, part) in [(Kind::Indicator, ""), (Kind::Note, ""), (Kind::Sighting, "cloud")] {
                let id = of_finding(kind, "ours", &finding, part);
                prop_assert_eq!(finding_of("ours", &id), Some(finding));
                prop_assert_eq!(&id[id.len() - 22..id.len() - 21], "4", "{}", id);
                let theirs = of_finding(kind, "theirs", &finding, part);
                prop_assert_ne!(&theirs, &id, "two alliances know the same observable");
                prop_assert_eq!(finding_of("ours", &theirs), None);
                prop_assert_eq!(Subject::of_object(&theirs), Some(Subject::from(&finding)));
            }
            let sighting = |part| of_finding(Kind::Sighting, "ours", &finding, part);
            prop_assert_ne!(sighting("a"), sighting("b"));
            let plan = PlanId::of(&model::Digest::from_bytes(bytes));
            prop_assert_eq!(Subject::of_object(&course_of_action_id("ours", &plan)), Some(Subject::from(&plan)));
        }
    }

    #[test]
    fn what_is_no_identifier_leads_nowhere() {
        for other in ["", "indicator--x", "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd"] {
            assert_eq!(Subject::of_object(other), None, "{other}");
        }
    }
}

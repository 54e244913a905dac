//! What is ours in STIX: the namespace of our identifiers, our extension, the identities that we name.

use super::id::{named, uuid5};
use super::kind::Kind;
use super::marking;
use model::{Handling, MemberId, Tlp};
use serde_json::{Value, json};

/// The namespace of our own deterministic identifiers (UUID version 5), other than the one of cyber-observables.
pub const NAMESPACE: [u8; 16] = [
    0x6f, 0x2c, 0x1d, 0x58, 0x93, 0x0b, 0x4a, 0x3e, 0x8d, 0x47, 0x5e, 0x0a, 0xc9, 0x61, 0xb2, 0x74, //
];

/// Since when what is fixed here exists.
pub const SINCE: &str = "2026-01-01T00:00:00.000Z";

/// The version of a member's identity that goes further than the first.
pub const SINCE_WIDER: &str = "2026-01-01T00:00:00.001Z";

/// Our extension of STIX: what a finding and a sighting say beyond the standard's properties.
pub const EXTENSION: &str = "extension-definition--0e6f3b4c-7a52-4d0b-9c1e-2f8a6d5b3c71";

/// Where the extension is described.
const SCHEMA: &str = "https://github.com/epimachia/epimachia/blob/main/docs/reference/stix.md";

/// The identity of the alliance called `alliance`: the author of what it holds.
pub fn alliance_id(alliance: &str) -> String {
    named(Kind::Identity, &NAMESPACE, &format!("alliance\n{alliance}"))
}

/// The bytes of the alliance's identity that its findings' identifiers repeat, the UUID's variant among them.
pub fn tag(alliance: &str) -> [u8; 4] {
    let uuid = uuid5(&NAMESPACE, &format!("alliance\n{alliance}"));
    [uuid[8], uuid[9], uuid[10], uuid[11]]
}

/// The identity of a member.
pub fn member_id(alliance: &str, member: &MemberId) -> String {
    named(Kind::Identity, &NAMESPACE, &format!("member\n{alliance}\n{member}"))
}

/// The alliance as an object. That there is one, everybody may know.
pub fn alliance(alliance: &str) -> Value {
    identity(&alliance_id(alliance), alliance, "An alliance for defence only", Tlp::Clear)
}

/// A member as an object, for those who may read what has this marking: GREEN where it is no more than that, else
/// AMBER. What more may read is a later version: nobody is shown the same one twice.
pub fn member(alliance: &str, member: &MemberId, level: Tlp) -> Value {
    let description = format!("A member of the alliance {alliance}");
    let is_wider = level <= Tlp::Green;
    let level = if is_wider { Tlp::Green } else { Tlp::Amber };
    let mut object = identity(&member_id(alliance, member), member.as_str(), &description, level);
    if is_wider {
        object["modified"] = SINCE_WIDER.into();
    }
    object
}

/// Marked, like all that goes from hand to hand: what is not counts as AMBER elsewhere, and stays there.
fn identity(id: &str, name: &str, description: &str, level: Tlp) -> Value {
    json!({
        "type": "identity",
        "spec_version": "2.1",
        "id": id,
        "created": SINCE,
        "modified": SINCE,
        "name": name,
        "description": description,
        "identity_class": "organization",
        "object_marking_refs": marking::references("", &Handling::alliance(level)),
    })
}

/// Our extension as an object. Its author is the project, not an alliance: it is the same everywhere.
pub fn extension() -> [Value; 2] {
    let project = named(Kind::Identity, &NAMESPACE, "project");
    let definition = json!({
        "type": "extension-definition",
        "spec_version": "2.1",
        "id": EXTENSION,
        "created": SINCE,
        "modified": SINCE,
        "created_by_ref": project,
        "name": "Epimachia findings and sightings",
        "description": "The alliance's finding behind an indicator, and the evidence behind a sighting",
        "schema": SCHEMA,
        "version": "1.0.0",
        "extension_types": ["property-extension"],
    });
    let makers = "The makers of Epimachia, a system for alliances for defence";
    [identity(&project, "Epimachia", makers, Tlp::Clear), definition]
}

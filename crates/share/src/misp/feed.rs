//! A MISP feed: a manifest, and a file for each event. What is new in it, whose it is, and other organisations'
//! events as STIX objects with their author, marking and origin.

use super::{Event, Source, each, events};
use crate::limits::Limits;
use crate::reading::{Defaults, Reading, Silent, Skip};
use crate::stix::{fault, id, marking, ours, sco};
use crate::taxii::index::print;
use model::{ParseError, Sighting, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Most events of one feed.
pub const EVENTS_MAX: usize = 50_000;
/// Longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// Most attributes of one event, and its longest file.
pub const EVENT: Limits = Limits { bytes: 64 << 20, objects: 100_000, object_bytes: 1 << 20, depth: 32 };

/// Which versions of events were taken: short digests of identifier and timestamp.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Place(pub BTreeSet<u64>);

/// What has changed of a [`Place`] since it was written down: little, however many versions it holds.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// What the manifest does not list any more.
    pub gone: BTreeSet<u64>,
    /// What was taken.
    pub taken: BTreeSet<u64>,
}

impl Place {
    /// Takes a change in.
    pub fn change(&mut self, change: &Change) {
        self.0.retain(|taken| !change.gone.contains(taken));
        self.0.extend(&change.taken);
    }
}

/// What is new in a manifest.
#[derive(Debug)]
pub struct News {
    /// Events that were not taken yet, the oldest change first.
    pub listed: Vec<Listed>,
    /// Versions that were taken and are not listed any more.
    pub gone: BTreeSet<u64>,
    /// What is wrong with others.
    pub wrong: Vec<ParseError>,
}

/// An event of the manifest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Listed {
    /// When it was changed last, in seconds since 1970.
    pub timestamp: i64,
    /// Its identifier, a UUID in lower case: with `.json` the name of its file.
    pub uuid: String,
}

impl Listed {
    /// By which it is known that this version was taken.
    pub fn digest(&self) -> u64 {
        print(format!("{}\n{}", self.uuid, self.timestamp).as_bytes())
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    timestamp: crate::loose::Number,
}

/// What a manifest lists beyond what was taken.
///
/// # Errors
/// No manifest, or one beyond its limits.
pub fn news(manifest: &[u8], place: &Place) -> Result<News, ParseError> {
    let limits = Limits { bytes: MANIFEST_BYTES_MAX, objects: 32 * EVENTS_MAX, ..Limits::FILE };
    let text = limits.json(manifest)?;
    let entries: BTreeMap<Cow<'_, str>, Entry> = fault::read("manifest", text)?;
    Limits { objects: EVENTS_MAX, ..limits }.count("manifest", entries.len())?;
    let (mut listed, mut wrong) = (Vec::new(), Vec::new());
    for (uuid, entry) in entries {
        match id::uuid(&uuid) {
            Some(bytes) => listed.push(Listed { timestamp: entry.timestamp.0, uuid: id::uuid_text(&bytes) }),
            None => wrong.push(ParseError::new("manifest", &uuid, "an event's UUID")),
        }
    }
    let here: BTreeSet<u64> = listed.iter().map(Listed::digest).collect();
    let gone = place.0.difference(&here).copied().collect();
    listed.retain(|event| !place.0.contains(&event.digest()));
    listed.sort();
    Ok(News { listed, gone, wrong })
}

/// The organisation whose event a file holds, by UUID in lower case; `None` where it does not say.
///
/// # Errors
/// No event.
pub fn organisation(event: &[u8]) -> Result<Option<String>, ParseError> {
    let text = EVENT.json(event)?;
    let events = events(text)?;
    let uuid = events.first().and_then(|event| event.orgc.as_ref()?.uuid.as_deref()).and_then(id::uuid);
    Ok(uuid.map(|bytes| id::uuid_text(&bytes)))
}

/// Another organisation's events as STIX: its identity, and an indicator for each attribute that is evidence, under the
/// attribute's own UUID, so that the same event makes the same objects wherever it is read. The reading says what
/// became of every attribute; its words are in the objects.
///
/// # Errors
/// As [`super::read`].
pub fn objects(
    bytes: &[u8],
    alliance: &str,
    defaults: &Defaults,
    latest: Timestamp,
) -> Result<(Vec<Value>, Reading), ParseError> {
    let (mut reading, mut objects, mut authors) = (Reading::default(), Vec::new(), BTreeSet::new());
    each(bytes, &EVENT, defaults, latest, |place, source, sighting| {
        let made = sighting.and_then(|sighting| {
            let author = author(source.event);
            let indicator = indicator(source, &sighting, author.as_ref().map(|(id, _)| id.as_str()), alliance)?;
            Ok((author, indicator))
        });
        match made {
            Ok((author, indicator)) => {
                if let Some((id, name)) = author.filter(|(id, _)| authors.insert(id.clone())) {
                    objects.push(identity(&id, &name));
                }
                objects.push(indicator);
            }
            Err(silent) => reading.take(place, Err(silent)),
        }
    })?;
    Ok((objects, reading))
}

/// The organisation's identifier and name.
fn author(event: &Event<'_>) -> Option<(String, String)> {
    let org = event.orgc.as_ref()?;
    let uuid = id::uuid(org.uuid.as_deref()?)?;
    let name = org.name.as_deref().unwrap_or("an organisation").chars().take(200).collect();
    Some((format!("identity--{}", id::uuid_text(&uuid)), name))
}

fn identity(id: &str, name: &str) -> Value {
    json!({
        "type": "identity", "spec_version": "2.1", "id": id, "created": ours::SINCE, "modified": ours::SINCE,
        "name": name, "identity_class": "organization",
        // Who shares is no secret of a feed that may be passed on.
        "object_marking_refs": ["marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487"],
    })
}

fn indicator(source: &Source<'_>, sighting: &Sighting, author: Option<&str>, alliance: &str) -> Result<Value, Silent> {
    let uuid = source.attribute.uuid.as_deref().and_then(id::uuid).ok_or(Skip::Unresolved)?;
    let changed = source.attribute.timestamp.map(|seconds| seconds.time("timestamp")).transpose()?;
    let made = changed.unwrap_or(sighting.last);
    let (first, made) = (sighting.first.min(made).to_string(), made.to_string());
    let mut object = json!({
        "type": "indicator", "spec_version": "2.1", "id": format!("indicator--{}", id::uuid_text(&uuid)),
        "created": made, "modified": made, "valid_from": first,
        "name": format!("{}: {}", sighting.behaviour, sighting.observable),
        "indicator_types": ["malicious-activity"], "labels": [sighting.behaviour.as_str()],
        "pattern": sco::pattern(&sighting.observable).to_string(), "pattern_type": "stix", "pattern_version": "2.1",
        "object_marking_refs": marking::references(alliance, &sighting.handling),
    });
    if let Some(author) = author {
        object["created_by_ref"] = author.into();
    }
    if let Some(event) = source.event.uuid.as_deref().and_then(id::uuid) {
        object["external_references"] = json!([{"source_name": "misp", "external_id": id::uuid_text(&event)}]);
    }
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stix::{Context, Markings, StixTime};
    use model::{Grade, Handling, Sensor, Tlp};

    const EVENT_TEXT: &str = r#"{"Event":{"uuid":"5B6E8E2D-0000-4000-8000-000000000001","date":"2026-05-05",
        "Orgc":{"name":"A CERT","uuid":"55f6ea5e-2c60-40e5-964f-47a8950d210f"},"Tag":[{"name":"tlp:green"}],
        "Attribute":[
          {"uuid":"5b6e8e2d-0000-4000-8000-00000000000a","type":"ip-dst","value":"198.51.100.7","to_ids":true,
           "category":"Network activity","timestamp":"1777975200","Tag":[{"name":"c2"}]},
          {"uuid":"5b6e8e2d-0000-4000-8000-00000000000b","type":"comment","value":"x","to_ids":false},
          {"type":"domain","value":"c2.example","to_ids":true,"timestamp":"1777975200","Tag":[{"name":"c2"}]}]}}"#;

    fn defaults() -> Defaults {
        let handling = Handling::alliance(Tlp::Amber);
        Defaults { handling, behaviour: None, sensor: Sensor::List, grade: Grade::Spoofable }
    }

    #[test]
    fn an_event_of_another_becomes_objects_with_author_marking_and_origin() {
        let latest: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let (made, reading) = objects(EVENT_TEXT.as_bytes(), "ours", &defaults(), latest).unwrap();
        let skipped: Vec<Skip> = reading.skipped.iter().map(|(_, skip)| *skip).collect();
        assert_eq!((skipped, made.len()), (vec![Skip::NotForDetection, Skip::Unresolved], 2));
        assert_eq!((&made[0]["type"], &made[0]["name"]), (&json!("identity"), &json!("A CERT")));
        assert_eq!(made[1]["id"], "indicator--5b6e8e2d-0000-4000-8000-00000000000a");
        assert_eq!(made[1]["created_by_ref"], made[0]["id"]);
        assert_eq!(made[1]["external_references"][0]["external_id"], "5b6e8e2d-0000-4000-8000-000000000001");
        let texts: Vec<String> = made.iter().map(Value::to_string).collect();
        let raws: Vec<&serde_json::value::RawValue> = texts.iter().map(|t| serde_json::from_str(t).unwrap()).collect();
        let (defaults, markings) = (defaults(), Markings::new("ours", []));
        let latest = StixTime::from(latest);
        let context = Context { defaults: &defaults, markings, finding: &|_| None, latest, words_max: usize::MAX };
        let reading = crate::stix::read(&raws, context);
        assert!(reading.refused.is_empty(), "{:?}", reading.refused);
        let (_, seen) = reading.sightings().next().unwrap();
        assert_eq!((seen.observable.to_string().as_str(), seen.handling.tlp), ("198.51.100.7", Tlp::Green));
        assert_eq!(organisation(EVENT_TEXT.as_bytes()).unwrap().unwrap(), "55f6ea5e-2c60-40e5-964f-47a8950d210f");
    }

    #[test]
    fn each_version_of_an_event_is_taken_once_and_what_is_gone_is_forgotten() {
        let manifest = |timestamp: i64| {
            json!({ "5b6e8e2d-0000-4000-8000-000000000002": {"timestamp": "7"}, "../../etc/passwd": {},
                    "5B6E8E2D-0000-4000-8000-000000000001": {"timestamp": timestamp, "info": "x"} })
            .to_string()
        };
        let mut place = Place::default();
        let News { listed, gone, wrong } = news(manifest(5).as_bytes(), &place).unwrap();
        assert_eq!(listed.iter().map(|event| event.timestamp).collect::<Vec<_>>(), [5, 7]);
        assert_eq!((wrong.len(), listed[0].uuid.as_str()), (1, "5b6e8e2d-0000-4000-8000-000000000001"));
        place.change(&Change { taken: listed.iter().map(Listed::digest).collect(), gone });
        assert!(news(manifest(5).as_bytes(), &place).unwrap().listed.is_empty());
        let changed = news(manifest(9).as_bytes(), &place).unwrap();
        assert_eq!((changed.listed.len(), changed.listed[0].timestamp, changed.gone.len()), (1, 9, 1));
        place.change(&Change { gone: changed.gone, taken: [7].into() });
        assert_eq!(place.0, [7, listed[1].digest()].into());
        for none in ["[]", "7", "{\"a\":7}", ""] {
            assert!(news(none.as_bytes(), &place).is_err(), "{none}");
        }
    }
}

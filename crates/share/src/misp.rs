//! MISP events as JSON: what `/events/restSearch` answers, what an export writes, what a feed holds.

pub mod feed;

use crate::limits::Limits;
use crate::loose::{Number, Truth, moment};
use crate::meaning;
use crate::reading::{Defaults, Reading, Silent, Skip, Word};
use crate::stix::fault;
use model::{Handling, Observable, ParseError, Sighting, Timestamp, Tlp};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, rename = "Event")]
    event: Event<'a>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "Orgc")]
    orgc: Option<Organisation<'a>>,
    #[serde(borrow, default)]
    date: Option<Cow<'a, str>>,
    #[serde(default)]
    distribution: Option<Number>,
    #[serde(borrow, default, rename = "Tag")]
    tags: Vec<Tag<'a>>,
    #[serde(borrow, default, rename = "Attribute")]
    attributes: Vec<Attribute<'a>>,
    #[serde(borrow, default, rename = "Object")]
    objects: Vec<Object<'a>>,
}

/// Who made an event.
#[derive(Deserialize)]
struct Organisation<'a> {
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow, default, rename = "Attribute")]
    attributes: Vec<Attribute<'a>>,
    #[serde(default)]
    distribution: Option<Number>,
    #[serde(default)]
    deleted: Truth,
}

#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Attribute<'a> {
    #[serde(borrow, default)]
    uuid: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    value: Cow<'a, str>,
    #[serde(borrow, default)]
    category: Option<Cow<'a, str>>,
    #[serde(default)]
    to_ids: Truth,
    #[serde(default)]
    deleted: Truth,
    #[serde(default)]
    distribution: Option<Number>,
    #[serde(default)]
    timestamp: Option<Number>,
    #[serde(borrow, default)]
    first_seen: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    last_seen: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "Tag")]
    tags: Vec<Tag<'a>>,
    #[serde(default, rename = "Sighting")]
    sightings: Vec<Sighted>,
}

/// What somebody added to an attribute: 0 seen, 1 false positive, 2 expired.
#[derive(Deserialize)]
struct Sighted {
    #[serde(default, rename = "type")]
    kind: Option<Number>,
    #[serde(default)]
    date_sighting: Option<Number>,
}

/// Reads events. Places are those of the attributes, counted through the document from 0, objects after the event's
/// own.
/// Nothing may have been seen after `latest`.
///
/// # Errors
/// What is beyond `limits` or no MISP document. A bad attribute is refused by itself.
pub fn read(bytes: &[u8], limits: &Limits, defaults: &Defaults, latest: Timestamp) -> Result<Reading, ParseError> {
    let mut reading = Reading::default();
    each(bytes, limits, defaults, latest, |place, _, sighting| {
        reading.take(place, sighting.map(|sighting| vec![Word::Sighting(sighting)]));
    })?;
    Ok(reading)
}

/// Goes through all attributes, each with what it says.
fn each(
    bytes: &[u8],
    limits: &Limits,
    defaults: &Defaults,
    latest: Timestamp,
    mut take: impl FnMut(usize, &Source<'_>, Result<Sighting, Silent>),
) -> Result<(), ParseError> {
    let events = events(limits.json(bytes)?)?;
    let mut place = 0;
    for event in &events {
        let own = event.attributes.iter().map(|attribute| (None, attribute));
        let inner = event.objects.iter().flat_map(|object| object.attributes.iter().map(move |a| (Some(object), a)));
        for (object, attribute) in own.chain(inner) {
            limits.count("attributes", place + 1)?;
            let source = Source { event, object, attribute, defaults, latest };
            take(place, &source, source.sighting());
            place += 1;
        }
    }
    Ok(())
}

/// The three shapes of a document. Its first characters tell which, so that an error names a field.
fn events(text: &str) -> Result<Vec<Event<'_>>, ParseError> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        response: Vec<Envelope<'a>>,
    }
    let envelopes: Vec<Envelope<'_>> = match text.trim_start() {
        list if list.starts_with('[') => fault::read("", text)?,
        object if begins(object, "\"response\"") => fault::read::<Answer<'_>>("", text)?.response,
        _ => vec![fault::read("", text)?],
    };
    Ok(envelopes.into_iter().map(|envelope| envelope.event).collect())
}

/// Is this the first member of the object?
fn begins(object: &str, member: &str) -> bool {
    object.strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with(member))
}

/// An attribute with what is around it.
struct Source<'a> {
    event: &'a Event<'a>,
    object: Option<&'a Object<'a>>,
    attribute: &'a Attribute<'a>,
    defaults: &'a Defaults,
    latest: Timestamp,
}

impl Source<'_> {
    fn sighting(&self) -> Result<Sighting, Silent> {
        let attribute = self.attribute;
        let deleted = attribute.deleted.0 || self.object.is_some_and(|object| object.deleted.0);
        if deleted || !attribute.to_ids.0 {
            return Err(Skip::NotForDetection.into());
        }
        let Some(value) = observed(&attribute.kind, &attribute.value) else { return Err(Skip::NoObservable.into()) };
        let observable = Observable::parse_pasted(value)?;
        let handling = self.handling()?;
        self.not_contradicted()?;
        let words = attribute.tags.iter().chain(&self.event.tags).map(|tag| &*tag.name);
        let behaviour = meaning::behaviour(words.chain(attribute.category.as_deref()));
        let behaviour = behaviour.or(self.defaults.behaviour).ok_or(Skip::NoBehaviour)?;
        let (first, last) = self.times()?;
        let seen = self.attribute.sightings.iter().filter(|sighted| sighted.is(0)).count();
        Ok(Sighting {
            observable,
            behaviour,
            first,
            last,
            count: u32::try_from(seen).unwrap_or(u32::MAX).max(1),
            sensor: self.defaults.sensor,
            grade: self.defaults.grade,
            handling,
        })
    }

    /// Somebody said that it is none, or no longer.
    fn not_contradicted(&self) -> Result<(), Silent> {
        if self.attribute.sightings.iter().any(|sighted| sighted.is(1)) {
            return Err(Skip::Disputed.into());
        }
        for sighted in self.attribute.sightings.iter().filter(|sighted| sighted.is(2)) {
            if sighted.time()?.is_none_or(|time| time <= self.latest) {
                return Err(Skip::Expired.into());
            }
        }
        Ok(())
    }

    /// The strictest of the tags; without tags the default, where the distribution allows it at all.
    fn handling(&self) -> Result<Handling, ParseError> {
        let tags = self.attribute.tags.iter().chain(&self.event.tags).filter_map(|tag| tlp(&tag.name).transpose());
        let tlp = tags.collect::<Result<Vec<Tlp>, ParseError>>()?.into_iter().max();
        let distributions =
            [self.attribute.distribution, self.object.and_then(|object| object.distribution), self.event.distribution];
        for distribution in distributions.into_iter().flatten() {
            match distribution.0 {
                0 => return Err(ParseError::new("distribution", "0 (own organisation only)", "1, 2 or 3")),
                4 if self.defaults.handling.group.is_none() => {
                    let allowed = "1, 2 or 3, or a sharing group of this alliance, named at the import";
                    return Err(ParseError::new("distribution", "4 (a sharing group)", allowed));
                }
                _ => {}
            }
        }
        match tlp.unwrap_or(self.defaults.handling.tlp) {
            Tlp::Red => Err(ParseError::new("Tag", "tlp:red", "clear, green, amber or amber+strict")),
            tlp => Ok(Handling { tlp, ..self.defaults.handling.clone() }),
        }
    }

    /// Its own times, else when it was last changed, else the event's day; and when it was sighted.
    fn times(&self) -> Result<(Timestamp, Timestamp), ParseError> {
        let attribute = self.attribute;
        let own = |field, text: &Option<Cow<'_, str>>| text.as_deref().map(|text| moment(field, text)).transpose();
        let (first, mut last) = (own("first_seen", &attribute.first_seen)?, own("last_seen", &attribute.last_seen)?);
        for sighted in attribute.sightings.iter().filter(|sighted| sighted.is(0)) {
            last = last.max(sighted.time()?);
        }
        let changed = attribute.timestamp.map(|seconds| seconds.time("timestamp")).transpose()?;
        let day = own("date", &self.event.date)?;
        let known = last.or(changed).or(first).or(day);
        let last =
            known.ok_or_else(|| ParseError::new("timestamp", "nothing", "a time of the attribute or its event"))?;
        let first = first.unwrap_or(last);
        if last < first || last > self.latest {
            let allowed = format!("from `first_seen`, {first}, to {}", self.latest);
            return Err(ParseError::new("last_seen", &last.to_string(), allowed));
        }
        Ok((first, last))
    }
}

impl Sighted {
    fn is(&self, kind: i64) -> bool {
        self.kind.unwrap_or_default().0 == kind
    }

    fn time(&self) -> Result<Option<Timestamp>, ParseError> {
        self.date_sighting.map(|seconds| seconds.time("date_sighting")).transpose()
    }
}

/// The part of an attribute's value that is an observable, by the attribute's type.
fn observed<'a>(kind: &str, value: &'a str) -> Option<&'a str> {
    match kind {
        "ip-src" | "ip-dst" | "domain" | "hostname" | "url" | "md5" | "sha1" | "sha256" => Some(value),
        "ip-src|port" | "ip-dst|port" | "hostname|port" | "domain|ip" => value.split('|').next(),
        "filename|md5" | "filename|sha1" | "filename|sha256" | "malware-sample" => value.rsplit('|').next(),
        _ => None,
    }
}

/// The marking that a tag says; `None` for tags about other things.
fn tlp(tag: &str) -> Result<Option<Tlp>, ParseError> {
    let lower = tag.to_ascii_lowercase();
    match lower.strip_prefix("tlp:") {
        None => Ok(None),
        Some("white") => Ok(Some(Tlp::Clear)),
        Some(word) => word.parse().map(Some).map_err(|_| ParseError::new("Tag", tag, "a marking of TLP 2.0 or 1")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Behaviour, Grade, Sensor};

    fn defaults() -> Defaults {
        let handling = Handling::alliance(Tlp::Green);
        Defaults { handling, behaviour: None, sensor: Sensor::List, grade: Grade::Spoofable }
    }

    fn read_all(text: &str) -> Result<Reading, ParseError> {
        read(text.as_bytes(), &Limits::ENVELOPE, &defaults(), "2026-06-01T00:00:00Z".parse().unwrap())
    }

    fn event(rest: &str, attribute: &str) -> String {
        format!(
            r#"{{"Event":{{"info":"x","date":"2026-05-01",{rest}"Tag":[{{"name":"tlp:amber"}},{{"name":"type:osint"}}],
            "Attribute":[{{"uuid":"u","category":"Network activity","to_ids":true,"timestamp":"1778000000",{attribute}}}]}}}}"#
        )
    }

    const C2: &str =
        r#""type":"ip-dst|port","value":"198.51.100[.]7|443","Tag":[{"name":"kill-chain:Command and Control"}]"#;

    fn one(text: &str) -> Sighting {
        let reading = read_all(text).unwrap();
        match reading.words.as_slice() {
            [(0, Word::Sighting(sighting))] => sighting.clone(),
            other => panic!("{other:?} {:?} {:?}", reading.skipped, reading.refused),
        }
    }

    #[test]
    fn an_attribute_for_detection_is_a_sighting() {
        let sighting = one(&event("", C2));
        assert_eq!((sighting.observable.to_string().as_str(), sighting.behaviour), ("198.51.100.7", Behaviour::C2));
        assert_eq!((sighting.handling.tlp, sighting.last.to_string().as_str()), (Tlp::Amber, "2026-05-05T16:53:20Z"));
        for wrapped in [format!("[{}]", event("", C2)), format!(r#"{{ "response": [{}] }}"#, event("", C2))] {
            assert_eq!(one(&wrapped), sighting);
        }
    }

    #[test]
    fn values_of_two_parts_give_the_part_that_is_observed() {
        let hash = "79054025255fb1a26e4bc422aef54eb4";
        for (kind, value, wanted) in [
            ("domain|ip", "evil.example|198.51.100.1", Some("evil.example")),
            ("filename|md5", &format!("a|b.exe|{hash}"), Some("md5:79054025255fb1a26e4bc422aef54eb4")),
            ("url", "hxxp://evil[.]example/x", Some("http://evil.example/x")),
            ("comment", "198.51.100.1", None),
            ("email-src", "a@evil.example", None),
        ] {
            let text = event("", &format!(r#""type":"{kind}","value":"{value}","Tag":[{{"name":"phishing"}}]"#));
            let reading = read_all(&text).unwrap();
            match wanted {
                Some(wanted) => assert_eq!(one(&text).observable.to_string(), wanted),
                None => assert_eq!(reading.skipped, [(0, Skip::NoObservable)], "{kind}"),
            }
        }
    }

    #[test]
    fn sightings_count_and_contradictions_silence() {
        let with = |sightings: &str| event("", &format!(r#"{C2},"Sighting":[{sightings}]"#));
        let seen = one(&with(r#"{"type":"0","date_sighting":"1778100000"},{"type":0,"date_sighting":1778200000}"#));
        assert_eq!((seen.count, seen.last.to_string().as_str()), (2, "2026-05-08T00:26:40Z"));
        for (sightings, skip) in [
            (r#"{"type":"1","date_sighting":"1778100000"}"#, Skip::Disputed),
            (r#"{"type":"2","date_sighting":"1778100000"}"#, Skip::Expired),
        ] {
            assert_eq!(read_all(&with(sightings)).unwrap().skipped, [(0, skip)]);
        }
        let later = with(r#"{"type":"2","date_sighting":"1798100000"}"#);
        assert_eq!(read_all(&later).unwrap().words.len(), 1);
    }

    #[test]
    fn what_is_not_for_detection_or_not_for_us_stays_out() {
        let no_ids = event("", C2).replace(r#""to_ids":true"#, r#""to_ids":"0""#);
        assert_eq!(read_all(&no_ids).unwrap().skipped, [(0, Skip::NotForDetection)]);
        for (text, field) in [
            (event(r#""distribution":"0","#, C2), "distribution"),
            (event(r#""distribution":4,"#, C2), "distribution"),
            (event("", C2).replace("tlp:amber", "tlp:red"), "Tag"),
            (event("", C2).replace("tlp:amber", "tlp:pink"), "Tag"),
            (event("", &C2.replace("198.51.100[.]7", "198.51.100.777")), "domain"),
            (event("", &format!(r#"{C2},"last_seen":"2026-07-01T00:00:00Z""#)), "last_seen"),
            (event("", &format!(r#"{C2},"first_seen":"then""#)), "first_seen"),
        ] {
            let reading = read_all(&text).unwrap();
            assert_eq!(reading.refused.iter().map(|(_, e)| e.field.as_str()).collect::<Vec<_>>(), [field], "{text}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused_with_its_field() {
        for (text, field) in [
            ("{}", "Event"),
            (r#"{"Event":{"Attribute":[{"type":"md5"}]}}"#, "Event.Attribute[0].value"),
            (r#"{"response":{}}"#, "response"),
            ("", "document"),
        ] {
            let error = read_all(text).map(|_| ()).unwrap_err();
            assert!(error.field == field || field == "document", "{text}: {error}");
        }
    }
}

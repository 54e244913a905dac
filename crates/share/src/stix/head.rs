//! The head of an object: what every rule asks about, without touching the rest of it.

use super::fault;
use super::id;
use super::kind::{Class, Kind};
use super::time::StixTime;
use model::ParseError;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Display;

/// Most markings of one object.
pub const MARKINGS_MAX: usize = 64;

/// Text that borrows from the document where it has no escapes, also inside of lists.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// The version of the standard that an object follows.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SpecVersion {
    /// STIX 2.0, which did not write it into objects.
    V20,
    /// STIX 2.1.
    V21,
}

impl SpecVersion {
    /// The version as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V20 => "2.0",
            Self::V21 => "2.1",
        }
    }
}

/// The head of one object, checked.
#[derive(Clone, Debug)]
pub struct Head<'a> {
    /// The type.
    pub kind: Kind,
    /// The identifier; its type part is the object's type.
    pub id: Cow<'a, str>,
    /// The version of the standard.
    pub spec: SpecVersion,
    /// When the object was first made; cyber-observables have none.
    pub created: Option<StixTime>,
    /// When this version was made, not before `created`; cyber-observables and markings have none.
    pub modified: Option<StixTime>,
    /// The identity of whoever made it.
    pub created_by: Option<Cow<'a, str>>,
    /// Is it taken back?
    pub revoked: bool,
    /// Identifiers of the marking definitions that cover all of it.
    pub markings: Vec<Text<'a>>,
    /// Are parts of it marked otherwise than the whole (STIX 2.1 §7.2.3)?
    pub granular: bool,
    /// The whole object, byte for byte.
    pub raw: &'a RawValue,
}

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    spec_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    created: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    modified: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    created_by_ref: Option<Cow<'a, str>>,
    #[serde(default)]
    revoked: bool,
    #[serde(borrow, default)]
    object_marking_refs: Vec<Text<'a>>,
    #[serde(borrow, default)]
    granular_markings: Option<&'a RawValue>,
}

impl<'a> Head<'a> {
    /// Reads and checks the head of `object`.
    ///
    /// # Errors
    /// Names the field, the value and what is allowed: identifier and type that do not agree, an unknown version, a
    /// missing
    /// or impossible time, `modified` before `created`, references that are no identifiers.
    pub fn read(object: &'a RawValue) -> Result<Self, ParseError> {
        let fields: Fields<'a> = fault::read("", object.get())?;
        let (named, _) = id::split("id", &fields.id)?;
        if named != fields.kind {
            return Err(ParseError::new("type", &fields.kind, format_args!("`{named}`, as `id` says")));
        }
        let kind = Kind::of(&fields.kind);
        let spec = spec(kind, fields.spec_version.as_deref())?;
        let time = |field, text: Option<Cow<'a, str>>| text.map(|text| StixTime::parse(field, &text)).transpose();
        let (created, modified) = (time("created", fields.created)?, time("modified", fields.modified)?);
        check_times(kind, created, modified)?;
        check_references(fields.created_by_ref.as_deref(), &fields.object_marking_refs)?;
        Ok(Self {
            kind,
            id: fields.id,
            spec,
            created,
            modified,
            created_by: fields.created_by_ref,
            revoked: fields.revoked,
            markings: fields.object_marking_refs,
            granular: fields.granular_markings.is_some(),
            raw: object,
        })
    }

    /// The version of the object: `modified`, or `created` where there is none (markings); observables have no
    /// versions.
    pub fn version(&self) -> Option<StixTime> {
        self.modified.or(self.created)
    }

    /// Refuses an object from the future.
    ///
    /// # Errors
    /// Names the field that lies after `latest`.
    pub fn not_after(&self, latest: StixTime) -> Result<(), ParseError> {
        let times = [("created", self.created), ("modified", self.modified)];
        match times.into_iter().find_map(|(field, time)| Some((field, time.filter(|time| *time > latest)?))) {
            Some((field, time)) => Err(ParseError::new(field, &time.to_string(), format_args!("not after {latest}"))),
            None => Ok(()),
        }
    }
}

/// STIX 2.1 writes `spec_version` into all objects but observables, where it may be left out; 2.0 never.
fn spec(kind: Kind, text: Option<&str>) -> Result<SpecVersion, ParseError> {
    match text {
        Some("2.1") => Ok(SpecVersion::V21),
        Some("2.0") => Ok(SpecVersion::V20),
        None if kind.class() == Class::Observable => Ok(SpecVersion::V21),
        None => Ok(SpecVersion::V20),
        Some(other) => Err(ParseError::new("spec_version", other, "2.0 or 2.1")),
    }
}

fn check_times(kind: Kind, created: Option<StixTime>, modified: Option<StixTime>) -> Result<(), ParseError> {
    let missing = |field| Err(ParseError::new(field, "nothing", "a value: the property is required"));
    match (kind.class(), created, modified) {
        (_, Some(created), Some(modified)) if modified < created => {
            Err(ParseError::new("modified", &modified.to_string(), format_args!("not before `created`, {created}")))
        }
        (Class::Domain | Class::Relation | Class::Meta, None, _) => missing("created"),
        (Class::Domain | Class::Relation, _, None) => missing("modified"),
        (Class::Custom, None, Some(_)) => missing("created"),
        _ => Ok(()),
    }
}

fn check_references(created_by: Option<&str>, markings: &[Text<'_>]) -> Result<(), ParseError> {
    if let Some(creator) = created_by {
        refers_to(Kind::Identity, "created_by_ref", creator)?;
    }
    if markings.len() > MARKINGS_MAX {
        let found = format!("{} entries", markings.len());
        return Err(ParseError::new("object_marking_refs", &found, format_args!("at most {MARKINGS_MAX} entries")));
    }
    let each = |(i, marking): (usize, &Text<'_>)| {
        refers_to(Kind::MarkingDefinition, format_args!("object_marking_refs[{i}]"), marking)
    };
    markings.iter().enumerate().try_for_each(each)
}

fn refers_to(kind: Kind, field: impl Display, id: &str) -> Result<(), ParseError> {
    match id::kind_of(id) {
        Some(named) if named == kind => Ok(()),
        Some(_) => {
            let allowed = format_args!("an identifier of type `{}`", kind.as_str());
            Err(ParseError::new(&field.to_string(), id, allowed))
        }
        None => id::split(&field.to_string(), id).map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDICATOR: &str = r#"{"type":"indicator","spec_version":"2.1",
        "id":"indicator--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
        "created":"2016-04-06T20:03:48.000Z","modified":"2016-04-06T20:03:48.000Z","revoked":true,
        "created_by_ref":"identity--f431f809-377b-45e0-aa1c-6a4751cae5ff","x_custom":[1,{"a":null}],
        "object_marking_refs":["marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"]}"#;

    fn read(json: &str) -> Result<(Kind, SpecVersion, bool, usize), ParseError> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let head = Head::read(raw)?;
        assert_eq!(head.raw.get(), json);
        Ok((head.kind, head.spec, head.revoked, head.markings.len()))
    }

    #[test]
    fn a_head_is_read_and_the_rest_is_left_alone() {
        assert_eq!(read(INDICATOR).unwrap(), (Kind::Indicator, SpecVersion::V21, true, 1));
        let old = INDICATOR.replace(r#""spec_version":"2.1","#, "");
        assert_eq!(read(&old).unwrap().1, SpecVersion::V20);
        let observable =
            r#"{"type":"ipv4-addr","id":"ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd","value":"198.51.100.3"}"#;
        assert_eq!(read(observable).unwrap().1, SpecVersion::V21);
    }

    #[test]
    fn every_fault_names_its_field() {
        for (from, to, field) in [
            (r#""type":"indicator""#, r#""type":"malware""#, "type"),
            (r#""type":"indicator","#, "", "type"),
            ("indicator--8e2e2d2b", "indicator--zzze2d2b", "id"),
            (r#""2.1""#, r#""3.0""#, "spec_version"),
            (r#""created":"2016"#, r#""created":"2017"#, "modified"),
            (r#""created":"2016-04-06T20:03:48.000Z","#, "", "created"),
            (r#""modified":"2016-04-06T20:03:48.000Z","#, "", "modified"),
            (r#""modified":"2016-04-06T20:03:48.000Z""#, r#""modified":"2016-04-06""#, "modified"),
            ("identity--f431", "malware--f431", "created_by_ref"),
            ("marking-definition--34098fce", "identity--34098fce", "object_marking_refs[0]"),
            (r#""revoked":true"#, r#""revoked":"yes""#, "revoked"),
        ] {
            assert_ne!(INDICATOR.replace(from, to), INDICATOR, "{from}");
            assert_eq!(read(&INDICATOR.replace(from, to)).unwrap_err().field, field, "{to}");
        }
    }

    #[test]
    fn an_object_from_the_future_is_refused() {
        let raw: &RawValue = serde_json::from_str(INDICATOR).unwrap();
        let head = Head::read(raw).unwrap();
        let at = |text| StixTime::parse("now", text).unwrap();
        assert!(head.not_after(at("2016-04-06T20:03:48Z")).is_ok());
        assert_eq!(head.not_after(at("2016-04-06T20:03:47.999Z")).unwrap_err().field, "created");
    }
}

//! The objects that we reason about, typed; all others stay what they are. Required properties are required.

use super::fault;
use super::head::{Head, Text};
use super::kind::{Class, Kind};
use model::ParseError;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Most references in one list of an object.
pub const REFERENCES_MAX: usize = 10_000;

/// Text that may be missing.
type Maybe<'a> = Option<Cow<'a, str>>;

/// An object that we reason about.
#[derive(Clone, Debug)]
pub enum Body<'a> {
    /// `attack-pattern`, `identity`, `malware`, `infrastructure`, `course-of-action`: something with a name.
    Named(Named<'a>),
    /// `indicator`.
    Indicator(Indicator<'a>),
    /// `observed-data`.
    ObservedData(ObservedData<'a>),
    /// `sighting`.
    Sighting(Sighting<'a>),
    /// `relationship`.
    Relationship(Relationship<'a>),
    /// `note`, `opinion`, `report`: something said about other objects.
    Said(Said<'a>),
    /// A cyber-observable.
    Observable(Map<String, Value>),
    /// `marking-definition`.
    Marking,
    /// `extension-definition`.
    Extension(Extension<'a>),
    /// `language-content`.
    Language(Language<'a>),
    /// Anything else.
    Other,
}

/// Something with a name, and types from open vocabularies.
#[derive(Clone, Debug, Deserialize)]
pub struct Named<'a> {
    /// Its name; malware may have none.
    #[serde(borrow, default)]
    pub name: Maybe<'a>,
    /// What sort of malware or infrastructure.
    #[serde(borrow, default, alias = "malware_types", alias = "infrastructure_types")]
    pub types: Vec<Text<'a>>,
    /// `identity_class` of an identity.
    #[serde(borrow, default)]
    pub identity_class: Maybe<'a>,
}

/// A pattern that tells something bad.
#[derive(Clone, Debug, Deserialize)]
pub struct Indicator<'a> {
    /// The pattern.
    #[serde(borrow)]
    pub pattern: Cow<'a, str>,
    /// Its language; STIX 2.0 had one only.
    #[serde(borrow, default)]
    pub pattern_type: Maybe<'a>,
    /// From when on it tells something.
    #[serde(borrow)]
    pub valid_from: Cow<'a, str>,
    /// Until when.
    #[serde(borrow, default)]
    pub valid_until: Maybe<'a>,
    /// What sort of thing it tells.
    #[serde(borrow, default)]
    pub indicator_types: Vec<Text<'a>>,
    /// Words about it.
    #[serde(borrow, default)]
    pub labels: Vec<Text<'a>>,
    /// Where in the course of an attack it stands.
    #[serde(borrow, default)]
    pub kill_chain_phases: Vec<Phase<'a>>,
    /// Extensions, ours among them.
    #[serde(borrow, default)]
    pub extensions: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// A phase of a kill chain.
#[derive(Clone, Debug, Deserialize)]
pub struct Phase<'a> {
    /// Its name.
    #[serde(borrow)]
    pub phase_name: Cow<'a, str>,
}

/// What was observed.
#[derive(Clone, Debug, Deserialize)]
pub struct ObservedData<'a> {
    /// When first.
    #[serde(borrow)]
    pub first_observed: Cow<'a, str>,
    /// When last.
    #[serde(borrow)]
    pub last_observed: Cow<'a, str>,
    /// How often.
    pub number_observed: u32,
    /// What.
    #[serde(borrow, default)]
    pub object_refs: Vec<Text<'a>>,
    /// Words about it.
    #[serde(borrow, default)]
    pub labels: Vec<Text<'a>>,
    /// Extensions, ours among them.
    #[serde(borrow, default)]
    pub extensions: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// That something was seen.
#[derive(Clone, Debug, Deserialize)]
pub struct Sighting<'a> {
    /// Of what.
    #[serde(borrow)]
    pub sighting_of_ref: Cow<'a, str>,
    /// The data behind it.
    #[serde(borrow, default)]
    pub observed_data_refs: Vec<Text<'a>>,
    /// When first.
    #[serde(borrow, default)]
    pub first_seen: Maybe<'a>,
    /// When last.
    #[serde(borrow, default)]
    pub last_seen: Maybe<'a>,
    /// How often; 0: looked for and not seen.
    #[serde(default)]
    pub count: Option<u32>,
    /// Words about it.
    #[serde(borrow, default)]
    pub labels: Vec<Text<'a>>,
    /// Extensions, ours among them.
    #[serde(borrow, default)]
    pub extensions: BTreeMap<Cow<'a, str>, &'a RawValue>,
}

/// How two objects belong together.
#[derive(Clone, Debug, Deserialize)]
pub struct Relationship<'a> {
    /// The verb.
    #[serde(borrow)]
    pub relationship_type: Cow<'a, str>,
    /// From.
    #[serde(borrow)]
    pub source_ref: Cow<'a, str>,
    /// To.
    #[serde(borrow)]
    pub target_ref: Cow<'a, str>,
}

/// Something said about other objects.
#[derive(Clone, Debug, Deserialize)]
pub struct Said<'a> {
    /// About what.
    #[serde(borrow)]
    pub object_refs: Vec<Text<'a>>,
    /// The opinion: from `strongly-disagree` to `strongly-agree`.
    #[serde(borrow, default)]
    pub opinion: Maybe<'a>,
    /// The text: `content` of a note, `explanation` of an opinion, `description` of a report.
    #[serde(borrow, default, alias = "content", alias = "explanation", alias = "description")]
    pub text: Maybe<'a>,
    /// Words about it.
    #[serde(borrow, default)]
    pub labels: Vec<Text<'a>>,
}

/// An extension of STIX.
#[derive(Clone, Debug, Deserialize)]
pub struct Extension<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Where its schema is.
    #[serde(borrow)]
    pub schema: Cow<'a, str>,
    /// Its version.
    #[serde(borrow)]
    pub version: Cow<'a, str>,
    /// What it extends.
    #[serde(borrow)]
    pub extension_types: Vec<Text<'a>>,
}

/// An object in other languages.
#[derive(Clone, Debug, Deserialize)]
pub struct Language<'a> {
    /// Which object.
    #[serde(borrow)]
    pub object_ref: Cow<'a, str>,
    /// Language, then property, then text.
    #[serde(borrow)]
    pub contents: BTreeMap<Text<'a>, &'a RawValue>,
}

impl<'a> Body<'a> {
    /// Reads the body of the object with this head.
    ///
    /// # Errors
    /// Names the property that is missing or wrong, or the list that is too long.
    pub fn read(head: &Head<'a>) -> Result<Self, ParseError> {
        let json = head.raw.get();
        let body = match head.kind {
            Kind::Indicator => Self::Indicator(fault::read("", json)?),
            Kind::ObservedData => Self::ObservedData(fault::read("", json)?),
            Kind::Sighting => Self::Sighting(fault::read("", json)?),
            Kind::Relationship => Self::Relationship(fault::read("", json)?),
            Kind::Note | Kind::Opinion | Kind::Report => Self::Said(said(head.kind, json)?),
            Kind::Identity | Kind::Malware | Kind::Infrastructure | Kind::AttackPattern | Kind::CourseOfAction => {
                Self::Named(named(head.kind, json)?)
            }
            Kind::MarkingDefinition => Self::Marking,
            Kind::ExtensionDefinition => Self::Extension(fault::read("", json)?),
            Kind::LanguageContent => Self::Language(fault::read("", json)?),
            kind if kind.class() == Class::Observable => Self::Observable(fault::read("", json)?),
            _ => Self::Other,
        };
        body.checked()
    }

    fn checked(self) -> Result<Self, ParseError> {
        let lists: [(&str, usize); 2] = match &self {
            Self::ObservedData(data) => [("object_refs", data.object_refs.len()), ("labels", data.labels.len())],
            Self::Sighting(seen) => {
                [("observed_data_refs", seen.observed_data_refs.len()), ("labels", seen.labels.len())]
            }
            Self::Said(said) => [("object_refs", said.object_refs.len()), ("labels", said.labels.len())],
            Self::Indicator(found) => {
                [("indicator_types", found.indicator_types.len()), ("labels", found.labels.len())]
            }
            _ => return Ok(self),
        };
        match lists.into_iter().find(|(_, count)| *count > REFERENCES_MAX) {
            Some((field, count)) => {
                let limit = format!("at most {REFERENCES_MAX} entries");
                Err(ParseError::new(field, &format!("{count} entries"), limit))
            }
            None => Ok(self),
        }
    }
}

fn named(kind: Kind, json: &str) -> Result<Named<'_>, ParseError> {
    let named: Named<'_> = fault::read("", json)?;
    match named.name.is_none() && kind != Kind::Malware {
        true => Err(missing("name")),
        false => Ok(named),
    }
}

fn said(kind: Kind, json: &str) -> Result<Said<'_>, ParseError> {
    let said: Said<'_> = fault::read("", json)?;
    match kind {
        Kind::Note if said.text.is_none() => Err(missing("content")),
        Kind::Opinion if said.opinion.is_none() => Err(missing("opinion")),
        _ => Ok(said),
    }
}

fn missing(field: &str) -> ParseError {
    ParseError::new(field, "nothing", "a value: the property is required")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, rest: &str) -> Result<(), ParseError> {
        let json = format!(
            r#"{{"type":"{kind}","spec_version":"2.1","id":"{kind}--8e2e2d2b-17d4-4cbf-938f-98ee46b3cd3f",
            "created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z"{rest}}}"#
        );
        let raw: &RawValue = serde_json::from_str(&json).unwrap();
        Body::read(&Head::read(raw).unwrap()).map(|_| ())
    }

    #[test]
    fn what_is_required_is_required_by_name() {
        for (kind, rest, field) in [
            ("indicator", r#","valid_from":"2026-01-01T00:00:00Z""#, "pattern"),
            ("indicator", r#","pattern":"x""#, "valid_from"),
            ("observed-data", r#","first_observed":"x","last_observed":"y""#, "number_observed"),
            ("observed-data", r#","first_observed":"x","last_observed":"y","number_observed":-1"#, "number_observed"),
            ("sighting", "", "sighting_of_ref"),
            ("relationship", r#","relationship_type":"uses","source_ref":"a""#, "target_ref"),
            ("identity", "", "name"),
            ("note", r#","object_refs":[]"#, "content"),
            ("note", r#","content":"x""#, "object_refs"),
            ("opinion", r#","object_refs":[]"#, "opinion"),
            ("opinion", r#","object_refs":[7],"opinion":"agree""#, "object_refs[0]"),
            ("report", "", "object_refs"),
            ("extension-definition", r#","name":"x","schema":"y","version":"1""#, "extension_types"),
            ("language-content", r#","object_ref":"x""#, "contents"),
        ] {
            assert_eq!(read(kind, rest).unwrap_err().field, field, "{kind}{rest}");
        }
        assert!(read("malware", r#","is_family":false"#).is_ok());
        assert!(read("x-anything", "").is_ok() && read("threat-actor", "").is_ok());
    }

    #[test]
    fn lists_have_an_end() {
        let many = vec!["\"a\""; REFERENCES_MAX + 1].join(",");
        let error = read("note", &format!(r#","content":"x","object_refs":[{many}]"#)).unwrap_err();
        assert_eq!((error.field.as_str(), error.allowed.as_str()), ("object_refs", "at most 10000 entries"));
    }
}

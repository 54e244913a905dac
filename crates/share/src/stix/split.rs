//! Cuts a bundle, an envelope, a list or a single object into its objects, and keeps each one's bytes.

use super::fault;
use crate::limits::Limits;
use model::ParseError;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What stood around the objects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wrapper<'a> {
    /// A STIX bundle, with its identifier.
    Bundle(Cow<'a, str>),
    /// A TAXII 2.1 envelope.
    Envelope {
        /// Is there more to fetch?
        more: bool,
        /// Where to go on.
        next: Option<Cow<'a, str>>,
    },
    /// A plain list.
    List,
    /// Nothing: one object alone.
    None,
}

/// The objects of one document, each as the bytes it came in.
#[derive(Debug)]
pub struct Split<'a> {
    /// What stood around them.
    pub wrapper: Wrapper<'a>,
    /// The objects in their order. Each is a JSON object; nothing else is known of it yet.
    pub objects: Vec<&'a RawValue>,
}

impl<'a> Split<'a> {
    /// Cuts `bytes` into objects.
    ///
    /// # Errors
    /// What is beyond `limits`, no JSON, neither a bundle nor an envelope nor an object.
    pub fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self, ParseError> {
        let text = limits.json(bytes)?;
        let split = match text.trim_start().as_bytes().first() {
            Some(b'[') => Self { wrapper: Wrapper::List, objects: fault::read("document", text)? },
            _ => of_object(text)?,
        };
        limits.count("objects", split.objects.len())?;
        for (index, object) in split.objects.iter().enumerate() {
            check(index, object.get(), limits)?;
        }
        Ok(split)
    }
}

fn check(index: usize, object: &str, limits: &Limits) -> Result<(), ParseError> {
    let field = || format!("objects[{index}]");
    if !object.starts_with('{') {
        return Err(ParseError::new(&field(), object, "an object"));
    }
    let max = limits.object_bytes;
    match object.len() > max {
        true => Err(ParseError::new(&field(), &format!("{} bytes", object.len()), format_args!("at most {max} bytes"))),
        false => Ok(()),
    }
}

/// The members that a bundle or an envelope has. Others are passed over: a bundle of 2.0 has `spec_version`.
#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    objects: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    more: bool,
    #[serde(borrow, default)]
    next: Option<Cow<'a, str>>,
}

/// Only the type: all that a single object needs to have here.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

fn of_object(text: &str) -> Result<Split<'_>, ParseError> {
    match fault::read::<Outer<'_>>("document", text) {
        Ok(outer) if outer.kind.is_none() => {
            let wrapper = Wrapper::Envelope { more: outer.more, next: outer.next };
            Ok(Split { wrapper, objects: outer.objects.unwrap_or_default() })
        }
        Ok(outer) if outer.kind.as_deref() == Some("bundle") => {
            let wrapper = Wrapper::Bundle(outer.id.unwrap_or_default());
            Ok(Split { wrapper, objects: outer.objects.unwrap_or_default() })
        }
        // Observed data of STIX 2.0 has a map called `objects`: only the type tells.
        other => {
            let alone = fault::read::<Typed<'_>>("document", text)?.kind.is_some_and(|kind| kind != "bundle");
            match (alone, other) {
                (false, Err(error)) => Err(error),
                _ => Ok(Split { wrapper: Wrapper::None, objects: vec![fault::read("document", text)?] }),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Split<'_>, ParseError> {
        Split::read(text.as_bytes(), &Limits::ENVELOPE)
    }

    fn texts<'a>(split: &Split<'a>) -> Vec<&'a str> {
        split.objects.iter().map(|object| object.get()).collect()
    }

    #[test]
    fn objects_keep_their_bytes_whatever_is_around_them() {
        let object = "{ \"type\" : \"tool\",\n \"x\": 1.50, \"é\": \"\\u00e9\", \"x\": null }";
        for (before, after) in [
            (r#"{"type":"bundle","id":"bundle--1","objects":["#, "]}"),
            (r#"{"more":true,"next":"7","objects":[ "#, " ] }"),
            ("[", "]"),
            ("", ""),
            (" \n", " "),
        ] {
            assert_eq!(texts(&read(&format!("{before}{object}{after}")).unwrap()), [object], "{before}");
        }
    }

    #[test]
    fn an_empty_envelope_has_no_objects() {
        let split = read("{}").unwrap();
        assert!(split.objects.is_empty() && split.wrapper == Wrapper::Envelope { more: false, next: None });
        let split = read(r#"{"more":true,"next":"a\u0062"}"#).unwrap();
        assert_eq!(split.wrapper, Wrapper::Envelope { more: true, next: Some("ab".into()) });
    }

    #[test]
    fn observed_data_of_the_old_standard_is_one_object() {
        let old = r#"{"type":"observed-data","objects":{"0":{"type":"ipv4-addr","value":"198.51.100.1"}}}"#;
        assert_eq!(texts(&read(old).unwrap()), [old]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let many = format!("[{}{{}}]", "{},".repeat(1_000));
        let long = format!(r#"[{{"a":"{}"}}]"#, "x".repeat(1 << 20));
        for (text, named) in [
            ("", "document"),
            ("7", "document"),
            (r#"{"objects":[{},3]}"#, "objects[1]"),
            (r#"{"type":"bundle","objects":{}}"#, "document.objects"),
            (r#"{"objects":7}"#, "document.objects"),
            (r#"{"type":"tool"} {"#, "document"),
            (many.as_str(), "1001 entries"),
            (long.as_str(), "at most 1048576 bytes"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{named}: {error}");
        }
    }
}

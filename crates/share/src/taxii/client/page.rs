//! One page of a collection as a client reads it: every good object with its bytes, every bad one with its reason.

use crate::limits::Limits;
use crate::stix::{Head, fault};
use crate::taxii::index::print;
use model::ParseError;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most objects of one page, whatever was asked for.
const OBJECTS_MAX: usize = 100_000;

/// An object that can be read.
#[derive(Clone, Debug)]
pub struct Picked<'a> {
    /// Its place on the page, from 0.
    pub place: usize,
    /// Its head; the bytes stand in it.
    pub head: Head<'a>,
    /// A short digest of its bytes.
    pub print: u64,
}

/// An envelope (§3.7), read.
#[derive(Debug, Default)]
pub struct Page<'a> {
    /// Is there more?
    pub more: bool,
    /// Where it goes on.
    pub next: Option<Cow<'a, str>>,
    /// What can be read, in order.
    pub good: Vec<Picked<'a>>,
    /// What cannot, by place, and why.
    pub bad: Vec<(usize, ParseError)>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(default)]
    more: Option<bool>,
    #[serde(borrow, default)]
    next: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    objects: Option<Vec<&'a RawValue>>,
}

impl<'a> Page<'a> {
    /// Reads an envelope; a bad object spoils none of the others.
    ///
    /// # Errors
    /// No envelope at all, or more objects than any page may have.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let limits = Limits { bytes: super::PAGE_BYTES_MAX, ..Limits::ENVELOPE };
        let text = limits.text(bytes)?;
        // A list would pass for an envelope whose members stand in order.
        if !text.trim_start().starts_with('{') {
            return Err(ParseError::new("envelope", text, "an object"));
        }
        let envelope: Envelope<'a> = fault::read("envelope", text)?;
        let objects = envelope.objects.unwrap_or_default();
        Limits { objects: OBJECTS_MAX, ..limits }.count("objects", objects.len())?;
        let next = envelope.next.filter(|next| !next.is_empty());
        let mut page = Self { more: envelope.more.unwrap_or(false), next, ..Self::default() };
        for (place, object) in objects.into_iter().enumerate() {
            match pick(object) {
                Ok(head) => page.good.push(Picked { place, head, print: print(object.get().as_bytes()) }),
                Err(error) => page.bad.push((place, error)),
            }
        }
        Ok(page)
    }
}

fn pick(object: &RawValue) -> Result<Head<'_>, ParseError> {
    let limits = Limits { bytes: Limits::ENVELOPE.object_bytes, ..Limits::ENVELOPE };
    let text = limits.json(object.get().as_bytes())?;
    match text.starts_with('{') {
        true => Head::read(object),
        false => Err(ParseError::new("object", text, "an object")),
    }
}

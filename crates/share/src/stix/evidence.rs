//! What an object claims of what was seen: when, how often, and what our own extension adds.

use super::body::ObservedData;
use super::fault;
use super::ours::EXTENSION;
use super::time::StixTime;
use model::{Behaviour, Grade, ParseError, Sensor};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// What is claimed of an observable.
pub struct Claims {
    /// What it did.
    pub behaviour: Option<Behaviour>,
    /// When first.
    pub first: StixTime,
    /// When last.
    pub last: StixTime,
    /// How often.
    pub count: u32,
    /// What our extension adds.
    pub ours: Ours,
}

/// What our extension says on an object.
#[derive(Clone, Copy, Default)]
pub struct Ours {
    /// What the observable did.
    pub behaviour: Option<Behaviour>,
    /// What saw it.
    pub sensor: Option<Sensor>,
    /// How hard it is to forge.
    pub grade: Option<Grade>,
    /// Does the object stand for a finding of an alliance?
    pub finding: bool,
}

#[derive(Deserialize)]
struct Extension<'a> {
    #[serde(default)]
    behaviour: Option<Behaviour>,
    #[serde(default)]
    sensor: Option<Sensor>,
    #[serde(default)]
    grade: Option<Grade>,
    #[serde(borrow, default)]
    finding: Option<Cow<'a, str>>,
}

impl Ours {
    /// Reads our extension among the others; all is empty where it is not there.
    ///
    /// # Errors
    /// A word that we do not know.
    pub fn read(extensions: &BTreeMap<Cow<'_, str>, &RawValue>) -> Result<Self, ParseError> {
        let Some(extension) = extensions.get(EXTENSION) else { return Ok(Self::default()) };
        let Extension { behaviour, sensor, grade, finding } = fault::read("extensions", extension.get())?;
        Ok(Self { behaviour, sensor, grade, finding: finding.is_some() })
    }

    /// What this says, and where it says nothing what `other` says.
    pub fn or(self, other: Self) -> Self {
        Self {
            behaviour: self.behaviour.or(other.behaviour),
            sensor: self.sensor.or(other.sensor),
            grade: self.grade.or(other.grade),
            finding: self.finding || other.finding,
        }
    }
}

/// From when to when data was observed.
///
/// # Errors
/// No times, or the last before the first.
pub fn times(data: &ObservedData<'_>) -> Result<(StixTime, StixTime), ParseError> {
    let first = StixTime::parse("first_observed", &data.first_observed)?;
    let last = StixTime::parse("last_observed", &data.last_observed)?;
    match last < first {
        true => Err(ParseError::new("last_observed", &last.to_string(), format_args!("not before {first}"))),
        false => Ok((first, last)),
    }
}

//! Column maps: which field of a foreign record is which part of a sighting. Used by JSON lines and CSV.
//!
//! ```toml
//! observable = "src_ip"
//! time = "ts"
//! behaviour = { column = "category", words = { ssh = "bruteforce" }, otherwise = "scan" }
//! grade = "handshake"
//! sensor = "honeypot"
//! ```

use crate::source::{Outcome, Settings, Skip};
use crate::times::{self, Offset, TimeFormat};
use model::{Behaviour, Grade, Observable, ParseError, Sensor, Sighting};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Which column is what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnMap {
    /// The column with the address, prefix, name, URL or hash.
    pub observable: String,
    /// The column with the time; the first time, where `last` is given too.
    pub time: String,
    /// The column with the last time, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How times are written.
    #[serde(default)]
    pub time_format: TimeFormat,
    /// The offset of times that are written without one.
    #[serde(default)]
    pub utc_offset: Offset,
    /// The behaviour.
    pub behaviour: Field<Behaviour>,
    /// The evidence grade.
    pub grade: Field<Grade>,
    /// The kind of sensor.
    pub sensor: Field<Sensor>,
    /// The column with the count, if there is one; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
}

/// A part that is the same for all records, or stands in a column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged, bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub enum Field<T> {
    /// The same for all.
    Constant(T),
    /// Looked up.
    Column(ColumnField<T>),
}

/// A part that stands in a column.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>"))]
pub struct ColumnField<T> {
    /// The column.
    pub column: String,
    /// What its words mean; our own words always mean themselves.
    #[serde(default = "BTreeMap::new")]
    pub words: BTreeMap<String, T>,
    /// What all other words mean; without it they are no evidence.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub otherwise: Option<T>,
}

fn none<T>() -> Option<T> {
    None
}

impl<T: Copy + FromStr> Field<T> {
    fn of(&self, record: &impl Record) -> Result<T, Outcome> {
        match self {
            Self::Constant(word) => Ok(*word),
            Self::Column(field) => {
                let text = record.required(&field.column)?;
                let known = field.words.get(text.as_ref()).copied().or_else(|| text.parse().ok());
                known.or(field.otherwise).ok_or_else(|| Skip::NoBehaviour.into())
            }
        }
    }
}

/// A foreign record, asked by column name.
pub trait Record {
    /// The column's text; `None` if there is no such column or it is empty.
    fn column(&self, name: &str) -> Option<Cow<'_, str>>;

    /// As [`Record::column`], where the column must be there.
    ///
    /// # Errors
    /// Names the column.
    fn required(&self, name: &str) -> Result<Cow<'_, str>, ParseError> {
        self.column(name).ok_or_else(|| ParseError::new(name, "nothing", "a column with a value"))
    }
}

impl ColumnMap {
    /// The sighting that `record` stands for.
    ///
    /// # Errors
    /// The outcome, where it stands for none.
    pub fn sighting(&self, record: &impl Record, settings: &Settings) -> Result<Sighting, Outcome> {
        let observable = Observable::parse_pasted(&record.required(&self.observable)?)?;
        let observable = settings.foreign(observable)?;
        let first = self.time(record, &self.time)?;
        let last = self.last.as_ref().map_or(Ok(first), |column| self.time(record, column))?;
        if last < first {
            return Err(ParseError::new("last", &last.to_string(), format_args!("not before {first}")).into());
        }
        Ok(Sighting {
            observable,
            behaviour: self.behaviour.of(record)?,
            first,
            last,
            count: self.count(record)?,
            sensor: self.sensor.of(record)?,
            grade: self.grade.of(record)?,
            handling: settings.handling.clone(),
        })
    }

    fn time(&self, record: &impl Record, column: &str) -> Result<model::Timestamp, ParseError> {
        times::read(&record.required(column)?, self.time_format, &self.utc_offset)
    }

    fn count(&self, record: &impl Record) -> Result<u32, ParseError> {
        let Some(column) = &self.count else { return Ok(1) };
        let Some(text) = record.column(column) else { return Ok(1) };
        let count = text.trim().parse::<u32>().ok().filter(|count| *count > 0);
        count.ok_or_else(|| ParseError::new(column, &text, format_args!("a whole number, 1 to {}", u32::MAX)))
    }
}

//! JSON lines of any shape: one object a line, read through a column map. A column is a key of the object, or a JSON
//! pointer (RFC 6901) to somewhere deeper: `/source/ip`.

use crate::columns::{ColumnMap, Record};
use crate::source::{FIELDS_MAX, Outcome, Settings, Skip, Source, shallow, text};
use model::{ParseError, Sighting};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The source.
#[derive(Clone, Debug)]
pub struct JsonLines {
    columns: ColumnMap,
}

impl JsonLines {
    /// Reads records through `columns`.
    pub fn new(columns: ColumnMap) -> Self {
        Self { columns }
    }

    fn sighting(&self, bytes: &[u8], settings: &Settings) -> Result<Sighting, Outcome> {
        if bytes.trim_ascii().is_empty() {
            return Err(Skip::Blank.into());
        }
        let json = shallow(text(bytes)?)?;
        let object: Map<String, Value> = serde_json::from_str(json)
            .map_err(|e| ParseError::new("line", json, format_args!("a JSON object ({e})")))?;
        if object.len() > FIELDS_MAX {
            let found = format!("{} fields", object.len());
            return Err(ParseError::new("line", &found, format_args!("at most {FIELDS_MAX} fields")).into());
        }
        self.columns.sighting(&Object(Value::Object(object)), settings)
    }
}

impl Source for JsonLines {
    fn line(&mut self, bytes: &[u8], settings: &Settings) -> Outcome {
        self.sighting(bytes, settings).into()
    }
}

struct Object(Value);

impl Record for Object {
    fn column(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = if name.starts_with('/') { self.0.pointer(name) } else { self.0.get(name) };
        match value? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.into()),
            Value::Number(number) => Some(number.to_string().into()),
            Value::Bool(flag) => Some(flag.to_string().into()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

//! STIX 2.0 into 2.1 (STIX 2.1 appendix C): the same objects, with the properties that 2.1 asks for.

use super::fault;
use super::head::{Head, SpecVersion};
use super::id::{named_as, split};
use super::kind::Kind;
use super::ours::NAMESPACE;
use super::sco;
use crate::pattern::Pattern;
use model::ParseError;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most objects inside of one `observed-data`.
const OBJECTS_MAX: usize = 1_000;

/// The object as 2.1 has it, and before it the observables that stood inside of it.
///
/// # Errors
/// Names the property that cannot be brought forward.
pub fn upgrade(head: &Head<'_>) -> Result<Vec<Box<RawValue>>, ParseError> {
    let mut object: Map<String, Value> = fault::read("", head.raw.get())?;
    object.insert("spec_version".to_owned(), "2.1".into());
    let mut objects = Vec::new();
    match head.kind {
        Kind::Indicator => indicator(&mut object)?,
        Kind::Malware => {
            types(&mut object, "malware_types");
            object.entry("is_family").or_insert(Value::Bool(false));
        }
        Kind::Report => types(&mut object, "report_types"),
        Kind::ThreatActor => types(&mut object, "threat_actor_types"),
        Kind::Tool => types(&mut object, "tool_types"),
        Kind::ObservedData => objects = observed(head, &mut object)?,
        _ => {}
    }
    objects.push(Value::Object(object));
    let raw = |object: Value| to_raw_value(&object).map_err(|e| ParseError::new("object", &e.to_string(), "JSON"));
    objects.into_iter().map(raw).collect()
}

/// What 2.0 kept in `labels` has a property of its own in 2.1. The labels stay: they say the same.
fn types(object: &mut Map<String, Value>, property: &str) {
    if let Some(labels) = object.get("labels").cloned() {
        object.entry(property).or_insert(labels);
    }
}

fn indicator(object: &mut Map<String, Value>) -> Result<(), ParseError> {
    types(object, "indicator_types");
    object.insert("pattern_type".to_owned(), "stix".into());
    if let Some(pattern) = object.get("pattern").and_then(Value::as_str) {
        let pattern = Pattern::parse(pattern, SpecVersion::V20)?;
        object.insert("pattern".to_owned(), pattern.to_string().into());
    }
    Ok(())
}

/// Takes the objects out of the container and gives them identifiers that everybody would give them.
fn observed(head: &Head<'_>, data: &mut Map<String, Value>) -> Result<Vec<Value>, ParseError> {
    let Some(Value::Object(container)) = data.remove("objects") else { return Ok(Vec::new()) };
    if container.len() > OBJECTS_MAX {
        let found = format!("{} objects", container.len());
        return Err(ParseError::new("objects", &found, format_args!("at most {OBJECTS_MAX} objects")));
    }
    let (_, uuid) = split("id", &head.id)?;
    let mut naming = Naming { container: &container, uuid, ids: BTreeMap::new(), busy: Vec::new() };
    let mut objects = Vec::with_capacity(container.len());
    for key in container.keys() {
        let id = naming.id(key)?;
        let mut object = naming.resolved(key)?;
        object.insert("id".to_owned(), id.into());
        object.insert("spec_version".to_owned(), "2.1".into());
        objects.push(Value::Object(object));
    }
    let refs: Vec<&String> = naming.ids.values().collect();
    data.insert("object_refs".to_owned(), json!(refs));
    Ok(objects)
}

/// Gives the objects of one container their identifiers. Those of some depend on those they refer to.
struct Naming<'a> {
    container: &'a Map<String, Value>,
    /// The UUID of the observed data: what has no identifier by its content gets one by its place.
    uuid: &'a str,
    ids: BTreeMap<String, String>,
    /// Objects on the way, to notice circles.
    busy: Vec<String>,
}

impl<'a> Naming<'a> {
    fn id(&mut self, key: &str) -> Result<String, ParseError> {
        if let Some(id) = self.ids.get(key) {
            return Ok(id.clone());
        }
        let kind = self.kind(key)?;
        let by_place = named_as(kind, &NAMESPACE, &format!("observed\n{}\n{key}", self.uuid));
        // In a circle somebody must be named first, and that one by its place.
        if self.busy.iter().any(|busy| busy == key) || self.busy.len() > 32 {
            self.ids.insert(key.to_owned(), by_place.clone());
            return Ok(by_place);
        }
        self.busy.push(key.to_owned());
        let resolved = self.resolved(key)?;
        self.busy.pop();
        let id = sco::identifier(Kind::of(kind), &resolved)?.unwrap_or(by_place);
        Ok(self.ids.entry(key.to_owned()).or_insert(id).clone())
    }

    fn kind(&self, key: &str) -> Result<&'a str, ParseError> {
        let kind = self.container.get(key).and_then(|object| object.get("type")).and_then(Value::as_str);
        kind.ok_or_else(|| ParseError::new(&format!("objects.{key}.type"), "nothing", "an object with a type"))
    }

    /// The object with references to identifiers in place of keys.
    fn resolved(&mut self, key: &str) -> Result<Map<String, Value>, ParseError> {
        let object = self.container.get(key).and_then(Value::as_object);
        let mut object = object.cloned().unwrap_or_default();
        for (name, value) in &mut object {
            match value {
                Value::String(text) if name.ends_with("_ref") => *text = self.reference(name, text)?,
                Value::Array(items) if name.ends_with("_refs") => {
                    for item in items {
                        let reference = item.as_str().map(|text| self.reference(name, text)).transpose()?;
                        *item = reference.map_or(Value::Null, Value::String);
                    }
                }
                _ => {}
            }
        }
        Ok(object)
    }

    fn reference(&mut self, name: &str, key: &str) -> Result<String, ParseError> {
        match self.container.contains_key(key) {
            true => self.id(key),
            false => Err(ParseError::new(name, key, "a key of `objects`")),
        }
    }
}

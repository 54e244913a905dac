//! Observations out of STIX objects: each `observed-data`, with the objects it names.

use super::evaluate::Observation;
use crate::stix::{StixTime, fault};
use model::ParseError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

#[derive(Deserialize)]
struct ObservedData<'a> {
    #[serde(borrow)]
    first_observed: Cow<'a, str>,
    #[serde(borrow)]
    last_observed: Cow<'a, str>,
    number_observed: u32,
    #[serde(default)]
    object_refs: Vec<String>,
    /// STIX 2.0, and deprecated in 2.1: the objects themselves, by a local key.
    #[serde(default)]
    objects: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(default)]
    id: Option<String>,
}

/// The observations in `objects`, in their order. References lead to other objects of the same list only.
///
/// # Errors
/// Names the field of an `observed-data` that is wrong.
pub fn observations(objects: &[&RawValue]) -> Result<Vec<Observation>, ParseError> {
    let (mut around, mut observed) = (BTreeMap::new(), Vec::new());
    for object in objects {
        let named: Named<'_> = fault::read("", object.get())?;
        match (&*named.kind, named.id) {
            ("observed-data", _) => observed.push(fault::read::<ObservedData<'_>>("observed-data", object.get())?),
            (_, Some(id)) => {
                around.insert(id, fault::read::<Value>("", object.get())?);
            }
            _ => {}
        }
    }
    let around = Rc::new(around);
    observed.into_iter().map(|data| of(data, &around)).collect()
}

fn of(data: ObservedData<'_>, around: &Rc<BTreeMap<String, Value>>) -> Result<Observation, ParseError> {
    let first = StixTime::parse("first_observed", &data.first_observed)?;
    let last = StixTime::parse("last_observed", &data.last_observed)?;
    if last < first {
        return Err(ParseError::new("last_observed", &last.to_string(), format_args!("not before {first}")));
    }
    let (roots, objects) = match data.objects.is_empty() {
        true => (data.object_refs, Rc::clone(around)),
        false => (data.objects.keys().cloned().collect(), Rc::new(data.objects)),
    };
    Ok(Observation { first, last, number: data.number_observed, roots, objects })
}

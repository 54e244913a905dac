//! The observables that an object names by itself: cyber-observables, and the patterns of indicators.

use crate::pattern::{Pattern, Reduction};
use crate::stix::{Class, Head, Kind, sco};
use model::Observable;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most observables by which one object is found.
pub const MENTIONS_MAX: usize = 1_000;

/// The observables that `object` names; those of a pattern beside conditions that observables cannot express are among
/// them. At most [`MENTIONS_MAX`], in their order. What cannot be read names none.
pub fn mentions(object: &RawValue) -> Vec<Observable> {
    let Ok(head) = Head::read(object) else { return Vec::new() };
    match head.kind {
        Kind::Indicator => of_pattern(&head).unwrap_or_default(),
        kind if kind.class() == Class::Observable => serde_json::from_str(object.get())
            .ok()
            .and_then(|object| sco::observable(kind, &object))
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

/// The observables by which an object with this pattern is found.
pub fn of_reduction(reduction: &Reduction) -> Vec<Observable> {
    reduction.named().into_iter().take(MENTIONS_MAX).cloned().collect()
}

fn of_pattern(head: &Head<'_>) -> Option<Vec<Observable>> {
    #[derive(Deserialize)]
    struct Indicator<'a> {
        #[serde(borrow)]
        pattern: Cow<'a, str>,
        #[serde(borrow, default)]
        pattern_type: Option<Cow<'a, str>>,
    }
    let indicator: Indicator<'_> = serde_json::from_str(head.raw.get()).ok()?;
    if !matches!(indicator.pattern_type.as_deref(), None | Some("stix")) {
        return None;
    }
    let pattern = Pattern::parse(&indicator.pattern, head.spec).ok()?;
    Some(of_reduction(&Reduction::of(&pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(object: serde_json::Value) -> Vec<String> {
        let raw = serde_json::value::to_raw_value(&object).unwrap();
        mentions(&raw).iter().map(ToString::to_string).collect()
    }

    fn indicator(pattern: &str, language: &str) -> serde_json::Value {
        json!({
            "type": "indicator", "spec_version": "2.1", "id": "indicator--00000001-1111-4111-8111-111111111111",
            "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z",
            "pattern": pattern, "pattern_type": language, "valid_from": "2026-01-01T00:00:00Z",
        })
    }

    #[test]
    fn patterns_and_observables_name_what_they_are_found_by() {
        let pattern = "[ipv4-addr:value = '80.1.1.1' OR domain-name:value = 'a.example'] AND [file:size > 5]";
        assert_eq!(named(indicator(pattern, "stix")), ["80.1.1.1", "a.example"]);
        assert!(named(indicator("rule x { condition: true }", "yara")).is_empty());
        assert!(named(indicator("[ipv4-addr:value = ", "stix")).is_empty());
        let address = json!({
            "type": "ipv4-addr", "spec_version": "2.1", "value": "80.1.0.0/16",
            "id": "ipv4-addr--00000001-1111-4111-8111-111111111111",
        });
        assert_eq!(named(address), ["80.1.0.0/16"]);
        assert!(named(json!({ "type": "ipv4-addr" })).is_empty());
    }

    #[test]
    fn a_pattern_of_very_many_values_is_found_by_some_of_them() {
        let values: Vec<String> = (0..3_000).map(|n| format!("'80.1.{}.{}'", n / 256, n % 256)).collect();
        let pattern = format!("[ipv4-addr:value IN ({})]", values.join(", "));
        assert_eq!(named(indicator(&pattern, "stix")).len(), MENTIONS_MAX);
    }
}

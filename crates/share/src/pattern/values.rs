//! The values that a path selects, and what the operators say of them (STIX 2.1 §9.6.1).

use super::evaluate::Undecided;
use crate::pattern::tree::{Literal, Operator, Step, Test};
use crate::stix::StixTime;
use base64::Engine as _;
use icu_normalizer::ComposingNormalizerBorrowed;
use ipnet::IpNet;
use serde_json::Value;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Most values that one path selects: references can lead in circles, each time to more.
const VALUES_MAX: usize = 10_000;
/// Largest compiled regular expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// A value inside an object.
#[derive(Clone, Debug)]
pub enum Held<'a> {
    /// As it stands there.
    Json(&'a Value),
    /// What a property that ends with `_hex` or `_bin` stands for.
    Bytes(Vec<u8>),
}

/// The values that `steps` lead to from `object`.
///
/// # Errors
/// [`Undecided::TooMany`].
pub fn select<'a>(
    object: &'a Value,
    steps: &[Step],
    objects: &'a BTreeMap<String, Value>,
) -> Result<Vec<Held<'a>>, Undecided> {
    let mut held = vec![Held::Json(object)];
    let mut by_reference = false;
    for step in steps {
        held = held.iter().flat_map(|value| take(value, step, by_reference.then_some(objects))).collect();
        if held.len() > VALUES_MAX {
            return Err(Undecided::TooMany);
        }
        if let Step::Key(key) = step {
            by_reference = key.ends_with("_ref") || key.ends_with("_refs");
        }
    }
    Ok(held)
}

fn take<'a>(value: &Held<'a>, step: &Step, objects: Option<&'a BTreeMap<String, Value>>) -> Vec<Held<'a>> {
    match (value, step) {
        (Held::Json(Value::Array(items)), Step::Any) => items.iter().map(Held::Json).collect(),
        (Held::Json(Value::Array(items)), Step::Index(index)) => {
            let item = usize::try_from(*index).ok().and_then(|index| items.get(index));
            item.map(Held::Json).into_iter().collect()
        }
        (Held::Json(Value::Object(members)), Step::Any) => members.values().map(Held::Json).collect(),
        (Held::Json(Value::Object(members)), Step::Key(key)) => {
            members.get(key).and_then(|v| suffixed(key, v)).into_iter().collect()
        }
        (Held::Json(Value::String(id)), Step::Key(key)) => {
            let referenced = objects.and_then(|objects| objects.get(id)).and_then(|object| object.get(key));
            referenced.and_then(|value| suffixed(key, value)).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

fn suffixed<'a>(key: &str, value: &'a Value) -> Option<Held<'a>> {
    match value {
        Value::String(text) if key.ends_with("_hex") => {
            let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
            text.as_bytes().chunks(2).map(pair).collect::<Option<_>>().map(Held::Bytes)
        }
        Value::String(text) if key.ends_with("_bin") => {
            base64::engine::general_purpose::STANDARD.decode(text).ok().map(Held::Bytes)
        }
        other => Some(Held::Json(other)),
    }
}

/// Does one of the values pass the test?
///
/// # Errors
/// See [`Undecided`].
pub fn holds(values: &[Held<'_>], test: &Test) -> Result<bool, Undecided> {
    if test.operator == Operator::Exists {
        return Ok(values.is_empty() == test.negated);
    }
    for value in values {
        if passes(value, &test.operator)? != test.negated {
            return Ok(true);
        }
    }
    Ok(false)
}

fn passes(value: &Held<'_>, operator: &Operator) -> Result<bool, Undecided> {
    let ordered = |literal, wanted: fn(Ordering) -> bool| Ok(compare(value, literal)?.is_some_and(wanted));
    match operator {
        Operator::Equal(literal) => ordered(literal, Ordering::is_eq),
        Operator::NotEqual(literal) => Ok(!ordered(literal, Ordering::is_eq)?),
        Operator::Greater(literal) => ordered(literal, Ordering::is_gt),
        Operator::AtLeast(literal) => ordered(literal, Ordering::is_ge),
        Operator::Less(literal) => ordered(literal, Ordering::is_lt),
        Operator::AtMost(literal) => ordered(literal, Ordering::is_le),
        Operator::In(literals) => {
            for literal in literals {
                if ordered(literal, Ordering::is_eq)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Operator::Like(pattern) => Ok(text(value).is_some_and(|text| like(&nfc(&text), &nfc(pattern)))),
        Operator::Matches(expression) => match text(value) {
            Some(text) => Ok(compile(expression)?.is_match(&nfc(&text))),
            None => Ok(false),
        },
        Operator::Subset(net) => Ok(networks(value, net).is_some_and(|(inner, outer)| outer.contains(&inner))),
        Operator::Superset(net) => Ok(networks(value, net).is_some_and(|(outer, inner)| outer.contains(&inner))),
        Operator::Exists => Ok(true),
    }
}

/// How the value stands to the literal; `None` where types do not compare.
fn compare(value: &Held<'_>, literal: &Literal) -> Result<Option<Ordering>, Undecided> {
    Ok(match (value, literal) {
        (Held::Json(Value::Number(number)), Literal::Integer(integer)) => match number.as_i64() {
            Some(number) => Some(number.cmp(integer)),
            None => number.as_f64().and_then(|number| number.partial_cmp(&(*integer as f64))),
        },
        (Held::Json(Value::Number(number)), Literal::Float(float)) => {
            number.as_f64().and_then(|n| n.partial_cmp(float))
        }
        (Held::Json(Value::Bool(truth)), Literal::Bool(literal)) => Some(truth.cmp(literal)),
        (Held::Json(Value::String(text)), Literal::Text(literal)) => Some(text.cmp(literal)),
        (Held::Json(Value::String(text)), Literal::Bytes(literal)) => latin(text).map(|bytes| bytes.cmp(literal)),
        (Held::Json(Value::String(text)), Literal::Time(literal)) => {
            let time = StixTime::parse("value", text).map_err(|error| Undecided::Time(error.value))?;
            Some(time.cmp(&literal.time))
        }
        (Held::Bytes(bytes), Literal::Bytes(literal)) => Some(bytes.cmp(literal)),
        (Held::Bytes(bytes), Literal::Text(literal)) => latin(literal).map(|literal| bytes.cmp(&literal)),
        _ => None,
    })
}

/// Text as bytes, where every character is below 256 (STIX 2.1 §9.6.1.1).
fn latin(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn text<'a>(value: &'a Held<'_>) -> Option<Cow<'a, str>> {
    match value {
        Held::Json(Value::String(text)) => Some(text.into()),
        Held::Bytes(bytes) => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Held::Json(_) => None,
    }
}

/// Normalization form C, which `LIKE` and `MATCHES` ask for.
fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() { text.into() } else { ComposingNormalizerBorrowed::new_nfc().normalize(text) }
}

/// `%` is any text, `_` any one character. Goes back to the last `%` only: linear for one, never exponential.
fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((t, p + 1));
                p += 1;
            }
            Some(c) if *c == '_' || *c == text[t] => (t, p) = (t + 1, p + 1),
            _ => match back {
                Some((from, after)) => {
                    back = Some((from + 1, after));
                    (t, p) = (from + 1, after);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

fn compile(expression: &str) -> Result<regex::Regex, Undecided> {
    let mut builder = regex::RegexBuilder::new(&nfc(expression));
    let built = builder.size_limit(EXPRESSION_BYTES_MAX).dot_matches_new_line(true).build();
    built.map_err(|_| Undecided::Expression(model::parse::printable(expression)))
}

/// The value's network and the literal's, where both are such.
fn networks(value: &Held<'_>, literal: &str) -> Option<(IpNet, IpNet)> {
    let Held::Json(Value::String(text)) = value else { return None };
    Some((network(text)?, network(literal)?))
}

fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from)).map(|net| net.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_takes_any_text_and_any_character() {
        for (text, pattern, wanted) in [
            ("hello", "he%", true),
            ("hello", "he__o", true),
            ("hello", "%l%l%", true),
            ("hello", "%", true),
            ("", "%%", true),
            ("hello", "hell", false),
            ("hello", "_hello", false),
            ("he.lo", "he.lo", true),
            ("hexlo", "he.lo", false),
        ] {
            assert_eq!(like(text, pattern), wanted, "{text} {pattern}");
        }
        let (text, pattern) = ("a".repeat(5_000), "%a".repeat(2_000) + "b");
        assert!(!like(&text, &pattern));
    }

    #[test]
    fn an_expression_that_looks_around_is_undecided_not_wrong() {
        assert!(matches!(compile("(?<=a)b"), Err(Undecided::Expression(_))));
        assert!(matches!(compile("(a{1000}){1000}"), Err(Undecided::Expression(_))));
        assert!(compile(r"^\x61.\d+$").is_ok());
    }
}

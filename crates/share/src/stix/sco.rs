//! Cyber-observable objects (STIX 2.1 §6): their deterministic identifiers, and the way to and from our observables.

use super::id::{OBSERVABLES, named};
use super::kind::Kind;
use crate::canonical::canonical;
use crate::pattern::{Comparison, Literal, Observations, Operator, Path, Pattern, Step, Test};
use model::{FileHash, Observable, ParseError};
use serde_json::{Map, Value, json};

/// The properties that make the identifier of each type (STIX 2.1 §6, "ID Contributing Properties").
const fn contributing(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Artifact => &["hashes", "payload_bin"],
        Kind::AutonomousSystem => &["number"],
        Kind::Directory => &["path"],
        Kind::DomainName | Kind::EmailAddr | Kind::Ipv4Addr | Kind::Ipv6Addr | Kind::MacAddr | Kind::Url => &["value"],
        Kind::EmailMessage => &["from_ref", "subject", "body"],
        Kind::File => &["hashes", "name", "extensions", "parent_directory_ref"],
        Kind::Mutex => &["name"],
        Kind::NetworkTraffic => {
            &["start", "end", "src_ref", "dst_ref", "src_port", "dst_port", "protocols", "extensions"]
        }
        Kind::Software => &["name", "cpe", "swid", "vendor", "version"],
        Kind::UserAccount => &["account_type", "user_id", "account_login"],
        Kind::WindowsRegistryKey => &["key", "values"],
        Kind::X509Certificate => &["hashes", "serial_number"],
        _ => &[],
    }
}

/// Of several hashes only the first of this list contributes.
const HASHES: [&str; 4] = ["MD5", "SHA-1", "SHA-256", "SHA-512"];

/// The identifier of a cyber-observable object by its properties (STIX 2.1 §2.9); `None` where none of them
/// contributes: then
/// the identifier is random, and whoever makes the object makes it.
///
/// # Errors
/// Nesting that is too deep for the canonical form.
pub fn identifier(kind: Kind, object: &Map<String, Value>) -> Result<Option<String>, ParseError> {
    let mut name = Map::new();
    for property in contributing(kind) {
        let value =
            object.get(*property).map(|value| if *property == "hashes" { one_hash(value) } else { value.clone() });
        name.extend(value.map(|value| ((*property).to_owned(), value)));
    }
    if name.is_empty() {
        return Ok(None);
    }
    Ok(Some(named(kind, &OBSERVABLES, &canonical(&Value::Object(name))?)))
}

/// The hash that contributes: the first of [`HASHES`], or else the first by name.
fn one_hash(hashes: &Value) -> Value {
    let Value::Object(all) = hashes else { return hashes.clone() };
    let chosen =
        HASHES.into_iter().find(|name| all.contains_key(*name)).or_else(|| all.keys().min().map(String::as_str));
    chosen.map_or(Value::Null, |name| json!({ name: all.get(name) }))
}

/// The cyber-observable object that stands for `observable`.
pub fn object(observable: &Observable) -> Map<String, Value> {
    let (kind, property, value) = parts(observable);
    let mut object = Map::new();
    object.insert("type".to_owned(), kind.as_str().into());
    object.insert("spec_version".to_owned(), "2.1".into());
    object.insert(property.to_owned(), value);
    // The properties are one or two levels deep: the canonical form cannot be too deep.
    let id = identifier(kind, &object).ok().flatten().unwrap_or_default();
    object.insert("id".to_owned(), id.into());
    object
}

fn parts(observable: &Observable) -> (Kind, &'static str, Value) {
    match observable {
        Observable::Hash(hash) => {
            let (name, digits) = hash_parts(hash);
            (Kind::File, "hashes", json!({ name: digits }))
        }
        Observable::Domain(domain) => (Kind::DomainName, "value", domain.as_str().into()),
        Observable::Url(url) => (Kind::Url, "value", url.as_str().into()),
        net => (address_kind(net), "value", net.to_string().into()),
    }
}

fn address_kind(observable: &Observable) -> Kind {
    match observable.network() {
        Some(ipnet::IpNet::V6(_)) => Kind::Ipv6Addr,
        _ => Kind::Ipv4Addr,
    }
}

fn hash_parts(hash: &FileHash) -> (&'static str, String) {
    let text = hash.to_string();
    let digits = text.split_once(':').map_or("", |(_, digits)| digits).to_owned();
    match hash {
        FileHash::Md5(_) => ("MD5", digits),
        FileHash::Sha1(_) => ("SHA-1", digits),
        FileHash::Sha256(_) => ("SHA-256", digits),
    }
}

/// The observable that a cyber-observable object stands for; `None` for types and values that have none. Of a file's
/// hashes the strongest counts.
pub fn observable(kind: Kind, object: &Map<String, Value>) -> Option<Observable> {
    let value = || object.get("value").and_then(Value::as_str);
    match kind {
        Kind::Ipv4Addr | Kind::Ipv6Addr => {
            let net =
                value().map(|text| text.parse::<ipnet::IpNet>().map_or(text.to_owned(), |net| net.trunc().to_string()));
            net?.parse().ok().filter(|o| matches!(o, Observable::Address(_) | Observable::Prefix(_)))
        }
        Kind::DomainName => value()?.parse().ok().map(Observable::Domain),
        Kind::Url => value()?.parse().ok().map(Observable::Url),
        Kind::File | Kind::Artifact => {
            let hashes = object.get("hashes")?.as_object()?;
            let hash = ["SHA-256", "SHA-1", "MD5"].into_iter().find_map(|name| hashes.get(name))?;
            hash.as_str()?.parse().ok().map(Observable::Hash)
        }
        _ => None,
    }
}

/// The pattern that says: this observable.
pub fn pattern(observable: &Observable) -> Pattern {
    let (kind, property, value) = parts(observable);
    let mut steps = vec![Step::Key(property.to_owned())];
    let text = match observable {
        Observable::Hash(hash) => {
            let (name, digits) = hash_parts(hash);
            steps.push(Step::Key(name.to_owned()));
            digits
        }
        _ => value.as_str().unwrap_or_default().to_owned(),
    };
    let operator = match observable {
        Observable::Prefix(_) => Operator::Subset(text),
        _ => Operator::Equal(Literal::Text(text)),
    };
    let path = Path { kind: kind.as_str().to_owned(), steps };
    Pattern { root: Observations::One(Comparison::Test(Test { path, negated: false, operator })) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Reduction;
    use proptest::prelude::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    /// Identifiers printed in the standard (§6), and by the `stix2` library 3.0.2 for the rest.
    #[test]
    fn identifiers_are_those_of_the_standard_and_of_its_reference_library() {
        for case in serde_json::from_str::<Vec<Value>>(include_str!("../../testdata/identifiers.json")).unwrap() {
            let object = map(case);
            let id = object["id"].as_str().unwrap();
            let kind = Kind::of(object["type"].as_str().unwrap());
            assert_eq!(identifier(kind, &object).unwrap().as_deref(), Some(id), "{object:?}");
        }
    }

    #[test]
    fn nothing_that_contributes_means_no_deterministic_identifier() {
        assert_eq!(identifier(Kind::Process, &map(json!({ "pid": 7 }))).unwrap(), None);
        assert_eq!(identifier(Kind::File, &map(json!({ "size": 7 }))).unwrap(), None);
        assert_eq!(identifier(Kind::Indicator, &map(json!({ "value": "x" }))).unwrap(), None);
    }

    fn observables() -> impl Strategy<Value = Observable> {
        prop_oneof![
            any::<[u8; 4]>().prop_map(|a| Observable::Address(a.into())),
            any::<u32>().prop_map(|a| format!("2001:db8:{:x}::{:x}", a >> 16, a & 0xffff).parse().unwrap()),
            any::<[u8; 3]>().prop_map(|[a, b, c]| format!("{a}.{b}.{c}.0/24").parse().unwrap()),
            "[a-z][a-z0-9]{0,8}\\.example".prop_map(|name| name.parse().unwrap()),
            "https://[a-z]{1,8}\\.example/[a-zA-Z0-9'()%;=_]{0,12}".prop_map(|url| url.parse().unwrap()),
            any::<[u8; 32]>().prop_map(|bytes| Observable::Hash(FileHash::Sha256(bytes))),
            any::<[u8; 16]>().prop_map(|bytes| Observable::Hash(FileHash::Md5(bytes))),
        ]
    }

    proptest! {
        #[test]
        fn observables_survive_the_way_through_objects_and_patterns(seen in observables()) {
            let sco = object(&seen);
            let kind = Kind::of(sco["type"].as_str().unwrap());
            prop_assert_eq!(observable(kind, &sco), Some(seen.clone()));
            let printed = pattern(&seen).to_string();
            let reduction = Reduction::of(&printed.parse().unwrap());
            prop_assert!(reduction.is_whole() && reduction.any_of.iter().eq([&seen]), "{}", printed);
        }
    }
}

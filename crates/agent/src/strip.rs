//! What points to this member's own network, hosts or people stays here: rules over what is about to leave, without
//! I/O.
//!
//! A sighting is about an attacker; where it names the victim instead it is withheld. Objects of others go out byte
//! for byte or not at all, since a changed object would be a forged one.

use model::observable::bogon;
use model::{Domain, Observable, Refusal, Rule, Sighting};
use observe::Networks;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// Most names, and most users.
const NAMES_MAX: usize = 10_000;
/// Longest name or user, in bytes.
const NAME_BYTES_MAX: usize = 253;
/// Endings of names that mean something inside of a network only (RFC 6762, RFC 8375, and common use).
const INTERNAL: [&str; 8] = ["local", "localhost", "internal", "intranet", "lan", "corp", "home", "home.arpa"];

/// `[strip]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StripConfig {
    /// Own domains and hosts; what lies below them is meant, too. At most 10,000.
    pub names: BTreeSet<String>,
    /// Names of users and accounts, as whole words in any case. At most 10,000.
    pub users: BTreeSet<String>,
    /// Own prefixes beside those of `observe.own`.
    pub prefixes: Networks,
    /// Withhold private, shared, link-local and loopback addresses; default true.
    pub private: bool,
    /// Withhold names that mean something inside of a network only (`.local`, `.internal`, `.lan`, …); default true.
    pub internal: bool,
}

impl Default for StripConfig {
    fn default() -> Self {
        let (names, users, prefixes) = (BTreeSet::new(), BTreeSet::new(), Networks::default());
        Self { names, users, prefixes, private: true, internal: true }
    }
}

impl StripConfig {
    /// Is it within its limits?
    ///
    /// # Errors
    /// Names the key and what is allowed.
    pub fn check(&self) -> Result<(), Refusal> {
        for (key, list) in [("strip.names", &self.names), ("strip.users", &self.users)] {
            if list.len() > NAMES_MAX {
                let value = format!("{key} = {} entries", list.len());
                return Err(Refusal::new(Rule::Malformed, value, format_args!("at most {NAMES_MAX}")));
            }
            let good =
                |text: &&String| (2..=NAME_BYTES_MAX).contains(&text.len()) && !text.contains(char::is_whitespace);
            if let Some(wrong) = list.iter().find(|text| !good(text)) {
                let limit = format!("2 to {NAME_BYTES_MAX} bytes without blanks");
                return Err(Refusal::new(Rule::Malformed, format_args!("{key} = {wrong}"), limit));
            }
        }
        Ok(())
    }
}

/// Why something stays here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Why {
    /// An address or prefix of this member's.
    OwnPrefix,
    /// An address that means something inside of a network only.
    PrivateAddress,
    /// A name of this member's.
    OwnName,
    /// A name that means something inside of a network only.
    InternalName,
    /// A user of this member's.
    UserName,
}

impl Why {
    /// The reason as one word, for counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OwnPrefix => "own_prefix",
            Self::PrivateAddress => "private_address",
            Self::OwnName => "own_name",
            Self::InternalName => "internal_name",
            Self::UserName => "user_name",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rules, ready to be asked.
#[derive(Clone, Debug)]
pub struct Strip {
    own: Networks,
    beside: Networks,
    /// In lower case.
    names: BTreeSet<String>,
    users: BTreeSet<String>,
    private: bool,
    internal: bool,
}

impl Default for Strip {
    fn default() -> Self {
        Self::new(&StripConfig::default(), &Networks::default())
    }
}

impl Strip {
    /// The rules of a configuration; `own` are the prefixes that its sensors know as own.
    pub fn new(config: &StripConfig, own: &Networks) -> Self {
        let lower = |list: &BTreeSet<String>| {
            list.iter().map(|text| text.trim_matches('.').to_lowercase()).filter(|text| !text.is_empty()).collect()
        };
        Self {
            own: own.clone(),
            beside: config.prefixes.clone(),
            names: lower(&config.names),
            users: lower(&config.users),
            private: config.private,
            internal: config.internal,
        }
    }

    /// Does a sighting point to the victim? Then it stays here, whole.
    pub fn sighting(&self, sighting: &Sighting) -> Option<Why> {
        self.observable(&sighting.observable)
    }

    /// Does an observable point to the victim?
    pub fn observable(&self, observable: &Observable) -> Option<Why> {
        match observable {
            Observable::Address(address) => self.address(*address),
            Observable::Prefix(prefix) => self.prefix(prefix.network()),
            Observable::Domain(domain) => self.domain(domain),
            Observable::Url(url) => self.text(url.as_str()),
            _ => None,
        }
    }

    /// Does an object, as JSON, name the victim anywhere? What is no JSON names nobody: it is refused elsewhere.
    pub fn object(&self, json: &str) -> Option<Why> {
        self.value(&serde_json::from_str(json).ok()?)
    }

    /// Depth is limited by whoever read the object: 32 levels.
    fn value(&self, value: &Value) -> Option<Why> {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(values) => values.iter().find_map(|value| self.value(value)),
            Value::Object(members) => {
                members.iter().find_map(|(key, value)| self.text(key).or_else(|| self.value(value)))
            }
            _ => None,
        }
    }

    /// Looks for addresses, names and users in a text: a pattern, a URL, a description.
    fn text(&self, text: &str) -> Option<Why> {
        let plain = percent_decoded(text).to_lowercase();
        plain.split(between).filter(|word| !word.is_empty()).find_map(|word| self.word(word))
    }

    /// One word: letters, digits and what stands in addresses, names and accounts.
    fn word(&self, word: &str) -> Option<Why> {
        if let Ok(address) = word.parse() {
            return self.address(address);
        }
        let word = word.trim_matches(['.', ':', '-', '_']);
        if word.is_empty() {
            return None;
        }
        if self.users.contains(word) {
            return Some(Why::UserName);
        }
        match parsed(word) {
            Some(address) => self.address(address),
            None => {
                // A port, and what looks like the scheme of a URL.
                let name = word.split(':').next().unwrap_or(word);
                let named = self.users.contains(name).then_some(Why::UserName).or_else(|| self.name(name));
                // From one address to another, or one within a longer word.
                named.or_else(|| word.split(['-', '_']).filter_map(parsed).find_map(|address| self.address(address)))
            }
        }
    }

    fn address(&self, address: IpAddr) -> Option<Why> {
        if self.own.contains(address) || self.beside.contains(address) {
            return Some(Why::OwnPrefix);
        }
        (self.private && is_inner(address)).then_some(Why::PrivateAddress)
    }

    fn prefix(&self, net: ipnet::IpNet) -> Option<Why> {
        match self.own.overlaps(net) || self.beside.overlaps(net) {
            true => Some(Why::OwnPrefix),
            false => self.address(net.network()),
        }
    }

    fn domain(&self, domain: &Domain) -> Option<Why> {
        self.name(domain.as_str())
    }

    fn name(&self, name: &str) -> Option<Why> {
        let mut below = Some(name);
        while let Some(ending) = below {
            if self.names.contains(ending) {
                return Some(Why::OwnName);
            }
            // A single word is no host: `local` may stand in any text.
            if self.internal && ending.len() < name.len() && INTERNAL.contains(&ending) {
                return Some(Why::InternalName);
            }
            below = ending.split_once('.').map(|(_, rest)| rest);
        }
        None
    }
}

/// An address, with or without a port.
fn parsed(word: &str) -> Option<IpAddr> {
    word.parse().ok().or_else(|| word.rsplit_once(':')?.0.parse().ok())
}

/// What no address, name or account holds; `@` and `/` stand between two of them.
fn between(c: char) -> bool {
    !(c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_'))
}

/// Private, shared, link-local, loopback. Documentation and reserved space is nobody's network.
fn is_inner(address: IpAddr) -> bool {
    let inner = ["private", "carrier-grade NAT", "loopback", "link-local", "unique local", "unspecified or loopback"];
    bogon(address).is_some_and(|name| inner.iter().any(|word| name.starts_with(word)))
}

/// `%40` as `@`: once is enough for what people see. What is no escape stays.
fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                plain.push(decoded);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip() -> Strip {
        let config: StripConfig = toml::from_str(
            "names = ['corp.example', 'Mail.shop.example']\nusers = ['alice', 'svc-backup']\n\
             prefixes = ['80.9.0.0/16']",
        )
        .unwrap();
        config.check().unwrap();
        Strip::new(&config, &serde_json::from_str("[\"198.51.100.0/24\", \"2001:db8:7::/48\"]").unwrap())
    }

    #[test]
    fn what_points_to_the_victim_is_withheld_with_its_reason() {
        for (value, wanted) in [
            ("198.51.100.7", Some(Why::OwnPrefix)),
            ("2001:db8:7::1", Some(Why::OwnPrefix)),
            ("80.9.3.4", Some(Why::OwnPrefix)),
            ("80.9.3.0/24", Some(Why::OwnPrefix)),
            ("80.8.0.0/15", Some(Why::OwnPrefix)),
            ("10.1.2.3", Some(Why::PrivateAddress)),
            ("100.64.0.9", Some(Why::PrivateAddress)),
            ("vpn.corp.example", Some(Why::OwnName)),
            ("corp.example", Some(Why::OwnName)),
            ("mail.shop.example", Some(Why::OwnName)),
            ("printer.local", Some(Why::InternalName)),
            ("nas.home.arpa", Some(Why::InternalName)),
            ("http://198.51.100.7/x", Some(Why::OwnPrefix)),
            ("http://evil.example/login?u=alice%40corp.example", Some(Why::UserName)),
            ("http://evil.example/login?u=bob%40corp.example", Some(Why::OwnName)),
            ("http://evil.example/alice/", Some(Why::UserName)),
            ("80.8.3.4", None),
            ("203.0.113.7", None),
            ("shop.example", None),
            ("notcorp.example", None),
            ("corp.example.evil.example", None),
            ("http://evil.example/malice", None),
        ] {
            let observable: Observable = value.parse().unwrap();
            assert_eq!(strip().observable(&observable), wanted, "{value}");
        }
    }

    #[test]
    fn an_object_is_withheld_wherever_it_names_the_victim() {
        for (json, wanted) in [
            (r#"{"pattern":"[ipv4-addr:value = '198.51.100.9']"}"#, Some(Why::OwnPrefix)),
            (r#"{"pattern":"[ipv4-addr:value ISSUBSET '10.0.0.0/8']"}"#, Some(Why::PrivateAddress)),
            (r#"{"a":[{"b":{"c":"seen on db1.corp.example:5432, then"}}]}"#, Some(Why::OwnName)),
            (r#"{"description":"The account ALICE was used."}"#, Some(Why::UserName)),
            (r#"{"value":"Alice@partner.example"}"#, Some(Why::UserName)),
            (r#"{"x_198.51.100.9":1}"#, Some(Why::OwnPrefix)),
            (r#"{"text":"198.51.100.9:443"}"#, Some(Why::OwnPrefix)),
            (r#"{"text":"scanned 203.0.113.1-198.51.100.9"}"#, Some(Why::OwnPrefix)),
            (r#"{"text":"[2001:db8:7::5]:443"}"#, Some(Why::OwnPrefix)),
            (r#"{"pattern":"[ipv4-addr:value = '203.0.113.9']","name":"a local malicealike","n":10.0}"#, None),
            (r#"{"text":"on fe80:: and ::1, then."}"#, Some(Why::PrivateAddress)),
            ("no JSON", None),
        ] {
            assert_eq!(strip().object(json), wanted, "{json}");
        }
    }

    #[test]
    fn without_a_configuration_inner_addresses_and_names_are_withheld_all_the_same() {
        let strip = Strip::default();
        assert_eq!(strip.object(r#"{"a":"192.168.1.1"}"#), Some(Why::PrivateAddress));
        assert_eq!(strip.object(r#"{"a":"nas.lan"}"#), Some(Why::InternalName));
        assert_eq!(strip.object(r#"{"a":"198.51.100.7 alice"}"#), None);
        let config = StripConfig { private: false, internal: false, ..StripConfig::default() };
        assert_eq!(Strip::new(&config, &Networks::default()).object(r#"{"a":"192.168.1.1 nas.lan"}"#), None);
    }

    #[test]
    fn lists_have_limits() {
        let config = StripConfig { users: ["a b".to_owned()].into(), ..StripConfig::default() };
        assert!(config.check().unwrap_err().value.contains("strip.users"));
        let names = (0..=NAMES_MAX).map(|n| format!("h{n}.example")).collect();
        assert!(StripConfig { names, ..StripConfig::default() }.check().is_err());
    }
}

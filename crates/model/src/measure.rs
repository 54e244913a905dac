//! The closed vocabulary of measures: an action, a target, a scope. What is not defensive cannot be constructed.

use crate::observable::{Domain, FileHash, Observable, Prefix, WebUrl};
use crate::refusal::{Refusal, Rule};
use crate::words::Capability;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// Narrowest IPv4 network that is wider than allowed: /24 may be denied, /23 may not.
pub const DENY_V4_LENGTH_MIN: u8 = 24;
/// The same for IPv6: /48.
pub const DENY_V6_LENGTH_MIN: u8 = 48;

/// One protective step at the acting member's own enforcement points. Built by [`Measure::new`] only, also when read
/// from JSON, so that an instance is proof that the vocabulary allows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "RawMeasure", into = "RawMeasure")]
pub struct Measure {
    action: Action,
    target: Target,
    scope: Scope,
}

/// What is done. OpenC2 actions, the defensive ones; there are no others.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Let nothing through to or from the target.
    Deny,
    /// Let at most this much through: bits a second, at least 1,000.
    Limit {
        /// Bits a second.
        bits_per_second: u64,
    },
    /// Answer the name with the acting member's own notice page or sinkhole.
    Redirect {
        /// A name that the acting member has proven to be its own.
        to: Domain,
    },
    /// Put the member's own subscriber into its walled garden; a person of the member does it.
    Contain,
    /// Tell the subscriber or the owner.
    Notify,
    /// Look for it in one's own telemetry.
    Investigate,
}

impl Action {
    /// The action's word, without parameters.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Limit { .. } => "limit",
            Self::Redirect { .. } => "redirect",
            Self::Contain => "contain",
            Self::Notify => "notify",
            Self::Investigate => "investigate",
        }
    }
}

/// What it is done about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Target {
    /// One address.
    Host(IpAddr),
    /// One network.
    Net(Prefix),
    /// One name, with everything below it.
    DomainName(Domain),
    /// One web address.
    Uri(WebUrl),
    /// One file.
    File(FileHash),
}

impl Target {
    /// The target's kind, as one word.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Net(_) => "net",
            Self::DomainName(_) => "domain_name",
            Self::Uri(_) => "uri",
            Self::File(_) => "file",
        }
    }

    /// The observable that this target is.
    pub fn observable(&self) -> Observable {
        match self {
            Self::Host(address) => Observable::Address(*address),
            Self::Net(prefix) => Observable::Prefix(*prefix),
            Self::DomainName(domain) => Observable::Domain(domain.clone()),
            Self::Uri(url) => Observable::Url(url.clone()),
            Self::File(hash) => Observable::Hash(*hash),
        }
    }

    /// The narrowest object that protects from `observable`: IPv6 evidence is kept by address and acted upon by /64.
    pub fn protecting_from(observable: &Observable) -> Self {
        match observable {
            Observable::Address(IpAddr::V6(v6)) => {
                let mut octets = v6.octets();
                octets[8..].fill(0);
                match Prefix::new(IpAddr::V6(octets.into()), 64) {
                    Ok(prefix) => Self::Net(prefix),
                    Err(_) => Self::Host(IpAddr::V6(*v6)),
                }
            }
            Observable::Address(v4) => Self::Host(*v4),
            Observable::Prefix(prefix) => Self::Net(*prefix),
            Observable::Domain(domain) => Self::DomainName(domain.clone()),
            Observable::Url(url) => Self::Uri(url.clone()),
            Observable::Hash(hash) => Self::File(*hash),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.observable().to_string())
    }
}

/// Whose side of the traffic it stands on; every effect stays inside the acting member's network.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The destination lies in the acting member's own proven space.
    ProtectOwn,
    /// The source is the acting member's own customer or asset.
    ContainOwn,
    /// A remote indicator, filtered at the acting member's own edge, never passed on.
    Border,
    /// The acting member's own systems only.
    OwnAsset,
}

impl Scope {
    /// The scope's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProtectOwn => "protect-own",
            Self::ContainOwn => "contain-own",
            Self::Border => "border",
            Self::OwnAsset => "own-asset",
        }
    }
}

/// How a plan of such measures comes into force; the strictest of its measures decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// By itself, on the signed evidence of members.
    Automatic,
    /// When a quorum of members' persons has approved it.
    Quorum,
    /// When persons of the acting member have approved it.
    Owner,
}

impl Class {
    /// The class's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Quorum => "quorum",
            Self::Owner => "owner",
        }
    }
}

impl Measure {
    /// The measure, if the vocabulary holds it.
    ///
    /// # Errors
    /// `defensive_vocabulary` for a combination that does not exist, `target_too_wide` for a network wider than /24 or
    /// /48 (own space: /25 or /49), `rate_too_low` for a limit under 1,000 bit/s.
    pub fn new(action: Action, target: Target, scope: Scope) -> Result<Self, Refusal> {
        let measure = Self { action, target, scope };
        measure.known()?;
        measure.narrow_enough()?;
        if let Action::Limit { bits_per_second: rate @ ..1_000 } = measure.action {
            return Err(Refusal::new(
                Rule::RateTooLow,
                rate,
                "at least 1000 bits a second; to let nothing through, deny",
            ));
        }
        Ok(measure)
    }

    /// Deny `observable` at the acting member's border, by its narrowest object.
    ///
    /// # Errors
    /// `target_too_wide` for a wide prefix.
    pub fn deny(observable: &Observable) -> Result<Self, Refusal> {
        Self::new(Action::Deny, Target::protecting_from(observable), Scope::Border)
    }

    /// The action.
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The target.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The scope.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// The least strict class in which this measure may come into force.
    pub fn class(&self) -> Class {
        match (&self.action, &self.target, self.scope) {
            (_, _, Scope::ProtectOwn | Scope::ContainOwn | Scope::OwnAsset) => Class::Owner,
            (Action::Redirect { .. } | Action::Contain, _, _) => Class::Quorum,
            (Action::Deny, Target::Net(net), _) if net.length() < 64 => Class::Quorum,
            (Action::Notify | Action::Investigate, _, _) => Class::Owner,
            _ => Class::Automatic,
        }
    }

    /// The capability that a member needs to carry this out, if a machine carries it out.
    pub fn capability(&self) -> Option<Capability> {
        match (&self.action, &self.target, self.scope) {
            (Action::Notify | Action::Contain, _, _) => Some(Capability::NotifySubscribers),
            (Action::Investigate, _, _) => None,
            (_, Target::DomainName(_), _) => Some(Capability::DnsFilter),
            (_, Target::Host(_) | Target::Net(_), Scope::ProtectOwn) => Some(Capability::Blackhole),
            (_, Target::Host(_) | Target::Net(_), _) => Some(Capability::PacketFilter),
            (_, Target::Uri(_) | Target::File(_), _) => Some(Capability::Takedown),
        }
    }

    /// ENFORCEMENT's closed list, as one table.
    fn known(&self) -> Result<(), Refusal> {
        use Scope::{Border, ContainOwn, OwnAsset, ProtectOwn};
        use Target::{DomainName, File, Host, Net, Uri};
        let known = match (&self.action, &self.target, self.scope) {
            (Action::Deny, Host(_) | Net(_), Border | ProtectOwn)
            | (Action::Deny, DomainName(_), Border)
            | (Action::Deny, Uri(_) | File(_), Border | OwnAsset)
            | (Action::Limit { .. }, Host(_) | Net(_), Border | ProtectOwn | ContainOwn)
            | (Action::Redirect { .. }, DomainName(_), Border)
            | (Action::Contain, Host(_), ContainOwn)
            | (Action::Notify, Host(_) | DomainName(_) | Uri(_), ContainOwn | OwnAsset)
            | (Action::Investigate, _, OwnAsset) => true,
            (_, _, _) => false,
        };
        match known {
            true => Ok(()),
            false => Err(Refusal::new(
                Rule::DefensiveVocabulary,
                self,
                "the measures in docs/reference/words.md; nothing outside them can be expressed",
            )),
        }
    }

    fn narrow_enough(&self) -> Result<(), Refusal> {
        let Target::Net(net) = &self.target else { return Ok(()) };
        let own = self.scope == Scope::ProtectOwn && self.action == Action::Deny;
        let shortest = match (net.address().is_ipv4(), own) {
            (true, false) => DENY_V4_LENGTH_MIN,
            (true, true) => DENY_V4_LENGTH_MIN + 1,
            (false, false) => DENY_V6_LENGTH_MIN,
            (false, true) => DENY_V6_LENGTH_MIN + 1,
        };
        match net.length() >= shortest || self.action == Action::Investigate {
            true => Ok(()),
            false => Err(Refusal::new(Rule::TargetTooWide, net, format!("/{shortest} or longer"))),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action.word(), self.target.kind(), self.target)?;
        match &self.action {
            Action::Limit { bits_per_second } => write!(f, " to {bits_per_second} bit/s")?,
            Action::Redirect { to } => write!(f, " to {to}")?,
            _ => {}
        }
        write!(f, " ({})", self.scope.as_str())
    }
}

/// A measure as it is written, before the vocabulary has been asked.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeasure {
    action: Action,
    target: Target,
    scope: Scope,
}

impl TryFrom<RawMeasure> for Measure {
    type Error = Refusal;

    fn try_from(raw: RawMeasure) -> Result<Self, Refusal> {
        Self::new(raw.action, raw.target, raw.scope)
    }
}

impl From<Measure> for RawMeasure {
    fn from(m: Measure) -> Self {
        Self { action: m.action, target: m.target, scope: m.scope }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        match text.parse().unwrap() {
            Observable::Address(a) => Target::Host(a),
            other => Target::protecting_from(&other),
        }
    }

    #[test]
    fn what_is_not_defensive_cannot_be_read() {
        for text in [
            r#"{"action":"detonate","target":{"host":"8.8.8.8"},"scope":"border"}"#,
            r#"{"action":"scan","target":{"host":"8.8.8.8"},"scope":"border"}"#,
            r#"{"action":"deny","target":{"net":"0.0.0.0/0"},"scope":"border"}"#,
            r#"{"action":"deny","target":{"net":"8.0.0.0/8"},"scope":"border"}"#,
            r#"{"action":"contain","target":{"host":"8.8.8.8"},"scope":"border"}"#,
            r#"{"action":"deny","target":{"host":"8.8.8.8"},"scope":"remote"}"#,
            r#"{"action":"deny","target":{"host":"8.8.8.8"},"scope":"border","also":1}"#,
        ] {
            assert!(serde_json::from_str::<Measure>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_measure_reads_back_as_it_was_written() {
        for text in ["8.8.8.8", "2001:db8::1", "evil.example", "http://evil.example/x", "8.8.8.0/24"] {
            let measure = Measure::deny(&text.parse().unwrap()).unwrap();
            let json = serde_json::to_string(&measure).unwrap();
            assert_eq!(serde_json::from_str::<Measure>(&json).unwrap(), measure, "{json}");
        }
    }

    #[test]
    fn networks_wider_than_24_and_48_are_refused() {
        for (text, wide) in [("8.8.8.0/24", false), ("8.8.8.0/23", true), ("2600::/48", false), ("2600::/47", true)] {
            let result = Measure::new(Action::Deny, target(text), Scope::Border);
            assert_eq!(result.is_err_and(|r| r.rule == Rule::TargetTooWide), wide, "{text}");
        }
        let own = Measure::new(Action::Deny, target("8.8.8.0/24"), Scope::ProtectOwn).unwrap_err();
        assert_eq!(own.rule, Rule::TargetTooWide);
    }

    #[test]
    fn one_host_is_automatic_and_a_network_needs_a_quorum() {
        let class = |text: &str| Measure::new(Action::Deny, target(text), Scope::Border).unwrap().class();
        assert_eq!(class("8.8.8.8"), Class::Automatic);
        assert_eq!(class("8.8.8.0/24"), Class::Quorum);
        assert_eq!(class("2600::/48"), Class::Quorum);
        assert_eq!(Measure::deny(&"2600::1".parse().unwrap()).unwrap().class(), Class::Automatic);
    }

    #[test]
    fn ipv6_evidence_is_acted_upon_by_64() {
        let measure = Measure::deny(&"2600:1:2:3:4:5:6:7".parse().unwrap()).unwrap();
        assert_eq!(measure.target().to_string(), "2600:1:2:3::/64");
    }
}

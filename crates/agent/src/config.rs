//! The agent's configuration: one TOML file in the order of the flow. docs/reference/agent-config.md explains each key.

use crate::error::{Broken, Error, failed};
use crate::strip::{Strip, StripConfig};
use decide::StandingOrders;
use model::{Digest, MemberId, Observable, Refusal, Rule, Span};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

mod feed;
mod point;
mod source;
mod witness;

pub use feed::{Audience, Becomes, PullConfig, PullKind, PushConfig, RemoteConfig};
pub use point::{Peer, PointConfig, RpzConfig, TsigConfig};
pub(crate) use source::Reader;
pub use source::{Format, SourceConfig};
pub use witness::{PeerConfig, WitnessConfig};

/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
/// Most sensors, and most enforcement points.
const SOURCES_MAX: usize = 64;
const POINTS_MAX: usize = 64;

/// The whole file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[member]`: whose agent this is.
    pub member: MemberConfig,
    /// `[observe]`: what holds for all sensors.
    #[serde(default)]
    pub observe: observe::Settings,
    /// `[[source]]`: the sensors. Default: none.
    #[serde(default, rename = "source")]
    pub sources: Vec<SourceConfig>,
    /// `[hub]`: where the alliance is.
    pub hub: HubConfig,
    /// `[orders]`: what is accepted by itself, what waits for a person, what is refused.
    #[serde(default)]
    pub orders: StandingOrders,
    /// `[allow]`: what is never touched here.
    #[serde(default)]
    pub allow: AllowConfig,
    /// `[[point]]`: the enforcement points. Default: none, and then every mitigation is refused.
    #[serde(default, rename = "point")]
    pub points: Vec<PointConfig>,
    /// `[witness]`: who may ask this member's witness, and how often others are compared with.
    #[serde(default)]
    pub witness: WitnessConfig,
    /// `[[peer]]`: other members' witnesses, with whose checkpoints ours are compared. Default: none.
    #[serde(default, rename = "peer")]
    pub peers: Vec<PeerConfig>,
    /// `[[pull]]`: what other tools hold and comes in by itself. Default: none.
    #[serde(default, rename = "pull")]
    pub pulls: Vec<PullConfig>,
    /// `[[push]]`: where findings go by themselves. Default: none.
    #[serde(default, rename = "push")]
    pub pushes: Vec<PushConfig>,
    /// `[strip]`: what points to this member and never leaves. Default: inner addresses and names, own prefixes.
    #[serde(default)]
    pub strip: StripConfig,
    /// `[state]`: what the agent remembers, and its timers.
    pub state: StateConfig,
}

/// `[member]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// The member's name in the charter.
    pub id: MemberId,
    /// The agent's signing key; mode 0600. Who is hurt if it leaks: the others, who would believe whoever has it.
    pub key: PathBuf,
    /// The key with which checkpoints are cosigned; default: `witness.key` in the state directory, made at the first
    /// start. Who is hurt if it leaks: whoever believes that this member saw one history.
    #[serde(default)]
    pub witness_key: Option<PathBuf>,
}

/// `[hub]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubConfig {
    /// `https://…`; plain `http://` to a loopback address only.
    #[serde(with = "address")]
    pub url: Url,
    /// The alliance's CA, PEM. Required for https.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The identity file that `agent join` wrote, with TLS key and certificate; mode 0600. The agent renews it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// An access token instead, with scopes `report` and `receive`; mode 0600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<PathBuf>,
    /// Digest of the charter that the member agreed to when it joined. A wrong one is another alliance's.
    pub charter: Digest,
    /// Silence on the stream after which it is opened again; 1s to 10m, default 30s.
    #[serde(default = "thirty_seconds")]
    pub silence_max: Span,
    /// Longest event of the stream in bytes; 64 KiB to 64 MiB, default 64 MiB.
    #[serde(default = "event_bytes_max")]
    pub event_bytes_max: usize,
}

/// `[allow]`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllowConfig {
    /// Addresses, prefixes, names, URLs, hashes. Tested both ways. At most 100,000.
    pub list: BTreeSet<Observable>,
}

/// `[state]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateConfig {
    /// The state directory; made with mode 0700. Two agents never share one.
    pub directory: PathBuf,
    /// How often everything in force is read back; 1s to 1h, default 30s.
    #[serde(default = "thirty_seconds")]
    pub patrol: Span,
    /// How long a point may take until what it was given can be read back; 1s to 10m, default 10s.
    #[serde(default = "ten_seconds")]
    pub settle: Span,
    /// How long a person's decision holds for renewals; 1m to 30d, default 24h.
    #[serde(default = "one_day")]
    pub decision_holds: Span,
    /// How long the hub may take to prove that its history continues; 1s to 1h, default 1m.
    #[serde(default = "one_minute")]
    pub history_grace: Span,
    /// Most sightings that wait for the hub; 1,000 to 1,000,000, default 100,000 (about 60 MB).
    #[serde(default = "outbox_max")]
    pub outbox_sightings_max: usize,
}

fn thirty_seconds() -> Span {
    Span::seconds(30)
}
fn ten_seconds() -> Span {
    Span::seconds(10)
}
fn one_minute() -> Span {
    Span::minutes(1)
}
fn one_day() -> Span {
    Span::days(1)
}
fn outbox_max() -> usize {
    100_000
}
fn event_bytes_max() -> usize {
    decide::judge::PART_BYTES_MAX
}

impl Config {
    /// Reads a configuration file; paths in it are relative to its own directory.
    ///
    /// # Errors
    /// Refused: a key is unknown, missing or outside its limits, with the key, the line and what is allowed. Broken:
    /// the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let about = std::fs::metadata(path).map_err(|error| failed("reading", path, &error))?;
        if about.len() > CONFIG_BYTES_MAX {
            return Err(Broken::Failed(format!("{}: more than {CONFIG_BYTES_MAX} bytes", path.display())).into());
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed("reading", path, &error))?;
        let mut config = Self::parse(&text)?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    /// Reads the text of a configuration.
    ///
    /// # Errors
    /// As [`Config::read`].
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let config: Self = toml::from_str(text).map_err(|error| toml_refusal(&error, text))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Refusal> {
        let loopback = is_loopback(&self.hub.url);
        match (self.hub.url.scheme(), &self.hub.ca) {
            ("https", Some(_)) => {}
            ("https", None) => return Err(malformed("hub.ca", "absent", "the CA file of the alliance, for https")),
            ("http", None) if loopback => {}
            _ => {
                return Err(malformed(
                    "hub.url",
                    &self.hub.url,
                    "https://…; http:// (without hub.ca) to loopback only",
                ));
            }
        }
        match (&self.hub.certificate, &self.hub.token) {
            (Some(_), None) if self.hub.url.scheme() == "https" => {}
            (None, Some(_)) => {}
            (Some(_), None) => return Err(malformed("hub.certificate", "given", "https:// with a certificate")),
            (Some(_), Some(_)) => {
                return Err(malformed("hub.token", "given", "hub.certificate or hub.token, not both"));
            }
            (None, None) => return Err(malformed("hub.certificate", "absent", "hub.certificate, or hub.token")),
        }
        span("hub.silence_max", self.hub.silence_max, Span::seconds(1), Span::minutes(10))?;
        span("state.patrol", self.state.patrol, Span::seconds(1), Span::hours(1))?;
        span("state.settle", self.state.settle, Span::seconds(1), Span::minutes(10))?;
        span("state.decision_holds", self.state.decision_holds, Span::minutes(1), Span::days(30))?;
        span("state.history_grace", self.state.history_grace, Span::seconds(1), Span::hours(1))?;
        count("hub.event_bytes_max", self.hub.event_bytes_max, 64 << 10, 64 << 20)?;
        count("state.outbox_sightings_max", self.state.outbox_sightings_max, 1_000, 1_000_000)?;
        count("allow.list", self.allow.list.len(), 0, 100_000)?;
        count("source", self.sources.len(), 0, SOURCES_MAX)?;
        count("point", self.points.len(), 0, POINTS_MAX)?;
        self.witness.check()?;
        witness::check_peers(&self.peers)?;
        feed::check(&self.pulls, &self.pushes)?;
        self.strip.check()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = self.sources.iter().find(|source| !names.insert(source.name.as_str())) {
            return Err(malformed("source.name", &twice.name, "each name once"));
        }
        self.points.iter().try_for_each(PointConfig::check)?;
        let mut names = BTreeSet::new();
        match self.points.iter().find(|point| !names.insert(point.name())) {
            Some(twice) => Err(malformed("point.name", twice.name(), "each name once")),
            None => Ok(()),
        }
    }

    fn resolve(&mut self, base: &Path) {
        let mut resolve = |path: &mut PathBuf| *path = base.join(&*path);
        resolve(&mut self.member.key);
        self.member.witness_key.iter_mut().for_each(&mut resolve);
        self.peers.iter_mut().filter_map(|peer| peer.ca.as_mut()).for_each(&mut resolve);
        self.hub.certificate.iter_mut().chain(&mut self.hub.token).for_each(&mut resolve);
        self.hub.ca.iter_mut().for_each(&mut resolve);
        resolve(&mut self.state.directory);
        self.pulls.iter_mut().flat_map(PullConfig::paths).for_each(&mut resolve);
        self.pushes.iter_mut().flat_map(PushConfig::paths).for_each(&mut resolve);
        self.sources.iter_mut().filter_map(|source| source.file.as_mut()).for_each(&mut resolve);
        self.points.iter_mut().for_each(|point| point.paths().into_iter().for_each(&mut resolve));
    }

    /// Where the witness's key is.
    pub fn witness_key(&self) -> PathBuf {
        self.member.witness_key.clone().unwrap_or_else(|| self.state.directory.join("witness.key"))
    }

    /// What points to this member and never leaves.
    pub fn strip(&self) -> Strip {
        Strip::new(&self.strip, &self.observe.own)
    }

    /// What the core is told of it; the witness's key is read when the agent starts.
    pub fn settings(&self) -> crate::core::Settings {
        let setup = |point: &PointConfig| crate::core::PointSetup {
            name: point.name().clone(),
            shows_only: matches!(point, PointConfig::Preview { .. }),
            reads_back: point.reads_back(),
        };
        crate::core::Settings {
            member: self.member.id.clone(),
            pin: self.hub.charter,
            orders: self.orders.clone(),
            allow: self.allow.list.clone(),
            points: self.points.iter().map(setup).collect(),
            patrol: self.state.patrol,
            settle: self.state.settle,
            decision_holds: self.state.decision_holds,
            history_grace: self.state.history_grace,
            witness: None,
            logs: self.witness.keys(),
            outbox_sightings_max: self.state.outbox_sightings_max,
            strip: self.strip(),
        }
    }
}

/// A web address as text.
pub(crate) mod address {
    use reqwest::Url;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(url.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Does the address lead to this machine?
fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str().unwrap_or_default(), "127.0.0.1" | "[::1]" | "localhost")
}

fn malformed(key: &str, value: impl std::fmt::Display, allowed: impl std::fmt::Display) -> Refusal {
    Refusal::new(Rule::Malformed, format_args!("{key} = {value}"), allowed)
}

fn span(key: &str, value: Span, least: Span, most: Span) -> Result<(), Refusal> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(malformed(key, value, format_args!("{least} to {most}"))),
    }
}

fn count(key: &str, value: usize, least: usize, most: usize) -> Result<(), Refusal> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(malformed(key, value, format_args!("{least} to {most}"))),
    }
}

/// toml's error as a refusal: line and what is allowed, without repeating the file.
fn toml_refusal(error: &toml::de::Error, text: &str) -> Refusal {
    let offset = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
    let key = text.lines().nth(line - 1).unwrap_or_default();
    Refusal::new(Rule::Malformed, format_args!("line {line}: {key}"), error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[member]
id = "telecom"
key = "agent.key"

[observe]
own = ["198.51.100.0/24"]

[[source]]
name = "suricata"
file = "/var/log/suricata/eve.json"
format = "eve"

[hub]
url = "https://hub.alliance.example"
ca = "ca.pem"
token = "token"
charter = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

[[orders.rule]]
then = "ask"
class = "quorum"

[allow]
list = ["192.0.2.0/24", "shop.example"]

[[point]]
type = "nftables"
name = "edge"
protect = ["192.0.2.1"]

[[point]]
type = "rpz"
name = "resolvers"
zone = "rpz.alliance.example"
listen = "127.0.0.1:5301"
serial_file = "rpz.serial"
resolvers = ["127.0.0.1:53"]

[[point]]
type = "preview"
name = "by-hand"

[state]
directory = "state"
"#;

    #[test]
    fn the_documented_configuration_is_read() {
        let config = Config::parse(GOOD).unwrap();
        assert_eq!((config.points.len(), config.sources.len()), (3, 1));
        assert_eq!(config.state.patrol, Span::seconds(30));
        assert!(config.settings().points[2].shows_only);
    }

    #[test]
    fn sensors_reports_may_be_unnamed_and_say_what_may_be_done_with_them() {
        let wish =
            "own = [\"198.51.100.0/24\"]\nhandling = { tlp = \"green\", unnamed = true, actions = \"internal\" }";
        let config = Config::parse(&GOOD.replace("own = [\"198.51.100.0/24\"]", wish)).unwrap();
        let handling = &config.observe.handling;
        assert!(handling.unnamed && handling.actions == model::Actions::Internal);
        let wrong = wish.replace("internal", "everything");
        let error = Config::parse(&GOOD.replace("own = [\"198.51.100.0/24\"]", &wrong)).unwrap_err();
        assert!(error.to_string().contains("everything"), "{error}");
    }

    #[test]
    fn a_mistake_names_key_line_and_what_is_allowed() {
        for (from, to, named) in [
            ("directory = \"state\"", "directory = \"state\"\npatrol = \"0s\"", "state.patrol = 0s"),
            ("[allow]", "[alow]", "alow"),
            ("id = \"telecom\"", "id = \"Tele Com\"", "line 3"),
            ("https://hub", "http://hub", "hub.url"),
            ("ca = \"ca.pem\"\n", "", "hub.ca"),
            ("token = \"token\"\n", "", "hub.certificate = absent"),
            ("token = \"token\"\n", "token = \"token\"\ncertificate = \"identity.pem\"\n", "hub.token"),
            ("name = \"by-hand\"", "name = \"edge\"", "point.name = edge"),
            ("format = \"eve\"", "format = \"evil\"", "evil"),
            ("protect = [\"192.0.2.1\"]", "protect = [\"192.0.2.1\"]\nvia = \"/run/e.sock\"", "beside via"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD, "{from}");
            let refusal = Config::parse(&text).unwrap_err().to_string();
            assert!(refusal.contains(named), "{refusal}");
        }
    }
}

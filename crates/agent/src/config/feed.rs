//! `[[pull]]` and `[[push]]`: what comes in from other tools by itself, and what goes out to them.

use super::{SOURCES_MAX, address, count, is_loopback, malformed, span};
use model::{Behaviour, Grade, Handling, Refusal, Sensor, Span, Timestamp, Tlp};
use reqwest::Url;
use serde::{Deserialize, Serialize};
use share::stix::Kind;
use share::taxii::client::Wish;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where another server is, and what it is shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteConfig {
    /// `https://…`; plain `http://` to a loopback address only. Redirects are not followed.
    #[serde(with = "address")]
    pub url: Url,
    /// The authorities that its certificate may come from, PEM; no other is trusted. Required for https.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// File with a token, which is shown as `Bearer`; mode 0600.
    #[serde(default)]
    pub token: Option<PathBuf>,
    /// User name of HTTP Basic, or a machine of CrowdSec's.
    #[serde(default)]
    pub user: Option<String>,
    /// File with its password; mode 0600.
    #[serde(default)]
    pub password: Option<PathBuf>,
    /// File with a client certificate, its chain and its key, PEM; mode 0600.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
}

/// One `[[pull]]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullConfig {
    /// A name, each once: under it is remembered how far it was read.
    pub name: String,
    /// How the other side speaks.
    pub kind: PullKind,
    /// Where it is; a MISP feed also at `file:///…/`.
    pub from: RemoteConfig,
    /// Of a TAXII server: the collection, by identifier or alias. `from.url` is the API root.
    #[serde(default)]
    pub collection: Option<String>,
    /// What becomes of it; default `objects`.
    #[serde(default, rename = "as")]
    pub becomes: Becomes,
    /// `objects`: API root and collection of our hub; default `alliance/sightings`.
    #[serde(default = "sightings")]
    pub into: String,
    /// How often it is looked at; 10s to 1d, default 5m.
    #[serde(default = "five_minutes")]
    pub every: Span,
    /// Only these types of objects, and the definitions of their markings; default all.
    #[serde(default)]
    pub types: BTreeSet<String>,
    /// At the first look nothing that is older; default: everything.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// The widest marking that is passed on to our alliance; default `green`: TLP:AMBER of others stays with whom they
    /// gave it to. Not `red`.
    #[serde(default = "green")]
    pub tlp_max: Tlp,
    /// Who may see what says nothing of it; default `amber`, and then it is not passed on as long as `tlp_max` is less.
    #[serde(default = "amber")]
    pub handling: Handling,
    /// `misp`: the organisations whose events are this member's own, by UUID; those of all others go as `as` says.
    #[serde(default)]
    pub organisations: BTreeSet<String>,
    /// `own`: what it did, where it does not say.
    #[serde(default)]
    pub behaviour: Option<Behaviour>,
    /// `own`: what saw it; default `list`.
    #[serde(default = "list")]
    pub sensor: Sensor,
    /// `own`: how hard it is to forge, where it does not say; default `spoofable`: no machine acts on it.
    #[serde(default = "spoofable")]
    pub grade: Grade,
}

/// How another side speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullKind {
    /// TAXII 2.1.
    Taxii,
    /// The alerts of a CrowdSec local API, with a machine's login.
    Crowdsec,
    /// A MISP feed: a manifest and a file for each event, by HTTPS or in a directory.
    Misp,
}

impl PullKind {
    /// The kind as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Taxii => "taxii",
            Self::Crowdsec => "crowdsec",
            Self::Misp => "misp",
        }
    }
}

/// What becomes of what is pulled.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Becomes {
    /// Others said it: passed on to our hub as it came. It informs people, and no machine acts on it.
    #[default]
    Objects,
    /// This member's own sensors or people said it: signed sightings of the member.
    Own,
}

/// One `[[push]]`: findings to a TAXII 2.1 server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// A name, each once: under it is remembered how far it has come.
    pub name: String,
    /// The API root.
    pub to: RemoteConfig,
    /// The collection, by identifier or alias.
    pub collection: String,
    /// Who reads there; default `partner`.
    #[serde(default)]
    pub audience: Audience,
    /// The widest marking that is sent; never wider than what the audience may see. Default: what it may see.
    #[serde(default)]
    pub tlp_max: Option<Tlp>,
    /// Only findings of at least so many points; default all.
    #[serde(default)]
    pub points_least: Option<f64>,
    /// Only findings that machines may act upon; what no longer is one is still sent as revoked. Default false.
    #[serde(default)]
    pub actionable: bool,
    /// How often; 10s to 1d, default 1m.
    #[serde(default = "one_minute")]
    pub every: Span,
}

/// Who reads where findings are pushed to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Everybody: TLP:CLEAR, no member named.
    Public,
    /// Another alliance: up to TLP:GREEN, no member named.
    #[default]
    Partner,
    /// This member's own people and machines: all that the member may see but TLP:RED.
    Organisation,
}

impl Audience {
    /// The widest marking that it may see.
    pub const fn sees(self) -> Tlp {
        match self {
            Self::Public => Tlp::Clear,
            Self::Partner => Tlp::Green,
            Self::Organisation => Tlp::AmberStrict,
        }
    }
}

fn sightings() -> String {
    "alliance/sightings".to_owned()
}
const fn five_minutes() -> Span {
    Span::minutes(5)
}
const fn one_minute() -> Span {
    Span::minutes(1)
}
const fn green() -> Tlp {
    Tlp::Green
}
const fn amber() -> Handling {
    Handling::alliance(Tlp::Amber)
}
const fn list() -> Sensor {
    Sensor::List
}
const fn spoofable() -> Grade {
    Grade::Spoofable
}

impl RemoteConfig {
    fn check(&self, key: &str, files: bool) -> Result<(), Refusal> {
        let key = |name: &str| format!("{key}.{name}");
        match (self.url.scheme(), &self.ca) {
            ("https", Some(_)) => {}
            ("file", None) if files && self.url.to_file_path().is_ok() => {}
            ("http", None) if is_loopback(&self.url) && self.certificate.is_none() => {}
            ("https", None) => return Err(malformed(&key("ca"), "absent", "a CA file, for https")),
            _ => {
                let limit = "https://…; http:// (without ca and certificate) to loopback only";
                return Err(malformed(&key("url"), &self.url, limit));
            }
        }
        // A secret in the address would stand in configuration, logs and errors.
        if !self.url.username().is_empty() || self.url.password().is_some() || self.url.query().is_some() {
            return Err(malformed(&key("url"), "with a user, password or query", "an address alone"));
        }
        if self.user.is_some() != self.password.is_some() {
            return Err(malformed(&key("password"), "without its pair", "user and password together"));
        }
        match (&self.token, &self.user) {
            (Some(_), Some(_)) => Err(malformed(&key("token"), "given", "token, or user and password")),
            _ => Ok(()),
        }
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Self { ca, token, password, certificate, .. } = self;
        ca.iter_mut().chain(token).chain(password).chain(certificate)
    }
}

impl PullConfig {
    /// What is asked of a collection.
    pub fn wish(&self) -> Wish {
        let since = self.since.map(|since| since.as_millis().saturating_mul(1_000));
        let mut types = self.types.clone();
        // What is marked is worth nothing without what the marking means.
        if !types.is_empty() {
            types.insert(Kind::MarkingDefinition.as_str().to_owned());
        }
        Wish { types, every_version: false, since }
    }

    fn check(&self) -> Result<(), Refusal> {
        name("pull.name", &self.name)?;
        self.from.check("pull.from", self.kind == PullKind::Misp)?;
        span("pull.every", self.every, Span::seconds(10), Span::days(1))?;
        Wish { types: self.types.clone(), ..Wish::default() }.check()?;
        into("pull.into", &self.into)?;
        if self.tlp_max == Tlp::Red || self.handling.tlp == Tlp::Red {
            return Err(malformed("pull.tlp_max", "red", "clear, green, amber or amber+strict"));
        }
        self.check_kind()
    }

    /// What each kind needs, and what means nothing to it.
    fn check_kind(&self) -> Result<(), Refusal> {
        if let Some(wrong) = self.organisations.iter().find(|text| share::stix::id::uuid(text).is_none()) {
            return Err(malformed("pull.organisations", wrong, "UUIDs, as MISP's `Orgc` has them"));
        }
        if !self.organisations.is_empty() && self.kind != PullKind::Misp {
            return Err(malformed("pull.organisations", "given", "for kind misp only"));
        }
        match (self.kind, self.collection.as_deref()) {
            (PullKind::Taxii, None) => {
                Err(malformed("pull.collection", "absent", "the collection's identifier or alias"))
            }
            (PullKind::Taxii, Some(collection)) => segment("pull.collection", collection),
            (_, Some(given)) => Err(malformed("pull.collection", given, "for kind taxii only")),
            (PullKind::Crowdsec, None) if self.becomes != Becomes::Own => {
                Err(malformed("pull.as", "objects", "own: alerts are what this member's own machines saw"))
            }
            (PullKind::Crowdsec, None) if self.from.user.is_none() => {
                Err(malformed("pull.from.user", "absent", "a machine of CrowdSec's, with its password"))
            }
            (_, None) => Ok(()),
        }
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.from.paths()
    }
}

impl PushConfig {
    /// The widest marking that is sent.
    pub fn widest(&self) -> Tlp {
        self.tlp_max.map_or(self.audience.sees(), |tlp| tlp.min(self.audience.sees()))
    }

    fn check(&self) -> Result<(), Refusal> {
        name("push.name", &self.name)?;
        self.to.check("push.to", false)?;
        span("push.every", self.every, Span::seconds(10), Span::days(1))?;
        if let Some(tlp) = self.tlp_max.filter(|tlp| *tlp > self.audience.sees()) {
            return Err(malformed("push.tlp_max", tlp, format_args!("at most {}", self.audience.sees())));
        }
        segment("push.collection", &self.collection)
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.to.paths()
    }
}

pub(super) fn check(pulls: &[PullConfig], pushes: &[PushConfig]) -> Result<(), Refusal> {
    count("pull", pulls.len(), 0, SOURCES_MAX)?;
    count("push", pushes.len(), 0, SOURCES_MAX)?;
    pulls.iter().try_for_each(PullConfig::check)?;
    pushes.iter().try_for_each(PushConfig::check)?;
    let mut names = BTreeSet::new();
    let all = pulls.iter().map(|pull| &pull.name).chain(pushes.iter().map(|push| &push.name));
    match all.into_iter().find(|name| !names.insert(name.as_str())) {
        Some(twice) => Err(malformed("pull.name", twice, "each name once, pushes included")),
        None => Ok(()),
    }
}

fn name(key: &str, text: &str) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(()),
        false => Err(malformed(key, text, "1 to 64 of a-z 0-9 -")),
    }
}

/// One part of a path, which leads nowhere else.
fn segment(key: &str, text: &str) -> Result<(), Refusal> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    match (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
        true => Ok(()),
        false => Err(malformed(key, text, "1 to 128 of a-z A-Z 0-9 - _")),
    }
}

fn into(key: &str, text: &str) -> Result<(), Refusal> {
    let wrong = || malformed(key, text, "API root and collection of our hub, such as alliance/sightings");
    let (root, collection) = text.split_once('/').ok_or_else(wrong)?;
    segment(key, root).and_then(|()| segment(key, collection)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULL: &str = r#"
        name = "isac"
        kind = "taxii"
        collection = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
        every = "1m"
        types = ["indicator"]
        [from]
        url = "https://taxii.example/api1/"
        ca = "isac.pem"
        user = "telecom"
        password = "isac.password"
    "#;

    fn read(text: &str) -> Result<(), String> {
        let pull: PullConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        check(&[pull], &[]).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_mistake_in_a_pull_names_its_key() {
        assert_eq!(read(PULL), Ok(()));
        for (from, to, named) in [
            ("https://taxii.example", "http://taxii.example", "pull.from.url"),
            ("https://taxii", "https://me:secret@taxii", "pull.from.url"),
            ("ca = \"isac.pem\"\n", "", "pull.from.ca"),
            ("user = \"telecom\"\n", "", "pull.from.password"),
            ("user = \"telecom\"", "user = \"telecom\"\ntoken = \"t\"", "pull.from.token"),
            ("91a7b528-80eb-42ed-a74d-c6fbd5a26116", "../status", "pull.collection"),
            ("every = \"1m\"", "every = \"1s\"", "pull.every"),
            ("every = \"1m\"", "tlp_max = \"red\"", "pull.tlp_max"),
            ("every = \"1m\"", "into = \"sightings\"", "pull.into"),
            ("\"indicator\"", "\"indicator,x\"", "types"),
            ("name = \"isac\"", "name = \"ISAC 1\"", "pull.name"),
            ("every = \"1m\"", "evry = \"1m\"", "evry"),
        ] {
            let text = PULL.replace(from, to);
            assert_ne!(text, PULL, "{from}");
            let error = read(&text).unwrap_err();
            assert!(error.contains(named) && !error.contains("secret"), "{named}: {error}");
        }
    }

    #[test]
    fn each_kind_says_what_it_needs() {
        const CROWDSEC: &str = "name = 'c'\nkind = 'crowdsec'\nas = 'own'\n[from]\nurl = 'http://127.0.0.1:8080/'\n\
                                user = 'm'\n\
                                password = 'p'\n";
        const MISP: &str = "name = 'm'\nkind = 'misp'\norganisations = ['55f6ea5e-2c60-40e5-964f-47a8950d210f']\n\
                            [from]\n\
                            url = 'file:///srv/feed/'\n";
        assert_eq!((read(CROWDSEC), read(MISP)), (Ok(()), Ok(())));
        for (good, from, to, named) in [
            (CROWDSEC, "as = 'own'\n", "", "pull.as"),
            (CROWDSEC, "user = 'm'\npassword = 'p'\n", "", "pull.from.user"),
            (CROWDSEC, "as = 'own'", "as = 'own'\ncollection = 'x'", "pull.collection"),
            (CROWDSEC, "http://127.0.0.1:8080/", "file:///srv/", "pull.from.url"),
            (MISP, "55f6ea5e", "x", "pull.organisations"),
            (
                MISP,
                "kind = 'misp'\norganisations = ['55f6ea5e-2c60-40e5-964f-47a8950d210f']",
                "kind = 'taxii'\ncollection = 'x'",
                "pull.from.url",
            ),
        ] {
            assert!(good.contains(from), "{from}");
            let error = read(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(named), "{named}: {error}");
        }
    }

    #[test]
    fn a_push_never_reaches_further_than_its_audience_may_see() {
        let push = |rest: &str| -> Result<Tlp, Refusal> {
            let text = format!(
                "name = \"b\"\ncollection = \"sightings\"\n{rest}\n[to]\nurl = \"http://127.0.0.1:9/taxii2/alliance/\""
            );
            let push: PushConfig = toml::from_str(&text).unwrap();
            check(&[], std::slice::from_ref(&push)).map(|()| push.widest())
        };
        assert_eq!(push("").unwrap(), Tlp::Green);
        assert_eq!(push("tlp_max = \"clear\"").unwrap(), Tlp::Clear);
        assert_eq!(push("audience = \"organisation\"").unwrap(), Tlp::AmberStrict);
        assert!(push("tlp_max = \"amber\"").unwrap_err().value.contains("push.tlp_max"));
        assert!(push("audience = \"public\"\ntlp_max = \"green\"").is_err());
    }
}

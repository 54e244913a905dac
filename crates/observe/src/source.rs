//! What every source has in common: one line in, an outcome out.

use crate::networks::Networks;
use model::observable::bogon;
use model::parse::ParseError;
use model::{Handling, Observable, Sighting, Tlp};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest line, in bytes.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Deepest nesting of objects and lists in a line of JSON.
pub const DEPTH_MAX: usize = 32;
/// Most fields of one line.
pub const FIELDS_MAX: usize = 1_024;

/// Reads one kind of line.
pub trait Source {
    /// Reads one line, without its end. Never fails otherwise than by its outcome, whatever the bytes are.
    fn line(&mut self, bytes: &[u8], settings: &Settings) -> Outcome;
}

/// What a line came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Evidence.
    Seen(Box<Sighting>),
    /// A good line that is no evidence.
    Skipped(Skip),
    /// Not what it should be; names the field, the value and what is allowed.
    Malformed(ParseError),
}

impl From<Result<Sighting, Outcome>> for Outcome {
    fn from(result: Result<Sighting, Outcome>) -> Self {
        result.map_or_else(|outcome| outcome, |sighting| Self::Seen(Box::new(sighting)))
    }
}

impl From<ParseError> for Outcome {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

impl From<Skip> for Outcome {
    fn from(skip: Skip) -> Self {
        Self::Skipped(skip)
    }
}

/// What a member says about itself, for all of its sensors.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Own prefixes, private ones too: they decide which side of an event is remote. Default: none, and then no event
    /// with two sides is evidence.
    #[serde(default)]
    pub own: Networks,
    /// Who may see the sightings. Default: TLP:AMBER, the whole alliance.
    #[serde(default = "amber")]
    pub handling: Handling,
}

fn amber() -> Handling {
    Handling::alliance(Tlp::Amber)
}

impl Default for Settings {
    fn default() -> Self {
        Self { own: Networks::default(), handling: amber() }
    }
}

impl Settings {
    /// Evidence may name neither the member's own space nor what nobody on the Internet can have.
    ///
    /// # Errors
    /// [`Skip::Own`], [`Skip::Bogon`].
    pub fn foreign(&self, observable: Observable) -> Result<Observable, Skip> {
        let Some(net) = observable.network() else { return Ok(observable) };
        if self.own.overlaps(net) {
            return Err(Skip::Own);
        }
        match bogon(net.network()) {
            Some(_) => Err(Skip::Bogon),
            None => Ok(observable),
        }
    }
}

/// Why a good line is no evidence. Each is counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Skip {
    /// Blank, or a comment or header.
    Blank,
    /// A record of traffic, a statistic: nothing says that it is bad.
    NotEvidence,
    /// A category or word that maps to no behaviour.
    NoBehaviour,
    /// The configuration says to ignore it.
    Ignored,
    /// Both sides are the member's own.
    BothOwn,
    /// Neither side is the member's own.
    NeitherOwn,
    /// The member's own machine did it: the other side is the victim.
    OwnActs,
    /// The observable is the member's own.
    Own,
    /// A private, reserved or documentation address.
    Bogon,
    /// Names nothing remote: a DNS event without a name, for example.
    NoObservable,
}

impl Skip {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Blank,
        Self::NotEvidence,
        Self::NoBehaviour,
        Self::Ignored,
        Self::BothOwn,
        Self::NeitherOwn,
        Self::OwnActs,
        Self::Own,
        Self::Bogon,
        Self::NoObservable,
    ];

    /// The reason as one word, for counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::NotEvidence => "not_evidence",
            Self::NoBehaviour => "no_behaviour",
            Self::Ignored => "ignored",
            Self::BothOwn => "both_own",
            Self::NeitherOwn => "neither_own",
            Self::OwnActs => "own_acts",
            Self::Own => "own",
            Self::Bogon => "bogon",
            Self::NoObservable => "no_observable",
        }
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The line as text, if it is text and not too long.
///
/// # Errors
/// Names the limit.
pub fn text(bytes: &[u8]) -> Result<&str, ParseError> {
    if bytes.len() > LINE_BYTES_MAX {
        let found = format!("{} bytes", bytes.len());
        return Err(ParseError::new("line", &found, format_args!("at most {LINE_BYTES_MAX} bytes")));
    }
    std::str::from_utf8(bytes).map_err(|_| ParseError::new("line", &String::from_utf8_lossy(bytes), "UTF-8"))
}

/// Refuses JSON nested deeper than [`DEPTH_MAX`] before anything is built from it.
///
/// # Errors
/// Names the limit.
pub fn shallow(json: &str) -> Result<&str, ParseError> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(ParseError::new("line", json, format_args!("at most {DEPTH_MAX} levels of JSON")));
        }
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_limited_and_brackets_in_text_do_not_count() {
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(shallow(&deep(DEPTH_MAX)).is_ok() && shallow(&deep(DEPTH_MAX + 1)).is_err());
        assert!(shallow(&format!(r#"["\"{}"]"#, "[".repeat(100))).is_ok());
    }

    #[test]
    fn own_space_and_bogons_are_no_evidence_by_overlap() {
        let own = Networks::new(&["192.88.99.0/25".parse().unwrap()]);
        let settings = Settings { own, ..Settings::default() };
        for (text, wanted) in [
            ("192.88.99.1", Err(Skip::Own)),
            ("192.88.99.0/24", Err(Skip::Own)),
            ("192.88.99.200", Ok(())),
            ("10.1.2.3", Err(Skip::Bogon)),
            ("evil.example", Ok(())),
        ] {
            assert_eq!(settings.foreign(text.parse().unwrap()).map(|_| ()), wanted, "{text}");
        }
    }

    #[test]
    fn settings_without_words_mean_amber_and_no_own_space() {
        let settings: Settings = toml::from_str("").unwrap();
        assert_eq!(settings, Settings::default());
        let settings: Settings = toml::from_str("own = ['198.51.100.0/24']\nhandling = { tlp = 'green' }").unwrap();
        assert!(settings.own.contains("198.51.100.1".parse().unwrap()));
        assert!(toml::from_str::<Settings>("ownn = []").is_err());
    }
}

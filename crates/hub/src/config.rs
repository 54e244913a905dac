//! The hub's configuration: one TOML file in the order of the flow. Every key has its default, its limits, its unit and
//! a word on who can be hurt, in one table; the sample file and `explain` are made from it.

mod keys;
mod text;

pub use keys::{
    Accounting, Intake, JoinKeys, JournalKeys, Key, Limits, Listen, LogForm, Logs, MetricsKeys, Order, SearchKeys,
    Stream, Tls, keys,
};

use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Longest configuration file that is read, in bytes.
pub const CONFIG_BYTES_MAX: usize = 1 << 20;

/// The whole configuration. Only `data` has no default.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The hub's data directory, made by [`crate::Directory::init`].
    pub data: PathBuf,
    /// `[listen]`: where members reach the hub.
    #[serde(default)]
    pub listen: Listen,
    /// `[tls]`: certificate and key, where they are not the hub's own.
    #[serde(default)]
    pub tls: Tls,
    /// `[limits]`: what one connection, request and member may take.
    #[serde(default)]
    pub limits: Limits,
    /// `[join]`: how agents come in.
    #[serde(default)]
    pub join: JoinKeys,
    /// `[intake]`: what is done to a request before it is ordered.
    #[serde(default)]
    pub intake: Intake,
    /// `[order]`: the sequencer.
    #[serde(default)]
    pub order: Order,
    /// `[journal]`: what is kept.
    #[serde(default)]
    pub journal: JournalKeys,
    /// `[account]`: checkpoints and tiles.
    #[serde(default)]
    pub account: Accounting,
    /// `[stream]`: what is pushed to agents.
    #[serde(default)]
    pub stream: Stream,
    /// `[search]`: what is found by value.
    #[serde(default)]
    pub search: SearchKeys,
    /// `[metrics]`: who may read the figures.
    #[serde(default)]
    pub metrics: MetricsKeys,
    /// `[logs]`: what is written to stderr.
    #[serde(default)]
    pub logs: Logs,
}

impl Config {
    /// All defaults, for a data directory.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: Listen::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            join: JoinKeys::default(),
            intake: Intake::default(),
            order: Order::default(),
            journal: JournalKeys::default(),
            account: Accounting::default(),
            stream: Stream::default(),
            search: SearchKeys::default(),
            metrics: MetricsKeys::default(),
            logs: Logs::default(),
        }
    }

    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Refused `malformed`: the line, the key, and what is allowed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > CONFIG_BYTES_MAX {
            return Err(Error::refused(
                format_args!("{} bytes", text.len()),
                format_args!("at most {CONFIG_BYTES_MAX}"),
            ));
        }
        let config: Self = toml::from_str(text).map_err(|error| text::mistake(&error, text))?;
        config.check().map_err(|wrong| text::out_of_range(&wrong, text))?;
        Ok(config)
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Unavailable: the file cannot be read. Refused: as [`Config::parse`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let reading = |error| Error::unavailable(format_args!("reading {}", path.display()), error);
        Self::parse(&std::fs::read_to_string(path).map_err(reading)?)
    }

    /// Every number within its limits?
    ///
    /// # Errors
    /// The first key that is not.
    fn check(&self) -> Result<(), keys::Wrong> {
        self.limits.check()?;
        self.join.check()?;
        self.intake.check()?;
        self.order.check()?;
        self.journal.check()?;
        self.account.check()?;
        self.stream.check()?;
        self.search.check()?;
        match self.tls.certificate.is_some() == self.tls.key.is_some() {
            true => Ok(()),
            false => Err(keys::Wrong::new("tls.key", "only one of two", "both certificate and key, or neither")),
        }
    }

    /// A sample configuration: every key with its default, commented out, and what it does.
    pub fn sample(data: &Path) -> String {
        text::sample(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Config::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn the_sample_is_the_defaults() {
        let sample = Config::sample(Path::new("/var/lib/epimachia"));
        assert_eq!(Config::parse(&sample).unwrap(), Config::new("/var/lib/epimachia"));
        let live = sample.replace("\n#= ", "\n");
        assert_eq!(Config::parse(&live).unwrap(), Config::new("/var/lib/epimachia"), "{live}");
    }

    #[test]
    fn every_key_of_the_types_is_in_the_table_and_the_other_way_round() {
        let value = toml::Value::try_from(Config::new("/x")).unwrap();
        let mut found = Vec::new();
        for (section, keys) in value.as_table().unwrap() {
            for key in keys.as_table().into_iter().flat_map(|keys| keys.keys()) {
                found.push(format!("{section}.{key}"));
            }
        }
        found.extend(["tls.certificate".to_owned(), "tls.key".to_owned()]);
        let mut table: Vec<_> = keys().map(|key| key.name.to_owned()).collect();
        found.sort();
        table.sort();
        assert_eq!(found, table);
    }

    #[test]
    fn a_mistake_names_line_key_and_what_is_allowed() {
        let told = wrong("data = \"/x\"\n\n[limits]\nconnections_max = 0\n");
        assert!(told.contains("line 4") && told.contains("limits.connections_max = 0"), "{told}");
        assert!(told.contains("1 to 65536"), "{told}");
        let told = wrong("data = \"/x\"\n[limits]\nconections_max = 5\n");
        assert!(
            told.contains("line 3") && told.contains("conections_max") && told.contains("connections_max"),
            "{told}"
        );
        let told = wrong("data = \"/x\"\n[stream]\nheartbeat = \"soon\"\n");
        assert!(told.contains("line 3") && told.contains("heartbeat") && told.contains("24h"), "{told}");
        assert!(wrong("[limits]\n").contains("data"));
        assert!(wrong("data = \"/x\"\n[tls]\nkey = \"k.pem\"\n").contains("tls.key"));
    }
}

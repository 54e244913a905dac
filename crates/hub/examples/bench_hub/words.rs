//! The words of the command line: what is measured, with how much.

use crate::Failure;
use std::path::PathBuf;
use std::time::Duration;

pub const HELP: &str = "\
cargo xtask bench hub                              8 connections, batches of 1,000, 1 M distinct values, 10 s
cargo xtask bench hub -- --crowdsec /usr/bin/crowdsec
                                                   and CrowdSec's local API with as many alerts beside it
cargo xtask bench hub -- --flood                   one member at ten times its quota: what the others notice
cargo xtask bench hub -- --streams 1000            from the corroborating report to the last of 1,000 streams
cargo xtask bench hub -- --start 10000000          fill the table, stop, start again: time and memory
cargo xtask bench hub -- --hub https://hub.example:8443 --ca tls.pem --token-file t --member telecom --key-file k
                                                   somebody's own hub; without --key-file the hub attests

--connections N   one sender each (8)          --batch N      sightings a batch (1,000)
--distinct N      different values (1,000,000) --seconds N    how long (10)
--shared N        in a million sightings, how many are of a value that another member reported too (1,000)
--zstd            bodies compressed            --dir DIR      where the hub's directory is made (the system's)
";

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// Sightings a second until durable.
    Ingest,
    /// What others notice of one member that floods.
    Flood,
    /// From a report to so many streams.
    Streams(usize),
    /// A start with so many observables.
    Start(u64),
}

/// Somebody's own hub.
#[derive(Clone, Debug)]
pub struct Given {
    pub url: String,
    pub ca: Option<PathBuf>,
    pub token_file: PathBuf,
    /// Member and file with the seed of its key, 64 hexadecimal digits; without it the hub attests.
    pub member: Option<(String, PathBuf)>,
}

#[derive(Clone, Debug)]
pub struct Words {
    pub part: Part,
    pub connections: usize,
    pub batch: usize,
    pub distinct: u64,
    pub shared: u64,
    pub time: Duration,
    pub zstd: bool,
    pub dir: PathBuf,
    pub crowdsec: Option<PathBuf>,
    pub hub: Option<Given>,
}

impl Default for Words {
    fn default() -> Self {
        Self {
            part: Part::Ingest,
            connections: 8,
            batch: 1_000,
            distinct: 1_000_000,
            shared: 1_000,
            time: Duration::from_secs(10),
            zstd: false,
            dir: std::env::temp_dir(),
            crowdsec: None,
            hub: None,
        }
    }
}

#[derive(Default)]
struct HubWords {
    url: Option<String>,
    ca: Option<PathBuf>,
    token_file: Option<PathBuf>,
    member: Option<String>,
    key_file: Option<PathBuf>,
}

impl Words {
    /// The words; none if help is asked for.
    pub fn parse(words: &[String]) -> Result<Option<Self>, Failure> {
        let mut parsed = Self::default();
        let mut hub = HubWords::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().ok_or_else(|| format!("{word} needs a value after it"));
            match word.as_str() {
                "--help" | "-h" => return Ok(None),
                "--flood" => parsed.part = Part::Flood,
                "--zstd" => parsed.zstd = true,
                "--streams" => parsed.part = Part::Streams(number(word, &value()?, 1, 10_000)? as usize),
                "--start" => parsed.part = Part::Start(number(word, &value()?, 1, 100_000_000)?),
                "--connections" => parsed.connections = number(word, &value()?, 1, 100)? as usize,
                "--batch" => parsed.batch = number(word, &value()?, 1, 10_000)? as usize,
                "--distinct" => parsed.distinct = number(word, &value()?, 1, 10_000_000)?,
                "--shared" => parsed.shared = number(word, &value()?, 0, 1_000_000)?,
                "--seconds" => parsed.time = Duration::from_secs(number(word, &value()?, 1, 3_600)?),
                "--dir" => parsed.dir = value()?.into(),
                "--crowdsec" => parsed.crowdsec = Some(value()?.into()),
                "--hub" => hub.url = Some(value()?),
                "--ca" => hub.ca = Some(value()?.into()),
                "--token-file" => hub.token_file = Some(value()?.into()),
                "--member" => hub.member = Some(value()?),
                "--key-file" => hub.key_file = Some(value()?.into()),
                _ => return Err(format!("there is no {word}\n{HELP}").into()),
            }
        }
        parsed.hub = hub.given()?;
        Ok(Some(parsed))
    }
}

impl HubWords {
    fn given(self) -> Result<Option<Given>, Failure> {
        let Some(url) = self.url else { return Ok(None) };
        let token_file = self.token_file.ok_or("--hub needs --token-file: a token with the scope `report`")?;
        let member = match (self.member, self.key_file) {
            (Some(member), Some(file)) => Some((member, file)),
            (None, None) => None,
            _ => return Err("--member and --key-file go together".into()),
        };
        Ok(Some(Given { url, ca: self.ca, token_file, member }))
    }
}

fn number(word: &str, value: &str, low: u64, high: u64) -> Result<u64, Failure> {
    let parsed = value.replace('_', "").parse().ok().filter(|number| (low..=high).contains(number));
    parsed.ok_or_else(|| format!("{word} is {value:?}; {low} to {high} is allowed").into())
}

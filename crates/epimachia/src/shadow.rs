//! `epimachia shadow`: my own log against the alliance's findings, with nothing sent and nothing changed.

mod blocks;
mod follow;
mod log;
mod report;
mod sizing;
mod texts;
mod watch;

use crate::client::{Client, Connect, ITEMS_MAX, Settings as ClientSettings};
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use blocks::Blocks;
use charter::Guards;
use clap::Args;
use log::{Format, Intake};
use model::Finding;
use observe::{Networks, Settings};
use report::Report;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use watch::Watch;

/// Longest findings or guard file, in bytes.
const FILE_BYTES_MAX: u64 = 512 << 20;
/// Longest time between reports, in seconds: a week.
const EVERY_MAX: u64 = 604_800;
/// Most findings.
const FINDINGS_MAX: usize = 1_000_000;

/// Hold your own log against the alliance's findings: what would have been reported and blocked, and whom it would
/// have hurt. Nothing is sent, nothing is changed
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia shadow /var/log/suricata/eve.json --own 198.51.100.0/24
  epimachia shadow eve.json --own 198.51.100.0/24 --findings findings.json --write-rpz rpz.zone --write-nft table.nft
  epimachia shadow eve.json --own 198.51.100.0/24 --hub https://hub.example.org:8443 --follow --every 3600
A findings file is what `epimachia finding list --json` prints. Without --hub no connection is made.
Next: epimachia agent init")]
pub struct Shadow {
    /// Logs; `.zst` is expanded, `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How they are written
    #[arg(long, value_enum, default_value = "eve")]
    format: Format,
    /// TOML file: which column is what (csv, jsonl), or what signatures mean (eve); as in the agent's configuration
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Your own addresses and prefixes, private ones too; may be repeated or separated by commas
    #[arg(long, value_delimiter = ',', value_name = "PREFIX")]
    own: Vec<String>,
    /// Guard list (`cidr,class,list` or `domain,class,lists`); may be repeated
    #[arg(long, value_name = "FILE")]
    guard: Vec<PathBuf>,
    /// Findings as `epimachia finding list --json` prints them, or one as JSON a line; may be repeated
    #[arg(long, value_name = "FILE", conflicts_with = "hub")]
    findings: Vec<PathBuf>,
    /// Ask this hub for its findings; the only way in which anything is connected to
    #[arg(long, value_name = "URL")]
    hub: Option<String>,
    /// PEM file with the hub's certificate
    #[arg(long, env = "EPIMACHIA_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// File with the access token
    #[arg(long, env = "EPIMACHIA_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Count every finding as in force all along, whatever its time
    #[arg(long)]
    any_time: bool,
    /// Write the policy zone as it would have stood at the peak
    #[arg(long, value_name = "FILE")]
    write_rpz: Option<PathBuf>,
    /// Write the packet filter's table as it would have stood at the peak
    #[arg(long, value_name = "FILE")]
    write_nft: Option<PathBuf>,
    /// Go on as the log grows, also when it is rotated; Ctrl-C ends with a report
    #[arg(long)]
    follow: bool,
    /// With --follow: seconds between reports
    #[arg(long, default_value_t = 3_600, requires = "follow", value_parser = seconds())]
    every: u64,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: &Shadow) -> Outcome {
    let own = Networks::try_from(arguments.own.clone())?;
    if arguments.own.is_empty() && arguments.format == Format::Eve {
        let why = "--own: without your own prefixes nobody can tell which side of an event is remote";
        return Err(Failure::Usage(why.to_owned()));
    }
    let settings = Settings { own: own.clone(), ..Settings::default() };
    let mut intake = Intake::new(arguments.format, arguments.map.as_deref(), settings)?;
    let held = Held { own, guards: guards(&arguments.guard)? };
    let mut watch = Watch { any_time: arguments.any_time, ..Watch::default() };
    arguments.refresh(&held, &mut watch.blocks)?;
    match (arguments.follow, arguments.files.as_slice()) {
        (false, files) => log::read_files(files, &mut intake, &mut watch)?,
        (true, [file]) if file.as_os_str() != "-" => {
            let every = Duration::from_secs(arguments.every);
            follow::follow(file, &mut intake, &mut watch, every, |intake, watch| {
                arguments.tell(intake, watch)?;
                // A hub that is away for a while is no reason to stop looking.
                if arguments.hub.is_some()
                    && let Err(failure) = arguments.refresh(&held, &mut watch.blocks)
                {
                    out::say(failure.message());
                }
                Ok(())
            })?;
        }
        (true, _) => return Err(Failure::Usage("--follow: one file, and not standard input".to_owned())),
    }
    intake.finish(&mut watch);
    arguments.tell(&intake, &watch)?;
    Ok(Exit::Done)
}

/// What findings are held against, beside the log.
struct Held {
    own: Networks,
    guards: Guards,
}

impl Shadow {
    /// Reads the findings: from files, or from the hub, and from nowhere else.
    fn refresh(&self, held: &Held, blocks: &mut Blocks) -> Result<(), Failure> {
        for path in &self.findings {
            blocks.add(findings(path)?, &held.own, &held.guards);
        }
        if let Some(hub) = &self.hub {
            let (hub, ca, token_file) = (Some(hub.clone()), self.ca.clone(), self.token_file.clone());
            let client = Client::open(&ClientSettings::load(&Connect { hub, ca, token_file })?)?;
            let state = [("state", "corroborated".to_owned())];
            blocks.add(client.list("/api/v1/findings", &state, ITEMS_MAX)?, &held.own, &held.guards);
        }
        Ok(())
    }

    fn tell(&self, intake: &Intake, watch: &Watch) -> Result<(), Failure> {
        let (peak, which) = sizing::at_peak(watch);
        let mut sizing = sizing::sizing(watch, (peak, &which));
        let given = !self.findings.is_empty() || self.hub.is_some();
        if given {
            let now = peak.unwrap_or_else(crate::clock::now);
            let texts = texts::texts(which.iter().filter_map(|i| watch.blocks.all().get(*i)), now)?;
            (sizing.rpz_bytes, sizing.nft_bytes) = (texts.rpz.len(), texts.nft.len());
            write(self.write_rpz.as_deref(), &texts.rpz)?;
            write(self.write_nft.as_deref(), &texts.nft)?;
            if texts.left_out > 0 {
                out::say(format_args!("{} entries of own or guarded space are in neither text.", texts.left_out));
            }
        }
        let report = Report::of(watch, intake, given, sizing);
        match self.json {
            true => out::json(&report),
            false => out::line(&report),
        }
        for (path, what) in [(&self.write_rpz, "policy zone"), (&self.write_nft, "packet filter's table")] {
            if let Some(path) = path.as_ref().filter(|_| given) {
                out::say(format_args!("The {what} at the peak is in {}.", path.display()));
            }
        }
        Ok(())
    }
}

fn seconds() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..=EVERY_MAX)
}

fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, text)
        .map_err(|e| Failure::failed(format_args!("{}: {e}", path.display()), "name a file that can be written"))
}

fn guards(paths: &[PathBuf]) -> Result<Guards, Failure> {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let texts: Vec<Vec<u8>> = paths.iter().map(|path| bytes(path)).collect::<Result<_, _>>()?;
    Ok(Guards::of_files(&names, &texts)?)
}

/// A JSON list of findings, or one finding a line.
fn findings(path: &Path) -> Result<Vec<Finding>, Failure> {
    let bytes = bytes(path)?;
    let wrong = |e: serde_json::Error| {
        let what = format!("{}: not findings: {e}", path.display());
        Failure::failed(what, "epimachia finding list --state corroborated --json > findings.json")
    };
    let findings: Vec<Finding> = match bytes.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(&bytes).map_err(wrong)?,
        _ => serde_json::Deserializer::from_slice(&bytes).into_iter().collect::<Result<_, _>>().map_err(wrong)?,
    };
    match findings.len() > FINDINGS_MAX {
        true => Err(Failure::failed(format_args!("{}: more than {FINDINGS_MAX} findings", path.display()), "split it")),
        false => Ok(findings),
    }
}

/// A whole file, expanded if its name ends in `.zst`.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |e: std::io::Error| log::wrong(path, &e);
    let file = std::fs::File::open(path).map_err(wrong)?;
    let file: Box<dyn std::io::Read> = match path.extension().is_some_and(|ending| ending == "zst") {
        true => Box::new(zstd::Decoder::new(file).map_err(wrong)?),
        false => Box::new(file),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    match bytes.len() as u64 > FILE_BYTES_MAX {
        true => Err(Failure::failed(format_args!("{}: more than {FILE_BYTES_MAX} bytes", path.display()), "split it")),
        false => Ok(bytes),
    }
}

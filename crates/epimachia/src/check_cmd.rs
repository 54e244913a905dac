//! `epimachia check`: is this machine, this configuration, this connection as it must be? Also for ExecStartPre.

use crate::client::{Client, Connect, Settings, answers};
use crate::clock::{length, now};
use crate::exit::{Exit, Failure, Outcome};
use crate::out::{self, Colour, coloured};
use clap::Args;
use model::Span;
use serde::Serialize;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// A difference of the clocks beyond which signatures are soon refused.
const CLOCK_OFF_MAX: Span = Span::seconds(30);

/// A watchdog that runs has looked at the agent within this time.
const WATCHDOG_LOOKS: Span = Span::minutes(6);

/// Test a configuration and its environment, or the connection to the hub
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia check                                    is the hub reached, does the token count, are the clocks right
  epimachia check --config /etc/epimachia/hub.toml   would this hub start
Exit code 5 if something has to be mended.")]
pub struct Check {
    /// A hub's, an agent's or an enforcer's configuration; the connection to the hub where it is left out
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connect: Connect,
}

/// One thing that was looked at.
#[derive(Serialize)]
pub struct Looked {
    what: &'static str,
    good: bool,
    told: String,
    next: String,
}

impl Looked {
    fn good(what: &'static str, told: impl std::fmt::Display) -> Self {
        Self { what, good: true, told: told.to_string(), next: String::new() }
    }

    fn bad(what: &'static str, told: impl std::fmt::Display, next: impl std::fmt::Display) -> Self {
        Self { what, good: false, told: told.to_string(), next: next.to_string() }
    }

    fn failed(what: &'static str, failure: &Failure) -> Self {
        match failure {
            Failure::Failed { what: told, next } => Self::bad(what, told, next),
            Failure::Usage(told) => Self::bad(what, told, ""),
            Failure::Refused { refusal, next } => Self::bad(what, refusal, next),
        }
    }
}

/// Runs the command.
pub fn run(check: &Check) -> Outcome {
    let looked = match &check.config {
        Some(file) => configuration(file)?,
        None => connection(&check.connect),
    };
    if check.json {
        out::json(&serde_json::json!({"good": looked.iter().all(|one| one.good), "checks": looked}));
    } else {
        print(&looked);
    }
    match looked.iter().all(|one| one.good) {
        true => Ok(Exit::Done),
        false => Ok(Exit::Differs),
    }
}

fn print(looked: &[Looked]) {
    for one in looked {
        let word = if one.good { coloured("good", Colour::Green) } else { coloured("bad ", Colour::Red) };
        out::line(format_args!("{word}  {:<12}  {}", one.what, one.told));
        if !one.next.is_empty() {
            out::say(format_args!("Next: {}", one.next));
        }
    }
}

fn configuration(file: &Path) -> Result<Vec<Looked>, Failure> {
    let text =
        std::fs::read_to_string(file).map_err(|e| Failure::failed(format_args!("{}: {e}", file.display()), ""))?;
    let is_hub =
        text.lines().map(str::trim).take_while(|line| !line.starts_with('[')).any(|line| line.starts_with("data"));
    let is_enforcer =
        text.lines().map(str::trim).take_while(|line| !line.starts_with('[')).any(|line| line.starts_with("socket"));
    Ok(match (is_hub, is_enforcer) {
        (true, _) => hub_configuration(file, &text),
        (_, true) => enforcer_configuration(file),
        _ => agent_configuration(file),
    })
}

fn enforcer_configuration(file: &Path) -> Vec<Looked> {
    match crate::enforcer_cmd::read(file) {
        Ok(_) => vec![Looked::good("file", format_args!("{}: every key within its limits", file.display()))],
        Err(failure) => vec![Looked::failed("file", &failure)],
    }
}

fn agent_configuration(file: &Path) -> Vec<Looked> {
    let config = match agent::Config::read(file) {
        Ok(config) => config,
        Err(error) => return vec![Looked::failed("file", &crate::agent_cmd::at(file, error))],
    };
    let mut looked = vec![Looked::good("file", format_args!("{}: every key within its limits", file.display()))];
    looked.push(match crate::keys::read(&config.member.key) {
        Ok(key) => Looked::good("key", format_args!("{} of {}", key.public().id(), config.member.id)),
        Err(failure) => Looked::failed("key", &failure),
    });
    looked.extend(config.hub.token.iter().map(|token| match agent::keys::read_secret(token) {
        Ok(_) => Looked::good("token", "is there and private"),
        Err(error) => Looked::failed("token", &crate::agent_cmd::at(file, error)),
    }));
    looked.extend(config.hub.certificate.iter().map(|identity| certificate(file, identity)));
    looked.extend(config.hub.ca.iter().map(|ca| readable(ca)));
    looked.extend(config.sources.iter().filter_map(|source| source.file.as_ref()).map(|path| readable(path)));
    looked.push(match config.points.len() {
        0 => Looked::bad("points", "none: every mitigation would be refused", "add a [[point]] of type preview"),
        n => Looked::good("points", out::count(n, "point")),
    });
    looked.extend(watchdog(&config));
    looked
}

/// Unbound never lets a zone expire: with it, somebody else must look at the agent.
fn watchdog(config: &agent::Config) -> Option<Looked> {
    let point = *agent::watchdog::needs_watchdog(config).first()?;
    let last = agent::watchdog::last_look(config).filter(|at| now().since(*at) <= WATCHDOG_LOOKS);
    Some(match last {
        Some(at) => Looked::good("watchdog", format_args!("looked at {at}")),
        None => Looked::bad(
            "watchdog",
            format_args!(
                "point {point} is followed without a key, as Unbound does, which never lets a zone expire: while the \
                 agent is dead its blocks stay, and no watchdog has looked for {}",
                length(WATCHDOG_LOOKS)
            ),
            "systemctl enable --now epimachia-watchdog, or epimachia agent watchdog --config FILE",
        ),
    })
}

fn certificate(file: &Path, identity: &Path) -> Looked {
    match agent::identity::Identity::read(identity) {
        Ok(identity) if identity.until <= now() => {
            let told = format!("ended {}; the agent asks for the next one by the member's key", identity.until);
            Looked::good("certificate", told)
        }
        Ok(identity) => {
            let (agent, member, until) = (&identity.agent, &identity.member, identity.until);
            Looked::good("certificate", format_args!("{agent} of {member}, until {until}, is private"))
        }
        Err(error) => Looked::failed("certificate", &crate::agent_cmd::at(file, error)),
    }
}

fn hub_configuration(file: &Path, text: &str) -> Vec<Looked> {
    let config = match hub::Config::parse(text) {
        Ok(config) => config,
        Err(error) => return vec![Looked::failed("file", &crate::hub_cmd::at(file, error))],
    };
    let mut looked = vec![Looked::good("file", format_args!("{}: every key within its limits", file.display()))];
    looked.push(match hub::Directory::open(&config.data) {
        Ok(directory) => Looked::good(
            "directory",
            format_args!(
                "{}: of {}, format {}",
                config.data.display(),
                directory.identity().alliance,
                hub::DIRECTORY_FORMAT
            ),
        ),
        Err(error) => Looked::failed("directory", &crate::hub_cmd::failure(error)),
    });
    looked.extend(config.tls.certificate.iter().chain(&config.tls.key).map(|path| readable(path)));
    let address = config.listen.address;
    looked.push(match TcpListener::bind(address) {
        Ok(_) => Looked::good("address", format_args!("{address} is free")),
        Err(e) if e.kind() == std::io::ErrorKind::AddrInUse => {
            Looked::good("address", format_args!("{address} is in use: by this hub, if it runs"))
        }
        Err(e) => Looked::bad("address", format_args!("{address}: {e}"), "correct listen.address"),
    });
    looked
}

fn readable(path: &Path) -> Looked {
    match std::fs::File::open(path) {
        Ok(_) => Looked::good("file", format_args!("{} can be read", path.display())),
        Err(e) => Looked::bad("file", format_args!("{}: {e}", path.display()), ""),
    }
}

fn connection(connect: &Connect) -> Vec<Looked> {
    let client = match Settings::load(connect).and_then(|settings| Client::open(&settings)) {
        Ok(client) => client,
        Err(failure) => return vec![Looked::failed("settings", &failure)],
    };
    let mut looked = vec![Looked::good("settings", "hub, certificate and token are there, the token is private")];
    match client.value("/health", &[]) {
        Ok(_) => looked.push(Looked::good("hub", format_args!("{} answers and is well", client.hub()))),
        Err(failure) => {
            looked.push(Looked::failed("hub", &failure));
            return looked;
        }
    }
    match client.get::<answers::Status>("/api/v1/status", &[]) {
        Ok(status) => {
            looked.push(Looked::good("token", "counts, and may read"));
            looked.push(clocks(&status));
            looked.push(match status.charter {
                0 => Looked::bad("charter", "none is in force", "epimachia charter adopt FILE"),
                version => Looked::good("charter", format_args!("{} version {version}", status.alliance)),
            });
        }
        Err(failure) => looked.push(Looked::failed("token", &failure)),
    }
    looked
}

fn clocks(status: &answers::Status) -> Looked {
    let off = Span::millis(now().since(status.time).as_millis().abs());
    match off > CLOCK_OFF_MAX {
        false => Looked::good("clock", "this machine's and the hub's agree"),
        true => Looked::bad("clock", format_args!("{} apart from the hub's", length(off)), "set this machine's clock"),
    }
}

//! `epimachia hub`: make a hub's data directory, run a hub.

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use account::VerifierKey;
use clap::{Args, Subcommand};
use hub::{Config, Directory, Hub, Init, Running};
use model::MemberId;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where packages put the hub's configuration.
const CONFIG: &str = "/etc/epimachia/hub.toml";
/// How often the service manager is told that the hub is alive.
const SIGN_EVERY: Duration = Duration::from_secs(10);

/// Run a hub, or make its data directory
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  epimachia hub init /var/lib/epimachia/hub --alliance northern.alliance --member telecom
  epimachia hub --config /etc/epimachia/hub.toml
Next: epimachia charter adopt")]
pub struct Command {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: Run,
}

#[derive(Args, Debug)]
struct Run {
    /// The hub's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Make a data directory: keys, certificate, first token; prints the charter's hub_key line
    Init(New),
    Resume(crate::backup_cmd::Resume),
    /// The alliance's certificate authority
    #[command(subcommand)]
    Ca(Ca),
}

#[derive(Subcommand, Debug)]
enum Ca {
    /// Make the next authority; the one before signs it and stays trusted. The hub must not run
    Rotate {
        /// The hub's data directory
        dir: PathBuf,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
struct New {
    /// The data directory; new or empty
    dir: PathBuf,
    /// The alliance's name for ever: 1 to 64 of a-z 0-9 - and dots
    #[arg(long)]
    alliance: String,
    /// The member whose person holds the first token, with which the first charter is adopted
    #[arg(long)]
    member: MemberId,
    /// Name or address that the hub is reached by, for its certificate; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Address and port that are written into the configuration
    #[arg(long, default_value = "127.0.0.1:8443")]
    listen: std::net::SocketAddr,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command.verb {
        Some(Verb::Init(new)) => init(&new),
        Some(Verb::Resume(resume)) => crate::backup_cmd::resume(&resume),
        Some(Verb::Ca(Ca::Rotate { dir, yes })) => rotate(&dir, yes),
        None => serve(&command.run.config),
    }
}

fn init(new: &New) -> Outcome {
    let init = Init { alliance: new.alliance.clone(), names: new.names.clone() };
    let directory = Directory::init(&new.dir, &init).map_err(failure)?;
    let token = hub::admin::first_token(&directory, &new.member).map_err(failure)?;
    let config = write_config(new)?;
    let identity = directory.identity();
    let verifier =
        VerifierKey::new(&identity.alliance, identity.checkpoint_key.as_bytes()).map_err(|e| Failure::failed(e, ""))?;
    let certificate = directory.path("ca.pem");
    if new.json {
        out::json(&serde_json::json!({
            "alliance": identity.alliance, "hub_key": identity.checkpoint_key, "journal_key": verifier.to_string(),
            "directory": new.dir, "config": config, "certificate": certificate, "token_file": token,
        }));
        return Ok(Exit::Done);
    }
    out::line(format_args!("hub_key = \"{}\"", identity.checkpoint_key));
    out::say(format_args!("The line above goes into the charter. {} is made:", new.dir.display()));
    out::say(format_args!("  {}  configuration", config.display()));
    out::say(format_args!("  {}  the authority's certificate, which members pin with --ca", certificate.display()));
    out::say(format_args!("  {}  first token, for one week or until there is another of scope admin", token.display()));
    out::say(format_args!("  {verifier}  for journal verify --key"));
    out::say(format_args!("Next: epimachia hub --config {}", config.display()));
    Ok(Exit::Done)
}

fn rotate(dir: &Path, yes: bool) -> Outcome {
    let directory = Directory::open(dir).map_err(failure)?;
    crate::ask::confirm("The hub gets a new certificate authority, and must not run meanwhile.", yes)?;
    hub::rotate_authority(&directory).map_err(failure)?;
    out::line(format_args!("{} holds the new authority.", directory.path("ca.pem").display()));
    out::say("Agents are given it when they renew; whoever pinned the old one is served as before.");
    out::say("When all have renewed, delete ca-old.pem and ca-cross.pem: then only the new one is trusted.");
    out::say("Next: start the hub again");
    Ok(Exit::Done)
}

/// Beside the sample with every key stands a configuration with the two that every hub has.
fn write_config(new: &New) -> Result<PathBuf, Failure> {
    let dir = std::path::absolute(&new.dir)?;
    let path = new.dir.join("hub.toml");
    let quoted = |text: &dyn std::fmt::Display| toml::Value::String(text.to_string()).to_string();
    let (data, address) = (quoted(&dir.display()), quoted(&new.listen));
    let text = format!(
        "# Every key with its default and its limits stands in hub.toml.sample.\ndata = {data}\n\n[listen]\n\
         address = {address}\n"
    );
    Config::parse(&text).map_err(failure)?;
    std::fs::write(&path, text)?;
    Ok(path)
}

fn serve(config: &Path) -> Outcome {
    let config = Config::load(config).map_err(|e| at(config, e))?;
    hub::logs::start(&config.logs).map_err(failure)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = Hub::start(config).await.map_err(failure)?;
        out::say(format_args!("The hub listens on {}. To stop it: Ctrl-C.", running.url()));
        agent::heartbeat::notify("READY=1");
        tokio::select! {
            () = show_life(&running) => {}
            reason = running.broken() => {
                let what = format!("the hub has stopped itself: {reason}; nothing acknowledged is lost");
                return Err(Failure::failed(what, "epimachia journal verify DIR, then start the hub again"));
            }
            stopped = crate::signals::stop() => stopped?,
        }
        agent::heartbeat::notify("STOPPING=1");
        running.shutdown().await.map_err(failure)?;
        out::say("The hub has stopped.");
        Ok(Exit::Done)
    })
}

/// Tells the service manager that the hub is alive, as long as its sequencer ticks. Never ends.
async fn show_life(running: &Running) {
    let mut last = None;
    loop {
        let ticks = Some(running.ticks());
        if ticks != last {
            agent::heartbeat::notify("WATCHDOG=1");
            last = ticks;
        }
        tokio::time::sleep(SIGN_EVERY).await;
    }
}

/// The hub's error as a command's.
pub fn failure(error: hub::Error) -> Failure {
    match error {
        hub::Error::Refused(refusal) => {
            let what = format!("{}; allowed: {}; nothing was changed", refusal.value, refusal.limit);
            Failure::failed(what, "")
        }
        hub::Error::Unavailable(what) => Failure::failed(format_args!("{what}; nothing was changed"), ""),
        hub::Error::Broken(what) => {
            Failure::failed(what, "keep the data directory as it is; epimachia journal verify DIR")
        }
    }
}

/// The same, about a configuration file.
pub fn at(config: &Path, error: hub::Error) -> Failure {
    match error {
        hub::Error::Refused(refusal) => {
            let what = format!("{}: {}; allowed: {}", config.display(), refusal.value, refusal.limit);
            Failure::failed(what, "correct the file; nothing was started")
        }
        hub::Error::Unavailable(what) if !config.exists() => {
            let next = "epimachia hub init DIR, or --config FILE for a hub that there is";
            Failure::failed(format_args!("{what}; nothing was started"), next)
        }
        other => failure(other),
    }
}

//! `epimachia enforcer`: the one process that may change the packet filter.

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use act::PointError;
use act::nftables::enforcer::{Enforcer, Settings};
use clap::Args;
use std::path::{Path, PathBuf};

/// Where packages put the enforcer's configuration.
const CONFIG: &str = "/etc/epimachia/enforcer.toml";
/// Largest configuration file, in bytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// Run the process that alone may change this machine's packet filter, for an agent without privileges
#[derive(Args, Debug)]
#[command(
    after_help = "It needs CAP_NET_ADMIN and nothing else: no key, no token, no network. The agent reaches it with \
`via` in its [[point]] of type nftables.
Examples:
  epimachia enforcer --config /etc/epimachia/enforcer.toml
  epimachia check --config /etc/epimachia/enforcer.toml
Next: systemctl status epimachia-enforcer"
)]
pub struct Enforce {
    /// The enforcer's configuration, which the agent's user must not be able to write
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

/// Runs the command.
pub fn run(enforce: &Enforce) -> Outcome {
    let settings = read(&enforce.config)?;
    hub::logs::start(&hub::config::Logs::default()).map_err(crate::hub_cmd::failure)?;
    let enforcer = Enforcer::open(settings).map_err(|error| at(&enforce.config, error))?;
    let path = enforcer.path().to_owned();
    std::thread::Builder::new().name("enforcer".to_owned()).spawn(move || enforcer.run())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    out::say(format_args!("The enforcer listens on {}. To stop it: Ctrl-C.", path.display()));
    agent::heartbeat::notify("READY=1");
    runtime.block_on(crate::signals::stop())?;
    agent::heartbeat::notify("STOPPING=1");
    // The socket goes with the process; the next enforcer would clear it away as well.
    let _ = std::fs::remove_file(path);
    out::say("The enforcer has stopped. What is in force stays so until the kernel ends it.");
    Ok(Exit::Done)
}

/// Reads the enforcer's configuration.
///
/// # Errors
/// The file cannot be read, or a key is unknown or outside its limits.
pub fn read(file: &Path) -> Result<Settings, Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}", file.display()), "correct the file");
    let length = std::fs::metadata(file).map_err(|error| failed(error.to_string()))?.len();
    if length > CONFIG_BYTES_MAX {
        return Err(failed(format!("{length} bytes, at most {CONFIG_BYTES_MAX}")));
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let settings: Settings = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        failed(format!("line {line}: {}", error.message()))
    })?;
    let rules = settings.limits.check();
    rules.map_err(|refusal| failed(format!("{}; allowed: {}", refusal.value, refusal.limit)))?;
    Ok(settings)
}

fn at(file: &Path, error: PointError) -> Failure {
    match error {
        PointError::Refused(refusal) => {
            let what = format!("{}: {}; allowed: {}", file.display(), refusal.value, refusal.limit);
            Failure::failed(what, "correct the file; nothing was started")
        }
        PointError::Unavailable(what) | PointError::Broken(what) => {
            Failure::failed(format_args!("{what}; nothing was started"), "epimachia check --config FILE")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_file_line_and_what_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("enforcer.toml");
        let good = "socket = \"/run/e.sock\"\nusers = [\"epimachia-agent\"]\n";
        for (text, named) in [
            (format!("{good}protct = []\n"), "line 3"),
            (format!("{good}[limits]\nwidest_v4 = 8\n"), "limits.widest_v4 = 8"),
            (format!("{good}[limits]\nlongest = \"2d\"\n"), "1m to 24h"),
            ("users = []\n".to_owned(), "socket"),
        ] {
            std::fs::write(&file, text).unwrap();
            let told = read(&file).unwrap_err().message();
            assert!(told.contains(named) && told.contains("enforcer.toml"), "{told}");
        }
        std::fs::write(&file, good).unwrap();
        assert_eq!(read(&file).unwrap().size, 10_000);
    }
}

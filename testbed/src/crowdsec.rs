//! A real CrowdSec on loopback: its local API with a database of its own. It watches no log, knows no central service,
//! and loads nothing: everything stands in its own directory, and what Debian's package wrote elsewhere is not read.

use crate::Error;
use crate::dns::{Daemon, directory, find, free_port};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The Debian package with both programs.
const PACKAGE: &str = "crowdsec";
/// The machine that its own half would log in as; its password is no secret, and nobody uses it.
const OWN: (&str, &str) = ("testbed", "only-for-this-run");

/// A running local API.
#[derive(Debug)]
pub struct CrowdSec {
    daemon: Daemon,
    port: u16,
}

impl CrowdSec {
    /// Starts one with an empty database; returns when it answers.
    ///
    /// # Errors
    /// CrowdSec is not installed, or does not start; with its log.
    pub fn start() -> Result<Self, Error> {
        let (dir, port) = (directory("crowdsec")?, free_port()?);
        configure(dir.path(), port)?;
        cscli(dir.path(), &["machines", "add", OWN.0, "--password", OWN.1, "-f", "/dev/null"])?;
        let mut daemon = run(dir)?;
        daemon.wait_listening(port)?;
        Ok(Self { daemon, port })
    }

    /// Stops it and starts it again on what it has, at the same port. Logins from before count no more: it signs them
    /// with a secret that it draws anew at each start.
    ///
    /// # Errors
    /// As [`CrowdSec::start`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.daemon.restart(&["-c", "config.yaml", "-no-cs"])?;
        self.daemon.wait_listening(self.port)
    }

    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Registers a machine, which may then log in and add and read alerts.
    ///
    /// # Errors
    /// There is one of this name, or `cscli` fails.
    pub fn add_machine(&self, name: &str, password: &str) -> Result<(), Error> {
        self.cscli(&["machines", "add", name, "--password", password, "-f", "/dev/null"]).map(drop)
    }

    /// Has `cscli` do something; gives what it prints.
    ///
    /// # Errors
    /// It fails; with what it says.
    pub fn cscli(&self, words: &[&str]) -> Result<String, Error> {
        cscli(self.daemon.dir.path(), words)
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

fn run(dir: tempfile::TempDir) -> Result<Daemon, Error> {
    Daemon::start("crowdsec", PACKAGE, dir, &["-c", "config.yaml", "-no-cs"])
}

fn cscli(dir: &Path, words: &[&str]) -> Result<String, Error> {
    let program = find("cscli")
        .ok_or_else(|| Error(format!("`cscli` is not installed; on Debian: apt-get install {PACKAGE}")))?;
    let mut command = Command::new(program);
    command.arg("-c").arg(dir.join("config.yaml")).args(words).current_dir(dir).stdin(Stdio::null());
    let done = command.output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match done.status.success() {
        true => Ok(text(&done.stdout)),
        false => Err(Error(format!("cscli {}: {}{}", words.join(" "), text(&done.stdout), text(&done.stderr)))),
    }
}

/// Without `api.server.online_client` there is no central service; without profiles that match no decisions follow.
fn configure(dir: &Path, port: u16) -> Result<(), Error> {
    for folder in ["data", "hub", "notifications", "plugins"] {
        fs::create_dir(dir.join(folder))?;
    }
    let profile = "name: none\nfilters:\n - 1 == 0\ndecisions:\n - type: ban\n   duration: 4h\non_success: break\n";
    let client = format!("url: http://127.0.0.1:{port}/\nlogin: {}\npassword: {}\n", OWN.0, OWN.1);
    let console = "share_manual_decisions: false\nshare_custom: false\nshare_tainted: false\n";
    for (file, text) in [
        ("simulation.yaml", "simulation: false\n"),
        ("profiles.yaml", profile),
        ("console.yaml", console),
        ("client.yaml", &client),
        ("hub/.index.json", "{}"),
        ("config.yaml", &configuration(&dir.to_string_lossy(), port)),
    ] {
        fs::write(dir.join(file), text)?;
    }
    Ok(())
}

fn configuration(dir: &str, port: u16) -> String {
    format!(
        r"common: {{ daemonize: false, log_media: stdout, log_level: info }}
config_paths:
  config_dir: {dir}
  data_dir: {dir}/data
  simulation_path: {dir}/simulation.yaml
  hub_dir: {dir}/hub
  index_path: {dir}/hub/.index.json
  notification_dir: {dir}/notifications
  plugin_dir: {dir}/plugins
cscli: {{ output: human }}
db_config: {{ log_level: info, type: sqlite, use_wal: true, db_path: {dir}/data/crowdsec.db }}
api:
  client: {{ credentials_path: {dir}/client.yaml }}
  server:
    log_level: info
    listen_uri: 127.0.0.1:{port}
    profiles_path: {dir}/profiles.yaml
    console_path: {dir}/console.yaml
prometheus: {{ enabled: false }}
"
    )
}

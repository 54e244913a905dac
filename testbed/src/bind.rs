//! A real BIND on loopback, as a member would run it: recursive, with our policy zones as a secondary of them.

use crate::Error;
use crate::dns::{Answer, Daemon, ask, directory, free_port};
use domain::base::iana::Rtype;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tempfile::TempDir;

/// A key as both sides of a transfer have it.
#[derive(Clone, Debug)]
pub struct Tsig {
    /// The key's name.
    pub name: String,
    /// At least 32 bytes in base 64; hmac-sha256.
    pub secret_base64: String,
}

/// A policy zone that a resolver follows.
#[derive(Clone, Debug)]
pub struct Rpz {
    /// The zone's name.
    pub zone: String,
    /// Where its primary listens.
    pub primary: SocketAddr,
}

/// How a [`Bind`] differs from the plain one.
#[derive(Clone, Debug, Default)]
pub struct BindOptions {
    /// Names that the member's own passthru zone, listed first, lets through whatever the alliance says.
    pub local_passthru: Vec<String>,
    /// The port; none: a free one.
    pub port: Option<u16>,
    /// Policies only for questions with the RD bit, which is what BIND does unless told otherwise.
    pub recursive_only: bool,
}

/// A running `named`.
#[derive(Debug)]
pub struct Bind {
    daemon: Daemon,
    port: u16,
}

impl Bind {
    /// Starts one that transfers `zones` with `key`, in the order of precedence, and knows the rest from the world at
    /// `world_port`. Returns when it answers queries; the zones may still be on their way.
    ///
    /// # Errors
    /// BIND is not installed, or does not start; with its log.
    pub fn start(zones: &[Rpz], key: &Tsig, world_port: u16) -> Result<Self, Error> {
        Self::start_with(zones, key, world_port, &BindOptions::default())
    }

    /// [`Bind::start`] with options.
    ///
    /// # Errors
    /// As [`Bind::start`].
    pub fn start_with(zones: &[Rpz], key: &Tsig, world_port: u16, options: &BindOptions) -> Result<Self, Error> {
        let dir = directory("named")?;
        let port = options.port.map_or_else(free_port, Ok)?;
        let text = configuration(zones, key, world_port, port, options, &dir.path().to_string_lossy());
        fs::write(dir.path().join("allow.db"), allow_zone(&options.local_passthru))?;
        Self::run(dir, &text, port)
    }

    /// Starts one that is configured with what a member pastes: into `options { }`, and beside them. `beside` may name
    /// files; the world is at `world_port`.
    ///
    /// # Errors
    /// As [`Bind::start`].
    pub fn start_pasted(options: &str, beside: &str, port: u16, world_port: u16) -> Result<Self, Error> {
        let dir = directory("named")?;
        let here = dir.path().to_string_lossy().into_owned();
        let text = format!(
            "options {{ directory \"{here}\"; pid-file \"{here}/named.pid\"; session-keyfile \"{here}/session.key\";\n \
             listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion yes; allow-query {{ any; }};\n  \
             dnssec-validation no; empty-zones-enable no; forward only; forwarders {{ 127.0.0.1 port {world_port}; }};\n\
             {options}}};\ncontrols {{ }};\nzone \".\" {{ type hint; file \"/dev/null\"; }};\n{beside}"
        );
        Self::run(dir, &text, port)
    }

    fn run(dir: TempDir, configuration: &str, port: u16) -> Result<Self, Error> {
        fs::write(dir.path().join("named.conf"), configuration)?;
        let config = dir.path().join("named.conf").to_string_lossy().into_owned();
        let mut daemon = Daemon::start("named", "bind9", dir, &["-c", &config, "-g", "-n", "2"])?;
        daemon.wait_ready(port)?;
        Ok(Self { daemon, port })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Asks it once.
    pub fn ask(&self, name: &str, rtype: Rtype) -> Option<Answer> {
        ask(self.address(), name, rtype, Duration::from_secs(2))
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.daemon.log()
    }
}

fn configuration(zones: &[Rpz], key: &Tsig, world: u16, port: u16, options: &BindOptions, dir: &str) -> String {
    let Tsig { name, secret_base64 } = key;
    let recursive_only = if options.recursive_only { "yes" } else { "no" };
    let veto = if options.local_passthru.is_empty() { "" } else { "zone \"allow.local\" policy passthru; " };
    let mut policy = veto.to_owned();
    let mut secondaries = String::new();
    for Rpz { zone, primary } in zones {
        let (ip, primary_port) = (primary.ip(), primary.port());
        // Writing into a string cannot fail.
        let _ = write!(policy, "zone \"{zone}\" policy given log yes; ");
        let _ = writeln!(
            secondaries,
            "zone \"{zone}\" {{ type secondary; primaries {{ {ip} port {primary_port} key {name}; }}; \
             file \"{zone}.db\"; \
             request-ixfr yes; notify no; min-refresh-time 1; min-retry-time 1; allow-notify {{ key {name}; }}; }};"
        );
    }
    format!(
        r#"key "{name}" {{ algorithm hmac-sha256; secret "{secret_base64}"; }};
options {{ directory "{dir}"; pid-file "{dir}/named.pid"; session-keyfile "{dir}/session.key";
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion yes; allow-query {{ any; }}; dnssec-validation no; empty-zones-enable no; notify no;
  serial-query-rate 1000; forward only; forwarders {{ 127.0.0.1 port {world}; }};
  response-policy {{ {policy}}} qname-wait-recurse no min-update-interval 0 recursive-only {recursive_only}; }};
controls {{ }};
zone "." {{ type hint; file "/dev/null"; }};
zone "allow.local" {{ type primary; file "allow.db"; }};
{secondaries}"#
    )
}

fn allow_zone(names: &[String]) -> String {
    let mut text = "$TTL 5\n@ SOA localhost. localhost. 1 3600 600 86400 5\n@ NS localhost.\n".to_owned();
    for name in names {
        let _ = writeln!(text, "{name} CNAME rpz-passthru.\n*.{name} CNAME rpz-passthru.");
    }
    text
}

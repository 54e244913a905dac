//! A real Unbound on loopback, as a member would run it: recursive, with our policy zones as a secondary of them.

use crate::Error;
use crate::bind::Rpz;
use crate::dns::{Answer, Daemon, ask, directory, free_port};
use domain::base::iana::Rtype;
use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// A running `unbound`.
#[derive(Debug)]
pub struct Unbound {
    daemon: Daemon,
    port: u16,
}

impl Unbound {
    /// Starts one that transfers `zones` (without a key, which it cannot use), in the order of precedence, and knows
    /// the rest from the world at `world_port`. Returns when it answers queries; the zones may still be on their way.
    ///
    /// # Errors
    /// Unbound is not installed, or does not start; with its log.
    pub fn start(zones: &[Rpz], world_port: u16) -> Result<Self, Error> {
        Self::start_on(free_port()?, zones, world_port)
    }

    /// [`Unbound::start`] on a port of the caller's choice ([`free_port`]), so that a primary can know it beforehand.
    ///
    /// # Errors
    /// As [`Unbound::start`].
    pub fn start_on(port: u16, zones: &[Rpz], world_port: u16) -> Result<Self, Error> {
        let mut started = Self::spawn(port, zones, world_port)?;
        started.daemon.wait_ready(port)?;
        Ok(started)
    }

    /// Several at once, each on the port given.
    ///
    /// # Errors
    /// As [`Unbound::start`].
    pub fn start_all(ports: &[u16], zones: &[Rpz], world_port: u16) -> Result<Vec<Self>, Error> {
        let mut all: Vec<Self> =
            ports.iter().map(|port| Self::spawn(*port, zones, world_port)).collect::<Result<_, _>>()?;
        all.iter_mut().try_for_each(|one| one.daemon.wait_ready(one.port))?;
        Ok(all)
    }

    /// One that is configured with what a member pastes beside its own configuration.
    ///
    /// # Errors
    /// As [`Unbound::start`].
    pub fn start_pasted(pasted: &str, port: u16, world_port: u16) -> Result<Self, Error> {
        let mut started = Self::spawn_with(port, |dir| configuration(&[], world_port, port, dir) + pasted)?;
        started.daemon.wait_ready(port)?;
        Ok(started)
    }

    fn spawn(port: u16, zones: &[Rpz], world_port: u16) -> Result<Self, Error> {
        Self::spawn_with(port, |dir| configuration(zones, world_port, port, dir))
    }

    fn spawn_with(port: u16, text: impl FnOnce(&str) -> String) -> Result<Self, Error> {
        let dir = directory("unbound")?;
        let text = text(&dir.path().to_string_lossy());
        let config = dir.path().join("unbound.conf");
        fs::write(&config, text)?;
        let daemon = Daemon::start("unbound", "unbound", dir, &["-c", &config.to_string_lossy(), "-d"])?;
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

fn configuration(zones: &[Rpz], world: u16, port: u16, dir: &str) -> String {
    let mut text = format!(
        r#"server:
  interface: 127.0.0.1@{port}
  do-daemonize: no
  chroot: ""
  username: ""
  directory: "{dir}"
  pidfile: "{dir}/pid"
  use-syslog: no
  do-ip6: no
  num-threads: 1
  do-not-query-localhost: no
  module-config: "respip iterator"
  local-zone: test. nodefault
  access-control: 127.0.0.0/8 allow
remote-control:
  control-enable: no
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{world}
"#
    );
    for Rpz { zone, primary } in zones {
        let (ip, primary_port) = (primary.ip(), primary.port());
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            r#"rpz:
  name: "{zone}"
  primary: {ip}@{primary_port}
  allow-notify: {ip}
  zonefile: "{zone}.db"
  rpz-log: yes
"#
        );
    }
    text
}

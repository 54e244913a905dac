//! Network namespaces attacker - router - victim, with real packets between them: made for one test, removed on drop.
//!
//! Needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) and iproute2. Nothing outside the namespaces is touched: the veth pairs
//! are born inside them.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long a probe waits for an answer before it counts as unanswered; the way takes well under a millisecond.
const ANSWER_MS: u64 = 400;

/// Where names of namespaces stand (ip-netns(8)).
const NAMES: &str = "/run/netns";

/// Probes before what ought to get through is given up: on a busy machine the first ones may be late.
const PROBES_MAX: u32 = 75;
/// How long bytes on an established connection may take that ought to get through.
const PATIENCE: Duration = Duration::from_secs(30);

/// The attacker's addresses: two IPv4, two IPv6 of one /64, one IPv6 of another.
pub const ATTACKER: [&str; 5] = ["192.0.2.10", "192.0.2.11", "2001:db8:1::10", "2001:db8:1::11", "2001:db8:1:1::10"];
/// The router's addresses on the attacker's and on the victim's side.
pub const ROUTER: [&str; 5] = ["192.0.2.1", "2001:db8:1::1", "2001:db8:1:1::1", "198.51.100.1", "2001:db8:2::1"];
/// The victim's addresses.
pub const VICTIM: [&str; 2] = ["198.51.100.10", "2001:db8:2::10"];

/// What went wrong while a network was made or used: a sentence for the person who runs the test.
#[derive(Debug)]
pub struct NetnsError(String);

impl std::fmt::Display for NetnsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NetnsError {}

/// One namespace; removed on drop.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// A new namespace with its loopback up; the name is unique on this machine.
    ///
    /// # Errors
    /// Not root, or no iproute2.
    pub fn new(role: &str) -> Result<Self, NetnsError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            let why = "this test makes network namespaces and real packet filters: run it as root";
            return Err(NetnsError(format!("{why} (sudo -E cargo test), or in a container with CAP_SYS_ADMIN")));
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("epi-{}-{count}-{role}", std::process::id());
        let netns = Self::named(name)?;
        netns.within(no_duplicate_detection).map_err(|e| NetnsError(format!("IPv6 could not be set up: {e}")))?;
        netns.ip("link set lo up")?;
        Ok(netns)
    }

    /// One of this name. It holds our number: what is there by that name was left by a process that was killed and had
    /// the number before us.
    fn named(name: String) -> Result<Self, NetnsError> {
        if std::path::Path::new(NAMES).join(&name).exists() {
            ip(&["netns", "del", &name])?;
        }
        ip(&["netns", "add", &name])?;
        Ok(Self { name })
    }

    /// Its name, as `ip netns list` shows it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` inside; words are separated by single blanks.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn ip(&self, words: &str) -> Result<String, NetnsError> {
        let mut arguments = vec!["-n", &self.name];
        arguments.extend(words.split(' '));
        ip(&arguments)
    }

    /// Runs `nft` inside with one command, as a third party would; its output.
    ///
    /// # Errors
    /// What `nft` said.
    pub fn nft(&self, command: &str) -> Result<String, NetnsError> {
        ip(&["netns", "exec", &self.name, "nft", command])
    }

    /// Does `work` inside, on a thread of its own. Sockets opened there stay there, wherever they are used later.
    ///
    /// # Errors
    /// The namespace is gone, or what `work` gave.
    pub fn within<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let enter_and_work = || {
            let link = File::open(format!("/run/netns/{}", self.name))?;
            move_into_link_name_space(link.as_fd(), Some(LinkNameSpaceType::Network))?;
            work()
        };
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<T>>| thread.join();
        std::thread::scope(|scope| join(scope.spawn(enter_and_work)))
            .unwrap_or_else(|_| Err(io::Error::other("the thread inside the namespace panicked")))
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Already gone is as good as removed.
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(arguments: &[&str]) -> Result<String, NetnsError> {
    let said = |e: io::Error| NetnsError(format!("ip could not be started: {e}; on Debian: apt install iproute2"));
    let output = Command::new("ip").args(arguments).env("LC_ALL", "C").output().map_err(said)?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(NetnsError(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))),
    }
}

/// Attacker - router - victim, IPv4 and IPv6, with an echo service at the victim (UDP and TCP, one port).
#[derive(Debug)]
pub struct Path {
    /// Where attacks come from.
    pub attacker: Netns,
    /// The member's own router: here the packet filter stands.
    pub router: Netns,
    /// Behind the router.
    pub victim: Netns,
    /// The port of the echo service on each of [`VICTIM`].
    pub port: u16,
}

impl Path {
    /// Makes the three namespaces, joins them and starts the echo service.
    ///
    /// # Errors
    /// As [`Netns::new`], or a refused `ip` command.
    pub fn new() -> Result<Self, NetnsError> {
        let (attacker, router, victim) = (Netns::new("attacker")?, Netns::new("router")?, Netns::new("victim")?);
        join_pair(&attacker, &router, "near")?;
        join_pair(&victim, &router, "far")?;
        addresses(&attacker, "wire", &ATTACKER)?;
        addresses(&router, "near", &ROUTER[..3])?;
        addresses(&router, "far", &ROUTER[3..])?;
        addresses(&victim, "wire", &VICTIM)?;
        for (netns, v4, v6) in [(&attacker, ROUTER[0], ROUTER[1]), (&victim, ROUTER[3], ROUTER[4])] {
            netns.ip(&format!("route add default via {v4}"))?;
            netns.ip(&format!("-6 route add default via {v6}"))?;
        }
        router.within(forward).map_err(|e| NetnsError(format!("forwarding could not be switched on: {e}")))?;
        let port = victim.within(echo).map_err(|e| NetnsError(format!("the echo service did not start: {e}")))?;
        let path = Self { attacker, router, victim, port };
        path.ready()?;
        Ok(path)
    }

    /// Waits until both families pass: links and neighbours need a moment on a busy machine.
    fn ready(&self) -> Result<(), NetnsError> {
        for (from, to) in [(ATTACKER[0], VICTIM[0]), (ATTACKER[2], VICTIM[1])] {
            if !(0..PROBES_MAX).any(|_| self.udp_passes(from, to).unwrap_or(false)) {
                return Err(NetnsError(format!("no packet came through from {from} to {to}")));
            }
        }
        Ok(())
    }

    /// Sends one datagram from an attacker's address to a victim's; did the echo come back?
    ///
    /// # Errors
    /// The socket could not be opened, or the packet not be sent.
    pub fn udp_passes(&self, from: &str, to: &str) -> io::Result<bool> {
        let socket = self.udp_socket(from, to)?;
        socket.send(b"passes?")?;
        answered(socket.recv(&mut [0; 64]))
    }

    /// As [`Path::udp_passes`] where the answer ought to be yes: asks until it is, or has been no for long.
    ///
    /// # Errors
    /// As there.
    pub fn udp_gets_through(&self, from: &str, to: &str) -> io::Result<bool> {
        sooner_or_later(|| self.udp_passes(from, to))
    }

    /// A datagram socket from an attacker's address, connected to the echo service at `to`.
    ///
    /// # Errors
    /// No such address.
    pub fn udp_socket(&self, from: &str, to: &str) -> io::Result<UdpSocket> {
        let (from, to) = (socket_address(from, 0)?, socket_address(to, self.port)?);
        let socket = self.attacker.within(|| UdpSocket::bind(from))?;
        socket.set_read_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
        socket.connect(to)?;
        Ok(socket)
    }

    /// Sends one datagram from the router itself to a service of the attacker; did it arrive?
    ///
    /// # Errors
    /// No such address.
    pub fn own_host_reaches(&self, attacker: &str) -> io::Result<bool> {
        let at = socket_address(attacker, 0)?;
        let service = self.attacker.within(|| UdpSocket::bind(at))?;
        service.set_read_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
        let unspecified = if at.is_ipv4() { "0.0.0.0" } else { "::" };
        let local = socket_address(unspecified, 0)?;
        let sender = self.router.within(|| UdpSocket::bind(local))?;
        match sender.send_to(b"reaches?", service.local_addr()?) {
            // The output hook tells the sender itself.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            sent => sent.map(|_| ())?,
        }
        answered(service.recv(&mut [0; 64]))
    }

    /// As [`Path::own_host_reaches`] where the answer ought to be yes: asks until it is, or has been no for long.
    ///
    /// # Errors
    /// As there.
    pub fn own_host_gets_through(&self, attacker: &str) -> io::Result<bool> {
        sooner_or_later(|| self.own_host_reaches(attacker))
    }

    /// An established connection from the attacker's default address to the echo service at `to`.
    ///
    /// # Errors
    /// The connection was not answered.
    pub fn connect(&self, to: &str) -> io::Result<Connection> {
        let to = socket_address(to, self.port)?;
        let stream = self.attacker.within(|| TcpStream::connect_timeout(&to, PATIENCE))?;
        stream.set_read_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
        Ok(Connection(stream))
    }
}

/// An established TCP connection.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Sends a few bytes; did they come back?
    ///
    /// # Errors
    /// The connection was closed or reset.
    pub fn passes(&mut self) -> io::Result<bool> {
        self.0.write_all(b"passes?")?;
        answered(self.0.read(&mut [0; 64]))
    }

    /// As [`Connection::passes`] where the answer ought to be yes: waits for long.
    ///
    /// # Errors
    /// As there.
    pub fn gets_through(&mut self) -> io::Result<bool> {
        self.0.set_read_timeout(Some(PATIENCE))?;
        let passed = self.passes();
        self.0.set_read_timeout(Some(Duration::from_millis(ANSWER_MS)))?;
        passed
    }
}

fn sooner_or_later(mut probe: impl FnMut() -> io::Result<bool>) -> io::Result<bool> {
    for _ in 0..PROBES_MAX {
        if probe()? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn answered(received: io::Result<usize>) -> io::Result<bool> {
    match received {
        Ok(count) => Ok(count > 0),
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Ok(false),
        Err(e) => Err(e),
    }
}

fn socket_address(address: &str, port: u16) -> io::Result<SocketAddr> {
    let address: IpAddr = address.parse().map_err(io::Error::other)?;
    Ok(SocketAddr::new(address, port))
}

/// A veth pair: `wire` on the outer side, `at` on the router.
fn join_pair(outer: &Netns, router: &Netns, at: &str) -> Result<(), NetnsError> {
    outer.ip(&format!("link add wire type veth peer name {at} netns {}", router.name()))?;
    outer.ip("link set wire up")?;
    router.ip(&format!("link set {at} up")).map(|_| ())
}

fn addresses(netns: &Netns, device: &str, list: &[&str]) -> Result<(), NetnsError> {
    for address in list {
        let length = if address.contains(':') { 64 } else { 24 };
        netns.ip(&format!("addr add {address}/{length} dev {device}"))?;
    }
    Ok(())
}

/// The addresses are ours alone, and waiting for duplicates to object takes seconds.
fn no_duplicate_detection() -> io::Result<()> {
    std::fs::write("/proc/sys/net/ipv6/conf/all/accept_dad", "0")?;
    std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0")
}

fn forward() -> io::Result<()> {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
    std::fs::write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
}

/// Echoes datagrams and connections on every address; the threads end with the process.
fn echo() -> io::Result<u16> {
    let datagrams = UdpSocket::bind("[::]:0")?;
    let port = datagrams.local_addr()?.port();
    let listener = TcpListener::bind(("::", port))?;
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        loop {
            if let Ok((count, from)) = datagrams.recv_from(&mut buffer) {
                // An answer that cannot be sent is a probe that stays unanswered.
                let _ = datagrams.send_to(&buffer[..count], from);
            }
        }
    });
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || io::copy(&mut &stream, &mut &stream));
        }
    });
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_under_our_name_gives_way() -> Result<(), NetnsError> {
        let name = format!("epi-{}-left", std::process::id());
        std::mem::forget(Netns::named(name.clone())?);
        let ours = Netns::named(name.clone())?;
        assert_eq!(ours.name(), name);
        Ok(())
    }
}

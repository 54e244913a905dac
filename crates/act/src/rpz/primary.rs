//! The primary: zones, their changes, and the thread that serves them.

use super::access::{Access, TsigKey};
use super::door::Door;
use super::entry::Change;
use super::live::{LiveZone, ZoneSettings};
use super::notify::{Secondary, keep_told};
use super::server::Server;
use super::zone::Zone;
use crate::PointError;
use domain::base::Serial;
use ipnet::IpNet;
use model::Timestamp;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// Attempts to find a port that is free for both UDP and TCP when the configuration leaves the choice to us.
const PORT_ATTEMPTS: u32 = 16;
/// Most zones and most secondaries.
const ZONES_MAX: usize = 8;
const SECONDARIES_MAX: usize = 256;

/// How often is looked for what has ended.
const EXPIRY_TICK: Duration = Duration::from_millis(500);

/// What the primary serves, and to whom.
#[derive(Clone, Debug)]
pub struct PrimarySettings {
    /// Where to listen; port 0: any free one.
    pub listen: SocketAddr,
    /// Keys that may transfer, from any address.
    pub keys: Vec<TsigKey>,
    /// Addresses that may transfer without a key (Unbound's `primary:` cannot sign).
    pub allow_unsigned: Vec<IpNet>,
    /// Resolvers that are told of each new version.
    pub secondaries: Vec<Secondary>,
    /// The zones.
    pub zones: Vec<ZoneSettings>,
}

/// A running primary; stops when dropped.
#[derive(Debug)]
pub struct Primary {
    address: SocketAddr,
    zones: Vec<Arc<LiveZone>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Primary {
    /// Opens the sockets and serves from a thread of its own. Until the first commit with [`Change::Clear`] a zone's
    /// queries are answered SERVFAIL, so that resolvers keep what they have.
    ///
    /// # Errors
    /// Broken: the settings contradict themselves, the port is taken, or a serial file is damaged.
    pub fn start(settings: PrimarySettings) -> Result<Self, PointError> {
        let zones = live_zones(&settings)?;
        let access = Access::new(settings.keys, settings.allow_unsigned)?;
        let (udp, tcp) = bind(settings.listen)
            .map_err(|error| PointError::Broken(format!("rpz: cannot listen on {}: {error}", settings.listen)))?;
        let unusable = |error: std::io::Error| PointError::Broken(format!("rpz: {error}"));
        let address = tcp.local_addr().map_err(unusable)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unusable)?;
        let (stop, stopped) = oneshot::channel();
        let door = Arc::new(Door { access, zones: zones.clone() });
        let work = serve(door, udp, tcp, settings.secondaries, stopped);
        let thread = std::thread::Builder::new()
            .name("rpz".to_owned())
            .spawn(move || {
                if let Err(error) = runtime.block_on(work) {
                    tracing::error!(%error, "rpz: the primary has stopped");
                }
            })
            .map_err(unusable)?;
        Ok(Self { address, zones, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes `changes` one new version of the zone with this tag, announced when this returns. Gives the
    /// version that has them; changes that change nothing give the present one.
    ///
    /// # Errors
    /// Refused: a limit of the zone. Unavailable: the serial could not be made durable. Broken: there is no such zone.
    pub fn commit(&self, tag: &str, changes: &[Change]) -> Result<Serial, PointError> {
        self.zone(tag)?.commit(changes)
    }

    /// Looks at a zone between two changes.
    ///
    /// # Errors
    /// Broken: there is no such zone.
    pub fn look<T>(&self, tag: &str, look: impl FnOnce(&Zone) -> T) -> Result<T, PointError> {
        Ok(self.zone(tag)?.with(look))
    }

    fn zone(&self, tag: &str) -> Result<&LiveZone, PointError> {
        let zone = self.zones.iter().find(|zone| zone.tag == tag);
        zone.map(Arc::as_ref).ok_or_else(|| PointError::Broken(format!("rpz: no zone with the tag `{tag}`")))
    }
}

impl Drop for Primary {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone when the thread has already ended.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn live_zones(settings: &PrimarySettings) -> Result<Vec<Arc<LiveZone>>, PointError> {
    let broken = |what: &str| PointError::Broken(format!("rpz: {what}"));
    let zones = &settings.zones;
    if zones.is_empty() || zones.len() > ZONES_MAX || settings.secondaries.len() > SECONDARIES_MAX {
        return Err(broken("needs 1 to 8 zones and at most 256 secondaries"));
    }
    for (i, zone) in zones.iter().enumerate() {
        let same = |other: &ZoneSettings| {
            other.tag == zone.tag
                || other.name.eq_ignore_ascii_case(&zone.name)
                || other.serial_file == zone.serial_file
        };
        if zones[..i].iter().any(same) {
            return Err(broken("two zones share a name, a tag or a serial file"));
        }
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    zones.iter().map(|zone| LiveZone::new(zone, seconds).map(Arc::new)).collect()
}

/// One port for both transports.
fn bind(listen: SocketAddr) -> std::io::Result<(UdpSocket, TcpListener)> {
    let mut attempt = 1;
    loop {
        let tcp = TcpListener::bind(listen)?;
        match UdpSocket::bind(tcp.local_addr()?) {
            Ok(udp) => {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok((udp, tcp));
            }
            Err(_) if listen.port() == 0 && attempt < PORT_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn serve(
    door: Arc<Door>,
    udp: UdpSocket,
    tcp: TcpListener,
    secondaries: Vec<Secondary>,
    stopped: oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let source = udp.local_addr()?.ip();
    for zone in &door.zones {
        for secondary in secondaries.iter().cloned() {
            // An unspecified source lets the kernel choose; families must agree.
            let source = if source.is_ipv4() == secondary.address.is_ipv4() { source } else { any(&secondary) };
            tokio::spawn(keep_told(Arc::clone(zone), secondary, source));
        }
    }
    for zone in &door.zones {
        tokio::spawn(keep_expiring(Arc::clone(zone)));
    }
    let udp = tokio::net::UdpSocket::from_std(udp)?;
    let tcp = tokio::net::TcpListener::from_std(tcp)?;
    tokio::select! {
        () = Server { door, udp, tcp }.run() => {}
        _ = stopped => {}
    }
    Ok(())
}

/// Takes out what has ended, also when nobody asks for it: Unbound never lets a zone expire by itself.
async fn keep_expiring(zone: Arc<LiveZone>) {
    loop {
        tokio::time::sleep(EXPIRY_TICK).await;
        let now = now();
        if zone.has_ended(now)
            && let Err(error) = zone.commit(&[Change::Expire(now)])
        {
            tracing::error!(zone = %zone.frame.apex, %error, "rpz: what has ended is still served; tried again");
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn any(secondary: &Secondary) -> std::net::IpAddr {
    match secondary.address.is_ipv4() {
        true => std::net::Ipv4Addr::UNSPECIFIED.into(),
        false => std::net::Ipv6Addr::UNSPECIFIED.into(),
    }
}

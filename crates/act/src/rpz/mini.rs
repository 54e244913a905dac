//! A small resolver that follows policy zones as BIND and Unbound do, for demonstrations on a machine that has neither.
//!
//! What it is not: a resolver for anybody's users. It resolves nothing by itself (a function of the caller is its
//! world), speaks UDP only to its clients, knows no DNSSEC, no TSIG, no cache, and answers nobody while it transfers.

use super::mini_zone::{Followed, Found};
use super::owner::Owner;
use crate::PointError;
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::PushError;
use domain::base::{Message, MessageBuilder, Name, Ttl};
use domain::rdata::{A, Aaaa, Cname, Soa, Txt};
use std::fmt;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long the socket is listened to before the clock is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Redirects followed for one question.
const REDIRECTS_MAX: usize = 4;
const REQUEST_OCTETS_MAX: usize = 4_096;

/// The rest of the DNS: the address of a name in lower case, if it exists.
pub type WorldFn = Arc<dyn Fn(&str) -> Option<IpAddr> + Send + Sync>;

/// What a small resolver follows.
#[derive(Clone)]
pub struct MiniSettings {
    /// Where to answer; port 0: any free one.
    pub listen: SocketAddr,
    /// The primary, which must allow this address to transfer without a key.
    pub primary: SocketAddr,
    /// The zones' names, in order of precedence.
    pub zones: Vec<String>,
    /// The rest of the DNS.
    pub world: WorldFn,
}

impl fmt::Debug for MiniSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MiniSettings({} follows {:?} of {})", self.listen, self.zones, self.primary)
    }
}

/// A running small resolver; stops when dropped.
#[derive(Debug)]
pub struct Mini {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Mini {
    /// Starts it in a thread of its own.
    ///
    /// # Errors
    /// Broken: the address is taken or a zone's name is none.
    pub fn start(settings: MiniSettings) -> Result<Self, PointError> {
        let broken = |what: String| PointError::Broken(format!("small resolver: {what}"));
        let zones: Result<Vec<Followed>, PointError> = settings
            .zones
            .iter()
            .map(|zone| {
                Followed::new(zone, settings.primary).ok_or_else(|| broken(format!("`{zone}` is no zone name")))
            })
            .collect();
        let socket =
            UdpSocket::bind(settings.listen).map_err(|error| broken(format!("{}: {error}", settings.listen)))?;
        socket.set_read_timeout(Some(TICK)).map_err(|error| broken(error.to_string()))?;
        let address = socket.local_addr().map_err(|error| broken(error.to_string()))?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut resolver = Resolver { socket, zones: zones?, settings, stop: Arc::clone(&stop) };
        let thread = std::thread::Builder::new()
            .name("small-resolver".to_owned())
            .spawn(move || resolver.run())
            .map_err(|error| broken(error.to_string()))?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it answers.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Mini {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Resolver {
    socket: UdpSocket,
    zones: Vec<Followed>,
    settings: MiniSettings,
    stop: Arc<AtomicBool>,
}

impl Resolver {
    fn run(&mut self) {
        let mut buffer = [0; REQUEST_OCTETS_MAX];
        while !self.stop.load(Ordering::Relaxed) {
            self.zones.iter_mut().for_each(Followed::refresh_if_due);
            let Ok((length, peer)) = self.socket.recv_from(&mut buffer) else { continue };
            let Ok(request) = Message::from_octets(&buffer[..length]) else { continue };
            if request.header().qr() {
                continue;
            }
            if let Ok(reply) = self.answer(&request, peer) {
                // A lost answer is asked for again.
                let _ = self.socket.send_to(&reply, peer);
            }
        }
    }

    fn answer(&mut self, request: &Message<&[u8]>, peer: SocketAddr) -> Result<Vec<u8>, PushError> {
        let error = |rcode| Ok(MessageBuilder::new_vec().start_answer(request, rcode)?.finish());
        let Ok(question) = request.sole_question() else { return error(Rcode::FORMERR) };
        let name: Name<Vec<u8>> = domain::base::ToName::to_name(&question.qname());
        match request.header().opcode() {
            Opcode::NOTIFY if peer.ip() == self.settings.primary.ip() => {
                let zone = self.zones.iter_mut().find(|zone| *zone.apex() == name);
                zone.into_iter().for_each(Followed::notified);
                error(Rcode::NOERROR)
            }
            Opcode::QUERY if question.qclass() == Class::IN => self.resolve(request, name, question.qtype()),
            _ => error(Rcode::REFUSED),
        }
    }

    fn resolve(&self, request: &Message<&[u8]>, name: Name<Vec<u8>>, rtype: Rtype) -> Result<Vec<u8>, PushError> {
        let ttl = Ttl::from_secs(1);
        let mut answer = MessageBuilder::new_vec().start_answer(request, Rcode::NOERROR)?;
        answer.header_mut().set_ra(true);
        let mut at = name;
        for _ in 0..=REDIRECTS_MAX {
            match self.decide(&at, rtype) {
                Verdict::NxDomain => answer.header_mut().set_rcode(Rcode::NXDOMAIN),
                Verdict::NoData => {}
                Verdict::Notes(notes) => {
                    for note in notes {
                        let txt: Txt<Vec<u8>> =
                            Txt::build_from_slice(note.as_bytes()).map_err(|_| PushError::ShortBuf)?;
                        answer.push((&at, Class::IN, ttl, txt))?;
                    }
                }
                Verdict::Redirect(to) => {
                    answer.push((&at, Class::IN, ttl, Cname::new(&to)))?;
                    at = to;
                    continue;
                }
                Verdict::Address(IpAddr::V4(v4)) => answer.push((&at, Class::IN, ttl, A::new(v4)))?,
                Verdict::Address(IpAddr::V6(v6)) => answer.push((&at, Class::IN, ttl, Aaaa::new(v6)))?,
            }
            break;
        }
        Ok(answer.finish())
    }

    fn decide(&self, name: &Name<Vec<u8>>, rtype: Rtype) -> Verdict {
        let owner = Owner::from_labels(name.iter().filter(|label| !label.is_root()).map(|label| label.as_slice()));
        let found = owner.as_ref().and_then(|owner| self.zones.iter().find_map(|zone| zone.find(owner)));
        match found {
            Some(Found::NxDomain) => return Verdict::NxDomain,
            Some(Found::NoData) => return Verdict::NoData,
            Some(Found::Redirect(to)) => return Verdict::Redirect(to),
            Some(Found::Notes(notes)) if rtype == Rtype::TXT => return Verdict::Notes(notes),
            Some(Found::Notes(_)) => return Verdict::NoData,
            Some(Found::Passthru) | None => {}
        }
        let passed = found.is_some();
        let text = name.to_string().trim_end_matches('.').to_ascii_lowercase();
        match (self.settings.world)(&text) {
            None => Verdict::NxDomain,
            Some(address) if !passed && self.zones.iter().any(|zone| zone.blocks(address)) => Verdict::NxDomain,
            Some(address) if (rtype == Rtype::A) == address.is_ipv4() && is_address(rtype) => Verdict::Address(address),
            Some(_) => Verdict::NoData,
        }
    }
}

fn is_address(rtype: Rtype) -> bool {
    matches!(rtype, Rtype::A | Rtype::AAAA)
}

enum Verdict {
    NxDomain,
    NoData,
    Notes(Vec<String>),
    Redirect(Name<Vec<u8>>),
    Address(IpAddr),
}

/// The timers of a zone, from its SOA.
pub(super) fn timers<N>(soa: &Soa<N>) -> (Duration, Duration, Duration) {
    let seconds = |ttl: Ttl| Duration::from_secs(u64::from(ttl.as_secs()).max(1));
    (seconds(soa.refresh()), seconds(soa.retry()), seconds(soa.expire()))
}

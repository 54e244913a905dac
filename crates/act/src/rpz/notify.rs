//! Telling secondaries of a new version (RFC 1996), again and again until they have fetched it.

use super::access::{Identity, TsigKey};
use super::live::LiveZone;
use super::wire;
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::PushError;
use domain::base::{Message, Serial, Ttl};
use domain::rdata::tsig::Time48;
use domain::tsig::{ClientTransaction, Key};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// The first wait for a sign of life; each next one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait: a secondary that was away has the news so long after it is back.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// The wait after a refusal: the secondary does not follow this zone, or its configuration is wrong.
const WAIT_REFUSED: Duration = Duration::from_secs(60);
/// After so many messages without success an operator should know.
const WARN_AFTER: u32 = 6;

/// A resolver that is to be told.
#[derive(Clone, Debug)]
pub struct Secondary {
    /// Where it listens.
    pub address: SocketAddr,
    /// BIND wants the NOTIFY signed; Unbound cannot check a signature and wants it from the primary's address.
    pub key: Option<TsigKey>,
}

impl Secondary {
    /// How its transfers are recognised: by its key, else by its address.
    fn identity(&self) -> Identity {
        match &self.key {
            Some(key) => Identity::Key(key.name().to_owned()),
            None => Identity::Address(self.address.ip().to_canonical()),
        }
    }
}

/// Tells one secondary of every version of one zone; ends when the zone goes away.
pub(super) async fn keep_told(zone: Arc<LiveZone>, secondary: Secondary, source: IpAddr) {
    let mut versions = zone.versions();
    // A version from before this task began is news as well.
    versions.mark_changed();
    while versions.changed().await.is_ok() {
        if let Err(error) = tell(&zone, &secondary, source, &mut versions).await {
            tracing::warn!(zone = %zone.frame.apex, to = %secondary.address, %error, "rpz: NOTIFY not possible");
            tokio::time::sleep(WAIT_MAX).await;
            versions.mark_changed();
        }
    }
}

/// Sends until the secondary has acknowledged and fetched the version; a newer version starts afresh.
///
/// Both signs are wanted: several resolvers may share one key or address, so that a fetch alone may be another's, and
/// an acknowledgement alone says nothing about the transfer after it.
async fn tell(
    zone: &LiveZone,
    secondary: &Secondary,
    source: IpAddr,
    versions: &mut watch::Receiver<Option<Serial>>,
) -> io::Result<()> {
    let Some(mut serial) = *versions.borrow_and_update() else { return Ok(()) };
    let socket = UdpSocket::bind((source, 0)).await?;
    socket.connect(secondary.address).await?;
    let identity = secondary.identity();
    let mut fetches = zone.fetches();
    let mut buffer = [0; 1_024];
    let (mut acknowledged, mut sent, mut wait) = (false, 0u32, WAIT_FIRST);
    loop {
        let has = fetches.borrow_and_update().get(&identity).is_some_and(|has| *has >= serial);
        if has && acknowledged {
            return Ok(());
        }
        let notice = Notice::build(zone, serial, secondary.key.as_ref()).map_err(io::Error::other)?;
        // An error here is an ICMP message about an earlier one: the secondary is away, and is asked again.
        let _ = socket.send(&notice.octets).await;
        sent = sent.saturating_add(1);
        if sent == WARN_AFTER {
            tracing::warn!(zone = %zone.frame.apex, to = %secondary.address, serial = serial.into_int(), acknowledged,
                "rpz: secondary has not fetched the zone; NOTIFY goes on");
        }
        let mut deadline = Instant::now() + wait;
        wait = (wait * 2).min(WAIT_MAX);
        loop {
            tokio::select! {
                () = sleep_until(deadline) => break,
                received = socket.recv(&mut buffer) => match received {
                    Ok(length) => match notice.answered_by(&buffer[..length]) {
                        Some(Rcode::NOERROR) => acknowledged = true,
                        Some(_) => deadline = Instant::now() + WAIT_REFUSED,
                        None => {}
                    },
                    Err(_) => { sleep_until(deadline).await; break }
                },
                changed = fetches.changed() => if changed.is_err() { return Ok(()) },
                changed = versions.changed() => {
                    if changed.is_err() { return Ok(()) }
                    if let Some(newer) = *versions.borrow_and_update() { serial = newer; }
                    (acknowledged, sent, wait) = (false, 0, WAIT_FIRST);
                    break;
                }
            }
            let has = fetches.borrow_and_update().get(&identity).is_some_and(|has| *has >= serial);
            if has && acknowledged {
                return Ok(());
            }
        }
    }
}

/// One NOTIFY on its way.
struct Notice {
    id: u16,
    octets: Vec<u8>,
    signature: Option<ClientTransaction<Arc<Key>>>,
}

impl Notice {
    fn build(zone: &LiveZone, serial: Serial, key: Option<&TsigKey>) -> Result<Self, PushError> {
        let mut builder = wire::builder()?;
        let id = random_id();
        builder.header_mut().set_id(id);
        builder.header_mut().set_opcode(Opcode::NOTIFY);
        builder.header_mut().set_aa(true);
        let mut question = builder.question();
        question.push((&zone.frame.apex, Rtype::SOA, Class::IN))?;
        let mut answer = question.answer();
        let ttl = Ttl::from_secs(wire::TTL_SECONDS);
        answer.push((&zone.frame.apex, Class::IN, ttl, wire::soa(&zone.frame, serial)))?;
        let mut message = answer.additional();
        let signature = match key {
            Some(key) => Some(ClientTransaction::request(key.signer(), &mut message, Time48::now())?),
            None => None,
        };
        Ok(Self { id, octets: super::door::octets_of(message), signature })
    }

    /// The code of an answer to this very message; a refusal may come without a signature.
    fn answered_by(&self, octets: &[u8]) -> Option<Rcode> {
        let mut message = Message::try_from_octets(octets.to_vec()).ok()?;
        let header = message.header();
        let ours = header.qr() && header.id() == self.id && header.opcode() == Opcode::NOTIFY;
        let signed = match &self.signature {
            Some(signature) => signature.answer(&mut message, Time48::now()).is_ok(),
            None => true,
        };
        (ours && (signed || header.rcode() != Rcode::NOERROR)).then(|| header.rcode())
    }
}

/// An identifier that cannot be guessed from outside; without randomness a fixed one still works, less safely.
pub(super) fn random_id() -> u16 {
    let mut bytes = [0; 2];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u16::from_be_bytes(bytes),
        Err(_) => 0x4d3a,
    }
}

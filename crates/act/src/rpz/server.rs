//! The primary's sockets: one UDP and one TCP port, with a limit on everything a stranger could use up.

use super::door::{Door, Outcome, REQUEST_OCTETS_MAX, Stream, Via, octets_of};
use super::wire::{Messages, UDP_OCTETS_MAX};
use domain::base::iana::Rcode;
use domain::rdata::tsig::Time48;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// TCP connections at once, from all addresses and from one.
const CONNECTIONS_MAX: usize = 512;
const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// Transfers at once; others wait.
const TRANSFERS_MAX: usize = 32;
/// How long a transfer waits for its turn.
const TRANSFER_WAIT: Duration = Duration::from_secs(5);
/// How long a request waits for a change that is being made (a large bulk list), and how often it looks.
const BUSY_WAIT: Duration = Duration::from_secs(30);
const BUSY_PAUSE: Duration = Duration::from_millis(5);
/// How long a connection may say nothing, and how long one message may take to be taken off our hands.
const IDLE: Duration = Duration::from_secs(10);
/// Requests on one connection.
const REQUESTS_PER_CONNECTION_MAX: usize = 1_000;

/// The sockets and the door behind them.
pub(super) struct Server {
    pub(super) door: Arc<Door>,
    pub(super) udp: UdpSocket,
    pub(super) tcp: TcpListener,
}

impl Server {
    /// Serves until it is dropped.
    pub(super) async fn run(self) {
        tokio::join!(serve_udp(&self.udp, &self.door), serve_tcp(&self.tcp, &self.door));
    }
}

async fn serve_udp(socket: &UdpSocket, door: &Door) {
    let mut buffer = [0; REQUEST_OCTETS_MAX];
    loop {
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // Also the ICMP errors of earlier answers; a pause, so that a lasting one does not spin.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                continue;
            }
        };
        if let Outcome::Reply(reply) = door.handle(buffer[..length].to_vec(), peer.ip(), Via::Udp) {
            let reply = fit_udp(reply);
            // A lost answer is asked for again.
            let _ = socket.send_to(&reply, peer).await;
        }
    }
}

/// An answer that is too long becomes "ask over TCP": the header with TC, and no records.
fn fit_udp(mut reply: Vec<u8>) -> Vec<u8> {
    if reply.len() > usize::from(UDP_OCTETS_MAX) {
        reply.truncate(12);
        reply[2] |= 0x02;
        reply[4..12].fill(0);
    }
    reply
}

async fn serve_tcp(listener: &TcpListener, door: &Arc<Door>) {
    let shared =
        Arc::new(Shared { door: Arc::clone(door), transfers: Semaphore::new(TRANSFERS_MAX), open: Mutex::default() });
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(place) = Place::take(&shared, peer.ip()) else { continue };
                tokio::spawn(async move {
                    if let Err(error) = converse(stream, &place).await {
                        tracing::debug!(%peer, %error, "rpz: connection ended");
                    }
                });
            }
            // Out of file descriptors: wait until some are free again.
            Err(error) => {
                tracing::warn!(%error, "rpz: no new connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

struct Shared {
    door: Arc<Door>,
    transfers: Semaphore,
    open: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection's share of the limits, given back when it ends.
struct Place {
    shared: Arc<Shared>,
    peer: IpAddr,
}

impl Place {
    fn take(shared: &Arc<Shared>, peer: IpAddr) -> Option<Self> {
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let here = open.get(&peer).copied().unwrap_or(0);
        if all >= CONNECTIONS_MAX || here >= CONNECTIONS_PER_ADDRESS_MAX {
            tracing::warn!(%peer, all, here, "rpz: too many connections, this one is closed");
            return None;
        }
        open.insert(peer, here + 1);
        Some(Self { shared: Arc::clone(shared), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = open.get_mut(&self.peer) {
            *here -= 1;
            if *here == 0 {
                open.remove(&self.peer);
            }
        }
    }
}

async fn converse(mut stream: TcpStream, place: &Place) -> io::Result<()> {
    stream.set_nodelay(true)?;
    for _ in 0..REQUESTS_PER_CONNECTION_MAX {
        let Some(request) = in_time(read_message(&mut stream)).await? else { return Ok(()) };
        match patiently(&request, place).await {
            Outcome::Silence | Outcome::Busy => return Ok(()),
            Outcome::Reply(reply) => write_message(&mut stream, &reply).await?,
            Outcome::Stream(transfer) => send(&mut stream, place, *transfer).await?,
        }
    }
    Ok(())
}

/// Waits for a change of the zone that is being made.
async fn patiently(request: &[u8], place: &Place) -> Outcome {
    let end = tokio::time::Instant::now() + BUSY_WAIT;
    loop {
        match place.shared.door.handle(request.to_vec(), place.peer, Via::Tcp) {
            Outcome::Busy if tokio::time::Instant::now() < end => tokio::time::sleep(BUSY_PAUSE).await,
            outcome => return outcome,
        }
    }
}

/// One message with its length before it (RFC 1035 §4.2.2); `None` when the peer has hung up.
async fn read_message(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let length = match stream.read_u16().await {
        Ok(length) => usize::from(length),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > REQUEST_OCTETS_MAX {
        return Err(io::Error::other(format!("a request of {length} octets; at most {REQUEST_OCTETS_MAX}")));
    }
    let mut request = vec![0; length];
    stream.read_exact(&mut request).await?;
    Ok(Some(request))
}

async fn send(stream: &mut TcpStream, place: &Place, transfer: Stream) -> io::Result<()> {
    let Ok(Ok(_turn)) = timeout(TRANSFER_WAIT, place.shared.transfers.acquire()).await else {
        let refusal = super::wire::start(transfer.request.for_slice(), Rcode::SERVFAIL).map_err(io::Error::other)?;
        return write_message(stream, &octets_of(refusal.additional())).await;
    };
    let Stream { request, mut signer, zone, transfer, who } = transfer;
    for message in Messages::new(&zone.frame, request.for_slice(), &transfer) {
        let mut message = message.map_err(io::Error::other)?;
        if let Some(signer) = &mut signer {
            signer.answer(&mut message, Time48::now()).map_err(io::Error::other)?;
        }
        write_message(stream, &octets_of(message)).await?;
        // A long transfer does not hold up the small zone beside it.
        tokio::task::yield_now().await;
    }
    zone.note_fetched(who, transfer.serial());
    Ok(())
}

async fn write_message(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    in_time(stream.write_all(&framed)).await
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(IDLE, work).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "idle for 10 s")),
    }
}

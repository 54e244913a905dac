//! Connections: TLS, HTTP/1.1 and HTTP/2, caps and time limits, and an end: in good order, when nobody asks anything
//! any
//! more, and when the certificate that a connection leans on counts no longer.

use crate::config::Limits;
use crate::core::Core;
use crate::figures::{CONNECTIONS, CONNECTIONS_REFUSED, Figures};
use crate::gate::Shown;
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// Longest header of a request, in bytes.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Requests at a time on one HTTP/2 connection.
const H2_STREAMS_MAX: u32 = 64;
/// Pings find out whether the other side of a quiet HTTP/2 connection is still there.
const H2_PING: Duration = Duration::from_secs(20);
/// Pause after an accept that failed: out of files, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for streams to say that they end, before their connection does.
const LAST_WORD: Duration = Duration::from_millis(250);
/// How long open requests may take when the hub stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The connection a request came by.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Who is at the other end.
    pub(crate) peer: SocketAddr,
    /// Ends the connection at once.
    pub(crate) cut: Arc<Notify>,
    /// The certificate that was shown, if one was.
    pub(crate) certificate: Option<Arc<Shown>>,
}

/// What connections need.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) tls: TlsAcceptor,
    pub(crate) app: Router,
    pub(crate) core: Arc<Core>,
}

impl Server {
    /// Accepts until `stop` says so, then lets open requests finish.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
        let open = Arc::new(Open::default());
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = told_to(&mut stop) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match Open::enter(&open, peer.ip(), &self.core.config.limits, &self.core.figures) {
                Ok(seat) => self.serve(stream, peer, seat, &graceful),
                Err(reason) => self.core.figures.counter(&CONNECTIONS_REFUSED, &[("reason", reason)]).increment(1),
            }
        }
        drop(self.listener);
        if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still open when the hub stopped");
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, seat: Seat, graceful: &GracefulShutdown) {
        let (tls, app, core) = (self.tls.clone(), self.app.clone(), Arc::clone(&self.core));
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let _seat = seat;
            let _ = stream.set_nodelay(true);
            let limits = core.config.limits.clone();
            let shaken = tokio::time::timeout(limits.handshake_time_max.to_std(), tls.accept(stream)).await;
            let Ok(Ok(stream)) = shaken else {
                core.figures.counter(&CONNECTIONS_REFUSED, &[("reason", "handshake")]).increment(1);
                return;
            };
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(|chain| chain.first());
            let certificate = certificate.map(|certificate| crate::joining::shown(&core, certificate));
            let http2 = session.alpn_protocol() == Some(b"h2");
            let connection = Connection { peer, cut: Arc::new(Notify::new()), certificate: certificate.clone() };
            let (cut, busy) = (Arc::clone(&connection.cut), Busy::default());
            let counted = busy.clone();
            let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                let (held, answer) = (counted.begin(), app.clone().oneshot(request.map(Body::new)));
                async move { answer.await.map(|response| response.map(|body| Held { body, _held: held })) }
            });
            let builder = builder(&limits);
            let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
            let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
            tokio::pin!(served);
            // Let go before the connection: a hub that waits for its connections has its journal to itself afterwards.
            let core = core;
            tokio::select! {
                ended = &mut served => if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended");
                },
                () = cut.notified() => tracing::info!(%peer, "a connection was cut: its reader fell behind"),
                () = busy.idle(&limits) => tracing::debug!(%peer, "a connection was closed: nothing was asked"),
                () = certificate_ended(&core, certificate.as_deref()) => {
                    tracing::info!(%peer, "a connection was closed: its certificate counts no longer");
                }
            }
        });
    }
}

/// Waits until a certificate that counts does so no longer, and lets streams say their last word.
async fn certificate_ended(core: &Core, shown: Option<&Shown>) {
    let pass = core.gate.pass();
    let counting = shown.and_then(|shown| Some((shown, pass.counting(shown, core.clock.now()).ok()?)));
    let Some((shown, issued)) = counting else { return std::future::pending().await };
    let counts = |pass: &crate::gate::Pass, now| pass.counting(shown, now).is_ok();
    core.gate.ended(&core.clock, issued.record.until, counts).await;
    tokio::time::sleep(LAST_WORD).await;
}

/// How many requests of a connection are being answered.
#[derive(Clone)]
struct Busy(watch::Sender<usize>);

/// One request that is being answered, until the last byte of its body.
struct Answering(watch::Sender<usize>);

impl Default for Busy {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Busy {
    fn begin(&self) -> Answering {
        self.0.send_modify(|count| *count += 1);
        Answering(self.0.clone())
    }

    /// Waits until nothing is asked for too long; the first request has the time of a header.
    async fn idle(&self, limits: &Limits) {
        let mut count = self.0.subscribe();
        let mut time_max = limits.header_time_max.to_std();
        loop {
            // The sender is ours: it is not gone.
            let asked = tokio::time::timeout(time_max, count.wait_for(|count| *count > 0)).await.is_ok();
            if !asked {
                return;
            }
            let _ = count.wait_for(|count| *count == 0).await;
            time_max = limits.idle_time_max.to_std();
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A body that counts as being answered as long as it is there.
struct Held {
    body: Body,
    _held: Answering,
}

impl hyper::body::Body for Held {
    type Data = axum::body::Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

async fn told_to(stop: &mut watch::Receiver<bool>) {
    // An end that is gone is an end as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time_max.to_std())
        .max_buf_size(HEADER_BYTES_MAX as usize * 4);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_streams(H2_STREAMS_MAX)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}

/// Open connections, by address.
#[derive(Default)]
struct Open(Mutex<BTreeMap<IpAddr, u32>>);

/// A connection's place; given back when dropped.
struct Seat {
    open: Arc<Open>,
    address: IpAddr,
    figures: Arc<Figures>,
}

impl Open {
    fn enter(open: &Arc<Self>, address: IpAddr, limits: &Limits, figures: &Arc<Figures>) -> Result<Seat, &'static str> {
        let mut addresses = open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.values().sum::<u32>() >= limits.connections_max {
            return Err("too-many");
        }
        let count = addresses.entry(address).or_default();
        if *count >= limits.connections_per_address_max {
            return Err("one-address");
        }
        *count += 1;
        figures.gauge(&CONNECTIONS, &[]).increment(1.0);
        Ok(Seat { open: Arc::clone(open), address, figures: Arc::clone(figures) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.figures.gauge(&CONNECTIONS, &[]).decrement(1.0);
        let mut addresses = self.open.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

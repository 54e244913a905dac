//! Connections: TLS, HTTP/1.1 and HTTP/2, caps and time limits, and an orderly end.

use crate::config::Limits;
use crate::figures::{CONNECTIONS, CONNECTIONS_REFUSED, Figures};
use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
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
/// How long open requests may take when the hub stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// The connection a request came by.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// Who is at the other end.
    pub(crate) peer: SocketAddr,
    /// Ends the connection at once.
    pub(crate) cut: Arc<Notify>,
}

/// What connections need.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    pub(crate) tls: TlsAcceptor,
    pub(crate) app: Router,
    pub(crate) limits: Limits,
    pub(crate) figures: Arc<Figures>,
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
            match Open::enter(&open, peer.ip(), &self.limits, &self.figures) {
                Ok(seat) => self.serve(stream, peer, seat, &graceful),
                Err(reason) => self.figures.counter(&CONNECTIONS_REFUSED, &[("reason", reason)]).increment(1),
            }
        }
        drop(self.listener);
        if tokio::time::timeout(DRAIN_MAX, graceful.shutdown()).await.is_err() {
            tracing::warn!("requests were still open when the hub stopped");
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, seat: Seat, graceful: &GracefulShutdown) {
        let (tls, app, figures) = (self.tls.clone(), self.app.clone(), Arc::clone(&self.figures));
        let (limits, watcher) = (self.limits.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _seat = seat;
            let _ = stream.set_nodelay(true);
            let shaken = tokio::time::timeout(limits.handshake_time_max.to_std(), tls.accept(stream)).await;
            let Ok(Ok(stream)) = shaken else {
                figures.counter(&CONNECTIONS_REFUSED, &[("reason", "handshake")]).increment(1);
                return;
            };
            let connection = Connection { peer, cut: Arc::new(Notify::new()) };
            let cut = Arc::clone(&connection.cut);
            let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(connection.clone());
                app.clone().oneshot(request.map(Body::new))
            });
            let builder = builder(&limits);
            let served = watcher.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
            tokio::select! {
                ended = served => if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "a connection ended");
                },
                () = cut.notified() => tracing::info!(%peer, "a connection was cut: its reader fell behind"),
            }
        });
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

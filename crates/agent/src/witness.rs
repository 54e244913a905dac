//! This member's witness as a service: C2SP `tlog-witness` over plain HTTP, off unless it is configured. What comes in
//! and goes out is signed and public; everything has a limit.

use crate::control::{Answer, Request};
use crate::error::{Broken, Error};
use crate::wishes::Requests;
use account::request::REQUEST_BYTES_MAX;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;
/// Time for a request's header, for its body, and for a connection in all.
const HEADER_MAX: Duration = Duration::from_secs(10);
const BODY_MAX: Duration = Duration::from_secs(10);
const CONNECTION_MAX: Duration = Duration::from_secs(300);

/// What each request is answered with.
#[derive(Clone)]
struct Desk {
    requests: Requests,
    bucket: Arc<Mutex<Bucket>>,
}

/// So many requests a minute, and a minute's worth at once.
struct Bucket {
    per_minute: f64,
    left: f64,
    at: Instant,
}

/// Listens; the task ends when it is aborted.
///
/// # Errors
/// Broken: the address cannot be listened on.
pub(crate) async fn serve(listen: SocketAddr, per_minute: u32, requests: Requests) -> Result<JoinHandle<()>, Error> {
    let failed = |error| Error::Broken(Broken::Failed(format!("witness.listen {listen}: {error}")));
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "the witness is listening");
    let per_minute = f64::from(per_minute);
    let bucket = Arc::new(Mutex::new(Bucket { per_minute, left: per_minute, at: Instant::now() }));
    let app = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .route("/{origin_hash}/checkpoint", get(checkpoint))
        .with_state(Desk { requests, bucket });
    Ok(tokio::spawn(accept(listener, app)))
}

async fn accept(listener: TcpListener, app: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = TowerToHyperService::new(app.clone());
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_MAX).max_buf_size(64 << 10);
        tokio::spawn(async move {
            let connection = http.serve_connection(TokioIo::new(stream), service);
            // A client that went away, or that is done.
            let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
            drop(permit);
        });
    }
}

/// `POST /add-checkpoint`
async fn add_checkpoint(State(desk): State<Desk>, body: Body) -> Response {
    if !desk.admits() {
        return too_many();
    }
    let bytes = match tokio::time::timeout(BODY_MAX, to_bytes(body, REQUEST_BYTES_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return plain(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {REQUEST_BYTES_MAX} bytes\n")),
        Err(_) => return plain(StatusCode::REQUEST_TIMEOUT, "the body did not come in time\n".to_owned()),
    };
    let Ok(body) = String::from_utf8(bytes.to_vec()) else {
        return plain(StatusCode::BAD_REQUEST, "UTF-8 text is expected\n".to_owned());
    };
    match desk.requests.ask(Request::AddCheckpoint { body }).await {
        Answer::Ok(answer) => {
            let status = answer["status"].as_u64().and_then(|status| StatusCode::from_u16(status as u16).ok());
            let kind = answer["type"].as_str().and_then(|kind| HeaderValue::from_str(kind).ok());
            let (Some(status), Some(kind)) = (status, kind) else { return unavailable() };
            (status, [(header::CONTENT_TYPE, kind)], answer["body"].as_str().unwrap_or_default().to_owned())
                .into_response()
        }
        Answer::Refused(_) => unavailable(),
    }
}

/// `GET /<SHA-256 of the origin>/checkpoint`
async fn checkpoint(State(desk): State<Desk>, Path(origin_hash): Path<String>) -> Response {
    if !desk.admits() {
        return too_many();
    }
    match desk.requests.ask(Request::CosignedLog { origin_hash }).await {
        Answer::Ok(serde_json::Value::String(note)) => plain(StatusCode::OK, note),
        Answer::Ok(_) => plain(StatusCode::NOT_FOUND, "nothing was cosigned of this log\n".to_owned()),
        Answer::Refused(_) => unavailable(),
    }
}

impl Desk {
    /// Is there room for one more request this minute?
    fn admits(&self) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = bucket.at.elapsed().as_secs_f64();
        bucket.at = Instant::now();
        bucket.left = (bucket.left + elapsed * bucket.per_minute / 60.0).min(bucket.per_minute);
        let room = bucket.left >= 1.0;
        bucket.left -= if room { 1.0 } else { 0.0 };
        room
    }
}

fn plain(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], text).into_response()
}

fn too_many() -> Response {
    let later = [(header::RETRY_AFTER, HeaderValue::from_static("60"))];
    (StatusCode::TOO_MANY_REQUESTS, later, "more requests than this witness takes a minute\n").into_response()
}

fn unavailable() -> Response {
    plain(StatusCode::SERVICE_UNAVAILABLE, "the agent has stopped\n".to_owned())
}

//! A hub that speaks the real wire on a loopback port, and says whatever a test wants it to say.

use account::{Checkpoint, Signer};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use charter::SignedCharter;
use futures_util::stream;
use model::{Digest, SignedReceipts, StreamMessage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What the hub has and does.
#[derive(Default)]
pub struct Inner {
    pub charter: Option<SignedCharter>,
    pub accepted: Vec<(u64, String, usize)>,
    pub receipts: Vec<model::Receipt>,
    /// What the next stream brings; live ones get what is said later, too.
    pub said: Vec<Bytes>,
    live: Vec<mpsc::UnboundedSender<Bytes>>,
    pub streams: usize,
    pub after: Vec<Option<u64>>,
    pub away: bool,
    /// The member is not heard, for this reason.
    pub suspended: Option<String>,
    pub lose_answers: bool,
    pub path: Vec<Digest>,
}

pub struct FakeHub {
    pub inner: Arc<Mutex<Inner>>,
    pub url: String,
    server: JoinHandle<()>,
    address: std::net::SocketAddr,
}

impl FakeHub {
    pub async fn start(charter: SignedCharter) -> Self {
        let inner = Arc::new(Mutex::new(Inner { charter: Some(charter), ..Inner::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = serve(listener, Arc::clone(&inner));
        Self { inner, url: format!("http://{address}"), server, address }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut Inner) -> T) -> T {
        look(&mut self.inner.lock().unwrap())
    }

    /// Says bytes on every stream, also on those that are opened later.
    pub fn say(&self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.with(|inner| {
            inner.said.push(bytes.clone());
            inner.live.retain(|live| live.send(bytes.clone()).is_ok());
        });
    }

    pub fn message(&self, position: u64, message: &StreamMessage) {
        let data = serde_json::to_string(message).unwrap();
        self.say(format!("id: {position}\nevent: message\ndata: {data}\n\n"));
    }

    /// Ends every stream.
    pub fn cut(&self) {
        self.with(|inner| inner.live.clear());
    }

    pub async fn go_away(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
        self.cut();
    }

    pub async fn come_back(&mut self) {
        let listener = loop {
            match tokio::net::TcpListener::bind(self.address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        };
        self.server = serve(listener, Arc::clone(&self.inner));
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A checkpoint of the testing alliance, signed with its hub's key.
pub fn checkpoint(leaves: &[Digest]) -> StreamMessage {
    let seed = Digest::of(&[b"decide/testing/", b"hub", b"/", b"hub"]);
    let signer = Signer::new("testing.alliance", seed.as_bytes()).unwrap();
    let root = model::merkle::root(leaves);
    let signed = Checkpoint::new("testing.alliance", leaves.len() as u64, root).sign(&signer).unwrap();
    StreamMessage::Checkpoint(signed.to_string())
}

type Shared = Arc<Mutex<Inner>>;

fn serve(listener: tokio::net::TcpListener, inner: Shared) -> JoinHandle<()> {
    let app = Router::new()
        .route("/api/v1/charter", get(charter))
        .route("/api/v1/members/{member}/sequence", get(sequence))
        .route("/api/v1/log/consistency", get(consistency))
        .route("/api/v1/stream", get(open_stream))
        .route("/api/v1/sightings", post(sightings))
        .route("/api/v1/receipts", post(receipts))
        .with_state(inner);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() })
}

async fn charter(State(hub): State<Shared>) -> Response {
    axum::Json(hub.lock().unwrap().charter.clone()).into_response()
}

async fn sequence(State(hub): State<Shared>) -> Response {
    let next = hub.lock().unwrap().accepted.last().map_or(1, |(sequence, _, _)| sequence + 1);
    axum::Json(serde_json::json!({ "next": next })).into_response()
}

async fn consistency(State(hub): State<Shared>) -> Response {
    axum::Json(serde_json::json!({"schema": 1, "path": hub.lock().unwrap().path})).into_response()
}

async fn open_stream(State(hub): State<Shared>, Query(query): Query<BTreeMap<String, u64>>) -> Response {
    let (sender, receiver) = mpsc::unbounded_channel();
    let mut inner = hub.lock().unwrap();
    if let Some(why) = &inner.suspended {
        return suspended(why);
    }
    inner.said.iter().for_each(|bytes| sender.send(bytes.clone()).unwrap());
    inner.streams += 1;
    inner.after.push(query.get("after").copied());
    inner.live.push(sender);
    let body = stream::unfold(receiver, |mut receiver| async {
        receiver.recv().await.map(|bytes| (Ok::<_, std::convert::Infallible>(bytes), receiver))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(body)).into_response()
}

/// Agents compress long bodies.
fn unpacked(headers: &HeaderMap, body: &[u8]) -> String {
    let plain = match headers.get(header::CONTENT_ENCODING) {
        Some(coding) if coding == "zstd" => zstd::decode_all(body).unwrap(),
        _ => body.to_vec(),
    };
    String::from_utf8(plain).unwrap()
}

async fn sightings(State(hub): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let body = unpacked(&headers, &body);
    let mut lines = body.lines();
    let head: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let header: model::BatchHeader = serde_json::from_value(head["header"].clone()).unwrap();
    let signature = serde_json::from_value(head["signature"].clone()).unwrap();
    let openings: Vec<model::Opening> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    let count = openings.len();
    let key = decide::testing::World::new().agent_key(crate::common::ME).public();
    let batch = model::Batch { header, signature, openings };
    batch.verify(&key).unwrap();
    take(&hub, batch.header.sequence, "sightings", count)
}

fn suspended(why: &str) -> Response {
    let limit = format!("a member in good standing; {why}");
    let problem =
        serde_json::json!({"detail": "", "rule": "member_suspended", "value": crate::common::ME, "limit": limit});
    (StatusCode::FORBIDDEN, axum::Json(problem)).into_response()
}

async fn receipts(State(hub): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let body = unpacked(&headers, &body);
    let signed: SignedReceipts = serde_json::from_str(&body).unwrap();
    let sequence = signed.receipts.sequence;
    let new = hub.lock().unwrap().accepted.last().map_or(1, |(last, _, _)| last + 1) == sequence;
    let count = signed.receipts.receipts.len();
    let answer = take(&hub, sequence, "receipts", count);
    if new && !hub.lock().unwrap().away {
        hub.lock().unwrap().receipts.extend(signed.receipts.receipts);
    }
    answer
}

fn take(hub: &Shared, sequence: u64, kind: &str, count: usize) -> Response {
    let mut inner = hub.lock().unwrap();
    if inner.away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(why) = &inner.suspended {
        return suspended(why);
    }
    let next = inner.accepted.last().map_or(1, |(sequence, _, _)| sequence + 1);
    if sequence > next {
        let problem =
            serde_json::json!({"detail": "", "rule": "out_of_sequence", "value": "", "limit": next.to_string()});
        return (StatusCode::CONFLICT, axum::Json(problem)).into_response();
    }
    if sequence == next {
        inner.accepted.push((sequence, kind.to_owned(), count));
    }
    if std::mem::take(&mut inner.lose_answers) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    axum::Json(serde_json::json!({"schema": 1, "position": 1, "accepted": count, "duplicate": sequence < next}))
        .into_response()
}

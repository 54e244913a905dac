//! The hub as an agent sees it: requests with the agent's certificate or a token, over TLS to the alliance's own
//! authority, nothing larger than allowed.

use crate::config::HubConfig;
use crate::core::{AlarmKind, Input, Submission, WhichCharter};
use crate::error::{Broken, Error};
use crate::identity::Identity;
use crate::packed::packed;
use charter::{Charter, SignedCharter};
use model::{Digest, MemberId, PlanId, Refusal, Rule};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Notify;

/// Largest answer, guard list files aside.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Largest guard list file.
const LIST_BYTES_MAX: usize = 64 << 20;
/// Largest problem that is read.
const PROBLEM_BYTES_MAX: usize = 64 << 10;
/// Longest reason of a suspension that is passed on, in characters.
const REASON_CHARS_MAX: usize = 300;
const CONNECT_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Why the hub gave no answer that could be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Away {
    /// Try again, perhaps after so long.
    #[error("{0}")]
    Later(String, Option<Duration>),
    /// The hub does not let this agent in: its certificate or token does not count, or is too narrow.
    #[error("the hub does not let this agent in: {0}")]
    Shut(String),
    /// The alliance does not hear this member for a time: what was not taken is sent when that is over.
    #[error("this member is suspended: {0}")]
    Suspended(Refusal),
    /// A rule of the hub said no.
    #[error(transparent)]
    Refused(Refusal),
}

impl Away {
    /// The alarm that tells it, and what a person should know.
    pub fn told(&self) -> (AlarmKind, String) {
        match self {
            Self::Suspended(refusal) => {
                let stays = "What is in force here stays until it expires; nothing is lost: it is tried again.";
                let next = "Next: ask an admin of the alliance";
                (AlarmKind::MemberSuspended, format!("This member is suspended: {}. {stays} {next}", refusal.limit))
            }
            away => (AlarmKind::HubAway, away.to_string()),
        }
    }
}

/// A client of one hub.
#[derive(Clone)]
pub(crate) struct Client {
    shared: Arc<Shared>,
    base: Url,
    token: Option<Arc<str>>,
    member: MemberId,
}

struct Shared {
    /// Replaced when the certificate is: what is asked from then on goes by a new connection.
    http: RwLock<reqwest::Client>,
    ca: Option<PathBuf>,
    identity: Option<PathBuf>,
    refused: Notify,
}

impl Client {
    /// A client for this configuration.
    ///
    /// # Errors
    /// Broken: the CA, identity or token file cannot be used.
    pub fn new(hub: &HubConfig, member: &MemberId) -> Result<Self, Error> {
        let token = hub.token.as_deref().map(crate::keys::read_secret).transpose()?;
        Self::open(&hub.url, hub.ca.clone(), hub.certificate.clone(), token, member)
    }

    /// A client that shows the certificate of an identity file.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_identity(base: &Url, ca: &Path, identity: &Path, member: &MemberId) -> Result<Self, Error> {
        Self::open(base, Some(ca.to_owned()), Some(identity.to_owned()), None, member)
    }

    fn open(
        base: &Url,
        ca: Option<PathBuf>,
        identity: Option<PathBuf>,
        token: Option<String>,
        member: &MemberId,
    ) -> Result<Self, Error> {
        let http = RwLock::new(connect(ca.as_deref(), identity.as_deref())?);
        let shared = Arc::new(Shared { http, ca, identity, refused: Notify::new() });
        Ok(Self { shared, base: base.clone(), token: token.map(Into::into), member: member.clone() })
    }

    /// The identity file has changed: connections from now on show the new certificate.
    ///
    /// # Errors
    /// Broken: the files cannot be used.
    pub fn renewed(&self) -> Result<(), Error> {
        let next = connect(self.shared.ca.as_deref(), self.shared.identity.as_deref())?;
        *self.shared.http.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    /// The connections of now.
    pub fn http(&self) -> reqwest::Client {
        // The lock guards one handle: a thread cannot have failed in the middle.
        self.shared.http.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections to the same hub that show no certificate.
    ///
    /// # Errors
    /// As [`Client::renewed`].
    pub fn without_identity(&self) -> Result<reqwest::Client, Error> {
        connect(self.shared.ca.as_deref(), None)
    }

    /// Where the hub is.
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// Waits until the hub says that the certificate counts no longer.
    pub async fn certificate_refused(&self) {
        self.shared.refused.notified().await;
    }

    /// A document of the hub.
    ///
    /// # Errors
    /// Refused, Unavailable.
    pub async fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let request = self.request(Method::GET, path).map_err(|away| Error::Unavailable(away.to_string()))?;
        let bytes = told(request, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Unavailable(format!("the hub's answer: {error}")))
    }

    /// A request with this agent's credential.
    ///
    /// # Errors
    /// The path is none.
    pub fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Away> {
        let url = self.base.join(path).map_err(|error| Away::Later(error.to_string(), None))?;
        let request = self.http().request(method, url);
        Ok(match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    /// The answer, if it is one; a word about the certificate is passed on to who renews it.
    async fn checked(&self, answer: Response) -> Result<Response, Away> {
        let checked = checked(answer).await;
        if let Err((_, Some(Rule::CertificateExpired | Rule::CertificateUnknown | Rule::CertificateForeign))) = &checked
        {
            self.shared.refused.notify_one();
        }
        checked.map_err(|(away, _)| away)
    }

    /// Opens the stream after a position.
    pub async fn stream(&self, after: Option<u64>) -> Result<Response, Away> {
        let request = self.request(Method::GET, "/api/v1/stream")?.header("accept", "text/event-stream");
        let request = match after {
            Some(after) => request.query(&[("after", after)]),
            None => request,
        };
        let answer = tokio::time::timeout(ANSWER_MAX, request.send()).await;
        let answer = answer.map_err(|_| Away::Later("no answer to the stream's request".into(), None))?;
        self.checked(answer.map_err(|error| away(&error))?).await
    }

    /// Sends one submission.
    pub async fn submit(&self, submission: &Submission) -> Result<(), Away> {
        let (path, kind, body) = match submission {
            Submission::Sightings(batch) => ("/api/v1/sightings", "application/x-ndjson", lines(batch)),
            Submission::Receipts(signed) => ("/api/v1/receipts", "application/json", json(signed)),
            Submission::Retraction(signed) => ("/api/v1/retractions", "application/json", json(signed)),
        };
        let (body, coding) = packed(body);
        let request = self.request(Method::POST, path)?.header("content-type", kind).timeout(ANSWER_MAX);
        let request = match coding {
            Some(coding) => request.header("content-encoding", coding).body(body),
            None => request.body(body),
        };
        let answer = request.send().await.map_err(|error| away(&error))?;
        let answer = self.checked(answer).await?;
        // What it says is of no use here; read, so that the connection can be used again.
        limited(answer, ANSWER_BYTES_MAX).await.map(drop)
    }

    /// A charter with its guard list files.
    pub async fn charter(&self, which: WhichCharter) -> Result<Input, Away> {
        let path = match which {
            WhichCharter::InForce => "/api/v1/charter".to_owned(),
            WhichCharter::Version(version) => format!("/api/v1/charter?version={version}"),
        };
        let signed: SignedCharter = self.get(&path).await?;
        let named = Charter::parse(&signed.text).map(|charter| charter.guards.list).unwrap_or_default();
        let mut lists = Vec::with_capacity(named.len());
        for list in named {
            let path = format!("/api/v1/charter/lists/{}", list.sha256);
            let answer = self.checked(self.send(&path).await?).await?;
            lists.push(limited(answer, LIST_BYTES_MAX).await?);
        }
        Ok(Input::Charter { signed: Box::new(signed), lists })
    }

    /// The path between two sizes of the journal.
    pub async fn consistency(&self, from: u64, to: u64) -> Result<Input, Away> {
        #[derive(Deserialize)]
        struct Answer {
            path: Vec<Digest>,
        }
        let answer: Answer = self.get(&format!("/api/v1/log/consistency?from={from}&to={to}")).await?;
        Ok(Input::Consistency { from, to, path: answer.path })
    }

    /// Sends a checkpoint that this member's witness cosigned.
    pub async fn cosign(&self, note: &str) -> Result<(), Away> {
        let body = json(&serde_json::json!({ "note": note }));
        let request =
            self.request(Method::POST, "/api/v1/log/cosignatures")?.header("content-type", "application/json");
        let answer = request.body(body).timeout(ANSWER_MAX).send().await.map_err(|error| away(&error))?;
        limited(self.checked(answer).await?, ANSWER_BYTES_MAX).await.map(drop)
    }

    /// The proof that a plan is in force.
    pub async fn proof(&self, plan: PlanId) -> Result<Input, Away> {
        let answer = self.checked(self.send(&format!("/api/v1/plans/{plan}/proof")).await?).await?;
        let bytes = limited(answer, ANSWER_BYTES_MAX).await?;
        let text = String::from_utf8(bytes).map_err(|_| Away::Later("a proof that is no text".into(), None))?;
        Ok(Input::Proof(text))
    }

    /// The number that the hub expects next.
    pub async fn next_sequence(&self) -> Result<Input, Away> {
        #[derive(Deserialize)]
        struct Answer {
            next: u64,
        }
        let answer: Answer = self.get(&format!("/api/v1/members/{}/sequence", self.member)).await?;
        Ok(Input::NextSequence(answer.next))
    }

    async fn send(&self, path: &str) -> Result<Response, Away> {
        self.request(Method::GET, path)?.timeout(ANSWER_MAX).send().await.map_err(|error| away(&error))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Away> {
        let bytes = limited(self.checked(self.send(path).await?).await?, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| Away::Later(format!("the hub's answer: {error}"), None))
    }
}

/// The error without the address asked for, which may be long; the token is never part of it.
fn away(error: &reqwest::Error) -> Away {
    Away::Later(cause(error), None)
}

/// What lies behind an error, without the address that was asked for.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "no connection".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    model::parse::printable(&text)
}

/// What of a problem is used here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Problem {
    detail: String,
    rule: Option<Rule>,
    value: String,
    limit: String,
}

async fn checked(answer: Response) -> Result<Response, (Away, Option<Rule>)> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let retry = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let body = limited(answer, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let text = format!("{status}: {}", model::parse::printable(&problem.detail));
    let later =
        status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    let why = match (status, problem.rule) {
        (StatusCode::UNAUTHORIZED, _) | (_, Some(Rule::TokenInvalid | Rule::ScopeMissing)) => Away::Shut(text),
        (_, Some(rule @ Rule::MemberSuspended)) => {
            let value = model::parse::printable(&problem.value);
            let limit = model::parse::printable_within(&problem.limit, REASON_CHARS_MAX);
            Away::Suspended(Refusal { rule, value, limit })
        }
        (_, Some(rule)) if !later => {
            Away::Refused(Refusal { rule, value: model::parse::printable(&problem.value), limit: problem.limit })
        }
        _ => Away::Later(text, retry.map(|seconds: u64| Duration::from_secs(seconds.min(300)))),
    };
    Err((why, problem.rule))
}

/// Sends a request and gives the answer's bytes, or the hub's word on why there are none.
///
/// # Errors
/// Refused: a rule of the hub. Unavailable: everything else.
pub(crate) async fn told(request: RequestBuilder, bytes_max: usize) -> Result<Vec<u8>, Error> {
    let unavailable = |away: Away| Error::Unavailable(away.to_string());
    let answer = request.timeout(ANSWER_MAX).send().await.map_err(|error| unavailable(away(&error)))?;
    let status = answer.status();
    if status.is_success() {
        return limited(answer, bytes_max).await.map_err(unavailable);
    }
    let body = limited(answer, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    let Problem { detail, rule, value, limit } = serde_json::from_slice(&body).unwrap_or_default();
    Err(match rule {
        Some(rule) if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS => {
            Refusal { rule, value: model::parse::printable(&value), limit: model::parse::printable(&limit) }.into()
        }
        _ => Error::Unavailable(format!("{status}: {}", model::parse::printable(&detail))),
    })
}

pub(crate) async fn limited(mut answer: Response, bytes_max: usize) -> Result<Vec<u8>, Away> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| away(&error))? {
        if bytes.len() + piece.len() > bytes_max {
            return Err(Away::Later(format!("an answer of more than {bytes_max} bytes"), None));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Statements are plain structs of texts and numbers, for which serde_json cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

fn lines(batch: &model::Batch) -> Vec<u8> {
    let mut body = json(&serde_json::json!({"header": batch.header, "signature": batch.signature}));
    for opening in &batch.openings {
        body.push(b'\n');
        body.extend(json(opening));
    }
    body.push(b'\n');
    body
}

/// Connections that trust the certificates of `ca` and no others, and show the certificate of `identity`.
fn connect(ca: Option<&Path>, identity: Option<&Path>) -> Result<reqwest::Client, Error> {
    http(tls(ca, identity)?)
}

/// TLS that trusts the certificates of `ca`, or none, and shows the certificate of `identity`.
pub(crate) fn tls(ca: Option<&Path>, identity: Option<&Path>) -> Result<rustls::ClientConfig, Error> {
    let roots = ca.map_or_else(|| Ok(rustls::RootCertStore::empty()), roots)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let failed = |error: rustls::Error| Error::Broken(Broken::Failed(format!("TLS: {error}")));
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(failed)?.with_root_certificates(roots);
    match identity {
        None => Ok(config.with_no_client_auth()),
        Some(identity) => {
            let (chain, key) = Identity::read(identity)?.tls()?;
            config.with_client_auth_cert(chain, key).map_err(failed)
        }
    }
}

/// HTTP over this TLS: no proxy, no redirect.
pub(crate) fn http(config: rustls::ClientConfig) -> Result<reqwest::Client, Error> {
    let builder = reqwest::Client::builder().connect_timeout(CONNECT_MAX).redirect(reqwest::redirect::Policy::none());
    let builder = builder.no_proxy().tcp_nodelay(true).use_preconfigured_tls(config);
    builder.build().map_err(|error| Broken::Failed(format!("the hub's client: {error}")).into())
}

pub(crate) fn roots(ca: &Path) -> Result<rustls::RootCertStore, Error> {
    let broken = |what: String| Error::Broken(Broken::Failed(format!("{}: {what}", ca.display())));
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|error| broken(error.to_string()))? {
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(broken("no certificate in it".to_owned())),
        false => Ok(roots),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Batch, Behaviour, Grade, Handling, Opening, Salt, Sensor, Sighting, SigningKey, Timestamp, Tlp};
    use rustls::pki_types::PrivateKeyDer;
    use std::os::unix::fs::OpenOptionsExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn write(path: &Path, text: &str) {
        let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    /// A TLS server that answers one request and gives what it was asked.
    async fn server(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> (Url, tokio::task::JoinHandle<String>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
        let served = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
            let Ok(mut stream) = acceptor.accept(stream).await else { return String::new() };
            let (mut bytes, mut asked) = ([0; 4_096], String::new());
            while !asked.contains("\r\n\r\n") {
                let count = stream.read(&mut bytes).await.unwrap();
                asked.push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{\"next\":7}").await.unwrap();
            stream.flush().await.unwrap();
            asked
        });
        (url, served)
    }

    fn client(dir: &Path, name: &str, url: Url, ca: &str) -> Client {
        let (ca_file, token) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.token")));
        write(&ca_file, ca);
        write(&token, "epi_secret\n");
        let text = format!(
            "url = '{url}'\nca = '{}'\ntoken = '{}'\ncharter = '{}'",
            ca_file.display(),
            token.display(),
            "0".repeat(64)
        );
        Client::new(&toml::from_str(&text).unwrap(), &"telecom".parse().unwrap()).unwrap()
    }

    fn sighting() -> Sighting {
        let (first, last) = (Timestamp::MIN, Timestamp::MIN);
        let handling = Handling::alliance(Tlp::Green);
        let (behaviour, sensor, grade) = (Behaviour::Scan, Sensor::Ids, Grade::Handshake);
        Sighting { observable: "80.1.1.1".parse().unwrap(), behaviour, first, last, count: 1, sensor, grade, handling }
    }

    #[tokio::test]
    async fn only_a_hub_of_the_alliances_own_ca_hears_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let made = || rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let (ours, other) = (made(), made());
        let (url, asked) = server(&ours).await;
        let answer = client(dir.path(), "ours", url, &ours.cert.pem()).next_sequence().await.unwrap();
        assert!(matches!(answer, Input::NextSequence(7)));
        let asked = asked.await.unwrap().to_ascii_lowercase();
        assert!(
            asked.contains("get /api/v1/members/telecom/sequence") && asked.contains("bearer epi_secret"),
            "{asked}"
        );
        let (url, asked) = server(&ours).await;
        let openings = (0..50).map(|_| Opening::seal(Salt([7; 16]), &sighting())).collect();
        let key = SigningKey::from_seed(&[1; 32]);
        let batch = Batch::seal("telecom".parse().unwrap(), &key, 1, Timestamp::MIN, openings);
        client(dir.path(), "long", url, &ours.cert.pem()).submit(&Submission::Sightings(batch.into())).await.unwrap();
        assert!(asked.await.unwrap().to_ascii_lowercase().contains("content-encoding: zstd"));
        let (url, asked) = server(&other).await;
        let error = client(dir.path(), "other", url, &ours.cert.pem()).next_sequence().await.unwrap_err();
        assert!(!error.to_string().contains("epi_secret"), "{error}");
        assert_eq!(asked.await.unwrap(), "", "an impostor hears nothing");
    }
}

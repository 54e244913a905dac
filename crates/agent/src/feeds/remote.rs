//! Another server over HTTPS: what it is shown, how much of it is read, and how long it is waited for. No redirect is
//! followed, no proxy used, no authority trusted but the ones that the configuration names.

use crate::client::{Client, cause, http, roots};
use crate::config::RemoteConfig;
use crate::error::{Broken, Error};
use crate::keys::{read_secret, read_secret_of};
use model::Timestamp;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use share::taxii::client::{PAGE_BYTES_MAX, retry_after};
use share::taxii::{cursor, media};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

/// Who asks. CrowdSec lets nobody in who does not say so.
const AGENT: &str = concat!("epimachia/", env!("CARGO_PKG_VERSION"));
/// Largest file with a client certificate, its chain and its key.
const CERTIFICATE_BYTES_MAX: u64 = 64 << 10;
/// A slow server may take so long for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// Of an answer that says why not, so much is read.
const PROBLEM_BYTES_MAX: usize = 16 << 10;
/// And of the answer to a login.
const LOGIN_BYTES_MAX: usize = 64 << 10;

/// Why there is no answer that can be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Try again, perhaps after so long.
    Later(String, Option<Duration>),
    /// It answered with this status, which may pass: it does not let us in, or has failed.
    Answered(u16, String),
    /// The answer is larger than what is read, or the request than what the other side takes.
    TooLarge(String),
    /// The other side will not take this request as it is.
    Refused(u16, String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Later(text, _) | Self::Answered(_, text) | Self::TooLarge(text) => f.write_str(text),
            Self::Refused(status, text) => write!(f, "{status}: {text}"),
        }
    }
}

impl Trouble {
    /// Nothing comes through for now.
    pub fn later(text: impl Into<String>) -> Self {
        Self::Later(text.into(), None)
    }
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Got {
    /// The body.
    pub bytes: Vec<u8>,
    /// `X-TAXII-Date-Added-First` and `-Last`, in microseconds since 1970.
    pub dates: (Option<i64>, Option<i64>),
}

/// A server.
pub(crate) enum Remote {
    /// Another one.
    Other(Box<Other>),
    /// Our own hub, asked with the agent's certificate or token.
    Hub(Client),
}

/// A server that is not our hub.
pub(crate) struct Other {
    config: RemoteConfig,
    /// Its files, as they were when they were read.
    files: Vec<Option<Stamp>>,
    http: reqwest::Client,
    base: Url,
    access: Access,
}

/// A file that was written anew or replaced is another one by this: number, seconds, nanoseconds, length.
type Stamp = (u64, i64, i64, u64);

enum Access {
    Open,
    Bearer(String),
    Basic(String, String),
}

impl Other {
    /// Connections to a configured server.
    ///
    /// # Errors
    /// Broken: a file cannot be used. No error repeats what stands in a secret one.
    pub fn open(config: &RemoteConfig) -> Result<Box<Self>, Error> {
        // Before they are read: what changes meanwhile is read again.
        let files = stamps(config);
        let access = match (&config.token, &config.user, &config.password) {
            (Some(token), ..) => Access::Bearer(read_secret(token)?),
            (None, Some(user), Some(password)) => Access::Basic(user.clone(), read_secret(password)?),
            _ => Access::Open,
        };
        let http = http(tls(config.ca.as_deref(), config.certificate.as_deref())?)?;
        let mut base = config.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        Ok(Box::new(Self { config: config.clone(), files, http, base, access }))
    }

    /// Reads its files again where they have changed: certificates and tokens are renewed while we run.
    fn refresh(&mut self) -> Result<(), Trouble> {
        if stamps(&self.config) != self.files {
            *self = *Self::open(&self.config).map_err(|error| Trouble::later(error.to_string()))?;
        }
        Ok(())
    }

    fn plain(&self, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        let url = self.base.join(path).map_err(|error| Trouble::later(error.to_string()))?;
        // Whatever a path says: the secret goes to the configured server alone.
        if url.origin() != self.base.origin() {
            return Err(Trouble::later("a path that leads to another server"));
        }
        Ok(self.http.request(method, url).header("user-agent", AGENT))
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        let request = self.plain(method, path)?;
        Ok(match &self.access {
            Access::Open => request,
            Access::Bearer(token) => request.bearer_auth(token),
            Access::Basic(user, password) => request.basic_auth(user, Some(password)),
        })
    }
}

fn stamps(config: &RemoteConfig) -> Vec<Option<Stamp>> {
    let RemoteConfig { ca, token, password, certificate, .. } = config;
    let stamp = |path: &PathBuf| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
    };
    [ca, token, password, certificate].into_iter().flatten().map(stamp).collect()
}

impl Remote {
    /// A new round begins: what was renewed is shown from now on.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn refresh(&mut self) -> Result<(), Trouble> {
        match self {
            Self::Other(other) => other.refresh(),
            Self::Hub(_) => Ok(()),
        }
    }

    /// Any JSON document below the address, read from a file where the address is one.
    pub async fn document(&self, path: &str, bytes_max: usize) -> Result<Vec<u8>, Trouble> {
        if let Self::Other(other) = self
            && other.base.scheme() == "file"
        {
            return file(&other.base, path, bytes_max).await;
        }
        let request = self.request(Method::GET, path)?.header("accept", "application/json");
        answer(request, bytes_max).await.map(|got| got.bytes)
    }

    /// Another side with a login of its own: shows its token instead of what is configured.
    pub async fn with_token(
        &self,
        path: &str,
        query: &[(&'static str, String)],
        token: &str,
    ) -> Result<Vec<u8>, Trouble> {
        let request = self.plain(Method::GET, path)?.bearer_auth(token).query(query);
        answer(request, PAGE_BYTES_MAX).await.map(|got| got.bytes)
    }

    /// Logs in with the configured user and password, as JSON made by `body`.
    pub async fn log_in(
        &self,
        path: &str,
        body: impl FnOnce(&str, &str) -> serde_json::Value,
    ) -> Result<Vec<u8>, Trouble> {
        let basic = match self {
            Self::Other(other) => match &other.access {
                Access::Basic(user, password) => Some((user, password)),
                _ => None,
            },
            Self::Hub(_) => None,
        };
        let (user, password) = basic.ok_or_else(|| Trouble::later("no user and password are configured"))?;
        let request = self.plain(Method::POST, path)?.json(&body(user, password));
        answer(request, LOGIN_BYTES_MAX).await.map(|got| got.bytes)
    }

    /// A request that shows nothing.
    fn plain(&self, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        match self {
            Self::Other(other) => other.plain(method, path),
            Self::Hub(_) => Err(Trouble::later("our own hub is asked with our own credential")),
        }
    }

    /// A TAXII document below the API root.
    pub async fn taxii(&self, path: &str, query: &[(&'static str, String)]) -> Result<Got, Trouble> {
        let request = self.request(Method::GET, path)?.header("accept", media::TAXII).query(query);
        answer(request, PAGE_BYTES_MAX).await
    }

    /// Sends an envelope to a collection; gives the status resource.
    pub async fn add(&self, path: &str, envelope: Vec<u8>) -> Result<Got, Trouble> {
        let request = self.request(Method::POST, path)?.header("accept", media::TAXII);
        answer(request.header("content-type", media::TAXII).body(envelope), PAGE_BYTES_MAX).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Trouble> {
        match self {
            Self::Other(other) => other.request(method, path),
            Self::Hub(client) => client.request(method, path).map_err(|away| Trouble::later(away.to_string())),
        }
    }
}

/// A file below a directory; `path` is a name that we made, not one that came from outside.
async fn file(base: &Url, path: &str, bytes_max: usize) -> Result<Vec<u8>, Trouble> {
    let directory = base.to_file_path().map_err(|()| Trouble::later("the address of no directory of this machine"))?;
    let name = directory.join(path);
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::Refused(404, format!(": no {path} in {}", directory.display())),
        _ => Trouble::later(format!("{}: {error}", name.display())),
    };
    let file = tokio::fs::File::open(&name).await.map_err(told)?;
    let mut bytes = Vec::new();
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await.map_err(told)?;
    match bytes.len() > bytes_max {
        true => Err(Trouble::TooLarge(format!("{}: more than {bytes_max} bytes", name.display()))),
        false => Ok(bytes),
    }
}

/// Sends, waits, reads no more than allowed.
async fn answer(request: RequestBuilder, bytes_max: usize) -> Result<Got, Trouble> {
    let sent = request.timeout(ANSWER_MAX).send().await;
    let response = sent.map_err(|error| Trouble::later(why(&cause(&error))))?;
    let (status, headers) = (response.status(), response.headers().clone());
    if status.is_success() {
        let date = |name| {
            let text = headers.get(name)?.to_str().ok()?;
            cursor::micros(name, text).ok()
        };
        let dates = (date("x-taxii-date-added-first"), date("x-taxii-date-added-last"));
        return Ok(Got { bytes: limited(response, bytes_max).await?, dates });
    }
    let said = limited(response, PROBLEM_BYTES_MAX).await.unwrap_or_default();
    Err(trouble(status, &headers, &said))
}

/// What to look at where the other side is not who it should be, in words of ours beside those of TLS.
fn why(cause: &str) -> String {
    let hint = match cause {
        // The second: of one that is called as ours is.
        _ if ["UnknownIssuer", "BadSignature"].iter().any(|word| cause.contains(word)) => {
            "its certificate comes from no authority of `ca`; nothing was asked"
        }
        _ if cause.contains("not valid for name") => "its certificate is for another name; nothing was asked",
        _ if cause.contains("certificate expired") => "its certificate has run out; nothing was asked",
        _ => return cause.to_owned(),
    };
    format!("{hint} ({cause})")
}

fn trouble(status: StatusCode, headers: &HeaderMap, said: &[u8]) -> Trouble {
    let text = format!("{status}{}", title(said));
    let wish = headers.get("retry-after").and_then(|value| retry_after(value.to_str().ok()?, crate::clock::wall()));
    // At once is no wish: it would be asked without a pause.
    let wish = wish.map(|wish| wish.to_std()).filter(|wish| !wish.is_zero());
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => Trouble::TooLarge(text),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Trouble::Later(text, wish),
        status if status.is_server_error() && wish.is_some() => Trouble::Later(text, wish),
        status if status.is_server_error() => Trouble::Answered(status.as_u16(), text),
        status if status.is_redirection() => {
            Trouble::later(format!("{status}: it sends us elsewhere, which is not followed; correct the url"))
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            Trouble::Answered(status.as_u16(), format!("it does not let us in: {text}"))
        }
        _ => Trouble::Refused(status.as_u16(), title(said)),
    }
}

/// What an error body says in its own words, safe to print.
fn title(said: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(said).unwrap_or_default();
    let words = ["title", "description", "detail", "message"].iter().filter_map(|key| body[key].as_str());
    let told = words.collect::<Vec<_>>().join(": ");
    if told.is_empty() { String::new() } else { format!(": {}", model::parse::printable(&told)) }
}

async fn limited(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Trouble> {
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Trouble::later(cause(&error)))? {
        if bytes.len() + piece.len() > bytes_max {
            return Err(Trouble::TooLarge(format!("an answer of more than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// TLS that trusts the authorities of `ca` alone and shows the certificate of a PEM file.
fn tls(ca: Option<&Path>, certificate: Option<&Path>) -> Result<rustls::ClientConfig, Error> {
    let failed = |what: String| Error::Broken(Broken::Failed(what));
    let roots = ca.map_or_else(|| Ok(rustls::RootCertStore::empty()), roots)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| failed(format!("TLS: {error}")))?.with_root_certificates(roots);
    let Some(path) = certificate else { return Ok(config.with_no_client_auth()) };
    let text = read_secret_of(path, CERTIFICATE_BYTES_MAX)?;
    // What cannot be read may be a secret: not repeated.
    let wrong = || failed(format!("{}: no certificate with its key", path.display()));
    let chain = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|_| wrong())?;
    let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| wrong())?;
    if chain.is_empty() {
        return Err(wrong());
    }
    config.with_client_auth_cert(chain, key).map_err(|_| wrong())
}

/// Now, for what is written down.
pub(crate) fn now() -> Timestamp {
    crate::clock::wall()
}

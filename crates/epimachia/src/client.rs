//! The hub's API from the member's side: one pinned certificate, a token from a private file, problems as failures.

pub mod answers;
mod problem;
pub mod settings;

pub use settings::{Connect, Settings};

use crate::exit::Failure;
use answers::{List, Written};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How long a connection to the hub may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long the hub may take for an answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Items asked for at a time.
const PAGE: usize = 1_000;
/// Most items that one command reads.
pub const ITEMS_MAX: usize = 100_000;

/// A connection to one hub.
pub struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    hub: String,
    token: String,
}

impl Client {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// The hub's address, its certificate or the token is not known, cannot be read, or can be read by others.
    pub fn open(settings: &Settings) -> Result<Self, Failure> {
        let hub = settings.hub()?;
        let token = settings.token()?;
        let failed = |e: &dyn std::fmt::Display| Failure::failed(format_args!("preparing the connection: {e}"), "");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let http = reqwest::Client::builder()
            .use_preconfigured_tls(tls(&settings.ca()?)?)
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(ANSWER_TIME_MAX)
            .user_agent(concat!("epimachia/", env!("CARGO_PKG_VERSION")))
            .https_only(true)
            .build();
        Ok(Self { runtime: runtime.map_err(|e| failed(&e))?, http: http.map_err(|e| failed(&e))?, hub, token })
    }

    /// Where the hub is.
    pub fn hub(&self) -> &str {
        &self.hub
    }

    /// An answer as it came, for `--json`.
    ///
    /// # Errors
    /// The hub's problem, or why there is no answer.
    pub fn value(&self, path: &str, query: &[(&str, String)]) -> Result<Value, Failure> {
        let bytes = self.ask(self.request(Method::GET, path)?.query(query))?;
        read(&bytes)
    }

    /// A typed answer.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, String)]) -> Result<T, Failure> {
        read(&self.ask(self.request(Method::GET, path)?.query(query))?)
    }

    /// An answer that is text.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn text(&self, path: &str) -> Result<String, Failure> {
        let bytes = self.ask(self.request(Method::GET, path)?)?;
        String::from_utf8(bytes).map_err(|_| self.strange("an answer that is no text"))
    }

    /// An answer that is bytes.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        self.ask(self.request(Method::GET, path)?)
    }

    /// A list from its beginning, at most `max` items.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        max: usize,
    ) -> Result<Vec<T>, Failure> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut query = query.to_vec();
            query.push(("limit", PAGE.min(max - items.len()).to_string()));
            query.extend(after.map(|after| ("after", after)));
            let page: List<T> = self.get(path, &query)?;
            items.extend(page.items);
            after = page.next;
            if after.is_none() || items.len() >= max {
                items.truncate(max);
                return Ok(items);
            }
        }
    }

    /// Sends JSON and reads a typed answer.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let bytes = serde_json::to_vec(body).map_err(|e| Failure::failed(e, ""))?;
        read(&self.send(Method::POST, path, "application/json", bytes)?)
    }

    /// Sends JSON lines.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn post_lines(&self, path: &str, lines: String) -> Result<Written, Failure> {
        read(&self.send(Method::POST, path, "application/x-ndjson", lines.into_bytes())?)
    }

    /// Hands in bytes.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn put_bytes(&self, path: &str, bytes: Vec<u8>) -> Result<Value, Failure> {
        read(&self.send(Method::PUT, path, "application/octet-stream", bytes)?)
    }

    /// Takes something away.
    ///
    /// # Errors
    /// As [`Client::value`].
    pub fn delete(&self, path: &str) -> Result<Written, Failure> {
        read(&self.ask(self.request(Method::DELETE, path)?)?)
    }

    fn send(&self, method: Method, path: &str, media: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        self.ask(self.request(method, path)?.header(CONTENT_TYPE, media).body(body))
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let request = self.http.request(method, format!("{}{path}", self.hub));
        Ok(request.bearer_auth(&self.token).header(ACCEPT, "application/json, application/problem+json, text/plain"))
    }

    fn ask(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|e| self.away(&e))?;
            let (status, retry) = (response.status(), problem::retry_after(&response));
            let bytes = self.body(response).await?;
            match status.is_success() {
                true => Ok(bytes),
                false => Err(problem::failure(status, retry, &bytes)),
            }
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.away(&e))? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(self.strange(&format!("an answer of more than {ANSWER_BYTES_MAX} bytes")));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// reqwest's errors name the address but never a header, so no token can be in them.
    fn away(&self, error: &reqwest::Error) -> Failure {
        let mut told = String::new();
        let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
        while let Some(inner) = cause {
            told = inner.to_string();
            cause = inner.source();
        }
        if error.is_timeout() {
            told = format!("no answer within {} s", ANSWER_TIME_MAX.as_secs());
        }
        let what = format!("no answer from the hub {}: {}", self.hub, told.trim_end_matches('.'));
        Failure::failed(what, "epimachia check   (is the hub's address right, is it running, is --ca its certificate?)")
    }

    fn strange(&self, what: &str) -> Failure {
        Failure::failed(format_args!("{what} from {}", self.hub), "epimachia check")
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(bytes).map_err(|e| {
        let what = format!("the hub's answer cannot be read: {e}");
        Failure::failed(what, "epimachia version   (does it fit the hub's?)")
    })
}

/// TLS that trusts the certificates of one file and no others.
fn tls(ca: &Path) -> Result<rustls::ClientConfig, Failure> {
    let failed = |what: String| Failure::failed(format_args!("{}: {what}", ca.display()), "give --ca the hub's ca.pem");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| failed(e.to_string()))? {
        let added = certificate.map_err(|e| e.to_string()).and_then(|c| roots.add(c).map_err(|e| e.to_string()));
        added.map_err(failed)?;
    }
    if roots.is_empty() {
        return Err(failed("no certificate in PEM form".to_owned()));
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|e| failed(e.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

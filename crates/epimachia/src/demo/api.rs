//! The demo's way to its hub: the same HTTPS API that everybody uses.

use crate::exit::Failure;
use reqwest::{Certificate, Client, Method, Response};
use serde::Serialize;
use serde_json::Value;
use std::time::Duration;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client that trusts exactly the demo's hub.
#[derive(Clone)]
pub struct Api {
    client: Client,
    base: String,
    token: String,
}

impl Api {
    /// A client for the hub at `base`, with its certificate and one of its tokens.
    ///
    /// # Errors
    /// The certificate is none.
    pub fn new(base: &str, certificate_pem: &str, token: &str) -> Result<Self, Failure> {
        let certificate = Certificate::from_pem(certificate_pem.as_bytes()).map_err(wrong)?;
        let tls = Client::builder().add_root_certificate(certificate).timeout(PATIENCE).https_only(true);
        Ok(Self { client: tls.build().map_err(wrong)?, base: base.to_owned(), token: token.to_owned() })
    }

    /// The same client for another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Reads a document.
    ///
    /// # Errors
    /// The hub cannot be reached, or says no.
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        read(self.send(Method::GET, path, None).await?).await
    }

    /// Reads bytes.
    ///
    /// # Errors
    /// The hub cannot be reached, or says no.
    pub async fn bytes(&self, path: &str) -> Result<Vec<u8>, Failure> {
        let answer = accepted(self.send(Method::GET, path, None).await?).await?;
        Ok(answer.bytes().await.map_err(wrong)?.to_vec())
    }

    /// Sends a JSON document.
    ///
    /// # Errors
    /// The hub cannot be reached, or says no.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, Failure> {
        let body = serde_json::to_vec(body).map_err(wrong)?;
        read(self.send(Method::POST, path, Some(("application/json", body))).await?).await
    }

    /// Sends lines of JSON.
    ///
    /// # Errors
    /// The hub cannot be reached, or says no.
    pub async fn post_lines(&self, path: &str, body: Vec<u8>) -> Result<Value, Failure> {
        read(self.send(Method::POST, path, Some(("application/x-ndjson", body))).await?).await
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// The hub cannot be reached, or says no.
    pub async fn put_bytes(&self, path: &str, body: &[u8]) -> Result<Value, Failure> {
        let body = Some(("application/octet-stream", body.to_vec()));
        read(self.send(Method::PUT, path, body).await?).await
    }

    async fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Response, Failure> {
        let mut request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token);
        if let Some((kind, body)) = body {
            request = request.header("content-type", kind).body(body);
        }
        request.send().await.map_err(wrong)
    }
}

async fn read(answer: Response) -> Result<Value, Failure> {
    let bytes = accepted(answer).await?.bytes().await.map_err(wrong)?;
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// An answer that is no problem; a problem keeps its rule.
async fn accepted(answer: Response) -> Result<Response, Failure> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let status = answer.status();
    let problem: Value = answer.json().await.unwrap_or_default();
    let text = |name: &str| problem[name].as_str().unwrap_or_default().to_owned();
    match text("rule").parse() {
        Ok(rule) => Err(model::Refusal { rule, value: text("value"), limit: text("limit") }.into()),
        Err(_) => Err(Failure::failed(format_args!("the hub answers {status}: {}", text("detail")), "")),
    }
}

fn wrong(error: impl std::fmt::Display) -> Failure {
    Failure::failed(error, "")
}

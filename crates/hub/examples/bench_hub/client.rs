//! One sender: its member, its token, its own connection.

use crate::Failure;
use model::{MemberId, SigningKey};
use reqwest::{Body, Client, Response};
use serde_json::Value;

/// A member with one connection to the hub.
pub struct Sender {
    pub client: Client,
    pub url: String,
    pub token: String,
    pub member: MemberId,
    /// Signs reports; without one the hub attests them.
    pub key: Option<SigningKey>,
    /// The number of the next submission.
    pub sequence: u64,
}

/// A client that trusts this certificate, or what everybody's client trusts.
pub fn client(certificate_pem: Option<&str>) -> Result<Client, Failure> {
    // CrowdSec lets nobody in who does not say a name and a version.
    let mut builder = Client::builder().user_agent("epimachia-bench/1").use_rustls_tls().pool_max_idle_per_host(1);
    if let Some(pem) = certificate_pem {
        builder = builder.add_root_certificate(reqwest::Certificate::from_pem(pem.as_bytes())?);
    }
    Ok(builder.build()?)
}

impl Sender {
    /// Sends a report and waits until it is durable.
    pub async fn report(&self, body: impl Into<Body>, zstd: bool) -> Result<Response, Failure> {
        let request = self.client.post(format!("{}/api/v1/sightings", self.url)).bearer_auth(&self.token);
        let request = request.header("content-type", "application/x-ndjson");
        let request = if zstd { request.header("content-encoding", "zstd") } else { request };
        Ok(request.body(body).send().await?)
    }

    /// Sends JSON, and gives the JSON of a good answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        good(request.send().await?).await
    }
}

/// The JSON of an answer that is no problem.
pub async fn good(response: Response) -> Result<Value, Failure> {
    let status = response.status();
    let text = response.text().await?;
    match status.is_success() {
        true => Ok(serde_json::from_str(&text)?),
        false => Err(format!("{status}: {text}").into()),
    }
}

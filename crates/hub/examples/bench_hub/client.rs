//! One sender: its member, its token, its own connection.

use crate::Failure;
use model::{MemberId, SigningKey};
use reqwest::{Body, Certificate, Client, Identity, RequestBuilder, Response};
use serde_json::Value;

/// A member with one connection to the hub.
pub struct Sender {
    pub client: Client,
    pub url: String,
    /// What it shows with each request; none where its certificate says who it is.
    pub token: Option<String>,
    pub member: MemberId,
    /// Signs reports; without one the hub attests them.
    pub key: Option<SigningKey>,
    /// The number of the next submission.
    pub sequence: u64,
}

/// A client that trusts these certificates, or what everybody's client trusts, and shows this one with its key.
pub fn client(authority_pem: &str, identity_pem: Option<&str>) -> Result<Client, Failure> {
    // CrowdSec lets nobody in who does not say a name and a version.
    let mut builder = Client::builder().user_agent("epimachia-bench/1").use_rustls_tls().pool_max_idle_per_host(1);
    for certificate in Certificate::from_pem_bundle(authority_pem.as_bytes())? {
        builder = builder.add_root_certificate(certificate);
    }
    if let Some(pem) = identity_pem {
        builder = builder.identity(Identity::from_pem(pem.as_bytes())?);
    }
    Ok(builder.build()?)
}

impl Sender {
    /// Sends a report and waits until it is durable.
    pub async fn report(&self, body: impl Into<Body>, zstd: bool) -> Result<Response, Failure> {
        let request = self.shown(self.client.post(format!("{}/api/v1/sightings", self.url)));
        let request = request.header("content-type", "application/x-ndjson");
        let request = if zstd { request.header("content-encoding", "zstd") } else { request };
        Ok(request.body(body).send().await?)
    }

    /// Sends JSON, and gives the JSON of a good answer.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.shown(self.client.post(format!("{}{path}", self.url))).json(body);
        good(request.send().await?).await
    }

    /// Asks for a path.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.shown(self.client.get(format!("{}{path}", self.url)))
    }

    fn shown(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
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

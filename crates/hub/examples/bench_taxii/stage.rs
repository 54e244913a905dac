//! A hub as a second process, with an alliance of four members and a token for each.

use crate::client::Sender;
use crate::{Failure, allocator, figures, joined};
use hub::{Config, Directory, Hub, Init, admin};
use model::{Digest, SigningKey};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// The first word of the second process.
pub const SERVE: &str = "--serve";
/// TAXII's media type.
pub const TAXII: &str = "application/taxii+json;version=2.1";
/// Who writes and reads.
pub const MEMBERS: [&str; 4] = ["member-0", "member-1", "member-2", "member-3"];
/// The collection.
const COLLECTION: &str = "/taxii2/alliance/collections/sightings";

/// A hub that runs until it is dropped.
pub struct Stage {
    url: String,
    certificate: String,
    tokens: Vec<String>,
    /// The admin's.
    first: String,
    child: Child,
    _dir: tempfile::TempDir,
}

/// One client with a connection of its own.
#[derive(Clone)]
pub struct Talker {
    client: Client,
    url: String,
    member: &'static str,
    token: String,
}

/// What a request shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credential {
    /// The token.
    Bearer,
    /// The token as the password of HTTP Basic.
    Basic,
    /// An agent's certificate, in the TLS handshake.
    Certificate,
}

/// The second process: a hub on a free port, which ends when its input does.
pub fn serve(root: &str) -> Result<(), Failure> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut config = Config::new(root);
        config.listen.address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        config.join.strangers_per_minute_max = 100_000;
        config.limits.requests_per_minute_max = 1_000_000;
        config.limits.reads_per_minute_max = 1_000_000;
        let running = Hub::start(config).await?;
        println!("{}", running.url());
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        tokio::select! {
            _ = input.next_line() => {}
            reason = running.broken() => return Err(reason.into()),
        }
        Ok(running.shutdown().await?)
    })
}

fn key(member: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(&[b"bench, no secret", member.as_bytes()]).as_bytes())
}

fn charter(directory: &Directory) -> String {
    let identity = directory.identity();
    let mut text = format!(
        "[alliance]\nname = \"{}\"\nversion = 1\nmade = \"2026-01-01T00:00:00Z\"\nhub_key = \"{}\"\n\
         [limits]\nsightings_per_minute_max = 60000000\n",
        identity.alliance, identity.checkpoint_key
    );
    for member in MEMBERS {
        text += &format!(
            "[[member]]\nid = \"{member}\"\nname = \"{member}\"\nkind = \"full\"\nstanding = \"vetted\"\n\
             segments = [\"infrastructure\"]\nroles = [\"reporter\"]\n\
             keys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n",
            key(member).public()
        );
    }
    text
}

impl Stage {
    pub async fn new() -> Result<Self, Failure> {
        let dir = tempfile::Builder::new().prefix("epimachia-taxii-").tempdir()?;
        let root = dir.path().join("hub");
        let directory = Directory::init(&root, &Init { alliance: "bench.alliance".to_owned(), names: Vec::new() })?;
        admin::first_token(&directory, &MEMBERS[0].parse()?)?;
        let (child, url) = start(SERVE, &root).await?;
        let certificate = std::fs::read_to_string(root.join("ca.pem"))?;
        let first = std::fs::read_to_string(root.join("admin.token"))?.trim().to_owned();
        let mut stage = Self { url, certificate, tokens: vec![first.clone(); MEMBERS.len()], first, child, _dir: dir };
        let admin = stage.talker(0)?;
        let text = charter(&directory);
        let consents: Result<Vec<_>, Failure> = (MEMBERS.iter())
            .map(|member| Ok(charter::SignedCharter::consent(&text, &member.parse()?, &key(member))?))
            .collect();
        admin.post_json("/api/v1/charter", &json!({ "text": text, "consents": consents? })).await?;
        for (n, member) in MEMBERS.into_iter().enumerate() {
            let wish = json!({ "member": member, "scopes": ["report", "read"], "label": "bench", "valid": "1d" });
            let shown = admin.post_json("/api/v1/tokens", &wish).await?;
            stage.tokens[n] = shown["token"].as_str().ok_or("no token")?.to_owned();
        }
        Ok(stage)
    }

    /// A client of a member, with its own connection.
    pub fn talker(&self, n: usize) -> Result<Talker, Failure> {
        let n = n % MEMBERS.len();
        Talker::new(&self.url, &self.certificate, MEMBERS[n], &self.tokens[n])
    }

    /// A client of a member that has joined as an agent, and shows its certificate.
    pub async fn joined(&self, n: usize) -> Result<Talker, Failure> {
        let member: model::MemberId = MEMBERS[n % MEMBERS.len()].parse()?;
        let (url, token) = (self.url.clone(), Some(self.first.clone()));
        let client = crate::client::client(&self.certificate, None)?;
        let admin = Sender { client, url, token, member: MEMBERS[0].parse()?, key: None, sequence: 1 };
        let sender = joined::sender(&admin, &self.certificate, member.clone(), key(member.as_str())).await?;
        Ok(Talker { client: sender.client, ..self.talker(n)? })
    }

    /// The number of the hub's process.
    pub fn process(&self) -> String {
        self.child.id().unwrap_or_default().to_string()
    }

    /// Processor seconds that the hub has taken.
    pub fn processor(&self) -> f64 {
        figures::processor_seconds(&self.process())
    }

    /// Bytes that the hub holds.
    pub fn resident(&self) -> u64 {
        figures::resident(&self.process())
    }
}

/// A second process that serves in this way; it says its address, and ends when its input does.
pub async fn start(how: &str, root: &Path) -> Result<(Child, String), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .envs(allocator::settings())
        .arg(how)
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let output = child.stdout.take().ok_or("the hub has no output")?;
    let line = BufReader::new(output).lines().next_line().await?;
    Ok((child, line.ok_or("the hub did not start: its reason stands above")?))
}

impl Talker {
    /// A client with its own connection, which trusts this certificate.
    pub fn new(url: &str, certificate: &str, member: &'static str, token: &str) -> Result<Self, Failure> {
        let certificate = reqwest::Certificate::from_pem(certificate.as_bytes())?;
        let builder = Client::builder().add_root_certificate(certificate).use_rustls_tls().http1_only();
        let client = builder.pool_max_idle_per_host(1).build()?;
        Ok(Self { client, url: url.to_owned(), member, token: token.to_owned() })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{COLLECTION}{path}", self.url)).header("accept", TAXII)
    }

    /// The bytes of a good answer, and when its last object was added.
    pub async fn ask(&self, path: &str, shown: Credential) -> Result<(Vec<u8>, String), Failure> {
        let request = self.get(path);
        let request = match shown {
            Credential::Bearer => request.bearer_auth(&self.token),
            Credential::Basic => request.basic_auth(self.member, Some(&self.token)),
            Credential::Certificate => request,
        };
        let response = request.send().await?.error_for_status()?;
        let last = response.headers().get("x-taxii-date-added-last");
        let last = last.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        Ok((response.bytes().await?.to_vec(), last))
    }

    /// Adds objects; gives how many stand there now.
    pub async fn add(&self, envelope: String) -> Result<u64, Failure> {
        let request = self.client.post(format!("{}{COLLECTION}/objects/", self.url)).bearer_auth(&self.token);
        let request = request.header("accept", TAXII).header("content-type", TAXII).body(envelope);
        let status: Value = serde_json::from_slice(&request.send().await?.error_for_status()?.bytes().await?)?;
        match status["failure_count"].as_u64() {
            Some(0) => Ok(status["success_count"].as_u64().unwrap_or(0)),
            _ => Err(format!("an object was refused: {status:.500}").into()),
        }
    }

    async fn post_json(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
        let response = request.send().await?;
        let (status, text) = (response.status(), response.text().await?);
        if status.is_success() { Ok(serde_json::from_str(&text)?) } else { Err(format!("{status}: {text}").into()) }
    }
}

/// The time now, as STIX writes it.
pub fn now() -> Result<String, Failure> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(model::Timestamp::from_millis(i64::try_from(since.as_millis())?).to_string())
}

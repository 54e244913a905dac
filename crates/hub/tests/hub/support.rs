//! An alliance of three members around one hub on a free loopback port, and what its members send.

use alliance::Scope;
use hub::wire::{NewToken, ReportHead, TokenShown};
use hub::{Config, Directory, Hub, Init, Running, admin};
use model::{Batch, Handling, KeyId, MemberId, Opening, Salt, Sighting, SigningKey, Span, Timestamp, Tlp};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a test waits for what must come; no figure of the product, only the end of a test that fails.
pub const PATIENCE: Duration = Duration::from_secs(120);

pub const MEMBERS: [&str; 3] = ["telecom", "cloud", "bank"];

/// A running hub with its charter in force and a token of every scope for every member.
pub struct Bench {
    pub running: Running,
    pub client: Client,
    pub tokens: BTreeMap<String, String>,
    pub dir: tempfile::TempDir,
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// The agent's key of a member; `person` that of its person.
pub fn key(member: &str, person: bool) -> SigningKey {
    let n = u8::try_from(MEMBERS.iter().position(|m| *m == member).unwrap()).unwrap();
    SigningKey::from_seed(&[if person { 100 + n } else { 1 + n }; 32])
}

/// The key with which a member's witness cosigns.
pub fn witness_key(member: &str) -> SigningKey {
    let n = u8::try_from(MEMBERS.iter().position(|m| *m == member).unwrap()).unwrap();
    SigningKey::from_seed(&[200 + n; 32])
}

pub fn charter(directory: &Directory, version: u64, previous: Option<&str>) -> String {
    let mut text = format!(
        "[alliance]\nname = \"{}\"\nversion = {version}\nmade = \"2026-01-01T00:00:00Z\"\nhub_key = \"{}\"\n",
        directory.identity().alliance,
        directory.identity().checkpoint_key
    );
    if let Some(previous) = previous {
        text += &format!("previous = \"{previous}\"\n");
    }
    text += "[guards]\nnever = [\"9.9.9.9\"]\n[[group]]\nid = \"pair\"\nmembers = [\"telecom\", \"cloud\"]\n";
    for (n, member) in MEMBERS.iter().enumerate() {
        let (agent, person) = (key(member, false).public(), key(member, true).public());
        let witness = witness_key(member).public();
        text += &format!(
            "[[member]]\nid = \"{member}\"\nname = \"{member}\"\nkind = \"full\"\nstanding = \"vetted\"\n\
             segments = [\"infrastructure\"]\nroles = [\"reporter\", \"approver\", \"operator\"]\n\
             capabilities = [\"packet-filter\", \"dns-filter\"]\n\
             witness = \"{witness}\"\n\
             keys = [{{ public = \"{agent}\", from = \"2026-01-01T00:00:00Z\" }}]\n\
             [member.assets]\nprefixes = [\"45.{n}.0.0/16\"]\n\
             [[member.person]]\nid = \"ada@{member}\"\n\
             keys = [{{ public = \"{person}\", from = \"2026-01-01T00:00:00Z\" }}]\n"
        );
    }
    text
}

/// A charter with the consents of all.
pub fn signed_charter(text: &str) -> Value {
    let consents = MEMBERS.map(|m| charter::SignedCharter::consent(text, &m.parse().unwrap(), &key(m, false)).unwrap());
    json!({ "text": text, "consents": consents })
}

/// A data directory of a new hub, with its first token.
pub fn init(root: &Path) -> Directory {
    init_as(root, "test.alliance")
}

/// The same in an alliance of that name.
pub fn init_as(root: &Path, alliance: &str) -> Directory {
    let directory = Directory::init(root, &Init { alliance: alliance.to_owned(), names: Vec::new() }).unwrap();
    admin::first_token(&directory, &"telecom".parse().unwrap()).unwrap();
    directory
}

pub fn config(root: &Path) -> Config {
    let mut config = Config::new(root);
    config.listen.address = "127.0.0.1:0".parse().unwrap();
    config.order.tick = Span::millis(100);
    config.account.checkpoint_every = Span::millis(50);
    config
}

pub fn client(certificate_pem: &str) -> Client {
    // A second one finds the first in place.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = reqwest::Certificate::from_pem(certificate_pem.as_bytes()).unwrap();
    Client::builder().add_root_certificate(certificate).use_rustls_tls().build().unwrap()
}

impl Bench {
    pub async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Self::start_from(change, Hub::start).await
    }

    /// Another alliance with members of the same names.
    pub async fn start_as(alliance: &str) -> Self {
        Self::start_whole(alliance, |_| (), Hub::start).await
    }

    /// Starts with something special about the start itself.
    pub async fn start_from<F: Future<Output = Result<Running, hub::Error>>>(
        change: impl FnOnce(&mut Config),
        start: impl FnOnce(Config) -> F,
    ) -> Self {
        Self::start_whole("test.alliance", change, start).await
    }

    async fn start_whole<F: Future<Output = Result<Running, hub::Error>>>(
        alliance: &str,
        change: impl FnOnce(&mut Config),
        start: impl FnOnce(Config) -> F,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("hub");
        let directory = init_as(&root, alliance);
        let mut config = config(&root);
        change(&mut config);
        let running = start(config).await.unwrap();
        let client = client(running.certificate_pem());
        let mut bench = Self { running, client, tokens: BTreeMap::new(), dir };
        let first = std::fs::read_to_string(root.join("admin.token")).unwrap();
        bench.tokens.insert("first".to_owned(), first.trim().to_owned());
        let text = charter(&directory, 1, None);
        let adopted = bench.post("first", "/api/v1/charter", &signed_charter(&text)).await;
        assert_eq!(adopted.0, 200, "{}", adopted.1);
        for member in MEMBERS {
            let scopes = Scope::ALL.into_iter().filter(|scope| *scope != Scope::Admin).collect();
            let token = bench.token("first", member, scopes, Span::days(1)).await.unwrap();
            bench.tokens.insert(member.to_owned(), token);
        }
        let token = bench.token("first", "telecom", [Scope::Admin].into(), Span::days(1)).await.unwrap();
        bench.tokens.insert("admin".to_owned(), token);
        bench
    }

    /// Stops the hub and starts it again on what it left.
    pub async fn restart(self) -> Self {
        let Self { running, dir, tokens, .. } = self;
        running.shutdown().await.unwrap();
        let running = hub::Hub::start(config(&dir.path().join("hub"))).await.unwrap();
        let client = client(running.certificate_pem());
        Self { running, client, tokens, dir }
    }

    /// As [`Bench::restart`], of a hub whose last entry is that much later: time goes on from there. Tokens go on; that
    /// the hub's certificate is of a time to come is no fault here.
    pub async fn restart_after(self, later: Span) -> Self {
        let Self { running, dir, tokens, .. } = self;
        let options = journal::Options::new(running.directory().log());
        running.shutdown().await.unwrap();
        let root = dir.path().join("hub");
        let journal = journal::FileJournal::open(&root.join("journal"), options).unwrap();
        let (v, author, handling) = (alliance::ENTRY_VERSION, alliance::Author::Hub, Handling::alliance(Tlp::Green));
        let event = alliance::Event::Backlog { waiting: 0 };
        let entry = alliance::Entry { v, time: now().plus(later), author, handling, event };
        let entry = journal::Entry::new([1; 32], &entry.to_bytes()).unwrap();
        journal::Journal::append(&journal, journal::Journal::head(&journal).unwrap(), &[entry]).unwrap();
        drop(journal);
        let running = hub::Hub::start(config(&root)).await.unwrap();
        let client = Client::builder().danger_accept_invalid_certs(true).use_rustls_tls().build().unwrap();
        Self { running, client, tokens, dir }
    }

    pub fn root(&self) -> PathBuf {
        self.dir.path().join("hub")
    }

    pub async fn token(
        &self,
        by: &str,
        member: &str,
        scopes: std::collections::BTreeSet<Scope>,
        valid: Span,
    ) -> Result<String, Value> {
        let wish = NewToken { member: member.parse().unwrap(), scopes, label: "test".to_owned(), valid };
        match self.post(by, "/api/v1/tokens", &serde_json::to_value(wish).unwrap()).await {
            (200, shown) => Ok(serde_json::from_value::<TokenShown>(shown).unwrap().token),
            (_, problem) => Err(problem),
        }
    }

    /// A token whose time is over. On a slow machine the shortest are over before they are made: longer ones follow.
    pub async fn ended_token(&self, by: &str, member: &str, scopes: std::collections::BTreeSet<Scope>) -> String {
        for millis in [100, 1_000, 10_000] {
            if let Ok(token) = self.token(by, member, scopes.clone(), Span::millis(millis)).await {
                tokio::time::sleep(Duration::from_millis(millis as u64)).await;
                return token;
            }
        }
        panic!("no token was made within ten seconds");
    }

    pub fn request(&self, who: &str, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.running.url()));
        match self.tokens.get(who) {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn get(&self, who: &str, path: &str) -> (u16, Value) {
        read(self.request(who, Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, who: &str, path: &str, body: &Value) -> (u16, Value) {
        read(self.request(who, Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub async fn report(&self, who: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        read(self.send_report(who, body).await).await
    }

    pub async fn send_report(&self, who: &str, body: impl Into<reqwest::Body>) -> Response {
        let request = self.request(who, Method::POST, "/api/v1/sightings");
        request.header("content-type", "application/x-ndjson").body(body).send().await.unwrap()
    }
}

/// Status and JSON of an answer; every one is held against the API's description.
pub async fn read(response: Response) -> (u16, Value) {
    let (status, path) = (response.status().as_u16(), response.url().path().to_owned());
    let bytes = response.bytes().await.unwrap();
    let value =
        serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
    if status >= 400 {
        let schema = if path.starts_with("/taxii2/") { "TaxiiError" } else { "Problem" };
        crate::api::check(schema, &value).unwrap_or_else(|wrong| panic!("{path}: {wrong}: {value}"));
    }
    (status, value)
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn sighting(observable: &str) -> Value {
    let (first, last) = (now().minus(Span::seconds(9)), now().minus(Span::seconds(8)));
    json!({ "observable": observable, "behaviour": "scan", "first": first, "last": last, "count": 3,
            "sensor": "ids", "grade": "handshake", "handling": { "tlp": "green" } })
}

/// A signed report as it travels.
pub fn signed_report(member: &str, sequence: u64, sightings: &[Value]) -> String {
    let openings: Vec<Opening> = (sightings.iter().enumerate())
        .map(|(n, sighting)| {
            let sighting = Sighting::parse(&sighting.to_string()).unwrap();
            let mut salt = [0; 16];
            salt[..8].copy_from_slice(&(n as u64 + 1).to_be_bytes());
            Opening::seal(Salt(salt), &sighting)
        })
        .collect();
    let author: MemberId = member.parse().unwrap();
    let batch = Batch::seal(author, &key(member, false), sequence, now(), openings);
    lines(&batch)
}

pub fn lines(batch: &Batch) -> String {
    let head = ReportHead { header: batch.header.clone(), signature: batch.signature };
    let mut text = serde_json::to_string(&head).unwrap() + "\n";
    for opening in &batch.openings {
        text += &serde_json::to_string(opening).unwrap();
        text.push('\n');
    }
    text
}

pub fn key_id(member: &str, person: bool) -> KeyId {
    key(member, person).public().id()
}

//! An alliance of three members around a hub on a free loopback port: its agents, its persons, its command line.

use agent::{Agent, Answer, Config, Request};
use hub::{Directory, Hub, Init};
use model::{Batch, Digest, Opening, Salt, Sighting, SigningKey, Span, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A slow machine may take so long for anything here.
const PATIENCE: Duration = Duration::from_secs(120);
const MEMBERS: [&str; 3] = ["telecom", "cloud", "bank"];

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// Waits until something is there.
pub async fn wait_for<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub fn secret(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The seed of a member's agent, or of a person as `name@member`.
fn seed(of: &str) -> [u8; 32] {
    *Digest::of(&[of.as_bytes()]).as_bytes()
}

fn key(of: &str) -> SigningKey {
    SigningKey::from_seed(&seed(of))
}

/// A running hub with its charter in force, and a token of every member's.
pub struct Alliance {
    pub hub: hub::Running,
    http: reqwest::Client,
    pub tokens: BTreeMap<String, String>,
    pub dir: tempfile::TempDir,
}

impl Alliance {
    pub async fn start(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("hub");
        let made = Directory::init(&root, &Init { alliance: name.to_owned(), names: Vec::new() }).unwrap();
        let first = hub::admin::first_token(&made, &"telecom".parse().unwrap()).unwrap();
        let mut config = hub::Config::new(&root);
        config.listen.address = "127.0.0.1:0".parse().unwrap();
        config.order.tick = Span::millis(100);
        config.account.checkpoint_every = Span::millis(100);
        let hub = Hub::start(config).await.unwrap();
        // A second one finds the first in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authority = reqwest::Certificate::from_pem(hub.certificate_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder().add_root_certificate(authority).use_rustls_tls().build().unwrap();
        let first = std::fs::read_to_string(first).unwrap().trim().to_owned();
        let mut alliance = Self { hub, http, tokens: [("first".to_owned(), first)].into(), dir };
        alliance.adopt().await;
        for member in MEMBERS {
            let wish =
                json!({ "member": member, "scopes": ["report", "read", "receive"], "label": "test", "valid": "1d" });
            let token = alliance.post("first", "/api/v1/tokens", &wish).await["token"].as_str().unwrap().to_owned();
            secret(&alliance.dir.path().join(format!("{member}.token")), &token);
            alliance.tokens.insert(member.to_owned(), token);
        }
        std::fs::write(alliance.ca(), alliance.hub.certificate_pem()).unwrap();
        alliance
    }

    async fn adopt(&self) {
        let identity = self.hub.directory().identity();
        let mut text = format!(
            "[alliance]\nname = \"{}\"\nversion = 1\nmade = \"2026-01-01T00:00:00Z\"\nhub_key = \"{}\"\n",
            identity.alliance, identity.checkpoint_key
        );
        for member in MEMBERS {
            text += &format!(
                "[[member]]\nid = \"{member}\"\nname = \"{member}\"\nkind = \"full\"\nstanding = \"vetted\"\n\
                 segments = [\"infrastructure\"]\nroles = [\"reporter\", \"approver\", \"operator\"]\n\
                 capabilities = [\"packet-filter\", \"dns-filter\"]\n\
                 keys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n\
                 [[member.person]]\nid = \"ada@{member}\"\n\
                 keys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n",
                key(member).public(),
                key(&format!("ada@{member}")).public()
            );
        }
        let consent = |m: &str| charter::SignedCharter::consent(&text, &m.parse().unwrap(), &key(m)).unwrap();
        self.post("first", "/api/v1/charter", &json!({ "text": text, "consents": MEMBERS.map(consent) })).await;
    }

    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub async fn post(&self, who: &str, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.hub.url())).bearer_auth(&self.tokens[who]).json(body);
        answer(path, request).await
    }

    pub async fn get(&self, who: &str, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.hub.url())).bearer_auth(&self.tokens[who]);
        answer(path, request).await
    }

    /// A member's own sensor saw this; signed by the member.
    pub async fn report(&self, member: &str, sequence: u64, observable: &str) {
        let opening = Opening::seal(Salt([7; 16]), &sighting(observable));
        let batch = Batch::seal(member.parse().unwrap(), &key(member), sequence, now(), vec![opening]);
        let head = hub::wire::ReportHead { header: batch.header.clone(), signature: batch.signature };
        let lines = [serde_json::to_string(&head).unwrap(), serde_json::to_string(&batch.openings[0]).unwrap()];
        let request = self.http.post(format!("{}/api/v1/sightings", self.hub.url())).bearer_auth(&self.tokens[member]);
        answer("sightings", request.header("content-type", "application/x-ndjson").body(lines.join("\n"))).await;
    }

    /// What the alliance holds of a value, once it holds something.
    pub async fn finding(&self, value: &str) -> Value {
        let path = format!("/api/v1/why?value={value}");
        wait_for(value, async || {
            let why = self.get("bank", &path).await;
            (why["known"] == true).then(|| why["findings"][0]["finding"].clone())
        })
        .await
    }

    /// All objects of a collection, as a member is shown them.
    pub async fn objects(&self, collection: &str) -> Vec<Value> {
        let path = format!("/taxii2/alliance/collections/{collection}/objects/?limit=1000");
        let request = self.http.get(format!("{}{path}", self.hub.url())).bearer_auth(&self.tokens["bank"]);
        let page = answer(&path, request.header("accept", share::taxii::media::TAXII)).await;
        page["objects"].as_array().cloned().unwrap_or_default()
    }

    /// A member's agent, with what stands in its configuration beside the member and the hub.
    pub async fn agent(&self, member: &str, rest: &str) -> agent::Running {
        let home = self.dir.path();
        secret(&home.join(format!("{member}.key")), &agent::keys::key_text(&seed(member)));
        let charter = self.get(member, "/api/v1/charter").await;
        let pin = charter::Charter::digest_of(charter["text"].as_str().unwrap());
        let url = self.hub.url();
        let text = format!(
            "[member]\nid = '{member}'\nkey = '{member}.key'\n[hub]\nurl = '{url}'\nca = 'ca.pem'\n\
             token = '{member}.token'\ncharter = '{pin}'\n[state]\ndirectory = 'state-{member}'\n\
             patrol = '1s'\nsettle = '1m'\n{rest}"
        );
        let file = home.join(format!("{member}.toml"));
        std::fs::write(&file, text).unwrap();
        Agent::start(Config::read(&file).unwrap()).await.unwrap()
    }

    /// The section by which another's agent comes here as `member`.
    pub fn way(&self, member: &str) -> String {
        let (url, ca, dir) = (self.hub.url(), self.ca(), self.dir.path());
        let token = dir.join(format!("{member}.token"));
        format!("url = '{url}/taxii2/alliance/'\nca = '{}'\ntoken = '{}'\n", ca.display(), token.display())
    }

    /// What ada of a member types, and what it prints.
    pub fn types(&self, member: &str, words: &[&str]) -> Value {
        let dir = self.dir.path();
        let key_file = dir.join(format!("ada.{member}.key"));
        secret(&key_file, &agent::keys::key_text(&seed(&format!("ada@{member}"))));
        let mut command = Command::new(env!("CARGO_BIN_EXE_epimachia"));
        command.args(words).current_dir(dir).stdin(Stdio::null());
        command.env("EPIMACHIA_HUB", self.hub.url()).env("EPIMACHIA_CA", self.ca());
        command.env("EPIMACHIA_TOKEN_FILE", dir.join(format!("{member}.token")));
        command.env("EPIMACHIA_PERSON", format!("ada@{member}")).env("EPIMACHIA_KEY", key_file);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
        let text = String::from_utf8(done.stdout).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
    }
}

/// What a sensor saw.
pub fn sighting(observable: &str) -> Sighting {
    let (first, last) = (now().minus(Span::seconds(9)), now().minus(Span::seconds(8)));
    let sighting = json!({ "observable": observable, "behaviour": "c2", "first": first, "last": last, "count": 3,
        "sensor": "ids", "grade": "payload", "handling": { "tlp": "green" } });
    Sighting::parse(&sighting.to_string()).unwrap()
}

async fn answer(what: &str, request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "{what}: {text}");
    serde_json::from_str(&text).unwrap()
}

/// What an agent answers.
pub async fn told(agent: &agent::Running, request: Request) -> Value {
    match agent.ask(request).await {
        Answer::Ok(answer) => answer,
        Answer::Refused(refusal) => panic!("{refusal}"),
    }
}

async fn feed(agent: &agent::Running, name: &str) -> Value {
    let views = told(agent, Request::Feeds).await;
    views.as_array().unwrap().iter().find(|view| view["name"] == name).unwrap().clone()
}

/// Looks at a feed once more.
pub async fn look(agent: &agent::Running, name: &str) -> Value {
    let before = told(agent, Request::FeedNow { feed: name.to_owned() }).await;
    wait_for(name, async || {
        let view = feed(agent, name).await;
        (view["rounds"].as_u64() > before.as_u64() && view["busy"] == false).then_some(view)
    })
    .await
}

/// Looks at a feed until it has got through, as often as that takes: an agent that starts has no charter yet.
pub async fn look_well(agent: &agent::Running, name: &str) -> BTreeMap<String, u64> {
    wait_for(name, async || {
        let view = look(agent, name).await;
        view["failure"].is_null().then(|| serde_json::from_value(view["counts"].clone()).unwrap())
    })
    .await
}

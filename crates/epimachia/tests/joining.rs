//! An agent and a hub, from the join token on: joining, renewing, coming back after an outage, catching up with
//! charters.

#![expect(clippy::unwrap_used, reason = "a test says so by failing")]

use agent::identity::Identity;
use agent::join::{IDENTITY, join};
use agent::{Agent, Answer, Config, Request};
use hub::{Directory, Hub, Init};
use model::join::JoinToken;
use model::{Digest, Rule, SigningKey, Span, Timestamp};
use serde_json::{Value, json};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long what must come may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often an agent is killed; `EPIMACHIA_KILLS` says otherwise.
const KILLS: u32 = 8;
/// Where a child finds its agent.
const CHILD: &str = "EPIMACHIA_TEST_RENEWAL_HOME";
const MEMBERS: [&str; 2] = ["telecom", "cloud"];

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn key(member: &str) -> SigningKey {
    SigningKey::from_seed(Digest::of(&[member.as_bytes()]).as_bytes())
}

/// A hub of two members with its charter in force.
struct Alliance {
    hub: hub::Running,
    http: reqwest::Client,
    admin: String,
    dir: tempfile::TempDir,
}

impl Alliance {
    async fn new(certificate_valid: Span) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("hub");
        let init = Init { alliance: "test.alliance".to_owned(), names: Vec::new() };
        let made = Directory::init(&root, &init).unwrap();
        let first = hub::admin::first_token(&made, &"telecom".parse().unwrap()).unwrap();
        let mut config = hub::Config::new(&root);
        config.listen.address = "127.0.0.1:0".parse().unwrap();
        config.order.tick = Span::millis(100);
        config.join.certificate_valid = certificate_valid;
        let running = Hub::start(config).await.unwrap();
        // A second one finds the first in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let root = reqwest::Certificate::from_pem(running.certificate_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder().add_root_certificate(root).use_rustls_tls().build().unwrap();
        let admin = std::fs::read_to_string(first).unwrap().trim().to_owned();
        let alliance = Self { hub: running, http, admin, dir };
        alliance.adopt(1).await;
        alliance
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let request = self.http.post(format!("{}{path}", self.hub.url())).bearer_auth(&self.admin).json(body);
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let request = self.http.get(format!("{}{path}", self.hub.url())).bearer_auth(&self.admin);
        serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
    }

    /// Puts the charter of this version in force; gives its digest.
    async fn adopt(&self, version: u64) -> Digest {
        let identity = self.hub.directory().identity();
        let mut text = format!(
            "[alliance]\nname = \"{}\"\nversion = {version}\nmade = \"2026-01-01T00:00:00Z\"\nhub_key = \"{}\"\n",
            identity.alliance, identity.checkpoint_key
        );
        if version > 1 {
            let before = self.get("/api/v1/charter").await;
            text += &format!("previous = \"{}\"\n", charter::Charter::digest_of(before["text"].as_str().unwrap()));
        }
        for member in MEMBERS {
            text += &format!(
                "[[member]]\nid = \"{member}\"\nname = \"{member}\"\nkind = \"full\"\nstanding = \"vetted\"\n\
                 segments = [\"infrastructure\"]\nroles = [\"reporter\", \"operator\"]\n\
                 capabilities = [\"packet-filter\"]\n\
                 keys = [{{ public = \"{}\", from = \"2026-01-01T00:00:00Z\" }}]\n",
                key(member).public()
            );
        }
        let consent = |m: &str| charter::SignedCharter::consent(&text, &m.parse().unwrap(), &key(m)).unwrap();
        self.post("/api/v1/charter", &json!({ "text": text, "consents": MEMBERS.map(consent) })).await;
        charter::Charter::digest_of(&text)
    }

    async fn invite(&self) -> JoinToken {
        let wish = json!({ "member": "telecom", "valid": "1h", "hub": self.hub.url() });
        let invited = self.post("/api/v1/join-tokens", &wish).await;
        JoinToken::parse(invited["token"].as_str().unwrap()).unwrap()
    }

    fn home(&self) -> PathBuf {
        let home = self.dir.path().join("agent");
        std::fs::create_dir_all(&home).unwrap();
        home
    }

    /// The running agent of a directory that has joined.
    async fn run(&self, home: &Path, pin: Digest) -> agent::Running {
        let file = home.join("agent.key");
        if !file.exists() {
            let text = agent::keys::key_text(Digest::of(&[b"telecom"]).as_bytes());
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let config = home.join("agent.toml");
        let text = format!(
            "[member]\nid = \"telecom\"\nkey = \"agent.key\"\n[hub]\nurl = \"{}\"\nca = \"ca.pem\"\n\
             certificate = \"{IDENTITY}\"\ncharter = \"{pin}\"\n[[point]]\ntype = \"preview\"\nname = \"by-hand\"\n\
             [state]\ndirectory = \"state\"\n",
            self.hub.url()
        );
        std::fs::write(&config, text).unwrap();
        Agent::start(Config::read(&config).unwrap()).await.unwrap()
    }
}

async fn status(agent: &agent::Running) -> Value {
    match agent.ask(Request::Status).await {
        Answer::Ok(status) => status,
        Answer::Refused(refusal) => Value::String(refusal.to_string()),
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn agent_name() -> model::AgentName {
    "agent".parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_joins_only_the_hub_of_its_token_and_only_under_the_charter_it_was_told() {
    let alliance = Alliance::new(Span::hours(24)).await;
    let (home, token, key) = (alliance.home(), alliance.invite().await, key("telecom"));
    let other = JoinToken { ca: Digest::of(&[b"another authority"]), ..token.clone() };
    let refused = join(&other, &home, &agent_name(), &key, None).await.unwrap_err();
    assert!(matches!(&refused, agent::Error::Refused(r) if r.rule == Rule::HubUnproven), "{refused}");
    let wrong = Some(Digest::of(&[b"another charter"]));
    let refused = join(&token, &home, &agent_name(), &key, wrong).await.unwrap_err();
    assert!(matches!(&refused, agent::Error::Refused(r) if r.rule == Rule::DigestMismatch), "{refused}");
    let forged = JoinToken { hub_key: key.public(), ..token.clone() };
    assert!(join(&forged, &home, &agent_name(), &key, None).await.is_err(), "a charter of another hub");
    // The token was used, and by this agent: it goes on where it was.
    let joined = join(&token, &home, &agent_name(), &key, None).await.unwrap();
    assert!(joined.key_in_charter && joined.version == 1);
    let again = join(&token, &home, &agent_name(), &key, Some(joined.charter)).await.unwrap();
    assert!(again.identity.until >= joined.identity.until);
    let thief = alliance.dir.path().join("thief");
    std::fs::create_dir_all(&thief).unwrap();
    let refused = join(&token, &thief, &agent_name(), &key, None).await.unwrap_err();
    assert!(matches!(&refused, agent::Error::Refused(r) if r.rule == Rule::JoinTokenUsed), "{refused}");
    let gone = JoinToken { hub: "https://127.0.0.1:1".to_owned(), ..token };
    let away = join(&gone, &home, &agent_name(), &key, None).await.unwrap_err();
    assert!(matches!(away, agent::Error::Unavailable(_)), "{away}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_renews_itself_and_after_an_outage_by_the_members_key() {
    let alliance = Alliance::new(Span::seconds(6)).await;
    let (home, token) = (alliance.home(), alliance.invite().await);
    let joined = join(&token, &home, &agent_name(), &key("telecom"), None).await.unwrap();
    let identity = || Identity::read(&home.join(IDENTITY)).unwrap();
    let agent = alliance.run(&home, joined.charter).await;
    until("the agent is ready", async || status(&agent).await["ready"] == true).await;
    until("it renews itself twice", async || identity().until > joined.identity.until.plus(Span::seconds(6))).await;
    let sighting = json!({ "observable": "80.1.2.3", "behaviour": "scan", "first": now(), "last": now(), "count": 1,
        "sensor": "ids", "grade": "handshake", "handling": { "tlp": "green" } });
    let sighting = model::Sighting::parse(&sighting.to_string()).unwrap();
    let answer = agent.ask(Request::Report { sightings: vec![sighting] }).await;
    assert_eq!(answer, Answer::Ok(json!("1 sighting waits for the hub")));
    until("the report is with the hub", async || status(&agent).await["outbox"] == 0).await;
    agent.stop().await.unwrap();
    let before = identity().until;
    until("the outage is longer than the certificate's life", async || now() > before).await;
    let agent = alliance.run(&home, joined.charter).await;
    until("it has proven itself by the member's key", async || identity().until > now()).await;
    until("the agent is ready", async || status(&agent).await["ready"] == true).await;
    let certificates = alliance.get("/api/v1/certificates").await;
    assert!(certificates["items"].as_array().unwrap().len() >= 4, "{certificates}");
    // Another renewal may just be under way.
    until("nothing half done is left", async || !home.join("identity.pending").exists()).await;
    agent.stop().await.unwrap();
}

/// kill -9 as soon as a renewal is under way, or a few steps later: the files are whole, and the next start goes on.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_killed_in_a_renewal_has_an_identity_and_renews_it_again() {
    if let Some(home) = std::env::var_os(CHILD) {
        return renew_until_killed(Path::new(&home)).await;
    }
    let alliance = Alliance::new(Span::seconds(4)).await;
    let (home, token) = (alliance.home(), alliance.invite().await);
    let joined = join(&token, &home, &agent_name(), &key("telecom"), None).await.unwrap();
    alliance.run(&home, joined.charter).await.stop().await.unwrap();
    let rounds = std::env::var("EPIMACHIA_KILLS").map_or(KILLS, |rounds| rounds.parse().unwrap());
    let mut inside = 0;
    for round in 0..rounds {
        kill_in_a_renewal(&home, round).await;
        inside += u32::from(home.join("identity.pending").exists());
        let identity = Identity::read(&home.join(IDENTITY)).unwrap();
        assert_eq!(identity.agent, agent_name(), "round {round}");
    }
    println!("{rounds} kills, {inside} of them while a certificate was being asked for");
    let agent = alliance.run(&home, joined.charter).await;
    until("the agent is ready", async || status(&agent).await["ready"] == true).await;
    let until_now = Identity::read(&home.join(IDENTITY)).unwrap().until;
    until("it renews itself", async || Identity::read(&home.join(IDENTITY)).unwrap().until > until_now).await;
    agent.stop().await.unwrap();
}

/// Starts the agent as a process of its own and kills it some steps after it began to ask for a certificate.
async fn kill_in_a_renewal(home: &Path, round: u32) {
    let before = files(home);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_agent_killed_in_a_renewal_has_an_identity_and_renews_it_again", "--nocapture"])
        .env(CHILD, home)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begun = std::time::Instant::now();
    while files(home) == before {
        assert!(begun.elapsed() < PATIENCE, "no renewal began");
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
    tokio::time::sleep(Duration::from_micros(u64::from(round % 12) * 700)).await;
    // SIGKILL, as far as the standard library is concerned.
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Which files a renewal has left so far: each is another one once it was replaced.
fn files(home: &Path) -> [Option<u64>; 2] {
    [IDENTITY, "identity.pending"].map(|name| std::fs::metadata(home.join(name)).ok().map(|file| file.ino()))
}

async fn renew_until_killed(home: &Path) {
    let _agent = Agent::start(Config::read(&home.join("agent.toml")).unwrap()).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_missed_two_charters_catches_up_step_by_step() {
    let alliance = Alliance::new(Span::hours(24)).await;
    let (home, token) = (alliance.home(), alliance.invite().await);
    let joined = join(&token, &home, &agent_name(), &key("telecom"), None).await.unwrap();
    let agent = alliance.run(&home, joined.charter).await;
    until("the agent is ready", async || status(&agent).await["charter"] == 1).await;
    agent.stop().await.unwrap();
    alliance.adopt(2).await;
    alliance.adopt(3).await;
    let agent = alliance.run(&home, joined.charter).await;
    until("it follows to version 3", async || status(&agent).await["charter"] == 3).await;
    agent.stop().await.unwrap();
    // One that begins anew, pinned to the first, walks back and forth.
    std::fs::remove_dir_all(home.join("state")).unwrap();
    let agent = alliance.run(&home, joined.charter).await;
    until("it walks from the pinned one to version 3", async || status(&agent).await["charter"] == 3).await;
    agent.stop().await.unwrap();
}

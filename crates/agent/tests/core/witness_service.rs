//! A whole agent whose witness is asked by others, and which asks a peer's: over real HTTP on loopback.

use crate::common::{ME, Memory, alliance};
use crate::hub::FakeHub;
use crate::log::{ALLIANCE, Log};
use account::{AddCheckpoint, SignedCheckpoint, WitnessKey, witness_name};
use act::Point;
use agent::{Agent, Answer, Config, Request, Running};
use axum::Router;
use axum::routing::get;
use decide::testing::World;
use model::{Digest, Timestamp};
use reqwest::{Client, StatusCode};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

struct Scene {
    world: World,
    hub: FakeHub,
    dir: tempfile::TempDir,
    agent: Running,
    http: Client,
    witness: String,
}

fn secret(path: &Path, kind: &[u8]) {
    let seed = Digest::of(&[b"decide/testing/", kind, b"/", ME.as_bytes()]);
    write(path, &format!("epimachia signing key v1\n{seed}\n"));
}

fn write(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

impl Scene {
    /// An agent with its witness on a free port; `more` is added to its configuration.
    async fn new(more: &str) -> Self {
        let (mut world, charter) = alliance();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        world.now = Timestamp::from_millis(now as i64);
        let (pin, hub) = (charter.digest(), FakeHub::start(charter).await);
        let dir = tempfile::tempdir().unwrap();
        secret(&dir.path().join("agent.key"), b"agent");
        secret(&dir.path().join("witness.key"), b"witness");
        write(&dir.path().join("token"), "epi_test\n");
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let text = format!(
            "[member]\nid = '{ME}'\nkey = 'agent.key'\nwitness_key = 'witness.key'\n[hub]\nurl = '{}'\n\
             token = 'token'\ncharter = '{pin}'\n[[point]]\ntype = 'preview'\nname = 'edge'\n{more}\n\
             [witness]\nlisten = '{free}'\nrequests_per_minute_max = 20\ncompare_every = '1s'\n\
             [state]\ndirectory = 'state'\nhistory_grace = '1s'\n",
            hub.url
        );
        let path = dir.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        let config = Config::read(&path).unwrap();
        let point = Memory::named("edge");
        let agent = Agent::start_with(config, vec![point as Arc<dyn Point>]).await.unwrap();
        // A second one finds the first in place.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let scene = Self { world, hub, dir, agent, http: client(), witness: format!("http://{free}") };
        scene.until("ready", |status| status["ready"] == true).await;
        scene
    }

    async fn until(&self, what: &str, is: impl Fn(&serde_json::Value) -> bool) {
        let begun = std::time::Instant::now();
        while begun.elapsed() < Duration::from_secs(120) {
            if let Answer::Ok(status) = self.agent.ask(Request::Status).await
                && is(&status)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("never: {what}");
    }

    async fn post(&self, body: impl Into<reqwest::Body>) -> (StatusCode, String) {
        let answer = self.http.post(format!("{}/add-checkpoint", self.witness)).body(body).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }
}

/// Each request on a connection of its own: one that is refused before its end takes the connection with it.
fn client() -> Client {
    Client::builder().pool_max_idle_per_host(0).build().unwrap()
}

fn origin_hash() -> Digest {
    Digest::of(&[ALLIANCE.as_bytes()])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_witness_answers_strangers_within_its_limits() {
    let scene = Scene::new("").await;
    let log = Log::of(5);
    let shown = format!("{}/{}/checkpoint", scene.witness, origin_hash());
    assert_eq!(scene.http.get(&shown).send().await.unwrap().status(), 404, "nothing was cosigned yet");
    let request = AddCheckpoint { old: 0, path: Vec::new(), checkpoint: log.checkpoint() };
    let (status, lines) = scene.post(request.to_string()).await;
    assert_eq!(status, 200, "{lines}");
    let key = WitnessKey::new(&witness_name(ALLIANCE, ME), scene.world.witness_key(ME).public()).unwrap();
    assert!(key.verify(log.checkpoint().note().text(), &lines.trim_end().parse().unwrap()).is_ok());
    let again = AddCheckpoint { old: 0, path: Vec::new(), checkpoint: Log::of(6).checkpoint() };
    assert_eq!(scene.post(again.to_string()).await, (StatusCode::CONFLICT, "5\n".to_owned()));
    let kept = scene.http.get(&shown).send().await.unwrap().text().await.unwrap();
    let kept = SignedCheckpoint::parse(kept.as_bytes()).unwrap();
    assert!(matches!(key.cosigned(kept.note()), Ok(Some(_))));
    assert_eq!(scene.post("nonsense").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(scene.post(vec![0xff; 10]).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(scene.post(vec![b'a'; 400 << 10]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut refused = false;
    for _ in 0..40 {
        refused |= scene.http.get(&shown).send().await.unwrap().status() == StatusCode::TOO_MANY_REQUESTS;
    }
    assert!(refused, "so many a minute and no more");
    drop(scene.dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_was_shown_another_history_is_heard_of() {
    let mut fork = Log::of(3);
    fork.push(b"another fourth".to_vec());
    let (mut world, _) = alliance();
    world.now = Timestamp::from_millis(1_700_000_000_000);
    let note = fork.cosigned(&world, &["cloud"]).to_string();
    let app = Router::new().route(&format!("/w/{}/checkpoint", origin_hash()), get(move || async move { note }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let scene = Scene::new(&format!("[[peer]]\nmember = 'cloud'\nurl = 'http://{peer}/w'")).await;
    scene.hub.message(1, &Log::of(4).growth(0, false));
    scene.until("a fork", |status| !status["history_forked"].is_null()).await;
    let Answer::Ok(history) = scene.agent.ask(Request::History).await else { panic!() };
    assert_eq!(history["forked"]["by"], "cloud");
    served.abort();
}

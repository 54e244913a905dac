//! A whole agent against a hub that lies, stalls, forgets and goes away. Nothing here waits for a fixed time: each test
//! waits for what must become true.

use crate::common::{ME, Memory, alliance, mine, observable, part};
use crate::hub::{FakeHub, checkpoint};
use act::Point;
use agent::{Agent, Answer, Config, Request, Running};
use decide::testing::World;
use model::{Behaviour, Digest, MitigationState, Rule, Span, StreamMessage, Timestamp};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const BAD: &str = "8.8.4.4";
/// How long a test waits for what must come: only the end of a test that fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a mitigation lasts whose end a test waits for; it must have come into force before.
const LASTS: Span = Span::seconds(30);

struct Scene {
    world: World,
    hub: FakeHub,
    dir: tempfile::TempDir,
    point: Arc<Memory>,
}

impl Scene {
    /// The alliance, today: an agent takes the machine's clock.
    async fn new() -> Self {
        let (mut world, charter) = alliance();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        world.now = Timestamp::from_millis(now as i64);
        let hub = FakeHub::start(charter).await;
        let dir = tempfile::tempdir().unwrap();
        let seed = Digest::of(&[b"decide/testing/", b"agent", b"/", ME.as_bytes()]);
        secret(&dir.path().join("agent.key"), &format!("epimachia signing key v1\n{seed}\n"));
        secret(&dir.path().join("token"), "epi_test\n");
        Self { world, hub, dir, point: Memory::named("edge") }
    }

    async fn agent(&self) -> Running {
        let pin = self.hub.with(|inner| inner.charter.as_ref().unwrap().digest());
        let text = format!(
            "[member]\nid = '{ME}'\nkey = 'agent.key'\n[hub]\nurl = '{}'\ntoken = 'token'\ncharter = '{pin}'\n\
             silence_max = '1s'\nevent_bytes_max = 65536\n[[point]]\ntype = 'preview'\nname = 'edge'\n\
             [state]\ndirectory = 'state'\npatrol = '1s'\nsettle = '1s'\nhistory_grace = '1s'\n",
            self.hub.url
        );
        let path = self.dir.path().join("agent.toml");
        std::fs::write(&path, text).unwrap();
        let mut config = Config::read(&path).unwrap();
        config.points[0] = serde_json::from_value(serde_json::json!({"type": "nftables", "name": "edge"})).unwrap();
        Agent::start_with(config, vec![Arc::clone(&self.point) as Arc<dyn Point>]).await.unwrap()
    }

    async fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !is(self) {
            assert!(begun.elapsed() < PATIENCE, "never: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn in_force(&self) -> bool {
        self.point.targets() == [BAD]
    }

    fn refused(&self) -> Vec<Rule> {
        self.hub.with(|inner| inner.receipts.iter().filter_map(|r| Some(r.refusal.as_ref()?.rule)).collect())
    }

    fn say_part(&self, position: u64, part: model::PlanPart) {
        self.hub.message(position, &StreamMessage::Part(Box::new(part)));
    }
}

fn secret(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

async fn alarms(agent: &Running) -> String {
    match agent.ask(Request::Alarms).await {
        Answer::Ok(alarms) => alarms.to_string(),
        Answer::Refused(refusal) => panic!("{refusal}"),
    }
}

async fn until_alarm(agent: &Running, kind: &str) {
    let begun = Instant::now();
    while !alarms(agent).await.contains(kind) {
        assert!(begun.elapsed() < PATIENCE, "no alarm {kind}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The span from the scene's time to this much later than now.
fn from_now(scene: &Scene, lasts: Span) -> Span {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(now as i64).plus(lasts).since(scene.world.now)
}

fn report(world: &World, n: u8) -> Request {
    Request::Report { sightings: vec![world.sighting(&observable(&format!("9.8.7.{n}")), Behaviour::Scan)] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_part_is_enforced_and_its_receipts_reach_the_hub() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.say_part(1, mine(&scene.world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
    let verified = |s: &Scene| s.hub.with(|i| i.receipts.last().is_some_and(|r| r.state == MitigationState::Verified));
    scene.until("verified", verified).await;
    let answer = agent::control::ask(agent.directory(), &Request::Why { value: observable(BAD) }).await.unwrap();
    let Answer::Ok(why) = answer else { panic!("{answer:?}") };
    assert_eq!(why["mitigations"][0]["points"]["edge"]["stage"], "enforced");
    agent.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_is_refused_and_what_is_signed_still_passes() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    let world = &scene.world;
    let mut forged = mine(world, &["9.1.1.1"]);
    for evidence in forged.evidence.values_mut().flatten() {
        evidence.signature = model::Signature::from_bytes([7; 64]);
    }
    scene.say_part(1, forged);
    let mut unsigned = mine(world, &["9.1.1.2"]);
    unsigned.evidence.clear();
    scene.say_part(2, unsigned);
    scene.say_part(3, part(world, "cloud", &["9.1.1.3"], 1, Span::hours(6)));
    scene.say_part(4, part(world, ME, &["9.1.1.4"], 1, Span::seconds(-60)));
    let wide = serde_json::to_string(&StreamMessage::Part(Box::new(mine(world, &["9.1.1.5"])))).unwrap();
    let wide = wide.replace(r#"{"host":"9.1.1.5"}"#, r#"{"net":"0.0.0.0/0"}"#);
    scene.hub.say(format!("id: 5\nevent: part\ndata: {wide}\n\n"));
    scene.hub.say("id: 6\nevent: part\ndata: \u{1}garbage\n\nid: nonsense\ndata: {}\n\n");
    scene.say_part(7, mine(world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
    scene.until("three refused", |s| s.refused().len() >= 3).await;
    let alarms = alarms(&agent).await;
    assert!(alarms.contains("not ours") && alarms.contains("stream-damaged"), "{alarms}");
    assert_eq!(scene.point.targets(), [BAD]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_history_stops_everything_new_until_a_person_has_looked() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    let leaf = |n: u8| model::merkle::leaf_hash(&[n]);
    let (honest, forked): (Vec<Digest>, Vec<Digest>) = ((0..5).map(leaf).collect(), (100..107).map(leaf).collect());
    scene.hub.message(1, &checkpoint(&honest));
    scene.say_part(2, mine(&scene.world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
    scene.hub.with(|inner| inner.path = model::merkle::consistency_path(&forked, 5).unwrap());
    scene.hub.message(3, &checkpoint(&forked));
    until_alarm(&agent, "history-forked").await;
    scene.say_part(4, mine(&scene.world, &["9.1.1.1"]));
    scene.until("refused", |s| s.refused().contains(&Rule::HistoryForked)).await;
    assert!(scene.in_force(), "what is in force stays");
    agent.ask(Request::AcceptHistory).await;
    scene.say_part(5, part(&scene.world, ME, &["9.1.1.1"], 2, Span::hours(6)));
    scene.until("accepted again", |s| s.point.targets().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_continues_is_followed() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    let leaves: Vec<Digest> = (0..9).map(|n| model::merkle::leaf_hash(&[n])).collect();
    scene.hub.with(|inner| inner.path = model::merkle::consistency_path(&leaves, 5).unwrap());
    scene.hub.message(1, &checkpoint(&leaves[..5]));
    scene.hub.message(2, &checkpoint(&leaves));
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let Answer::Ok(history) = agent.ask(Request::History).await else { panic!("refused") };
        if history["checkpoint"]["size"] == 9 {
            assert!(history["forked"].is_null());
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the checkpoint was not followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charter_without_a_quorum_is_not_adopted() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.say_part(1, mine(&scene.world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
    let mut next = scene.world.charter.clone();
    (next.alliance.version, next.alliance.previous) = (2, scene.hub.with(|i| i.charter.as_ref().map(|c| c.digest())));
    scene.hub.with(|inner| inner.charter = Some(crate::common::signed(&scene.world, &next, &["cloud"])));
    scene.hub.message(2, &StreamMessage::Charter { version: 2 });
    until_alarm(&agent, "charter-refused").await;
    scene
        .hub
        .with(|inner| inner.charter = Some(crate::common::signed(&scene.world, &next, &["cloud", "bank", "vendor"])));
    scene.hub.message(3, &StreamMessage::Charter { version: 2 });
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let Answer::Ok(status) = agent.ask(Request::Status).await else { panic!("refused") };
        if status["charter"] == 2 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the signed charter was not adopted");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_event_and_a_trickle_are_cut_off_and_the_stream_comes_back() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.until("a stream", |s| s.hub.with(|i| i.streams) >= 1).await;
    let endless = format!("id: 1\ndata: {}", "x".repeat(100_000));
    scene.hub.say(endless);
    until_alarm(&agent, "stream-damaged").await;
    let cleared = scene.hub.with(|inner| {
        inner.said.clear();
        inner.streams
    });
    scene.until("a stream without the endless event", |s| s.hub.with(|i| i.streams) > cleared).await;
    let (before, begun) = (scene.hub.with(|inner| inner.streams), Instant::now());
    // A byte now and then, and never a whole line.
    while scene.hub.with(|inner| inner.streams) == before {
        assert!(begun.elapsed() < PATIENCE, "the trickle is not cut off");
        scene.hub.say("x");
        scene.hub.with(|inner| inner.said.clear());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    scene.hub.cut();
    scene.say_part(2, mine(&scene.world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_hub_is_away_nothing_is_lost_and_afterwards_nothing_comes_twice() {
    let mut scene = Scene::new().await;
    let agent = scene.agent().await;
    agent.ask(report(&scene.world, 1)).await;
    scene.until("the first", |s| s.hub.with(|i| i.accepted.len()) == 1).await;
    scene.hub.go_away().await;
    for n in 2..=100 {
        assert!(matches!(agent.ask(report(&scene.world, n)).await, Answer::Ok(_)));
    }
    agent.stop().await.unwrap();
    let agent = scene.agent().await;
    scene.hub.with(|inner| inner.lose_answers = true);
    scene.hub.come_back().await;
    let total = |s: &Scene| s.hub.with(|i| i.accepted.iter().map(|(_, _, count)| count).sum::<usize>());
    scene.until("all hundred", |s| total(s) >= 100).await;
    assert_eq!(total(&scene), 100);
    let sequences: Vec<u64> = scene.hub.with(|i| i.accepted.iter().map(|(sequence, _, _)| *sequence).collect());
    assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<_>>());
    drop(agent);
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_goes_on_with_the_hub_away_and_across_a_restart() {
    let mut scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.say_part(1, part(&scene.world, ME, &[BAD], 1, from_now(&scene, LASTS)));
    scene.until("in force", Scene::in_force).await;
    scene.hub.go_away().await;
    agent.stop().await.unwrap();
    let _agent = scene.agent().await;
    scene.until("ended", |s| s.point.targets().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_members_agent_says_why_keeps_and_expires_what_it_has_and_sends_the_rest_afterwards() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.say_part(1, mine(&scene.world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
    let why = "suspended until 2099-01-01T00:00:00Z by ada@cloud: a flood";
    scene.hub.with(|inner| inner.suspended = Some(why.to_owned()));
    scene.hub.cut();
    until_alarm(&agent, "member-suspended").await;
    assert!(alarms(&agent).await.contains(why), "until when, by whom and why");
    assert!(matches!(agent.ask(report(&scene.world, 1)).await, Answer::Ok(_)), "what is seen is kept");
    assert!(scene.in_force(), "what is in force stays");
    let refused = alarms(&agent).await.contains("submission-refused");
    assert!(!refused, "nothing is thrown away because of it");
    agent.stop().await.unwrap();
    let _agent = scene.agent().await;
    scene.until("kept across a restart", Scene::in_force).await;
    scene.hub.with(|inner| inner.suspended = None);
    let sent = |s: &Scene| s.hub.with(|i| i.accepted.iter().any(|(_, kind, count)| kind == "sightings" && *count == 1));
    scene.until("the report", sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_goes_on_while_the_member_is_suspended() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.say_part(1, part(&scene.world, ME, &[BAD], 1, from_now(&scene, LASTS)));
    scene.until("in force", Scene::in_force).await;
    scene.hub.with(|inner| inner.suspended = Some("suspended by the charter".to_owned()));
    scene.hub.cut();
    until_alarm(&agent, "member-suspended").await;
    scene.until("ended", |s| s.point.targets().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_resumes_by_position() {
    let scene = Scene::new().await;
    let agent = scene.agent().await;
    scene.say_part(41, mine(&scene.world, &[BAD]));
    scene.until("in force", Scene::in_force).await;
    // It answers when what came before is dealt with: from now on it asks for what is new.
    assert!(matches!(agent.ask(Request::Status).await, Answer::Ok(_)));
    let opened = scene.hub.with(|inner| inner.streams);
    scene.hub.cut();
    scene.until("again", |s| s.hub.with(|i| i.streams) > opened).await;
    // A stream that said nothing for a second was opened again before: on a slow machine even the first.
    let after = scene.hub.with(|inner| inner.after.clone());
    let resumed = after.iter().position(Option::is_some).unwrap();
    assert!((1..=opened).contains(&resumed), "{after:?}");
    assert!(after[resumed..].iter().all(|after| *after == Some(40)), "{after:?}");
}

//! The watchdog with a real Unbound, which keeps an expired zone for ever. Needs unbound; says so where it is missing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a surprise is a failed test")]

use act::rpz::RpzPoint;
use act::{Point, Presence, Protection};
use agent::config::PointConfig;
use agent::watchdog::{self, Health};
use agent::{Agent, Config, Store};
use model::{Digest, FindingId, Measure, MitigationId, Span, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::{Rpz, Unbound, World, ask_until, free_port};

const ZONE: &str = "rpz.alliance.example";
/// How long a test waits for what must come: only the end of a test that fails.
const PATIENCE: Duration = Duration::from_secs(120);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn config(dir: &Path, primary: u16, resolver: u16) -> Config {
    config_with(dir, primary, &format!("\"127.0.0.1:{resolver}\""), &format!("\"127.0.0.1:{resolver}\""))
}

fn config_with(dir: &Path, primary: u16, resolvers: &str, notify: &str) -> Config {
    let path = dir.join("agent.toml");
    let text = format!(
        "[member]\nid = \"telecom\"\nkey = \"k\"\n[hub]\nurl = \"http://127.0.0.1:1\"\ntoken = \"t\"\n\
         charter = \"{}\"\n[state]\ndirectory = \"state\"\n[[point]]\ntype = \"rpz\"\nname = \"resolvers\"\n\
         zone = \"{ZONE}\"\nlisten = \"127.0.0.1:{primary}\"\nserial_file = \"rpz.serial\"\n\
         resolvers = [{resolvers}]\nnotify = [{notify}]\n\
         allow_unsigned = [\"127.0.0.1\"]\n",
        "0".repeat(64)
    );
    std::fs::write(&path, text).unwrap();
    Config::read(&path).unwrap()
}

fn deny(name: &str) -> Protection {
    let digest = Digest::of(&[name.as_bytes()]);
    Protection {
        mitigation: MitigationId::of(&digest),
        finding: FindingId::of(&digest),
        measure: Measure::deny(&name.parse().unwrap()).unwrap(),
        expires: now().plus(Span::hours(1)),
    }
}

fn point(config: &Config) -> Arc<dyn Point> {
    let [rpz @ PointConfig::Rpz(_)] = &config.points[..] else { panic!() };
    rpz.start().unwrap()
}

fn enforced(point: &dyn Point, protection: &Protection) -> bool {
    let begun = Instant::now();
    loop {
        let seen = point.read_back(std::slice::from_ref(protection)).unwrap().remove(0);
        if seen.presence == Presence::Enforced {
            return true;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:?}");
    }
}

#[test]
fn a_dead_agents_blocks_are_lifted_at_unbound_and_come_back_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::start().unwrap();
    let (primary, port) = (free_port().unwrap(), free_port().unwrap());
    let config = config(dir.path(), primary, port);
    let zones = [Rpz { zone: ZONE.into(), primary: ([127, 0, 0, 1], primary).into() }];
    let bad = deny("bad.test");
    let agent = point(&config);
    agent.replace(std::slice::from_ref(&bad), now()).unwrap();
    let unbound = Unbound::start_on(port, &zones, world.port()).unwrap();
    assert!(enforced(&*agent, &bad));

    // The agent dies; its resolver goes on.
    drop(agent);
    let state = &config.state.directory;
    drop(Store::open(state).unwrap());
    std::fs::write(state.join("heartbeat"), now().minus(Span::minutes(20)).to_string()).unwrap();
    let blocked = |unbound: &Unbound| {
        // Any answer is the answer: what is asked again is only a question that got lost.
        let (answer, _) = ask_until(unbound.address(), "bad.test", PATIENCE, |_| true);
        answer.expect("unbound answers").rcode == "NXDOMAIN"
    };
    assert!(blocked(&unbound), "without the watchdog it stays so");
    let silence = watchdog::silence_default();
    assert!(matches!(watchdog::look(&config, Span::hours(1)).unwrap(), Health::Alive { .. }));
    assert!(matches!(watchdog::look(&config, silence).unwrap(), Health::Dead { lifted: false, due: true, .. }));
    let lifted = watchdog::lift(&config).unwrap();
    assert_eq!((lifted.len(), &lifted[0].behind), (1, &Vec::new()));
    assert!(!blocked(&unbound));
    assert!(matches!(watchdog::look(&config, silence).unwrap(), Health::Dead { lifted: true, due: false, .. }));

    // What is still due is in force again as soon as the agent is back.
    let agent = point(&config);
    agent.replace(std::slice::from_ref(&bad), now()).unwrap();
    assert!(enforced(&*agent, &bad) && blocked(&unbound));
}

#[test]
fn an_agent_that_is_stuck_or_alive_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), free_port().unwrap(), free_port().unwrap());
    assert_eq!(watchdog::look(&config, Span::minutes(15)).unwrap(), Health::Never);
    let store = Store::open(&config.state.directory).unwrap();
    assert_eq!(watchdog::look(&config, Span::minutes(15)).unwrap(), Health::Never);
    let old = now().minus(Span::minutes(16));
    std::fs::write(config.state.directory.join("heartbeat"), old.to_string()).unwrap();
    assert_eq!(watchdog::look(&config, Span::minutes(15)).unwrap(), Health::Stuck { last: old });
    assert!(watchdog::lift(&config).is_err(), "never beside a process that holds the lock");
    assert!(!config.state.directory.join("watchdog.lifted").exists());
    drop(store);
    assert_eq!(
        watchdog::look(&config, Span::minutes(15)).unwrap(),
        Health::Dead { last: old, lifted: false, due: true }
    );
    assert!(watchdog::last_look(&config).is_some());
    assert_eq!(watchdog::needs_watchdog(&config).len(), 1);
}

#[test]
fn an_empty_zone_is_served_only_as_long_as_resolvers_need() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, port) = (free_port().unwrap(), free_port().unwrap());
    let config = config(dir.path(), primary, port);
    drop(Store::open(&config.state.directory).unwrap());
    // Nobody is there to follow: that is said.
    let lifted = watchdog::lift(&config).unwrap();
    assert_eq!(lifted[0].behind.len(), 1);
    assert!(!config.state.directory.join("watchdog.lifted").exists());
    drop(RpzPoint::start(settings(&config)).unwrap());
}

fn settings(config: &Config) -> act::rpz::RpzSettings {
    let [PointConfig::Rpz(rpz)] = &config.points[..] else { panic!() };
    rpz.settings().unwrap()
}

#[test]
fn resolver_that_is_only_told_of_changes_is_asked_too_and_again_after_a_while_but_not_at_every_look() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, nobody) = (free_port().unwrap(), free_port().unwrap());
    let told = config_with(dir.path(), primary, "", &format!("\"127.0.0.1:{nobody}\""));
    let state = told.state.directory.clone();
    drop(Store::open(&state).unwrap());
    let beat = |at: Timestamp| std::fs::write(state.join("heartbeat"), at.to_string()).unwrap();
    let due = || match watchdog::look(&told, Span::minutes(15)).unwrap() {
        Health::Dead { lifted: false, due, .. } => due,
        other => panic!("{other:?}"),
    };
    let begun = now();
    beat(begun.minus(Span::hours(10)));
    assert!(due());
    let lifted = watchdog::lift(&told).unwrap();
    assert_eq!((lifted[0].asked, lifted[0].behind.len(), lifted[0].is_confirmed()), (1, 1, false));
    // In memory of what was done: when it is to be done again, and how often it was.
    let file = state.join("watchdog.lifted");
    let work = || serde_json::from_slice::<serde_json::Value>(&std::fs::read(&file).unwrap()).unwrap();
    let again = || work()["again"].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert!(again() >= begun.plus(Span::minutes(1)));
    let at = |again: Timestamp, rounds: u32| {
        let mut work = work();
        (work["again"], work["rounds"]) = (again.to_string().into(), rounds.into());
        std::fs::write(&file, work.to_string()).unwrap();
    };
    at(now().plus(Span::minutes(10)), 1);
    assert!(!due(), "not at every look");
    at(now().plus(Span::hours(10)), 1);
    assert!(due(), "a clock that was set back does not put it off");
    at(now(), 30);
    assert!(due());
    // A later life is another matter.
    beat(begun.minus(Span::hours(9)));
    at(now().plus(Span::minutes(10)), 1);
    assert!(due());
}

#[test]
fn where_nobody_can_be_asked_it_is_done_once_and_nothing_is_claimed() {
    let dir = tempfile::tempdir().unwrap();
    let silent = config_with(dir.path(), free_port().unwrap(), "", "");
    let state = silent.state.directory.clone();
    drop(Store::open(&state).unwrap());
    std::fs::write(state.join("heartbeat"), now().minus(Span::minutes(20)).to_string()).unwrap();
    let lifted = watchdog::lift(&silent).unwrap();
    assert_eq!((lifted[0].asked, lifted[0].is_confirmed()), (0, false));
    let found = watchdog::look(&silent, Span::minutes(15)).unwrap();
    assert!(matches!(found, Health::Dead { lifted: false, due: false, .. }), "{found:?}");
}

/// The watchdog holds the directory and the point's address for a while; the agent that starts then waits.
#[tokio::test(flavor = "multi_thread")]
async fn agent_that_starts_while_its_zones_are_served_in_its_place_waits() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), free_port().unwrap(), free_port().unwrap());
    let held = Store::open(&config.state.directory).unwrap();
    let point = RpzPoint::start(settings(&config)).unwrap();
    let letting_go = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        drop(point);
        drop(held);
    });
    // It comes as far as its own key, which this test does not give it.
    let error = Agent::start(config).await.unwrap_err().to_string();
    letting_go.join().unwrap();
    assert!(error.contains("/k:"), "{error}");
}

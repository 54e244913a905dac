//! The enforcer as a process of its own: it is killed, comes back, and what it had put in force has stayed. Needs root.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says so by failing")]

use act::nftables::enforcer::Via;
use act::{Point, PointError, Presence, Protection};
use model::{Digest, FindingId, Measure, MitigationId, Span, Timestamp};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testbed::Netns;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(config: &Path) -> Running {
    let program = env!("CARGO_BIN_EXE_epimachia");
    let child = Command::new(program).args(["enforcer", "--config"]).arg(config).stderr(Stdio::null()).spawn();
    Running(child.unwrap())
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

/// Asks until the enforcer answers.
fn answered(point: &Via, asked: &Protection) -> Presence {
    for _ in 0..400 {
        match point.read_back(std::slice::from_ref(asked)) {
            Ok(seen) => return seen[0].presence,
            Err(PointError::Unavailable(_)) => std::thread::sleep(Duration::from_millis(50)),
            Err(other) => panic!("{other}"),
        }
    }
    panic!("no answer");
}

#[test]
fn an_enforcer_that_is_killed_lifts_nothing_and_is_found_again() {
    let router = Netns::new("router").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (config, socket) = (dir.path().join("enforcer.toml"), dir.path().join("enforcer.sock"));
    let text =
        format!("socket = {socket:?}\nusers = [\"0\"]\nnetns = \"{}\"\nprotect = [\"8.8.4.4\"]\n", router.name());
    std::fs::write(&config, text).unwrap();
    let check =
        Command::new(env!("CARGO_BIN_EXE_epimachia")).args(["check", "--config"]).arg(&config).output().unwrap();
    assert!(check.status.success(), "{check:?}");
    let digest = Digest::of(&[b"8.8.8.8"]);
    let wanted = Protection {
        mitigation: MitigationId::of(&digest),
        finding: FindingId::of(&digest),
        measure: Measure::deny(&"8.8.8.8".parse().unwrap()).unwrap(),
        expires: now().plus(Span::hours(1)),
    };
    let point = Via::new("edge".parse().unwrap(), &socket);
    let first = start(&config);
    assert_eq!(answered(&point, &wanted), Presence::Absent);
    point.apply(std::slice::from_ref(&wanted), now()).unwrap();
    // SIGKILL: its socket stays behind, and so does what it put in force.
    drop(first);
    assert!(matches!(point.apply(std::slice::from_ref(&wanted), now()), Err(PointError::Unavailable(_))));
    assert!(router.nft("list set inet epimachia deny4_32").unwrap().contains("8.8.8.8"));
    let _second = start(&config);
    assert_eq!(answered(&point, &wanted), Presence::Enforced);
    point.lift_all().unwrap();
}

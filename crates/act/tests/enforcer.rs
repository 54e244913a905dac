//! The enforcer with the real kernel: an agent without privileges changes the packet filter through it, and only as the
//! enforcer's own configuration allows. Needs root, to make namespaces and to drop privileges; says so if not.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests; a child speaks to its parent")]

use act::nftables::enforcer::{Enforcer, Rules, Settings, Via};
use act::nftables::{NetnsName, Nftables, Protected};
use act::{Effect, Point, PointError, Presence, Protection};
use model::{Action, Digest, FindingId, Measure, MitigationId, Rule, Scope, Span, Target, Timestamp};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use testbed::Netns;
use testbed::netns::{self, ATTACKER, VICTIM};

/// The user that Debian keeps for processes that own nothing.
const NOBODY: u32 = 65_534;
const CHILD: &str = "EPIMACHIA_TEST_ENFORCER_SOCKET";
const A4: &str = ATTACKER[0];
const B4: &str = ATTACKER[1];

fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since_1970.as_millis() as i64)
}

fn deny(target: Target) -> Protection {
    let digest = Digest::of(&[target.to_string().as_bytes()]);
    Protection {
        mitigation: MitigationId::of(&digest),
        finding: FindingId::of(&digest),
        measure: Measure::new(Action::Deny, target, Scope::Border).unwrap(),
        expires: now().plus(Span::hours(1)),
    }
}

fn host(address: &str) -> Protection {
    deny(Target::Host(address.parse().unwrap()))
}

fn net(prefix: &str) -> Protection {
    deny(Target::Net(prefix.parse().unwrap()))
}

fn settings(dir: &Path, netns: &Netns, user: u32) -> Settings {
    Settings {
        socket: dir.join("enforcer.sock"),
        users: vec![user.to_string()],
        protect: Vec::new(),
        size: 10_000,
        netns: Some(NetnsName::try_from(netns.name().to_owned()).unwrap()),
        limits: Rules::default(),
    }
}

/// Runs an enforcer on a thread that ends with the test's process.
fn start(settings: Settings) -> PathBuf {
    let enforcer = Enforcer::open(settings).unwrap();
    let path = enforcer.path().to_owned();
    std::thread::spawn(move || enforcer.run());
    path
}

fn via(path: &Path) -> Via {
    Via::new("nft".parse().unwrap(), path)
}

fn presence(point: &dyn Point, protection: &Protection) -> Presence {
    point.read_back(std::slice::from_ref(protection)).unwrap()[0].presence
}

fn refused_by(result: Result<(), PointError>) -> Rule {
    match result {
        Err(PointError::Refused(refusal)) => refusal.rule,
        other => panic!("not refused: {other:?}"),
    }
}

/// This test's own program once more, as a user who owns nothing and can get nothing.
fn run_unprivileged(dir: &Path, socket: &Path) -> Output {
    let program = dir.join("agent");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = NOBODY.to_string();
    Command::new("setpriv")
        .args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--no-new-privs"])
        .args(["--inh-caps=-all", "--bounding-set=-all"])
        .arg(&program)
        .args(["--exact", "an_agent_without_privileges_reaches_the_filter_only_through_the_enforcer", "--nocapture"])
        .env(CHILD, socket)
        .output()
        .unwrap()
}

#[test]
fn an_agent_without_privileges_reaches_the_filter_only_through_the_enforcer() {
    if let Some(socket) = std::env::var_os(CHILD) {
        return without_privileges(Path::new(&socket));
    }
    let path = netns::Path::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = start(settings(dir.path(), &path.router, NOBODY));
    std::os::unix::fs::chown(&socket, None, Some(NOBODY)).unwrap();
    assert!(path.udp_gets_through(A4, VICTIM[0]).unwrap());
    let output = run_unprivileged(dir.path(), &socket);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("through the enforcer: done"), "{said}");
    assert!(!path.udp_passes(A4, VICTIM[0]).unwrap(), "{said}");
    assert!(path.udp_gets_through(B4, VICTIM[0]).unwrap());
}

/// What runs as the user without privileges.
fn without_privileges(socket: &Path) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    for line in ["Uid:\t65534\t65534\t65534\t65534", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let wanted = [host(A4)];
    let direct = Nftables::new(act::nftables::Settings {
        name: "nft".parse().unwrap(),
        protect: Vec::new(),
        size: 10,
        netns: None,
        via: None,
    });
    let direct = direct.unwrap().apply(&wanted, now());
    assert!(matches!(&direct, Err(PointError::Broken(text)) if text.contains("CAP_NET_ADMIN")), "{direct:?}");
    let point = via(socket);
    point.apply(&wanted, now()).unwrap();
    assert_eq!(presence(&point, &wanted[0]), Presence::Enforced);
    println!("through the enforcer: done");
}

#[test]
fn the_channel_does_all_that_the_point_does() {
    let path = netns::Path::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let point = via(&start(settings(dir.path(), &path.router, 0)));
    let (one, two) = (host(A4), net("192.0.2.8/31"));
    point.apply(&[one.clone(), two.clone()], now()).unwrap();
    path.udp_socket(A4, VICTIM[0]).unwrap().send(b"counted").unwrap();
    assert!(!path.udp_passes(A4, VICTIM[0]).unwrap());
    let effect = point.effect(&[one.clone(), host(B4)]).unwrap();
    assert!(effect[0].packets >= Some(1), "{effect:?}");
    assert_eq!(effect[1], Effect::default());
    let seen = point.read_back(&[one.clone(), host(B4)]).unwrap();
    assert_eq!((seen[0].presence, seen[1].presence), (Presence::Enforced, Presence::Absent));
    assert_eq!(seen[0].mitigation, one.mitigation);
    point.withdraw(std::slice::from_ref(&one), now()).unwrap();
    assert_eq!(presence(&point, &one), Presence::Absent);
    point.replace(std::slice::from_ref(&one), now()).unwrap();
    assert_eq!((presence(&point, &one), presence(&point, &two)), (Presence::Enforced, Presence::Absent));
    point.lift_all().unwrap();
    assert!(path.udp_gets_through(A4, VICTIM[0]).unwrap());
    assert!(point.preview(std::slice::from_ref(&one), now()).contains("add element inet epimachia deny4_32"));
    assert!(
        point.accepts(&one.measure) && !point.accepts(&deny(Target::DomainName("a.test".parse().unwrap())).measure)
    );
}

#[test]
fn what_the_enforcers_own_configuration_forbids_is_refused_whoever_asks() {
    let router = Netns::new("router").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let limits = Rules { widest_v4: 28, widest_v6: 64, longest: Span::minutes(10) };
    let protect = vec![Protected::try_from("8.8.4.0/24".to_owned()).unwrap()];
    let point = via(&start(Settings { size: 3, protect, limits, ..settings(dir.path(), &router, 0) }));
    assert_eq!(refused_by(point.apply(&[host("8.8.4.4")], now())), Rule::GuardNever);
    assert_eq!(refused_by(point.apply(&[host("127.0.0.1")], now())), Rule::GuardNever);
    assert_eq!(refused_by(point.apply(&[net("11.0.0.0/27")], now())), Rule::TargetTooWide);
    let name = deny(Target::DomainName("a.test".parse().unwrap()));
    assert_eq!(refused_by(point.apply(&[name], now())), Rule::CapabilityMissing);
    let four: Vec<Protection> = (1..=4).map(|n| host(&format!("11.0.0.{n}"))).collect();
    assert_eq!(refused_by(point.apply(&four, now())), Rule::BlastRadius);
    assert_eq!(refused_by(point.replace(&four, now())), Rule::BlastRadius);
    // Also one after the other, in sets of their own, and by an enforcer that has begun anew.
    point.apply(&four[..2], now()).unwrap();
    point.apply(&[net("11.1.0.0/28")], now()).unwrap();
    assert_eq!(refused_by(point.apply(&[net("11.2.0.0/29")], now())), Rule::BlastRadius);
    let again = tempfile::tempdir().unwrap();
    let second = via(&start(Settings { size: 3, limits, ..settings(again.path(), &router, 0) }));
    assert_eq!(refused_by(second.apply(&[host("11.0.0.9")], now())), Rule::BlastRadius);
    // What was taken out leaves room.
    point.withdraw(&four[..1], now()).unwrap();
    point.apply(&[host("11.0.0.9")], now()).unwrap();
    let listed = router.nft("list set inet epimachia deny4_32").unwrap();
    assert!(listed.contains("timeout 10m") || listed.contains("timeout 9m59s"), "an hour was asked for: {listed}");
}

#[test]
fn strangers_and_garbage_get_nothing_and_hold_nobody_up() {
    let router = Netns::new("router").unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Root is not in its list: the kernel says who speaks, and that decides.
    let strange = via(&start(settings(dir.path(), &router, NOBODY)));
    let error = strange.apply(&[host(A4)], now()).unwrap_err();
    assert!(matches!(&error, PointError::Broken(text) if text.contains("users")), "{error:?}");

    let dir = tempfile::tempdir().unwrap();
    let socket = start(Settings { size: 10, ..settings(dir.path(), &router, 0) });
    let good = via(&socket);
    good.apply(&[host(A4)], now()).unwrap();
    let say = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).ok()?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut answer = vec![0; u32::from_le_bytes(length) as usize];
        stream.read_exact(&mut answer).ok()?;
        Some(String::from_utf8(answer).unwrap())
    };
    let framed = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    assert_eq!(say(&u32::MAX.to_le_bytes()), None, "a frame that is announced too long ends the connection");
    for bad in [
        "",
        "{}",
        "{\"do\":\"flush ruleset\"}",
        "{\"do\":\"apply\",\"wanted\":[{\"target\":\"x; flush ruleset\"}]}",
        &"[".repeat(1_000),
    ] {
        // A connection that ended counts until the enforcer has seen its end; one too many is closed without a word.
        let begun = Instant::now();
        let answer = loop {
            match say(&framed(bad)) {
                Some(answer) => break answer,
                None => assert!(begun.elapsed() < Duration::from_secs(30), "no answer to {bad}"),
            }
        };
        assert!(answer.contains("\"refused\"") && answer.contains("malformed"), "{bad}: {answer}");
    }
    // Somebody who begins a frame and does not end it, on all connections but one.
    let slow: Vec<UnixStream> = (0..3)
        .filter_map(|_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            // One that is closed at once, because an earlier one still counts, holds nobody up either.
            stream.write_all(&[200, 0, 0, 0, b'{']).ok().map(|()| stream)
        })
        .collect();
    assert_eq!(presence(&good, &host(A4)), Presence::Enforced);
    drop(slow);
    assert_eq!(router.nft("list tables").unwrap(), "table inet epimachia\n");
}

#[test]
fn without_an_enforcer_the_point_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let error = via(&dir.path().join("none.sock")).apply(&[host(A4)], now()).unwrap_err();
    assert!(matches!(&error, PointError::Unavailable(text) if text.contains("epimachia-enforcer")), "{error:?}");
}

//! Who may not, what must not, and what happens when somebody is away: against real BIND and real Unbound.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rpz_support;

use act::rpz::{RpzPoint, Timers};
use act::{Point, Presence};
use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Ttl};
use domain::rdata::Txt;
use rpz_support::*;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;
use testbed::{Bind, BindOptions, Tsig, Unbound, World, ask_until, free_port};

#[test]
fn wrong_key_gets_nothing() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let b = free_port().unwrap();
    let point = point(dir.path(), vec![bind_at(b)]);
    let wrong = Tsig { name: "epi-key".into(), secret_base64: SECRET.replace("MDEy", "MDEz") };
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&point), &wrong, world.port(), &options).unwrap();
    point.apply(&[deny("bad.test")], now()).unwrap();
    let refused = |log: &str| log.contains("BADSIG") || log.contains("tsig verify failure");
    let deadline = std::time::Instant::now() + LONG;
    while !refused(&bind.log()) && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = bind.log();
    assert!(refused(&log), "{log}");
    let (answer, _) = ask_until(bind.address(), "bad.test", LONG, |_| true);
    assert_eq!(answer.unwrap().rcode, "NOERROR");
    assert!(!log.contains("transferred serial"), "{log}");
}

#[test]
fn bind_lifts_everything_when_the_primary_is_away_for_longer_than_expire() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let b = free_port().unwrap();
    let mut settings = settings(dir.path(), vec![bind_at(b)]);
    settings.primary.zones[0].timers = Timers { refresh: 1, retry: 1, expire: 4 };
    let point = RpzPoint::start(settings).unwrap();
    let wanted = [deny("bad.test")];
    point.replace(&wanted, now()).unwrap();
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&point), &tsig(), world.port(), &options).unwrap();
    assert_enforced(&point, &wanted);
    drop(point);
    let (answer, _) = ask_until(bind.address(), "bad.test", LONG, |a| a.rcode == "NOERROR");
    assert_eq!(answer.unwrap().rcode, "NOERROR", "{}", bind.log());
}

#[test]
fn unbound_blocks_on_after_expire_so_that_the_agent_is_its_only_clock() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let u = free_port().unwrap();
    let mut settings = settings(dir.path(), vec![unbound_at(u)]);
    settings.primary.zones[0].timers = Timers { refresh: 1, retry: 1, expire: 2 };
    let point = RpzPoint::start(settings.clone()).unwrap();
    let wanted = [deny("bad.test")];
    point.replace(&wanted, now()).unwrap();
    let unbound = Unbound::start_on(u, &hot(&point), world.port()).unwrap();
    assert_enforced(&point, &wanted);
    settings.primary.listen = point.address();
    drop(point);
    std::thread::sleep(Duration::from_secs(6));
    let (answer, _) = ask_until(unbound.address(), "bad.test", LONG, |_| true);
    assert_eq!(answer.unwrap().rcode, "NXDOMAIN");
    // The agent is back, finds that it has ended meanwhile, and lifts it.
    let point = RpzPoint::start(settings).unwrap();
    point.replace(&[], now()).unwrap();
    let (answer, _) = ask_until(unbound.address(), "bad.test", LONG, |a| a.rcode == "NOERROR");
    assert_eq!(answer.unwrap().rcode, "NOERROR");
}

#[test]
fn own_passthru_zone_of_the_member_wins_and_read_back_says_so() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let b = free_port().unwrap();
    let mut settings = settings(dir.path(), vec![bind_at(b)]);
    // It is waited for to the end: what the member lets through never becomes enforced.
    settings.read_back_limit = Duration::from_secs(10);
    let point = RpzPoint::start(settings).unwrap();
    point.replace(&[], now()).unwrap();
    let options = BindOptions { port: Some(b), local_passthru: vec!["keep.test".into()], ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&point), &tsig(), world.port(), &options).unwrap();
    let wanted = [deny("keep.test"), deny("bad.test")];
    point.apply(&wanted, now()).unwrap();
    let (blocked, _) = ask_until(bind.address(), "bad.test", LONG, |a| a.rcode == "NXDOMAIN");
    assert_eq!(blocked.unwrap().rcode, "NXDOMAIN");
    let seen = point.read_back(&wanted).unwrap();
    assert_eq!((seen[0].presence, seen[1].presence), (Presence::Absent, Presence::Enforced));
    assert!(seen[0].evidence.contains("a policy of its own"), "{}", seen[0].evidence);
    assert_eq!(bind.ask("www.keep.test", Rtype::A).unwrap().rcode, "NOERROR");
}

#[test]
fn read_back_tells_absent_from_unknown_and_never_believes_itself() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let follower_of_nothing = Unbound::start(&[], world.port()).unwrap();
    let nobody = free_port().unwrap();
    for (resolver, presence, says) in [
        (follower_of_nothing.address(), Presence::Absent, "does not follow the zone"),
        (local(nobody), Presence::Unknown, "no answer"),
    ] {
        let mut settings = settings(dir.path(), Vec::new());
        settings.resolvers = vec![resolver];
        settings.read_back_limit = Duration::from_secs(2);
        let point = RpzPoint::start(settings).unwrap();
        // The second does not exist in the world either: NXDOMAIN alone is no proof.
        let wanted = [deny("bad.test"), deny("nowhere.invalid")];
        point.replace(&wanted, now()).unwrap();
        for seen in point.read_back(&wanted).unwrap() {
            assert_eq!(seen.presence, presence, "{}", seen.evidence);
            assert!(seen.evidence.contains(says), "{}", seen.evidence);
        }
    }
}

/// A resolver that answers everything with this code, and cut off if `truncated`; over TCP nobody is there.
fn stubborn(rcode: Rcode, truncated: bool) -> SocketAddr {
    let socket = UdpSocket::bind(local(0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let request = Message::from_octets(&buffer[..length]).unwrap();
            let mut answer = MessageBuilder::new_vec().start_answer(&request, rcode).unwrap();
            answer.header_mut().set_tc(truncated);
            let _ = socket.send_to(&answer.finish(), peer);
        }
    });
    address
}

#[test]
fn only_a_whole_answer_without_it_shows_that_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    for (rcode, truncated, presence, says) in [
        (Rcode::REFUSED, false, Presence::Unknown, "REFUSED"),
        (Rcode::SERVFAIL, false, Presence::Unknown, "SERVFAIL"),
        (Rcode::NOERROR, true, Presence::Unknown, "cut off"),
        (Rcode::NOERROR, false, Presence::Absent, "not in the zone"),
        (Rcode::NXDOMAIN, false, Presence::Absent, "not in the zone"),
    ] {
        let resolver = stubborn(rcode, truncated);
        let mut settings = settings(dir.path(), Vec::new());
        settings.resolvers = vec![resolver];
        settings.read_back_limit = Duration::from_secs(2);
        let point = RpzPoint::start(settings).unwrap();
        // Nothing is in force any more: is it gone at the resolver, too?
        point.replace(&[], now()).unwrap();
        for seen in point.read_back(&[deny("bad.test"), deny("192.0.2.7")]).unwrap() {
            assert_eq!(seen.presence, presence, "{rcode}: {}", seen.evidence);
            assert!(seen.evidence.contains(says), "{rcode}: {}", seen.evidence);
        }
        assert_eq!(point.lagging(Duration::from_secs(1)).unwrap().len(), 1);
    }
}

/// One that lags, and has no room for what it has at the name.
#[test]
fn truncated_answer_about_what_a_lagging_resolver_has_leaves_it_open() {
    let dir = tempfile::tempdir().unwrap();
    let socket = UdpSocket::bind(local(0)).unwrap();
    let mut settings = settings(dir.path(), Vec::new());
    settings.resolvers = vec![socket.local_addr().unwrap()];
    settings.read_back_limit = Duration::from_secs(2);
    let point = RpzPoint::start(settings).unwrap();
    point.replace(&[deny("bad.test")], now()).unwrap();
    point.replace(&[], now()).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let request = Message::from_octets(&buffer[..length]).unwrap();
            let name = request.sole_question().unwrap().qname().to_string();
            let mut answer = MessageBuilder::new_vec().start_answer(&request, Rcode::NOERROR).unwrap();
            match name.contains("bad") {
                true => answer.header_mut().set_tc(true),
                false => {
                    let old: Txt<Vec<u8>> = Txt::build_from_slice(b"serial=1").unwrap();
                    answer.push((request.sole_question().unwrap().qname(), Class::IN, Ttl::ZERO, old)).unwrap();
                }
            }
            let _ = socket.send_to(&answer.finish(), peer);
        }
    });
    let seen = point.read_back(&[deny("bad.test")]).unwrap().remove(0);
    assert_eq!(seen.presence, Presence::Unknown, "{seen:?}");
    assert!(seen.evidence.contains("cut off") && seen.evidence.contains("still has serial 1"), "{seen:?}");
}

#[test]
fn configuration_that_is_shown_is_what_the_resolvers_accept() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    let key = format!("key \"epi-key\" {{ algorithm hmac-sha256; secret \"{SECRET}\"; }};\n");
    let key_file = dir.path().join("epimachia.key");
    std::fs::write(&key_file, key).unwrap();
    let shown = point.bind_configuration();
    assert!(!shown.contains(SECRET));
    check("named-checkconf", &[], &shown.replace("/etc/bind/epimachia.key", &key_file.to_string_lossy()), &dir);
    let shown = point.unbound_configuration().replace("server:\n", "server:\n  chroot: \"\"\n  username: \"\"\n");
    check("unbound-checkconf", &[], &shown, &dir);
    let wanted = [deny("bad.test"), deny("b.c.bad.test"), deny("192.0.2.7"), redirect("r.test", "notice.own.test")];
    let lines = point.preview(&wanted, now());
    assert!(lines.contains("*.bad.test CNAME .\n"), "{lines}");
    assert!(lines.contains("r.test CNAME notice.own.test.\n"), "{lines}");
    let zone = format!("{lines}@ SOA localhost. localhost. 1 30 10 900 5\n@ NS localhost.\n");
    check("named-checkzone", &[HOT], &zone, &dir);
}

/// Gives a text to a checking program of the resolvers' packages.
fn check(program: &str, arguments: &[&str], text: &str, dir: &tempfile::TempDir) {
    let file = dir.path().join(program);
    std::fs::write(&file, text).unwrap();
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = std::process::Command::new("env")
        .arg(format!("PATH={path}"))
        .arg(program)
        .args(arguments)
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} (packages bind9-utils, bind9, unbound): {said}\n{text}");
}

//! Real BIND and real Unbound follow the point: what is listed is blocked, what is withdrawn is reachable again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rpz_support;

use act::{Point, Presence};
use domain::base::iana::Rtype;
use rpz_support::*;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use testbed::dns::{WORLD_V4, WORLD_V6};
use testbed::{Bind, BindOptions, Unbound, World, ask, ask_until, free_port};

/// A world, a point, and one of each resolver that follow it.
struct Stage {
    world: World,
    dir: tempfile::TempDir,
    point: act::rpz::RpzPoint,
    bind: Bind,
    unbound: Unbound,
}

fn stage() -> Stage {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (b, u) = (free_port().unwrap(), free_port().unwrap());
    let point = point(dir.path(), vec![bind_at(b), unbound_at(u)]);
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&point), &tsig(), world.port(), &options).unwrap();
    let unbound = Unbound::start_on(u, &hot(&point), world.port()).unwrap();
    Stage { world, dir, point, bind, unbound }
}

impl Stage {
    fn both(&self) -> [SocketAddr; 2] {
        [self.bind.address(), self.unbound.address()]
    }

    fn rcodes(&self, name: &str, rtype: Rtype) -> [String; 2] {
        self.both().map(|server| ask(server, name, rtype, LONG).map_or("none".into(), |answer| answer.rcode))
    }
}

#[test]
fn listed_name_and_all_below_do_not_exist_and_the_finding_shows_at_the_marker() {
    let stage = stage();
    let wanted = [deny("bad.test"), deny("b.c.bad.test")];
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    // `c.bad.test` and what is below it are where plain wildcards have a hole.
    for name in ["bad.test", "x.bad.test", "c.bad.test", "z.c.bad.test", "y.b.c.bad.test"] {
        assert_eq!(stage.rcodes(name, Rtype::A), ["NXDOMAIN", "NXDOMAIN"], "{name}");
        assert_eq!(stage.rcodes(name, Rtype::TXT), ["NXDOMAIN", "NXDOMAIN"], "{name}");
    }
    assert_eq!(stage.rcodes("notbad.test", Rtype::A), ["NOERROR", "NOERROR"]);
    for server in stage.both() {
        let marker = ask(server, "bad.test.hot._epimachia", Rtype::TXT, LONG).unwrap();
        let finding = wanted[0].finding.to_string();
        assert!(marker.records.iter().any(|record| record.contains(&finding)), "{marker:?}");
        let none = ask(server, "other.test.hot._epimachia", Rtype::TXT, LONG).unwrap();
        assert_eq!((none.rcode.as_str(), none.records.len()), ("NOERROR", 0));
    }
    // BIND has taken the signed NOTIFY, Unbound the unsigned one: the refresh time is longer than this test.
    let notified = format!("received notify for zone '{HOT}': TSIG 'epi-key'");
    assert!(stage.bind.log().contains(&notified), "{}", stage.bind.log());
    assert!(!stage.bind.log().contains("refused notify"), "{}", stage.bind.log());
    assert!(stage.bind.log().contains("rpz QNAME NXDOMAIN rewrite bad.test"));
    assert!(stage.unbound.log().contains("rpz: applied"));
    // What is listed is never told to the world by asking for its marker there.
    let asked = stage.world.asked();
    assert!(!asked.iter().any(|name| name.contains("test.hot._epimachia")), "{asked:?}");
}

#[test]
fn deletion_through_ixfr_unblocks_and_leaves_the_rest() {
    let stage = stage();
    let wanted: Vec<_> = (0..50).map(|i| deny(&format!("bad{i}.test"))).collect();
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    for ended in &wanted[..10] {
        stage.point.withdraw(std::slice::from_ref(ended), now()).unwrap();
        assert_eq!(presences(&stage.point, std::slice::from_ref(ended)), [Presence::Absent]);
        let name = ended.measure.target().to_string();
        assert_eq!(stage.rcodes(&name, Rtype::A), ["NOERROR", "NOERROR"], "{name}");
    }
    assert_enforced(&stage.point, &wanted[10..]);
    // A whole zone has more than 150 records: these were differences.
    let log = stage.bind.log();
    let last = log.lines().rfind(|line| line.contains("Transfer completed")).unwrap();
    let records: u32 = last.split(" records").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(records < 20, "{last}");
}

#[test]
fn address_is_no_answer_while_it_is_denied() {
    let stage = stage();
    let wanted = [deny("192.0.2.7"), deny("2001:db8:5::9"), deny("198.51.100.0/24")];
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    assert_eq!(stage.rcodes("ip-192-0-2-7.test", Rtype::A), ["NXDOMAIN", "NXDOMAIN"]);
    assert_eq!(stage.rcodes("ip-192-0-2-8.test", Rtype::A), ["NOERROR", "NOERROR"]);
    assert_eq!(stage.rcodes("ip-198-51-100-200.test", Rtype::A), ["NXDOMAIN", "NXDOMAIN"]);
    // IPv6 is acted upon by /64.
    assert_eq!(stage.rcodes("ip6-2001-db8-5-0-0-0-0-1.test", Rtype::AAAA), ["NXDOMAIN", "NXDOMAIN"]);
    assert_eq!(stage.rcodes("ip6-2001-db8-6-0-0-0-0-1.test", Rtype::AAAA), ["NOERROR", "NOERROR"]);
    assert!(!stage.bind.log().contains("invalid rpz"), "{}", stage.bind.log());
    stage.point.withdraw(&wanted, now()).unwrap();
    assert_eq!(presences(&stage.point, &wanted), [Presence::Absent; 3]);
    assert_eq!(stage.rcodes("ip-192-0-2-7.test", Rtype::A), ["NOERROR", "NOERROR"]);
}

/// BIND shows the records of a new version before its table of triggers has them, the later the larger the zone is.
#[test]
fn address_beside_many_names_is_no_answer_from_when_it_is_read_back() {
    let stage = stage();
    let names: Vec<_> = (0..4_000).map(|i| deny(&format!("bad{i}.example"))).collect();
    stage.point.apply(&names, now()).unwrap();
    for last in 1..=10 {
        let wanted = [deny(&format!("192.0.2.{last}"))];
        stage.point.apply(&wanted, now()).unwrap();
        assert_enforced(&stage.point, &wanted);
        let name = format!("ip-192-0-2-{last}.test");
        assert_eq!(stage.rcodes(&name, Rtype::A), ["NXDOMAIN", "NXDOMAIN"], "{name}");
    }
}

#[test]
fn as_many_mitigations_of_one_address_as_there_may_be_are_all_read_back() {
    let stage = stage();
    let one = |n: u8| act::Protection {
        mitigation: model::MitigationId::of(&model::Digest::of(&[&[n]])),
        ..deny("192.0.2.7")
    };
    let wanted: Vec<_> = (0..16).map(one).collect();
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    stage.point.withdraw(&wanted[..1], now()).unwrap();
    assert_eq!(presences(&stage.point, &wanted[..2]), [Presence::Absent, Presence::Enforced]);
}

#[test]
fn bind_that_applies_policies_only_to_recursive_questions_is_read_back_too() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let b = free_port().unwrap();
    let point = point(dir.path(), vec![bind_at(b)]);
    let options = BindOptions { port: Some(b), recursive_only: true, ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&point), &tsig(), world.port(), &options).unwrap();
    let wanted = [deny("bad.test"), deny("192.0.2.7")];
    point.apply(&wanted, now()).unwrap();
    assert_enforced(&point, &wanted);
    assert_eq!(bind.ask("ip-192-0-2-7.test", Rtype::A).unwrap().rcode, "NXDOMAIN");
    // Nothing of what is listed is asked of the world.
    assert!(!world.asked().iter().any(|name| name.starts_with("bad.test")), "{:?}", world.asked());
}

#[test]
fn redirected_name_leads_to_the_members_own_page() {
    let stage = stage();
    let wanted = [redirect("bad.test", "notice.member.test")];
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    for server in stage.both() {
        let answer = ask(server, "www.bad.test", Rtype::A, LONG).unwrap();
        assert!(answer.has("CNAME notice.member.test."), "{answer:?}");
        assert!(answer.has(&format!("A {WORLD_V4}")), "{answer:?}");
    }
}

#[test]
fn name_on_the_own_allow_list_is_reachable_at_once_whatever_is_listed() {
    let stage = stage();
    let wanted = [deny("bad.test"), deny("x.good.bad.test")];
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    stage.point.set_allowed(&["good.bad.test".parse().unwrap()]).unwrap();
    assert_eq!(presences(&stage.point, &wanted[1..2]), [Presence::Absent]);
    for name in ["good.bad.test", "x.good.bad.test", "new.good.bad.test"] {
        assert_eq!(stage.rcodes(name, Rtype::A), ["NOERROR", "NOERROR"], "{name}");
    }
    for server in stage.both() {
        assert!(ask(server, "good.bad.test", Rtype::AAAA, LONG).unwrap().has(&format!("AAAA {WORLD_V6}")));
    }
    assert_enforced(&stage.point, &wanted[..1]);
    // Also when its address is denied: the name is what the member has allowed. Only BIND keeps to that for answers
    // from its cache; for Unbound the address must be allowed as well.
    let addresses = [deny("192.0.2.80")];
    stage.point.apply(&addresses, now()).unwrap();
    assert_enforced(&stage.point, &addresses);
    for _ in 0..3 {
        assert_eq!(stage.bind.ask("x.good.bad.test", Rtype::A).unwrap().rcode, "NOERROR");
    }
    stage.point.set_allowed(&["good.bad.test".parse().unwrap(), "192.0.2.80".parse().unwrap()]).unwrap();
    assert_eq!(presences(&stage.point, &addresses), [Presence::Absent]);
    assert_eq!(stage.rcodes("x.good.bad.test", Rtype::A), ["NOERROR", "NOERROR"]);
    stage.point.set_allowed(&[]).unwrap();
    assert_enforced(&stage.point, &wanted);
}

#[test]
fn racing_updates_all_arrive() {
    let stage = stage();
    let wanted: Vec<_> = (0..64).map(|i| deny(&format!("bad{i}.test"))).collect();
    std::thread::scope(|scope| {
        for part in wanted.chunks(8) {
            scope.spawn(|| part.iter().for_each(|one| stage.point.apply(std::slice::from_ref(one), now()).unwrap()));
        }
    });
    assert_enforced(&stage.point, &wanted);
    std::thread::scope(|scope| {
        for (i, part) in wanted.chunks(8).enumerate() {
            let point = &stage.point;
            scope.spawn(move || match i % 2 {
                0 => point.withdraw(part, now()).unwrap(),
                _ => point.apply(part, now()).unwrap(),
            });
        }
    });
    let expected: Vec<_> =
        (0..64).map(|i| if (i / 8) % 2 == 0 { Presence::Absent } else { Presence::Enforced }).collect();
    assert_eq!(presences(&stage.point, &wanted), expected);
}

#[test]
fn what_has_expired_is_lifted_although_nobody_asks() {
    let stage = stage();
    let first = [deny("first.test")];
    stage.point.apply(&first, now()).unwrap();
    assert_enforced(&stage.point, &first);
    let mut short = deny("bad.test");
    short.expires = now().plus(model::Span::seconds(10));
    stage.point.apply(&[short], now()).unwrap();
    for server in stage.both() {
        let (blocked, _) = ask_until(server, "bad.test", LONG, |answer| answer.rcode == "NXDOMAIN");
        assert_eq!(blocked.unwrap().rcode, "NXDOMAIN");
    }
    for server in stage.both() {
        let (lifted, _) = ask_until(server, "bad.test", LONG, |answer| answer.rcode == "NOERROR");
        assert_eq!(lifted.unwrap().rcode, "NOERROR");
    }
}

#[test]
fn kill_switch_lifts_everything() {
    let stage = stage();
    let wanted: Vec<_> = (0..100).map(|i| deny(&format!("bad{i}.test"))).collect();
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    stage.point.lift_all().unwrap();
    assert_eq!(presences(&stage.point, &wanted), [Presence::Absent; 100]);
    assert_eq!(stage.rcodes("bad7.test", Rtype::A), ["NOERROR", "NOERROR"]);
}

#[test]
fn restart_lifts_nothing_and_the_new_contents_are_followed() {
    let mut stage = stage();
    let (kept, ended, new) = (deny("kept.test"), deny("ended.test"), deny("new.test"));
    stage.point.apply(&[kept.clone(), ended.clone()], now()).unwrap();
    assert_enforced(&stage.point, &[kept.clone(), ended.clone()]);
    let serial = stage.point.primary().look("hot", act::rpz::zone::Zone::serial).unwrap();
    let secondaries = vec![bind_at(stage.bind.address().port()), unbound_at(stage.unbound.address().port())];
    let mut settings = settings(stage.dir.path(), secondaries);
    settings.primary.listen = stage.point.address();
    drop(std::mem::replace(&mut stage.point, point(tempfile::tempdir().unwrap().path(), Vec::new())));
    let again = act::rpz::RpzPoint::start(settings).unwrap();
    // The agent has not said yet what is in force: resolvers that ask are told to keep what they have.
    let answer = ask(again.address(), HOT, Rtype::SOA, LONG).unwrap();
    assert_eq!(answer.rcode, "SERVFAIL");
    again.set_allowed(&["own.test".parse().unwrap()]).unwrap();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(stage.rcodes("kept.test", Rtype::A), ["NXDOMAIN", "NXDOMAIN"]);
    again.replace(&[kept.clone(), new.clone()], now()).unwrap();
    assert!(again.primary().look("hot", act::rpz::zone::Zone::serial).unwrap() > serial);
    assert_enforced(&again, &[kept, new]);
    assert_eq!(presences(&again, &[ended]), [Presence::Absent]);
    assert_eq!(stage.rcodes("ended.test", Rtype::A), ["NOERROR", "NOERROR"]);
}

#[test]
fn what_one_of_two_resolvers_still_has_is_not_said_to_be_lifted() {
    let stage = stage();
    let wanted = [deny("bad.test"), deny("192.0.2.7")];
    stage.point.apply(&wanted, now()).unwrap();
    assert_enforced(&stage.point, &wanted);
    // Another primary goes on from there, and only BIND follows it.
    let (old, world) = (stage.unbound.address(), stage.world.port());
    let b = free_port().unwrap();
    let mut settings = settings(stage.dir.path(), vec![bind_at(b)]);
    settings.resolvers = vec![local(b), old];
    settings.read_back_limit = Duration::from_secs(3);
    let next = act::rpz::RpzPoint::start(settings.clone()).unwrap();
    next.replace(&wanted, now()).unwrap();
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&next), &tsig(), world, &options).unwrap();
    next.withdraw(&wanted, now()).unwrap();
    let (gone, _) = ask_until(bind.address(), "bad.test", LONG, |answer| answer.rcode == "NOERROR");
    assert_eq!(gone.unwrap().rcode, "NOERROR");
    let seen = next.read_back(&wanted).unwrap();
    for seen in &seen {
        assert_eq!(seen.presence, Presence::Enforced, "{seen:?}");
        assert!(seen.evidence.contains(&format!("{old} still has it")), "{seen:?}");
    }
    // One that does not answer may have it still.
    drop(stage.unbound);
    for seen in next.read_back(&wanted).unwrap() {
        assert_eq!(seen.presence, Presence::Unknown, "{seen:?}");
        assert!(seen.evidence.contains(&old.to_string()), "{seen:?}");
    }
}

#[test]
fn bulk_list_is_blocked_and_the_hot_zone_goes_on_beside_it() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (b, u) = (free_port().unwrap(), free_port().unwrap());
    let point = point(dir.path(), vec![bind_at(b), unbound_at(u)]);
    point.load_bulk("bulk", []).unwrap();
    let mut zones = hot(&point);
    zones.push(testbed::Rpz { zone: BULK.into(), primary: point.address() });
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&zones, &tsig(), world.port(), &options).unwrap();
    let unbound = Unbound::start_on(u, &zones, world.port()).unwrap();
    let trigger = |i: usize| act::rpz::Trigger::Name(format!("n{i}.bulk.test").parse().unwrap());
    point.load_bulk("bulk", (0..5_000).map(|i| (trigger(i), "list=example".to_owned()))).unwrap();
    let wanted = [deny("bad.test")];
    point.apply(&wanted, now()).unwrap();
    assert_enforced(&point, &wanted);
    for server in [bind.address(), unbound.address()] {
        let (answer, _) = ask_until(server, "n4999.bulk.test", LONG, |answer| answer.rcode == "NXDOMAIN");
        assert_eq!(answer.unwrap().rcode, "NXDOMAIN");
    }
    // The own allow-list counts in the bulk zone as well.
    point.set_allowed(&["n7.bulk.test".parse().unwrap()]).unwrap();
    for server in [bind.address(), unbound.address()] {
        let (answer, _) = ask_until(server, "n7.bulk.test", LONG, |answer| answer.rcode == "NOERROR");
        assert_eq!(answer.unwrap().rcode, "NOERROR");
    }
}

/// Forwards datagrams to a resolver and loses the first ones.
fn lossy_relay(to: SocketAddr, lose: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let inbound = UdpSocket::bind(local(0)).unwrap();
    let address = inbound.local_addr().unwrap();
    let outbound = UdpSocket::bind(local(0)).unwrap();
    outbound.connect(to).unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seen);
    std::thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok((length, peer)) = inbound.recv_from(&mut buffer) {
            if count.fetch_add(1, Ordering::SeqCst) >= lose && outbound.send(&buffer[..length]).is_ok() {
                let length = outbound.recv(&mut buffer).unwrap_or(0);
                let _ = inbound.send_to(&buffer[..length], peer);
            }
        }
    });
    (address, seen)
}

#[test]
fn lost_notify_is_sent_again_until_the_zone_is_fetched() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let u = free_port().unwrap();
    let (relay, seen) = lossy_relay(local(u), 3);
    let secondary = act::rpz::Secondary { address: relay, key: None };
    let point = act::rpz::RpzPoint::start(act::rpz::RpzSettings {
        resolvers: vec![local(u)],
        ..settings(dir.path(), vec![secondary])
    })
    .unwrap();
    // Only after the resolver has a version does a NOTIFY matter: its first transfer needs none.
    let unbound_zones = hot(&point);
    let wanted = [deny("bad.test")];
    point.replace(&[], now()).unwrap();
    let unbound = Unbound::start_on(u, &unbound_zones, world.port()).unwrap();
    point.load_bulk("bulk", []).unwrap();
    let first = || unbound.ask("version.hot._epimachia", testbed::Rtype::TXT).is_some_and(|a| !a.records.is_empty());
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !first() && std::time::Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = seen.load(Ordering::SeqCst);
    point.apply(&wanted, now()).unwrap();
    assert_enforced(&point, &wanted);
    assert!(seen.load(Ordering::SeqCst) > before.max(3), "{}", unbound.log());
}

//! The small resolver decides as BIND does about the same zones, and follows changes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rpz_support;

use act::rpz::{Mini, MiniSettings, Secondary};
use act::{Point, Presence};
use domain::base::iana::Rtype;
use rpz_support::*;
use std::net::IpAddr;
use std::sync::Arc;
use testbed::dns::WORLD_V4;
use testbed::{Bind, BindOptions, World, ask, free_port};

/// The test world's rule for IPv4, as a function.
fn world(name: &str) -> Option<IpAddr> {
    let first = name.split('.').next().unwrap_or_default();
    let said = first.strip_prefix("ip-").and_then(|text| text.replace('-', ".").parse().ok());
    name.ends_with(".test").then(|| said.unwrap_or(IpAddr::V4(WORLD_V4)))
}

#[test]
fn small_resolver_and_bind_answer_alike() {
    let outside = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (b, m) = (free_port().unwrap(), free_port().unwrap());
    let point = point(dir.path(), vec![bind_at(b), Secondary { address: local(m), key: None }]);
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&hot(&point), &tsig(), outside.port(), &options).unwrap();
    let settings =
        MiniSettings { listen: local(m), primary: point.address(), zones: vec![HOT.into()], world: Arc::new(world) };
    let mini = Mini::start(settings).unwrap();
    let wanted = [
        deny("bad.test"),
        deny("b.c.bad.test"),
        deny("192.0.2.7"),
        redirect("r.test", "notice.test"),
        deny("ok.bad.test"),
    ];
    point.apply(&wanted, now()).unwrap();
    assert_enforced(&point, &wanted);
    point.set_allowed(&["ok.bad.test".parse().unwrap()]).unwrap();
    point.withdraw(&wanted[1..2], now()).unwrap();
    assert_eq!(presences(&point, &wanted[1..2]), [Presence::Absent]);
    let names = [
        "bad.test",
        "x.bad.test",
        "c.bad.test",
        "z.c.bad.test",
        "b.c.bad.test",
        "ok.bad.test",
        "a.ok.bad.test",
        "r.test",
        "www.r.test",
        "ip-192-0-2-7.test",
        "ip-192-0-2-8.test",
        "free.test",
        "nowhere.invalid",
    ];
    for name in names {
        let [of_bind, of_mini] = [bind.address(), mini.address()].map(|at| ask(at, name, Rtype::A, LONG).unwrap());
        assert_eq!(of_bind, of_mini, "{name}");
    }
    point.lift_all().unwrap();
    assert_eq!(presences(&point, &wanted), [Presence::Absent; 5]);
    assert_eq!(ask(mini.address(), "bad.test", Rtype::A, LONG).unwrap().rcode, "NOERROR");
}

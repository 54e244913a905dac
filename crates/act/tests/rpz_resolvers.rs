//! Real BIND and Unbound follow our primary.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on fails")]

use act::rpz::access::TsigKey;
use act::rpz::live::ZoneSettings;
use act::rpz::notify::Secondary;
use act::rpz::primary::{Primary, PrimarySettings};
use act::rpz::wire::Timers;
use act::rpz::zone::{Change, Entry, Policy, Trigger, ZoneLimits};
use domain::base::iana::Rtype;
use std::time::Duration;
use testbed::{Bind, BindOptions, Rpz, Tsig, Unbound, World, ask_until, free_port};

const SECRET: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const HOT: &str = "rpz.alliance.example";

fn deny(text: &str) -> Change {
    let entry = Entry { id: "m1".into(), policy: Policy::NxDomain, note: "finding=fin-1 mitigation=mit-1".into() };
    Change::Put(Trigger::Name(text.parse().unwrap()), entry)
}

#[test]
fn smoke() {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (b, u) = (free_port().unwrap(), free_port().unwrap());
    let key = TsigKey::new("epi-key", "hmac-sha256", SECRET).unwrap();
    let primary = Primary::start(PrimarySettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        keys: vec![key.clone()],
        allow_unsigned: vec!["127.0.0.1/32".parse().unwrap()],
        secondaries: vec![
            Secondary { address: format!("127.0.0.1:{b}").parse().unwrap(), key: Some(key) },
            Secondary { address: format!("127.0.0.1:{u}").parse().unwrap(), key: None },
        ],
        zones: vec![ZoneSettings {
            name: HOT.into(),
            tag: "hot".into(),
            serial_file: dir.path().join("hot.serial"),
            limits: ZoneLimits { triggers_max: 1000, allowed_max: 100 },
            timers: Timers::default(),
        }],
    })
    .unwrap();
    let rpz = [Rpz { zone: HOT.into(), primary: primary.address() }];
    let tsig = Tsig { name: "epi-key".into(), secret_base64: SECRET.into() };
    let t = std::time::Instant::now();
    let unbound = Unbound::start_on(u, &rpz, world.port()).unwrap();
    println!("unbound up {:?}", t.elapsed());
    let t = std::time::Instant::now();
    let bind =
        Bind::start_with(&rpz, &tsig, world.port(), &BindOptions { port: Some(b), ..Default::default() }).unwrap();
    println!("bind up {:?}", t.elapsed());
    primary.commit("hot", &[deny("first.test")]).unwrap();
    let wait = Duration::from_secs(10);
    for server in [unbound.address(), bind.address()] {
        let (answer, took) = ask_until(server, "first.test", wait, |a| a.rcode == "NXDOMAIN");
        println!("first {server} {answer:?} {took:?}");
    }
    for i in 0..20 {
        let name = format!("bad{i}.test");
        for server in [bind.address(), unbound.address()] {
            primary.commit("hot", &[deny(&name)]).unwrap();
            let (answer, took) = ask_until(server, &name, wait, |a| a.rcode == "NXDOMAIN");
            primary.commit("hot", &[Change::Remove(Trigger::Name(name.parse().unwrap()), "m1".into())]).unwrap();
            let (answer2, took2) = ask_until(server, &name, wait, |a| a.rcode == "NOERROR");
            println!("{server} {} {took:?} {} {took2:?}", answer.unwrap().rcode, answer2.unwrap().rcode);
        }
    }
    println!("{:?}", bind.ask("version.hot._epimachia", Rtype::TXT));
    println!("{:?}", unbound.ask("version.hot._epimachia", Rtype::TXT));
    println!("{}", bind.log());
    println!("{}", unbound.log());
}

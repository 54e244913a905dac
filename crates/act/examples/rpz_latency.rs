//! Measures the RPZ point against real BIND and Unbound on loopback: from the command to the first changed answer.
//!
//! `cargo run --release -p act --example rpz_latency -- [rounds] [bulk names] [resolvers]`

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot go on stops, and prints")]

use act::rpz::{PrimarySettings, RpzPoint, RpzSettings, Secondary, Timers, Trigger, TsigKey, ZoneLimits, ZoneSettings};
use act::{Point, Presence, Protection};
use domain::base::iana::Rtype;
use model::{Digest, FindingId, Measure, MitigationId, Span, Timestamp};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::{Bind, BindOptions, Rpz, Tsig, Unbound, World, ask, ask_until, free_port};

const SECRET: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
const ZONES: [(&str, &str, usize); 2] =
    [("hot.rpz.alliance.example", "hot", 10_000), ("bulk.rpz.alliance.example", "bulk", 1_000_000)];
const LONG: Duration = Duration::from_secs(120);

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let rounds = arguments.next().unwrap_or(60);
    let bulk = arguments.next().unwrap_or(100_000);
    let resolvers = arguments.next().unwrap_or(30);
    println!("{:52} {:>9} {:>9} {:>9}   n", "ms", "median", "p95", "max");
    small_and_bulk(rounds, bulk);
    fan_out(rounds.min(30), resolvers);
}

fn small_and_bulk(rounds: usize, bulk: usize) {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (b, u) = (free_port().unwrap(), free_port().unwrap());
    let key = TsigKey::new("epi-key", "hmac-sha256", SECRET).unwrap();
    let secondaries = vec![Secondary { address: local(b), key: Some(key) }, Secondary { address: local(u), key: None }];
    let point = point(dir.path(), secondaries);
    let tsig = Tsig { name: "epi-key".into(), secret_base64: SECRET.into() };
    let options = BindOptions { port: Some(b), ..BindOptions::default() };
    let bind = Bind::start_with(&zones(&point), &tsig, world.port(), &options).unwrap();
    let unbound = Unbound::start_on(u, &zones(&point), world.port()).unwrap();
    for (name, server) in [("BIND", bind.address()), ("Unbound", unbound.address())] {
        one(&point, server, &format!("{name}, small zone"), rounds);
    }
    verified(&point, "both, small zone: command to read back", rounds);
    let start = Instant::now();
    let name = |i: usize| Trigger::Name(format!("n{i}.bulk{}.test", i % 97).parse().unwrap());
    point.load_bulk("bulk", (0..bulk).map(|i| (name(i), "list=example".to_owned()))).unwrap();
    println!("{:52} {:9.1}", format!("commit of {bulk} bulk names"), ms(start.elapsed()));
    let last = format!("n{}.bulk{}.test", bulk - 1, (bulk - 1) % 97);
    // While it loads, the hot zone goes on: this is the worst moment.
    for (name, server) in [("BIND", bind.address()), ("Unbound", unbound.address())] {
        one(&point, server, &format!("{name}, while {bulk} bulk names load"), 5);
    }
    for (name, server) in [("BIND", bind.address()), ("Unbound", unbound.address())] {
        ask_until(server, &last, LONG, |answer| answer.rcode == "NXDOMAIN");
        println!("{:52} {:9.1}", format!("{name}: bulk names in force after"), ms(start.elapsed()));
    }
    for (name, server) in [("BIND", bind.address()), ("Unbound", unbound.address())] {
        one(&point, server, &format!("{name}, hot zone beside {bulk} bulk names"), rounds);
    }
}

fn fan_out(rounds: usize, resolvers: usize) {
    let world = World::start().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ports: Vec<u16> = (0..resolvers).map(|_| free_port().unwrap()).collect();
    let point = point(dir.path(), ports.iter().map(|port| Secondary { address: local(*port), key: None }).collect());
    let start = Instant::now();
    let all = Unbound::start_all(&ports, &zones(&point)[..1], world.port()).unwrap();
    println!("{:52} {:9.1}", format!("{resolvers} Unbounds started in"), ms(start.elapsed()));
    let (mut last, mut half) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let wanted = deny(&format!("fan{round}.test"));
        let start = Instant::now();
        point.apply(std::slice::from_ref(&wanted), now()).unwrap();
        let mut waiting: Vec<&Unbound> = all.iter().collect();
        let mut times = Vec::new();
        while !waiting.is_empty() {
            waiting.retain(|one| {
                let answer = ask(one.address(), &format!("fan{round}.test"), Rtype::A, Duration::from_secs(2));
                let open = answer.is_none_or(|answer| answer.rcode != "NXDOMAIN");
                if !open {
                    times.push(start.elapsed());
                }
                open
            });
        }
        half.push(times[times.len() / 2]);
        last.push(times[times.len() - 1]);
        std::thread::sleep(Duration::from_millis(20));
    }
    print_row(&format!("{resolvers} Unbounds: half of them"), &mut half);
    print_row(&format!("{resolvers} Unbounds: the last one"), &mut last);
}

/// Block and unblock of one name, as one resolver shows it.
fn one(point: &RpzPoint, server: SocketAddr, what: &str, rounds: usize) {
    let (mut block, mut lift) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let name = format!("bad{round}.test");
        let wanted = deny(&name);
        ask_until(server, &name, LONG, |answer| answer.rcode == "NOERROR");
        let start = Instant::now();
        point.apply(std::slice::from_ref(&wanted), now()).unwrap();
        ask_until(server, &name, LONG, |answer| answer.rcode == "NXDOMAIN");
        block.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
        let start = Instant::now();
        point.withdraw(std::slice::from_ref(&wanted), now()).unwrap();
        ask_until(server, &name, LONG, |answer| answer.rcode == "NOERROR");
        lift.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    print_row(&format!("{what}: block"), &mut block);
    print_row(&format!("{what}: unblock"), &mut lift);
}

fn verified(point: &RpzPoint, what: &str, rounds: usize) {
    let mut times = Vec::new();
    for round in 0..rounds {
        let wanted = [deny(&format!("seen{round}.test"))];
        let start = Instant::now();
        point.apply(&wanted, now()).unwrap();
        let seen = point.read_back(&wanted).unwrap();
        assert_eq!(seen[0].presence, Presence::Enforced, "{}", seen[0].evidence);
        times.push(start.elapsed());
        point.withdraw(&wanted, now()).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    print_row(what, &mut times);
}

fn print_row(what: &str, times: &mut [Duration]) {
    times.sort();
    let at = |share: f64| ms(times[((times.len() - 1) as f64 * share).round() as usize]);
    println!("{what:52} {:9.1} {:9.1} {:9.1}   {}", at(0.5), at(0.95), at(1.0), times.len());
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn zones(point: &RpzPoint) -> Vec<Rpz> {
    ZONES.map(|(name, _, _)| Rpz { zone: name.into(), primary: point.address() }).to_vec()
}

fn point(dir: &Path, secondaries: Vec<Secondary>) -> RpzPoint {
    let zone = |(name, tag, triggers_max): (&str, &str, usize)| ZoneSettings {
        name: name.into(),
        tag: tag.into(),
        serial_file: dir.join(tag),
        limits: ZoneLimits { triggers_max, allowed_max: 10_000 },
        timers: Timers::default(),
    };
    let point = RpzPoint::start(RpzSettings {
        name: "rpz".parse().unwrap(),
        resolvers: secondaries.iter().map(|secondary| secondary.address).collect(),
        primary: PrimarySettings {
            listen: local(0),
            keys: vec![TsigKey::new("epi-key", "hmac-sha256", SECRET).unwrap()],
            allow_unsigned: vec!["127.0.0.1/32".parse().unwrap()],
            secondaries,
            zones: ZONES.map(zone).to_vec(),
        },
        read_back_limit: Duration::from_secs(5),
        addresses: false,
    })
    .unwrap();
    point.replace(&[], now()).unwrap();
    point.load_bulk("bulk", []).unwrap();
    point
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn deny(text: &str) -> Protection {
    let digest = Digest::of(&[text.as_bytes()]);
    let measure = Measure::deny(&text.parse().unwrap()).unwrap();
    let expires = now().plus(Span::hours(1));
    Protection { mitigation: MitigationId::of(&digest), finding: FindingId::of(&digest), measure, expires }
}

//! What the tests of the RPZ point share: a point on loopback and protections for it.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test that cannot go on fails")]

use act::rpz::{PrimarySettings, RpzPoint, RpzSettings, Secondary, Timers, TsigKey, ZoneLimits, ZoneSettings};
use act::{Point, Presence, Protection};
use model::{Action, Digest, FindingId, Measure, MitigationId, Scope, Span, Target, Timestamp};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use testbed::{Rpz, Tsig};

pub const SECRET: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";
pub const HOT: &str = "hot.rpz.alliance.example";
pub const BULK: &str = "bulk.rpz.alliance.example";
/// Long enough that only something that never happens takes longer, even on a busy machine.
pub const LONG: Duration = Duration::from_secs(60);

pub fn key() -> TsigKey {
    TsigKey::new("epi-key", "hmac-sha256", SECRET).unwrap()
}

pub fn tsig() -> Tsig {
    Tsig { name: "epi-key".into(), secret_base64: SECRET.into() }
}

pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

pub fn bind_at(port: u16) -> Secondary {
    Secondary { address: local(port), key: Some(key()) }
}

pub fn unbound_at(port: u16) -> Secondary {
    Secondary { address: local(port), key: None }
}

fn zone(dir: &Path, name: &str, tag: &str, triggers_max: usize) -> ZoneSettings {
    ZoneSettings {
        name: name.into(),
        tag: tag.into(),
        serial_file: dir.join(format!("{tag}.serial")),
        limits: ZoneLimits { triggers_max, allowed_max: 1_000 },
        timers: Timers::default(),
    }
}

/// A hot and a bulk zone; every secondary is also read back.
pub fn settings(dir: &Path, secondaries: Vec<Secondary>) -> RpzSettings {
    RpzSettings {
        name: "rpz".parse().unwrap(),
        resolvers: secondaries.iter().map(|secondary| secondary.address).collect(),
        primary: PrimarySettings {
            listen: local(0),
            keys: vec![key()],
            allow_unsigned: vec!["127.0.0.1/32".parse().unwrap()],
            secondaries,
            zones: vec![zone(dir, HOT, "hot", 10_000), zone(dir, BULK, "bulk", 200_000)],
        },
        read_back_limit: LONG,
        addresses: true,
    }
}

/// A point with nothing in force.
pub fn point(dir: &Path, secondaries: Vec<Secondary>) -> RpzPoint {
    let point = RpzPoint::start(settings(dir, secondaries)).unwrap();
    point.replace(&[], now()).unwrap();
    point
}

pub fn hot(point: &RpzPoint) -> Vec<Rpz> {
    vec![Rpz { zone: HOT.into(), primary: point.address() }]
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

pub fn deny(text: &str) -> Protection {
    let measure = Measure::deny(&text.parse().unwrap()).unwrap();
    protection(text, measure)
}

pub fn redirect(text: &str, to: &str) -> Protection {
    let action = Action::Redirect { to: to.parse().unwrap() };
    protection(text, Measure::new(action, Target::DomainName(text.parse().unwrap()), Scope::Border).unwrap())
}

fn protection(text: &str, measure: Measure) -> Protection {
    let digest = Digest::of(&[text.as_bytes()]);
    let expires = now().plus(Span::hours(1));
    Protection { mitigation: MitigationId::of(&digest), finding: FindingId::of(&digest), measure, expires }
}

/// What each resolver together showed, one word a protection.
pub fn presences(point: &RpzPoint, asked: &[Protection]) -> Vec<Presence> {
    point.read_back(asked).unwrap().into_iter().map(|seen| seen.presence).collect()
}

/// Fails unless all are read back as enforced; says what was seen.
pub fn assert_enforced(point: &RpzPoint, asked: &[Protection]) {
    let seen = point.read_back(asked).unwrap();
    assert!(seen.iter().all(|seen| seen.presence == Presence::Enforced), "{seen:#?}");
}

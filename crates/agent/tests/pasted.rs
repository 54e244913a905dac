//! What `epimachia point show --for …` prints is pasted into a real BIND and a real Unbound, and makes them enforce.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a surprise is a failed test")]

use act::{Presence, Protection};
use agent::Config;
use agent::config::Peer;
use model::{Digest, FindingId, Measure, MitigationId, Span, Timestamp};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testbed::{Bind, Unbound, World, free_port};

const SECRET: &str = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

fn config(dir: &Path, listen: u16, resolver: u16, rest: &str) -> Config {
    let path = dir.join("agent.toml");
    let text = format!(
        "[member]\nid = \"telecom\"\nkey = \"k\"\n[hub]\nurl = \"http://127.0.0.1:1\"\ntoken = \"t\"\n\
         charter = \"{}\"\n[state]\ndirectory = \"state\"\n[[point]]\ntype = \"rpz\"\nname = \"resolvers\"\n\
         zone = \"rpz.alliance.example\"\nlisten = \"127.0.0.1:{listen}\"\nserial_file = \"rpz.serial\"\n\
         resolvers = [\"127.0.0.1:{resolver}\"]\nnotify = [\"127.0.0.1:{resolver}\"]\n{rest}\n\
         [[point]]\ntype = \"nftables\"\nname = \"edge\"\nprotect = [\"192.0.2.1\"]\n",
        "0".repeat(64)
    );
    std::fs::write(&path, text).unwrap();
    Config::read(&path).unwrap()
}

/// Puts one name in force at the running point and waits until the resolver was read back as enforcing.
fn enforces(config: &Config) {
    let digest = Digest::of(&[b"bad.test"]);
    let bad = Protection {
        mitigation: MitigationId::of(&digest),
        finding: FindingId::of(&digest),
        measure: Measure::deny(&"bad.test".parse().unwrap()).unwrap(),
        expires: now().plus(Span::hours(1)),
    };
    let point = config.points[0].start().unwrap();
    point.replace(std::slice::from_ref(&bad), now()).unwrap();
    let begun = Instant::now();
    loop {
        let seen = point.read_back(std::slice::from_ref(&bad)).unwrap();
        if seen[0].presence == Presence::Enforced {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{seen:?}");
    }
}

#[test]
fn a_bind_with_what_is_shown_enforces() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("tsig.secret");
    std::fs::write(&secret, SECRET).unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let (listen, port) = (free_port().unwrap(), free_port().unwrap());
    let key = "tsig = { name = \"epi-key\", algorithm = \"hmac-sha256\", secret = \"tsig.secret\" }";
    let config = config(dir.path(), listen, port, key);
    let shown = config.points[0].configuration_for(Peer::Bind).unwrap();
    assert!(!shown.contains(SECRET) && shown.contains(&*secret.to_string_lossy()), "{shown}");
    // The key's file is made with the line that is shown, but for its place and owner.
    let file = dir.path().join("epimachia.key");
    let shown = shown.replace("/etc/bind/epimachia.key", &file.to_string_lossy());
    let line = shown.lines().find_map(|line| line.strip_prefix("//   (umask")).unwrap();
    let made = line.split("; chown").next().unwrap();
    assert!(Command::new("sh").arg("-c").arg(format!("(umask{made}")).status().unwrap().success());
    let (options, beside) = shown.split_once("options {\n").unwrap().1.split_once("};\n// Beside them:\n").unwrap();
    let world = World::start().unwrap();
    let _bind = Bind::start_pasted(options, beside, port, world.port()).unwrap();
    enforces(&config);
}

#[test]
fn an_unbound_with_what_is_shown_enforces() {
    let dir = tempfile::tempdir().unwrap();
    let (listen, port) = (free_port().unwrap(), free_port().unwrap());
    let config = config(dir.path(), listen, port, "allow_unsigned = [\"127.0.0.1\"]");
    let shown = config.points[0].configuration_for(Peer::Unbound).unwrap();
    assert!(shown.contains("watchdog"), "{shown}");
    let world = World::start().unwrap();
    // The world of the test is not signed.
    let _unbound = Unbound::start_pasted(&shown.replace("validator ", ""), port, world.port()).unwrap();
    enforces(&config);
}

#[test]
fn the_table_that_is_shown_is_taken_by_nft() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), free_port().unwrap(), free_port().unwrap(), "");
    let shown = config.points[1].configuration_for(Peer::Nft).unwrap();
    let file = dir.path().join("table.nft");
    std::fs::write(&file, &shown).unwrap();
    let netns = testbed::Netns::new("shown").unwrap();
    netns.nft(&format!("include \"{}\"", file.display())).unwrap();
    let table = netns.nft("list table inet epimachia").unwrap();
    assert!(table.contains("192.0.2.1") && table.contains("set deny4_32"), "{table}");
    assert!(config.points[0].configuration_for(Peer::Nft).is_err());
    assert!(config.points[1].configuration_for(Peer::Bind).is_err());
}

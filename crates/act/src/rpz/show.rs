//! What a member's people read: the literal zone lines, and the configuration that their resolvers need.

use super::entry::Data;
use super::owner::Owner;
use super::primary::PrimarySettings;
use super::wire::TTL_SECONDS;
use super::zone::Zone;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// The zone as a file that a server can load: with an SOA of its own and the NS that nobody asks.
pub(super) fn zone_file(zone: &Zone) -> String {
    let lines = zone_lines(zone);
    // The first two lines are $ORIGIN and $TTL.
    let cut = lines.match_indices('\n').nth(1).map_or(lines.len(), |(at, _)| at + 1);
    let (head, records) = lines.split_at(cut);
    format!("{head}@ SOA localhost. nobody.invalid. {} 60 60 86400 60\n@ NS localhost.\n{records}", zone.serial().0)
}

/// The zone as a zone file, without SOA and NS.
pub(super) fn zone_lines(zone: &Zone) -> String {
    let served = zone.snapshot();
    let version = Owner::version(zone.tag());
    let mut text = format!("$ORIGIN {}.\n$TTL {TTL_SECONDS}\n", zone.apex());
    for (owner, data) in served.iter().filter(|(owner, _)| **owner != version && !owner.is_fence()) {
        let policy = |target: &str| format!("{owner} CNAME {target}\n");
        match data {
            Data::NxDomain => text.push_str(&policy(".")),
            Data::NoData => text.push_str(&policy("*.")),
            Data::Passthru => text.push_str(&policy("rpz-passthru.")),
            Data::Redirect(target) => text.push_str(&policy(&format!("{target}."))),
            Data::Notes(notes) => notes.iter().for_each(|note| {
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{owner} TXT \"{}\"", note.replace('\\', "\\\\").replace('"', "\\\""));
            }),
        }
    }
    text
}

/// What a resolver must know of our primary. Names where the secret is, never the secret.
#[derive(Clone, Debug)]
pub struct Following {
    /// The zones, in the order of precedence.
    pub zones: Vec<String>,
    /// Where the primary listens.
    pub primary: SocketAddr,
    /// The key of transfers and NOTIFY.
    pub key: Option<FollowingKey>,
}

/// A TSIG key without its secret.
#[derive(Clone, Debug)]
pub struct FollowingKey {
    /// Its name.
    pub name: String,
    /// Its algorithm, as BIND writes it.
    pub algorithm: String,
    /// The agent's file with the secret, where that is known.
    pub secret_file: Option<PathBuf>,
}

impl Following {
    /// Of a primary that runs at `primary`.
    pub(super) fn of(settings: &PrimarySettings, primary: SocketAddr) -> Self {
        let named = |key: &super::TsigKey| FollowingKey {
            name: key.name().to_owned(),
            algorithm: key.algorithm().to_owned(),
            secret_file: None,
        };
        let zones = settings.zones.iter().map(|zone| zone.name.clone()).collect();
        Self { zones, primary, key: settings.keys.first().map(named) }
    }

    /// The address to be written down: whoever listens everywhere is reached on this machine.
    fn address(&self) -> (IpAddr, u16) {
        let ip = match self.primary.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        (ip, self.primary.port())
    }

    /// What belongs into the `options { }` that BIND's `named.conf` already has.
    pub fn bind_options(&self) -> String {
        let mut text = String::from(
            "  // A zone of your own with `policy passthru` may stand first: it wins over everything below it.\n  \
             response-policy {\n",
        );
        for name in &self.zones {
            // Writing into a string cannot fail.
            let _ = writeln!(text, "    zone \"{name}\" policy given log yes;");
        }
        text.push_str(
            "  } qname-wait-recurse no min-update-interval 0 break-dnssec yes recursive-only no;\n  \
             serial-query-rate 1000;\n",
        );
        text
    }

    /// What belongs beside them.
    pub fn bind_zones(&self) -> String {
        let (ip, port) = self.address();
        let (mut text, notify, with_key) = match &self.key {
            None => (String::new(), format!("{ip};"), String::new()),
            Some(FollowingKey { name, algorithm, secret_file }) => {
                let how = key_file(name, algorithm, secret_file.as_deref());
                (how, format!("key \"{name}\";"), format!(" key \"{name}\""))
            }
        };
        let _ = writeln!(text, "primaries epimachia {{ {ip} port {port}{with_key}; }};");
        for name in &self.zones {
            let _ = writeln!(
                text,
                "zone \"{name}\" {{\n  type secondary; primaries {{ epimachia; }}; file \"{name}.db\";\n  \
                 request-ixfr yes; notify no; allow-query {{ none; }}; allow-transfer {{ none; }};\n  \
                 min-refresh-time 1; min-retry-time 1;      // else BIND waits longer than the dead-man switch\n  \
                 allow-notify {{ {notify} }};\n}};"
            );
        }
        text
    }

    /// Both, as a whole for `named.conf`.
    pub fn bind(&self) -> String {
        format!(
            "// Into the options {{ }} that are there:\noptions {{\n{}}};\n// Beside them:\n{}",
            self.bind_options(),
            self.bind_zones()
        )
    }

    /// What belongs into `unbound.conf`.
    pub fn unbound(&self) -> String {
        let (ip, port) = self.address();
        let mut text = String::from(
            "server:\n  module-config: \"respip validator iterator\"\n# Unbound cannot sign transfers: name its \
             address in the point's `allow_unsigned`.\n# Unbound never lets a zone expire: run the watchdog, which lifts when \
             the agent is dead: epimachia agent watchdog\n",
        );
        for name in &self.zones {
            let _ = write!(
                text,
                "rpz:\n  name: \"{name}\"\n  primary: {ip}@{port}\n  allow-notify: {ip}\n  zonefile: \
                 \"{name}.db\"\n  rpz-log: yes\n  rpz-log-name: \"{name}\"\n"
            );
        }
        text
    }
}

/// The secret stays in a file of its own: how BIND's is made of the agent's, and where it is read.
fn key_file(name: &str, algorithm: &str, secret_file: Option<&Path>) -> String {
    let file = "/etc/bind/epimachia.key";
    let made = match secret_file {
        None => format!("//   key \"{name}\" {{ algorithm {algorithm}; secret \"…\"; }};\n"),
        Some(secret) => format!(
            "//   (umask 077; printf 'key \"{name}\" {{ algorithm {algorithm}; secret \"%s\"; }};\\n' \
             \"$(cat {})\" > {file}); chown bind {file}\n",
            secret.display()
        ),
    };
    format!("// The secret stays in a file of its own, readable by named only:\n{made}include \"{file}\";\n")
}

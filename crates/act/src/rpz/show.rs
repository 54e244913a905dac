//! What a member's people read: the literal zone lines, and the configuration that their resolvers need.

use super::entry::Data;
use super::live::ZoneSettings;
use super::owner::Owner;
use super::primary::PrimarySettings;
use super::wire::TTL_SECONDS;
use super::zone::Zone;
use std::fmt::Write;
use std::net::SocketAddr;

/// The zone as a zone file, without SOA and NS.
pub(super) fn zone_lines(zone: &Zone) -> String {
    let served = zone.snapshot();
    let version = Owner::version(zone.tag());
    let mut text = format!("$ORIGIN {}.\n$TTL {TTL_SECONDS}\n", zone.apex());
    for (owner, data) in served.iter().filter(|(owner, _)| **owner != version) {
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

/// What belongs into BIND's `named.conf`.
pub(super) fn bind(settings: &PrimarySettings, address: SocketAddr) -> String {
    let key = settings.keys.first().map_or("epimachia", |key| key.name());
    let algorithm = settings.keys.first().map_or("hmac-sha256", |key| key.algorithm());
    let (ip, port) = (address.ip(), address.port());
    let mut policies = String::new();
    let mut zones = String::new();
    for ZoneSettings { name, .. } in &settings.zones {
        let _ = writeln!(policies, "    zone \"{name}\" policy given log yes;");
        let _ = writeln!(
            zones,
            "zone \"{name}\" {{\n  type secondary; primaries {{ epimachia; }}; file \"{name}.db\";\n  \
             request-ixfr yes; notify no; allow-query {{ none; }}; allow-transfer {{ none; }};\n  \
             min-refresh-time 1; min-retry-time 1;      // else BIND waits longer than the dead-man switch\n  \
             allow-notify {{ key \"{key}\"; }};\n}};"
        );
    }
    format!(
        r#"// The secret stays in a file of its own, readable by named only:
//   key "{key}" {{ algorithm {algorithm}; secret "…"; }};
include "/etc/bind/epimachia.key";
primaries epimachia {{ {ip} port {port} key "{key}"; }};
options {{
  // A zone of your own with `policy passthru` may stand first: it wins over everything below it.
  response-policy {{
{policies}  }} qname-wait-recurse no min-update-interval 0 break-dnssec yes;
  serial-query-rate 1000;
}};
{zones}"#
    )
}

/// What belongs into `unbound.conf`.
pub(super) fn unbound(settings: &PrimarySettings, address: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    let mut text = String::from(
        "server:\n  module-config: \"respip validator iterator\"\n# Unbound cannot sign transfers: name its address in \
         the point's `allow_unsigned`.\n# Unbound never lets a zone expire: if the agent dies, \
         lift by removing the zone.\n",
    );
    for ZoneSettings { name, .. } in &settings.zones {
        let _ = write!(
            text,
            "rpz:\n  name: \"{name}\"\n  primary: {ip}@{port}\n  allow-notify: {ip}\n  zonefile: \"{name}.db\"\n  \
             rpz-log: yes\n  rpz-log-name: \"{name}\"\n"
        );
    }
    text
}

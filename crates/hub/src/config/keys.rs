//! The keys of the configuration: type, default, limits, and who can be hurt; one row a key.

use model::Span;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

/// One key, for the sample file and for `epimachia config explain`.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// The default, as it is written in TOML; empty where there is none.
    pub default: fn() -> String,
    /// What is allowed.
    pub allowed: fn() -> String,
    /// What it does, in which unit, and who is hurt if it is wrong.
    pub explains: &'static str,
}

/// A value outside its limits.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    pub(crate) allowed: String,
}

impl Wrong {
    pub(crate) fn new(name: &'static str, value: impl Display, allowed: impl Display) -> Self {
        Self { name, value: value.to_string(), allowed: allowed.to_string() }
    }
}

/// A section of bounded values: the struct, its defaults, its check and its rows of the table.
macro_rules! section {
    ($(#[$doc:meta])* $name:ident $rows:ident $section:literal {
        $($(#[doc = $explains:literal])+ $key:ident: $type:ty = $default:expr, $low:expr, $high:expr;)+
    }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[doc = $explains])+ pub $key: $type,)+ }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }

        impl $name {
            pub(crate) fn check(&self) -> Result<(), Wrong> {
                $(
                    let (low, high): ($type, $type) = ($low, $high);
                    if !(low..=high).contains(&self.$key) {
                        let name = concat!($section, ".", stringify!($key));
                        return Err(Wrong::new(name, &self.$key, format_args!("{low} to {high}")));
                    }
                )+
                Ok(())
            }
        }

        const $rows: &[Key] = &[$(Key {
            name: concat!($section, ".", stringify!($key)),
            default: || { let value: $type = $default; written(&value) },
            allowed: || { let (low, high): ($type, $type) = ($low, $high); format!("{low} to {high}") },
            explains: concat!($($explains),+),
        },)+];
    };
}

fn written<T: Serialize>(value: &T) -> String {
    // A number, a span or an address: toml cannot fail on them.
    toml::Value::try_from(value).map(|value| value.to_string()).unwrap_or_default()
}

/// `[listen]`: where members reach the hub.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 8443)) }
    }
}

/// `[tls]`: names in the hub's certificate; certificate and key, where they are not of the hub's own authority.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Names and addresses by which members reach the hub, beside those that `hub init` was given.
    pub names: Vec<String>,
    /// PEM file with the certificate chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM file with the private key, readable by nobody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

section! {
    /// `[limits]`: what one connection, request and member may take.
    Limits LIMITS "limits" {
        /// Connections at a time. Too low: members are turned away; too high: each may hold some 100 KiB of memory.
        connections_max: u32 = 2_048, 1, 65_536;
        /// Connections from one address. Too low hurts members behind one gateway; too high lets one take all.
        connections_per_address_max: u32 = 256, 1, 65_536;
        /// Time for the TLS handshake. Too long: idle strangers hold connections.
        handshake_time_max: Span = Span::seconds(10), Span::millis(100), Span::minutes(1);
        /// Time for a request's header. Too long: slow strangers hold connections.
        header_time_max: Span = Span::seconds(10), Span::millis(100), Span::minutes(1);
        /// Time for a request's body. Too short hurts members on thin lines; too long, everybody.
        body_time_max: Span = Span::seconds(60), Span::millis(100), Span::minutes(10);
        /// Time for which a connection may be open without a request. Too long: idle strangers hold connections; too
        /// short: members shake hands more often.
        idle_time_max: Span = Span::minutes(5), Span::millis(100), Span::hours(1);
        /// Time for the answer, once the body is here. Too short: work is done whose answer nobody hears.
        answer_time_max: Span = Span::seconds(30), Span::seconds(1), Span::minutes(10);
        /// Bytes of a request's body, before and after decompression. Lists have a limit of their own.
        body_bytes_max: u64 = 8 << 20, 1_024, 64 << 20;
        /// Bytes of one guard list. Too low: the alliance cannot adopt its lists.
        list_bytes_max: u64 = 64 << 20, 1_024, 256 << 20;
        /// Levels of JSON. Deeper nesting is nobody's honest request.
        json_depth_max: u32 = 32, 8, 128;
        /// Reports, and apart from them other statements, a member may make a minute, on average; a minute's worth may
        /// come at once.
        requests_per_minute_max: u32 = 6_000, 1, 1_000_000;
        /// Receipts a member's agents may send a minute. Too low: the alliance hears late what is in force.
        receipts_per_minute_max: u32 = 6_000, 1, 1_000_000;
        /// Questions a member may ask a minute. Too low hurts consoles and scripts; too high slows everybody's reads.
        reads_per_minute_max: u32 = 6_000, 1, 1_000_000;
        /// Streams a member may open a minute. Each begins with all that is in force for the member.
        streams_per_minute_max: u32 = 120, 1, 1_000_000;
        /// Requests of one member and kind that are worked on at a time: one member cannot fill the queue.
        requests_at_once_max: u32 = 64, 1, 4_096;
    }
}

section! {
    /// `[join]`: how agents come in.
    JoinKeys JOIN "join" {
        /// Life of an agent's certificate; it renews itself after two thirds. Too short: a hub that is away for so long
        /// has agents prove themselves by their members' keys; too long: a stolen one counts as long, until it is
        /// revoked.
        certificate_valid: Span = Span::hours(24), Span::seconds(5), Span::days(90);
        /// Requests a minute from one address that has shown no credential; all together may make 20 times as many. Too
        /// low: members behind one gateway wait to join; too high: strangers keep the hub busy.
        strangers_per_minute_max: u32 = 60, 1, 100_000;
    }
}

section! {
    /// `[intake]`: what is done to a request before it is ordered.
    Intake INTAKE "intake" {
        /// Bodies read and verified at a time, beside the sequencer; 0 takes the number of processors.
        workers: u32 = 0, 0, 256;
    }
}

section! {
    /// `[order]`: the sequencer.
    Order ORDER "order" {
        /// Commands that may wait. A full queue answers 429; too long: members wait instead of trying later.
        queue_max: u32 = 1_024, 1, 65_536;
        /// Commands ordered with one durable write. Too high: readers wait for longer turns.
        batch_max: u32 = 256, 1, 10_000;
        /// Bytes of entries in one durable write; the turn ends with the command that passes it.
        batch_bytes_max: u64 = 16 << 20, 1 << 16, 32 << 20;
        /// How often time is told to the alliance. Too long: what has faded stays in force.
        tick: Span = Span::seconds(1), Span::millis(50), Span::minutes(1);
    }
}

section! {
    /// `[journal]`: what is kept.
    JournalKeys JOURNAL "journal" {
        /// Bytes a segment file has at most. Smaller ones are easier to copy, larger ones are fewer.
        segment_bytes: u64 = 64 << 20, 1 << 16, 1 << 32;
        /// With fewer free bytes on the disk the hub serves reads and refuses the rest. Too low: the disk fills,
        /// an append fails, and the hub stops.
        free_bytes_min: u64 = 256 << 20, 1 << 20, 1 << 60;
        /// Entries after which a snapshot is made. Fewer: more writing; more: a longer start.
        snapshot_every: u64 = 50_000, 1, 100_000_000;
        /// Sightings of the latest reports kept unpacked for evidence, about 250 bytes each.
        sightings_cached_max: u32 = 64_000, 1_000, 100_000_000;
    }
}

section! {
    /// `[account]`: checkpoints and tiles.
    Accounting ACCOUNT "account" {
        /// Least time between two checkpoints. Too long: agents hear late that history forked.
        checkpoint_every: Span = Span::millis(250), Span::millis(10), Span::minutes(1);
        /// A checkpoint that lags behind the journal for longer makes `/health` fail.
        checkpoint_age_max: Span = Span::seconds(30), Span::seconds(1), Span::hours(1);
    }
}

section! {
    /// `[stream]`: what is pushed to agents.
    Stream STREAM "stream" {
        /// Messages that may wait for one agent. One that falls behind is cut off and resumes by position.
        queue_max: u32 = 1_024, 1, 100_000;
        /// Streams of one member at a time.
        per_member_max: u32 = 8, 1, 1_000;
        /// Time between two signs of life. Too long: agents notice late that the hub is away.
        heartbeat: Span = Span::seconds(10), Span::millis(100), Span::minutes(5);
    }
}

section! {
    /// `[search]`: what is found by value.
    SearchKeys SEARCH "search" {
        /// Latest sightings that are found one by one, about 64 bytes each; older ones stand in the journal, and in the
        /// sums of findings. Too low: people miss what was reported; too high: memory.
        sightings_max: u32 = 500_000, 1_000, 1_000_000_000;
    }
}

/// `[metrics]`: who may read the figures.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsKeys {
    /// Also answer `/metrics` to others than loopback. The figures name members and tell when they are silent.
    pub public: bool,
}

/// `[logs]`: what is written to stderr.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// For people or for machines.
    pub form: LogForm,
    /// Which lines: a level, or `target=level` separated by commas.
    pub filter: String,
}

impl Default for Logs {
    fn default() -> Self {
        Self { form: LogForm::Text, filter: "info".to_owned() }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogForm {
    /// One line of words.
    Text,
    /// One JSON object a line.
    Json,
}

const LISTEN: &[Key] = &[Key {
    name: "listen.address",
    default: || written(&Listen::default().address),
    allowed: || "an address and a port".to_owned(),
    explains: " Where members reach the hub; port 0 takes a free one. Beyond loopback it is open to the network.",
}];

const TLS: &[Key] = &[
    Key {
        name: "tls.names",
        default: || "[]".to_owned(),
        allowed: || "names and addresses".to_owned(),
        explains: " Names and addresses by which members reach the hub, beside those that `hub init` was given. One \
                   that is missing: members refuse the hub.",
    },
    Key {
        name: "tls.certificate",
        default: String::new,
        allowed: || "a PEM file with the chain, together with tls.key".to_owned(),
        explains: " The certificate members see. Without it: one of the hub's own authority, which they pin. Agents \
                   that join pin the last certificate of the chain.",
    },
    Key {
        name: "tls.key",
        default: String::new,
        allowed: || "a PEM file with the private key, together with tls.certificate".to_owned(),
        explains: " Whoever can read it can pretend to be the hub: no other user may.",
    },
];

const METRICS: &[Key] = &[Key {
    name: "metrics.public",
    default: || "false".to_owned(),
    allowed: || "true or false".to_owned(),
    explains: " Answer `/metrics` to others than loopback. The figures name members and tell when they are silent.",
}];

const LOGS: &[Key] = &[
    Key {
        name: "logs.form",
        default: || "\"text\"".to_owned(),
        allowed: || "text or json".to_owned(),
        explains: " Log lines for people or for machines, on stderr.",
    },
    Key {
        name: "logs.filter",
        default: || "\"info\"".to_owned(),
        allowed: || "a level (error warn info debug trace), or target=level separated by commas".to_owned(),
        explains: " Which lines are written. `trace` writes so much that the disk may fill.",
    },
];

const SECTIONS: [&[Key]; 12] =
    [LISTEN, TLS, LIMITS, JOIN, INTAKE, ORDER, JOURNAL, ACCOUNT, STREAM, SEARCH, METRICS, LOGS];

/// Every key but `data`, by section in the order of the flow.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.into_iter().flatten()
}

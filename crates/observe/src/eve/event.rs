//! One EVE event: only the fields that decide something; all others are passed over.

use crate::networks::Networks;
use crate::source::Skip;
use model::ParseError;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::net::IpAddr;

/// One line.
#[derive(Deserialize)]
pub struct Event<'a> {
    #[serde(borrow)]
    pub timestamp: Cow<'a, str>,
    #[serde(borrow)]
    pub event_type: Cow<'a, str>,
    src_ip: Option<IpAddr>,
    dest_ip: Option<IpAddr>,
    #[serde(borrow, default)]
    pub proto: Cow<'a, str>,
    #[serde(borrow, default)]
    app_proto: Cow<'a, str>,
    #[serde(borrow, default)]
    direction: Cow<'a, str>,
    #[serde(borrow)]
    pub alert: Option<Alert<'a>>,
    #[serde(borrow)]
    pub flow: Option<Flow<'a>>,
    #[serde(borrow)]
    tcp: Option<Tcp<'a>>,
    #[serde(borrow)]
    dns: Option<Dns<'a>>,
    http: Option<IgnoredAny>,
    tls: Option<IgnoredAny>,
    ssh: Option<IgnoredAny>,
    smtp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub struct Alert<'a> {
    #[serde(default)]
    pub signature_id: u64,
    #[serde(borrow, default)]
    pub category: Cow<'a, str>,
    /// Who suffered, where the signature has the keyword `target`.
    pub target: Option<Party>,
}

#[derive(Deserialize)]
pub struct Party {
    pub ip: IpAddr,
}

#[derive(Deserialize)]
pub struct Flow<'a> {
    /// Who began: in alerts since version 7.
    src_ip: Option<IpAddr>,
    dest_ip: Option<IpAddr>,
    #[serde(default)]
    pkts_toserver: u64,
    #[serde(default)]
    pub pkts_toclient: u64,
    /// Something was wrong with it; in flow records.
    #[serde(default)]
    pub alerted: bool,
    #[serde(borrow, default)]
    state: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Tcp<'a> {
    #[serde(borrow, default)]
    state: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Dns<'a> {
    /// `query` or `answer`; since version 8 `request` or `response`.
    #[serde(borrow, default, rename = "type")]
    kind: Cow<'a, str>,
    /// Version 7 in alerts.
    #[serde(borrow, default)]
    query: Vec<Question<'a>>,
    /// Version 8.
    #[serde(borrow, default)]
    queries: Vec<Question<'a>>,
    /// In DNS events and answers.
    #[serde(borrow)]
    rrname: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Question<'a> {
    #[serde(borrow, default)]
    rrname: Cow<'a, str>,
}

/// Who began and who answered.
pub struct Sides {
    pub client: IpAddr,
    pub server: IpAddr,
}

/// The side that is not ours.
pub struct Side {
    pub remote: IpAddr,
    pub remote_began: bool,
}

impl<'a> Event<'a> {
    pub fn read(json: &'a str) -> Result<Self, ParseError> {
        serde_json::from_str(json).map_err(|e| {
            let place = format!("{e}");
            ParseError::new("line", json, format_args!("a JSON object with the fields of EVE: {place}"))
        })
    }

    /// Client and server. The packet that matched may have gone either way: the flow knows who began, or the packet's
    /// direction; without either the sender is taken to have begun.
    pub fn sides(&self) -> Result<Sides, ParseError> {
        let missing = |field: &str| ParseError::new(field, "nothing", "an IP address");
        let source = self.src_ip.ok_or_else(|| missing("src_ip"))?.to_canonical();
        let destination = self.dest_ip.ok_or_else(|| missing("dest_ip"))?.to_canonical();
        let began =
            self.flow.as_ref().and_then(|flow| Some((flow.src_ip?.to_canonical(), flow.dest_ip?.to_canonical())));
        Ok(match began {
            // A flow of other addresses would be a contradiction: then the packet's own are believed.
            Some((client, server)) if [(source, destination), (destination, source)].contains(&(client, server)) => {
                Sides { client, server }
            }
            _ if self.direction == "to_client" => Sides { client: destination, server: source },
            _ => Sides { client: source, server: destination },
        })
    }

    /// An application was recognised.
    pub fn has_content(&self) -> bool {
        let recognised = !matches!(self.app_proto.as_ref(), "" | "failed" | "unknown");
        recognised || [&self.http, &self.tls, &self.ssh, &self.smtp].iter().any(|object| object.is_some())
    }

    /// The TCP handshake was completed. `closed` says nothing: a refused SYN is closed too.
    pub fn is_established(&self) -> bool {
        let tcp = self.tcp.as_ref().map_or("", |tcp| tcp.state.as_ref());
        let flow = self.flow.as_ref().map_or("", |flow| flow.state.as_ref());
        flow == "established"
            || matches!(
                tcp,
                "established" | "fin_wait1" | "fin_wait2" | "time_wait" | "last_ack" | "close_wait" | "closing"
            )
    }

    /// Both sides said something: over TCP an application was recognised, over all else packets went both ways. Records
    /// of an application without its flow are of content already.
    pub fn is_two_way(&self) -> bool {
        let both = self.flow.as_ref().map(|flow| flow.pkts_toserver > 0 && flow.pkts_toclient > 0);
        match self.proto.eq_ignore_ascii_case("tcp") {
            true => self.has_content() && both != Some(false),
            false => both.unwrap_or(false),
        }
    }

    /// A DNS question, not its answer.
    pub fn asks(&self) -> bool {
        self.dns.as_ref().is_some_and(|dns| matches!(dns.kind.as_ref(), "query" | "request"))
    }

    pub fn is_dns(&self) -> bool {
        self.app_proto == "dns" || self.dns.is_some()
    }

    /// The name that was asked for.
    pub fn dns_name(&self) -> Option<&str> {
        let dns = self.dns.as_ref()?;
        let question = dns.query.first().or(dns.queries.first()).map(|q| q.rrname.as_ref());
        question.filter(|name| !name.is_empty()).or(dns.rrname.as_deref())
    }
}

impl Sides {
    /// Which side is remote.
    pub fn remote(&self, own: &Networks) -> Result<Side, Skip> {
        match (own.contains(self.client), own.contains(self.server)) {
            (false, true) => Ok(Side { remote: self.client, remote_began: true }),
            (true, false) => Ok(Side { remote: self.server, remote_began: false }),
            (true, true) => Err(Skip::BothOwn),
            (false, false) => Err(Skip::NeitherOwn),
        }
    }
}

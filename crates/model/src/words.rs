//! The closed sets of words: behaviours, grades, sensors, segments, kinds, roles, capabilities, markings.

use crate::ids::GroupId;
use crate::parse::ParseError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// One closed set of words: the enum, its texts, and an error that lists them.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident as $field:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every word of the set, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word as it is written everywhere.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(ParseError::new($field, text, concat!($($text, " "),+).trim_end())),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.as_str().to_owned()
            }
        }
    };
}

words! {
    /// What an observable did.
    Behaviour as "behaviour" {
        /// Command and control of a botnet.
        C2 = "c2",
        /// Looking for open doors.
        Scan = "scan",
        /// Guessing credentials.
        Bruteforce = "bruteforce",
        /// Taking part in a denial of service.
        Ddos = "ddos",
        /// Using a vulnerability.
        Exploit = "exploit",
        /// Unwanted mail or messages.
        Spam = "spam",
        /// Imitating somebody to obtain secrets.
        Phishing = "phishing",
        /// Handing out harmful programs.
        MalwareDistribution = "malware-distribution",
        /// Belonging to somebody whose machine is infected.
        InfectedHost = "infected-host",
    }
}

words! {
    /// What a family of behaviours has in common: whether harm comes from the observable or waits at it. Reports of one
    /// family corroborate each other, since one measure protects from all of them.
    Family as "family" {
        /// Harmful traffic comes from the observable: scan, bruteforce, ddos, exploit, spam, infected-host.
        Source = "source",
        /// Harm waits at the observable for whoever goes there: c2, phishing, malware-distribution.
        Destination = "destination",
    }
}

impl Behaviour {
    /// The family under which this behaviour is corroborated.
    pub const fn family(self) -> Family {
        match self {
            Self::C2 | Self::Phishing | Self::MalwareDistribution => Family::Destination,
            Self::Scan | Self::Bruteforce | Self::Ddos | Self::Exploit | Self::Spam | Self::InfectedHost => {
                Family::Source
            }
        }
    }
}

words! {
    /// How hard the evidence is to forge, from the weakest.
    Grade as "grade" {
        /// Lone packets, UDP, SYN: anybody can put any source address on them.
        Spoofable = "spoofable",
        /// A completed connection: the address answered.
        Handshake = "handshake",
        /// Content was exchanged.
        Payload = "payload",
        /// A person examined it.
        Analyst = "analyst",
    }
}

words! {
    /// The kind of sensor that saw it.
    Sensor as "sensor" {
        /// Intrusion detection (Suricata, Zeek).
        Ids = "ids",
        /// A decoy service.
        Honeypot = "honeypot",
        /// A firewall's log.
        Firewall = "firewall",
        /// A resolver's or name server's log.
        Dns = "dns",
        /// A mail system.
        Mail = "mail",
        /// A web server or web application firewall.
        Web = "web",
        /// Software on end devices.
        Endpoint = "endpoint",
        /// Flow records of routers.
        Flow = "flow",
        /// A list that somebody else keeps.
        List = "list",
        /// A person.
        Analyst = "analyst",
    }
}

words! {
    /// Part of the ecosystem a member belongs to (the anti-botnet guide's five).
    Segment as "segment" {
        /// Carriers, DNS, hosting, clouds.
        Infrastructure = "infrastructure",
        /// Makers of software.
        Software = "software",
        /// Makers of devices.
        Device = "device",
        /// Homes and small businesses.
        HomeAndSmallBusiness = "home-and-small-business",
        /// Larger companies and administrations.
        Enterprise = "enterprise",
    }
}

words! {
    /// How far a member belongs.
    MemberKind as "kind" {
        /// Votes, reports, approves.
        Full = "full",
        /// Reports and approves; does not vote on the charter.
        Associate = "associate",
        /// Receives and reads; its reports inform and count for nothing.
        Observer = "observer",
    }
}

words! {
    /// How far a member's word is trusted so far.
    Standing as "standing" {
        /// Founders and those vetted since.
        Vetted = "vetted",
        /// New: counts little, and all such members together never enough.
        Probation = "probation",
        /// Temporarily without a voice.
        Suspended = "suspended",
    }
}

words! {
    /// What somebody may do.
    Role as "role" {
        /// Sends sightings.
        Reporter = "reporter",
        /// Signs approvals.
        Approver = "approver",
        /// Runs an agent: receives mitigations, sends receipts.
        Operator = "operator",
        /// Looks after members and credentials; reads objections.
        Admin = "admin",
        /// Reads what members may read, and which credentials exist; decides nothing.
        Auditor = "auditor",
        /// Reads what is CLEAR or GREEN; reports and decides nothing.
        Observer = "observer",
    }
}

words! {
    /// Where a company stands with the alliance.
    MembershipStage as "stage" {
        /// Wants to belong, and waits for somebody who stands for it.
        Applied = "applied",
        /// Somebody stands for it; members vote, until a time.
        Voting = "voting",
        /// The vote carried: the next charter may name it.
        Admitted = "admitted",
        /// The vote did not carry, or nobody stood for it in time; it may apply again.
        Refused = "refused",
        /// A charter names it, and it counts little.
        Probation = "probation",
        /// A charter names it, vetted.
        Member = "member",
        /// Not heard, for a time or until a charter says otherwise.
        Suspended = "suspended",
        /// Gone by its own word; the next charter is without it.
        Left = "left",
    }
}

words! {
    /// What is said about a company's membership.
    MembershipAct as "act" {
        /// A company wants to belong.
        Apply = "apply",
        /// It claims what it owns.
        Prove = "prove",
        /// A person of a member stands for it.
        Sponsor = "sponsor",
        /// A member votes.
        Vote = "vote",
        /// A member objects, for the secretariat alone.
        Object = "object",
        /// An admin has a member not heard for a time.
        Suspend = "suspend",
        /// An admin takes that back.
        Restore = "restore",
        /// A member leaves.
        Leave = "leave",
    }
}

words! {
    /// What becomes of a key.
    KeyAct as "act" {
        /// It counts from now on.
        Add = "add",
        /// It counts no more from now on; what it signed before still counts.
        Retire = "retire",
        /// It never counts again, nor does what it has signed.
        Revoke = "revoke",
    }
}

words! {
    /// What a member can do for others.
    Capability as "capability" {
        /// Filters names for its users.
        DnsFilter = "dns-filter",
        /// Filters packets.
        PacketFilter = "packet-filter",
        /// Distributes Flowspec rules (RFC 8955).
        Flowspec = "flowspec",
        /// Discards traffic to its own addresses (RFC 7999).
        Blackhole = "blackhole",
        /// Takes in the traffic of infected machines.
        Sinkhole = "sinkhole",
        /// Cleans traffic.
        Scrub = "scrub",
        /// Tells its subscribers.
        NotifySubscribers = "notify-subscribers",
        /// Publishes fixes.
        Patch = "patch",
        /// Takes content down on its own systems.
        Takedown = "takedown",
    }
}

words! {
    /// Traffic Light Protocol 2.0 (FIRST), from the widest to the narrowest audience.
    Tlp as "tlp" {
        /// May be published.
        Clear = "clear",
        /// The community.
        Green = "green",
        /// The recipients' organisations and their clients.
        Amber = "amber",
        /// The recipients' organisations only.
        AmberStrict = "amber+strict",
        /// The named recipients' eyes only; the hub does not accept it.
        Red = "red",
    }
}

words! {
    /// What recipients may do with a statement (FIRST IEP 2.0, `permitted_actions`), from the narrowest.
    Actions as "actions" {
        /// `none`: read it.
        None = "none",
        /// `contact for instruction`: ask the sender first.
        AskFirst = "ask-first",
        /// `internally visible actions`: on the recipient's own network, visible to nobody else.
        Internal = "internal",
        /// `externally visible indirect actions`: also what others can notice, such as a sinkhole.
        Indirect = "indirect",
        /// `externally visible direct actions`: also what the other side notices.
        Direct = "direct",
    }
}

impl Actions {
    fn is_all(&self) -> bool {
        *self == Self::Direct
    }
}

/// Who may see a statement, who may act on it, and whether its sender is named: a marking and, if narrower than the
/// alliance, a sharing group; the sender's wishes (FIRST IEP 2.0).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Handling {
    /// The marking.
    pub tlp: Tlp,
    /// The sharing group; absent: all members. A group without members means nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The sender wishes to stay unnamed: to all others it is "a member" (`provider_attribution`: must not).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unnamed: bool,
    /// What recipients may do.
    #[serde(default = "all_actions", skip_serializing_if = "Actions::is_all")]
    pub actions: Actions,
}

const fn all_actions() -> Actions {
    Actions::Direct
}

impl Handling {
    /// For all members, with this marking.
    pub const fn alliance(tlp: Tlp) -> Self {
        Self::new(tlp, None)
    }

    /// For a sharing group, or all members, with this marking and no further wishes.
    pub const fn new(tlp: Tlp, group: Option<GroupId>) -> Self {
        Self { tlp, group, unnamed: false, actions: Actions::Direct }
    }

    /// May recipients act on their own networks, and say upon whose word? Machines act on nothing else.
    pub fn lets_act(&self) -> bool {
        !self.unnamed && self.actions >= Actions::Internal
    }

    /// May whoever may see what is handled like `audience` see this, too?
    pub fn reaches(&self, audience: &Self) -> bool {
        self.tlp <= audience.tlp && (self.group.is_none() || self.group == audience.group)
    }

    /// The strictest of both: the narrower marking, the fewer actions, unnamed; a group wins over none. Two different
    /// groups have no common audience: `None`.
    pub fn strictest(&self, other: &Self) -> Option<Self> {
        let group = match (&self.group, &other.group) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.clone().or_else(|| b.clone()),
        };
        let (unnamed, actions) = (self.unnamed || other.unnamed, self.actions.min(other.actions));
        Some(Self { tlp: self.tlp.max(other.tlp), group, unnamed, actions })
    }
}

impl fmt::Display for Handling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TLP:{}", self.tlp.as_str().to_uppercase())?;
        if let Some(group) = &self.group {
            write!(f, " group {group}")?;
        }
        if self.unnamed {
            f.write_str(" unnamed")?;
        }
        match self.actions {
            Actions::Direct => Ok(()),
            actions => write!(f, " actions {actions}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_words_are_refused_with_the_list_of_known_ones() {
        let error = "hack".parse::<Behaviour>().unwrap_err().to_string();
        assert!(error.contains("behaviour: `hack`") && error.contains("c2 scan bruteforce"), "{error}");
    }

    #[test]
    fn every_word_reads_back() {
        for word in Behaviour::ALL {
            assert_eq!(word.as_str().parse::<Behaviour>().unwrap(), *word);
        }
        for word in Tlp::ALL {
            assert_eq!(serde_json::from_str::<Tlp>(&serde_json::to_string(word).unwrap()).unwrap(), *word);
        }
    }

    #[test]
    fn wishes_that_nobody_has_are_not_written_and_those_that_are_read_back() {
        let plain = Handling::alliance(Tlp::Green);
        assert_eq!(serde_json::to_string(&plain).unwrap(), r#"{"tlp":"green"}"#);
        assert!(plain.lets_act());
        for (unnamed, actions) in [(true, Actions::Direct), (false, Actions::None), (true, Actions::AskFirst)] {
            let wish = Handling { unnamed, actions, ..plain.clone() };
            assert_eq!(serde_json::from_str::<Handling>(&serde_json::to_string(&wish).unwrap()).unwrap(), wish);
            assert!(!wish.lets_act(), "{wish}");
            assert_eq!(plain.strictest(&wish), Some(wish));
        }
        assert!(Handling { actions: Actions::Internal, ..plain }.lets_act());
    }

    #[test]
    fn the_strictest_handling_wins_and_two_groups_have_no_common_audience() {
        let group = |name: &str| Handling::new(Tlp::Green, Some(name.parse().unwrap()));
        let merged = Handling::alliance(Tlp::Amber).strictest(&group("banks")).unwrap();
        assert_eq!(merged, Handling::new(Tlp::Amber, Some("banks".parse().unwrap())));
        assert_eq!(group("banks").strictest(&group("telcos")), None);
    }
}

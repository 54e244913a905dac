//! What a policy zone is told: triggers, entries, changes; and the record data that comes of them.

use super::owner::Owner;
use ipnet::IpNet;
use model::{Domain, Refusal, Target, Timestamp};
use std::fmt;
use std::sync::Arc;

/// Longest note, in bytes: one string of a TXT record (RFC 1035 §3.3.14).
pub const NOTE_BYTES_MAX: usize = 255;

/// What a resolver does with a listed name or address. In the order in which one wins over another at the same place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Policy {
    /// The name does not exist.
    NxDomain,
    /// The name exists and has no records.
    NoData,
    /// The name is an alias of the member's own sinkhole or notice page.
    Redirect(Domain),
}

/// One reason for a trigger to be in the zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who lists it: the mitigation. The same trigger may be listed by several.
    pub id: String,
    /// What to do.
    pub policy: Policy,
    /// What a person finds at the marker: the finding, the mitigation, the expiry.
    pub note: String,
    /// When it ends by itself; `None`: only when it is removed.
    pub expires: Option<Timestamp>,
}

/// What a policy zone can look for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Trigger {
    /// A name and everything below it, when it is queried.
    Name(Domain),
    /// An address inside this network, when it would be an answer.
    Network(IpNet),
}

impl Trigger {
    /// The place in the zone.
    ///
    /// # Errors
    /// [`Owner::name`].
    pub fn owner(&self) -> Result<Owner, Refusal> {
        match self {
            Self::Name(domain) => Owner::name(domain),
            Self::Network(network) => Ok(Owner::network(network.trunc())),
        }
    }
}

impl Trigger {
    /// Names, addresses and networks; nothing else can be seen in the DNS.
    pub fn of(target: &Target) -> Option<Self> {
        match target {
            Target::DomainName(domain) => Some(Self::Name(domain.clone())),
            Target::Host(address) => Some(Self::Network(IpNet::from(*address))),
            Target::Net(prefix) => Some(Self::Network(prefix.network())),
            Target::Uri(_) | Target::File(_) => None,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(domain) => domain.fmt(f),
            Self::Network(network) => write!(f, "{network}"),
        }
    }
}

/// One wish about a zone's contents.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// List a trigger, or replace what this mitigation said about it.
    Put(Trigger, Entry),
    /// A mitigation no longer lists this trigger.
    Remove(Trigger, String),
    /// This member's own allow-list: never blocked, nor anything below or inside; wins over every entry at once.
    Allow(Trigger),
    /// No longer on the allow-list.
    Disallow(Trigger),
    /// Everything that ends at this time or before is no longer listed.
    Expire(Timestamp),
    /// Nothing is listed any more; the allow-list stays. The kill switch.
    Clear,
}

/// The record data that a place is served with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Data {
    /// `CNAME .`
    NxDomain,
    /// `CNAME *.`
    NoData,
    /// `CNAME rpz-passthru.`
    Passthru,
    /// `CNAME` of a name outside the zone.
    Redirect(Domain),
    /// A TXT record set: one record a note.
    Notes(Arc<[String]>),
}

impl From<&Policy> for Data {
    fn from(policy: &Policy) -> Self {
        match policy {
            Policy::NxDomain => Self::NxDomain,
            Policy::NoData => Self::NoData,
            Policy::Redirect(target) => Self::Redirect(target.clone()),
        }
    }
}

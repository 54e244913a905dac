//! Where a measure lives in the table: one set for each action, family and prefix length, one element for each target.
//!
//! Every set is a hash set, prefixes too: the rule masks the address to the set's length before it looks it up. Kernel
//! interval sets would need one set less, but refuse overlapping prefixes (two plans may well name a /24 and a /25 of
//! it) and take seconds for one addition beside 100,000 elements.

use model::{Action, Measure, Target};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What the rule of a set does with what it matches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// Drops it.
    Deny,
    /// Drops what exceeds the element's own rate.
    Limit,
}

/// One set of the table, by what it holds. Its name says it all: `deny4_32`, `limit6_64`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Set {
    /// What happens to its elements.
    pub verdict: Verdict,
    /// IPv6 rather than IPv4.
    pub v6: bool,
    /// Length of every prefix in it, in bits; 32 or 128 for single addresses.
    pub length: u8,
}

impl Set {
    /// The sets that are always there and looked up for every packet: hosts, and the /64 of IPv6 hosts. Every other set
    /// is made when it is first needed, so that nobody pays for it before.
    pub const COMMON: [Self; 3] = [
        Self { verdict: Verdict::Deny, v6: false, length: 32 },
        Self { verdict: Verdict::Deny, v6: true, length: 128 },
        Self { verdict: Verdict::Deny, v6: true, length: 64 },
    ];

    /// Is this one of [`Self::COMMON`]?
    pub fn is_common(&self) -> bool {
        Self::COMMON.contains(self)
    }

    /// The length of a single address, in bits.
    const fn full(v6: bool) -> u8 {
        if v6 { 128 } else { 32 }
    }

    /// The mask that the rule applies before looking up, if it needs one.
    pub fn mask(&self) -> Option<IpAddr> {
        let host_bits = u32::from(Self::full(self.v6) - self.length);
        match (self.v6, host_bits) {
            (_, 0) => None,
            (false, n) => Some(Ipv4Addr::from_bits(u32::MAX.checked_shl(n).unwrap_or(0)).into()),
            (true, n) => Some(Ipv6Addr::from_bits(u128::MAX.checked_shl(n).unwrap_or(0)).into()),
        }
    }
}

impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Deny => "deny",
            Verdict::Limit => "limit",
        };
        write!(f, "{verdict}{}_{}", if self.v6 { 6 } else { 4 }, self.length)
    }
}

impl FromStr for Set {
    type Err = ();

    /// Reads a name back; everything else in the table is not a set of targets.
    fn from_str(name: &str) -> Result<Self, ()> {
        let (verdict, rest) = match (name.strip_prefix("deny"), name.strip_prefix("limit")) {
            (Some(rest), _) => (Verdict::Deny, rest),
            (_, Some(rest)) => (Verdict::Limit, rest),
            _ => return Err(()),
        };
        let (v6, length) = match rest.split_once('_') {
            Some(("4", length)) => (false, length),
            Some(("6", length)) => (true, length),
            _ => return Err(()),
        };
        let length: u8 = length.parse().map_err(|_| ())?;
        let set = Self { verdict, v6, length };
        match (1..=Self::full(v6)).contains(&length) && set.to_string() == name {
            true => Ok(set),
            false => Err(()),
        }
    }
}

/// One element: the set and the address (a prefix's first address) that is its key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Slot {
    /// The set.
    pub set: Set,
    /// The key in it.
    pub address: IpAddr,
}

impl Slot {
    /// Where `measure` lives; `None` if a packet filter cannot carry it out.
    pub fn of(measure: &Measure) -> Option<Self> {
        let verdict = match measure.action() {
            Action::Deny => Verdict::Deny,
            Action::Limit { .. } => Verdict::Limit,
            _ => return None,
        };
        let (address, length) = match measure.target() {
            // An IPv4-mapped address is never seen in a packet: it is the IPv4 address that is meant.
            Target::Host(address) => (address.to_canonical(), Set::full(address.to_canonical().is_ipv6())),
            Target::Net(prefix) => (prefix.address(), prefix.length()),
            _ => return None,
        };
        Some(Self { set: Set { verdict, v6: address.is_ipv6(), length }, address })
    }

    /// The network that this covers.
    pub fn network(&self) -> ipnet::IpNet {
        ipnet::IpNet::new(self.address, self.set.length).unwrap_or_else(|_| self.address.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_cover_exactly_the_prefix() {
        let mask = |v6, length| Set { verdict: Verdict::Deny, v6, length }.mask().map(|m| m.to_string());
        assert_eq!(mask(false, 24).as_deref(), Some("255.255.255.0"));
        assert_eq!(mask(true, 64).as_deref(), Some("ffff:ffff:ffff:ffff::"));
        assert_eq!(mask(true, 57).as_deref(), Some("ffff:ffff:ffff:ff80::"));
        assert_eq!((mask(false, 32), mask(true, 128)), (None, None));
    }

    #[test]
    fn names_of_others_are_no_sets() {
        for name in ["never4", "deny", "deny4", "deny4_", "deny4_33", "deny4_032", "deny6_0", "limit5_32", "deny4_-1"] {
            assert_eq!(name.parse::<Set>(), Err(()), "{name}");
        }
    }

    proptest! {
        #[test]
        fn names_read_back(limit: bool, v6: bool, length in 1u8..=128) {
            let verdict = if limit { Verdict::Limit } else { Verdict::Deny };
            let set = Set { verdict, v6, length: length.min(Set::full(v6)) };
            prop_assert_eq!(set.to_string().parse::<Set>(), Ok(set));
        }
    }
}

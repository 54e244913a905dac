//! Sets of networks, asked for one address at a time: a binary search in disjoint ranges.

use ipnet::IpNet;
use model::ParseError;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most networks in one set.
pub const NETWORKS_MAX: usize = 100_000;

/// A set of networks, written as a list of addresses and prefixes.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Networks {
    nets: Vec<IpNet>,
    /// First and last address of each, sorted, IPv4 as IPv4-mapped IPv6.
    ranges: Vec<(u128, u128)>,
}

impl Networks {
    /// The set of all these; overlaps do not matter.
    pub fn new(nets: &[IpNet]) -> Self {
        let nets = IpNet::aggregate(&nets.to_vec());
        let mut ranges: Vec<(u128, u128)> = nets.iter().map(|n| (bits(n.network()), bits(n.broadcast()))).collect();
        ranges.sort_unstable();
        Self { nets, ranges }
    }

    /// Does the address lie in one of them?
    pub fn contains(&self, address: IpAddr) -> bool {
        let wanted = bits(address);
        let after = self.ranges.partition_point(|(first, _)| *first <= wanted);
        after.checked_sub(1).and_then(|i| self.ranges.get(i)).is_some_and(|(_, last)| wanted <= *last)
    }

    /// Does any of them overlap `net`?
    pub fn overlaps(&self, net: IpNet) -> bool {
        let (first, last) = (bits(net.network()), bits(net.broadcast()));
        let after = self.ranges.partition_point(|(start, _)| *start <= last);
        after.checked_sub(1).and_then(|i| self.ranges.get(i)).is_some_and(|(_, end)| first <= *end)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl TryFrom<Vec<String>> for Networks {
    type Error = ParseError;

    fn try_from(texts: Vec<String>) -> Result<Self, ParseError> {
        if texts.len() > NETWORKS_MAX {
            let found = format!("{} networks", texts.len());
            return Err(ParseError::new("networks", &found, format_args!("at most {NETWORKS_MAX}")));
        }
        let nets: Result<Vec<IpNet>, ParseError> = texts.iter().map(|text| network(text)).collect();
        nets.map(|nets| Self::new(&nets))
    }
}

fn network(text: &str) -> Result<IpNet, ParseError> {
    let address = text.parse::<IpAddr>().map(|a| a.to_canonical().into());
    let net = address.or_else(|_| text.parse::<IpNet>());
    net.map_err(|_| ParseError::new("network", text, "an IP address or prefix, such as 192.0.2.0/24"))
}

impl From<Networks> for Vec<String> {
    fn from(networks: Networks) -> Self {
        networks.nets.iter().map(IpNet::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::try_from(texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn families_do_not_mix_and_edges_belong() {
        let own = networks(&["198.51.100.0/24", "198.51.100.7", "2001:db8:51::/48", "10.0.0.1"]);
        for (address, is_own) in [
            ("198.51.100.0", true),
            ("198.51.100.255", true),
            ("198.51.101.0", false),
            ("198.51.99.255", false),
            ("10.0.0.1", true),
            ("10.0.0.2", false),
            ("2001:db8:51:ffff::1", true),
            ("2001:db8:52::", false),
            ("::1", false),
        ] {
            assert_eq!(own.contains(address.parse().unwrap()), is_own, "{address}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        let error = Networks::try_from(vec!["10.0.0.0/33".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("10.0.0.0/33"), "{error}");
    }

    proptest! {
        #[test]
        fn the_search_agrees_with_asking_each(
            nets in proptest::collection::vec((any::<u32>(), 1u8..=32), 0..20), asked: u32, length in 1u8..=32
        ) {
            let net = |(a, l): &(u32, u8)| IpNet::new(IpAddr::from(a.to_be_bytes()), *l).unwrap();
            let nets: Vec<IpNet> = nets.iter().map(net).collect();
            let set = Networks::new(&nets);
            let address = IpAddr::from(asked.to_be_bytes());
            prop_assert_eq!(set.contains(address), nets.iter().any(|n| n.contains(&address)));
            let net = IpNet::new(address, length).unwrap().trunc();
            let overlap = nets.iter().map(IpNet::trunc).any(|n| n.contains(&net) || net.contains(&n));
            prop_assert_eq!(set.overlaps(net), overlap);
        }
    }
}

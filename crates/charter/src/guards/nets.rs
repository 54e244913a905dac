//! Guarded networks: sorted ranges, asked for overlap by binary search.

use ipnet::IpNet;
use std::net::IpAddr;

/// Networks of both families, each disjoint from the others: of two that contain each other the wider one is kept,
/// since whatever overlaps the narrower overlaps it too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Nets<L> {
    v4: Vec<Held<L>>,
    v6: Vec<Held<L>>,
}

/// One guarded network and what is known of it.
#[derive(Clone, Debug)]
pub(crate) struct Held<L> {
    first: u128,
    last: u128,
    /// The network.
    pub net: IpNet,
    /// Which list holds it, or which member owns it.
    pub label: L,
}

impl<L: Copy> Nets<L> {
    /// Sorts the networks and drops those inside others. On equal networks the earlier one wins.
    pub fn new(nets: impl IntoIterator<Item = (IpNet, L)>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (net, label) in nets {
            let (first, last) = bounds(&net);
            let family = if net.addr().is_ipv4() { &mut v4 } else { &mut v6 };
            family.push(Held { first, last, net, label });
        }
        Self { v4: outermost(v4), v6: outermost(v6) }
    }

    /// A guarded network that overlaps this one: contains it, equals it, or lies inside it (then the first that does).
    pub fn overlapping(&self, net: &IpNet) -> Option<&Held<L>> {
        let (first, last) = bounds(net);
        let family = if net.addr().is_ipv4() { &self.v4 } else { &self.v6 };
        let next = family.partition_point(|held| held.last < first);
        family.get(next).filter(|held| held.first <= last)
    }

    /// How many networks are held.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }
}

fn bounds(net: &IpNet) -> (u128, u128) {
    match (net.network(), net.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (u32::from(first).into(), u32::from(last).into()),
        (first, last) => (as_v6(first), as_v6(last)),
    }
}

fn as_v6(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        IpAddr::V6(v6) => v6.into(),
    }
}

/// Networks are nested or disjoint, so sorted by start and width each belongs to the last one kept or to none.
fn outermost<L>(mut nets: Vec<Held<L>>) -> Vec<Held<L>> {
    nets.sort_by_key(|held| (held.first, std::cmp::Reverse(held.last)));
    let mut kept: Vec<Held<L>> = Vec::with_capacity(nets.len());
    for held in nets {
        if kept.last().is_none_or(|outer| outer.last < held.first) {
            kept.push(held);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nets(texts: &[&str]) -> Nets<usize> {
        Nets::new(texts.iter().enumerate().map(|(i, text)| (text.parse().unwrap(), i)))
    }

    #[test]
    fn overlap_is_found_both_ways_and_families_do_not_mix() {
        let nets = nets(&["8.8.8.8/32", "9.9.0.0/16", "2600::/32"]);
        let label = |text: &str| nets.overlapping(&text.parse().unwrap()).map(|held| held.label);
        assert_eq!(label("8.8.8.0/24"), Some(0));
        assert_eq!(label("9.9.9.9/32"), Some(1));
        assert_eq!(label("2600::1/128"), Some(2));
        assert_eq!(label("8.8.9.0/24"), None);
        assert_eq!(label("::/1"), Some(2));
        assert_eq!(label("::808:808/128"), None);
    }

    #[test]
    fn the_ends_of_the_address_space_are_held() {
        let nets = nets(&["0.0.0.0/8", "255.255.255.255/32", "::/128", "ff00::/8"]);
        for text in ["0.0.0.0/32", "255.255.255.255/32", "255.0.0.0/8", "::/128", "ffff::/16"] {
            assert!(nets.overlapping(&text.parse().unwrap()).is_some(), "{text}");
        }
        assert!(nets.overlapping(&"254.0.0.0/8".parse().unwrap()).is_none());
    }

    /// Small numbers of bits make overlaps frequent.
    fn net() -> impl Strategy<Value = IpNet> {
        let v4 = (0u32..64, 26u8..=32).prop_map(|(low, len)| (IpAddr::V4((0x0808_0800 | low).into()), len));
        let v6 = (0u128..64, 122u8..=128).prop_map(|(low, len)| (IpAddr::V6((0x2600 << 112 | low).into()), len));
        prop_oneof![v4, v6].prop_map(|(address, len)| IpNet::new(address, len).unwrap().trunc())
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_a_walk_over_all_networks(
            listed in prop::collection::vec(net(), 0..12),
            asked in net(),
        ) {
            let nets = Nets::new(listed.iter().map(|net| (*net, ())));
            let walked = listed.iter().any(|net| net.contains(&asked) || asked.contains(net));
            prop_assert_eq!(nets.overlapping(&asked).is_some(), walked);
            if let Some(held) = nets.overlapping(&asked) {
                prop_assert!(listed.contains(&held.net));
                prop_assert!(held.net.contains(&asked) || asked.contains(&held.net));
            }
        }
    }
}

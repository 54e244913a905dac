//! What observables are ordered by: what lies in a network, or at and below a name, stands together.

use model::{Domain, FileHash, Observable};
use std::net::IpAddr;
use std::ops::RangeInclusive;

/// Behind every text of ASCII.
const LAST: char = char::MAX;
/// Between the name of a web address's host and the address itself: before every character of a name.
const AT: char = '\0';

/// The place of an observable in the order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// No observable.
    Nothing,
    /// An IPv4 network: first address, length.
    V4(u32, u8),
    /// An IPv6 network: first address, length.
    V6([u8; 16], u8),
    /// A name from its last label to its first; a web address stands right behind the name of its host.
    Name(Box<str>),
    /// What nothing lies in: file hashes, web addresses at an IP address.
    Text(Box<str>),
}

/// What is looked for beside the value itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// What lies in it: addresses and networks in a network; names below a name, and web addresses at them.
    pub below: bool,
    /// What it lies in: networks around an address or a network, names above a name or a web address.
    pub above: bool,
}

impl Key {
    /// The place of an observable.
    pub fn of(observable: &Observable) -> Self {
        match observable {
            Observable::Address(address) => of_network(*address, if address.is_ipv4() { 32 } else { 128 }),
            Observable::Prefix(prefix) => of_network(prefix.address(), prefix.length()),
            Observable::Domain(domain) => Self::Name(reversed(domain).into()),
            Observable::Url(url) => match url.domain() {
                Some(host) => Self::Name(format!("{}{AT}{}", reversed(&host), url.as_str()).into()),
                None => Self::Text(url.as_str().into()),
            },
            Observable::Hash(hash) => Self::Text(hash.to_string().into()),
        }
    }

    /// The observable that stands here; `None` for [`Key::Nothing`].
    pub fn observable(&self) -> Option<Observable> {
        match self {
            Self::Nothing => None,
            Self::V4(first, length) => observable_of(first.to_be_bytes().into(), *length, 32),
            Self::V6(first, length) => observable_of((*first).into(), *length, 128),
            Self::Name(name) => match name.split_once(AT) {
                Some((_, url)) => url.parse().ok().map(Observable::Url),
                None => unreversed(name).parse().ok().map(Observable::Domain),
            },
            Self::Text(text) if text.contains("://") => text.parse().ok().map(Observable::Url),
            Self::Text(text) => text.parse::<FileHash>().ok().map(Observable::Hash),
        }
    }
}

fn observable_of(first: IpAddr, length: u8, whole: u8) -> Option<Observable> {
    match length == whole {
        true => Some(Observable::Address(first)),
        false => model::Prefix::new(first, length).ok().map(Observable::Prefix),
    }
}

fn of_network(first: IpAddr, length: u8) -> Key {
    match first {
        IpAddr::V4(first) => Key::V4(first.into(), length),
        IpAddr::V6(first) => Key::V6(first.octets(), length),
    }
}

fn reversed(domain: &Domain) -> String {
    domain.labels().rev().collect::<Vec<_>>().join(".")
}

fn unreversed(name: &str) -> String {
    name.rsplit('.').collect::<Vec<_>>().join(".")
}

/// The parts of the order in which stands what is looked for; they do not overlap.
pub fn ranges(observable: &Observable, reach: Reach) -> Vec<RangeInclusive<Key>> {
    let own = Key::of(observable);
    let mut ranges = if reach.above { above(observable) } else { Vec::new() };
    match (&own, reach.below) {
        (Key::V4(first, length), true) => {
            let last = first | u32::MAX.checked_shr((*length).into()).unwrap_or(0);
            ranges.push(own.clone()..=Key::V4(last, 32));
        }
        (Key::V6(first, length), true) => {
            let last = u128::from_be_bytes(*first) | u128::MAX.checked_shr((*length).into()).unwrap_or(0);
            ranges.push(own.clone()..=Key::V6(last.to_be_bytes(), 128));
        }
        (Key::Name(name), true) if !name.contains(AT) => {
            let behind = |front: String| Key::Name(format!("{front}{LAST}").into());
            ranges.push(own.clone()..=behind(format!("{name}{AT}")));
            ranges.push(Key::Name(format!("{name}.").into())..=behind(format!("{name}.")));
        }
        _ => ranges.push(own.clone()..=own),
    }
    ranges
}

/// What an observable lies in, each by itself.
fn above(observable: &Observable) -> Vec<RangeInclusive<Key>> {
    let keys: Vec<Key> = match (observable.network(), observable.domain()) {
        (Some(network), _) => (1..network.prefix_len())
            .filter_map(|length| ipnet::IpNet::new(network.addr(), length).ok())
            .map(|wider| of_network(wider.network(), wider.prefix_len()))
            .collect(),
        (None, Some(host)) => {
            let own = matches!(observable, Observable::Url(_)).then(|| host.as_str().to_owned());
            let parents = std::iter::successors(host.parent(), |name| name.split_once('.').map(|(_, rest)| rest));
            let names = own.into_iter().chain(parents.map(ToOwned::to_owned));
            names.filter_map(|name| name.parse().ok()).map(|domain| Key::Name(reversed(&domain).into())).collect()
        }
        (None, None) => Vec::new(),
    };
    keys.into_iter().map(|key| key.clone()..=key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn observable(text: &str) -> Observable {
        text.parse().unwrap()
    }

    fn found(value: &str, reach: Reach, other: &str) -> bool {
        let key = Key::of(&observable(other));
        ranges(&observable(value), reach).iter().any(|range| range.contains(&key))
    }

    const EXACT: Reach = Reach { below: false, above: false };
    const BELOW: Reach = Reach { below: true, above: false };
    const ABOVE: Reach = Reach { below: false, above: true };

    #[test]
    fn names_are_found_with_what_is_below_and_above_them_and_nothing_beside() {
        for (value, reach, other, wanted) in [
            ("shop.com", EXACT, "shop.com", true),
            ("shop.com", EXACT, "www.shop.com", false),
            ("shop.com", BELOW, "www.shop.com", true),
            ("shop.com", BELOW, "https://www.shop.com/x", true),
            ("shop.com", BELOW, "https://shop.com/x", true),
            ("shop.com", BELOW, "shop.com.evil.net", false),
            ("shop.com", BELOW, "shop-a.com", false),
            ("a.shop.com", BELOW, "a-b.shop.com", false),
            ("www.shop.com", ABOVE, "shop.com", true),
            ("www.shop.com", ABOVE, "https://shop.com/x", false),
            ("https://www.shop.com/x", ABOVE, "www.shop.com", true),
            ("https://www.shop.com/x", ABOVE, "shop.com", true),
            ("https://www.shop.com/x", BELOW, "https://www.shop.com/x", true),
            ("https://www.shop.com/x", EXACT, "https://www.shop.com/y", false),
            ("http://80.1.1.1/x", BELOW, "http://80.1.1.1/x", true),
            ("d41d8cd98f00b204e9800998ecf8427e", ABOVE, "md5:d41d8cd98f00b204e9800998ecf8427e", true),
        ] {
            assert_eq!(found(value, reach, other), wanted, "{value} {reach:?} {other}");
        }
    }

    #[test]
    fn every_observable_reads_back_from_its_place() {
        for text in [
            "80.1.1.1",
            "80.1.0.0/16",
            "2001:db8::1",
            "2001:db8::/32",
            "a.b.example",
            "https://a.example/x?y=z",
            "http://80.1.1.1:8080/x",
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert_eq!(Key::of(&observable(text)).observable(), Some(observable(text)), "{text}");
        }
        assert_eq!(Key::Nothing.observable(), None);
    }

    /// Small numbers of bits make networks lie in each other often.
    fn network() -> impl Strategy<Value = Observable> {
        let v4 = (0u32..64, 26u8..=32).prop_map(|(low, length)| (IpAddr::V4((0x5001_0100 | low).into()), length));
        let v6 = (0u128..64, 122u8..=128).prop_map(|(low, length)| (IpAddr::V6((0x2001 << 112 | low).into()), length));
        prop_oneof![v4, v6].prop_map(|(address, length)| {
            ipnet::IpNet::new(address, length).unwrap().trunc().to_string().parse().unwrap()
        })
    }

    proptest! {
        #[test]
        fn networks_are_found_as_arithmetic_says(value in network(), other in network(), below: bool, above: bool) {
            let (a, b) = (value.network().unwrap(), other.network().unwrap());
            let wanted = a == b || (below && a.contains(&b)) || (above && b.contains(&a));
            let key = Key::of(&other);
            let all = ranges(&value, Reach { below, above });
            let within = all.iter().filter(|range| range.contains(&key)).count();
            prop_assert_eq!(within, usize::from(wanted), "{} {}", value, other);
        }
    }
}

//! A member's own allow-list: what is never to be touched on its network, whoever asks.

use ipnet::IpNet;
use model::{Domain, Observable};
use std::collections::BTreeSet;

/// Observables that their member never wants touched. Networks are held against each other both ways; a domain stands
/// for everything below it, and nothing above it may be touched either; a URL is covered by its host.
#[derive(Clone, Debug, Default)]
pub struct AllowList {
    nets: BTreeSet<IpNet>,
    /// Names with their labels from the right, so that names below stand together.
    names: BTreeSet<String>,
    others: BTreeSet<Observable>,
}

impl AllowList {
    /// The list of these entries.
    pub fn new<'a>(entries: impl IntoIterator<Item = &'a Observable>) -> Self {
        let mut list = Self::default();
        for entry in entries {
            match entry {
                Observable::Address(_) | Observable::Prefix(_) => list.nets.extend(entry.network()),
                Observable::Domain(domain) => drop(list.names.insert(key(domain))),
                Observable::Url(_) | Observable::Hash(_) => drop(list.others.insert(entry.clone())),
            }
        }
        list
    }

    /// Is there nothing in it?
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty() && self.names.is_empty() && self.others.is_empty()
    }

    /// Would touching `observable` touch something allowed?
    pub fn covers(&self, observable: &Observable) -> bool {
        match observable {
            Observable::Address(_) | Observable::Prefix(_) => observable.network().is_some_and(|net| self.net(net)),
            Observable::Domain(domain) => self.name(domain) || self.holds_url_of(domain),
            Observable::Url(url) => {
                self.others.contains(observable)
                    || url.address().is_some_and(|address| self.net(address.into()))
                    || url.domain().is_some_and(|host| self.above(&key(&host)))
            }
            Observable::Hash(_) => self.others.contains(observable),
        }
    }

    fn net(&self, net: IpNet) -> bool {
        let around = std::iter::successors(Some(net), IpNet::supernet).any(|outer| self.nets.contains(&outer));
        // Networks inside this one begin within it, and so stand after it: sorted by address, then by length.
        let mut after = self.nets.range(net..);
        around || after.next().is_some_and(|held| net.contains(held))
    }

    fn name(&self, domain: &Domain) -> bool {
        let key = key(domain);
        let front = format!("{key}.");
        let below = self.names.range(front.clone()..).next().is_some_and(|name| name.starts_with(&front));
        below || self.above(&key)
    }

    /// Is this name, or one above it, in the list?
    fn above(&self, key: &str) -> bool {
        std::iter::successors(Some(key), |name| name.rsplit_once('.').map(|(upper, _)| upper))
            .any(|name| self.names.contains(name))
    }

    /// Taking a whole domain away takes an allowed address below it with it.
    fn holds_url_of(&self, domain: &Domain) -> bool {
        let host = |entry: &Observable| entry.domain().is_some_and(|host| host.is_within(domain));
        self.others.iter().any(host)
    }
}

fn key(domain: &Domain) -> String {
    domain.labels().rev().collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(texts: &str) -> AllowList {
        let entries: Vec<Observable> = texts.split(' ').map(|text| text.parse().unwrap()).collect();
        AllowList::new(&entries)
    }

    #[test]
    fn what_touches_an_allowed_thing_is_covered() {
        let list = list("8.8.8.8 9.9.0.0/16 2600::/32 shop.com http://news.net/x md5:00000000000000000000000000000000");
        for text in [
            "8.8.8.8",
            "8.8.8.0/24",
            "9.9.9.9",
            "9.0.0.0/8",
            "2600::1",
            "shop.com",
            "pay.shop.com",
            "http://shop.com/y",
            "http://8.8.8.8/z",
            "http://news.net/x",
            "news.net",
            "md5:00000000000000000000000000000000",
        ] {
            assert!(list.covers(&text.parse().unwrap()), "{text}");
        }
        for text in ["8.8.8.9", "8.8.9.0/24", "9.10.0.0/16", "2601::1", "xshop.com", "http://news.net/y", "x.news.net"]
        {
            assert!(!list.covers(&text.parse().unwrap()), "{text}");
        }
        assert!(!AllowList::default().covers(&"8.8.8.8".parse().unwrap()));
    }

    #[test]
    fn a_name_above_an_allowed_one_is_covered() {
        assert!(list("mail.shop.co.uk").covers(&"shop.co.uk".parse().unwrap()));
        assert!(!list("mail.shop.co.uk").covers(&"web.shop.co.uk".parse().unwrap()));
        assert!(!list("mail.shop.co.uk").covers(&"http://shop.co.uk/x".parse().unwrap()));
    }

    fn net() -> impl Strategy<Value = IpNet> {
        (0u32..64, 25u8..=32)
            .prop_map(|(low, len)| IpNet::new(std::net::Ipv4Addr::from(0x0808_0800 | low).into(), len).unwrap().trunc())
    }

    proptest! {
        #[test]
        fn networks_agree_with_a_walk_over_all(listed in prop::collection::vec(net(), 0..8), asked in net()) {
            let text = |net: &IpNet| net.to_string().parse::<Observable>().unwrap();
            let entries: Vec<Observable> = listed.iter().map(text).collect();
            let walked = listed.iter().any(|net| net.contains(&asked) || asked.contains(net));
            prop_assert_eq!(AllowList::new(&entries).covers(&text(&asked)), walked);
        }
    }
}

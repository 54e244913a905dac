//! What no alliance blocks, whatever its charter says: special networks and names, the DNS root, public suffixes.

use super::class::GuardClass;
use super::lists::{Listed, Subject};
use model::Domain;

/// Networks that nobody on the Internet can be attacked from (IANA special-purpose registries, RFC 6890), the same as
/// [`model::observable::bogon`] names one address at a time; of IPv6 all but global unicast and 64::/16.
const BOGONS: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/10",
    "40::/11",
    "60::/14",
    "64:ff9b:1::/48",
    "65::/16",
    "66::/15",
    "68::/13",
    "70::/12",
    "80::/9",
    "100::/8",
    "200::/7",
    "400::/6",
    "800::/5",
    "1000::/4",
    "2001::/23",
    "2001:db8::/32",
    "3fff::/20",
    "4000::/2",
    "8000::/1",
];

/// Addresses of the thirteen root servers (IANA, `named.root` of 2025).
const ROOT_SERVERS: &[&str] = &[
    "198.41.0.4",
    "170.247.170.2",
    "192.33.4.12",
    "199.7.91.13",
    "192.203.230.10",
    "192.5.5.241",
    "192.112.36.4",
    "198.97.190.53",
    "192.36.148.17",
    "192.58.128.30",
    "193.0.14.129",
    "199.7.83.42",
    "202.12.27.33",
    "2001:503:ba3e::2:30",
    "2801:1b8:10::b",
    "2001:500:2::c",
    "2001:500:2d::d",
    "2001:500:a8::e",
    "2001:500:2f::f",
    "2001:500:12::d0d",
    "2001:500:1::53",
    "2001:7fe::53",
    "2001:503:c27::2:30",
    "2001:7fd::1",
    "2001:500:9f::42",
    "2001:dc3::35",
];

/// Names with a special meaning (RFC 6761, RFC 6762, RFC 8375), the root's and the largest registries' name servers.
/// `test` and `example` are left out on purpose: nothing real is there, so exercises use them.
const SPECIAL_NAMES: &[&str] = &[
    "arpa",
    "localhost",
    "localdomain",
    "local",
    "internal",
    "invalid",
    "root-servers.net",
    "gtld-servers.net",
    "iana-servers.net",
];

/// Adds all of it to what is listed.
pub(super) fn list(listed: &mut Listed) {
    for (source, texts) in [("special-purpose networks", BOGONS), ("root servers", ROOT_SERVERS)] {
        let source = listed.source(source);
        // The texts are constants; a test parses each.
        for net in texts.iter().filter_map(|text| super::lists::network(text).ok()) {
            listed.add(Subject::Net(net), GuardClass::Never, source);
        }
    }
    let source = listed.source("special-use names");
    for name in SPECIAL_NAMES {
        listed.add(Subject::Name((*name).to_owned()), GuardClass::Never, source);
    }
}

/// Is this a name under which anybody may register (`co.uk`, `github.io`)? Blocking it would block them all.
pub(super) fn is_public_suffix(domain: &Domain) -> bool {
    let name = domain.as_str().as_bytes();
    psl::suffix(name).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::IpNet;
    use model::observable::bogon;
    use proptest::prelude::*;
    use std::net::IpAddr;

    #[test]
    fn every_constant_is_well_formed() {
        for text in BOGONS.iter().chain(ROOT_SERVERS) {
            super::super::lists::network(text).unwrap();
        }
    }

    fn is_listed(address: IpAddr) -> bool {
        BOGONS.iter().any(|text| text.parse::<IpNet>().unwrap().contains(&address))
    }

    #[test]
    fn root_servers_are_on_the_internet() {
        for text in ROOT_SERVERS {
            assert_eq!(bogon(text.parse().unwrap()), None, "{text}");
        }
    }

    #[test]
    fn public_suffixes_are_known_and_names_below_are_not_among_them() {
        for (name, suffix) in [("co.uk", true), ("github.io", true), ("evil.github.io", false), ("bbc.co.uk", false)] {
            assert_eq!(is_public_suffix(&name.parse().unwrap()), suffix, "{name}");
        }
    }

    proptest! {
        #[test]
        fn networks_and_the_word_for_one_address_agree(v4: u32, high: u16, rest: [u16; 7], bits in 0u32..16) {
            let segments = [high >> bits, rest[0] >> bits, rest[1], rest[2], rest[3], rest[4], rest[5], rest[6]];
            let v6 = IpAddr::V6(segments.into());
            prop_assert_eq!(is_listed(IpAddr::V4(v4.into())), bogon(IpAddr::V4(v4.into())).is_some());
            prop_assert_eq!(is_listed(v6), bogon(v6).is_some(), "{}", v6);
        }
    }
}

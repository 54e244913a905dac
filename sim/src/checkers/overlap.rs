//! Does touching one thing touch another? Written for the checkers alone: numbers and labels, no library of the house.

use model::Observable;
use std::net::IpAddr;

/// Do the two overlap: networks either way, a name and what stands below it either way?
pub fn touches(one: &Observable, other: &Observable) -> bool {
    match (range(one), range(other)) {
        (Some((a, from_a, to_a)), Some((b, from_b, to_b))) => a == b && from_a <= to_b && from_b <= to_a,
        _ => match (name(one), name(other)) {
            (Some(a), Some(b)) => below(&a, &b) || below(&b, &a),
            _ => one == other,
        },
    }
}

/// Does `inner` lie wholly within `outer`?
pub fn within(inner: &Observable, outer: &Observable) -> bool {
    match (range(inner), range(outer)) {
        (Some((a, from_a, to_a)), Some((b, from_b, to_b))) => a == b && from_b <= from_a && to_a <= to_b,
        _ => match (name(inner), name(outer)) {
            (Some(a), Some(b)) => below(&a, &b),
            _ => inner == outer,
        },
    }
}

/// Address family, first and last address.
fn range(observable: &Observable) -> Option<(bool, u128, u128)> {
    let text = match observable {
        Observable::Address(address) => format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 }),
        Observable::Prefix(prefix) => prefix.to_string(),
        Observable::Url(url) => {
            let address = url.address()?;
            format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
        }
        Observable::Domain(_) | Observable::Hash(_) => return None,
    };
    let (address, length) = text.split_once('/')?;
    let length: u32 = length.parse().ok()?;
    let (v4, bits, number) = match address.parse().ok()? {
        IpAddr::V4(v4) => (true, 32, u128::from(u32::from(v4))),
        IpAddr::V6(v6) => (false, 128, u128::from(v6)),
    };
    let hosts = 1_u128.checked_shl(bits - length).map_or(u128::MAX, |size| size - 1);
    Some((v4, number & !hosts, number | hosts))
}

fn name(observable: &Observable) -> Option<String> {
    match observable {
        Observable::Domain(domain) => Some(domain.to_string()),
        Observable::Url(url) => url.domain().map(|domain| domain.to_string()),
        Observable::Address(_) | Observable::Prefix(_) | Observable::Hash(_) => None,
    }
}

fn below(lower: &str, upper: &str) -> bool {
    lower == upper || lower.strip_suffix(upper).is_some_and(|front| front.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_overlap_both_ways_and_names_by_label() {
        let yes = |a: &str, b: &str| touches(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(yes("8.8.8.8", "8.8.8.0/24") && yes("8.8.8.0/24", "8.8.8.8") && yes("2600::1", "2600::/32"));
        assert!(yes("a.shop.com", "shop.com") && yes("shop.com", "a.shop.com"));
        assert!(!yes("xshop.com", "shop.com") && !yes("8.8.9.8", "8.8.8.0/24") && !yes("8.8.8.8", "shop.com"));
    }

    #[test]
    fn within_goes_one_way() {
        let inside = |a: &str, b: &str| within(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(inside("8.8.8.8", "8.8.8.0/24") && !inside("8.8.8.0/24", "8.8.8.8"));
        assert!(inside("a.shop.com", "shop.com") && !inside("shop.com", "a.shop.com"));
    }
}

//! Listings as nft 1.0.6 prints them, and what is wrong with tampered ones.

use super::*;
use crate::nftables::slot::Verdict;

const GOOD: &str = include_str!("../../../testdata/nft-list-1.0.6.json");

fn parse(json: &str) -> Listing {
    Listing::parse(Some(json.as_bytes())).unwrap()
}

#[test]
fn elements_are_read_with_comment_counter_and_time_left() {
    let listing = parse(GOOD);
    assert_eq!(listing.fault, None);
    let slot = |name: &str, address: &str| Slot { set: name.parse().unwrap(), address: address.parse().unwrap() };
    let held = &listing.elements[&slot("deny4_32", "192.0.2.10")];
    assert_eq!(held.comment, "fin-0123456789ab mit-0123456789ab");
    assert!(held.is_of(&"mit-0123456789ab".parse().unwrap()) && !held.is_of(&"mit-0123456789ac".parse().unwrap()));
    assert_eq!(held.counter, Some((3, 105)));
    assert!((1..=3_600).contains(&held.seconds_left.unwrap()));
    assert_eq!(listing.elements[&slot("limit4_24", "203.0.113.0")].counter, None);
    assert!(listing.elements.contains_key(&slot("deny6_64", "2001:db8:1::")));
    assert_eq!(listing.rare(), [Set { verdict: Verdict::Limit, v6: false, length: 24 }].into());
}

#[test]
fn a_table_that_is_not_there_is_a_fault_and_no_error() {
    let listing = Listing::parse(None).unwrap();
    assert!(listing.fault.is_some() && listing.elements.is_empty());
}

#[test]
fn every_tampering_with_the_rules_is_a_fault() {
    for (from, to) in [
        (r#""drop": null"#, r#""accept": null"#),
        (r#""prio": -300"#, r#""prio": 300"#),
        (r#""hook": "prerouting""#, r#""hook": "postrouting""#),
        (r#""right": "@deny4_32""#, r#""right": "@never4""#),
        (r#""right": "lo""#, r#""right": "eth0""#),
        (r#""target": "more4""#, r#""target": "more6""#),
        (r#""name": "epimachia", "handle""#, r#""name": "epimachia", "flags": "dormant", "handle""#),
        (r#"{"rule":"#, r#"{"rule": {"chain": "v4", "expr": [{"accept": null}]}}, {"rule":"#),
        (r#""chain": "v6""#, r#""chain": "other""#),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert!(parse(&GOOD.replacen(from, to, 1)).fault.is_some(), "{from} -> {to}");
    }
}

#[test]
fn foreign_objects_and_elements_are_passed_over() {
    let json = r#"{"nftables": [{"flowtable": {"name": "x"}}, {"set": {"name": "deny4_32", "elem": ["1.2.3.4", {"elem":
        {"val": {"prefix": {"addr": "10.0.0.0", "len": 8}}}}]}}, {"set": {"name": "other", "elem": [1]}}]}"#;
    assert!(parse(json).elements.is_empty());
    assert!(Listing::parse(Some(b"no json")).is_err());
}

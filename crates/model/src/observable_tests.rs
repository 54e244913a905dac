//! Tests of the canonical forms of observables.

use super::*;
use proptest::prelude::*;

fn canonical(text: &str) -> String {
    Observable::parse_pasted(text).unwrap_or_else(|e| panic!("{text}: {e}")).to_string()
}

#[test]
fn each_kind_has_one_canonical_form() {
    for (written, expected, kind) in [
        ("198.51.100.7", "198.51.100.7", "ipv4-addr"),
        ("::ffff:198.51.100.7", "198.51.100.7", "ipv4-addr"),
        ("198.51.100.7/32", "198.51.100.7", "ipv4-addr"),
        ("2001:DB8:0:0::1", "2001:db8::1", "ipv6-addr"),
        ("2001:db8::/32", "2001:db8::/32", "ipv6-net"),
        ("::ffff:198.51.100.0/120", "198.51.100.0/24", "ipv4-net"),
        ("ExAmple.COM.", "example.com", "domain-name"),
        ("Bücher.example", "xn--bcher-kva.example", "domain-name"),
        ("HTTP://Example.com:80/a?b#c", "http://example.com/a?b", "url"),
        ("https://user:secret@example.com/", "https://example.com/", "url"),
        ("D41D8CD98F00B204E9800998ECF8427E", "md5:d41d8cd98f00b204e9800998ecf8427e", "file-hash"),
    ] {
        assert_eq!(canonical(written), expected);
        assert_eq!(Observable::parse_pasted(written).unwrap().kind(), kind);
    }
}

#[test]
fn defanged_text_is_read_where_people_paste() {
    assert_eq!(canonical(" hxxps[:]//bad[.]example/x "), "https://bad.example/x");
    assert_eq!(canonical("bad(dot)example"), "bad.example");
    assert_eq!(canonical("198.51.100[.]7"), "198.51.100.7");
    assert!("bad[.]example".parse::<Observable>().is_err(), "machines must write the plain form");
}

#[test]
fn the_whole_internet_is_unrepresentable() {
    for text in ["0.0.0.0/0", "::/0", "0.0.0.0/00", "::ffff:0.0.0.0/96", "::ffff:0:0/64"] {
        assert!(text.parse::<Observable>().is_err(), "{text}");
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
}

#[test]
fn prefixes_with_host_bits_are_refused() {
    assert!("198.51.100.7/24".parse::<Observable>().is_err());
    assert!("2001:db8::1/64".parse::<Prefix>().is_err());
}

#[test]
fn what_is_no_domain_is_refused() {
    let long = format!("{}.com", "a".repeat(64));
    for text in ["", "localhost", "-a.com", "a-.com", "a..com", ".com", "1.2.3.4.5", "a b.com", "a\u{0}.com", &long] {
        assert!(text.parse::<Observable>().is_err(), "{text}");
    }
}

#[test]
fn a_name_is_within_itself_and_its_parents_only() {
    let name: Domain = "a.evil.example".parse().unwrap();
    for (other, within) in [("a.evil.example", true), ("evil.example", true), ("vil.example", false)] {
        assert_eq!(name.is_within(&other.parse().unwrap()), within, "{other}");
    }
}

#[test]
fn bogons_are_named() {
    for text in
        ["10.1.2.3", "127.0.0.1", "100.64.0.1", "192.0.2.1", "224.0.0.1", "fe80::1", "fd00::1", "::1", "2001:db8::1"]
    {
        assert!(bogon(text.parse().unwrap()).is_some(), "{text}");
    }
    for text in ["8.8.8.8", "100.128.0.1", "2606:4700::1", "2a00:1450::5"] {
        assert_eq!(bogon(text.parse().unwrap()), None, "{text}");
    }
}

#[test]
fn oversize_text_is_refused_with_its_limit() {
    let error = "a".repeat(TEXT_BYTES_MAX + 1).parse::<Observable>().unwrap_err();
    assert!(error.to_string().contains("2048"), "{error}");
}

#[test]
fn a_web_address_that_grows_too_long_when_it_is_written_is_refused() {
    // Each é becomes six characters: what could not be read again would make a journal unreadable.
    let of = |count: usize| format!("http://evil.example/{}", "é".repeat(count)).parse::<Observable>();
    let fits = (TEXT_BYTES_MAX - "http://evil.example/".len()) / "%C3%A9".len();
    let longest = of(fits).unwrap();
    assert_eq!(longest.to_string().parse::<Observable>().unwrap(), longest);
    let error = of(fits + 1).unwrap_err();
    assert!(error.to_string().contains("2048"), "{error}");
}

proptest! {
    #[test]
    fn web_addresses_of_any_length_are_read_again(path in "[\\PC é]{0,2100}") {
        if let Ok(observable) = format!("http://evil.example/{path}").parse::<Observable>() {
            prop_assert_eq!(observable.to_string().parse::<Observable>().expect("canonical text parses"), observable);
        }
    }

    #[test]
    fn parsing_never_panics_and_is_idempotent(text in ".{0,80}") {
        if let Ok(observable) = Observable::parse_pasted(&text) {
            let canonical = observable.to_string();
            prop_assert_eq!(canonical.parse::<Observable>().expect("canonical text parses"), observable);
        }
    }

    #[test]
    fn every_address_round_trips(bits: u128) {
        let address = Observable::Address(IpAddr::V6(bits.into()).to_canonical());
        prop_assert_eq!(address.to_string().parse::<Observable>().unwrap(), address);
    }
}

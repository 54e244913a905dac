//! Guards as a whole: sources, overlap both ways, URLs, owners, damaged lists.

use super::*;
use crate::fixture;
use model::{Digest, Rule};

/// A charter with these list files, and its guards.
fn guards_with(files: &[(&str, &str)]) -> Result<Guards, Refusal> {
    let mut text = fixture::CHARTER.to_owned();
    for (name, csv) in files {
        text.push_str(&format!("[[guards.list]]\nfile = \"{name}\"\nsha256 = \"{}\"\n", Digest::of(&[csv.as_bytes()])));
    }
    let lists: Vec<Vec<u8>> = files.iter().map(|(_, csv)| csv.as_bytes().to_vec()).collect();
    Guards::new(&Charter::parse(&text).unwrap(), &lists)
}

fn class(guards: &Guards, text: &str) -> Option<String> {
    guards.verdict(&text.parse().unwrap()).map(|hit| hit.class)
}

const NETS: &str = "cidr,class,list\n9.9.9.9/32,resolver,public-dns-v4\n20.0.0.0/8,cloud-shared,azure\n\
                    20.1.0.0/16,infrastructure,updates\n2620:fe::fe,resolver,public-dns-v6\n";
const NAMES: &str = "domain,class,lists\nshop.com,top,tranco10k\nbank.com,bank,bank-website\n\
                     sites.com,shared-hosting,lots\ndrive.sites.com,vendor,maker\n";

#[test]
fn listed_networks_are_guarded_both_ways_and_absolute_wins() {
    let guards = guards_with(&[("nets.csv", NETS)]).unwrap();
    assert_eq!(class(&guards, "9.9.9.0/24").unwrap(), "resolver");
    assert_eq!(class(&guards, "9.9.9.9").unwrap(), "resolver");
    assert_eq!(class(&guards, "9.9.9.8"), None);
    assert_eq!(class(&guards, "20.2.3.4").unwrap(), "cloud-shared");
    assert_eq!(class(&guards, "20.1.3.4").unwrap(), "infrastructure");
    assert_eq!(class(&guards, "2620:fe::/48").unwrap(), "resolver");
}

#[test]
fn a_hit_names_class_entry_and_list() {
    let guards = guards_with(&[("nets.csv", NETS)]).unwrap();
    let hit = guards.verdict(&"20.2.3.4".parse().unwrap()).unwrap();
    assert_eq!((hit.entry.as_str(), hit.list.as_str(), hit.absolute), ("20.0.0.0/8", "azure", false));
}

#[test]
fn a_url_is_guarded_as_its_host_and_not_for_names_below() {
    let guards = guards_with(&[("names.csv", NAMES), ("nets.csv", NETS)]).unwrap();
    assert_eq!(class(&guards, "http://www.shop.com/x").unwrap(), "top");
    assert_eq!(class(&guards, "http://login.bank.com/x").unwrap(), "bank");
    assert_eq!(class(&guards, "http://sites.com/evil").unwrap(), "shared-hosting");
    assert_eq!(class(&guards, "sites.com").unwrap(), "vendor");
    assert_eq!(class(&guards, "http://evil.sites.com/"), None);
    assert_eq!(class(&guards, "http://9.9.9.9:8080/x").unwrap(), "resolver");
    assert_eq!(class(&guards, "http://localhost/x").unwrap(), "never");
    assert_eq!(class(&guards, "http://[::ffff:10.0.0.1]/x").unwrap(), "never");
}

#[test]
fn the_builtin_list_needs_no_charter() {
    let guards = guards_with(&[]).unwrap();
    let builtin =
        "10.1.2.3 198.41.0.0/24 fe80::1 co.uk github.io 4.3.2.1.in-addr.arpa printer.local a.root-servers.net";
    for text in builtin.split(' ') {
        assert_eq!(class(&guards, text).as_deref(), Some("never"), "{text}");
    }
    for free in ["8.8.8.8", "2600::1", "evil.example", "evil.github.io", "http://evil.example/x"] {
        assert_eq!(class(&guards, free), None, "{free}");
    }
}

#[test]
fn the_charters_own_list_is_never_blocked() {
    let guards = guards_with(&[]).unwrap();
    for text in ["hub.alliance.org", "alliance.org", "api.hub.alliance.org", "44.4.4.4", "44.4.4.0/24"] {
        assert_eq!(class(&guards, text).as_deref(), Some("never"), "{text}");
    }
}

#[test]
fn members_assets_are_guarded_and_have_owners() {
    let guards = guards_with(&[]).unwrap();
    let owner = |text: &str| guards.owner(&text.parse().unwrap()).map(ToString::to_string);
    for text in ["31.0.0.1", "31.0.0.0/24", "http://31.0.0.1/", "telecom.net", "mail.telecom.net"] {
        assert_eq!(class(&guards, text).as_deref(), Some("member-space"), "{text}");
        assert_eq!(owner(text).as_deref(), Some("telecom"), "{text}");
        let hit = guards.verdict(&text.parse().unwrap()).unwrap();
        assert_eq!((hit.list.as_str(), hit.owner.as_ref().map(MemberId::as_str)), ("members' assets", Some("telecom")));
    }
    assert_eq!(owner("31.0.7.1").as_deref(), Some("cloud"), "the narrower asset decides");
    assert_eq!(owner("8.8.8.8"), None);
    assert_eq!(owner("net.example"), None);
}

#[test]
fn a_file_that_was_not_signed_is_refused() {
    let mut charter = Charter::parse(fixture::CHARTER).unwrap();
    charter.guards.list.push(crate::GuardFile { file: "nets.csv".into(), sha256: Digest::of(&[b"other"]) });
    let refusal = Guards::new(&charter, &[NETS.as_bytes().to_vec()]).unwrap_err();
    assert_eq!(refusal.rule, Rule::DigestMismatch);
    assert!(refusal.value.contains("nets.csv"), "{refusal}");
    assert_eq!(Guards::new(&charter, &[]).unwrap_err().rule, Rule::DigestMismatch);
}

#[test]
fn what_is_wrong_in_a_list_is_named_with_file_line_and_field() {
    for (csv, named) in [
        ("cidr,class,list\n9.9.9.9/32,resolver,a\n9.9.9.9/33,resolver,a\n", "nets.csv line 3: cidr: 9.9.9.9/33"),
        ("cidr,class,list\n0.0.0.0/0,resolver,a\n", "nets.csv line 2: cidr: 0.0.0.0/0"),
        ("cidr,class,list\n9.9.9.9/32,friends,a\n", "nets.csv line 2: class: friends"),
        ("cidr,class,list\n9.9.9.9/32,member-space,a\n", "nets.csv line 2: class: member-space"),
        ("cidr,class,list\n9.9.9.9/32,resolver\n", "nets.csv line 2"),
        ("domain,class,lists\nno dots,top,a\n", "nets.csv line 2: domain: no dots"),
        ("cidr;class;list\n", "nets.csv line 1"),
        ("", "nets.csv line 1"),
    ] {
        let refusal = guards_with(&[("nets.csv", csv)]).unwrap_err();
        assert_eq!(refusal.rule, Rule::Malformed, "{csv}");
        assert!(refusal.value.starts_with(named), "{refusal}");
    }
}

#[test]
fn one_row_in_a_thousand_of_a_large_list_may_name_nothing() {
    let rows = |n: u32| (0..n).map(|i| format!("host-{i}.net,top,a\n")).collect::<String>();
    let csv = format!("domain,class,lists\n{}\"a.com,b.com\",top,a\n", rows(999));
    let guards = guards_with(&[("names.csv", &csv)]).unwrap();
    assert_eq!(guards.set_aside().len(), 1);
    assert!(guards.set_aside()[0].value.contains("names.csv line 1001"), "{:?}", guards.set_aside());
    let short = format!("domain,class,lists\n{}\"a.com,b.com\",top,a\n", rows(998));
    assert_eq!(guards_with(&[("names.csv", &short)]).unwrap_err().rule, Rule::Malformed);
}

#[test]
fn the_summary_counts_each_class() {
    let guards = guards_with(&[("nets.csv", NETS), ("names.csv", NAMES)]).unwrap();
    let of = |class| guards.classes_summary().into_iter().find(|s| s.class == class).unwrap();
    assert_eq!(of(GuardClass::Resolver), ClassSummary { class: GuardClass::Resolver, networks: 2, names: 0 });
    assert_eq!(of(GuardClass::Top).names, 1);
    assert_eq!(of(GuardClass::MemberSpace).networks, 1, "a network inside another is not counted");
    assert_eq!(guards.classes_summary().len(), 16);
}

#[test]
fn list_files_guard_without_a_charter_beside_what_holds_for_all() {
    let lists = [b"cidr,class,list\n9.9.9.0/24,resolver,own\n".to_vec()];
    let guards = crate::Guards::of_files(&["own.csv".to_owned()], &lists).unwrap();
    let class = |text: &str| guards.verdict(&text.parse().unwrap()).map(|hit| hit.class);
    assert_eq!(class("9.9.9.9").as_deref(), Some("resolver"));
    assert_eq!(class("10.0.0.1").as_deref(), Some("never"));
    assert_eq!(class("8.8.8.8"), None);
}

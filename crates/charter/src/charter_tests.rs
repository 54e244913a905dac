//! Charters that are read: what is accepted, and what is refused with line and key.

use super::*;
use crate::fixture::{CHARTER, key};

fn refused(text: &str) -> String {
    Charter::parse(text).unwrap_err().to_string()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A charter's text with one piece replaced; the piece must be there.
fn with(from: &str, to: &str) -> String {
    assert!(CHARTER.contains(from), "{from}");
    CHARTER.replacen(from, to, 1)
}

#[test]
fn a_charter_is_read_with_the_documented_defaults() {
    let charter = Charter::parse(CHARTER).unwrap();
    assert_eq!(charter.members.len(), 5);
    assert_eq!(charter.quorum, Quorum::default());
    assert_eq!(charter.members[0].keys[0].public, key(1).public());
    assert_eq!(charter.members[0].persons[0].keys[0].public, key(101).public());
}

#[test]
fn the_documented_example_is_a_charter() {
    let text = include_str!("../example/charter.toml");
    let charter = Charter::parse(text).unwrap();
    crate::Guards::new(&Charter { guards: GuardRules { list: vec![], ..charter.guards.clone() }, ..charter }, &[])
        .unwrap();
}

#[test]
fn a_charter_survives_being_written_and_read() {
    let charter = Charter::parse(CHARTER).unwrap();
    assert_eq!(Charter::parse(&charter.to_text().unwrap()).unwrap(), charter);
}

#[test]
fn an_unknown_key_is_refused_with_line_and_name() {
    let error = refused(&with("version = 1\n", "version = 1\nquorom = 3\n"));
    assert!(error.contains("line 4") && error.contains("quorom") && error.contains("hub_key"), "{error}");
    let error = refused(&with("[guards]", "[quorum]\nplan = 2\nplans = 2\n[guards]"));
    assert!(error.contains("line 9") && error.contains("plans"), "{error}");
}

#[test]
fn a_wrong_word_or_value_is_refused_with_line_and_what_is_allowed() {
    let error = refused(&with("kind = \"full\"", "kind = \"boss\""));
    assert!(error.contains("line") && error.contains("boss") && error.contains("associate"), "{error}");
    let error = refused(&with("31.0.0.0/16", "0.0.0.0/0"));
    assert!(error.contains("0.0.0.0/0"), "{error}");
    let error = refused("not toml");
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn an_oversize_charter_is_refused_before_it_is_read() {
    let refusal = Charter::parse(&"#".repeat(CHARTER_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(refusal.rule, Rule::TooLarge);
}

#[test]
fn a_key_counts_only_while_it_is_live() {
    let charter = Charter::parse(CHARTER).unwrap();
    let (lab, id) = ("lab".parse().unwrap(), key(4).public().id());
    let live = |time: &str| charter.member_key(&lab, &id, at(time)).map_err(|r| r.rule);
    assert_eq!(live("2025-12-31T23:59:59Z"), Err(Rule::UnknownKey));
    assert_eq!(live("2026-01-01T00:00:00Z"), Ok(key(4).public()));
    assert_eq!(live("2026-05-31T23:59:59.999Z"), Ok(key(4).public()));
    assert_eq!(live("2026-06-01T00:00:00Z"), Err(Rule::UnknownKey));
}

#[test]
fn agents_keys_and_persons_keys_do_not_stand_for_each_other() {
    let charter = Charter::parse(CHARTER).unwrap();
    let (member, person) = ("telecom".parse().unwrap(), "ada@telecom".parse().unwrap());
    let time = at("2026-02-01T00:00:00Z");
    assert!(charter.person_key(&person, &key(101).public().id(), time).is_ok());
    assert_eq!(charter.person_key(&person, &key(1).public().id(), time).unwrap_err().rule, Rule::UnknownKey);
    assert_eq!(charter.member_key(&member, &key(101).public().id(), time).unwrap_err().rule, Rule::UnknownKey);
    let stranger = "eve@nobody".parse().unwrap();
    assert_eq!(charter.person_key(&stranger, &key(1).public().id(), time).unwrap_err().rule, Rule::UnknownMember);
}

#[test]
fn a_suspended_member_has_no_role_and_no_vote() {
    let text = with("standing = \"vetted\"", "standing = \"suspended\"");
    let charter = Charter::parse(&text).unwrap();
    let telecom = charter.member(&"telecom".parse().unwrap()).unwrap();
    assert_eq!(telecom.require(Role::Reporter).unwrap_err().rule, Rule::MemberSuspended);
    let voters: Vec<&str> = charter.voters().map(|m| m.id.as_str()).collect();
    assert_eq!(voters, ["cloud", "bank"]);
    let lab = charter.member(&"lab".parse().unwrap()).unwrap();
    assert_eq!(lab.require(Role::Approver).unwrap_err().rule, Rule::RoleMissing);
}

#[test]
fn the_reference_page_names_every_key() {
    let page = include_str!("../../../docs/reference/charter.md");
    let sections = [
        toml::to_string(&Corroboration::default()),
        toml::to_string(&Relevance::default()),
        toml::to_string(&Quorum::default()),
        toml::to_string(&Limits::default()),
        toml::to_string(&HandlingDefaults::default()),
    ];
    for line in sections.iter().flat_map(|section| section.as_ref().unwrap().lines()) {
        let (key, _) = line.split_once(" = ").unwrap();
        assert!(page.contains(&format!("`{key}`")), "{key}");
    }
    for class in crate::GuardClass::ALL {
        assert!(page.contains(&format!("`{}`", class.as_str())), "{}", class.as_str());
    }
}

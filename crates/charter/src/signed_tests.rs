//! Charters and their signatures: who counts, how often, and which charter follows which.

use super::*;
use crate::fixture::{CHARTER, key};

const NOW: &str = "2026-02-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn consent(text: &str, member: &str, n: u8) -> SignedConsent {
    SignedCharter::consent(text, &member.parse().unwrap(), &key(n)).unwrap()
}

fn signed(text: &str, by: &[(&str, u8)]) -> SignedCharter {
    SignedCharter::new(text.to_owned(), by.iter().map(|(m, n)| consent(text, m, *n)).collect())
}

fn next_text() -> String {
    let previous = Charter::digest_of(CHARTER);
    CHARTER.replacen("version = 1", &format!("version = 2\nprevious = \"{previous}\""), 1)
}

#[test]
fn a_quorum_of_full_members_puts_a_charter_in_force() {
    assert!(signed(CHARTER, &[("telecom", 1), ("cloud", 2)]).verify_first(now()).is_ok());
}

#[test]
fn who_does_not_vote_does_not_count() {
    for by in [
        &[("telecom", 1)][..],
        &[("telecom", 1), ("telecom", 1)],
        &[("telecom", 1), ("lab", 4), ("cert", 5)],
        &[("telecom", 1), ("cloud", 3)],
        &[("telecom", 1), ("telecom", 101)],
        &[("telecom", 1), ("stranger", 9)],
        &[],
    ] {
        let refusal = signed(CHARTER, by).verify_first(now()).unwrap_err();
        assert_eq!(refusal.rule, Rule::CharterUnsigned, "{by:?}");
    }
}

#[test]
fn a_suspended_member_does_not_count() {
    let text = CHARTER.replacen("standing = \"vetted\"", "standing = \"suspended\"", 1);
    let refusal = signed(&text, &[("telecom", 1), ("cloud", 2)]).verify_first(now()).unwrap_err();
    assert_eq!(refusal.rule, Rule::CharterUnsigned);
}

#[test]
fn a_consent_counts_for_one_text_and_cannot_be_altered() {
    let mut charter = signed(CHARTER, &[("telecom", 1), ("cloud", 2)]);
    charter.text.push('\n');
    assert_eq!(charter.verify_first(now()).unwrap_err().rule, Rule::CharterUnsigned);
    let mut charter = signed(CHARTER, &[("telecom", 1), ("cloud", 2)]);
    charter.consents[1].consent.version = 2;
    assert_eq!(charter.verify_first(now()).unwrap_err().rule, Rule::CharterUnsigned);
}

#[test]
fn consents_count_by_the_keys_that_were_live_when_the_charter_was_made() {
    let made = Charter::parse(CHARTER).unwrap().alliance.made;
    let (day, from) = (Span::days(1), format!("from = \"{made}\""));
    assert!(CHARTER.contains(&from), "the fixture's keys begin with it");
    // A key that ended since counts, long after; one that began later does not.
    let ended = CHARTER.replacen(&from, &format!("{from}, until = \"{}\"", made.plus(day)), 1);
    assert!(signed(&ended, &[("telecom", 1), ("cloud", 2)]).verify_first(made.plus(Span::days(900))).is_ok());
    let later = CHARTER.replacen(&from, &format!("from = \"{}\"", made.plus(day)), 1);
    let refusal = signed(&later, &[("telecom", 1), ("cloud", 2)]).verify_first(now()).unwrap_err();
    assert_eq!(refusal.rule, Rule::CharterUnsigned);
}

#[test]
fn a_charter_of_the_future_is_refused_and_so_is_one_made_before_the_one_it_follows() {
    let by = [("telecom", 1), ("cloud", 2)];
    let made = Charter::parse(CHARTER).unwrap().alliance.made;
    let early = made.minus(Span::hours(2));
    assert_eq!(signed(CHARTER, &by).verify_first(early).unwrap_err().rule, Rule::ClockSkew);
    let before = Charter::parse(CHARTER).unwrap();
    let older = next_text().replacen(&format!("made = \"{made}\""), &format!("made = \"{early}\""), 1);
    let refusal = signed(&older, &by).verify_next(&before, Charter::digest_of(CHARTER), now()).unwrap_err();
    assert_eq!(refusal.rule, Rule::CharterOld);
}

#[test]
fn the_next_charter_is_signed_by_the_members_of_the_one_before() {
    let before = Charter::parse(CHARTER).unwrap();
    let text = next_text();
    let next = signed(&text, &[("bank", 3), ("cloud", 2)]);
    assert_eq!(next.verify_next(&before, Charter::digest_of(CHARTER), now()).unwrap().alliance.version, 2);
    // Whoever brings a key of its own into the new text has no vote yet.
    let own = crate::fixture::key(77).public().to_string();
    let taken = text.replacen(&key(2).public().to_string(), &own, 1);
    let refusal = signed(&taken, &[("bank", 3), ("cloud", 77)])
        .verify_next(&before, Charter::digest_of(CHARTER), now())
        .unwrap_err();
    assert_eq!(refusal.rule, Rule::CharterUnsigned);
}

#[test]
fn a_charter_that_does_not_follow_is_refused() {
    let before = Charter::parse(CHARTER).unwrap();
    let digest = Charter::digest_of(CHARTER);
    let text = next_text();
    for other in [
        CHARTER.to_owned(),
        text.replacen("version = 2", "version = 3", 1),
        text.replacen("test.alliance", "other.alliance", 1),
        text.replacen(&digest.to_string(), &"0".repeat(64), 1),
    ] {
        let refusal = signed(&other, &[("bank", 3), ("cloud", 2)]).verify_next(&before, digest, now()).unwrap_err();
        assert_eq!(refusal.rule, Rule::CharterOld);
    }
}

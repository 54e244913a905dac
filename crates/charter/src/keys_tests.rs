//! Changes of keys: what each does, who may make it, and that a chain can neither be cut nor bent.

use super::*;
use crate::fixture::{CHARTER, key};
use crate::signed::SignedCharter;
use model::{KeyPossession, SigningKey, Span};
use proptest::prelude::*;

/// A charter with what changed since, as the hub and every agent hold it.
struct House {
    named: Charter,
    charter: Charter,
    digest: Digest,
    book: KeyBook,
    now: Timestamp,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl House {
    fn new() -> Self {
        Self::of(CHARTER)
    }

    fn of(text: &str) -> Self {
        let named = Charter::parse(text).unwrap();
        let (digest, now) = (Charter::digest_of(text), at("2026-02-01T00:00:00Z"));
        Self { charter: named.clone(), named, digest, book: KeyBook::default(), now }
    }

    /// The next change of telecom's chain; `signer` is the number of the key that signs.
    fn change(&self, act: KeyAct, key_of: u8, signer: u8) -> KeyChange {
        let member: MemberId = "telecom".parse().unwrap();
        let (number, previous) = self.book.head(&member, self.digest);
        KeyChange {
            charter: self.digest,
            member,
            person: None,
            number: number + 1,
            previous,
            act,
            key: key(key_of).public(),
            made: self.now,
            reason: "a test".to_owned(),
            signer: None,
            signed_with: key(signer).public().id(),
        }
    }

    fn sign(&self, change: KeyChange, signer: u8, new: Option<&SigningKey>) -> SignedKeyChange {
        let of = &change;
        let alliance = self.charter.alliance.name.clone();
        let of = KeyPossession { alliance, member: of.member.clone(), person: of.person.clone(), key: of.key };
        let proof = new.filter(|_| change.act == KeyAct::Add).map(|new| new.sign(&of));
        SignedKeyChange::sign(change, &key(signer), proof)
    }

    fn give(&mut self, change: KeyChange, key_of: u8, signer: u8) -> Result<(), Rule> {
        let signed = self.sign(change, signer, Some(&key(key_of)));
        self.take(signed)
    }

    fn take(&mut self, signed: SignedKeyChange) -> Result<(), Rule> {
        self.book.admit(&signed, &self.charter, self.digest).map_err(|refusal| refusal.rule)?;
        self.charter.take_key_change(&signed.change);
        self.book.take(signed);
        assert_eq!(self.charter, self.book.effective(&self.named), "one function of text and chain");
        Ok(())
    }

    fn run(&mut self, act: KeyAct, key_of: u8, signer: u8) -> Result<(), Rule> {
        self.give(self.change(act, key_of, signer), key_of, signer)
    }

    fn counts(&self, key_of: u8, at: Timestamp) -> Result<(), Rule> {
        let id = key(key_of).public().id();
        self.charter.member_key(&"telecom".parse().unwrap(), &id, at).map(drop).map_err(|refusal| refusal.rule)
    }
}

fn person(name: &str) -> Option<PersonId> {
    Some(name.parse().unwrap())
}

#[test]
fn a_key_is_rotated_and_what_the_old_one_signed_before_still_counts() {
    let mut house = House::new();
    let before = house.now;
    house.run(KeyAct::Add, 50, 1).unwrap();
    house.now = before.plus(Span::hours(1));
    house.run(KeyAct::Retire, 1, 50).unwrap();
    assert_eq!(house.counts(50, house.now), Ok(()));
    assert_eq!(house.counts(50, before.minus(Span::millis(1))), Err(Rule::UnknownKey), "not before it was added");
    assert_eq!(house.counts(1, before), Ok(()));
    assert_eq!(house.counts(1, house.now), Err(Rule::UnknownKey));
    assert_eq!(house.run(KeyAct::Add, 51, 1), Err(Rule::UnknownKey), "the old one changes nothing any more");
}

#[test]
fn a_revoked_key_never_counted_and_never_comes_back() {
    let mut house = House::new();
    house.run(KeyAct::Add, 50, 1).unwrap();
    house.run(KeyAct::Revoke, 1, 50).unwrap();
    let before = house.now.minus(Span::days(1));
    assert_eq!(house.counts(1, before), Err(Rule::KeyRevoked));
    assert_eq!(house.run(KeyAct::Add, 1, 50), Err(Rule::KeyRevoked));
    let mut next = House::new();
    next.book = house.book.next();
    next.charter = next.book.effective(&next.named);
    assert!(next.book.changes.is_empty());
    assert_eq!(next.counts(1, before), Err(Rule::KeyRevoked), "whatever the next charter's text says");
}

#[test]
fn a_key_may_revoke_itself_and_then_the_member_has_none() {
    let mut house = House::new();
    assert_eq!(house.run(KeyAct::Retire, 1, 1), Err(Rule::LastKey));
    house.run(KeyAct::Revoke, 1, 1).unwrap();
    assert_eq!(house.run(KeyAct::Add, 50, 1), Err(Rule::KeyRevoked));
}

#[test]
fn a_charter_that_names_a_revoked_key_is_not_followed() {
    let mut house = House::new();
    house.run(KeyAct::Add, 50, 1).unwrap();
    house.run(KeyAct::Revoke, 1, 50).unwrap();
    let previous = format!("version = 2\nprevious = \"{}\"", house.digest);
    let text = CHARTER.replacen("version = 1", &previous, 1);
    let made = format!("made = \"{}\"", house.named.alliance.made);
    let text = text.replacen(&made, &format!("made = \"{}\"", house.now), 1);
    let signed = |text: &str| {
        let consents = [("telecom", 50), ("cloud", 2)];
        let consent =
            |(member, n): (&str, u8)| SignedCharter::consent(text, &member.parse().unwrap(), &key(n)).unwrap();
        SignedCharter::new(text.to_owned(), consents.map(consent).into())
    };
    let refused = signed(&text).verify_next(&house.charter, house.digest, house.now).unwrap_err();
    assert_eq!(refused.rule, Rule::KeyRevoked);
    let renamed = text.replacen(&key(1).public().to_string(), &key(50).public().to_string(), 1);
    signed(&renamed).verify_next(&house.charter, house.digest, house.now).unwrap();
    // By the keys that the text before names, and nothing else, the new key would be nobody's.
    let refused = signed(&renamed).verify_next(&house.named, house.digest, house.now).unwrap_err();
    assert_eq!(refused.rule, Rule::CharterUnsigned);
}

#[test]
fn a_persons_key_is_the_persons_own_affair_and_each_key_of_the_member_may_take_it_away() {
    let ada = |house: &House, act, of, signer: Option<PersonId>, with| KeyChange {
        person: person("ada@telecom"),
        signer,
        ..house.change(act, of, with)
    };
    let mut house = House::new();
    let by_agent = ada(&house, KeyAct::Add, 50, None, 1);
    assert_eq!(house.give(by_agent, 50, 1), Err(Rule::KeyHolder), "else an agent's machine could approve");
    let by_other = ada(&house, KeyAct::Add, 50, person("bob@cloud"), 102);
    assert_eq!(house.give(by_other, 50, 102), Err(Rule::KeyHolder));
    let own = ada(&house, KeyAct::Add, 50, person("ada@telecom"), 101);
    house.give(own, 50, 101).unwrap();
    let lost = ada(&house, KeyAct::Revoke, 101, None, 1);
    house.give(lost, 101, 1).unwrap();
    let counts = |n: u8| house.charter.person_key(&"ada@telecom".parse().unwrap(), &key(n).public().id(), house.now);
    assert!(counts(50).is_ok());
    assert_eq!(counts(101).unwrap_err().rule, Rule::KeyRevoked);
    // The other way round: a person locks a stolen agent's machine out, and lets none in.
    let add = KeyChange { signer: person("ada@telecom"), ..house.change(KeyAct::Add, 51, 50) };
    assert_eq!(house.give(add, 51, 50), Err(Rule::KeyHolder));
    let revoke = KeyChange { signer: person("ada@telecom"), ..house.change(KeyAct::Revoke, 1, 50) };
    house.give(revoke, 1, 50).unwrap();
}

#[test]
fn where_the_charter_says_admin_the_members_key_vouches_for_its_persons() {
    let text = CHARTER.replacen("\"operator\"]", "\"operator\", \"admin\"]", 1);
    let mut house = House::of(&text);
    let by_agent = KeyChange { person: person("ada@telecom"), ..house.change(KeyAct::Add, 50, 1) };
    house.give(by_agent, 50, 1).unwrap();
    let unnamed = KeyChange { person: person("eve@telecom"), ..house.change(KeyAct::Add, 51, 1) };
    assert_eq!(house.give(unnamed, 51, 1), Err(Rule::UnknownKey), "persons are named by charters");
}

#[test]
fn a_chain_is_neither_cut_nor_bent_nor_moved() {
    let mut house = House::new();
    house.run(KeyAct::Add, 50, 1).unwrap();
    let good = house.change(KeyAct::Add, 51, 1);
    let earlier = house.now.minus(Span::millis(1));
    for broken in [
        KeyChange { number: 1, ..good.clone() },
        KeyChange { number: 3, ..good.clone() },
        KeyChange { previous: house.digest, ..good.clone() },
        KeyChange { charter: Digest::of(&[b"other"]), ..good.clone() },
        KeyChange { made: earlier, ..good.clone() },
    ] {
        assert_eq!(house.give(broken, 51, 1), Err(Rule::KeyChain));
    }
    let stranger = KeyChange { signed_with: key(2).public().id(), ..good.clone() };
    assert_eq!(house.give(stranger, 51, 2), Err(Rule::UnknownKey));
    let unproven = house.sign(good.clone(), 1, None);
    assert_eq!(house.take(unproven), Err(Rule::KeyNotProven));
    let mut forged = house.sign(good.clone(), 1, Some(&key(51)));
    forged.change.reason.push('!');
    assert_eq!(house.take(forged), Err(Rule::BadSignature));
    assert_eq!(house.give(KeyChange { reason: " ".to_owned(), ..good.clone() }, 51, 1), Err(Rule::Malformed));
    house.give(good, 51, 1).unwrap();
}

#[test]
fn a_key_that_somebody_has_already_is_nobody_elses() {
    let mut house = House::new();
    for taken in [1, 2, 101, 102] {
        assert_eq!(house.run(KeyAct::Add, taken, 1), Err(Rule::Malformed), "{taken}");
    }
    assert_eq!(house.run(KeyAct::Revoke, 2, 1), Err(Rule::UnknownKey), "another member's");
}

#[test]
fn there_is_an_end_to_changes_and_to_live_keys() {
    let mut house = House::new();
    for n in 50..57 {
        house.run(KeyAct::Add, n, 1).unwrap();
    }
    assert_eq!(house.run(KeyAct::Add, 57, 1), Err(Rule::TooLarge));
    let mut n = 50;
    while house.book.changes.len() < KEY_CHANGES_MAX as usize {
        house.run(KeyAct::Retire, n, 1).unwrap();
        if house.book.changes.len() < KEY_CHANGES_MAX as usize {
            house.run(KeyAct::Add, n + 7, 1).unwrap();
        }
        n += 1;
    }
    assert_eq!(house.run(KeyAct::Retire, n, 1), Err(Rule::TooLarge));
}

proptest! {
    /// Whatever is tried, a revoked key counts at no time, and no other member's keys change.
    #[test]
    fn whatever_is_tried_revoked_is_revoked(steps in prop::collection::vec((0_u8..3, 40_u8..48, 40_u8..48), 1..40)) {
        let mut house = House::new();
        let others = house.named.members[1..].to_vec();
        house.run(KeyAct::Add, 40, 1).unwrap();
        let mut revoked = BTreeSet::new();
        for (act, key_of, signer) in steps {
            let act = KeyAct::ALL[usize::from(act)];
            house.now = house.now.plus(Span::seconds(1));
            let done = house.run(act, key_of, signer);
            if done.is_ok() && act == KeyAct::Revoke {
                revoked.insert(key_of);
            }
            for gone in &revoked {
                prop_assert!(house.counts(*gone, house.now).is_err());
                prop_assert!(house.counts(*gone, house.now.minus(Span::days(1))).is_err());
            }
            prop_assert_eq!(&house.charter.members[1..], &others[..]);
        }
    }
}

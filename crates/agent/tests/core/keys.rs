//! Keys that change while an agent runs or is away: it verifies each change itself, remembers it, and believes no hub.

use crate::common::{ME, mine};
use crate::rig::Rig;
use agent::core::{AlarmKind, Input, Submission};
use charter::SignedCharter;
use decide::testing::Wanted;
use model::{Behaviour, KeyAct, Rule, Salt, SignedKeyChange, SigningKey, Span, StreamMessage};

const BAD: &str = "8.8.4.4";

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32])
}

fn change(rig: &Rig, member: &str, act: KeyAct, of: &SigningKey, signed_with: &SigningKey) -> SignedKeyChange {
    let wanted = Wanted { member, person: None, act, key: of, signer: None, signed_with, made: rig.now };
    let state = rig.core.state();
    rig.world.key_change(&state.keys, state.charter.as_ref().unwrap().digest(), wanted)
}

fn tell(rig: &mut Rig, signed: SignedKeyChange) {
    rig.message(StreamMessage::Keys(vec![signed]));
}

/// Cloud's next key, and its first one revoked: what anybody signed with that one never counted.
fn cloud_revokes(rig: &mut Rig) {
    let first = rig.world.agent_key("cloud");
    let added = change(rig, "cloud", KeyAct::Add, &key(50), &first);
    tell(rig, added);
    let revoked = change(rig, "cloud", KeyAct::Revoke, &first, &key(50));
    tell(rig, revoked);
}

#[test]
fn what_rests_on_a_revoked_key_is_lifted_at_once_and_nothing_like_it_is_taken_again() {
    let mut rig = Rig::new();
    let part = mine(&rig.world, &[BAD]);
    assert!(part.evidence.values().flatten().any(|piece| piece.header.author.as_str() == "cloud"));
    rig.part(part);
    assert_eq!(rig.point.targets(), [BAD]);
    cloud_revokes(&mut rig);
    rig.pass(Span::minutes(1));
    assert!(rig.point.targets().is_empty(), "without a word of the hub's");
    assert!(rig.refusals().contains(&Rule::EvidenceMissing));
    rig.part(mine(&rig.world, &["8.8.4.5"]));
    assert!(rig.point.targets().is_empty());
}

#[test]
fn a_retired_keys_earlier_statements_still_count() {
    let mut rig = Rig::new();
    rig.part(mine(&rig.world, &[BAD]));
    rig.now = rig.now.plus(Span::minutes(1));
    let first = rig.world.agent_key("cloud");
    let added = change(&rig, "cloud", KeyAct::Add, &key(50), &first);
    tell(&mut rig, added);
    let retired = change(&rig, "cloud", KeyAct::Retire, &first, &key(50));
    tell(&mut rig, retired);
    rig.pass(Span::minutes(1));
    assert_eq!(rig.point.targets(), [BAD]);
    rig.part(mine(&rig.world, &["8.8.4.5"]));
    assert_eq!(rig.point.targets().len(), 2, "made before it was retired");
}

#[test]
fn a_revocation_survives_a_kill_and_is_not_forgotten_with_the_next_charter() {
    let mut rig = Rig::new();
    cloud_revokes(&mut rig);
    rig.restart();
    assert_eq!(rig.core.state().keys.changes.len(), 2);
    let id = rig.world.agent_key("cloud").public().id();
    assert!(rig.core.charter().unwrap().is_revoked(&id));
    let mut next = rig.world.charter.clone();
    (next.alliance.version, next.alliance.previous) = (2, Some(rig.charter.digest()));
    let by = ["telecom", "bank", "vendor"];
    let naming = crate::common::signed(&rig.world, &next, &by);
    rig.give(Input::Charter { signed: Box::new(naming), lists: Vec::new() });
    assert_eq!(rig.core.charter().unwrap().alliance.version, 1, "it names the revoked key");
    assert!(rig.alarmed(AlarmKind::CharterRefused));
    next.members[1].keys[0].public = key(50).public();
    let naming = crate::common::signed(&rig.world, &next, &by);
    rig.give(Input::Charter { signed: Box::new(naming), lists: Vec::new() });
    assert_eq!(rig.core.charter().unwrap().alliance.version, 2);
    assert!(rig.core.charter().unwrap().is_revoked(&id));
    rig.restart();
    assert!(rig.core.charter().unwrap().is_revoked(&id));
    assert!(rig.core.state().keys.changes.is_empty());
}

#[test]
fn an_agent_that_was_away_checks_a_charters_consents_by_the_keys_that_come_with_it() {
    let mut rig = Rig::new();
    let first = rig.world.agent_key("cloud");
    let added = change(&rig, "cloud", KeyAct::Add, &key(50), &first);
    let mut next = rig.world.charter.clone();
    (next.alliance.version, next.alliance.previous) = (2, Some(rig.charter.digest()));
    next.alliance.made = rig.now;
    next.members[1].keys[0].public = key(50).public();
    let mut signed = crate::common::signed(&rig.world, &next, &["telecom", "bank"]);
    let by_new = SignedCharter::consent(&signed.text, &"cloud".parse().unwrap(), &key(50)).unwrap();
    signed.consents.push(by_new);
    rig.message(StreamMessage::Charter { version: 2 });
    rig.give(Input::Charter { signed: Box::new(signed.clone()), lists: Vec::new() });
    assert_eq!(rig.core.charter().unwrap().alliance.version, 1, "two of five, and a key that nobody has introduced");
    signed.keys = vec![added];
    rig.message(StreamMessage::Charter { version: 2 });
    rig.give(Input::Charter { signed: Box::new(signed), lists: Vec::new() });
    assert_eq!(rig.core.charter().unwrap().alliance.version, 2);
}

#[test]
fn the_hub_can_neither_make_a_key_nor_bend_a_chain() {
    let mut rig = Rig::new();
    let (first, stranger) = (rig.world.agent_key("cloud"), rig.world.strangers_key());
    let own = change(&rig, "cloud", KeyAct::Add, &key(60), &stranger);
    let mut altered = change(&rig, "cloud", KeyAct::Add, &key(60), &first);
    altered.change.key = key(61).public();
    let mut unproven = change(&rig, "cloud", KeyAct::Add, &key(60), &first);
    unproven.proof = None;
    for forged in [own, altered, unproven] {
        tell(&mut rig, forged);
        assert!(rig.core.state().keys.changes.is_empty());
    }
    assert!(rig.alarmed(AlarmKind::KeysRefused));
    let added = change(&rig, "cloud", KeyAct::Add, &key(50), &first);
    let other = change(&rig, "cloud", KeyAct::Add, &key(51), &first);
    tell(&mut rig, added.clone());
    tell(&mut rig, added);
    assert_eq!(rig.core.state().keys.changes.len(), 1, "a resend changes nothing");
    rig.alarms.clear();
    rig.pass(Span::hours(2));
    tell(&mut rig, other);
    assert_eq!(rig.core.state().keys.changes.len(), 1);
    assert!(rig.alarms.iter().any(|alarm| alarm.text.contains("a second chain")), "{:?}", rig.alarms);
}

#[test]
fn a_member_hears_of_every_change_of_its_own_keys() {
    let mut rig = Rig::new();
    let first = rig.world.agent_key(ME);
    let added = change(&rig, ME, KeyAct::Add, &key(50), &first);
    tell(&mut rig, added);
    let alarm = rig.alarms.iter().find(|alarm| alarm.kind == AlarmKind::KeyChanged).unwrap();
    assert!(alarm.text.contains(&key(50).public().id().to_string()) && alarm.text.contains("add"), "{}", alarm.text);
}

#[test]
fn what_an_agent_sees_while_its_key_does_not_count_waits_and_is_signed_anew() {
    let mut rig = Rig::new();
    let first = rig.world.agent_key(ME);
    rig.acknowledges = false;
    let sighting = rig.world.sighting(&BAD.parse().unwrap(), Behaviour::Scan);
    rig.give(Input::Sightings(vec![(Salt([1; 16]), sighting.clone())]));
    rig.pass(Span::seconds(1));
    let Some(under_way) = rig.sent.last().map(Submission::sequence) else { panic!("nothing sent") };
    let added = change(&rig, ME, KeyAct::Add, &key(50), &first);
    tell(&mut rig, added);
    let revoked = change(&rig, ME, KeyAct::Revoke, &first, &key(50));
    tell(&mut rig, revoked);
    let refusal = model::Refusal::new(Rule::KeyRevoked, first.public().id(), "another");
    rig.give(Input::SubmissionRefused { sequence: under_way, refusal });
    rig.give(Input::Sightings(vec![(Salt([2; 16]), sighting)]));
    let sent = rig.sent.len();
    rig.pass(Span::minutes(1));
    assert_eq!((rig.sent.len(), rig.core.state().outbox.len()), (sent, 2), "nothing is sent, nothing dropped");
    // A person gives the agent the other key.
    rig.acknowledges = true;
    rig.seed = Some([50; 32]);
    rig.restart();
    rig.pass(Span::minutes(1));
    let Some(Submission::Sightings(batch)) = rig.sent.last() else { panic!("no batch") };
    assert_eq!((batch.header.key, batch.openings.len()), (key(50).public().id(), 2));
    assert!(rig.core.state().outbox.is_empty());
}

#[test]
fn a_submission_of_before_a_rotation_is_signed_anew_if_the_hub_does_not_take_it() {
    let mut rig = Rig::new();
    rig.acknowledges = false;
    let sighting = rig.world.sighting(&BAD.parse().unwrap(), Behaviour::Scan);
    rig.give(Input::Sightings(vec![(Salt([1; 16]), sighting)]));
    rig.pass(Span::seconds(1));
    let first = rig.world.agent_key(ME);
    let added = change(&rig, ME, KeyAct::Add, &key(50), &first);
    tell(&mut rig, added);
    rig.seed = Some([50; 32]);
    rig.restart();
    let sequence = rig.sent.last().unwrap().sequence();
    assert_eq!(rig.sent.last().unwrap().key(), first.public().id(), "as it was: the hub may have it already");
    rig.acknowledges = true;
    let refusal = model::Refusal::new(Rule::UnknownKey, first.public().id(), "a live key");
    rig.give(Input::SubmissionRefused { sequence, refusal });
    rig.pass(Span::seconds(1));
    assert_eq!(rig.sent.last().unwrap().key(), key(50).public().id());
    assert!(rig.core.state().outbox.is_empty());
}

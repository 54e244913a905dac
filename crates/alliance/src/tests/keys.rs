//! Keys as entries: what a change does on the hub, and what ends with a revoked key.

use super::amend::amend;
use super::flow::corroborated;
use super::{World, at, key, member};
use crate::joining::{CertificateRecord, Upon};
use crate::{Alliance, Author, Command, Event, Report};
use model::{
    Batch, CertificateId, Digest, FindingState, KeyAct, KeyChange, KeyPossession, Opening, PersonId, Refusal, Rule,
    Salt, SignedKeyChange, Span, StreamMessage,
};

/// The next change of a member's chain, signed with the key of this name; `of` is the name of the key that changes.
pub fn change(world: &World, name: &str, act: KeyAct, of: &str, signer: &str) -> SignedKeyChange {
    let (member, charter) = (member(name), world.alliance.signed_charter().unwrap().digest());
    let (number, previous) = world.alliance.key_book().head(&member, charter);
    let change = KeyChange {
        charter,
        member: member.clone(),
        person: None,
        number: number + 1,
        previous,
        act,
        key: key(of).public(),
        made: world.now,
        reason: "a test".to_owned(),
        signer: None,
        signed_with: key(signer).public().id(),
    };
    let possession = KeyPossession { alliance: "test".to_owned(), member, person: None, key: key(of).public() };
    let proof = (act == KeyAct::Add).then(|| key(of).sign(&possession));
    SignedKeyChange::sign(change, &key(signer), proof)
}

fn run(world: &mut World, name: &str, act: KeyAct, of: &str, signer: &str) -> Result<Vec<&'static str>, Refusal> {
    let signed = change(world, name, act, of, signer);
    world.run(Command::ChangeKey(Box::new(signed)))
}

fn report_by(world: &mut World, name: &str, signer: &str, observable: &str) -> Result<Vec<&'static str>, Refusal> {
    let sequence = world.alliance.next_sequence(&member(name));
    let sighting = world.sighting(observable, "handshake");
    let batch =
        Batch::seal(member(name), &key(signer), sequence, world.now, vec![Opening::seal(Salt([3; 16]), &sighting)]);
    let sightings = batch.verify(&key(signer).public()).unwrap();
    world.run(Command::Report { report: Report::Signed(Box::new(batch)), sightings })
}

#[test]
fn a_rotated_key_reports_and_the_retired_one_does_not() {
    let mut world = World::new("");
    world.now = at(60);
    assert_eq!(run(&mut world, "telecom", KeyAct::Add, "second", "telecom").unwrap(), ["key-changed"]);
    assert_eq!(world.entries.last().unwrap().author, Author::Member(member("telecom")));
    world.now = at(120);
    run(&mut world, "telecom", KeyAct::Retire, "telecom", "second").unwrap();
    assert_eq!(report_by(&mut world, "telecom", "telecom", "1.2.3.4").unwrap_err().rule, Rule::UnknownKey);
    report_by(&mut world, "telecom", "second", "1.2.3.4").unwrap();
    let followed = world.saw("cloud", "1.2.3.4");
    assert!(followed.contains(&"plan-in-force"), "{followed:?}");
    let keys = world.alliance.keys(Some(&member("telecom")), world.now).unwrap();
    let live: Vec<bool> = keys.keys.iter().filter(|key| key.person.is_none()).map(|key| key.live).collect();
    assert_eq!((live, keys.changes.len()), (vec![false, true], 2));
}

#[test]
fn what_rests_on_a_revoked_key_alone_is_withdrawn_and_comes_back_when_it_is_reported_anew() {
    let mut world = corroborated("1.2.3.4");
    run(&mut world, "telecom", KeyAct::Add, "second", "telecom").unwrap();
    let followed = run(&mut world, "telecom", KeyAct::Revoke, "telecom", "second").unwrap();
    assert_eq!(followed[..2], ["key-changed", "withdrawn"], "{followed:?}");
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Faded));
    let finding = &world.alliance.findings(None, None, None, 1)[0];
    let line = finding.sum.lines.iter().find(|line| line.member == member("telecom")).unwrap();
    assert_eq!((line.points, line.note.as_str()), (0.0, "signed with a key that was revoked"));
    assert!(finding.sum.total < finding.sum.threshold);
    assert!(!world.alliance.in_force_for(&member("dns"), None).iter().any(is_part));
    assert_eq!(report_by(&mut world, "telecom", "telecom", "1.2.3.5").unwrap_err().rule, Rule::KeyRevoked);
    world.now = world.now.plus(Span::minutes(1));
    let followed = report_by(&mut world, "telecom", "second", "1.2.3.4").unwrap();
    assert!(followed.contains(&"plan-in-force"), "{followed:?}");
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Corroborated));
}

#[test]
fn what_others_saw_too_stands_without_the_revoked_key() {
    let mut world = corroborated("1.2.3.4");
    world.saw("dns", "1.2.3.4");
    run(&mut world, "telecom", KeyAct::Revoke, "telecom", "telecom").unwrap();
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Corroborated));
    let parts = world.alliance.in_force_for(&member("device"), None);
    let parts = parts.iter().filter_map(|(_, message)| match message {
        StreamMessage::Part(part) => Some(part),
        _ => None,
    });
    let signers: std::collections::BTreeSet<String> =
        parts.flat_map(|part| part.evidence.values().flatten()).map(|piece| piece.header.author.to_string()).collect();
    assert_eq!(signers, ["cloud", "dns"].map(str::to_owned).into(), "planned anew, on what still counts");
}

fn is_part((_, message): &(u64, StreamMessage)) -> bool {
    matches!(message, StreamMessage::Part(_))
}

#[test]
fn a_change_that_lies_about_its_time_or_comes_from_a_suspended_member_is_refused() {
    let mut world = World::new("");
    world.now = at(10_000);
    let signed = change(&world, "telecom", KeyAct::Add, "second", "telecom");
    for now in [at(1), at(20_000)] {
        let refusal = world.alliance.handle(Command::ChangeKey(Box::new(signed.clone())), now).unwrap_err();
        assert_eq!(refusal.rule, Rule::ClockSkew);
    }
    let suspended = "id = \"telecom\"\nname = \"telecom\"\nkind = \"full\"\nstanding = \"suspended\"";
    amend(&mut world, &[(&suspended.replace("suspended", "vetted"), suspended)]).unwrap();
    let refusal = run(&mut world, "telecom", KeyAct::Add, "second", "telecom").unwrap_err();
    assert_eq!(refusal.rule, Rule::MemberSuspended);
}

#[test]
fn a_resend_is_known_and_a_change_of_an_earlier_charter_is_refused() {
    let mut world = World::new("");
    let signed = change(&world, "telecom", KeyAct::Add, "second", "telecom");
    let command = Command::ChangeKey(Box::new(signed));
    assert_eq!(world.alliance.duplicate(&command).unwrap(), None);
    world.run(command.clone()).unwrap();
    assert_eq!(world.alliance.duplicate(&command).unwrap(), Some(1));
    let other = change(&world, "cloud", KeyAct::Add, "third", "cloud");
    amend(&mut world, &[]).unwrap();
    assert_eq!(world.alliance.duplicate(&command).unwrap(), None);
    for stale in [command, Command::ChangeKey(Box::new(other))] {
        assert_eq!(world.run(stale).unwrap_err().rule, Rule::KeyChain);
    }
}

#[test]
fn the_next_charter_begins_the_chains_anew_carries_the_old_ones_and_brings_no_revoked_key_back() {
    let mut world = World::new("");
    run(&mut world, "telecom", KeyAct::Add, "second", "telecom").unwrap();
    run(&mut world, "telecom", KeyAct::Revoke, "telecom", "second").unwrap();
    assert_eq!(amend(&mut world, &[]).unwrap_err().rule, Rule::KeyRevoked);
    let (old, new) = (key("telecom").public().to_string(), key("second").public().to_string());
    // Telecom's consent is by the revoked key and does not count: with dns and cloud alone it is no majority of five.
    assert_eq!(amend(&mut world, &[(&old, &new)]).unwrap_err().rule, Rule::CharterUnsigned);
    super::amend::amend_by(&mut world, &[(&old, &new)], &["cloud", "dns", "device"]).unwrap();
    assert!(world.alliance.key_book().changes.is_empty());
    assert_eq!(world.alliance.signed_charter().unwrap().keys.len(), 2);
    assert_eq!(run(&mut world, "telecom", KeyAct::Add, "telecom", "second").unwrap_err().rule, Rule::KeyRevoked);
    assert_eq!(report_by(&mut world, "telecom", "telecom", "1.2.3.4").unwrap_err().rule, Rule::KeyRevoked);
    report_by(&mut world, "telecom", "second", "1.2.3.4").unwrap();
}

#[test]
fn a_persons_revoked_key_approves_nothing_and_what_it_approved_ends() {
    let (mut world, _) = super::amend::address_and_network();
    let ada: PersonId = "ada@telecom".parse().unwrap();
    let signed = change(&world, "telecom", KeyAct::Revoke, "ada@telecom", "telecom");
    let revoke = KeyChange { person: Some(ada.clone()), ..signed.change };
    let signed = SignedKeyChange::sign(revoke, &key("telecom"), None);
    let followed = world.run(Command::ChangeKey(Box::new(signed))).unwrap();
    assert!(followed.contains(&"withdrawn"), "{followed:?}");
    let refusal = super::flow::dispute(&mut world, "telecom", model::Ground::FalsePositive).unwrap_err();
    assert_eq!(refusal.rule, Rule::KeyRevoked);
    let given = world.alliance.in_force_for(&member("dns"), None);
    let classes: Vec<_> = (given.iter())
        .filter_map(|(_, message)| match message {
            StreamMessage::Part(part) => Some(part.header.class),
            _ => None,
        })
        .collect();
    assert_eq!(classes, [model::Class::Automatic], "what machines decided stands without it");
}

#[test]
fn certificates_that_rest_on_a_revoked_key_end_with_it_and_the_agent_asks_again_with_another() {
    let mut world = World::new("");
    let digest = Digest::of(&[b"certificate"]);
    let id = CertificateId::of(&digest);
    let hash = Digest::of(&[b"secret"]);
    let (made, expires) = (world.now, world.now.plus(Span::days(1)));
    let token = model::JoinTokenId::of(&hash);
    let record = crate::joining::JoinTokenRecord { id: token, hash, member: member("telecom"), made, expires };
    world.run(Command::IssueJoinToken(record)).unwrap();
    let issued = |n: &str, signer: &str, upon| CertificateRecord {
        id: if n == "first" { id } else { CertificateId::of(&Digest::of(&[n.as_bytes()])) },
        digest: if n == "first" { digest } else { Digest::of(&[n.as_bytes()]) },
        serial: "01".to_owned(),
        member: member("telecom"),
        agent: "edge".parse().unwrap(),
        key: key(signer).public(),
        tls_key: Digest::of(&[b"tls"]),
        from: made,
        until: expires,
        upon,
    };
    let first = Box::new(issued("first", "telecom", Upon::JoinToken(token)));
    world.run(Command::IssueCertificate { record: first, token: Some(hash) }).unwrap();
    run(&mut world, "telecom", KeyAct::Add, "second", "telecom").unwrap();
    run(&mut world, "telecom", KeyAct::Revoke, "telecom", "second").unwrap();
    let ended = |alliance: &Alliance| alliance.certificates().find(|c| c.record.id == id).unwrap().ended.clone();
    assert!(ended(&world.alliance).unwrap().contains("was revoked"));
    let again = Box::new(issued("again", "second", Upon::MemberKey));
    world.run(Command::IssueCertificate { record: again, token: None }).unwrap();
}

#[test]
fn every_agent_is_told_and_whoever_was_away_is_told_when_it_comes() {
    let mut world = World::new("");
    run(&mut world, "telecom", KeyAct::Add, "second", "telecom").unwrap();
    let entry = world.entries.last().unwrap();
    assert!(matches!(entry.event, Event::KeyChanged(_)));
    assert_eq!(world.alliance.messages(entry).len(), 5);
    for after in [None, Some(0), Some(1)] {
        let given = world.alliance.in_force_for(&member("dns"), after);
        assert!(matches!(&given[0], (at, StreamMessage::Keys(keys)) if keys.len() == 1 && *at == after.unwrap_or(0)));
    }
}

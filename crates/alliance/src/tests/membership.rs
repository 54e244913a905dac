//! Membership as a conversation: from the application to the charter, suspension at once, and what only admins see.

use super::flow::corroborated;
use super::{World, at, charter_text, key, member};
use crate::membership::{Amendment, Step};
use crate::{Alliance, Author, Command, Event, Setup};
use charter::{Charter, SignedCharter};
use model::MembershipStage as Stage;
use model::membership::{Application, Claim, MembershipStatement, Say, Word};
use model::{FindingState, MemberKind, PersonId, Refusal, Rule, Segment, Span, Standing, StreamMessage, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

fn application(world: &World) -> MembershipStatement {
    let application = Application {
        alliance: "test".to_owned(),
        member: member("shop"),
        name: "Shop".to_owned(),
        kind: MemberKind::Full,
        segments: BTreeSet::from([Segment::Enterprise]),
        capabilities: BTreeSet::new(),
        key: key("shop").public(),
        persons: BTreeMap::from([("eve@shop".parse().unwrap(), key("eve@shop").public())]),
        contact: "soc@shop.example".to_owned(),
        made: world.now,
    };
    MembershipStatement::apply(application, &key("shop"))
}

fn claim(world: &World, signer: &str) -> MembershipStatement {
    let claim = Claim {
        alliance: "test".to_owned(),
        member: member("shop"),
        prefixes: BTreeSet::from(["80.9.0.0/16".parse().unwrap()]),
        domains: BTreeSet::new(),
        asns: BTreeSet::new(),
        proof: "the registry says so".to_owned(),
        made: world.now,
    };
    MembershipStatement::claim(claim, &key(signer))
}

fn hand(world: &mut World, by: &str, statement: MembershipStatement) -> Result<Vec<&'static str>, Refusal> {
    world.run(Command::Membership { by: member(by), statement: Box::new(statement) })
}

/// Ada of this member says something of somebody, a second after whatever was last.
fn say(world: &mut World, name: &str, of: &str, say: Say) -> Result<Vec<&'static str>, Refusal> {
    world.now = world.now.plus(Span::seconds(1));
    let person: PersonId = format!("ada@{name}").parse().unwrap();
    let signer = key(person.as_str());
    let word = Word {
        alliance: "test".to_owned(),
        member: member(of),
        say,
        person,
        key: signer.public().id(),
        made: world.now,
        reason: "a secret reason".to_owned(),
    };
    hand(world, name, MembershipStatement::say(word, &signer))
}

fn stage_of(world: &World, name: &str) -> Option<Stage> {
    world.alliance.membership_stage(&member(name))
}

fn stage(world: &World) -> Stage {
    stage_of(world, "shop").unwrap()
}

fn admit_shop() -> Amendment {
    Amendment { admit: Some(member("shop")), vet: None }
}

/// A charter's text, signed by the founders and adopted.
fn adopt(world: &mut World, text: String) -> Result<Vec<&'static str>, Refusal> {
    let consent = |name: &str| SignedCharter::consent(&text, &member(name), &key(name)).unwrap();
    let consents = ["telecom", "cloud", "dns", "device"].map(consent).to_vec();
    world.run(Command::AdoptCharter(Box::new(SignedCharter::new(text, consents))))
}

fn voted(votes: &[(&str, Say)]) -> World {
    let mut world = World::new("");
    let statement = application(&world);
    hand(&mut world, "cloud", statement).unwrap();
    world.now = world.now.plus(Span::seconds(1));
    let statement = claim(&world, "shop");
    hand(&mut world, "cloud", statement).unwrap();
    say(&mut world, "telecom", "shop", Say::Sponsor).unwrap();
    for (name, vote) in votes {
        say(&mut world, name, "shop", *vote).unwrap();
    }
    world.now = world.now.plus(Span::days(8));
    world.run(Command::Tick).unwrap();
    world
}

#[test]
fn an_applicant_is_sponsored_voted_in_and_named_by_a_charter_that_a_quorum_signs() {
    let mut world = voted(&[("cloud", Say::Yes), ("dns", Say::Yes), ("device", Say::No)]);
    assert_eq!(stage(&world), Stage::Admitted);
    assert!(world.alliance.charter().unwrap().member(&member("shop")).is_err(), "not before a charter says so");
    let text = world.alliance.draft_charter(&admit_shop(), world.now).unwrap();
    let drafted = Charter::parse(&text).unwrap();
    let shop = drafted.member(&member("shop")).unwrap();
    assert_eq!((shop.standing, shop.keys[0].public), (Standing::Probation, key("shop").public()));
    assert_eq!((shop.assets.prefixes.len(), shop.persons.len()), (1, 1));
    adopt(&mut world, text).unwrap();
    assert_eq!(stage(&world), Stage::Probation);
    assert!(world.alliance.membership().applicants().is_empty());
    world.saw("shop", "1.2.3.4");
    let vet = Amendment { vet: Some(member("shop")), admit: None };
    let text = world.alliance.draft_charter(&vet, world.now).unwrap();
    adopt(&mut world, text).unwrap();
    assert_eq!(stage(&world), Stage::Member);
    let again = world.alliance.draft_charter(&vet, world.now).unwrap_err();
    assert_eq!(again.rule, Rule::MembershipStage, "it is vetted already");
}

#[test]
fn the_state_is_the_same_when_the_journal_is_replayed_or_a_snapshot_is_read() {
    let mut world = voted(&[("cloud", Say::Yes), ("dns", Say::Object)]);
    let statement = application(&world);
    hand(&mut world, "cloud", statement).unwrap();
    say(&mut world, "dns", "dns", Say::Leave).unwrap();
    let mut replayed = Alliance::new(Setup { seed: [7; 16] }).unwrap();
    world.entries.iter().enumerate().for_each(|(position, entry)| replayed.apply(position as u64, entry));
    let restored = Alliance::restore(Setup { seed: [7; 16] }, &[], &world.alliance.snapshot()).unwrap();
    for other in [replayed, restored] {
        assert_eq!(other.membership(), world.alliance.membership());
        assert_eq!(other.charter(), world.alliance.charter());
    }
}

#[test]
fn too_few_votes_or_one_objection_keep_an_applicant_out_and_it_may_apply_again() {
    assert_eq!(stage(&voted(&[("cloud", Say::Yes), ("dns", Say::No)])), Stage::Refused);
    let yes = [("cloud", Say::Yes), ("dns", Say::Yes), ("device", Say::Yes)];
    assert_eq!(stage(&voted(&yes)), Stage::Admitted);
    let mut world = voted(&[yes[0], yes[1], yes[2], ("newcomer", Say::Object)]);
    assert_eq!(stage(&world), Stage::Refused);
    assert_eq!(world.alliance.draft_charter(&admit_shop(), world.now).unwrap_err().rule, Rule::MembershipStage);
    let again = application(&world);
    hand(&mut world, "cloud", again).unwrap();
    assert_eq!(stage(&world), Stage::Applied);
}

#[test]
fn a_vote_ends_when_every_full_member_has_voted() {
    let mut world = World::new("");
    let statement = application(&world);
    hand(&mut world, "cloud", statement).unwrap();
    say(&mut world, "telecom", "shop", Say::Sponsor).unwrap();
    for (name, vote) in [("cloud", Say::Yes), ("dns", Say::Yes), ("device", Say::No)] {
        say(&mut world, name, "shop", vote).unwrap();
    }
    world.run(Command::Tick).unwrap();
    assert_eq!(stage(&world), Stage::Voting, "newcomer may still vote, or object");
    say(&mut world, "newcomer", "shop", Say::No).unwrap();
    world.run(Command::Tick).unwrap();
    assert_eq!(stage(&world), Stage::Admitted);
}

#[test]
fn an_objection_is_confidential_and_nothing_else_is() {
    let world = voted(&[("cloud", Say::Yes), ("dns", Say::Object)]);
    let confidential: Vec<bool> = (world.entries.iter())
        .filter(|entry| matches!(entry.event, Event::Membership(_)))
        .map(|entry| entry.event.is_confidential())
        .collect();
    assert_eq!(confidential, [false, false, false, false, true, false]);
}

#[test]
fn each_step_has_its_place_its_speaker_and_its_signature() {
    let mut world = World::new("");
    let refused = |result: Result<Vec<&'static str>, Refusal>| result.unwrap_err().rule;
    let early = claim(&world, "shop");
    assert_eq!(refused(hand(&mut world, "cloud", early)), Rule::MembershipStage);
    assert_eq!(refused(say(&mut world, "telecom", "shop", Say::Sponsor)), Rule::MembershipStage);
    let statement = application(&world);
    hand(&mut world, "cloud", statement.clone()).unwrap();
    let command = Command::Membership { by: member("cloud"), statement: Box::new(statement.clone()) };
    assert_eq!(world.alliance.duplicate(&command).unwrap(), Some(1), "a resend is known");
    assert_eq!(refused(hand(&mut world, "cloud", statement)), Rule::MembershipStage, "a second time");
    assert_eq!(refused(say(&mut world, "telecom", "shop", Say::Yes)), Rule::MembershipStage, "nobody stands for it");
    let foreign = claim(&world, "cloud");
    assert_eq!(refused(hand(&mut world, "cloud", foreign)), Rule::BadSignature);
    say(&mut world, "telecom", "shop", Say::Sponsor).unwrap();
    world.now = world.now.plus(Span::days(8));
    assert_eq!(refused(say(&mut world, "cloud", "shop", Say::Yes)), Rule::MembershipStage, "the vote has ended");
    assert_eq!(refused(say(&mut world, "cloud", "telecom", Say::Leave)), Rule::NotForUs);
    let until = world.now.plus(Span::days(1));
    assert_eq!(refused(say(&mut world, "cloud", "dns", Say::Suspend { until })), Rule::RoleMissing, "no admin");
}

/// telecom is an admin.
fn with_admin() -> World {
    let mut world = corroborated("1.2.3.4");
    let text = charter_text("");
    let (head, rest) = text.split_at(text.find("id = \"telecom\"").unwrap());
    let block = rest[..rest.find("capabilities").unwrap()].to_owned();
    let admin = block.replacen("\"approver\"]", "\"approver\", \"admin\"]", 1);
    assert!(head.len() > 1 && block != admin);
    super::amend::amend(&mut world, &[(&block, &admin)]).unwrap();
    world
}

fn has_part(world: &World, name: &str) -> bool {
    world.alliance.in_force_for(&member(name), None).iter().any(|(_, m)| matches!(m, StreamMessage::Part(_)))
}

#[test]
fn a_suspended_member_is_not_heard_at_once_and_is_again_when_it_is_restored_or_its_time_is_over() {
    let mut world = with_admin();
    let until = world.now.plus(Span::days(3));
    let followed = say(&mut world, "telecom", "cloud", Say::Suspend { until }).unwrap();
    assert!(followed.contains(&"withdrawn"), "{followed:?}");
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Faded), "telecom alone is left");
    let sighting = world.sighting("1.2.3.5", "handshake");
    assert_eq!(world.report("cloud", vec![sighting]).unwrap_err().rule, Rule::MemberSuspended);
    assert!(!has_part(&world, "dns"));
    assert_eq!(say(&mut world, "cloud", "cloud", Say::Leave).unwrap_err().rule, Rule::MemberSuspended);
    let back = Alliance::restore(Setup { seed: [7; 16] }, &[], &world.alliance.snapshot()).unwrap();
    assert_eq!(back.charter().unwrap().member(&member("cloud")).unwrap().standing, Standing::Suspended);
    say(&mut world, "telecom", "cloud", Say::Restore).unwrap();
    assert_eq!(stage_of(&world, "cloud"), Some(Stage::Member));
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Corroborated), "its evidence counts again");
    world.saw("cloud", "1.2.3.6");
}

#[test]
fn a_suspension_ends_by_itself_and_the_journal_says_so() {
    let mut world = with_admin();
    let until = world.now.plus(Span::days(3));
    say(&mut world, "telecom", "cloud", Say::Suspend { until }).unwrap();
    world.now = until.minus(Span::seconds(1));
    world.run(Command::Tick).unwrap();
    assert_eq!(stage_of(&world, "cloud"), Some(Stage::Suspended));
    world.now = until;
    world.run(Command::Tick).unwrap();
    assert_eq!(stage_of(&world, "cloud"), Some(Stage::Member));
    let ended = |step: &Step| matches!(step, Step::Ended { member: ended } if *ended == member("cloud"));
    let said = world.entries.iter().any(|entry| matches!(&entry.event, Event::Membership(step) if ended(step)));
    assert!(said && world.entries.iter().all(|entry| !entry.event.is_confidential()));
}

#[test]
fn what_protects_a_suspended_member_itself_is_not_taken_from_it() {
    let mut world = with_admin();
    world.saw("dns", "1.2.3.4");
    let until = world.now.plus(Span::days(1));
    let from = world.entries.len();
    say(&mut world, "telecom", "device", Say::Suspend { until }).unwrap();
    let withdrawn = world.entries[from..].iter().any(|entry| matches!(entry.event, Event::Withdrawn { .. }));
    assert!(!withdrawn, "device reported nothing; it keeps what it has until that ends");
}

#[test]
fn an_admin_suspends_for_a_bounded_time_and_not_again_before_the_member_was_heard_for_as_long() {
    let mut world = with_admin();
    let days = |world: &World, days| world.now.plus(Span::days(days));
    let long = Say::Suspend { until: days(&world, 15) };
    assert_eq!(say(&mut world, "telecom", "cloud", long).unwrap_err().rule, Rule::Malformed);
    let until = days(&world, 7);
    say(&mut world, "telecom", "cloud", Say::Suspend { until }).unwrap();
    world.now = days(&world, 1);
    let from_the_first_day = Say::Suspend { until: days(&world, 14) };
    assert_eq!(say(&mut world, "telecom", "cloud", from_the_first_day).unwrap_err().rule, Rule::Malformed);
    let until = days(&world, 12);
    say(&mut world, "telecom", "cloud", Say::Suspend { until }).unwrap();
    world.now = until;
    world.run(Command::Tick).unwrap();
    let again = Say::Suspend { until: days(&world, 1) };
    assert_eq!(say(&mut world, "telecom", "cloud", again).unwrap_err().rule, Rule::MembershipStage);
    world.now = days(&world, 14);
    let again = Say::Suspend { until: days(&world, 1) };
    say(&mut world, "telecom", "cloud", again).unwrap();
}

#[test]
fn a_charter_made_after_a_suspension_confirms_or_ends_it_and_no_vote_is_lost_by_one() {
    let mut world = with_admin();
    for name in ["cloud", "dns"] {
        let until = world.now.plus(Span::days(3));
        say(&mut world, "telecom", name, Say::Suspend { until }).unwrap();
    }
    // Made before: it knows nothing of the suspensions. Cloud and dns sign it all the same.
    super::amend::amend(&mut world, &[]).unwrap();
    assert_eq!(stage_of(&world, "dns"), Some(Stage::Suspended));
    let draft = world.alliance.draft_charter(&Amendment::default(), world.now).unwrap();
    assert_eq!(draft.matches("standing = \"suspended\"").count(), 2);
    let ended = draft.replacen("standing = \"suspended\"", "standing = \"vetted\"", 1);
    adopt(&mut world, ended).unwrap();
    assert!(world.alliance.membership().suspended().is_empty(), "the charter alone says who is suspended");
    let stages = ["cloud", "dns"].map(|name| stage_of(&world, name).unwrap());
    assert_eq!(stages, [Stage::Member, Stage::Suspended]);
    assert_eq!(say(&mut world, "telecom", "dns", Say::Restore).unwrap_err().rule, Rule::MembershipStage);
}

#[test]
fn a_member_leaves_by_its_own_word_its_credentials_end_and_the_next_charter_is_drafted_without_it() {
    let mut world = with_admin();
    let hash = model::Digest::of(&[b"secret"]);
    let (made, expires) = (world.now, world.now.plus(Span::days(9)));
    let scopes = [crate::Scope::Read].into();
    let label = "a script".to_owned();
    let id = model::TokenId::of(&hash);
    let token = crate::TokenRecord { id, hash, member: member("cloud"), scopes, label, made, expires };
    world.run(Command::IssueToken(token)).unwrap();
    let followed = say(&mut world, "cloud", "cloud", Say::Leave).unwrap();
    assert!(followed.contains(&"withdrawn"), "{followed:?}");
    assert!(world.alliance.token(&hash).is_none());
    assert_eq!(stage_of(&world, "cloud"), Some(Stage::Left));
    let sighting = world.sighting("1.2.3.5", "handshake");
    assert_eq!(world.report("cloud", vec![sighting]).unwrap_err().rule, Rule::UnknownMember);
    let text = world.alliance.draft_charter(&Amendment::default(), world.now).unwrap();
    let drafted = Charter::parse(&text).unwrap();
    assert!(drafted.member(&member("cloud")).is_err() && drafted.member(&member("telecom")).is_ok());
    adopt(&mut world, text).unwrap();
    assert_eq!(stage_of(&world, "cloud"), None);
}

#[test]
fn an_admin_takes_a_leave_back_until_a_charter_is_without_the_member() {
    let mut world = with_admin();
    say(&mut world, "cloud", "cloud", Say::Leave).unwrap();
    say(&mut world, "telecom", "cloud", Say::Restore).unwrap();
    assert_eq!(stage_of(&world, "cloud"), Some(Stage::Member));
    world.saw("cloud", "1.2.3.6");
}

#[test]
fn the_draft_has_the_keys_as_they_are_now() {
    use model::{KeyAct, KeyChange, KeyPossession, SignedKeyChange, Statement as _};
    let mut world = with_admin();
    let (old, new) = (key("cloud"), key("cloud-2"));
    for (act, of, signer) in [(KeyAct::Add, &new, &old), (KeyAct::Retire, &old, &new)] {
        world.now = world.now.plus(Span::seconds(1));
        let charter = world.alliance.signed_charter().unwrap().digest();
        let (number, previous) = world.alliance.key_book().head(&member("cloud"), charter);
        let possession =
            KeyPossession { alliance: "test".to_owned(), member: member("cloud"), person: None, key: of.public() };
        let change = KeyChange {
            charter,
            member: member("cloud"),
            person: None,
            number: number + 1,
            previous,
            act,
            key: of.public(),
            made: world.now,
            reason: "yearly".to_owned(),
            signer: None,
            signed_with: signer.public().id(),
        };
        assert!(!change.digest().to_string().is_empty());
        let proof = (act == KeyAct::Add).then(|| of.sign(&possession));
        let signed = SignedKeyChange::sign(change, signer, proof);
        world.run(Command::ChangeKey(Box::new(signed))).unwrap();
    }
    world.now = world.now.plus(Span::seconds(1));
    let text = world.alliance.draft_charter(&Amendment::default(), world.now).unwrap();
    let keys = &Charter::parse(&text).unwrap().member(&member("cloud")).unwrap().keys.clone();
    assert_eq!(keys.iter().map(|key| key.public).collect::<Vec<_>>(), [new.public()]);
}

#[test]
fn one_member_cannot_fill_the_list_of_applicants_and_a_lapsed_one_makes_room() {
    let mut world = World::new("");
    let named = |world: &World, n: usize| {
        let (name, of) = (format!("shop-{n}"), key(&format!("shop-{n}")));
        let MembershipStatement::Apply(application, _) = application(world) else { panic!("no application") };
        let persons = BTreeMap::new();
        let application = Application { member: member(&name), key: of.public(), persons, ..*application };
        MembershipStatement::apply(application, &of)
    };
    for n in 0..8 {
        let statement = named(&world, n);
        hand(&mut world, "cloud", statement).unwrap();
    }
    let ninth = named(&world, 8);
    assert_eq!(hand(&mut world, "cloud", ninth.clone()).unwrap_err().rule, Rule::QuotaExceeded);
    hand(&mut world, "dns", ninth).unwrap();
    world.now = world.now.plus(Span::days(30));
    world.run(Command::Tick).unwrap();
    assert_eq!(stage_of(&world, "shop-0"), Some(Stage::Refused));
    let late = named(&world, 9);
    hand(&mut world, "cloud", late).unwrap();
}

#[test]
fn two_applicants_have_no_key_in_common_and_none_has_a_members() {
    let mut world = World::new("");
    let statement = application(&world);
    hand(&mut world, "cloud", statement.clone()).unwrap();
    let MembershipStatement::Apply(application, _) = statement else { panic!("no application") };
    for (signer, persons) in [("shop", BTreeMap::new()), ("telecom", BTreeMap::new())] {
        let other =
            Application { member: member("other"), key: key(signer).public(), persons, ..(*application).clone() };
        let refusal = hand(&mut world, "cloud", MembershipStatement::apply(other, &key(signer))).unwrap_err();
        assert_eq!(refusal.rule, Rule::Malformed, "{refusal}");
    }
}

#[test]
fn who_deliberates_is_a_full_member_and_its_persons_word_stands_as_author() {
    let mut world = voted(&[]);
    let authors: Vec<Author> = (world.entries.iter())
        .filter(|entry| matches!(entry.event, Event::Membership(_)))
        .map(|entry| entry.author.clone())
        .collect();
    let cloud = Author::Member(member("cloud"));
    assert_eq!(authors, [cloud.clone(), cloud, Author::Person("ada@telecom".parse().unwrap()), Author::Hub]);
    let from = world.alliance.signed_charter().unwrap().text.clone();
    let block = from[from.find("id = \"device\"").unwrap()..].split("standing").next().unwrap().to_owned();
    let associate = block.replacen("kind = \"full\"", "kind = \"associate\"", 1);
    assert_ne!(block, associate);
    super::amend::amend(&mut world, &[(&block, &associate)]).unwrap();
    let statement = application(&world);
    hand(&mut world, "device", statement).unwrap();
    assert_eq!(say(&mut world, "device", "shop", Say::Sponsor).unwrap_err().rule, Rule::RoleMissing);
}

#[test]
fn a_word_is_said_once_and_when_it_is_made() {
    let mut world = with_admin();
    let until = world.now.plus(Span::days(1));
    say(&mut world, "telecom", "cloud", Say::Suspend { until }).unwrap();
    let Some(Event::Membership(step)) =
        world.entries.iter().rev().map(|e| &e.event).find(|e| matches!(e, Event::Membership(_)))
    else {
        panic!("no step");
    };
    let Step::Handed { statement, .. } = (**step).clone() else { panic!("not handed") };
    say(&mut world, "telecom", "cloud", Say::Restore).unwrap();
    assert_eq!(hand(&mut world, "telecom", statement.clone()).unwrap_err().rule, Rule::MembershipStage, "a replay");
    let late = world.now.plus(Span::hours(1));
    let command = Command::Membership { by: member("telecom"), statement: Box::new(statement) };
    assert_eq!(world.alliance.handle(command, late).unwrap_err().rule, Rule::ClockSkew);
    assert_ne!(late, Timestamp::MIN);
    assert!(at(0) < late);
}

//! What a member may not say, and the rule that says so.

use super::{World, at, key, member};
use crate::{Alliance, Command, Report, Setup};
use model::{Batch, Opening, Rule, Salt, Span};

#[test]
fn each_bad_sighting_is_refused_by_its_rule_and_nothing_is_kept() {
    let mut world = World::new("[guards]\nnever = [\"9.9.9.9\"]");
    for (observable, rule) in [
        ("10.1.2.3", Rule::BogonEvidence),
        ("192.0.2.1", Rule::BogonEvidence),
        ("fe80::1", Rule::BogonEvidence),
        ("127.0.0.0/24", Rule::BogonEvidence),
    ] {
        let (good, bad) = (world.sighting("1.2.3.4", "handshake"), world.sighting(observable, "handshake"));
        let refusal = world.report("telecom", vec![good, bad]).unwrap_err();
        assert_eq!(refusal.rule, rule, "{observable}");
        assert!(refusal.value.starts_with("sighting 2: "), "{refusal}");
    }
    assert_eq!(world.alliance.status(world.now).sightings, 0, "whole or not at all");
}

#[test]
fn times_beyond_the_allowed_skew_are_refused() {
    let mut world = World::new("");
    for span in [Span::minutes(6), Span::days(-31)] {
        let mut sighting = world.sighting("1.2.3.4", "handshake");
        sighting.first = world.now.plus(span);
        sighting.last = sighting.first;
        assert_eq!(world.report("telecom", vec![sighting]).unwrap_err().rule, Rule::ClockSkew);
    }
}

#[test]
fn submissions_are_numbered_without_gaps_and_a_resend_is_known() {
    let mut world = World::new("");
    let sighting = world.sighting("1.2.3.4", "handshake");
    let batch = |sequence| {
        let opening = Opening::seal(Salt([1; 16]), &sighting);
        Batch::seal(member("telecom"), &key("telecom"), sequence, at(0), vec![opening])
    };
    let command = |n| Command::Report { report: Report::Signed(Box::new(batch(n))), sightings: vec![sighting.clone()] };
    assert_eq!(world.alliance.duplicate(&command(1)), Ok(None));
    world.run(command(1)).unwrap();
    assert_eq!(world.alliance.duplicate(&command(1)), Ok(Some(1)));
    let gap = world.run(command(3)).unwrap_err();
    assert_eq!((gap.rule, gap.limit.as_str()), (Rule::OutOfSequence, "2"));
}

#[test]
fn strangers_and_suspended_members_are_not_heard() {
    let mut world = World::new("");
    let sighting = world.sighting("1.2.3.4", "handshake");
    assert_eq!(world.report("stranger", vec![sighting]).unwrap_err().rule, Rule::UnknownMember);
}

#[test]
fn nothing_is_heard_before_a_charter_is_adopted() {
    let alliance = Alliance::new(Setup { seed: [1; 16] }).unwrap();
    let sighting = World::new("").sighting("1.2.3.4", "handshake");
    let batch = Batch::seal(member("a"), &key("a"), 1, at(0), vec![Opening::seal(Salt([1; 16]), &sighting)]);
    let command = Command::Report { report: Report::Signed(Box::new(batch)), sightings: vec![sighting] };
    assert_eq!(alliance.handle(command, at(0)).unwrap_err().rule, Rule::CharterUnsigned);
}

#[test]
fn other_content_under_a_used_number_is_refused_also_after_a_restart() {
    let mut world = World::new("");
    let command = |observable: &str| {
        let sighting = World::new("").sighting(observable, "handshake");
        let batch =
            Batch::seal(member("telecom"), &key("telecom"), 1, at(0), vec![Opening::seal(Salt([1; 16]), &sighting)]);
        Command::Report { report: Report::Signed(Box::new(batch)), sightings: vec![sighting] }
    };
    world.run(command("1.2.3.4")).unwrap();
    let shards = world.alliance.snapshot();
    let restored = Alliance::restore(Setup { seed: [7; 16] }, &[], &shards).unwrap();
    for alliance in [&world.alliance, &restored] {
        assert_eq!(alliance.duplicate(&command("1.2.3.4")), Ok(Some(1)), "a resend is known");
        let refusal = alliance.duplicate(&command("5.6.7.8")).unwrap_err();
        assert_eq!((refusal.rule, refusal.limit.as_str()), (Rule::NumberReused, "2"));
    }
}

#[test]
fn a_number_so_old_that_nobody_knows_its_content_is_refused_and_memory_is_bounded() {
    let mut world = World::new("");
    for n in 0..300_u32 {
        world.saw("telecom", &format!("1.2.{}.{}", n / 250 + 3, n % 250 + 1));
    }
    let sighting = world.sighting("1.2.3.1", "handshake");
    let batch =
        Batch::seal(member("telecom"), &key("telecom"), 1, at(0), vec![Opening::seal(Salt([3; 16]), &sighting)]);
    let command = Command::Report { report: Report::Signed(Box::new(batch)), sightings: vec![sighting] };
    assert_eq!(world.alliance.duplicate(&command).unwrap_err().rule, Rule::NumberReused);
    assert_eq!(world.alliance.ledger.submissions[&member("telecom")].recent.len(), 256);
}

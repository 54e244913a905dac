//! Somebody else speaks with this agent's key: the agent that is shown it says so, and says it of nothing else.

use crate::common::{ME, mine};
use crate::rig::Rig;
use agent::core::{AlarmKind, Input, Submission};
use model::{Batch, Behaviour, Evidence, Opening, PlanPart, Salt, Signature, Span, StreamMessage};

const BAD: &str = "8.8.4.4";

/// One sighting of ours, reported and acknowledged; the batch as it went out.
fn reported(rig: &mut Rig) -> Batch {
    let sighting = rig.world.sighting(&BAD.parse().unwrap(), Behaviour::Scan);
    rig.give(Input::Sightings(vec![(Salt([1; 16]), sighting)]));
    rig.pass(Span::seconds(1));
    let sent = rig.sent.iter().rev().find_map(|sent| match sent {
        Submission::Sightings(batch) => Some((**batch).clone()),
        _ => None,
    });
    sent.unwrap()
}

fn evidence(batch: &Batch) -> Evidence {
    batch.evidence(&batch.tree(), 0).unwrap()
}

/// A part whose only evidence in our name is this piece.
fn showing(rig: &Rig, piece: Evidence) -> PlanPart {
    let mut part = mine(&rig.world, &[BAD]);
    for pieces in part.evidence.values_mut() {
        pieces.retain(|piece| piece.header.author.as_str() != ME);
        pieces.push(piece.clone());
    }
    part
}

fn told(rig: &Rig) -> usize {
    rig.alarms.iter().filter(|alarm| alarm.kind == AlarmKind::StatementNotOurs).count()
}

/// A batch under this number, signed with telecom's key by somebody who has it.
fn stolen(rig: &Rig, sequence: u64) -> Batch {
    let sighting = rig.world.sighting(&BAD.parse().unwrap(), Behaviour::Scan);
    let openings = vec![Opening::seal(Salt([9; 16]), &sighting)];
    Batch::seal(ME.parse().unwrap(), &rig.world.agent_key(ME), sequence, rig.now, openings)
}

#[test]
fn what_this_agent_reported_is_its_own_also_after_a_restart() {
    let mut rig = Rig::new();
    let batch = reported(&mut rig);
    let part = showing(&rig, evidence(&batch));
    rig.message(StreamMessage::Part(Box::new(part.clone())));
    rig.restart();
    rig.message(StreamMessage::Part(Box::new(part)));
    assert_eq!(told(&rig), 0);
}

#[test]
fn what_somebody_else_signed_with_its_key_is_told_once_under_a_used_number_and_under_a_new_one() {
    let mut rig = Rig::new();
    let ours = reported(&mut rig);
    for sequence in [ours.header.sequence, ours.header.sequence + 7] {
        let mut rig = Rig::new();
        reported(&mut rig);
        let part = showing(&rig, evidence(&stolen(&rig, sequence)));
        rig.message(StreamMessage::Part(Box::new(part.clone())));
        rig.message(StreamMessage::Part(Box::new(part)));
        assert_eq!(told(&rig), 1, "{sequence}");
        let alarm = rig.alarms.iter().find(|alarm| alarm.kind == AlarmKind::StatementNotOurs).unwrap();
        assert!(alarm.text.contains(&format!("submission {sequence} ")) && alarm.text.contains("key revoke"));
    }
}

#[test]
fn another_agents_key_a_forged_signature_and_what_is_older_than_memory_are_no_news_of_that_kind() {
    let mut rig = Rig::new();
    let ours = reported(&mut rig);
    let mut forged = evidence(&stolen(&rig, ours.header.sequence + 1));
    forged.signature = Signature::from_bytes([7; 64]);
    let mut of_other_key = evidence(&stolen(&rig, ours.header.sequence + 1));
    of_other_key.header.key = rig.world.agent_key("cloud").public().id();
    for piece in [forged, of_other_key] {
        let part = showing(&rig, piece);
        rig.message(StreamMessage::Part(Box::new(part)));
    }
    assert_eq!(told(&rig), 0);
    // A state directory that began later: the hub counts from 41 on.
    let mut fresh = Rig::fresh();
    let signed = Box::new(fresh.charter.clone());
    fresh.give(Input::Charter { signed, lists: Vec::new() });
    fresh.give(Input::NextSequence(41));
    let part = showing(&fresh, evidence(&stolen(&fresh, 40)));
    fresh.message(StreamMessage::Part(Box::new(part)));
    assert_eq!(told(&fresh), 0);
}

//! A member whose record lets it publish alone: people are informed, machines wait for a second member.

use super::flow::last_plan;
use super::{World, at};
use crate::Event;
use model::{Observable, StreamMessage};

/// A world in which telecom was confirmed so often, and by so many, that it publishes alone.
pub fn trusted() -> World {
    let mut world = World::new("");
    for n in 0..24 {
        world.now = at(n * 60);
        world.saw("telecom", &format!("1.2.3.{n}"));
        world.now = at(n * 60 + 10);
        world.saw(if n % 2 == 0 { "cloud" } else { "dns" }, &format!("1.2.3.{n}"));
    }
    world.now = at(86_400);
    world
}

fn many(world: &World, count: usize) -> Vec<model::Sighting> {
    (0..count).map(|n| world.sighting(&format!("5.6.{}.{}", n / 200, n % 200), "handshake")).collect()
}

#[test]
fn what_one_member_publishes_alone_informs_people_and_asks_nobody_to_act() {
    let mut world = trusted();
    assert_eq!(world.saw("telecom", "5.6.7.8"), ["sightings-reported", "findings-changed"]);
    let observable: Observable = "5.6.7.8".parse().unwrap();
    let why = world.alliance.why(&observable, None, world.now, &world);
    let finding = &why.findings[0].finding;
    assert!(finding.state == model::FindingState::Corroborated && !finding.actionable, "{finding:?}");
    let note = &finding.sum.lines[0].note;
    assert_eq!(note, "informs people only: machines wait for evidence of 2 members");
    assert!(why.findings[0].held.is_empty(), "waiting for a second member is no refusal");
}

#[test]
fn a_second_member_makes_it_actionable_and_both_show_their_evidence() {
    let mut world = trusted();
    world.saw("telecom", "5.6.7.8");
    world.now = world.now.plus(model::Span::seconds(5));
    let followed = world.saw("device", "5.6.7.8");
    assert_eq!(followed, ["sightings-reported", "findings-changed", "plan-proposed", "plan-in-force"]);
    let plan = last_plan(&world);
    assert_eq!(plan.evidence.values().map(Vec::len).collect::<Vec<_>>(), [2]);
}

#[test]
fn many_that_inform_stand_in_few_entries_and_agents_hear_of_none() {
    let mut world = trusted();
    let from = world.entries.len();
    let sightings = many(&world, 200);
    world.report("telecom", sightings).unwrap();
    let entries: Vec<_> = world.entries[from..].iter().filter(|e| e.event.kind() == "findings-changed").collect();
    let found = |event: &Event| match event {
        Event::FindingsChanged { findings } => findings.len(),
        _ => 0,
    };
    assert_eq!(entries.iter().map(|entry| found(&entry.event)).sum::<usize>(), 200);
    assert!(entries.len() <= 40, "{} entries", entries.len());
    assert!(entries.iter().all(|entry| world.alliance.messages(entry).is_empty()));
}

#[test]
fn agents_hear_of_what_machines_act_upon_in_one_message() {
    let mut world = trusted();
    let sightings = many(&world, 5);
    world.report("telecom", sightings.clone()).unwrap();
    let from = world.entries.len();
    world.report("device", sightings).unwrap();
    let entry = world.entries[from..].iter().find(|e| e.event.kind() == "findings-changed").unwrap();
    let messages = world.alliance.messages(entry);
    assert_eq!(messages.len(), 5, "one for each member");
    for (_, message) in messages {
        let StreamMessage::Findings(findings) = message else { panic!("{message:?}") };
        assert!(findings.len() == 5 && findings.iter().all(|finding| finding.actionable));
    }
}

#[test]
fn whoever_takes_more_than_is_judged_at_once_is_told_to_wait() {
    let mut world = trusted();
    let sightings = many(&world, 50);
    assert!(!world.alliance.is_behind());
    world.take_in("telecom", &sightings);
    assert!(world.alliance.is_behind());
    world.follow(false);
    assert!(!world.alliance.is_behind());
}

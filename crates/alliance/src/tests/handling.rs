//! Senders' wishes: to stay unnamed, and what recipients may do.

use super::{World, member};
use crate::{Author, Event};
use model::{Actions, FindingState, MemberId, Rule, Sighting};

fn why(world: &World, viewer: &str) -> crate::view::WhyFinding {
    let why = world.alliance.why(&"1.2.3.4".parse().unwrap(), Some(&member(viewer)), world.now, world);
    why.findings.into_iter().next().unwrap()
}

fn names(world: &World, viewer: &str) -> Vec<String> {
    why(world, viewer).finding.sum.lines.iter().map(|line| line.member.to_string()).collect()
}

fn wishing(world: &World, unnamed: bool, actions: Actions) -> Sighting {
    let mut sighting = world.sighting("1.2.3.4", "handshake");
    (sighting.handling.unnamed, sighting.handling.actions) = (unnamed, actions);
    sighting
}

#[test]
fn whoever_stays_unnamed_counts_and_is_named_to_itself_only() {
    let mut world = World::new("");
    world.saw("cloud", "1.2.3.4");
    let sighting = wishing(&world, true, Actions::Direct);
    world.report("telecom", vec![sighting]).unwrap();
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Corroborated), "it counts");
    assert_eq!(names(&world, "telecom"), ["cloud", "telecom"]);
    for other in ["cloud", "dns"] {
        assert_eq!(names(&world, other), ["cloud", MemberId::UNNAMED], "{other}");
    }
    let finding = why(&world, "dns").finding;
    let points: f64 = finding.sum.lines.iter().map(|line| line.points).sum();
    assert!((points - finding.sum.cut - finding.sum.total).abs() < 0.002, "the sum can still be added up");
    assert!(finding.sum.lines[1].note.contains("wishes to stay unnamed"));
    assert!(!finding.handling.unnamed, "a finding is nobody's own");
    for entry in &world.entries {
        let own = entry.author == Author::Member(member("telecom"));
        match own {
            true => assert!(entry.handling.unnamed, "others may not open it: {entry:?}"),
            false if matches!(entry.event, Event::CharterAdopted(_)) => {}
            false => assert!(!serde_json::to_string(entry).unwrap().contains("telecom"), "{entry:?}"),
        }
    }
    let shown = world.alliance.members(world.now).into_iter().find(|shown| shown.id == member("telecom")).unwrap();
    assert_eq!((shown.sightings, shown.heard), (0, None), "counts and times do not tell either");
}

#[test]
fn all_who_stay_unnamed_share_a_line_also_when_they_take_back() {
    let mut world = World::new("");
    world.saw("cloud", "1.2.3.4");
    for name in ["telecom", "dns"] {
        let sighting = wishing(&world, true, Actions::Direct);
        world.report(name, vec![sighting]).unwrap();
    }
    assert_eq!(names(&world, "device"), ["cloud", MemberId::UNNAMED]);
    assert!(why(&world, "device").finding.sum.lines[1].note.starts_with("2 members"));
    world.took_back("dns", "1.2.3.4");
    let entry = world.entries.iter().find(|entry| matches!(entry.event, Event::Retracted(_))).unwrap();
    assert!(entry.handling.unnamed);
    assert_eq!(names(&world, "device"), ["cloud", MemberId::UNNAMED]);
    world.saw("dns", "1.2.3.4");
    assert_eq!(names(&world, "device"), ["cloud", "dns", MemberId::UNNAMED], "what it says under its name is named");
}

#[test]
fn what_senders_do_not_permit_informs_and_is_kept_from_plans_by_name() {
    for (unnamed, actions) in [(true, Actions::Direct), (false, Actions::None), (false, Actions::AskFirst)] {
        let mut world = World::new("");
        world.saw("cloud", "1.2.3.4");
        let sighting = wishing(&world, unnamed, actions);
        let followed = world.report("telecom", vec![sighting]).unwrap();
        assert_eq!(world.state("1.2.3.4"), Some(FindingState::Corroborated));
        assert!(!followed.contains(&"plan-proposed"), "{unnamed} {actions}: {followed:?}");
        let shown = why(&world, "dns");
        assert!(shown.held.contains(&Rule::ActionsNotPermitted), "{:?}", shown.held);
        assert_eq!(shown.finding.handling.actions, actions, "recipients are told");
        let followed = world.saw("dns", "1.2.3.4");
        assert!(followed.contains(&"plan-in-force"), "evidence of two that permit it is enough: {followed:?}");
        assert_eq!(why(&world, "dns").finding.handling.actions, Actions::Direct, "what is acted upon is permitted");
        let plan = super::flow::last_plan(&world);
        let authors = plan.evidence.values().flatten().map(|piece| piece.header.author.as_str());
        assert!(authors.collect::<Vec<_>>().iter().all(|author| *author != "telecom"), "and shown to no agent");
    }
}

#[test]
fn internal_actions_are_enough_for_what_members_do_on_their_own_networks() {
    let mut world = World::new("");
    world.saw("cloud", "1.2.3.4");
    let sighting = wishing(&world, false, Actions::Internal);
    assert!(world.report("telecom", vec![sighting]).unwrap().contains(&"plan-in-force"));
    assert_eq!(why(&world, "dns").finding.handling.actions, Actions::Internal);
}

//! Senders' wishes: to stay unnamed, and what recipients may do.

use super::{World, member};
use crate::objects::{Brief, Objection, Share, Shared, Shown};
use crate::{Author, Command, Event};
use model::{Actions, FindingState, Ground, Handling, MemberId, Rule, Sighting, Tlp};

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

const GROUPS: &str = "[[group]]\nid = \"banks\"\nmembers = [\"dns\", \"cloud\"]\n\
                      [[group]]\nid = \"telcos\"\nmembers = [\"device\", \"cloud\"]";

/// 1.2.3.4 is in force for all members; then others report it within their groups.
pub fn in_force_and_reported_in(groups: &[(&str, &str)]) -> World {
    let mut world = World::new(GROUPS);
    world.saw("telecom", "1.2.3.4");
    assert!(world.saw("cloud", "1.2.3.4").contains(&"plan-in-force"));
    for (name, group) in groups {
        let mut sighting = world.sighting("1.2.3.4", "handshake");
        sighting.handling.group = Some(group.parse().unwrap());
        assert_eq!(world.report(name, vec![sighting]).unwrap(), ["sightings-reported"], "it stands as it did");
        let lines = names(&world, "newcomer");
        assert!(!lines.iter().any(|line| line == name), "nobody outside of {group} hears of it: {lines:?}");
    }
    world
}

/// Each version since the entry at `from`: its state, its group, who stands in its sum.
fn versions(world: &World, from: usize) -> Vec<(FindingState, Option<String>, Vec<String>)> {
    let changed = world.entries[from..].iter().filter_map(|entry| match &entry.event {
        Event::FindingsChanged { findings } => Some(findings),
        _ => None,
    });
    let version = |finding: &model::Finding| {
        let lines = finding.sum.lines.iter().map(|line| line.member.to_string()).collect();
        (finding.state, finding.handling.group.as_ref().map(ToString::to_string), lines)
    };
    changed.flatten().map(version).collect()
}

/// Who is told to end something since the entry at `from`.
fn told_to_end(world: &World, from: usize) -> Vec<String> {
    let messages = world.entries[from..].iter().flat_map(|entry| world.alliance.messages(entry));
    let ended = messages.filter(|(_, message)| matches!(message, model::StreamMessage::Withdraw(_)));
    ended.map(|(member, _)| member.to_string()).collect()
}

#[test]
fn evidence_of_two_groups_does_not_keep_a_finding_of_all_from_ending() {
    let mut world = in_force_and_reported_in(&[("dns", "banks"), ("device", "telcos")]);
    let from = world.entries.len();
    assert_eq!(world.took_back("telecom", "1.2.3.4"), ["retracted", "findings-changed", "withdrawn"]);
    let faded = (FindingState::Faded, None, vec!["cloud".to_owned(), "telecom".to_owned()]);
    let mut seen = versions(&world, from);
    seen.iter_mut().for_each(|(.., lines)| lines.sort());
    assert_eq!(seen, [faded], "for all who were told of it, and with nothing of the groups");
    assert_eq!(told_to_end(&world, from).len(), 5);
    let shown = why(&world, "newcomer");
    assert_eq!((shown.finding.state, shown.finding.handling.group), (FindingState::Faded, None));
    let followed = world.saw("telecom", "1.2.3.4");
    assert!(followed.contains(&"plan-in-force"), "it comes back with evidence for all: {followed:?}");
}

#[test]
fn weak_evidence_of_groups_takes_nothing_from_what_all_may_know() {
    let mut world = in_force_and_reported_in(&[]);
    let before = why(&world, "newcomer").finding.sum;
    for (name, group) in [("dns", "banks"), ("device", "telcos")] {
        let mut sighting = world.sighting("1.2.3.4", "spoofable");
        sighting.handling.group = Some(group.parse().unwrap());
        world.report(name, vec![sighting]).unwrap();
    }
    let shown = why(&world, "newcomer").finding;
    assert_eq!(
        (shown.state, shown.sum),
        (FindingState::Corroborated, before),
        "together they are more than is counted"
    );
}

#[test]
fn what_ends_for_all_goes_on_for_the_group_whose_evidence_still_stands() {
    let mut world = in_force_and_reported_in(&[("dns", "banks")]);
    let from = world.entries.len();
    let followed = world.took_back("telecom", "1.2.3.4");
    let anew = ["findings-changed", "plan-proposed", "plan-in-force"];
    assert_eq!(followed, [&["retracted", "findings-changed", "withdrawn"][..], &anew].concat());
    let seen = versions(&world, from);
    assert_eq!((seen[0].0, seen[0].1.as_deref()), (FindingState::Faded, None), "{seen:?}");
    assert_eq!((seen[1].0, seen[1].1.as_deref()), (FindingState::Corroborated, Some("banks")), "{seen:?}");
    assert!(!seen[0].2.contains(&"dns".to_owned()) && seen[1].2.contains(&"dns".to_owned()), "{seen:?}");
    assert_eq!(told_to_end(&world, from).len(), 5);
    let asked = super::flow::last_plan(&world).mitigations;
    let asked: Vec<&str> = asked.iter().map(|mitigation| mitigation.member.as_str()).collect();
    assert!(asked.contains(&"dns") && asked.contains(&"cloud") && asked.len() == 2, "{asked:?}");
    let from = world.entries.len();
    assert_eq!(world.took_back("cloud", "1.2.3.4"), ["retracted", "findings-changed", "withdrawn"]);
    assert_eq!(versions(&world, from)[0].1.as_deref(), Some("banks"), "who followed it in the group sees it end");
}

#[test]
fn what_does_not_count_decides_for_nobody_who_hears_of_a_finding() {
    let mut world = World::new(&GROUPS.replace("\"dns\"", "\"dns\", \"newcomer\""));
    let mut sighting = world.sighting("1.2.3.4", "handshake");
    sighting.handling.group = Some("banks".parse().unwrap());
    world.report("newcomer", vec![sighting]).unwrap();
    super::amend::amend(&mut world, &[("standing = \"probation\"", "standing = \"suspended\"")]).unwrap();
    world.saw("telecom", "1.2.3.4");
    assert!(world.saw("cloud", "1.2.3.4").contains(&"plan-in-force"));
    let shown = why(&world, "device").finding;
    assert_eq!(shown.handling.group, None, "whoever is not heard narrows nothing");
    assert!(!names(&world, "device").contains(&"newcomer".to_owned()), "and what it said in its group stays there");
}

#[test]
fn what_only_informs_all_gives_way_to_what_protects_a_group() {
    let mut world = World::new(GROUPS);
    // Persons of all members are informed; machines wait for evidence of two who permit it.
    let quiet = |world: &World| {
        let mut sighting = world.sighting("1.2.3.4", "handshake");
        sighting.handling.actions = model::Actions::None;
        sighting
    };
    for name in ["telecom", "device"] {
        let sighting = quiet(&world);
        world.report(name, vec![sighting]).unwrap();
    }
    let before = why(&world, "newcomer").finding;
    assert_eq!((before.state, before.actionable), (FindingState::Corroborated, false));
    let from = world.entries.len();
    for name in ["dns", "cloud"] {
        let mut sighting = world.sighting("1.2.3.4", "handshake");
        sighting.handling.group = Some("banks".parse().unwrap());
        world.report(name, vec![sighting]).unwrap();
    }
    let seen = versions(&world, from);
    assert_eq!((seen[0].0, seen[0].1.as_deref()), (FindingState::Faded, None), "{seen:?}");
    assert_eq!((seen[1].0, seen[1].1.as_deref()), (FindingState::Corroborated, Some("banks")), "{seen:?}");
    let asked = super::flow::last_plan(&world).mitigations;
    assert!(!asked.is_empty() && asked.iter().all(|mitigation| ["dns", "cloud"].contains(&mitigation.member.as_str())));
}

/// Somebody's opinion on the finding of 1.2.3.4, shared under this handling.
fn object(world: &mut World, who: &str, handling: &Handling) -> Vec<&'static str> {
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let id = format!("opinion--00000001-1111-4111-8111-{:012}", world.entries.len());
    let object = format!(r#"{{"type":"opinion","id":"{id}"}}"#);
    let brief = Brief { id, spec: share::stix::SpecVersion::V21, version: None, print: 1, mentions: None };
    let object = serde_json::value::RawValue::from_string(object).unwrap();
    let share = Share {
        collection: share::taxii::CollectionId::of("test", &share::taxii::Root::Alliance, "sightings"),
        member: member(who),
        by: Shown::Token(model::TokenId::of(&model::Digest::of(&[b"token"]))),
        objects: vec![Shared { place: 0, brief, handling: handling.clone(), object, kept: true }],
        sightings: Vec::new(),
        retractions: Vec::new(),
        objections: vec![(0, finding, Ground::FalsePositive, "our own scanner".to_owned())],
    };
    world.run(Command::Share(Box::new(share))).unwrap()
}

#[test]
fn an_objection_is_seen_and_named_as_its_sender_wishes() {
    let amber = Handling::alliance(Tlp::AmberStrict);
    let unnamed = Handling { unnamed: true, ..Handling::alliance(Tlp::Green) };
    let both = Handling { unnamed: true, ..amber.clone() };
    // To an observer, another member, the sender: is it seen, and named?
    let table = [
        (&amber, [None, Some(true), Some(true)]),
        (&unnamed, [Some(false), Some(false), Some(true)]),
        (&both, [None, Some(false), Some(true)]),
    ];
    for (handling, wanted) in table {
        let mut world = World::new("");
        let last = world.alliance.signed_charter().unwrap().text.rfind("roles = ").unwrap();
        let text = world.alliance.signed_charter().unwrap().text[last..].lines().next().unwrap().to_owned();
        let block = format!("standing = \"probation\"\nsegments = [\"infrastructure\"]\n{text}");
        let observer = block.replace(&text, "roles = [\"observer\"]");
        super::amend::amend(&mut world, &[(&block, &observer)]).unwrap();
        world.saw("telecom", "1.2.3.4");
        world.saw("cloud", "1.2.3.4");
        assert!(object(&mut world, "dns", handling).contains(&"objected"));
        let entry = world.entries.iter().find(|entry| matches!(entry.event, Event::Objected(_))).unwrap();
        assert_eq!((entry.handling.tlp, entry.handling.unnamed), (handling.tlp, handling.unnamed));
        for (viewer, wanted) in ["newcomer", "cloud", "dns"].into_iter().zip(wanted) {
            let seen = why(&world, viewer).objections;
            let named = seen.first().map(|objection| objection.member == Some(member("dns")));
            assert_eq!(named, wanted, "{handling} to {viewer}");
            assert!(named != Some(false) || seen[0].member.is_none());
        }
    }
}

#[test]
fn an_objection_of_an_earlier_journal_is_as_its_finding() {
    let text = r#"{"member":"dns","finding":"ID","ground":"false-positive","reason":"ours"}"#;
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.saw("cloud", "1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let old: Objection = serde_json::from_str(&text.replace("ID", &finding.to_string())).unwrap();
    world.alliance.take_objection(&old);
    assert_eq!(why(&world, "device").objections[0].member, Some(member("dns")));
}

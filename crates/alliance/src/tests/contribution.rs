//! Who has points of a finding, for what, and when they are lost.

use super::{World, member};
use crate::contribution::{Contributions, Points};
use crate::objects::{Shown, TakenBack};
use crate::tests::flow::dispute;
use crate::{Author, Entry, Event};
use model::{Family, Ground, Span, TokenId};

fn counted(world: &World) -> Contributions {
    let mut counted = Contributions::default();
    world.entries.iter().for_each(|entry| counted.take(entry).unwrap());
    counted
}

fn of(world: &World, name: &str) -> Points {
    counted(world).points().get(&member(name)).copied().unwrap_or_default()
}

fn later(world: &mut World, span: Span) {
    world.now = world.now.plus(span);
}

#[test]
fn the_first_report_the_corroborating_one_and_an_echo_have_two_one_and_no_points_for_time() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    later(&mut world, Span::minutes(30));
    world.saw("cloud", "1.2.3.4");
    later(&mut world, Span::minutes(1));
    world.saw("dns", "1.2.3.4");
    let (first, second, echo) = (of(&world, "telecom"), of(&world, "cloud"), of(&world, "dns"));
    assert_eq!((first.corroborating, first.timely, first.exclusive, first.total()), (1, 2, 0, 3));
    assert_eq!((second.corroborating, second.timely, second.total()), (1, 1, 2));
    assert_eq!(echo, Points::default());
}

#[test]
fn whoever_stood_alone_for_a_day_has_points_for_it_and_a_late_second_none_for_time() {
    let mut world = World::new("");
    let seen = world.sighting("1.2.3.4", "payload");
    world.report("telecom", vec![seen]).unwrap();
    later(&mut world, Span::hours(25));
    world.saw("cloud", "1.2.3.4");
    let (first, second) = (of(&world, "telecom"), of(&world, "cloud"));
    assert_eq!((first.timely, first.contextual, first.exclusive), (2, 1, 2));
    assert_eq!((second.timely, second.contextual, second.exclusive), (0, 0, 0));
}

#[test]
fn a_report_that_nobody_corroborates_earns_nothing_and_is_forgotten() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    assert_eq!(of(&world, "telecom"), Points::default());
    later(&mut world, Span::days(32));
    world.saw("cloud", "1.2.3.5");
    later(&mut world, Span::minutes(1));
    world.saw("cloud", "1.2.3.4");
    assert_eq!(counted(&world).points().len(), 0, "the first report is too old to count");
}

#[test]
fn what_a_member_publishes_alone_earns_nothing_before_a_second_one_bears_it_out() {
    let mut world = super::alone::trusted();
    let before = of(&world, "telecom");
    world.saw("telecom", "5.6.7.8");
    assert_eq!(of(&world, "telecom"), before);
    later(&mut world, Span::hours(30));
    world.saw("cloud", "5.6.7.8");
    let after = of(&world, "telecom");
    assert_eq!((after.findings, after.exclusive), (before.findings + 1, before.exclusive + 2));
}

#[test]
fn a_report_twice_is_one_contribution() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.saw("telecom", "1.2.3.4");
    world.saw("cloud", "1.2.3.4");
    assert_eq!(of(&world, "telecom").findings, 1);
}

#[test]
fn an_upheld_dispute_takes_everybodys_points_and_they_do_not_come_back() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.saw("cloud", "1.2.3.4");
    assert_eq!(of(&world, "cloud").findings, 1);
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    assert!(world.entries.iter().any(|entry| matches!(entry.event, Event::DisputeUpheld { .. })));
    world.saw("telecom", "1.2.3.4");
    for name in ["telecom", "cloud"] {
        let points = of(&world, name);
        assert_eq!((points.total(), points.findings, points.lost), (0, 0, 1), "{name}");
    }
}

#[test]
fn whoever_takes_a_report_back_loses_its_own_points_only() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.saw("cloud", "1.2.3.4");
    world.took_back("cloud", "1.2.3.4");
    assert_eq!((of(&world, "cloud").total(), of(&world, "cloud").lost), (0, 1));
    assert_eq!(of(&world, "telecom").findings, 1);
}

#[test]
fn what_a_tool_takes_back_without_a_signature_is_lost_all_the_same() {
    let mut world = World::new("");
    world.saw("telecom", "1.2.3.4");
    world.saw("cloud", "1.2.3.4");
    let taken = TakenBack {
        member: member("telecom"),
        by: Shown::Token(TokenId::of(&model::Digest::of(&[b"a token"]))),
        reports: Family::ALL.iter().map(|family| ("1.2.3.4".parse().unwrap(), *family)).collect(),
    };
    let (time, handling) = (world.now, world.entries.last().unwrap().handling.clone());
    let event = Event::TakenBack(Box::new(taken));
    world.entries.push(Entry { v: 1, time, author: Author::Member(member("telecom")), handling, event });
    assert_eq!((of(&world, "telecom").total(), of(&world, "telecom").lost), (0, 1));
    assert_eq!(of(&world, "cloud").findings, 1);
}

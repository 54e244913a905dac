//! Lines of mitigations: what outlasts what took over from it, and what is planned and withdrawn in one moment.

use super::flow::{approve, corroborated, dispute, last_plan, proposal, withdrawn};
use super::{World, member};
use crate::Event;
use model::{Ground, Measure, Span, Verdict};

#[test]
fn what_outlasts_something_newer_of_its_lineage_is_withdrawn_too() {
    let mut world = corroborated("1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let measure = Measure::deny(&"1.2.3.4".parse().unwrap()).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command).unwrap();
    let plan = last_plan(&world);
    approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap();
    assert!(approve(&mut world, &plan, "cloud", Verdict::Approve).unwrap().contains(&"plan-in-force"));
    world.now = world.now.plus(Span::hours(2));
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    let followed = dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    assert!(followed.contains(&"withdrawn"), "{followed:?}");
    let told = world.entries.iter().any(|entry| match &entry.event {
        Event::Withdrawn { withdrawals } => withdrawals.iter().any(|w| w.member == member("dns")),
        _ => false,
    });
    assert!(told, "the newest has ended, the one before it has not");
    assert_eq!(withdrawn(&world, "dns", None), 1, "also when it begins anew");
    let shown = world.alliance.mitigations(None, Some(&member("dns")), world.now);
    assert!(shown.iter().all(|shown| shown.now.is_final()), "{shown:?}");
}

#[test]
fn plans_of_one_moment_do_not_take_the_same_room() {
    let text = "[limits]\nin_force_per_member_max = 3\n[[group]]\nid = \"pair\"\nmembers = [\"telecom\", \"cloud\"]";
    let mut world = World::new(text);
    for name in ["telecom", "cloud"] {
        for (from, group) in [(10, Some("pair".parse().unwrap())), (20, None)] {
            let sighting = |n: u8| {
                let mut sighting = world.sighting(&format!("1.2.3.{n}"), "handshake");
                sighting.handling.group.clone_from(&group);
                sighting
            };
            let sightings: Vec<_> = (from..from + 3).map(sighting).collect();
            world.take_in(name, &sightings);
        }
    }
    world.follow(false);
    let plans = world.entries.iter().filter_map(|entry| match &entry.event {
        Event::PlanProposed(plan) => Some(plan),
        _ => None,
    });
    let asked: Vec<_> = plans.flat_map(|plan| &plan.mitigations).filter(|m| m.member == member("telecom")).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
}

#[test]
fn what_is_planned_anew_in_the_moment_of_a_withdrawal_is_of_a_later_one() {
    let mut world = corroborated("1.2.3.4");
    world.now = world.now.plus(Span::seconds(5));
    assert!(world.took_back("cloud", "1.2.3.4").contains(&"withdrawn"));
    assert!(world.saw("dns", "1.2.3.4").contains(&"plan-in-force"));
    assert!(last_plan(&world).header.made > world.now, "or the withdrawal, where it comes later, would end it");
    world.now = world.now.plus(Span::seconds(1));
    for name in ["telecom", "dns"] {
        world.saw(name, "6.7.8.9");
    }
    assert_eq!(last_plan(&world).header.made, world.now);
}

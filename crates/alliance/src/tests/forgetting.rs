//! What ended long ago is forgotten by the journal's time: a start from it, or from a snapshot, forgets the same.

use super::flow::{approve, corroborated, dispute, last_plan, proposal, proposal_for};
use super::replay::{replayed, same};
use super::{World, at, member};
use crate::{Alliance, Command, Event, Setup};
use model::{FindingId, FindingState, Ground, Measure, Rule, Span, Verdict};

const BAD: &str = "1.2.3.4";

/// A finding that has faded, disputed by one person, nine days after it was made.
fn faded() -> (World, FindingId) {
    let mut world = corroborated(BAD);
    dispute(&mut world, "dns", Ground::Stale).unwrap();
    world.now = world.now.plus(Span::days(9));
    world.run(Command::Tick).unwrap();
    assert_eq!(world.state(BAD), Some(FindingState::Faded));
    let id = known(&world)[0];
    (world, id)
}

fn known(world: &World) -> Vec<FindingId> {
    world.alliance.findings(None, None, None, 10).iter().map(|finding| finding.id).collect()
}

fn restored(alliance: &Alliance) -> Alliance {
    Alliance::restore(Setup { seed: [7; 16] }, &[], &alliance.snapshot()).unwrap()
}

#[test]
fn a_finding_that_ended_is_forgotten_with_what_was_said_of_it_once_nobody_saw_it_for_long() {
    let (mut world, id) = faded();
    let early = (restored(&world.alliance), world.entries.len());
    world.now = world.now.plus(Span::days(30));
    world.saw("telecom", "9.9.9.9");
    assert_eq!(known(&world), [id], "not a day too early");
    world.now = world.now.plus(Span::days(2));
    world.saw("telecom", "9.9.9.9");
    assert_eq!((known(&world), world.state(BAD)), (vec![], None));
    let (mut later, from) = early;
    for (position, entry) in world.entries.iter().enumerate().skip(from) {
        later.apply(position as u64, entry);
    }
    for other in [&replayed(&world), &restored(&world.alliance), &later] {
        same(&world.alliance, other, &world);
    }
    world.saw("telecom", BAD);
    assert!(world.saw("cloud", BAD).contains(&"findings-changed"), "found as if for the first time");
    let why = world.alliance.why(&BAD.parse().unwrap(), None, world.now, &world);
    assert_eq!((why.findings[0].finding.id, why.findings[0].disputes.len()), (id, 0));
    same(&world.alliance, &replayed(&world), &world);
}

#[test]
fn what_is_barred_stands_or_is_spoken_of_is_not_forgotten() {
    let mut world = corroborated(BAD);
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    let barred = known(&world);
    world.now = world.now.plus(Span::days(60));
    world.saw("telecom", "9.9.9.9");
    assert_eq!((known(&world), world.state(BAD)), (barred, Some(FindingState::Revoked)));

    let (mut world, id) = faded();
    world.now = world.now.plus(Span::days(60));
    let measure = Measure::deny(&BAD.parse().unwrap()).unwrap();
    let wish = proposal(&world, "ada@telecom", id, measure, &["dns"]);
    assert!(world.run(wish).unwrap().contains(&"plan-proposed"));
    world.now = world.now.plus(Span::days(1));
    world.saw("telecom", "9.9.9.9");
    assert_eq!(known(&world), [id], "a person asks for a plan about it");
    same(&world.alliance, &replayed(&world), &world);

    let (mut world, id) = faded();
    world.now = at(0).plus(Span::days(100));
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    assert_eq!((known(&world), world.state(BAD)), (vec![id], Some(FindingState::Revoked)));
    let why = world.alliance.why(&BAD.parse().unwrap(), Some(&member("dns")), world.now, &world);
    assert_eq!(why.findings[0].disputes.len(), 2);
    same(&world.alliance, &replayed(&world), &world);
    world.now = world.now.plus(Span::days(500));
    world.saw("telecom", "9.9.9.9");
    assert_eq!(known(&world), [], "the bar is over");
    world.now = world.now.plus(Span::days(1));
    let gone = proposal(&world, "ada@telecom", id, Measure::deny(&BAD.parse().unwrap()).unwrap(), &["dns"]);
    assert_eq!(world.run(gone).unwrap_err().rule, Rule::UnknownFinding);
}

#[test]
fn what_goes_on_long_after_what_took_over_from_it_has_run_out_can_still_be_withdrawn() {
    let mut world = World::new("[limits]\nmitigation_max = \"7d\"");
    world.saw("telecom", BAD);
    world.saw("cloud", BAD);
    let id = known(&world)[0];
    let deny = Measure::deny(&BAD.parse().unwrap()).unwrap();
    for lasts in [Span::days(6), Span::hours(1)] {
        world.run(proposal_for(lasts, &world, "ada@telecom", id, deny.clone(), &["dns"])).unwrap();
        let plan = last_plan(&world);
        approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap();
        assert!(approve(&mut world, &plan, "cloud", Verdict::Approve).unwrap().contains(&"plan-in-force"));
        world.now = world.now.plus(Span::minutes(1));
    }
    world.now = world.now.plus(Span::days(2));
    // Old records go whenever so many entries were written.
    for n in 0..=1024 {
        world.saw("telecom", &format!("9.9.{}.{}", n / 200, n % 200));
    }
    let shown = world.alliance.mitigations(None, Some(&member("dns")), world.now);
    assert!(!shown.iter().any(|shown| shown.record.expires < world.now.minus(Span::days(1))), "{shown:?}");
    same(&world.alliance, &replayed(&world), &world);
    let from = world.entries.len();
    drop(world.alliance.follow(world.now, true, &world));
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    let told = world.entries[from..].iter().any(|entry| match &entry.event {
        Event::Withdrawn { withdrawals } => withdrawals.iter().any(|w| w.member == member("dns")),
        _ => false,
    });
    assert!(told, "what lasts six days is in force");
}

//! From evidence to plans, disputes, expiry: each promise of the flow as a conversation.

use super::{World, at, key, member};
use crate::{Command, Event, Proposal, SignedProposal};
use model::{
    Action, Approval, Class, Dispute, FindingId, FindingState, Ground, Measure, MitigationId, MitigationState, Plan,
    PlanId, Receipt, Receipts, Rule, Scope, SignedApproval, SignedDispute, SignedReceipts, Span, Statement as _,
    StreamMessage, Target, Verdict,
};

pub fn last_plan(world: &World) -> Plan {
    let plans = world.entries.iter().rev();
    let mut found = plans.filter_map(|e| match &e.event {
        Event::PlanProposed(plan) => Some((**plan).clone()),
        _ => None,
    });
    found.next().expect("a plan")
}

pub fn approve(
    world: &mut World,
    plan: &Plan,
    name: &str,
    verdict: Verdict,
) -> Result<Vec<&'static str>, model::Refusal> {
    let signer = key(&format!("ada@{name}"));
    let approval = Approval {
        plan: plan.header.digest(),
        person: format!("ada@{name}").parse().unwrap(),
        key: signer.public().id(),
        verdict,
        made: world.now,
        expires: world.now.plus(Span::hours(1)),
    };
    world.run(Command::Approve(SignedApproval::sign(approval, &signer)))
}

/// A person's proposal, signed now.
pub fn proposal(world: &World, person: &str, finding: FindingId, measure: Measure, members: &[&str]) -> Command {
    proposal_for(Span::hours(1), world, person, finding, measure, members)
}

/// As [`proposal`], of what lasts so long.
pub fn proposal_for(
    lasts: Span,
    world: &World,
    person: &str,
    finding: FindingId,
    measure: Measure,
    members: &[&str],
) -> Command {
    let proposal = Proposal {
        person: person.parse().unwrap(),
        finding,
        measure,
        members: members.iter().map(|name| member(name)).collect(),
        lasts,
        reason: "it scans".to_owned(),
        made: world.now,
        expires: world.now.plus(Span::minutes(10)),
    };
    Command::Propose(Box::new(SignedProposal::sign(proposal, &key(person))))
}

pub fn dispute(world: &mut World, name: &str, ground: Ground) -> Result<Vec<&'static str>, model::Refusal> {
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let signer = key(&format!("ada@{name}"));
    let dispute = Dispute {
        finding,
        person: format!("ada@{name}").parse().unwrap(),
        key: signer.public().id(),
        ground,
        reason: "our customer's mail server".to_owned(),
        made: world.now,
    };
    world.run(Command::Dispute(SignedDispute::sign(dispute, &signer)))
}

pub fn corroborated(observable: &str) -> World {
    let mut world = World::new("");
    world.saw("telecom", observable);
    world.now = at(10);
    world.saw("cloud", observable);
    world
}

#[test]
fn corroborated_address_leads_to_one_automatic_plan_in_force() {
    let world = corroborated("1.2.3.4");
    let kinds: Vec<_> = world.entries.iter().map(|e| e.event.kind()).collect();
    assert_eq!(
        kinds[1..],
        ["sightings-reported", "sightings-reported", "findings-changed", "plan-proposed", "plan-in-force"]
    );
    let plan = last_plan(&world);
    assert_eq!(plan.header.class, Class::Automatic);
    assert_eq!(plan.mitigations.len(), 5, "every member with the capability is asked");
    assert_eq!(plan.evidence.values().map(Vec::len).collect::<Vec<_>>(), [2]);
    let messages = world.alliance.messages(world.entries.last().unwrap());
    assert_eq!(messages.len(), 5);
}

#[test]
fn many_findings_of_a_moment_share_one_plan() {
    let mut world = World::new("");
    let sightings = |world: &World| (1..20).map(|n| world.sighting(&format!("1.2.3.{n}"), "handshake")).collect();
    let batch = sightings(&world);
    world.report("telecom", batch).unwrap();
    let batch = sightings(&world);
    let followed = world.report("cloud", batch).unwrap();
    assert_eq!(followed.iter().filter(|k| **k == "plan-proposed").count(), 1);
    assert_eq!(last_plan(&world).mitigations.len(), 19 * 5);
}

#[test]
fn forged_packets_of_two_founders_are_never_acted_upon() {
    let mut world = World::new("");
    for name in ["telecom", "cloud", "dns", "device"] {
        let sighting = world.sighting("1.2.3.4", "spoofable");
        let followed = world.report(name, vec![sighting]).unwrap();
        assert!(!followed.contains(&"plan-proposed"), "{name}: {followed:?}");
    }
}

#[test]
fn resolver_on_a_guard_list_is_held_back_by_name() {
    let mut world = World::new("[guards]\nnever = [\"9.9.9.9\"]");
    world.saw("telecom", "9.9.9.9");
    let followed = world.saw("cloud", "9.9.9.9");
    assert!(followed.contains(&"held") && !followed.contains(&"plan-proposed"), "{followed:?}");
    assert_eq!(world.alliance.status(world.now).refusals.get("guard_never"), Some(&1));
}

#[test]
fn network_needs_persons_of_two_members() {
    let mut world = corroborated("1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let net = "1.2.3.0/24".parse().unwrap();
    let measure = Measure::new(Action::Deny, Target::Net(net), Scope::Border).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns", "cloud"]);
    assert_eq!(world.run(command).unwrap(), ["proposed", "plan-proposed"]);
    let plan = last_plan(&world);
    assert_eq!(plan.header.class, Class::Quorum);
    assert_eq!(approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap(), ["approved"]);
    let again = approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap_err();
    assert_eq!(again.rule, Rule::ApprovalReplayed, "nobody counts twice");
    assert_eq!(approve(&mut world, &plan, "dns", Verdict::Approve).unwrap(), ["approved", "plan-in-force"]);
    let late = approve(&mut world, &plan, "cloud", Verdict::Approve).unwrap_err();
    assert_eq!(late.rule, Rule::UnknownPlan);
}

#[test]
fn rejected_plan_is_closed() {
    let mut world = corroborated("1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let target = Target::Net("1.2.3.0/24".parse().unwrap());
    let measure = Measure::new(Action::Deny, target, Scope::Border).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command).unwrap();
    let plan = last_plan(&world);
    approve(&mut world, &plan, "cloud", Verdict::Reject).unwrap();
    assert_eq!(approve(&mut world, &plan, "dns", Verdict::Reject).unwrap(), ["approved", "plan-closed"]);
}

#[test]
fn upheld_dispute_withdraws_everywhere_and_bars() {
    let mut world = corroborated("1.2.3.4");
    assert_eq!(dispute(&mut world, "dns", Ground::FalsePositive).unwrap(), ["disputed"]);
    let followed = dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    assert_eq!(followed, ["disputed", "dispute-upheld", "withdrawn", "findings-changed"]);
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Revoked));
    world.now = at(100);
    let followed = world.saw("dns", "1.2.3.4");
    assert!(!followed.contains(&"plan-proposed"), "revoked does not come back: {followed:?}");
}

/// A member's agent reports where a mitigation stands.
fn said(world: &mut World, name: &str, mitigation: MitigationId, state: MitigationState) {
    let receipt = Receipt {
        mitigation,
        state,
        point: Some("rpz".parse().unwrap()),
        at: world.now,
        evidence: "NXDOMAIN".to_owned(),
        packets: None,
        bytes: None,
        refusal: None,
    };
    let (signer, author, made) = (key(name), member(name), world.now);
    let sequence = world.alliance.next_sequence(&author);
    let receipts = Receipts { author, key: signer.public().id(), sequence, made, receipts: vec![receipt] };
    world.run(Command::Receipts(SignedReceipts::sign(receipts, &signer))).unwrap();
}

#[test]
fn what_became_of_a_mitigation_after_its_end_its_agent_alone_can_say() {
    use MitigationState::{Applied, Expired, Failed, Verified};
    for (last, then) in [
        (&[][..], "unreported"),
        (&[Applied], "unreported"),
        (&[Applied, Verified], "unreported"),
        (&[Applied, Failed], "failed"),
        (&[Applied, Verified, Expired], "expired"),
    ] {
        let mut world = corroborated("1.2.3.4");
        let mitigation = last_plan(&world).mitigations.into_iter().find(|m| m.member == member("dns")).unwrap();
        let now = |world: &World| {
            let shown = world.alliance.mitigations(None, Some(&member("dns")), world.now);
            shown.iter().find(|view| view.id == mitigation.id()).unwrap().now.to_string()
        };
        last.iter().for_each(|state| said(&mut world, "dns", mitigation.id(), *state));
        assert_eq!(now(&world), last.last().map_or("due", |last| last.as_str()), "{last:?}");
        world.now = mitigation.expires;
        assert_eq!(now(&world), then, "{last:?}");
        assert!(world.alliance.status(world.now).mitigations.contains_key(then), "{last:?}");
        if then != "expired" {
            said(&mut world, "dns", mitigation.id(), Expired);
            assert_eq!(now(&world), "expired", "late, and said");
        }
    }
}

#[test]
fn receipts_move_a_mitigation_and_measure_time_to_protection() {
    let mut world = corroborated("1.2.3.4");
    let plan = last_plan(&world);
    let mitigation = plan.mitigations.iter().find(|m| m.member == member("dns")).unwrap().id();
    world.now = at(11);
    for state in [MitigationState::Applied, MitigationState::Verified] {
        said(&mut world, "dns", mitigation, state);
    }
    let status = world.alliance.status(world.now);
    assert_eq!(status.mitigations.get("verified"), Some(&1));
    assert_eq!(status.protections_millis, [1_000]);
}

#[test]
fn standing_mitigations_are_renewed_before_they_end_and_unsupported_ones_are_not() {
    let mut world = corroborated("1.2.3.4");
    let first = last_plan(&world);
    world.now = first.header.made.plus(Span::hours(5));
    let followed = world.run(Command::Tick).unwrap();
    assert_eq!(followed, ["plan-proposed", "plan-in-force"], "a third of six hours is left");
    assert!(last_plan(&world).header.generation > first.header.generation);
    assert_eq!(world.run(Command::Tick).unwrap(), [""; 0], "and only once");
    world.now = first.header.made.plus(Span::days(8));
    let followed = world.run(Command::Tick).unwrap();
    assert!(!followed.contains(&"plan-proposed"), "{followed:?}");
}

#[test]
fn evidence_that_faded_ends_the_finding() {
    let mut world = corroborated("1.2.3.4");
    world.now = world.now.plus(Span::days(9));
    let followed = world.run(Command::Tick).unwrap();
    assert!(followed.contains(&"findings-changed"), "{followed:?}");
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Faded));
}

#[test]
fn unapproved_plan_is_closed_in_time() {
    let mut world = corroborated("1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let target = Target::Net("1.2.3.0/24".parse().unwrap());
    let measure = Measure::new(Action::Deny, target, Scope::Border).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command).unwrap();
    let id: PlanId = last_plan(&world).id();
    world.now = world.now.plus(Span::hours(25));
    assert!(world.run(Command::Tick).unwrap().contains(&"plan-closed"));
    assert_eq!(world.alliance.plan_view(world.alliance.plan(id, None).unwrap()).state, "closed");
}

#[test]
fn finding_of_one_trusted_member_informs_and_acts_when_a_second_signs() {
    let mut world = World::new("[corroboration]\nsolo_confirmations = 3\nsolo_confirmers = 1\nsolo_survivals = 1");
    for n in 1..10 {
        world.saw("telecom", &format!("1.2.3.{n}"));
        world.now = world.now.plus(Span::minutes(1));
        world.saw(["cloud", "dns", "device"][n % 3], &format!("1.2.3.{n}"));
    }
    world.now = world.now.plus(Span::days(8));
    let followed = world.saw("telecom", "5.6.7.8");
    assert!(!followed.contains(&"plan-proposed"), "{followed:?}");
    let followed = world.saw("cloud", "5.6.7.8");
    assert!(followed.contains(&"plan-in-force"), "{followed:?}");
}

/// A person of telecom proposes to deny 1.2.3.0/24 at these members.
fn propose_net(world: &mut World, members: &[&str]) -> Result<Vec<&'static str>, model::Refusal> {
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let target = Target::Net("1.2.3.0/24".parse().unwrap());
    let measure = Measure::new(Action::Deny, target, Scope::Border).unwrap();
    let command = proposal(world, "ada@telecom", finding, measure, members);
    world.run(command)
}

pub fn withdrawn(world: &World, name: &str, after: Option<u64>) -> usize {
    let messages = world.alliance.in_force_for(&member(name), after);
    let count = |(_, message): (u64, model::StreamMessage)| match message {
        model::StreamMessage::Withdraw(withdrawals) => withdrawals.len(),
        _ => 0,
    };
    messages.into_iter().map(count).sum()
}

#[test]
fn what_persons_approved_for_a_faded_finding_is_not_withdrawn_from_whoever_reconnects() {
    let mut world = corroborated("1.2.3.4");
    world.now = world.now.plus(Span::days(9));
    world.run(Command::Tick).unwrap();
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Faded));
    propose_net(&mut world, &["dns"]).unwrap();
    let plan = last_plan(&world);
    approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap();
    approve(&mut world, &plan, "cloud", Verdict::Approve).unwrap();
    assert_eq!(withdrawn(&world, "dns", None), 0);
}

#[test]
fn what_was_withdrawn_is_withdrawn_again_from_whoever_begins_anew() {
    let mut world = corroborated("1.2.3.4");
    assert_eq!(withdrawn(&world, "dns", None), 0);
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    assert_eq!(withdrawn(&world, "dns", None), 1);
}

/// Found by the simulator: an agent that was away refused the new plan and kept what had been withdrawn.
#[test]
fn who_was_away_hears_what_was_withdrawn_before_the_plan_that_took_its_place() {
    let mut world = corroborated("1.2.3.4");
    let of_dns = |plan: &Plan| plan.mitigations.iter().find(|m| m.member == member("dns")).unwrap().id();
    let first = of_dns(&last_plan(&world));
    let heard = |world: &World, after| -> Vec<(u64, StreamMessage)> {
        let messages = world.alliance.in_force_for(&member("dns"), after).into_iter();
        messages.filter(|(_, message)| !matches!(message, StreamMessage::Keys(_))).collect()
    };
    let away_since = world.entries.len() as u64 - 1;
    let followed = world.took_back("cloud", "1.2.3.4");
    assert!(followed.contains(&"withdrawn"), "{followed:?}");
    world.now = world.now.plus(Span::minutes(1));
    assert!(world.saw("device", "1.2.3.4").contains(&"plan-in-force"));
    let second = of_dns(&last_plan(&world));
    assert_ne!(first, second);
    let messages = heard(&world, Some(away_since));
    let [(_, StreamMessage::Withdrawn(over)), (planned, StreamMessage::Part(_))] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(*over, [first], "what took its place is not named");
    let again = heard(&world, Some(*planned));
    assert!(matches!(&again[..], [(_, StreamMessage::Withdrawn(over))] if *over == [first]), "{again:?}");
    assert!(heard(&world, None).iter().any(|(_, m)| matches!(m, StreamMessage::Withdrawn(over) if *over == [first])));
}

#[test]
fn a_members_refusal_does_not_keep_a_withdrawal_from_it() {
    let mut world = corroborated("1.2.3.4");
    let mitigation = last_plan(&world).mitigations.into_iter().find(|m| m.member == member("dns")).unwrap().id();
    said(&mut world, "dns", mitigation, MitigationState::Refused);
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    let last = world.entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Withdrawn { withdrawals } => Some(withdrawals.iter().any(|w| w.member == member("dns"))),
        _ => None,
    });
    assert_eq!(last, Some(true));
}

#[test]
fn what_a_group_shares_is_proposed_within_the_group_only() {
    let mut world = World::new("[[group]]\nid = \"pair\"\nmembers = [\"telecom\", \"cloud\"]");
    for name in ["telecom", "cloud"] {
        let mut sighting = world.sighting("1.2.3.4", "handshake");
        sighting.handling.group = Some("pair".parse().unwrap());
        world.report(name, vec![sighting]).unwrap();
    }
    assert_eq!(propose_net(&mut world, &["cloud", "dns"]).unwrap_err().rule, Rule::UnknownGroup);
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let measure = Measure::deny(&"1.2.3.4".parse().unwrap()).unwrap();
    let command = proposal(&world, "ada@dns", finding, measure, &["cloud"]);
    let refused = world.alliance.handle(command, world.now).unwrap_err();
    assert_eq!(refused.rule, Rule::UnknownFinding, "whoever may not see it is not told that it is there");
    assert!(propose_net(&mut world, &["cloud"]).is_ok());
}

#[test]
fn whoever_begins_anew_is_given_the_newest_of_each_lineage_and_nothing_that_ended() {
    let mut world = corroborated("1.2.3.4");
    world.now = last_plan(&world).header.made.plus(Span::hours(5));
    world.run(Command::Tick).unwrap();
    let given = |world: &World| -> Vec<u64> {
        let messages = world.alliance.in_force_for(&member("dns"), None).into_iter();
        let part = |(_, message)| match message {
            model::StreamMessage::Part(part) => Some(part.header.generation),
            _ => None,
        };
        messages.filter_map(part).collect()
    };
    assert_eq!(given(&world), [2], "the renewal, and not what it renews");
    dispute(&mut world, "dns", Ground::FalsePositive).unwrap();
    dispute(&mut world, "device", Ground::FalsePositive).unwrap();
    assert_eq!(given(&world), [0; 0], "nothing that was withdrawn");
}

#[test]
fn a_plan_approved_after_a_newer_one_of_its_lineage_does_not_take_its_place() {
    let mut world = corroborated("1.2.3.4");
    // Before the renewal is made somebody proposes more; it is approved after.
    let made = last_plan(&world).header.made;
    world.now = made.plus(Span::minutes(210));
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let measure = Measure::deny(&"1.2.3.4".parse().unwrap()).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command).unwrap();
    let proposed = last_plan(&world);
    world.now = made.plus(Span::minutes(245));
    world.run(Command::Tick).unwrap();
    let renewal = last_plan(&world);
    assert!(renewal.header.generation > proposed.header.generation);
    approve(&mut world, &proposed, "telecom", Verdict::Approve).unwrap();
    assert!(approve(&mut world, &proposed, "cloud", Verdict::Approve).unwrap().contains(&"plan-in-force"));
    let messages = world.alliance.in_force_for(&member("dns"), None).into_iter();
    let part = |(_, message)| match message {
        model::StreamMessage::Part(part) => Some(part.header.generation),
        _ => None,
    };
    assert_eq!(messages.filter_map(part).collect::<Vec<u64>>(), [renewal.header.generation]);
}

#[test]
fn who_reports_one_page_of_a_guarded_host_is_not_at_fault() {
    let weight = |observable: &str| {
        let mut world = World::new("[guards]\nnever = [\"famous.org\"]");
        world.saw("telecom", observable);
        world.alliance.members(world.now).iter().find(|m| m.id == member("telecom")).unwrap().weight
    };
    assert_eq!(weight("http://famous.org/a/page"), weight("elsewhere.org"));
    assert!(weight("famous.org") < weight("elsewhere.org"));
    assert!(weight("http://famous.org/") < weight("elsewhere.org"));
}

#[test]
fn one_page_of_a_guarded_host_is_held_back_as_the_host_is() {
    let mut world = World::new("[guards]\nnever = [\"famous.org\"]");
    world.saw("telecom", "http://famous.org/a/page");
    world.saw("cloud", "http://famous.org/a/page");
    assert_ne!(world.state("http://famous.org/a/page"), Some(FindingState::Corroborated));
    assert_eq!(world.alliance.status(world.now).refusals.get("guard_never"), Some(&1));
}

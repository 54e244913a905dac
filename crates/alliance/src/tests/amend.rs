//! What a new charter ends, what persons' plans and machines' plans have to do with each other, and proposals that
//! count once.

use super::flow::{approve, corroborated, last_plan, proposal};
use super::{World, at, charter_text, key, member};
use crate::{Command, Event};
use charter::{Charter, SignedCharter};
use model::{
    Action, FindingState, Measure, MitigationState, Refusal, Rule, Scope, Span, StreamMessage, Target, Verdict,
    Withdrawal,
};

/// The next charter, with these changes, signed by three of five.
pub fn amend(world: &mut World, changes: &[(&str, &str)]) -> Result<Vec<&'static str>, Refusal> {
    amend_by(world, changes, &["telecom", "cloud", "dns"])
}

/// The next charter, with these changes, signed by these.
pub fn amend_by(world: &mut World, changes: &[(&str, &str)], by: &[&str]) -> Result<Vec<&'static str>, Refusal> {
    let before = world.alliance.signed_charter().unwrap();
    let version = world.alliance.charter().unwrap().alliance.version;
    let previous = format!("version = {}\nprevious = \"{}\"", version + 1, before.digest());
    let mut text = before
        .text
        .lines()
        .filter(|line| !line.starts_with("previous"))
        .fold(String::new(), |text, line| text + line + "\n");
    text = text.replacen(&format!("version = {version}"), &previous, 1);
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Charter::parse(&text)?;
    let consent = |name: &&str| SignedCharter::consent(&text, &member(name), &key(name)).unwrap();
    let consents = by.iter().map(consent).collect();
    world.run(Command::AdoptCharter(Box::new(SignedCharter::new(text, consents))))
}

fn withdrawn(world: &World) -> Vec<Withdrawal> {
    let entries = world.entries.iter().filter_map(|entry| match &entry.event {
        Event::Withdrawn { withdrawals } => Some(withdrawals.clone()),
        _ => None,
    });
    entries.flatten().collect()
}

/// Somebody's own `[[member]]` block of the charter, with its roles changed.
fn without(name: &str, word: &str) -> (String, String) {
    let text = charter_text("");
    let start = text.find(&format!("[[member]]\nid = \"{name}\"")).unwrap();
    let end = text[start + 1..].find("[[member]]").map_or(text.len(), |at| start + 1 + at);
    let block = text[start..end].to_owned();
    let changed = block.replacen(word, "", 1);
    assert_ne!(block, changed);
    (block, changed)
}

#[test]
fn what_a_new_charter_never_blocks_is_withdrawn_at_once_and_the_finding_is_guarded() {
    for entry in ["1.2.3.4", "1.2.3.0/24"] {
        let mut world = corroborated("1.2.3.4");
        world.now = at(60);
        let hub_key = key("hub").public();
        let hub = format!("hub_key = \"{hub_key}\"\n");
        let followed = amend(&mut world, &[(&hub, &format!("{hub}[guards]\nnever = [\"{entry}\"]\n"))]).unwrap();
        assert_eq!(followed[..2], ["charter-adopted", "withdrawn"], "{followed:?}");
        assert_eq!(withdrawn(&world).len(), 5, "from everybody");
        assert!(withdrawn(&world)[0].reason.contains("guard_never"), "{:?}", withdrawn(&world)[0]);
        assert_eq!(world.state("1.2.3.4"), Some(FindingState::Guarded), "and nobody is blamed for having reported it");
        assert!(!world.alliance.in_force_for(&member("dns"), None).iter().any(is_part));
    }
}

fn is_part((_, message): &(u64, StreamMessage)) -> bool {
    matches!(message, StreamMessage::Part(_))
}

#[test]
fn a_charter_that_changes_nothing_about_it_withdraws_nothing() {
    let mut world = corroborated("1.2.3.4");
    assert_eq!(amend(&mut world, &[]).unwrap(), ["charter-adopted"]);
    assert!(world.alliance.in_force_for(&member("dns"), None).iter().any(is_part));
}

#[test]
fn a_member_that_leaves_is_suspended_or_cannot_any_more_is_relieved_at_once_and_the_others_are_not() {
    let (all, incapable) = without("newcomer", "\"dns-filter\", \"packet-filter\"");
    let (_, roleless) = without("newcomer", ", \"operator\"");
    let suspended = all.replacen("probation", "suspended", 1);
    for (changed, rule) in [
        (String::new(), "unknown_member"),
        (suspended, "member_suspended"),
        (roleless, "role_missing"),
        (incapable, "capability_missing"),
    ] {
        let mut world = corroborated("1.2.3.4");
        amend(&mut world, &[(&all, &changed)]).unwrap();
        let withdrawn = withdrawn(&world);
        assert_eq!(withdrawn.len(), 1, "{rule}: {withdrawn:?}");
        assert_eq!((&withdrawn[0].member, withdrawn[0].reason.contains(rule)), (&member("newcomer"), true));
    }
}

#[test]
fn evidence_of_a_member_that_was_suspended_carries_nothing_any_more() {
    let mut world = corroborated("1.2.3.4");
    let (all, _) = without("telecom", "vetted");
    let suspended = all.replacen("\"vetted\"", "\"suspended\"", 1);
    let followed = amend(&mut world, &[(&all, &suspended)]).unwrap();
    assert!(followed.contains(&"findings-changed") && followed.contains(&"withdrawn"), "{followed:?}");
    assert_eq!(world.state("1.2.3.4"), Some(FindingState::Faded));
    assert!(!world.alliance.in_force_for(&member("dns"), None).iter().any(is_part));
}

/// A finding about one address, in force everywhere, and a person's plan for its network at dns.
pub fn address_and_network() -> (World, u64) {
    let mut world = corroborated("1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let target = Target::Net("1.2.3.0/24".parse().unwrap());
    let measure = Measure::new(Action::Deny, target, Scope::Border).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command).unwrap();
    let plan = last_plan(&world);
    approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap();
    approve(&mut world, &plan, "cloud", Verdict::Approve).unwrap();
    (world, plan.header.generation)
}

fn given(world: &World, name: &str) -> Vec<u64> {
    let messages = world.alliance.in_force_for(&member(name), None).into_iter();
    let part = |(_, message)| match message {
        StreamMessage::Part(part) => Some(part.header.generation),
        _ => None,
    };
    messages.filter_map(part).collect()
}

#[test]
fn a_persons_network_and_a_machines_address_are_two_lineages() {
    let (mut world, of_persons) = address_and_network();
    assert_eq!(given(&world, "dns"), [1, of_persons], "both stand beside each other");
    world.now = world.now.plus(Span::minutes(250));
    world.run(Command::Tick).unwrap();
    let renewed = last_plan(&world);
    let renewed_for_dns = renewed.mitigations.iter().find(|m| m.member == member("dns")).unwrap();
    assert_eq!(renewed_for_dns.measure.target().kind(), "host", "the address is renewed as an address");
}

#[test]
fn a_revoked_finding_ends_the_machines_address_and_the_persons_network() {
    let (mut world, _) = address_and_network();
    super::flow::dispute(&mut world, "dns", model::Ground::FalsePositive).unwrap();
    super::flow::dispute(&mut world, "device", model::Ground::FalsePositive).unwrap();
    assert_eq!(given(&world, "dns"), [0; 0]);
}

#[test]
fn a_fresh_report_of_a_faded_finding_does_not_end_what_persons_approved_since() {
    let mut world = corroborated("1.2.3.4");
    world.now = world.now.plus(Span::days(9));
    world.run(Command::Tick).unwrap();
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let target = Target::Net("1.2.3.0/24".parse().unwrap());
    let measure = Measure::new(Action::Deny, target, Scope::Border).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command).unwrap();
    let plan = last_plan(&world);
    approve(&mut world, &plan, "telecom", Verdict::Approve).unwrap();
    approve(&mut world, &plan, "cloud", Verdict::Approve).unwrap();
    let followed = world.saw("newcomer", "1.2.3.4");
    assert!(!followed.contains(&"withdrawn"), "{followed:?}");
    assert_eq!(given(&world, "dns"), [plan.header.generation]);
}

#[test]
fn a_proposal_counts_once_and_within_its_time() {
    let mut world = corroborated("1.2.3.4");
    let finding = world.alliance.findings(None, None, None, 1)[0].id;
    let target = Target::Net("1.2.3.0/24".parse().unwrap());
    let measure = Measure::new(Action::Deny, target, Scope::Border).unwrap();
    let command = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    world.run(command.clone()).unwrap();
    world.now = world.now.plus(Span::minutes(1));
    assert_eq!(world.run(command.clone()).unwrap_err().rule, Rule::ProposalReplayed, "a second time");
    let restored = crate::Alliance::restore(crate::Setup { seed: [7; 16] }, &[], &world.alliance.snapshot()).unwrap();
    assert_eq!(restored.handle(command.clone(), world.now).unwrap_err().rule, Rule::ProposalReplayed, "after a start");
    world.now = world.now.plus(Span::hours(2));
    assert_eq!(world.run(command).unwrap_err().rule, Rule::ProposalReplayed, "too late");
    let measure = Measure::deny(&"1.2.3.4".parse().unwrap()).unwrap();
    let early = proposal(&world, "ada@telecom", finding, measure, &["dns"]);
    let before = world.now.minus(Span::minutes(6));
    assert_eq!(world.alliance.handle(early, before).unwrap_err().rule, Rule::ProposalReplayed, "from the future");
}

#[test]
fn what_was_withdrawn_before_its_agent_took_it_up_is_not_shown_as_due() {
    let mut world = corroborated("1.2.3.4");
    super::flow::dispute(&mut world, "dns", model::Ground::FalsePositive).unwrap();
    super::flow::dispute(&mut world, "device", model::Ground::FalsePositive).unwrap();
    let shown = world.alliance.mitigations(None, Some(&member("dns")), world.now);
    assert_eq!(shown.iter().map(|view| view.now).collect::<Vec<_>>(), [MitigationState::Withdrawn.into()]);
    assert_eq!(world.alliance.status(world.now).mitigations.get("due"), None);
}

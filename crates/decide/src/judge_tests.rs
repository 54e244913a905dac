//! The agent's judgement: what it accepts, what it asks, and that no change by a hub makes it accept.

use super::*;
use crate::check::{CheckContext, is_refused};
use crate::orders::OrderRule;
use crate::plan::assemble::Assembly;
use crate::propose::{Draft, propose};
use crate::testing::World;
use model::{Action, Behaviour, Domain, Family, Inverse, Observable, Plan, Scope, Span, Target, Verdict};
use proptest::prelude::*;

fn automatic(world: &World, observables: &[&str]) -> Plan {
    let finding = |text: &&str| world.finding(&text.parse().unwrap(), Behaviour::Bruteforce);
    let findings: Vec<_> = observables.iter().map(finding).collect();
    world.plan(&findings).plans.remove(0)
}

fn part(plan: &Plan, member: &str) -> PlanPart {
    plan.parts(&[]).remove(&member.parse::<MemberId>().unwrap()).unwrap()
}

/// A person's plan for one member, with these approvals.
fn proposed(world: &World, measure: Measure, members: &[&str], approving: &[&str]) -> PlanPart {
    let finding = world.finding(&"60.0.0.1".parse().unwrap(), Behaviour::Bruteforce);
    let draft = Draft {
        person: "ada@cloud".parse().unwrap(),
        finding: &finding,
        evidence: Vec::new(),
        measure,
        members: members.iter().map(|m| m.parse().unwrap()).collect(),
        lasts: Span::hours(2),
        reason: "a drill".to_owned(),
    };
    let trust_alone = BTreeMap::new();
    let context = CheckContext {
        charter: &world.charter,
        guards: &world.guards,
        trust_alone: &trust_alone,
        head: None,
        now: world.now,
    };
    let (plan, _) = propose(&draft, &context).unwrap();
    let approvals: Vec<_> = approving.iter().map(|p| world.approval(&plan.header, p, Verdict::Approve)).collect();
    plan.parts(&approvals).remove(&members[0].parse::<MemberId>().unwrap()).unwrap()
}

fn deny(target: &str, scope: Scope) -> Measure {
    let target = match target.parse().unwrap() {
        Observable::Address(address) => Target::Host(address),
        other => Target::protecting_from(&other),
    };
    Measure::new(Action::Deny, target, scope).unwrap()
}

fn answer(world: &World, part: &PlanPart) -> Answer {
    world.judge("telecom", part).remove(0).answer
}

fn refused_by(answer: &Answer) -> Option<Rule> {
    match answer {
        Answer::Refuse(refusal) => Some(refusal.rule),
        _ => None,
    }
}

#[test]
fn what_two_members_signed_is_accepted() {
    let world = World::new();
    let plan = automatic(&world, &["60.0.0.1", "evil-host.com", "2600::1"]);
    let judged = world.judge("telecom", &part(&plan, "telecom"));
    assert_eq!(judged.len(), 3);
    assert!(judged.iter().all(|j| j.answer == Answer::Accept), "{judged:?}");
    let json = serde_json::to_vec(&part(&plan, "telecom")).unwrap();
    assert_eq!(world.judge("telecom", &read_part(&json).unwrap()), judged, "the same over the wire");
}

#[test]
fn a_quorums_plan_waits_for_a_person_here_and_is_refused_without_its_approvals() {
    let world = World::new();
    let measure = || deny("60.0.0.0/24", Scope::Border);
    let with = |approving: &[&str]| answer(&world, &proposed(&world, measure(), &["telecom"], approving));
    assert!(matches!(with(&["ada@cloud", "ada@bank"]), Answer::Ask { .. }));
    assert_eq!(refused_by(&with(&["ada@cloud", "bob@cloud"])), Some(Rule::ApprovalMissing));
    assert_eq!(refused_by(&with(&["ada@cloud", "ada@watcher"])), Some(Rule::RoleMissing));
}

#[test]
fn an_owners_plan_needs_two_of_the_owners_own_persons() {
    let world = World::new();
    let measure = || deny("31.1.2.3", Scope::ProtectOwn);
    let with = |approving: &[&str]| answer(&world, &proposed(&world, measure(), &["telecom"], approving));
    assert!(matches!(with(&["ada@telecom", "bob@telecom"]), Answer::Ask { .. }));
    assert_eq!(refused_by(&with(&["ada@telecom"])), Some(Rule::ApprovalMissing));
    assert_eq!(refused_by(&with(&["ada@telecom", "ada@cloud"])), Some(Rule::OnlyOwnAssets));
}

#[test]
fn the_members_own_allow_list_wins() {
    let world = World::new();
    let plan = automatic(&world, &["60.0.0.1", "60.0.0.2"]);
    let allowed: Vec<Observable> = vec!["60.0.0.0/31".parse().unwrap()];
    let judged = world.judge_as(
        "telecom",
        &part(&plan, "telecom"),
        &StandingOrders::default(),
        &AllowList::new(&allowed),
        &BTreeMap::new(),
    );
    let mut rules: Vec<Option<Rule>> = judged.iter().map(|j| refused_by(&j.answer)).collect();
    rules.sort();
    assert_eq!(rules, [None, Some(Rule::OwnAllowList)]);
}

#[test]
fn an_older_generation_is_refused_and_the_same_one_is_not() {
    let world = World::new();
    let part = part(&automatic(&world, &["60.0.0.1"]), "telecom");
    let judged = |last: u64| {
        let generations = BTreeMap::from([(part.items[0].mitigation.lineage(), last)]);
        let orders = StandingOrders::default();
        world.judge_as("telecom", &part, &orders, &AllowList::default(), &generations).remove(0).answer
    };
    assert_eq!(judged(1), Answer::Accept);
    assert_eq!(refused_by(&judged(2)), Some(Rule::OldGeneration));
}

fn ordered(world: &World, part: &PlanPart, orders: &StandingOrders) -> Vec<Answer> {
    let judged = world.judge_as("telecom", part, orders, &AllowList::default(), &BTreeMap::new());
    judged.into_iter().map(|j| j.answer).collect()
}

#[test]
fn standing_orders_decide_in_order_and_a_refusal_beats_them_all() {
    let world = World::new();
    let part = part(&automatic(&world, &["60.0.0.1"]), "telecom");
    let orders: StandingOrders = toml::from_str(
        "[[rule]]\nthen = \"ask\"\ntarget = \"host\"\n[[rule]]\nthen = \"accept\"\nclass = \"automatic\"\n",
    )
    .unwrap();
    assert!(matches!(&ordered(&world, &part, &orders)[0], Answer::Ask { why } if why == "standing order 1"));
    let mut refusing = orders.clone();
    refusing.rules.push(OrderRule { point: Some("edge".parse().unwrap()), ..OrderRule::any(Then::Refuse) });
    assert_eq!(refused_by(&ordered(&world, &part, &refusing)[0]), Some(Rule::StandingOrder));
    let mut elsewhere = orders;
    elsewhere.rules = vec![
        OrderRule { point: Some("core".parse().unwrap()), ..OrderRule::any(Then::Refuse) },
        OrderRule { family: Some(Family::Destination), ..OrderRule::any(Then::Refuse) },
        OrderRule { wider_than_v4: Some(32), ..OrderRule::any(Then::Refuse) },
    ];
    assert_eq!(ordered(&world, &part, &elsewhere), [Answer::Accept]);
}

#[test]
fn an_order_about_width_matches_networks_that_are_wider() {
    let world = World::new();
    let part = proposed(&world, deny("60.0.0.0/24", Scope::Border), &["telecom"], &["ada@cloud", "ada@bank"]);
    let with = |rule: OrderRule| {
        let orders = StandingOrders { rules: vec![rule, OrderRule::any(Then::Accept)], ..StandingOrders::default() };
        ordered(&world, &part, &orders).remove(0)
    };
    let wider = |length| with(OrderRule { wider_than_v4: Some(length), ..OrderRule::any(Then::Refuse) });
    assert_eq!(refused_by(&wider(25)), Some(Rule::StandingOrder));
    assert_eq!(wider(24), Answer::Accept);
    assert_eq!(with(OrderRule { wider_than_v6: Some(64), ..OrderRule::any(Then::Refuse) }), Answer::Accept);
}

#[test]
fn an_owner_who_trusts_a_member_alone_accepts_its_single_evidence() {
    let world = World::new();
    let mut part = part(&automatic(&world, &["60.0.0.1"]), "telecom");
    part.evidence.values_mut().for_each(|pieces| pieces.retain(|p| p.header.author.as_str() == "cloud"));
    let trusting = |whom: &str| StandingOrders {
        trust_alone: BTreeSet::from([whom.parse().unwrap()]),
        ..StandingOrders::default()
    };
    assert_eq!(ordered(&world, &part, &trusting("cloud")), [Answer::Accept]);
    for orders in [StandingOrders::default(), trusting("bank")] {
        assert_eq!(refused_by(&ordered(&world, &part, &orders)[0]), Some(Rule::EvidenceMissing));
    }
}

#[test]
fn no_more_and_nothing_longer_is_accepted_than_the_owner_said() {
    let world = World::new();
    let part = part(&automatic(&world, &["60.0.0.1", "60.0.0.2", "60.0.0.3"]), "telecom");
    let few = StandingOrders { max_in_force: 2, ..StandingOrders::default() };
    let accepted = ordered(&world, &part, &few).iter().filter(|a| **a == Answer::Accept).count();
    assert_eq!(accepted, 2);
    let short = StandingOrders { longest: Span::minutes(5), ..StandingOrders::default() };
    assert!(ordered(&world, &part, &short).iter().all(|a| refused_by(a) == Some(Rule::StandingOrder)));
}

#[test]
fn unknown_keys_in_standing_orders_are_refused_by_name() {
    let error = toml::from_str::<StandingOrders>("max_inforce = 3").unwrap_err().to_string();
    assert!(error.contains("max_inforce"), "{error}");
    assert!(toml::from_str::<StandingOrders>("[[rule]]\nthen = \"attack\"").is_err());
}

#[test]
fn bad_bytes_are_refused_and_do_not_panic() {
    for bytes in [&b""[..], b"{}", b"[1", b"\xff\xfe", b"null", b"{\"header\":1}"] {
        assert_eq!(read_part(bytes).unwrap_err().rule, Rule::Malformed);
    }
}

/// One field of a mitigation, changed as a hub could.
#[derive(Clone, Debug)]
enum Change {
    Member(&'static str),
    Observable(u8),
    Family,
    Finding(u8),
    Generation(u64),
    Redirected,
    Limited(u64),
    Narrower(u8),
    Wider(u8),
    Scope,
    Longer(u32),
    Ended(u32),
    Inverse(Inverse),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        prop::sample::select(vec!["cloud", "bank", "newcomer", "watcher", "nobody"]).prop_map(Change::Member),
        any::<u8>().prop_map(Change::Observable),
        Just(Change::Family),
        any::<u8>().prop_map(Change::Finding),
        (2u64..1_000).prop_map(Change::Generation),
        Just(Change::Redirected),
        (1_000u64..1 << 40).prop_map(Change::Limited),
        (0u8..2).prop_map(Change::Narrower),
        (24u8..32).prop_map(Change::Wider),
        Just(Change::Scope),
        (1u32..u32::MAX).prop_map(Change::Longer),
        (0u32..u32::MAX).prop_map(Change::Ended),
        prop::sample::select(vec![Inverse::Nothing, Inverse::Release, Inverse::Correct]).prop_map(Change::Inverse),
    ]
}

fn host(last: u8) -> Observable {
    Observable::Address(std::net::Ipv4Addr::new(61, 0, 0, last).into())
}

/// The changed mitigation.
fn changed(world: &World, mut m: Mitigation, change: &Change) -> Mitigation {
    match change {
        Change::Member(name) => m.member = name.parse().unwrap(),
        Change::Observable(n) => m.observable = host(*n),
        Change::Family => m.family = Family::Destination,
        Change::Finding(n) => m.finding = model::finding_id(&host(*n), Family::Source),
        Change::Generation(n) => m.generation = *n,
        Change::Redirected => {
            let to: Domain = "sinkhole.telecom-own.net".parse().unwrap();
            let name: Domain = "evil-host.com".parse().unwrap();
            m.measure = Measure::new(Action::Redirect { to }, Target::DomainName(name), Scope::Border).unwrap();
        }
        Change::Limited(bits_per_second) => {
            let action = Action::Limit { bits_per_second: *bits_per_second };
            m.measure = Measure::new(action, Target::protecting_from(&host(9)), Scope::Border).unwrap();
        }
        Change::Narrower(n) => m.measure = Measure::deny(&host(*n)).unwrap(),
        Change::Wider(length) => {
            let net = model::Prefix::new(std::net::Ipv4Addr::new(60, 0, 0, 0).into(), *length).unwrap();
            m.measure = Measure::new(Action::Deny, Target::Net(net), Scope::Border).unwrap();
        }
        Change::Scope => m.measure = deny("60.0.0.1", Scope::ProtectOwn),
        Change::Longer(ms) => m.expires = world.now.plus(Span::millis(86_400_000 + i64::from(*ms))),
        Change::Ended(ms) => m.expires = world.now.minus(Span::millis(i64::from(*ms))),
        Change::Inverse(inverse) => m.inverse = *inverse,
    }
    m
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// With the digest taken again, as a hostile hub would.
    #[test]
    fn a_plan_that_was_changed_in_one_field_is_never_accepted(change in change(), again: bool) {
        let world = World::new();
        let plan = automatic(&world, &["60.0.0.1"]);
        let mut part = part(&plan, "telecom");
        let mitigation = changed(&world, part.items[0].mitigation.clone(), &change);
        if again {
            let assembly = Assembly {
                charter: &world.charter,
                parent: plan.header.parent,
                generation: plan.header.generation,
                class: plan.header.class,
                made: plan.header.made,
                reasons: plan.header.reasons.clone(),
            };
            let mut evidence = plan.evidence.clone();
            if let Some(pieces) = evidence.remove(&plan.mitigations[0].finding) {
                evidence.insert(mitigation.finding, pieces);
            }
            let rebuilt = assembly.plan(vec![mitigation.clone()], evidence);
            let trust_alone = BTreeMap::new();
            let context = CheckContext {
                charter: &world.charter,
                guards: &world.guards,
                trust_alone: &trust_alone,
                head: None,
                now: world.now,
            };
            // A plan for another operator is sound for that one; everything else the checker itself refuses.
            let sound_elsewhere = matches!(change, Change::Member("cloud" | "bank" | "newcomer"));
            prop_assert_eq!(is_refused(&crate::check::check(&rebuilt, &context)), !sound_elsewhere, "{:?}", change);
            part = rebuilt.parts(&[]).remove(&mitigation.member).unwrap();
        } else {
            part.items[0].mitigation = mitigation;
        }
        let answer = answer(&world, &part);
        prop_assert!(matches!(answer, Answer::Refuse(_)), "{:?}: {:?}", change, answer);
    }
}

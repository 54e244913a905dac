//! The planner: what it plans, what it leaves out, and that the checker never finds a fault.

use super::*;
use crate::check::{CheckContext, Head, check};
use crate::testing::World;
use model::{Behaviour, Grade, Observable};
use proptest::prelude::*;

/// An input that can be changed before it is planned.
struct Table {
    world: World,
    findings: Vec<Finding>,
    in_force: BTreeMap<Lineage, InForce>,
    trust_alone: BTreeMap<MemberId, BTreeSet<MemberId>>,
    relevance: BTreeMap<MemberId, f64>,
    witnesses: Vec<&'static str>,
}

impl Table {
    fn new(observables: &[&str]) -> Self {
        let world = World::new();
        let finding = |text: &&str| world.finding(&text.parse().unwrap(), Behaviour::Bruteforce);
        Self {
            findings: observables.iter().map(finding).collect(),
            world,
            in_force: BTreeMap::new(),
            trust_alone: BTreeMap::new(),
            relevance: BTreeMap::new(),
            witnesses: vec!["telecom", "cloud"],
        }
    }

    fn room_taken(&self) -> BTreeMap<MemberId, usize> {
        let mut taken = BTreeMap::new();
        for (lineage, _) in self.in_force.iter().filter(|(_, force)| force.expires > self.world.now) {
            *taken.entry(lineage.member.clone()).or_default() += 1;
        }
        taken
    }

    /// Plans, and panics on any fault that the checker finds.
    fn plan(&self) -> Planned {
        let evidence = |finding: &Finding| {
            let sighting = self.world.sighting(&finding.observable, Behaviour::Bruteforce);
            self.witnesses.iter().map(|member| self.world.evidence(member, &sighting)).collect()
        };
        self.plan_with(evidence)
    }

    fn plan_with(&self, evidence: impl Fn(&Finding) -> Vec<Evidence>) -> Planned {
        let candidate = |finding| Candidate { finding, evidence: evidence(finding), relevance: self.relevance.clone() };
        let candidates: Vec<Candidate<'_>> = self.findings.iter().map(candidate).collect();
        let planned = plan(&Input {
            charter: &self.world.charter,
            guards: &self.world.guards,
            candidates: &candidates,
            in_force: &self.in_force,
            room_taken: &self.room_taken(),
            trust_alone: &self.trust_alone,
            parent: None,
            generation: 1,
            now: self.world.now,
        });
        let mut head = Head::default();
        for plan in &planned.plans {
            let context = CheckContext {
                charter: &self.world.charter,
                guards: &self.world.guards,
                trust_alone: &self.trust_alone,
                head: Some(head),
                now: self.world.now,
            };
            // A notice is for the persons who approve; it keeps no plan back.
            let mut faults = check(plan, &context);
            faults.retain(|fault| fault.severity == crate::Severity::Refused);
            assert_eq!(faults, [], "the checker finds fault with the planner");
            head = Head { plan: Some(plan.id()), generation: plan.header.generation };
        }
        planned
    }

    fn refusals(&self) -> Vec<Rule> {
        let planned = self.plan();
        assert!(planned.plans.is_empty(), "{:?}", planned.plans);
        planned.skipped.into_iter().map(|skipped| skipped.refusal.rule).collect()
    }

    fn force(&mut self, member: &str, since: Span, expires: Span) {
        let lineage = self.world.lineage(member, &self.findings[0]);
        let (since, expires) = (self.world.now.minus(since), self.world.now.plus(expires));
        self.in_force.insert(lineage, InForce { generation: 1, since, expires });
    }
}

fn members(plan: &Plan) -> Vec<&str> {
    plan.mitigations.iter().map(|m| m.member.as_str()).collect()
}

#[test]
fn many_findings_become_one_automatic_plan_for_every_operator() {
    let planned = Table::new(&["60.0.0.1", "60.0.0.2", "evil-host.com", "http://evil-host.com/x"]).plan();
    assert_eq!((planned.plans.len(), planned.skipped.len()), (1, 0));
    let plan = &planned.plans[0];
    assert_eq!(plan.header.class, Class::Automatic);
    assert_eq!(plan.header.blast_radius.members, 6, "all operators, the newcomer too, and no observer");
    assert_eq!(plan.header.count, 24);
    assert_eq!((plan.header.blast_radius.names, plan.header.blast_radius.widest_v4_addresses), (1, 1));
    assert_eq!(plan.evidence.len(), 4);
}

#[test]
fn a_network_waits_for_a_quorum_in_a_plan_of_its_own() {
    let planned = Table::new(&["60.0.0.1", "60.0.1.0/24"]).plan();
    let classes: Vec<Class> = planned.plans.iter().map(|plan| plan.header.class).collect();
    assert_eq!(classes, [Class::Automatic, Class::Quorum]);
    assert_eq!(planned.plans[1].header.parent, Some(planned.plans[0].id()));
    assert_eq!(planned.plans[1].header.generation, 2);
    assert!(planned.plans[1].mitigations.iter().all(|m| m.generation == 2));
    assert_eq!(planned.plans[1].header.blast_radius.widest_v4_addresses, 256);
}

#[test]
fn ipv6_is_acted_upon_by_64_and_a_wide_prefix_not_at_all() {
    let planned = Table::new(&["2600::1"]).plan();
    assert_eq!(planned.plans[0].mitigations[0].measure.target().to_string(), "2600::/64");
    assert_eq!(Table::new(&["60.0.0.0/16"]).refusals(), [Rule::TargetTooWide]);
}

#[test]
fn a_member_without_the_capability_or_the_role_is_not_asked() {
    let mut table = Table::new(&["evil-host.com"]);
    table.world = World::with(|charter| {
        charter.members[0].capabilities = BTreeSet::from([model::Capability::PacketFilter]);
        charter.members[1].roles = BTreeSet::from([Role::Reporter]);
        charter.members[2].standing = model::Standing::Suspended;
    });
    table.witnesses = vec!["telecom", "cloud"];
    assert_eq!(members(&table.plan().plans[0]), ["hosting", "newcomer", "vendor"]);
}

#[test]
fn only_the_group_that_may_see_a_finding_acts_on_it() {
    let mut table = Table::new(&["60.0.0.1"]);
    table.world = World::with(|charter| {
        let members = ["bank", "cloud"].map(|m| m.parse().unwrap()).into_iter().collect();
        charter.groups.push(charter::Group { id: "inner".parse().unwrap(), members });
    });
    table.findings[0].handling.group = Some("inner".parse().unwrap());
    assert_eq!(members(&table.plan().plans[0]), ["bank", "cloud"]);
}

#[test]
fn guards_come_before_every_plan() {
    for (observable, rule) in [
        ("9.9.9.9", Rule::GuardNever),
        ("9.9.9.0/24", Rule::GuardNever),
        ("44.4.4.4", Rule::GuardNever),
        ("login.bigbank.com", Rule::GuardNever),
        ("co.uk", Rule::GuardNever),
        ("31.2.0.1", Rule::MemberSpace),
        ("mail.cloud-own.net", Rule::MemberSpace),
        ("20.1.2.3", Rule::GuardCaution),
    ] {
        assert_eq!(Table::new(&[observable]).refusals(), [rule], "{observable}");
    }
}

#[test]
fn a_shared_cloud_needs_points_and_witnesses_and_is_protected_from_briefly() {
    let mut table = Table::new(&["20.1.2.3"]);
    table.findings[0].sum.total = 6.5;
    table.findings[0].sum.threshold = 6.0;
    assert_eq!(table.refusals(), [Rule::GuardCaution], "two witnesses");
    table.witnesses = vec!["telecom", "cloud", "bank", "vendor"];
    let planned = table.plan();
    let longest = table.world.now.plus(Span::hours(1));
    assert!(planned.plans[0].mitigations.iter().all(|m| m.expires == longest));
}

#[test]
fn what_is_not_corroborated_is_not_planned() {
    for (state, actionable, rule) in [
        (FindingState::Observed, true, Rule::NotCorroborated),
        (FindingState::Guarded, true, Rule::NotCorroborated),
        (FindingState::Faded, true, Rule::NotCorroborated),
        (FindingState::Corroborated, false, Rule::NotCorroborated),
        (FindingState::Revoked, true, Rule::Barred),
    ] {
        let mut table = Table::new(&["60.0.0.1"]);
        (table.findings[0].state, table.findings[0].actionable) = (state, actionable);
        assert_eq!(table.refusals(), [rule], "{state}");
    }
}

#[test]
fn evidence_that_agents_would_refuse_is_not_planned_on() {
    let table = Table::new(&["60.0.0.1"]);
    let world = &table.world;
    let rule = |witness: &str, change: &dyn Fn(&mut model::Sighting)| {
        let planned = table.plan_with(|finding| {
            let honest = world.sighting(&finding.observable, Behaviour::Bruteforce);
            let mut changed = honest.clone();
            change(&mut changed);
            vec![world.evidence("telecom", &honest), world.evidence(witness, &changed)]
        });
        assert!(planned.plans.is_empty());
        planned.skipped[0].refusal.rule
    };
    let stale = |s: &mut model::Sighting| {
        s.first = "2026-01-02T00:00:00Z".parse().unwrap();
        s.first
    };
    assert_eq!(rule("cloud", &|s| s.grade = Grade::Spoofable), Rule::EvidenceSpoofable);
    assert_eq!(rule("cloud", &|s| s.handling.unnamed = true), Rule::ActionsNotPermitted);
    assert_eq!(rule("cloud", &|s| s.handling.actions = model::Actions::AskFirst), Rule::ActionsNotPermitted);
    assert_eq!(rule("cloud", &|s| s.last = stale(s)), Rule::EvidenceStale);
    assert_eq!(rule("cloud", &|s| s.last = "2026-03-02T00:00:00Z".parse().unwrap()), Rule::ClockSkew);
    assert_eq!(rule("cloud", &|s| s.behaviour = Behaviour::C2), Rule::EvidenceMissing);
    assert_eq!(rule("newcomer", &|_| {}), Rule::EvidenceMissing);
    assert_eq!(rule("telecom", &|_| {}), Rule::EvidenceMissing);
}

#[test]
fn one_witness_is_enough_for_those_whose_owners_trust_it_alone() {
    let mut table = Table::new(&["60.0.0.1"]);
    table.witnesses = vec!["cloud"];
    assert_eq!(table.refusals(), [Rule::EvidenceMissing]);
    let trusts = |who: &str, whom: &str| (who.parse().unwrap(), BTreeSet::from([whom.parse().unwrap()]));
    table.trust_alone = BTreeMap::from([trusts("bank", "cloud"), trusts("vendor", "telecom")]);
    let planned = table.plan();
    assert_eq!(members(&planned.plans[0]), ["bank"]);
    assert_eq!(planned.skipped.len(), 5, "the others are told why not");
}

#[test]
fn a_mitigation_does_not_outlast_the_score_behind_it() {
    let expires = |total: f64| {
        let mut table = Table::new(&["60.0.0.1"]);
        table.findings[0].sum.total = total;
        table.plan().plans[0].mitigations[0].expires.since(table.world.now)
    };
    assert_eq!(expires(3.584), Span::hours(6), "the charter's default");
    assert_eq!(expires(2.0), Span::minutes(10), "at least ten minutes");
    let minutes = expires(2.02).as_millis() / 60_000;
    assert_eq!(minutes, 144, "7 d * log2(2.02 / 2.0) = 2.41 h");
}

#[test]
fn what_is_in_force_and_fresh_stays_and_what_is_due_is_renewed() {
    let mut table = Table::new(&["60.0.0.1"]);
    for member in ["telecom", "cloud", "bank", "vendor", "hosting", "newcomer"] {
        table.force(member, Span::hours(2), Span::hours(4));
    }
    assert!(table.plan().plans.is_empty());
    table.force("cloud", Span::hours(5), Span::hours(1));
    table.force("bank", Span::hours(7), Span::hours(-1));
    assert_eq!(members(&table.plan().plans[0]), ["bank", "cloud"], "less than a third left, and one that has ended");
}

#[test]
fn nothing_is_renewed_that_would_not_last_longer() {
    let mut table = Table::new(&["60.0.0.1"]);
    for member in ["telecom", "cloud", "bank", "vendor", "hosting", "newcomer"] {
        table.force(member, Span::hours(5), Span::hours(1));
    }
    table.findings[0].sum.total = 2.0;
    assert!(table.plan().plans.is_empty());
}

#[test]
fn where_room_does_not_suffice_the_least_relevant_is_left_out_and_named() {
    let mut table = Table::new(&["60.0.0.1", "60.0.0.2", "60.0.0.3"]);
    table.world = World::with(|charter| charter.limits.in_force_per_member_max = 2);
    let candidate = |finding, relevance: f64| Candidate {
        finding,
        evidence: table.world.two_witnesses(&finding.observable, Behaviour::Bruteforce),
        relevance: BTreeMap::from([("bank".parse().unwrap(), relevance)]),
    };
    let candidates: Vec<_> = table.findings.iter().zip([-1.0, -5.0, 2.0]).map(|(f, r)| candidate(f, r)).collect();
    let planned = plan(&Input {
        charter: &table.world.charter,
        guards: &table.world.guards,
        candidates: &candidates,
        in_force: &BTreeMap::new(),
        room_taken: &BTreeMap::new(),
        trust_alone: &BTreeMap::new(),
        parent: None,
        generation: 1,
        now: table.world.now,
    });
    let bank: BTreeSet<FindingId> =
        planned.plans[0].mitigations.iter().filter(|m| m.member.as_str() == "bank").map(|m| m.finding).collect();
    assert_eq!(bank, BTreeSet::from([table.findings[0].id, table.findings[2].id]));
    assert_eq!(planned.skipped.len(), 6);
    assert!(planned.skipped.iter().all(|s| s.refusal.rule == Rule::BlastRadius && s.member.is_some()));
    let reasons = planned.plans[0].header.reasons.join("\n");
    assert!(reasons.contains("bank: the 1 least relevant left out"), "{reasons}");
}

#[test]
fn what_is_in_force_takes_room() {
    let mut table = Table::new(&["60.0.0.1"]);
    table.world = World::with(|charter| charter.limits.in_force_per_member_max = 1);
    let other = table.world.finding(&"60.7.7.7".parse().unwrap(), Behaviour::Bruteforce);
    let force = InForce { generation: 1, since: table.world.now, expires: table.world.now.plus(Span::hours(6)) };
    table.in_force.insert(table.world.lineage("bank", &other), force);
    let planned = table.plan();
    assert!(!members(&planned.plans[0]).contains(&"bank"));
    assert_eq!(planned.skipped[0].member.as_ref().unwrap().as_str(), "bank");
}

#[test]
fn a_plan_holds_no_more_than_the_charter_allows() {
    let mut table = Table::new(&["60.0.0.1", "60.0.0.2"]);
    table.world = World::with(|charter| charter.limits.plan_mitigations_max = 7);
    let planned = table.plan();
    assert_eq!((planned.plans[0].header.count, planned.skipped.len()), (7, 5));
}

#[test]
fn a_header_names_no_observable() {
    let planned = Table::new(&["60.0.0.1", "evil-host.com"]).plan();
    let reasons = planned.plans[0].header.reasons.join("\n");
    assert!(!reasons.contains("60.0.0.1") && !reasons.contains("evil-host"), "{reasons}");
}

fn observable() -> impl Strategy<Value = Observable> {
    let text = prop_oneof![
        any::<[u8; 4]>().prop_map(|o| format!("{}.{}.{}.{}", o[0], o[1], o[2], o[3])),
        any::<[u8; 3]>().prop_map(|o| format!("{}.{}.{}.0/24", o[0], o[1], o[2])),
        any::<u64>().prop_map(|n| format!("2600:{:x}::{:x}", n >> 48, n & 0xffff)),
        "[a-z]{1,8}\\.(com|net|co\\.uk|github\\.io)",
        "[a-z]{1,8}\\.(cloud-own\\.net|bigbank\\.com|many-sites\\.com)",
        "[a-z]{1,4}".prop_map(|path| format!("http://many-sites.com/{path}")),
    ];
    text.prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_checker_never_finds_fault_with_the_planner_and_the_same_input_gives_the_same_plan(
        observables in prop::collection::btree_set(observable(), 1..6),
        totals in prop::collection::vec(0.1f64..9.0, 6),
        witnesses in 1usize..5,
    ) {
        let mut table = Table::new(&[]);
        table.findings = (observables.iter().zip(totals))
            .map(|(observable, total)| {
                let mut finding = table.world.finding(observable, Behaviour::Bruteforce);
                finding.sum.total = total;
                finding
            })
            .collect();
        table.witnesses = vec!["telecom", "cloud", "bank", "vendor"];
        table.witnesses.truncate(witnesses);
        let (first, second) = (table.plan(), table.plan());
        prop_assert_eq!(first.skipped, second.skipped);
        let ids = |plans: &[Plan]| plans.iter().map(Plan::id).collect::<Vec<_>>();
        prop_assert_eq!(ids(&first.plans), ids(&second.plans));
    }
}

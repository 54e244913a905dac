//! `no_mitigation_without_approved_plan`: with an honest hub an agent holds only what a plan asks for that came into
//! force by an entry which was durable before; a plan that is not automatic came into force by persons' approvals.

use super::Checker;
use crate::fact::Fact;
use alliance::{Entry, Event};
use model::{Class, MemberId, MitigationId, PlanId, Timestamp, Verdict};
use std::collections::{BTreeMap, BTreeSet};

/// How many members' persons approve a plan of class `quorum`, by the cast's charter.
const QUORUM: usize = 2;

/// Its books.
#[derive(Default)]
pub struct NoMitigationWithoutApprovedPlan {
    plans: BTreeMap<PlanId, (Class, BTreeSet<MitigationId>)>,
    in_force: BTreeSet<MitigationId>,
    /// Members whose persons signed a yes to a plan with this mitigation.
    approving: BTreeMap<MitigationId, BTreeSet<MemberId>>,
}

impl Checker for NoMitigationWithoutApprovedPlan {
    fn promise(&self) -> &'static str {
        "no_mitigation_without_approved_plan"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Approval { person, verdict: Verdict::Approve, covers, .. } => {
                for mitigation in *covers {
                    self.approving.entry(*mitigation).or_default().insert(person.member());
                }
            }
            Fact::Durable { entries, .. } => entries.iter().try_for_each(|entry| self.entry(entry))?,
            Fact::ReadBack { entries } => {
                self.plans.clear();
                self.in_force.clear();
                entries.iter().try_for_each(|entry| self.entry(entry))?;
            }
            Fact::Held { member, mitigation } if !self.in_force.contains(&mitigation.id()) => {
                return Err(format!(
                    "{member} holds {} ({}), which no durable plan in force asks for",
                    mitigation.id(),
                    mitigation.measure
                ));
            }
            _ => {}
        }
        Ok(())
    }
}

impl NoMitigationWithoutApprovedPlan {
    fn entry(&mut self, bytes: &[u8]) -> Result<(), String> {
        match Entry::from_bytes(bytes).map_err(|refusal| refusal.to_string())?.event {
            Event::PlanProposed(plan) => {
                let mitigations = plan.mitigations.iter().map(model::Mitigation::id).collect();
                self.plans.insert(plan.id(), (plan.header.class, mitigations));
            }
            Event::PlanInForce { plan, .. } => {
                let Some((class, mitigations)) = self.plans.get(&plan) else {
                    return Err(format!("{plan} came into force and was never proposed"));
                };
                if *class == Class::Quorum {
                    let unapproved = |id: &&MitigationId| self.approving.get(id).is_none_or(|by| by.len() < QUORUM);
                    if let Some(id) = mitigations.iter().find(unapproved) {
                        return Err(format!(
                            "{plan} came into force, and {id} of it was not approved by {QUORUM} members"
                        ));
                    }
                }
                self.in_force.extend(mitigations.iter().copied());
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce};
    use alliance::Author;
    use decide::testing::World;
    use model::{Behaviour, Handling, Plan, Tlp};

    fn entry(event: Event) -> Vec<u8> {
        Entry { v: 1, time: at(0), author: Author::Hub, handling: Handling::alliance(Tlp::Green), event }.to_bytes()
    }

    fn plan(class: Class) -> Plan {
        let world = World::new();
        let finding = world.finding(&"60.1.2.3".parse().unwrap(), Behaviour::Scan);
        let mut plan = world.plan(&[finding]).plans.remove(0);
        plan.header.class = class;
        plan
    }

    fn in_force(checker: &mut NoMitigationWithoutApprovedPlan, plan: &Plan) -> Result<(), String> {
        let proposed = entry(Event::PlanProposed(Box::new(plan.clone())));
        let entries = [proposed, entry(Event::PlanInForce { plan: plan.id(), digest: None })];
        checker.see(&Fact::Durable { from: 0, entries: &entries }, at(0))
    }

    #[test]
    fn what_a_durable_plan_in_force_asks_for_may_be_held_and_nothing_else() {
        let (mut checker, plan) = (NoMitigationWithoutApprovedPlan::default(), plan(Class::Automatic));
        assert!(enforce(&mut checker, &plan.mitigations[0], at(0)).is_err());
        in_force(&mut checker, &plan).unwrap();
        assert_eq!(enforce(&mut checker, &plan.mitigations[0], at(0)), Ok(()));
    }

    #[test]
    fn a_quorums_plan_in_force_by_one_member_alone_is_seen() {
        let (mut checker, plan) = (NoMitigationWithoutApprovedPlan::default(), plan(Class::Quorum));
        let covers: BTreeSet<MitigationId> = plan.mitigations.iter().map(model::Mitigation::id).collect();
        for (person, enough) in [("ada@bank", false), ("bob@bank", false), ("ada@cloud", true)] {
            let (person, verdict) = (person.parse().unwrap(), Verdict::Approve);
            let (key, until) = (crate::checkers::scene::key(), at(60));
            checker.see(&Fact::Approval { person: &person, key, verdict, covers: &covers, until }, at(0)).unwrap();
            assert_eq!(in_force(&mut checker, &plan).is_ok(), enough, "{person}");
        }
    }

    #[test]
    fn a_plan_lost_by_a_restart_is_no_plan() {
        let (mut checker, plan) = (NoMitigationWithoutApprovedPlan::default(), plan(Class::Automatic));
        in_force(&mut checker, &plan).unwrap();
        checker.see(&Fact::ReadBack { entries: &[] }, at(0)).unwrap();
        assert!(enforce(&mut checker, &plan.mitigations[0], at(0)).is_err());
    }
}

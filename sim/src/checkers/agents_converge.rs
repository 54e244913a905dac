//! `agents_converge`: when the faults are over and everything had time to settle, every honest agent holds exactly what
//! the journal says is in force for its member, but for what its own people refused; and in the end nothing is left.

use super::Checker;
use super::overlap::touches;
use crate::fact::{Fact, House};
use alliance::{Entry, Event};
use model::{FindingId, MemberId, Mitigation, MitigationId, Observable, PlanId, Span, Target, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What ends this soon may have ended already by a member's own clock.
const MARGIN: Span = Span::minutes(6);

/// Its books.
pub struct AgentsConverge {
    hostile_hub: bool,
    plans: BTreeMap<PlanId, Vec<Mitigation>>,
    /// All that came into force of a lineage since it was last withdrawn; the newest is wanted, older ones may go on
    /// until it is there.
    in_force: BTreeMap<(MemberId, FindingId, Target), Vec<Mitigation>>,
    /// The newest generation that was ever in force: agents refuse older ones.
    newest: BTreeMap<(MemberId, FindingId, Target), u64>,
    never: Vec<Observable>,
    allowed: BTreeSet<(MemberId, Observable)>,
    refused: BTreeSet<(MemberId, FindingId)>,
}

impl AgentsConverge {
    /// The checker of a run; a hostile hub's journal binds nobody.
    pub fn new(hostile_hub: bool) -> Self {
        Self {
            hostile_hub,
            plans: BTreeMap::new(),
            in_force: BTreeMap::new(),
            newest: BTreeMap::new(),
            never: Vec::new(),
            allowed: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }
}

impl Checker for AgentsConverge {
    fn promise(&self) -> &'static str {
        "agents_converge"
    }

    fn see(&mut self, fact: &Fact<'_>, now: Timestamp) -> Result<(), String> {
        match fact {
            Fact::Charter { charter, .. } => {
                self.never = charter.guards.never.iter().filter_map(|entry| entry.parse().ok()).collect();
            }
            Fact::Durable { entries, .. } => entries.iter().for_each(|entry| self.entry(entry)),
            Fact::ReadBack { entries } => {
                self.plans.clear();
                self.in_force.clear();
                self.newest.clear();
                entries.iter().for_each(|entry| self.entry(entry));
            }
            Fact::Allowed { member, observable } => {
                self.allowed.insert(((*member).clone(), (*observable).clone()));
            }
            Fact::OwnerRefused { member, finding } => drop(self.refused.insert(((*member).clone(), *finding))),
            Fact::Settled { members } if !self.hostile_hub => {
                members.iter().try_for_each(|(member, house)| self.converged(member, house, now))?;
            }
            Fact::Over { members } => {
                let left = members.iter().find(|(_, house)| !house.enforced.is_empty() || !house.wanted.is_empty());
                if let Some((member, house)) = left {
                    return Err(format!("{member} still holds {:?} and enforces {:?}", house.wanted, house.enforced));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl AgentsConverge {
    fn entry(&mut self, bytes: &[u8]) {
        let Ok(entry) = Entry::from_bytes(bytes) else { return };
        match entry.event {
            Event::PlanProposed(plan) => drop(self.plans.insert(plan.id(), plan.mitigations)),
            Event::PlanInForce { plan, .. } => {
                for mitigation in self.plans.get(&plan).into_iter().flatten() {
                    let lineage = lineage(mitigation);
                    let newest = self.newest.entry(lineage.clone()).or_default();
                    *newest = (*newest).max(mitigation.generation);
                    self.in_force.entry(lineage).or_default().push(mitigation.clone());
                }
            }
            Event::Withdrawn { withdrawals } => {
                for withdrawal in withdrawals {
                    let stays = |member: &MemberId, finding: &FindingId| {
                        *member != withdrawal.member || *finding != withdrawal.finding
                    };
                    self.in_force.retain(|(member, finding, _), _| stays(member, finding));
                }
            }
            _ => {}
        }
    }

    fn converged(&self, member: &MemberId, house: &House, now: Timestamp) -> Result<(), String> {
        if let Some(fault) = &house.forked {
            return Err(format!("{member} takes the honest hub for one with two histories: {fault}"));
        }
        if house.unsent > 0 {
            return Err(format!("{member} still has {} sightings and receipts the hub does not have", house.unsent));
        }
        let mine: Vec<&Mitigation> = self.in_force.values().flatten().filter(|m| m.member == *member).collect();
        let newest = |m: &&Mitigation| self.newest.get(&lineage(m)) == Some(&m.generation);
        for mitigation in mine.iter().copied().filter(newest).filter(|m| m.expires > now.plus(MARGIN)) {
            let id = mitigation.id();
            let held = house.wanted.contains(&id) || house.waiting.contains(&id);
            if !held && !self.is_refused(member, mitigation) {
                let about = format!("{id} ({} until {})", mitigation.measure, mitigation.expires);
                return Err(format!("{member} does not hold {about}, which is in force for it"));
            }
            if house.wanted.contains(&id) && !house.enforced.contains(mitigation.measure.target()) {
                return Err(format!("{member} holds {} and no point enforces it", mitigation.measure));
            }
        }
        self.nothing_else(member, house, &mine)
    }

    fn nothing_else(&self, member: &MemberId, house: &House, mine: &[&Mitigation]) -> Result<(), String> {
        let known: BTreeSet<MitigationId> = mine.iter().map(|m| m.id()).collect();
        if let Some(id) = house.wanted.difference(&known).next() {
            return Err(format!("{member} holds {id}, which is not in force for it"));
        }
        let targets: BTreeSet<&Target> = mine.iter().map(|m| m.measure.target()).collect();
        match house.enforced.iter().find(|target| !targets.contains(target)) {
            Some(target) => Err(format!("{member} enforces {target}, for which nothing is in force")),
            None => Ok(()),
        }
    }

    fn is_refused(&self, member: &MemberId, mitigation: &Mitigation) -> bool {
        let touched = [mitigation.measure.target().observable(), mitigation.observable.clone()];
        let allowed = self.allowed.iter().filter(|(who, _)| who == member).map(|(_, entry)| entry);
        let mut exempt = allowed.chain(&self.never);
        self.refused.contains(&(member.clone(), mitigation.finding))
            || exempt.any(|entry| touched.iter().any(|touched| touches(entry, touched)))
    }
}

/// In what generations count.
fn lineage(mitigation: &Mitigation) -> (MemberId, FindingId, Target) {
    (mitigation.member.clone(), mitigation.finding, mitigation.measure.target().clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, member};
    use alliance::Author;
    use decide::testing::World;
    use model::{Behaviour, Handling, Plan, Tlp, Withdrawal};

    fn entry(event: Event) -> Vec<u8> {
        Entry { v: 1, time: at(0), author: Author::Hub, handling: Handling::alliance(Tlp::Green), event }.to_bytes()
    }

    fn checker() -> (AgentsConverge, Plan, Mitigation) {
        let world = World::new();
        let plan = world.plan(&[world.finding(&"60.1.2.3".parse().unwrap(), Behaviour::Scan)]).plans.remove(0);
        let mine = plan.mitigations.iter().find(|m| m.member == member("telecom")).unwrap().clone();
        let entries = [
            entry(Event::PlanProposed(Box::new(plan.clone()))),
            entry(Event::PlanInForce { plan: plan.id(), digest: None }),
        ];
        let mut checker = AgentsConverge::new(false);
        checker.see(&Fact::Durable { from: 0, entries: &entries }, at(0)).unwrap();
        (checker, plan, mine)
    }

    fn settled(checker: &mut AgentsConverge, house: House) -> Result<(), String> {
        checker.see(&Fact::Settled { members: &BTreeMap::from([(member("telecom"), house)]) }, at(60))
    }

    fn house(mitigation: &Mitigation) -> House {
        House {
            wanted: BTreeSet::from([mitigation.id()]),
            enforced: BTreeSet::from([mitigation.measure.target().clone()]),
            ..House::default()
        }
    }

    #[test]
    fn an_agent_that_holds_what_is_in_force_is_well_and_one_that_does_not_is_seen() {
        let (mut checker, _, mine) = checker();
        assert_eq!(settled(&mut checker, house(&mine)), Ok(()));
        assert!(settled(&mut checker, House::default()).is_err(), "holds nothing");
        let unenforced = House { enforced: BTreeSet::new(), ..house(&mine) };
        assert!(settled(&mut checker, unenforced).is_err(), "enforces nothing");
        let mut more = house(&mine);
        more.enforced.insert(Target::Host("60.9.9.9".parse().unwrap()));
        assert!(settled(&mut checker, more).is_err(), "enforces more");
        assert!(settled(&mut checker, House { unsent: 1, ..house(&mine) }).is_err());
        assert!(settled(&mut checker, House { forked: Some("x".to_owned()), ..house(&mine) }).is_err());
    }

    #[test]
    fn what_was_withdrawn_is_no_longer_held() {
        let (mut checker, _, mine) = checker();
        let withdrawal =
            Withdrawal { member: mine.member.clone(), finding: mine.finding, reason: "faded".into(), made: at(9) };
        let entries = [entry(Event::Withdrawn { withdrawals: vec![withdrawal] })];
        checker.see(&Fact::Durable { from: 2, entries: &entries }, at(9)).unwrap();
        assert!(settled(&mut checker, house(&mine)).is_err());
        assert_eq!(settled(&mut checker, House::default()), Ok(()));
    }

    #[test]
    fn what_its_people_refused_need_not_be_held() {
        let (mut checker, _, mine) = checker();
        let telecom = member("telecom");
        checker.see(&Fact::OwnerRefused { member: &telecom, finding: mine.finding }, at(1)).unwrap();
        assert_eq!(settled(&mut checker, House::default()), Ok(()));
    }

    #[test]
    fn what_is_left_in_the_end_is_seen() {
        let (mut checker, _, mine) = checker();
        let members = BTreeMap::from([(member("telecom"), house(&mine))]);
        assert!(checker.see(&Fact::Over { members: &members }, at(100_000)).is_err());
    }
}

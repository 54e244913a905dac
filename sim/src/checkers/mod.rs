//! The promises, one file each. A checker keeps its own books of what it is shown and knows nothing of how the code
//! under test keeps its own.

mod acknowledged_is_durable;
mod agents_converge;
mod fork_is_found;
mod hub_cannot_make_an_agent_act;
mod journal_only_grows;
mod never_block_holds;
mod no_mitigation_without_approved_plan;
mod no_revoked_key_moves_an_agent;
mod nothing_outlives_its_expiry;
mod old_generation_never_applies;
mod only_own_assets;
mod overlap;
mod owner_has_the_last_word;
mod red_never_leaves;

use crate::fact::{Fact, Violation};
use model::Timestamp;

/// Watches over one promise.
pub trait Checker {
    /// The promise, as its file is named.
    fn promise(&self) -> &'static str;

    /// Looks at one fact.
    ///
    /// # Errors
    /// The promise is broken; what was seen, in words.
    fn see(&mut self, fact: &Fact<'_>, now: Timestamp) -> Result<(), String>;
}

/// All of them. With a hostile hub its journal binds nobody: what is asked of an honest hub is left out.
pub struct Checkers {
    all: Vec<Box<dyn Checker>>,
    /// Facts shown so far.
    pub step: u64,
}

impl Checkers {
    /// The checkers of a run.
    pub fn new(hostile_hub: bool) -> Self {
        let mut all: Vec<Box<dyn Checker>> = vec![
            Box::new(never_block_holds::NeverBlockHolds::default()),
            Box::new(nothing_outlives_its_expiry::NothingOutlivesItsExpiry::default()),
            Box::new(red_never_leaves::RedNeverLeaves::new(hostile_hub)),
            Box::new(old_generation_never_applies::OldGenerationNeverApplies::default()),
            Box::new(only_own_assets::OnlyOwnAssets::default()),
            Box::new(acknowledged_is_durable::AcknowledgedIsDurable::default()),
            Box::new(journal_only_grows::JournalOnlyGrows::default()),
            Box::new(hub_cannot_make_an_agent_act::HubCannotMakeAnAgentAct::default()),
            Box::new(no_revoked_key_moves_an_agent::NoRevokedKeyMovesAnAgent::default()),
            Box::new(owner_has_the_last_word::OwnerHasTheLastWord::default()),
            Box::new(fork_is_found::ForkIsFound::new(hostile_hub)),
            Box::new(agents_converge::AgentsConverge::new(hostile_hub)),
        ];
        if !hostile_hub {
            all.push(Box::new(no_mitigation_without_approved_plan::NoMitigationWithoutApprovedPlan::default()));
        }
        Self { all, step: 0 }
    }

    /// Shows a fact to all.
    ///
    /// # Errors
    /// The first promise that it breaks.
    pub fn see(&mut self, fact: &Fact<'_>, now: Timestamp) -> Result<(), Violation> {
        self.step += 1;
        let step = self.step;
        for checker in &mut self.all {
            let promise = checker.promise();
            checker.see(fact, now).map_err(|seen| Violation { promise, step, at: now, seen })?;
        }
        Ok(())
    }

    /// The promises that are watched.
    pub fn promises(&self) -> Vec<&'static str> {
        self.all.iter().map(|checker| checker.promise()).collect()
    }
}

/// What the checkers' tests are made of.
#[cfg(test)]
mod scene {
    use super::Checker;
    use crate::fact::Fact;
    use act::Protection;
    use model::*;

    pub fn at(seconds: i64) -> Timestamp {
        "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap().plus(Span::seconds(seconds))
    }

    pub fn member(name: &str) -> MemberId {
        name.parse().unwrap()
    }

    /// Some key: which, does not matter.
    pub fn key() -> KeyId {
        SigningKey::from_seed(&[1; 32]).public().id()
    }

    pub fn point() -> PointName {
        "edge".parse().unwrap()
    }

    pub fn mitigation(observable: &str, generation: u64) -> Mitigation {
        let observable: Observable = observable.parse().unwrap();
        Mitigation {
            member: member("telecom"),
            finding: finding_id(&observable, Family::Source),
            family: Family::Source,
            generation,
            measure: Measure::deny(&observable).unwrap(),
            observable,
            expires: at(3_600),
            inverse: Inverse::Lift,
        }
    }

    pub fn protection(mitigation: &Mitigation) -> Protection {
        Protection {
            mitigation: mitigation.id(),
            finding: mitigation.finding,
            measure: mitigation.measure.clone(),
            expires: mitigation.expires,
        }
    }

    pub fn sighting(observable: &str, grade: Grade) -> Sighting {
        Sighting {
            observable: observable.parse().unwrap(),
            behaviour: Behaviour::Scan,
            first: at(0),
            last: at(0),
            count: 1,
            sensor: Sensor::Ids,
            grade,
            handling: Handling::alliance(Tlp::Green),
        }
    }

    /// Shows a mitigation being held and enforced by telecom.
    pub fn enforce(checker: &mut dyn Checker, mitigation: &Mitigation, now: Timestamp) -> Result<(), String> {
        let (member, point, protection) = (member("telecom"), point(), protection(mitigation));
        checker.see(&Fact::Held { member: &member, mitigation }, now)?;
        checker.see(&Fact::Enforced { member: &member, point: &point, protection: &protection }, now)
    }
}

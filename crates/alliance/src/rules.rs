//! The charter's numbers in the units of the corroboration table.

use crate::state::InForceCharter;
use charter::Charter;
use corroborate::{Engine, RelevanceRules, Rules};
use model::Span;
use std::sync::Arc;

/// The charter's rules for the corroboration table; what the charter does not name keeps its default.
pub fn rules_of(charter: &Charter) -> Rules {
    let (c, mut rules) = (&charter.corroboration, Rules::default());
    rules.threshold = c.threshold;
    rules.threshold_cautious = c.threshold_cautious;
    rules.half_life_report = c.half_life_report.as_days();
    rules.half_life_record = c.half_life_record.as_days();
    rules.prior_vetted = c.prior_vetted;
    rules.prior_probation = c.prior_probation;
    rules.weight_max = c.weight_max;
    rules.horizon = c.horizon.as_days();
    rules.fault = c.fault;
    rules.strikes = c.strikes;
    rules.suspect_for = c.suspect_for.as_days();
    rules.solo_confirmations = c.solo_confirmations;
    rules.solo_survivals = c.solo_survivals;
    rules.solo_confirmers = c.solo_confirmers;
    rules.second_opinion = c.second_opinion;
    rules.weak_max = c.weak_max;
    rules.forget_after = c.forget_after.as_days();
    rules.bar_for = c.bar_for.as_days();
    rules.relevance = relevance_of(charter);
    rules
}

fn relevance_of(charter: &Charter) -> RelevanceRules {
    let r = &charter.relevance;
    RelevanceRules {
        base: r.base,
        own: r.own,
        all: r.all,
        burst: r.burst,
        recent: r.recent,
        neighbourhood: r.neighbourhood,
        saturation: r.saturation,
        half_life_own: r.own_half_life.as_days(),
        half_life_all: r.all_half_life.as_days(),
        half_life_burst: r.burst_half_life.as_days(),
        half_life_neighbourhood: r.neighbourhood_half_life.as_days(),
    }
}

/// Half-life of a report under the charter in force.
pub fn half_life(charter: &Option<Arc<InForceCharter>>) -> Span {
    charter.as_ref().map_or(Span::days(7), |c| c.charter.corroboration.half_life_report)
}

/// The table under other rules: its evidence stays, what it amounts to is counted anew.
///
/// # Errors
/// A rule outside its limits; the table stays as it was.
pub fn set_rules(engine: &mut Engine, rules: Rules) -> Result<(), corroborate::Error> {
    if *engine.rules() != rules {
        *engine = Engine::restore(rules, &engine.snapshot())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charter_that_says_nothing_has_the_tables_own_defaults() {
        let charter = Charter::parse(&crate::tests::charter_text("")).unwrap();
        assert_eq!(rules_of(&charter), Rules::default());
    }
}

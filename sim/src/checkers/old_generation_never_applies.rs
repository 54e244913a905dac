//! `old_generation_never_applies`: of one finding and target an agent never takes a mitigation whose generation is not
//! above the one it took before, restarts or not.

use super::Checker;
use crate::fact::Fact;
use model::{FindingId, MemberId, MitigationId, Target, Timestamp};
use std::collections::BTreeMap;

/// Its books: the newest generation of each lineage.
#[derive(Default)]
pub struct OldGenerationNeverApplies {
    newest: BTreeMap<(MemberId, FindingId, Target), (u64, MitigationId)>,
}

impl Checker for OldGenerationNeverApplies {
    fn promise(&self) -> &'static str {
        "old_generation_never_applies"
    }

    fn see(&mut self, fact: &Fact<'_>, _now: Timestamp) -> Result<(), String> {
        let Fact::Held { member, mitigation } = fact else { return Ok(()) };
        let target = mitigation.measure.target().clone();
        let (lineage, taken) =
            (((*member).clone(), mitigation.finding, target), (mitigation.generation, mitigation.id()));
        match self.newest.insert(lineage, taken) {
            Some((before, id)) if before >= taken.0 => {
                Err(format!("{member} takes {} of generation {} after {id} of generation {before}", taken.1, taken.0))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::scene::{at, enforce, mitigation};

    #[test]
    fn rising_generations_are_well_and_falling_or_equal_ones_are_seen() {
        let mut checker = OldGenerationNeverApplies::default();
        for generation in [1, 4] {
            assert_eq!(enforce(&mut checker, &mitigation("60.1.2.3", generation), at(0)), Ok(()));
        }
        assert_eq!(enforce(&mut checker, &mitigation("60.1.2.4", 2), at(0)), Ok(()), "another lineage");
        assert!(enforce(&mut checker, &mitigation("60.1.2.3", 3), at(0)).is_err());
        assert!(enforce(&mut OldGenerationNeverApplies::default(), &mitigation("60.1.2.3", 1), at(0)).is_ok());
    }
}

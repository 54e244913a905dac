//! Where a sighting stands in the journal, so that evidence can be shown; the corroboration table keeps it as a mark.

use corroborate::Mark;
use model::sighting::BATCH_SIGHTINGS_MAX;
use serde::{Deserialize, Serialize};

/// Bits of a mark for the sighting's number in its report.
const INDEX_BITS: u32 = 14;
const _: () = assert!(BATCH_SIGHTINGS_MAX <= 1 << INDEX_BITS);

/// A place in the journal: the entry of a report and the sighting's number in it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Place {
    /// The entry's position.
    pub position: u64,
    /// The sighting's number in the report, from 0.
    pub index: u32,
}

/// Does the mark's sender wish to stay unnamed? That stays known when the report is taken back.
pub(crate) fn is_unnamed(mark: Mark) -> bool {
    mark.bits().is_some_and(|bits| bits & Mark::STAYS != 0)
}

impl Place {
    /// The mark of this place. Beyond 8 billion entries there is none: such a report informs, and nobody acts on it.
    pub(crate) fn mark(self, unnamed: bool) -> Mark {
        let wish = if unnamed { Mark::STAYS } else { 0 };
        let fits = self.index < 1 << INDEX_BITS && self.position < (Mark::STAYS >> INDEX_BITS) - 1;
        match fits {
            true => Mark::new(wish | (self.position + 1) << INDEX_BITS | u64::from(self.index)),
            false => Mark::new(wish),
        }
    }

    /// The place of a mark.
    pub(crate) fn of(mark: Mark) -> Option<Self> {
        let bits = mark.bits()? & !Mark::STAYS;
        let position = (bits >> INDEX_BITS).checked_sub(1)?;
        Some(Self { position, index: (bits & ((1 << INDEX_BITS) - 1)) as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mark_gives_place_and_wish_back(position in 0_u64..(1 << 33) - 1, index in 0_u32..10_000, unnamed: bool) {
            let place = Place { position, index };
            prop_assert_eq!(Place::of(place.mark(unnamed)), Some(place));
            prop_assert_eq!(is_unnamed(place.mark(unnamed)), unnamed);
        }

        #[test]
        fn a_place_that_does_not_fit_has_no_mark(
            position in (1_u64 << 33) - 1..=u64::MAX,
            index in 0_u32..10_000,
            unnamed: bool,
        ) {
            let mark = Place { position, index }.mark(unnamed);
            prop_assert_eq!((Place::of(mark), is_unnamed(mark)), (None, unnamed));
        }
    }

    #[test]
    fn an_index_that_does_not_fit_has_no_mark() {
        assert_eq!(Place { position: 1, index: 1 << INDEX_BITS }.mark(false), Mark::NONE);
    }
}

//! Rules with some of their closed holes opened again, to measure what closing each one costs. For evaluation only.

use crate::rules::{Closings, Rules};
use serde::Serialize;

/// Which of the five closings are in force in an evaluation. See `docs/why/corroboration.md` for each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Ablation {
    /// The formula as first given: every hole open.
    AsGiven,
    /// Only: credit for reports made before the observable was corroborated.
    EarlyCreditOnly,
    /// Only: publishing alone needs a record.
    SoloRecordOnly,
    /// Only: probation counts jointly below the threshold.
    ProbationOnly,
    /// Only: spoofable evidence counts jointly below the threshold and never acts.
    SpoofableOnly,
    /// Only: what nobody signed does not act.
    UnsignedOnly,
    /// Every hole closed: what is in force outside evaluations.
    AllClosed,
}

impl Ablation {
    /// All of them, in the order of the cost table.
    pub const ALL: [Self; 7] = [
        Self::AsGiven,
        Self::EarlyCreditOnly,
        Self::SoloRecordOnly,
        Self::ProbationOnly,
        Self::SpoofableOnly,
        Self::UnsignedOnly,
        Self::AllClosed,
    ];

    /// The row's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AsGiven => "formula as given",
            Self::EarlyCreditOnly => "1 credit only before publication",
            Self::SoloRecordOnly => "2 alone only with a record",
            Self::ProbationOnly => "3 probation jointly below",
            Self::SpoofableOnly => "4 spoofable never alone, never acts",
            Self::UnsignedOnly => "5 unsigned never acts",
            Self::AllClosed => "all closed",
        }
    }

    /// `rules` with exactly these holes closed.
    pub fn apply(self, rules: &Rules) -> Rules {
        let open = Closings::NONE;
        let closings = match self {
            Self::AsGiven => open,
            Self::EarlyCreditOnly => Closings { early_credit: true, ..open },
            Self::SoloRecordOnly => Closings { solo_record: true, ..open },
            Self::ProbationOnly => Closings { probation: true, ..open },
            Self::SpoofableOnly => Closings { spoofable: true, ..open },
            Self::UnsignedOnly => Closings { unsigned: true, ..open },
            Self::AllClosed => Closings::ALL,
        };
        Rules { closings, ..rules.clone() }
    }
}

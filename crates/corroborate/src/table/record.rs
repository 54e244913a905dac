//! What the table keeps: 56 bytes an observable with its first report inside, 20 bytes a further report.

/// No report: the place of the first report of an observable that was only ever barred.
pub(crate) const NOBODY: u16 = u16::MAX;
/// No block.
pub(crate) const NO_BLOCK: u32 = u32::MAX;

/// One member's report of one observable.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Report {
    /// When the member last saw it.
    pub last: u32,
    /// The member's active days, decayed to `last`.
    pub active: f32,
    /// The member's number; [`NOBODY`] where there is no report.
    pub member: u16,
    /// What [`Flags`] says.
    pub flags: Flags,
    /// Days by which the evidence described in `flags` is older than `last`.
    pub lag_days: u8,
    /// The caller's mark of the statement whose evidence `flags` describes, in three parts to leave no gap.
    pub mark: [u16; 3],
}

/// Bits of a report.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Flags(pub u8);

impl Flags {
    pub const GRADE: u8 = 0b11;
    pub const SIGNED: u8 = 1 << 2;
    /// The report was made before the observable was corroborated.
    pub const EARLY: u8 = 1 << 3;
    /// The member has its one credit for this observable.
    pub const CREDITED: u8 = 1 << 4;
    pub const RETRACTED: u8 = 1 << 5;
    /// The member has its fault for this observable.
    pub const FAULTED: u8 = 1 << 6;
    /// Retracted before the observable was corroborated.
    pub const BLAMELESS: u8 = 1 << 7;

    pub fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    pub fn set(&mut self, bit: u8, on: bool) {
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }

    pub fn is_spoofable(self) -> bool {
        !self.has(Self::GRADE)
    }
}

impl Default for Report {
    fn default() -> Self {
        Self { last: 0, active: 0.0, member: NOBODY, flags: Flags(0), lag_days: 0, mark: [0; 3] }
    }
}

/// One observable.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Record {
    /// Its key; the index compares it.
    pub key: u64,
    /// When anybody last saw it; `all` and `burst` are decayed to here.
    pub last: u32,
    /// When it was first corroborated, or barred where `state` says so; 0 while neither.
    pub since: u32,
    /// All members' active days (G).
    pub all: f32,
    /// The burst (B).
    pub burst: f32,
    /// Its neighbourhood's key; 0 for none.
    pub neighbourhood: u32,
    /// The block of further reports.
    pub block: u32,
    /// Who reported it first.
    pub first: Report,
    /// How many members reported it.
    pub reports: u16,
    /// What [`State`] says.
    pub state: State,
}

/// Bits of a record.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct State(pub u8);

impl State {
    /// The place is in use.
    pub const LIVE: u8 = 1;
    /// Revoked or barred: `since` says when.
    pub const BARRED: u8 = 1 << 1;
    /// May inform, as of the last sighting.
    pub const INFORMS: u8 = 1 << 2;
    /// May act, as of the last sighting.
    pub const ACTS: u8 = 1 << 3;

    pub fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    pub fn set(&mut self, bit: u8, on: bool) {
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }
}

impl Record {
    /// A record of `key` that nobody has reported yet.
    pub fn new(key: u64, neighbourhood: u32, now: u32) -> Self {
        Self {
            key,
            last: now,
            since: 0,
            all: 0.0,
            burst: 0.0,
            neighbourhood,
            block: NO_BLOCK,
            first: Report::default(),
            reports: 0,
            state: State(State::LIVE),
        }
    }

    /// Reports beyond the first.
    pub fn further(&self) -> usize {
        usize::from(self.reports).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_small_as_the_budget_says() {
        assert_eq!((size_of::<Record>(), size_of::<Report>()), (56, 20));
    }

    #[test]
    fn bits_are_set_and_cleared_alone() {
        let mut flags = Flags(Flags::SIGNED | 2);
        flags.set(Flags::EARLY, true);
        flags.set(Flags::SIGNED, false);
        assert_eq!(flags, Flags(Flags::EARLY | 2));
        assert!(flags.has(Flags::EARLY) && !flags.has(Flags::SIGNED));
    }
}

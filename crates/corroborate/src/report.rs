//! What one report adds: its evidence, its age, its place in the caller's journal.

use crate::clock::DAY;
use crate::engine::{Attestation, Rates, Sight};
use crate::table::record::{Flags, Record, Report};

/// The caller's own mark of a statement, such as where it stands in a journal: 48 bits, kept with a member's report
/// beside the evidence that counts, and forgotten with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Mark(u64);

impl Mark {
    /// No mark.
    pub const NONE: Self = Self(0);

    /// The bit that stays when the statement is taken back: for what the caller must not forget of whose it was.
    pub const STAYS: u64 = 1 << 47;

    /// What is left of it when the statement is taken back.
    pub(crate) const fn taken_back(self) -> Self {
        Self(self.0 & Self::STAYS)
    }

    /// A mark of 48 bits; a larger number leaves no mark.
    pub const fn new(bits: u64) -> Self {
        if bits >> 48 == 0 { Self(bits) } else { Self::NONE }
    }

    /// The number; none for no mark.
    pub const fn bits(self) -> Option<u64> {
        if self.0 == 0 { None } else { Some(self.0) }
    }

    pub(crate) const fn parts(self) -> [u16; 3] {
        [self.0 as u16, (self.0 >> 16) as u16, (self.0 >> 32) as u16]
    }

    pub(crate) fn from_parts(parts: [u16; 3]) -> Self {
        Self(u64::from(parts[0]) | u64::from(parts[1]) << 16 | u64::from(parts[2]) << 32)
    }
}

impl Record {
    /// Decays the counters to `now` and adds one where a member has a new active day.
    pub(crate) fn pass(&mut self, now: u32, new_day: bool, rates: &Rates) {
        let elapsed = now.saturating_sub(self.last);
        if elapsed > 0 {
            self.all *= decay(elapsed, rates.all);
            self.burst *= decay(elapsed, rates.burst);
            self.last = now;
        }
        let more = f32::from(u8::from(new_day));
        self.all += more;
        self.burst += more;
    }
}

impl Report {
    pub(crate) fn new(sight: &Sight, mark: Mark, now: u32, early: bool) -> Self {
        let mut flags = evidence(sight);
        flags.set(Flags::EARLY, early);
        Self { last: now, active: 1.0, member: sight.member.0, flags, lag_days: 0, mark: mark.parts() }
    }

    /// Renews a report; (whether the day is new for this member, whether the report counts as a new one).
    pub(crate) fn renew(&mut self, sight: &Sight, mark: Mark, now: u32, early: bool, rates: &Rates) -> (bool, bool) {
        let elapsed = now.saturating_sub(self.last);
        if elapsed > rates.forget {
            *self = Self::new(sight, mark, now, early);
            return (true, true);
        }
        let (new_day, fresh) = (self.last / DAY < now / DAY, elapsed > rates.horizon);
        self.renew_evidence(sight, mark, now, rates);
        if elapsed > 0 {
            self.active *= decay(elapsed, rates.own);
            self.last = now;
        }
        self.active += f32::from(u8::from(new_day));
        self.flags.set(Flags::RETRACTED | Flags::BLAMELESS, false);
        if fresh {
            self.flags.set(Flags::EARLY, early);
        }
        (new_day, fresh)
    }

    /// Better or equal evidence replaces what was there. Worse evidence leaves it and its age, until that is over the
    /// horizon: a forged packet neither renews a completed connection nor erases it.
    fn renew_evidence(&mut self, sight: &Sight, mark: Mark, now: u32, rates: &Rates) {
        let new = evidence(sight);
        let lag = u32::from(self.lag_days) + (now / DAY).saturating_sub(self.last / DAY);
        if strength(new) >= strength(self.flags) || lag * DAY > rates.horizon {
            let kept = self.flags.0 & !(Flags::GRADE | Flags::SIGNED);
            self.flags = Flags(kept | new.0);
            self.lag_days = 0;
            self.mark = mark.parts();
        } else {
            self.lag_days = lag.min(255) as u8;
            // Taken back and seen again: there is no better statement left to show.
            if self.flags.has(Flags::RETRACTED) {
                self.mark = mark.parts();
            }
        }
    }

    /// How old the evidence is at `now`, seconds. Worse evidence since then makes it count from the start of its day.
    pub fn age(&self, now: u32) -> u32 {
        if self.lag_days == 0 {
            return now.saturating_sub(self.last);
        }
        now.saturating_sub((self.last / DAY).saturating_sub(u32::from(self.lag_days)) * DAY)
    }

    pub fn is_spoofable(&self) -> bool {
        self.flags.is_spoofable()
    }
}

/// 2^-(elapsed · rate).
pub(crate) fn decay(elapsed: u32, rate: f32) -> f32 {
    (-(elapsed as f32) * rate).exp2()
}

fn evidence(sight: &Sight) -> Flags {
    let mut flags = Flags(sight.grade as u8);
    flags.set(Flags::SIGNED, sight.attested == Attestation::Signed);
    flags
}

/// What evidence may do: nothing by itself, inform, act.
pub(crate) fn strength(flags: Flags) -> u8 {
    match (flags.0 & Flags::GRADE, flags.has(Flags::SIGNED)) {
        (0, _) => 0,
        (_, false) => 1,
        (_, true) => 2,
    }
}

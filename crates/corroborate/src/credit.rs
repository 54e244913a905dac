//! Who earns credit when a member reports what others reported: confirmations, and the pairs that betray copying.

use crate::engine::Engine;
use crate::table::record::{Flags, State};

/// Other reporters looked at for one report; with more of them everybody has had credit already.
const OTHERS_MAX: usize = 32;

impl Engine {
    /// Credit after `member` reported the record `id` anew.
    pub(crate) fn credit(&mut self, id: u32, member: u16, now: u32) {
        self.await_survival(id, member);
        let (others, count) = self.live_others(id, member, now);
        if count == 1 {
            self.pairs.add(others[0].0, member);
        }
        if self.rules.closings.early_credit && self.records[id].state.has(State::BARRED) {
            return;
        }
        let mine = self.report_mut(id, member).map_or(Flags(Flags::CREDITED), |report| report.flags);
        for &(other, flags) in &others[..count.min(OTHERS_MAX)] {
            if !self.may_gain(flags) && !self.may_gain(mine) {
                continue;
            }
            if self.pairs.dependence(other, member, &self.rules) < self.rules.dependence_confirming {
                self.confirm(id, other, member, now);
                self.confirm(id, member, other, now);
            }
        }
    }

    /// Whether a report with these flags can still earn its credit: made early, not forgeable, not credited yet.
    fn may_gain(&self, flags: Flags) -> bool {
        let closings = self.rules.closings;
        let late = closings.early_credit && !flags.has(Flags::EARLY);
        let forged = closings.spoofable && flags.is_spoofable();
        !late && !forged && !flags.has(Flags::CREDITED)
    }

    /// Who else reported within the horizon with which flags, and how many there are.
    fn live_others(&self, id: u32, member: u16, now: u32) -> ([(u16, Flags); OTHERS_MAX], usize) {
        let (mut others, mut count) = ([(0, Flags(0)); OTHERS_MAX], 0);
        for report in self.reports(&self.records[id]) {
            let live = now.saturating_sub(report.last) <= self.rates.horizon && !report.flags.has(Flags::RETRACTED);
            if report.member == member || !live {
                continue;
            }
            if let Some(place) = others.get_mut(count) {
                *place = (report.member, report.flags);
            }
            count += 1;
        }
        (others, count)
    }

    /// `by` confirms the report of `who`, once for each observable: only if `by` has weight, and `who` spoke early.
    fn confirm(&mut self, id: u32, who: u16, by: u16, now: u32) {
        let flags_of = |engine: &mut Self, member| engine.report_mut(id, member).map(|report| report.flags);
        let Some(flags) = flags_of(self, who).filter(|flags| self.may_gain(*flags)) else { return };
        let confirming = &self.members[usize::from(by)];
        if !confirming.is_vetted() || confirming.weight(now, &self.rules).w < self.rules.weight_confirming {
            return;
        }
        if self.rules.closings.spoofable && flags_of(self, by).is_none_or(Flags::is_spoofable) {
            return;
        }
        if let Some(report) = self.report_mut(id, who) {
            report.flags = Flags(flags.0 | Flags::CREDITED);
            self.members[usize::from(who)].confirm(by, now, &self.rules);
        }
    }

    /// A vetted member's new report will have survived when nobody disputed it for the horizon.
    fn await_survival(&mut self, id: u32, member: u16) {
        let closed = self.rules.closings.early_credit;
        let late = closed && self.report_mut(id, member).is_none_or(|report| !report.flags.has(Flags::EARLY));
        let reporter = &mut self.members[usize::from(member)];
        if !late && reporter.is_vetted() && reporter.may_wait(&self.rules) {
            reporter.surviving += 1;
            self.survival.wait(self.now.saturating_add(self.rates.horizon), id, member);
        }
    }
}

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
            self.pairs.add(others[0], member);
        }
        if self.rules.closings.early_credit && self.records[id].state.has(State::BARRED) {
            return;
        }
        for &other in &others[..count.min(OTHERS_MAX)] {
            if self.pairs.dependence(other, member, &self.rules) < self.rules.dependence_confirming {
                self.confirm(id, other, member, now);
                self.confirm(id, member, other, now);
            }
        }
    }

    /// Who else reported within the horizon, and how many there are.
    fn live_others(&self, id: u32, member: u16, now: u32) -> ([u16; OTHERS_MAX], usize) {
        let (mut others, mut count) = ([0; OTHERS_MAX], 0);
        for report in self.reports(&self.records[id]) {
            let live = now.saturating_sub(report.last) <= self.rates.horizon && !report.flags.has(Flags::RETRACTED);
            if report.member == member || !live {
                continue;
            }
            if let Some(place) = others.get_mut(count) {
                *place = report.member;
            }
            count += 1;
        }
        (others, count)
    }

    /// `by` confirms the report of `who`, once for each observable: only if `by` has weight, and `who` spoke early.
    fn confirm(&mut self, id: u32, who: u16, by: u16, now: u32) {
        let (rules, closings) = (&self.rules, self.rules.closings);
        let confirming = &self.members[usize::from(by)];
        if !confirming.is_vetted() || confirming.weight(now, rules).w < rules.weight_confirming {
            return;
        }
        if closings.spoofable && self.report_mut(id, by).is_none_or(|report| report.is_spoofable()) {
            return;
        }
        let Some(report) = self.report_mut(id, who) else { return };
        let late = closings.early_credit && !report.flags.has(Flags::EARLY);
        let forged = closings.spoofable && report.is_spoofable();
        if late || forged || report.flags.has(Flags::CREDITED) {
            return;
        }
        report.flags.set(Flags::CREDITED, true);
        self.members[usize::from(who)].confirm(by, now, &self.rules);
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

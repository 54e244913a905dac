//! Taking back: upheld disputes, bars, withdrawn reports, and forgetting.

use crate::clock::seconds;
use crate::engine::{Engine, MemberIndex};
use crate::error::Error;
use crate::key::{NeighbourhoodKey, ObservableKey};
use crate::report::Mark;
use crate::table::record::{Flags, NO_BLOCK, Record, Report, State};
use model::Timestamp;

impl Engine {
    /// A dispute was upheld, or the observable turned out to be on a never-block list: every reporter is at fault, the
    /// observable is revoked and barred. Gives the members at fault, in order; none the second time.
    ///
    /// # Errors
    /// [`Error::Refused`] if the table is full.
    pub fn dispute_upheld(&mut self, key: ObservableKey, at: Timestamp) -> Result<Vec<MemberIndex>, Error> {
        let now = seconds(at);
        let id = self.bar_record(key, now)?;
        let record = self.records[id];
        let mut guilty: Vec<u16> = self.reports(&record).filter(|r| is_at_fault(r)).map(|r| r.member).collect();
        guilty.sort_unstable();
        for member in &guilty {
            if let Some(report) = self.report_mut(id, *member) {
                report.flags.set(Flags::FAULTED, true);
            }
            self.members[usize::from(*member)].fault(self.rules.fault, now, &self.rules);
        }
        Ok(guilty.into_iter().map(MemberIndex).collect())
    }

    /// Bars an observable without blaming anybody: it is not corroborated until the bar ends or is lifted.
    ///
    /// # Errors
    /// [`Error::Refused`] if the table is full.
    pub fn bar(&mut self, key: ObservableKey, at: Timestamp) -> Result<(), Error> {
        self.bar_record(key, seconds(at)).map(|_| ())
    }

    /// Lifts a bar. The reports that stand count again; reports made before the bar count as made before publication.
    pub fn lift_bar(&mut self, key: ObservableKey) {
        if let Some(id) = self.find(key) {
            self.before_change(id);
            self.end_bar(id);
        }
    }

    /// Whether the observable is barred at `at`.
    pub fn is_barred(&self, key: ObservableKey, at: Timestamp) -> bool {
        self.find(key).is_some_and(|id| self.stands_barred(&self.records[id], seconds(at)))
    }

    /// A member withdraws its report: it no longer counts, and the credit it earned goes back. True if there was one.
    ///
    /// Withdrawn before the observable was corroborated it is blameless; later, an upheld dispute still counts.
    ///
    /// # Errors
    /// [`Error::Refused`] for a member that was never added.
    pub fn retract(&mut self, key: ObservableKey, member: MemberIndex, at: Timestamp) -> Result<bool, Error> {
        self.known(member)?;
        let now = seconds(at);
        self.advance(now);
        let Some(id) = self.find(key).filter(|id| !self.is_forgotten(&self.records[*id], self.now)) else {
            return Ok(false);
        };
        self.before_change(id);
        let blameless = self.records[id].since == 0;
        let Some(report) = self.report_mut(id, member.0).filter(|r| !r.flags.has(Flags::RETRACTED)) else {
            return Ok(false);
        };
        report.flags.set(Flags::RETRACTED, true);
        report.mark = Mark::from_parts(report.mark).taken_back().parts();
        let credited = report.flags.has(Flags::CREDITED) && report.flags.has(Flags::EARLY);
        report.flags.set(Flags::BLAMELESS, blameless);
        if credited {
            self.members[usize::from(member.0)].unconfirm(now, &self.rules);
        }
        Ok(true)
    }

    /// A member reported what a guard protects: F grows by `points`, without a strike.
    ///
    /// # Errors
    /// [`Error::Refused`] for a member that was never added, or points that are not between 0 and 1000.
    pub fn blame(&mut self, member: MemberIndex, points: f64, at: Timestamp) -> Result<(), Error> {
        self.known(member)?;
        if !(0.0..=1000.0).contains(&points) {
            return Err(Error::refused("points", points, "0 to 1000"));
        }
        self.members[usize::from(member.0)].blame(points, seconds(at), &self.rules);
        Ok(())
    }

    /// Looks at `places` further places of the table and forgets what nobody saw for the forgetting time. Every
    /// sighting does a little of this; call it where sightings are rare. Results never depend on it: what is due to
    /// be forgotten already counts for nothing.
    pub fn sweep(&mut self, places: u32) {
        for _ in 0..places.min(self.records.places()) {
            self.hand = if self.hand + 1 < self.records.places() { self.hand + 1 } else { 0 };
            let record = &self.records[self.hand];
            if record.state.has(State::LIVE) && self.is_forgotten(record, self.now) {
                self.before_change(self.hand);
                self.forget(self.hand);
            }
        }
    }

    /// Empties a record's reports.
    pub(crate) fn forget_reports(&mut self, id: u32) {
        let record = &mut self.records[id];
        self.blocks.free(record.block, record.further());
        record.first = Report::default();
        record.reports = 0;
        record.block = NO_BLOCK;
    }

    pub(crate) fn stands_barred(&self, record: &Record, now: u32) -> bool {
        record.state.has(State::BARRED) && now.saturating_sub(record.since) <= self.rates.bar
    }

    /// Makes a record as new if its time was over, whether or not the sweep came by.
    pub(crate) fn renew_forgotten(&mut self, id: u32, near: u32, now: u32) {
        if self.is_forgotten(&self.records[id], self.now) {
            self.forget_reports(id);
            self.records[id] = Record::new(self.records[id].key, near, now);
        }
    }

    /// Ends a bar that was lifted or ran out.
    pub(crate) fn end_bar(&mut self, id: u32) {
        let record = &mut self.records[id];
        record.state = State(State::LIVE);
        record.since = 0;
        record.first.flags.set(Flags::FAULTED, false);
        let further = self.blocks.get_mut(record.block, record.further());
        further.iter_mut().for_each(|report| report.flags.set(Flags::FAULTED, false));
    }

    fn forget(&mut self, id: u32) {
        self.forget_reports(id);
        let key = self.records[id].key;
        self.index.remove(key, id);
        self.records[id].state = State::default();
        self.records.free(id);
    }

    fn bar_record(&mut self, key: ObservableKey, now: u32) -> Result<u32, Error> {
        self.advance(now);
        let id = match self.find(key) {
            Some(id) => {
                self.before_change(id);
                self.renew_forgotten(id, self.records[id].neighbourhood, now);
                id
            }
            None => self.create(key, NeighbourhoodKey::NONE, now)?,
        };
        let record = &mut self.records[id];
        if !record.state.has(State::BARRED) {
            record.since = now;
        }
        record.state = State(State::LIVE | State::BARRED);
        Ok(id)
    }
}

fn is_at_fault(report: &Report) -> bool {
    !report.flags.has(Flags::FAULTED | Flags::BLAMELESS)
}

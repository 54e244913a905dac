//! What is in force or on its way, counted and in the order in which time concerns it: drawn from the ledger, kept up
//! entry by entry, so that no plan waits for a walk over all that is in force.

use crate::handle::ended;
use crate::planning::lets_go;
use crate::state::{Ledger, MitigationRecord, PlanState};
use model::{MemberId, MitigationId, PlanId, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What one mitigation is counted as.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Counted {
    member: MemberId,
    ends: Timestamp,
    /// When less than a third of its time is left; none: it has ended for good.
    due: Option<Timestamp>,
    takes_room: bool,
}

/// Mitigations that have not run out, and plans that wait for approvals.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ongoing {
    counted: BTreeMap<MitigationId, Counted>,
    room: BTreeMap<MemberId, usize>,
    ends: BTreeSet<(Timestamp, MitigationId)>,
    due: BTreeSet<(Timestamp, MitigationId)>,
    open: BTreeSet<PlanId>,
}

impl Ongoing {
    /// Everything anew.
    pub fn of(ledger: &Ledger) -> Self {
        let mut all = Self::default();
        ledger.mitigations.keys().for_each(|id| all.note(ledger, id));
        ledger.plans.keys().for_each(|id| all.note_plan(ledger, *id));
        all
    }

    /// A mitigation changed, or its lineage did.
    pub fn note(&mut self, ledger: &Ledger, id: &MitigationId) {
        self.forget(id);
        let live = |record: &&MitigationRecord| ledger.time.is_none_or(|now| record.expires > now);
        let Some(record) = ledger.mitigations.get(id).filter(live) else { return };
        let of_finding = ledger.lineages.get(&record.finding);
        let newest = of_finding.and_then(|members| members.get(&record.member)).into_iter().flatten();
        let takes_room = !lets_go(record.state) && newest.into_iter().any(|(_, newest)| newest == id);
        let third = Span::millis(record.expires.since(record.since).as_millis() / 3);
        let due = (!ended(record.state)).then(|| record.expires.minus(third));
        self.ends.insert((record.expires, *id));
        self.due.extend(due.map(|due| (due, *id)));
        if takes_room {
            *self.room.entry(record.member.clone()).or_default() += 1;
        }
        let member = record.member.clone();
        self.counted.insert(*id, Counted { member, ends: record.expires, due, takes_room });
    }

    /// A plan was proposed, came into force, or was closed.
    pub fn note_plan(&mut self, ledger: &Ledger, id: PlanId) {
        match ledger.plans.get(&id).is_some_and(|record| record.state == PlanState::Proposed) {
            true => self.open.insert(id),
            false => self.open.remove(&id),
        };
    }

    /// Time has passed: what has run out counts no more.
    pub fn pass(&mut self, now: Timestamp) {
        while let Some((_, id)) = self.ends.first().copied().filter(|(ends, _)| *ends <= now) {
            self.forget(&id);
        }
    }

    fn forget(&mut self, id: &MitigationId) {
        let Some(counted) = self.counted.remove(id) else { return };
        self.ends.remove(&(counted.ends, *id));
        if let Some(due) = counted.due {
            self.due.remove(&(due, *id));
        }
        let Some(room) = self.room.get_mut(&counted.member).filter(|_| counted.takes_room) else { return };
        *room -= 1;
        if *room == 0 {
            self.room.remove(&counted.member);
        }
    }

    /// Does this mitigation take room of its member's?
    pub fn takes_room(&self, id: &MitigationId) -> bool {
        self.counted.get(id).is_some_and(|counted| counted.takes_room)
    }

    /// How much each member has in force, or on its way to be.
    pub fn room_taken(&self, now: Timestamp) -> BTreeMap<MemberId, usize> {
        let mut taken = self.room.clone();
        // Since the latest entry some have run out.
        for (_, id) in self.ends.iter().take_while(|(ends, _)| *ends <= now) {
            let counted = self.counted.get(id).filter(|counted| counted.takes_room);
            if let Some(room) = counted.and_then(|counted| taken.get_mut(&counted.member)) {
                *room = room.saturating_sub(1);
            }
        }
        taken
    }

    /// What is to be renewed, if it still stands: less than a third of its time is left.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &MitigationId> {
        let counted = self.due.iter().take_while(move |(due, _)| *due < now).map(|(_, id)| id);
        counted.filter(move |id| self.counted.get(id).is_some_and(|counted| counted.ends > now))
    }

    /// Plans that wait for approvals.
    pub fn open(&self) -> impl Iterator<Item = &PlanId> {
        self.open.iter()
    }
}

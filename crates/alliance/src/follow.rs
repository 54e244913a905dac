//! What follows from the state: new evidence becomes findings, findings become one automatic plan.

use crate::archive::Archive;
use crate::changed::Changed;
use crate::entry::Event;
use crate::handle::Drafted;
use crate::judge::Judged;
use crate::ongoing::Ongoing;
use crate::state::Alliance;
use model::{Family, Finding, FindingState, Observable, Refusal, Rule, Timestamp};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Findings judged in one go; the rest follows in the next, so that no batch waits long for another's consequences.
const JUDGED_AT_ONCE: usize = if cfg!(test) { 20 } else { 2_000 };

/// What followed, and what was looked at for it.
#[derive(Debug, Default)]
pub struct Followed {
    /// The events, in order.
    pub drafts: Vec<Drafted>,
    /// Given to [`Alliance::settled`] once the events were applied.
    pub judged: BTreeSet<(Observable, Family)>,
    /// What ended for those who were told of it, and is to be judged anew for fewer.
    anew: BTreeSet<(Observable, Family)>,
    /// More is waiting: call again.
    pub more: bool,
}

/// Where what follows from a finding goes.
struct Next<'a> {
    changed: &'a mut Changed,
    /// What stands after the findings that changed.
    drafts: &'a mut Vec<Drafted>,
    plan: &'a mut Vec<Judged>,
}

impl Alliance {
    /// Draws what follows from the state, without changing anything. `ticked` also looks at what time alone changed:
    /// evidence that faded, mitigations to be renewed.
    pub fn follow(&self, now: Timestamp, ticked: bool, archive: &dyn Archive) -> Followed {
        debug_assert!(!ticked || self.ongoing == Ongoing::of(&self.ledger), "the books of what is ongoing are wrong");
        let waiting = self.ledger.pending.keys().chain(self.ledger.again.keys());
        let mut judged: BTreeSet<_> = waiting.take(JUDGED_AT_ONCE).cloned().collect();
        let more = self.ledger.pending.len() + self.ledger.again.len() > judged.len();
        let due = if ticked { self.due(now) } else { BTreeSet::new() };
        judged.extend(due.iter().take(JUDGED_AT_ONCE).cloned());
        let mut followed = Followed { drafts: Vec::new(), judged, anew: BTreeSet::new(), more };
        if followed.judged.is_empty() || self.charter.is_none() {
            return followed;
        }
        let (mut candidates, mut changed) = (Vec::new(), Changed::default());
        for (observable, family) in &followed.judged {
            let subject = (observable.clone(), *family);
            let anew = self.ledger.pending.contains_key(&subject) || due.contains(&subject);
            // What was judged then is judged as it was then: what time did to it since is seen when it is due.
            let at = self.ledger.again.get(&subject).copied().filter(|_| !anew).unwrap_or(now);
            if let Some(judged) = self.judge(observable, *family, at, archive) {
                followed.anew.extend(judged.elsewhere.then_some(subject));
                let next = Next { drafts: &mut followed.drafts, changed: &mut changed, plan: &mut candidates };
                self.follow_finding(judged, anew, now, next);
            }
        }
        followed.drafts = changed.drafts().chain(followed.drafts).collect();
        followed.drafts.extend(self.automatic_plans(candidates, now));
        if more != self.ledger.backlog {
            let left = self.ledger.pending.len().saturating_sub(followed.judged.len());
            let waiting = if more { left.max(1) as u64 } else { 0 };
            followed.drafts.push(Drafted::hub(crate::handle::internal(), Event::Backlog { waiting }));
        }
        followed.more |= !followed.anew.is_empty();
        followed
    }

    /// More waits to be judged than is judged in one go. Whoever takes no reports until that is done keeps what waits
    /// short, and its reports at hand.
    pub fn is_behind(&self) -> bool {
        self.ledger.pending.len() > JUDGED_AT_ONCE
    }

    /// Says that what followed was applied.
    pub fn settled(&mut self, followed: &Followed) {
        for judged in &followed.judged {
            self.ledger.pending.remove(judged);
            self.ledger.again.remove(judged);
        }
        let time = self.ledger.time.unwrap_or(Timestamp::MIN);
        self.ledger.pending.extend(followed.anew.iter().map(|judged| (judged.clone(), time)));
    }

    /// Says that entries were applied from a journal, by somebody who was not there. What waits to be judged was judged
    /// in the turn in which it was reported, unless the journal says that there was too much for one turn, or ends
    /// within that turn. Only what may not have been judged is looked at again, and only news leads to anything: a
    /// start adds nothing to the journal that a hub which went on would not have added.
    pub fn replayed(&mut self) {
        let backlog = self.ledger.backlog;
        let mut waiting = std::mem::take(&mut self.ledger.pending);
        let Some(last) = self.ledger.time else { return };
        // The last turn may have been cut off while it did what the one before, cut off as well, had left.
        let since = self.ledger.previous.unwrap_or(last);
        waiting.retain(|_, reported| backlog || *reported >= since);
        self.ledger.again.append(&mut waiting);
        // A turn is one write, but a crash may leave half of it: found, and not planned any more.
        let unplanned =
            |f: &&Arc<Finding>| f.actionable && f.made >= since && !self.ledger.lineages.contains_key(&f.id);
        let unplanned: Vec<_> = self.ledger.findings.values().filter(unplanned).map(Arc::clone).collect();
        self.ledger.pending.extend(unplanned.iter().map(|f| ((f.observable.clone(), f.family), f.made)));
        // Ended, and not withdrawn any more; or not judged any more for fewer, which is done a turn later.
        let ended = |f: &&Arc<Finding>| {
            let anew = !crate::judge::stands(f.state) && (backlog || f.made >= since);
            anew || self.ledger.unwithdrawn.contains(&f.id)
        };
        for ended in self.ledger.findings.values().filter(ended) {
            self.ledger.again.entry((ended.observable.clone(), ended.family)).or_insert(last);
        }
    }

    /// `anew`: something happened to it since it was judged last, or its time has come; otherwise only news counts.
    fn follow_finding(&self, judged: Judged, anew: bool, now: Timestamp, next: Next<'_>) {
        let Next { drafts, changed, plan } = next;
        let finding = &judged.finding;
        let known = self.ledger.findings.get(&finding.id).map(Arc::as_ref);
        if known.is_none() && finding.state == FindingState::Observed {
            return;
        }
        let news = is_news(known, finding) || self.faded_by(finding, now);
        let unwithdrawn = self.ledger.unwithdrawn.contains(&finding.id);
        if !news && !anew && !unwithdrawn {
            return;
        }
        if news {
            changed.add(finding.clone());
            drafts.extend(self.held_by_guard(finding));
            drafts.extend(judged.kept_back.clone().and_then(|refusal| self.held(finding, refusal)));
        }
        match finding.state {
            FindingState::Corroborated if finding.actionable => plan.push(judged),
            FindingState::Corroborated => {}
            // Once, when it ceases to stand: what persons approve for it later stays.
            state if news || unwithdrawn => drafts.extend(self.withdrawals(finding.id, state.explains(), now)),
            _ => {}
        }
    }

    /// A guard that holds back what would otherwise be published is named in the journal, once a finding.
    fn held_by_guard(&self, finding: &Finding) -> Option<Drafted> {
        let hit = finding.guard.as_ref().filter(|_| finding.state == FindingState::Guarded)?;
        let (rule, limit) = match hit.absolute {
            true => (Rule::GuardNever, "nothing on a guard list is published by machine".to_owned()),
            false => (Rule::GuardCaution, format!("{} points, or a person", finding.sum.threshold)),
        };
        let value = format!("{} is on list {} ({}: {})", finding.observable, hit.list, hit.class, hit.entry);
        self.held(finding, Refusal { rule, value, limit })
    }

    /// The refusal as an entry, unless the journal has it already.
    pub(crate) fn held(&self, finding: &Finding, refusal: Refusal) -> Option<Drafted> {
        if self.ledger.held.get(&finding.id).is_some_and(|rules| rules.contains(&refusal.rule)) {
            return None;
        }
        let event = Event::Held { finding: finding.id, observable: finding.observable.clone(), refusal };
        Some(Drafted::hub(finding.handling.clone(), event))
    }

    /// What time alone may have changed by `now`.
    fn due(&self, now: Timestamp) -> BTreeSet<(Observable, Family)> {
        let faded = self.ledger.fading.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id);
        let to_renew = self.ongoing.due(now).filter_map(|id| self.ledger.mitigations.get(id));
        let ids: BTreeSet<_> = faded.chain(to_renew.map(|m| m.finding)).collect();
        let findings = ids.iter().filter_map(|id| self.ledger.findings.get(id));
        findings.map(|f| (f.observable.clone(), f.family)).collect()
    }

    /// Its time to be looked at has come: the journal says how it stands now, whatever the result.
    fn faded_by(&self, finding: &Finding, now: Timestamp) -> bool {
        let mut due = self.ledger.fading.iter().take_while(|(at, _)| *at <= now);
        finding.state == FindingState::Corroborated && due.any(|(_, id)| *id == finding.id)
    }
}

/// Does the finding differ in what anybody would do about it?
fn is_news(known: Option<&Finding>, finding: &Finding) -> bool {
    known.is_none_or(|known| known.state != finding.state || known.actionable != finding.actionable)
}

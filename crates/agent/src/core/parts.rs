//! What the hub asks for, and what is accepted of it. Nothing is taken on the hub's word.

use super::state::{Decision, Ending, Held, Lineage};
use super::{AlarmKind, Core, Output, Record};
use decide::{AllowList, Answer, Context};
use model::{
    FindingId, LineageId, Measure, Mitigation, MitigationId, MitigationState, PlanPart, Receipt, Refusal, Rule, Span,
    StreamMessage, Timestamp, Withdrawal,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Generations are remembered this much longer than anything of their lineage lasts.
const LINEAGE_MARGIN: Span = Span::days(7);
/// Most lineages that are remembered; beyond it new ones are refused, since nobody could tell old from new.
const LINEAGES_MAX: usize = 1_000_000;
/// Most refused mitigations that are remembered to be refused only once.
const REFUSED_MAX: usize = 100_000;
/// So many withdrawals within a minute, and half of what was in force, are worth an alarm.
const MASS_LEAST: usize = 10;

/// Withdrawals of the last minute.
#[derive(Debug, Default)]
pub(super) struct Withdrawn {
    recent: VecDeque<Timestamp>,
}

impl Core {
    pub(super) fn on_message(&mut self, position: u64, message: StreamMessage) {
        // Its announcement may have been lost with an earlier stream, or while the agent was down.
        if let StreamMessage::Part(part) = &message {
            self.on_charter_announced(part.header.charter);
        }
        if let Some(message) = self.defer(position, message) {
            self.take_in(position, message);
        }
    }

    /// Deals with a message, and notes that everything before its position was dealt with: several may have one.
    pub(super) fn take_in(&mut self, position: u64, message: StreamMessage) {
        let before = position.checked_sub(1).filter(|before| self.state.position.is_none_or(|p| p < *before));
        match message {
            StreamMessage::Part(part) => self.hold_or_take(*part),
            StreamMessage::Withdraw(withdrawals) => self.on_withdrawals(&withdrawals),
            StreamMessage::Withdrawn(ids) => self.on_withdrawn_before(&ids),
            StreamMessage::Findings(findings) => self.remember(&findings),
            StreamMessage::Checkpoint(note) => self.on_checkpoint(&note),
            StreamMessage::Grown(growth) => self.on_growth(&growth),
            StreamMessage::Witnessed(proof) => self.on_witnessed(&proof),
            StreamMessage::Keys(changes) => self.on_keys(&changes),
            StreamMessage::Charter { version } => self.on_charter_announced(version),
        }
        // What waits for a charter is not dealt with: were it lost with the process, it would have to be sent again.
        if before.is_some() && !self.is_deferring() && !self.is_waiting() {
            self.persist(Record::Reached(before));
        }
    }

    /// Is anything in this part new and sound? The rest can be refused at once.
    pub(super) fn is_hopeful(&self, part: &PlanPart) -> bool {
        let new = |item: &&model::PartItem| {
            item.mitigation.member == self.settings.member && !self.is_known(&item.mitigation)
        };
        if !part.items.iter().any(|item| new(&item)) {
            return false;
        }
        let verdicts = self.verdicts(part);
        let judged = part.items.iter().zip(verdicts).filter(|(item, _)| new(item));
        judged.into_iter().any(|(item, judged)| !matches!(self.own_rules(&item.mitigation, judged), Answer::Refuse(_)))
    }

    pub(super) fn on_part(&mut self, part: &PlanPart) {
        self.watch_our_name(part);
        let (new, others): (Vec<usize>, Vec<usize>) = (0..part.items.len())
            .partition(|i| part.items.get(*i).is_some_and(|item| item.mitigation.member == self.settings.member));
        if !others.is_empty() {
            let text =
                format!("The hub sent {} mitigations of plan {} that are not ours.", others.len(), part.header.id());
            self.counts.refusal(Rule::NotForUs);
            self.alarm(AlarmKind::PartRefused, &text);
        }
        let new: Vec<usize> = new.into_iter().filter(|i| !self.is_known(&part.items[*i].mitigation)).collect();
        if new.is_empty() {
            return;
        }
        let verdicts = self.verdicts(part);
        for i in new {
            let mitigation = &part.items[i].mitigation;
            let judged = verdicts.get(i).cloned().unwrap_or_else(|| Answer::Refuse(not_judged()));
            match self.own_rules(mitigation, judged) {
                Answer::Accept => self.accept(part, mitigation, None),
                Answer::Ask { why: reason } => self.accept(part, mitigation, Some(reason)),
                Answer::Refuse(refusal) => self.refuse_mitigation(mitigation, refusal),
            }
        }
    }

    /// A resend after a reconnect changes nothing.
    fn is_known(&self, mitigation: &Mitigation) -> bool {
        let id = mitigation.id();
        let last = self.state.lineages.get(&mitigation.lineage()).and_then(|lineage| lineage.mitigation);
        last == Some(id) || self.state.held.contains_key(&id) || self.refused.contains(&id)
    }

    fn verdicts(&self, part: &PlanPart) -> Vec<Answer> {
        let refuse = |refusal: &Refusal| vec![Answer::Refuse(refusal.clone()); part.items.len()];
        let Some((charter, guards)) = self.law.as_ref().and_then(|law| Some((&law.charter, law.guards.as_ref()?)))
        else {
            return refuse(&Refusal::new(
                Rule::CharterUnsigned,
                "no charter and guard lists yet",
                "the pinned charter",
            ));
        };
        if let Some(forked) = &self.state.forked {
            let limit = "nothing new until a person has looked: epimachia agent history show";
            return refuse(&Refusal::new(Rule::HistoryForked, &forked.fault, limit));
        }
        if let Some(full) = self.full() {
            return refuse(&full);
        }
        if let Some(killed) = &self.state.killed {
            let limit = "nothing until it is turned off: epimachia agent resume";
            return refuse(&Refusal::new(Rule::StandingOrder, format_args!("kill switch: {}", killed.reason), limit));
        }
        let lineages = part.items.iter().map(|item| item.mitigation.lineage());
        let held = lineages.clone().filter(|lineage| self.by_lineage.contains_key(lineage)).collect();
        let generation = |id| Some((id, self.state.lineages.get(&id)?.generation));
        let generations: BTreeMap<LineageId, u64> = lineages.filter_map(generation).collect();
        let points = |measure: &Measure| self.settings.points_for(&*self.router, measure);
        let context = Context {
            member: &self.settings.member,
            charter,
            guards,
            orders: &self.settings.orders,
            allow: &self.allow,
            generations: &generations,
            held: &held,
            in_force: self.by_lineage.len(),
            points: &points,
            now: self.now,
        };
        decide::judge(part, &context).into_iter().map(|judged| judged.answer).collect()
    }

    /// The agent's own rules, which no judgement can overrule: generations, the allow-list, persons, limits.
    fn own_rules(&self, mitigation: &Mitigation, judged: Answer) -> Answer {
        if let Answer::Refuse(_) = judged {
            return judged;
        }
        let lineage = self.state.lineages.get(&mitigation.lineage());
        if let Some(lineage) = lineage.filter(|lineage| mitigation.generation <= lineage.generation) {
            let limit = format!("above {} for {}", lineage.generation, mitigation.measure.target());
            return Answer::Refuse(Refusal::new(Rule::OldGeneration, mitigation.generation, limit));
        }
        if mitigation.expires <= self.now {
            let limit = format!("an end after {}", self.now);
            return Answer::Refuse(Refusal::new(Rule::ExpiryRequired, mitigation.expires, limit));
        }
        if let Some(refusal) = self.allowed(mitigation).or_else(|| self.no_room(&mitigation.lineage())) {
            return Answer::Refuse(refusal);
        }
        if self.settings.points_for(&*self.router, &mitigation.measure).is_empty() {
            let limit = "a measure that one of this member's enforcement points can carry out";
            return Answer::Refuse(Refusal::new(Rule::CapabilityMissing, &mitigation.measure, limit));
        }
        self.decided(mitigation, judged)
    }

    fn no_room(&self, lineage: &LineageId) -> Option<Refusal> {
        let held_max = self.charter().map_or(0, |charter| charter.limits.in_force_per_member_max) as usize;
        // A renewal is held beside what it replaces for a moment.
        let held = self.by_lineage.len();
        let renews = self.by_lineage.contains_key(lineage);
        let known = self.state.lineages.contains_key(lineage);
        if !renews && held >= held_max || !known && self.state.lineages.len() >= LINEAGES_MAX {
            let limit = format!("{held_max} in force for one member");
            return Some(Refusal::new(Rule::BlastRadius, format_args!("{held} in force"), limit));
        }
        None
    }

    fn decided(&self, mitigation: &Mitigation, judged: Answer) -> Answer {
        match self.state.decisions.get(&mitigation.finding) {
            Some(Decision::Refused { until, reason }) if self.now < *until => {
                let limit = format!("nothing of {} before {until}: {reason}", mitigation.finding);
                Answer::Refuse(Refusal::new(Rule::StandingOrder, &mitigation.observable, limit))
            }
            Some(Decision::Accepted { measure, until }) if self.now < *until && *measure == mitigation.measure => {
                Answer::Accept
            }
            _ => judged,
        }
    }

    fn accept(&mut self, part: &PlanPart, mitigation: &Mitigation, asks: Option<String>) {
        let id = mitigation.id();
        let lineage_id = mitigation.lineage();
        let keep = self.state.lineages.get(&lineage_id).map_or(Timestamp::MIN, |lineage| lineage.until);
        let lineage = Lineage {
            generation: mitigation.generation,
            mitigation: Some(id),
            until: keep.max(mitigation.expires.plus(LINEAGE_MARGIN)),
        };
        self.persist(Record::Lineage(lineage_id, Some(lineage)));
        let points = self.settings.points_for(&*self.router, &mitigation.measure);
        let evidence = part.evidence.get(&mitigation.finding).map_or(&[][..], Vec::as_slice);
        self.hold(Held {
            mitigation: mitigation.clone(),
            plan: part.header.id(),
            made: part.header.made,
            class: part.header.class,
            rests_on: decide::rests_on(part.header.class, evidence, &part.approvals),
            state: MitigationState::Due,
            since: self.now,
            asks: asks.clone(),
            ending: None,
            points,
            evidence: String::new(),
            packets: None,
            bytes: None,
        });
        match asks {
            None => self.put_in_force(&id),
            Some(reason) => self.ask_person(&id, mitigation, &reason),
        }
    }

    fn ask_person(&mut self, id: &MitigationId, mitigation: &Mitigation, reason: &str) {
        // What waited before is answered by asking about the newer one.
        for other in self.of_lineage(&mitigation.lineage(), id) {
            if self.state.held.get(&other).is_some_and(|held| held.asks.is_some()) {
                self.end(&other, MitigationState::Withdrawn, format!("renewed by {id}"), None);
            }
        }
        self.report_due(id, reason);
        let text = format!(
            "{id} waits for a person: {} ({reason}). To decide: epimachia mitigation accept {id}, or refuse {id}",
            mitigation.measure
        );
        self.alarm(AlarmKind::PersonWanted, &text);
    }

    fn report_due(&mut self, id: &MitigationId, reason: &str) {
        let evidence = super::short(&format!("waits for a person: {reason}"));
        let receipt = due(*id, self.now, evidence);
        self.persist(Record::Receipt(Box::new(receipt)));
    }

    pub(super) fn refuse_mitigation(&mut self, mitigation: &Mitigation, refusal: Refusal) {
        let id = mitigation.id();
        if self.refused.len() >= REFUSED_MAX {
            self.refused.clear();
        }
        self.refused.insert(id);
        self.counts.refusal(refusal.rule);
        self.counts.state(MitigationState::Refused);
        let text = format!("Refused {id} ({}): {refusal}", mitigation.measure);
        let receipt = Receipt { refusal: Some(refusal), ..receipt(id, MitigationState::Refused, self.now) };
        self.persist(Record::Receipt(Box::new(receipt)));
        self.alarm(AlarmKind::PartRefused, &text);
    }

    /// The newer one is in force: what it follows may go.
    pub(super) fn retire_predecessors(&mut self, id: &MitigationId) {
        let Some(held) = self.state.held.get(id) else { return };
        let (lineage, generation) = (held.mitigation.lineage(), held.mitigation.generation);
        for other in self.of_lineage(&lineage, id) {
            if self.state.held.get(&other).is_some_and(|o| o.mitigation.generation < generation) {
                self.end(&other, MitigationState::Withdrawn, format!("renewed by {id}"), None);
            }
        }
    }

    fn of_lineage(&self, lineage: &LineageId, but: &MitigationId) -> Vec<MitigationId> {
        let ids = self.by_lineage.get(lineage).into_iter().flatten();
        ids.filter(|id| *id != but).copied().collect()
    }

    pub(super) fn on_withdrawals(&mut self, withdrawals: &[Withdrawal]) {
        let ours = |withdrawal: &&Withdrawal| withdrawal.member == self.settings.member;
        let mut last: BTreeMap<FindingId, &Withdrawal> = BTreeMap::new();
        for withdrawal in withdrawals.iter().filter(ours) {
            let last = last.entry(withdrawal.finding).or_insert(withdrawal);
            *last = if last.made < withdrawal.made { withdrawal } else { last };
        }
        self.withdraw_waiting(|header, mitigation| {
            last.get(&mitigation.finding).is_some_and(|withdrawal| header.made <= withdrawal.made)
        });
        let mut ended = Vec::new();
        for (finding, withdrawal) in last {
            let reason = format!("withdrawn by the alliance: {}", model::parse::printable(&withdrawal.reason));
            let made_before =
                |id: &&MitigationId| self.state.held.get(id).is_some_and(|held| held.made <= withdrawal.made);
            let ids = self.by_finding.get(&finding).into_iter().flatten().filter(made_before);
            ended.extend(ids.map(|id| (*id, reason.clone())));
        }
        self.end_withdrawn(ended);
    }

    /// What was withdrawn while this agent was away ends; what took its place is judged like any other.
    pub(super) fn on_withdrawn_before(&mut self, ids: &[MitigationId]) {
        let over: BTreeSet<MitigationId> = ids.iter().copied().collect();
        self.withdraw_waiting(|_, mitigation| over.contains(&mitigation.id()));
        let reason = "withdrawn by the alliance while this agent was away; its finding was planned anew since";
        self.end_withdrawn(over.into_iter().map(|id| (id, reason.to_owned())).collect());
    }

    fn end_withdrawn(&mut self, over: Vec<(MitigationId, String)>) {
        let before = self.state.held.len();
        let ends = over.into_iter().map(|(id, reason)| self.end(&id, MitigationState::Withdrawn, reason, None));
        let ended = ends.filter(|ended| *ended).count();
        self.notice_mass(before, ended);
    }

    /// Whoever can forge withdrawals can end every protection: that is obeyed, and not unnoticed.
    fn notice_mass(&mut self, before: usize, ended: usize) {
        let minute_ago = self.now.minus(Span::minutes(1));
        self.withdrawn.recent.retain(|at| *at > minute_ago);
        self.withdrawn.recent.extend(std::iter::repeat_n(self.now, ended));
        let recent = self.withdrawn.recent.len();
        if ended > 0 && recent >= MASS_LEAST && 2 * recent >= before {
            let text = format!(
                "The hub withdrew {recent} mitigations within a minute, of {before} held. They are lifted. If that was \
                 not the alliance's decision, ask the secretariat: epimachia journal show"
            );
            self.alarm(AlarmKind::MassWithdrawal, &text);
        }
    }

    /// Begins to end a mitigation; false if it is not held or ends already.
    pub(super) fn end(
        &mut self,
        id: &MitigationId,
        state: MitigationState,
        reason: String,
        refusal: Option<Refusal>,
    ) -> bool {
        let Some(held) = self.state.held.get(id).filter(|held| held.ending.is_none()) else { return false };
        // It takes no room any more, however long a point takes to say that it is gone.
        super::unindex(&mut self.by_lineage, &held.mitigation.lineage(), id);
        let since = self.now;
        self.change(id, |held| held.ending = Some(Ending { state, reason, since, refusal }));
        self.take_out(id);
        true
    }

    /// Ends what is over, and forgets lineages of which nothing can come back.
    pub(super) fn expire(&mut self) {
        while self.expiries.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((at, id)) = self.expiries.pop_first() else { break };
            self.end(&id, MitigationState::Expired, format!("ended at {at}"), None);
        }
    }

    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first().map(|(at, _)| *at)
    }

    /// Forgets lineages whose time is over; called on patrol.
    pub(super) fn forget_lineages(&mut self) {
        let over = self.state.lineages.iter().filter(|(_, lineage)| lineage.until <= self.now);
        let over: Vec<LineageId> = over.map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.persist(Record::Lineage(id, None)));
        let over = self.state.decisions.iter().filter(|(_, decision)| decision.until() <= self.now);
        let over: Vec<FindingId> = over.map(|(finding, _)| *finding).collect();
        over.into_iter().for_each(|finding| self.persist(Record::Decision(finding, None)));
    }

    /// Ends what the charter that was just adopted does not allow any more: at once, and without asking the hub.
    pub(super) fn hold_to_charter(&mut self) {
        let Some((charter, guards)) = self.law.as_ref().and_then(|law| Some((&law.charter, law.guards.as_ref()?)))
        else {
            return;
        };
        let trust_alone = &self.settings.orders.trust_alone;
        let ended: Vec<(MitigationId, Refusal)> = (self.state.held.iter())
            .filter(|(_, held)| held.ending.is_none())
            .filter_map(|(id, held)| {
                let (class, mitigation, rests_on) = (held.class, &held.mitigation, &held.rests_on);
                let asked = decide::Standings { class, mitigation, rests_on, trust_alone };
                decide::still_stands(asked, charter, guards).err().map(|refusal| (*id, refusal))
            })
            .collect();
        let version = charter.alliance.version;
        for (id, refusal) in ended {
            self.counts.refusal(refusal.rule);
            let reason = format!("charter {version} does not allow it any more: {refusal}");
            self.end(&id, MitigationState::Withdrawn, reason, Some(refusal));
        }
    }

    /// Reads the allow-list anew, after it was changed.
    pub(super) fn read_allow_list(&mut self) {
        self.allow = AllowList::new(self.settings.allow.iter().chain(self.state.allow.keys()));
    }

    pub(super) fn allowed(&self, mitigation: &Mitigation) -> Option<Refusal> {
        let target = mitigation.measure.target().observable();
        let covered = self.allow.covers(&target) || self.allow.covers(&mitigation.observable);
        covered.then(|| Refusal::new(Rule::OwnAllowList, target, "nothing that overlaps this member's allow-list"))
    }

    /// Has everything in force sent anew: what was refused for a reason that is over is judged again.
    pub(super) fn ask_anew(&mut self) {
        self.refused.clear();
        if self.state.position.is_some() {
            self.persist(Record::Reached(None));
            self.reconnect();
        }
    }

    /// Reconnects from what is surely dealt with.
    pub(super) fn reconnect(&mut self) {
        self.out.push(Output::Reconnect { after: self.state.position });
    }
}

fn receipt(mitigation: MitigationId, state: MitigationState, at: Timestamp) -> Receipt {
    let (evidence, refusal) = (String::new(), None);
    Receipt { mitigation, state, point: None, at, evidence, packets: None, bytes: None, refusal }
}

/// A receipt that says why nothing was done yet.
pub(super) fn due(mitigation: MitigationId, at: Timestamp, evidence: String) -> Receipt {
    Receipt { evidence, ..receipt(mitigation, MitigationState::Due, at) }
}

fn not_judged() -> Refusal {
    Refusal::new(Rule::Malformed, "an item without a verdict", "one verdict for each item")
}

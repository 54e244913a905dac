//! Events into state: cannot fail, has no effects, and gives the same state whenever it is repeated.

use crate::entry::{Entry, Event, Report};
use crate::place::Place;
use crate::state::{Alliance, InForceCharter, MitigationRecord, PlanRecord, PlanState, Protection, Submitted};
use charter::{Charter, Guards, SignedCharter};
use corroborate::{Attestation, MemberIndex, MemberTrust, Sight, SightOutcome};
use model::{
    Family, Finding, FindingId, FindingState, MemberId, MemberKind, Mitigation, MitigationId, MitigationState,
    Observable, Plan, PlanId, Receipt, Refusal, Sighting, SignedApproval, SignedReceipts, SignedRetraction, Span,
    Standing, Statement, Timestamp, Withdrawal, finding_id,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Faults for reporting what a guard protects.
const GUARD_FAULT: f64 = 0.5;
/// How many measured times to protection are kept for figures.
const PROTECTIONS_KEPT: usize = 10_000;

impl Alliance {
    /// Takes an entry into the state.
    pub fn apply(&mut self, position: u64, entry: &Entry) {
        self.apply_typed(position, entry, None);
    }

    /// As [`Alliance::apply`], with the sightings of a report already typed.
    pub fn apply_typed(&mut self, position: u64, entry: &Entry, sightings: Option<&[Sighting]>) {
        let before = self.ledger.time.unwrap_or(entry.time);
        let now = before.max(entry.time);
        self.ledger.previous = if before < now { Some(before) } else { self.ledger.previous };
        self.ledger.time = Some(now);
        self.ledger.next_position = position + 1;
        *self.ledger.entries.entry(entry.event.kind().to_owned()).or_default() += 1;
        match &entry.event {
            Event::CharterAdopted(signed) => self.take_charter(position, signed),
            Event::KeyChanged(signed) => self.take_key_change(position, signed, now),
            Event::Membership(step) => self.take_membership(position, step, now),
            Event::SightingsReported(report) => self.take_report(position, report, sightings, now),
            Event::Retracted(signed) => self.take_retraction(position, signed, now),
            Event::FindingsChanged { findings } => findings.iter().for_each(|finding| self.take_finding(finding)),
            Event::Proposed(signed) => {
                self.ledger.proposals.insert(signed.digest(), signed.proposal.expires);
            }
            Event::PlanProposed(plan) => self.take_plan(position, entry, plan),
            Event::Approved(approval) => self.take_approval(approval),
            Event::PlanInForce { plan, .. } => self.take_in_force(position, *plan, now),
            Event::PlanClosed { plan, reason } => self.set_plan(*plan, PlanState::Closed { reason: reason.clone() }),
            Event::ReceiptsReported(signed) => self.take_receipts(position, signed, now),
            Event::Disputed(signed) => {
                self.ledger.disputes.entry(signed.dispute.finding).or_default().push(signed.clone());
            }
            Event::DisputeUpheld { finding, .. } => self.take_upheld(*finding, now),
            Event::Withdrawn { withdrawals } => withdrawals.iter().for_each(|w| self.take_withdrawal(w)),
            Event::TokenIssued(record) => {
                self.ledger.tokens.insert(record.hash, record.clone());
            }
            Event::TokenRevoked { token } => self.ledger.tokens.retain(|_, t| t.id != *token),
            Event::JoinTokenIssued(record) => self.take_join_token(record),
            Event::JoinTokenRevoked { token } => self.take_join_token_revoked(*token),
            Event::CertificateIssued(record) => self.take_certificate(record, now),
            Event::CertificateRevoked { certificate, reason } => self.take_certificate_revoked(*certificate, reason),
            // Where they stand is the index's to know.
            Event::ObjectsShared(_) | Event::ObjectsDeleted(_) => {}
            Event::CollectionOpened(record) => self.take_collection(record),
            Event::CollectionClosed(closing) => self.take_closing(closing, now),
            Event::TakenBack(taken) => self.take_back(taken, now),
            Event::Objected(objection) => self.take_objection(objection),
            Event::Backlog { waiting } => self.ledger.backlog = *waiting > 0,
            Event::Held { finding, refusal, .. } => self.take_held(*finding, refusal),
        }
        self.ongoing.pass(now);
        self.forget_ended(now);
        if day(before) < day(now) {
            self.forget_findings(now, spoken_of(&entry.event));
        }
    }

    pub(crate) fn guards_of(&self, charter: &Charter) -> Result<Guards, Refusal> {
        let files: Vec<Vec<u8>> = (charter.guards.list.iter())
            .map(|list| self.lists.get(&list.sha256).map_or_else(Vec::new, |bytes| bytes.to_vec()))
            .collect();
        Guards::new(charter, &files)
    }

    /// The charter was verified before it was journalled; one that cannot be read any more changes nothing.
    fn take_charter(&mut self, position: u64, signed: &SignedCharter) {
        let Ok(charter) = Charter::parse(&signed.text) else { return };
        let keys = self.keys_next();
        let mut charter = keys.effective(&charter);
        self.ledger.membership.under(&charter);
        self.ledger.membership.lay_over(&mut charter);
        (self.ledger.keys, self.ledger.key_places) = (keys, BTreeMap::new());
        self.ledger.charters.insert(charter.alliance.version, position);
        let rules = crate::rules::rules_of(&charter);
        if crate::rules::set_rules(&mut self.engine, rules).is_err() {
            return;
        }
        self.set_standings(&charter);
        let guards = self.guards_of(&charter).ok();
        // Other guards, members or numbers: what stands is looked at anew.
        let standing = self.ledger.findings.values().filter(|finding| finding.state == FindingState::Corroborated);
        let now = self.ledger.time.unwrap_or(Timestamp::MIN);
        self.ledger.pending.extend(standing.map(|finding| ((finding.observable.clone(), finding.family), now)));
        let digest = signed.digest();
        self.charter = Some(Arc::new(InForceCharter { signed: signed.clone(), charter, digest, guards }));
    }

    /// What each member's word counts in the table; who is not named has no voice.
    pub(crate) fn set_standings(&mut self, charter: &Charter) {
        for member in &charter.members {
            let standing = voice(member.kind, member.standing);
            match self.number(&member.id) {
                Some(number) => drop(self.engine.set_standing(number, standing)),
                None if self.engine.add_member(MemberTrust { standing }).is_ok() => {
                    self.ledger.numbered.push(member.id.clone());
                }
                None => {}
            }
        }
        for number in 0..self.ledger.numbered.len() {
            if charter.member(&self.ledger.numbered[number]).is_err() {
                let index = MemberIndex(u16::try_from(number).unwrap_or(u16::MAX));
                drop(self.engine.set_standing(index, Standing::Suspended));
            }
        }
    }

    fn take_report(&mut self, position: u64, report: &Report, typed: Option<&[Sighting]>, now: Timestamp) {
        let read;
        let sightings = match (typed, report) {
            (Some(sightings), _) => sightings,
            (None, Report::Attested { sightings, .. } | Report::Drawn { sightings, .. }) => sightings,
            (None, Report::Signed(batch)) => {
                read = batch.openings.iter().filter_map(|o| o.parse().ok()).collect::<Vec<_>>();
                &read
            }
        };
        let Some(number) = self.number(report.member()) else { return };
        let submissions = self.ledger.submissions.entry(report.member().clone()).or_default();
        // What others are shown of a member does not tell when it spoke without its name.
        let named = sightings.iter().filter(|sighting| !sighting.handling.unnamed).count() as u64;
        submissions.heard = if named > 0 { Some(now) } else { submissions.heard };
        submissions.sightings += named;
        if let Report::Signed(batch) = report {
            let mark = crate::command::mark(&batch.signature);
            submissions.note(Submitted { sequence: batch.header.sequence, position, mark });
        }
        self.ledger.sightings += sightings.len() as u64;
        let sights = self.sights(number, sightings, attestation(report), now);
        let mut outcomes = vec![SightOutcome::default(); sights.len()];
        // The member was numbered by this table, so only a full one refuses.
        let mark = |i: usize| {
            let unnamed = sightings.get(i).is_some_and(|sighting| sighting.handling.unnamed);
            Place { position, index: u32::try_from(i).unwrap_or(u32::MAX) }.mark(unnamed)
        };
        if self.engine.sight_all_marked(&sights, mark, |i, outcome| outcomes[i] = outcome).is_err() {
            return;
        }
        for (sighting, outcome) in sightings.iter().zip(outcomes) {
            self.take_outcome(number, sighting, outcome, now);
        }
    }

    /// All at once: the table reads ahead, which is twice as fast.
    fn sights(&self, member: MemberIndex, sightings: &[Sighting], attested: Attestation, now: Timestamp) -> Vec<Sight> {
        let keys = *self.engine.keys();
        let sight = |s: &Sighting| Sight {
            observable: keys.finding(&s.observable, s.behaviour.family()),
            neighbourhood: keys.neighbourhood_of(&s.observable),
            member,
            at: s.last.min(now),
            grade: s.grade,
            attested,
        };
        sightings.iter().map(sight).collect()
    }

    fn take_outcome(&mut self, member: MemberIndex, s: &Sighting, outcome: SightOutcome, now: Timestamp) {
        if outcome.fresh && !is_one_page(&s.observable) && self.guard(&s.observable).is_some_and(|hit| hit.absolute) {
            drop(self.engine.blame(member, GUARD_FAULT, now));
        }
        let family = s.behaviour.family();
        if self.is_worth_judging(&s.observable, family, outcome) {
            self.ledger.pending.insert((s.observable.clone(), family), now);
        }
    }

    /// A finding changes only when the table crosses a threshold, or when one that nobody acts upon gains a report: a
    /// member that may publish alone informs people, and machines wait for a second one's signed evidence.
    fn is_worth_judging(&self, observable: &Observable, family: Family, outcome: SightOutcome) -> bool {
        if outcome.now_informs || outcome.now_acts {
            return true;
        }
        let id = finding_id(observable, family);
        // The table counts what a revoked key signed, and what is for fewer than were told of the finding: what faded
        // is judged by every new report.
        if self.ledger.findings.get(&id).is_some_and(|f| f.state == FindingState::Faded) {
            return true;
        }
        let idle = |f: &Finding| !f.actionable || !self.ledger.lineages.contains_key(&f.id);
        let waits = |f: &Arc<Finding>| f.state != FindingState::Revoked && idle(f);
        outcome.fresh && outcome.known && self.ledger.findings.get(&id).is_some_and(waits)
    }

    fn take_retraction(&mut self, position: u64, signed: &SignedRetraction, now: Timestamp) {
        let retraction = &signed.retraction;
        let submissions = self.ledger.submissions.entry(retraction.author.clone()).or_default();
        let mark = crate::command::mark(&signed.signature);
        submissions.note(Submitted { sequence: retraction.sequence, position, mark });
        self.take_back_one(&retraction.author, &retraction.observable, retraction.family(), now);
    }

    pub(crate) fn take_back_one(&mut self, member: &MemberId, observable: &Observable, family: Family, now: Timestamp) {
        let Some(number) = self.number(member) else { return };
        let key = self.engine.keys().finding(observable, family);
        drop(self.engine.retract(key, number, now));
        if self.ledger.findings.contains_key(&finding_id(observable, family)) {
            self.ledger.pending.insert((observable.clone(), family), now);
        }
    }

    fn take_finding(&mut self, finding: &Finding) {
        let judged = (finding.observable.clone(), finding.family);
        self.ledger.pending.remove(&judged);
        self.ledger.again.remove(&judged);
        let half_life = crate::rules::half_life(&self.charter);
        if let Some(before) = self.ledger.findings.get(&finding.id).filter(|f| f.state == FindingState::Corroborated)
            && !self.ledger.fading.remove(&(fades_at(before, half_life), finding.id))
        {
            // Noted under another charter's half-life: looked for among all.
            self.ledger.fading.retain(|(_, id)| *id != finding.id);
        }
        if finding.state == FindingState::Corroborated {
            self.ledger.fading.insert((fades_at(finding, half_life), finding.id));
        }
        if let Some(hit) = finding.guard.as_ref().filter(|g| g.absolute && g.class == "never") {
            let key = self.engine.keys().finding(&finding.observable, finding.family);
            // Who reported before the charter guarded it did nothing wrong.
            let known = self.ledger.findings.get(&finding.id).map(|known| known.state);
            let wrong = known != Some(FindingState::Corroborated);
            if finding.state == FindingState::Guarded && !hit.list.is_empty() && wrong {
                drop(self.engine.dispute_upheld(key, finding.made));
            }
        }
        match finding.state != FindingState::Corroborated && self.is_in_force_for(finding.id) {
            true => self.ledger.unwithdrawn.insert(finding.id),
            false => self.ledger.unwithdrawn.remove(&finding.id),
        };
        self.ledger.findings.insert(finding.id, Arc::new(finding.clone()));
    }

    fn is_in_force_for(&self, finding: FindingId) -> bool {
        let Some(now) = self.ledger.time else { return false };
        let newest =
            self.ledger.lineages.get(&finding).into_iter().flat_map(BTreeMap::values).flat_map(BTreeMap::values);
        newest.into_iter().any(|id| self.ledger.is_line_live(*id, now))
    }

    fn take_plan(&mut self, position: u64, entry: &Entry, plan: &Plan) {
        self.ledger.generation = self.ledger.generation.max(plan.header.generation);
        let id = plan.id();
        self.ledger.parent = Some(id);
        let record = PlanRecord {
            plan: Arc::new(plan.clone()),
            position,
            handling: entry.handling.clone(),
            author: entry.author.clone(),
            approvals: Vec::new(),
            state: PlanState::Proposed,
        };
        self.ledger.plans.insert(id, record);
        self.ongoing.note_plan(&self.ledger, id);
    }

    fn take_approval(&mut self, approval: &SignedApproval) {
        let digest = approval.approval.plan;
        let named = |record: &&mut PlanRecord| record.plan.header.digest() == digest;
        if let Some(record) = self.ledger.plans.get_mut(&PlanId::of(&digest)).filter(named) {
            record.approvals.push(approval.clone());
        }
    }

    fn set_plan(&mut self, id: PlanId, state: PlanState) {
        if let Some(record) = self.ledger.plans.get_mut(&id) {
            record.state = state;
        }
        self.ongoing.note_plan(&self.ledger, id);
    }

    fn take_in_force(&mut self, position: u64, id: PlanId, now: Timestamp) {
        self.set_plan(id, PlanState::InForce { since: now, position });
        let Some(plan) = self.ledger.plans.get(&id).map(|record| Arc::clone(&record.plan)) else { return };
        for mitigation in &plan.mitigations {
            let mitigation_id = mitigation.id();
            // Persons want it although the finding does not stand.
            self.ledger.unwithdrawn.remove(&mitigation.finding);
            let newest = self.generation_in_force(mitigation);
            let lineage = self.ledger.lineages.entry(mitigation.finding).or_default();
            // Approved after something newer of its lineage came into force: agents refuse it, the newer one goes on.
            let outdated = newest.is_some_and(|newest| newest > mitigation.generation);
            let newest = lineage.entry(mitigation.member.clone()).or_default();
            let before = if outdated { None } else { newest.insert(mitigation.lineage(), mitigation_id) };
            let outlasts = |(_, earlier): &(_, &MitigationRecord)| earlier.expires > mitigation.expires;
            let outlasted_by = before.and_then(|before| self.ledger.line(before).find(outlasts)).map(|(id, _)| id);
            let record = MitigationRecord { outlasted_by, ..record_of(mitigation, &plan, id, now) };
            self.ledger.mitigations.insert(mitigation_id, record);
            if let Some(before) = before {
                self.ledger.renewals.insert(mitigation_id);
                self.ongoing.note(&self.ledger, &before);
            }
            self.ongoing.note(&self.ledger, &mitigation_id);
        }
    }

    /// The generation of what is in force of a mitigation's lineage.
    fn generation_in_force(&self, mitigation: &Mitigation) -> Option<u64> {
        let of_finding = self.ledger.lineages.get(&mitigation.finding)?;
        let newest = of_finding.get(&mitigation.member)?.get(&mitigation.lineage())?;
        let plan = self.ledger.mitigations.get(newest).map(|record| record.plan)?;
        self.ledger.plans.get(&plan).map(|record| record.plan.header.generation)
    }

    fn take_receipts(&mut self, position: u64, signed: &SignedReceipts, now: Timestamp) {
        let receipts = &signed.receipts;
        let submissions = self.ledger.submissions.entry(receipts.author.clone()).or_default();
        let mark = crate::command::mark(&signed.signature);
        submissions.note(Submitted { sequence: receipts.sequence, position, mark });
        submissions.heard = Some(now);
        for receipt in &receipts.receipts {
            self.take_receipt(receipt, now);
        }
    }

    fn take_receipt(&mut self, receipt: &Receipt, now: Timestamp) {
        let Some(record) = self.ledger.mitigations.get_mut(&receipt.mitigation) else { return };
        record.reported = Some(now);
        record.packets = receipt.packets.or(record.packets);
        record.bytes = receipt.bytes.or(record.bytes);
        if !record.state.may_be_followed_by(receipt.state) {
            return;
        }
        record.state = receipt.state;
        record.point = receipt.point.clone().or_else(|| record.point.clone());
        record.refusal.clone_from(&receipt.refusal);
        if !receipt.evidence.is_empty() {
            record.evidence.clone_from(&receipt.evidence);
        }
        if receipt.state == MitigationState::Verified && record.verified.is_none() {
            let at = receipt.at.min(now);
            record.verified = Some(at);
            let (finding, member) = (record.finding, record.member.clone());
            let millis = at.since(record.since).as_millis().max(0);
            if !self.ledger.renewals.contains(&receipt.mitigation) {
                self.ledger.protections.push_back(Protection { finding, member, millis });
            }
            if self.ledger.protections.len() > PROTECTIONS_KEPT {
                self.ledger.protections.pop_front();
            }
        }
        self.ongoing.note(&self.ledger, &receipt.mitigation);
    }

    fn take_upheld(&mut self, id: FindingId, now: Timestamp) {
        let Some(finding) = self.ledger.findings.get(&id) else { return };
        let key = self.engine.keys().finding(&finding.observable, finding.family);
        drop(self.engine.dispute_upheld(key, now));
        // What follows stands behind it; a crash may have cut it off.
        self.ledger.pending.insert((finding.observable.clone(), finding.family), now);
    }

    fn take_withdrawal(&mut self, withdrawal: &Withdrawal) {
        self.ledger.withdrawn = self.ledger.withdrawn.max(Some(withdrawal.made));
        let Some(lineage) = self.ledger.lineages.get_mut(&withdrawal.finding) else { return };
        let ended = lineage.remove(&withdrawal.member).unwrap_or_default();
        if lineage.is_empty() {
            self.ledger.lineages.remove(&withdrawal.finding);
            self.ledger.unwithdrawn.remove(&withdrawal.finding);
        }
        let line = |newest: &MitigationId| self.ledger.line(*newest).map(|(id, _)| id).collect::<Vec<_>>();
        let over: BTreeSet<MitigationId> = ended.values().flat_map(line).collect();
        for id in &over {
            if let Some(record) = self.ledger.mitigations.get_mut(id) {
                record.withdrawn = Some(withdrawal.made);
            }
            self.ongoing.note(&self.ledger, id);
        }
    }

    fn take_held(&mut self, finding: FindingId, refusal: &Refusal) {
        *self.ledger.refusals.entry(refusal.rule).or_default() += 1;
        self.ledger.held.entry(finding).or_default().insert(refusal.rule);
    }
}

/// The day of a time.
const fn day(time: Timestamp) -> i64 {
    time.as_millis().div_euclid(Span::days(1).as_millis())
}

/// The finding that a person speaks of: that it is there was looked at before the entry was made.
const fn spoken_of(event: &Event) -> Option<FindingId> {
    match event {
        Event::Disputed(signed) => Some(signed.dispute.finding),
        Event::Proposed(signed) => Some(signed.proposal.finding),
        _ => None,
    }
}

fn attestation(report: &Report) -> Attestation {
    match report {
        Report::Signed(_) => Attestation::Signed,
        Report::Attested { .. } | Report::Drawn { .. } => Attestation::ByHub,
    }
}

/// An observer's reports inform by being in the journal; they count for nothing.
fn voice(kind: MemberKind, standing: Standing) -> Standing {
    match kind {
        MemberKind::Observer => Standing::Suspended,
        MemberKind::Full | MemberKind::Associate => standing,
    }
}

/// When the total will have fallen to the threshold, if nobody reports again.
fn fades_at(finding: &Finding, half_life: Span) -> Timestamp {
    let ratio = (finding.sum.total / finding.sum.threshold).max(1.0);
    let millis = half_life.as_millis() as f64 * ratio.log2();
    finding.made.plus(Span::millis(millis as i64 + 1_000))
}

fn record_of(mitigation: &Mitigation, plan: &Plan, id: PlanId, now: Timestamp) -> MitigationRecord {
    MitigationRecord {
        member: mitigation.member.clone(),
        finding: mitigation.finding,
        plan: id,
        measure: mitigation.measure.to_string(),
        class: plan.header.class,
        since: now,
        expires: mitigation.expires,
        state: MitigationState::Due,
        point: None,
        reported: None,
        verified: None,
        evidence: String::new(),
        packets: None,
        bytes: None,
        refusal: None,
        outlasted_by: None,
        withdrawn: None,
    }
}

/// One page of a host. Where a guard protects the host it is held back like the host, but whoever named it named the
/// narrow object and is not at fault: most pages that people report there are what they are said to be.
fn is_one_page(observable: &Observable) -> bool {
    let Observable::Url(url) = observable else { return false };
    let rest = url.as_str().split_once("://").map_or("", |(_, rest)| rest);
    rest.split_once('/').is_some_and(|(_, page)| !page.is_empty())
}

//! Commands into events: decides, and changes nothing.

use crate::command::Command;
use crate::entry::{Author, Event, Report};
use crate::proposal::{Proposal, SignedProposal};
use crate::state::Alliance;
use crate::token::{Scope, TokenRecord};
use charter::{Charter, Guards, SignedCharter};
use model::{
    Finding, FindingId, FindingState, Ground, Handling, MemberId, MitigationId, MitigationState, PersonId, Refusal,
    Role, Rule, Sighting, SignedDispute, SignedReceipts, SignedRetraction, Standing, Timestamp, Tlp, TokenId,
    Withdrawal,
};
use std::collections::BTreeSet;

/// Longest reason that a person may give, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// An event that is to become an entry.
#[derive(Clone, Debug)]
pub struct Drafted {
    /// Who states it.
    pub author: Author,
    /// Who may see it.
    pub handling: Handling,
    /// What is stated.
    pub event: Event,
    /// For reports: the sightings already typed, so that applying need not read them again.
    pub sightings: Option<Vec<Sighting>>,
}

impl Drafted {
    /// An event that the hub states.
    pub(crate) fn hub(handling: Handling, event: Event) -> Self {
        Self { author: Author::Hub, handling, event, sightings: None }
    }

    pub(crate) fn by(author: Author, handling: Handling, event: Event) -> Self {
        Self { author, handling, event, sightings: None }
    }
}

/// What all members may see.
pub(crate) fn internal() -> Handling {
    Handling::alliance(Tlp::Green)
}

impl Alliance {
    /// Decides what a command leads to, without changing anything.
    ///
    /// # Errors
    /// The rule that says no.
    pub fn handle(&self, command: Command, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        match command {
            Command::AdoptCharter(signed) => self.adopt(*signed, now),
            Command::ChangeKey(signed) => self.change_key(*signed, now),
            Command::Membership { by, statement } => self.membership_step(by, *statement, now),
            Command::Report { report, sightings } => self.report(report, sightings, now),
            Command::Retract(signed) => self.retract(signed, now),
            Command::Receipts(signed) => self.receipts(signed, now),
            Command::Approve(signed) => self.approve(signed, now),
            Command::Dispute(signed) => self.dispute(signed, now),
            Command::Propose(signed) => {
                self.require_audience(&signed.proposal)?;
                self.require_once(&signed, now)?;
                self.propose(*signed, now)
            }
            Command::IssueToken(record) => self.issue(record, now),
            Command::RevokeToken(id) => self.revoke(id),
            Command::IssueJoinToken(record) => self.issue_join_token(record, now),
            Command::RevokeJoinToken(id) => self.revoke_join_token(id),
            Command::IssueCertificate { record, token } => self.issue_certificate(*record, token, now),
            Command::RevokeCertificate { certificate, reason } => self.revoke_certificate(certificate, reason),
            Command::Share(share) => self.share(*share, now),
            Command::Unshare(unshare) => self.unshare(*unshare, now),
            Command::OpenCollection { member, by, wish } => self.open_collection(member, by, *wish, now),
            Command::CloseCollection(closing) => self.close_collection(*closing),
            Command::Tick => Ok(self.close_unapproved(now).into_iter().chain(self.membership_due(now)).collect()),
        }
    }

    fn adopt(&self, mut signed: SignedCharter, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let charter = match &self.charter {
            None => signed.verify_first(now)?,
            // By the text and the members' keys alone: whom the hub does not hear still has its vote here.
            Some(before) => signed.verify_next(&self.signed_law()?, before.digest, now)?,
        };
        if let Some(missing) = charter.guards.list.iter().find(|list| !self.lists.contains_key(&list.sha256)) {
            let limit = "every guard list is given before the charter that names it";
            return Err(Refusal::new(Rule::DigestMismatch, &missing.file, limit));
        }
        let guards = self.guards_of(&charter)?;
        // Whoever catches up checks the consents by the keys that counted when they were given.
        signed.keys.clone_from(&self.ledger.keys.changes);
        let (charter, why) = (self.keys_under(&charter), format!("charter {}", charter.alliance.version));
        let mut drafts = vec![Drafted::hub(internal(), Event::CharterAdopted(Box::new(signed)))];
        drafts.extend(self.withdrawn_by_law(&charter, &guards, &why, now));
        Ok(drafts)
    }

    fn report(&self, report: Report, sightings: Vec<Sighting>, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let handling = self.admit_report(&report, &sightings, now)?;
        let author = Author::Member(report.member().clone());
        let event = Event::SightingsReported(report);
        Ok(vec![Drafted { author, handling, event, sightings: Some(sightings) }])
    }

    fn retract(&self, signed: SignedRetraction, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let retraction = &signed.retraction;
        let charter = &self.in_force()?.charter;
        charter.member(&retraction.author)?.require(Role::Reporter)?;
        charter.member_key(&retraction.author, &retraction.key, now)?;
        self.require_next(&retraction.author, retraction.sequence)?;
        require_reason(&retraction.reason)?;
        let author = Author::Member(retraction.author.clone());
        // Whoever spoke without its name takes back without it.
        let unnamed = self.spoke_unnamed(&retraction.author, &retraction.observable, retraction.family(), now);
        Ok(vec![Drafted::by(author, Handling { unnamed, ..internal() }, Event::Retracted(signed))])
    }

    fn receipts(&self, signed: SignedReceipts, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let receipts = &signed.receipts;
        let charter = &self.in_force()?.charter;
        charter.member(&receipts.author)?.require(Role::Operator)?;
        charter.member_key(&receipts.author, &receipts.key, now)?;
        self.require_next(&receipts.author, receipts.sequence)?;
        for receipt in &receipts.receipts {
            let foreign = self.ledger.mitigations.get(&receipt.mitigation).filter(|m| m.member != receipts.author);
            if let Some(record) = foreign {
                let value = format!("{} of {}", receipt.mitigation, record.member);
                return Err(Refusal::new(Rule::NotForUs, value, "receipts for the author's own mitigations"));
            }
        }
        let author = Author::Member(receipts.author.clone());
        Ok(vec![Drafted::by(author, internal(), Event::ReceiptsReported(signed))])
    }

    fn dispute(&self, signed: SignedDispute, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let dispute = &signed.dispute;
        self.require_person(&dispute.person, now)?;
        self.in_force()?.charter.person_key(&dispute.person, &dispute.key, now)?;
        require_reason(&dispute.reason)?;
        let finding = self.ledger.findings.get(&dispute.finding);
        let unknown = || Refusal::new(Rule::UnknownFinding, dispute.finding, "a finding the alliance holds");
        let finding = finding.ok_or_else(unknown)?;
        let known = self.ledger.disputes.get(&dispute.finding).map_or(&[][..], Vec::as_slice);
        if known.iter().any(|d| d.dispute.person == dispute.person) {
            return Err(Refusal::new(Rule::ApprovalReplayed, &dispute.person, "one dispute a person and finding"));
        }
        let author = Author::Person(dispute.person.clone());
        let mut drafts = vec![Drafted::by(author, finding.handling.clone(), Event::Disputed(signed.clone()))];
        let upheld = self.upheld_by(finding.id, &signed, known);
        if let (Some(reason), true) = (upheld, finding.state != FindingState::Revoked) {
            let event = Event::DisputeUpheld { finding: finding.id, reason: reason.clone() };
            drafts.push(Drafted::hub(finding.handling.clone(), event));
            let mut revoked = Finding::clone(finding);
            (revoked.state, revoked.actionable, revoked.made) = (FindingState::Revoked, false, now);
            drafts.extend(self.withdrawals(finding.id, &format!("revoked: {reason}"), now));
            drafts.push(Drafted::hub(finding.handling.clone(), Event::FindingsChanged { findings: vec![revoked] }));
        }
        Ok(drafts)
    }

    /// Why a dispute is upheld: its member owns the asset, or persons of enough members agree.
    fn upheld_by(&self, finding: FindingId, new: &SignedDispute, known: &[SignedDispute]) -> Option<String> {
        let in_force = self.charter.as_ref()?;
        let member = new.dispute.person.member();
        let observable = &self.ledger.findings.get(&finding)?.observable;
        let owner = in_force.guards.as_ref().and_then(|g| g.owner(observable));
        if owner == Some(&member) && new.dispute.ground == Ground::OwnAsset {
            return Some(format!("{member} has proven it to be its own"));
        }
        let vetted = |m: &MemberId| in_force.charter.member(m).is_ok_and(|m| m.standing == Standing::Vetted);
        let members: BTreeSet<MemberId> =
            (known.iter().chain([new])).map(|d| d.dispute.person.member()).filter(vetted).collect();
        let enough = members.len() >= in_force.charter.quorum.dispute as usize;
        let names: Vec<&str> = members.iter().map(MemberId::as_str).collect();
        enough.then(|| format!("persons of {} dispute it", names.join(", ")))
    }

    /// The withdrawal of everything in force for a finding.
    pub(crate) fn withdrawals(&self, finding: FindingId, reason: &str, now: Timestamp) -> Option<Drafted> {
        let lineage = self.ledger.lineages.get(&finding)?;
        let live = |newest: &MitigationId| self.ledger.is_line_live(*newest, now);
        let withdrawals: Vec<Withdrawal> = (lineage.iter().filter(|(_, newest)| newest.values().any(live)))
            .map(|(member, _)| Withdrawal { member: member.clone(), finding, reason: reason.to_owned(), made: now })
            .collect();
        let handling = self.ledger.findings.get(&finding).map_or_else(internal, |f| f.handling.clone());
        (!withdrawals.is_empty()).then(|| Drafted::hub(handling, Event::Withdrawn { withdrawals }))
    }

    /// A person may approve and dispute for a member that is heard and has the role.
    pub(crate) fn require_person(&self, person: &PersonId, _now: Timestamp) -> Result<(), Refusal> {
        self.in_force()?.charter.member(&person.member())?.require(Role::Approver)
    }

    /// What a new charter, or other keys, do not allow any more ends at once, whatever its agent reported last.
    pub(crate) fn withdrawn_by_law(
        &self,
        charter: &Charter,
        guards: &Guards,
        why: &str,
        now: Timestamp,
    ) -> Vec<Drafted> {
        let mut drafts = Vec::new();
        for (finding, lineage) in &self.ledger.lineages {
            let ended = lineage.iter().filter_map(|(member, newest)| {
                let refusal = newest.values().find_map(|id| self.line_ended_by_law(*id, charter, guards, now))?;
                let reason = format!("{why}: {refusal}");
                Some(Withdrawal { member: member.clone(), finding: *finding, reason, made: now })
            });
            let withdrawals: Vec<Withdrawal> = ended.collect();
            if !withdrawals.is_empty() {
                let handling = self.ledger.findings.get(finding).map_or_else(internal, |f| f.handling.clone());
                drafts.push(Drafted::hub(handling, Event::Withdrawn { withdrawals }));
            }
        }
        drafts
    }

    /// Asked of the newest of a line, once that has run out of what lasts longer. Agents ask it of each that they hold.
    fn line_ended_by_law(
        &self,
        newest: MitigationId,
        charter: &Charter,
        guards: &Guards,
        now: Timestamp,
    ) -> Option<Refusal> {
        let (id, _) = self.ledger.line(newest).find(|(_, m)| m.expires > now)?;
        self.ended_by_law(&id, charter, guards, now)
    }

    fn ended_by_law(&self, id: &MitigationId, charter: &Charter, guards: &Guards, now: Timestamp) -> Option<Refusal> {
        let record = self.ledger.mitigations.get(id).filter(|record| record.expires > now)?;
        let plan = self.ledger.plans.get(&record.plan)?;
        let mitigation = plan.plan.mitigations.iter().find(|mitigation| mitigation.id() == *id)?;
        let evidence = plan.plan.evidence.get(&mitigation.finding).map_or(&[][..], Vec::as_slice);
        let (class, trust_alone) = (record.class, &BTreeSet::new());
        let rests_on = decide::rests_on(class, evidence, &plan.approvals);
        let asked = decide::Standings { class, mitigation, rests_on: &rests_on, trust_alone };
        decide::still_stands(asked, charter, guards).err()
    }

    /// A signed proposal counts once, and within its time.
    fn require_once(&self, signed: &SignedProposal, now: Timestamp) -> Result<(), Refusal> {
        let (proposal, charter) = (&signed.proposal, &self.in_force()?.charter);
        charter.person_key(&proposal.person, &signed.key, now)?;
        let latest = proposal.made.plus(charter.quorum.approval_valid_max);
        let end = proposal.expires.min(latest);
        if proposal.made > now.plus(charter.limits.skew_future_max) || now >= end {
            let limit = format!("from {} to before {end}", proposal.made);
            return Err(Refusal::new(Rule::ProposalReplayed, format_args!("heard at {now}"), limit));
        }
        match self.ledger.proposals.contains_key(&signed.digest()) {
            false => Ok(()),
            true => Err(Refusal::new(Rule::ProposalReplayed, &proposal.person, "a proposal signed anew")),
        }
    }

    /// Who proposes may see the finding, and who is asked may see it too: a part of a plan shows what it is about.
    fn require_audience(&self, proposal: &Proposal) -> Result<(), Refusal> {
        let Some(finding) = self.ledger.findings.get(&proposal.finding) else { return Ok(()) };
        if !self.may_see(Some(&proposal.person.member()), &finding.handling) {
            return Err(Refusal::new(Rule::UnknownFinding, proposal.finding, "a finding the alliance holds"));
        }
        match proposal.members.iter().find(|member| !self.may_see(Some(member), &finding.handling)) {
            None => Ok(()),
            Some(outside) => {
                let limit = format!("members that may see what is {}", finding.handling);
                Err(Refusal::new(Rule::UnknownGroup, outside, limit))
            }
        }
    }

    fn issue(&self, record: TokenRecord, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        let charter = &self.in_force()?.charter;
        charter.member(&record.member)?;
        if record.scopes.contains(&Scope::Admin) {
            charter.require_admin(&record.member)?;
        }
        if record.expires <= now {
            return Err(Refusal::new(Rule::TokenInvalid, record.expires, format!("an expiry after {now}")));
        }
        if record.scopes.is_empty() || record.label.chars().count() > 100 {
            return Err(Refusal::new(Rule::Malformed, &record.label, "one scope or more; a label of 100 characters"));
        }
        Ok(vec![Drafted::hub(internal(), Event::TokenIssued(record))])
    }

    fn revoke(&self, id: TokenId) -> Result<Vec<Drafted>, Refusal> {
        match self.ledger.tokens.values().any(|t| t.id == id) {
            true => Ok(vec![Drafted::hub(internal(), Event::TokenRevoked { token: id })]),
            false => Err(Refusal::new(Rule::TokenInvalid, id, "a token the alliance knows")),
        }
    }

    /// Plans that nobody approved within the time an approval is valid.
    fn close_unapproved(&self, now: Timestamp) -> Vec<Drafted> {
        let Some(in_force) = &self.charter else { return Vec::new() };
        let valid = in_force.charter.quorum.approval_valid_max;
        let open = self.ongoing.open().filter_map(|id| Some((id, self.ledger.plans.get(id)?)));
        open.filter(|(_, record)| now.since(record.plan.header.made) > valid)
            .map(|(id, record)| {
                let event = Event::PlanClosed { plan: *id, reason: format!("not approved within {valid}") };
                Drafted::hub(record.handling.clone(), event)
            })
            .collect()
    }
}

/// Has the mitigation ended for good?
pub(crate) fn ended(state: MitigationState) -> bool {
    state.is_final()
}

pub(crate) fn require_reason(reason: &str) -> Result<(), Refusal> {
    match (1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        true => Ok(()),
        false => Err(Refusal::new(Rule::Malformed, reason, format!("a reason of 1 to {REASON_CHARS_MAX} characters"))),
    }
}

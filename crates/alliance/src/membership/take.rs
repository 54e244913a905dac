//! Steps of membership into state: cannot fail, and the same whenever it is repeated.

use super::{Applicant, LAPSES_AFTER, Said, Step, Suspension};
use crate::state::{Alliance, InForceCharter};
use model::membership::{Application, MembershipStatement, Say, Word};
use model::{FindingState, MemberId, MembershipStage, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Alliance {
    pub(crate) fn take_membership(&mut self, position: u64, step: &Step, now: Timestamp) {
        match step {
            Step::Handed { by, statement } => {
                self.note_said(position, statement);
                match statement {
                    MembershipStatement::Apply(application, _) => self.take_application(application, by, now),
                    MembershipStatement::Claim(claim, _) => {
                        if let Some(applicant) = self.ledger.membership.applicants.get_mut(&claim.member) {
                            applicant.claims.push((**claim).clone());
                        }
                    }
                    MembershipStatement::Say(word, _) => self.take_word(word, now),
                }
            }
            Step::Decided { member, admitted } => {
                if let Some(applicant) = self.ledger.membership.applicants.get_mut(member) {
                    applicant.stage = if *admitted { MembershipStage::Admitted } else { MembershipStage::Refused };
                    applicant.since = now;
                }
            }
            Step::Ended { member } => self.take_back_suspension(member, now),
        }
    }

    fn note_said(&mut self, position: u64, statement: &MembershipStatement) {
        let said = Said { made: statement.made(), mark: statement.mark(), position };
        let membership = &mut self.ledger.membership;
        match statement {
            MembershipStatement::Say(word, _) => {
                membership.words.entry(word.member.clone()).or_default().insert(word.person.clone(), said);
            }
            _ => drop(membership.own.insert(statement.member().clone(), said)),
        }
    }

    fn take_application(&mut self, application: &Application, by: &MemberId, now: Timestamp) {
        let membership = &mut self.ledger.membership;
        let forgotten = |a: &Applicant| a.stage == MembershipStage::Refused && a.since.plus(LAPSES_AFTER) <= now;
        membership.applicants.retain(|_, applicant| !forgotten(applicant));
        let applicant = Applicant {
            application: application.clone(),
            by: by.clone(),
            stage: MembershipStage::Applied,
            since: now,
            claims: Vec::new(),
            sponsor: None,
            until: None,
            votes: BTreeMap::new(),
            objections: Vec::new(),
        };
        membership.applicants.insert(application.member.clone(), applicant);
    }

    fn take_word(&mut self, word: &Word, now: Timestamp) {
        match word.say {
            Say::Suspend { until } => self.take_suspension(word, until, now),
            Say::Restore => {
                self.ledger.membership.left.remove(&word.member);
                self.take_back_suspension(&word.member, now);
            }
            Say::Leave => self.take_leave(&word.member, now),
            Say::Sponsor | Say::Yes | Say::No | Say::Object => self.take_deliberation(word, now),
        }
    }

    fn take_deliberation(&mut self, word: &Word, now: Timestamp) {
        let window = self.charter.as_ref().map(|in_force| in_force.charter.membership.vote_window);
        let Some(applicant) = self.ledger.membership.applicants.get_mut(&word.member) else { return };
        match word.say {
            Say::Sponsor => {
                applicant.sponsor = Some(word.person.clone());
                applicant.votes.insert(word.person.member(), true);
                (applicant.stage, applicant.since) = (MembershipStage::Voting, now);
                applicant.until = window.map(|window| now.plus(window));
            }
            Say::Object => applicant.objections.push(word.clone()),
            say => drop(applicant.votes.insert(word.person.member(), say == Say::Yes)),
        }
    }

    fn take_suspension(&mut self, word: &Word, until: Timestamp, now: Timestamp) {
        let suspended = &mut self.ledger.membership.suspended;
        let since = suspended.get(&word.member).map_or(now, |lasting| lasting.since);
        let suspension = Suspension { since, until, by: word.person.clone(), reason: word.reason.clone() };
        suspended.insert(word.member.clone(), suspension);
        self.stand_anew(now);
    }

    fn take_back_suspension(&mut self, member: &MemberId, now: Timestamp) {
        let membership = &mut self.ledger.membership;
        if let Some(over) = membership.suspended.remove(member) {
            membership.rested.insert(member.clone(), (over.since, now));
        }
        self.stand_anew(now);
    }

    /// Its credentials end with its membership; whatever it signed before stays what it was.
    fn take_leave(&mut self, member: &MemberId, now: Timestamp) {
        let ledger = &mut self.ledger;
        ledger.membership.left.insert(member.clone(), now);
        ledger.joining.end(|record| record.member == *member, "its member has left");
        ledger.joining.forget_tokens_of(member);
        ledger.tokens.retain(|_, token| token.member != *member);
        self.stand_anew(now);
    }

    /// The hub's charter as membership is now; what stands is judged anew.
    fn stand_anew(&mut self, now: Timestamp) {
        let (Ok(mut charter), Some(before)) = (self.signed_law(), &self.charter) else { return };
        self.ledger.membership.lay_over(&mut charter);
        let in_force = InForceCharter { charter, ..InForceCharter::clone(before) };
        self.set_standings(&in_force.charter);
        self.charter = Some(Arc::new(in_force));
        let standing = self.ledger.findings.values().filter(|finding| finding.state != FindingState::Revoked);
        let standing = standing.map(|finding| ((finding.observable.clone(), finding.family), now)).collect::<Vec<_>>();
        self.ledger.pending.extend(standing);
    }
}

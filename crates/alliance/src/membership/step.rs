//! What may be said about somebody's membership, and what time alone decides. Changes nothing.

use super::{
    APPLICANTS_BY_MEMBER_MAX, APPLICANTS_MAX, Applicant, CLAIMS_MAX, LAPSES_AFTER, Membership, OBJECTIONS_MAX, Step,
};
use crate::entry::{Author, Event};
use crate::handle::Drafted;
use crate::state::Alliance;
use charter::Charter;
use model::membership::{Application, Claim, MembershipStatement, Say, Word, may_follow};
use model::{
    Handling, MemberId, MemberKind, MembershipAct, MembershipStage, PublicKey, Refusal, Role, Rule, Standing,
    Timestamp, Tlp, Withdrawal,
};

/// Who applies and how members vote is for members, and not for observers.
fn among_members() -> Handling {
    Handling::alliance(Tlp::Amber)
}

impl Alliance {
    /// Who wants to belong, who is suspended, who has left.
    pub fn membership(&self) -> &Membership {
        &self.ledger.membership
    }

    /// Where somebody stands with the alliance; `None`: nobody has heard of it.
    pub fn membership_stage(&self, member: &MemberId) -> Option<MembershipStage> {
        self.ledger.membership.stage(member, &self.charter.as_ref()?.charter)
    }

    /// The charter in force as its text and the members' keys say it, before what the hub lays over it.
    pub(crate) fn signed_law(&self) -> Result<Charter, Refusal> {
        Ok(self.ledger.keys.effective(&Charter::parse(&self.in_force()?.signed.text)?))
    }

    /// Would this statement be taken now?
    ///
    /// # Errors
    /// `membership_stage` if it does not follow what was before; `role_missing`, `member_suspended`, `unknown_member`,
    /// `unknown_key`, `key_revoked`, `bad_signature`, `clock_skew`, `quota_exceeded`, `too_large`, `malformed`.
    pub fn check_membership(
        &self,
        by: &MemberId,
        statement: &MembershipStatement,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        self.require_heard(by)?;
        let charter = &self.in_force()?.charter;
        if statement.alliance() != charter.alliance.name {
            let value = format!("alliance {}", statement.alliance());
            return Err(Refusal::new(Rule::Malformed, value, &charter.alliance.name));
        }
        statement.check()?;
        require_time(charter, statement, now)?;
        let (member, act) = (statement.member(), statement.act());
        let stage = self.membership_stage(member);
        if !may_follow(stage, act) {
            let stage = stage.map_or("nobody that the alliance knows", MembershipStage::as_str);
            return Err(refused(format_args!("{act}: {member} is {stage}"), &follows(act)));
        }
        match statement {
            MembershipStatement::Apply(application, _) => {
                self.may_apply(by, application)?;
                statement.verify(&application.key)
            }
            MembershipStatement::Claim(claim, _) => statement.verify(&self.may_claim(claim)?.application.key),
            MembershipStatement::Say(word, _) => {
                statement.verify(&charter.person_key(&word.person, &word.key, word.made)?)?;
                self.may_say(word, now)
            }
        }
    }

    pub(crate) fn membership_step(
        &self,
        by: MemberId,
        statement: MembershipStatement,
        now: Timestamp,
    ) -> Result<Vec<Drafted>, Refusal> {
        self.check_membership(&by, &statement, now)?;
        let author = match &statement {
            MembershipStatement::Say(word, _) => Author::Person(word.person.clone()),
            _ => Author::Member(by.clone()),
        };
        let ended = match statement.act() {
            MembershipAct::Suspend | MembershipAct::Leave => self.ended_with(statement.member(), statement.act(), now),
            _ => Vec::new(),
        };
        let event = Event::Membership(Box::new(Step::Handed { by, statement }));
        let mut drafts = vec![Drafted::by(author, among_members(), event)];
        drafts.extend(ended);
        Ok(drafts)
    }

    /// What rests on the evidence or approvals of a member that is not heard any more ends, everywhere else: a
    /// suspended member keeps what protects it until that ends by itself.
    fn ended_with(&self, member: &MemberId, act: MembershipAct, now: Timestamp) -> Vec<Drafted> {
        let Some((in_force, guards)) = self.charter.as_ref().and_then(|c| Some((c, c.guards.as_ref()?))) else {
            return Vec::new();
        };
        let mut after = in_force.charter.clone();
        let silent = after.members.iter_mut().filter(|known| known.id == *member);
        silent.for_each(|known| known.standing = Standing::Suspended);
        let keeps = |withdrawal: &Withdrawal| act == MembershipAct::Suspend && withdrawal.member == *member;
        let mut drafts = self.withdrawn_by_law(&after, guards, &format!("{member} is not heard any more"), now);
        for draft in &mut drafts {
            if let Event::Withdrawn { withdrawals } = &mut draft.event {
                withdrawals.retain(|withdrawal| !keeps(withdrawal));
            }
        }
        drafts.retain(|draft| !matches!(&draft.event, Event::Withdrawn { withdrawals } if withdrawals.is_empty()));
        drafts
    }

    /// Votes that have ended, applications that lapsed, suspensions that ran out.
    pub(crate) fn membership_due(&self, now: Timestamp) -> Vec<Drafted> {
        let Some(in_force) = &self.charter else { return Vec::new() };
        let membership = &self.ledger.membership;
        let decided = membership.applicants.iter().filter_map(|(member, applicant)| {
            let admitted = match applicant.stage {
                MembershipStage::Voting
                    if applicant.until.is_some_and(|until| until <= now) || all_voted(applicant, &in_force.charter) =>
                {
                    carries(applicant, &in_force.charter)
                }
                MembershipStage::Applied if applicant.since.plus(LAPSES_AFTER) <= now => false,
                _ => return None,
            };
            Some(Step::Decided { member: member.clone(), admitted })
        });
        let over = membership.suspended.iter().filter(|(_, suspension)| suspension.until <= now);
        let ended = over.map(|(member, _)| Step::Ended { member: member.clone() });
        let drafted = |step| Drafted::hub(among_members(), Event::Membership(Box::new(step)));
        decided.chain(ended).map(drafted).collect()
    }

    fn may_apply(&self, by: &MemberId, application: &Application) -> Result<(), Refusal> {
        let (charter, applicants) = (&self.in_force()?.charter, &self.ledger.membership.applicants);
        charter.member(by)?.require_any(&[Role::Approver, Role::Admin])?;
        if self.ledger.membership.own.get(&application.member).is_some_and(|last| application.made <= last.made) {
            let limit = "an application that is newer than the last one";
            return Err(refused(format_args!("made {}", application.made), limit));
        }
        let open = || applicants.values().filter(|other| other.stage != MembershipStage::Refused);
        let (all, own) = (open().count(), open().filter(|other| other.by == *by).count());
        if all >= APPLICANTS_MAX || own >= APPLICANTS_BY_MEMBER_MAX {
            let limit = format!("{APPLICANTS_MAX}, {APPLICANTS_BY_MEMBER_MAX} handed in by one member");
            return Err(Refusal::new(Rule::QuotaExceeded, format_args!("{all} applicants, {own} by {by}"), limit));
        }
        let mut keys = application.persons.values().chain([&application.key]);
        let applied = || applicants.values().filter(|other| other.application.member != application.member);
        let wanted = |key: &PublicKey| applied().any(|other| other.application.has_key(key));
        if let Some(taken) = keys.find(|key| charter.all_keys().any(|known| known == **key) || wanted(key)) {
            return Err(Refusal::new(Rule::Malformed, taken, "a key that nobody has"));
        }
        let mut keys = application.persons.values().chain([&application.key]).map(|key| key.id());
        match keys.find(|key| charter.is_revoked(key)) {
            Some(revoked) => Err(Refusal::new(Rule::KeyRevoked, revoked, "a key that was never revoked")),
            None => Ok(()),
        }
    }

    fn may_claim(&self, claim: &Claim) -> Result<&Applicant, Refusal> {
        let applicant = self.applicant(&claim.member)?;
        if self.ledger.membership.own.get(&claim.member).is_some_and(|last| claim.made <= last.made) {
            return Err(refused(format_args!("made {}", claim.made), "a claim that is newer than the last one"));
        }
        match applicant.claims.len() < CLAIMS_MAX {
            true => Ok(applicant),
            false => Err(Refusal::new(Rule::TooLarge, format_args!("{} claims", CLAIMS_MAX + 1), CLAIMS_MAX)),
        }
    }

    fn may_say(&self, word: &Word, now: Timestamp) -> Result<(), Refusal> {
        let said = self.ledger.membership.words.get(&word.member).and_then(|said| said.get(&word.person));
        if said.is_some_and(|last| word.made <= last.made) {
            return Err(refused(&word.person, "a word that is newer than the last one"));
        }
        let charter = &self.in_force()?.charter;
        let own = charter.member(&word.person.member())?;
        own.require(if word.say.is_admins() { Role::Admin } else { Role::Approver })?;
        let deliberates = matches!(word.say, Say::Sponsor | Say::Yes | Say::No | Say::Object);
        if deliberates && own.kind != MemberKind::Full {
            return Err(Refusal::new(Rule::RoleMissing, &own.id, "a full member"));
        }
        match word.say {
            Say::Sponsor => Ok(()),
            Say::Yes | Say::No => match self.applicant(&word.member)?.until.is_some_and(|until| now < until) {
                true => Ok(()),
                false => Err(refused(&word.member, "a vote that has not ended")),
            },
            Say::Object => match self.applicant(&word.member)?.objections.len() < OBJECTIONS_MAX {
                true => Ok(()),
                false => Err(Refusal::new(Rule::TooLarge, "one more objection", OBJECTIONS_MAX)),
            },
            Say::Suspend { until } => self.may_suspend(&word.member, until, now),
            Say::Restore => self.may_restore(&word.member),
            Say::Leave if word.member == own.id => Ok(()),
            Say::Leave => Err(Refusal::new(Rule::NotForUs, &word.member, &own.id)),
        }
    }

    /// For a bounded time, and not again before the member was heard for as long: more is a charter's to say.
    fn may_suspend(&self, member: &MemberId, until: Timestamp, now: Timestamp) -> Result<(), Refusal> {
        let (charter, membership) = (&self.in_force()?.charter, &self.ledger.membership);
        let longest = charter.membership.suspension_max;
        let lasting = membership.suspended.get(member);
        let by_charter = lasting.is_none() && charter.member(member)?.standing == Standing::Suspended;
        if by_charter {
            return Err(refused(member, "a member that the charter does not suspend"));
        }
        let rested = membership.rested.get(member).map(|(_, until)| until.plus(longest));
        if let Some(again) = rested.filter(|again| lasting.is_none() && now < *again) {
            return Err(refused(format_args!("{member} was suspended before"), &format!("from {again}, or a charter")));
        }
        let latest = lasting.map_or(now, |lasting| lasting.since).plus(longest);
        match until > now && until <= latest {
            true => Ok(()),
            false => {
                let limit = format!("after {now}, at the latest {latest}; a charter suspends for longer");
                Err(Refusal::new(Rule::Malformed, format_args!("until {until}"), limit))
            }
        }
    }

    fn may_restore(&self, member: &MemberId) -> Result<(), Refusal> {
        let membership = &self.ledger.membership;
        match membership.suspended.contains_key(member) || membership.left.contains_key(member) {
            true => Ok(()),
            false => Err(refused(member, "a member that an admin suspended; a charter ends its own suspensions")),
        }
    }

    fn applicant(&self, member: &MemberId) -> Result<&Applicant, Refusal> {
        let found = self.ledger.membership.applicants.get(member);
        found.ok_or_else(|| refused(member, "an applicant"))
    }
}

/// A word counts when it is said; what an applicant signs may travel for some days.
fn require_time(charter: &Charter, statement: &MembershipStatement, now: Timestamp) -> Result<(), Refusal> {
    let (skew, made) = (charter.limits.skew_future_max, statement.made());
    let oldest = match statement {
        MembershipStatement::Say(..) => now.minus(skew),
        _ => now.minus(charter.limits.skew_past_max),
    };
    match made <= now.plus(skew) && made >= oldest {
        true => Ok(()),
        false => {
            let limit = format!("from {oldest} to {}", now.plus(skew));
            Err(Refusal::new(Rule::ClockSkew, format_args!("made {made}"), limit))
        }
    }
}

/// Enough members for it that are still heard, and nobody who objects.
fn carries(applicant: &Applicant, charter: &Charter) -> bool {
    let heard = |member: &MemberId| charter.voters().any(|voter| voter.id == *member);
    let yes = applicant.votes.iter().filter(|(member, yes)| **yes && heard(member)).count();
    yes >= charter.signers_needed() && applicant.objections.is_empty()
}

/// Nobody is left who could still vote.
fn all_voted(applicant: &Applicant, charter: &Charter) -> bool {
    charter.voters().all(|voter| applicant.votes.contains_key(&voter.id))
}

fn follows(act: MembershipAct) -> String {
    let stages = MembershipStage::ALL.iter().filter(|stage| may_follow(Some(**stage), act)).map(|s| s.as_str());
    let unknown = may_follow(None, act).then_some("unknown");
    let after: Vec<&str> = unknown.into_iter().chain(stages).collect();
    format!("{act} where it is {}", after.join(" or "))
}

fn refused(value: impl std::fmt::Display, limit: &str) -> Refusal {
    Refusal::new(Rule::MembershipStage, value, limit)
}

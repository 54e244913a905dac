//! Membership as a state machine of entries: a company applies, is sponsored and voted upon, admitted or refused; a
//! member is suspended for a time, or leaves. Who belongs stays a charter that a quorum signs: agents trust nothing
//! else. What stands here is what the hub itself goes by, on top of the charter and at once.

mod draft;
mod step;
mod take;
mod view;

pub use draft::Amendment;
pub use view::{ApplicantView, CompanyView, ObjectionView};

use charter::Charter;
use model::membership::{Application, Claim, MembershipStatement, Say, Word};
use model::{Digest, MemberId, MembershipStage, PersonId, Span, Standing, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most applicants at a time, those that were refused left out.
pub const APPLICANTS_MAX: usize = 64;
/// Most applicants at a time that one member handed in.
pub const APPLICANTS_BY_MEMBER_MAX: usize = 8;
/// Most claims of one applicant.
pub const CLAIMS_MAX: usize = 16;
/// Most objections to one applicant.
pub const OBJECTIONS_MAX: usize = 64;
/// An application for which nobody stands lapses after so long; a refused one is forgotten after so long.
pub const LAPSES_AFTER: Span = Span::days(30);

/// One step of somebody's membership.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A statement was handed in by a member.
    Handed {
        /// By whom.
        by: MemberId,
        /// The statement, signed by whoever makes it.
        statement: MembershipStatement,
    },
    /// The vote about an applicant has ended, or nobody stood for it in time.
    Decided {
        /// About whom.
        member: MemberId,
        /// May a charter name it?
        admitted: bool,
    },
    /// A suspension ran out.
    Ended {
        /// Whose.
        member: MemberId,
    },
}

impl Step {
    /// Is it for the secretariat alone, the members with the role admin, and whoever said it?
    pub fn is_confidential(&self) -> bool {
        matches!(self, Self::Handed { statement: MembershipStatement::Say(word, _), .. } if word.say == Say::Object)
    }

    /// About whom it is.
    pub fn member(&self) -> &MemberId {
        match self {
            Self::Handed { statement, .. } => statement.member(),
            Self::Decided { member, .. } | Self::Ended { member } => member,
        }
    }
}

/// An applicant with what was said of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Applicant {
    /// What it wants.
    pub application: Application,
    /// Which member handed it in.
    pub by: MemberId,
    /// Where it stands: applied, voting, admitted or refused.
    pub stage: MembershipStage,
    /// Since when.
    pub since: Timestamp,
    /// What it claims to own.
    pub claims: Vec<Claim>,
    /// Who stands for it.
    pub sponsor: Option<PersonId>,
    /// When the vote ends.
    pub until: Option<Timestamp>,
    /// Each member's last word.
    pub votes: BTreeMap<MemberId, bool>,
    /// Objections, for the secretariat alone.
    pub objections: Vec<Word>,
}

/// A member that is not heard for a time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Suspension {
    /// Since when.
    pub since: Timestamp,
    /// Until when at the latest.
    pub until: Timestamp,
    /// Who said so.
    pub by: PersonId,
    /// Why.
    pub reason: String,
}

/// What was said last, so that it counts once and a resend is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Said {
    made: Timestamp,
    mark: Digest,
    position: u64,
}

/// Everything about membership that the charter does not say.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Membership {
    applicants: BTreeMap<MemberId, Applicant>,
    suspended: BTreeMap<MemberId, Suspension>,
    left: BTreeMap<MemberId, Timestamp>,
    /// From when to when a member was suspended last, so that no admin silences one without end.
    rested: BTreeMap<MemberId, (Timestamp, Timestamp)>,
    /// The latest statement of each company's own key.
    own: BTreeMap<MemberId, Said>,
    /// The latest word of each person about somebody.
    words: BTreeMap<MemberId, BTreeMap<PersonId, Said>>,
}

impl Membership {
    /// Applicants, by name.
    pub const fn applicants(&self) -> &BTreeMap<MemberId, Applicant> {
        &self.applicants
    }

    /// Members that the hub does not hear, by name; what a charter suspends is not here.
    pub const fn suspended(&self) -> &BTreeMap<MemberId, Suspension> {
        &self.suspended
    }

    /// Members that left and are still named by the charter, and since when.
    pub const fn left(&self) -> &BTreeMap<MemberId, Timestamp> {
        &self.left
    }

    /// Where somebody stands, under the charter as it is signed; `None`: nobody has heard of it.
    pub fn stage(&self, member: &MemberId, charter: &Charter) -> Option<MembershipStage> {
        if self.left.contains_key(member) {
            return Some(MembershipStage::Left);
        }
        if self.suspended.contains_key(member) {
            return Some(MembershipStage::Suspended);
        }
        match charter.member(member).map(|known| known.standing) {
            Ok(Standing::Vetted) => Some(MembershipStage::Member),
            Ok(Standing::Probation) => Some(MembershipStage::Probation),
            Ok(Standing::Suspended) => Some(MembershipStage::Suspended),
            Err(_) => self.applicants.get(member).map(|applicant| applicant.stage),
        }
    }

    /// What the hub goes by: the charter without those who have left, and with those suspended who are.
    pub(crate) fn lay_over(&self, charter: &mut Charter) {
        charter.members.retain(|member| !self.left.contains_key(&member.id));
        charter.groups.iter_mut().for_each(|group| group.members.retain(|id| !self.left.contains_key(id)));
        let silent = charter.members.iter_mut().filter(|member| self.suspended.contains_key(&member.id));
        silent.for_each(|member| member.standing = Standing::Suspended);
    }

    /// A charter says who belongs. One that was made before a suspension or a leave knows nothing of it.
    pub(crate) fn under(&mut self, charter: &Charter) {
        let (made, named) = (charter.alliance.made, |id: &MemberId| charter.member(id).is_ok());
        self.suspended.retain(|id, suspension| made < suspension.since && named(id));
        self.left.retain(|id, since| made < *since && named(id));
        self.applicants.retain(|id, _| !named(id));
        self.rested.retain(|id, _| named(id));
        let applicants = &self.applicants;
        self.own.retain(|id, _| applicants.contains_key(id));
        self.words.retain(|id, _| applicants.contains_key(id) || named(id));
    }

    /// Where this very statement stands, if it was the last of its kind.
    pub(crate) fn place(&self, statement: &MembershipStatement) -> Option<u64> {
        let said = match statement {
            MembershipStatement::Say(word, _) => self.words.get(&word.member)?.get(&word.person)?,
            _ => self.own.get(statement.member())?,
        };
        (said.mark == statement.mark()).then_some(said.position)
    }
}

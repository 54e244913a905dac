//! Companies as a member sees them: where each stands, since when, and what was said of it.

use super::{Applicant, Suspension};
use crate::state::Alliance;
use charter::Charter;
use model::membership::{Claim, Word};
use model::{Capability, KeyId, MemberId, MemberKind, MembershipStage, PersonId, Role, Segment, Timestamp, Tlp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One company.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CompanyView {
    /// Its short name.
    pub member: MemberId,
    /// Its name as people write it.
    pub name: String,
    /// Where it stands.
    pub stage: MembershipStage,
    /// Since when; null where the charter alone says so.
    pub since: Option<Timestamp>,
    /// Until when the vote or the suspension lasts.
    pub until: Option<Timestamp>,
    /// Who suspended it.
    pub by: Option<PersonId>,
    /// Why.
    pub reason: Option<String>,
    /// What is known of it while it is on its way in.
    pub applicant: Option<ApplicantView>,
}

/// A company on its way in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ApplicantView {
    /// How far it wants to belong.
    pub kind: MemberKind,
    /// Which parts of the ecosystem it belongs to.
    pub segments: BTreeSet<Segment>,
    /// What it can do for others.
    pub capabilities: BTreeSet<Capability>,
    /// How a person reaches it.
    pub contact: String,
    /// The key that its agent will sign with.
    pub key: KeyId,
    /// Its persons and their keys.
    pub persons: BTreeMap<PersonId, KeyId>,
    /// Which member handed it in.
    pub handed_in_by: MemberId,
    /// What it claims to own, and why anybody should believe it.
    pub claims: Vec<Claim>,
    /// Who stands for it.
    pub sponsor: Option<PersonId>,
    /// Each member's last word.
    pub votes: BTreeMap<MemberId, bool>,
    /// How many yeses a charter needs.
    pub needed: usize,
    /// Objections: all of them for admins, one's own for everybody else.
    pub objections: Vec<ObjectionView>,
}

/// An objection to an applicant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ObjectionView {
    /// Who objects.
    pub person: PersonId,
    /// Why.
    pub reason: String,
    /// When.
    pub made: Timestamp,
}

impl Alliance {
    /// Every company that `viewer` may know of, and where it stands, by name.
    pub fn companies(&self, viewer: &MemberId) -> Vec<CompanyView> {
        let (Some(in_force), Ok(signed)) = (&self.charter, self.signed_law()) else { return Vec::new() };
        let named = signed.members.iter().map(|member| (&member.id, member.name.as_str()));
        let mut companies: Vec<CompanyView> = named.filter_map(|(id, name)| self.company(id, name)).collect();
        if in_force.charter.member(viewer).is_ok_and(|viewer| viewer.reads(Tlp::Amber)) {
            let applicants = self.ledger.membership.applicants.values();
            companies.extend(applicants.map(|applicant| on_its_way(applicant, &in_force.charter, viewer)));
        }
        companies.sort_by(|a, b| a.member.cmp(&b.member));
        companies
    }

    fn company(&self, id: &MemberId, name: &str) -> Option<CompanyView> {
        let membership = &self.ledger.membership;
        let suspension: Option<&Suspension> = membership.suspended.get(id);
        let since = suspension.map(|suspension| suspension.since).or(membership.left.get(id).copied());
        Some(CompanyView {
            member: id.clone(),
            name: name.to_owned(),
            stage: self.membership_stage(id)?,
            since,
            until: suspension.map(|suspension| suspension.until),
            by: suspension.map(|suspension| suspension.by.clone()),
            reason: suspension.map(|suspension| suspension.reason.clone()),
            applicant: None,
        })
    }
}

fn on_its_way(applicant: &Applicant, charter: &Charter, viewer: &MemberId) -> CompanyView {
    let of = &applicant.application;
    let admin = charter.member(viewer).is_ok_and(|member| member.require(Role::Admin).is_ok());
    let shown = applicant.objections.iter().filter(|word| admin || word.person.member() == *viewer);
    let view = ApplicantView {
        kind: of.kind,
        segments: of.segments.clone(),
        capabilities: of.capabilities.clone(),
        contact: of.contact.clone(),
        key: of.key.id(),
        persons: of.persons.iter().map(|(person, key)| (person.clone(), key.id())).collect(),
        handed_in_by: applicant.by.clone(),
        claims: applicant.claims.clone(),
        sponsor: applicant.sponsor.clone(),
        votes: applicant.votes.clone(),
        needed: charter.signers_needed(),
        objections: shown.map(objection).collect(),
    };
    CompanyView {
        member: of.member.clone(),
        name: of.name.clone(),
        stage: applicant.stage,
        since: Some(applicant.since),
        until: applicant.until.filter(|_| applicant.stage == MembershipStage::Voting),
        by: None,
        reason: None,
        applicant: Some(view),
    }
}

fn objection(word: &Word) -> ObjectionView {
    ObjectionView { person: word.person.clone(), reason: word.reason.clone(), made: word.made }
}

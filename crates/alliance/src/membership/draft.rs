//! The text of the charter that would follow: the hub writes it down, and signs nothing.

use super::Applicant;
use crate::state::Alliance;
use charter::{Assets, Charter, Member, MemberKey, Person};
use model::{MemberId, MemberKind, MembershipStage, PublicKey, Refusal, Role, Rule, Standing, Timestamp};
use std::collections::BTreeSet;

/// What the next charter is to change, besides what already stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Amendment {
    /// An applicant that is admitted: it comes on probation.
    pub admit: Option<MemberId>,
    /// A member on probation that is vetted.
    pub vet: Option<MemberId>,
}

impl Alliance {
    /// The text of a charter that follows the one in force: with the keys as they are now, with those suspended who
    /// are, without those who have left, and with what is asked for. A quorum still has to sign it.
    ///
    /// # Errors
    /// `membership_stage` if the applicant was not admitted, or the member is not on probation; `charter_unsigned`
    /// before the first charter; `malformed` if what is left is no charter any more.
    pub fn draft_charter(&self, amendment: &Amendment, now: Timestamp) -> Result<String, Refusal> {
        let mut charter = self.signed_law()?;
        self.ledger.membership.lay_over(&mut charter);
        // Keys that were revoked or have ended for good are not named anew.
        charter.members.iter_mut().for_each(|member| drop_ended(&mut member.keys, now));
        let persons = charter.members.iter_mut().flat_map(|member| &mut member.persons);
        persons.for_each(|person| drop_ended(&mut person.keys, now));
        charter.alliance.version += 1;
        charter.alliance.previous = Some(self.in_force()?.digest);
        charter.alliance.made = now;
        if let Some(id) = &amendment.vet {
            vet(&mut charter, id)?;
        }
        if let Some(id) = &amendment.admit {
            let found = self.ledger.membership.applicants.get(id);
            let admitted = found.filter(|applicant| applicant.stage == MembershipStage::Admitted);
            let refused = || refusal(id, found.map(|a| a.stage), "an applicant that is admitted");
            charter.members.push(newcomer(admitted.ok_or_else(refused)?, now));
        }
        charter.to_text()
    }
}

fn drop_ended(keys: &mut Vec<MemberKey>, now: Timestamp) {
    keys.retain(|key| key.until.is_none_or(|until| now < until));
}

fn vet(charter: &mut Charter, id: &MemberId) -> Result<(), Refusal> {
    let found = charter.members.iter_mut().find(|member| member.id == *id);
    match found {
        Some(member) if member.standing == Standing::Probation => {
            member.standing = Standing::Vetted;
            Ok(())
        }
        _ => Err(refusal(id, None, "a member on probation")),
    }
}

fn newcomer(applicant: &Applicant, now: Timestamp) -> Member {
    let of = &applicant.application;
    let live = |public: PublicKey| vec![MemberKey { public, from: now, until: None }];
    let mut assets = Assets::default();
    for claim in &applicant.claims {
        assets.prefixes.extend(claim.prefixes.iter().copied());
        assets.domains.extend(claim.domains.iter().cloned());
        assets.asns.extend(claim.asns.iter().copied());
    }
    Member {
        id: of.member.clone(),
        name: of.name.clone(),
        kind: of.kind,
        standing: Standing::Probation,
        segments: of.segments.clone(),
        roles: roles_of(of.kind),
        capabilities: of.capabilities.clone(),
        witness: None,
        keys: live(of.key),
        persons: of.persons.iter().map(|(id, key)| Person { id: id.clone(), keys: live(*key) }).collect(),
        assets,
    }
}

/// What a newcomer of a kind begins with; whoever signs the charter may change it.
fn roles_of(kind: MemberKind) -> BTreeSet<Role> {
    match kind {
        MemberKind::Observer => BTreeSet::from([Role::Observer]),
        MemberKind::Full | MemberKind::Associate => BTreeSet::from([Role::Reporter, Role::Approver, Role::Operator]),
    }
}

fn refusal(member: &MemberId, stage: Option<MembershipStage>, limit: &str) -> Refusal {
    let value = stage.map_or_else(|| member.to_string(), |stage| format!("{member}, {stage}"));
    Refusal::new(Rule::MembershipStage, value, limit)
}

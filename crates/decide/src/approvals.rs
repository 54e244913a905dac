//! Approvals: persons' signatures over a plan's digest, counted so that nobody counts twice.

use charter::Charter;
use model::{
    Class, MemberId, MemberKind, PersonId, PlanHeader, Refusal, Role, Rule, SignedApproval, Statement, Timestamp,
    Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most approvals that are looked at for one plan.
pub const APPROVALS_MAX: usize = 1_000;

/// Where a plan stands with the persons who may approve it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Vote {
    /// Enough have said yes; the last of them at this time.
    Approved {
        /// When the last needed yes was signed.
        at: Timestamp,
    },
    /// Not enough yet.
    Waiting {
        /// How many count.
        have: u32,
        /// How many are needed.
        need: u32,
    },
    /// As many have said no as would have been needed for a yes.
    Rejected,
}

/// A count of approvals.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    /// The result.
    pub vote: Vote,
    /// Who said yes, of those that count.
    pub approving: BTreeSet<PersonId>,
    /// Who said no.
    pub rejecting: BTreeSet<PersonId>,
    /// Why others do not count, in order.
    pub refused: Vec<Refusal>,
}

impl Tally {
    /// Is the plan approved?
    ///
    /// # Errors
    /// The first reason why an approval does not count, otherwise `approval_missing`.
    pub fn require(&self) -> Result<(), Refusal> {
        match self.vote {
            Vote::Approved { .. } => Ok(()),
            Vote::Rejected => Err(Refusal::new(Rule::ApprovalMissing, "the plan was rejected", "an approved plan")),
            Vote::Waiting { have, need } => Err((self.refused.first().cloned()).unwrap_or_else(|| {
                Refusal::new(Rule::ApprovalMissing, format_args!("{have} approvals"), format_args!("{need}"))
            })),
        }
    }
}

/// Where the plan stands; [`count`] without the details.
pub fn standing(
    header: &PlanHeader,
    acting: Option<&MemberId>,
    approvals: &[SignedApproval],
    charter: &Charter,
    now: Timestamp,
) -> Vote {
    count(header, acting, approvals, charter, now).vote
}

/// Counts the approvals of a plan. `acting` is the member whose plan of class `owner` it is.
///
/// Class `quorum`: each member counts once, yes if one of its persons says yes and none says no. Class `owner`: each
/// person of the acting member counts once. A person's later verdict replaces an earlier one; of two signed at the same
/// moment the no stands. Class `automatic` needs none.
pub fn count(
    header: &PlanHeader,
    acting: Option<&MemberId>,
    approvals: &[SignedApproval],
    charter: &Charter,
    now: Timestamp,
) -> Tally {
    let mut refused = Vec::new();
    let mut latest: BTreeMap<&PersonId, (Timestamp, Verdict)> = BTreeMap::new();
    if approvals.len() > APPROVALS_MAX {
        refused.push(Refusal::new(Rule::TooLarge, format_args!("{} approvals", approvals.len()), APPROVALS_MAX));
    }
    for signed in approvals.iter().take(APPROVALS_MAX) {
        match admit(signed, header, acting, charter, now) {
            Ok(()) => {
                let said = (signed.approval.made, signed.approval.verdict);
                let known = latest.entry(&signed.approval.person).or_insert(said);
                *known = (*known).max(said);
            }
            Err(refusal) => refused.push(refusal),
        }
    }
    tally(header.class, &latest, charter, refused)
}

/// Counts the approvals as they stood when the last needed one was made: whoever hears of a plan later takes it for
/// what it became then. An approval counts as long as it says so; a plan that it helped into force stays so until its
/// mitigations end. Where there was no such moment, this is [`count`] at `now`.
pub fn count_when_made(
    header: &PlanHeader,
    acting: Option<&MemberId>,
    approvals: &[SignedApproval],
    charter: &Charter,
    now: Timestamp,
) -> Tally {
    let today = count(header, acting, approvals, charter, now);
    if matches!(today.vote, Vote::Approved { .. } | Vote::Rejected) {
        return today;
    }
    // Signatures are checked once; the moments are then compared without them.
    let signed: Vec<&SignedApproval> = (approvals.iter().take(APPROVALS_MAX))
        // A plan is approved after it was made, give or take what clocks differ.
        .filter(|signed| signed.approval.made >= header.made.minus(charter.limits.skew_future_max))
        .filter(|signed| signed_for(signed, header, acting, charter).is_ok())
        .collect();
    let moments: BTreeSet<Timestamp> =
        signed.iter().map(|signed| signed.approval.made).filter(|at| *at <= now).collect();
    let at_moment = |at: Timestamp| {
        let mut latest: BTreeMap<&PersonId, (Timestamp, Verdict)> = BTreeMap::new();
        let then = signed.iter().filter(|signed| signed.approval.made <= at && at < end(signed, charter));
        for approval in then.map(|signed| &signed.approval) {
            let said = (approval.made, approval.verdict);
            let known = latest.entry(&approval.person).or_insert(said);
            *known = (*known).max(said);
        }
        tally(header.class, &latest, charter, Vec::new())
    };
    let approved = moments.into_iter().map(at_moment).find(|tally| matches!(tally.vote, Vote::Approved { .. }));
    approved.unwrap_or(today)
}

/// Does this approval count for this plan?
///
/// # Errors
/// `approval_replayed` (another plan), `role_missing`, `member_suspended`, `unknown_member`, `unknown_key`,
/// `bad_signature`, `approval_expired`, `clock_skew`, `only_own_assets` (another member's person on an owner's plan).
pub fn admit(
    signed: &SignedApproval,
    header: &PlanHeader,
    acting: Option<&MemberId>,
    charter: &Charter,
    now: Timestamp,
) -> Result<(), Refusal> {
    signed_for(signed, header, acting, charter)?;
    in_time(signed, charter, now)
}

/// Everything but whether it is too late.
fn signed_for(
    signed: &SignedApproval,
    header: &PlanHeader,
    acting: Option<&MemberId>,
    charter: &Charter,
) -> Result<(), Refusal> {
    let approval = &signed.approval;
    if approval.plan != header.digest() {
        return Err(Refusal::new(Rule::ApprovalReplayed, approval.plan, format_args!("plan {}", header.id())));
    }
    let member = charter.member(&approval.person.member())?;
    member.require(Role::Approver)?;
    if member.kind == MemberKind::Observer {
        return Err(Refusal::new(Rule::RoleMissing, &member.id, "a full or associate member"));
    }
    if header.class == Class::Owner && acting != Some(&member.id) {
        return Err(Refusal::new(Rule::OnlyOwnAssets, &approval.person, "a person of the acting member"));
    }
    charter.person_key(&approval.person, &approval.key, approval.made).and_then(|key| signed.verify(&key))
}

/// When an approval stops counting.
fn end(signed: &SignedApproval, charter: &Charter) -> Timestamp {
    let approval = &signed.approval;
    approval.expires.min(approval.made.plus(charter.quorum.approval_valid_max))
}

fn in_time(signed: &SignedApproval, charter: &Charter, now: Timestamp) -> Result<(), Refusal> {
    let approval = &signed.approval;
    let latest = now.plus(charter.limits.skew_future_max);
    if approval.made > latest {
        return Err(Refusal::new(Rule::ClockSkew, approval.made, format_args!("not after {latest}")));
    }
    let end = end(signed, charter);
    match now < end {
        true => Ok(()),
        false => Err(Refusal::new(Rule::ApprovalExpired, &approval.person, format_args!("before {end}"))),
    }
}

fn tally(
    class: Class,
    latest: &BTreeMap<&PersonId, (Timestamp, Verdict)>,
    charter: &Charter,
    refused: Vec<Refusal>,
) -> Tally {
    let said = |verdict| latest.iter().filter(move |(_, (_, v))| *v == verdict).map(|(person, _)| (*person).clone());
    let (approving, rejecting): (BTreeSet<_>, BTreeSet<_>) =
        (said(Verdict::Approve).collect(), said(Verdict::Reject).collect());
    let (need, yes, no) = match class {
        Class::Automatic => (0, Vec::new(), 0),
        Class::Owner => {
            let times = approving.iter().filter_map(|person| latest.get(person)).map(|(at, _)| *at).collect();
            (charter.quorum.owner_persons, times, rejecting.len())
        }
        Class::Quorum => by_member(latest, charter.quorum.plan),
    };
    let vote = vote(need, yes, no, class);
    Tally { vote, approving, rejecting, refused }
}

/// The members' yeses, each with the time of its first, and the number of members with a no.
fn by_member(latest: &BTreeMap<&PersonId, (Timestamp, Verdict)>, need: u32) -> (u32, Vec<Timestamp>, usize) {
    let (mut yes, mut no): (BTreeMap<MemberId, Timestamp>, BTreeSet<MemberId>) = Default::default();
    for (person, (at, verdict)) in latest {
        match verdict {
            Verdict::Approve => {
                let first = yes.entry(person.member()).or_insert(*at);
                *first = (*first).min(*at);
            }
            Verdict::Reject => drop(no.insert(person.member())),
        }
    }
    let times = yes.into_iter().filter(|(member, _)| !no.contains(member)).map(|(_, at)| at).collect();
    (need, times, no.len())
}

fn vote(need: u32, mut yes: Vec<Timestamp>, no: usize, class: Class) -> Vote {
    yes.sort_unstable();
    if class == Class::Automatic {
        return Vote::Approved { at: Timestamp::MIN };
    }
    if no >= need as usize {
        return Vote::Rejected;
    }
    match (need as usize).checked_sub(1).and_then(|last| yes.get(last)) {
        Some(at) => Vote::Approved { at: *at },
        None => Vote::Waiting { have: u32::try_from(yes.len()).unwrap_or(u32::MAX), need },
    }
}

#[cfg(test)]
#[path = "approvals_tests.rs"]
mod tests;

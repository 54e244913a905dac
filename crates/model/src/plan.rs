//! Plans: immutable proposals of mitigations, and the parts of them that members receive.

use crate::approval::SignedApproval;
use crate::digest::Digest;
use crate::ids::{FindingId, LineageId, MemberId, MitigationId, PlanId};
use crate::key::Statement;
use crate::levels::Levels;
use crate::measure::{Action, Class, Measure};
use crate::merkle;
use crate::observable::Observable;
use crate::refusal::{Refusal, Rule};
use crate::sighting::Evidence;
use crate::time::Timestamp;
use crate::words::Family;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most mitigations in one plan.
pub const PLAN_MITIGATIONS_MAX: usize = 10_000;

/// One member's measure, as a plan proposes it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mitigation {
    /// Who is asked to carry it out, on its own network.
    pub member: MemberId,
    /// The finding behind it.
    pub finding: FindingId,
    /// The finding's observable.
    pub observable: Observable,
    /// The finding's family.
    pub family: Family,
    /// Rises with each plan; an agent refuses an older one of the same lineage ([`Mitigation::lineage`]).
    pub generation: u64,
    /// What is to be done.
    pub measure: Measure,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// What undoes it.
    pub inverse: Inverse,
}

impl Statement for Mitigation {
    const CONTEXT: &'static str = "epimachia/mitigation/v1";
}

impl Mitigation {
    /// The mitigation's identifier, derived from all its fields.
    pub fn id(&self) -> MitigationId {
        MitigationId::of(&self.digest())
    }

    /// In what generations count for its member: the finding and the target. A network that persons block and the one
    /// address in it that a machine blocks are of one finding and of two lineages: neither renews nor ends the other.
    pub fn lineage(&self) -> LineageId {
        let target = self.measure.target();
        let parts = [self.finding.to_string(), target.kind().to_owned(), target.to_string()];
        LineageId::of(&Digest::of(&[b"epimachia/lineage/v1\n", parts.join("\n").as_bytes()]))
    }

    /// The leaf in the plan's tree.
    pub fn leaf(&self) -> Digest {
        merkle::leaf_hash(self.digest().as_bytes())
    }
}

/// What undoes a measure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Inverse {
    /// The object is taken out of the enforcement point.
    Lift,
    /// A person lets the subscriber out of the walled garden.
    Release,
    /// Those who were told are told again.
    Correct,
    /// Nothing was changed.
    Nothing,
}

impl Inverse {
    /// The step that undoes an action.
    pub const fn of(action: &Action) -> Self {
        match action {
            Action::Deny | Action::Limit { .. } | Action::Redirect { .. } => Self::Lift,
            Action::Contain => Self::Release,
            Action::Notify => Self::Correct,
            Action::Investigate => Self::Nothing,
        }
    }
}

/// How much a plan touches; computed by the planner, recomputed by the checker.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlastRadius {
    /// Mitigations in all.
    pub mitigations: u32,
    /// Members asked.
    pub members: u32,
    /// Most mitigations for one member.
    pub most_for_one_member: u32,
    /// IPv4 addresses covered by the widest measure.
    pub widest_v4_addresses: u32,
    /// IPv6 /64 networks covered by the widest measure.
    pub widest_v6_networks: u32,
    /// Names denied or redirected.
    pub names: u32,
}

/// What a plan's digest is taken of. The mitigations stand in it by the root of their tree, so that a member can check
/// its own part without the rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanHeader {
    /// The alliance.
    pub alliance: String,
    /// The version of the charter under which it was made.
    pub charter: u64,
    /// The plan it follows.
    pub parent: Option<PlanId>,
    /// Its number; each plan's is one higher than its parent's.
    pub generation: u64,
    /// How it comes into force.
    pub class: Class,
    /// When it was made.
    pub made: Timestamp,
    /// Why, in words, at most 20 lines of 200 characters.
    pub reasons: Vec<String>,
    /// How much it touches.
    pub blast_radius: BlastRadius,
    /// Number of mitigations.
    pub count: u32,
    /// Root of the tree over the mitigations' leaves (RFC 9162 §2.1.1).
    pub root: Digest,
}

impl Statement for PlanHeader {
    const CONTEXT: &'static str = "epimachia/plan/v1";
}

impl PlanHeader {
    /// The plan's identifier.
    pub fn id(&self) -> PlanId {
        PlanId::of(&self.digest())
    }
}

/// An immutable proposal. The evidence stands beside the digest, since it is signed by itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What the digest is taken of.
    pub header: PlanHeader,
    /// The mitigations, in the order of the tree.
    pub mitigations: Vec<Mitigation>,
    /// For each finding, the signed sightings that support it.
    pub evidence: BTreeMap<FindingId, Vec<Evidence>>,
}

impl Plan {
    /// The plan's identifier.
    pub fn id(&self) -> PlanId {
        self.header.id()
    }

    /// Each member's part of the plan, with proofs.
    pub fn parts(&self, approvals: &[SignedApproval]) -> BTreeMap<MemberId, PlanPart> {
        let tree = Levels::new(self.mitigations.iter().map(Mitigation::leaf).collect());
        let mut parts = BTreeMap::new();
        for (i, mitigation) in self.mitigations.iter().enumerate() {
            let (Ok(index), Some(path)) = (u32::try_from(i), tree.path(i)) else { continue };
            let part: &mut PlanPart = parts.entry(mitigation.member.clone()).or_insert_with(|| PlanPart {
                header: self.header.clone(),
                items: Vec::new(),
                evidence: BTreeMap::new(),
                approvals: approvals.to_vec(),
            });
            if let Some(evidence) = self.evidence.get(&mitigation.finding) {
                part.evidence.insert(mitigation.finding, evidence.clone());
            }
            part.items.push(PartItem { index, mitigation: mitigation.clone(), path });
        }
        parts
    }
}

/// One member's part of a plan, with everything that its agent needs to judge it alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanPart {
    /// The plan's header.
    pub header: PlanHeader,
    /// The member's mitigations, each with its place in the plan.
    pub items: Vec<PartItem>,
    /// For each finding, the signed sightings that support it.
    pub evidence: BTreeMap<FindingId, Vec<Evidence>>,
    /// The approvals that the plan has.
    pub approvals: Vec<SignedApproval>,
}

/// One mitigation with the proof that the plan holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartItem {
    /// Its place in the plan, from 0.
    pub index: u32,
    /// The mitigation.
    pub mitigation: Mitigation,
    /// The path to the plan's root.
    pub path: Vec<Digest>,
}

impl PartItem {
    /// Checks that the plan holds this mitigation.
    ///
    /// # Errors
    /// `digest_mismatch`.
    pub fn verify(&self, header: &PlanHeader) -> Result<(), Refusal> {
        let (size, index) = (u64::from(header.count), u64::from(self.index));
        merkle::verify_inclusion(header.root, size, index, self.mitigation.leaf(), &self.path)
            .map_err(|e| Refusal::new(Rule::DigestMismatch, e, "a path to the plan's root"))
    }
}

/// A mitigation is to end now. Withdrawals always pass: whoever can forge one can only end a protection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// Whose mitigation.
    pub member: MemberId,
    /// The finding: everything of it that plans had asked for by then ends.
    pub finding: FindingId,
    /// Why, in words.
    pub reason: String,
    /// When it was made: what a plan made later asks for stands, whichever is heard first.
    pub made: Timestamp,
}

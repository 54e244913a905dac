//! The alliance's state: what replaying the journal leaves behind.

use crate::collections::CollectionRecord;
use crate::entry::Author;
use crate::joining::Joining;
use crate::membership::Membership;
use crate::ongoing::Ongoing;
use crate::token::TokenRecord;
use charter::{Charter, Guards, KeyBook, SignedCharter};
use corroborate::{Engine, MemberIndex};
use model::{
    Class, Digest, Family, Finding, FindingId, Handling, LineageId, MemberId, MitigationId, MitigationState,
    Observable, Plan, PlanId, PointName, Refusal, Rule, SignedApproval, SignedDispute, Timestamp,
};
use serde::{Deserialize, Serialize};
use share::taxii::CollectionId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// How many of a member's last submissions are remembered with their positions, for resends.
const REMEMBERED_SUBMISSIONS: usize = 256;

/// The charter in force with what was made of it.
#[derive(Clone, Debug)]
pub struct InForceCharter {
    /// The text and its signatures.
    pub signed: SignedCharter,
    /// Typed, with the keys as they are now.
    pub charter: Charter,
    /// Digest of the text.
    pub digest: Digest,
    /// Its guards; `None` if a list file is missing, in which case nothing is published by machine.
    pub guards: Option<Guards>,
}

/// What the alliance knows beyond charter and corroboration table; small enough for one JSON document in a snapshot.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Time of the latest entry.
    pub time: Option<Timestamp>,
    /// Time of the turn before that of the latest entry.
    pub previous: Option<Timestamp>,
    /// Position after the latest entry.
    pub next_position: u64,
    /// Members in the order in which the corroboration table numbers them.
    pub numbered: Vec<MemberId>,
    /// Each member's submissions.
    pub submissions: BTreeMap<MemberId, Submissions>,
    /// Findings that were ever more than observed, until they have ended and nobody saw the observable for long.
    pub findings: BTreeMap<FindingId, Arc<Finding>>,
    /// When each finding is to be looked at again, because its evidence will have faded by then.
    pub fading: BTreeSet<(Timestamp, FindingId)>,
    /// Observables with new reports, to be judged, and since when.
    #[serde(with = "as_pairs")]
    pub pending: BTreeMap<(Observable, Family), Timestamp>,
    /// More waits to be judged than one turn judges.
    pub backlog: bool,
    /// What was to be judged when the journal ended: mostly it was judged then, without a result. Only news counts.
    #[serde(with = "as_pairs")]
    pub again: BTreeMap<(Observable, Family), Timestamp>,
    /// Plans that are open or in force.
    pub plans: BTreeMap<PlanId, PlanRecord>,
    /// The newest mitigation of each lineage, by finding and member.
    pub lineages: BTreeMap<FindingId, BTreeMap<MemberId, BTreeMap<LineageId, MitigationId>>>,
    /// Findings that ceased to stand while something was in force for them: its withdrawal follows in the same turn,
    /// or after a start, if that turn was cut off.
    pub unwithdrawn: BTreeSet<FindingId>,
    /// When something was withdrawn last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Timestamp>,
    /// Mitigations of plans in force, and those that ended within a day.
    pub mitigations: BTreeMap<MitigationId, MitigationRecord>,
    /// Mitigations that took over from an earlier one of their lineage: no new protection, only a longer one.
    pub renewals: BTreeSet<MitigationId>,
    /// Open and upheld disputes.
    pub disputes: BTreeMap<FindingId, Vec<SignedDispute>>,
    /// Objections to findings that no person signed.
    pub objections: BTreeMap<FindingId, Vec<crate::objects::Objection>>,
    /// Proposals that may not be sent again, by what they are known by, until they run out.
    #[serde(with = "as_pairs")]
    pub proposals: BTreeMap<Digest, Timestamp>,
    /// Rules that kept a finding from leading to a plan, so that each is journalled once.
    pub held: BTreeMap<FindingId, BTreeSet<Rule>>,
    /// The number of the latest plan.
    pub generation: u64,
    /// The latest plan.
    pub parent: Option<PlanId>,
    /// Tokens by the digest of their secret.
    #[serde(with = "as_pairs")]
    pub tokens: BTreeMap<Digest, TokenRecord>,
    /// Where each charter stands, by its version.
    pub charters: BTreeMap<u64, u64>,
    /// Changes of keys since the charter in force was adopted.
    pub keys: KeyBook,
    /// Where each of them stands, by its digest.
    #[serde(with = "as_pairs")]
    pub key_places: BTreeMap<Digest, u64>,
    /// Who wants to belong, is suspended, has left.
    pub membership: Membership,
    /// Join tokens, agents and their certificates.
    pub joining: Joining,
    /// Collections that members opened.
    pub collections: BTreeMap<CollectionId, Arc<CollectionRecord>>,
    /// Refusals that stand in the journal, by rule.
    pub refusals: BTreeMap<Rule, u64>,
    /// Entries by kind.
    pub entries: BTreeMap<String, u64>,
    /// Sightings accepted in all.
    pub sightings: u64,
    /// Times from corroboration to read-back, the last ones, for figures.
    pub protections: VecDeque<Protection>,
}

impl Ledger {
    /// A mitigation and, behind it, what lasts longer than what took over from it.
    pub(crate) fn line(&self, newest: MitigationId) -> impl Iterator<Item = (MitigationId, &MitigationRecord)> {
        let known = |id: MitigationId| self.mitigations.get(&id).map(|record| (id, record));
        std::iter::successors(known(newest), move |(_, record)| known(record.outlasted_by?))
    }

    /// Is any of it in force? Whatever its agent reported last: one that refused it may have taken it later, and ending
    /// what is not in force does no harm.
    pub(crate) fn is_line_live(&self, newest: MitigationId, now: Timestamp) -> bool {
        self.line(newest).any(|(_, record)| record.expires > now)
    }
}

/// One member's submissions.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Submissions {
    /// The highest number accepted.
    pub last: u64,
    /// The latest ones.
    pub recent: VecDeque<Submitted>,
    /// When the member last sent something.
    pub heard: Option<Timestamp>,
    /// Sightings it sent in all.
    pub sightings: u64,
}

/// One accepted submission.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Submitted {
    /// Its number.
    pub sequence: u64,
    /// Where it stands.
    pub position: u64,
    /// What it is known by.
    pub mark: Digest,
}

impl Submissions {
    /// Notes an accepted submission.
    pub fn note(&mut self, submitted: Submitted) {
        self.last = self.last.max(submitted.sequence);
        self.recent.push_back(submitted);
        while self.recent.len() > REMEMBERED_SUBMISSIONS {
            self.recent.pop_front();
        }
    }

    /// Where a submission stands, if it was accepted before; an error if its number stands for something else, or is
    /// older than what is remembered.
    pub(crate) fn known(&self, sequence: u64, mark: &Digest) -> Result<Option<u64>, ()> {
        if sequence == 0 || sequence > self.last {
            return Ok(None);
        }
        let same = self.recent.iter().find(|known| known.sequence == sequence && known.mark == *mark);
        same.map(|known| Some(known.position)).ok_or(())
    }
}

/// A plan with what happened to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanRecord {
    /// The plan.
    pub plan: Arc<Plan>,
    /// Where it stands in the journal.
    pub position: u64,
    /// Who may see it.
    pub handling: Handling,
    /// Who proposed it.
    pub author: Author,
    /// Approvals so far.
    pub approvals: Vec<SignedApproval>,
    /// Where it stands.
    pub state: PlanState,
}

/// Where a plan stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlanState {
    /// Waits for approvals.
    Proposed,
    /// In force since.
    InForce {
        /// When.
        since: Timestamp,
        /// The entry that put it in force; agents resume by it.
        position: u64,
    },
    /// Voted down, or nobody approved it in time.
    Closed {
        /// Why.
        reason: String,
    },
}

/// A mitigation of a plan in force with what its agent reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MitigationRecord {
    /// Whose.
    pub member: MemberId,
    /// The finding behind it.
    pub finding: FindingId,
    /// Which plan asks for it.
    pub plan: PlanId,
    /// What is asked, as text.
    pub measure: String,
    /// How the plan came into force.
    pub class: Class,
    /// When it came into force.
    pub since: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// Where it stands on the member's side.
    pub state: MitigationState,
    /// The enforcement point that was asked.
    pub point: Option<PointName>,
    /// When the member last said so.
    pub reported: Option<Timestamp>,
    /// When it was first read back as enforcing.
    pub verified: Option<Timestamp>,
    /// What was read back.
    pub evidence: String,
    /// Packets or answers affected.
    pub packets: Option<u64>,
    /// Bytes affected.
    pub bytes: Option<u64>,
    /// Which rule said no.
    pub refusal: Option<Refusal>,
    /// What it took over from and lasts longer: that goes on where the member did not take this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlasted_by: Option<MitigationId>,
    /// Since when it is to be ended before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Timestamp>,
}

/// One measured time to protection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Protection {
    /// The finding.
    pub finding: FindingId,
    /// The member that became protected.
    pub member: MemberId,
    /// From the acceptance of the sighting that led to the plan (or of the last approval) to the read-back,
    /// milliseconds.
    pub millis: i64,
}

/// The state machine that joins the stages.
#[derive(Clone, Debug)]
pub struct Alliance {
    pub(crate) charter: Option<Arc<InForceCharter>>,
    pub(crate) lists: BTreeMap<Digest, Arc<[u8]>>,
    pub(crate) engine: Engine,
    pub(crate) ledger: Ledger,
    /// Drawn from the ledger.
    pub(crate) ongoing: Ongoing,
}

impl Alliance {
    /// The member's number in the corroboration table.
    pub(crate) fn number(&self, member: &MemberId) -> Option<MemberIndex> {
        let place = self.ledger.numbered.iter().position(|m| m == member)?;
        u16::try_from(place).ok().map(MemberIndex)
    }

    /// The member with this number.
    pub(crate) fn numbered(&self, index: MemberIndex) -> Option<&MemberId> {
        self.ledger.numbered.get(usize::from(index.0))
    }
}

/// JSON objects have texts as keys; a map keyed by digests is written as pairs.
mod as_pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    pub fn serialize<K: Serialize, V: Serialize, S: Serializer>(map: &BTreeMap<K, V>, s: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(s)
    }

    pub fn deserialize<'d, K, V, D>(d: D) -> Result<BTreeMap<K, V>, D::Error>
    where
        K: Deserialize<'d> + Ord,
        V: Deserialize<'d>,
        D: Deserializer<'d>,
    {
        Ok(Vec::<(K, V)>::deserialize(d)?.into_iter().collect())
    }
}

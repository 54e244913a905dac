//! The hub's answers, as far as this program shows them to people; a newer hub may tell more.

use model::{
    BlastRadius, Class, Digest, Finding, FindingId, GuardHit, MemberId, MitigationId, MitigationNow, Observable, Plan,
    PlanId, PointName, Refusal, SignedDispute, Timestamp, TokenId,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// A page of a list.
#[derive(Deserialize)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the rest begins.
    pub next: Option<String>,
}

/// What became of a statement.
#[derive(Deserialize, Serialize, Clone, Copy, Debug)]
pub struct Written {
    /// Where it stands in the journal.
    pub position: u64,
    /// How many were accepted.
    pub accepted: usize,
    /// It was accepted before.
    pub duplicate: bool,
}

/// The alliance in one screen.
#[derive(Deserialize)]
pub struct Status {
    /// `serving`, `read-only` or `broken`.
    pub condition: String,
    /// The hub's time.
    pub time: Timestamp,
    /// The alliance.
    pub alliance: String,
    /// The charter's version.
    pub charter: u64,
    /// Entries in the journal.
    pub entries: u64,
    /// Members.
    pub members: usize,
    /// Sightings in all.
    pub sightings: u64,
    /// Observables held.
    pub observables: usize,
    /// Findings by state.
    pub findings: BTreeMap<String, u64>,
    /// Plans that wait.
    pub plans_waiting: usize,
    /// Mitigations by state.
    pub mitigations: BTreeMap<String, u64>,
    /// Refusals by rule.
    pub refusals: BTreeMap<String, u64>,
    /// How long protection took lately.
    #[serde(default)]
    pub time_to_protection: Option<TimeToProtection>,
}

/// From the sighting that corroborates to the read-back, milliseconds.
#[derive(Deserialize)]
pub struct TimeToProtection {
    /// How many were measured.
    pub count: usize,
    /// Half were protected within this.
    pub p50_ms: u64,
    /// 99 of 100 were.
    pub p99_ms: u64,
}

/// One plan in a list.
#[derive(Deserialize)]
pub struct PlanView {
    /// Its identifier.
    pub id: PlanId,
    /// The digest that approvals sign.
    pub digest: Digest,
    /// Where it stands.
    pub state: String,
    /// Why, or since when.
    pub note: String,
    /// How it comes into force.
    pub class: Class,
    /// Its number.
    pub generation: u64,
    /// When it was made.
    pub made: Timestamp,
    /// Why.
    pub reasons: Vec<String>,
    /// How much it touches.
    pub blast_radius: BlastRadius,
    /// Who said yes.
    pub approved_by: Vec<String>,
    /// Who said no.
    pub rejected_by: Vec<String>,
    /// How many must say yes.
    pub approvals_needed: u32,
    /// The mitigations.
    pub mitigations: Vec<PlannedView>,
}

/// One mitigation of a plan.
#[derive(Deserialize)]
pub struct PlannedView {
    /// Its identifier.
    pub id: MitigationId,
    /// Who is asked.
    pub member: MemberId,
    /// What is to be done.
    pub measure: String,
    /// When it ends.
    pub expires: Timestamp,
}

/// One plan, whole.
#[derive(Deserialize)]
pub struct PlanShown {
    /// As people read it.
    pub view: PlanView,
    /// As it is signed.
    pub plan: Plan,
}

/// One mitigation as the hub knows it.
#[derive(Deserialize)]
pub struct MitigationView {
    /// Its identifier.
    pub id: MitigationId,
    /// Whose.
    pub member: MemberId,
    /// The finding behind it.
    pub finding: FindingId,
    /// The plan.
    pub plan: PlanId,
    /// What is asked.
    pub measure: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// The enforcement point.
    pub point: Option<PointName>,
    /// When it was read back first.
    pub verified: Option<Timestamp>,
    /// What was read back.
    #[serde(default)]
    pub evidence: String,
    /// Packets or answers affected.
    pub packets: Option<u64>,
    /// Which rule said no.
    pub refusal: Option<Refusal>,
    /// What is known as of now.
    pub now: MitigationNow,
}

/// One member.
#[derive(Deserialize)]
pub struct MemberView {
    /// How far it belongs.
    pub kind: String,
    /// How far it is trusted.
    pub standing: String,
    /// Parts of the ecosystem.
    pub segments: Vec<String>,
    /// What it may do.
    pub roles: Vec<String>,
    /// What it can do for others.
    pub capabilities: Vec<String>,
    /// Points its word weighs.
    pub weight: f64,
    /// Sightings it sent.
    pub sightings: u64,
    /// When it last sent something.
    pub heard: Option<Timestamp>,
    /// Median time to protection in milliseconds.
    pub protection_millis: Option<i64>,
}

/// The hub's word on a value.
#[derive(Deserialize)]
pub struct Why {
    /// What was asked about.
    pub observable: Observable,
    /// Is it known?
    pub known: bool,
    /// What a guard says.
    pub guard: Option<GuardHit>,
    /// Whose it is.
    pub owner: Option<MemberId>,
    /// What is held of it.
    pub findings: Vec<WhyFinding>,
}

/// One finding of it.
#[derive(Deserialize)]
pub struct WhyFinding {
    /// The finding.
    pub finding: Finding,
    /// The state in one sentence.
    pub sentence: String,
    /// Where it is blocked.
    pub mitigations: Vec<MitigationView>,
    /// Who objects.
    pub disputes: Vec<SignedDispute>,
    /// Who objects without a person's signature.
    #[serde(default)]
    pub objections: Vec<alliance::ObjectionView>,
    /// Rules that kept it from going further.
    pub held: Vec<String>,
}

/// One token, without its secret.
#[derive(Deserialize, Serialize)]
pub struct Token {
    /// Its identifier.
    pub id: TokenId,
    /// For whom.
    pub member: MemberId,
    /// What for.
    pub scopes: Vec<String>,
    /// A person's note.
    pub label: String,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// A new token: its secret goes into a file and nowhere else.
#[derive(Deserialize)]
pub struct TokenShown {
    /// The secret.
    pub token: String,
    /// What the hub remembers.
    pub record: Token,
}

/// One entry of the journal.
#[derive(Deserialize)]
pub struct JournalItem {
    /// Where it stands.
    pub position: u64,
    /// The entry.
    pub entry: Box<RawValue>,
}

/// The number of a member's next submission.
#[derive(Deserialize)]
pub struct NextSequence {
    /// The number.
    pub next: u64,
}

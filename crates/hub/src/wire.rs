//! Bodies and answers that belong to the hub's API alone; everything else on the wire is a word of `model`, `charter`
//! or `alliance`.

use alliance::joining::Issued;
pub use alliance::{Proposal, SignedProposal};
use alliance::{Scope, TokenRecord};
use model::{
    AgentName, BatchHeader, CertificateId, Handling, MemberId, Plan, Sighting, Signature, SignedApproval, Span,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeSet;

/// The version of lists and views.
pub const SCHEMA: u32 = 1;

/// The first line of a signed report; one [`model::Opening`] a line follows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportHead {
    /// What is signed.
    pub header: BatchHeader,
    /// The author's signature over the header.
    pub signature: Signature,
}

/// A wish for a token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// For whom; a member of the charter in force.
    pub member: MemberId,
    /// What for; at least one.
    pub scopes: BTreeSet<Scope>,
    /// A person's note, at most 100 characters.
    pub label: String,
    /// For how long.
    pub valid: Span,
}

/// A token, shown this once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenShown {
    /// The secret.
    pub token: String,
    /// What the hub remembers of it.
    pub record: TokenRecord,
}

/// Why something is done, in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// 1 to 500 characters.
    pub reason: String,
}

/// An agent's certificate as admins see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateView {
    /// Its identifier.
    pub id: CertificateId,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Whose agent it names.
    pub member: MemberId,
    /// Which agent.
    pub agent: AgentName,
    /// From when it counts.
    pub from: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
    /// It counts now.
    pub live: bool,
    /// Why it counts no longer, where it was ended before its time.
    pub ended: Option<String>,
}

impl CertificateView {
    pub(crate) fn of(issued: &Issued, now: Timestamp) -> Self {
        let record = &issued.record;
        Self {
            id: record.id,
            serial: record.serial.clone(),
            member: record.member.clone(),
            agent: record.agent.clone(),
            from: record.from,
            until: record.until,
            live: issued.require_live(now).is_ok(),
            ended: issued.ended.clone(),
        }
    }
}

/// A sighting that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FoundSighting {
    /// The entry of the journal that holds it.
    pub position: u64,
    /// Who reported it; none: a member that wishes to stay unnamed.
    pub member: Option<MemberId>,
    /// Did the reporter sign it?
    pub signed: bool,
    /// The sighting.
    #[serde(flatten)]
    pub sighting: Sighting,
}

/// An object that was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FoundObject {
    /// The TAXII API root that it stands under.
    pub root: String,
    /// Its collection there.
    pub collection: String,
    /// Its identifier.
    pub id: String,
    /// Its version.
    pub version: String,
    /// When it was added.
    pub added: String,
    /// Who brought it; none: a member that wishes to stay unnamed.
    pub member: Option<MemberId>,
    /// Who may see it.
    pub handling: Handling,
    /// The object, byte for byte.
    pub object: Box<RawValue>,
}

/// What became of a statement: it is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Version of this form, 1.
    pub schema: u32,
    /// Where it stands in the journal.
    pub position: u64,
    /// How many sightings, receipts or statements were accepted.
    pub accepted: usize,
    /// The author's number of this submission; null where it has none.
    pub sequence: Option<u64>,
    /// It was accepted before: nothing has changed.
    pub duplicate: bool,
}

/// A list, or a part of one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct List<T> {
    /// Version of this form, 1.
    pub schema: u32,
    /// The items, in order.
    pub items: Vec<T>,
    /// Give this as `after` for the rest; null where there is none.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A list that ends here.
    pub const fn whole(items: Vec<T>) -> Self {
        Self { schema: SCHEMA, items, next: None }
    }
}

/// A view with the version of its form.
#[derive(Clone, Debug, Serialize)]
pub struct View<T> {
    /// Version of this form, 1.
    pub schema: u32,
    /// The view.
    #[serde(flatten)]
    pub view: T,
}

impl<T> View<T> {
    /// A view of this version.
    pub const fn of(view: T) -> Self {
        Self { schema: SCHEMA, view }
    }
}

/// One plan, whole: as people read it, as it is signed, and who signed.
#[derive(Clone, Debug, Serialize)]
pub struct PlanShown {
    /// As people read it.
    pub view: alliance::view::PlanView,
    /// The plan itself, with evidence; its header's digest is what approvals sign.
    pub plan: Plan,
    /// Approvals so far.
    pub approvals: Vec<SignedApproval>,
}

/// One entry of the journal with what opens its leaf.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalItem {
    /// Where it stands.
    pub position: u64,
    /// The nonce of its leaf, 64 hexadecimal digits.
    pub nonce: model::Digest,
    /// The entry, byte for byte.
    pub entry: Box<serde_json::value::RawValue>,
}

/// A collection that a member opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionShown {
    /// Its identifier.
    pub id: share::taxii::CollectionId,
    /// The API root that it stands under.
    pub root: String,
    /// Its name: its alias in TAXII.
    pub name: alliance::CollectionName,
    /// Its title.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Who puts objects into it.
    pub writers: alliance::Writers,
    /// Who opened it.
    pub member: MemberId,
    /// When.
    pub opened: Timestamp,
    /// Since when nothing may be put into it.
    pub closed: Option<Timestamp>,
    /// Where TAXII clients find it.
    pub path: String,
}

impl CollectionShown {
    pub(crate) fn of(record: &alliance::CollectionRecord) -> Self {
        let wish = &record.wish;
        let root = wish.root().to_string();
        Self {
            id: record.id,
            path: format!("/taxii2/{root}/collections/{}/", record.id),
            root,
            name: wish.name.clone(),
            title: wish.title.clone(),
            description: wish.description.clone(),
            writers: wish.writers,
            member: record.member.clone(),
            opened: record.opened,
            closed: record.closed,
        }
    }
}

/// The number of a member's next submission.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextSequence {
    /// The number.
    pub next: u64,
}

/// Hashes that prove one tree to begin with another (RFC 9162 §2.1.4).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyPath {
    /// Version of this form, 1.
    pub schema: u32,
    /// The hashes, from the leaves upwards.
    pub path: Vec<model::Digest>,
}

/// A witness's word on a checkpoint.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosignature {
    /// The checkpoint as the hub signed it, with the witness's line (C2SP signed note, tlog-cosignature).
    pub note: String,
}

/// What became of a cosignature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CosignatureTaken {
    /// Version of this form, 1.
    pub schema: u32,
    /// Entries under the checkpoint.
    pub size: u64,
    /// `new`, `again` for a newer line over the same checkpoint, or `older` for one that is not kept.
    pub standing: String,
    /// How many witnesses have cosigned this checkpoint now; 0 for one that is not asked about any more.
    pub cosigned: u64,
}

/// The first event of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Entries in the journal.
    pub position: u64,
    /// The alliance.
    pub alliance: String,
    /// The version of the charter in force; 0 before the first.
    pub charter: u64,
}

/// A guard list that was taken in.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListTaken {
    /// The digest by which a charter names it.
    pub sha256: model::Digest,
    /// Its length.
    pub bytes: u64,
}

/// A hub that is well.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Health {
    /// Always `ok`; otherwise the answer is a problem.
    pub status: String,
    /// Entries in the journal.
    pub journal: u64,
    /// Entries under the newest checkpoint.
    pub checkpoint: u64,
}

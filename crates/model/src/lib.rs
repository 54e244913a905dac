//! The words: observables, sightings, findings, plans; parsed once and then typed.
//!
//! Everything the alliance speaks about is a type here, with one canonical form. Nothing in this crate does anything:
//! no clock, no randomness, no files. Read `observable`, then `sighting`, `finding`, `measure` and `plan`.

pub mod approval;
pub mod digest;
pub mod finding;
pub mod ids;
pub mod join;
pub mod key;
pub mod keychange;
pub mod levels;
pub mod measure;
pub mod membership;
pub mod merkle;
pub mod observable;
pub mod parse;
pub mod plan;
pub mod receipt;
pub mod refusal;
pub mod retraction;
pub mod sighting;
pub mod stream;
pub mod time;
pub mod words;

pub use approval::{Approval, Dispute, Ground, SignedApproval, SignedDispute, Verdict};
pub use digest::Digest;
pub use finding::{Finding, FindingState, GuardHit, Sum, SumLine};
pub use ids::{
    AgentName, CertificateId, DisputeId, FindingId, GroupId, JoinTokenId, KeyId, LineageId, MemberId, MitigationId,
    PersonId, PlanId, PointName, SightingId, TokenId,
};
pub use key::{PublicKey, Signature, SigningKey, Statement};
pub use keychange::{KeyChange, KeyPossession, SignedKeyChange};
pub use levels::Levels;
pub use measure::{Action, Class, Measure, Scope, Target};
pub use observable::{Domain, FileHash, Observable, Prefix, WebUrl};
pub use parse::ParseError;
pub use plan::{BlastRadius, Inverse, Mitigation, PartItem, Plan, PlanHeader, PlanPart, Withdrawal};
pub use receipt::{MitigationNow, MitigationState, Receipt, Receipts, SignedReceipts};
pub use refusal::{Refusal, Rule};
pub use retraction::{Retraction, SignedRetraction};
pub use sighting::{Batch, BatchHeader, Evidence, Opening, Salt, Sighting, finding_id};
pub use stream::{Growth, StreamMessage};
pub use time::{Span, Timestamp};
pub use words::{
    Actions, Behaviour, Capability, Family, Grade, Handling, KeyAct, MemberKind, MembershipAct, MembershipStage, Role,
    Segment, Sensor, Standing, Tlp,
};

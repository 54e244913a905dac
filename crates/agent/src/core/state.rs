//! What an agent must not forget: the durable state, and the records from which it is rebuilt.

use super::feeds::{self, Fed, FedNews};
use super::outbox::{Outbox, Sealed, TakenBack};
use super::statements::{self, Said};
use charter::{KeyBook, SignedCharter};
use decide::RestsOn;
use model::{
    Class, Digest, FindingId, LineageId, Measure, MemberId, Mitigation, MitigationId, MitigationState, Observable,
    Opening, PlanId, PointName, PublicKey, Receipt, SignedKeyChange, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that survives a restart. Changed by [`State::apply`] alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// The latest time this agent has seen: expiry never waits for a clock that went back.
    pub seen: Option<Timestamp>,
    /// The stream's position up to which everything has been dealt with.
    pub position: Option<u64>,
    /// The charter in force, which followed from the pinned one.
    pub charter: Option<SignedCharter>,
    /// What keys changed since, and which were revoked before it.
    pub keys: KeyBook,
    /// The last checkpoint that was consistent with the ones before it.
    pub checkpoint: Option<Seen>,
    /// Set when the hub showed a second history; only a person clears it.
    pub forked: Option<Forked>,
    /// What this member's witness has said.
    pub witness: Witness,
    /// Mitigations that are due, in force, or ending.
    pub held: BTreeMap<MitigationId, Held>,
    /// What was accepted last of each lineage.
    pub lineages: BTreeMap<LineageId, Lineage>,
    /// What persons said of findings, while it holds.
    pub decisions: BTreeMap<FindingId, Decision>,
    /// The allow-list entries that persons added while the agent was running.
    pub allow: BTreeMap<Observable, Allowed>,
    /// Set while the kill switch is on.
    pub killed: Option<Killed>,
    /// What the hub has not acknowledged.
    pub outbox: Outbox,
    /// What was signed here lately, by number and signature.
    pub said: Said,
    /// How far each followed sensor file has been read, by the source's name.
    pub sources: BTreeMap<String, SourceMark>,
    /// How far each pull and push has come, by its name.
    pub feeds: BTreeMap<String, Fed>,
}

/// How far a followed file has been read. It is written down together with what was seen up to there.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceMark {
    /// Digest of the file's first bytes: by them it is known again, whatever its name is by then.
    pub head: Digest,
    /// How many bytes that are.
    pub head_bytes: u64,
    /// Everything that repeats and has not been reported yet stands after this byte.
    pub again: u64,
    /// All lines before this byte have been dealt with.
    pub read: u64,
    /// What repeats and ended by this time has been reported.
    pub closed: Timestamp,
}

/// One change of the state, as it is written to disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// All of it; written when the file is compacted.
    Snapshot(Box<State>),
    /// The time was at least this; a person may set it back.
    Time(Timestamp),
    /// Everything up to this position was dealt with; none: begin again with what is in force.
    Reached(Option<u64>),
    /// A charter was adopted.
    Charter(Box<SignedCharter>),
    /// A member's key changed.
    KeyChanged(Box<SignedKeyChange>),
    /// A checkpoint was accepted.
    Checkpoint(Seen),
    /// A second history was seen, or a person has looked at it.
    Forked(Option<Forked>),
    /// The witness said something, or says nothing more.
    Witness(WitnessRecord),
    /// A mitigation is held, or changed.
    Held(Box<Held>),
    /// A mitigation has ended.
    Gone(MitigationId),
    /// A lineage changed.
    Lineage(LineageId, Option<Lineage>),
    /// A person decided about a finding, or the decision is over.
    Decision(FindingId, Option<Decision>),
    /// An allow-list entry was added or removed.
    Allow(Observable, Option<Allowed>),
    /// The kill switch was turned.
    Killed(Option<Killed>),
    /// A receipt waits to be sent.
    Receipt(Box<Receipt>),
    /// Of the receipts that wait those at these places are overtaken by later ones, and go. The places ascend.
    Overtaken(Vec<usize>),
    /// Sightings wait to be sent.
    Heard(Vec<Opening>),
    /// What was reported of something is to be taken back.
    TakenBack(Box<TakenBack>),
    /// Waiting receipts or sightings became one signed submission.
    Sealed(Box<Sealed>),
    /// The sealed submission goes back to what waits, to be sealed again in parts of at most this many.
    Unsealed(usize),
    /// The sealed submission is with the hub, durably.
    Acknowledged(u64),
    /// The sealed submission was refused for good, and is dropped.
    Dropped(u64),
    /// The number of the next submission.
    Sequence(u64),
    /// A source's file was read up to here.
    Followed(String, SourceMark),
    /// A pull or push has come this far.
    Fed(Box<FedNews>),
}

/// One mitigation on this member's side.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// What was asked for.
    pub mitigation: Mitigation,
    /// By which plan.
    pub plan: PlanId,
    /// When that plan was made. A withdrawal ends what was made before it: one that comes late ends nothing newer.
    #[serde(default = "long_ago")]
    pub made: Timestamp,
    /// How that plan came into force.
    #[serde(default = "automatic")]
    pub class: Class,
    /// The members whose evidence or approvals it rests on, with the keys that signed.
    #[serde(default)]
    pub rests_on: RestsOn,
    /// Where it stands, as it was reported.
    pub state: MitigationState,
    /// Since when it is held.
    pub since: Timestamp,
    /// Set while it waits for a person: why it does.
    pub asks: Option<String>,
    /// Set once it is to end.
    pub ending: Option<Ending>,
    /// The enforcement points that are to carry it out.
    pub points: BTreeSet<PointName>,
    /// What was read back last, in the point's words.
    pub evidence: String,
    /// Packets or answers affected so far, where counted.
    pub packets: Option<u64>,
    /// Bytes affected so far, where counted.
    pub bytes: Option<u64>,
}

impl Held {
    /// The mitigation's identifier.
    pub fn id(&self) -> MitigationId {
        self.mitigation.id()
    }

    /// Is it to be in force at the points?
    pub const fn is_wanted(&self) -> bool {
        self.asks.is_none() && self.ending.is_none()
    }
}

/// Why and how a mitigation ends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ending {
    /// `withdrawn`, `expired` or `refused`.
    pub state: MitigationState,
    /// Why, in words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// The rule that said no, where one did.
    pub refusal: Option<model::Refusal>,
}

const fn long_ago() -> Timestamp {
    Timestamp::MIN
}

const fn automatic() -> Class {
    Class::Automatic
}

/// What was accepted last of one lineage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lineage {
    /// Its generation; older ones are refused.
    pub generation: u64,
    /// The mitigation of that generation.
    pub mitigation: Option<MitigationId>,
    /// Until when it must be remembered: nothing of it that was ever accepted lasts longer.
    pub until: Timestamp,
}

/// A person's word on a finding's mitigations.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Decision {
    /// This measure may be renewed without being asked again.
    Accepted {
        /// The measure.
        measure: Measure,
        /// Until then.
        until: Timestamp,
    },
    /// Nothing of this finding comes into force.
    Refused {
        /// Until then.
        until: Timestamp,
        /// Why, in words.
        reason: String,
    },
}

impl Decision {
    /// Until when it holds.
    pub const fn until(&self) -> Timestamp {
        match self {
            Self::Accepted { until, .. } | Self::Refused { until, .. } => *until,
        }
    }
}

/// An entry of the member's own allow-list.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    /// Since when.
    pub since: Timestamp,
    /// A person's note.
    pub note: String,
}

/// The kill switch is on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Killed {
    /// Since when.
    pub since: Timestamp,
    /// Why, in a person's words.
    pub reason: String,
}

/// A checkpoint that was verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// How many entries the journal had.
    pub size: u64,
    /// The root of its tree.
    pub root: Digest,
    /// The signed note, as proof against whoever signed it.
    pub note: String,
}

/// What a witness must never contradict: the last checkpoint that it cosigned of each log.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Witness {
    /// The key that said it.
    pub key: Option<PublicKey>,
    /// By the log's origin; the note bears our own line.
    pub cosigned: BTreeMap<String, Seen>,
    /// A person accepted a history that contradicts it: this key says nothing more.
    pub silent: bool,
}

/// One change of [`Witness`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WitnessRecord {
    /// The witness has another key, and begins anew.
    Key(Option<PublicKey>),
    /// A checkpoint of this log was cosigned.
    Cosigned(String, Seen),
    /// This key says nothing more.
    Silent,
}

impl Witness {
    fn apply(&mut self, record: WitnessRecord) {
        match record {
            WitnessRecord::Key(key) => *self = Self { key, ..Self::default() },
            WitnessRecord::Cosigned(origin, seen) => drop(self.cosigned.insert(origin, seen)),
            WitnessRecord::Silent => self.silent = true,
        }
    }
}

/// Two notes of one log that contradict each other.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forked {
    /// Since when it is known.
    pub since: Timestamp,
    /// The checkpoint that was held.
    pub held: Seen,
    /// The one that does not follow from it.
    pub shown: Seen,
    /// What did not fit, in words.
    pub fault: String,
    /// Which other member was shown the second one; none: it was shown to us.
    #[serde(default)]
    pub by: Option<MemberId>,
}

impl State {
    /// Carries out one record. Cannot fail: what does not fit is left alone.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Snapshot(state) => *self = *state,
            Record::Time(time) => self.seen = Some(time),
            Record::Reached(position) => self.position = position,
            Record::Charter(signed) => {
                self.charter = Some(*signed);
                self.keys = self.keys.next();
            }
            Record::KeyChanged(signed) => self.keys.take(*signed),
            Record::Checkpoint(seen) => self.checkpoint = Some(seen),
            Record::Forked(forked) => self.forked = forked,
            Record::Witness(record) => self.witness.apply(record),
            Record::Held(held) => drop(self.held.insert(held.id(), *held)),
            Record::Gone(id) => drop(self.held.remove(&id)),
            Record::Lineage(id, lineage) => put(&mut self.lineages, id, lineage),
            Record::Decision(finding, decision) => put(&mut self.decisions, finding, decision),
            Record::Allow(observable, allowed) => put(&mut self.allow, observable, allowed),
            Record::Killed(killed) => self.killed = killed,
            Record::Receipt(receipt) => self.outbox.receipts.push_back(*receipt),
            Record::Overtaken(places) => self.outbox.forget(&places),
            Record::Heard(openings) => self.outbox.sightings.extend(openings),
            Record::TakenBack(taken_back) => self.outbox.take_back(*taken_back),
            Record::Sealed(sealed) => {
                let (sequence, signature) = sealed.signed();
                statements::remember(&mut self.said, sequence, signature);
                self.outbox.seal(*sealed);
            }
            Record::Unsealed(part_max) => self.outbox.unseal(part_max),
            Record::Acknowledged(sequence) => self.outbox.acknowledge(sequence),
            Record::Dropped(sequence) => self.outbox.drop_sealed(sequence),
            Record::Sequence(next) => self.outbox.next = Some(next),
            Record::Followed(source, mark) => drop(self.sources.insert(source, mark)),
            Record::Fed(news) => feeds::remember(&mut self.feeds, *news),
        }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => drop(map.insert(key, value)),
        None => drop(map.remove(&key)),
    }
}

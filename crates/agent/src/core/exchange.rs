//! What goes into the core and what comes out of it.

use super::outbox::{Submission, TakenBack};
use super::state::{Record, SourceMark};
use act::{Effect, Protection, Seen};
use charter::SignedCharter;
use model::{Digest, MitigationId, Observable, PlanId, PointName, Refusal, Salt, Sighting, StreamMessage};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Something happened, or somebody wants something.
#[derive(Clone, Debug)]
pub enum Input {
    /// The process has started; the state was read back. Always the first input.
    Restarted,
    /// Time has passed; see [`super::Core::wakes_at`].
    Tick,
    /// The hub's stream brought a message.
    Message {
        /// The journal's position.
        position: u64,
        /// The message.
        message: Box<StreamMessage>,
    },
    /// The hub says which version of the charter is in force: at the start of every stream.
    CharterAnnounced(u64),
    /// The hub answered [`Output::FetchCharter`].
    Charter {
        /// The charter as it travels.
        signed: Box<SignedCharter>,
        /// Its guard list files, in the order in which it names them.
        lists: Vec<Vec<u8>>,
    },
    /// The hub answered [`Output::FetchConsistency`].
    Consistency {
        /// Size of the older tree.
        from: u64,
        /// Size of the newer tree.
        to: u64,
        /// The path between them.
        path: Vec<Digest>,
    },
    /// The hub answered [`Output::FetchProof`] with a proof (C2SP `tlog-proof`).
    Proof(String),
    /// Another member's witness shows what it cosigned last.
    PeerCheckpoint {
        /// Whose witness.
        peer: model::MemberId,
        /// The signed note.
        note: String,
    },
    /// Somebody asks this member's witness to cosign (C2SP `tlog-witness`, `add-checkpoint`); answered with
    /// [`Output::WitnessAnswer`].
    AddCheckpoint(Vec<u8>),
    /// The hub's answer to [`Output::FetchSequence`]: the number it expects next.
    NextSequence(u64),
    /// The hub has a submission durably.
    Acknowledged {
        /// Its number.
        sequence: u64,
    },
    /// The hub refused a submission for what is in it.
    SubmissionRefused {
        /// Its number.
        sequence: u64,
        /// Which rule, and what about.
        refusal: Refusal,
    },
    /// The hub has something else under a submission's number.
    NumberTaken {
        /// The number.
        sequence: u64,
        /// The one it expects next.
        next: u64,
    },
    /// An enforcement point has carried out, or not, what it was ordered.
    PointDone {
        /// Which point.
        point: PointName,
        /// What it was ordered.
        order: Order,
        /// For which mitigations.
        asked: Vec<MitigationId>,
        /// How it went.
        outcome: Outcome,
    },
    /// An enforcement point was read back.
    ReadBack {
        /// Which point.
        point: PointName,
        /// About which mitigations it was asked.
        asked: Vec<MitigationId>,
        /// What it answered, in the same order.
        answer: Result<Vec<(Seen, Effect)>, Trouble>,
    },
    /// Sensors or persons report sightings, each with sixteen random bytes.
    Sightings(Vec<(Salt, Sighting)>),
    /// What a followed file held up to a place. Both become durable together: nothing is lost or reported twice.
    Followed {
        /// The source's name.
        source: String,
        /// How far it has been read.
        mark: SourceMark,
        /// What was seen on the way, each with sixteen random bytes.
        sightings: Vec<(Salt, Sighting)>,
    },
    /// What a pull or push came to. All of it becomes durable together, or nothing: then it is refused.
    Fed {
        /// How far it is, and what became of what was met on the way.
        news: Box<super::FedNews>,
        /// What this member's own sensors saw, each with sixteen random bytes; at most
        /// [`super::FED_SIGHTINGS_MAX`].
        sightings: Vec<(Salt, Sighting)>,
    },
    /// A person takes back what this member reported of something.
    Retract(TakenBack),
    /// A person adds to the member's own allow-list: lifted at once.
    Allow {
        /// What is never to be touched.
        observable: Observable,
        /// A note.
        note: String,
    },
    /// A person takes an entry off the allow-list.
    Disallow(Observable),
    /// The configuration was read again.
    SettingsChanged(Box<super::Settings>),
    /// A person decided on a mitigation that waits.
    PersonDecided {
        /// Which.
        mitigation: MitigationId,
        /// Yes or no.
        accept: bool,
        /// Why, in words.
        reason: String,
    },
    /// A person ends a mitigation that is in force here.
    Lift {
        /// Which.
        mitigation: MitigationId,
        /// Why, in words.
        reason: String,
    },
    /// A person turns the kill switch on.
    Kill {
        /// Why, in words.
        reason: String,
    },
    /// A person turns the kill switch off.
    Resume,
    /// A person has looked at the forked history and goes on with what the hub shows now.
    HistoryAccepted,
    /// A door of the agent has something that a person should know.
    Trouble {
        /// What kind of thing.
        kind: AlarmKind,
        /// What happened and what to do.
        text: String,
    },
    /// The stream from the hub broke, or does not open: until it speaks again nothing can be asked of it.
    HubAway,
    /// A person says that the clock is right, although it went back.
    ClockAccepted,
    /// The disk is full, with what to do; none: there is room again.
    Room(Option<String>),
}

impl Input {
    /// May the member's allow-list be another one after this?
    pub(crate) const fn may_change_allow_list(&self) -> bool {
        matches!(self, Self::Restarted | Self::Allow { .. } | Self::Disallow(_) | Self::SettingsChanged(_))
    }
}

/// What is to be done, in this order. Every [`Output::Persist`] of a call must be durable before anything else of it.
#[derive(Clone, Debug)]
pub enum Output {
    /// Write this down.
    Persist(Record),
    /// Have an enforcement point do something.
    Point {
        /// Which point.
        point: PointName,
        /// What.
        order: Order,
        /// For which protections.
        protections: Vec<Protection>,
    },
    /// Send this to the hub until it is acknowledged or refused.
    Send(Submission),
    /// Ask the hub for a charter.
    FetchCharter(WhichCharter),
    /// Ask the hub for the path between two sizes of the journal.
    FetchConsistency {
        /// Size of the older tree.
        from: u64,
        /// Size of the newer tree.
        to: u64,
    },
    /// Ask the hub once for the proof that this plan is in force. By its name: the id of an event of the stream is a
    /// place to resume from, not where the plan stands in the journal.
    FetchProof {
        /// The plan.
        plan: PlanId,
    },
    /// Send the hub a checkpoint that this member's witness cosigned; if that fails, the next one will do.
    Cosign(String),
    /// What the witness answers: signature lines, or why not.
    WitnessAnswer(Result<String, account::Reply>),
    /// Ask the hub which number it expects next from this member.
    FetchSequence,
    /// Close the stream and open it again after this position; without one, with everything in force.
    Reconnect {
        /// The position.
        after: Option<u64>,
    },
    /// A person should know.
    Alarm(Alarm),
    /// What a person asked for was done; in words.
    Done(String),
    /// What a person or a sensor asked for was refused.
    Refused(Refusal),
}

/// How an order went: done for all but these, or for none.
pub type Outcome = Result<Vec<(MitigationId, Trouble)>, Trouble>;

/// Which charter is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhichCharter {
    /// The one in force.
    InForce,
    /// The one with this version.
    Version(u64),
}

/// What an enforcement point is ordered to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Put in force, leave the rest.
    Apply,
    /// Take out of force.
    Withdraw,
    /// Have exactly this in force.
    Replace,
    /// Say what is in force.
    ReadBack,
    /// Take everything of ours out of force.
    LiftAll,
}

impl Order {
    /// The order as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Withdraw => "withdraw",
            Self::Replace => "replace",
            Self::ReadBack => "read-back",
            Self::LiftAll => "lift-all",
        }
    }
}

/// Why an enforcement point did not do something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// A rule of the point said no: trying again is of no use.
    Refused(Refusal),
    /// It may work later; in the point's words.
    Failed(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<act::PointError> for Trouble {
    fn from(error: act::PointError) -> Self {
        match error {
            act::PointError::Refused(refusal) => Self::Refused(refusal),
            other => Self::Failed(model::parse::printable(&other.to_string())),
        }
    }
}

/// Something a person of the member should know.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alarm {
    /// What kind of thing.
    pub kind: AlarmKind,
    /// What happened and what to do, in one or two sentences.
    pub text: String,
    /// How many of this kind were kept back since the last one that was shown.
    pub kept_back: u32,
}

macro_rules! alarm_kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)+) => {
        /// The kinds of alarms.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum AlarmKind { $($(#[$doc])* $variant,)+ }

        impl AlarmKind {
            /// The kind as one word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

alarm_kinds! {
    /// The hub asked for something that nobody signed, that is not ours, or that a rule forbids.
    PartRefused = "part-refused",
    /// A mitigation waits for a person's yes or no.
    PersonWanted = "person-wanted",
    /// The hub withdrew most of what was in force at once. It was obeyed.
    MassWithdrawal = "mass-withdrawal",
    /// The hub showed a second history. No new mitigations until a person has looked.
    HistoryForked = "history-forked",
    /// A checkpoint could not be believed, or no proof came yet.
    CheckpointDoubtful = "checkpoint-doubtful",
    /// Too few other members have cosigned a plan's checkpoint: it is not carried out.
    CosignaturesMissing = "cosignatures-missing",
    /// This member's witness does not cosign any more, or is not counted.
    WitnessSilent = "witness-silent",
    /// The hub shows a statement in this member's name that this agent did not make.
    StatementNotOurs = "statement-not-ours",
    /// A key of this member or of one of its persons was added, retired or revoked.
    KeyChanged = "key-changed",
    /// The hub showed changes of keys that do not follow from those before.
    KeysRefused = "keys-refused",
    /// The hub offered a charter that does not follow from ours.
    CharterRefused = "charter-refused",
    /// An enforcement point does not do what it is told.
    PointFailed = "point-failed",
    /// Somebody else took one of our rules away; it is put back.
    RuleMissing = "rule-missing",
    /// Something that has ended is still enforced.
    StillEnforced = "still-enforced",
    /// A protection has nowhere to go: its enforcement point is not configured any more.
    PointMissing = "point-missing",
    /// The outbox is too full for further sightings.
    OutboxFull = "outbox-full",
    /// The hub refused what we sent.
    SubmissionRefused = "submission-refused",
    /// What a pull brings or a push should bring out does not get through.
    FeedFailed = "feed-failed",
    /// Somebody else numbers submissions for this member, or the hub has lost some.
    SequenceTaken = "sequence-taken",
    /// The disk is full: nothing new is accepted.
    DiskFull = "disk-full",
    /// The clock went back.
    ClockWentBack = "clock-went-back",
    /// The kill switch was turned.
    KillSwitch = "kill-switch",
    /// The hub cannot be reached, or does not let us in.
    HubAway = "hub-away",
    /// The hub does not hear this member for a time.
    MemberSuspended = "member-suspended",
    /// The agent's certificate could not be renewed.
    CertificateEnding = "certificate-ending",
    /// What came over the stream cannot be read.
    StreamDamaged = "stream-damaged",
    /// A sensor cannot be read.
    SensorFailed = "sensor-failed",
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

//! The one interface of every enforcement point. Adding a point is adding a file that implements [`Point`].

use model::{FindingId, Measure, MitigationId, Observable, PointName, Refusal, Timestamp};
use std::fmt;

/// One mitigation as an enforcement point needs it. The finding's id goes into the object (TXT, comment), so that a
/// router's own output leads back to `epimachia why`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Protection {
    /// The mitigation; the key by which everything here is found again.
    pub mitigation: MitigationId,
    /// The finding behind it.
    pub finding: FindingId,
    /// What is to be done.
    pub measure: Measure,
    /// When it ends; the point enforces this itself where it can.
    pub expires: Timestamp,
}

/// What a point answered when it was asked whether a protection is enforced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The mitigation asked about.
    pub mitigation: MitigationId,
    /// What is the case.
    pub presence: Presence,
    /// What was read, in the point's own words (`NXDOMAIN from 127.0.0.1:53`), safe to print, at most 200 characters.
    pub evidence: String,
    /// What is enforced is there for another mitigation of the same target; of this one nothing is left.
    pub by_another: bool,
    /// Seconds after which the point ends it by itself; none: it does not say, or never does.
    pub seconds_left: Option<u64>,
}

impl Seen {
    /// What was read, where the point neither ends anything by itself nor shares anything.
    pub const fn new(mitigation: MitigationId, presence: Presence, evidence: String) -> Self {
        Self { mitigation, presence, evidence, by_another: false, seconds_left: None }
    }
}

/// Whether a protection is enforced, as read back; never as remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Read back as enforcing.
    Enforced,
    /// Read back as not enforcing.
    Absent,
    /// Nobody knows: the point could not be asked, or does not let itself be asked (`preview`).
    Unknown,
}

/// What a protection has done so far, as far as the point counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effect {
    /// Packets (or answers) affected; `None`: the point does not count.
    pub packets: Option<u64>,
    /// Bytes affected; `None`: the point does not count.
    pub bytes: Option<u64>,
}

/// One enforcement point: a resolver, a packet filter, a router, or a text to be read. Calls block and may take up to
/// their own time limit (5 s unless the point says otherwise); they may be made from any thread. All changes are
/// idempotent: applying twice or withdrawing what is not there is no error.
pub trait Point: Send + Sync {
    /// The point's name in the member's configuration.
    fn name(&self) -> &PointName;

    /// Can this point carry out `measure`?
    fn accepts(&self, measure: &Measure) -> bool;

    /// The literal text that the point would be given for `wanted`; changes nothing.
    fn preview(&self, wanted: &[Protection], now: Timestamp) -> String;

    /// Puts `wanted` in force, leaving everything else as it is. One call is one atomic change where the point can.
    ///
    /// # Errors
    /// Nothing of `wanted` may be taken to be in force; [`Point::read_back`] says what is.
    fn apply(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError>;

    /// Makes exactly `wanted` be in force, removing whatever else of ours is found; at the agent's start.
    ///
    /// # Errors
    /// As [`Point::apply`].
    fn replace(&self, wanted: &[Protection], now: Timestamp) -> Result<(), PointError>;

    /// Takes `ended` out of force.
    ///
    /// # Errors
    /// Something may still be in force: the caller repeats and raises an alarm.
    fn withdraw(&self, ended: &[Protection], now: Timestamp) -> Result<(), PointError>;

    /// Asks the enforcing system itself about each of `asked`, in the same order.
    ///
    /// # Errors
    /// The point cannot be asked at all.
    fn read_back(&self, asked: &[Protection]) -> Result<Vec<Seen>, PointError>;

    /// What each of `asked` has done so far, in the same order.
    ///
    /// # Errors
    /// The point cannot be asked at all.
    fn effect(&self, asked: &[Protection]) -> Result<Vec<Effect>, PointError>;

    /// Makes exactly `list` the member's own allow-list at the point, for points that can let something through by
    /// themselves, whatever else is listed. The others have nothing to do: the agent lifts what overlaps the list.
    ///
    /// # Errors
    /// The point still has the list before; the caller repeats.
    fn set_allowed(&self, list: &[Observable]) -> Result<(), PointError> {
        let _ = list;
        Ok(())
    }

    /// Lifts everything of ours at once: the kill switch.
    ///
    /// # Errors
    /// Something may still be in force.
    fn lift_all(&self) -> Result<(), PointError>;
}

/// Why a point did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PointError {
    /// A rule of the point said no; the request is wrong.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The enforcing system did not answer or failed; try again. The text says which, what it said, what to do.
    #[error("{0}")]
    Unavailable(String),
    /// The point cannot work at all as it is configured.
    #[error("{0}")]
    Broken(String),
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Enforced => "enforced",
            Self::Absent => "absent",
            Self::Unknown => "unknown",
        })
    }
}

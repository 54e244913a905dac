//! What the checkers are shown: everything that happens at the boundaries, as it happens.
//!
//! Facts are taken where the world can see them (the disk, the wire, the enforcement points, people's pens), never from
//! what the code under test believes of itself.

use act::Protection;
use charter::Charter;
use model::{
    Digest, FindingId, KeyChange, KeyId, MemberId, Mitigation, MitigationId, Observable, PersonId, PointName, Sighting,
    Target, Timestamp, Verdict,
};
use std::collections::{BTreeMap, BTreeSet};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Fact<'a> {
    /// A quorum of members signed a charter.
    Charter {
        /// Its text's digest.
        digest: Digest,
        /// What it says.
        charter: &'a Charter,
    },
    /// Somebody used the key of a member to sign a sighting.
    Sealed {
        /// In whose name.
        member: &'a MemberId,
        /// With which key.
        key: KeyId,
        /// What was signed.
        sighting: &'a Sighting,
    },
    /// A person signed a verdict on a plan that they looked at.
    Approval {
        /// Who.
        person: &'a PersonId,
        /// With which key.
        key: KeyId,
        /// Yes or no.
        verdict: Verdict,
        /// The mitigations of the plan.
        covers: &'a BTreeSet<MitigationId>,
        /// Until when it counts.
        until: Timestamp,
    },
    /// Somebody changed a key of theirs, and signed that.
    KeySigned {
        /// The change.
        change: Digest,
    },
    /// An honest agent wrote down a change of a key.
    KeyTaken {
        /// Whose agent.
        member: &'a MemberId,
        /// The change.
        change: &'a KeyChange,
    },
    /// A sensor gave an agent something that must never leave the house; `marker` stands in it.
    Secret {
        /// A text found nowhere else.
        marker: &'a str,
    },
    /// Something is shared with some members only; `marker` stands in it.
    Confidential {
        /// A text found nowhere else.
        marker: &'a str,
        /// Who may see it.
        members: &'a BTreeSet<MemberId>,
    },
    /// Something left a house.
    Wire {
        /// Who sends; none: the hub.
        from: Option<&'a MemberId>,
        /// Who receives; none: the hub.
        to: Option<&'a MemberId>,
        /// What, as text.
        text: &'a str,
    },
    /// A hostile hub begins to show some members another history.
    Fork {
        /// From this entry on.
        at: u64,
    },
    /// An honest agent wrote down that it follows a checkpoint.
    Followed {
        /// Whose agent.
        member: &'a MemberId,
        /// Entries under it.
        size: u64,
        /// Is it of the journal's own history?
        own: bool,
    },
    /// An append to the journal returned: these entries are durable.
    Durable {
        /// The position of the first.
        from: u64,
        /// The entries.
        entries: &'a [Vec<u8>],
    },
    /// The hub started and read this journal.
    ReadBack {
        /// All entries.
        entries: &'a [Vec<u8>],
    },
    /// An honest agent was told that the hub has its submission.
    Acknowledged {
        /// Whose.
        member: &'a MemberId,
        /// Its number.
        sequence: u64,
        /// The digest of what was signed.
        content: Digest,
    },
    /// An honest agent wrote down that it follows a charter.
    Adopted {
        /// Whose agent.
        member: &'a MemberId,
        /// The charter's digest.
        digest: Digest,
    },
    /// An honest agent wrote down that it holds a mitigation which it did not hold before.
    Held {
        /// Whose agent.
        member: &'a MemberId,
        /// Which.
        mitigation: &'a Mitigation,
    },
    /// An enforcement point of an honest member puts something in force.
    Enforced {
        /// Whose.
        member: &'a MemberId,
        /// Which point.
        point: &'a PointName,
        /// What.
        protection: &'a Protection,
    },
    /// An enforcement point of an honest member does not enforce this any more.
    Lifted {
        /// Whose.
        member: &'a MemberId,
        /// Which point.
        point: &'a PointName,
        /// What.
        target: &'a Target,
    },
    /// An agent, or one of its points, begins to work.
    Able {
        /// Whose.
        member: &'a MemberId,
        /// The point; none: the agent itself.
        point: Option<&'a PointName>,
    },
    /// An agent, or one of its points, stops working.
    Unable {
        /// Whose.
        member: &'a MemberId,
        /// The point; none: the agent itself.
        point: Option<&'a PointName>,
    },
    /// A person of an honest member says what is never to be touched there.
    Allowed {
        /// Whose.
        member: &'a MemberId,
        /// What.
        observable: &'a Observable,
    },
    /// A person of an honest member takes that back.
    Disallowed {
        /// Whose.
        member: &'a MemberId,
        /// What.
        observable: &'a Observable,
    },
    /// A person of an honest member refused or lifted what concerns a finding.
    OwnerRefused {
        /// Whose.
        member: &'a MemberId,
        /// Which finding.
        finding: FindingId,
    },
    /// The kill switch of an honest member was turned on, or off.
    Switched {
        /// Whose.
        member: &'a MemberId,
        /// On?
        on: bool,
    },
    /// Time has passed.
    Time,
    /// All faults are over, everybody is connected, and everything had time to settle.
    Settled {
        /// What each honest member has.
        members: &'a BTreeMap<MemberId, House>,
    },
    /// The hub is gone, and everything that was ever in force must have ended.
    Over {
        /// What each honest member has.
        members: &'a BTreeMap<MemberId, House>,
    },
}

/// What one member has.
#[derive(Clone, Debug, Default)]
pub struct House {
    /// What its agent wants in force.
    pub wanted: BTreeSet<MitigationId>,
    /// What its agent knows and a person has not said yes to.
    pub waiting: BTreeSet<MitigationId>,
    /// What its points enforce.
    pub enforced: BTreeSet<Target>,
    /// Does the agent believe that the hub showed it two histories?
    pub forked: Option<String>,
    /// Sightings and receipts that the hub does not have.
    pub unsent: usize,
}

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which promise.
    pub promise: &'static str,
    /// At which step of the run.
    pub step: u64,
    /// When, in the run's own time.
    pub at: Timestamp,
    /// What was seen.
    pub seen: String,
}

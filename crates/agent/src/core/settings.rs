//! What the core is told by its configuration.

use account::VerifierKey;
use decide::StandingOrders;
use model::{Digest, Measure, MemberId, Observable, PointName, SigningKey, Span};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The configuration of a core.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose agent it is.
    pub member: MemberId,
    /// Digest of the charter that was pinned when the member joined.
    pub pin: Digest,
    /// The member's standing orders.
    pub orders: StandingOrders,
    /// What is never to be touched on this member's network.
    pub allow: BTreeSet<Observable>,
    /// The enforcement points.
    pub points: Vec<PointSetup>,
    /// How often everything in force is read back.
    pub patrol: Span,
    /// How long an enforcement point may take until what it was given can be read back.
    pub settle: Span,
    /// How long a person's decision on a finding holds for its renewals.
    pub decision_holds: Span,
    /// How long the hub may take to prove that a checkpoint follows from the last one.
    pub history_grace: Span,
    /// The key with which this member's witness cosigns; none: it does not.
    pub witness: Option<Arc<SigningKey>>,
    /// Other logs that this member's witness cosigns when it is asked.
    pub logs: Vec<VerifierKey>,
    /// Most sightings that wait for the hub.
    pub outbox_sightings_max: usize,
    /// What points to this member and never leaves.
    pub strip: crate::strip::Strip,
}

/// An enforcement point, as far as the core must know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PointSetup {
    /// Its name.
    pub name: PointName,
    /// It shows what should be done and does nothing; used only where no other point can carry a measure out.
    pub shows_only: bool,
    /// It can be asked what it enforces.
    pub reads_back: bool,
}

/// Knows which enforcement point can carry out what.
pub trait Router: Send + Sync {
    /// Can this point carry out `measure`?
    fn accepts(&self, point: &PointName, measure: &Measure) -> bool;
}

impl Settings {
    /// The points that are to carry out a measure: all that can; those that only show it where none can.
    pub(super) fn points_for(&self, router: &dyn Router, measure: &Measure) -> BTreeSet<PointName> {
        let able = |shows_only: bool| -> BTreeSet<PointName> {
            let points = self.points.iter().filter(|point| point.shows_only == shows_only);
            points.map(|point| &point.name).filter(|name| router.accepts(name, measure)).cloned().collect()
        };
        let connected = able(false);
        if connected.is_empty() { able(true) } else { connected }
    }
}

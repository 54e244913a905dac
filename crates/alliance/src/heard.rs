//! What the journal holds of the reports behind a sum, whom they are for, and what they say together.

use corroborate::{MemberIndex, Reason, Reporter};
use model::{Actions, Behaviour, Evidence, Handling, Sighting, Timestamp};
use std::collections::BTreeSet;

/// A reporter's sighting as it stands in the journal.
#[derive(Debug)]
pub(crate) struct Heard<'t> {
    pub reporter: &'t Reporter,
    pub sighting: Sighting,
    /// Signed with a key that was revoked since: the table counts it, the finding does not.
    pub revoked: bool,
    /// What agents may be shown of it.
    pub evidence: Option<Evidence>,
}

impl Heard<'_> {
    pub fn counts(&self) -> bool {
        self.reporter.points > 0.0 && !self.revoked
    }
}

/// The audience that what counts has in common; where nothing counts, that of all of it. None: there is none.
pub(crate) fn audience(heard: &[Heard<'_>]) -> Option<Handling> {
    let any_counts = heard.iter().any(Heard::counts);
    let deciding = heard.iter().filter(|heard| heard.counts() || !any_counts);
    let mut handlings = deciding.map(|heard| &heard.sighting.handling);
    let first = handlings.next()?.clone();
    handlings.try_fold(first, |all, handling| all.strictest(handling))
}

/// What the reports of one observable say together to one audience.
#[derive(Debug)]
pub(crate) struct Support {
    pub behaviours: BTreeSet<Behaviour>,
    audience: Handling,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub evidence: Vec<Evidence>,
    /// Whose reports were signed with keys that were revoked since.
    pub revoked: BTreeSet<MemberIndex>,
    /// Whose reports are for fewer than this audience: it is not told of them, and they do not count for it.
    pub outside: BTreeSet<MemberIndex>,
    /// Whose reports machines may not act upon: their senders do not permit it, or wish to stay unnamed.
    pub quiet: BTreeSet<MemberIndex>,
    /// Whose reports may be shown.
    inside: BTreeSet<MemberIndex>,
    /// The fewest actions of what counts.
    fewest: Option<Actions>,
    /// The fewest of those that machines may act upon.
    permitted: Option<Actions>,
}

impl Support {
    /// What of `heard` this audience may know.
    pub fn of(heard: &[Heard<'_>], audience: &Handling) -> Self {
        let mut support = Self {
            behaviours: BTreeSet::new(),
            audience: audience.clone(),
            first: None,
            last: None,
            evidence: Vec::new(),
            revoked: BTreeSet::new(),
            outside: BTreeSet::new(),
            quiet: BTreeSet::new(),
            inside: BTreeSet::new(),
            fewest: None,
            permitted: None,
        };
        heard.iter().for_each(|heard| support.take(heard));
        support
    }

    /// The finding's handling: it is nobody's own. What machines act upon rests on what is permitted alone.
    pub fn handling(&self, actionable: bool) -> Handling {
        let fewest = self.fewest.unwrap_or(self.audience.actions);
        let actions = self.permitted.filter(|_| actionable).unwrap_or(fewest);
        Handling { unnamed: false, actions, ..self.audience.clone() }
    }

    /// Whose reports count for nothing here.
    pub fn without(&self) -> BTreeSet<MemberIndex> {
        self.revoked.union(&self.outside).copied().collect()
    }

    /// May the audience know of this reporter? What was taken back, or cannot be read, is for nobody but those who
    /// knew it before, unless it counts.
    pub fn shows(&self, reporter: &Reporter, known: bool) -> bool {
        let unread = !self.inside.contains(&reporter.member) && !self.outside.contains(&reporter.member);
        self.inside.contains(&reporter.member) || unread && (known || reporter.points > 0.0)
    }

    fn take(&mut self, heard: &Heard<'_>) {
        let (member, sighting) = (heard.reporter.member, &heard.sighting);
        if !sighting.handling.reaches(&self.audience) {
            self.outside.insert(member);
            return;
        }
        self.inside.insert(member);
        if heard.reporter.inform_limited != Some(Reason::Forgotten) {
            self.behaviours.insert(sighting.behaviour);
            self.first = Some(self.first.map_or(sighting.first, |t| t.min(sighting.first)));
            self.last = Some(self.last.map_or(sighting.last, |t| t.max(sighting.last)));
        }
        let (actions, lets_act) = (sighting.handling.actions, sighting.handling.lets_act());
        if heard.counts() {
            self.fewest = Some(self.fewest.map_or(actions, |known| known.min(actions)));
            let permitted = self.permitted.map_or(actions, |known| known.min(actions));
            self.permitted = if lets_act { Some(permitted) } else { self.permitted };
        }
        if heard.revoked {
            self.revoked.insert(member);
        } else if !lets_act {
            self.quiet.insert(member);
        } else {
            self.evidence.extend(heard.evidence.clone());
        }
    }
}

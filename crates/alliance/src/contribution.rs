//! What each member's reports were worth to the others: points, counted from the journal's entries alone.
//!
//! A finding brings points once, when it is corroborated, and only to those who reported it before: what is reported
//! after the alliance said it is an echo. Points are shown and decide nothing: protection never depends on them.

use crate::entry::{Entry, Event};
use model::{Finding, FindingId, FindingState, Grade, MemberId, Refusal, Sighting, Span, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A report counts for a finding that is corroborated within this time after it.
pub const CONSIDERED: Span = Span::days(30);
/// Who reports within this time after the first one is timely, too.
pub const TIMELY_WITHIN: Span = Span::hours(1);
/// Who stood alone for so long before it was corroborated saw what nobody else saw.
pub const EXCLUSIVE_AFTER: Span = Span::hours(24);

/// One member's points, by what they are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Points {
    /// Findings to which the member contributed, and which still stand.
    pub findings: u64,
    /// One for each finding whose sum has points by this member.
    pub corroborating: u64,
    /// Two for the first report of a finding, one for a report within the hour after it.
    pub timely: u64,
    /// One where the member's evidence shows content, or a person examined it.
    pub contextual: u64,
    /// Two where the member stood alone with it for a day.
    pub exclusive: u64,
    /// Findings whose points were lost: a dispute was upheld, or the member took its report back.
    pub lost: u64,
}

impl Points {
    /// All of them.
    pub const fn total(&self) -> u64 {
        self.corroborating + self.timely + self.contextual + self.exclusive
    }

    fn add(&mut self, share: &Share) {
        self.findings += 1;
        self.corroborating += 1;
        self.timely += u64::from(share.timely);
        self.contextual += u64::from(share.contextual);
        self.exclusive += u64::from(share.exclusive);
    }

    fn lose(&mut self, share: &Share) {
        self.findings -= 1;
        self.corroborating -= 1;
        self.timely -= u64::from(share.timely);
        self.contextual -= u64::from(share.contextual);
        self.exclusive -= u64::from(share.exclusive);
        self.lost += 1;
    }
}

/// What a member has of one finding.
#[derive(Clone, Copy, Debug)]
struct Share {
    timely: u8,
    contextual: u8,
    exclusive: u8,
}

/// Who reported something that is not corroborated yet, and when the journal first had it from each.
#[derive(Clone, Debug)]
struct Open {
    last: Timestamp,
    reports: BTreeMap<MemberId, Timestamp>,
}

/// The count so far. Entries are given in the order of the journal; whoever sees the same ones counts the same.
#[derive(Clone, Debug, Default)]
pub struct Contributions {
    open: BTreeMap<FindingId, Open>,
    counted: BTreeMap<FindingId, BTreeMap<MemberId, Share>>,
    points: BTreeMap<MemberId, Points>,
    swept: Option<Timestamp>,
}

impl Contributions {
    /// Counts one entry.
    ///
    /// # Errors
    /// A sighting in it cannot be read.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Refusal> {
        match &entry.event {
            Event::SightingsReported(report) => {
                let member = report.member();
                report.sightings()?.iter().for_each(|sighting| self.reported(member, sighting, entry.time));
            }
            Event::FindingsChanged { findings } => {
                findings.iter().for_each(|finding| self.changed(finding, entry.time))
            }
            Event::DisputeUpheld { finding, .. } => self.revoked(*finding),
            Event::Retracted(signed) => {
                let retraction = &signed.retraction;
                let finding = model::finding_id(&retraction.observable, retraction.family());
                self.retracted(finding, &retraction.author);
            }
            Event::TakenBack(taken) => {
                let findings = taken.reports.iter().map(|(what, family)| model::finding_id(what, *family));
                findings.for_each(|finding| self.retracted(finding, &taken.member));
            }
            _ => {}
        }
        self.sweep(entry.time);
        Ok(())
    }

    /// Every member's points, of those who have or had any.
    pub fn points(&self) -> &BTreeMap<MemberId, Points> {
        &self.points
    }

    fn reported(&mut self, member: &MemberId, sighting: &Sighting, time: Timestamp) {
        let finding = sighting.finding();
        if self.counted.contains_key(&finding) {
            return;
        }
        let open = self.open.entry(finding).or_insert_with(|| Open { last: time, reports: BTreeMap::new() });
        open.last = open.last.max(time);
        if !open.reports.contains_key(member) {
            open.reports.insert(member.clone(), time);
        }
    }

    fn changed(&mut self, finding: &Finding, time: Timestamp) {
        if finding.state != FindingState::Corroborated || self.counted.contains_key(&finding.id) {
            return;
        }
        let Some(open) = self.open.get(&finding.id) else { return };
        let shares = shares(finding, open, time);
        // What one member publishes alone, nobody has borne out yet.
        if shares.len() < 2 {
            return;
        }
        self.open.remove(&finding.id);
        for (member, share) in &shares {
            self.points.entry(member.clone()).or_default().add(share);
        }
        self.counted.insert(finding.id, shares);
    }

    /// The finding was wrong: nobody has points of it, and nobody gets any.
    fn revoked(&mut self, finding: FindingId) {
        self.open.remove(&finding);
        for (member, share) in std::mem::take(self.counted.entry(finding).or_default()) {
            self.points.entry(member).or_default().lose(&share);
        }
    }

    fn retracted(&mut self, finding: FindingId, member: &MemberId) {
        if let Some(open) = self.open.get_mut(&finding) {
            open.reports.remove(member);
        }
        if let Some(share) = self.counted.get_mut(&finding).and_then(|shares| shares.remove(member)) {
            self.points.entry(member.clone()).or_default().lose(&share);
        }
    }

    /// Once a day, what nobody corroborated for long is forgotten.
    fn sweep(&mut self, time: Timestamp) {
        if self.swept.is_some_and(|swept| time < swept.plus(Span::days(1))) {
            return;
        }
        self.swept = Some(time);
        self.open.retain(|_, open| open.last.plus(CONSIDERED) >= time);
    }
}

/// Who has what of a finding that was corroborated now.
fn shares(finding: &Finding, open: &Open, now: Timestamp) -> BTreeMap<MemberId, Share> {
    let lines = finding.sum.lines.iter().filter(|line| line.points > 0.0);
    let mut early: Vec<(Timestamp, &MemberId, Grade)> = lines
        .filter_map(|line| Some((*open.reports.get(&line.member)?, &line.member, line.grade)))
        .filter(|(at, ..)| at.plus(CONSIDERED) >= now)
        .collect();
    early.sort();
    let Some(&(first, ..)) = early.first() else { return BTreeMap::new() };
    // Alone until the next one came, or until now if no other report stands in the sum.
    let second = early.get(1).map_or(now, |(at, ..)| *at);
    let share = |nth: usize, at: Timestamp, grade: Grade| Share {
        timely: match nth {
            0 => 2,
            _ => u8::from(at.since(first) <= TIMELY_WITHIN),
        },
        contextual: u8::from(grade >= Grade::Payload),
        exclusive: if nth == 0 && second.since(first) >= EXCLUSIVE_AFTER { 2 } else { 0 },
    };
    let each = early.iter().enumerate();
    each.map(|(nth, (at, member, grade))| ((*member).clone(), share(nth, *at, *grade))).collect()
}

//! Counting: the reports of one observable, weighed, discounted and capped; no allocation.

use crate::engine::Engine;
use crate::table::record::{Flags, NOBODY, Record, Report};
use model::Standing;

/// Reports that are counted at most, the strongest; with so many any threshold is long passed.
pub(crate) const COUNTED_MAX: usize = 64;

/// The two questions that evidence answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    /// May the alliance tell people? All evidence counts.
    Inform,
    /// May it be acted upon automatically? Only what was signed and cannot be spoofed counts.
    Act,
}

/// One counted report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ballot {
    pub member: u16,
    /// The member from whom this one seems to copy; [`NOBODY`] if none.
    pub on: u16,
    pub weak: bool,
    pub spoofable: bool,
    pub solo: bool,
    order: f32,
    pub dependence: f32,
    pub points: f64,
}

/// All of them, added up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally<const N: usize> {
    ballots: [Ballot; N],
    len: usize,
    pub strong: f64,
    /// Before the limit on weak evidence.
    pub weak: f64,
    pub total: f64,
    /// What others than the strongest contribute, spoofable evidence left out.
    pub others: f64,
    /// The strongest reporter may publish alone.
    pub solo: bool,
}

impl Engine {
    /// Whether the evidence passes the rules' threshold for `question`.
    pub(crate) fn is_enough(&self, record: &Record, now: u32, question: Question) -> bool {
        let threshold = self.rules.threshold;
        if record.reports <= 4 {
            return self.passes(&self.tally::<4>(record, now, question), threshold);
        }
        self.passes(&self.tally::<COUNTED_MAX>(record, now, question), threshold)
    }

    /// T for `question`.
    pub(crate) fn score_of(&self, record: &Record, now: u32, question: Question) -> f64 {
        if record.reports <= 4 {
            return self.tally::<4>(record, now, question).total;
        }
        self.tally::<COUNTED_MAX>(record, now, question).total
    }

    /// Whether a tally passes `threshold`, and not on one member's word alone unless it may.
    pub(crate) fn passes<const N: usize>(&self, tally: &Tally<N>, threshold: f64) -> bool {
        tally.total >= threshold && !self.lacks_second_opinion(tally)
    }

    /// Whether it rests on one member who has no record for that.
    pub(crate) fn lacks_second_opinion<const N: usize>(&self, tally: &Tally<N>) -> bool {
        self.rules.closings.solo_record && !tally.solo && tally.others < self.rules.second_opinion
    }

    /// Counts the reports of `record` as they stand at `now`.
    pub(crate) fn tally<const N: usize>(&self, record: &Record, now: u32, question: Question) -> Tally<N> {
        let mut tally = Tally::new();
        for report in self.reports(record) {
            if self.why_uncounted(report, now, question).is_none() {
                tally.insert(self.ballot(report, now));
            }
        }
        self.discount(&mut tally);
        self.sum(&mut tally);
        tally
    }

    /// Why a report has no part in answering `question`.
    pub(crate) fn why_uncounted(&self, report: &Report, now: u32, question: Question) -> Option<Uncounted> {
        let closings = self.rules.closings;
        if report.flags.has(Flags::RETRACTED) {
            return Some(Uncounted::Retracted);
        }
        if self.members[usize::from(report.member)].standing == Standing::Suspended {
            return Some(Uncounted::Suspended);
        }
        if report.age(now) > self.rates.forget {
            return Some(Uncounted::Forgotten);
        }
        if question == Question::Act && closings.spoofable && report.is_spoofable() {
            return Some(Uncounted::Spoofable);
        }
        if question == Question::Act && closings.unsigned && !report.flags.has(Flags::SIGNED) {
            return Some(Uncounted::Unsigned);
        }
        None
    }

    fn ballot(&self, report: &Report, now: u32) -> Ballot {
        let member = &self.members[usize::from(report.member)];
        let weight = member.weight(now, &self.rules);
        let decay = (-f64::from(report.age(now)) * self.rates.report).exp2();
        let (closings, spoofable) = (self.rules.closings, report.is_spoofable());
        Ballot {
            member: report.member,
            on: NOBODY,
            weak: (closings.probation && !member.is_vetted()) || (closings.spoofable && spoofable),
            spoofable: closings.spoofable && spoofable,
            solo: weight.solo,
            order: (member.unfaulted(&weight, &self.rules) * decay) as f32,
            dependence: 0.0,
            points: weight.w * decay,
        }
    }

    fn discount<const N: usize>(&self, tally: &mut Tally<N>) {
        for later in 1..tally.len {
            for earlier in 0..later {
                let (i, j) = (tally.ballots[earlier].member, tally.ballots[later].member);
                let dependence = self.pairs.dependence(i, j, &self.rules) as f32;
                let ballot = &mut tally.ballots[later];
                if dependence > ballot.dependence {
                    ballot.dependence = dependence;
                    ballot.on = i;
                }
            }
            let ballot = &mut tally.ballots[later];
            ballot.points *= 1.0 - f64::from(ballot.dependence);
        }
    }

    fn sum<const N: usize>(&self, tally: &mut Tally<N>) {
        let (mut most, mut firm, mut strongest) = (-1.0, 0.0, None);
        for ballot in tally.ballots() {
            firm += if ballot.spoofable { 0.0 } else { ballot.points };
            if ballot.points > most {
                (most, strongest) = (ballot.points, Some(*ballot));
            }
        }
        let sum_of = |weak: bool| tally.ballots().iter().filter(|b| b.weak == weak).fold(0.0, |sum, b| sum + b.points);
        (tally.strong, tally.weak) = (sum_of(false), sum_of(true));
        tally.total = tally.strong + tally.weak.min(self.rules.weak_max);
        tally.solo = strongest.is_some_and(|ballot| ballot.solo && !ballot.weak);
        tally.others = firm - strongest.map_or(0.0, |ballot| if ballot.spoofable { 0.0 } else { ballot.points });
    }
}

/// Why a report is not counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Uncounted {
    Retracted,
    Suspended,
    Forgotten,
    Spoofable,
    Unsigned,
}

impl<const N: usize> Tally<N> {
    fn new() -> Self {
        let nobody = Ballot {
            member: NOBODY,
            on: NOBODY,
            weak: false,
            spoofable: false,
            solo: false,
            order: 0.0,
            dependence: 0.0,
            points: 0.0,
        };
        Self { ballots: [nobody; N], len: 0, strong: 0.0, weak: 0.0, total: 0.0, others: 0.0, solo: false }
    }

    /// The counted ballots, strongest record first.
    pub fn ballots(&self) -> &[Ballot] {
        &self.ballots[..self.len]
    }

    /// Keeps the order: by record decayed by age, then the later member first. The weakest falls out of a full tally.
    fn insert(&mut self, ballot: Ballot) {
        let before = |other: &Ballot| (other.order, other.member) > (ballot.order, ballot.member);
        let at = self.ballots[..self.len].partition_point(before);
        if at == N {
            return;
        }
        let end = if self.len == N { N - 1 } else { self.len };
        self.ballots.copy_within(at..end, at + 1);
        self.ballots[at] = ballot;
        self.len = end + 1;
    }
}

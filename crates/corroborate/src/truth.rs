//! TRUTH: may the alliance publish this? May it be acted upon automatically? Answers that a person can add up.

use crate::clock::{seconds, timestamp};
use crate::engine::{Engine, MemberIndex};
use crate::guard::Guard;
use crate::key::ObservableKey;
use crate::report::Mark;
use crate::table::record::{Flags, NOBODY, Record, Report};
use crate::tally::{Ballot, COUNTED_MAX, Question, Tally, Uncounted};
use model::{Grade, Standing, Timestamp};
use serde::Serialize;
use std::fmt;

/// The answer to one of the two questions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The evidence is enough and nothing stands against it.
    Corroborated,
    /// The points do not reach the threshold.
    NotYet,
    /// The points do, but they are one member's, who has no record for publishing alone.
    NeedsSecondOpinion,
    /// The points reach the threshold, but the observable is shared by the innocent: more points, or a person.
    NeedsPerson,
    /// A guard forbids it, whatever the evidence.
    Guarded,
    /// It was revoked or barred.
    Barred,
}

/// The two answers, without their reasons.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Verdicts {
    /// May people be informed?
    pub inform: Verdict,
    /// May it be acted upon automatically?
    pub act: Verdict,
}

/// Why a report has no part, or only a limited one, in a sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The member took it back.
    Retracted,
    /// The member is suspended.
    Suspended,
    /// Older than the forgetting time.
    Forgotten,
    /// The evidence can be forged by anybody.
    Spoofable,
    /// No member signed it; the hub says so.
    Unsigned,
    /// The member is on probation: counted within the limit for weak evidence.
    Probation,
    /// More than 64 stronger reports are counted.
    Crowded,
}

/// One reporter's line in the sum. `points = weight · decay · (1 - dependence)`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Reporter {
    /// The member's number.
    #[serde(skip)]
    pub member: MemberIndex,
    /// Its standing.
    pub standing: Standing,
    /// When it last saw the observable.
    pub last: Timestamp,
    /// The caller's mark of the statement behind that evidence.
    #[serde(skip)]
    pub mark: Mark,
    /// The grade of its evidence.
    pub grade: Grade,
    /// Whether the member signed it.
    pub signed: bool,
    /// The head start a.
    pub prior: f64,
    /// Confirmations K.
    pub k: f64,
    /// Faults F.
    pub f: f64,
    /// p = (a + K) / (a + 1 + K + F).
    pub p: f64,
    /// ln(p / (1 - p)), clamped.
    pub weight: f64,
    /// Several upheld disputes hang over the member: its weight is limited.
    pub suspect: bool,
    /// Whether it may publish alone.
    pub solo: bool,
    /// How old the evidence is, days.
    pub age_days: f64,
    /// 2^-(age / half-life).
    pub decay: f64,
    /// How much it seems to copy, 0 to 1.
    pub dependence: f64,
    /// Whom.
    #[serde(skip)]
    pub copies: Option<MemberIndex>,
    /// What it adds to informing, before the limit on weak evidence.
    pub points: f64,
    /// What it adds to acting.
    pub points_to_act: f64,
    /// Why it counts for less than it could when informing.
    pub inform_limited: Option<Reason>,
    /// Why it counts for less than it could when acting.
    pub act_limited: Option<Reason>,
}

/// One question's sum: `total = strong + min(weak, weak_max)`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Sum {
    /// Points of vetted members with evidence that cannot be spoofed.
    pub strong: f64,
    /// Points of everything else, together.
    pub weak: f64,
    /// The limit on the latter.
    pub weak_max: f64,
    /// T.
    pub total: f64,
    /// What T has to reach here: the guard decides which threshold.
    pub threshold: f64,
    /// What others than the strongest reporter add, spoofable evidence left out.
    pub others: f64,
    /// What they have to add unless the strongest may publish alone.
    pub second_opinion: f64,
    /// The answer.
    pub verdict: Verdict,
}

/// Everything behind both answers for one observable at one time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TruthSum {
    /// When the question was asked.
    pub at: Timestamp,
    /// What the guards said; they come first.
    pub guard: Guard,
    /// Since when it is corroborated or barred.
    pub since: Option<Timestamp>,
    /// The reporters: counted ones first, in the order of counting.
    pub reporters: Vec<Reporter>,
    /// May people be informed?
    pub inform: Sum,
    /// May it be acted upon automatically?
    pub act: Sum,
}

impl Engine {
    /// Both answers with everything behind them.
    pub fn truth(&self, key: ObservableKey, at: Timestamp, guard: &Guard) -> TruthSum {
        let now = seconds(at);
        let unknown = Record::new(key.0, 0, now);
        let record = self.record(key, now).unwrap_or(&unknown);
        let inform = self.tally::<COUNTED_MAX>(record, now, Question::Inform);
        let act = self.tally::<COUNTED_MAX>(record, now, Question::Act);
        TruthSum {
            at,
            guard: guard.clone(),
            since: (record.since != 0).then(|| timestamp(record.since)),
            reporters: self.lines(record, now, &inform, &act),
            inform: self.sum_of(record, now, &inform, guard),
            act: self.sum_of(record, now, &act, guard),
        }
    }

    /// Both answers alone; no allocation.
    pub fn verdicts(&self, key: ObservableKey, at: Timestamp, guard: &Guard) -> Verdicts {
        let now = seconds(at);
        let Some(record) = self.record(key, now) else {
            return Verdicts { inform: Verdict::NotYet, act: Verdict::NotYet };
        };
        let answer = |question| {
            if record.reports <= 4 {
                return self.verdict(record, now, &self.tally::<4>(record, now, question), guard);
            }
            self.verdict(record, now, &self.tally::<COUNTED_MAX>(record, now, question), guard)
        };
        Verdicts { inform: answer(Question::Inform), act: answer(Question::Act) }
    }

    /// Whether people may be informed, no guard applying; no allocation.
    pub fn is_corroborated(&self, key: ObservableKey, at: Timestamp) -> bool {
        self.stands(key, at, Question::Inform)
    }

    /// Whether it may be acted upon automatically, no guard applying; no allocation.
    pub fn is_actionable(&self, key: ObservableKey, at: Timestamp) -> bool {
        self.stands(key, at, Question::Act)
    }

    /// Is anything held of it? What nobody saw for the forgetting time is not, unless a bar holds it.
    pub fn remembers(&self, key: ObservableKey, at: Timestamp) -> bool {
        self.record(key, seconds(at)).is_some()
    }

    /// T for informing; 0 for what nobody reported.
    pub fn truth_score(&self, key: ObservableKey, at: Timestamp) -> f64 {
        let now = seconds(at);
        self.record(key, now).map_or(0.0, |record| self.score_of(record, now, Question::Inform))
    }

    /// What a member's word weighs at `at`, points.
    ///
    /// # Errors
    /// [`crate::Error::Refused`] for a member that was never added.
    pub fn member_weight(&self, member: MemberIndex, at: Timestamp) -> Result<f64, crate::Error> {
        self.known(member)?;
        Ok(self.members[usize::from(member.0)].weight(seconds(at), &self.rules).w)
    }

    /// dep(a, b) with the counts behind it: (dependence, exclusive pairs, exclusive pairs of the less active of both).
    pub fn dependence(&self, a: MemberIndex, b: MemberIndex) -> (f64, u32, u32) {
        let (together, least) = self.pairs.counts(a.0, b.0);
        (self.pairs.dependence(a.0, b.0, &self.rules), together, least)
    }

    fn stands(&self, key: ObservableKey, at: Timestamp, question: Question) -> bool {
        let now = seconds(at);
        self.record(key, now)
            .is_some_and(|record| !self.stands_barred(record, now) && self.is_enough(record, now, question))
    }

    fn threshold(&self, guard: &Guard) -> f64 {
        match guard {
            Guard::Cautious { .. } => self.rules.threshold_cautious,
            Guard::None | Guard::Absolute { .. } => self.rules.threshold,
        }
    }

    fn verdict<const N: usize>(&self, record: &Record, now: u32, tally: &Tally<N>, guard: &Guard) -> Verdict {
        if let Guard::Absolute { .. } = guard {
            return Verdict::Guarded;
        }
        if self.stands_barred(record, now) {
            return Verdict::Barred;
        }
        if tally.total < self.rules.threshold {
            return Verdict::NotYet;
        }
        if self.lacks_second_opinion(tally) {
            return Verdict::NeedsSecondOpinion;
        }
        if tally.total < self.threshold(guard) { Verdict::NeedsPerson } else { Verdict::Corroborated }
    }

    fn sum_of(&self, record: &Record, now: u32, tally: &Tally<COUNTED_MAX>, guard: &Guard) -> Sum {
        Sum {
            strong: tally.strong,
            weak: tally.weak,
            weak_max: self.rules.weak_max,
            total: tally.total,
            threshold: self.threshold(guard),
            others: tally.others,
            second_opinion: if tally.solo { 0.0 } else { self.rules.second_opinion },
            verdict: self.verdict(record, now, tally, guard),
        }
    }

    fn lines(&self, record: &Record, now: u32, inform: &Tally<COUNTED_MAX>, act: &Tally<COUNTED_MAX>) -> Vec<Reporter> {
        let place = |member: u16| inform.ballots().iter().position(|ballot| ballot.member == member);
        let mut reports: Vec<&Report> = self.reports(record).collect();
        reports.sort_by_key(|report| (place(report.member).unwrap_or(usize::MAX), report.member));
        reports.into_iter().map(|report| self.line(report, now, inform, act)).collect()
    }

    fn line(&self, report: &Report, now: u32, inform: &Tally<COUNTED_MAX>, act: &Tally<COUNTED_MAX>) -> Reporter {
        let member = &self.members[usize::from(report.member)];
        let weight = member.weight(now, &self.rules);
        let of = |tally: &Tally<COUNTED_MAX>| tally.ballots().iter().find(|b| b.member == report.member).copied();
        let (informing, acting) = (of(inform), of(act));
        let counted = informing.or(acting);
        let age_days = f64::from(report.age(now)) / f64::from(crate::clock::DAY);
        Reporter {
            member: MemberIndex(report.member),
            standing: member.standing,
            last: timestamp(report.last),
            mark: Mark::from_parts(report.mark),
            grade: grade(report),
            signed: report.flags.has(Flags::SIGNED),
            prior: weight.prior,
            k: weight.k,
            f: weight.f,
            p: weight.p,
            weight: weight.w,
            suspect: weight.suspect,
            solo: weight.solo,
            age_days,
            decay: (-age_days / self.rules.half_life_report).exp2(),
            dependence: counted.map_or(0.0, |ballot| f64::from(ballot.dependence)),
            copies: counted.filter(|ballot| ballot.on != NOBODY).map(|ballot| MemberIndex(ballot.on)),
            points: informing.map_or(0.0, |ballot| ballot.points),
            points_to_act: acting.map_or(0.0, |ballot| ballot.points),
            inform_limited: self.why_limited(report, now, Question::Inform, informing),
            act_limited: self.why_limited(report, now, Question::Act, acting),
        }
    }

    fn why_limited(&self, report: &Report, now: u32, question: Question, ballot: Option<Ballot>) -> Option<Reason> {
        match (self.why_uncounted(report, now, question), ballot) {
            (Some(Uncounted::Retracted), _) => Some(Reason::Retracted),
            (Some(Uncounted::Suspended), _) => Some(Reason::Suspended),
            (Some(Uncounted::Forgotten), _) => Some(Reason::Forgotten),
            (Some(Uncounted::Spoofable), _) => Some(Reason::Spoofable),
            (Some(Uncounted::Unsigned), _) => Some(Reason::Unsigned),
            (None, None) => Some(Reason::Crowded),
            (None, Some(ballot)) if ballot.spoofable => Some(Reason::Spoofable),
            (None, Some(ballot)) if ballot.weak => Some(Reason::Probation),
            (None, Some(_)) => None,
        }
    }
}

fn grade(report: &Report) -> Grade {
    match report.flags.0 & Flags::GRADE {
        0 => Grade::Spoofable,
        1 => Grade::Handshake,
        2 => Grade::Payload,
        _ => Grade::Analyst,
    }
}

impl TruthSum {
    /// The sum as text, members named by `name`.
    pub fn text(&self, name: impl Fn(MemberIndex) -> String) -> String {
        use fmt::Write;
        let mut text = format!("guard            {}\n", self.guard);
        for reporter in &self.reporters {
            let _ = writeln!(text, "{}", reporter.text(&name));
        }
        let _ = write!(text, "to inform people: {}\nto act:           {}", self.inform, self.act);
        text
    }
}

impl Reporter {
    fn text(&self, name: impl Fn(MemberIndex) -> String) -> String {
        let signed = if self.signed { "signed" } else { "by the hub" };
        let mut text = format!(
            "{:<16} {:+.3} = ln(({:.2} + {:.2}) / (1 + {:.2})) -> {:.3} x 2^-({:.2} d) {:.3}",
            name(self.member),
            self.points,
            self.prior,
            self.k,
            self.f,
            self.weight,
            self.age_days,
            self.decay,
        );
        if let Some(copied) = self.copies {
            text += &format!(" x (1 - {:.2}: as {})", self.dependence, name(copied));
        }
        text += &format!("   {}, {}, {signed}", self.standing, self.grade);
        for (question, reason) in [("inform", self.inform_limited), ("act", self.act_limited)] {
            if let Some(reason) = reason {
                text += &format!("; {question}: {}", reason.as_str());
            }
        }
        text
    }
}

impl Reason {
    /// The reason in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retracted => "retracted, not counted",
            Self::Suspended => "member suspended, not counted",
            Self::Forgotten => "too old, not counted",
            Self::Spoofable => "can be forged, counts little",
            Self::Unsigned => "not signed, not counted",
            Self::Probation => "on probation, counts little",
            Self::Crowded => "stronger reports suffice, not counted",
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { strong, weak, weak_max, total, threshold, others, second_opinion, .. } = self;
        write!(f, "T = {strong:.3}")?;
        if *weak > 0.0 {
            write!(f, " + min({weak:.3}, {weak_max:.2})")?;
        }
        write!(f, " = {total:.3}, needs {threshold:.2}")?;
        if *second_opinion > 0.0 {
            write!(f, ", of it from others {others:.3}, needs {second_opinion:.2}")?;
        }
        write!(f, ": {}", self.verdict.as_str())
    }
}

impl Verdict {
    /// The verdict in words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Corroborated => "corroborated",
            Self::NotYet => "not yet",
            Self::NeedsSecondOpinion => "needs a second opinion",
            Self::NeedsPerson => "needs a person",
            Self::Guarded => "guarded",
            Self::Barred => "barred",
        }
    }
}

//! From the corroboration table to a finding: guards first, then the sum, then what state follows.

use crate::archive::Archive;
use crate::entry::Report;
use crate::place::{Place, is_unnamed};
use crate::state::Alliance;
use corroborate::{Guard, MemberIndex, Reason, Reporter, TruthSum, Verdict};
use model::{
    Actions, Behaviour, Evidence, Family, Finding, FindingId, FindingState, GuardHit, Handling, MemberId, Observable,
    Refusal, Rule, Sighting, Sum, SumLine, Timestamp, finding_id,
};
use std::collections::BTreeSet;

/// Why a line of a sum has no points, although the table counts the report.
const REVOKED: &str = "signed with a key that was revoked";

/// A finding with the signed evidence behind it.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The finding as it stands now.
    pub finding: Finding,
    /// Signed sightings of distinct members, strongest reporter first.
    pub evidence: Vec<Evidence>,
    /// What its senders' wishes alone keep from being acted upon.
    pub kept_back: Option<Refusal>,
}

impl Alliance {
    /// What the alliance holds of `observable` now; `None` if nobody reported it, or if its reports have no common
    /// audience.
    pub(crate) fn judge(
        &self,
        observable: &Observable,
        family: Family,
        now: Timestamp,
        archive: &dyn Archive,
    ) -> Option<Judged> {
        self.judge_for(None, observable, family, now, archive)
    }

    /// As [`Alliance::judge`], as this member sees it: to itself it is named.
    pub(crate) fn judge_for(
        &self,
        viewer: Option<&MemberId>,
        observable: &Observable,
        family: Family,
        now: Timestamp,
        archive: &dyn Archive,
    ) -> Option<Judged> {
        let hit = self.guard(observable);
        let key = self.engine.keys().finding(observable, family);
        let truth = self.engine.truth(key, now, &guard_word(hit.as_ref()));
        let id = finding_id(observable, family);
        // What a key signed that was revoked since is known when the reports are read.
        let may_act = truth.act.verdict == Verdict::Corroborated && self.is_shown_by_enough(&truth, &BTreeSet::new());
        let shows = if may_act { Shows::Evidence } else { Shows::Nothing };
        let support = self.support(&truth, (observable, family), shows, archive);
        let state = self.state_of(id, &truth, &support.revoked);
        let may_act = |without: &BTreeSet<MemberIndex>| {
            let acts = state == FindingState::Corroborated && acts(&truth, without);
            (acts, acts && self.is_shown_by_enough(&truth, without))
        };
        let idle: BTreeSet<MemberIndex> = support.revoked.union(&support.quiet).copied().collect();
        let (acts, actionable) = may_act(&idle);
        let kept_back = (!actionable && may_act(&support.revoked).1).then(|| {
            let limit = "evidence of enough members who permit internal actions and are named";
            Refusal::new(Rule::ActionsNotPermitted, observable, limit)
        });
        let finding = Finding {
            id,
            observable: observable.clone(),
            family,
            behaviours: support.behaviours.clone(),
            state,
            actionable,
            sum: self.sum(&truth, acts && !actionable, &support, viewer),
            guard: hit,
            handling: support.handling(actionable)?,
            first: support.first?,
            last: support.last?,
            made: now,
        };
        Some(Judged { finding, evidence: support.evidence, kept_back })
    }

    /// The guard's word. Without its guards a charter lets nothing pass.
    pub(crate) fn guard(&self, observable: &Observable) -> Option<GuardHit> {
        match self.charter.as_ref().and_then(|c| c.guards.as_ref()) {
            Some(guards) => guards.verdict(observable),
            None => Some(GuardHit {
                class: "never".to_owned(),
                entry: observable.to_string(),
                list: "a guard list is missing, so nothing is published".to_owned(),
                absolute: true,
            }),
        }
    }

    /// As many members as agents ask for: one that publishes alone informs people, and machines wait for a second one.
    /// Everybody who trusts a member alone has to be asked, which is a matter for persons.
    fn is_shown_by_enough(&self, truth: &TruthSum, revoked: &BTreeSet<MemberIndex>) -> bool {
        let shown = truth.reporters.iter().filter(|of| counts_to_act(of) && !revoked.contains(&of.member));
        shown.count() >= self.evidence_members()
    }

    fn evidence_members(&self) -> usize {
        self.charter.as_ref().map_or(usize::MAX, |c| c.charter.corroboration.evidence_members as usize)
    }

    fn state_of(&self, id: FindingId, truth: &TruthSum, revoked: &BTreeSet<MemberIndex>) -> FindingState {
        let known = self.ledger.findings.get(&id).map(|f| f.state);
        let lost = lost(truth, revoked, |reporter| reporter.points);
        match truth.inform.verdict {
            Verdict::Corroborated if lost > 0.0 && truth.inform.total - lost < truth.inform.threshold => match known {
                None | Some(FindingState::Observed) => FindingState::Observed,
                Some(_) => FindingState::Faded,
            },
            Verdict::Corroborated => FindingState::Corroborated,
            Verdict::Barred => FindingState::Revoked,
            Verdict::Guarded | Verdict::NeedsPerson if truth.inform.total >= self.engine.rules().threshold => {
                FindingState::Guarded
            }
            _ => match known {
                None | Some(FindingState::Observed) => FindingState::Observed,
                Some(FindingState::Revoked) => FindingState::Revoked,
                Some(_) => FindingState::Faded,
            },
        }
    }

    /// What the journal holds of the sightings behind the reports that are not too old.
    fn support(
        &self,
        truth: &TruthSum,
        (observable, family): (&Observable, Family),
        shows: Shows,
        archive: &dyn Archive,
    ) -> Support {
        let mut support = Support::default();
        for reporter in truth.reporters.iter().filter(|r| r.inform_limited != Some(Reason::Forgotten)) {
            let Some(place) = Place::of(reporter.mark) else { continue };
            let Some(archived) = archive.report(place.position) else { continue };
            let Some(sighting) = archived.sighting(place) else { continue };
            // Two observables may share a key; evidence is for the one it names only.
            if sighting.observable != *observable || sighting.behaviour.family() != family {
                continue;
            }
            support.take(&sighting);
            if self.is_by_revoked_key(archived.report()) {
                support.revoked.insert(reporter.member);
                continue;
            }
            if !sighting.handling.lets_act() {
                support.quiet.insert(reporter.member);
                continue;
            }
            if shows == Shows::Evidence && counts_to_act(reporter) {
                support.evidence.extend(archived.evidence(place));
            }
        }
        support
    }

    fn is_by_revoked_key(&self, report: &Report) -> bool {
        let Report::Signed(batch) = report else { return false };
        self.charter.as_ref().is_some_and(|in_force| in_force.charter.is_revoked(&batch.header.key))
    }

    /// `alone`: too few members for machines to act upon it, whatever the points. Those who wish to stay unnamed have
    /// one line together, but for what is the viewer's own.
    fn sum(&self, truth: &TruthSum, alone: bool, support: &Support, viewer: Option<&MemberId>) -> Sum {
        let revoked = &support.revoked;
        let line = |reporter: &Reporter| match revoked.contains(&reporter.member) {
            false => self.line(reporter, alone && counts_to_act(reporter), truth, support),
            true => self.line(reporter, false, truth, support).map(|line| SumLine {
                points: 0.0,
                note: REVOKED.to_owned(),
                ..line
            }),
        };
        let own = |reporter: &Reporter| viewer.is_some() && self.numbered(reporter.member) == viewer;
        let (unnamed, named): (Vec<&Reporter>, Vec<&Reporter>) =
            truth.reporters.iter().partition(|reporter| is_unnamed(reporter.mark) && !own(reporter));
        let mut lines: Vec<SumLine> = named.into_iter().filter_map(line).collect();
        lines.extend(together(unnamed.into_iter().filter_map(line)));
        let cut = truth.inform.strong + truth.inform.weak - truth.inform.total;
        let total = (truth.inform.total - lost(truth, revoked, |reporter| reporter.points)).max(0.0);
        Sum { lines, cut: rounded(cut.max(0.0)), total: rounded(total), threshold: rounded(truth.inform.threshold) }
    }

    fn line(&self, reporter: &Reporter, alone: bool, truth: &TruthSum, support: &Support) -> Option<SumLine> {
        Some(SumLine {
            member: self.numbered(reporter.member)?.clone(),
            grade: reporter.grade,
            weight: rounded(reporter.weight),
            age_days: rounded(reporter.age_days),
            decay: rounded(reporter.decay),
            dependence: rounded(reporter.dependence),
            points: rounded(reporter.points),
            note: self.note(reporter, alone, truth, support),
        })
    }

    /// Why a reporter counts for less than its weight, in words.
    fn note(&self, reporter: &Reporter, alone: bool, truth: &TruthSum, support: &Support) -> String {
        let mut notes: Vec<String> = Vec::new();
        if let Some(reason) = reporter.inform_limited {
            notes.push(explain(reason).to_owned());
        } else if let Some(reason) = reporter.act_limited {
            notes.push(format!("informs people only: {}", explain(reason)));
        } else if support.quiet.contains(&reporter.member) {
            notes.push("informs people only: its sender does not permit machines to act upon it".to_owned());
        } else if alone {
            let least = self.evidence_members();
            notes.push(format!("informs people only: machines wait for evidence of {least} members"));
        }
        let unnamed = |m: MemberIndex| truth.reporters.iter().any(|of| of.member == m && is_unnamed(of.mark));
        if let Some(copied) = reporter.copies.filter(|m| !unnamed(*m)).and_then(|m| self.numbered(m)) {
            notes.push(format!("seems to copy {copied}"));
        }
        if reporter.suspect {
            notes.push("several upheld disputes hang over it".to_owned());
        }
        notes.join("; ")
    }
}

/// One line for all who wish to stay unnamed: their points, and how many they are.
fn together(lines: impl Iterator<Item = SumLine>) -> Option<SumLine> {
    let (mut count, mut points, mut best) = (0_u32, 0.0, None);
    for line in lines {
        count += 1;
        points += line.points;
        best = best.max(Some(line.grade));
    }
    let points = rounded(points);
    let note = match count {
        1 => "a member that wishes to stay unnamed".to_owned(),
        count => format!("{count} members that wish to stay unnamed"),
    };
    let (member, weight) = (MemberId::unnamed(), points);
    Some(SumLine { member, grade: best?, weight, age_days: 0.0, decay: 1.0, dependence: 0.0, points, note })
}

/// What of the reports goes with a finding.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Evidence,
    /// Nobody acts on it, so nobody is shown anything.
    Nothing,
}

/// What a sum loses with the reports of these members.
fn lost(truth: &TruthSum, of: &BTreeSet<MemberIndex>, points: impl Fn(&Reporter) -> f64) -> f64 {
    truth.reporters.iter().filter(|reporter| of.contains(&reporter.member)).map(points).sum()
}

fn acts(truth: &TruthSum, revoked: &BTreeSet<MemberIndex>) -> bool {
    let left = truth.act.total - lost(truth, revoked, |reporter| reporter.points_to_act);
    truth.act.verdict == Verdict::Corroborated && (revoked.is_empty() || left >= truth.act.threshold)
}

/// Only signed, unforgeable reports of members in good standing are shown to agents as evidence.
fn counts_to_act(reporter: &Reporter) -> bool {
    reporter.act_limited.is_none() && reporter.points_to_act > 0.0
}

fn explain(reason: Reason) -> &'static str {
    match reason {
        Reason::Retracted => "taken back by the member",
        Reason::Suspended => "the member has no voice at present",
        Reason::Forgotten => "too long ago",
        Reason::Spoofable => "anybody could have forged it",
        Reason::Unsigned => "not signed by the member",
        Reason::Probation => "on probation: counts within the limit for newcomers",
        Reason::Crowded => "stronger reports are counted already",
    }
}

fn guard_word(hit: Option<&GuardHit>) -> Guard {
    match hit {
        None => Guard::None,
        Some(hit) if hit.absolute => Guard::Absolute { class: hit.class.clone(), entry: hit.entry.clone() },
        Some(hit) => Guard::Cautious { class: hit.class.clone(), entry: hit.entry.clone() },
    }
}

/// To three decimals, so that what stands in the journal reads the same everywhere.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// What the reports of one observable say together.
#[derive(Default)]
struct Support {
    behaviours: BTreeSet<Behaviour>,
    handling: Option<Handling>,
    disagree: bool,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    evidence: Vec<Evidence>,
    /// Whose reports were signed with keys that were revoked since: the table counts them, the finding does not.
    revoked: BTreeSet<MemberIndex>,
    /// Whose reports machines may not act upon: their senders do not permit it, or wish to stay unnamed.
    quiet: BTreeSet<MemberIndex>,
    /// What the senders permit of those that machines may act upon.
    permitted: Option<Actions>,
}

impl Support {
    /// The finding's handling: it is nobody's own. What machines act upon rests on what is permitted alone.
    fn handling(&self, actionable: bool) -> Option<Handling> {
        let handling = self.handling.clone()?;
        let actions = self.permitted.filter(|_| actionable).unwrap_or(handling.actions);
        Some(Handling { unnamed: false, actions, ..handling })
    }

    fn take(&mut self, sighting: &Sighting) {
        if sighting.handling.lets_act() {
            let actions = sighting.handling.actions;
            self.permitted = Some(self.permitted.map_or(actions, |known| known.min(actions)));
        }
        self.behaviours.insert(sighting.behaviour);
        self.first = Some(self.first.map_or(sighting.first, |t| t.min(sighting.first)));
        self.last = Some(self.last.map_or(sighting.last, |t| t.max(sighting.last)));
        if self.disagree {
            return;
        }
        self.handling = match &self.handling {
            None => Some(sighting.handling.clone()),
            Some(handling) => handling.strictest(&sighting.handling),
        };
        self.disagree = self.handling.is_none();
    }
}

//! From the corroboration table to a finding: guards first, then the sum, then what state follows.

use crate::archive::Archive;
use crate::entry::Report;
use crate::heard::{Heard, Support, audience};
use crate::place::{Place, is_unnamed};
use crate::state::Alliance;
use corroborate::{Guard, MemberIndex, Reason, Reporter, TruthSum, Verdict};
use model::{
    Behaviour, Evidence, Family, Finding, FindingId, FindingState, GuardHit, Handling, MemberId, Observable, Refusal,
    Rule, Sum, SumLine, Timestamp, finding_id,
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
    /// It ends for those who were told of it, and its evidence still stands for fewer.
    pub elsewhere: bool,
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
    ///
    /// What stands keeps the audience that it was published to: later evidence for fewer members is left out, so that
    /// whoever was told of the finding is also told when it ends. What has ended, or is new, is for those whom its
    /// evidence is for. What only informs ends for those who were told of it where machines may act upon the evidence
    /// for fewer: protection goes before information.
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
        let heard = self.heard(&truth, (observable, family), archive);
        let known = self.ledger.findings.get(&id).map(AsRef::as_ref);
        let case = Case { id, observable, family, truth: &truth, heard: &heard, hit: &hit, known, viewer, now };
        let Some(before) = known else { return self.judge_within(&case, &audience(&heard)?) };
        let own = || {
            let own = audience(&heard).and_then(|handling| self.judge_within(&case, &handling));
            own.filter(|own| stands(own.finding.state))
        };
        let published = || self.judge_within(&case, &before.handling);
        if !stands(before.state) {
            return own().or_else(published);
        }
        let mut judged = published()?;
        let for_fewer = |heard: &Heard<'_>| heard.counts() && !heard.sighting.handling.reaches(&before.handling);
        if !heard.iter().any(for_fewer) {
            return Some(judged);
        }
        let own = own();
        if own.as_ref().is_some_and(|own| own.finding.actionable) && is_for_persons(&judged.finding) {
            judged.finding.state = FindingState::Faded;
        }
        let elsewhere = !stands(judged.finding.state) && own.is_some();
        Some(Judged { elsewhere, ..judged })
    }

    /// What the alliance holds, as this audience may know it; `None` if that is nothing, and never was anything.
    fn judge_within(&self, case: &Case<'_>, handling: &Handling) -> Option<Judged> {
        let truth = case.truth;
        let support = Support::of(case.heard, handling);
        let without = support.without();
        let state = state_of(case.known.map(|known| known.state), truth, &without, self.engine.rules().threshold);
        let may_act = |without: &BTreeSet<MemberIndex>| {
            let acts = state == FindingState::Corroborated && acts(truth, without);
            (acts, acts && self.is_shown_by_enough(truth, without))
        };
        let (acts, actionable) = may_act(&without.union(&support.quiet).copied().collect());
        let kept_back = (!actionable && may_act(&without).1).then(|| {
            let limit = "evidence of enough members who permit internal actions and are named";
            Refusal::new(Rule::ActionsNotPermitted, case.observable, limit)
        });
        let finding = Finding {
            id: case.id,
            observable: case.observable.clone(),
            family: case.family,
            behaviours: case.behaviours(&support),
            state,
            actionable,
            sum: self.sum(case, acts && !actionable, &support),
            guard: case.hit.clone(),
            handling: support.handling(actionable),
            first: support.first.or_else(|| case.known.map(|known| known.first))?,
            last: support.last.or_else(|| case.known.map(|known| known.last))?,
            made: case.now,
        };
        Some(Judged { finding, evidence: support.evidence, kept_back, elsewhere: false })
    }

    /// The guard's word. Without its guards a charter lets nothing pass.
    pub(crate) fn guard(&self, observable: &Observable) -> Option<GuardHit> {
        match self.charter.as_ref().and_then(|c| c.guards.as_ref()) {
            Some(guards) => guards.verdict(observable),
            None => Some(GuardHit {
                class: "never".to_owned(),
                entry: observable.to_string(),
                list: "a guard list is missing, so nothing is published".to_owned(),
                owner: None,
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

    /// What the journal holds of the sightings behind the reports.
    fn heard<'t>(
        &self,
        truth: &'t TruthSum,
        (observable, family): (&Observable, Family),
        archive: &dyn Archive,
    ) -> Vec<Heard<'t>> {
        // What a key signed that was revoked since is known when the reports are read. Where nobody acts on it nobody
        // is shown anything.
        let may_act = truth.act.verdict == Verdict::Corroborated && self.is_shown_by_enough(truth, &BTreeSet::new());
        let read = |reporter: &'t Reporter| {
            let place = Place::of(reporter.mark)?;
            let archived = archive.report(place.position)?;
            let sighting = archived.sighting(place)?;
            // Two observables may share a key; evidence is for the one it names only.
            if sighting.observable != *observable || sighting.behaviour.family() != family {
                return None;
            }
            let revoked = self.is_by_revoked_key(archived.report());
            let shows = may_act && !revoked && sighting.handling.lets_act() && counts_to_act(reporter);
            let evidence = if shows { archived.evidence(place) } else { None };
            Some(Heard { reporter, sighting, revoked, evidence })
        };
        truth.reporters.iter().filter_map(read).collect()
    }

    fn is_by_revoked_key(&self, report: &Report) -> bool {
        let Report::Signed(batch) = report else { return false };
        self.charter.as_ref().is_some_and(|in_force| in_force.charter.is_revoked(&batch.header.key))
    }

    /// `alone`: too few members for machines to act upon it, whatever the points. Those who wish to stay unnamed have
    /// one line together, but for what is the viewer's own.
    fn sum(&self, case: &Case<'_>, alone: bool, support: &Support) -> Sum {
        let Case { truth, viewer, .. } = *case;
        let line = |reporter: &Reporter| match support.revoked.contains(&reporter.member) {
            false => self.line(reporter, alone && counts_to_act(reporter), truth, support),
            true => self.line(reporter, false, truth, support).map(|line| SumLine {
                points: 0.0,
                retracted: true,
                note: REVOKED.to_owned(),
                ..line
            }),
        };
        let own = |reporter: &Reporter| viewer.is_some() && self.numbered(reporter.member) == viewer;
        let shown = truth.reporters.iter().filter(|reporter| {
            let name = if is_unnamed(reporter.mark) { None } else { self.numbered(reporter.member) };
            support.shows(reporter, own(reporter) || case.showed(name))
        });
        let (unnamed, named): (Vec<&Reporter>, Vec<&Reporter>) =
            shown.partition(|reporter| is_unnamed(reporter.mark) && !own(reporter));
        let mut lines: Vec<SumLine> = named.into_iter().filter_map(line).collect();
        lines.extend(together(unnamed.into_iter().filter_map(line)));
        let Left { total, cut } = left(truth, &support.without());
        Sum { lines, cut: rounded(cut), total: rounded(total), threshold: rounded(truth.inform.threshold) }
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
            retracted: reporter.inform_limited == Some(Reason::Retracted),
            copies: self.copied(reporter, truth, support).cloned(),
            note: self.note(reporter, alone, support),
        })
    }

    /// Why a reporter counts for less than its weight, in words.
    fn note(&self, reporter: &Reporter, alone: bool, support: &Support) -> String {
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
        if reporter.suspect {
            notes.push("several upheld disputes hang over it".to_owned());
        }
        notes.join("; ")
    }

    /// Whom a reporter seems to copy, unless that one wishes to stay unnamed or speaks to fewer.
    fn copied(&self, reporter: &Reporter, truth: &TruthSum, support: &Support) -> Option<&MemberId> {
        let unnamed = |m: MemberIndex| truth.reporters.iter().any(|of| of.member == m && is_unnamed(of.mark));
        let told = |m: &MemberIndex| !unnamed(*m) && !support.outside.contains(m);
        reporter.copies.filter(told).and_then(|m| self.numbered(m))
    }
}

/// One line for all who wish to stay unnamed: their points, and how many they are.
fn together(lines: impl Iterator<Item = SumLine>) -> Option<SumLine> {
    let (mut count, mut points, mut best, mut retracted) = (0_u32, 0.0, None, true);
    for line in lines {
        retracted &= line.retracted;
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
    let (age_days, decay, dependence, copies) = (0.0, 1.0, 0.0, None);
    Some(SumLine { member, grade: best?, weight, age_days, decay, dependence, points, retracted, copies, note })
}

/// What is judged.
struct Case<'a> {
    id: FindingId,
    observable: &'a Observable,
    family: Family,
    truth: &'a TruthSum,
    heard: &'a [Heard<'a>],
    hit: &'a Option<GuardHit>,
    /// As it was published last.
    known: Option<&'a Finding>,
    viewer: Option<&'a MemberId>,
    now: Timestamp,
}

impl Case<'_> {
    /// Was this member's line published? `None`: that of all unnamed ones.
    fn showed(&self, name: Option<&MemberId>) -> bool {
        let is_it = |line: &SumLine| name.map_or(line.member.is_unnamed(), |name| line.member == *name);
        self.known.is_some_and(|known| known.sum.lines.iter().any(is_it))
    }

    /// Where nothing is left of the evidence, those that were published.
    fn behaviours(&self, support: &Support) -> BTreeSet<Behaviour> {
        match self.known.filter(|_| support.behaviours.is_empty()) {
            Some(known) => known.behaviours.clone(),
            None => support.behaviours.clone(),
        }
    }
}

/// Is it for somebody to act upon, or held back from that?
pub(crate) const fn stands(state: FindingState) -> bool {
    matches!(state, FindingState::Corroborated | FindingState::Guarded)
}

/// Does it stand, and no machine may act upon it?
fn is_for_persons(finding: &Finding) -> bool {
    finding.state == FindingState::Corroborated && !finding.actionable
}

/// The state that follows from a sum without the reports of some.
fn state_of(
    known: Option<FindingState>,
    truth: &TruthSum,
    without: &BTreeSet<MemberIndex>,
    threshold: f64,
) -> FindingState {
    let reaches = |threshold: f64| left(truth, without).total >= threshold;
    match truth.inform.verdict {
        Verdict::Corroborated if reaches(truth.inform.threshold) => FindingState::Corroborated,
        Verdict::Barred => FindingState::Revoked,
        Verdict::Guarded | Verdict::NeedsPerson if truth.inform.total >= threshold && reaches(threshold) => {
            FindingState::Guarded
        }
        verdict => match known {
            None | Some(FindingState::Observed) => FindingState::Observed,
            Some(FindingState::Revoked) if verdict != Verdict::Corroborated => FindingState::Revoked,
            Some(_) => FindingState::Faded,
        },
    }
}

/// What informs without the reports of some.
struct Left {
    total: f64,
    /// What the limit on weak evidence takes of it.
    cut: f64,
}

/// The limit on weak evidence is for what is left of it: what others are told in confidence takes no room there.
fn left(truth: &TruthSum, without: &BTreeSet<MemberIndex>) -> Left {
    let left = |weak: bool| {
        let counted = truth.reporters.iter().filter(|reporter| !without.contains(&reporter.member));
        let counted = counted.filter(|reporter| reporter.inform_limited.is_some() == weak);
        counted.fold(0.0, |sum, reporter| sum + reporter.points)
    };
    let (strong, weak) = (left(false), left(true));
    let most = weak.min(truth.inform.weak_max);
    Left { total: strong + most, cut: weak - most }
}

fn acts(truth: &TruthSum, revoked: &BTreeSet<MemberIndex>) -> bool {
    let lost = truth.reporters.iter().filter(|reporter| revoked.contains(&reporter.member));
    let left = truth.act.total - lost.map(|reporter| reporter.points_to_act).sum::<f64>();
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

//! How an answer to `why` reads: known or not, the sum that a person can add up, where it is blocked, what to type.

use crate::client::answers::{MitigationView, Why, WhyFinding};
use crate::clock::{short, told};
use crate::out::{Colour, coloured};
use model::{Finding, FindingState, GuardHit, MitigationNow, MitigationState, Observable, Sum, Timestamp};

/// Mitigations of one finding that are shown; the rest is counted.
const MITIGATIONS_SHOWN_MAX: usize = 50;

/// The whole answer of the hub.
pub fn why(why: &Why, now: Timestamp) -> Vec<String> {
    let mut lines = vec![format!("{}  {}", why.observable, why.observable.kind())];
    lines.push(match (why.known, why.findings.len()) {
        (false, _) => "  known     no: no member has reported it, or not to you".to_owned(),
        (true, 1) => "  known     yes, one finding".to_owned(),
        (true, n) => format!("  known     yes, {n} findings"),
    });
    lines.extend(why.guard.as_ref().map(|hit| format!("  guard     {}", guard(hit))));
    lines.extend(why.owner.as_ref().map(|member| format!("  owner     {member} has proven it to be its own")));
    for finding in &why.findings {
        lines.push(String::new());
        lines.extend(finding_block(finding, now));
    }
    lines
}

/// One finding with all that is known of it.
pub fn finding_block(shown: &WhyFinding, now: Timestamp) -> Vec<String> {
    let finding = &shown.finding;
    let mut lines = head(finding, &shown.sentence, now);
    lines.extend(sum(&finding.sum));
    lines.extend(finding.guard.as_ref().map(|hit| format!("  guard     {}", guard(hit))));
    lines.extend(shown.held.iter().map(|rule| format!("  held by   {rule}: {}", explained(rule))));
    lines.extend(blocked(&shown.mitigations, now));
    for signed in &shown.disputes {
        let dispute = &signed.dispute;
        let ground = serde_json::to_value(dispute.ground).ok().and_then(|v| v.as_str().map(str::to_owned));
        let (person, reason) = (&dispute.person, model::parse::printable(&dispute.reason));
        lines.push(format!("  disputed  by {person}, {}: {reason}", ground.unwrap_or_default()));
    }
    for objection in &shown.objections {
        let ground = serde_json::to_value(objection.ground).ok().and_then(|v| v.as_str().map(str::to_owned));
        let member = objection.member.as_ref().map_or("a member", |member| member.as_str());
        let reason = model::parse::printable(&objection.reason);
        let ground = ground.unwrap_or_default();
        lines.push(format!("  objected  by {member}, {ground}: {reason}  (not signed by a person: it does not count)"));
    }
    lines
}

/// What to type next about a value.
pub fn next_steps(why: &Why) -> Vec<String> {
    let mut lines = Vec::new();
    for shown in &why.findings {
        let id = shown.finding.id;
        if let Some(first) = shown.mitigations.iter().find(|m| !m.now.is_final()) {
            let here = first.id;
            lines.push(format!("Lift it here:    epimachia mitigation lift {here} --reason TEXT"));
        }
        if shown.finding.state != FindingState::Revoked {
            lines
                .push(format!("Dispute it:      epimachia finding dispute {id} --ground false-positive --reason TEXT"));
        }
    }
    match why.findings.is_empty() {
        true => lines.push(format!("Report it:       epimachia sighting add {} --behaviour WORD", why.observable)),
        false => lines.push(never_here(&why.observable)),
    }
    lines
}

/// How to keep a value from ever being blocked here.
pub fn never_here(observable: &Observable) -> String {
    format!("Never block it:  epimachia allow add {observable} --note TEXT")
}

fn head(finding: &Finding, sentence: &str, now: Timestamp) -> Vec<String> {
    let behaviours: Vec<&str> = finding.behaviours.iter().map(|b| b.as_str()).collect();
    let act = if finding.actionable { "machines may act" } else { "for people's eyes only" };
    let colour = match finding.state {
        FindingState::Corroborated => Colour::Green,
        FindingState::Revoked => Colour::Red,
        _ => Colour::Yellow,
    };
    vec![
        format!("{}  {}  {}", finding.id, coloured(finding.state.as_str(), colour), behaviours.join(", ")),
        format!("  {sentence}"),
        format!("  seen      first {}, last {}", short(finding.first), told(finding.last, now)),
        format!("  handling  {}, {act}", finding.handling),
    ]
}

/// The sum as one adds it up by hand: a line for each reporter, what is cut off, the total and what it had to reach.
fn sum(sum: &Sum) -> Vec<String> {
    let width = sum.lines.iter().map(|line| line.member.as_str().len()).max().unwrap_or(0);
    let mut lines: Vec<String> = Vec::new();
    for line in &sum.lines {
        let label = if lines.is_empty() { "  sum       " } else { "            " };
        let mut text = format!(
            "{label}{:<width$}  {:<9}  {:.3} x {:.3} x (1 - {:.3}) = {:.3}",
            line.member, line.grade, line.weight, line.decay, line.dependence, line.points
        );
        if !line.note.is_empty() {
            text.push_str(&format!("   {}", model::parse::printable(&line.note)));
        }
        if let Some(copied) = &line.copies {
            text.push_str(&format!("   seems to copy {copied}"));
        }
        lines.push(text);
    }
    if !sum.lines.is_empty() {
        lines.push("            (weight x what age has left x (1 - dependence on an earlier line))".to_owned());
    }
    if sum.cut > 0.0 {
        lines.push(format!("            less {:.3}: weak evidence counts jointly up to a limit only", sum.cut));
    }
    let word = if sum.total >= sum.threshold { "reached" } else { "not reached" };
    lines.push(format!("  total     {:.3} of {:.3} points: {word}", sum.total, sum.threshold));
    lines
}

fn guard(hit: &GuardHit) -> String {
    let means = if hit.absolute { "machines never act on it" } else { "more evidence or a person is needed" };
    format!("{} (entry {} of {}): {means}", hit.class, model::parse::printable(&hit.entry), hit.list)
}

fn explained(rule: &str) -> &'static str {
    rule.parse::<model::Rule>().map_or("a rule that this program does not know", model::Rule::explains)
}

fn blocked(mitigations: &[MitigationView], now: Timestamp) -> Vec<String> {
    if mitigations.is_empty() {
        return vec!["  blocked   nowhere".to_owned()];
    }
    let width = mitigations.iter().map(|m| m.member.as_str().len()).max().unwrap_or(0);
    let mut sorted: Vec<&MitigationView> = mitigations.iter().collect();
    sorted.sort_by_key(|shown| (&shown.member, shown.since, shown.id));
    let mut lines: Vec<String> = Vec::new();
    for shown in sorted.iter().take(MITIGATIONS_SHOWN_MAX) {
        let label = if lines.is_empty() { "  blocked   " } else { "            " };
        lines.push(format!("{label}{:<width$}  {}", shown.member, mitigation(shown, now)));
    }
    if mitigations.len() > MITIGATIONS_SHOWN_MAX {
        lines.push(format!(
            "            and {} more: epimachia mitigation list",
            mitigations.len() - MITIGATIONS_SHOWN_MAX
        ));
    }
    lines
}

fn mitigation(shown: &MitigationView, now: Timestamp) -> String {
    let point = shown.point.as_ref().map_or_else(String::new, |point| format!(" at {point}"));
    let (since, until) = (short(shown.since), told(shown.expires, now));
    let state = coloured_state(shown.now);
    let mut text = format!("{state}{point}  {}  since {since}, until {until}  {}", shown.measure, shown.plan);
    if let Some(refusal) = &shown.refusal {
        text.push_str(&format!("  ({}: {})", refusal.rule, refusal.value));
    }
    text
}

/// A state in colour: only what was read back is green.
pub fn coloured_state(state: impl Into<MitigationNow>) -> String {
    let state = state.into();
    let colour = match state {
        MitigationNow::Known(MitigationState::Verified) => Colour::Green,
        MitigationNow::Known(MitigationState::Refused | MitigationState::Failed) => Colour::Red,
        _ => Colour::Yellow,
    };
    coloured(state.as_str(), colour)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = include_str!("../tests/data/why.json");

    fn known() -> (Why, Timestamp) {
        (serde_json::from_str(KNOWN).unwrap(), "2026-03-01T12:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_lines_of_the_sum_add_up_to_the_total_as_shown() {
        let (shown, now) = known();
        let text = why(&shown, now).join("\n");
        let points = |line: &str| -> Option<f64> { line.rsplit_once("= ")?.1.split_whitespace().next()?.parse().ok() };
        let added: f64 = text.lines().filter_map(points).sum();
        let total: f64 = text.split("total     ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!((added - total).abs() < 0.0005, "{text}");
    }

    #[test]
    fn it_says_who_blocks_it_since_when_until_when_and_how_to_lift_or_dispute() {
        let (shown, now) = known();
        let text = why(&shown, now).join("\n");
        for part in ["telecom", "verified at rpz", "since 2026-03-01T11:00:00Z", "until 2026-03-01T17:00:00Z (in 5 h)"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(text.contains("disputed  by ada@telecom, false-positive: ours"), "{text}");
        assert!(text.contains("objected  by cloud, stale: gone since May  (not signed"), "{text}");
        let next = next_steps(&shown).join("\n");
        let (mitigation, finding) = (shown.findings[0].mitigations[0].id, shown.findings[0].finding.id);
        assert!(next.contains(&format!("epimachia mitigation lift {mitigation} --reason")), "{next}");
        assert!(next.contains(&format!("epimachia finding dispute {finding} --ground")), "{next}");
        assert!(next.contains("epimachia allow add 203.0.113.7"), "{next}");
    }

    #[test]
    fn an_unknown_value_says_so_and_how_to_report_it() {
        let unknown = Why { known: false, findings: Vec::new(), guard: None, owner: None, ..known().0 };
        let text = why(&unknown, known().1).join("\n");
        assert!(text.contains("known     no"), "{text}");
        assert!(next_steps(&unknown).join("\n").contains("epimachia sighting add 203.0.113.7"));
    }
}

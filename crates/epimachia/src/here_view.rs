//! What this member's own agent holds, in lines: state, points, what each read back, who decided what.

use crate::clock::{short, told};
use crate::member_side::{Held, Why};
use crate::why_view::coloured_state;
use model::Timestamp;

/// What the agent knows about a value.
pub fn why(why: &Why, now: Timestamp) -> Vec<String> {
    let mut lines = vec![match why.mitigations.len() {
        0 => "Here: nothing is blocked because of it.".to_owned(),
        _ => "Here:".to_owned(),
    }];
    lines.extend(why.mitigations.iter().flat_map(|held| block(held, now)));
    for (entry, note) in &why.allow_list {
        lines.push(format!("  allowed   {entry} is on this member's allow-list, {}", model::parse::printable(note)));
    }
    for (finding, decision) in &why.decisions {
        lines.push(format!("  decided   {finding}: {}", decided(decision)));
    }
    lines
}

/// `accepted`/`refused`, until when, and why.
fn decided(decision: &serde_json::Value) -> String {
    let Some((word, more)) = decision.as_object().and_then(|object| object.iter().next()) else {
        return model::parse::printable(&decision.to_string());
    };
    let until = more["until"].as_str().unwrap_or_default();
    let reason =
        more["reason"].as_str().map_or_else(String::new, |reason| format!(": {}", model::parse::printable(reason)));
    format!("{word} by a person, for renewals until {until}{reason}")
}

/// One mitigation.
pub fn block(held: &Held, now: Timestamp) -> Vec<String> {
    let (since, until) = (short(held.since), told(held.expires, now));
    let mut lines = vec![
        format!("  {}  {}  {}", held.id, coloured_state(held.state), held.text),
        format!("    since {since}, until {until}, for {} by {}", held.finding, held.plan),
    ];
    for (point, at) in &held.points {
        lines.push(
            format!("    {point}: {}. {}", at.stage, model::parse::printable(&at.evidence)).trim_end().to_owned(),
        );
    }
    lines.extend(held.packets.map(|packets| format!("    {packets} packets or answers affected")));
    lines.extend(held.waits.as_ref().map(|why| format!("    waits for a person: {}", model::parse::printable(why))));
    lines.extend(held.ends.as_ref().map(|why| format!("    ends: {}", model::parse::printable(why))));
    lines
}

/// What to type about it.
pub fn next_steps(held: &Held) -> Vec<String> {
    match held.waits {
        Some(_) => vec![
            format!("Let it:          epimachia mitigation accept {} --reason TEXT", held.id),
            format!("Do not let it:   epimachia mitigation refuse {} --reason TEXT", held.id),
        ],
        None => vec![format!("Lift it here:    epimachia mitigation lift {} --reason TEXT", held.id)],
    }
}

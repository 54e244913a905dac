//! `epimachia status`: the alliance in one screen.

use crate::ask::{Read, connect};
use crate::client::answers::Status;
use crate::clock::{now, short};
use crate::exit::{Exit, Failure, Outcome};
use crate::out::{self, Colour, coloured};
use model::Span;
use std::collections::BTreeMap;

/// A difference of the clocks that is worth a word.
const CLOCK_OFF_MAX: Span = Span::seconds(30);

/// Runs the command.
pub fn run(read: &Read) -> Outcome {
    let client = connect(&read.connect)?;
    let value = client.value("/api/v1/status", &[])?;
    if read.json {
        out::pass(value);
        return Ok(Exit::Done);
    }
    let status: Status = serde_json::from_value(value).map_err(|e| Failure::failed(e, "epimachia version"))?;
    let colour = if status.condition == "serving" { Colour::Green } else { Colour::Red };
    out::line(format_args!("hub          {} {}", client.hub(), coloured(&status.condition, colour)));
    match status.charter {
        0 => out::line("alliance     no charter yet"),
        version => out::line(format_args!("alliance     {}, charter version {version}", status.alliance)),
    }
    out::line(format_args!("members      {}", status.members));
    out::line(format_args!("sightings    {} of {} observables", status.sightings, status.observables));
    out::line(format_args!("findings     {}", counted(&status.findings)));
    out::line(format_args!("plans        {} waiting for approvals", status.plans_waiting));
    out::line(format_args!("mitigations  {}", counted(&status.mitigations)));
    if let Some(times) = &status.time_to_protection {
        let (p50, p99, count) = (times.p50_ms, times.p99_ms, times.count);
        out::line(format_args!("protected    after {p50} ms (median), {p99} ms (99 of 100), of {count} measured"));
    }
    out::line(format_args!("refusals     {}", counted(&status.refusals)));
    out::line(format_args!("journal      {} entries, the hub's time is {}", status.entries, short(status.time)));
    let off = Span::millis(now().since(status.time).as_millis().abs());
    if off > CLOCK_OFF_MAX {
        let off = crate::clock::length(off);
        out::say(format_args!("This machine's clock and the hub's are {off} apart: what you sign may be refused."));
    }
    next(&status);
    Ok(Exit::Done)
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> = counts.iter().filter(|(_, n)| **n > 0).map(|(word, n)| format!("{n} {word}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn next(status: &Status) {
    match (status.charter, status.plans_waiting) {
        (0, _) => out::say("Next: epimachia charter adopt FILE"),
        (_, 0) => out::say("Next: epimachia finding list"),
        _ => out::say("Next: epimachia plan list --waiting"),
    }
}

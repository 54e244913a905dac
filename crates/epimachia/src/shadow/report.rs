//! The report: what would have been reported, blocked, hurt; what it would have cost; as text and as JSON.

use super::blocks::{Block, Counts};
use super::log::Intake;
use super::sizing::Sizing;
use super::watch::{Met, Watch};
use crate::clock::length;
use model::{FindingId, Observable, Span, Timestamp};
use observe::Skip;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Attackers and people hurt that are listed in JSON; the counts are of all.
const LISTED_MAX: usize = 10_000;
/// And in the text.
const SHOWN_MAX: usize = 10;

/// Everything that shadow found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Lines read, and what came of them.
    pub lines: Lines,
    /// First and last time in the log.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    /// What would have gone out.
    pub reported: Reported,
    /// The findings it was held against; none given: absent.
    pub findings: Option<Counts>,
    /// Every finding counted as in force all along.
    pub any_time: bool,
    /// What would have been stopped.
    pub blocked: Blocked,
    /// Whom it would have hurt.
    pub hurt: Hurt,
    /// For the change request.
    pub sizing: Sizing,
}

/// Lines of the log.
#[derive(Clone, Debug, Serialize)]
pub struct Lines {
    pub read: u64,
    pub evidence: u64,
    pub passed_over: BTreeMap<&'static str, u64>,
    pub malformed: u64,
    /// The first malformed ones, with their numbers.
    pub samples: Vec<String>,
    /// Lines that told of ordinary traffic; 0: the log has no such lines, and nobody hurt can be seen.
    pub traffic: u64,
}

/// What would have been reported.
#[derive(Clone, Debug, Serialize)]
pub struct Reported {
    pub sightings: u64,
    pub observables: usize,
    /// There may be more observables than were told apart.
    pub at_least: bool,
    pub by_behaviour: BTreeMap<String, u64>,
    /// Evidence that named own space, or addresses that nobody on the Internet has.
    pub kept_back: u64,
}

/// What would have been stopped.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Blocked {
    /// Observables of the log that a block meets.
    pub attackers: usize,
    /// Of them: blocked before their first packet, later, never in time.
    pub at_first: usize,
    pub later: usize,
    pub never: usize,
    /// Events of theirs, and those that would have been stopped.
    pub events: u64,
    pub stopped: u64,
    /// Of those blocked later: the median time from the first packet to the block.
    pub median_wait_seconds: Option<i64>,
    /// By events stopped, the most first; at most 10,000.
    pub list: Vec<Attacker>,
}

/// One attacker.
#[derive(Clone, Debug, Serialize)]
pub struct Attacker {
    pub observable: Observable,
    pub finding: FindingId,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub blocked_from: Timestamp,
    pub blocked_until: Timestamp,
    pub events: u64,
    pub stopped: u64,
    /// From the block, or the first packet if that came later, to the last packet: time the member was spared.
    pub spared_seconds: i64,
}

/// Whom the blocks would have hurt.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Hurt {
    /// Findings about the member's own space. Its agent refuses them.
    pub own: Vec<Observable>,
    /// Findings that a guard list holds.
    pub guarded: Vec<Guarded>,
    /// Blocked while they had ordinary traffic with own machines; the most traffic first.
    pub ordinary: Vec<Ordinary>,
    /// Blocked names that own machines asked for.
    pub asked: Vec<Ordinary>,
}

/// A finding on a guard list.
#[derive(Clone, Debug, Serialize)]
pub struct Guarded {
    pub observable: Observable,
    pub class: String,
    pub entry: String,
    pub absolute: bool,
}

/// A block that would have cut ordinary traffic.
#[derive(Clone, Debug, Serialize)]
pub struct Ordinary {
    pub observable: Observable,
    pub finding: FindingId,
    /// Exchanges begun by own machines, begun by the other side, and questions for the name.
    pub we_began: u64,
    pub they_began: u64,
    pub asked: u64,
    /// Own machines, at most 16.
    pub machines: Vec<IpAddr>,
    /// Evidence against it in the same log.
    pub evidence: u64,
}

impl Report {
    /// What is known so far.
    pub fn of(watch: &Watch, intake: &Intake, given: bool, sizing: Sizing) -> Self {
        let tally = &intake.tally;
        let skipped = |skip: Skip| tally.skipped.get(&skip).copied().unwrap_or(0);
        let (observables, at_least) = watch.reported.observables();
        let by_behaviour = watch.reported.behaviours.iter().map(|(b, n)| (b.as_str().to_owned(), *n)).collect();
        let sample = |(number, error): &(u64, model::ParseError)| format!("line {number}: {error}");
        Self {
            lines: Lines {
                read: tally.lines,
                evidence: tally.seen,
                passed_over: tally.skipped.iter().map(|(skip, n)| (skip.as_str(), *n)).collect(),
                malformed: tally.malformed,
                samples: tally.samples.iter().map(sample).collect(),
                traffic: watch.contacts,
            },
            from: watch.span.map(|span| span.0),
            to: watch.span.map(|span| span.1),
            reported: Reported {
                sightings: watch.reported.sightings,
                observables,
                at_least,
                by_behaviour,
                kept_back: skipped(Skip::Own) + skipped(Skip::Bogon),
            },
            findings: given.then(|| watch.blocks.counts()),
            any_time: watch.any_time,
            blocked: Blocked::of(watch),
            hurt: Hurt::of(watch),
            sizing,
        }
    }
}

impl Blocked {
    fn of(watch: &Watch) -> Self {
        let mut blocked = Self::default();
        let mut waits = Vec::new();
        for (block, met) in watch.outcomes() {
            let Some(first) = met.first else { continue };
            blocked.attackers += 1;
            match (met.stopped > 0, met.before > 0) {
                (true, false) => blocked.at_first += 1,
                (true, true) => {
                    blocked.later += 1;
                    waits.push(block.from.since(first).as_millis() / 1_000);
                }
                (false, _) => blocked.never += 1,
            }
            blocked.events += met.before + met.stopped + met.after;
            blocked.stopped += met.stopped;
            blocked.list.push(attacker(block, &met, watch.any_time));
        }
        waits.sort_unstable();
        blocked.median_wait_seconds = waits.get(waits.len() / 2).copied();
        blocked.list.sort_by_key(|attacker| (Reverse((attacker.stopped, attacker.events)), attacker.finding));
        blocked.list.truncate(LISTED_MAX);
        blocked
    }
}

fn attacker(block: &Block, met: &Met, any_time: bool) -> Attacker {
    let began = met.first.map(|first| if any_time { first } else { first.max(block.from) });
    let ended = met.last.map(|last| if any_time { last } else { last.min(block.until) });
    let spared = began.zip(ended).map_or(0, |(began, ended)| ended.since(began).as_millis() / 1_000);
    Attacker {
        observable: block.observable.clone(),
        finding: block.finding,
        first: met.first,
        last: met.last,
        blocked_from: block.from,
        blocked_until: block.until,
        events: met.before + met.stopped + met.after,
        stopped: met.stopped,
        spared_seconds: if met.stopped > 0 { spared.max(0) } else { 0 },
    }
}

impl Hurt {
    fn of(watch: &Watch) -> Self {
        let mut hurt = Self::default();
        for (block, met) in watch.outcomes() {
            if block.own {
                hurt.own.push(block.observable.clone());
            }
            if let Some(hit) = &block.guard {
                let (class, entry, absolute) = (hit.class.clone(), hit.entry.clone(), hit.absolute);
                hurt.guarded.push(Guarded { observable: block.observable.clone(), class, entry, absolute });
            }
            if met.ordinary() > 0 {
                hurt.ordinary.push(ordinary(block, &met));
            }
            if met.asked > 0 {
                hurt.asked.push(ordinary(block, &met));
            }
        }
        hurt.ordinary.sort_by_key(|one| (Reverse(one.we_began + one.they_began), one.finding));
        hurt.asked.sort_by_key(|one| (Reverse(one.asked), one.finding));
        for list in [&mut hurt.ordinary, &mut hurt.asked] {
            list.truncate(LISTED_MAX);
        }
        hurt
    }
}

fn ordinary(block: &Block, met: &Met) -> Ordinary {
    Ordinary {
        observable: block.observable.clone(),
        finding: block.finding,
        we_began: met.we_began,
        they_began: met.they_began,
        asked: met.asked,
        machines: met.machines.iter().copied().collect(),
        evidence: met.before + met.stopped + met.after,
    }
}

/// What a tired person reads.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lines { read, evidence, malformed, .. } = &self.lines;
        write!(f, "Read {} lines", grouped(*read))?;
        if let (Some(from), Some(to)) = (self.from, self.to) {
            write!(f, ", {} ({from} to {to})", length(to.since(from)))?;
        }
        writeln!(f, ". Nothing was sent, nothing was changed.")?;
        writeln!(f, "  evidence             {} lines, {} malformed", grouped(*evidence), grouped(*malformed))?;
        if let Some(sample) = self.lines.samples.first() {
            writeln!(f, "                       {sample}")?;
        }
        self.reports(f)?;
        match &self.findings {
            None => write!(f, "  would have blocked   not known: give --findings FILE or --hub URL"),
            Some(counts) => self.blocks(f, counts),
        }
    }
}

impl Report {
    fn reports(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reported { sightings, observables, at_least, by_behaviour, kept_back } = &self.reported;
        let least = if *at_least { "at least " } else { "" };
        writeln!(
            f,
            "  would have reported  {} sightings of {least}{} observables; kept back {} of own or reserved space",
            grouped(*sightings),
            grouped(*observables as u64),
            grouped(*kept_back)
        )?;
        let words: Vec<String> = by_behaviour.iter().map(|(word, n)| format!("{word} {}", grouped(*n))).collect();
        if !words.is_empty() {
            writeln!(f, "                       {}", words.join(", "))?;
        }
        Ok(())
    }

    fn blocks(&self, f: &mut fmt::Formatter<'_>, counts: &Counts) -> fmt::Result {
        let Counts { given, blocks, not_in_force, for_people, needs_quorum, not_enforceable } = counts;
        writeln!(
            f,
            "  findings             {given}, of which machines act on {blocks} ({not_in_force} not in force, \
             {for_people} for people only, {needs_quorum} need persons, {not_enforceable} no resolver or \
             filter can express)"
        )?;
        self.stopped(f)?;
        self.hurts(f)?;
        self.sizes(f)
    }

    fn stopped(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Blocked { attackers, at_first, later, never, events, stopped, median_wait_seconds, list } = &self.blocked;
        let when = if self.any_time { " (as if in force all along)" } else { "" };
        writeln!(
            f,
            "  would have blocked   {attackers} attackers of this log{when}: {at_first} before their first packet, \
             {later} later, {never} not in time"
        )?;
        if *attackers == 0 {
            return Ok(());
        }
        write!(f, "                       {} of their {} events", grouped(*stopped), grouped(*events))?;
        if let Some(seconds) = median_wait_seconds {
            write!(f, "; those later: {} after their first packet (median)", length(Span::seconds(*seconds)))?;
        }
        writeln!(f)?;
        for one in list.iter().filter(|one| one.stopped > 0).take(SHOWN_MAX) {
            let spared = length(Span::seconds(one.spared_seconds));
            let Attacker { observable, finding, events, stopped, .. } = one;
            writeln!(f, "    {observable:<40} {stopped} of {events} events, spared for {spared}  {finding}")?;
        }
        if *never == *attackers && !self.any_time {
            writeln!(f, "    The findings are of another time than this log: --any-time counts them all along.")?;
        }
        Ok(())
    }

    fn hurts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hurt { own, guarded, ordinary, asked } = &self.hurt;
        let absolute = guarded.iter().filter(|hit| hit.absolute).count();
        writeln!(
            f,
            "  would have hit you   {} findings in your own space, {} on guard lists ({absolute} absolute), {} \
             addresses with ordinary traffic, {} names your machines asked for",
            own.len(),
            guarded.len(),
            ordinary.len(),
            asked.len()
        )?;
        if self.lines.traffic == 0 {
            writeln!(
                f,
                "                       This log has no records of ordinary traffic (EVE `flow`): not looked for."
            )?;
        }
        for observable in own.iter().take(SHOWN_MAX) {
            writeln!(f, "    {observable:<40} your own; your agent refuses it")?;
        }
        for Guarded { observable, class, entry, absolute } in guarded.iter().take(SHOWN_MAX) {
            let word = if *absolute { "never by machine" } else { "with caution" };
            writeln!(f, "    {observable:<40} guarded: {class}, {entry} ({word})")?;
        }
        for one in ordinary.iter().take(SHOWN_MAX) {
            let Ordinary { observable, we_began, they_began, evidence, machines, .. } = one;
            let machines = machines.len();
            writeln!(
                f,
                "    {observable:<40} {we_began} exchanges begun by you, {they_began} by it, {machines} of your \
                 machines; evidence against it: {evidence}"
            )?;
        }
        for Ordinary { observable, asked, machines, .. } in asked.iter().take(SHOWN_MAX) {
            writeln!(f, "    {observable:<40} asked for {asked} times by {} of your machines", machines.len())?;
        }
        Ok(())
    }

    fn sizes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sizing { entries, names, ipv4, ipv6, rpz_bytes, nft_bytes, changes_peak_hour, changes_an_hour, .. } =
            &self.sizing;
        writeln!(f, "  for the change request")?;
        writeln!(f, "    entries at the peak      {entries}: {names} names, {ipv4} IPv4, {ipv6} IPv6")?;
        writeln!(f, "    size                     policy zone {rpz_bytes} bytes, packet filter {nft_bytes} bytes")?;
        writeln!(f, "    changes an hour          {changes_an_hour:.1} on average, {changes_peak_hour} at the peak")?;
        write!(
            f,
            "    reports an hour          {:.1} on average, {} at the peak, {} bytes in all",
            self.sizing.reports_an_hour,
            self.sizing.reports_peak_hour,
            grouped(self.sizing.report_bytes)
        )
    }
}

/// `1,234,567`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}

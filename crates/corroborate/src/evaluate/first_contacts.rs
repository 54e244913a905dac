//! First contacts: of the attackers that a member had never met, how many met a block learned from others.

use super::history::{DAY_MS, Event, History};
use super::stream::{Latency, StreamTable};
use crate::error::Error;
use crate::rules::Rules;
use model::Timestamp;
use serde::Serialize;
use std::collections::VecDeque;

/// How long a report keeps a block in force.
const LIVES_MS: i64 = 7 * DAY_MS;

/// One policy over all latencies.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FirstContactsRow {
    /// The policy.
    pub policy: &'static str,
    /// Share of first contacts met, in the order of latencies.
    pub met: Vec<f64>,
}

/// The table: policies over latencies.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FirstContactsTable {
    /// Each way: from the reporter to the hub, from the hub to the member.
    pub latencies: Vec<String>,
    /// By policy.
    pub rows: Vec<FirstContactsRow>,
}

impl FirstContactsTable {
    /// The column of first contacts of a stream table, turned.
    pub fn of(stream: &StreamTable) -> Self {
        let mut table = Self { latencies: Vec::new(), rows: Vec::new() };
        for row in &stream.rows {
            if !table.latencies.contains(&row.latency) {
                table.latencies.push(row.latency.clone());
            }
            match table.rows.iter_mut().find(|known| known.policy == row.policy) {
                Some(known) => known.met.push(row.first_contacts),
                None => table.rows.push(FirstContactsRow { policy: row.policy, met: vec![row.first_contacts] }),
            }
        }
        table
    }
}

/// The table as an aligned text.
impl std::fmt::Display for FirstContactsTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "first contacts of an attacker with a member that met a block, by latency each way")?;
        let head: String = self.latencies.iter().map(|latency| format!("{latency:>9}")).collect();
        write!(f, "{:<24}{head}", "policy")?;
        for row in &self.rows {
            let met: String = row.met.iter().map(|met| format!("{met:>9.4}")).collect();
            write!(f, "\n{:<24}{met}", row.policy)?;
        }
        Ok(())
    }
}

/// The share met by the truth gate alone at 10 s each way: the stream table's figure without the rest of the table.
pub(crate) fn met_by_gate(history: &History, rules: &Rules) -> Result<f64, Error> {
    let Latency::EachWay(seconds) = Latency::ALL[1] else { return Ok(f64::NAN) };
    let late = 2 * i64::from(seconds) * 1000;
    let mut engine = history.engine(rules)?;
    let mut queue: VecDeque<&Event> = VecDeque::new();
    let mut met_before: Vec<Vec<u16>> = vec![Vec::new(); history.values.len()];
    let mut known: Vec<Option<i64>> = vec![None; history.values.len()];
    let (mut all, mut met) = (0_u64, 0_u64);
    for event in &history.events {
        while let Some(due) = due(&mut queue, event.at - late) {
            known[due.value as usize] = Some(due.at);
            engine.sight(&history.sight(due))?;
        }
        let value = event.value as usize;
        let first = !met_before[value].contains(&event.member);
        if first && event.scored && event.at / DAY_MS >= history.start {
            all += 1;
            let fresh = known[value].is_some_and(|last| event.at - last <= LIVES_MS);
            met += u64::from(fresh && engine.is_corroborated(history.keys[value], Timestamp::from_millis(event.at)));
        }
        if first {
            met_before[value].push(event.member);
        }
        queue.push_back(event);
    }
    Ok(met as f64 / all.max(1) as f64)
}

/// The same for blocks that any member's word, or any two members' within a week, puts in force.
pub(crate) fn met_by_count(history: &History, members: usize) -> f64 {
    let Latency::EachWay(seconds) = Latency::ALL[1] else { return f64::NAN };
    let late = 2 * i64::from(seconds) * 1000;
    let mut queue: VecDeque<&Event> = VecDeque::new();
    let mut seen: Vec<Vec<u16>> = vec![Vec::new(); history.values.len()];
    let mut known: Vec<Vec<(u16, i64)>> = vec![Vec::new(); history.values.len()];
    let (mut all, mut met) = (0_u64, 0_u64);
    for event in &history.events {
        while let Some(due) = due(&mut queue, event.at - late) {
            let reporters = &mut known[due.value as usize];
            match reporters.iter_mut().find(|(member, _)| *member == due.member) {
                Some((_, last)) => *last = due.at,
                None => reporters.push((due.member, due.at)),
            }
        }
        let value = event.value as usize;
        let first = !seen[value].contains(&event.member);
        if first && event.scored && event.at / DAY_MS >= history.start {
            all += 1;
            let recent = known[value].iter().filter(|(_, last)| event.at - last <= LIVES_MS).count();
            met += u64::from(recent >= members);
        }
        if first {
            seen[value].push(event.member);
        }
        queue.push_back(event);
    }
    met as f64 / all.max(1) as f64
}

/// The first of the queue, once its time has come.
fn due<'a>(queue: &mut VecDeque<&'a Event>, until: i64) -> Option<&'a Event> {
    queue.front().is_some_and(|due| due.at <= until).then(|| queue.pop_front()).flatten()
}

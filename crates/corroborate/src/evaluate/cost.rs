//! What closing the formula's holes costs, row by row: the same stream, with each hole closed alone, and with all.

use super::ablation::Ablation;
use super::history::History;
use super::stream::{Latency, StreamTable, stream};
use crate::error::Error;
use crate::rules::Rules;
use serde::Serialize;

const LATENCIES: [Latency; 3] = [Latency::EachWay(10), Latency::EachWay(60), Latency::EachWay(300)];
const GATE: &str = "e gate only, 7 d";
const LIST: &str = "e gate + R>=-5.40";

/// One way of closing holes, and what is met with it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CostRow {
    /// Which holes are closed.
    pub closed: &'static str,
    /// First contacts met by the truth gate alone at 10 s, 1 min and 5 min.
    pub first_contacts: [f64; 3],
    /// Member-day attackers met by the gate with R >= -5.40 at 10 s.
    pub member_days: f64,
    /// Entries a member behind that figure.
    pub entries: f64,
}

/// The cost table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CostTable {
    /// The formula as given, each hole closed alone, all closed.
    pub rows: Vec<CostRow>,
}

/// Replays `history` for every [`Ablation`].
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits.
pub fn cost(history: &History, rules: &Rules) -> Result<CostTable, Error> {
    let row = |ablation: Ablation| {
        let table = stream(history, &ablation.apply(rules), &LATENCIES)?;
        let first = |latency: Latency| figure(&table, latency, GATE, |row| row.first_contacts);
        Ok(CostRow {
            closed: ablation.name(),
            first_contacts: LATENCIES.map(first),
            member_days: figure(&table, LATENCIES[0], LIST, |row| row.member_days),
            entries: figure(&table, LATENCIES[0], LIST, |row| row.entries),
        })
    };
    Ok(CostTable { rows: Ablation::ALL.into_iter().map(row).collect::<Result<_, Error>>()? })
}

fn figure(
    table: &StreamTable,
    latency: Latency,
    policy: &str,
    which: impl Fn(&super::stream::StreamRow) -> f64,
) -> f64 {
    let name = latency.name();
    table.rows.iter().find(|row| row.latency == name && row.policy == policy).map_or(f64::NAN, which)
}

/// The table as an aligned text; costs are differences to the first row.
impl std::fmt::Display for CostTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "what closing the holes costs: first contacts met by the truth gate, member-days by gate + R>=-5.40"
        )?;
        write!(f, "{:<36}{:>9}{:>9}{:>9}{:>9}", "closed", "10 s", "cost", "1 min", "5 min")?;
        writeln!(f, "{:>13}{:>9}{:>9}", "member-days", "cost", "entries")?;
        let first = self.rows.first();
        for row in &self.rows {
            let [ten, minute, five] = row.first_contacts;
            let cost = first.map_or(0.0, |first| first.first_contacts[0] - ten);
            let cost_days = first.map_or(0.0, |first| first.member_days - row.member_days);
            write!(f, "{:<36}{ten:>9.4}{cost:>9.4}{minute:>9.4}{five:>9.4}", row.closed)?;
            writeln!(f, "{:>13.4}{cost_days:>9.4}{:>9.1}", row.member_days, row.entries)?;
        }
        Ok(())
    }
}

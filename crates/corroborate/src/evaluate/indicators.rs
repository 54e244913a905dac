//! Indicators that people post: how much is published before somebody reports it again, and how much of it is harmless.

use super::ablation::Ablation;
use super::history::{DAY_MS, History};
use super::rows::{FIELD_MAX, Row, fields, refused};
use crate::engine::MemberIndex;
use crate::error::Error;
use crate::rules::Rules;
use model::Timestamp;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

const POLICIES: [&str; 4] = ["b union", "d k>=2", "e gate", "e gate + guard"];
/// Classes of the benign list that are never published by machine.
const ABSOLUTE: [&str; 6] = ["top", "vendor", "bank", "university", "security-vendor", "public-dns"];
/// Classes that are not published without more evidence.
const CAUTIOUS: [&str; 1] = ["shared-hosting"];
/// F for each report of a guarded name.
const BLAME: f64 = 0.5;
/// A publication counts as known for so long.
const KNOWN_MS: i64 = 90 * DAY_MS;
/// Reporters with fewer values are left out of the median reporter.
const BIG: usize = 100;

/// Guarded names by class.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Benign {
    absolute: BTreeSet<String>,
    cautious: BTreeSet<String>,
}

impl Benign {
    /// From CSV text with the header `domain,class,…`.
    ///
    /// # Errors
    /// [`Error::Refused`] naming line and field.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(text).map_err(|_| Error::refused("benign list", "bytes", "UTF-8 text"))?;
        let mut benign = Self::default();
        let mut lines = text.lines().zip(1..);
        if !lines.next().is_some_and(|(header, _)| header.starts_with("domain,class")) {
            return Err(refused(1, "header", "", "domain,class,lists"));
        }
        for (line, number) in lines.filter(|(line, _)| !line.is_empty()) {
            let fields = fields(line).ok_or_else(|| refused(number, "quotes", line, "RFC 4180"))?;
            let [domain, class, ..] = &fields[..] else {
                return Err(refused(number, "fields", line, "at least domain and class"));
            };
            if domain.len() > FIELD_MAX {
                return Err(refused(number, "domain", domain, &format!("at most {FIELD_MAX} bytes")));
            }
            if ABSOLUTE.contains(&class.as_str()) {
                benign.absolute.insert(domain.clone());
            } else if CAUTIOUS.contains(&class.as_str()) {
                benign.cautious.insert(domain.clone());
            }
        }
        Ok(benign)
    }
}

/// One policy.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IndicatorRow {
    /// Its name.
    pub policy: &'static str,
    /// First reports of a value by a reporter.
    pub first_reports: usize,
    /// Share of them that was published already.
    pub already_published: f64,
    /// Median lead of the publication over them, hours.
    pub lead_hours: f64,
    /// Values published.
    pub published: usize,
    /// Of them, on the benign list.
    pub benign: usize,
    /// Share of the published that is not.
    pub precision: f64,
    /// Median over the big reporters of the share already published.
    pub median_reporter: f64,
}

/// The indicator table.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IndicatorTable {
    /// Reporters.
    pub reporters: usize,
    /// Those with at least 100 values in the scored span.
    pub big_reporters: usize,
    /// Hosts, addresses and hashes.
    pub values: usize,
    /// The policies.
    pub rows: Vec<IndicatorRow>,
}

/// Replays posted indicators, by host where they are URLs.
///
/// # Errors
/// [`Error::Refused`] if `rules` are outside their limits or nothing is left to score.
pub fn indicators(rows: &[Row], warm: Option<&[Row]>, benign: &Benign, rules: &Rules) -> Result<IndicatorTable, Error> {
    let history = History::with_values(rows, warm, |row| host(&row.value, &row.kind))?;
    let big = big_reporters(&history);
    let rows = (0..POLICIES.len()).map(|policy| replay(&history, benign, rules, policy, &big));
    Ok(IndicatorTable {
        reporters: history.members.len(),
        big_reporters: big.len(),
        values: history.values.len(),
        rows: rows.collect::<Result<_, Error>>()?,
    })
}

/// What closing the holes costs in what is published before it is posted again.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct IndicatorCost {
    /// Which holes are closed.
    pub closed: &'static str,
    /// The gate with guards.
    pub gate: IndicatorRow,
    /// Its share of what the union of all reports had published already.
    pub of_union: f64,
}

/// Replays posted indicators for every [`Ablation`].
///
/// # Errors
/// As [`indicators`].
pub fn indicator_cost(
    rows: &[Row],
    warm: Option<&[Row]>,
    benign: &Benign,
    rules: &Rules,
) -> Result<Vec<IndicatorCost>, Error> {
    let cost = |ablation: Ablation| {
        let mut table = indicators(rows, warm, benign, &ablation.apply(rules))?.rows;
        let union = table.first().map_or(f64::NAN, |row| row.already_published);
        let gate = table.pop().ok_or_else(|| Error::refused("policies", 0, "at least one"))?;
        Ok(IndicatorCost { closed: ablation.name(), of_union: gate.already_published / union, gate })
    };
    Ablation::ALL.into_iter().map(cost).collect()
}

/// What a policy did so far.
#[derive(Default)]
struct Score {
    first_reports: usize,
    leads: Vec<f64>,
    published: usize,
    benign: usize,
    reporters: BTreeMap<u16, (usize, usize)>,
}

fn replay(
    history: &History,
    benign: &Benign,
    rules: &Rules,
    policy: usize,
    big: &BTreeSet<u16>,
) -> Result<IndicatorRow, Error> {
    let mut engine = history.engine(rules)?;
    let mut published: Vec<Option<i64>> = vec![None; history.values.len()];
    let mut seen: Vec<Vec<u16>> = vec![Vec::new(); history.values.len()];
    let mut score = Score::default();
    for event in &history.events {
        let (value, at) = (event.value as usize, event.at);
        let name = history.values[value].as_str();
        let scored = event.scored && at / DAY_MS >= history.start;
        let fresh = !seen[value].contains(&event.member);
        if fresh {
            seen[value].push(event.member);
        }
        if fresh && scored {
            score.report(event.member, published[value].map(|since| at - since), big);
        }
        engine.sight(&history.sight(event))?;
        // Who reports one page of a famous host named the narrow object: the guard holds it back, nobody is at fault.
        if benign.absolute.contains(name) && policy >= 2 && fresh && !event.narrow {
            engine.blame(MemberIndex(event.member), BLAME, Timestamp::from_millis(at))?;
        }
        let yes = match policy {
            0 => true,
            1 => seen[value].len() >= 2,
            _ => engine.is_corroborated(history.keys[value], Timestamp::from_millis(at)),
        };
        let guarded = policy == 3 && (benign.absolute.contains(name) || benign.cautious.contains(name));
        if published[value].is_none() && yes && !guarded {
            published[value] = Some(at);
            score.published += usize::from(scored);
            score.benign += usize::from(scored && benign.absolute.contains(name));
        }
    }
    Ok(score.row(POLICIES[policy]))
}

impl Score {
    /// A reporter's first report of a value, published `since` so long ago.
    fn report(&mut self, member: u16, since: Option<i64>, big: &BTreeSet<u16>) {
        self.first_reports += 1;
        self.leads.extend(since.filter(|since| *since <= KNOWN_MS).map(|since| since as f64 / 3_600_000.0));
        if big.contains(&member) {
            let reporter = self.reporters.entry(member).or_default();
            reporter.0 += 1;
            reporter.1 += usize::from(since.is_some());
        }
    }

    fn row(self, policy: &'static str) -> IndicatorRow {
        let covered = self.reporters.values().map(|(all, known)| *known as f64 / *all as f64).collect();
        IndicatorRow {
            policy,
            first_reports: self.first_reports,
            already_published: self.leads.len() as f64 / self.first_reports.max(1) as f64,
            lead_hours: median(self.leads),
            published: self.published,
            benign: self.benign,
            precision: 1.0 - self.benign as f64 / self.published.max(1) as f64,
            median_reporter: median(covered),
        }
    }
}

fn big_reporters(history: &History) -> BTreeSet<u16> {
    let mut values: BTreeMap<u16, BTreeSet<u32>> = BTreeMap::new();
    for event in history.events.iter().filter(|event| event.scored && event.at / DAY_MS >= history.start) {
        values.entry(event.member).or_default().insert(event.value);
    }
    values.into_iter().filter(|(_, values)| values.len() >= BIG).map(|(member, _)| member).collect()
}

/// The host of a URL without its port and without `www.`; other values without `www.`.
fn host(value: &str, kind: &str) -> String {
    let mut host = value;
    if kind == "url" {
        host = host.split_once("://").map_or(host, |(_, rest)| rest);
        host = host.split('/').next().unwrap_or(host);
        if host.matches(':').count() == 1 {
            host = host.split(':').next().unwrap_or(host);
        }
    }
    host.strip_prefix("www.").unwrap_or(host).to_owned()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

/// The table as an aligned text.
impl std::fmt::Display for IndicatorTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reporters, big_reporters, values, .. } = self;
        writeln!(f, "reporters {reporters}, with >=100 values in the scored span {big_reporters}; values {values}")?;
        write!(f, "{:<16}{:>14}{:>19}{:>15}", "policy", "first reports", "already published", "median lead h")?;
        writeln!(f, "{:>11}{:>8}{:>11}{:>17}", "published", "benign", "precision", "median reporter")?;
        for row in &self.rows {
            write!(f, "{:<16}{:>14}{:>19.4}", row.policy, row.first_reports, row.already_published)?;
            write!(f, "{:>15.2}{:>11}{:>8}", row.lead_hours, row.published, row.benign)?;
            writeln!(f, "{:>11.4}{:>17.4}", row.precision, row.median_reporter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_lose_scheme_path_port_and_www() {
        assert_eq!(host("https://www.example.org:8080/a/b", "url"), "example.org");
        assert_eq!(host("http://[2001:db8::1]:80/x", "url"), "[2001:db8::1]:80");
        assert_eq!(host("www.example.org", "domain"), "example.org");
    }

    #[test]
    fn medians_of_none_odd_and_even() {
        assert!(median(vec![]).is_nan());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn a_benign_list_with_quotes_is_read_and_a_short_line_named() {
        let benign = Benign::parse(b"domain,class,lists\n\"a,b\",top,x\nc.org,shared-hosting,y\n").unwrap();
        assert!(benign.absolute.contains("a,b") && benign.cautious.contains("c.org"));
        assert!(Benign::parse(b"domain,class\nx\n").unwrap_err().to_string().contains("line 2"));
        assert!(Benign::parse(b"cidr,class\n").is_err());
    }
}

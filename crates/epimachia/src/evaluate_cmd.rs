//! `epimachia evaluate`: replays a recorded history and prints what the alliance's rules would have done.

mod picture;

use crate::exit::{Exit, Failure, Outcome};
use crate::{out, progress};
use clap::Args;
use corroborate::Rules;
use corroborate::evaluate::{
    Benign, Cast, CostTable, DailyTable, Days, FirstContactsTable, FitTable, Frontier, History, IndicatorCost,
    IndicatorTable, Latency, PoisonTable, StreamTable, cost, daily, fit, frontier, indicator_cost, indicators, poison,
    rows, stream,
};
use serde::Serialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Longest recorded history, in expanded bytes.
const HISTORY_BYTES_MAX: u64 = 4 << 30;

/// Replay a recorded history: what the alliance's rules would have done
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia evaluate sightings.csv.zst --json > tables.json
  epimachia evaluate sightings.csv.zst --fit 14..39
  epimachia evaluate sightings.csv.zst --frontier frontier.svg
Next: docs/why/corroboration.md says what the tables mean")]
pub struct Evaluate {
    /// Sightings as CSV (`observed_at,member,type,value,category`), sorted by time; `.zst` is expanded
    sightings: PathBuf,
    /// An earlier history that fills the state and is not scored
    #[arg(long)]
    warm: Option<PathBuf>,
    /// A guard list (`domain,class,lists`): replays posted indicators, and counts what would have hit it
    #[arg(long)]
    benign: Option<PathBuf>,
    /// Only this table; may be repeated. Without it: all but indicators; with --benign: indicators
    #[arg(long)]
    only: Vec<Table>,
    /// Refit the weights of relevance on these days, such as 14..39 (counted from 0), and judge them on the others;
    /// changes nothing
    #[arg(long, value_name = "DAYS")]
    fit: Option<Days>,
    /// Try other numbers for the charter, and draw what each buys and costs into this SVG file
    #[arg(long, value_name = "FILE")]
    frontier: Option<PathBuf>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Table {
    /// Next-day forecast with lists of fixed length
    Daily,
    /// Real-time replay, over propagation latencies
    Stream,
    /// First contacts met, by policy and latency
    FirstContacts,
    /// What closing each hole of the formula costs
    Cost,
    /// Liars and sloppy members mixed in
    Poison,
    /// Posted indicators: what was published before it was posted again
    Indicators,
}

#[derive(Serialize, Default)]
struct Tables {
    daily: Option<DailyTable>,
    stream: Option<StreamTable>,
    first_contacts: Option<FirstContactsTable>,
    cost: Option<CostTable>,
    poison: Option<PoisonTable>,
    indicators: Option<IndicatorTable>,
    indicator_cost: Option<Vec<IndicatorCost>>,
    fit: Option<FitTable>,
    frontier: Option<Frontier>,
}

/// Runs the command.
pub fn run(arguments: &Evaluate) -> Outcome {
    let eval = read(&arguments.sightings)?;
    let warm = arguments.warm.as_deref().map(read).transpose()?;
    let benign = arguments.benign.as_deref().map(read_benign).transpose()?;
    let tables =
        tables(arguments, &eval, warm.as_deref(), benign.as_ref()).map_err(|e| wrong(&arguments.sightings, &e))?;
    if let (Some(frontier), Some(file)) = (&tables.frontier, &arguments.frontier) {
        std::fs::write(file, picture::draw(frontier))
            .map_err(|e| Failure::failed(format_args!("{}: {e}", file.display()), "name a file that can be written"))?;
        out::say(format_args!("The picture is in {}.", file.display()));
    }
    match arguments.json {
        true => out::json(&tables),
        false => print(&tables),
    }
    Ok(Exit::Done)
}

impl Evaluate {
    fn wants(&self, table: Table) -> bool {
        let nothing_else = self.fit.is_none() && self.frontier.is_none();
        match self.only.as_slice() {
            [] if self.benign.is_some() => table == Table::Indicators,
            [] => nothing_else && table != Table::Indicators,
            only => only.contains(&table),
        }
    }
}

fn tables(
    arguments: &Evaluate,
    eval: &[rows::Row],
    warm: Option<&[rows::Row]>,
    benign: Option<&Benign>,
) -> Result<Tables, corroborate::Error> {
    let (rules, cast) = (Rules::default(), Cast::default());
    let wants = |table| arguments.wants(table);
    let mut tables = Tables::default();
    let busy = progress::busy("Replaying");
    if wants(Table::Indicators) {
        let none = Benign::default();
        let benign = benign.unwrap_or(&none);
        tables.indicators = Some(indicators(eval, warm, benign, &rules)?);
        tables.indicator_cost = Some(indicator_cost(eval, warm, benign, &rules)?);
    }
    let history = History::new(eval, warm)?;
    tables.daily = wants(Table::Daily).then(|| daily(&history, &rules)).transpose()?;
    if wants(Table::Stream) || wants(Table::FirstContacts) {
        let table = stream(&history, &rules, &Latency::ALL)?;
        tables.first_contacts = wants(Table::FirstContacts).then(|| FirstContactsTable::of(&table));
        tables.stream = wants(Table::Stream).then_some(table);
    }
    tables.cost = wants(Table::Cost).then(|| cost(&history, &rules)).transpose()?;
    tables.poison = wants(Table::Poison).then(|| poison(&history, &rules, &cast)).transpose()?;
    tables.fit = arguments.fit.map(|days| fit(&history, &rules, days)).transpose()?;
    busy.finish_and_clear();
    if arguments.frontier.is_some() {
        let total = corroborate::evaluate::frontier::settings(&rules) as u64;
        let bar = progress::entries(total, "Trying settings");
        tables.frontier = Some(frontier(&history, &rules, &cast, || bar.inc(1))?);
        bar.finish_and_clear();
    }
    Ok(tables)
}

fn print(tables: &Tables) {
    let texts: [Option<String>; 9] = [
        tables.daily.as_ref().map(ToString::to_string),
        tables.stream.as_ref().map(ToString::to_string),
        tables.first_contacts.as_ref().map(ToString::to_string),
        tables.cost.as_ref().map(ToString::to_string),
        tables.poison.as_ref().map(ToString::to_string),
        tables.indicators.as_ref().map(ToString::to_string),
        tables.indicator_cost.as_deref().map(cost_text),
        tables.fit.as_ref().map(ToString::to_string),
        tables.frontier.as_ref().map(ToString::to_string),
    ];
    let texts: Vec<String> = texts.into_iter().flatten().map(|text| text.trim_end().to_owned()).collect();
    out::line(texts.join("\n\n"));
}

fn cost_text(costs: &[IndicatorCost]) -> String {
    let head = format!("{:<36}{:>19}{:>15}{:>8}", "closed", "already published", "of the union's", "benign");
    let line = |cost: &IndicatorCost| {
        let (gate, share) = (&cost.gate, cost.of_union * 100.0);
        format!("\n{:<36}{:>19.4}{share:>13.1} %{:>8}", cost.closed, gate.already_published, gate.benign)
    };
    head + &costs.iter().map(line).collect::<String>()
}

fn read(path: &Path) -> Result<Vec<rows::Row>, Failure> {
    rows::parse(&expanded(path)?).map_err(|e| wrong(path, &e))
}

fn read_benign(path: &Path) -> Result<Benign, Failure> {
    Benign::parse(&expanded(path)?).map_err(|e| wrong(path, &e))
}

/// A file's bytes, expanded if its name ends in `.zst`.
fn expanded(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |e: std::io::Error| Failure::failed(format_args!("{}: {e}", path.display()), "");
    let file = std::fs::File::open(path).map_err(failed)?;
    let expanded: Box<dyn std::io::Read> = match path.extension().is_some_and(|e| e == "zst") {
        true => Box::new(zstd::Decoder::new(file).map_err(failed)?),
        false => Box::new(file),
    };
    let mut text = Vec::new();
    expanded.take(HISTORY_BYTES_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > HISTORY_BYTES_MAX {
        return Err(Failure::failed(
            format_args!("{}: more than {HISTORY_BYTES_MAX} bytes", path.display()),
            "split it",
        ));
    }
    Ok(text)
}

fn wrong(path: &Path, error: &corroborate::Error) -> Failure {
    Failure::failed(format_args!("{}: {error}", path.display()), "correct the file; nothing was changed")
}

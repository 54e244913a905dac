//! `epimachia evaluate`: replays a recorded history and prints what the alliance's rules would have done.

use crate::exit::{Exit, Failure, Outcome};
use crate::{out, progress};
use clap::Args;
use corroborate::Rules;
use corroborate::evaluate::{
    Benign, Cast, CostTable, DailyTable, History, IndicatorTable, Latency, PoisonTable, StreamTable, cost, daily,
    indicators, poison, rows, stream,
};
use serde::Serialize;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Longest recorded history, in expanded bytes.
const HISTORY_BYTES_MAX: u64 = 4 << 30;

/// Replay a recorded history: what the alliance's rules would have done
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  epimachia evaluate sightings.csv.zst --json > tables.json")]
pub struct Evaluate {
    /// Sightings as CSV (`observed_at,member,type,value,category`), sorted by time; `.zst` is expanded
    sightings: PathBuf,
    /// An earlier history that fills the state and is not scored
    #[arg(long)]
    warm: Option<PathBuf>,
    /// A guard list (`domain,class,lists`): replays posted indicators, and counts what would have hit it
    #[arg(long)]
    benign: Option<PathBuf>,
    /// Only this table; may be repeated. Without it: daily, stream and cost; with --benign: indicators
    #[arg(long)]
    only: Vec<Table>,
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
    /// What closing each hole of the formula costs
    Cost,
    /// Liars and sloppy members mixed in
    Poison,
    /// Posted indicators: what was published before it was posted again
    Indicators,
}

#[derive(Serialize)]
struct Tables {
    daily: Option<DailyTable>,
    stream: Option<StreamTable>,
    cost: Option<CostTable>,
    poison: Option<PoisonTable>,
    indicators: Option<IndicatorTable>,
}

/// Runs the command.
pub fn run(arguments: &Evaluate) -> Outcome {
    let eval = read(&arguments.sightings)?;
    let warm = arguments.warm.as_deref().map(read).transpose()?;
    let benign = arguments.benign.as_deref().map(read_benign).transpose()?.unwrap_or_default();
    let tables = tables(arguments, &eval, warm.as_deref(), &benign).map_err(|e| wrong(&arguments.sightings, &e))?;
    match arguments.json {
        true => out::json(&tables),
        false => print(&tables),
    }
    Ok(Exit::Done)
}

fn tables(
    arguments: &Evaluate,
    eval: &[rows::Row],
    warm: Option<&[rows::Row]>,
    benign: &Benign,
) -> Result<Tables, corroborate::Error> {
    let rules = Rules::default();
    let history = History::new(eval, warm)?;
    let wanted = |table| match (arguments.only.as_slice(), arguments.benign.is_some()) {
        ([], false) => matches!(table, Table::Daily | Table::Stream | Table::Cost),
        ([], true) => table == Table::Indicators,
        (only, _) => only.contains(&table),
    };
    let busy = progress::busy("Replaying");
    let tables = Tables {
        daily: wanted(Table::Daily).then(|| daily(&history, &rules)).transpose()?,
        stream: wanted(Table::Stream).then(|| stream(&history, &rules, &Latency::ALL)).transpose()?,
        cost: wanted(Table::Cost).then(|| cost(&history, &rules)).transpose()?,
        poison: wanted(Table::Poison).then(|| poison(&history, &rules, &Cast::default())).transpose()?,
        indicators: wanted(Table::Indicators).then(|| indicators(eval, warm, benign, &rules)).transpose()?,
    };
    busy.finish_and_clear();
    Ok(tables)
}

fn print(tables: &Tables) {
    if let Some(daily) = &tables.daily {
        out::line(daily);
    }
    if let Some(stream) = &tables.stream {
        out::line(format_args!("\n{stream}"));
    }
    if let Some(cost) = &tables.cost {
        out::line(format_args!("\n{cost}"));
    }
    if let Some(poison) = &tables.poison {
        out::line(format_args!("\n{poison}"));
    }
    if let Some(indicators) = &tables.indicators {
        out::line(format_args!("\n{indicators}"));
    }
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

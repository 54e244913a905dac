//! `epimachia feed`: what comes in from other tools by itself, what goes out, and what would never leave.

use crate::client::settings::Beside;
use crate::clock::short;
use crate::exit::{Exit, Failure, Outcome};
use crate::member_side::MemberSide;
use crate::{foreign, out};
use agent::feeds::{FeedView, Probe};
use agent::{Config, Request};
use clap::Subcommand;
use model::Sighting;
use share::Limits;
use share::stix::Split;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a look that was asked for is waited for.
const LOOK_MAX: Duration = Duration::from_secs(600);
/// How often the agent is asked whether it has ended.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What to do with feeds.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List pulls and pushes: how far each is, when it last got through, how much was refused
    List {
        /// A JSON list
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Show one pull or push: what became of everything, and samples of what was refused
    Show {
        /// Its name
        name: String,
        /// One JSON document
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Have the agent look at a pull or push now, and say how it went
    Now {
        /// Its name
        name: String,
        /// One JSON document
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Look at the first part of a pull without an agent: what would be taken, refused, withheld. Nothing is sent
    Test {
        /// Its name in the configuration
        name: String,
        /// The agent's configuration
        #[arg(long, value_name = "FILE", default_value = crate::agent_cmd::CONFIG)]
        config: PathBuf,
        /// Our alliance's name: what came from it is told apart
        #[arg(long, default_value = "")]
        alliance: String,
        /// One JSON document
        #[arg(long)]
        json: bool,
    },
    /// Say what in a file points to this member and would be withheld. Nothing is sent
    #[command(after_help = "Examples:
  epimachia feed strip --config agent.toml bundle.json       STIX: a bundle, an envelope, a list
  epimachia feed strip --config agent.toml sightings.jsonl   sightings, one as JSON a line
Exit code 5: something would be withheld.")]
    Strip {
        /// The file
        file: PathBuf,
        /// The agent's configuration, with its [strip] and [observe]
        #[arg(long, value_name = "FILE", default_value = crate::agent_cmd::CONFIG)]
        config: PathBuf,
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { json, beside } => list(json, &MemberSide::open(&beside)?),
        Command::Show { name, json, beside } => {
            let view = one(&MemberSide::open(&beside)?, &name)?;
            Ok(show(&view, json))
        }
        Command::Now { name, json, beside } => look(&name, json, &MemberSide::open(&beside)?),
        Command::Test { name, config, alliance, json } => test(&name, &config, &alliance, json),
        Command::Strip { file, config, json } => strip(&file, &config, json),
    }
}

fn list(json: bool, side: &MemberSide) -> Outcome {
    let views: Vec<FeedView> = side.view(&Request::Feeds)?;
    if json {
        out::json_list(&views);
        return Ok(Exit::Done);
    }
    let row = |view: &FeedView| {
        let last = view.last_success.map_or_else(|| "never".to_owned(), short);
        let refused: u64 = counted(view, &["refused", "stripped"]);
        let taken: u64 = counted(view, &["objects", "sightings"]);
        let state = if view.failure.is_some() { "fails" } else { "works" };
        let position = view.position.clone().unwrap_or_else(|| "the beginning".to_owned());
        vec![view.name.clone(), view.direction.clone(), view.kind.clone(), state.to_owned(), last, position]
            .into_iter()
            .chain([taken.to_string(), refused.to_string()])
            .collect()
    };
    let rows: Vec<Vec<String>> = views.iter().map(row).collect();
    out::table(&["FEED", "DIRECTION", "KIND", "STATE", "LAST SUCCESS", "POSITION", "TAKEN", "REFUSED"], &rows);
    if rows.is_empty() {
        out::say("Nothing is pulled or pushed. Next: add a [[pull]] or [[push]] to the agent's configuration");
    }
    Ok(Exit::Done)
}

fn counted(view: &FeedView, what: &[&str]) -> u64 {
    let of = |key: &str| what.contains(&key.split(':').next().unwrap_or(key));
    view.counts.iter().filter(|(key, _)| of(key)).map(|(_, count)| count).sum()
}

fn one(side: &MemberSide, name: &str) -> Result<FeedView, Failure> {
    let views: Vec<FeedView> = side.view(&Request::Feeds)?;
    let none = || Failure::failed(format_args!("no pull or push is called {name}"), "epimachia feed list");
    views.into_iter().find(|view| view.name == name).ok_or_else(none)
}

/// Prints one feed; done in part where it fails.
fn show(view: &FeedView, json: bool) -> Exit {
    let exit = if view.failure.is_some() { Exit::Partial } else { Exit::Done };
    if json {
        out::json(view);
        return exit;
    }
    let last = view.last_success.map_or_else(|| "never".to_owned(), short);
    out::line(format_args!("{}: {} by {}, every {}", view.name, view.direction, view.kind, view.every));
    out::line(format_args!("  position      {}", view.position.as_deref().unwrap_or("the beginning")));
    out::line(format_args!("  last success  {last}"));
    if let Some(failure) = &view.failure {
        out::line(format_args!("  fails         {failure}"));
    }
    view.quirks.iter().for_each(|quirk| out::line(format_args!("  odd           {quirk}")));
    view.counts.iter().for_each(|(what, count)| out::line(format_args!("  {count:>12}  {what}")));
    view.samples.iter().for_each(|sample| out::line(format_args!("  e.g.          {sample}")));
    exit
}

fn look(name: &str, json: bool, side: &MemberSide) -> Outcome {
    let before: u64 = side.view(&Request::FeedNow { feed: name.to_owned() })?;
    let begun = Instant::now();
    loop {
        let view = one(side, name)?;
        if view.rounds > before && !view.busy {
            return Ok(show(&view, json));
        }
        if begun.elapsed() > LOOK_MAX {
            let what = format!("{name} is still at it; what it has taken so far stays taken");
            return Err(Failure::failed(what, format_args!("epimachia feed show {name}")));
        }
        std::thread::sleep(ASK_EVERY);
    }
}

fn test(name: &str, file: &Path, alliance: &str, json: bool) -> Outcome {
    let config = Config::read(file).map_err(|error| crate::agent_cmd::at(file, error))?;
    let pull = config.pulls.iter().find(|pull| pull.name == name);
    let none = || Failure::failed(format_args!("{}: no pull is called {name}", file.display()), "correct the name");
    let pull = pull.ok_or_else(none)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let probe = runtime.block_on(agent::feeds::probe(pull, &config.strip(), alliance));
    let probe = probe.map_err(|error| Failure::failed(error, "correct the [[pull]], then the same again"))?;
    match json {
        true => out::json(&probe),
        false => print(&probe),
    }
    Ok(Exit::Done)
}

fn print(probe: &Probe) {
    let more = if probe.more { " There is more after this first part." } else { "" };
    let sightings = probe.sightings.len();
    out::line(format_args!("would pass on {}", out::count(probe.objects, "object")));
    out::line(format_args!("would sign    {}", out::count(sightings, "sighting")));
    probe.counts.iter().for_each(|(what, count)| out::line(format_args!("  {count:>12}  {what}")));
    probe.samples.iter().for_each(|sample| out::line(format_args!("  e.g.          {sample}")));
    probe.odd.iter().for_each(|odd| out::line(format_args!("  odd           {odd}")));
    out::say(format_args!("Nothing was sent.{more}"));
}

fn strip(file: &Path, config: &Path, json: bool) -> Outcome {
    let rules = Config::read(config).map_err(|error| crate::agent_cmd::at(config, error))?.strip();
    let bytes = foreign::read(file, Limits::FILE.bytes)?;
    let withheld: Vec<(String, String)> = match sightings(&bytes) {
        Some(sightings) => sightings
            .iter()
            .filter_map(|sighting| Some((sighting.observable.to_string(), rules.sighting(sighting)?.to_string())))
            .collect(),
        None => {
            let split = Split::read(&bytes, &Limits::FILE);
            let wrong = |error: model::ParseError| Failure::failed(error, "STIX as JSON, or sightings, one a line");
            let objects = split.map_err(wrong)?.objects;
            objects
                .iter()
                .filter_map(|object| Some((id_of(object.get()), rules.object(object.get())?.to_string())))
                .collect()
        }
    };
    if json {
        let items: Vec<_> =
            withheld.iter().map(|(what, why)| serde_json::json!({"withheld": what, "because": why})).collect();
        out::json_list(&items);
    } else {
        let rows: Vec<Vec<String>> = withheld.iter().map(|(what, why)| vec![what.clone(), why.clone()]).collect();
        out::table(&["WITHHELD", "BECAUSE"], &rows);
    }
    Ok(if withheld.is_empty() { Exit::Done } else { Exit::Differs })
}

/// The file as sightings, one a line, if it is that.
fn sightings(bytes: &[u8]) -> Option<Vec<Sighting>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| Sighting::parse(line).ok()).collect()
}

fn id_of(object: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(object).unwrap_or_default();
    model::parse::printable(value["id"].as_str().unwrap_or("an object without an identifier"))
}

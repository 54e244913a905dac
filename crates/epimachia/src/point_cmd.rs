//! `epimachia point`: this member's enforcement points, and what each was read back as enforcing.

use crate::client::settings::Beside;
use crate::clock::{now, short};
use crate::exit::{Exit, Failure, Outcome};
use crate::member_side::{Held, MemberSide};
use crate::{here_view, out};
use agent::Request;
use clap::{Subcommand, ValueEnum};
use model::PointName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What to do with enforcement points.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List the points, and how many protections each was read back as enforcing
    List {
        /// A JSON list
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Show what a point is told to do, and what it answered; or the configuration that its peer needs
    #[command(after_help = "Examples:
  epimachia point show resolvers --for bind      what to paste into named.conf; no secret is shown
  epimachia point show resolvers --for unbound
  epimachia point show edge --for nft            the table, as nft -f takes it")]
    Show {
        /// The point's name
        point: PointName,
        /// Print what this peer is to be given, from the configuration alone
        #[arg(long = "for", value_enum, value_name = "PEER")]
        peer: Option<Peer>,
        /// The agent's configuration, for `--for`
        #[arg(long, value_name = "FILE", default_value = crate::agent_cmd::CONFIG)]
        config: PathBuf,
        /// A JSON list of its mitigations
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        beside: Beside,
    },
}

/// Who is to be given a configuration.
#[derive(Clone, Copy, ValueEnum, Debug)]
pub enum Peer {
    /// BIND's named.conf
    Bind,
    /// unbound.conf
    Unbound,
    /// The packet filter's table
    Nft,
}

#[derive(Deserialize)]
struct Points {
    points: BTreeMap<PointName, u64>,
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command {
        Command::List { json, beside } => list(json, &MemberSide::open(&beside)?),
        Command::Show { point, peer: Some(peer), config, .. } => paste(&point, peer, &config),
        Command::Show { point, json, beside, .. } => show(&point, json, &MemberSide::open(&beside)?),
    }
}

fn list(json: bool, side: &MemberSide) -> Outcome {
    let points = side.view::<Points>(&Request::Status)?.points;
    if json {
        let items: Vec<_> = points.iter().map(|(name, n)| serde_json::json!({"point": name, "enforced": n})).collect();
        out::json_list(&items);
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = points.iter().map(|(name, n)| vec![name.to_string(), n.to_string()]).collect();
    out::table(&["POINT", "READ BACK AS ENFORCING"], &rows);
    if rows.is_empty() {
        out::say("No point is configured: every mitigation is refused here. Next: add a [[point]] of type preview");
    }
    Ok(Exit::Done)
}

fn paste(point: &PointName, peer: Peer, file: &Path) -> Outcome {
    let config = agent::Config::read(file).map_err(|error| crate::agent_cmd::at(file, error))?;
    let found = config.points.iter().find(|known| known.name() == point);
    let found = found.ok_or_else(|| {
        let names: Vec<String> = config.points.iter().map(|known| known.name().to_string()).collect();
        let what = format!("{}: no point is called {point}; there are: {}", file.display(), names.join(", "));
        Failure::failed(what, "correct the name, or add a [[point]]")
    })?;
    let peer = match peer {
        Peer::Bind => agent::config::Peer::Bind,
        Peer::Unbound => agent::config::Peer::Unbound,
        Peer::Nft => agent::config::Peer::Nft,
    };
    let text = found.configuration_for(peer);
    out::raw(&text.map_err(|refusal| Failure::Refused { refusal, next: "epimachia point show --help".to_owned() })?);
    Ok(Exit::Done)
}

fn show(point: &PointName, json: bool, side: &MemberSide) -> Outcome {
    let points = side.view::<Points>(&Request::Status)?.points;
    if !points.contains_key(point) {
        return Err(Failure::failed(format_args!("no point is called {point}"), "epimachia point list"));
    }
    let mut all: Vec<serde_json::Value> = side.view(&Request::Mitigations)?;
    all.retain(|held| held["points"].get(point.as_str()).is_some());
    if json {
        out::json_list(&all);
        return Ok(Exit::Done);
    }
    let held = all.into_iter().map(serde_json::from_value).collect::<Result<Vec<Held>, _>>();
    let held = held.map_err(|e| Failure::failed(e, "epimachia version"))?;
    out::line(format_args!("{point}: {} at {}", out::count(held.len(), "mitigation"), short(now())));
    held.iter().flat_map(|one| here_view::block(one, now())).for_each(out::line);
    Ok(Exit::Done)
}

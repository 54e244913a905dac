//! `epimachia measure`: time to protection on this machine, with several agents and a real resolver for each.
//!
//! A round: one member reports a name, another confirms it; the clock runs from the moment at which the second one's
//! sensor hands the sighting to its agent (so batching, signing and the POST are in it) to the read-back of the last of
//! the agents at its own resolver. With `--flow` other members' sightings pass through the same hub meanwhile.

use super::cast::{MEASURED, REPORTERS, Role};
use super::flow::Flow;
use super::scenes::{mitigations, text};
use super::stage::Stage;
use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use account::Figures;
use clap::Args;
use model::{Behaviour, Grade, Handling, Sensor, Sighting, Span, Timestamp, Tlp};
use serde::Serialize;
use std::path::Path;
use std::time::Instant;

/// From it the members' keys follow.
const SEED: u64 = 1;

/// Time to protection on this machine, with several agents and a resolver for each
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  epimachia measure --rounds 100\n  epimachia measure --agents 30 --flow 20000")]
pub struct Measure {
    /// How many times
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// How many agents, each with a resolver
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=50))]
    agents: u32,
    /// So many sightings a second by other members meanwhile
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=40_000))]
    flow: u32,
    /// How many other members must have cosigned before an agent acts
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=9))]
    cosignatures: u32,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Measured {
    rounds: u32,
    cosignatures: u32,
    agents: usize,
    resolvers: &'static str,
    /// Sightings a second of other members that the hub took meanwhile.
    flow_per_second: u64,
    /// From the sensor's sighting to the last agent's read-back.
    last_p50_ms: u64,
    last_p99_ms: u64,
    last_max_ms: u64,
    /// To each agent's.
    each_p50_ms: u64,
    each_p99_ms: u64,
}

/// Runs the command.
pub fn run(arguments: &Measure) -> Outcome {
    let directory = std::env::temp_dir().join(format!("epimachia-measure-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let measured = super::within_runtime(measure(arguments, &directory))?;
    std::fs::remove_dir_all(&directory)?;
    match arguments.json {
        true => out::json(&measured),
        false => print(&measured),
    }
    Ok(Exit::Done)
}

fn print(m: &Measured) {
    out::line(format_args!("{} rounds, {} agents, each with {}.", m.rounds, m.agents, m.resolvers));
    if m.flow_per_second > 0 {
        out::line(format_args!("Meanwhile the hub took {} sightings a second of other members.", m.flow_per_second));
    }
    if m.cosignatures > 0 {
        out::line(format_args!("Each agent waits for {} other members' cosignatures.", m.cosignatures));
    }
    out::line("From the corroborating sighting at its sensor to the read-back at the resolver:");
    out::line(format_args!(
        "  the last of all agents   p50 {} ms, p99 {} ms, worst {} ms",
        m.last_p50_ms, m.last_p99_ms, m.last_max_ms
    ));
    out::line(format_args!("  each agent               p50 {} ms, p99 {} ms", m.each_p50_ms, m.each_p99_ms));
}

async fn measure(arguments: &Measure, directory: &Path) -> Result<Measured, Failure> {
    let agents = &MEASURED[..MEASURED.len().min(arguments.agents as usize)];
    if arguments.cosignatures >= arguments.agents {
        let (asked, others) = (arguments.cosignatures, arguments.agents - 1);
        return Err(Failure::Usage(format!("--cosignatures is {asked}; an agent has {others} others: ask for fewer")));
    }
    let roles: Vec<Role> = agents.iter().chain(&REPORTERS).copied().collect();
    let stage = Stage::set_for(&roles, (Span::hours(6), arguments.cosignatures), SEED, directory).await?;
    let reporters = REPORTERS.iter().map(|role| Ok((*role, stage.as_member(role.id)?)));
    let flow = Flow::start(reporters.collect::<Result<_, Failure>>()?, SEED, arguments.flow);
    let begun = Instant::now();
    let (mut last, mut each) = (Vec::new(), Vec::new());
    let bar = crate::progress::entries(u64::from(arguments.rounds), "Rounds");
    for round in 0..arguments.rounds {
        let times = one_round(&stage, agents, round).await?;
        last.extend(times.iter().max().copied());
        each.extend(times);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let flow_per_second = (flow.taken() as f64 / begun.elapsed().as_secs_f64()) as u64;
    flow.stop().await?;
    let real = stage.resolvers_are_real();
    stage.strike().await?;
    let none = || Failure::failed("nothing was measured", "");
    let (last, each) = (Figures::of(&last).ok_or_else(none)?, Figures::of(&each).ok_or_else(none)?);
    Ok(Measured {
        rounds: arguments.rounds,
        cosignatures: arguments.cosignatures,
        agents: agents.len(),
        flow_per_second,
        resolvers: if real { "a real Unbound" } else { "the demo's small resolver (install unbound for real ones)" },
        last_p50_ms: last.p50_ms,
        last_p99_ms: last.p99_ms,
        last_max_ms: last.max_ms,
        each_p50_ms: each.p50_ms,
        each_p99_ms: each.p99_ms,
    })
}

/// Milliseconds until each agent has read the block back.
async fn one_round(stage: &Stage, agents: &[Role], round: u32) -> Result<Vec<u64>, Failure> {
    // Other pairs each round: two members that always agree would seem to copy each other.
    let (first, step) = (round as usize % agents.len(), round as usize / agents.len() % (agents.len() - 1) + 1);
    let second = (first + step) % agents.len();
    let name = format!("name-{round}.measured.top");
    stage.report(agents[first].id, &sighting(&name)?).await?;
    stage.known(&name).await?;
    let start = Stage::now();
    stage.report(agents[second].id, &sighting(&name)?).await?;
    let all = |why: &serde_json::Value| mitigations(why).filter(|m| m["verified"].is_string()).count() == agents.len();
    let why = stage.why_once(&name, "all agents to have read it back", all).await?;
    mitigations(&why)
        .map(|m| {
            let verified: Timestamp = text(&m["verified"]).parse()?;
            Ok(verified.since(start).as_millis().max(0).unsigned_abs())
        })
        .collect()
}

fn sighting(name: &str) -> Result<Sighting, Failure> {
    let now = Stage::now();
    Ok(Sighting {
        observable: name.parse()?,
        behaviour: Behaviour::Phishing,
        first: now,
        last: now,
        count: 1,
        sensor: Sensor::Dns,
        grade: Grade::Payload,
        handling: Handling::alliance(Tlp::Green),
    })
}

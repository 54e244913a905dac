//! `epimachia demo`: a whole alliance on this machine, on recorded attacks, in about a minute.
//!
//! A hub and six agents run in this process and speak over the real HTTPS API; a real resolver (or a small one) and, as
//! root, a real packet filter enforce. `cast` (who), `recorded` (what they see), `stage` (what runs), `scenes` (what
//! happens), `transcript` (what is said). Nothing leaves loopback.

mod api;
mod cast;
mod finale;
mod flow;
pub mod measure;
mod player;
mod recorded;
mod resolvers;
mod scenes;
mod stage;
mod transcript;

use crate::exit::{Exit, Failure, Outcome};
use crate::out;
use clap::Args;
use model::Span;
use stage::Stage;
use std::path::{Path, PathBuf};
use transcript::Transcript;

/// One recorded day passes in so long.
const DAY_PASSES_IN: Span = Span::seconds(16);

/// A whole alliance on this machine, on recorded attacks, in about a minute
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  epimachia demo\n  epimachia demo --json > demo.json\n\nNext: epimachia help")]
pub struct Demo {
    /// The keys and the order of everything follow from it
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// One JSON document instead of the transcript
    #[arg(long)]
    json: bool,
    /// Leave it running until Ctrl-C, with its files
    #[arg(long)]
    keep: bool,
    /// Where it keeps its files; default: a directory under the system's temporary one, removed at the end
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Runs the command.
pub fn run(arguments: &Demo) -> Outcome {
    let (directory, ours) = match &arguments.dir {
        Some(dir) => (dir.clone(), false),
        None => (std::env::temp_dir().join(format!("epimachia-demo-{}", std::process::id())), true),
    };
    std::fs::create_dir_all(&directory)?;
    let outcome = within_runtime(perform(arguments, &directory));
    if ours && !arguments.keep && outcome.is_ok() {
        std::fs::remove_dir_all(&directory)?;
    } else {
        out::say(format_args!("Files: {}", directory.display()));
    }
    outcome
}

/// Runs hub, agents and all in a runtime of their own.
fn within_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    // Installed before, by whomever: then it is the same one.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    outcome
}

async fn perform(arguments: &Demo, directory: &Path) -> Outcome {
    let mut transcript = Transcript::new(arguments.json);
    let rows = recorded::recordings(DAY_PASSES_IN)?;
    let mut stage = Stage::set(arguments.seed, directory).await?;
    introduce(arguments, &stage);
    scenes::replay(&mut stage, &rows, &mut transcript).await?;
    scenes::play(&mut stage, &mut transcript).await?;
    let closing = finale::play(&mut stage, arguments.keep, &mut transcript).await?;
    finale::figures(&closing, &transcript, arguments.json);
    if arguments.keep {
        out::say("Everything keeps running. Ctrl-C ends it.");
        tokio::signal::ctrl_c().await.map_err(|e| Failure::failed(e, ""))?;
    }
    stage.strike().await?;
    Ok(Exit::Done)
}

fn introduce(arguments: &Demo, stage: &Stage) {
    if arguments.json {
        return;
    }
    let times = Span::days(1).as_millis() / DAY_PASSES_IN.as_millis();
    out::line("An alliance on this machine: a telecom, a cloud operator, a DNS operator, a maker of devices,");
    out::line("a security firm, and a newcomer on probation. A hub and six agents, each joined");
    out::line("with a one-time token, speak over mutual TLS on loopback.");
    out::line(format_args!(
        "Recorded: packets at honeypots on 2013-04-24, and domains posted in February 2025; time runs {times}x."
    ));
    out::line(format_args!("Resolver: {}. Packets: {}.", stage.resolver, player::packets()));
    out::line(format_args!(
        "Mitigations last {} and are renewed while the evidence stands. Seed {}.\n",
        cast::MITIGATION_LASTS,
        arguments.seed
    ));
}

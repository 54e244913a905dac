//! The end of the demo: the hub goes away, everything expires, and the journal proves what happened, offline.

use super::scenes::{expect, wait_for};
use super::stage::Stage;
use super::transcript::{Line, Transcript};
use crate::exit::Failure;
use crate::{journal_cmd, out};
use account::VerifierKey;
use model::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How the demo ended, for machines.
#[derive(Serialize)]
pub struct Closing {
    /// The hub's status before it went away.
    pub status: Value,
    /// What agents refused, by rule.
    pub refusals_by_agents: BTreeMap<String, u64>,
    /// The journal and the proof, verified offline.
    pub proven: Option<Proven>,
    /// When it ended.
    pub ended: Timestamp,
}

/// What was verified offline.
#[derive(Serialize)]
pub struct Proven {
    /// Entries in the journal.
    pub entries: u64,
    /// The entry whose proof was checked.
    pub position: u64,
    /// The proof's file.
    pub proof: PathBuf,
    /// The key it was checked with.
    pub key: String,
}

/// Plays the end. With `keep` the hub stays and nothing is waited for.
pub async fn play(stage: &mut Stage, keep: bool, transcript: &mut Transcript) -> Result<Closing, Failure> {
    transcript.scene("The end");
    let key = VerifierKey::new("demo.example", stage.hub_key.as_bytes()).map_err(|e| Failure::failed(e, ""))?;
    let refusals_by_agents = stage.refusals().await?;
    let (position, proof) = fetch_proof(stage).await?;
    let status = stage.api.get("/api/v1/status").await?;
    let mut proven = Proven { entries: 0, position, proof, key: key.to_string() };
    if !keep {
        stage.hub_leaves().await?;
        transcript.note("hub", "goes away", "agents keep protecting, and keep expiring on time");
        everything_expires(stage, transcript).await?;
    }
    proven.entries = verify(&stage.directory, &proven, &key, keep, transcript)?;
    Ok(Closing { status, refusals_by_agents, proven: Some(proven), ended: Stage::now() })
}

async fn everything_expires(stage: &Stage, transcript: &mut Transcript) -> Result<(), Failure> {
    let before = stage.in_force().await?;
    wait_for("everything to expire", || async { Ok((stage.in_force().await? == 0).then_some(())) }).await?;
    // What a packet filter lets go by its own clock may be a moment later than the agent's.
    let nothing = || async { Ok(Some(stage.found_at_points()?).filter(|left| *left == 0)) };
    let left = wait_for("nothing to be left behind at the points", nothing).await?;
    transcript.note(
        "all",
        "expire",
        format_args!("{before} mitigations ended by the agents' own clocks; left behind: {left}"),
    );
    let answer = stage.ask_until("login-update-account.top", "NOERROR").await?;
    transcript.note("resolver", "answers", format_args!("login-update-account.top: {answer}"));
    Ok(())
}

/// The proof that the newest plan in force stands in the journal.
async fn fetch_proof(stage: &Stage) -> Result<(u64, PathBuf), Failure> {
    let mut position = None;
    let mut after = String::new();
    loop {
        let page = stage.api.get(&format!("/api/v1/journal?max=1000{after}")).await?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        let in_force = items.iter().filter(|i| i["entry"]["event"]["kind"] == "plan-in-force");
        position = in_force.filter_map(|i| i["position"].as_u64()).max().or(position);
        match page["next"].as_str() {
            Some(next) if !items.is_empty() => after = format!("&after={next}"),
            _ => break,
        }
    }
    let position = position.ok_or_else(|| Failure::failed("no plan came into force", ""))?;
    let path = format!("/api/v1/log/proof/{position}");
    let bytes = wait_for("a checkpoint over the plan", || async { Ok(stage.api.bytes(&path).await.ok()) }).await?;
    let file = stage.directory.join("plan.proof");
    std::fs::write(&file, bytes)?;
    Ok((position, file))
}

fn verify(
    directory: &Path,
    proven: &Proven,
    key: &VerifierKey,
    running: bool,
    transcript: &mut Transcript,
) -> Result<u64, Failure> {
    let shown = journal_cmd::prove(&proven.proof, key)?;
    expect(shown.position == proven.position, "the proof is of the plan's entry", &shown.position.to_string())?;
    let what = format!("entry {} stands in the journal the hub signed: verified offline", shown.position);
    transcript.note("proof", "holds", what);
    if running {
        return Ok(shown.tree_size);
    }
    let report = journal_cmd::audit(&directory.join("hub"), Some(key))?;
    let what = format!("{} entries, every byte and the signed tree: verified offline", report.entries);
    transcript.note("journal", "holds", what);
    Ok(report.entries)
}

/// The figures, and what to type next.
pub fn figures(closing: &Closing, transcript: &Transcript, json: bool) {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(flatten)]
        closing: &'a Closing,
        seconds: f64,
        transcript: &'a [Line],
    }
    if json {
        out::json(&Document { closing, seconds: transcript.seconds(), transcript: transcript.lines() });
        return;
    }
    let status = &closing.status;
    let times = &status["time_to_protection"];
    out::line("\nFigures");
    out::line(format_args!(
        "  time to protection   p50 {} ms, p99 {} ms, last {} ms ({} mitigations read back)",
        times["p50_ms"], times["p99_ms"], times["last_ms"], times["count"]
    ));
    let (entries, sightings, observables) = (&status["entries"], &status["sightings"], &status["observables"]);
    out::line(format_args!(
        "  journal              {entries} entries, {sightings} sightings of {observables} observables"
    ));
    out::line(format_args!("  refused by the hub   {}", by_rule(&status["refusals"])));
    let agents: Vec<String> = closing.refusals_by_agents.iter().map(|(rule, n)| format!("{rule} {n}")).collect();
    out::line(format_args!("  refused by agents    {}", agents.join(", ")));
    out::line(format_args!("  took                 {:.0} s", transcript.seconds()));
    out::line("\nNext: epimachia demo --keep      leaves it running, and says where its files are");
    out::line("      epimachia why VALUE        why is this blocked here, by whom, until when, how to lift it");
    out::line("      docs/how-to/start-an-alliance.md");
}

fn by_rule(refusals: &Value) -> String {
    let rules = refusals.as_object().into_iter().flatten().map(|(rule, n)| format!("{rule} {n}"));
    rules.collect::<Vec<_>>().join(", ")
}

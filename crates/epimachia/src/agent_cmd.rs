//! `epimachia agent`: run this member's agent, make its directory, look at it, stop everything at once.

mod init;
mod join;
mod watchdog;

use crate::ask::confirm;
use crate::client::settings::Beside;
use crate::exit::{Exit, Failure, Outcome};
use crate::member_side::MemberSide;
use crate::out;
use agent::{Agent, Config, Request};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where packages put the agent's configuration.
pub const CONFIG: &str = "/etc/epimachia/agent.toml";

/// Run this member's agent, make its directory, look at it, stop it all
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "Examples:
  epimachia agent join telecom.join --dir /var/lib/epimachia/agent --key telecom.key --charter DIGEST
  epimachia agent --config /etc/epimachia/agent.toml
Next: epimachia agent status")]
pub struct Command {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    run: Run,
}

#[derive(Args, Debug)]
struct Run {
    /// The agent's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    config: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Join an alliance with a join token: certificate, charter, a configuration that is ready to run
    Join(join::Join),
    /// Without joining: write a configuration that uses a token and begins with a point that only shows what would be
    /// done
    Init(init::New),
    /// The agent in one screen
    Status(Look),
    /// The last alarms, the oldest first
    Alarms(Look),
    /// Lift everything of ours at once and accept nothing until `agent resume`
    Kill {
        /// Why, in words
        #[arg(long)]
        reason: String,
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        beside: Beside,
    },
    /// Turn the kill switch off: what is still due comes back into force
    Resume(Beside),
    /// The history of the journal as this agent saw it
    #[command(subcommand)]
    History(History),
    /// The agent's clock
    #[command(subcommand)]
    Clock(Clock),
    /// Lift at the resolvers what a dead agent cannot lift any more; a process of its own
    Watchdog(watchdog::Watch),
}

#[derive(Args, Debug)]
struct Look {
    /// One JSON document
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    beside: Beside,
}

#[derive(Subcommand, Debug)]
enum History {
    /// Show the last checkpoint and, where there is one, the second history
    Show(Look),
    /// Go on with the history that the hub shows now
    Accept {
        /// Do it without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        beside: Beside,
    },
}

#[derive(Subcommand, Debug)]
enum Clock {
    /// The clock is right, although it went back
    Accept(Beside),
}

/// Runs the command.
pub fn run(command: Command) -> Outcome {
    match command.verb {
        None => serve(&command.run.config),
        Some(Verb::Join(wish)) => join::run(&wish),
        Some(Verb::Init(new)) => init::run(&new),
        Some(Verb::Status(look)) => status(&look),
        Some(Verb::Alarms(look)) => alarms(&look),
        Some(Verb::Kill { reason, yes, dry_run, beside }) => kill(reason, yes, dry_run, &beside),
        Some(Verb::Resume(beside)) => order(&MemberSide::open(&beside)?, &Request::Resume, false),
        Some(Verb::History(History::Show(look))) => history(&look),
        Some(Verb::History(History::Accept { yes, beside })) => {
            confirm("The hub has shown two histories. Only go on if you know which is true.", yes)?;
            order(&MemberSide::open(&beside)?, &Request::AcceptHistory, false)
        }
        Some(Verb::Watchdog(watch)) => watchdog::run(&watch),
        Some(Verb::Clock(Clock::Accept(beside))) => order(&MemberSide::open(&beside)?, &Request::AcceptClock, false),
    }
}

fn serve(file: &Path) -> Outcome {
    let config = Config::read(file).map_err(|error| at(file, error))?;
    hub::logs::start(&hub::config::Logs::default()).map_err(crate::hub_cmd::failure)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut running = Agent::start(config).await.map_err(|error| at(file, error))?;
        out::say(format_args!("The agent runs in {}. To stop it: Ctrl-C.", running.directory().display()));
        agent::heartbeat::notify("READY=1");
        tokio::select! {
            ended = running.ended() => {
                return ended.map(|()| Exit::Done).map_err(|error| Failure::failed(error, "start the agent again"));
            }
            stopped = crate::signals::stop() => stopped?,
        }
        agent::heartbeat::notify("STOPPING=1");
        running.stop().await.map_err(|error| at(file, error))?;
        out::say("The agent has stopped. What is in force stays so until it expires.");
        Ok(Exit::Done)
    })
}

/// The agent's error, about its configuration.
pub fn at(file: &Path, error: agent::Error) -> Failure {
    let next = "epimachia check --config FILE";
    match error {
        agent::Error::Refused(refusal) => {
            let what = format!("{}: {}; allowed: {}", file.display(), refusal.value, refusal.limit);
            Failure::failed(what, "correct the file; nothing was started")
        }
        agent::Error::Unavailable(what) => Failure::failed(what, next),
        agent::Error::Broken(broken) => Failure::failed(broken, next),
    }
}

/// Has the agent do something, and says what it did.
pub fn order(side: &MemberSide, request: &Request, dry_run: bool) -> Outcome {
    if dry_run {
        out::json(request);
        out::say("Nothing was asked of the agent.");
        return Ok(Exit::Done);
    }
    match side.value(request)? {
        Value::String(done) => out::line(format_args!("{}.", done.trim_end_matches('.'))),
        other => out::pass(other),
    }
    Ok(Exit::Done)
}

fn kill(reason: String, yes: bool, dry_run: bool, beside: &Beside) -> Outcome {
    let side = MemberSide::open(beside)?;
    if !dry_run {
        confirm("Everything of ours is lifted on this network, and nothing protects it until agent resume.", yes)?;
    }
    order(&side, &Request::Kill { reason }, dry_run)
}

fn status(look: &Look) -> Outcome {
    let status = MemberSide::open(&look.beside)?.value(&Request::Status)?;
    if look.json {
        out::pass(status);
        return Ok(Exit::Done);
    }
    let text = |key: &str| shown(&status[key]);
    out::line(format_args!(
        "agent        of {}, {}",
        text("member"),
        if status["ready"] == true { "ready" } else { "waits for the charter" }
    ));
    out::line(format_args!("alliance     {}, charter version {}", text("alliance"), text("charter")));
    out::line(format_args!(
        "mitigations  {}; {} waiting for a person",
        counted(&status["mitigations"]),
        text("waiting_for_a_person")
    ));
    out::line(format_args!("points       {}", counted(&status["points"])));
    out::line(format_args!("allow-list   {}", text("allow_list")));
    out::line(format_args!("outbox       {} not with the hub yet", text("outbox")));
    out::line(format_args!("journal      {} entries at the last checkpoint", text("checkpoint")));
    if let Some(killed) = status["kill_switch"].as_object() {
        let reason = killed.get("reason").map(shown).unwrap_or_default();
        out::line(format_args!("KILL SWITCH  on: {reason}"));
        out::say("Next: epimachia agent resume");
    }
    if !status["history_forked"].is_null() {
        out::line(format_args!("HISTORY      forked: {}", text("history_forked")));
        out::say("Next: epimachia agent history show");
    }
    Ok(Exit::Done)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => model::parse::printable(text),
        other => other.to_string(),
    }
}

fn counted(counts: &Value) -> String {
    let object = counts.as_object().into_iter().flatten();
    let words: Vec<String> = object.map(|(word, n)| format!("{n} {word}")).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

fn alarms(look: &Look) -> Outcome {
    let alarms: Vec<Value> = MemberSide::open(&look.beside)?.view(&Request::Alarms)?;
    if look.json {
        out::json_list(&alarms);
        return Ok(Exit::Done);
    }
    let row = |alarm: &Value| {
        vec![shown(&alarm[0]), shown(&alarm[1]["kind"]), alarm[1]["text"].as_str().unwrap_or_default().to_owned()]
    };
    let rows: Vec<Vec<String>> = alarms.iter().map(row).collect();
    out::table(&["TIME", "ALARM", "WHAT"], &rows);
    Ok(Exit::Done)
}

fn history(look: &Look) -> Outcome {
    let history = MemberSide::open(&look.beside)?.value(&Request::History)?;
    if look.json {
        out::pass(history);
        return Ok(Exit::Done);
    }
    match history["checkpoint"]["size"].as_u64() {
        Some(size) => out::line(format_args!(
            "The last checkpoint has {size} entries, root {}.",
            shown(&history["checkpoint"]["root"])
        )),
        None => out::line("No checkpoint was seen yet."),
    }
    match history["forked"].is_null() {
        true => out::line("One history so far."),
        false => {
            out::line(format_args!("A second history was shown: {}", shown(&history["forked"]["fault"])));
            out::say(
                "Ask another member for its checkpoint before anything else. Next: epimachia agent history accept",
            );
        }
    }
    Ok(Exit::Done)
}

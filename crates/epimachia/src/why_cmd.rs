//! `epimachia why VALUE`: known? blocked where, by whom, since when, until when, how to lift or dispute it?

use crate::ask::Read;
use crate::client::answers::Why;
use crate::client::settings::Beside;
use crate::client::{Client, Settings};
use crate::exit::{Exit, Failure, Outcome};
use crate::member_side::MemberSide;
use crate::{ask, clock, here_view, ids, out, why_view};
use agent::Request;
use clap::Args;
use model::{FindingId, MitigationId, Observable, PlanId};
use serde_json::Value;

/// Why is this blocked, or not: by whom, since when, until when, how to lift or dispute it
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia why 203.0.113.7
  epimachia why 'hxxps://bad[.]example/login'
  epimachia why fin-7k2q
Next: epimachia finding dispute")]
pub struct Question {
    /// Address, prefix, domain, web address, file hash (defanged is fine), or the identifier of a finding or mitigation
    value: String,
    #[command(flatten)]
    read: Read,
    #[command(flatten)]
    beside: Beside,
}

/// What a person may ask about.
enum Asked {
    Value(Observable),
    Finding(String),
    Mitigation(String),
}

/// Runs the command: the hub's word and the agent's, whichever can be had.
pub fn run(question: &Question) -> Outcome {
    let asked = asked(&question.value)?;
    let settings = Settings::load(&question.read.connect)?;
    let side = MemberSide::known(&settings, &question.beside);
    let hub = match (&side, settings.has_hub()) {
        (Some(_), false) => None,
        _ => Some(from_hub(&settings, &asked)),
    };
    let Some(side) = side else {
        return alone(hub.unwrap_or_else(|| from_hub(&settings, &asked))?, question.read.json);
    };
    let value = match (&hub, &asked) {
        (_, Asked::Value(observable)) => Some(observable.clone()),
        (Some(Ok(answer)), _) => answer["observable"].as_str().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let here = value.map(|value| side.value(&Request::Why { value }));
    both(hub, here, question.read.json)
}

fn from_hub(settings: &Settings, asked: &Asked) -> Result<Value, Failure> {
    let client = Client::open(settings)?;
    let value = match asked {
        Asked::Value(observable) => observable.to_string(),
        Asked::Finding(text) => ids::resolve::<FindingId>(&client, text)?.to_string(),
        Asked::Mitigation(text) => finding_of(&client, text)?,
    };
    client.value("/api/v1/why", &[("value", value)])
}

fn alone(answer: Value, json: bool) -> Outcome {
    match json {
        true => out::json(&serde_json::json!({"hub": answer, "here": null})),
        false => print_hub(answer)?.iter().for_each(out::say),
    }
    Ok(Exit::Done)
}

/// Prints the hub's part; gives what to type next.
fn print_hub(answer: Value) -> Result<Vec<String>, Failure> {
    let why: Why = serde_json::from_value(answer).map_err(|e| Failure::failed(e, "epimachia version"))?;
    why_view::why(&why, clock::now()).iter().for_each(out::line);
    Ok(why_view::next_steps(&why))
}

/// Both answers; one of them missing is told, and ends the command as done in part.
fn both(hub: Option<Result<Value, Failure>>, here: Option<Result<Value, Failure>>, json: bool) -> Outcome {
    let (hub, here) = match (hub.transpose(), here.transpose()) {
        (Err(failure), Err(_) | Ok(None)) => return Err(failure),
        (Ok(None), Err(failure)) => return Err(failure),
        both => both,
    };
    let partial =
        [hub.as_ref().err(), here.as_ref().err()].into_iter().flatten().inspect(|f| out::say(f.message())).count() > 0;
    let (hub, here) = (hub.ok().flatten(), here.ok().flatten());
    let exit = if partial { Exit::Partial } else { Exit::Done };
    if json {
        out::json(&serde_json::json!({"hub": hub, "here": here}));
        return Ok(exit);
    }
    let between = hub.is_some();
    let mut next = hub.map(print_hub).transpose()?.unwrap_or_default();
    if let Some(here) = here {
        let why: crate::member_side::Why =
            serde_json::from_value(here).map_err(|e| Failure::failed(e, "epimachia version"))?;
        if between {
            out::line("");
        }
        here_view::why(&why, clock::now()).iter().for_each(out::line);
        let allowed = !why.allow_list.is_empty();
        let said_here =
            |line: &str| line.starts_with("Lift it here") || (allowed && line.starts_with("Never block it"));
        next.retain(|line| !said_here(line));
        next.splice(0..0, why.mitigations.iter().flat_map(here_view::next_steps));
    }
    next.iter().for_each(out::say);
    Ok(exit)
}

fn asked(text: &str) -> Result<Asked, Failure> {
    let has = |prefix: &str| text.starts_with(prefix) && !text.contains('.');
    if has(PlanId::PREFIX) {
        return Err(Failure::Usage(format!("{text} is a plan: epimachia plan show {text}")));
    }
    Ok(match (has(FindingId::PREFIX), has(MitigationId::PREFIX)) {
        (true, _) => Asked::Finding(text.to_owned()),
        (_, true) => Asked::Mitigation(text.to_owned()),
        _ => Asked::Value(ask::pasted(text).map_err(|e| Failure::Usage(e.to_string()))?),
    })
}

fn finding_of(client: &Client, text: &str) -> Result<String, Failure> {
    let id: MitigationId = ids::resolve(client, text)?;
    let shown = crate::mitigation_cmd::find(client, id)?;
    let finding = shown["finding"].as_str().map(str::to_owned);
    finding.ok_or_else(|| Failure::failed("the hub's answer has no finding", "epimachia version"))
}

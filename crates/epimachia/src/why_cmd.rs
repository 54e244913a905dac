//! `epimachia why VALUE`: known? blocked where, by whom, since when, until when, how to lift or dispute it?

use crate::ask::{Read, connect};
use crate::client::Client;
use crate::client::answers::Why;
use crate::exit::{Exit, Failure, Outcome};
use crate::{ask, clock, ids, out, why_view};
use clap::Args;
use model::{FindingId, MitigationId, Observable, PlanId};

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
}

/// What a person may ask about.
enum Asked {
    Value(Observable),
    Finding(String),
    Mitigation(String),
}

/// Runs the command.
pub fn run(question: &Question) -> Outcome {
    let asked = asked(&question.value)?;
    let client = connect(&question.read.connect)?;
    let value = match asked {
        Asked::Value(observable) => observable.to_string(),
        Asked::Finding(text) => ids::resolve::<FindingId>(&client, &text)?.to_string(),
        Asked::Mitigation(text) => finding_of(&client, &text)?,
    };
    let query = [("value", value)];
    let answer = client.value("/api/v1/why", &query)?;
    if question.read.json {
        out::pass(answer);
        return Ok(Exit::Done);
    }
    let why: Why = serde_json::from_value(answer).map_err(|e| Failure::failed(e, "epimachia version"))?;
    why_view::why(&why, clock::now()).iter().for_each(out::line);
    why_view::next_steps(&why).iter().for_each(out::say);
    Ok(Exit::Done)
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

//! The member's own agent, asked over its control socket; whoever may open the socket may do everything there.

use crate::client::settings::{Beside, Connect, Settings, missing};
use crate::exit::Failure;
use agent::{Answer, Request};
use model::{FindingId, MitigationId, MitigationState, Observable, PlanId, PointName, Refusal, Timestamp};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// This member's agent.
pub struct MemberSide {
    directory: PathBuf,
}

impl MemberSide {
    /// The agent that is set by flag, environment or settings file.
    ///
    /// # Errors
    /// None is.
    pub fn open(beside: &Beside) -> Result<Self, Failure> {
        let known = Self::known(&Settings::load(&Connect::default())?, beside);
        known.ok_or_else(|| missing("the agent's state directory", "--agent DIR", "EPIMACHIA_AGENT", "agent"))
    }

    /// The agent, where one is set.
    pub fn known(settings: &Settings, beside: &Beside) -> Option<Self> {
        settings.agent(beside).map(|directory| Self { directory })
    }

    /// Asks, and gives the answer as it came.
    ///
    /// # Errors
    /// A rule said no, or no agent answers there.
    pub fn value(&self, request: &Request) -> Result<Value, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        match runtime.block_on(agent::control::ask(&self.directory, request)) {
            Ok(Answer::Ok(value)) => Ok(value),
            Ok(Answer::Refused(refusal)) => Err(refused(refusal)),
            Err(error) => {
                let told = error.to_string();
                let told =
                    told.split("; is the agent running").next().unwrap_or(&told).trim_start_matches("unavailable: ");
                let what = format!("no agent answers: {told}; nothing was changed");
                Err(Failure::failed(what, "epimachia agent --config FILE"))
            }
        }
    }

    /// Asks for a typed view.
    ///
    /// # Errors
    /// As [`MemberSide::value`].
    pub fn view<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        serde_json::from_value(self.value(request)?).map_err(|e| Failure::failed(e, "epimachia version"))
    }
}

fn refused(refusal: Refusal) -> Failure {
    let next = match refusal.rule {
        model::Rule::UnknownPlan => "epimachia mitigation list --here".to_owned(),
        _ => String::new(),
    };
    Failure::Refused { refusal, next }
}

/// One mitigation as the agent holds it.
#[derive(Deserialize)]
pub struct Held {
    /// Its identifier.
    pub id: MitigationId,
    /// The finding behind it.
    pub finding: FindingId,
    /// The plan that asked for it.
    pub plan: PlanId,
    /// What is done, in words.
    pub text: String,
    /// Where it stands.
    pub state: MitigationState,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// Why it waits for a person.
    pub waits: Option<String>,
    /// Why it ends.
    pub ends: Option<String>,
    /// What each point says.
    pub points: BTreeMap<PointName, AtPoint>,
    /// Packets or answers affected.
    pub packets: Option<u64>,
}

/// One mitigation at one point.
#[derive(Deserialize)]
pub struct AtPoint {
    /// How far it has come.
    pub stage: String,
    /// What the point said last.
    pub evidence: String,
}

/// What the agent knows about a value.
#[derive(Deserialize)]
pub struct Why {
    /// What is in force or due here.
    pub mitigations: Vec<Held>,
    /// Entries of the allow-list that cover it.
    pub allow_list: BTreeMap<Observable, String>,
    /// What persons decided.
    pub decisions: BTreeMap<FindingId, Value>,
}

//! What is asked of the running agent, by people and by doors that must know when what they brought is durable.

use crate::control::{Answer, Request};
use crate::core::{Input, Output, TakenBack};
use crate::running::salted;
use model::{Refusal, Rule};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

/// The type of a witness's signature lines.
const TEXT: &str = "text/plain; charset=utf-8";
/// Asks the running agent; cheap to clone.
#[derive(Clone, Debug)]
pub struct Requests(pub(crate) mpsc::Sender<Asked>);

/// What is asked for, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Asked {
    pub wish: Wish,
    pub answer: oneshot::Sender<Answer>,
}

/// What is asked for: by people, or by a door that must know when what it brought is durable.
#[derive(Debug)]
pub(crate) enum Wish {
    Request(Request),
    Input(Box<Input>),
}

impl Requests {
    /// Asks; an agent that has stopped refuses.
    pub async fn ask(&self, request: Request) -> Answer {
        self.wish(Wish::Request(request)).await
    }

    /// Gives an input; the answer comes when what follows from it is durable.
    pub(crate) async fn give(&self, input: Input) -> Answer {
        self.wish(Wish::Input(Box::new(input))).await
    }

    async fn wish(&self, wish: Wish) -> Answer {
        let (answer, answered) = oneshot::channel();
        let gone = || Answer::Refused(Refusal::new(Rule::ReadOnly, "the agent has stopped", "a running agent"));
        match self.0.send(Asked { wish, answer }).await {
            Ok(()) => answered.await.unwrap_or_else(|_| gone()),
            Err(_) => gone(),
        }
    }
}

/// What a request of a person's means to the core.
///
/// # Errors
/// No random source.
pub(crate) fn input(request: Request) -> Result<Input, Refusal> {
    Ok(match request {
        Request::Allow { value, note } => Input::Allow { observable: value, note },
        Request::Disallow { value } => Input::Disallow(value),
        Request::Lift { mitigation, reason } => Input::Lift { mitigation, reason },
        Request::Accept { mitigation, reason } => Input::PersonDecided { mitigation, accept: true, reason },
        Request::Refuse { mitigation, reason } => Input::PersonDecided { mitigation, accept: false, reason },
        Request::Kill { reason } => Input::Kill { reason },
        Request::Resume => Input::Resume,
        Request::AddCheckpoint { body } => Input::AddCheckpoint(body.into_bytes()),
        Request::AcceptHistory => Input::HistoryAccepted,
        Request::AcceptClock => Input::ClockAccepted,
        Request::Retract { value: observable, behaviour, reason } => {
            Input::Retract(TakenBack { observable, behaviour, reason })
        }
        Request::Report { sightings } => {
            salted(sightings).map_err(|error| Refusal::new(Rule::ReadOnly, error, "a random source of the system"))?
        }
        _ => Input::Tick,
    })
}

/// What a person is told of what followed.
pub(crate) fn outcome(outputs: &[Output]) -> Answer {
    let said = |output: &Output| match output {
        Output::Done(text) => Some(Answer::Ok(json!(text))),
        Output::Refused(refusal) => Some(Answer::Refused(refusal.clone())),
        Output::WitnessAnswer(Ok(lines)) => Some(Answer::Ok(json!({"status": 200, "type": TEXT, "body": lines}))),
        Output::WitnessAnswer(Err(reply)) => {
            Some(Answer::Ok(json!({"status": reply.status(), "type": reply.content_type(), "body": reply.body()})))
        }
        _ => None,
    };
    outputs.iter().find_map(said).unwrap_or(Answer::Ok(json!("done")))
}

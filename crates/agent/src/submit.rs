//! Submissions on their way to the hub: each is sent until the hub has it or refuses it.

use crate::client::{Away, Client};
use crate::core::{AlarmKind, Input, Submission};
use crate::stream::pause;
use model::Rule;
use tokio::sync::mpsc;

/// Sends one submission until the hub has it or refuses it.
pub(crate) async fn send(client: Client, submission: Submission, inputs: mpsc::Sender<Input>) {
    let sequence = submission.sequence();
    for attempts in 0.. {
        let input = match client.submit(&submission).await {
            Ok(()) => Input::Acknowledged { sequence },
            Err(Away::Refused(refusal)) if refusal.rule == Rule::OutOfSequence => match refusal.limit.parse() {
                Ok(next) => Input::NextSequence(next),
                Err(_) => Input::SubmissionRefused { sequence, refusal },
            },
            Err(Away::Refused(refusal)) if refusal.rule == Rule::NumberReused => match refusal.limit.parse() {
                Ok(next) => Input::NumberTaken { sequence, next },
                Err(_) => Input::SubmissionRefused { sequence, refusal },
            },
            Err(Away::Refused(refusal)) => Input::SubmissionRefused { sequence, refusal },
            Err(away) => {
                if inputs.is_closed() {
                    return;
                }
                tell(&inputs, &away, attempts).await;
                let wish = if let Away::Later(_, wish) = away { wish } else { None };
                tokio::time::sleep(wish.unwrap_or_else(|| pause(attempts))).await;
                continue;
            }
        };
        return drop(inputs.send(input).await);
    }
}

pub(crate) async fn tell(inputs: &mpsc::Sender<Input>, away: &Away, attempts: u32) {
    let at_once = matches!(away, Away::Shut(_)) || (matches!(away, Away::Suspended(_)) && attempts == 0);
    if attempts % 8 == 4 || at_once {
        let (kind, text) = match away.told() {
            (AlarmKind::HubAway, text) => {
                (AlarmKind::HubAway, format!("The hub: {text}. Nothing is lost: it is tried again."))
            }
            told => told,
        };
        let _ = inputs.send(Input::Trouble { kind, text }).await;
    }
}

//! The hub's stream: opened after the last position, read event by event, opened again when it breaks or falls silent.

use crate::client::{Away, Client};
use crate::core::{AlarmKind, Input};
use crate::sse::{Event, Item, Parser, TooLong};
use model::StreamMessage;
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

/// A stream that lived as long was a good one: the next attempt is made at once.
const GOOD: Duration = Duration::from_secs(30);
/// Attempts in a row without success before somebody is told.
const ATTEMPTS_SILENT: u32 = 5;

/// Where the stream begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Resume {
    /// May it be opened?
    pub ready: bool,
    /// Rises when the stream is to be opened anew.
    pub epoch: u64,
    /// After which position.
    pub after: Option<u64>,
}

/// Keeps the stream open until the agent stops.
pub(crate) async fn keep(
    client: Client,
    silence_max: Duration,
    event_bytes_max: usize,
    mut resume: watch::Receiver<Resume>,
    inputs: Sender<Input>,
) {
    let (mut attempts, mut last) = (0, None);
    while resume.wait_for(|resume| resume.ready).await.is_ok() {
        let from = *resume.borrow_and_update();
        let began = tokio::time::Instant::now();
        let read = read(&client, from.after, silence_max, event_bytes_max, &inputs);
        let ended = tokio::select! {
            ended = read => ended,
            _ = resume.wait_for(|now| now.epoch != from.epoch) => continue,
        };
        let Err((kind, text)) = ended else { return };
        if inputs.send(Input::HubAway).await.is_err() {
            return;
        }
        attempts = if began.elapsed() >= GOOD { 0 } else { attempts + 1 };
        let first = last.replace(kind) != Some(kind);
        let text = match kind {
            // Told at once: that nothing comes is no accident.
            AlarmKind::MemberSuspended => (first || attempts % ATTEMPTS_SILENT == 0).then_some(text),
            _ => (attempts % ATTEMPTS_SILENT == ATTEMPTS_SILENT - 1)
                .then(|| format!("No stream from the hub: {text}. What is in force here stays until it expires.")),
        };
        if let Some(text) = text
            && inputs.send(Input::Trouble { kind, text }).await.is_err()
        {
            return;
        }
        tokio::time::sleep(pause(attempts)).await;
    }
}

/// A quarter of a second, doubling to a minute, each time between half and all of it: members must not come all at
/// once.
pub(crate) fn pause(attempts: u32) -> Duration {
    let longest = Duration::from_millis(250).saturating_mul(1 << attempts.min(8)).min(Duration::from_secs(60));
    let mut byte = [0_u8; 1];
    // Without randomness the pause is the longest one, which is safe.
    let share = getrandom::fill(&mut byte).map_or(1.0, |()| 0.5 + f64::from(byte[0]) / 510.0);
    longest.mul_f64(share)
}

/// Reads until the stream ends; `Ok` if the agent stops.
async fn read(
    client: &Client,
    after: Option<u64>,
    silence_max: Duration,
    event_bytes_max: usize,
    inputs: &Sender<Input>,
) -> Result<(), (AlarmKind, String)> {
    let broken = |text: String| (AlarmKind::HubAway, text);
    let mut answer = client.stream(after).await.map_err(|away| match away {
        Away::Later(text, _) | Away::Shut(text) => broken(text),
        away => away.told(),
    })?;
    let mut parser = Parser::new(event_bytes_max);
    // Only something whole counts as a sign of life: a byte now and then does not.
    let mut alive = tokio::time::Instant::now();
    loop {
        let piece = tokio::time::timeout_at(alive + silence_max, answer.chunk()).await;
        let piece = piece.map_err(|_| broken(format!("nothing whole in {silence_max:?}")))?;
        let piece = piece.map_err(|error| broken(error.without_url().to_string()))?;
        let piece = piece.ok_or_else(|| broken("the hub ended it".to_owned()))?;
        let items = match parser.push(&piece) {
            Ok(items) => items,
            Err(TooLong) => {
                let text = format!("An event of the stream has more than {event_bytes_max} bytes; it is opened again.");
                let _ = inputs.send(Input::Trouble { kind: AlarmKind::StreamDamaged, text: text.clone() }).await;
                return Err(broken(text));
            }
        };
        if !items.is_empty() {
            alive = tokio::time::Instant::now();
        }
        for input in items.into_iter().filter_map(input) {
            if inputs.send(input).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// What of the hub's greeting is used: whoever was away hears of a newer charter by it.
#[derive(serde::Deserialize)]
struct Hello {
    charter: u64,
}

/// What an item means; what cannot be read is passed over, and told.
fn input(item: Item) -> Option<Input> {
    let Item::Event(event) = item else { return None };
    if event.kind == "hello" {
        // A hub of another version may greet differently: what it announces later counts as well.
        return serde_json::from_str(&event.data).ok().map(|Hello { charter }| Input::CharterAnnounced(charter));
    }
    Some(message(&event).unwrap_or_else(|text| Input::Trouble {
        kind: AlarmKind::StreamDamaged,
        text: format!("An event of the stream cannot be read: {}", model::parse::printable(&text)),
    }))
}

fn message(event: &Event) -> Result<Input, String> {
    let position = event.id.parse().map_err(|_| format!("id: {}", event.id))?;
    let message: StreamMessage = serde_json::from_str(&event.data).map_err(|error| error.to_string())?;
    Ok(Input::Message { position, message: Box::new(message) })
}

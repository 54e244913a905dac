//! `GET /api/v1/stream`: what is in force for a member, then everything new, as server-sent events.

use super::query::Asked;
use crate::core::Core;
use crate::gate::{Caller, Pass};
use crate::problem::Problem;
use crate::serve::Connection;
use crate::streams::{Event, Subscription, Writer, events};
use crate::wire::Hello;
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use model::StreamMessage;
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreamQuery {
    after: Option<u64>,
}

/// `GET /api/v1/stream`
pub(crate) async fn stream(
    State(core): State<Arc<Core>>,
    caller: Caller,
    Extension(connection): Extension<Connection>,
    Asked(asked): Asked<StreamQuery>,
) -> Result<Response, Problem> {
    let after = asked.after;
    let heartbeat = core.config.stream.heartbeat.to_std();
    let of = caller.clone();
    let reader = core.work(move |core| Reader::begin(core, &of, connection, after, heartbeat)).await?;
    let events = stream::unfold(reader, |mut reader| async {
        reader.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), reader))
    });
    // Whoever was let in by what counts no longer hears nothing more.
    let ended = async move {
        let counts = |pass: &Pass, now| pass.still_counts(&caller, now);
        core.gate.ended(&core.clock, caller.credential.expires(), counts).await;
    };
    let body = Body::from_stream(events.take_until(Box::pin(ended)));
    let event_stream = HeaderValue::from_static("text/event-stream");
    Ok(([(header::CONTENT_TYPE, event_stream)], body).into_response())
}

/// One member's stream.
struct Reader {
    /// What it is given when it comes.
    first: VecDeque<Bytes>,
    given: VecDeque<Event>,
    subscription: Subscription,
    writer: Writer,
    heartbeat: Duration,
    ended: bool,
}

impl Reader {
    /// Subscribes while the state stands still, so that nothing falls between what is in force and what is new.
    fn begin(
        core: &Core,
        caller: &Caller,
        connection: Connection,
        after: Option<u64>,
        heartbeat: Duration,
    ) -> Result<Self, Problem> {
        let (head, mut given, subscription) = core.read(|state| {
            let head = state.next_position();
            let given: VecDeque<Event> =
                events(&state.in_force_for(&caller.member, after)).into_iter().map(|(_, event)| event).collect();
            (head, given, core.streams.subscribe(&caller.member, head, connection.cut))
        })?;
        let subscription = subscription?.ok_or_else(|| Problem::unavailable("the hub is stopping"))?;
        let charter = core.gate.pass().charter.as_ref().map_or(0, |charter| charter.alliance.version);
        let hello = Hello { position: head, alliance: core.directory.identity().alliance.clone(), charter };
        // A number and texts: serde_json cannot fail on them.
        let hello = serde_json::to_string(&hello).unwrap_or_default();
        // The newest checkpoint says that all of the above was sent: from here on the reader may resume at the head.
        if let Some(newest) = core.log.newest() {
            let message = StreamMessage::Checkpoint(newest.signed.to_string());
            let at = [(head.saturating_sub(1), message)];
            given.extend(events(&at).into_iter().map(|(_, event)| event));
        }
        let first = VecDeque::from([Bytes::from(format!("event: hello\ndata: {hello}\n\n"))]);
        let writer = Writer::after(after.filter(|after| *after < head));
        Ok(Self { first, given, subscription, writer, heartbeat, ended: false })
    }

    /// The next piece of the stream; none when it has ended.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.first.pop_front() {
            return Some(bytes);
        }
        if let Some(event) = self.given.pop_front() {
            return Some(self.writer.write(&event));
        }
        if self.ended {
            return None;
        }
        match tokio::time::timeout(self.heartbeat, self.subscription.queue.recv()).await {
            Ok(Some(event)) => Some(self.writer.write(&event)),
            Ok(None) => {
                self.ended = true;
                Some(Bytes::from_static(b": the hub ends this stream; resume by the last id\n\n"))
            }
            Err(_) => Some(Bytes::from_static(b": heartbeat\n\n")),
        }
    }
}

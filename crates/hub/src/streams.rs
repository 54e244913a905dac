//! Event streams: who listens, and what waits for each; whoever falls behind is cut off and resumes by position.
//!
//! An event's `id` is the position up to which everything has been sent, so a reader that resumes by the last id it
//! saw loses nothing, even if it was cut off between two messages of one entry.

use crate::figures::{Figures, STREAMS, STREAMS_CUT};
use axum::body::Bytes;
use model::{Finding, MemberId, Refusal, Rule, StreamMessage};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};

/// One message on its way: the id it gets, and the rest of the event as text.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The position up to which everything is sent with it; none before the first entry.
    pub(crate) id: Option<u64>,
    body: Arc<str>,
}

/// A message for one member at one position of the journal.
pub(crate) struct Addressed {
    pub(crate) position: u64,
    pub(crate) member: MemberId,
    pub(crate) message: StreamMessage,
}

/// Everybody who listens.
pub(crate) struct Streams {
    queue_max: usize,
    per_member_max: usize,
    figures: Arc<Figures>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    closed: bool,
    members: BTreeMap<MemberId, Vec<Listener>>,
}

struct Listener {
    number: u64,
    /// Entries before this position are in what the listener was given when it came.
    from: u64,
    queue: mpsc::Sender<Event>,
    connection: Arc<Notify>,
}

/// A listener's end. Dropping it says goodbye.
pub(crate) struct Subscription {
    streams: Arc<Streams>,
    member: MemberId,
    number: u64,
    pub(crate) queue: mpsc::Receiver<Event>,
}

impl Streams {
    pub(crate) fn new(queue_max: u32, per_member_max: u32, figures: Arc<Figures>) -> Self {
        let (queue_max, per_member_max) = (queue_max as usize, per_member_max as usize);
        Self { queue_max, per_member_max, figures, inner: Mutex::default() }
    }

    /// Listens for a member, from a position on. `connection` is notified when the listener is cut off.
    ///
    /// # Errors
    /// `quota_exceeded`: the member has too many streams. While the hub stops there are none: `None`.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        member: &MemberId,
        from: u64,
        connection: Arc<Notify>,
    ) -> Result<Option<Subscription>, Refusal> {
        let mut inner = self.inner();
        if inner.closed {
            return Ok(None);
        }
        let number = inner.next;
        inner.next += 1;
        let listeners = inner.members.entry(member.clone()).or_default();
        if listeners.len() >= self.per_member_max {
            let value = format!("{} streams", listeners.len() + 1);
            return Err(Refusal::new(Rule::QuotaExceeded, value, format!("{} a member", self.per_member_max)));
        }
        let (sender, queue) = mpsc::channel(self.queue_max);
        listeners.push(Listener { number, from, queue: sender, connection });
        self.figures.gauge(&STREAMS, &[]).increment(1.0);
        Ok(Some(Subscription { streams: Arc::clone(self), member: member.clone(), number, queue }))
    }

    /// Sends messages, in the order of their positions. Never waits for anybody.
    pub(crate) fn publish(&self, messages: Vec<Addressed>) {
        let mut by_member: BTreeMap<MemberId, Vec<(u64, StreamMessage)>> = BTreeMap::new();
        for addressed in messages {
            by_member.entry(addressed.member).or_default().push((addressed.position, addressed.message));
        }
        let mut inner = self.inner();
        let mut bodies = Bodies::default();
        for (member, messages) in by_member {
            if let Some(listeners) = inner.members.get_mut(&member).filter(|listeners| !listeners.is_empty()) {
                let events: Vec<(u64, Event)> = bodies.events(&messages);
                listeners.retain(|listener| self.send(listener, &events));
            }
        }
    }

    /// Sends one message to everybody; it belongs to no entry, so it moves nobody's place.
    pub(crate) fn announce(&self, message: &StreamMessage) {
        let event = Event { id: None, body: body(message) };
        for listeners in self.inner().members.values_mut() {
            listeners.retain(|listener| self.offer(listener, event.clone()));
        }
    }

    /// Sends one message to one member; it belongs to no entry.
    pub(crate) fn whisper(&self, member: &MemberId, message: &StreamMessage) {
        let event = Event { id: None, body: body(message) };
        if let Some(listeners) = self.inner().members.get_mut(member) {
            listeners.retain(|listener| self.offer(listener, event.clone()));
        }
    }

    /// Ends all streams and lets nobody in any more.
    pub(crate) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        // Dropping the senders ends each stream once its reader has read what waits.
        inner.members.clear();
    }

    fn send(&self, listener: &Listener, events: &[(u64, Event)]) -> bool {
        let live = events.iter().filter(|(position, _)| *position >= listener.from);
        live.into_iter().all(|(_, event)| self.offer(listener, event.clone()))
    }

    fn offer(&self, listener: &Listener, event: Event) -> bool {
        match listener.queue.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.figures.counter(&STREAMS_CUT, &[]).increment(1);
                listener.connection.notify_one();
                false
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Lists of listeners: one that was half removed is gone with its queue.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.streams.figures.gauge(&STREAMS, &[]).decrement(1.0);
        if let Some(listeners) = self.streams.inner().members.get_mut(&self.member) {
            listeners.retain(|listener| listener.number != self.number);
        }
    }
}

/// Messages in the order of their positions as events. Only the last one of a position moves the reader's place to it.
pub(crate) fn events(messages: &[(u64, StreamMessage)]) -> Vec<(u64, Event)> {
    Bodies::default().events(messages)
}

/// What is the same for many members is written once.
#[derive(Default)]
struct Bodies {
    findings: BTreeMap<*const Vec<Arc<Finding>>, Arc<str>>,
}

impl Bodies {
    fn events(&mut self, messages: &[(u64, StreamMessage)]) -> Vec<(u64, Event)> {
        let next = messages.iter().skip(1).map(|(position, _)| Some(*position)).chain([None]);
        let numbered = messages.iter().zip(next);
        numbered
            .map(|((position, message), next)| {
                let id = if next == Some(*position) { position.checked_sub(1) } else { Some(*position) };
                (*position, Event { id, body: self.body(message) })
            })
            .collect()
    }

    fn body(&mut self, message: &StreamMessage) -> Arc<str> {
        match message {
            // The messages live until all is written, so that one address is one list.
            StreamMessage::Findings(findings) => {
                Arc::clone(self.findings.entry(Arc::as_ptr(findings)).or_insert_with(|| body(message)))
            }
            _ => body(message),
        }
    }
}

fn body(message: &StreamMessage) -> Arc<str> {
    // A message is made of texts and finite numbers, for which serde_json cannot fail.
    let json = serde_json::to_string(message).unwrap_or_default();
    format!("event: {}\ndata: {json}\n\n", kind(message)).into()
}

/// The message's type, as one word.
pub(crate) const fn kind(message: &StreamMessage) -> &'static str {
    match message {
        StreamMessage::Part(_) => "part",
        StreamMessage::Withdraw(_) => "withdraw",
        StreamMessage::Withdrawn(_) => "withdrawn",
        StreamMessage::Findings(_) => "findings",
        StreamMessage::Checkpoint(_) => "checkpoint",
        StreamMessage::Grown(_) => "grown",
        StreamMessage::Witnessed(_) => "witnessed",
        StreamMessage::Keys(_) => "keys",
        StreamMessage::Charter { .. } => "charter",
    }
}

/// Writes events one after the other; ids never go back.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    last: Option<u64>,
}

impl Writer {
    /// Begins after a position.
    pub(crate) const fn after(last: Option<u64>) -> Self {
        Self { last }
    }

    /// The event as it stands in the stream.
    pub(crate) fn write(&mut self, event: &Event) -> Bytes {
        self.last = self.last.max(event.id);
        match self.last {
            Some(id) => format!("id: {id}\n{}", event.body).into(),
            None => event.body.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streams(queue_max: u32) -> Arc<Streams> {
        Arc::new(Streams::new(queue_max, 2, Arc::new(Figures::new())))
    }

    fn charter(position: u64) -> Addressed {
        let message = StreamMessage::Charter { version: position };
        Addressed { position, member: "telecom".parse().unwrap(), message }
    }

    fn drain(subscription: &mut Subscription) -> Vec<Option<u64>> {
        std::iter::from_fn(|| subscription.queue.try_recv().ok()).map(|event| event.id).collect()
    }

    #[test]
    fn only_the_last_message_of_a_position_moves_the_readers_place() {
        let streams = streams(10);
        let mut listener = streams.subscribe(&"telecom".parse().unwrap(), 0, Arc::default()).unwrap().unwrap();
        streams.publish(vec![charter(7), charter(7), charter(7), charter(9)]);
        assert_eq!(drain(&mut listener), [Some(6), Some(6), Some(7), Some(9)]);
        streams.publish(vec![charter(0), charter(0)]);
        assert_eq!(drain(&mut listener), [None, Some(0)]);
    }

    #[test]
    fn what_a_listener_was_given_when_it_came_is_not_sent_again() {
        let streams = streams(10);
        let mut listener = streams.subscribe(&"telecom".parse().unwrap(), 8, Arc::default()).unwrap().unwrap();
        streams.publish(vec![charter(6), charter(7), charter(8)]);
        assert_eq!(drain(&mut listener), [Some(8)]);
    }

    #[test]
    fn a_listener_that_falls_behind_is_cut_off_and_the_others_are_not() {
        let streams = streams(2);
        let connection = Arc::new(Notify::new());
        let mut slow = streams.subscribe(&"telecom".parse().unwrap(), 0, connection.clone()).unwrap().unwrap();
        let mut quick = streams.subscribe(&"telecom".parse().unwrap(), 0, Arc::default()).unwrap().unwrap();
        for position in 0..5 {
            streams.publish(vec![charter(position)]);
            assert_eq!(drain(&mut quick), [Some(position)]);
        }
        assert_eq!(drain(&mut slow), [Some(0), Some(1)]);
        assert!(slow.queue.try_recv().is_err());
        assert!(futures_util::FutureExt::now_or_never(connection.notified()).is_some());
        assert!(streams.figures.render().contains("epimachia_streams_cut_total 1"));
    }

    #[test]
    fn streams_of_a_member_are_counted_and_given_back() {
        let streams = streams(2);
        let member = "telecom".parse().unwrap();
        let first = streams.subscribe(&member, 0, Arc::default()).unwrap();
        let _second = streams.subscribe(&member, 0, Arc::default()).unwrap();
        assert_eq!(streams.subscribe(&member, 0, Arc::default()).err().unwrap().rule, Rule::QuotaExceeded);
        drop(first);
        assert!(streams.subscribe(&member, 0, Arc::default()).is_ok());
        streams.close();
        assert!(streams.subscribe(&member, 0, Arc::default()).unwrap().is_none());
    }

    #[test]
    fn ids_never_go_back() {
        let mut writer = Writer::after(Some(9));
        let event = |id| Event { id, body: "event: x\ndata: 1\n\n".into() };
        assert_eq!(writer.write(&event(Some(4))), "id: 9\nevent: x\ndata: 1\n\n");
        assert_eq!(writer.write(&event(None)), "id: 9\nevent: x\ndata: 1\n\n");
        assert_eq!(writer.write(&event(Some(10))), "id: 10\nevent: x\ndata: 1\n\n");
        assert_eq!(Writer::default().write(&event(None)), "event: x\ndata: 1\n\n");
    }
}

//! Zones as DNS messages: SOA, AXFR (RFC 5936), IXFR (RFC 1995), single look-ups. Bytes only, no sockets.

use super::entry::Data;
use super::owner::Owner;
use super::zone::Delta;
use domain::base::iana::{Class, Rcode};
use domain::base::message_builder::{AdditionalBuilder, AnswerBuilder, MessageBuilder, PushError, StreamTarget};
use domain::base::wire::Composer;
use domain::base::{Message, Name, Serial, StaticCompressor, Ttl};
use domain::rdata::{Cname, Ns, Soa, Txt};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest message of a transfer before its signature: compression pointers reach 16 KiB (RFC 1035 §4.1.4).
const TRANSFER_OCTETS_MAX: usize = 16_000;
/// Longest answer over UDP to those who can take it (the size that crosses the Internet unfragmented).
pub(super) const UDP_OCTETS_MAX: u16 = 1_232;
/// Time to live of everything in the zone, in seconds: how long a client may keep a forged answer after the lift.
pub(super) const TTL_SECONDS: u32 = 5;

/// A message under construction, with the two octets of length that TCP wants before it.
pub(super) type Target = StaticCompressor<StreamTarget<Vec<u8>>>;

/// How often resolvers look by themselves, and when they give the zone up (RFC 1035 §3.3.13). All in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timers {
    /// Between two looks when no NOTIFY comes.
    pub refresh: u32,
    /// Between two looks when the primary does not answer.
    pub retry: u32,
    /// After so long without the primary BIND drops the zone and everything is reachable again (the dead-man switch).
    /// Unbound ignores it and blocks on.
    pub expire: u32,
}

impl Default for Timers {
    fn default() -> Self {
        Self { refresh: 30, retry: 10, expire: 900 }
    }
}

/// What every record of a zone needs.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) apex: Name<Vec<u8>>,
    pub(super) timers: Timers,
}

/// One record of a zone.
#[derive(Clone, Copy)]
pub(super) enum Item<'a> {
    Soa(Serial),
    Ns,
    Policy(&'a Owner, &'a Data),
    Note(&'a Owner, &'a str),
}

/// What a secondary is sent.
#[derive(Debug)]
pub(super) enum Transfer {
    /// It has the newest version (or claims a newer one).
    Nothing(Serial),
    /// Everything.
    Whole(Serial, Arc<BTreeMap<Owner, Data>>),
    /// The differences to its version.
    Differences(Serial, Vec<Arc<Delta>>),
}

impl Transfer {
    /// The version that a secondary has afterwards.
    pub(super) fn serial(&self) -> Serial {
        match self {
            Self::Nothing(serial) | Self::Whole(serial, _) | Self::Differences(serial, _) => *serial,
        }
    }

    pub(super) fn items(&self) -> Box<dyn Iterator<Item = Item<'_>> + Send + '_> {
        match self {
            Self::Nothing(serial) => Box::new(std::iter::once(Item::Soa(*serial))),
            Self::Whole(serial, served) => {
                let soa = || std::iter::once(Item::Soa(*serial));
                let body = served.iter().flat_map(|(owner, data)| records(owner, data));
                Box::new(soa().chain(std::iter::once(Item::Ns)).chain(body).chain(soa()))
            }
            Self::Differences(serial, deltas) => {
                let soa = || std::iter::once(Item::Soa(*serial));
                Box::new(soa().chain(deltas.iter().flat_map(|delta| difference(delta))).chain(soa()))
            }
        }
    }
}

fn difference(delta: &Delta) -> impl Iterator<Item = Item<'_>> + Send {
    let removed = delta.removed.iter().flat_map(|(owner, data)| records(owner, data));
    let added = delta.added.iter().flat_map(|(owner, data)| records(owner, data));
    std::iter::once(Item::Soa(delta.from)).chain(removed).chain(std::iter::once(Item::Soa(delta.to))).chain(added)
}

/// The records of one set.
pub(super) fn records<'a>(owner: &'a Owner, data: &'a Data) -> Box<dyn Iterator<Item = Item<'a>> + Send + 'a> {
    match data {
        Data::Notes(notes) => Box::new(notes.iter().map(move |note| Item::Note(owner, note))),
        _ => Box::new(std::iter::once(Item::Policy(owner, data))),
    }
}

/// The messages of a transfer, one at a time, each ready to be signed.
pub(super) struct Messages<'a> {
    frame: &'a Frame,
    request: &'a Message<[u8]>,
    items: std::iter::Peekable<Box<dyn Iterator<Item = Item<'a>> + Send + 'a>>,
}

impl<'a> Messages<'a> {
    pub(super) fn new(frame: &'a Frame, request: &'a Message<[u8]>, transfer: &'a Transfer) -> Self {
        Self { frame, request, items: transfer.items().peekable() }
    }
}

impl Iterator for Messages<'_> {
    type Item = Result<AdditionalBuilder<Target>, PushError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.items.peek()?;
        Some(self.message())
    }
}

impl Messages<'_> {
    fn message(&mut self) -> Result<AdditionalBuilder<Target>, PushError> {
        let mut answer = start(self.request, Rcode::NOERROR)?;
        answer.set_push_limit(TRANSFER_OCTETS_MAX);
        let mut empty = true;
        while let Some(item) = self.items.peek() {
            match push(&mut answer, self.frame, *item) {
                Ok(()) => empty = false,
                Err(error) if empty => return Err(error),
                Err(_) => break,
            }
            self.items.next();
        }
        answer.clear_push_limit();
        Ok(answer.additional())
    }
}

/// Begins an answer to `request`.
pub(super) fn start(request: &Message<[u8]>, rcode: Rcode) -> Result<AnswerBuilder<Target>, PushError> {
    let mut answer = builder()?.start_answer(request, rcode)?;
    let refused = matches!(rcode, Rcode::REFUSED | Rcode::FORMERR | Rcode::NOTIMP | Rcode::SERVFAIL);
    answer.header_mut().set_aa(!refused);
    Ok(answer)
}

/// A message with nothing in it yet.
pub(super) fn builder() -> Result<MessageBuilder<Target>, PushError> {
    MessageBuilder::from_target(StaticCompressor::new(StreamTarget::new_vec())).map_err(|_| PushError::ShortBuf)
}

/// Adds one record of the zone.
pub(super) fn push<T: Composer>(answer: &mut AnswerBuilder<T>, frame: &Frame, item: Item<'_>) -> Result<(), PushError> {
    let ttl = Ttl::from_secs(TTL_SECONDS);
    match item {
        Item::Soa(serial) => answer.push((&frame.apex, Class::IN, ttl, soa(frame, serial))),
        Item::Ns => answer.push((&frame.apex, Class::IN, ttl, Ns::new(localhost()))),
        Item::Policy(owner, data) => {
            answer.push((owner.in_zone(&frame.apex), Class::IN, ttl, Cname::new(policy_target(data))))
        }
        Item::Note(owner, note) => {
            // `Zone` takes no note that is longer than one string.
            let txt: Txt<Vec<u8>> = Txt::build_from_slice(note.as_bytes()).map_err(|_| PushError::ShortBuf)?;
            answer.push((owner.in_zone(&frame.apex), Class::IN, ttl, txt))
        }
    }
}

/// The start of authority of a version.
pub(super) fn soa(frame: &Frame, serial: Serial) -> Soa<Name<&'static [u8]>> {
    let seconds = Ttl::from_secs;
    let Timers { refresh, retry, expire } = frame.timers;
    Soa::new(localhost(), localhost(), serial, seconds(refresh), seconds(retry), seconds(expire), seconds(TTL_SECONDS))
}

/// `localhost.`: nobody is to be found by a policy zone's NS record.
fn localhost() -> Name<&'static [u8]> {
    Name::from_octets(b"\x09localhost\0".as_slice()).unwrap_or_else(|_| Name::root_ref())
}

fn policy_target(data: &Data) -> Name<Vec<u8>> {
    match data {
        Data::NxDomain | Data::Notes(_) => Name::root_vec(),
        Data::NoData => fixed("*."),
        Data::Passthru => fixed("rpz-passthru."),
        Data::Redirect(target) => fixed(target.as_str()),
    }
}

fn fixed(text: &str) -> Name<Vec<u8>> {
    text.parse().unwrap_or_else(|_| Name::root_vec())
}

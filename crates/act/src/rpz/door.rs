//! What the primary answers to one message: who asks, for which zone, what. No sockets.

use super::access::{Access, Identity};
use super::entry::Data;
use super::live::{Busy, LiveZone};
use super::owner::Owner;
use super::wire::{self, Item, Target, Transfer, UDP_OCTETS_MAX};
use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::{Message, Name, Serial, ToName};
use domain::rdata::Soa;
use domain::rdata::tsig::Time48;
use domain::tsig::{Key, ServerSequence};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Longest request, in octets: a question, an SOA and a signature need a fraction of it.
pub(super) const REQUEST_OCTETS_MAX: usize = 4_096;

/// The signing state of one exchange.
pub(super) type Signer = ServerSequence<Arc<Key>>;

/// What is to be done about a request.
pub(super) enum Outcome {
    /// Not a request: say nothing, so that nobody can make two servers answer each other.
    Silence,
    /// One message, complete.
    Reply(Vec<u8>),
    /// The zone is being changed: ask again in a moment.
    Busy,
    /// A transfer in many messages.
    Stream(Box<Stream>),
}

/// A transfer about to be sent.
pub(super) struct Stream {
    pub(super) request: Message<Vec<u8>>,
    pub(super) signer: Option<Signer>,
    pub(super) zone: Arc<LiveZone>,
    pub(super) transfer: Transfer,
    pub(super) who: Identity,
}

/// The part of the server that decides.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) access: Access,
    pub(super) zones: Vec<Arc<LiveZone>>,
}

/// How a request came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Via {
    Udp,
    Tcp,
}

/// A request whose sender is known.
struct Asked<'a> {
    request: &'a Message<Vec<u8>>,
    name: Name<Vec<u8>>,
    rtype: Rtype,
    via: Via,
    who: Option<Identity>,
}

enum Verdict {
    Error(Rcode),
    Soa(Arc<LiveZone>, Serial),
    LookUp(Arc<LiveZone>),
    Transfer(Arc<LiveZone>, Result<Transfer, Busy>, Identity),
}

impl Door {
    /// Answers one message. An answer that cannot be built is silence.
    pub(super) fn handle(&self, octets: Vec<u8>, peer: IpAddr, via: Via) -> Outcome {
        let Ok(mut request) = Message::try_from_octets(octets) else { return Outcome::Silence };
        if request.header().qr() {
            return Outcome::Silence;
        }
        let signer = match ServerSequence::request(&self.access, &mut request, Time48::now()) {
            Ok(signer) => signer,
            Err(error) => {
                tracing::warn!(%peer, error = %error.error(), "rpz: request with a bad signature refused");
                let built = wire::builder().and_then(|builder| error.build_message(&request, builder));
                return built.map_or(Outcome::Silence, |message| Outcome::Reply(octets_of(message)));
            }
        };
        let who = self.access.identify(signer.as_ref().map(ServerSequence::key), peer);
        self.answer(request, signer, who, via).unwrap_or(Outcome::Silence)
    }

    fn answer(
        &self,
        request: Message<Vec<u8>>,
        mut signer: Option<Signer>,
        who: Option<Identity>,
        via: Via,
    ) -> Result<Outcome, PushError> {
        let verdict = self.judge(&request, who, via);
        let message = match verdict {
            Verdict::Transfer(_, Err(Busy), _) => return Ok(Outcome::Busy),
            Verdict::Transfer(zone, Ok(transfer), who) => {
                return Ok(Outcome::Stream(Box::new(Stream { request, signer, zone, transfer, who })));
            }
            Verdict::Error(rcode) => wire::start(request.for_slice(), rcode)?.additional(),
            Verdict::Soa(zone, serial) => {
                let mut answer = wire::start(request.for_slice(), Rcode::NOERROR)?;
                wire::push(&mut answer, &zone.frame, Item::Soa(serial))?;
                answer.additional()
            }
            Verdict::LookUp(zone) => match zone.snapshot() {
                Err(Busy) => return Ok(Outcome::Busy),
                Ok((serial, served)) => look_up(&request, &zone, serial, &served)?,
            },
        };
        finish(message, &request, &mut signer).map(Outcome::Reply)
    }

    fn judge(&self, request: &Message<Vec<u8>>, who: Option<Identity>, via: Via) -> Verdict {
        if request.header().opcode() != Opcode::QUERY {
            return Verdict::Error(Rcode::NOTIMP);
        }
        let Ok(question) = request.sole_question() else { return Verdict::Error(Rcode::FORMERR) };
        let name: Name<Vec<u8>> = question.qname().to_name();
        let asked = Asked { request, name, rtype: question.qtype(), via, who };
        let zone = self.zones.iter().find(|zone| asked.name.ends_with(&zone.frame.apex));
        match (zone, &asked.who, question.qclass()) {
            (Some(zone), Some(who), Class::IN) => judge_known(&asked, Arc::clone(zone), who.clone()),
            _ => Verdict::Error(Rcode::REFUSED),
        }
    }
}

/// The sender may see the zone.
fn judge_known(asked: &Asked<'_>, zone: Arc<LiveZone>, who: Identity) -> Verdict {
    let Some(serial) = zone.serving() else { return Verdict::Error(Rcode::SERVFAIL) };
    let at_apex = asked.name == zone.frame.apex;
    match (asked.rtype, asked.via) {
        (Rtype::SOA, _) if at_apex => Verdict::Soa(zone, serial),
        (Rtype::AXFR, Via::Tcp) if at_apex => {
            let transfer = zone.transfer(None);
            Verdict::Transfer(zone, transfer, who)
        }
        (Rtype::IXFR, via) if at_apex => match (serial_of(asked.request), via) {
            (None, _) => Verdict::Error(Rcode::FORMERR),
            // RFC 1995 §2: over UDP our SOA alone says "ask over TCP".
            (Some(_), Via::Udp) => Verdict::Soa(zone, serial),
            (Some(has), Via::Tcp) => {
                warn_if_ahead(has, serial, &who, &zone);
                let transfer = zone.transfer(Some(has));
                Verdict::Transfer(zone, transfer, who)
            }
        },
        (Rtype::AXFR | Rtype::IXFR, _) => Verdict::Error(Rcode::REFUSED),
        _ => Verdict::LookUp(zone),
    }
}

/// The version that an IXFR request says its sender has (RFC 1995 §3).
fn serial_of(request: &Message<Vec<u8>>) -> Option<Serial> {
    let authority = request.authority().ok()?;
    authority.limit_to::<Soa<_>>().flatten().next().map(|record| record.data().serial())
}

fn warn_if_ahead(has: Serial, now: Serial, who: &Identity, zone: &LiveZone) {
    if has > now {
        tracing::error!(
            zone = %zone.frame.apex, ?who, has = has.into_int(), serving = now.into_int(),
            "rpz: a secondary has a newer serial than ours and keeps its old zone: was the serial file lost? \
             Make the secondary transfer anew (rndc retransfer, unbound-control auth_zone_transfer)"
        );
    }
}

/// For a person with dig: the record set at one name. No wildcards are expanded: this is the zone, not its effect.
fn look_up(
    request: &Message<Vec<u8>>,
    zone: &LiveZone,
    serial: Serial,
    served: &BTreeMap<Owner, Data>,
) -> Result<AdditionalBuilder<Target>, PushError> {
    let Ok(question) = request.sole_question() else {
        return Ok(wire::start(request.for_slice(), Rcode::FORMERR)?.additional());
    };
    let name: Name<Vec<u8>> = question.qname().to_name();
    let depth = name.label_count() - zone.frame.apex.label_count();
    let owner = Owner::from_labels(name.iter().take(depth).map(|label| label.as_slice()));
    let exists = match &owner {
        None => depth == 0,
        Some(owner) => served.range(owner..&owner.range_end()).next().is_some(),
    };
    let rcode = if exists { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut answer = wire::start(request.for_slice(), rcode)?;
    if depth == 0 && matches!(question.qtype(), Rtype::NS | Rtype::ANY) {
        wire::push(&mut answer, &zone.frame, Item::Ns)?;
    }
    let set = owner.as_ref().and_then(|owner| served.get_key_value(owner));
    let set = set.filter(|(_, data)| has_type(data, question.qtype()));
    for item in set.into_iter().flat_map(|(owner, data)| wire::records(owner, data)) {
        wire::push(&mut answer, &zone.frame, item)?;
    }
    let empty = answer.counts().ancount() == 0;
    let mut authority = answer.authority();
    if empty {
        let ttl = domain::base::Ttl::from_secs(wire::TTL_SECONDS);
        authority.push((&zone.frame.apex, Class::IN, ttl, wire::soa(&zone.frame, serial)))?;
    }
    Ok(authority.additional())
}

/// A CNAME answers every type (RFC 1034 §3.6.2).
fn has_type(data: &Data, rtype: Rtype) -> bool {
    !matches!(data, Data::Notes(_)) || matches!(rtype, Rtype::TXT | Rtype::ANY)
}

/// Adds EDNS if the request had it, cuts what does not fit into UDP, signs.
fn finish(
    mut message: AdditionalBuilder<Target>,
    request: &Message<Vec<u8>>,
    signer: &mut Option<Signer>,
) -> Result<Vec<u8>, PushError> {
    if request.opt().is_some() {
        message.opt(|opt| {
            opt.set_udp_payload_size(UDP_OCTETS_MAX);
            Ok(())
        })?;
    }
    if let Some(signer) = signer {
        signer.answer(&mut message, Time48::now())?;
    }
    Ok(octets_of(message))
}

/// The message without the length that TCP wants before it.
pub(super) fn octets_of(message: AdditionalBuilder<Target>) -> Vec<u8> {
    message.finish().into_target().as_dgram_slice().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpz::wire::Timers;
    use crate::rpz::{Change, Entry, Policy, Trigger, ZoneLimits, ZoneSettings};
    use domain::base::MessageBuilder;
    use domain::base::Ttl;
    use proptest::prelude::*;

    const ZONE: &str = "rpz.alliance.example";

    fn door() -> (Door, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let settings = ZoneSettings {
            name: ZONE.to_owned(),
            tag: "hot".to_owned(),
            serial_file: dir.path().join("serial"),
            limits: ZoneLimits { triggers_max: 10, allowed_max: 10 },
            timers: Timers::default(),
        };
        let zone = LiveZone::new(&settings, 1).unwrap();
        let entry = Entry { id: "m1".into(), policy: Policy::NxDomain, note: "n".into(), expires: None };
        let put = Change::Put(Trigger::Name("bad.test".parse().unwrap()), entry);
        zone.commit(&[Change::Clear, put]).unwrap();
        let access = Access::new(Vec::new(), vec!["127.0.0.1/32".parse().unwrap()]).unwrap();
        (Door { access, zones: vec![Arc::new(zone)] }, dir)
    }

    fn request(name: &str, rtype: u16, with_soa: bool) -> Vec<u8> {
        let name: Name<Vec<u8>> = name.parse().unwrap();
        let mut question = MessageBuilder::new_vec().question();
        question.push((&name, Rtype::from_int(rtype))).unwrap();
        let mut authority = question.authority();
        if with_soa {
            let (zero, root) = (Ttl::ZERO, Name::root_vec);
            authority.push((&name, zero, Soa::new(root(), root(), Serial(1), zero, zero, zero, zero))).unwrap();
        }
        authority.finish()
    }

    proptest! {
        #[test]
        fn no_bytes_from_outside_bring_the_door_down(
            noise in prop::collection::vec(any::<u8>(), 0..600),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            front in "([a-z_*]{1,9}\\.){0,4}",
            rtype in prop_oneof![Just(6u16), Just(16), Just(251), Just(252), Just(255), any::<u16>()],
            with_soa in any::<bool>(),
        ) {
            let (door, _dir) = door();
            let mut bent = request(&format!("{front}{ZONE}"), rtype, with_soa);
            for (at, value) in flips {
                let at = at.index(bent.len());
                bent[at] = value;
            }
            for octets in [noise, bent] {
                for via in [Via::Udp, Via::Tcp] {
                    let outcome = door.handle(octets.clone(), "127.0.0.1".parse().unwrap(), via);
                    if let Outcome::Reply(reply) = &outcome {
                        // An answer is an answer, to this question, and never more than a few times its size.
                        prop_assert_eq!(&reply[..2], &octets[..2]);
                        prop_assert!(reply[2] & 0x80 != 0);
                        prop_assert!(reply.len() <= octets.len() + 400);
                    }
                    let is_stream = matches!(outcome, Outcome::Stream(_));
                    prop_assert!(!(is_stream && via == Via::Udp));
                    // Whoever is not known gets no record at all.
                    if let Outcome::Reply(reply) = door.handle(octets.clone(), "192.0.2.1".parse().unwrap(), via) {
                        prop_assert_eq!(&reply[6..10], &[0; 4]);
                    }
                }
            }
        }
    }
}

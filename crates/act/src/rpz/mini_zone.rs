//! One policy zone as the small resolver follows it: AXFR, IXFR, its timers, and what it decides.

use super::mini::timers;
use super::notify::random_id;
use super::owner::Owner;
use domain::base::iana::Rtype;
use domain::base::message_builder::PushError;
use domain::base::{Message, MessageBuilder, Name, ParsedName, Serial, StreamTarget, ToName, Ttl};
use domain::rdata::{AllRecordData, Soa};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long one read or write of a transfer may take.
const IO_LIMIT: Duration = Duration::from_secs(5);
/// Most records of a zone.
const RECORDS_MAX: usize = 1_000_000;
/// Before the first transfer, and when the primary refuses.
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// What a zone says about a name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Found {
    NxDomain,
    NoData,
    Passthru,
    Redirect(Name<Vec<u8>>),
    Notes(Vec<String>),
}

/// A record of the zone that is not SOA or NS.
type Entry = (Owner, Found);

/// A zone that is followed.
pub(super) struct Followed {
    apex: Name<Vec<u8>>,
    primary: SocketAddr,
    serial: Option<Serial>,
    records: BTreeMap<Owner, BTreeSet<Found>>,
    refresh: Duration,
    retry: Duration,
    expires: Option<Instant>,
    next: Instant,
    expire: Duration,
}

impl Followed {
    pub(super) fn new(name: &str, primary: SocketAddr) -> Option<Self> {
        Some(Self {
            apex: name.to_ascii_lowercase().parse().ok()?,
            primary,
            serial: None,
            records: BTreeMap::new(),
            refresh: RETRY_FIRST,
            retry: RETRY_FIRST,
            expires: None,
            next: Instant::now(),
            expire: Duration::MAX,
        })
    }

    pub(super) fn apex(&self) -> &Name<Vec<u8>> {
        &self.apex
    }

    /// There may be a newer version.
    pub(super) fn notified(&mut self) {
        self.next = Instant::now();
    }

    /// Transfers when it is time, and forgets a zone whose primary has been silent for too long.
    pub(super) fn refresh_if_due(&mut self) {
        let now = Instant::now();
        if self.expires.is_some_and(|end| end <= now) {
            tracing::warn!(zone = %self.apex, "small resolver: zone expired, everything is reachable");
            (self.records, self.serial, self.expires) = (BTreeMap::new(), None, None);
        }
        if self.next > now {
            return;
        }
        let wait = match self.transfer() {
            Ok(()) => {
                self.expires = now.checked_add(self.expire);
                self.refresh
            }
            Err(error) => {
                tracing::debug!(zone = %self.apex, %error, "small resolver: no transfer");
                self.retry
            }
        };
        self.next = now + wait;
    }

    /// The rule that decides about a name: an exact owner, else the closest wildcard (RFC 4592).
    pub(super) fn find(&self, name: &Owner) -> Option<Found> {
        let exists = |o: &Owner| self.records.range(o..&o.range_end()).next().is_some();
        if exists(name) {
            return self.at(name);
        }
        let encloser = name.ancestors().find(exists)?;
        self.at(&encloser.wildcard())
    }

    /// Is the longest matching trigger on addresses one that blocks?
    pub(super) fn blocks(&self, address: IpAddr) -> bool {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let nets = (1..=longest).rev().filter_map(|length| IpNet::new(address, length).ok());
        let found = nets.map(|net| Owner::network(net.trunc())).find_map(|owner| self.at(&owner));
        matches!(found, Some(Found::NxDomain | Found::NoData | Found::Redirect(_)))
    }

    fn at(&self, owner: &Owner) -> Option<Found> {
        let mut set = self.records.get(owner)?.iter();
        match set.next()? {
            Found::Notes(first) => {
                let rest = set.filter_map(|found| if let Found::Notes(notes) = found { Some(notes) } else { None });
                Some(Found::Notes(std::iter::once(first).chain(rest).flatten().cloned().collect()))
            }
            policy => Some(policy.clone()),
        }
    }

    fn transfer(&mut self) -> io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.primary, IO_LIMIT)?;
        stream.set_read_timeout(Some(IO_LIMIT))?;
        stream.set_write_timeout(Some(IO_LIMIT))?;
        let id = random_id();
        stream.write_all(&self.request(id).map_err(io::Error::other)?)?;
        let mut incoming = Incoming::new(self.serial);
        while !incoming.done {
            let octets = read_message(&mut stream)?;
            let message = Message::from_octets(octets.as_slice()).map_err(io::Error::other)?;
            if message.header().id() != id || !message.no_error() {
                return Err(io::Error::other(format!("answered {}", message.header().rcode())));
            }
            self.take_message(&message, &mut incoming)?;
        }
        self.install(incoming)
    }

    fn request(&self, id: u16) -> Result<Vec<u8>, PushError> {
        let mut builder = MessageBuilder::from_target(StreamTarget::new_vec()).map_err(|_| PushError::ShortBuf)?;
        builder.header_mut().set_id(id);
        let mut question = builder.question();
        let rtype = if self.serial.is_some() { Rtype::IXFR } else { Rtype::AXFR };
        question.push((&self.apex, rtype))?;
        let mut authority = question.authority();
        if let Some(serial) = self.serial {
            let zero = Ttl::ZERO;
            let root = Name::root_vec;
            authority.push((&self.apex, zero, Soa::new(root(), root(), serial, zero, zero, zero, zero)))?;
        }
        Ok(authority.finish().into_target())
    }

    fn take_message(&mut self, message: &Message<&[u8]>, incoming: &mut Incoming) -> io::Result<()> {
        let answer = message.answer().map_err(io::Error::other)?;
        for record in answer.limit_to::<AllRecordData<_, ParsedName<_>>>() {
            let record = record.map_err(io::Error::other)?;
            if let AllRecordData::Soa(soa) = record.data() {
                (self.refresh, self.retry, self.expire) = timers(soa);
                incoming.take_soa(soa.serial());
            } else if let Some(found) = found(record.data()) {
                let name: Name<Vec<u8>> = record.owner().to_name();
                let depth = name.label_count().saturating_sub(self.apex.label_count());
                if let Some(owner) = Owner::from_labels(name.iter().take(depth).map(|label| label.as_slice())) {
                    incoming.take((owner, found))?;
                }
            }
        }
        // "You have it": one SOA and no more (RFC 1995 §4).
        let single = message.header_counts().ancount() == 1;
        incoming.done |= single && incoming.is_up_to_date();
        Ok(())
    }

    fn install(&mut self, incoming: Incoming) -> io::Result<()> {
        let Some(serial) = incoming.newest else { return Err(io::Error::other("no SOA")) };
        if incoming.whole {
            self.records.clear();
        }
        for (add, (owner, found)) in incoming.steps {
            let set = self.records.entry(owner.clone()).or_default();
            let changed = if add { set.insert(found) } else { set.remove(&found) };
            if set.is_empty() {
                self.records.remove(&owner);
            }
            if !changed && !add {
                // What we hold is not what the primary thinks: begin anew.
                self.serial = None;
                return Err(io::Error::other(format!("a difference removes {owner}, which is not there")));
            }
        }
        self.serial = Some(serial);
        Ok(())
    }
}

/// A transfer as it comes in: RFC 5936 (whole) or RFC 1995 (differences).
struct Incoming {
    has: Option<Serial>,
    newest: Option<Serial>,
    soas: usize,
    whole: bool,
    adding: bool,
    steps: Vec<(bool, Entry)>,
    done: bool,
}

impl Incoming {
    fn new(has: Option<Serial>) -> Self {
        Self { has, newest: None, soas: 0, whole: true, adding: true, steps: Vec::new(), done: false }
    }

    fn take_soa(&mut self, serial: Serial) {
        self.soas += 1;
        match self.soas {
            1 => self.newest = Some(serial),
            // The second SOA directly after the first, with our serial: differences follow.
            2 if self.steps.is_empty() && self.has == Some(serial) && self.newest != self.has => {
                (self.whole, self.adding) = (false, false);
            }
            _ if self.adding && self.newest == Some(serial) => self.done = true,
            _ => self.adding = !self.adding,
        }
    }

    fn take(&mut self, entry: Entry) -> io::Result<()> {
        if self.steps.len() >= RECORDS_MAX {
            return Err(io::Error::other(format!("more than {RECORDS_MAX} records")));
        }
        self.steps.push((self.adding, entry));
        Ok(())
    }

    fn is_up_to_date(&mut self) -> bool {
        let same = self.soas == 1 && self.steps.is_empty() && self.newest == self.has;
        self.whole &= !same;
        same
    }
}

fn found(data: &AllRecordData<&[u8], ParsedName<&[u8]>>) -> Option<Found> {
    match data {
        AllRecordData::Cname(cname) => {
            let target = cname.cname().to_string();
            Some(match target.trim_end_matches('.') {
                "" => Found::NxDomain,
                "*" => Found::NoData,
                "rpz-passthru" => Found::Passthru,
                _ => Found::Redirect(cname.cname().to_name()),
            })
        }
        AllRecordData::Txt(txt) => {
            let bytes: Vec<u8> = txt.iter().flatten().copied().collect();
            Some(Found::Notes(vec![String::from_utf8_lossy(&bytes).into_owned()]))
        }
        _ => None,
    }
}

fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets)?;
    Ok(octets)
}

//! Asking resolvers: many questions to one of them over one UDP socket, again and again until a deadline; what is cut
//! off there, once more over TCP.

use super::notify::random_id;
use super::wire::UDP_OCTETS_MAX;
use domain::base::iana::{Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Serial};
use domain::rdata::{AllRecordData, Txt};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// Questions on the way at once: few enough for a resolver's receive buffer.
const WINDOW: usize = 64;
/// How long a question may stay without an answer before it is sent again.
const RESEND: Duration = Duration::from_millis(250);
/// How long one question about a fence may stay without an answer.
const FENCE_LIMIT: Duration = Duration::from_millis(500);
/// How long an answer may take to come over TCP, and each step to it.
const WHOLE_LIMIT: Duration = Duration::from_secs(1);
/// Longest answer read over UDP, in octets.
const ANSWER_OCTETS_MAX: usize = 4_096;

/// One question to a resolver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Question {
    pub(super) name: String,
    pub(super) rtype: Rtype,
    /// May the resolver ask others (RFC 1035 §4.1.1, RD)?
    pub(super) recursive: bool,
}

impl Question {
    pub(super) fn new(name: String, rtype: Rtype) -> Self {
        Self { name, rtype, recursive: true }
    }
}

/// What a resolver answered to one question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) rcode: Rcode,
    /// Type and data of each record of the answer section, in order.
    pub(super) records: Vec<(Rtype, String)>,
    /// There was no room for all of the answer (RFC 1035 §4.1.1, TC).
    pub(super) truncated: bool,
}

impl Reply {
    /// Is this all that there is at the name? Only then does what is missing from it not exist: whoever refuses, fails
    /// or has no room says nothing of that.
    pub(super) fn is_complete(&self) -> bool {
        !self.truncated && matches!(self.rcode, Rcode::NOERROR | Rcode::NXDOMAIN)
    }

    /// In few words, safe to print.
    pub(super) fn summary(&self) -> String {
        match self.records.first() {
            Some((rtype, data)) => format!("{} {rtype} {}", self.rcode, data.escape_debug()),
            None if self.truncated => format!("{} that is cut off", self.rcode),
            None if self.rcode == Rcode::NOERROR => "NOERROR without records".to_owned(),
            None => self.rcode.to_string(),
        }
    }

    /// The serial of a policy zone, where its version marker or a fence was asked for.
    pub(super) fn serial(&self) -> Option<Serial> {
        let mut texts = self.records.iter().filter(|(rtype, _)| *rtype == Rtype::TXT);
        texts.find_map(|(_, text)| text.strip_prefix("serial=")?.parse().ok().map(Serial))
    }
}

/// One resolver.
pub(super) struct Asker {
    socket: UdpSocket,
    deadline: Instant,
}

impl Asker {
    pub(super) fn new(resolver: SocketAddr, deadline: Instant) -> io::Result<Self> {
        let local: SocketAddr = match resolver.is_ipv4() {
            true => (Ipv4Addr::UNSPECIFIED, 0).into(),
            false => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local)?;
        socket.connect(resolver)?;
        Ok(Self { socket, deadline })
    }

    pub(super) fn time_left(&self) -> bool {
        Instant::now() < self.deadline
    }

    /// What the resolver says of the version of a policy zone whose records it has.
    ///
    /// # Errors
    /// No answer before the deadline.
    pub(super) fn version(&self, marker: &str) -> io::Result<Reply> {
        let replies = self.ask(&[Question::new(marker.to_owned(), Rtype::TXT)]);
        let reply = replies.into_iter().flatten().next();
        reply.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "no answer"))
    }

    /// Is a version's [fence](super::owner::Owner::fence) answered, so that the resolver acts upon all of that version?
    /// Unless `recursive`, the question does not leave the resolver. No answer in time is a no.
    pub(super) fn is_past(&self, fence: String, recursive: bool) -> bool {
        let question = Question { name: fence, rtype: Rtype::TXT, recursive };
        let until = (Instant::now() + FENCE_LIMIT).min(self.deadline);
        self.ask_until(&[question], until).iter().flatten().any(|reply| reply.serial().is_some())
    }

    /// The answer to each question, in order; `None` where none came before the deadline.
    pub(super) fn ask(&self, questions: &[Question]) -> Vec<Option<Reply>> {
        self.ask_until(questions, self.deadline)
    }

    fn ask_until(&self, questions: &[Question], until: Instant) -> Vec<Option<Reply>> {
        let mut replies = vec![None; questions.len()];
        for (index, window) in questions.chunks(WINDOW).enumerate() {
            let start = index * WINDOW;
            let replies = &mut replies[start..start + window.len()];
            self.ask_window(window, replies, until);
            self.complete(window, replies, until);
        }
        replies
    }

    fn ask_window(&self, questions: &[Question], replies: &mut [Option<Reply>], deadline: Instant) {
        while replies.iter().any(Option::is_none) && Instant::now() < deadline {
            // Identifiers of one round are neighbours; the first cannot be guessed.
            let first_id = random_id();
            for (i, question) in questions.iter().enumerate().filter(|(i, _)| replies[*i].is_none()) {
                if let Some(octets) = encode(offset_id(first_id, i), question) {
                    // Refused by the peer's host: the same as no answer.
                    let _ = self.socket.send(&octets);
                }
            }
            self.collect(first_id, questions, replies, deadline);
        }
    }

    /// Asks once more over TCP where an answer was cut off; one that cannot be had stays as it is.
    fn complete(&self, questions: &[Question], replies: &mut [Option<Reply>], deadline: Instant) {
        let cut_off = |reply: &Option<Reply>| reply.as_ref().is_some_and(|reply| reply.truncated);
        for (question, reply) in questions.iter().zip(replies).filter(|(_, reply)| cut_off(reply)) {
            match self.ask_tcp(question, deadline) {
                Ok(whole) => *reply = whole.or_else(|| reply.take()),
                // The others would have to wait as long.
                Err(_) => return,
            }
        }
    }

    /// The answer over TCP; `None` where it is no answer to this question.
    fn ask_tcp(&self, question: &Question, deadline: Instant) -> io::Result<Option<Reply>> {
        let id = random_id();
        let Some(octets) = encode(id, question) else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now()).min(WHOLE_LIMIT);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut stream = TcpStream::connect_timeout(&self.socket.peer_addr()?, left)?;
        stream.set_read_timeout(Some(left))?;
        stream.set_write_timeout(Some(left))?;
        // A question is far below 65,536 octets.
        let length = u16::try_from(octets.len()).unwrap_or(u16::MAX).to_be_bytes();
        stream.write_all(&[&length[..], &octets].concat())?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut octets)?;
        let mut reply = None;
        accept(&octets, id, std::slice::from_ref(question), std::slice::from_mut(&mut reply));
        Ok(reply)
    }

    fn collect(&self, first_id: u16, questions: &[Question], replies: &mut [Option<Reply>], deadline: Instant) {
        let until = (Instant::now() + RESEND).min(deadline);
        let mut buffer = [0; ANSWER_OCTETS_MAX];
        while replies.iter().any(Option::is_none) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
                return;
            }
            match self.socket.recv(&mut buffer) {
                Ok(length) => accept(&buffer[..length], first_id, questions, replies),
                // Nobody listens there now; perhaps later.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    std::thread::sleep(left.min(Duration::from_millis(20)));
                    return;
                }
                Err(_) => return,
            }
        }
    }
}

fn offset_id(first: u16, index: usize) -> u16 {
    // WINDOW is far below 65,536.
    first.wrapping_add(u16::try_from(index).unwrap_or(u16::MAX))
}

fn encode(id: u16, question: &Question) -> Option<Vec<u8>> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(question.recursive);
    let mut section = builder.question();
    section.push((question.name.parse::<Name<Vec<u8>>>().ok()?, question.rtype)).ok()?;
    // RFC 6891: without it five mitigations on one trigger have no room in an answer.
    let mut more = section.additional();
    more.opt(|opt| {
        opt.set_udp_payload_size(UDP_OCTETS_MAX);
        Ok(())
    })
    .ok()?;
    Some(more.finish())
}

fn accept(octets: &[u8], first_id: u16, questions: &[Question], replies: &mut [Option<Reply>]) {
    let Ok(message) = Message::from_octets(octets) else { return };
    let index = usize::from(message.header().id().wrapping_sub(first_id));
    let Some(Question { name, rtype, .. }) = questions.get(index) else { return };
    let Ok(question) = message.sole_question() else { return };
    let same_name = question.qname().to_string().trim_end_matches('.').eq_ignore_ascii_case(name);
    if message.header().qr() && same_name && question.qtype() == *rtype {
        let (rcode, truncated) = (message.header().rcode(), message.header().tc());
        replies[index] = Some(Reply { rcode, records: records(&message), truncated });
    }
}

fn records(message: &Message<&[u8]>) -> Vec<(Rtype, String)> {
    let Ok(answer) = message.answer() else { return Vec::new() };
    let all = answer.limit_to::<AllRecordData<_, _>>().flatten();
    all.map(|record| {
        let text = match record.data() {
            AllRecordData::Txt(txt) => text_of(txt),
            data => data.to_string().trim_end_matches('.').to_ascii_lowercase(),
        };
        (record.rtype(), text)
    })
    .collect()
}

fn text_of<O: AsRef<[u8]>>(txt: &Txt<O>) -> String {
    let bytes: Vec<u8> = txt.iter().flatten().copied().collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

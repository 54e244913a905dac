//! The primary at its door, spoken to byte by byte: who is refused, what is limited, what a transfer says.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rpz_support;

use act::Point;
use act::rpz::{RpzPoint, RpzSettings};
use domain::base::iana::{Opcode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, Serial, Ttl};
use domain::rdata::{AllRecordData, Soa};
use rpz_support::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use testbed::ask;

fn strict(dir: &std::path::Path) -> RpzPoint {
    let mut settings: RpzSettings = settings(dir, Vec::new());
    settings.primary.allow_unsigned = Vec::new();
    let point = RpzPoint::start(settings).unwrap();
    point.replace(&[], now()).unwrap();
    point
}

fn request(name: &str, rtype: Rtype, has: Option<Serial>, opcode: Opcode) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(77);
    builder.header_mut().set_opcode(opcode);
    let name: Name<Vec<u8>> = name.parse().unwrap();
    let mut question = builder.question();
    question.push((&name, rtype)).unwrap();
    let mut authority = question.authority();
    if let Some(serial) = has {
        let (zero, root) = (Ttl::ZERO, Name::root_vec);
        authority.push((&name, zero, Soa::new(root(), root(), serial, zero, zero, zero, zero))).unwrap();
    }
    authority.finish()
}

fn send_tcp(stream: &mut TcpStream, octets: &[u8]) {
    let length = u16::try_from(octets.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, octets].concat()).unwrap();
}

fn read_tcp(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut octets = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut octets).ok()?;
    Some(octets)
}

fn connect(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream
}

/// One exchange over TCP: the code, and type and data of each record of the first message.
fn exchange(server: SocketAddr, octets: &[u8]) -> (Rcode, Vec<String>) {
    let mut stream = connect(server);
    send_tcp(&mut stream, octets);
    let reply = read_tcp(&mut stream).unwrap();
    let message = Message::from_octets(reply).unwrap();
    let records = message.answer().unwrap().limit_to::<AllRecordData<_, _>>().flatten();
    let records = records.map(|record| format!("{} {} {}", record.owner(), record.rtype(), record.data())).collect();
    (message.header().rcode(), records)
}

#[test]
fn stranger_without_a_key_sees_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let point = strict(dir.path());
    point.apply(&[deny("bad.test")], now()).unwrap();
    for rtype in [Rtype::SOA, Rtype::TXT, Rtype::A, Rtype::ANY] {
        let answer = ask(point.address(), HOT, rtype, LONG).unwrap();
        assert_eq!((answer.rcode.as_str(), answer.records.len()), ("REFUSED", 0));
    }
    for rtype in [Rtype::AXFR, Rtype::IXFR, Rtype::SOA] {
        let octets = request(HOT, rtype, Some(Serial(1)), Opcode::QUERY);
        assert_eq!(exchange(point.address(), &octets), (Rcode::REFUSED, Vec::new()));
    }
}

#[test]
fn anything_but_questions_about_the_zones_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    for name in ["example.com", "alliance.example", "rpz.alliance.example", "."] {
        assert_eq!(ask(point.address(), name, Rtype::A, LONG).unwrap().rcode, "REFUSED", "{name}");
    }
    for opcode in [Opcode::UPDATE, Opcode::NOTIFY, Opcode::STATUS] {
        let octets = request(HOT, Rtype::SOA, None, opcode);
        assert_eq!(exchange(point.address(), &octets).0, Rcode::NOTIMP);
    }
    let socket = UdpSocket::bind(local(0)).unwrap();
    socket.connect(point.address()).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // An answer is not answered, or two servers could be set upon each other.
    let mut answer = request(HOT, Rtype::SOA, None, Opcode::QUERY);
    answer[2] |= 0x80;
    for octets in [answer.as_slice(), b"", b"short"] {
        socket.send(octets).unwrap();
        assert!(socket.recv(&mut [0; 512]).is_err());
    }
    socket.set_read_timeout(Some(LONG)).unwrap();
    let axfr_over_udp = request(HOT, Rtype::AXFR, None, Opcode::QUERY);
    socket.send(&axfr_over_udp).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(Message::from_octets(&buffer[..length]).unwrap().header().rcode(), Rcode::REFUSED);
}

#[test]
fn differences_name_exactly_what_came_and_went() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    point.apply(&[deny("old.test")], now()).unwrap();
    let serial = point.primary().look("hot", act::rpz::zone::Zone::serial).unwrap();
    point.withdraw(&[deny("old.test")], now()).unwrap();
    point.apply(&[deny("new.test")], now()).unwrap();
    let (_, records) = exchange(point.address(), &request(HOT, Rtype::IXFR, Some(serial), Opcode::QUERY));
    let short: Vec<String> = records
        .iter()
        .map(|record| record.replace(&format!(".{HOT}"), "").split(" finding").next().unwrap().to_owned())
        .filter(|record| !record.contains("epimachia"))
        .map(|record| if record.contains(" SOA ") { "SOA".to_owned() } else { record })
        .collect();
    let expected = [
        "SOA",
        "SOA",
        "*.old.test CNAME .",
        "old.test CNAME .",
        "SOA",
        "SOA",
        "SOA",
        "*.new.test CNAME .",
        "new.test CNAME .",
        "SOA",
    ];
    assert_eq!(short, expected, "{records:#?}");
    // What stands last in each version and in each difference: a resolver that answers it has taken in all before it.
    let fence = format!("{}.hot.~epimachia.{HOT}", serial.add(2).into_int());
    assert!(records[records.len() - 2].starts_with(&fence), "{records:#?}");
    // Who has the newest version, or claims a newer one, gets one SOA.
    for ahead in [2, 1_000] {
        let (code, records) =
            exchange(point.address(), &request(HOT, Rtype::IXFR, Some(serial.add(ahead)), Opcode::QUERY));
        assert_eq!((code, records.len()), (Rcode::NOERROR, 1));
    }
    // Who has one that we do not know gets everything: SOA first and last.
    let (_, records) = exchange(point.address(), &request(HOT, Rtype::IXFR, Some(Serial(5)), Opcode::QUERY));
    assert!(records[1].contains(" NS ") && records.len() > 6, "{records:#?}");
    assert_eq!(records.first(), records.last());
}

#[test]
fn large_zone_is_sent_in_many_messages_and_each_is_small() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    let trigger = |i: usize| act::rpz::Trigger::Name(format!("n{i}.test").parse().unwrap());
    point.load_bulk("bulk", (0..5_000).map(|i| (trigger(i), format!("list=x line={i}")))).unwrap();
    let mut stream = connect(point.address());
    send_tcp(&mut stream, &request(BULK, Rtype::AXFR, None, Opcode::QUERY));
    let (mut soas, mut names, mut messages) = (0, 0, 0);
    while soas < 2 {
        let octets = read_tcp(&mut stream).unwrap();
        assert!(octets.len() <= 16_384);
        messages += 1;
        let message = Message::from_octets(octets).unwrap();
        for record in message.answer().unwrap() {
            match record.unwrap().rtype() {
                Rtype::SOA => soas += 1,
                Rtype::CNAME => names += 1,
                _ => {}
            }
        }
    }
    // Two for each name, and two catch-all places of the marker tree with two each.
    assert_eq!(names, 10_000 + 2 * 2);
    assert!(messages > 10);
}

#[test]
fn oversized_request_and_too_many_connections_are_closed() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    let mut stream = connect(point.address());
    stream.write_all(&5_000u16.to_be_bytes()).unwrap();
    assert_eq!(read_tcp(&mut stream), None);
    let octets = request(HOT, Rtype::SOA, None, Opcode::QUERY);
    let mut open: Vec<TcpStream> = (0..64)
        .map(|_| {
            let mut stream = connect(point.address());
            send_tcp(&mut stream, &octets);
            assert!(read_tcp(&mut stream).is_some());
            stream
        })
        .collect();
    let mut one_too_many = connect(point.address());
    one_too_many.write_all(&[0, 0]).ok();
    assert_eq!(read_tcp(&mut one_too_many), None);
    open.truncate(10);
    // Places come back when connections end.
    let start = Instant::now();
    loop {
        let mut stream = connect(point.address());
        stream.write_all(&[&[0, octets.len() as u8], octets.as_slice()].concat()).ok();
        if read_tcp(&mut stream).is_some() {
            break;
        }
        assert!(start.elapsed() < LONG);
    }
}

#[test]
fn person_with_dig_finds_out_why_at_the_primary() {
    let dir = tempfile::tempdir().unwrap();
    let point = point(dir.path(), Vec::new());
    let wanted = deny("bad.test");
    point.apply(std::slice::from_ref(&wanted), now()).unwrap();
    let at = |name: &str, rtype| ask(point.address(), &format!("{name}.{HOT}"), rtype, LONG).unwrap();
    let why = at("bad.test.hot._epimachia", Rtype::TXT);
    assert!(why.records[0].contains(&wanted.finding.to_string()), "{why:?}");
    assert_eq!(at("BAD.test", Rtype::A).records, ["CNAME ."]);
    assert_eq!(
        (at("nope.test", Rtype::A).rcode.as_str(), at("test", Rtype::A).rcode.as_str()),
        ("NXDOMAIN", "NOERROR")
    );
}

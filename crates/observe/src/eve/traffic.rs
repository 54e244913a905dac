//! What an EVE line says about ordinary traffic: whom one's own machines spoke with, without any harm being alleged.
//!
//! Nothing of this is ever reported to anybody. It answers one question: whom would a block have hurt?

use super::Eve;
use super::event::Event;
use crate::source::{Outcome, Settings, Skip, shallow, text};
use crate::times::{self, TimeFormat};
use model::{Domain, Timestamp};
use std::net::IpAddr;

/// One exchange with a remote side.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contact {
    /// When the line was written.
    pub at: Timestamp,
    /// The remote side.
    pub remote: IpAddr,
    /// The own side.
    pub own: IpAddr,
    /// An own machine began.
    pub own_began: bool,
    /// Both sides exchanged content that an application was recognised in (TCP), or packets (all else).
    pub two_way: bool,
    /// Suricata found something wrong with it.
    pub alerted: bool,
    /// The name that an own machine asked for, in a DNS query.
    pub asked: Option<Domain>,
}

impl Eve {
    /// Reads one line once, for both questions: is it evidence, and what traffic does it tell of?
    pub fn line_and_contact(&self, bytes: &[u8], settings: &Settings) -> (Outcome, Option<Contact>) {
        if bytes.trim_ascii().is_empty() {
            return (Skip::Blank.into(), None);
        }
        let event = match text(bytes).and_then(shallow).and_then(Event::read) {
            Ok(event) => event,
            Err(error) => return (error.into(), None),
        };
        (self.evidence(&event, settings).into(), self.contact(&event, settings))
    }

    fn contact(&self, event: &Event<'_>, settings: &Settings) -> Option<Contact> {
        let alerted = match event.event_type.as_ref() {
            "flow" => event.flow.as_ref().is_some_and(|flow| flow.alerted),
            "alert" => true,
            "http" | "tls" | "ssh" | "smtp" | "dns" | "quic" => false,
            _ => return None,
        };
        let sides = event.sides().ok()?;
        let side = sides.remote(&settings.own).ok()?;
        let own = if side.remote_began { sides.server } else { sides.client };
        let at = times::read(&event.timestamp, TimeFormat::Text, &self.utc_offset).ok()?;
        let asked = event.asks().then(|| event.dns_name()?.parse().ok()).flatten().filter(|_| !side.remote_began);
        let two_way = event.is_two_way();
        Some(Contact { at, remote: side.remote, own, own_began: !side.remote_began, two_way, alerted, asked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(line: &str) -> Option<Contact> {
        let settings =
            Settings { own: crate::Networks::new(&["198.51.100.0/24".parse().unwrap()]), ..Settings::default() };
        Eve::default().line_and_contact(line.as_bytes(), &settings).1
    }

    fn line(kind: &str, from: &str, to: &str, rest: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-01-31T12:00:00.000000+0000","event_type":"{kind}","src_ip":"{from}",
            "dest_ip":"{to}",{rest}}}"#
        )
    }

    const FLOW: &str =
        r#""proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":9,"pkts_toclient":8,"state":"closed"}"#;

    #[test]
    fn a_connection_of_an_own_machine_that_was_answered_is_two_way() {
        let seen = contact(&line("flow", "198.51.100.7", "192.88.99.1", FLOW)).unwrap();
        assert!(seen.own_began && seen.two_way && !seen.alerted);
        assert_eq!((seen.remote.to_string().as_str(), seen.own.to_string().as_str()), ("192.88.99.1", "198.51.100.7"));
    }

    #[test]
    fn a_refused_syn_and_an_unanswered_packet_are_not() {
        let refused = r#""proto":"TCP","flow":{"pkts_toserver":1,"pkts_toclient":1,"state":"closed"}"#;
        assert!(!contact(&line("flow", "192.88.99.1", "198.51.100.7", refused)).unwrap().two_way);
        let lone = r#""proto":"UDP","flow":{"pkts_toserver":1,"pkts_toclient":0,"state":"new"}"#;
        assert!(!contact(&line("flow", "198.51.100.7", "192.88.99.1", lone)).unwrap().two_way);
    }

    #[test]
    fn what_suricata_found_wrong_is_said() {
        let bad = FLOW.replace("\"state\"", "\"alerted\":true,\"state\"");
        assert!(contact(&line("flow", "192.88.99.1", "198.51.100.7", &bad)).unwrap().alerted);
    }

    #[test]
    fn a_question_of_an_own_machine_carries_the_name_and_an_answer_does_not() {
        let ask = r#""proto":"UDP","dns":{"type":"query","rrname":"Shop.Example.org","rrtype":"A"}"#;
        let asked = contact(&line("dns", "198.51.100.7", "192.88.99.53", ask)).unwrap().asked.unwrap();
        assert_eq!(asked.as_str(), "shop.example.org");
        let answer = ask.replace("query", "answer");
        assert_eq!(contact(&line("dns", "192.88.99.53", "198.51.100.7", &answer)).unwrap().asked, None);
    }

    #[test]
    fn statistics_strangers_and_rubbish_are_no_contacts() {
        assert_eq!(contact(&line("stats", "198.51.100.7", "192.88.99.1", FLOW)), None);
        assert_eq!(contact(&line("flow", "192.88.99.2", "192.88.99.1", FLOW)), None);
        assert_eq!(contact("{"), None);
        assert_eq!(contact(""), None);
    }
}

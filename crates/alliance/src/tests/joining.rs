//! Joining: tokens that count once, certificates that the journal names, and what ends them.

use super::{World, at};
use crate::joining::{CERTIFICATES_PER_AGENT_MAX, CertificateRecord, JOIN_TOKENS_MAX, JoinTokenRecord, Upon};
use crate::{Alliance, Author, Command, Setup};
use model::{CertificateId, Digest, Handling, JoinTokenId, Rule, SigningKey, Span, Tlp};

struct Bench(World);

impl Bench {
    fn new() -> Self {
        Self(World::new(""))
    }

    fn take(&mut self, command: Command) -> Result<(), Rule> {
        self.0.run(command).map(drop).map_err(|refusal| refusal.rule)
    }

    fn later(&mut self, span: Span) {
        self.0.now = self.0.now.plus(span);
    }

    fn invite(&mut self, member: &str, secret: &[u8]) -> Digest {
        let hash = Digest::of(&[secret]);
        let (made, expires) = (self.0.now, self.0.now.plus(Span::hours(1)));
        let record =
            JoinTokenRecord { id: JoinTokenId::of(&hash), hash, member: member.parse().unwrap(), made, expires };
        self.take(Command::IssueJoinToken(record)).unwrap();
        hash
    }

    fn certificate(&self, member: &str, tls: &[u8], upon: Upon) -> CertificateRecord {
        let digest = Digest::of(&[member.as_bytes(), tls, self.0.now.to_string().as_bytes()]);
        CertificateRecord {
            id: CertificateId::of(&digest),
            digest,
            serial: "01".to_owned(),
            member: member.parse().unwrap(),
            agent: "agent".parse().unwrap(),
            key: SigningKey::from_seed(&[1; 32]).public(),
            tls_key: Digest::of(&[tls]),
            from: self.0.now,
            until: self.0.now.plus(Span::hours(24)),
            upon,
        }
    }

    fn join(&mut self, member: &str, tls: &[u8], hash: Digest) -> Result<CertificateId, Rule> {
        let record = self.certificate(member, tls, Upon::JoinToken(JoinTokenId::of(&hash)));
        let id = record.id;
        let command = Command::IssueCertificate { record: Box::new(record), token: Some(hash) };
        self.take(command).map(|()| id)
    }

    fn issue(&mut self, member: &str, tls: &[u8], upon: Upon) -> Result<CertificateId, Rule> {
        let record = self.certificate(member, tls, upon);
        let id = record.id;
        self.take(Command::IssueCertificate { record: Box::new(record), token: None }).map(|()| id)
    }

    fn live(&self, id: CertificateId) -> Result<(), Rule> {
        let issued = self.0.alliance.certificates().find(|issued| issued.record.id == id).unwrap();
        issued.require_live(self.0.now).map_err(|refusal| refusal.rule)
    }
}

#[test]
fn a_join_token_lets_one_key_in_once_and_the_same_key_may_ask_again() {
    let mut bench = Bench::new();
    let hash = bench.invite("telecom", b"secret");
    assert_eq!(bench.join("cloud", b"tls", hash), Err(Rule::RequestName), "another member");
    bench.join("telecom", b"tls", hash).unwrap();
    bench.later(Span::seconds(1));
    bench.join("telecom", b"tls", hash).unwrap();
    assert_eq!(bench.join("telecom", b"other", hash), Err(Rule::JoinTokenUsed));
    assert!(bench.0.alliance.join_tokens(bench.0.now).is_empty());
}

#[test]
fn join_tokens_that_are_unknown_revoked_or_expired_are_refused_by_their_names() {
    let mut bench = Bench::new();
    assert_eq!(bench.join("telecom", b"tls", Digest::of(&[b"foreign"])), Err(Rule::JoinTokenUnknown));
    let revoked = bench.invite("telecom", b"revoked");
    bench.take(Command::RevokeJoinToken(JoinTokenId::of(&revoked))).unwrap();
    assert_eq!(bench.join("telecom", b"tls", revoked), Err(Rule::JoinTokenUnknown));
    assert_eq!(bench.take(Command::RevokeJoinToken(JoinTokenId::of(&revoked))), Err(Rule::JoinTokenUnknown));
    let late = bench.invite("telecom", b"late");
    bench.later(Span::hours(1));
    assert_eq!(bench.join("telecom", b"tls", late), Err(Rule::JoinTokenExpired));
    let record = bench.certificate("telecom", b"tls", Upon::JoinToken(JoinTokenId::of(&late)));
    let unproven = Command::IssueCertificate { record: Box::new(record), token: None };
    assert_eq!(bench.take(unproven), Err(Rule::JoinTokenUnknown), "without the secret");
}

#[test]
fn a_join_token_needs_a_member_and_a_bounded_life() {
    let mut bench = Bench::new();
    let hash = Digest::of(&[b"x"]);
    let record = |member: &str, expires| JoinTokenRecord {
        id: JoinTokenId::of(&hash),
        hash,
        member: member.parse().unwrap(),
        made: at(0),
        expires,
    };
    let ask = |record| Command::IssueJoinToken(record);
    assert_eq!(bench.take(ask(record("nobody", at(0).plus(Span::hours(1))))), Err(Rule::UnknownMember));
    assert_eq!(bench.take(ask(record("telecom", at(0)))), Err(Rule::Malformed));
    assert_eq!(bench.take(ask(record("telecom", at(0).plus(Span::days(31))))), Err(Rule::Malformed));
    for n in 0..JOIN_TOKENS_MAX {
        bench.invite("telecom", &n.to_be_bytes());
    }
    assert_eq!(bench.take(ask(record("telecom", at(0).plus(Span::hours(1))))), Err(Rule::QuotaExceeded));
}

#[test]
fn a_certificate_is_renewed_upon_the_agents_own_while_that_counts() {
    let mut bench = Bench::new();
    let hash = bench.invite("telecom", b"secret");
    let first = bench.join("telecom", b"tls", hash).unwrap();
    bench.later(Span::hours(16));
    let second = bench.issue("telecom", b"tls-2", Upon::Certificate(first)).unwrap();
    assert_eq!(bench.issue("cloud", b"x", Upon::Certificate(first)), Err(Rule::RequestName));
    assert_eq!((bench.live(first), bench.live(second)), (Ok(()), Ok(())), "both, until the first expires");
    bench.later(Span::hours(8));
    assert_eq!(bench.issue("telecom", b"tls-3", Upon::Certificate(first)), Err(Rule::CertificateExpired));
    assert_eq!((bench.live(first), bench.live(second)), (Err(Rule::CertificateExpired), Ok(())));
    let never = CertificateId::of(&Digest::of(&[b"never"]));
    assert_eq!(bench.issue("telecom", b"x", Upon::Certificate(never)), Err(Rule::CertificateUnknown));
}

#[test]
fn after_an_outage_the_members_key_is_enough_for_an_agent_that_joined_and_was_not_revoked() {
    let mut bench = Bench::new();
    assert_eq!(bench.issue("telecom", b"tls", Upon::MemberKey), Err(Rule::AgentUnknown));
    let hash = bench.invite("telecom", b"secret");
    bench.join("telecom", b"tls", hash).unwrap();
    bench.later(Span::days(3));
    let recovered = bench.issue("telecom", b"tls-2", Upon::MemberKey).unwrap();
    let command = Command::RevokeCertificate { certificate: recovered, reason: "stolen".to_owned() };
    bench.take(command).unwrap();
    assert_eq!(bench.live(recovered), Err(Rule::CertificateRevoked));
    bench.later(Span::seconds(1));
    assert_eq!(bench.issue("telecom", b"tls-3", Upon::MemberKey), Err(Rule::CertificateRevoked));
    assert_eq!(bench.issue("telecom", b"tls-3", Upon::Certificate(recovered)), Err(Rule::CertificateRevoked));
    let again = bench.invite("telecom", b"again");
    let joined = bench.join("telecom", b"tls-3", again).unwrap();
    assert_eq!(bench.live(joined), Ok(()));
    assert_eq!(bench.live(recovered), Err(Rule::CertificateRevoked), "what was revoked stays so");
}

#[test]
fn revoking_one_certificate_ends_every_one_of_that_agent() {
    let mut bench = Bench::new();
    let hash = bench.invite("telecom", b"secret");
    let first = bench.join("telecom", b"tls", hash).unwrap();
    bench.later(Span::seconds(1));
    let second = bench.issue("telecom", b"thief", Upon::Certificate(first)).unwrap();
    let reason = "stolen".to_owned();
    bench.take(Command::RevokeCertificate { certificate: first, reason }).unwrap();
    assert_eq!(bench.live(second), Err(Rule::CertificateRevoked));
    let empty = Command::RevokeCertificate { certificate: first, reason: String::new() };
    assert_eq!(bench.take(empty), Err(Rule::Malformed));
    let never = CertificateId::of(&Digest::of(&[b"never"]));
    let unknown = Command::RevokeCertificate { certificate: never, reason: "x".to_owned() };
    assert_eq!(bench.take(unknown), Err(Rule::CertificateUnknown));
}

#[test]
fn the_oldest_of_too_many_certificates_ends_and_the_state_forgets_what_is_long_over() {
    let mut bench = Bench::new();
    let hash = bench.invite("telecom", b"secret");
    let first = bench.join("telecom", b"0", hash).unwrap();
    let mut last = first;
    for n in 1..=CERTIFICATES_PER_AGENT_MAX {
        bench.later(Span::seconds(1));
        last = bench.issue("telecom", &n.to_be_bytes(), Upon::Certificate(last)).unwrap();
    }
    assert_eq!((bench.live(first), bench.live(last)), (Err(Rule::CertificateRevoked), Ok(())));
    bench.later(Span::days(9));
    bench.issue("telecom", b"recovered", Upon::MemberKey).unwrap();
    assert_eq!(bench.0.alliance.certificates().count(), 1);
}

#[test]
fn joining_survives_a_snapshot_and_entries_are_for_all_members() {
    let mut bench = Bench::new();
    let hash = bench.invite("telecom", b"secret");
    bench.join("telecom", b"tls", hash).unwrap();
    let drafts = bench.0.alliance.handle(Command::RevokeJoinToken(JoinTokenId::of(&hash)), bench.0.now).unwrap();
    assert_eq!((&drafts[0].author, &drafts[0].handling), (&Author::Hub, &Handling::alliance(Tlp::Green)));
    let shards = bench.0.alliance.snapshot();
    let setup = Setup { seed: [7; 16] };
    bench.0.alliance = Alliance::restore(setup, &[], &shards).unwrap();
    assert_eq!(bench.join("telecom", b"other", hash), Err(Rule::JoinTokenUsed));
    assert_eq!(bench.0.alliance.certificates().count(), 1);
}

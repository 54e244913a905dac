//! Joining: join tokens, agents, and the certificates that were issued to them. A certificate counts because the
//! journal says that it was issued, not because of who signed it: a thief of the authority's key makes none that count.

use crate::entry::Event;
use crate::handle::{Drafted, internal, require_reason};
use crate::state::Alliance;
use model::{
    AgentName, CertificateId, Digest, JoinTokenId, MemberId, PublicKey, Refusal, Rule, Span, Standing, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Agents that a member may have.
pub const AGENTS_MAX: usize = 64;
/// Certificates of one agent that count at a time; a newer one ends the oldest.
pub const CERTIFICATES_PER_AGENT_MAX: usize = 4;
/// Join tokens of one member that count at a time.
pub const JOIN_TOKENS_MAX: usize = 64;
/// Longest life of a join token.
pub const JOIN_TOKEN_VALID_MAX: Span = Span::days(30);
/// How long what has ended is remembered, so that a refusal can say why.
const REMEMBER_ENDED: Span = Span::days(7);

/// A join token as the alliance knows it: never its secret.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinTokenRecord {
    /// Safe to show; derived from `hash`.
    pub id: JoinTokenId,
    /// The digest of the secret.
    pub hash: Digest,
    /// Whose agent may join.
    pub member: MemberId,
    /// When it was made.
    pub made: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

/// A certificate as it was issued.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateRecord {
    /// Derived from `digest`.
    pub id: CertificateId,
    /// SHA-256 of the certificate (DER).
    pub digest: Digest,
    /// Its serial number (RFC 5280 §4.1.2.2), hexadecimal.
    pub serial: String,
    /// Whose agent it names.
    pub member: MemberId,
    /// Which agent.
    pub agent: AgentName,
    /// The key that signed the wish: the member's, if the charter lists it.
    pub key: PublicKey,
    /// SHA-256 of the TLS key's public half (as it stands in the request).
    pub tls_key: Digest,
    /// From when it counts.
    pub from: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
    /// What it was issued upon.
    pub upon: Upon,
}

/// What a certificate was issued upon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upon {
    /// A join token.
    JoinToken(JoinTokenId),
    /// An earlier certificate that still counted.
    Certificate(CertificateId),
    /// A key of the member that was live.
    MemberKey,
}

/// A certificate with what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Issued {
    /// As it was issued.
    pub record: CertificateRecord,
    /// Why it counts no longer, though it has not expired.
    pub ended: Option<String>,
}

/// An agent that has joined.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AgentRecord {
    /// When it first joined.
    pub joined: Timestamp,
    /// Its certificate was revoked: only a new join token lets it in again.
    pub barred: bool,
}

/// A join token with what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Handed {
    record: JoinTokenRecord,
    /// The TLS key that used it: the same one may ask again, because an answer can get lost.
    used_by: Option<(AgentName, Digest)>,
}

/// Everything about joining that the state holds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Joining {
    tokens: BTreeMap<JoinTokenId, Handed>,
    agents: BTreeMap<MemberId, BTreeMap<AgentName, AgentRecord>>,
    certificates: BTreeMap<CertificateId, Arc<Issued>>,
}

impl Alliance {
    /// The join tokens that have neither ended nor been used, without their secrets.
    pub fn join_tokens(&self, now: Timestamp) -> Vec<&JoinTokenRecord> {
        let open = |handed: &&Handed| handed.used_by.is_none() && handed.record.expires > now;
        self.ledger.joining.tokens.values().filter(open).map(|handed| &handed.record).collect()
    }

    /// Every certificate that is remembered.
    pub fn certificates(&self) -> impl Iterator<Item = &Arc<Issued>> {
        self.ledger.joining.certificates.values()
    }

    /// The join token with this digest of its secret, if an agent may join with it.
    ///
    /// # Errors
    /// `join_token_unknown`, `join_token_expired`, `join_token_used` (by another TLS key than `tls_key`).
    pub fn open_join_token(
        &self,
        hash: &Digest,
        agent: &AgentName,
        tls_key: &Digest,
        now: Timestamp,
    ) -> Result<&JoinTokenRecord, Refusal> {
        let id = JoinTokenId::of(hash);
        let unknown = || Refusal::new(Rule::JoinTokenUnknown, id, "a join token of this hub, not revoked");
        let handed = self.ledger.joining.tokens.get(&id).filter(|handed| handed.record.hash == *hash);
        let handed = handed.ok_or_else(unknown)?;
        if handed.used_by.as_ref().is_some_and(|(by, key)| (by, key) != (agent, tls_key)) {
            return Err(Refusal::new(Rule::JoinTokenUsed, id, "a join token that no agent has used"));
        }
        match now < handed.record.expires {
            true => Ok(&handed.record),
            false => Err(Refusal::new(Rule::JoinTokenExpired, id, format!("used before {}", handed.record.expires))),
        }
    }

    /// May this member's agents be heard at all?
    ///
    /// # Errors
    /// `charter_unsigned`, `unknown_member`, `member_suspended`.
    pub(crate) fn require_heard(&self, member: &MemberId) -> Result<(), Refusal> {
        match self.in_force()?.charter.member(member)?.standing {
            Standing::Suspended => Err(Refusal::new(Rule::MemberSuspended, member, "a member in good standing")),
            _ => Ok(()),
        }
    }

    pub(crate) fn issue_join_token(&self, record: JoinTokenRecord, now: Timestamp) -> Result<Vec<Drafted>, Refusal> {
        self.require_heard(&record.member)?;
        let valid = record.expires.since(now);
        if valid <= Span::ZERO || valid > JOIN_TOKEN_VALID_MAX {
            let limit = format!("more than 0s, at most {JOIN_TOKEN_VALID_MAX}");
            return Err(Refusal::new(Rule::Malformed, format_args!("valid: {valid}"), limit));
        }
        let open = self.join_tokens(now).into_iter().filter(|token| token.member == record.member).count();
        if open >= JOIN_TOKENS_MAX {
            let limit = format!("{JOIN_TOKENS_MAX} a member; revoke some");
            return Err(Refusal::new(Rule::QuotaExceeded, format_args!("{open} open join tokens"), limit));
        }
        Ok(vec![Drafted::hub(internal(), Event::JoinTokenIssued(record))])
    }

    pub(crate) fn revoke_join_token(&self, id: JoinTokenId) -> Result<Vec<Drafted>, Refusal> {
        match self.ledger.joining.tokens.contains_key(&id) {
            true => Ok(vec![Drafted::hub(internal(), Event::JoinTokenRevoked { token: id })]),
            false => Err(Refusal::new(Rule::JoinTokenUnknown, id, "a join token the alliance knows")),
        }
    }

    pub(crate) fn issue_certificate(
        &self,
        record: CertificateRecord,
        token: Option<Digest>,
        now: Timestamp,
    ) -> Result<Vec<Drafted>, Refusal> {
        self.require_heard(&record.member)?;
        if record.until <= now || record.from >= record.until {
            return Err(Refusal::new(Rule::CertificateExpired, record.until, format!("an expiry after {now}")));
        }
        match (&record.upon, token) {
            (Upon::JoinToken(_), Some(hash)) => {
                let token = self.open_join_token(&hash, &record.agent, &record.tls_key, now)?;
                require_named(&record.member, &token.member)?;
                self.require_room(&record)?;
            }
            (Upon::JoinToken(id), None) => {
                return Err(Refusal::new(Rule::JoinTokenUnknown, id, "the token's secret"));
            }
            (Upon::Certificate(id), _) => self.require_counting(*id, &record, now)?,
            (Upon::MemberKey, _) => self.require_joined(&record)?,
        }
        Ok(vec![Drafted::hub(internal(), Event::CertificateIssued(Box::new(record)))])
    }

    fn require_room(&self, record: &CertificateRecord) -> Result<(), Refusal> {
        let agents = self.ledger.joining.agents.get(&record.member);
        let full = agents.is_some_and(|agents| agents.len() >= AGENTS_MAX && !agents.contains_key(&record.agent));
        match full {
            false => Ok(()),
            true => Err(Refusal::new(Rule::QuotaExceeded, &record.agent, format!("{AGENTS_MAX} agents a member"))),
        }
    }

    /// The certificate that is renewed is this agent's, and still counts.
    fn require_counting(&self, id: CertificateId, record: &CertificateRecord, now: Timestamp) -> Result<(), Refusal> {
        let unknown = || Refusal::new(Rule::CertificateUnknown, id, "a certificate that the journal names");
        let issued = self.ledger.joining.certificates.get(&id).ok_or_else(unknown)?;
        issued.require_live(now)?;
        require_named(&record.member, &issued.record.member)?;
        match record.agent == issued.record.agent {
            true => Ok(()),
            false => Err(Refusal::new(Rule::RequestName, &record.agent, &issued.record.agent)),
        }
    }

    fn require_joined(&self, record: &CertificateRecord) -> Result<(), Refusal> {
        let agents = self.ledger.joining.agents.get(&record.member);
        match agents.and_then(|agents| agents.get(&record.agent)) {
            None => Err(Refusal::new(Rule::AgentUnknown, &record.agent, "an agent that joined with a join token")),
            Some(agent) if agent.barred => {
                Err(Refusal::new(Rule::CertificateRevoked, &record.agent, "an agent that joined again since"))
            }
            Some(_) => Ok(()),
        }
    }

    pub(crate) fn revoke_certificate(&self, id: CertificateId, reason: String) -> Result<Vec<Drafted>, Refusal> {
        require_reason(&reason)?;
        match self.ledger.joining.certificates.contains_key(&id) {
            true => Ok(vec![Drafted::hub(internal(), Event::CertificateRevoked { certificate: id, reason })]),
            false => Err(Refusal::new(Rule::CertificateUnknown, id, "a certificate the alliance knows")),
        }
    }

    pub(crate) fn take_join_token(&mut self, record: &JoinTokenRecord) {
        let now = record.made;
        self.ledger.joining.tokens.retain(|_, handed| handed.record.expires.plus(REMEMBER_ENDED) > now);
        self.ledger.joining.tokens.insert(record.id, Handed { record: record.clone(), used_by: None });
    }

    pub(crate) fn take_join_token_revoked(&mut self, id: JoinTokenId) {
        self.ledger.joining.tokens.remove(&id);
    }

    pub(crate) fn take_certificate(&mut self, record: &CertificateRecord, now: Timestamp) {
        let joining = &mut self.ledger.joining;
        if let Upon::JoinToken(id) = &record.upon
            && let Some(handed) = joining.tokens.get_mut(id)
        {
            handed.used_by = Some((record.agent.clone(), record.tls_key));
        }
        let agents = joining.agents.entry(record.member.clone()).or_default();
        let agent = agents.entry(record.agent.clone()).or_insert(AgentRecord { joined: now, barred: false });
        agent.barred = false;
        joining.certificates.retain(|_, issued| issued.record.until.plus(REMEMBER_ENDED) > now);
        joining.certificates.insert(record.id, Arc::new(Issued { record: record.clone(), ended: None }));
        joining.replace_oldest(record);
    }

    pub(crate) fn take_certificate_revoked(&mut self, id: CertificateId, reason: &str) {
        let joining = &mut self.ledger.joining;
        let Some(issued) = joining.certificates.get(&id).cloned() else { return };
        let (member, name) = (&issued.record.member, &issued.record.agent);
        if let Some(agent) = joining.agents.get_mut(member).and_then(|agents| agents.get_mut(name)) {
            agent.barred = true;
        }
        // All of the agent's: whoever has one TLS key of it may have been given the next one too.
        joining.end(|record| record.member == *member && record.agent == *name, &format!("revoked: {reason}"));
    }
}

impl Joining {
    fn replace_oldest(&mut self, newest: &CertificateRecord) {
        let same = |record: &CertificateRecord| record.member == newest.member && record.agent == newest.agent;
        let mut live: Vec<(Timestamp, CertificateId)> = (self.certificates.values())
            .filter(|issued| issued.ended.is_none() && same(&issued.record))
            .map(|issued| (issued.record.from, issued.record.id))
            .filter(|(_, id)| *id != newest.id)
            .collect();
        live.sort_unstable();
        let over = (live.len() + 1).saturating_sub(CERTIFICATES_PER_AGENT_MAX);
        let replaced: Vec<CertificateId> = live.into_iter().take(over).map(|(_, id)| id).collect();
        self.end(|record| replaced.contains(&record.id), "replaced by newer ones");
    }

    /// Join tokens of a member that is gone let nobody in.
    pub(crate) fn forget_tokens_of(&mut self, member: &MemberId) {
        self.tokens.retain(|_, handed| handed.record.member != *member);
    }

    pub(crate) fn end(&mut self, which: impl Fn(&CertificateRecord) -> bool, why: &str) {
        for issued in self.certificates.values_mut() {
            if issued.ended.is_none() && which(&issued.record) {
                Arc::make_mut(issued).ended = Some(why.to_owned());
            }
        }
    }
}

impl Issued {
    /// Does it count at `now`?
    ///
    /// # Errors
    /// `certificate_revoked`, `certificate_expired`.
    pub fn require_live(&self, now: Timestamp) -> Result<(), Refusal> {
        if let Some(ended) = &self.ended {
            return Err(Refusal::new(Rule::CertificateRevoked, format_args!("{}, {ended}", self.record.id), "another"));
        }
        match now < self.record.until {
            true => Ok(()),
            false => {
                let limit = format!("used before {}", self.record.until);
                Err(Refusal::new(Rule::CertificateExpired, self.record.id, limit))
            }
        }
    }
}

fn require_named(named: &MemberId, own: &MemberId) -> Result<(), Refusal> {
    match named == own {
        true => Ok(()),
        false => Err(Refusal::new(Rule::RequestName, named, own)),
    }
}

//! Who may come in: tokens, agents' certificates and the charter, published after each turn so that no request waits
//! for the sequencer.

use crate::ca::Fault;
use crate::taxii::Identities;
use alliance::joining::Issued;
use alliance::{Alliance, Author, CollectionRecord, Event, Scope, Suspension, TokenRecord};
use charter::Charter;
use model::{Digest, Handling, KeyId, MemberId, PersonId, PublicKey, Refusal, Role, Rule, Span, Standing, Timestamp};
use share::stix::Markings;
use share::taxii::CollectionId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// How every token begins.
pub const TOKEN_PREFIX: &str = "epi_";
/// Characters of a token: the prefix and 32 bytes in base64url.
pub const TOKEN_CHARS: usize = TOKEN_PREFIX.len() + 43;

/// What an agent may do with its certificate.
pub const AGENT_SCOPES: [Scope; 2] = [Scope::Report, Scope::Receive];
/// How long a connection trusts a clock that may be set: what it leans on is looked at again after so long.
const LOOK_AGAIN: Span = Span::minutes(1);

/// The gate as of the last durable turn.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    now: RwLock<Arc<Pass>>,
    changed: watch::Sender<()>,
}

/// One version of the gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pass {
    /// The charter in force.
    pub(crate) charter: Option<Arc<Charter>>,
    /// Tokens by the digest of their secret: looking one up compares digests, so its time tells nothing of a secret.
    pub(crate) tokens: BTreeMap<Digest, TokenRecord>,
    /// The operator's first token, made beside the journal since the first charter cannot come otherwise.
    pub(crate) first: Option<TokenRecord>,
    /// Whom the hub does not hear for a time, and why.
    pub(crate) suspended: BTreeMap<MemberId, Suspension>,
    /// Agents' certificates by their digests.
    pub(crate) certificates: BTreeMap<Digest, Arc<Issued>>,
    /// Collections that members opened.
    pub(crate) collections: BTreeMap<CollectionId, Arc<CollectionRecord>>,
    /// What objects may be marked with under the charter.
    pub(crate) markings: Markings,
    /// In whose name objects are under the charter.
    pub(crate) identities: Arc<Identities>,
}

/// A certificate that a client has shown, and whose key it has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    /// SHA-256 of it (DER).
    pub(crate) digest: Digest,
    /// Did it lead up to the hub's authority when it was shown?
    pub(crate) leads: Result<(), Fault>,
}

/// What a route asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Anybody may ask.
    Nothing,
    /// Anybody may ask, and few times a minute.
    Stranger,
    /// Anybody may ask, few times a minute; who shows a credential must have one that counts.
    Guest,
    /// Only from loopback, unless the configuration opens it.
    Loopback,
    /// Any token or agent's certificate that counts.
    Token,
    /// A token with this scope; an agent's certificate has those of [`AGENT_SCOPES`].
    Scope(Scope),
    /// A token with scope `admin` of a member with the role `admin`.
    Admin,
    /// As `Admin`, or a token with scope `audit` of a member with the role `auditor`.
    Credentials,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    /// Whose token or certificate it is.
    pub(crate) member: MemberId,
    /// What it was let in by.
    pub(crate) credential: Credential,
}

/// What lets a caller in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Credential {
    /// A token.
    Token(TokenRecord),
    /// An agent's certificate.
    Certificate(Arc<Issued>),
}

impl Credential {
    /// When it ends by itself.
    pub(crate) fn expires(&self) -> Timestamp {
        match self {
            Self::Token(token) => token.expires,
            Self::Certificate(issued) => issued.record.until,
        }
    }
}

impl Gate {
    pub(crate) fn pass(&self) -> Arc<Pass> {
        // The lock guards one pointer: a thread cannot have failed in the middle.
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, pass: Pass) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pass);
        self.changed.send_replace(());
    }

    /// Waits until `counts` says no: looked at when the gate changes, when `expires` has come, and now and then.
    pub(crate) async fn ended(
        &self,
        clock: &crate::clock::Clock,
        expires: Timestamp,
        counts: impl Fn(&Pass, Timestamp) -> bool,
    ) {
        let mut changed = self.changed.subscribe();
        loop {
            let now = clock.now();
            if !counts(&self.pass(), now) {
                return;
            }
            let wait = expires.since(now).clamp(Span::millis(10), LOOK_AGAIN);
            // The gate outlives everything that waits at it; if it did not, time would still end the wait.
            let _ = tokio::time::timeout(wait.to_std(), changed.changed()).await;
        }
    }
}

fn markings_of(charter: &Charter) -> Markings {
    Markings::new(&charter.alliance.name, charter.groups.iter().map(|group| &group.id))
}

impl Pass {
    /// The gate as the state has it. The first token counts until an admin's token stands in the journal.
    pub(crate) fn next(&self, state: &Alliance) -> Self {
        let tokens: BTreeMap<Digest, TokenRecord> =
            state.tokens().into_iter().map(|token| (token.hash, token.clone())).collect();
        let admins = tokens.values().any(|token| token.scopes.contains(&Scope::Admin));
        let (charter, markings, identities) = match (&self.charter, state.charter()) {
            (Some(known), Some(now)) if **known == *now => {
                (Some(Arc::clone(known)), self.markings.clone(), Arc::clone(&self.identities))
            }
            (_, Some(now)) => (Some(Arc::new(now.clone())), markings_of(now), Arc::new(Identities::of(now))),
            (_, None) => (None, Markings::default(), Arc::default()),
        };
        let certificates = state.certificates().map(|issued| (issued.record.digest, Arc::clone(issued))).collect();
        let suspended = state.membership().suspended().clone();
        let first = self.first.clone().filter(|_| !admins);
        let collections = state.collections().clone();
        Self { charter, tokens, first, suspended, certificates, collections, markings, identities }
    }

    /// Who comes with this `Authorization` header or certificate, if that allows what is needed. A token that is shown
    /// is what counts.
    ///
    /// # Errors
    /// `token_invalid`, `scope_missing`, `certificate_…`, `unknown_member`, `member_suspended`. None repeats the token.
    pub(crate) fn admit(
        &self,
        header: Option<&str>,
        shown: Option<&Shown>,
        need: Need,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        match (header, shown) {
            (None, Some(shown)) => self.by_certificate(shown, need, now),
            _ => self.by_token(header, need, now),
        }
    }

    fn by_certificate(&self, shown: &Shown, need: Need, now: Timestamp) -> Result<Caller, Refusal> {
        let issued = self.counting(shown, now)?;
        match need {
            Need::Scope(scope) if !AGENT_SCOPES.contains(&scope) => {
                let limit = format!("a token with scope {}", scope.as_str());
                Err(Refusal::new(Rule::ScopeMissing, issued.record.id, limit))
            }
            Need::Admin | Need::Credentials => {
                Err(Refusal::new(Rule::ScopeMissing, issued.record.id, "a token with scope admin"))
            }
            _ => {
                let (member, credential) = (issued.record.member.clone(), Credential::Certificate(Arc::clone(issued)));
                Ok(Caller { member, credential })
            }
        }
    }

    /// What was issued as this certificate, if it counts now.
    ///
    /// # Errors
    /// `certificate_unknown`, `certificate_foreign`, `certificate_expired`, `certificate_revoked`, `unknown_member`,
    /// `member_suspended`.
    pub(crate) fn counting(&self, shown: &Shown, now: Timestamp) -> Result<&Arc<Issued>, Refusal> {
        let Some(issued) = self.certificates.get(&shown.digest) else {
            let (rule, limit) = match shown.leads {
                Ok(()) => (Rule::CertificateUnknown, "one that the journal names"),
                Err(Fault::Foreign) => (Rule::CertificateForeign, "one of this hub's authority"),
                Err(Fault::Expired) => (Rule::CertificateExpired, "one that has not expired"),
            };
            return Err(Refusal::new(rule, model::CertificateId::of(&shown.digest), limit));
        };
        issued.require_live(now)?;
        self.require_standing(&issued.record.member)?;
        Ok(issued)
    }

    /// A member that left, or is suspended, loses access at once.
    fn require_standing(&self, member: &MemberId) -> Result<(), Refusal> {
        match self.charter()?.member(member)?.standing {
            Standing::Suspended => {
                let until = self.suspended.get(member).map_or_else(
                    || "; suspended by the charter".to_owned(),
                    |of| {
                        format!(
                            "; suspended until {} by {}: {}",
                            of.until,
                            of.by,
                            model::parse::printable_within(&of.reason, 200)
                        )
                    },
                );
                Err(Refusal::new(Rule::MemberSuspended, member, format!("a member in good standing{until}")))
            }
            _ => Ok(()),
        }
    }

    /// Does what a caller was let in by still count?
    pub(crate) fn still_counts(&self, caller: &Caller, now: Timestamp) -> bool {
        let known = match &caller.credential {
            Credential::Token(token) => {
                let first = self.first.as_ref() == Some(token);
                now < token.expires && (first || self.tokens.get(&token.hash) == Some(token))
            }
            Credential::Certificate(issued) => {
                let known = self.certificates.get(&issued.record.digest);
                known.is_some_and(|issued| issued.require_live(now).is_ok())
            }
        };
        known && self.require_standing(&caller.member).is_ok()
    }

    /// Who presents this `Authorization` header, if the token allows what is needed.
    fn by_token(&self, header: Option<&str>, need: Need, now: Timestamp) -> Result<Caller, Refusal> {
        let secret = header.and_then(bearer).ok_or_else(|| {
            let limit = format!("Authorization: Bearer {TOKEN_PREFIX} and 43 characters, or an agent's certificate");
            Refusal::new(Rule::TokenInvalid, "no token", limit)
        })?;
        let unknown = || Refusal::new(Rule::TokenInvalid, "unknown token", "a token of this alliance, not revoked");
        let hash = TokenRecord::hash_of(secret);
        let first = self.first.as_ref().filter(|first| first.hash == hash);
        let token = first.or_else(|| self.tokens.get(&hash)).ok_or_else(unknown)?;
        let scope = match need {
            Need::Scope(scope) => scope,
            Need::Credentials if !token.scopes.contains(&Scope::Admin) => Scope::Audit,
            Need::Admin | Need::Credentials => Scope::Admin,
            // Any scope will do: the token is asked for one that it has.
            _ => *token.scopes.first().ok_or_else(unknown)?,
        };
        token.allows(scope, now)?;
        // The first charter is adopted by somebody who stands in none yet. Everybody else loses access with membership.
        if first.is_none() {
            self.require_standing(&token.member)?;
            self.require_role(token, need)?;
        }
        Ok(Caller { member: token.member.clone(), credential: Credential::Token(token.clone()) })
    }

    /// Credentials are looked after by admins, and looked at by auditors.
    fn require_role(&self, token: &TokenRecord, need: Need) -> Result<(), Refusal> {
        let charter = self.charter()?;
        let admin = || match token.scopes.contains(&Scope::Admin) {
            true => charter.require_admin(&token.member),
            false => Err(Refusal::new(Rule::ScopeMissing, token.id, "a token with scope admin")),
        };
        match need {
            Need::Admin => admin(),
            Need::Credentials => match charter.member(&token.member)?.require(Role::Auditor) {
                Ok(()) if token.scopes.contains(&Scope::Audit) => Ok(()),
                _ => admin(),
            },
            _ => Ok(()),
        }
    }

    /// The charter in force.
    ///
    /// # Errors
    /// `charter_unsigned` before the first was adopted.
    pub(crate) fn charter(&self) -> Result<&Arc<Charter>, Refusal> {
        let none = || Refusal::new(Rule::CharterUnsigned, "none", "a charter, adopted before anything else");
        self.charter.as_ref().ok_or_else(none)
    }

    pub(crate) fn member_key(&self, member: &MemberId, key: &KeyId, at: Timestamp) -> Result<PublicKey, Refusal> {
        self.charter()?.member_key(member, key, at)
    }

    /// A key that the charter lists as ended proves nothing any more; one that it does not list yet may be waiting.
    ///
    /// # Errors
    /// `unknown_key`.
    pub(crate) fn require_not_ended(&self, member: &MemberId, key: &PublicKey, at: Timestamp) -> Result<(), Refusal> {
        let listed = self.charter()?.member(member)?.keys.iter().any(|listed| listed.public == *key);
        if listed { self.member_key(member, &key.id(), at).map(drop) } else { Ok(()) }
    }

    pub(crate) fn person_key(&self, person: &PersonId, key: &KeyId, at: Timestamp) -> Result<PublicKey, Refusal> {
        self.charter()?.person_key(person, key, at)
    }

    /// May this member be shown an entry as it stands in the journal, with its author? Of one whose author wishes to
    /// stay unnamed only the author may.
    pub(crate) fn may_open(&self, viewer: &MemberId, author: &Author, handling: &Handling) -> bool {
        let own = matches!(author, Author::Member(member) if member == viewer);
        (own || !handling.unnamed) && self.may_see(viewer, author, handling)
    }

    /// May this member see a statement? Its author always may; within a group only the group's members; else all.
    pub(crate) fn may_see(&self, viewer: &MemberId, author: &Author, handling: &Handling) -> bool {
        let own = is_by(author, viewer);
        let Some(charter) = &self.charter else { return own };
        let audience = match &handling.group {
            None => true,
            Some(group) => charter.group(group).is_some_and(|group| group.members.contains(viewer)),
        };
        own || (audience && charter.member(viewer).is_ok_and(|viewer| viewer.reads(handling.tlp)))
    }

    /// May this member see a statement that is confidential? Its author and the secretariat may.
    pub(crate) fn may_see_confidential(&self, viewer: &MemberId, author: &Author) -> bool {
        let charter = self.charter.as_ref();
        let viewer_is_admin = || charter?.member(viewer).ok()?.require(Role::Admin).ok();
        is_by(author, viewer) || viewer_is_admin().is_some()
    }
}

fn is_by(author: &Author, member: &MemberId) -> bool {
    match author {
        Author::Hub => false,
        Author::Member(by) => by == member,
        Author::Person(person) => person.member() == *member,
    }
}

/// Does this change who may come in?
pub(crate) const fn concerns(event: &Event) -> bool {
    matches!(
        event,
        Event::CharterAdopted(_)
            | Event::KeyChanged(_)
            | Event::Membership(_)
            | Event::TokenIssued(_)
            | Event::TokenRevoked { .. }
            | Event::CertificateIssued(_)
            | Event::CollectionOpened(_)
            | Event::CollectionClosed(_)
            | Event::CertificateRevoked { .. }
    )
}

/// The token of `Bearer <token>`, if it has the form of one; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let form = token.len() == TOKEN_CHARS && token.starts_with(TOKEN_PREFIX);
    (scheme.eq_ignore_ascii_case("bearer") && form).then_some(token)
}

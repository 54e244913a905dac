//! Who may come in: tokens and the charter, published after each turn so that no request waits for the sequencer.

use alliance::{Alliance, Author, Scope, TokenRecord};
use charter::Charter;
use model::{Digest, Handling, KeyId, MemberId, PersonId, PublicKey, Refusal, Rule, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// How every token begins.
pub const TOKEN_PREFIX: &str = "epi_";
/// Characters of a token: the prefix and 32 bytes in base64url.
pub const TOKEN_CHARS: usize = TOKEN_PREFIX.len() + 43;

/// The gate as of the last durable turn.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    now: RwLock<Arc<Pass>>,
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
}

/// What a route asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    /// Anybody may ask.
    Nothing,
    /// Only from loopback, unless the configuration opens it.
    Loopback,
    /// Any token that counts.
    Token,
    /// A token with this scope.
    Scope(Scope),
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Caller {
    /// Whose token it is.
    pub(crate) member: MemberId,
    /// The token.
    pub(crate) token: TokenRecord,
}

impl Gate {
    pub(crate) fn pass(&self) -> Arc<Pass> {
        // The lock guards one pointer: a thread cannot have failed in the middle.
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn publish(&self, pass: Pass) {
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(pass);
    }
}

impl Pass {
    /// The gate as the state has it. The first token counts until an admin's token stands in the journal.
    pub(crate) fn next(&self, state: &Alliance) -> Self {
        let tokens: BTreeMap<Digest, TokenRecord> =
            state.tokens().into_iter().map(|token| (token.hash, token.clone())).collect();
        let admins = tokens.values().any(|token| token.scopes.contains(&Scope::Admin));
        let charter = match (&self.charter, state.charter()) {
            (Some(known), Some(now)) if known.alliance.version == now.alliance.version => Some(Arc::clone(known)),
            (_, now) => now.map(|charter| Arc::new(charter.clone())),
        };
        Self { charter, tokens, first: self.first.clone().filter(|_| !admins) }
    }

    /// Who presents this `Authorization` header, if the token allows what is needed.
    ///
    /// # Errors
    /// `token_invalid`, `scope_missing`, `unknown_member`. None repeats the token.
    pub(crate) fn admit(&self, header: Option<&str>, need: Need, now: Timestamp) -> Result<Caller, Refusal> {
        let secret = header.and_then(bearer).ok_or_else(|| {
            let limit = format!("Authorization: Bearer {TOKEN_PREFIX} and 43 characters");
            Refusal::new(Rule::TokenInvalid, "no token", limit)
        })?;
        let unknown = || Refusal::new(Rule::TokenInvalid, "unknown token", "a token of this alliance, not revoked");
        let hash = TokenRecord::hash_of(secret);
        let first = self.first.as_ref().filter(|first| first.hash == hash);
        let token = first.or_else(|| self.tokens.get(&hash)).ok_or_else(unknown)?;
        let scope = match need {
            Need::Scope(scope) => scope,
            // Any scope will do: the token is asked for one that it has.
            _ => *token.scopes.first().ok_or_else(unknown)?,
        };
        token.allows(scope, now)?;
        // The first charter is adopted by somebody who stands in none yet. Everybody else loses access with membership.
        if first.is_none() {
            self.charter()?.member(&token.member)?;
        }
        Ok(Caller { member: token.member.clone(), token: token.clone() })
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

    pub(crate) fn person_key(&self, person: &PersonId, key: &KeyId, at: Timestamp) -> Result<PublicKey, Refusal> {
        self.charter()?.person_key(person, key, at)
    }

    /// May this member see a statement? Its author always may; within a group only the group's members; else all.
    pub(crate) fn may_see(&self, viewer: &MemberId, author: &Author, handling: &Handling) -> bool {
        let own = match author {
            Author::Hub => false,
            Author::Member(member) => member == viewer,
            Author::Person(person) => person.member() == *viewer,
        };
        let Some(charter) = &self.charter else { return own };
        let audience = match &handling.group {
            None => true,
            Some(group) => charter.group(group).is_some_and(|group| group.members.contains(viewer)),
        };
        own || (audience && charter.member(viewer).is_ok())
    }
}

/// The token of `Bearer <token>`, if it has the form of one; the scheme's case does not matter (RFC 9110 §11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    let form = token.len() == TOKEN_CHARS && token.starts_with(TOKEN_PREFIX);
    (scheme.eq_ignore_ascii_case("bearer") && form).then_some(token)
}

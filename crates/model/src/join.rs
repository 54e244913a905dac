//! Joining: the token that an admin hands to a member, and what an agent signs to be given a certificate.
//!
//! A join token is one line: `epijoin_` and base64url of a JSON document with six bytes of its digest behind it. The
//! secret in it counts once; everything else in it is public, and tells the agent whom to trust before it has spoken
//! with anybody.

use crate::digest::Digest;
use crate::ids::{AgentName, CertificateId, JoinTokenId, MemberId};
use crate::key::{PublicKey, Signature, SigningKey, Statement};
use crate::parse::ParseError;
use crate::refusal::{Refusal, Rule};
use crate::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How every join token begins.
pub const JOIN_TOKEN_PREFIX: &str = "epijoin_";
/// Longest join token, in characters.
pub const JOIN_TOKEN_CHARS_MAX: usize = 2_048;
/// Longest address of a hub, in bytes.
pub const HUB_URL_BYTES_MAX: usize = 512;
/// Longest certificate signing request, in bytes of DER.
pub const REQUEST_BYTES_MAX: usize = 4_096;
/// Longest text of certificates that an answer may hold, in bytes of PEM.
pub const PEM_BYTES_MAX: usize = 64 << 10;
/// Bytes of the digest that stand behind the document.
const CHECK_BYTES: usize = 6;

/// 32 random bytes that count once. Never shown but in the token itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JoinSecret([u8; 32]);

impl JoinSecret {
    /// From 32 bytes of the system's random source.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest under which the hub remembers it. The secret has 256 random bits, so a plain digest cannot be
    /// searched.
    pub fn digest(&self) -> Digest {
        Digest::of(&[b"epimachia/join/v1\n", &self.0])
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinSecret(not shown)")
    }
}

impl TryFrom<String> for JoinSecret {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        // An error never repeats it.
        let error = || ParseError::new("secret", "not shown", "43 characters of base64url (32 bytes)");
        let bytes = if text.len() == 43 { URL_SAFE_NO_PAD.decode(text).ok() } else { None };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(error)
    }
}

impl From<JoinSecret> for String {
    fn from(secret: JoinSecret) -> Self {
        URL_SAFE_NO_PAD.encode(secret.0)
    }
}

/// What an admin hands to a member so that an agent of it can join.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinToken {
    /// Where the hub is: `https://…`, at most [`HUB_URL_BYTES_MAX`] bytes.
    pub hub: String,
    /// The alliance.
    pub alliance: String,
    /// SHA-256 of the certificate that the hub's own must lead to (DER).
    pub ca: Digest,
    /// The key with which the hub signs checkpoints; the charter must name the same one.
    pub hub_key: PublicKey,
    /// Whose agent may join.
    pub member: MemberId,
    /// When it ends.
    pub expires: Timestamp,
    /// What counts once.
    pub secret: JoinSecret,
}

impl JoinToken {
    /// The token as one line.
    pub fn to_text(&self) -> String {
        // Texts only: serde_json cannot fail on them, and an empty document is refused by every reader.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        let check = check_of(&bytes);
        bytes.extend(check);
        format!("{JOIN_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token as it was handed over; blanks around it do not matter.
    ///
    /// # Errors
    /// `join_token_altered`: it is none, or not whole. The error never repeats it.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let altered = |what: &str| {
            let limit = format!("the one line beginning {JOIN_TOKEN_PREFIX} as `member invite` gave it");
            Refusal::new(Rule::JoinTokenAltered, what, limit)
        };
        let text = text.trim();
        if text.len() > JOIN_TOKEN_CHARS_MAX {
            return Err(altered("more characters than a token has"));
        }
        let encoded = text.strip_prefix(JOIN_TOKEN_PREFIX).ok_or_else(|| altered("another beginning"))?;
        let bytes = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| altered("a character that is not base64url"))?;
        let length = bytes.len().checked_sub(CHECK_BYTES).ok_or_else(|| altered("cut short"))?;
        let (document, check) = bytes.split_at(length);
        if check != check_of(document) {
            return Err(altered("its check sum does not fit: a character was lost or changed"));
        }
        let token: Self = serde_json::from_slice(document).map_err(|_| altered("a token of another version"))?;
        match token.hub.starts_with("https://") && token.hub.len() <= HUB_URL_BYTES_MAX {
            true => Ok(token),
            false => Err(altered("a hub's address that is not https://")),
        }
    }
}

fn check_of(document: &[u8]) -> [u8; CHECK_BYTES] {
    let digest = Digest::of(&[b"epimachia/join-token/v1\n", document]);
    std::array::from_fn(|i| digest.as_bytes()[i])
}

/// The name of an agent in its certificate, a URI (RFC 5280 §4.2.1.6): `epimachia://alliance/member/agent`.
pub fn agent_uri(alliance: &str, member: &MemberId, agent: &AgentName) -> String {
    format!("epimachia://{alliance}/{member}/{agent}")
}

/// What an agent signs with its member's key to be given a certificate for its TLS key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateWish {
    /// The alliance.
    pub alliance: String,
    /// The member.
    pub member: MemberId,
    /// The agent of the member.
    pub agent: AgentName,
    /// A nonce of the hub, which it takes once and for a minute.
    pub nonce: Digest,
    /// SHA-256 of the certificate signing request (DER).
    pub request: Digest,
}

impl Statement for CertificateWish {
    const CONTEXT: &'static str = "epimachia/certificate-wish/v1";
}

/// A wish with its signature, and the key by which it verifies.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedWish {
    /// What is signed.
    pub wish: CertificateWish,
    /// The member's key.
    pub key: PublicKey,
    /// By that key.
    pub signature: Signature,
    /// The certificate signing request (PKCS #10, DER) as base64, at most [`REQUEST_BYTES_MAX`] bytes.
    pub request: String,
}

impl SignedWish {
    /// Signs a wish for this certificate signing request.
    pub fn sign(wish: CertificateWish, key: &SigningKey, request_der: &[u8]) -> Self {
        let signature = key.sign(&wish);
        Self { wish, key: key.public(), signature, request: STANDARD.encode(request_der) }
    }

    /// The request's bytes, once the signature and the digest hold.
    ///
    /// # Errors
    /// `too_large`, `malformed`, `digest_mismatch`, `bad_signature`.
    pub fn verify(&self) -> Result<Vec<u8>, Refusal> {
        if self.request.len() > REQUEST_BYTES_MAX.div_ceil(3) * 4 {
            let value = format!("a signing request of {} characters", self.request.len());
            return Err(Refusal::new(Rule::TooLarge, value, format!("{REQUEST_BYTES_MAX} bytes")));
        }
        let not_base64 = |_| Refusal::new(Rule::Malformed, "request", "PKCS #10 as base64");
        let der = STANDARD.decode(&self.request).map_err(not_base64)?;
        if Digest::of(&[&der]) != self.wish.request {
            return Err(Refusal::new(Rule::DigestMismatch, "wish.request", "the SHA-256 of the request"));
        }
        self.key.verify(&self.wish, &self.signature)?;
        Ok(der)
    }
}

/// A nonce of the hub.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nonce {
    /// What goes into a wish.
    pub nonce: Digest,
    /// Until when it is taken.
    pub expires: Timestamp,
}

/// An agent joins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JoinRequest {
    /// The token's secret.
    pub secret: JoinSecret,
    /// What it wants, signed.
    pub signed: SignedWish,
}

/// A certificate, as the hub hands it to its agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certified {
    /// Version of this form, 1.
    pub schema: u32,
    /// Its identifier.
    pub id: CertificateId,
    /// The certificate as PEM.
    pub certificate: String,
    /// The certificates that the hub's own may lead to, as PEM.
    pub ca: String,
    /// From when it counts.
    pub from: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
    /// The charter lists the key that signed the wish: without that, nothing that the agent signs counts.
    pub key_in_charter: bool,
}

/// What an admin asks for to invite a member's agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invitation {
    /// Whose agent may join.
    pub member: MemberId,
    /// For how long.
    pub valid: crate::time::Span,
    /// The hub's address as the member reaches it, `https://…`.
    pub hub: String,
}

/// A join token, shown this once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invited {
    /// The token's line.
    pub token: String,
    /// What the hub remembers it by.
    pub id: JoinTokenId,
    /// Whose agent may join.
    pub member: MemberId,
    /// When it ends.
    pub expires: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> JoinToken {
        JoinToken {
            hub: "https://hub.example:8443".to_owned(),
            alliance: "northern.alliance".to_owned(),
            ca: Digest::of(&[b"ca"]),
            hub_key: SigningKey::from_seed(&[3; 32]).public(),
            member: "telecom".parse().unwrap(),
            expires: "2026-01-02T00:00:00Z".parse().unwrap(),
            secret: JoinSecret::from_bytes([9; 32]),
        }
    }

    fn wish(der: &[u8]) -> CertificateWish {
        CertificateWish {
            alliance: "northern.alliance".to_owned(),
            member: "telecom".parse().unwrap(),
            agent: "agent".parse().unwrap(),
            nonce: Digest::of(&[b"nonce"]),
            request: Digest::of(&[der]),
        }
    }

    #[test]
    fn a_token_is_one_line_that_reads_back() {
        let text = token().to_text();
        assert!(text.starts_with("epijoin_") && !text.contains(['\n', ' ']) && text.len() < JOIN_TOKEN_CHARS_MAX);
        assert_eq!(JoinToken::parse(&format!(" {text}\n")).unwrap(), token());
    }

    #[test]
    fn a_token_with_any_character_changed_lost_or_added_is_refused_and_not_repeated() {
        let text = token().to_text();
        for at in 0..text.len() {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            for changed in [
                format!("{}{other}{}", &text[..at], &text[at + 1..]),
                format!("{}{}", &text[..at], &text[at + 1..]),
                format!("{}{other}{}", &text[..at], &text[at..]),
            ] {
                let refusal = JoinToken::parse(&changed).unwrap_err();
                assert_eq!(refusal.rule, Rule::JoinTokenAltered, "at {at}");
                assert!(!refusal.to_string().contains(&text[20..40]), "{refusal}");
            }
        }
        assert!(JoinToken::parse("").is_err());
        assert!(JoinToken::parse(&"e".repeat(JOIN_TOKEN_CHARS_MAX + 1)).is_err());
        let plain = JoinToken { hub: "http://hub.example".to_owned(), ..token() };
        assert!(JoinToken::parse(&plain.to_text()).is_err());
    }

    #[test]
    fn a_secret_does_not_show_itself() {
        let told = format!("{:?}", token());
        assert!(told.contains("not shown") && !told.contains(&String::from(token().secret)), "{told}");
        let error = JoinSecret::try_from("nonsense".to_owned()).unwrap_err().to_string();
        assert!(!error.contains("nonsense"), "{error}");
    }

    #[test]
    fn a_wish_holds_for_its_own_request_and_key_only() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signed = SignedWish::sign(wish(b"request"), &key, b"request");
        assert_eq!(signed.verify().unwrap(), b"request");
        let rule = |signed: SignedWish| signed.verify().unwrap_err().rule;
        let other = STANDARD.encode(b"another");
        assert_eq!(rule(SignedWish { request: other, ..signed.clone() }), Rule::DigestMismatch);
        let another = SigningKey::from_seed(&[8; 32]).public();
        assert_eq!(rule(SignedWish { key: another, ..signed.clone() }), Rule::BadSignature);
        let mut foreign = signed.clone();
        foreign.wish.member = "cloud".parse().unwrap();
        assert_eq!(rule(foreign), Rule::BadSignature);
        assert_eq!(rule(SignedWish { request: "§".to_owned(), ..signed.clone() }), Rule::Malformed);
        assert_eq!(rule(SignedWish { request: "A".repeat(8_000), ..signed }), Rule::TooLarge);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_panic(text: String) {
            let _ = JoinToken::parse(&text);
            let _ = JoinToken::parse(&format!("{JOIN_TOKEN_PREFIX}{text}"));
        }

        #[test]
        fn any_document_with_a_right_check_sum_is_read_or_refused(document: Vec<u8>) {
            let mut bytes = document.clone();
            bytes.extend(check_of(&document));
            let text = format!("{JOIN_TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
            prop_assert_eq!(JoinToken::parse(&text).unwrap_err().rule, Rule::JoinTokenAltered);
        }
    }
}

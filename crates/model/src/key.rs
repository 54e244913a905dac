//! Ed25519 keys and signatures (RFC 8032), and the one way in which statements are signed.

use crate::digest::Digest;
use crate::ids::KeyId;
use crate::parse::ParseError;
use crate::refusal::{Refusal, Rule};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Something that is signed. What is signed is `context`, a line feed, and the statement as JSON: its fields in the
/// order of the type, no blanks. The context says what kind of statement it is and in which version, so that a
/// signature of one kind can never be taken for another.
pub trait Statement: Serialize {
    /// For example `epimachia/batch/v1`.
    const CONTEXT: &'static str;

    /// The bytes that are signed.
    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::CONTEXT.as_bytes().to_vec();
        bytes.push(b'\n');
        // Statements are plain structs of texts and numbers, for which serde_json cannot fail; were it to, the
        // shortened bytes would verify nowhere.
        bytes.extend(serde_json::to_vec(self).unwrap_or_default());
        bytes
    }

    /// The digest of the bytes that are signed.
    fn digest(&self) -> Digest {
        Digest::of(&[&self.signed_bytes()])
    }
}

/// A public Ed25519 key; text form: 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of RFC 8032.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key's identifier.
    pub fn id(&self) -> KeyId {
        KeyId::of(&Digest::of(&[b"epimachia/key/v1\n", &self.0]))
    }

    /// Checks a signature over a statement, strictly (no small-order keys, one encoding a signature).
    ///
    /// # Errors
    /// `bad_signature`.
    pub fn verify<S: Statement>(&self, statement: &S, signature: &Signature) -> Result<(), Refusal> {
        self.verify_bytes(&statement.signed_bytes(), signature)
    }

    /// Checks a signature over bytes that carry their own context.
    ///
    /// # Errors
    /// `bad_signature`.
    pub fn verify_bytes(&self, bytes: &[u8], signature: &Signature) -> Result<(), Refusal> {
        let refused =
            || Refusal::new(Rule::BadSignature, self.id(), "a signature by this key over exactly these bytes");
        let key = ed25519_dalek::VerifyingKey::from_bytes(&self.0).map_err(|_| refused())?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        key.verify_strict(bytes, &signature).map_err(|_| refused())
    }
}

/// An Ed25519 signature; text form: 88 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

impl Signature {
    /// From the 64 bytes of RFC 8032.
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// The 64 bytes of RFC 8032.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

/// A secret key. It is never shown, logged or serialised; its memory is wiped when it is dropped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From 32 secret bytes, which the caller took from the system's random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a statement.
    pub fn sign<S: Statement>(&self, statement: &S) -> Signature {
        self.sign_bytes(&statement.signed_bytes())
    }

    /// Signs bytes that carry their own context.
    pub fn sign_bytes(&self, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(bytes).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret not shown)", self.public().id())
    }
}

macro_rules! base64_text {
    ($name:ident, $bytes:literal, $field:literal, $allowed:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&STANDARD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let error = || ParseError::new($field, text, $allowed);
                // Refused before decoding, so that hostile length costs nothing.
                if text.len() > 2 * $bytes {
                    return Err(error());
                }
                let bytes = STANDARD.decode(text).map_err(|_| error())?;
                bytes.try_into().map(Self).map_err(|_| error())
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

base64_text!(PublicKey, 32, "public key", "44 characters of base64 (32 bytes)");
base64_text!(Signature, 64, "signature", "88 characters of base64 (64 bytes)");

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Vote {
        yes: bool,
    }
    impl Statement for Vote {
        const CONTEXT: &'static str = "epimachia/vote/v1";
    }

    #[derive(Serialize)]
    struct Wish {
        yes: bool,
    }
    impl Statement for Wish {
        const CONTEXT: &'static str = "epimachia/wish/v1";
    }

    #[test]
    fn a_signature_counts_for_its_own_statement_and_key_only() {
        let key = SigningKey::from_seed(&[7; 32]);
        let signature = key.sign(&Vote { yes: true });
        assert!(key.public().verify(&Vote { yes: true }, &signature).is_ok());
        assert!(key.public().verify(&Vote { yes: false }, &signature).is_err());
        assert!(key.public().verify(&Wish { yes: true }, &signature).is_err());
        let other = SigningKey::from_seed(&[8; 32]).public();
        assert_eq!(other.verify(&Vote { yes: true }, &signature).unwrap_err().rule, Rule::BadSignature);
    }

    #[test]
    fn a_secret_key_does_not_show_itself() {
        let key = SigningKey::from_seed(&[7; 32]);
        assert!(!format!("{key:?}").contains("7, 7"));
    }

    #[test]
    fn keys_and_signatures_read_back() {
        let key = SigningKey::from_seed(&[1; 32]);
        assert_eq!(key.public().to_string().parse::<PublicKey>().unwrap(), key.public());
        let signature = key.sign(&Vote { yes: true });
        assert_eq!(signature.to_string().parse::<Signature>().unwrap(), signature);
        assert!("AAAA".parse::<PublicKey>().is_err());
    }
}

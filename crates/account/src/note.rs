//! Signed notes as C2SP `signed-note` defines them: a text and lines of signatures under it.
//!
//! A note keeps every signature line it came with, also those of keys unknown here (witnesses, a log's next key): they
//! are printed again as they were. Only signatures of known keys count, and one that fails refuses the whole note.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use model::parse::printable;
use model::{Digest, ParseError};
use std::fmt;
use std::str::FromStr;

/// Longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 256 << 10;
/// Most signature lines of a note.
pub const SIGNATURES_MAX: usize = 64;
/// Longest key name, in bytes (C2SP `tlog-cosignature` allows no longer ones).
pub const NAME_BYTES_MAX: usize = 255;
/// The signature type of an Ed25519 signature over the note's text.
const ED25519: u8 = 0x01;
/// How a signature line begins: an em dash and a space.
const LINE_START: &str = "— ";

/// A text with signatures. Nothing about it is to be believed before [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key that is said to have made it.
    pub name: String,
    /// That key's short identifier.
    pub key_id: [u8; 4],
    /// The signature, in whatever form the key's type has.
    pub bytes: Vec<u8>,
}

/// Why a note is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    /// None of its signatures is by the key that was asked for.
    #[error("it bears no signature of {key}")]
    Unsigned {
        /// The key, as its verifier text.
        key: String,
    },
    /// A signature that should be by this key is not: the text or the signature was altered.
    #[error("its signature of {key} does not fit its text")]
    BadSignature {
        /// The key, as its verifier text.
        key: String,
    },
}

impl Note {
    /// A text without signatures yet.
    ///
    /// # Errors
    /// Empty, too long, not ending in a newline, or with control characters other than newline.
    pub fn new(text: String) -> Result<Self, ParseError> {
        check_text("note text", &text)?;
        match text.ends_with('\n') {
            true => Ok(Self { text, signatures: Vec::new() }),
            false => Err(ParseError::new("note text", &text, "lines that each end in a newline")),
        }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// Not UTF-8, longer than [`NOTE_BYTES_MAX`], control characters, no signature, or a line that is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > NOTE_BYTES_MAX {
            let size = format!("{} bytes", bytes.len());
            return Err(ParseError::new("note", &size, format!("at most {NOTE_BYTES_MAX} bytes")));
        }
        let refused = |value: &str, allowed| Err(ParseError::new("note", value, allowed));
        let Ok(whole) = std::str::from_utf8(bytes) else {
            return refused(&String::from_utf8_lossy(bytes), "UTF-8 text");
        };
        check_text("note", whole)?;
        let Some(split) = whole.rfind("\n\n") else {
            return refused(whole, "text, an empty line, then signatures");
        };
        let (text, lines) = (&whole[..=split], &whole[split + 2..]);
        let Some(lines) = lines.strip_suffix('\n') else {
            return refused(lines, "signature lines that each end in a newline");
        };
        let signatures: Vec<Signature> =
            lines.split('\n').take(SIGNATURES_MAX + 1).map(str::parse).collect::<Result<_, _>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return refused("more signature lines", format!("at most {SIGNATURES_MAX}").as_str());
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The text, with its final newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, known or not, in the order of their lines.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Signs the text.
    ///
    /// # Errors
    /// There are [`SIGNATURES_MAX`] signatures already.
    pub fn sign(&mut self, signer: &Signer) -> Result<(), ParseError> {
        let bytes = signer.key.sign(self.text.as_bytes()).to_bytes().to_vec();
        self.add(Signature { name: signer.verifier.name.clone(), key_id: signer.verifier.key_id, bytes })
    }

    /// Adds a signature that someone else made: a witness, for one. It is kept, not verified.
    ///
    /// # Errors
    /// There are [`SIGNATURES_MAX`] signatures already.
    pub fn add(&mut self, signature: Signature) -> Result<(), ParseError> {
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(ParseError::new("signatures", &signature.name, format!("at most {SIGNATURES_MAX}")));
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Verifies that the key has signed the text. Every signature that bears its name and identifier must be good.
    ///
    /// # Errors
    /// [`NoteFault`]: no such signature, or one that does not fit.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), NoteFault> {
        let mut signed = false;
        for signature in self.signatures.iter().filter(|s| s.name == key.name && s.key_id == key.key_id) {
            if !key.has_signed(self.text.as_bytes(), &signature.bytes) {
                return Err(NoteFault::BadSignature { key: key.to_string() });
            }
            signed = true;
        }
        signed.then_some(()).ok_or_else(|| NoteFault::Unsigned { key: key.to_string() })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for Signature {
    type Err = ParseError;

    /// Reads a line without its newline.
    fn from_str(line: &str) -> Result<Self, ParseError> {
        let refused = || ParseError::new("signature line", line, "— <key name> base64(key ID || signature)");
        let (name, encoded) =
            line.strip_prefix(LINE_START).and_then(|rest| rest.split_once(' ')).ok_or_else(refused)?;
        check_name(name)?;
        let bytes = BASE64.decode(encoded).map_err(|_| refused())?;
        match bytes.split_first_chunk() {
            Some((key_id, rest)) if !rest.is_empty() => {
                Ok(Self { name: name.to_owned(), key_id: *key_id, bytes: rest.to_vec() })
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE64.encode([&self.key_id[..], &self.bytes].concat());
        write!(f, "{LINE_START}{} {encoded}", self.name)
    }
}

/// A public key that notes are verified with; printed and parsed as a C2SP verifier key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; 4],
    key: VerifyingKey,
}

impl VerifierKey {
    /// The verifier of an Ed25519 key under a name.
    ///
    /// # Errors
    /// A name that is none (empty, spaces, `+`, too long) or bytes that are no key, or a weak one.
    pub fn new(name: &str, public_key: &[u8; 32]) -> Result<Self, ParseError> {
        check_name(name)?;
        let key = VerifyingKey::from_bytes(public_key).ok().filter(|key| !key.is_weak());
        let key = key.ok_or_else(|| ParseError::new("public key", name, "an Ed25519 public key"))?;
        let digest = Digest::of(&[name.as_bytes(), b"\n", &[ED25519], public_key]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Ok(Self { name: name.to_owned(), key_id: [a, b, c, d], key })
    }

    /// The key's name: for a log its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first four bytes of SHA-256(name || 0x0A || 0x01 || public key).
    pub const fn key_id(&self) -> [u8; 4] {
        self.key_id
    }

    /// The 32 bytes of the key, without its name.
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    fn has_signed(&self, text: &[u8], signature: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(signature);
        signature.is_ok_and(|signature| self.key.verify_strict(text, &signature).is_ok())
    }
}

impl FromStr for VerifierKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = |allowed| ParseError::new("verifier key", text, allowed);
        let form = "<name>+<key ID>+<base64 of type 01 and an Ed25519 public key>";
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused(form));
        };
        let bytes = BASE64.decode(encoded).map_err(|_| refused(form))?;
        let [ED25519, key @ ..] = &bytes[..] else {
            return Err(refused(form));
        };
        let key = Self::new(name, key.try_into().map_err(|_| refused(form))?)?;
        match model::digest::hex(&key.key_id) == id {
            true => Ok(key),
            false => Err(refused("the key ID that belongs to this name and key")),
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE64.encode([&[ED25519][..], self.key.as_bytes()].concat());
        write!(f, "{}+{}+{encoded}", self.name, model::digest::hex(&self.key_id))
    }
}

/// A secret key that signs notes under a name.
#[derive(Clone)]
pub struct Signer {
    verifier: VerifierKey,
    key: SigningKey,
}

impl Signer {
    /// The signer of an Ed25519 secret key (RFC 8032 §5.1.5) under a name.
    ///
    /// # Errors
    /// A name that is none.
    pub fn new(name: &str, secret_key: &[u8; 32]) -> Result<Self, ParseError> {
        let key = SigningKey::from_bytes(secret_key);
        Ok(Self { verifier: VerifierKey::new(name, key.verifying_key().as_bytes())?, key })
    }

    /// The public half.
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.verifier)
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), ParseError> {
    let good = |c: char| !c.is_whitespace() && !c.is_control() && c != '+';
    match (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(good) {
        true => Ok(()),
        false => Err(ParseError::new("key name", name, format!("1 to {NAME_BYTES_MAX} bytes, no spaces, no plus"))),
    }
}

fn check_text(field: &str, text: &str) -> Result<(), ParseError> {
    if text.is_empty() || text.len() > NOTE_BYTES_MAX {
        return Err(ParseError::new(field, text, format!("1 to {NOTE_BYTES_MAX} bytes")));
    }
    match text.chars().any(|c| c < ' ' && c != '\n') {
        true => Err(ParseError::new(field, &printable(text), "no control characters but newline")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The example of the specification.
    const KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    fn signed(text: &str) -> (Note, VerifierKey) {
        let signer = Signer::new("log.example/a", &[9; 32]).unwrap();
        let mut note = Note::new(text.to_owned()).unwrap();
        note.sign(&signer).unwrap();
        (note, signer.verifier().clone())
    }

    #[test]
    fn example_of_the_specification_verifies_and_round_trips() {
        let (key, note): (VerifierKey, _) = (KEY.parse().unwrap(), Note::parse(NOTE.as_bytes()).unwrap());
        assert_eq!(note.verify(&key), Ok(()));
        assert_eq!((key.to_string(), note.to_string()), (KEY.to_owned(), NOTE.to_owned()));
        assert_eq!(note.text(), "This is an example message.\n");
    }

    #[test]
    fn text_may_hold_empty_lines() {
        let (note, key) = signed("a\n\nb\n\n");
        let back = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!((back.text(), back.verify(&key)), ("a\n\nb\n\n", Ok(())));
    }

    #[test]
    fn unknown_signatures_are_kept_and_ignored() {
        let (mut note, key) = signed("text\n");
        let witness: Signature =
            "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5\
             nNo0xUe+mbIUBkBIfZ+qnA=="
                .parse()
                .unwrap();
        note.add(witness.clone()).unwrap();
        note.add(Signature { name: key.name().to_owned(), key_id: [0; 4], bytes: vec![1] }).unwrap();
        let back = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!((&back, back.verify(&key)), (&note, Ok(())));
        assert_eq!(back.signatures()[1], witness);
    }

    #[test]
    fn note_without_the_keys_signature_is_not_believed() {
        let (note, _) = signed("text\n");
        let other: VerifierKey = KEY.parse().unwrap();
        assert_eq!(note.verify(&other), Err(NoteFault::Unsigned { key: KEY.to_owned() }));
    }

    #[test]
    fn one_bad_signature_of_a_known_key_refuses_the_note() {
        let (mut note, key) = signed("text\n");
        note.add(Signature { name: key.name().to_owned(), key_id: key.key_id(), bytes: vec![0; 64] }).unwrap();
        assert_eq!(note.verify(&key), Err(NoteFault::BadSignature { key: key.to_string() }));
    }

    #[test]
    fn malformed_notes_are_refused() {
        let line = NOTE.rsplit_once("\n\n").unwrap().1;
        let bad = [
            "".to_owned(),
            "text\n".to_owned(),
            "text\n\n".to_owned(),
            format!("text\n{line}"),
            format!("text\n\n{}", line.trim_end()),
            format!("te\u{1}xt\n\n{line}"),
            format!("text\r\n\n{line}"),
            format!("text\n\n{}", line.replace("— ", "- ")),
            format!("text\n\n{}", line.replace("foo ", "f+o ")),
            format!("text\n\n{}", line.replace('=', "")),
            "text\n\n— a AAAAAA==\n".to_owned(),
            format!("text\n\n{}", line.repeat(SIGNATURES_MAX + 1)),
            format!("{}\n\n{line}", "x".repeat(NOTE_BYTES_MAX)),
        ];
        for note in bad {
            assert!(Note::parse(note.as_bytes()).is_err(), "{note:.60}");
        }
        assert!(Note::parse(b"\xff\n\n").is_err());
        assert!(Note::parse(format!("text\n\n{}", line.repeat(SIGNATURES_MAX)).as_bytes()).is_ok());
    }

    #[test]
    fn verifier_key_of_another_name_type_or_id_is_refused() {
        let (wrong_name, wrong_id) = (KEY.replace("foo", "bar"), KEY.replace("530d903a", "530d903b"));
        let wrong_type = KEY.replace("+Aeky", "+BOky");
        for bad in [wrong_name.as_str(), &wrong_id, &wrong_type, &KEY[..40], "a+b", "", "a b+530d903a+AQ=="] {
            assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn signer_does_not_show_its_secret() {
        let signer = Signer::new("log.example/a", &[9; 32]).unwrap();
        assert_eq!(format!("{signer:?}"), format!("Signer({})", signer.verifier()));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_refused(text in "[a-z\n]{1,80}", place in 0_usize..10_000) {
            let (note, key) = signed(&format!("{text}\n"));
            let mut bytes = note.to_string().into_bytes();
            let bit = place % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Note::parse(&bytes).is_err() || Note::parse(&bytes).unwrap().verify(&key).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            text in "\\PC{0,99}",
        ) {
            let _ = Note::parse(&bytes);
            let _ = Note::parse(text.as_bytes());
            let _ = text.parse::<VerifierKey>();
        }
    }
}

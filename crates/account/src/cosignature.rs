//! Cosignatures as C2SP `tlog-cosignature` defines them: a witness states that, at a time, the largest consistent tree
//! it has seen of a log is this one. Ed25519 (`cosignature/v1`, key type 0x04).

use crate::checkpoint::Checkpoint;
use crate::note::{Note, NoteFault, Signature, check_name};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use model::{Digest, ParseError, PublicKey, SigningKey};
use std::fmt;
use std::str::FromStr;

/// The key type of an Ed25519 cosignature.
const COSIGNATURE_V1: u8 = 0x04;
/// The first line of what is signed.
const HEAD: &str = "cosignature/v1";
/// Latest time that a cosignature may carry, in seconds since 1970.
pub const SECONDS_MAX: u64 = i64::MAX as u64;

/// Under which name a member's witness cosigns the alliance's log: `<alliance>/witness/<member>`.
pub fn witness_name(alliance: &str, member: &str) -> String {
    format!("{alliance}/witness/{member}")
}

/// A witness's public key; printed and parsed as a C2SP verifier key of type 04.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WitnessKey {
    name: String,
    key_id: [u8; 4],
    key: PublicKey,
}

impl WitnessKey {
    /// The verifier of a witness's key under its name.
    ///
    /// # Errors
    /// A name that is none (empty, spaces, `+`, too long).
    pub fn new(name: &str, key: PublicKey) -> Result<Self, ParseError> {
        check_name(name)?;
        let digest = Digest::of(&[name.as_bytes(), b"\n", &[COSIGNATURE_V1], key.as_bytes()]);
        let [a, b, c, d, ..] = *digest.as_bytes();
        Ok(Self { name: name.to_owned(), key_id: [a, b, c, d], key })
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key alone. Two witnesses with one key are one witness.
    pub const fn public(&self) -> PublicKey {
        self.key
    }

    /// Is this line said to be by this key?
    pub fn is_named_by(&self, line: &Signature) -> bool {
        line.name == self.name && line.key_id == self.key_id
    }

    /// Verifies one line over a checkpoint's text; gives its time, in seconds since 1970.
    ///
    /// # Errors
    /// Of another key, without a time or with one beyond [`SECONDS_MAX`], or not over this text.
    pub fn verify(&self, text: &str, line: &Signature) -> Result<u64, NoteFault> {
        let bad = || NoteFault::BadSignature { key: self.to_string() };
        if !self.is_named_by(line) {
            return Err(NoteFault::Unsigned { key: self.to_string() });
        }
        let (seconds, signature) = line.bytes.split_first_chunk().ok_or_else(bad)?;
        let seconds = u64::from_be_bytes(*seconds);
        let signature: [u8; 64] = signature.try_into().map_err(|_| bad())?;
        if !(1..=SECONDS_MAX).contains(&seconds) {
            return Err(bad());
        }
        let signature = model::Signature::from_bytes(signature);
        self.key.verify_bytes(&message(text, seconds), &signature).map(|()| seconds).map_err(|_| bad())
    }

    /// Has this witness cosigned the note's text? Gives the latest time at which it did.
    ///
    /// # Errors
    /// A line that names this key is not its signature: whoever put it there is not to be believed in anything.
    pub fn cosigned(&self, note: &Note) -> Result<Option<u64>, NoteFault> {
        let lines = note.signatures().iter().filter(|line| self.is_named_by(line));
        lines
            .map(|line| self.verify(note.text(), line))
            .try_fold(None, |latest, seconds| Ok(latest.max(Some(seconds?))))
    }
}

impl FromStr for WitnessKey {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refused = |allowed| ParseError::new("witness key", text, allowed);
        let form = "<name>+<key ID>+<base64 of type 04 and an Ed25519 public key>";
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(refused(form));
        };
        let bytes = BASE64.decode(encoded).map_err(|_| refused(form))?;
        let [COSIGNATURE_V1, key @ ..] = &bytes[..] else {
            return Err(refused(form));
        };
        let key = PublicKey::from_bytes(key.try_into().map_err(|_| refused(form))?);
        let key = Self::new(name, key)?;
        match model::digest::hex(&key.key_id) == id {
            true => Ok(key),
            false => Err(refused("the key ID that belongs to this name and key")),
        }
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let encoded = BASE64.encode([&[COSIGNATURE_V1][..], self.key.as_bytes()].concat());
        write!(f, "{}+{}+{encoded}", self.name, model::digest::hex(&self.key_id))
    }
}

/// Cosigns a checkpoint. Never cosign a tree that does not continue the last one cosigned of its log.
///
/// # Errors
/// A name that is none, or a time of 0 or beyond [`SECONDS_MAX`].
pub fn cosign(name: &str, key: &SigningKey, checkpoint: &Checkpoint, seconds: u64) -> Result<Signature, ParseError> {
    if !(1..=SECONDS_MAX).contains(&seconds) {
        return Err(ParseError::new("cosignature time", &seconds.to_string(), format!("1 to {SECONDS_MAX} seconds")));
    }
    let verifier = WitnessKey::new(name, key.public())?;
    let signature = key.sign_bytes(&message(&checkpoint.to_string(), seconds));
    let bytes = [&seconds.to_be_bytes()[..], signature.as_bytes()].concat();
    Ok(Signature { name: verifier.name, key_id: verifier.key_id, bytes })
}

/// What is signed: a head, the time, and the checkpoint's text.
fn message(text: &str, seconds: u64) -> Vec<u8> {
    format!("{HEAD}\ntime {seconds}\n{text}").into_bytes()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::SignedCheckpoint;
    use proptest::prelude::*;

    /// A checkpoint of the public certificate log arche2025h1 (staging) of 23 May 2026 with the cosignatures of four
    /// public witnesses, as the log served it: a GREASE line of another type, the log's own, then theirs.
    pub const RECORDED: &str = "arche2025h1.staging.ct.transparency.dev\n1432088532\n\
        U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=\n\n\
        — arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIg\
        IpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=\n\
        — arche2025h1.staging.ct.transparency.dev \
        ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=\n\
        — transparency.dev/DEV:witness-little-garden \
        2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==\n\
        — witness1.smartit.nu/witness1 \
        pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==\n\
        — remora.n621.de \
        2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==\n\
        — witness.stagemole.eu \
        Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==\n";
    pub const RECORDED_LOG: &str =
        "arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f";
    /// The keys as their operators publish them.
    pub const RECORDED_WITNESSES: [&str; 4] = [
        "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
        "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
        "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
        "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
    ];

    pub fn recorded() -> SignedCheckpoint {
        SignedCheckpoint::parse(RECORDED.as_bytes()).unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[8; 32])
    }

    fn checkpoint(size: u64) -> Checkpoint {
        Checkpoint::new("alliance.example/log", size, Digest::of(&[b"root"]))
    }

    #[test]
    fn recorded_cosignatures_of_public_witnesses_verify() {
        for text in RECORDED_WITNESSES {
            let key: WitnessKey = text.parse().unwrap();
            assert_eq!(key.cosigned(recorded().note()), Ok(Some(1_779_573_024)), "{text}");
            assert_eq!(key.to_string(), text);
        }
        assert!(recorded().verify(&RECORDED_LOG.parse().unwrap()).is_ok());
    }

    #[test]
    fn recorded_cosignatures_over_anything_else_do_not_verify() {
        let altered = RECORDED.replace("1432088532", "1432088533");
        let altered = SignedCheckpoint::parse(altered.as_bytes()).unwrap();
        for text in RECORDED_WITNESSES {
            let key: WitnessKey = text.parse().unwrap();
            assert!(matches!(key.cosigned(altered.note()), Err(NoteFault::BadSignature { .. })), "{text}");
        }
    }

    #[test]
    fn signed_bytes_are_those_of_the_specification() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let expected = format!("cosignature/v1\ntime 1679315147\n{text}");
        assert_eq!(message(text, 1_679_315_147), expected.into_bytes());
    }

    #[test]
    fn a_witness_that_did_not_cosign_is_not_counted_and_a_false_line_is_a_fault() {
        let other = WitnessKey::new("someone.else", key().public()).unwrap();
        assert_eq!(other.cosigned(recorded().note()), Ok(None));
        let (first, name) = (checkpoint(7), "alliance.example/witness/cloud");
        let line = cosign(name, &key(), &first, 1).unwrap();
        let verifier = WitnessKey::new(name, key().public()).unwrap();
        assert_eq!(verifier.verify(&first.to_string(), &line), Ok(1));
        assert!(verifier.verify(&checkpoint(8).to_string(), &line).is_err());
        let elsewhere = Checkpoint { origin: "other.example/log".to_owned(), ..first.clone() };
        assert!(verifier.verify(&elsewhere.to_string(), &line).is_err());
        let renamed = Signature { name: "alliance.example/witness/bank".to_owned(), ..line };
        assert_eq!(
            verifier.verify(&first.to_string(), &renamed),
            Err(NoteFault::Unsigned { key: verifier.to_string() })
        );
    }

    #[test]
    fn times_of_nothing_and_of_never_are_refused() {
        assert!(cosign("w", &key(), &checkpoint(1), 0).is_err());
        assert!(cosign("w", &key(), &checkpoint(1), SECONDS_MAX + 1).is_err());
        let mut line = cosign("w", &key(), &checkpoint(1), 1).unwrap();
        line.bytes[..8].copy_from_slice(&[0; 8]);
        let verifier = WitnessKey::new("w", key().public()).unwrap();
        assert!(verifier.verify(&checkpoint(1).to_string(), &line).is_err());
    }

    #[test]
    fn keys_of_other_types_are_refused() {
        assert!(RECORDED_LOG.parse::<WitnessKey>().is_err());
        assert!(RECORDED_WITNESSES[2].replace("da77ade7", "da77ade8").parse::<WitnessKey>().is_err());
        assert!("remora.n621.de".parse::<WitnessKey>().is_err());
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_a_cosignature_is_refused(seconds in 1..u64::from(u32::MAX), place in 0_usize..72 * 8) {
            let mut line = cosign("w", &key(), &checkpoint(5), seconds).unwrap();
            let verifier = WitnessKey::new("w", key().public()).unwrap();
            prop_assert_eq!(verifier.verify(&checkpoint(5).to_string(), &line), Ok(seconds));
            line.bytes[place / 8] ^= 1 << (place % 8);
            prop_assert!(verifier.verify(&checkpoint(5).to_string(), &line).is_err());
        }
    }
}

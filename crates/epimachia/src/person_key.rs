//! A person's key file: the secret half sealed under a passphrase that only the person knows.
//!
//! One JSON document, mode 0600. `kind` says what the key is: `ed25519` is a seed in this file; a program that does not
//! know a kind (a hardware token's, say) refuses it by name. The seed is sealed with ChaCha20-Poly1305 (RFC 8439) under
//! a key that Argon2id (RFC 9106) makes of the passphrase; everything else in the document is authenticated with it.

use crate::exit::Failure;
use argon2::{Algorithm, Argon2, Params, Version};
use model::{PersonId, PublicKey, SigningKey};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// The form that this program writes, and the only one it reads.
const FORMAT: &str = "epimachia-person-key/1";
/// Shortest passphrase, in characters.
pub const PASSPHRASE_CHARS_MIN: usize = 12;
/// Longest passphrase, in bytes.
const PASSPHRASE_BYTES_MAX: usize = 1_024;
/// Most memory that a file may ask for, in KiB: who writes one must not be able to exhaust this machine.
const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most passes and lanes that a file may ask for.
const PASSES_MAX: u32 = 64;

/// What stands in the file besides the sealed seed; all of it is authenticated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    person: PersonId,
    kind: String,
    public: PublicKey,
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    aead: String,
    nonce: String,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    head: Head,
    /// Seed and tag, hexadecimal.
    sealed: String,
}

/// How much work a guess at the passphrase costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The second recommended option of RFC 9106 §4: 64 MiB, three passes, four lanes.
const COST: Cost = Cost { memory_kib: 64 << 10, passes: 3, lanes: 4 };

/// Makes a new key for a person and keeps it sealed in a new file with mode 0600; gives the public half.
///
/// # Errors
/// The passphrase is too short, the file is there already or cannot be written.
pub fn create(path: &Path, person: &PersonId, passphrase: &str) -> Result<PublicKey, Failure> {
    let (seed, salt, nonce) = (random::<32>()?, random::<16>()?, random::<12>()?);
    let text = seal(person, &seed, passphrase, COST, &salt, &nonce)?;
    let failed = |error: std::io::Error| {
        let what = format!("{}: {error}; nothing was changed", path.display());
        Failure::failed(what, "choose another file name")
    };
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(SigningKey::from_seed(&seed).public())
}

/// Does this text look like a person's key file?
pub fn is_sealed(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Opens a key file's text for this person.
///
/// # Errors
/// It is another person's, of a kind or format that this program does not know, or damaged; or the passphrase is wrong.
/// No error repeats a secret.
pub fn open(text: &str, person: &PersonId, passphrase: &str) -> Result<SigningKey, Failure> {
    let Sealed { head, sealed } = read(text)?;
    if head.person != *person {
        let what = format!("the key file is {}'s, and {person} is to sign", head.person);
        return Err(Failure::failed(what, "--person and --key of the same person"));
    }
    let cost = Cost { memory_kib: head.memory_kib, passes: head.passes, lanes: head.lanes };
    let (salt, nonce) = (unhex::<16>("salt", &head.salt)?, unhex::<12>("nonce", &head.nonce)?);
    let mut bytes = unhex::<48>("sealed", &sealed)?.to_vec();
    let key = key(passphrase, &salt, cost)?;
    let wrong = || Failure::failed("the passphrase is wrong, or the key file was altered", "try again");
    let opened = key.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(authenticated(&head)), &mut bytes);
    let seed: [u8; 32] = opened.ok().and_then(|seed| (&*seed).try_into().ok()).ok_or_else(wrong)?;
    let key = SigningKey::from_seed(&seed);
    bytes.fill(0);
    if key.public() == head.public { Ok(key) } else { Err(wrong()) }
}

/// The public half, which needs no passphrase, and whose it is.
///
/// # Errors
/// As [`open`], but for the passphrase.
pub fn public(text: &str) -> Result<(PersonId, PublicKey), Failure> {
    let head = read(text)?.head;
    Ok((head.person, head.public))
}

fn read(text: &str) -> Result<Sealed, Failure> {
    let unknown = |field: &str, value: &str, known: &str| {
        let value = model::parse::printable(value);
        Failure::failed(
            format_args!("the key file's {field} is {value}; this program knows {known}"),
            "epimachia version",
        )
    };
    let sealed: Sealed = serde_json::from_str(text).map_err(|e| {
        Failure::failed(format_args!("no person's key file: line {}, column {}", e.line(), e.column()), "")
    })?;
    let head = &sealed.head;
    for (field, value, known) in [
        ("format", &head.format, FORMAT),
        ("kind", &head.kind, "ed25519"),
        ("kdf", &head.kdf, "argon2id"),
        ("aead", &head.aead, "chacha20-poly1305"),
    ] {
        if value != known {
            return Err(unknown(field, value, known));
        }
    }
    for (field, value, most) in [
        ("memory_kib", head.memory_kib, MEMORY_KIB_MAX),
        ("passes", head.passes, PASSES_MAX),
        ("lanes", head.lanes, PASSES_MAX),
    ] {
        if !(1..=most).contains(&value) {
            return Err(unknown(field, &value.to_string(), &format!("1 to {most}")));
        }
    }
    Ok(sealed)
}

fn seal(
    person: &PersonId,
    seed: &[u8; 32],
    passphrase: &str,
    cost: Cost,
    salt: &[u8; 16],
    nonce: &[u8; 12],
) -> Result<String, Failure> {
    if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
        return Err(Failure::Usage(format!("the passphrase: at least {PASSPHRASE_CHARS_MIN} characters")));
    }
    let head = Head {
        format: FORMAT.to_owned(),
        person: person.clone(),
        kind: "ed25519".to_owned(),
        public: SigningKey::from_seed(seed).public(),
        kdf: "argon2id".to_owned(),
        memory_kib: cost.memory_kib,
        passes: cost.passes,
        lanes: cost.lanes,
        salt: model::digest::hex(salt),
        aead: "chacha20-poly1305".to_owned(),
        nonce: model::digest::hex(nonce),
    };
    let mut bytes = seed.to_vec();
    let failed = |_| Failure::failed("the key could not be sealed", "");
    key(passphrase, salt, cost)?
        .seal_in_place_append_tag(Nonce::assume_unique_for_key(*nonce), Aad::from(authenticated(&head)), &mut bytes)
        .map_err(failed)?;
    let sealed = Sealed { head, sealed: model::digest::hex(&bytes) };
    let mut text = serde_json::to_string_pretty(&sealed).map_err(|e| Failure::failed(e, ""))?;
    text.push('\n');
    Ok(text)
}

/// The bytes that are authenticated with the seed: the head as JSON, fields in the order of the type, no blanks.
fn authenticated(head: &Head) -> Vec<u8> {
    // A plain struct of texts and numbers, for which serde_json cannot fail; shortened bytes would open nothing.
    serde_json::to_vec(head).unwrap_or_default()
}

fn key(passphrase: &str, salt: &[u8; 16], cost: Cost) -> Result<LessSafeKey, Failure> {
    if passphrase.len() > PASSPHRASE_BYTES_MAX {
        return Err(Failure::Usage(format!("the passphrase: at most {PASSPHRASE_BYTES_MAX} bytes")));
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
        .map_err(|e| Failure::failed(format_args!("the key file's cost: {e}"), ""))?;
    let mut derived = [0_u8; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(passphrase.as_bytes(), salt, &mut derived)
        .map_err(|e| Failure::failed(format_args!("the passphrase cannot be used: {e}"), ""))?;
    let key = UnboundKey::new(&CHACHA20_POLY1305, &derived).map(LessSafeKey::new);
    derived.fill(0);
    key.map_err(|_| Failure::failed("the passphrase cannot be used", ""))
}

fn unhex<const N: usize>(field: &str, text: &str) -> Result<[u8; N], Failure> {
    let wrong = || Failure::failed(format_args!("the key file's {field}: not {N} bytes in hexadecimal"), "");
    model::digest::unhex::<N>(text).ok_or_else(wrong)
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Failure::failed(format_args!("no random numbers: {e}"), ""))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Little work, so that the tests are quick; the file says how much.
    const CHEAP: Cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    const PASSPHRASE: &str = "correct horse battery";

    fn ada() -> PersonId {
        "ada@telecom".parse().unwrap()
    }

    fn sealed() -> String {
        seal(&ada(), &[7; 32], PASSPHRASE, CHEAP, &[1; 16], &[2; 12]).unwrap()
    }

    fn told(text: &str, person: &str, passphrase: &str) -> String {
        open(text, &person.parse().unwrap(), passphrase).unwrap_err().message()
    }

    #[test]
    fn only_the_passphrase_opens_it_and_the_public_half_needs_none() {
        let public_half = SigningKey::from_seed(&[7; 32]).public();
        assert_eq!(open(&sealed(), &ada(), PASSPHRASE).unwrap().public(), public_half);
        assert_eq!(public(&sealed()).unwrap(), (ada(), public_half));
        assert!(told(&sealed(), "ada@telecom", "correct horse batterz").contains("passphrase is wrong"));
        assert!(told(&sealed(), "bob@telecom", PASSPHRASE).contains("ada@telecom's"));
        assert!(!sealed().contains(&model::digest::hex(&[7; 32])), "the seed is not in it");
    }

    #[test]
    fn whatever_is_altered_in_the_file_is_noticed() {
        let other = SigningKey::from_seed(&[8; 32]).public().to_string();
        let public_half = SigningKey::from_seed(&[7; 32]).public().to_string();
        for (from, to) in [
            ("\"passes\": 1", "\"passes\": 2".to_owned()),
            (public_half.as_str(), other),
            (&model::digest::hex(&[1; 16]), model::digest::hex(&[3; 16])),
            (&model::digest::hex(&[2; 12]), model::digest::hex(&[3; 12])),
        ] {
            let altered = sealed().replace(from, &to);
            assert_ne!(altered, sealed());
            assert!(told(&altered, "ada@telecom", PASSPHRASE).contains("altered"), "{from}");
        }
        let renamed = sealed().replace("ada@telecom", "eve@telecom");
        assert!(told(&renamed, "eve@telecom", PASSPHRASE).contains("altered"), "nobody else's name can be put on it");
    }

    #[test]
    fn what_this_program_does_not_know_is_named() {
        for (from, to, field) in [
            (FORMAT, "epimachia-person-key/2", "format"),
            ("\"ed25519\"", "\"pkcs11\"", "kind"),
            ("argon2id", "argon2d", "kdf"),
            ("chacha20-poly1305", "rot13", "aead"),
            ("\"memory_kib\": 64", "\"memory_kib\": 4294967295", "memory_kib"),
            ("\"lanes\": 1", "\"lanes\": 0", "lanes"),
        ] {
            let told = told(&sealed().replace(from, to), "ada@telecom", PASSPHRASE);
            assert!(told.contains(field) && told.contains("this program knows"), "{told}");
        }
        assert!(told("{}", "ada@telecom", PASSPHRASE).contains("no person's key file"));
    }

    #[test]
    fn a_short_passphrase_is_refused_and_none_is_repeated() {
        let refused = seal(&ada(), &[7; 32], "swordfish", COST, &[1; 16], &[2; 12]).unwrap_err().message();
        assert!(refused.contains("12") && !refused.contains("swordfish"), "{refused}");
    }
}

//! Identifiers of STIX objects, `type--uuid` (STIX 2.1 §2.9), and UUIDs made from names.

use super::kind::Kind;
use model::ParseError;
use sha1::{Digest as _, Sha1};

/// Longest identifier that is read, in bytes: a type of at most 250 characters, `--`, a UUID of 36.
pub const ID_BYTES_MAX: usize = 288;

/// The namespace of deterministic identifiers of cyber-observables (STIX 2.1 §2.9). Nothing else may use it.
pub const OBSERVABLES: [u8; 16] = [
    0x00, 0xab, 0xed, 0xb4, 0xaa, 0x42, 0x46, 0x6c, 0x9c, 0x01, 0xfe, 0xd2, 0x33, 0x15, 0xa9, 0xb7, //
];

const ALLOWED: &str = "a type of a-z 0-9 -, `--`, and a UUID of 32 hexadecimal digits";

/// The parts of an identifier: the type's name, and the UUID as it is written.
///
/// # Errors
/// Names `field` and the text.
pub fn split<'a>(field: &str, id: &'a str) -> Result<(&'a str, &'a str), ParseError> {
    parts(id).ok_or_else(|| ParseError::new(field, id, ALLOWED))
}

/// As [`split`]; `None` for what is no identifier. It is read from its end, where the length is known.
fn parts(id: &str) -> Option<(&str, &str)> {
    let (kind, uuid) = id.split_at_checked(id.len().checked_sub(UUID_BYTES)?)?;
    let kind = kind.strip_suffix("--")?;
    // The first two hyphens in a row are those before the UUID.
    let once = !kind.ends_with('-') && !kind.as_bytes().windows(2).any(|two| two == b"--");
    (once && id.len() <= ID_BYTES_MAX && is_type(kind) && is_uuid(uuid)).then_some((kind, uuid))
}

/// The type that an identifier names, or none for what is no identifier.
pub fn kind_of(id: &str) -> Option<Kind> {
    parts(id).map(|(kind, _)| Kind::of(kind))
}

/// The type that an identifier names.
///
/// # Errors
/// As [`split`].
pub fn kind(field: &str, id: &str) -> Result<Kind, ParseError> {
    split(field, id).map(|(kind, _)| Kind::of(kind))
}

/// Bytes of a UUID as text.
const UUID_BYTES: usize = 36;

/// Is this the name of a type? 3 to 250 characters (STIX 2.1 §3.1; 2.0 had one `x_` name or other with underscores).
fn is_type(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (3..=250).contains(&text.len()) && text.bytes().all(allowed) && text.as_bytes()[0].is_ascii_lowercase()
}

/// RFC 9562 §4: five groups of hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let hexadecimal = |group: &[u8]| group.iter().all(u8::is_ascii_hexdigit);
    match text.as_bytes() {
        bytes if bytes.len() != UUID_BYTES => false,
        bytes => {
            [8, 13, 18, 23].iter().all(|hyphen| bytes[*hyphen] == b'-')
                && [0..8, 9..13, 14..18, 19..23, 24..36].into_iter().all(|group| hexadecimal(&bytes[group]))
        }
    }
}

/// The identifier of type `kind` whose UUID is made from `namespace` and `name` (version 5, RFC 9562 §5.5).
pub fn named(kind: Kind, namespace: &[u8; 16], name: &str) -> String {
    named_as(kind.as_str(), namespace, name)
}

/// As [`named`], of a type that the standard need not have.
pub fn named_as(kind: &str, namespace: &[u8; 16], name: &str) -> String {
    format!("{kind}--{}", uuid_text(&uuid5(namespace, name)))
}

/// A UUID of version 5.
pub fn uuid5(namespace: &[u8; 16], name: &str) -> [u8; 16] {
    let hash = Sha1::new().chain_update(namespace).chain_update(name).finalize();
    let mut uuid = [0; 16];
    uuid.copy_from_slice(&hash[..16]);
    uuid[6] = uuid[6] & 0x0f | 0x50;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

/// The bytes of a UUID, in either case; `None` for what is none.
pub fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits = Some(text).filter(|text| is_uuid(text))?.bytes().filter(|byte| *byte != b'-');
    let mut uuid = [0; 16];
    for (at, digit) in digits.enumerate() {
        // Hexadecimal digits, which `is_uuid` has looked at: 0 to 15.
        uuid[at / 2] = uuid[at / 2] << 4 | char::from(digit).to_digit(16)? as u8;
    }
    Some(uuid)
}

/// A UUID as text, in lower case.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits = model::digest::hex(uuid);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_identifier_is_refused_by_field() {
        for good in
            ["x-mitre-data-source--0f42a24c-e035-4f93-a91c-5f7076bd8da0", "tool--0F42A24C-E035-4F93-A91C-5F7076BD8DA0"]
        {
            assert!(split("id", good).is_ok(), "{good}");
        }
        let long = format!("{}--0f42a24c-e035-4f93-a91c-5f7076bd8da0", "a".repeat(251));
        for bad in [
            "",
            "tool",
            "tool--",
            "tool--0f42a24c",
            "--0f42a24c-e035-4f93-a91c-5f7076bd8da0",
            "Tool--0f42a24c-e035-4f93-a91c-5f7076bd8da0",
            "tool--0f42a24c-e035-4f93-a91c-5f7076bd8da0x",
            "tool--0f42a24ce0354f93a91c5f7076bd8da00000",
            "tool--0f42a24c-e035-4f93-a91c+5f7076bd8da0",
            "tool---0f42a24c-e035-4f93-a91c-5f7076bd8da0",
            "tool--x--0f42a24c-e035-4f93-a91c-5f7076bd8da0",
            "té--0f42a24c-e035-4f93-a91c-5f7076bd8d\u{e9}",
            long.as_str(),
        ] {
            assert_eq!(split("object_refs[2]", bad).unwrap_err().field, "object_refs[2]", "{bad}");
        }
    }

    /// RFC 9562 appendix A.4.
    #[test]
    fn a_uuid_of_version_five_is_as_the_standard_says() {
        let dns = [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        assert_eq!(uuid_text(&uuid5(&dns, "www.example.com")), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }
}

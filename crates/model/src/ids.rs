//! Identifiers: short, typed, greppable. A prefix says the kind, so one can never be taken for another.

use crate::digest::Digest;
use crate::parse::ParseError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, so that nothing is misread over the telephone.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Characters after the prefix: 12 times 5 bits, so that ten million identifiers collide with odds of 1 in 20,000.
const SUFFIX_CHARS: usize = 12;

macro_rules! digest_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name([u8; SUFFIX_CHARS]);

        impl $name {
            /// What every identifier of this kind begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The identifier of whatever has this digest.
            pub fn of(digest: &Digest) -> Self {
                Self(suffix(digest))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                self.0.iter().try_for_each(|c| fmt::Write::write_char(f, char::from(*c)))
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
                let allowed = concat!("`", $prefix, "` and 12 characters of 0-9 a-z without i, l, o, u");
                let error = || ParseError::new(stringify!($name), text, allowed);
                let rest = text.strip_prefix(Self::PREFIX).ok_or_else(error)?.as_bytes();
                let suffix: [u8; SUFFIX_CHARS] = rest.try_into().map_err(|_| error())?;
                match suffix.iter().all(|c| ALPHABET.contains(c)) {
                    true => Ok(Self(suffix)),
                    false => Err(error()),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }
    };
}

digest_id!(
    /// A finding: one observable and one family of behaviours.
    FindingId, "fin-"
);
digest_id!(
    /// A sighting: one opening of one batch.
    SightingId, "sig-"
);
digest_id!(
    /// A plan, by its digest.
    PlanId, "plan-"
);
digest_id!(
    /// What a member is asked to do about one target of one finding, through all its renewals.
    LineageId, "lin-"
);
digest_id!(
    /// A mitigation of one plan for one member.
    MitigationId, "mit-"
);
digest_id!(
    /// A dispute of a finding.
    DisputeId, "dsp-"
);
digest_id!(
    /// A public key, by the digest of its bytes.
    KeyId, "key-"
);
digest_id!(
    /// An access token, by the digest of its secret; safe to show.
    TokenId, "tok-"
);
digest_id!(
    /// A join token, by the digest of its secret; safe to show.
    JoinTokenId, "join-"
);
digest_id!(
    /// An agent's certificate, by the digest of its DER.
    CertificateId, "crt-"
);

fn suffix(digest: &Digest) -> [u8; SUFFIX_CHARS] {
    let mut bits = [0u8; 8];
    bits.copy_from_slice(&digest.as_bytes()[..8]);
    let bits = u64::from_be_bytes(bits);
    std::array::from_fn(|i| ALPHABET[(bits >> (59 - 5 * i)) as usize & 31])
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $allowed:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The text of the identifier.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let valid: fn(&str) -> bool = $valid;
                match valid(text) {
                    true => Ok(Self(text.into())),
                    false => Err(ParseError::new(stringify!($name), text, $allowed)),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;

            fn try_from(text: String) -> Result<Self, ParseError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
    };
}

slug_id!(
    /// A member: a short name in lower case, chosen once (`telecom`, `cloud-eu`).
    MemberId, "1 to 32 of a-z 0-9 -, beginning with a letter", is_slug
);
impl MemberId {
    /// What stands for members that wish to stay unnamed; no member may be called so.
    pub const UNNAMED: &'static str = "a-member";

    /// "a member".
    pub fn unnamed() -> Self {
        Self(Self::UNNAMED.into())
    }

    /// Does it stand for members that wish to stay unnamed?
    pub fn is_unnamed(&self) -> bool {
        self.as_str() == Self::UNNAMED
    }
}

slug_id!(
    /// A sharing group inside the alliance.
    GroupId, "1 to 32 of a-z 0-9 -, beginning with a letter", is_slug
);
slug_id!(
    /// An enforcement point of one member (`rpz`, `nft-edge-1`).
    PointName, "1 to 32 of a-z 0-9 -, beginning with a letter", is_slug
);
slug_id!(
    /// An agent of a member, as its certificate names it (`agent`, `edge-1`).
    AgentName, "1 to 32 of a-z 0-9 -, beginning with a letter", is_slug
);
slug_id!(
    /// A person who approves for a member: `name@member`.
    PersonId, "`name@member`, each 1 to 32 of a-z 0-9 -", |text| {
        text.split_once('@').is_some_and(|(name, member)| is_slug(name) && is_slug(member))
    }
);

impl PersonId {
    /// The member for whom this person speaks.
    pub fn member(&self) -> MemberId {
        let (_, member) = self.0.split_once('@').unwrap_or(("", ""));
        MemberId(member.into())
    }
}

fn is_slug(text: &str) -> bool {
    let allowed = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-';
    let bytes = text.as_bytes();
    (1..=32).contains(&bytes.len()) && bytes[0].is_ascii_lowercase() && bytes.iter().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_round_trip_and_kinds_do_not_mix() {
        let id = FindingId::of(&Digest::of(&[b"x"]));
        assert_eq!(id.to_string().len(), 16);
        assert_eq!(id.to_string().parse::<FindingId>().unwrap(), id);
        assert!(id.to_string().parse::<PlanId>().is_err());
    }

    #[test]
    fn misread_letters_are_refused() {
        assert!("fin-oooooooooooo".parse::<FindingId>().is_err());
        assert!("fin-0".parse::<FindingId>().is_err());
    }

    #[test]
    fn slugs_are_lower_case_and_bounded() {
        assert!("telecom-1".parse::<MemberId>().is_ok());
        for bad in ["", "Telecom", "1st", "-a", "a b", "a_b", &"a".repeat(33)] {
            assert!(bad.parse::<MemberId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_person_belongs_to_one_member() {
        let person: PersonId = "ada@telecom".parse().unwrap();
        assert_eq!(person.member().as_str(), "telecom");
        assert!("ada".parse::<PersonId>().is_err());
        assert!("ada@telecom@cloud".parse::<PersonId>().is_err());
    }
}

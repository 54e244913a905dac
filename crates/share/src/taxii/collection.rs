//! API roots and collections: what they are called, and how their identifiers come about.

use crate::stix::id::{uuid_text, uuid5};
use crate::stix::ours::NAMESPACE;
use model::{GroupId, ParseError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How the path of a group's API root begins.
const GROUP_PREFIX: &str = "group-";

/// An API root: an audience with its collections (TAXII 2.1 §2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Root {
    /// Everybody, members or not: what is CLEAR.
    Public,
    /// Every member of the alliance.
    Alliance,
    /// The members of a sharing group.
    Group(GroupId),
}

impl Root {
    /// The sharing group that this is the root of.
    pub const fn group(&self) -> Option<&GroupId> {
        match self {
            Self::Group(group) => Some(group),
            Self::Public | Self::Alliance => None,
        }
    }
}

/// The part of its path.
impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Alliance => f.write_str("alliance"),
            Self::Group(group) => write!(f, "{GROUP_PREFIX}{group}"),
        }
    }
}

impl FromStr for Root {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        match text {
            "public" => Ok(Self::Public),
            "alliance" => Ok(Self::Alliance),
            other => match other.strip_prefix(GROUP_PREFIX).map(str::parse) {
                Some(Ok(group)) => Ok(Self::Group(group)),
                _ => Err(ParseError::new("API root", other, "public, alliance, or group- and a sharing group")),
            },
        }
    }
}

/// The identifier of a collection: a UUID (TAXII 2.1 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionId([u8; 16]);

impl CollectionId {
    /// The collection called `name` under a root of the alliance called `alliance`: the same on every hub and after
    /// every start.
    pub fn of(alliance: &str, root: &Root, name: &str) -> Self {
        let mut uuid = uuid5(&NAMESPACE, &format!("collection\n{alliance}\n{root}\n{name}"));
        // TAXII knows UUIDs of version 4 only (§2), and these bits are as good as random.
        uuid[6] = uuid[6] & 0x0f | 0x40;
        Self(uuid)
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&uuid_text(&self.0))
    }
}

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for CollectionId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        crate::stix::id::uuid(text).map(Self).ok_or_else(|| ParseError::new("collection", text, "a UUID"))
    }
}

impl TryFrom<String> for CollectionId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<CollectionId> for String {
    fn from(id: CollectionId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_collections_read_back() {
        for text in ["public", "alliance", "group-banks", "group-public"] {
            assert_eq!(text.parse::<Root>().unwrap().to_string(), text);
        }
        for bad in ["", "banks", "group-", "group-Banks", "public/"] {
            assert_eq!(bad.parse::<Root>().unwrap_err().field, "API root", "{bad}");
        }
        let id = CollectionId::of("test", &Root::Alliance, "sightings");
        assert_eq!(id.to_string().parse::<CollectionId>().unwrap(), id);
        assert_eq!(id.to_string().to_uppercase().parse::<CollectionId>().unwrap(), id);
        assert!("x".parse::<CollectionId>().is_err());
    }

    #[test]
    fn collections_of_other_alliances_roots_and_names_are_others() {
        let banks = Root::Group("banks".parse().unwrap());
        let ids = [
            CollectionId::of("test", &Root::Alliance, "sightings"),
            CollectionId::of("other", &Root::Alliance, "sightings"),
            CollectionId::of("test", &Root::Public, "sightings"),
            CollectionId::of("test", &banks, "sightings"),
            CollectionId::of("test", &Root::Alliance, "findings"),
        ];
        assert_eq!(ids.into_iter().collect::<std::collections::BTreeSet<_>>().len(), 5);
    }
}

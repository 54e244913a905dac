//! Collections that members open for others' tools to put objects into and to read: each in an audience that there is,
//! the alliance's or a sharing group's, under a name of its own.

use crate::entry::{Author, Event};
use crate::handle::{Drafted, internal};
use crate::objects::Shown;
use crate::state::Alliance;
use model::{GroupId, Handling, MemberId, ParseError, Refusal, Role, Rule, Timestamp, Tlp};
use serde::{Deserialize, Serialize};
use share::taxii::{CollectionId, Root};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most collections that a member opens, those that it closed among them: their names stay taken.
pub const COLLECTIONS_MAX: usize = 64;
/// Longest title, in characters.
pub const TITLE_CHARS_MAX: usize = 100;
/// Longest description, in characters.
pub const DESCRIPTION_CHARS_MAX: usize = 1_000;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 40;
/// What every API root has, or may have.
const RESERVED: [&str; 4] = ["findings", "plans", "sightings", "shares"];

/// The name of a collection: its alias (TAXII 2.1 §5.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CollectionName(String);

impl CollectionName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CollectionName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let word = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let begins = text.bytes().next().is_some_and(|c| c.is_ascii_lowercase());
        let well_formed = begins && text.len() <= NAME_CHARS_MAX && text.bytes().all(word) && !text.ends_with('-');
        match well_formed && !RESERVED.contains(&text) {
            true => Ok(Self(text.to_owned())),
            false => {
                let allowed = "up to 40 of a-z, 0-9 and -, a letter first; not findings, plans, sightings, shares";
                Err(ParseError::new("collection name", text, allowed))
            }
        }
    }
}

impl TryFrom<String> for CollectionName {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<CollectionName> for String {
    fn from(name: CollectionName) -> Self {
        name.0
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Who puts objects into a collection; everybody in its audience reads it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writers {
    /// The member that opened it.
    #[default]
    Own,
    /// Every reporter of its audience.
    All,
}

impl Writers {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Own, Self::All];

    /// The choice as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::All => "all",
        }
    }
}

impl FromStr for Writers {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|writers| writers.as_str() == text);
        found.ok_or_else(|| ParseError::new("writers", text, "own, all"))
    }
}

/// A wish for a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCollection {
    /// Its name.
    pub name: CollectionName,
    /// Its title, as people read it; 1 to [`TITLE_CHARS_MAX`] characters.
    pub title: String,
    /// What it is for; at most [`DESCRIPTION_CHARS_MAX`] characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For whom: a sharing group; all members where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Who puts objects into it.
    #[serde(default)]
    pub writers: Writers,
}

impl NewCollection {
    /// Under which API root it stands.
    pub fn root(&self) -> Root {
        self.group.clone().map_or(Root::Alliance, Root::Group)
    }

    /// Who may know of it.
    pub fn handling(&self) -> Handling {
        match &self.group {
            Some(group) => Handling::new(Tlp::Amber, Some(group.clone())),
            None => internal(),
        }
    }

    fn check(&self) -> Result<(), Refusal> {
        let title = self.title.trim().chars().count();
        if !(1..=TITLE_CHARS_MAX).contains(&title) || self.title.chars().any(char::is_control) {
            let limit = format!("1 to {TITLE_CHARS_MAX} characters on one line");
            return Err(Refusal::new(Rule::Malformed, format_args!("title: {}", self.title), limit));
        }
        match self.description.chars().count() <= DESCRIPTION_CHARS_MAX {
            true => Ok(()),
            false => {
                let limit = format!("a description of at most {DESCRIPTION_CHARS_MAX} characters");
                Err(Refusal::new(Rule::TooLarge, format_args!("{} bytes", self.description.len()), limit))
            }
        }
    }
}

/// A collection that a member opened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectionRecord {
    /// Its identifier: it follows from the alliance, the audience and the name.
    pub id: CollectionId,
    /// Who opened it.
    pub member: MemberId,
    /// What was shown.
    pub by: Shown,
    /// When.
    pub opened: Timestamp,
    /// As it was wished for.
    pub wish: NewCollection,
    /// Since when nothing may be put into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Timestamp>,
}

impl CollectionRecord {
    /// May the member put objects into it?
    ///
    /// # Errors
    /// `collection_own`: it is closed, or another member's own.
    pub fn require_writer(&self, member: &MemberId) -> Result<(), Refusal> {
        let (name, owner) = (&self.wish.name, &self.member);
        match (self.closed, self.wish.writers) {
            (Some(closed), _) => {
                Err(Refusal::new(Rule::CollectionOwn, format_args!("{name}, closed {closed}"), "one that is open"))
            }
            (None, Writers::Own) if owner != member => {
                Err(Refusal::new(Rule::CollectionOwn, name, format_args!("objects of {owner}, who opened it")))
            }
            _ => Ok(()),
        }
    }
}

/// A member closed a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Closing {
    /// Which.
    pub collection: CollectionId,
    /// Who closes it.
    pub member: MemberId,
    /// What was shown.
    pub by: Shown,
}

impl Alliance {
    /// Collections that members opened, of all audiences, by their identifiers.
    pub const fn collections(&self) -> &BTreeMap<CollectionId, Arc<CollectionRecord>> {
        &self.ledger.collections
    }

    pub(crate) fn open_collection(
        &self,
        member: MemberId,
        by: Shown,
        wish: NewCollection,
        now: Timestamp,
    ) -> Result<Vec<Drafted>, Refusal> {
        let charter = &self.in_force()?.charter;
        charter.member(&member)?.require(Role::Reporter)?;
        wish.check()?;
        if let Some(group) = &wish.group
            && !charter.group(group).is_some_and(|group| group.members.contains(&member))
        {
            return Err(Refusal::new(Rule::UnknownGroup, group, format_args!("a group that holds {member}")));
        }
        let id = CollectionId::of(&charter.alliance.name, &wish.root(), wish.name.as_str());
        if let Some(taken) = self.ledger.collections.get(&id) {
            let limit = format!("a name that is not taken; this one is {}'s since {}", taken.member, taken.opened);
            return Err(Refusal::new(Rule::CollectionName, &wish.name, limit));
        }
        let own = self.ledger.collections.values().filter(|record| record.member == member).count();
        if own >= COLLECTIONS_MAX {
            let limit = format!("{COLLECTIONS_MAX} collections a member, those that are closed among them");
            return Err(Refusal::new(Rule::TooLarge, own + 1, limit));
        }
        let handling = wish.handling();
        let record = CollectionRecord { id, member: member.clone(), by, opened: now, wish, closed: None };
        Ok(vec![Drafted::by(Author::Member(member), handling, Event::CollectionOpened(Box::new(record)))])
    }

    pub(crate) fn close_collection(&self, closing: Closing) -> Result<Vec<Drafted>, Refusal> {
        self.in_force()?.charter.member(&closing.member)?;
        let none = || Refusal::new(Rule::CollectionOwn, closing.collection, "a collection that this member opened");
        let record = self.ledger.collections.get(&closing.collection);
        let record = record.filter(|record| record.member == closing.member).ok_or_else(none)?;
        record.require_writer(&closing.member)?;
        let (author, handling) = (Author::Member(closing.member.clone()), record.wish.handling());
        Ok(vec![Drafted::by(author, handling, Event::CollectionClosed(Box::new(closing)))])
    }

    /// What is put into a collection that a member opened is put there by whom it is open to.
    pub(crate) fn require_open(&self, collection: CollectionId, member: &MemberId) -> Result<(), Refusal> {
        self.ledger.collections.get(&collection).map_or(Ok(()), |record| record.require_writer(member))
    }

    pub(crate) fn take_collection(&mut self, record: &CollectionRecord) {
        self.ledger.collections.insert(record.id, Arc::new(record.clone()));
    }

    pub(crate) fn take_closing(&mut self, closing: &Closing, now: Timestamp) {
        if let Some(record) = self.ledger.collections.get_mut(&closing.collection) {
            Arc::make_mut(record).closed.get_or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_words_that_no_root_has_already() {
        for good in ["phish", "fresh-hashes-2", "a"] {
            assert_eq!(good.parse::<CollectionName>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "a-", "2a", "Phish", "a b", "findings", "plans", "shares", "sightings", &"a".repeat(41)] {
            assert_eq!(bad.parse::<CollectionName>().unwrap_err().field, "collection name", "{bad}");
        }
    }
}

//! What the alliance alone writes: the objects of its findings and plans, its own identity and those of its members.
//! Members bring other objects, under their own name or under that of somebody who is no part of the alliance.

use charter::Charter;
use model::{MemberId, ParseError};
use share::stix::{Head, back, id, ours};
use std::collections::BTreeMap;

/// Identities of the alliance: whose each is, by the bytes of its identifier, since its text may come in either case.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    tag: [u8; 4],
    /// None: the alliance itself.
    whose: BTreeMap<[u8; 16], Option<MemberId>>,
}

impl Identities {
    /// Those of the alliance and of all members of a charter.
    pub(crate) fn of(charter: &Charter) -> Self {
        let alliance = &charter.alliance.name;
        let members = charter.members.iter().map(|member| {
            let id = &member.id;
            (ours::member_id(alliance, id), Some(id.clone()))
        });
        let all = members.chain([(ours::alliance_id(alliance), None)]);
        let whose = all.filter_map(|(id, whose)| Some((uuid(&id)?, whose))).collect();
        Self { tag: back::tag(alliance), whose }
    }

    /// Is this an identifier that only the alliance gives? Those of its plans are made as those of its findings are.
    pub(super) fn reserves(&self, id: &str) -> bool {
        back::finding_marked(self.tag, id).is_some() || uuid(id).is_some_and(|uuid| self.whose.contains_key(&uuid))
    }

    /// An object that `caller` brings is in nobody's name of the alliance but its own. Those that the alliance alone
    /// writes are in its name, of course: that they are not kept is said elsewhere.
    ///
    /// # Errors
    /// It names the alliance, or another member, as its author.
    pub(super) fn admit(&self, head: &Head<'_>, caller: Option<&MemberId>) -> Result<(), ParseError> {
        let Some(author) = head.created_by.as_deref().filter(|_| !self.reserves(&head.id)) else { return Ok(()) };
        let other = match uuid(author).and_then(|uuid| self.whose.get(&uuid)) {
            None => return Ok(()),
            Some(whose) if whose.is_some() && whose.as_ref() == caller => return Ok(()),
            Some(Some(_)) => "that of another member",
            Some(None) => "that of the alliance",
        };
        let limit = format!("this member's own identity, or one from outside the alliance; this is {other}");
        Err(ParseError::new("created_by_ref", author, limit))
    }
}

/// Why an object under such an identifier is refused, where it says nothing that could be heard.
pub(super) fn refused(id: &str) -> ParseError {
    let limit = "identifiers of its sender's; objects of findings and plans, and the identities of the alliance and \
                 its members, the alliance alone writes";
    ParseError::new("id", id, limit)
}

fn uuid(id: &str) -> Option<[u8; 16]> {
    id::uuid(id::split("id", id).ok()?.1)
}

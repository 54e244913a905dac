//! The charter: who belongs to the alliance, and under which rules; one TOML file.

use crate::rules::{Corroboration, HandlingDefaults, Limits, Membership, Quorum, Relevance, Witnessing};
use model::{
    Capability, Digest, Domain, GroupId, KeyId, MemberId, MemberKind, PersonId, Prefix, PublicKey, Refusal, Role, Rule,
    Segment, Standing, Timestamp, Tlp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Longest charter that is read, in bytes.
pub const CHARTER_BYTES_MAX: usize = 16 << 20;

/// The charter in force: members and rules. Immutable; a change is the next version, signed by a quorum.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Charter {
    /// `[alliance]`.
    pub alliance: Alliance,
    /// `[corroboration]`.
    #[serde(default)]
    pub corroboration: Corroboration,
    /// `[relevance]`.
    #[serde(default)]
    pub relevance: Relevance,
    /// `[guards]`.
    #[serde(default)]
    pub guards: GuardRules,
    /// `[quorum]`.
    #[serde(default)]
    pub quorum: Quorum,
    /// `[membership]`.
    #[serde(default)]
    pub membership: Membership,
    /// `[witness]`.
    #[serde(default)]
    pub witness: Witnessing,
    /// `[limits]`.
    #[serde(default)]
    pub limits: Limits,
    /// `[handling]`.
    #[serde(default)]
    pub handling: HandlingDefaults,
    /// `[[group]]`.
    #[serde(default, rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// `[[member]]`.
    #[serde(default, rename = "member")]
    pub members: Vec<Member>,
    /// Keys that were revoked, under this charter or one before: entries say so, never the text ([`crate::KeyBook`]).
    #[serde(skip)]
    pub revoked: BTreeSet<KeyId>,
}

/// `[alliance]`: which one, and which version of its rules.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alliance {
    /// The alliance's name; it goes into every plan and checkpoint. 1 to 64 of a-z 0-9 - and dots.
    pub name: String,
    /// 1 for the first charter; each next is one higher.
    pub version: u64,
    /// Digest of the charter before, from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// When it was written.
    pub made: Timestamp,
    /// The key with which the hub signs checkpoints.
    pub hub_key: PublicKey,
}

/// `[guards]`: what is never blocked by machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuardRules {
    /// Addresses, prefixes and names that are never blocked: the alliance's own list.
    pub never: Vec<String>,
    /// Larger lists in files beside the charter, bound to it by their digests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<GuardFile>,
}

/// `[[guards.list]]`: one file of guarded addresses or names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardFile {
    /// File name, without folders.
    pub file: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
}

/// `[[group]]`: some members who share among themselves. Without members it means nobody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The group's name.
    pub id: GroupId,
    /// Who is in it.
    pub members: BTreeSet<MemberId>,
}

/// `[[member]]`: one company.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Short name, for ever.
    pub id: MemberId,
    /// The company's name as people write it.
    pub name: String,
    /// How far it belongs.
    pub kind: MemberKind,
    /// How far its word is trusted.
    pub standing: Standing,
    /// Which parts of the ecosystem it belongs to.
    pub segments: BTreeSet<Segment>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// What it can do for others.
    #[serde(default)]
    pub capabilities: BTreeSet<Capability>,
    /// The key with which its agent cosigns checkpoints; absent: it does not. Used for nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<PublicKey>,
    /// Its agent's signing keys.
    pub keys: Vec<MemberKey>,
    /// Persons who approve and dispute for it.
    #[serde(default, rename = "person", skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<Person>,
    /// What it has proven to be its own.
    #[serde(default)]
    pub assets: Assets,
}

/// A signing key and when it is live.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberKey {
    /// The public key.
    pub public: PublicKey,
    /// Live from then on.
    pub from: Timestamp,
    /// Live before then; absent: until the next charter says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl MemberKey {
    /// Is the key live at `at`?
    pub fn is_live(&self, at: Timestamp) -> bool {
        self.from <= at && self.until.is_none_or(|until| at < until)
    }
}

/// `[[member.person]]`: somebody who approves and disputes with keys of their own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// `name@member`.
    pub id: PersonId,
    /// The person's keys, never the agent's.
    pub keys: Vec<MemberKey>,
}

/// `[member.assets]`: what a member has proven to be its own.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assets {
    /// Networks.
    pub prefixes: BTreeSet<Prefix>,
    /// Names, each with everything below it.
    pub domains: BTreeSet<Domain>,
    /// Autonomous systems.
    pub asns: BTreeSet<u32>,
}

impl Charter {
    /// Reads and checks a charter.
    ///
    /// # Errors
    /// `malformed` with line and key, or the rule that the charter itself breaks.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.len() > CHARTER_BYTES_MAX {
            return Err(Refusal::new(Rule::TooLarge, text.len(), format!("at most {CHARTER_BYTES_MAX} bytes")));
        }
        let charter: Self = toml::from_str(text).map_err(|e| toml_refusal(&e, text))?;
        crate::check::check(&charter)?;
        Ok(charter)
    }

    /// The charter as TOML, which reads back as this very charter; what was revoked stands in no text.
    ///
    /// # Errors
    /// What [`Charter::parse`] refuses, so that nothing is handed out that nobody could adopt.
    pub fn to_text(&self) -> Result<String, Refusal> {
        let text = toml::to_string(self).map_err(|e| Refusal::new(Rule::Malformed, e, "a charter"))?;
        Self::parse(&text)?;
        Ok(text)
    }

    /// The digest by which a charter is signed, pinned and followed: of the file's bytes.
    pub fn digest_of(text: &str) -> Digest {
        Digest::of(&[b"epimachia/charter-text/v1\n", text.as_bytes()])
    }

    /// A member by its name.
    ///
    /// # Errors
    /// `unknown_member`.
    pub fn member(&self, id: &MemberId) -> Result<&Member, Refusal> {
        let found = self.members.iter().find(|m| m.id == *id);
        found.ok_or_else(|| Refusal::new(Rule::UnknownMember, id, "a member of the charter in force"))
    }

    /// The public key of a member's agent that was live at `at`.
    ///
    /// # Errors
    /// `unknown_member`, `unknown_key`, `key_revoked`.
    pub fn member_key(&self, id: &MemberId, key: &KeyId, at: Timestamp) -> Result<PublicKey, Refusal> {
        let member = self.member(id)?;
        self.require_not_revoked(key)?;
        live_key(&member.keys, key, at, id.as_str())
    }

    /// The public key of a person that was live at `at`.
    ///
    /// # Errors
    /// `unknown_member`, `unknown_key`, `key_revoked`.
    pub fn person_key(&self, id: &PersonId, key: &KeyId, at: Timestamp) -> Result<PublicKey, Refusal> {
        let member = self.member(&id.member())?;
        self.require_not_revoked(key)?;
        let person = member.persons.iter().find(|p| p.id == *id);
        let person = person.ok_or_else(|| Refusal::new(Rule::UnknownKey, id, "a person of the charter in force"))?;
        live_key(&person.keys, key, at, id.as_str())
    }

    fn require_not_revoked(&self, key: &KeyId) -> Result<(), Refusal> {
        match self.is_revoked(key) {
            false => Ok(()),
            true => Err(Refusal::new(Rule::KeyRevoked, key, "a key that was never revoked")),
        }
    }

    /// Every public key that is named: of agents, of persons, of witnesses.
    pub fn all_keys(&self) -> impl Iterator<Item = PublicKey> {
        let agents = self.members.iter().flat_map(|m| &m.keys);
        let persons = self.members.iter().flat_map(|m| m.persons.iter().flat_map(|p| &p.keys));
        let witnesses = self.members.iter().filter_map(|m| m.witness);
        agents.chain(persons).map(|key| key.public).chain(witnesses)
    }

    /// The members of a group; an unknown group has none.
    pub fn group(&self, id: &GroupId) -> Option<&Group> {
        self.groups.iter().find(|g| g.id == *id)
    }

    /// Members whose agents cosign checkpoints, each with the key for it; suspended ones are not heard.
    pub fn witnesses(&self) -> impl Iterator<Item = (&MemberId, &PublicKey)> {
        let heard = self.members.iter().filter(|m| m.standing != Standing::Suspended);
        heard.filter_map(|m| Some((&m.id, m.witness.as_ref()?)))
    }

    /// How many full members must sign the next charter: never less than their majority, suspended ones included.
    pub fn signers_needed(&self) -> usize {
        let full = self.members.iter().filter(|m| m.kind == MemberKind::Full).count();
        (full / 2 + 1).max(self.quorum.charter as usize).max(2)
    }

    /// May this member look after credentials? Where nobody who is heard has the role, everybody may: a charter that
    /// forgot it, or whose only admin is suspended, locks nobody out.
    ///
    /// # Errors
    /// `unknown_member`, `member_suspended`, `role_missing`.
    pub fn require_admin(&self, id: &MemberId) -> Result<(), Refusal> {
        match self.members.iter().any(|member| member.require(Role::Admin).is_ok()) {
            true => self.member(id)?.require(Role::Admin),
            false => Ok(()),
        }
    }

    /// Members who may act and vote: full ones that are not suspended.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.kind == MemberKind::Full && m.standing != Standing::Suspended)
    }
}

impl Member {
    /// Has this member the role?
    ///
    /// # Errors
    /// `role_missing`; `member_suspended` first of all.
    pub fn require(&self, role: Role) -> Result<(), Refusal> {
        if self.standing == Standing::Suspended {
            return Err(Refusal::new(Rule::MemberSuspended, &self.id, "a member in good standing"));
        }
        match self.roles.contains(&role) {
            true => Ok(()),
            false => Err(Refusal::new(Rule::RoleMissing, &self.id, format!("role {role} in the charter"))),
        }
    }

    /// Does it read what is marked like this? Observers read what a community may know, and no more.
    pub fn reads(&self, tlp: Tlp) -> bool {
        tlp <= Tlp::Green || !self.roles.contains(&Role::Observer)
    }

    /// Has this member one of these roles?
    ///
    /// # Errors
    /// As [`Member::require`].
    pub fn require_any(&self, roles: &[Role]) -> Result<(), Refusal> {
        match roles.iter().find(|role| self.roles.contains(role)) {
            Some(role) => self.require(*role),
            None => self.require(*roles.first().unwrap_or(&Role::Admin)),
        }
    }
}

fn live_key(keys: &[MemberKey], id: &KeyId, at: Timestamp, owner: &str) -> Result<PublicKey, Refusal> {
    let found = keys.iter().find(|k| k.public.id() == *id && k.is_live(at));
    let refused = || Refusal::new(Rule::UnknownKey, id, format!("a key of {owner} that was live at {at}"));
    found.map(|k| k.public).ok_or_else(refused)
}

/// toml's error as a refusal: line, column and what is allowed, without repeating the file.
fn toml_refusal(error: &toml::de::Error, text: &str) -> Refusal {
    let offset = error.span().map_or(0, |s| s.start.min(text.len()));
    let line = text.as_bytes()[..offset].iter().filter(|b| **b == b'\n').count() + 1;
    Refusal::new(Rule::Malformed, format_args!("line {line}"), error.message())
}

#[cfg(test)]
#[path = "charter_tests.rs"]
mod tests;

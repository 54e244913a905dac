//! What findings refer to: the alliance, its members, markings, our extension. Each is introduced once to each
//! audience, before the first finding that refers to it: whoever follows a collection meets no name without its object.

use super::subjects::beginning;
use crate::stix::{marking, ours};
use model::{GroupId, Handling, MemberId, Timestamp, Tlp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// An object that is new to an audience.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Introduction {
    /// Its number among all objects of this kind.
    pub number: u32,
    /// Who sees it.
    pub handling: Handling,
    /// The beginning of its identifier.
    pub bits: u64,
    /// Its version.
    pub made: Timestamp,
}

/// All that was introduced: a few objects for each member and sharing group.
#[derive(Clone, Debug, Default)]
pub(super) struct Introduced {
    alliance: String,
    objects: Vec<Value>,
    numbers: BTreeMap<String, u32>,
    /// Findings of a sharing group are seen by it alone, all others in one place.
    audiences: BTreeMap<Option<GroupId>, Audience>,
}

/// What an audience knows.
#[derive(Clone, Debug, Default)]
struct Audience {
    /// Up to which marking each was named.
    members: BTreeMap<MemberId, Tlp>,
    handlings: BTreeSet<Handling>,
    /// Objects in their versions.
    told: BTreeSet<String>,
}

impl Introduced {
    pub fn new(alliance: &str) -> Self {
        Self { alliance: alliance.to_owned(), ..Self::default() }
    }

    pub fn object(&self, number: u32) -> Option<&Value> {
        self.objects.get(number as usize)
    }

    /// What a subject of this handling, with these members, is the first to refer to, for those who see it. Nothing,
    /// nearly always.
    pub fn by<'m>(&mut self, handling: &Handling, members: impl Iterator<Item = &'m MemberId>) -> Vec<Introduction> {
        let audience = self.audiences.entry(handling.group.clone()).or_default();
        // Who reads no more than GREEN is not told by a name that there is something beyond.
        let level = if handling.tlp <= Tlp::Green { Tlp::Green } else { Tlp::Amber };
        let is_new = |member: &&MemberId| audience.members.get(*member).is_none_or(|told| level < *told);
        let members: Vec<MemberId> = members.filter(is_new).cloned().collect();
        let mut news = Vec::new();
        if audience.told.is_empty() {
            // What says who is who is marked itself.
            news.extend(word(&self.alliance, Tlp::Clear));
            news.push((Tlp::Clear, ours::alliance(&self.alliance)));
            news.extend(ours::extension().map(|object| (Tlp::Clear, object)));
        }
        if audience.handlings.insert(handling.clone()) {
            // That AMBER is a word is seen where AMBER is; the other markings say nothing but what they mean.
            news.extend(word(&self.alliance, handling.tlp));
            news.extend(marking::definitions(&self.alliance, handling).into_iter().map(|object| (Tlp::Clear, object)));
        }
        // Members are named to members only.
        if !members.is_empty() {
            news.extend(word(&self.alliance, level));
        }
        news.extend(members.iter().map(|member| (level, ours::member(&self.alliance, member, level))));
        audience.members.extend(members.into_iter().map(|member| (member, level)));
        news.into_iter().filter_map(|(tlp, object)| self.introduce(tlp, &handling.group, object)).collect()
    }

    fn introduce(&mut self, tlp: Tlp, group: &Option<GroupId>, object: Value) -> Option<Introduction> {
        let version = object["modified"].as_str().or(object["created"].as_str())?;
        let (bits, made) = (beginning(object["id"].as_str()?)?, version.parse().ok()?);
        let id = format!("{} {version}", object["id"].as_str()?);
        if !self.audiences.get_mut(group)?.told.insert(id.clone()) {
            return None;
        }
        let next = u32::try_from(self.objects.len()).ok()?;
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.objects.push(object);
        }
        Some(Introduction { number, handling: Handling::new(tlp, group.clone()), bits, made })
    }
}

/// What a marking means, for those who may read what has it.
fn word(alliance: &str, tlp: Tlp) -> impl Iterator<Item = (Tlp, Value)> + use<> {
    marking::definitions(alliance, &Handling::alliance(tlp)).into_iter().map(move |object| (tlp, object))
}

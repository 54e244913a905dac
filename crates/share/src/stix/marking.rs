//! Markings: TLP 2.0, TLP 1, sharing groups. What does not resolve is treated as RED, and refused.

use super::fault;
use super::head::{Head, Text};
use super::id::{kind_of, named};
use super::kind::Kind;
use super::ours::{self, NAMESPACE};
use crate::handling::{iep_words, of_iep_words};
use model::{Actions, GroupId, Handling, ParseError, Tlp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The extension that TLP 2.0 markings have in place of a `definition_type` (OASIS CTI TC, STIX common objects).
pub const TLP2_EXTENSION: &str = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";

/// TLP 2.0: the marking, its identifier, its name.
const TLP2: [(Tlp, &str, &str); 5] = [
    (Tlp::Clear, "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", "TLP:CLEAR"),
    (Tlp::Green, "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", "TLP:GREEN"),
    (Tlp::Amber, "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", "TLP:AMBER"),
    (Tlp::AmberStrict, "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", "TLP:AMBER+STRICT"),
    (Tlp::Red, "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", "TLP:RED"),
];

/// TLP 1 as STIX 2.0 and 2.1 define it (STIX 2.1 §7.2.1.4); WHITE is CLEAR now.
const TLP1: [(Tlp, &str); 4] = [
    (Tlp::Clear, "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9"),
    (Tlp::Green, "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da"),
    (Tlp::Amber, "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82"),
    (Tlp::Red, "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"),
];

/// What is known of markings: the document's own definitions, and the alliance's groups. A copy costs next to nothing.
#[derive(Clone, Debug, Default)]
pub struct Markings {
    /// What nobody can define otherwise.
    given: Arc<BTreeMap<String, Meaning>>,
    learned: BTreeMap<String, Meaning>,
}

/// What a marking means here.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Meaning {
    Tlp(Tlp),
    Group(GroupId),
    /// An information exchange policy (FIRST IEP 2.0): what recipients may do, whether the sender is named.
    Policy(Policy),
    /// A copyright or terms of use: kept with the object, no rule of ours.
    Statement,
}

/// What a policy says; what it does not say is as it would be without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Policy {
    actions: Option<Actions>,
    unnamed: bool,
    tlp: Option<Tlp>,
}

/// The policies that this program writes, one wish each.
fn policies() -> impl Iterator<Item = Policy> {
    let narrower = Actions::ALL.iter().copied().filter(|actions| *actions != Actions::Direct);
    let actions = narrower.map(|actions| Policy { actions: Some(actions), ..Policy::default() });
    actions.chain([Policy { unnamed: true, ..Policy::default() }])
}

impl Policy {
    /// As its definition says it.
    fn text(self) -> String {
        match self.actions {
            Some(actions) => format!("permitted_actions: {}", iep_words(actions)),
            None => "provider_attribution: must not".to_owned(),
        }
    }

    fn id(self) -> String {
        named(Kind::MarkingDefinition, &NAMESPACE, &format!("iep\n{}", self.text()))
    }

    fn definition(self) -> Value {
        json!({
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": self.id(),
            "created": ours::SINCE,
            "definition_type": "statement",
            "definition": { "statement": format!("FIRST IEP 2.0 {}", self.text()) },
        })
    }
}

/// The policies that say what a handling says beyond marking and group.
fn policies_of(handling: &Handling) -> impl Iterator<Item = Policy> {
    let Handling { actions, unnamed, .. } = *handling;
    policies().filter(move |policy| match policy.actions {
        Some(permitted) => permitted == actions,
        None => unnamed,
    })
}

impl Markings {
    /// The markings of the standards, and the groups of the alliance called `alliance`.
    pub fn new<'g>(alliance: &str, groups: impl IntoIterator<Item = &'g GroupId>) -> Self {
        let two = TLP2.into_iter().map(|(tlp, id, _)| (id.to_owned(), Meaning::Tlp(tlp)));
        let one = TLP1.into_iter().map(|(tlp, id)| (id.to_owned(), Meaning::Tlp(tlp)));
        let groups = groups.into_iter().map(|group| (group_id(alliance, group), Meaning::Group(group.clone())));
        let policies = policies().map(|policy| (policy.id(), Meaning::Policy(policy)));
        Self { given: Arc::new(two.chain(one).chain(groups).chain(policies).collect()), learned: BTreeMap::new() }
    }

    /// Is it known what this marking means?
    pub fn knows(&self, id: &str) -> bool {
        self.meaning(id).is_some()
    }

    /// How many definitions were learned.
    pub fn learned(&self) -> usize {
        self.learned.len()
    }

    /// The markings of an object, those of its parts included, of which it is not known what they mean.
    pub fn unknown(&self, head: &Head<'_>) -> Vec<String> {
        // Parts that cannot be read are refused by whoever asks how the object is to be handled.
        let parts = if head.granular { granular(head).unwrap_or_default() } else { Vec::new() };
        let all = head.markings.iter().chain(&parts).filter(|id| kind_of(id) == Some(Kind::MarkingDefinition));
        all.filter(|id| !self.knows(id)).map(|id| id.to_string()).collect()
    }

    fn meaning(&self, id: &str) -> Option<&Meaning> {
        self.given.get(id).or_else(|| self.learned.get(id))
    }

    /// Learns a definition that came with the objects. What the standards and the alliance define cannot be redefined.
    ///
    /// # Errors
    /// Names the field of a definition that is none.
    pub fn learn(&mut self, head: &Head<'_>) -> Result<(), ParseError> {
        let definition: Definition<'_> = fault::read("", head.raw.get())?;
        if let Some(meaning) = definition.meaning()? {
            self.learned.entry(head.id.clone().into_owned()).or_insert(meaning);
        }
        Ok(())
    }

    /// How an object is to be handled: the strictest of its markings, those of its parts included; `default` where
    /// it has
    /// none that says.
    ///
    /// # Errors
    /// A marking that does not resolve (it could be RED); two groups, which have no common audience.
    pub fn of(&self, head: &Head<'_>, default: &Handling) -> Result<Handling, ParseError> {
        let parts = if head.granular { granular(head)? } else { Vec::new() };
        let (mut tlp, mut group) = (None, None);
        let (mut unnamed, mut actions) = (default.unnamed, default.actions);
        for id in head.markings.iter().map(|text| &**text).chain(parts.iter().map(|text| &**text)) {
            match self.meaning(id) {
                Some(Meaning::Tlp(found)) => tlp = tlp.max(Some(*found)),
                Some(Meaning::Group(found)) if group.as_ref().is_some_and(|group| group != found) => {
                    return Err(ParseError::new("object_marking_refs", id, "markings of one sharing group"));
                }
                Some(Meaning::Group(found)) => group = Some(found.clone()),
                Some(Meaning::Policy(policy)) => {
                    tlp = tlp.max(policy.tlp);
                    unnamed |= policy.unnamed;
                    actions = actions.min(policy.actions.unwrap_or(Actions::Direct));
                }
                Some(Meaning::Statement) => {}
                None => {
                    return Err(ParseError::new("object_marking_refs", id, "a marking that is known or comes along"));
                }
            }
        }
        let group = group.or_else(|| default.group.clone());
        Ok(Handling { tlp: tlp.unwrap_or(default.tlp), group, unnamed, actions })
    }
}

#[derive(Deserialize)]
struct Definition<'a> {
    #[serde(borrow, default)]
    definition_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    definition: BTreeMap<Cow<'a, str>, Value>,
    #[serde(default)]
    extensions: BTreeMap<String, Value>,
}

impl Definition<'_> {
    /// `None`: a kind of marking that we do not know, which is therefore no known marking.
    fn meaning(&self) -> Result<Option<Meaning>, ParseError> {
        if let Some(two) = self.extensions.get(TLP2_EXTENSION) {
            let word = two.get("tlp_2_0").and_then(Value::as_str).unwrap_or("");
            return word.to_ascii_lowercase().parse().map(|tlp| Some(Meaning::Tlp(tlp)));
        }
        match self.definition_type.as_deref() {
            Some("tlp") => match self.definition.get("tlp").and_then(Value::as_str) {
                Some("white") => Ok(Some(Meaning::Tlp(Tlp::Clear))),
                Some("amber+strict") | None => {
                    Err(ParseError::new("definition.tlp", "nothing", "white green amber red"))
                }
                Some(word) => word.parse().map(|tlp| Some(Meaning::Tlp(tlp))),
            },
            Some("iep") => self.policy(),
            Some("statement") => Ok(Some(Meaning::Statement)),
            _ => Ok(None),
        }
    }

    /// Of FIRST's policy what we act upon. One that says nothing of it is no policy that we know.
    fn policy(&self) -> Result<Option<Meaning>, ParseError> {
        let of = |name: &str| self.definition.get(name).and_then(Value::as_str);
        let (actions, attribution) = (of("permitted_actions"), of("provider_attribution"));
        if actions.is_none() && attribution.is_none() {
            return Ok(None);
        }
        let unknown = |text: &str| ParseError::new("definition.permitted_actions", text, "the words of FIRST IEP 2.0");
        let actions = actions.map(|text| of_iep_words(text).ok_or_else(|| unknown(text))).transpose()?;
        let plain = attribution.map(|text| text.replace(['-', '_'], " ").to_ascii_lowercase());
        let unnamed = match plain.as_deref() {
            None | Some("may" | "must") => false,
            Some("must not") => true,
            Some(other) => {
                return Err(ParseError::new("definition.provider_attribution", other, "may, must, must not"));
            }
        };
        let tlp = of("tlp").map(|word| word.trim_start_matches("TLP:").to_ascii_lowercase().parse()).transpose()?;
        Ok(Some(Meaning::Policy(Policy { actions, unnamed, tlp })))
    }
}

#[derive(Deserialize)]
struct Granular<'a> {
    #[serde(borrow)]
    granular_markings: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    marking_ref: Option<Text<'a>>,
}

fn granular<'a>(head: &Head<'a>) -> Result<Vec<Text<'a>>, ParseError> {
    let granular: Granular<'a> = fault::read("", head.raw.get())?;
    Ok(granular.granular_markings.into_iter().filter_map(|part| part.marking_ref).collect())
}

/// The identifiers with which an object of this handling is marked.
pub fn references(alliance: &str, handling: &Handling) -> Vec<String> {
    let tlp = TLP2.into_iter().filter(|(tlp, ..)| *tlp == handling.tlp).map(|(_, id, _)| id.to_owned());
    let group = handling.group.iter().map(|group| group_id(alliance, group));
    tlp.chain(group).chain(policies_of(handling).map(Policy::id)).collect()
}

/// The definitions to which [`references`] lead.
pub fn definitions(alliance: &str, handling: &Handling) -> Vec<Value> {
    let tlp = TLP2.into_iter().filter(|(tlp, ..)| *tlp == handling.tlp).map(|(_, id, name)| tlp_definition(id, name));
    let group = handling.group.iter().map(|group| group_definition(alliance, group));
    tlp.chain(group).chain(policies_of(handling).map(Policy::definition)).collect()
}

/// As FIRST and OASIS publish them.
fn tlp_definition(id: &str, name: &str) -> Value {
    let word = name.strip_prefix("TLP:").unwrap_or(name).to_ascii_lowercase();
    json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": id,
        "created": "2022-10-01T00:00:00.000Z",
        "name": name,
        "extensions": { TLP2_EXTENSION: { "extension_type": "property-extension", "tlp_2_0": word } },
    })
}

fn group_definition(alliance: &str, group: &GroupId) -> Value {
    json!({
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": group_id(alliance, group),
        "created": ours::SINCE,
        "definition_type": "statement",
        "definition": { "statement": format!("Only for the sharing group {group} of the alliance {alliance}") },
    })
}

fn group_id(alliance: &str, group: &GroupId) -> String {
    named(Kind::MarkingDefinition, &NAMESPACE, &format!("group\n{alliance}\n{group}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    fn handled(markings: &Markings, refs: &[&str], extra: &str) -> Result<Handling, ParseError> {
        let json = format!(
            r#"{{"type":"url","id":"url--c1477287-23ac-5971-a010-5c287877fa60","object_marking_refs":{refs:?}{extra}}}"#
        );
        let raw: &RawValue = serde_json::from_str(&json).unwrap();
        markings.of(&Head::read(raw).unwrap(), &Handling::alliance(Tlp::Amber))
    }

    #[test]
    fn both_traffic_light_protocols_are_understood_and_the_strictest_counts() {
        let markings = Markings::new("test", []);
        for (tlp, id, _) in TLP2 {
            assert_eq!(handled(&markings, &[id], "").unwrap().tlp, tlp);
        }
        for (tlp, id) in TLP1 {
            assert_eq!(handled(&markings, &[id, TLP2[0].1], "").unwrap().tlp, tlp);
        }
        assert_eq!(handled(&markings, &[], "").unwrap().tlp, Tlp::Amber, "the default");
    }

    #[test]
    fn a_part_that_is_stricter_makes_the_whole_stricter() {
        let granular = format!(r#","granular_markings":[{{"selectors":["value"],"marking_ref":"{}"}}]"#, TLP2[4].1);
        assert_eq!(handled(&Markings::new("test", []), &[TLP2[1].1], &granular).unwrap().tlp, Tlp::Red);
    }

    #[test]
    fn a_marking_that_does_not_resolve_is_refused() {
        let unknown = "marking-definition--11111111-1111-4111-8111-111111111111";
        let error = handled(&Markings::new("test", []), &[unknown], "").unwrap_err();
        assert_eq!((error.field.as_str(), error.value.as_str()), ("object_marking_refs", unknown));
    }

    #[test]
    fn definitions_that_come_along_are_learned_but_cannot_loosen_known_ones() {
        let mut markings = Markings::new("test", []);
        let mut learn = |id: &str, rest: &str| {
            let json = format!(
                r#"{{"type":"marking-definition","spec_version":"2.1","id":"{id}",
                "created":"2026-01-01T00:00:00Z",{rest}}}"#
            );
            let raw: &RawValue = serde_json::from_str(&json).unwrap();
            markings.learn(&Head::read(raw).unwrap())
        };
        let own = "marking-definition--11111111-1111-4111-8111-111111111111";
        let terms = "marking-definition--22222222-2222-4222-8222-222222222222";
        let odd = "marking-definition--33333333-3333-4333-8333-333333333333";
        learn(own, r#""definition_type":"tlp","definition":{"tlp":"red"}"#).unwrap();
        learn(terms, r#""definition_type":"statement","definition":{"statement":"(c)"}"#).unwrap();
        learn(odd, r#""definition_type":"iep","definition":{}"#).unwrap();
        learn(TLP2[4].1, r#""definition_type":"tlp","definition":{"tlp":"white"}"#).unwrap();
        assert!(learn(odd, r#""definition_type":"tlp","definition":{"tlp":"pink"}"#).is_err());
        assert_eq!(handled(&markings, &[own], "").unwrap().tlp, Tlp::Red);
        assert_eq!(handled(&markings, &[terms], "").unwrap().tlp, Tlp::Amber);
        assert_eq!(handled(&markings, &[TLP2[4].1], "").unwrap().tlp, Tlp::Red);
        assert!(handled(&markings, &[odd], "").is_err());
    }

    #[test]
    fn a_policy_of_first_says_what_recipients_may_do_and_whether_the_sender_is_named() {
        let mut markings = Markings::new("test", []);
        let own = "marking-definition--11111111-1111-4111-8111-111111111111";
        let mut learn = |definition: &str| {
            let json = format!(
                r#"{{"type":"marking-definition","spec_version":"2.1","id":"{own}",
                "created":"2026-01-01T00:00:00Z","definition_type":"iep","definition":{definition}}}"#
            );
            let raw: &RawValue = serde_json::from_str(&json).unwrap();
            markings.learn(&Head::read(raw).unwrap())
        };
        assert!(learn(r#"{"permitted_actions":"everything"}"#).is_err());
        assert!(learn(r#"{"provider_attribution":"never"}"#).is_err());
        learn(r#"{"tlp":"RED","name":"says nothing we act upon"}"#).unwrap();
        learn(r#"{"permitted_actions":"CONTACT FOR INSTRUCTION","provider_attribution":"must-not","tlp":"amber"}"#)
            .unwrap();
        let handling = handled(&markings, &[own, TLP2[0].1], "").unwrap();
        assert_eq!((handling.actions, handling.unnamed, handling.tlp), (Actions::AskFirst, true, Tlp::Amber));
    }

    #[test]
    fn handlings_survive_the_way_through_markings() {
        let (banks, telcos): (GroupId, GroupId) = ("banks".parse().unwrap(), "telcos".parse().unwrap());
        let markings = Markings::new("test", [&banks, &telcos]);
        for tlp in Tlp::ALL {
            for (n, group) in [None, Some(banks.clone())].into_iter().cycle().take(12).enumerate() {
                let (unnamed, actions) = (n % 3 == 0, Actions::ALL[n % 5]);
                let handling = Handling { tlp: *tlp, group, unnamed, actions };
                let refs = references("test", &handling);
                let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
                assert_eq!(handled(&markings, &refs, "").unwrap(), handling);
                assert_eq!(definitions("test", &handling).len(), refs.len());
            }
        }
        let (a, b) = (group_id("test", &banks), group_id("test", &telcos));
        assert!(handled(&markings, &[&a, &b], "").is_err(), "no common audience");
        assert!(handled(&markings, &[&group_id("other", &banks)], "").is_err(), "a group of another alliance");
    }
}

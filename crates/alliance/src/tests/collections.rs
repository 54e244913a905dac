//! Collections that members open: names, audiences, who writes, and what is left when one is closed.

use super::{World, member};
use crate::objects::{Brief, Share, Shared, Shown};
use crate::{Closing, Command, NewCollection, Writers};
use model::{Digest, Handling, Refusal, Rule, Tlp, TokenId};
use serde_json::value::RawValue;
use share::stix::SpecVersion;
use share::taxii::{CollectionId, Root};

const GROUP: &str = "[[group]]\nid = \"pair\"\nmembers = [\"telecom\", \"cloud\"]\n";

fn by() -> Shown {
    Shown::Token(TokenId::of(&Digest::of(&[b"token"])))
}

fn wish(name: &str, group: Option<&str>, writers: Writers) -> NewCollection {
    NewCollection {
        name: name.parse().unwrap(),
        title: "Kits".to_owned(),
        description: String::new(),
        group: group.map(|group| group.parse().unwrap()),
        writers,
    }
}

fn id(name: &str, root: &Root) -> CollectionId {
    CollectionId::of("test", root, name)
}

impl World {
    fn open(&mut self, who: &str, wish: NewCollection) -> Result<Vec<&'static str>, Refusal> {
        self.run(Command::OpenCollection { member: member(who), by: by(), wish: Box::new(wish) })
    }

    fn close(&mut self, who: &str, collection: CollectionId) -> Result<Vec<&'static str>, Refusal> {
        self.run(Command::CloseCollection(Box::new(Closing { collection, member: member(who), by: by() })))
    }

    fn put(&mut self, who: &str, collection: CollectionId) -> Result<Vec<&'static str>, Refusal> {
        let object = r#"{"type":"malware","id":"malware--0f42a24c-e035-4f93-a91c-5f7076bd8da0"}"#;
        let object = Shared {
            place: 0,
            brief: Brief {
                id: "malware--0f42a24c-e035-4f93-a91c-5f7076bd8da0".to_owned(),
                spec: SpecVersion::V21,
                version: None,
                print: 1,
                mentions: None,
            },
            handling: Handling::alliance(Tlp::Green),
            object: RawValue::from_string(object.to_owned()).unwrap(),
            kept: true,
        };
        let (objects, member) = (vec![object], member(who));
        let (sightings, retractions, objections) = (Vec::new(), Vec::new(), Vec::new());
        let share = Share { collection, member, by: by(), objects, sightings, retractions, objections };
        self.run(Command::Share(Box::new(share)))
    }
}

#[test]
fn a_collection_is_written_to_as_it_was_opened_until_it_is_closed() {
    let mut world = World::new("");
    let (own, all) = (id("kits", &Root::Alliance), id("hashes", &Root::Alliance));
    assert_eq!(world.open("telecom", wish("kits", None, Writers::Own)).unwrap(), ["collection-opened"]);
    assert_eq!(world.open("telecom", wish("hashes", None, Writers::All)).unwrap(), ["collection-opened"]);
    assert_eq!(world.put("telecom", own).unwrap(), ["objects-shared"]);
    assert_eq!(world.put("cloud", own).unwrap_err().rule, Rule::CollectionOwn);
    assert_eq!(world.put("cloud", all).unwrap(), ["objects-shared"]);
    assert_eq!(world.close("cloud", all).unwrap_err().rule, Rule::CollectionOwn, "another member's");
    assert_eq!(world.close("telecom", all).unwrap(), ["collection-closed"]);
    for who in ["telecom", "cloud"] {
        let refusal = world.put(who, all).unwrap_err();
        assert_eq!(refusal.rule, Rule::CollectionOwn);
        assert!(refusal.value.contains("closed"), "{refusal}");
    }
    assert_eq!(world.close("telecom", all).unwrap_err().rule, Rule::CollectionOwn, "once");
    assert_eq!(world.put("cloud", id("sightings", &Root::Alliance)).unwrap(), ["objects-shared"]);
}

#[test]
fn a_name_is_given_once_under_each_root_and_is_not_given_again() {
    let mut world = World::new(GROUP);
    let pair = Root::Group("pair".parse().unwrap());
    world.open("telecom", wish("kits", None, Writers::Own)).unwrap();
    world.open("cloud", wish("kits", Some("pair"), Writers::Own)).unwrap();
    assert!(world.alliance.collections().contains_key(&id("kits", &pair)));
    world.close("telecom", id("kits", &Root::Alliance)).unwrap();
    let refusal = world.open("dns", wish("kits", None, Writers::Own)).unwrap_err();
    assert_eq!(refusal.rule, Rule::CollectionName);
    assert!(refusal.limit.contains("telecom"), "{refusal}");
}

#[test]
fn who_is_not_of_the_group_opens_nothing_there_and_nobody_opens_without_end() {
    let mut world = World::new(GROUP);
    assert_eq!(world.open("dns", wish("kits", Some("pair"), Writers::All)).unwrap_err().rule, Rule::UnknownGroup);
    assert_eq!(world.open("dns", wish("kits", Some("none"), Writers::All)).unwrap_err().rule, Rule::UnknownGroup);
    assert_eq!(world.open("stranger", wish("kits", None, Writers::All)).unwrap_err().rule, Rule::UnknownMember);
    for bad in [String::new(), " ".to_owned(), "a\nb".to_owned(), "x".repeat(101)] {
        let wish = NewCollection { title: bad, ..wish("kits", None, Writers::All) };
        assert_eq!(world.open("dns", wish).unwrap_err().rule, Rule::Malformed);
    }
    let wordy = NewCollection { description: "é".repeat(1_001), ..wish("kits", None, Writers::All) };
    assert_eq!(world.open("dns", wordy).unwrap_err().rule, Rule::TooLarge);
    for n in 0..crate::COLLECTIONS_MAX {
        world.open("dns", wish(&format!("c{n}"), None, Writers::Own)).unwrap();
    }
    assert_eq!(world.open("dns", wish("one-more", None, Writers::Own)).unwrap_err().rule, Rule::TooLarge);
    world.open("cloud", wish("one-more", None, Writers::Own)).unwrap();
}

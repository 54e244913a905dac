//! The index beside the journal: what is behind says so, and what stands in an entry is found there.

use super::*;
use alliance::{Author, ENTRY_VERSION};
use journal::{FileJournal, Options};
use model::{Digest, FindingId, Handling, Timestamp, Tlp};
use share::taxii::{CollectionId, Root};

fn entry() -> Entry {
    let event = Event::Backlog { waiting: 0 };
    let handling = Handling::alliance(Tlp::Green);
    Entry { v: ENTRY_VERSION, time: Timestamp::MIN, author: Author::Hub, handling, event }
}

fn collection() -> CollectionId {
    CollectionId::of("test", &Root::Alliance, "sightings")
}

fn shared(texts: &[String]) -> Entry {
    let shared = alliance::Objects {
        collection: collection(),
        member: "cloud".parse().unwrap(),
        by: alliance::Shown::Token(model::TokenId::of(&Digest::of(&[b"token"]))),
        objects: texts.iter().map(|text| RawValue::from_string(text.clone()).unwrap()).collect(),
        briefs: Vec::new(),
    };
    Entry { event: Event::ObjectsShared(Box::new(shared)), ..entry() }
}

#[test]
fn an_index_that_is_behind_says_so_and_takes_what_passed_it_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(FileJournal::open(dir.path(), Options::new(Digest::of(&[b"test"]))).unwrap());
    let packed = || journal::Entry::new([0; 32], &entry().to_bytes()).unwrap();
    journal.append(0, &[packed(), packed(), packed()]).unwrap();
    let store = Store::new("test", journal.clone());
    assert!(store.require_ready().is_err());
    store.take(3, &entry());
    assert!(!store.catch_up(1, &|| false).unwrap(), "one of three, and one that is being written");
    assert!(store.require_ready().is_err());
    journal.append(3, &[packed()]).unwrap();
    assert!(store.catch_up(u64::MAX, &|| false).unwrap());
    store.require_ready().unwrap();
    store.take(4, &entry());
    assert!(store.catch_up(u64::MAX, &|| false).unwrap(), "what is taken before it is durable is no fault");
    store.require_ready().unwrap();
}

#[test]
fn an_object_is_found_in_its_entry_without_reading_what_stands_around_it() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(FileJournal::open(dir.path(), Options::new(Digest::of(&[b"test"]))).unwrap());
    let texts: Vec<String> = (1..=5)
        .map(|n| {
            let filler = "é]}},{\\\"".repeat(n);
            format!(
                r#"{{"type":"malware", "spec_version":"2.1","id":"malware--0000000{n}-1111-4111-8111-111111111111",
                "created":"2026-01-01T00:00:00Z","modified":"2026-01-01T00:00:00Z","x":"{filler}"}}"#
            )
        })
        .collect();
    let entry = shared(&texts);
    let (store, bytes) = (Store::new("test", journal), entry.to_bytes());
    store.take(0, &entry);
    store.settle();
    let rows: Vec<Row> = {
        let index = store.index();
        let of = |n: usize| format!("malware--0000000{n}-1111-4111-8111-111111111111");
        (1..=5).flat_map(|n| index.versions(collection(), &of(n)).copied().collect::<Vec<_>>()).collect()
    };
    let found: Vec<&str> = rows.iter().filter_map(|row| row.object_in(&bytes)).collect();
    assert_eq!(found, texts.iter().map(String::as_str).collect::<Vec<_>>());
    let longer = [&bytes[..], b" "].concat();
    assert!(rows.iter().all(|row| row.object_in(&longer).is_none() && row.object_in(&bytes[..40]).is_none()));
    let mut read = Vec::new();
    in_entry(&rows, &longer, &mut |object| read.push(object.to_owned())).unwrap();
    assert_eq!(read, texts, "where it is not as expected, the whole entry is read");
}

#[test]
fn only_the_beginning_tells_what_is_indexed() {
    assert!(!is_ours(&entry().to_bytes()));
    let of = |kind: &str| format!("{{\"v\":1,\"author\":\"hub\",\"event\":{{\"kind\":\"{kind}\",\"body\":{{}}}}}}");
    assert!(is_ours(of("objects-shared").as_bytes()) && is_ours(of("findings-changed").as_bytes()));
    assert!(is_ours(of("plan-in-force").as_bytes()));
    assert!(!is_ours(of("sightings-reported").as_bytes()) && !is_ours(b""));
}

/// Before they were refused, copies of the alliance's own objects came into collections.
#[test]
fn what_a_journal_of_before_has_of_the_alliances_own_is_not_shown_and_the_rest_stays_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Arc::new(FileJournal::open(dir.path(), Options::new(Digest::of(&[b"test"]))).unwrap());
    let finding = FindingId::of(&Digest::of(&[b"finding"]));
    let text = |id: &str| {
        format!(
            r#"{{"type":"indicator","spec_version":"2.1","id":"{id}","revoked":true,
            "created":"2026-01-01T00:00:00Z","modified":"2026-01-02T00:00:00Z"}}"#
        )
    };
    let ids = ["test", "other"].map(|alliance| back::indicator_id(alliance, &finding));
    let store = Store::new("test", journal);
    store.take(0, &shared(&ids.each_ref().map(|id| text(id))));
    store.settle();
    let index = store.index();
    let shown = |id: &String| index.versions(collection(), id).map(Row::number).collect::<Vec<_>>();
    assert_eq!(ids.each_ref().map(shown), [vec![], vec![1]]);
}

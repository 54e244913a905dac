//! Real bundles through the server: the OASIS examples and an extract of ATT&CK come out as they went in.

use crate::support::Bench;
use crate::taxii::{SIGHTINGS, TAXII, get, get_json};
use reqwest::Method;
use serde_json::Value;
use serde_json::value::RawValue;
use share::Limits;
use share::stix::{Head, Kind, Split};
use std::collections::BTreeMap;
use std::path::Path;

/// The texts of all objects, by file.
fn bundles() -> BTreeMap<String, Vec<String>> {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../share/testdata");
    let folders =
        ["oasis/examples", "attack"].iter().flat_map(|folder| std::fs::read_dir(testdata.join(folder)).unwrap());
    let files = folders.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"));
    let read = |path: std::path::PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        let split = Split::read(&bytes, &Limits::ENVELOPE).unwrap();
        let texts = split.objects.iter().map(|object| object.get().to_owned()).collect();
        (path.file_name().unwrap().to_string_lossy().into_owned(), texts)
    };
    files.map(read).collect()
}

fn id_of(text: &str) -> String {
    serde_json::from_str::<Value>(text).unwrap()["id"].as_str().unwrap().to_owned()
}

fn is_marking(text: &str) -> bool {
    let raw = serde_json::from_str::<&RawValue>(text).unwrap();
    Head::read(raw).unwrap().kind == Kind::MarkingDefinition
}

/// Pushes objects as they are written; gives why some were refused, by identifier.
async fn push_texts(bench: &Bench, texts: &[&str]) -> BTreeMap<String, String> {
    let body = format!("{{\"objects\":[{}]}}", texts.join(","));
    let request = bench.request("cloud", Method::POST, &format!("{SIGHTINGS}/objects/"));
    let request = request.header("accept", TAXII).header("content-type", TAXII).body(body);
    let (code, status) = crate::support::read(request.send().await.unwrap()).await;
    assert_eq!(code, 202, "{status}");
    let failures = status["failures"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    failures.iter().map(|failed| (text(&failed["id"]), text(&failed["message"]))).collect()
}

/// Every page of the collection, as texts.
async fn pages(bench: &Bench) -> Vec<String> {
    let (mut pages, mut next): (Vec<String>, Option<String>) = (Vec::new(), None);
    loop {
        let more = next.map(|next| format!("&next={next}")).unwrap_or_default();
        let page = get(bench, "bank", &format!("{SIGHTINGS}/objects/?limit=20&match[version]=all{more}")).await;
        let text = page.text().await.unwrap();
        let read: Value = serde_json::from_str(&text).unwrap();
        pages.push(text);
        if read["more"] != true {
            return pages;
        }
        next = Some(read["next"].as_str().unwrap().to_owned());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_of_real_bundles_comes_out_of_the_server_byte_for_byte_by_page_and_by_id() {
    let bench = Bench::start().await;
    let (mut kept, mut refused) = (Vec::new(), BTreeMap::new());
    let mut known: Vec<Value> = Vec::new();
    for mut texts in bundles().into_values() {
        // Two of the files have one object, with other blanks.
        texts.retain(|text| {
            let object: Value = serde_json::from_str(text).unwrap();
            let is_new = !known.contains(&object);
            known.extend(is_new.then_some(object));
            is_new
        });
        // What an object is marked with comes before it.
        let (markings, others): (Vec<&str>, Vec<&str>) = texts.iter().map(String::as_str).partition(|t| is_marking(t));
        let failed = push_texts(&bench, &[markings, others].concat()).await;
        kept.extend(texts.iter().filter(|text| !failed.contains_key(&id_of(text))).cloned());
        refused.extend(failed);
    }
    let why: Vec<&String> = refused.values().collect();
    let named = |why: &str| why.contains("a marking that is known or comes along");
    assert!(why.len() == 1 && named(why[0]), "one is marked RED, and with what nobody defines: {refused:?}");
    let pages = pages(&bench).await;
    assert!(pages.len() > 10, "{} pages", pages.len());
    for text in &kept {
        let id = id_of(text);
        assert!(pages.iter().any(|page| page.contains(text)), "{id} is on no page as it was sent");
        let (code, one) = get_json(&bench, "bank", &format!("{SIGHTINGS}/objects/{id}/?match[version]=all")).await;
        let sent: Value = serde_json::from_str(text).unwrap();
        assert!(code == 200 && one["objects"].as_array().unwrap().contains(&sent), "{id}: {one}");
    }
    assert_eq!(kept.len(), OBJECTS);
}

/// All 297 of the files but that one and one that stands in two of them.
const OBJECTS: usize = 295;

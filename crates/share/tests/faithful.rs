//! Real bundles go through byte for byte: the OASIS examples, and an extract of ATT&CK.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails"
)]

use serde_json::Value;
use share::Limits;
use share::stix::{Class, Head, Split, Wrapper};
use std::path::PathBuf;

/// Every bundle in `testdata`, by name.
fn bundles() -> Vec<(String, Vec<u8>)> {
    let testdata = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut files: Vec<PathBuf> = ["oasis/examples", "attack"]
        .iter()
        .flat_map(|folder| std::fs::read_dir(testdata.join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.file_name().unwrap().to_string_lossy().into(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn every_object_of_real_bundles_keeps_its_bytes() {
    let (mut files, mut objects, mut custom) = (0, 0, 0);
    for (name, bytes) in bundles() {
        let split = Split::read(&bytes, &Limits::ENVELOPE).unwrap_or_else(|error| panic!("{name}: {error}"));
        let whole: Value = serde_json::from_slice(&bytes).unwrap();
        let values = match &split.wrapper {
            Wrapper::None => vec![whole],
            _ => whole.get("objects").unwrap_or(&whole).as_array().unwrap().clone(),
        };
        assert_eq!(values.len(), split.objects.len(), "{name}");
        let mut from = 0;
        for (object, value) in split.objects.iter().zip(&values) {
            let head = Head::read(object).unwrap_or_else(|error| panic!("{name}: {error}"));
            let place =
                find(&bytes[from..], head.raw.get().as_bytes()).unwrap_or_else(|| panic!("{name}: {}", head.id));
            from += place + head.raw.get().len();
            assert_eq!(&serde_json::from_str::<Value>(head.raw.get()).unwrap(), value, "{name}: {}", head.id);
            custom += usize::from(head.kind.class() == Class::Custom);
        }
        files += 1;
        objects += split.objects.len();
    }
    assert_eq!((files, objects), (9, OBJECTS));
    assert!(custom > 0, "custom types are among them");
}

const OBJECTS: usize = 297;

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

#[test]
fn what_was_split_and_joined_splits_into_the_same_bytes() {
    for (name, bytes) in bundles() {
        let split = Split::read(&bytes, &Limits::ENVELOPE).unwrap();
        let objects: Vec<&str> = split.objects.iter().map(|object| object.get()).collect();
        let envelope = format!("{{\"objects\":[{}]}}", objects.join(","));
        let again = Split::read(envelope.as_bytes(), &Limits::ENVELOPE).unwrap();
        assert!(again.objects.iter().map(|object| object.get()).eq(objects), "{name}");
    }
}

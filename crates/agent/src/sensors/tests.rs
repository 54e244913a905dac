//! Followed files: rotation, cutting, and restarts in the middle of a line, of a window, of a rotation.

use super::*;
use crate::config::Config;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use tokio::sync::mpsc::{Receiver, channel};

/// One line a second of event time, in two steps, so that windows begin and end while the file is read.
fn line(n: u32) -> String {
    let seconds = n % 3600;
    let (minute, second) = (seconds / 60, seconds % 60);
    format!("{{\"ip\":\"8.8.{}.{}\",\"ts\":\"2026-11-21T10:{minute:02}:{second:02}Z\"}}\n", n % 3, n % 2)
}

fn source(path: &Path) -> SourceConfig {
    let text = format!(
        "[member]\nid = \"telecom\"\nkey = \"k\"\n[hub]\nurl = \"http://127.0.0.1:1\"\ntoken = \"t\"\n\
         charter = \"{}\"\n[state]\ndirectory = \"s\"\n[[source]]\nname = \"sensor\"\nfile = {:?}\nfrom_beginning = true\n\
         format = \"json-lines\"\n[source.fields]\nobservable = \"ip\"\ntime = \"ts\"\nbehaviour = \"scan\"\n\
         grade = \"handshake\"\nsensor = \"honeypot\"\n",
        "0".repeat(64),
        path.display()
    );
    Config::parse(&text).unwrap().sources.remove(0)
}

fn append(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// What the agent would remember: how often each observable was reported, and the place.
#[derive(Default)]
struct Known {
    counts: BTreeMap<String, u64>,
    mark: Option<SourceMark>,
    alarms: Vec<String>,
}

impl Known {
    fn take(&mut self, input: Input) {
        match input {
            Input::Followed { mark, sightings, source } => {
                assert_eq!(source, "sensor");
                for (_, sighting) in sightings {
                    *self.counts.entry(sighting.observable.to_string()).or_default() += u64::from(sighting.count);
                }
                self.mark = Some(mark);
            }
            Input::Trouble { text, .. } => self.alarms.push(text),
            other => panic!("{other:?}"),
        }
    }

    fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Runs until `done`, then is killed; what had been sent is durable, nothing else is.
    async fn run(&mut self, path: &Path, mut done: impl FnMut(&Self) -> bool) {
        let (inputs, mut outputs): (_, Receiver<Input>) = channel(64);
        let task = tokio::spawn(run(source(path), Settings::default(), self.mark.clone(), inputs));
        while !done(self) {
            match tokio::time::timeout(Duration::from_secs(30), outputs.recv()).await {
                Ok(Some(input)) => self.take(input),
                Ok(None) => break,
                Err(_) => panic!("nothing more came after {:?} {:?} {:?}", self.counts, self.mark, self.alarms),
            }
        }
        task.abort();
        let _ = task.await;
        while let Ok(input) = outputs.try_recv() {
            self.take(input);
        }
    }
}

struct Place {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eve.json");
    Place { _dir: dir, path }
}

fn expected(lines: u32) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for n in 0..lines {
        *counts.entry(format!("8.8.{}.{}", n % 3, n % 2)).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn restarts_anywhere_neither_lose_nor_repeat_a_line() {
    let Place { _dir, path } = place();
    let mut known = Known::default();
    let (mut written, total) = (0, 900);
    while written < total {
        // Often the agent dies with half a line read.
        let text: String = (written..(written + 37).min(total)).map(line).collect();
        written = (written + 37).min(total);
        let half = text.len() - 9;
        append(&path, &text[..half]);
        let before = known.total();
        known.run(&path, |known| known.total() > before).await;
        append(&path, &text[half..]);
    }
    let read = std::fs::metadata(&path).unwrap().len();
    known.run(&path, |known| known.mark.as_ref().is_some_and(|mark| mark.read == read)).await;
    // A rotation ends all counts.
    std::fs::rename(&path, path.with_extension("json.1")).unwrap();
    append(&path, &line(total));
    known.run(&path, |known| known.total() > u64::from(total)).await;
    assert_eq!(known.counts, expected(total + 1));
    assert_eq!(known.alarms, [""; 0]);
}

#[tokio::test]
async fn a_file_that_was_rotated_while_the_agent_was_away_is_read_to_its_end() {
    let Place { _dir, path } = place();
    let mut known = Known::default();
    append(&path, &(0..100).map(line).collect::<String>());
    let read = std::fs::metadata(&path).unwrap().len();
    known.run(&path, |known| known.mark.as_ref().is_some_and(|mark| mark.read == read)).await;
    append(&path, &(100..200).map(line).collect::<String>());
    std::fs::rename(&path, path.with_extension("json.2")).unwrap();
    append(&path, &(200..300).map(line).collect::<String>());
    std::fs::rename(&path, path.with_extension("json.1")).unwrap();
    append(&path, &(300..301).map(line).collect::<String>());
    known.run(&path, |known| known.total() == 301).await;
    assert_eq!(known.counts, expected(301));
    assert_eq!(known.alarms, [""; 0]);
}

#[tokio::test]
async fn a_file_that_is_gone_is_told_and_the_present_one_read_from_its_beginning() {
    let Place { _dir, path } = place();
    let mut known = Known::default();
    append(&path, &line(0));
    known.run(&path, |known| known.total() == 1).await;
    std::fs::write(&path, line(1)).unwrap();
    known.run(&path, |known| known.total() == 2).await;
    assert!(known.alarms[0].contains("gone"), "{:?}", known.alarms);
}

async fn next(feed: &mut Feed) -> String {
    let mut bytes = [0; 1_000];
    for _ in 0..200 {
        match feed.read(&mut bytes).await.unwrap() {
            Piece::Bytes(count) => return String::from_utf8_lossy(&bytes[..count]).into_owned(),
            Piece::Quiet => tokio::time::sleep(Duration::from_millis(10)).await,
            Piece::Next => {}
        }
    }
    String::new()
}

#[tokio::test]
async fn a_file_is_followed_from_its_end_and_through_rotation_and_cutting() {
    let Place { _dir, path } = place();
    append(&path, "old\n");
    let mut feed = Feed::begin(&path, false).await.unwrap();
    append(&path, "first\n");
    assert_eq!(next(&mut feed).await, "first\n");
    append(&path, "last of the old file\n");
    let rotated = path.with_extension("json.1");
    std::fs::rename(&path, &rotated).unwrap();
    append(&path, "first of the new file\n");
    assert_eq!(next(&mut feed).await, "last of the old file\n");
    // Its writer has not been told yet.
    append(&rotated, "after the rotation\n");
    assert_eq!(next(&mut feed).await, "after the rotation\n");
    assert_eq!(next(&mut feed).await, "first of the new file\n");
    std::fs::write(&path, "cut\n").unwrap();
    assert_eq!(next(&mut feed).await, "cut\n");
}

#[tokio::test]
async fn a_link_beside_the_file_is_not_followed() {
    let Place { _dir, path } = place();
    append(&path, "one\n");
    let mark = SourceMark { head: model::Digest::of(&[b"one\n"]), head_bytes: 4, again: 4, read: 4, closed: NEVER };
    let elsewhere = path.with_file_name("other");
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, path.with_extension("json.1")).unwrap();
    append(&path, "two\n");
    assert!(Feed::resume(&path, &mark).await.unwrap().is_none());
}

//! A MISP feed in a directory, read step by step.

use crate::config::PullConfig;
use crate::core::Mark;
use crate::feeds::reader::{Here, Reader};
use crate::strip::{Strip, StripConfig};
use observe::Networks;
use serde_json::{Value, json};
use std::path::Path;

fn uuid(n: usize) -> String {
    format!("5b6e8e2d-0000-4000-8000-{n:012x}")
}

fn export(dir: &Path, events: std::ops::Range<usize>) {
    let manifest: serde_json::Map<String, Value> =
        events.clone().map(|n| (uuid(n), json!({ "timestamp": n.to_string() }))).collect();
    std::fs::write(dir.join("manifest.json"), Value::from(manifest).to_string()).unwrap();
    for n in events {
        let event = json!({ "Event": { "uuid": uuid(n), "Attribute": [] } });
        std::fs::write(dir.join(format!("{}.json", uuid(n))), event.to_string()).unwrap();
    }
}

/// One round; gives how many versions each step writes down, as taken and as gone.
async fn round(reader: &mut Reader, mark: &mut Option<Mark>) -> Vec<(usize, usize)> {
    let strip = Strip::new(&StripConfig::default(), &serde_json::from_str::<Networks>("[]").unwrap());
    reader.begin().unwrap();
    let mut written = Vec::new();
    loop {
        let step = reader.step(mark.as_ref(), &Here { alliance: "ours", strip: &strip }).await.unwrap();
        let Mark::MispChange(change) = &step.mark else { panic!("written down whole: {:?}", step.mark) };
        written.push((change.taken.len(), change.gone.len()));
        step.mark.follow(mark);
        if !step.more {
            return written;
        }
    }
}

#[tokio::test]
async fn each_step_writes_down_what_is_new_and_not_all_that_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!("name = 'a'\nkind = 'misp'\n[from]\nurl = 'file://{}/'", dir.path().display());
    let config: PullConfig = toml::from_str(&text).unwrap();
    let (mut reader, mut mark) = (Reader::open(config.clone()).unwrap(), None);
    export(dir.path(), 0..250);
    assert_eq!(round(&mut reader, &mut mark).await, [(100, 0), (100, 0), (50, 0)]);
    assert_eq!(round(&mut reader, &mut mark).await, [(0, 0)], "each version once");
    export(dir.path(), 10..260);
    // Also by one that starts with what was remembered.
    let mut restarted = Reader::open(config).unwrap();
    assert_eq!(round(&mut restarted, &mut mark).await, [(10, 10)]);
    let Some(Mark::Misp(place)) = &mark else { panic!("{mark:?}") };
    assert_eq!(place.0.len(), 250);
}

//! Agents that pull and push by themselves: third parties, own sensors, and two alliances that federate.

use crate::support::{Bench, PATIENCE, key, sighting, signed_report};
use crate::taxii::{GREEN, SIGHTINGS, get_json, ids, indicator, push};
use agent::{Agent, Answer, Config, Request, Running};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

pub fn secret(path: &Path, text: &str) {
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The files that lead to a hub as one of its members, and the section that names them.
fn way(dir: &Path, name: &str, bench: &Bench, member: &str, root: &str) -> String {
    std::fs::write(dir.join(format!("{name}.pem")), bench.running.certificate_pem()).unwrap();
    secret(&dir.join(format!("{name}.token")), &bench.tokens[member]);
    let url = bench.running.url();
    format!("url = '{url}{root}'\nca = '{name}.pem'\ntoken = '{name}.token'\n")
}

/// A member's agent with these feeds.
pub async fn agent(dir: &Path, bench: &Bench, member: &str, feeds: &str) -> Running {
    secret(&dir.join(format!("{member}.key")), &agent::keys::key_text(&seed(member)));
    let (_, charter) = bench.get(member, "/api/v1/charter").await;
    let pin = charter::Charter::digest_of(charter["text"].as_str().unwrap());
    let hub = way(dir, "hub", bench, member, "");
    let text = format!(
        "[member]\nid = '{member}'\nkey = '{member}.key'\n[hub]\n{hub}charter = '{pin}'\n\
         [observe]\nown = ['198.51.100.0/24']\n[state]\ndirectory = 'state-{member}'\n{feeds}"
    );
    let file = dir.join(format!("{member}.toml"));
    std::fs::write(&file, text).unwrap();
    Agent::start(Config::read(&file).unwrap()).await.unwrap()
}

fn seed(member: &str) -> [u8; 32] {
    let n = crate::support::MEMBERS.iter().position(|known| *known == member).unwrap();
    let seed = [1 + u8::try_from(n).unwrap(); 32];
    assert_eq!(model::SigningKey::from_seed(&seed).public(), key(member, false).public());
    seed
}

async fn feed(agent: &Running, name: &str) -> Value {
    let Answer::Ok(views) = agent.ask(Request::Feeds).await else { panic!("no feeds") };
    views.as_array().unwrap().iter().find(|view| view["name"] == name).unwrap().clone()
}

/// Looks at a feed until it has got through once more.
pub async fn look(agent: &Running, name: &str) -> Value {
    let begun = Instant::now();
    loop {
        let Answer::Ok(before) = agent.ask(Request::FeedNow { feed: name.to_owned() }).await else { panic!("{name}") };
        let view = loop {
            let view = feed(agent, name).await;
            if view["rounds"].as_u64() > before.as_u64() && view["busy"] == false {
                break view;
            }
            assert!(begun.elapsed() < PATIENCE, "{view}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        if view["failure"].is_null() {
            return view;
        }
        assert!(begun.elapsed() < PATIENCE, "{view}");
    }
}

pub fn counts(view: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(view["counts"].clone()).unwrap()
}

/// Why a feed does not get through, once it says `word`: an agent that starts has no charter yet, and says that.
pub async fn seen(agent: &Running, name: &str, word: &str) -> String {
    let begun = Instant::now();
    loop {
        let Answer::Ok(_) = agent.ask(Request::FeedNow { feed: name.to_owned() }).await else { panic!("{name}") };
        let view = feed(agent, name).await;
        match view["failure"].as_str() {
            Some(failure) if failure.contains(word) => return failure.to_owned(),
            _ => assert!(begun.elapsed() < PATIENCE, "{view}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Writes an event of a MISP feed into its directory; gives its line of the manifest.
pub fn write_event(feed: &Path, n: u8, organisation: &str, timestamp: i64) -> (String, Value) {
    let uuid = format!("5b6e8e2d-0000-4000-8000-00000000000{n}");
    let attribute = json!({
        "uuid": format!("5b6e8e2d-0000-4000-8000-0000000000a{n}"), "type": "ip-src", "value": format!("80.3.0.{n}"),
        "to_ids": true, "timestamp": timestamp.to_string(), "Tag": [{"name": "scan"}],
    });
    let event = json!({ "uuid": uuid, "timestamp": timestamp.to_string(), "Tag": [{"name": "tlp:green"}],
        "Orgc": {"name": "An organisation", "uuid": organisation}, "Attribute": [attribute] });
    std::fs::write(feed.join(format!("{uuid}.json")), json!({ "Event": event }).to_string()).unwrap();
    (uuid, json!({ "timestamp": timestamp.to_string(), "info": "x" }))
}

/// All objects of a collection.
async fn held(bench: &Bench, collection: &str) -> Vec<Value> {
    let (code, page) = get_json(bench, "bank", &format!("{collection}/objects/?limit=1000")).await;
    assert_eq!(code, 200, "{page}");
    page["objects"].as_array().cloned().unwrap_or_default()
}

/// Findings of an alliance, once `count` of them are shown.
async fn findings(bench: &Bench, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let all = held(bench, "/taxii2/alliance/collections/findings").await;
        if all.iter().filter(|object| object["type"] == "indicator").count() == count {
            return all;
        }
        assert!(begun.elapsed() < PATIENCE, "{all:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn corroborate(bench: &Bench, sequence: u64, values: &[&str]) {
    for member in ["cloud", "bank"] {
        let seen: Vec<Value> = values.iter().map(|value| sighting(value)).collect();
        assert_eq!(bench.report(member, signed_report(member, sequence, &seen)).await.0, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_third_party_shares_reaches_the_hub_byte_for_byte_once_across_restarts() {
    let (ours, theirs) = (Bench::start().await, Bench::start_as("other.alliance").await);
    let dir = tempfile::tempdir().unwrap();
    let objects: Vec<Value> = (1..=1_200).map(indicator).collect();
    for part in objects.chunks(600) {
        assert_eq!(push(&theirs, "cloud", SIGHTINGS, part).await.1["failure_count"], 0);
    }
    let mut own = indicator(2_000);
    own["pattern"] = json!("[ipv4-addr:value = '198.51.100.7']");
    assert_eq!(push(&theirs, "cloud", SIGHTINGS, &[own]).await.1["failure_count"], 0);
    let from = way(dir.path(), "isac", &theirs, "telecom", "/taxii2/alliance/");
    let pull =
        format!("[[pull]]\nname = 'isac'\nkind = 'taxii'\ncollection = 'sightings'\nevery = '1d'\n[pull.from]\n{from}");
    let running = agent(dir.path(), &ours, "telecom", &pull).await;
    let view = look(&running, "isac").await;
    let wanted = [("objects".to_owned(), 1_200), ("sightings".to_owned(), 0), ("stripped:own_prefix".to_owned(), 1)];
    assert_eq!(counts(&view), BTreeMap::from(wanted.clone()), "{view}");
    assert!(view["samples"][0].as_str().unwrap().contains("own_prefix"), "{view}");
    running.stop().await.unwrap();
    assert_eq!(push(&theirs, "cloud", SIGHTINGS, &[indicator(3_000)]).await.1["failure_count"], 0);
    let running = agent(dir.path(), &ours, "telecom", &pull).await;
    let view = look(&running, "isac").await;
    assert_eq!(counts(&view)["objects"], 1_201, "goes on from where it was: {view}");
    let (_, page) = get_json(&ours, "bank", &format!("{SIGHTINGS}/objects/?match[id]={}", crate::taxii::id(7))).await;
    assert_eq!(page["objects"][0].to_string(), objects[6].to_string());
    let (_, why) = ours.get("bank", "/api/v1/why?value=80.0.0.7").await;
    let line = &why["findings"][0]["finding"]["sum"]["lines"][0];
    assert!(line["note"].as_str().unwrap().contains("not signed"), "nothing that acts: {why}");
    let (_, why) = ours.get("bank", "/api/v1/why?value=198.51.100.7").await;
    assert_eq!(why["known"], false, "what points to the member stayed with it");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_members_own_platform_saw_becomes_its_signed_sightings_once() {
    let (ours, platform) = (Bench::start().await, Bench::start_as("own.platform").await);
    let dir = tempfile::tempdir().unwrap();
    let objects: Vec<Value> = (1..=5).map(indicator).collect();
    assert_eq!(push(&platform, "telecom", SIGHTINGS, &objects).await.1["failure_count"], 0);
    let from = way(dir.path(), "own", &platform, "telecom", "/taxii2/alliance/");
    let pull = format!(
        "[[pull]]\nname = 'opencti'\nkind = 'taxii'\ncollection = 'sightings'\nas = 'own'\ngrade = 'payload'\n\
         sensor = 'ids'\nevery = '1d'\n[pull.from]\n{from}"
    );
    let running = agent(dir.path(), &ours, "telecom", &pull).await;
    assert_eq!(counts(&look(&running, "opencti").await)["sightings"], 5);
    assert_eq!(counts(&look(&running, "opencti").await)["sightings"], 5, "an idle look brings nothing");
    let begun = Instant::now();
    let why = loop {
        let (_, why) = ours.get("bank", "/api/v1/why?value=80.0.0.3").await;
        if why["known"] == true {
            break why;
        }
        assert!(begun.elapsed() < PATIENCE, "{why}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let line = &why["findings"][0]["finding"]["sum"]["lines"][0];
    assert_eq!((&line["member"], &line["grade"]), (&json!("telecom"), &json!("payload")), "{why}");
    assert!(!line["note"].as_str().unwrap_or_default().contains("not signed"), "{line}");
    assert!(held(&ours, SIGHTINGS).await.is_empty(), "and no object of anybody");
    running.stop().await.unwrap();
}

/// A pushes its findings to B and pulls B's; two members pull the same; what is A's comes back to A and is known.
#[tokio::test(flavor = "multi_thread")]
async fn two_alliances_exchange_findings_without_an_echo_and_count_nothing_twice() {
    let (a, b) = (Bench::start().await, Bench::start_as("other.alliance").await);
    let dir = tempfile::tempdir().unwrap();
    // Both know one observable, each another one beside it.
    corroborate(&a, 1, &["80.7.0.1", "80.7.0.2"]).await;
    corroborate(&b, 1, &["80.7.0.1", "80.7.0.3"]).await;
    let (of_a, of_b) = (findings(&a, 2).await, findings(&b, 2).await);
    let shared: Vec<String> = ids(&json!({ "objects": of_a }));
    // Who made our extension, the extension, and what GREEN means are the same everywhere.
    let everywhere: Vec<String> = ids(&json!({ "objects": share::stix::ours::extension() }));
    let is_common = |id: &String| everywhere.contains(id) || id.starts_with("marking-") || id.starts_with("ipv4-addr");
    let same = |id: &String| shared.contains(id) && !is_common(id);
    assert!(!ids(&json!({ "objects": of_b })).iter().any(same), "the same observable, other identifiers");
    let to_b = way(dir.path(), "b", &b, "telecom", "/taxii2/alliance/");
    let feeds = format!(
        "[[push]]\nname = 'to-b'\ncollection = 'sightings'\nevery = '1d'\n[push.to]\n{to_b}\
         [[pull]]\nname = 'from-b'\nkind = 'taxii'\ncollection = 'findings'\nevery = '1d'\n[pull.from]\n{to_b}\
         [[pull]]\nname = 'back'\nkind = 'taxii'\ncollection = 'sightings'\nevery = '1d'\n[pull.from]\n{to_b}"
    );
    let telecom = agent(dir.path(), &a, "telecom", &feeds).await;
    let pushed = counts(&look(&telecom, "to-b").await);
    assert_eq!((pushed["objects"], pushed.get("refused:there")), (6, None), "{pushed:?}");
    let there = held(&b, SIGHTINGS).await;
    let indicators: Vec<&Value> = there.iter().filter(|object| object["type"] == "indicator").collect();
    let origin = indicators[0]["created_by_ref"].as_str().unwrap();
    assert_eq!((indicators.len(), &indicators[0]["object_marking_refs"]), (2, &json!([GREEN])));
    assert!(there.iter().any(|object| object["id"] == *origin && object["name"] == "test.alliance"), "{there:?}");
    assert!(!json!(there).to_string().contains("cloud"), "no member is named outside");
    let (_, why) = b.get("bank", "/api/v1/why?value=80.7.0.2").await;
    assert_eq!(why["known"], false, "another alliance's finding is no evidence: {why}");
    // Back at A everything that went out is known again.
    let back = counts(&look(&telecom, "back").await);
    let not_ours: u64 = back.iter().filter(|(what, _)| *what != "echo").map(|(_, count)| count).sum();
    assert_eq!(not_ours + back["echo"], there.len() as u64, "{back:?}");
    assert!(back["echo"] >= 5, "{back:?}");
    let from_b = counts(&look(&telecom, "from-b").await);
    let here = held(&a, SIGHTINGS).await;
    assert!(from_b["objects"] >= 6 && !here.iter().any(|o| shared.contains(&o["id"].to_string())), "{from_b:?}");
    // A second member pulls the same: nothing is there twice, and nothing counts.
    let again = dir.path().join("again");
    std::fs::create_dir(&again).unwrap();
    let from = way(&again, "b", &b, "cloud", "/taxii2/alliance/");
    let pull = format!(
        "[[pull]]\nname = 'from-b'\nkind = 'taxii'\ncollection = 'findings'\nevery = '1d'\n[pull.from]\n{from}"
    );
    let cloud = agent(&again, &a, "cloud", &pull).await;
    look(&cloud, "from-b").await;
    assert_eq!(held(&a, SIGHTINGS).await, here, "one origin, once");
    let (_, why) = a.get("bank", "/api/v1/why?value=80.7.0.3").await;
    assert_eq!(why["known"], false, "{why}");
    let (_, why) = a.get("bank", "/api/v1/why?value=80.7.0.1").await;
    assert_eq!(why["findings"][0]["finding"]["sum"]["lines"].as_array().unwrap().len(), 2, "{why}");
    telecom.stop().await.unwrap();
    cloud.stop().await.unwrap();
}

/// A MISP feed in a directory: what this member's organisation wrote becomes its sightings, others' events objects.
#[tokio::test(flavor = "multi_thread")]
async fn a_misp_feed_becomes_own_sightings_and_others_objects_each_version_once() {
    let ours = Bench::start().await;
    let dir = tempfile::tempdir().unwrap();
    let feed = dir.path().join("feed");
    std::fs::create_dir(&feed).unwrap();
    let event = |n, organisation: &str, timestamp| write_event(&feed, n, organisation, timestamp);
    let (own, other) = ("55f6ea5e-2c60-40e5-964f-47a8950d210f", "55f6ea5e-2c60-40e5-964f-47a8950d2100");
    let then = crate::support::now().as_millis() / 1_000 - 60;
    let write = |events: Vec<(String, Value)>| {
        let manifest: serde_json::Map<String, Value> = events.into_iter().collect();
        std::fs::write(feed.join("manifest.json"), Value::Object(manifest).to_string()).unwrap();
    };
    write(vec![event(1, own, then), event(2, other, then), ("no-uuid".to_owned(), json!({}))]);
    let pull = format!(
        "[[pull]]\nname = 'misp'\nkind = 'misp'\norganisations = ['{own}']\ngrade = 'payload'\nevery = '1d'\n\
         [pull.from]\nurl = 'file://{}/'\n",
        feed.display()
    );
    let running = agent(dir.path(), &ours, "telecom", &pull).await;
    let seen = counts(&look(&running, "misp").await);
    // The identity of the other organisation, and its indicator.
    assert_eq!((seen["sightings"], seen["objects"], seen["refused:malformed"]), (1, 2, 1), "{seen:?}");
    write(vec![event(1, own, then), event(2, other, then), event(3, own, then + 1), event(4, own, then + 2)]);
    std::fs::remove_file(feed.join("5b6e8e2d-0000-4000-8000-000000000003.json")).unwrap();
    let seen = counts(&look(&running, "misp").await);
    assert_eq!((seen["sightings"], seen["objects"], seen["refused:missing"]), (2, 2, 1), "only what is new: {seen:?}");
    let here = held(&ours, SIGHTINGS).await;
    let indicator = here.iter().find(|object| object["type"] == "indicator").unwrap();
    assert_eq!(indicator["created_by_ref"], format!("identity--{other}"), "{indicator}");
    assert_eq!(indicator["external_references"][0]["external_id"], "5b6e8e2d-0000-4000-8000-000000000002");
    running.stop().await.unwrap();
}

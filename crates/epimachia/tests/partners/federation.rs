//! Two alliances: what one found, the other sees with its origin, decides about by itself, and puts in force.

use crate::alliance::{Alliance, look_well, sighting, told, wait_for};
use agent::Request;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use testbed::{Rpz, Rtype, Unbound, World, free_port};

const BAD: &str = "update.botnet.test";
const ZONE: &str = "rpz.other.example";

fn pull(name: &str, collection: &str, from: &str) -> String {
    format!("[[pull]]\nname = '{name}'\nkind = 'taxii'\ncollection = '{collection}'\nevery = '1d'\n[pull.from]\n{from}")
}

/// The bank's agent of the alliance; it drives a real Unbound.
async fn bank(alliance: &Alliance, world: &World) -> (agent::Running, Unbound) {
    let primary = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let zones = [Rpz { zone: ZONE.to_owned(), primary }];
    let resolver = Unbound::start(&zones, world.port()).unwrap();
    let at = resolver.address();
    let rest = format!(
        "[[point]]\ntype = 'rpz'\nname = 'resolver'\nzone = '{ZONE}'\nlisten = '{primary}'\nserial_file = 'serial'\n\
         resolvers = ['{at}']\nnotify = ['{at}']\nallow_unsigned = ['127.0.0.1']\n"
    );
    (alliance.agent("bank", &rest).await, resolver)
}

/// Whose word counts, which stands in one line each.
fn reporters(finding: &Value) -> BTreeSet<&str> {
    let lines = finding["sum"]["lines"].as_array().unwrap().iter();
    let lines: Vec<&Value> = lines.filter(|line| line["points"].as_f64().unwrap() > 0.0).collect();
    let names: BTreeSet<&str> = lines.iter().map(|line| line["member"].as_str().unwrap()).collect();
    assert_eq!(names.len(), lines.len(), "nobody counts twice: {finding}");
    names
}

/// The indicator of an alliance's only finding.
async fn indicator(alliance: &Alliance) -> Value {
    wait_for("a finding", async || {
        let findings = alliance.objects("findings").await;
        let indicators: Vec<Value> = findings.into_iter().filter(|object| object["type"] == "indicator").collect();
        assert!(indicators.len() < 2, "{indicators:?}");
        indicators.into_iter().next()
    })
    .await
}

fn resolves(resolver: &Unbound, rcode: &str) -> bool {
    resolver.ask(BAD, Rtype::A).is_some_and(|answer| answer.rcode == rcode)
}

/// A found a name. At B one member met it once, which is not enough, and A's word is no evidence there, whoever brings
/// it. A person of another member reads it and answers for it: B finds, B plans, the resolver of B's bank refuses the
/// name. A's finding stays A's, and comes back to A as an echo.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_alliance_found_is_answered_for_in_the_other_planned_and_read_back_at_a_members_resolver() {
    let (a, b) = (Alliance::start("one.alliance").await, Alliance::start("other.alliance").await);
    a.report("cloud", 1, BAD).await;
    a.report("bank", 1, BAD).await;
    let found = indicator(&a).await;
    let world = World::start().unwrap();
    let (bank, resolver) = bank(&b, &world).await;

    // Two members of B bring what A found: it is there once, as A wrote it, and counts for nothing.
    let telecom = b.agent("telecom", &pull("from-a", "findings", &a.way("telecom"))).await;
    let cloud = b.agent("cloud", &pull("from-a", "findings", &a.way("cloud"))).await;
    for agent in [&telecom, &cloud] {
        assert!(look_well(agent, "from-a").await["objects"] >= 2);
    }
    let seen = told(&cloud, Request::Report { sightings: vec![sighting(BAD)] }).await;
    assert_eq!(seen, "1 sighting waits for the hub");
    let finding = b.finding(BAD).await;
    assert_eq!((reporters(&finding), &finding["state"]), (["cloud"].into(), &json!("observed")));
    let said = b.types("telecom", &["object", "search", BAD, "--type", "indicator", "--json"]);
    let said = said.as_array().unwrap();
    assert_eq!(said.iter().map(|row| &row["object"]).collect::<Vec<_>>(), [&found], "A's, with its author and marking");
    assert!(b.objects("plans").await.is_empty() && resolves(&resolver, "NOERROR"), "nobody is asked for anything");

    // Ada of telecom has looked at it. Telecom answers for it, once.
    b.types("telecom", &["sighting", "add", BAD, "--behaviour", "c2", "--agent", "state-telecom", "--json"]);
    let held = wait_for("the bank has read it back", async || {
        let held = told(&bank, Request::Mitigations).await;
        held.as_array().unwrap().iter().find(|held| held["state"] == "verified").cloned()
    })
    .await;
    assert!(held["observable"] == BAD && resolves(&resolver, "NXDOMAIN"), "{held}");
    let finding = b.finding(BAD).await;
    assert_eq!((&held["finding"], reporters(&finding)), (&finding["id"], ["cloud", "telecom"].into()));
    let of_b = indicator(&b).await;
    let kept: Vec<Value> = b.objects("sightings").await.into_iter().filter(|o| o["type"] == "indicator").collect();
    assert!(kept.len() == 1 && kept[0] == found, "still A's: {kept:?}");
    assert!(of_b["id"] != found["id"] && of_b["created_by_ref"] != found["created_by_ref"], "{of_b}");

    // A pulls from B: its own comes back as an echo, what B found is B's word and no evidence.
    let feeds = pull("findings-of-b", "findings", &b.way("telecom")) + &pull("back", "sightings", &b.way("telecom"));
    let ours = a.agent("telecom", &feeds).await;
    let back = look_well(&ours, "back").await;
    assert!(back["echo"] >= 2, "{back:?}");
    assert!(look_well(&ours, "findings-of-b").await["objects"] >= 2);
    let here: Vec<Value> = a.objects("sightings").await.into_iter().filter(|o| o["type"] == "indicator").collect();
    assert_eq!(here, [of_b], "and not its own");
    assert_eq!(reporters(&a.finding(BAD).await), ["bank", "cloud"].into());
    assert_eq!(indicator(&a).await, found, "nothing became of A's finding");

    // Telecom takes its word back: cloud alone is not enough, and the resolver lets the name through again.
    let words = ["sighting", "retract", BAD, "--behaviour", "c2", "--reason", "a mistake", "--agent", "state-telecom"];
    b.types("telecom", &[&words[..], &["--json"]].concat());
    wait_for("cloud's word alone", async || (reporters(&b.finding(BAD).await) == ["cloud"].into()).then_some(())).await;
    wait_for("the bank lets it through", async || resolves(&resolver, "NOERROR").then_some(())).await;
    for agent in [bank, telecom, cloud, ours] {
        agent.stop().await.unwrap();
    }
}

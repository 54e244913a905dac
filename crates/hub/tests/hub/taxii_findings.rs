//! Findings through TAXII: who sees them, with their reasons, and what members say of them.

use crate::support::{Bench, now, sighting};
use crate::taxii::{SIGHTINGS, get, get_json, ids, indicator, push};
use model::{Retraction, SignedRetraction, Span};
use serde_json::{Value, json};

const FINDINGS: &str = "/taxii2/alliance/collections/findings/objects/";

/// Two members' agents report an address under this handling.
async fn corroborate(bench: &Bench, sequence: u64, value: &str, handling: Value) {
    for member in ["telecom", "cloud"] {
        let mut seen = sighting(value);
        seen["handling"] = handling.clone();
        let report = crate::support::signed_report(member, sequence, &[seen]);
        assert_eq!(bench.report(member, report).await.0, 200);
    }
}

/// The objects of a collection once there are some.
async fn wait_for(bench: &Bench, who: &str, path: &str) -> Vec<Value> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < crate::support::PATIENCE {
        if let (200, Value::Object(page)) = get_json(bench, who, path).await
            && let Some(objects) = page.get("objects").and_then(Value::as_array)
        {
            return objects.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{path} stays empty for {who}");
}

fn of_type<'o>(objects: &'o [Value], kind: &str) -> Vec<&'o Value> {
    objects.iter().filter(|object| object["type"] == kind).collect()
}

/// References to what does not stand beside them.
fn lost(objects: &[Value]) -> Vec<String> {
    let known = ids(&json!({ "objects": objects }));
    let fields = objects.iter().flat_map(|object| object.as_object().unwrap());
    let named = fields.filter(|(name, _)| name.ends_with("_ref") || name.ends_with("_refs"));
    let each = named.flat_map(|(_, value)| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
    each.map(|value| value.as_str().unwrap().to_owned()).filter(|id| !known.contains(id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_is_pulled_with_marking_reasons_and_the_way_back() {
    let bench = Bench::start().await;
    corroborate(&bench, 1, "80.2.0.1", json!({ "tlp": "clear" })).await;
    let objects = wait_for(&bench, "bank", FINDINGS).await;
    let indicator = of_type(&objects, "indicator")[0];
    assert_eq!(indicator["pattern"], "[ipv4-addr:value = '80.2.0.1']");
    assert_eq!(indicator["object_marking_refs"], json!([crate::taxii::CLEAR]));
    let finding = indicator["external_references"][0]["external_id"].as_str().unwrap();
    assert_eq!(bench.get("bank", &format!("/api/v1/findings/{finding}")).await.0, 200);
    assert!(of_type(&objects, "note")[0]["content"].as_str().unwrap().contains("needed 2"));
    assert_eq!(of_type(&objects, "sighting").len(), 2, "each reporter is named to members");
    for object in &objects {
        let id = object["id"].as_str().unwrap();
        let (code, one) = get_json(&bench, "bank", &format!("{FINDINGS}{id}/")).await;
        assert_eq!((code, &one["objects"][0]), (200, object), "{id}");
        let (_, versions) = get_json(&bench, "bank", &format!("{FINDINGS}{id}/versions/")).await;
        assert!(!versions["versions"].as_array().unwrap().is_empty(), "{id}");
    }
    let (_, manifest) = get_json(&bench, "bank", &FINDINGS.replace("objects", "manifest")).await;
    assert_eq!(ids(&manifest), objects.iter().map(|o| o["id"].as_str().unwrap()).collect::<Vec<_>>());
    let public = wait_for(&bench, "", "/taxii2/public/collections/findings/objects/").await;
    assert_eq!(of_type(&public, "sighting").len(), 1, "nobody is named outside");
    for (objects, identities) in [(&objects, 4), (&public, 2)] {
        assert_eq!(of_type(objects, "identity").len(), identities, "{objects:?}");
        assert_eq!(lost(objects), Vec::<String>::new(), "what nobody can look up");
    }
    assert!(!public.iter().any(|object| object.to_string().contains("telecom")), "{public:?}");
    assert_eq!(
        push(&bench, "cloud", "/taxii2/alliance/collections/findings", &[crate::taxii::indicator(1)]).await.0,
        403
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_page_by_next_and_by_time_without_a_gap() {
    let bench = Bench::start().await;
    for n in 0..6 {
        corroborate(&bench, n + 1, &format!("80.2.1.{n}"), json!({ "tlp": "green" })).await;
    }
    let wanted = loop {
        let all = wait_for(&bench, "bank", FINDINGS).await;
        if of_type(&all, "indicator").len() == 6 {
            break all;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let wanted: Vec<&str> = wanted.iter().map(|object| object["id"].as_str().unwrap()).collect();
    for by_time in [false, true] {
        let (mut found, mut cursor) = (Vec::new(), String::new());
        loop {
            let response = get(&bench, "bank", &format!("{FINDINGS}?limit=4{cursor}")).await;
            let last = response.headers()["x-taxii-date-added-last"].to_str().unwrap().to_owned();
            let (_, page) = crate::support::read(response).await;
            found.extend(ids(&page));
            cursor = match (page["next"].as_str(), by_time) {
                (None, _) => break,
                (Some(next), false) => format!("&next={next}"),
                (Some(_), true) => format!("&added_after={last}"),
            };
        }
        assert_eq!(found, wanted, "{by_time}");
    }
    let indicators = get_json(&bench, "bank", &format!("{FINDINGS}?match[type]=indicator")).await.1;
    assert_eq!(ids(&indicators).len(), 6);
    assert!(get_json(&bench, "bank", &format!("{FINDINGS}?match[type]=malware")).await.1["objects"].is_null());
}

/// A member's agent takes back what it said of an address.
async fn retract(bench: &Bench, member: &str, sequence: u64, value: &str) {
    let key = crate::support::key(member, false);
    let retraction = Retraction {
        author: member.parse().unwrap(),
        key: key.public().id(),
        sequence,
        made: now(),
        observable: value.parse().unwrap(),
        behaviour: model::Behaviour::Scan,
        reason: "our own scanner".to_owned(),
    };
    let body = json!(SignedRetraction { signature: key.sign(&retraction), retraction });
    assert_eq!(bench.post(member, "/api/v1/retractions", &body).await.0, 200);
}

/// All versions of all objects once there are so many versions of the indicator.
async fn every_version(bench: &Bench, of_indicators: usize) -> Vec<Value> {
    loop {
        let all = wait_for(bench, "bank", &format!("{FINDINGS}?match[version]=all")).await;
        if of_type(&all, "indicator").len() >= of_indicators {
            break all;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_on_a_page_is_got_by_its_identifier_whichever_versions_have_the_object() {
    let bench = Bench::start().await;
    let value = "80.2.3.1";
    corroborate(&bench, 1, value, json!({ "tlp": "green" })).await;
    every_version(&bench, 1).await;
    retract(&bench, "cloud", 2, value).await;
    every_version(&bench, 2).await;
    // A reporter that the first version did not know of.
    let mut seen = sighting(value);
    seen["handling"] = json!({ "tlp": "green" });
    assert_eq!(bench.report("bank", crate::support::signed_report("bank", 1, &[seen])).await.0, 200);
    let all = every_version(&bench, 3).await;
    let sightings = of_type(&all, "sighting");
    assert!(sightings.iter().any(|sighting| sighting["revoked"] == true), "what cloud took back: {sightings:?}");
    for object in &all {
        let id = object["id"].as_str().unwrap();
        let (code, one) = get_json(&bench, "bank", &format!("{FINDINGS}{id}/?match[version]=all")).await;
        assert_eq!(code, 200, "{id}");
        assert!(one["objects"].as_array().unwrap().contains(object), "{id}: {one}");
        let (_, versions) = get_json(&bench, "bank", &format!("{FINDINGS}{id}/versions/")).await;
        let version = object.get("modified").or_else(|| object.get("created"));
        let versions = versions["versions"].as_array().unwrap();
        assert!(version.is_none_or(|version| versions.contains(version)), "{id}: {version:?} of {versions:?}");
        let (mut one_by_one, mut next) = (Vec::new(), String::new());
        loop {
            let (_, page) = get_json(&bench, "bank", &format!("{FINDINGS}{id}/versions/?limit=1{next}")).await;
            one_by_one.extend(page["versions"].as_array().unwrap().clone());
            match page["next"].as_str() {
                Some(place) => next = format!("&next={place}"),
                None => break,
            }
        }
        assert_eq!(one_by_one, *versions, "{id}");
        let beyond = format!("{FINDINGS}{id}/versions/?added_after=2100-01-01T00:00:00Z");
        let (code, none) = get_json(&bench, "bank", &beyond).await;
        assert_eq!((code, none["versions"].as_array().is_none_or(Vec::is_empty)), (200, true), "{id}: {none}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opinions_and_revocations_of_findings_are_objections_that_a_person_has_to_sign() {
    let bench = Bench::start().await;
    corroborate(&bench, 1, "80.2.2.1", json!({ "tlp": "green" })).await;
    let objects = wait_for(&bench, "bank", FINDINGS).await;
    let indicator = of_type(&objects, "indicator")[0].clone();
    let at = now();
    let opinion = json!({
        "type": "opinion", "spec_version": "2.1", "id": "opinion--00000001-1111-4111-8111-111111111111",
        "created": at, "modified": at, "opinion": "strongly-disagree", "explanation": "our own scanner",
        "labels": ["own-asset"], "object_refs": [indicator["id"]],
    });
    assert_eq!(push(&bench, "bank", SIGHTINGS, std::slice::from_ref(&opinion)).await.1["success_count"], 1);
    let mut revoked = indicator;
    revoked["revoked"] = true.into();
    assert_eq!(push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&revoked)).await.1["success_count"], 1);
    let (_, why) = bench.get("telecom", "/api/v1/why?value=80.2.2.1").await;
    let said: Vec<(&str, &str)> = why["findings"][0]["objections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|objection| (objection["member"].as_str().unwrap(), objection["ground"].as_str().unwrap()))
        .collect();
    assert_eq!(said, [("bank", "own-asset"), ("cloud", "false-positive")], "{why}");
    assert_eq!(why["findings"][0]["finding"]["state"], "corroborated", "what nobody signed lifts nothing");
    let at = now();
    let seen = json!({
        "type": "sighting", "spec_version": "2.1", "id": "sighting--00000002-1111-4111-8111-111111111111",
        "created": at, "modified": at, "sighting_of_ref": opinion["object_refs"][0], "count": 1, "labels": ["scan"],
        // Unmarked it is AMBER, and left out of what was published as GREEN.
        "object_marking_refs": revoked["object_marking_refs"],
    });
    let (_, status) = push(&bench, "bank", SIGHTINGS, &[seen]).await;
    assert_eq!(status["successes"][0].get("message"), None, "{status}");
    let (_, why) = bench.get("telecom", "/api/v1/why?value=80.2.2.1").await;
    let lines = why["findings"][0]["finding"]["sum"]["lines"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["member"] == "bank"), "a sighting of the finding counts: {why}");
}

/// A later version of a finding's indicator, revoked, under the alliance's own identifier: in a collection it would be
/// the alliance's word to whoever follows it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_alliance_alone_writes_is_heard_from_others_and_never_served_as_theirs() {
    let bench = Bench::start().await;
    corroborate(&bench, 1, "80.2.4.1", json!({ "tlp": "clear" })).await;
    let objects = wait_for(&bench, "cloud", FINDINGS).await;
    let (indicator, note) = (of_type(&objects, "indicator")[0], of_type(&objects, "note")[0]);
    let later = |object: &Value| {
        let mut object = object.clone();
        object["modified"] = json!(now());
        object
    };
    let mut revoked = later(indicator);
    revoked["revoked"] = true.into();
    let (_, status) = push(&bench, "cloud", SIGHTINGS, std::slice::from_ref(&revoked)).await;
    assert!(status["successes"][0]["message"].as_str().unwrap().contains("not kept: the alliance alone"), "{status}");
    let mut other = later(indicator);
    other["pattern"] = "[ipv4-addr:value = '80.2.4.2']".into();
    let identity = |name: &str| json!(share::stix::ours::member_id("test.alliance", &name.parse().unwrap()));
    let alliance = json!(share::stix::ours::alliance_id("test.alliance"));
    let of_who = |id: &Value| {
        let mut object = later(&share::stix::ours::alliance("test.alliance"));
        object["id"] = id.clone();
        object
    };
    let upper = json!(alliance.as_str().unwrap().to_uppercase().replace("IDENTITY", "identity"));
    let own = [other, later(note), of_who(&alliance), of_who(&upper), of_who(&identity("bank"))];
    let (_, status) = push(&bench, "cloud", SIGHTINGS, &own).await;
    assert_eq!((&status["success_count"], &status["failure_count"]), (&json!(0), &json!(5)), "{status}");
    for failure in status["failures"].as_array().unwrap() {
        assert!(failure["message"].as_str().unwrap().contains("the alliance alone writes"), "{failure}");
    }
    for root in ["public", "alliance"] {
        let path = format!("/taxii2/{root}/collections/sightings/objects/?match[version]=all");
        assert_eq!(ids(&get_json(&bench, "bank", &path).await.1), Vec::<String>::new(), "{root}");
        let path = format!("{path}&match[id]={}", indicator["id"].as_str().unwrap());
        assert_eq!(ids(&get_json(&bench, "bank", &path).await.1), Vec::<String>::new(), "{root}");
    }
    let (_, why) = bench.get("telecom", "/api/v1/why?value=80.2.4.1").await;
    assert_eq!(why["findings"][0]["objections"][0]["member"], "cloud", "{why}");
    assert_eq!(why["findings"][0]["objections"].as_array().unwrap().len(), 1, "{why}");
    assert_eq!(bench.get("telecom", "/api/v1/why?value=80.2.4.2").await.1["known"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_in_their_members_name_or_in_that_of_somebody_outside() {
    let bench = Bench::start().await;
    let by = |n: u32, author: String| {
        let mut object = indicator(n);
        object["created_by_ref"] = author.into();
        object
    };
    let of_member = |name: &str| share::stix::ours::member_id("test.alliance", &name.parse().unwrap());
    let mut foreign = by(3, share::stix::ours::alliance_id("other.alliance"));
    let finding = model::FindingId::of(&model::Digest::of(&[b"theirs"]));
    foreign["id"] = share::stix::back::indicator_id("other.alliance", &finding).into();
    let objects = [
        by(1, share::stix::ours::alliance_id("test.alliance")),
        by(2, of_member("bank")),
        foreign.clone(),
        by(4, of_member("cloud")),
        by(5, "identity--f431f809-377b-45e0-aa1c-6a4751cae5ff".to_owned()),
    ];
    let (_, status) = push(&bench, "cloud", SIGHTINGS, &objects).await;
    let refused = status["failures"].as_array().unwrap();
    let told = |n: usize, word| refused[n]["message"].as_str().unwrap().contains(word);
    assert!(refused.len() == 2 && told(0, "that of the alliance") && told(1, "that of another member"), "{status}");
    let (_, kept) = get_json(&bench, "bank", &format!("{SIGHTINGS}/objects/")).await;
    assert_eq!(kept["objects"], json!([foreign, objects[3], objects[4]]), "another alliance's with its origin");
}

/// Both took back what they said, and for forty days nobody saw it: the alliance forgets it, the journal does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_finding_that_the_alliance_forgot_is_answered_for_from_the_journal() {
    let bench = Bench::start().await;
    let long = Span::days(90);
    let token = bench.token("admin", "bank", [alliance::Scope::Read].into(), long).await.unwrap();
    let mut objects = [indicator(1), indicator(1)];
    for (n, (member, object)) in ["telecom", "cloud"].into_iter().zip(&mut objects).enumerate() {
        object["id"] = format!("indicator--0000000{n}-3333-4333-8333-333333333333").into();
        assert_eq!(push(&bench, member, SIGHTINGS, std::slice::from_ref(object)).await.1["success_count"], 1);
    }
    let id = crate::submit::wait_for_item(&bench, "/api/v1/findings").await["id"].as_str().unwrap().to_owned();
    for (member, object) in ["telecom", "cloud"].into_iter().zip(&mut objects) {
        object["revoked"] = true.into();
        object["modified"] = json!(now());
        assert_eq!(push(&bench, member, SIGHTINGS, std::slice::from_ref(object)).await.1["success_count"], 1);
    }
    let path = format!("/api/v1/findings/{id}");
    let begun = std::time::Instant::now();
    let last = loop {
        let (_, finding) = bench.get("bank", &path).await;
        if finding["state"] == "faded" {
            break finding;
        }
        assert!(begun.elapsed() < crate::support::PATIENCE, "{finding}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let mut bench = bench.restart_after(Span::days(40)).await;
    bench.tokens.insert("bank".to_owned(), token);
    assert_eq!(bench.get("bank", "/api/v1/findings").await.1["items"], json!([]));
    assert_eq!(bench.get("bank", &path).await, (200, last.clone()));
    for value in ["80.0.0.1", &id] {
        let (_, why) = bench.get("bank", &format!("/api/v1/why?value={value}")).await;
        assert_eq!((&why["known"], &why["findings"][0]["finding"]), (&json!(true), &last), "{why}");
    }
    let (_, other) = bench.get("bank", "/api/v1/why?value=80.0.0.2").await;
    assert_eq!((&other["known"], &other["findings"]), (&json!(false), &json!([])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_a_course_of_action_that_mitigates_its_findings() {
    const PLANS: &str = "/taxii2/alliance/collections/plans/objects/";
    let bench = Bench::start().await;
    corroborate(&bench, 1, "80.2.3.1", json!({ "tlp": "green" })).await;
    let plan = crate::submit::wait_for_item(&bench, "/api/v1/plans").await;
    let objects = loop {
        let objects = wait_for(&bench, "bank", PLANS).await;
        if of_type(&objects, "course-of-action")[0]["extensions"].to_string().contains("in-force") {
            break objects;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let action = of_type(&objects, "course-of-action")[0];
    assert_eq!(action["external_references"][0]["external_id"], plan["id"]);
    assert_eq!(action["revoked"], false);
    let indicator = of_type(&wait_for(&bench, "bank", FINDINGS).await, "indicator")[0]["id"].clone();
    let mitigates = of_type(&objects, "relationship")[0];
    assert_eq!((&mitigates["source_ref"], &mitigates["target_ref"]), (&action["id"], &indicator));
    assert!(mitigates.to_string().contains("80.2.3.1"), "who is asked to do what: {mitigates}");
    for object in &objects {
        let path = format!("{PLANS}{}/", object["id"].as_str().unwrap());
        assert_eq!(get_json(&bench, "bank", &path).await.1["objects"], json!([object]));
        let (_, versions) = get_json(&bench, "bank", &format!("{path}versions/")).await;
        let of_plan = object["id"] == action["id"] || object["id"] == mitigates["id"];
        let count = versions["versions"].as_array().unwrap().len();
        assert_eq!(count, if of_plan { 2 } else { 1 }, "proposed, in force: {versions}");
    }
    assert_eq!(lost(&objects), [indicator.as_str().unwrap()], "what stands in the collection of findings");
    let (_, every) =
        get_json(&bench, "bank", &format!("{PLANS}?match[version]=all&match[type]=course-of-action")).await;
    let stages: Vec<&str> = every["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| object["extensions"].as_object().unwrap().values().next().unwrap()["state"].as_str().unwrap())
        .collect();
    assert_eq!(stages, ["proposed", "in-force"]);
    let (_, manifest) = get_json(&bench, "bank", &PLANS.replace("objects", "manifest")).await;
    assert_eq!(ids(&manifest), objects.iter().map(|o| o["id"].as_str().unwrap()).collect::<Vec<_>>());
    assert_eq!(push(&bench, "cloud", "/taxii2/alliance/collections/plans", &[crate::taxii::indicator(1)]).await.0, 403);
    assert_eq!(get(&bench, "", "/taxii2/public/collections/plans/objects/").await.status(), 404);
}

/// Root, marking, group, viewer: who sees what stands in one table and is asked of every route.
#[tokio::test(flavor = "multi_thread")]
async fn every_route_shows_each_marking_to_whom_it_may_and_to_nobody_else() {
    let bench = Bench::start_with(|config| config.join.strangers_per_minute_max = 100_000).await;
    let green = indicator(1);
    let (mut clear, mut amber, mut strict) = (indicator(2), indicator(3), indicator(4));
    clear["object_marking_refs"] = json!([crate::taxii::CLEAR]);
    amber.as_object_mut().unwrap().remove("object_marking_refs");
    strict["object_marking_refs"] = json!(["marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"]);
    let mut red = indicator(5);
    red["object_marking_refs"] = json!([crate::taxii::RED]);
    let (_, status) = push(&bench, "cloud", SIGHTINGS, &[green, clear, amber, strict, red]).await;
    assert_eq!((&status["success_count"], &status["failure_count"]), (&json!(4), &json!(1)));
    let pair = "/taxii2/group-pair/collections/shares";
    assert_eq!(push(&bench, "cloud", pair, &[indicator(6)]).await.1["success_count"], 1);
    assert_eq!(push(&bench, "bank", pair, &[indicator(7)]).await.0, 404, "not of the group");
    // By viewer: what is seen under the public root, the alliance's, the group's.
    type Numbers = Option<&'static [u32]>;
    let table: [(&str, Numbers, Numbers, Numbers); 4] = [
        ("", Some(&[2]), None, None),
        ("bank", Some(&[2]), Some(&[1, 2, 3, 4]), None),
        ("telecom", Some(&[2]), Some(&[1, 2, 3, 4]), Some(&[6])),
        ("cloud", Some(&[2]), Some(&[1, 2, 3, 4]), Some(&[6])),
    ];
    for (who, public, alliance, group) in table {
        let collections = [("/taxii2/public/collections/sightings", public), (SIGHTINGS, alliance), (pair, group)];
        for (collection, seen) in collections {
            for what in ["objects", "manifest"] {
                let (code, page) = get_json(&bench, who, &format!("{collection}/{what}/")).await;
                match seen {
                    Some(seen) => {
                        let wanted: Vec<String> = seen.iter().map(|n| crate::taxii::id(*n)).collect();
                        assert_eq!((code, ids(&page)), (200, wanted), "{who:?} {collection}");
                    }
                    None => assert!([401, 404].contains(&code), "{who:?} {collection}: {code}"),
                }
            }
            for n in 1..=7 {
                let id = crate::taxii::id(n);
                for path in [format!("{collection}/objects/{id}/"), format!("{collection}/objects/{id}/versions/")] {
                    let code = get(&bench, who, &path).await.status().as_u16();
                    let may = seen.is_some_and(|seen| seen.contains(&n));
                    assert!(if may { code == 200 } else { [401, 404].contains(&code) }, "{who:?} {path}: {code}");
                }
                let matched = get_json(&bench, who, &format!("{collection}/objects/?match[id]={id}")).await.1;
                assert_eq!(!ids(&matched).is_empty(), seen.is_some_and(|seen| seen.contains(&n)), "{who:?} {id}");
            }
        }
    }
    let (_, journal) = bench.get("bank", "/api/v1/journal").await;
    assert!(!journal.to_string().contains(&crate::taxii::id(6)), "nor by the journal");
    assert!(journal.to_string().contains(&crate::taxii::id(1)));
    for value in ["80.0.0.6", "80.0.0.5"] {
        assert_eq!(bench.get("bank", &format!("/api/v1/why?value={value}")).await.1["known"], false, "{value}");
    }
    assert_eq!(bench.get("telecom", "/api/v1/why?value=80.0.0.6").await.1["known"], true);
}

//! A real CrowdSec: what its machines saw becomes signed sightings of the member that runs them.

use crate::alliance::{Alliance, look, look_well, now, secret};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testbed::CrowdSec;

const PASSWORD: &str = "of-the-agents-machine";

/// A machine that is logged in and adds alerts.
struct Machine<'a> {
    crowdsec: &'a CrowdSec,
    http: reqwest::Client,
    token: String,
}

impl<'a> Machine<'a> {
    async fn log_in(crowdsec: &'a CrowdSec, name: &str, password: &str) -> Self {
        let http = reqwest::Client::builder().user_agent("crowdsec/1.4.6").build().unwrap();
        let who = json!({ "machine_id": name, "password": password, "scenarios": [] });
        let login = http.post(format!("{}v1/watchers/login", crowdsec.url())).json(&who).send().await.unwrap();
        let login: Value = login.error_for_status().unwrap().json().await.unwrap();
        Self { crowdsec, http, token: login["token"].as_str().unwrap().to_owned() }
    }

    async fn saw(&self, scenario: &str, scope: &str, value: &str) {
        let ban = json!({ "origin": "crowdsec", "type": "ban", "scope": scope, "value": value, "duration": "4h",
            "scenario": scenario });
        let alert = json!({ "scenario": scenario, "scenario_hash": "", "scenario_version": "0.1", "simulated": false,
            "message": format!("{value} {scenario}"), "capacity": 5, "leakspeed": "10s", "events": [],
            "events_count": 6, "labels": [], "remediation": true, "decisions": [ban],
            "source": { "scope": scope, "value": value }, "start_at": now(), "stop_at": now() });
        let request = self.http.post(format!("{}v1/alerts", self.crowdsec.url())).bearer_auth(&self.token);
        request.json(&[alert]).send().await.unwrap().error_for_status().unwrap();
    }
}

async fn agent(alliance: &Alliance, crowdsec: &CrowdSec) -> agent::Running {
    secret(&alliance.dir.path().join("crowdsec.password"), PASSWORD);
    let url = crowdsec.url();
    let pull = format!(
        "[[pull]]\nname = 'crowdsec'\nkind = 'crowdsec'\nas = 'own'\nevery = '1d'\nhandling = {{ tlp = 'green' }}\n\
         [pull.from]\nurl = '{url}'\nuser = 'epimachia'\npassword = 'crowdsec.password'\n"
    );
    alliance.agent("telecom", &pull).await
}

fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
}

/// What the hub holds of a value, by its only reporter.
async fn told(alliance: &Alliance, value: &str) -> (Value, Value, Value) {
    let finding = alliance.finding(value).await;
    let lines = finding["sum"]["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1, "{finding}");
    assert!(lines[0].get("note").is_none_or(|note| !note.to_string().contains("not signed")), "{finding}");
    (finding["behaviours"][0].clone(), lines[0]["grade"].clone(), lines[0]["member"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_a_real_crowdsec_become_signed_sightings_once_each() {
    let alliance = Alliance::start("one.alliance").await;
    let crowdsec = CrowdSec::start().unwrap();
    crowdsec.add_machine("sensor", "of-the-sensor").unwrap();
    crowdsec.add_machine("epimachia", PASSWORD).unwrap();
    let sensor = Machine::log_in(&crowdsec, "sensor", "of-the-sensor").await;
    sensor.saw("crowdsecurity/ssh-bf", "Ip", "80.4.0.1").await;
    sensor.saw("crowdsecurity/http-probing", "Ip", "80.4.0.2").await;
    sensor.saw("crowdsecurity/iptables-scan-multi_ports", "Ip", "2600:4::1").await;
    // What a person banned by hand says nothing of what was seen.
    crowdsec.cscli(&["decisions", "add", "--ip", "80.4.0.9", "--reason", "ssh-bf"]).unwrap();
    let running = agent(&alliance, &crowdsec).await;
    let first = counts(&[("sightings", 3), ("skipped:second_hand", 1)]);
    assert_eq!(look_well(&running, "crowdsec").await, first);
    let saw = |behaviour: &str, grade: &str| (json!(behaviour), json!(grade), json!("telecom"));
    assert_eq!(told(&alliance, "80.4.0.1").await, saw("bruteforce", "handshake"));
    assert_eq!(told(&alliance, "80.4.0.2").await, saw("scan", "payload"));
    assert_eq!(told(&alliance, "2600:4::1").await, saw("scan", "spoofable"));
    assert_eq!(look_well(&running, "crowdsec").await, first, "nothing comes twice");

    // What a person lets go at CrowdSec was seen all the same; what comes after is read on.
    crowdsec.cscli(&["decisions", "delete", "--ip", "80.4.0.1"]).unwrap();
    crowdsec.cscli(&["alerts", "delete", "--ip", "80.4.0.2"]).unwrap();
    sensor.saw("crowdsecurity/ssh-bf", "Ip", "80.4.0.3").await;
    let second = counts(&[("sightings", 4), ("skipped:second_hand", 1)]);
    assert_eq!(look_well(&running, "crowdsec").await, second);
    assert_eq!(told(&alliance, "80.4.0.3").await, saw("bruteforce", "handshake"));
    assert_eq!(told(&alliance, "80.4.0.1").await, saw("bruteforce", "handshake"), "still known");
    running.stop().await.unwrap();
    let running = agent(&alliance, &crowdsec).await;
    assert_eq!(look_well(&running, "crowdsec").await, second, "nor after a restart");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_counts_no_more_is_made_anew_and_one_that_is_refused_is_said_and_tried_again() {
    let alliance = Alliance::start("one.alliance").await;
    let mut crowdsec = CrowdSec::start().unwrap();
    crowdsec.add_machine("sensor", "of-the-sensor").unwrap();
    crowdsec.add_machine("epimachia", PASSWORD).unwrap();
    Machine::log_in(&crowdsec, "sensor", "of-the-sensor").await.saw("crowdsecurity/ssh-bf", "Ip", "80.4.1.1").await;
    let running = agent(&alliance, &crowdsec).await;
    assert_eq!(look_well(&running, "crowdsec").await, counts(&[("sightings", 1)]));
    crowdsec.restart().unwrap();
    let sensor = Machine::log_in(&crowdsec, "sensor", "of-the-sensor").await;
    sensor.saw("crowdsecurity/ssh-bf", "Ip", "80.4.1.2").await;
    let view = look(&running, "crowdsec").await;
    assert_eq!((&view["failure"], &view["counts"]), (&Value::Null, &json!({ "sightings": 2 })), "at the first try");

    // A login that was made before goes on counting until CrowdSec starts anew.
    crowdsec.cscli(&["machines", "delete", "epimachia"]).unwrap();
    crowdsec.restart().unwrap();
    let sensor = Machine::log_in(&crowdsec, "sensor", "of-the-sensor").await;
    sensor.saw("crowdsecurity/ssh-bf", "Ip", "80.4.1.3").await;
    let view = look(&running, "crowdsec").await;
    let failure = view["failure"].as_str().unwrap();
    assert!(failure.contains("does not let us in") && !failure.contains(PASSWORD), "{failure}");
    crowdsec.add_machine("epimachia", PASSWORD).unwrap();
    let counted = look_well(&running, "crowdsec").await;
    assert!(counted == counts(&[("sightings", 3)]), "nothing was lost, nothing came twice: {counted:?}");
    running.stop().await.unwrap();
}

//! CrowdSec alerts as JSON: what `cscli alerts list -o json` prints and the local API answers at `/v1/alerts`.

pub mod alerts;

use crate::limits::Limits;
use crate::loose::{Number, Truth, moment};
use crate::meaning;
use crate::reading::{Defaults, Reading, Silent, Skip, Word};
use crate::stix::fault;
use model::{Grade, Observable, ParseError, Sensor, Sighting, Timestamp, Tlp};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Alert<'a> {
    #[serde(borrow, default)]
    scenario: Cow<'a, str>,
    #[serde(borrow)]
    source: Place<'a>,
    #[serde(borrow, default)]
    start_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    stop_at: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    created_at: Option<Cow<'a, str>>,
    #[serde(default)]
    events_count: Option<Number>,
    #[serde(default)]
    simulated: Truth,
    #[serde(borrow, default)]
    decisions: Option<Vec<Decision<'a>>>,
}

#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow, default)]
    scope: Cow<'a, str>,
    #[serde(borrow, default)]
    value: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Decision<'a> {
    #[serde(borrow, default)]
    origin: Cow<'a, str>,
}

/// Reads alerts; places are those in the list, from 0. Nothing may have been seen after `latest`.
///
/// # Errors
/// What is beyond `limits` or no list of alerts. A bad alert is refused by itself.
pub fn read(bytes: &[u8], limits: &Limits, defaults: &Defaults, latest: Timestamp) -> Result<Reading, ParseError> {
    let text = limits.json(bytes)?;
    // An empty answer of the local API is `null`.
    let alerts: Vec<&serde_json::value::RawValue> = match text.trim() {
        "null" => Vec::new(),
        text => fault::read("", text)?,
    };
    limits.count("alerts", alerts.len())?;
    let mut reading = Reading::default();
    for (place, alert) in alerts.into_iter().enumerate() {
        let alert = fault::read::<Alert<'_>>("", alert.get()).map_err(Silent::from);
        let sighting = alert.and_then(|alert| sighting(&alert, defaults, latest));
        reading.take(place, sighting.map(|sighting| vec![Word::Sighting(sighting)]));
    }
    Ok(reading)
}

fn sighting(alert: &Alert<'_>, defaults: &Defaults, latest: Timestamp) -> Result<Sighting, Silent> {
    if alert.simulated.0 {
        return Err(Skip::NotForDetection.into());
    }
    // Lists that CrowdSec loads, and bans that a person adds by hand, are no observations of this machine.
    let mut origins = alert.decisions.iter().flatten().map(|decision| &*decision.origin);
    if !matches!(&*alert.source.scope.to_ascii_lowercase(), "ip" | "range") {
        return Err(Skip::NoObservable.into());
    }
    if origins.any(|origin| matches!(origin, "CAPI" | "lists" | "cscli" | "cscli-import" | "console")) {
        return Err(Skip::SecondHand.into());
    }
    let observable: Observable = alert.source.value.parse()?;
    let behaviour = meaning::behaviour([&*alert.scenario]).or(defaults.behaviour).ok_or(Skip::NoBehaviour)?;
    let (first, last) = times(alert, latest)?;
    if defaults.handling.tlp == Tlp::Red {
        return Err(ParseError::new("tlp", "red", "clear, green, amber or amber+strict").into());
    }
    let (sensor, grade) = seen_by(&alert.scenario);
    let count = alert.events_count.map_or(1, |count| u32::try_from(count.0).unwrap_or(1)).max(1);
    let handling = defaults.handling.clone();
    Ok(Sighting { observable, behaviour, first, last, count, sensor, grade, handling })
}

/// What a scenario looks at. Packets that a firewall dropped can carry any address; a service's log line means that
/// somebody answered from there.
fn seen_by(scenario: &str) -> (Sensor, Grade) {
    let is = |part: &str| scenario.contains(part);
    match () {
        () if is("iptables") || is("nftables") || is("port-scan") || is("portscan") => {
            (Sensor::Firewall, Grade::Spoofable)
        }
        () if is("http") || is("nginx") || is("apache") || is("appsec") || is("vpatch") || is("CVE-") => {
            (Sensor::Web, Grade::Payload)
        }
        () if is("postfix") || is("dovecot") || is("smtp") || is("exim") => (Sensor::Mail, Grade::Handshake),
        () if is("dns") || is("named") => (Sensor::Dns, Grade::Spoofable),
        () => (Sensor::Endpoint, Grade::Handshake),
    }
}

fn times(alert: &Alert<'_>, latest: Timestamp) -> Result<(Timestamp, Timestamp), ParseError> {
    let read = |field, text: &Option<Cow<'_, str>>| {
        text.as_deref().filter(|text| !text.is_empty()).map(|text| moment(field, text)).transpose()
    };
    let (start, stop) = (read("start_at", &alert.start_at)?, read("stop_at", &alert.stop_at)?);
    let last = stop.or(read("created_at", &alert.created_at)?).or(start);
    let last = last.ok_or_else(|| ParseError::new("stop_at", "nothing", "a time in RFC 3339"))?;
    let first = start.unwrap_or(last);
    match last < first || last > latest {
        true => {
            Err(ParseError::new("stop_at", &last.to_string(), format_args!("from `start_at`, {first}, to {latest}")))
        }
        false => Ok((first, last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Behaviour, Handling};

    const ALERT: &str = r#"{"capacity":5,"created_at":"2026-05-05T10:00:09Z","decisions":[{"duration":"3h59m","id":1,
        "origin":"crowdsec","scenario":"crowdsecurity/ssh-bf","scope":"Ip","type":"ban","value":"198.51.100.7"}],
        "events_count":6,"id":7,"scenario":"crowdsecurity/ssh-bf","simulated":false,"source":{"as_name":"EXAMPLE",
        "cn":"ZZ","ip":"198.51.100.7","scope":"Ip","value":"198.51.100.7"},"start_at":"2026-05-05T10:00:00.123456789Z",
        "stop_at":"2026-05-05T10:00:08+00:00"}"#;

    fn read_all(text: &str) -> Reading {
        let handling = Handling::alliance(Tlp::Green);
        let defaults = Defaults { handling, behaviour: None, sensor: Sensor::List, grade: Grade::Analyst };
        read(text.as_bytes(), &Limits::ENVELOPE, &defaults, "2026-06-01T00:00:00Z".parse().unwrap()).unwrap()
    }

    fn one(alert: &str) -> Reading {
        read_all(&format!("[{alert}]"))
    }

    #[test]
    fn an_alert_is_a_sighting_as_honest_as_its_scenario() {
        for (scenario, behaviour, sensor, grade) in [
            ("crowdsecurity/ssh-bf", Behaviour::Bruteforce, Sensor::Endpoint, Grade::Handshake),
            ("crowdsecurity/iptables-scan-multi_ports", Behaviour::Scan, Sensor::Firewall, Grade::Spoofable),
            ("crowdsecurity/http-probing", Behaviour::Scan, Sensor::Web, Grade::Payload),
            ("crowdsecurity/postfix-spam", Behaviour::Spam, Sensor::Mail, Grade::Handshake),
        ] {
            let reading = one(&ALERT.replace("crowdsecurity/ssh-bf", scenario));
            let [(0, Word::Sighting(sighting))] = reading.words.as_slice() else { panic!("{scenario}: {reading:?}") };
            assert_eq!((sighting.behaviour, sighting.sensor, sighting.grade), (behaviour, sensor, grade));
            assert_eq!((sighting.count, sighting.first.to_string().as_str()), (6, "2026-05-05T10:00:00.123Z"));
        }
    }

    #[test]
    fn lists_simulations_and_what_a_person_typed_are_no_evidence() {
        for (from, to, skip) in [
            (r#""simulated":false"#, r#""simulated":true"#, Skip::NotForDetection),
            (r#""origin":"crowdsec""#, r#""origin":"CAPI""#, Skip::SecondHand),
            (r#""origin":"crowdsec""#, r#""origin":"cscli""#, Skip::SecondHand),
            (
                r#""scope":"Ip","value":"198.51.100.7"},"start"#,
                r#""scope":"crowdsecurity/community-blocklist"},"start"#,
                Skip::NoObservable,
            ),
            ("crowdsecurity/ssh-bf", "own/thing", Skip::NoBehaviour),
        ] {
            assert_ne!(ALERT.replace(from, to), ALERT);
            assert_eq!(one(&ALERT.replace(from, to)).skipped, [(0, skip)], "{to}");
        }
    }

    #[test]
    fn a_bad_alert_is_refused_by_field_and_an_empty_answer_is_nothing() {
        for (from, to, field) in [
            (r#""source""#, r#""sauce""#, "source"),
            (r#""value":"198.51.100.7"},"start"#, r#""value":"198.51.100.777"},"start"#, "domain"),
            ("2026-05-05T10:00:08+00:00", "2026-05-04T10:00:08+00:00", "stop_at"),
            ("2026-05-05T10:00:08+00:00", "2027-05-04T10:00:08+00:00", "stop_at"),
            ("2026-05-05T10:00:08+00:00", "soon", "stop_at"),
        ] {
            assert_ne!(ALERT.replace(from, to), ALERT);
            assert_eq!(one(&ALERT.replace(from, to)).refused[0].1.field, field, "{to}");
        }
        assert!(read_all("null").words.is_empty() && read_all(" [] ").words.is_empty());
    }
}

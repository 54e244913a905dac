//! `epimachia finding search`, `sighting search`, `object search`: by value, network or name, behaviour, member, time,
//! marking; the newest first.

use crate::ask::{self, Read, connect};
use crate::client::ITEMS_MAX;
use crate::clock::{now, short};
use crate::exit::{Exit, Outcome};
use crate::finding_cmd::State;
use crate::out;
use clap::Args;
use hub::wire::{FoundObject, FoundSighting};
use model::{Behaviour, Finding, FindingState, GroupId, MemberId, Observable, ParseError, Span, Timestamp, Tlp};
use serde_json::Value;

/// What every search may be narrowed by.
#[derive(Args, Debug)]
pub struct Narrow {
    /// Address, prefix, domain, web address or file hash; defanged is fine
    #[arg(value_parser = ask::pasted)]
    value: Option<Observable>,
    /// Also what lies in the value: addresses in a prefix, names and web addresses below a domain
    #[arg(long, requires = "value")]
    below: bool,
    /// Also what the value lies in: prefixes around an address, names above a domain
    #[arg(long, requires = "value")]
    above: bool,
    /// Only what this member brought
    #[arg(long)]
    member: Option<MemberId>,
    /// Only since this time, or for so long: 2026-01-31T00:00:00Z, 24h
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Only until this time, or until so long ago
    #[arg(long, value_parser = moment)]
    until: Option<Timestamp>,
    /// Only with this marking
    #[arg(long, value_parser = ask::word(Tlp::ALL, Tlp::as_str))]
    tlp: Option<Tlp>,
    /// Only for this sharing group
    #[arg(long)]
    group: Option<GroupId>,
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=ITEMS_MAX as i64))]
    max: u32,
    #[command(flatten)]
    read: Read,
}

/// A search for findings.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia finding search 203.0.113.0/24 --below
  epimachia finding search --behaviour phishing --since 24h
Next: epimachia finding show ID")]
pub struct Findings {
    #[command(flatten)]
    narrow: Narrow,
    /// Only this behaviour
    #[arg(long, value_parser = ask::word(Behaviour::ALL, Behaviour::as_str))]
    behaviour: Option<Behaviour>,
    /// Only those in this state
    #[arg(long, value_enum)]
    state: Option<State>,
    /// Only of observables of this kind
    #[arg(long = "type", value_name = "KIND", value_parser = KINDS)]
    kind: Option<String>,
}

/// A search for sightings.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  epimachia sighting search evil.example --below --since 7d
Older ones than the hub keeps at hand stand in the journal: epimachia sighting list --from ENTRY")]
pub struct Sightings {
    #[command(flatten)]
    narrow: Narrow,
    /// Only this behaviour
    #[arg(long, value_parser = ask::word(Behaviour::ALL, Behaviour::as_str))]
    behaviour: Option<Behaviour>,
    /// Only of observables of this kind
    #[arg(long = "type", value_name = "KIND", value_parser = KINDS)]
    kind: Option<String>,
}

/// A search for objects.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  epimachia object search 203.0.113.7 --above
  epimachia object search --type indicator --member cloud --json
Next: epimachia object search --id ID --version all")]
pub struct Objects {
    #[command(flatten)]
    narrow: Narrow,
    /// Only objects of this STIX type
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only the object with this identifier
    #[arg(long, conflicts_with = "value")]
    id: Option<String>,
    /// all, or the time of a version; the latest where it is left out
    #[arg(long)]
    version: Option<String>,
}

/// The kinds of observables.
const KINDS: [&str; 7] = ["ipv4-addr", "ipv6-addr", "ipv4-net", "ipv6-net", "domain-name", "url", "file-hash"];

/// A time, or a length of time before now.
fn moment(text: &str) -> Result<Timestamp, ParseError> {
    text.parse::<Span>().map(|span| now().minus(span)).or_else(|_| text.parse())
}

type Pairs = Vec<(&'static str, String)>;

impl Narrow {
    fn pairs(&self) -> Pairs {
        let mut pairs: Pairs = Vec::new();
        let mut add = |name, value: Option<String>| pairs.extend(value.map(|value| (name, value)));
        add("value", self.value.as_ref().map(ToString::to_string));
        add("below", self.below.then(|| "true".to_owned()));
        add("above", self.above.then(|| "true".to_owned()));
        add("member", self.member.as_ref().map(ToString::to_string));
        add("since", self.since.map(|time| time.to_string()));
        add("until", self.until.map(|time| time.to_string()));
        add("tlp", self.tlp.map(|tlp| tlp.as_str().to_owned()));
        add("group", self.group.as_ref().map(ToString::to_string));
        pairs
    }
}

/// Asks and prints: as the hub says it, or as a table.
fn search<T: serde::de::DeserializeOwned>(
    narrow: &Narrow,
    path: &str,
    further: impl IntoIterator<Item = (&'static str, Option<String>)>,
    head: &[&str],
    row: impl Fn(&T) -> Vec<String>,
) -> Outcome {
    let mut query = narrow.pairs();
    query.extend(further.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let (client, max) = (connect(&narrow.read.connect)?, narrow.max as usize);
    if narrow.read.json {
        out::json_list(&client.list::<Value>(path, &query, max)?);
        return Ok(Exit::Done);
    }
    let found: Vec<T> = client.list(path, &query, max)?;
    out::table(head, &found.iter().map(row).collect::<Vec<_>>());
    match found.len() {
        0 => out::say("Nothing found. Wider: --below, --above, or fewer conditions."),
        n if n == max => out::say(format_args!("There may be more than {max}: give --max.")),
        n => out::say(format_args!("{n} found.")),
    }
    Ok(Exit::Done)
}

/// `epimachia finding search`
pub fn findings(asked: &Findings) -> Outcome {
    let row = |finding: &Finding| {
        let behaviours: Vec<&str> = finding.behaviours.iter().map(|b| b.as_str()).collect();
        vec![
            finding.id.to_string(),
            finding.state.to_string(),
            finding.observable.to_string(),
            behaviours.join(","),
            format!("{:.3} of {:.3}", finding.sum.total, finding.sum.threshold),
            short(finding.last),
            finding.handling.to_string(),
        ]
    };
    let further = [
        ("behaviour", asked.behaviour.map(|word| word.as_str().to_owned())),
        ("state", asked.state.map(|state| FindingState::from(state).as_str().to_owned())),
        ("type", asked.kind.clone()),
    ];
    let head = ["FINDING", "STATE", "WHAT", "BEHAVIOUR", "POINTS", "LAST SEEN", "HANDLING"];
    search(&asked.narrow, "/api/v1/search/findings", further, &head, row)
}

/// `epimachia sighting search`
pub fn sightings(asked: &Sightings) -> Outcome {
    let row = |found: &FoundSighting| {
        let sighting = &found.sighting;
        vec![
            found.position.to_string(),
            short(sighting.last),
            who(found.member.as_ref()),
            sighting.observable.to_string(),
            sighting.behaviour.to_string(),
            sighting.count.to_string(),
            sighting.grade.to_string(),
            sighting.handling.to_string(),
            if found.signed { "signed" } else { "not signed" }.to_owned(),
        ]
    };
    let further = [("behaviour", asked.behaviour.map(|word| word.as_str().to_owned())), ("type", asked.kind.clone())];
    let head = ["ENTRY", "LAST", "MEMBER", "WHAT", "BEHAVIOUR", "TIMES", "GRADE", "HANDLING", "BY"];
    search(&asked.narrow, "/api/v1/search/sightings", further, &head, row)
}

/// `epimachia object search`
pub fn objects(asked: &Objects) -> Outcome {
    let row = |found: &FoundObject| {
        vec![
            found.id.clone(),
            found.version.clone(),
            found.added.clone(),
            who(found.member.as_ref()),
            found.root.clone(),
            found.handling.to_string(),
        ]
    };
    let further = [("type", asked.kind.clone()), ("id", asked.id.clone()), ("version", asked.version.clone())];
    let head = ["OBJECT", "VERSION", "ADDED", "MEMBER", "ROOT", "HANDLING"];
    search(&asked.narrow, "/api/v1/search/objects", further, &head, row)
}

/// A member's name; one that wishes to stay unnamed is "a member".
fn who(member: Option<&MemberId>) -> String {
    member.map_or_else(|| "a member".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_length_of_time_ago() {
        assert_eq!(moment("2026-01-31T00:00:00Z").unwrap(), "2026-01-31T00:00:00Z".parse().unwrap());
        assert!(now().since(moment("24h").unwrap()) >= Span::hours(24));
        assert!(moment("soon").unwrap_err().to_string().contains("RFC 3339"));
    }

    #[test]
    fn every_kind_of_observable_can_be_asked_for() {
        let values = [
            "80.1.1.1",
            "2001:db8::1",
            "80.1.0.0/16",
            "2001:db8::/32",
            "a.example",
            "http://a.example/",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
        ];
        let kinds = values.map(|value| value.parse::<Observable>().unwrap().kind());
        assert_eq!(kinds, KINDS);
    }
}

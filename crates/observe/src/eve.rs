//! Suricata's EVE JSON: alerts are evidence about the remote side, so are flows to decoys; all else is a record.
//!
//! Field shapes: docs.suricata.io, "EVE JSON Format", version 7. `event` holds what is read of a line, `category` which
//! behaviour an alert's category means. Why a grade is what it is stands at [`grade`].

pub mod category;
mod event;
pub mod traffic;

use crate::networks::Networks;
use crate::source::{Outcome, Settings, Skip, Source, shallow, text};
use crate::times::{self, Offset, TimeFormat};
use category::Meaning;
use event::{Event, Side};
use model::{Behaviour, Domain, Family, Grade, Observable, ParseError, Sensor, Sighting};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most entries of `signatures` and of `categories`.
pub const RULES_MAX: usize = 10_000;

/// What a member may say about its Suricata.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EveSettings {
    /// What single signatures mean; wins over their category. At most 10,000.
    pub signatures: Vec<SignatureRule>,
    /// What categories mean; wins over the built-in table. At most 10,000.
    pub categories: BTreeMap<String, Word>,
    /// Own addresses at which nothing is offered: every flow to one is a scan, seen by a honeypot.
    pub decoys: Networks,
    /// The offset of timestamps that are written without one; default `Z`.
    pub utc_offset: Offset,
}

/// What one signature means.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureRule {
    /// Its `signature_id` (`sid`).
    pub id: u64,
    /// Its meaning.
    pub behaviour: Word,
}

/// A behaviour, or `ignore`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Word {
    /// Evidence of this behaviour.
    Behaviour(Behaviour),
    /// No evidence.
    Ignore,
}

impl TryFrom<String> for Word {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        match text.as_str() {
            "ignore" => Ok(Self::Ignore),
            word => word.parse().map(Self::Behaviour),
        }
    }
}

impl From<Word> for String {
    fn from(word: Word) -> Self {
        match word {
            Word::Behaviour(behaviour) => behaviour.as_str().to_owned(),
            Word::Ignore => "ignore".to_owned(),
        }
    }
}

/// The source.
#[derive(Clone, Debug, Default)]
pub struct Eve {
    signatures: BTreeMap<u64, Word>,
    /// By the category's text in lower case.
    categories: BTreeMap<String, Word>,
    decoys: Networks,
    utc_offset: Offset,
}

impl Eve {
    /// The source that `settings` describe.
    ///
    /// # Errors
    /// Too many signatures or categories.
    pub fn new(settings: EveSettings) -> Result<Self, ParseError> {
        for (field, count) in [("signatures", settings.signatures.len()), ("categories", settings.categories.len())] {
            if count > RULES_MAX {
                return Err(ParseError::new(field, &format!("{count} entries"), format_args!("at most {RULES_MAX}")));
            }
        }
        Ok(Self {
            signatures: settings.signatures.into_iter().map(|rule| (rule.id, rule.behaviour)).collect(),
            categories: settings.categories.into_iter().map(|(k, word)| (k.to_lowercase(), word)).collect(),
            decoys: settings.decoys,
            utc_offset: settings.utc_offset,
        })
    }

    fn sighting(&self, bytes: &[u8], settings: &Settings) -> Result<Sighting, Outcome> {
        if bytes.trim_ascii().is_empty() {
            return Err(Skip::Blank.into());
        }
        self.evidence(&Event::read(shallow(text(bytes)?)?)?, settings)
    }

    fn evidence(&self, event: &Event<'_>, settings: &Settings) -> Result<Sighting, Outcome> {
        match event.event_type.as_ref() {
            "alert" => self.alert(event, settings),
            "flow" => self.flow(event, settings),
            _ => Err(Skip::NotEvidence.into()),
        }
    }

    fn alert(&self, event: &Event<'_>, settings: &Settings) -> Result<Sighting, Outcome> {
        let alert = event.alert.as_ref().ok_or_else(|| ParseError::new("alert", "nothing", "an object"))?;
        let meaning = self.meaning(alert)?;
        let side = event.sides()?.remote(&settings.own)?;
        // The signature's own `target` keyword knows best who suffered.
        if alert.target.as_ref().is_some_and(|target| target.ip == side.remote) {
            return Err(Skip::OwnActs.into());
        }
        let behaviour = behaviour_of(meaning, &side)?;
        let observable = settings.foreign(observable_of(event, behaviour, &side)?)?;
        self.sighted(event, observable, behaviour, grade(event, &side), Sensor::Ids, settings)
    }

    /// A flow is evidence only where nobody has any business to go.
    fn flow(&self, event: &Event<'_>, settings: &Settings) -> Result<Sighting, Outcome> {
        let sides = event.sides()?;
        if !self.decoys.contains(sides.server) {
            return Err(Skip::NotEvidence.into());
        }
        let side = Side { remote: sides.client, remote_began: true };
        let observable = settings.foreign(Observable::Address(side.remote))?;
        self.sighted(event, observable, Behaviour::Scan, grade(event, &side), Sensor::Honeypot, settings)
    }

    fn meaning(&self, alert: &event::Alert<'_>) -> Result<Meaning, Outcome> {
        let own_rule = self.signatures.get(&alert.signature_id).copied();
        let category = alert.category.to_lowercase();
        match own_rule.or_else(|| self.categories.get(&category).copied()) {
            Some(Word::Ignore) => Err(Skip::Ignored.into()),
            Some(Word::Behaviour(behaviour)) => Ok(Meaning::only(behaviour)),
            None => category::meaning(&category).ok_or_else(|| Skip::NoBehaviour.into()),
        }
    }

    fn sighted(
        &self,
        event: &Event<'_>,
        observable: Observable,
        behaviour: Behaviour,
        grade: Grade,
        sensor: Sensor,
        settings: &Settings,
    ) -> Result<Sighting, Outcome> {
        let time = times::read(&event.timestamp, TimeFormat::Text, &self.utc_offset)?;
        let handling = settings.handling.clone();
        Ok(Sighting { observable, behaviour, first: time, last: time, count: 1, sensor, grade, handling })
    }
}

impl Source for Eve {
    fn line(&mut self, bytes: &[u8], settings: &Settings) -> Outcome {
        self.sighting(bytes, settings).into()
    }
}

/// Harm comes from whoever began, or waits at whom one's own machine went to. An own machine that attacks makes the
/// remote side a victim.
fn behaviour_of(meaning: Meaning, side: &Side) -> Result<Behaviour, Skip> {
    match (side.remote_began, meaning.from_remote, meaning.at_remote) {
        (true, Some(behaviour), _) | (false, _, Some(behaviour)) => Ok(behaviour),
        (false, Some(_), None) => Err(Skip::OwnActs),
        (true, None, _) | (false, None, None) => Err(Skip::NoBehaviour),
    }
}

/// The remote address; of a DNS event the name that was asked for, since the remote side is only a resolver.
fn observable_of(event: &Event<'_>, behaviour: Behaviour, side: &Side) -> Result<Observable, Skip> {
    if !event.is_dns() || side.remote_began {
        return Ok(Observable::Address(side.remote));
    }
    if behaviour.family() != Family::Destination {
        return Err(Skip::NoObservable);
    }
    let name = event.dns_name().ok_or(Skip::NoObservable)?;
    name.parse::<Domain>().map(Observable::Domain).map_err(|_| Skip::NoObservable)
}

/// How hard the evidence is to forge.
///
/// - Content of an application seen on TCP: payload. Suricata recognises applications in reassembled streams only, and
///   those need both sides' sequence numbers.
/// - A TCP connection whose state says that the handshake was completed: handshake.
/// - The remote side answered a connection that an own machine began: handshake. (The other way round, an answer of
///   ours proves nothing: a forged SYN is answered too.)
/// - Everything else, UDP and ICMP from outside above all: spoofable.
fn grade(event: &Event<'_>, side: &Side) -> Grade {
    let tcp = event.proto.eq_ignore_ascii_case("tcp");
    if tcp && event.has_content() {
        return Grade::Payload;
    }
    let answered_us = !side.remote_began && event.flow.as_ref().is_some_and(|flow| flow.pkts_toclient > 0);
    match (tcp && event.is_established()) || answered_us {
        true => Grade::Handshake,
        false => Grade::Spoofable,
    }
}

#[cfg(test)]
mod tests;

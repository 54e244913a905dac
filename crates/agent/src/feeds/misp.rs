//! A MISP feed by HTTPS or in a directory: this member's own events become its sightings, those of others objects.

use super::reader::Step;
use super::remote::{Remote, Trouble};
use super::sort::{Rules, Sorted, heard, silent, sort};
use crate::config::{Becomes, PullConfig};
use crate::core::{FED_SIGHTINGS_MAX, Mark};
use serde_json::json;
use share::misp::feed::{Change, EVENT, Listed, MANIFEST_BYTES_MAX, News, Place, news, objects, organisation};
use share::stix::{Kind, Markings};
use share::taxii::client::Page;
use std::collections::VecDeque;

/// Most events of one step.
const EVENTS_MAX: usize = 100;
/// A step ends with as many objects or sightings.
const ENOUGH: usize = 1_000;

/// Events of the manifest that are still to be read in this round.
#[derive(Default)]
pub(super) struct Waiting(Option<VecDeque<Listed>>);

/// Reads some events.
pub(super) async fn step(
    remote: &Remote,
    config: &PullConfig,
    waiting: &mut Waiting,
    mark: Option<&Mark>,
    rules: &Rules<'_>,
) -> Result<Step, Trouble> {
    let (mut change, mut sorted) = (Change::default(), Sorted::default());
    if waiting.0.is_none() {
        let none = Place::default();
        let place = if let Some(Mark::Misp(place)) = mark { place } else { &none };
        waiting.0 = Some(listed(remote, config, place, &mut change, &mut sorted).await?);
    }
    let queue = waiting.0.get_or_insert_default();
    for _ in 0..EVENTS_MAX {
        let Some(event) = queue.front().cloned() else { break };
        let read = read(remote, config, &event, rules).await?;
        let full = sorted.sightings.len() + read.sightings.len() > FED_SIGHTINGS_MAX;
        if full && !sorted.sightings.is_empty() {
            break;
        }
        sorted.add(read);
        // Of an event that alone has more than is heard at once the first ones are heard.
        let beyond = sorted.sightings.len().saturating_sub(FED_SIGHTINGS_MAX);
        sorted.sightings.truncate(FED_SIGHTINGS_MAX);
        (0..beyond).for_each(|_| sorted.count("refused:too_many"));
        change.taken.insert(event.digest());
        queue.pop_front();
        if sorted.objects.len().max(sorted.sightings.len()) >= ENOUGH {
            break;
        }
    }
    Ok(Step { sorted, mark: Mark::MispChange(change), more: !queue.is_empty(), odd: Vec::new() })
}

/// What the manifest lists and was not read yet; what it does not list any more is forgotten.
async fn listed(
    remote: &Remote,
    config: &PullConfig,
    place: &Place,
    change: &mut Change,
    sorted: &mut Sorted,
) -> Result<VecDeque<Listed>, Trouble> {
    let manifest = remote.document("manifest.json", MANIFEST_BYTES_MAX).await?;
    let found = news(&manifest, place).map_err(|error| Trouble::later(format!("no manifest: {error}")))?;
    let News { listed, gone, wrong } = found;
    change.gone = gone;
    for error in &wrong {
        sorted.note("refused:malformed", "manifest.json", error);
    }
    let since = config.since.map(|since| since.as_millis() / 1_000);
    Ok(listed.into_iter().filter(|event| since.is_none_or(|since| event.timestamp >= since)).collect())
}

/// One event; what cannot be read is counted and not asked for again in this version.
async fn read(remote: &Remote, config: &PullConfig, event: &Listed, rules: &Rules<'_>) -> Result<Sorted, Trouble> {
    let name = format!("{}.json", event.uuid);
    let mut sorted = Sorted::default();
    match remote.document(&name, EVENT.bytes).await {
        Ok(bytes) => {
            if let Err(error) = sort_event(&bytes, config, event, rules, &mut sorted) {
                sorted.note("refused:malformed", &name, &error);
            }
        }
        Err(trouble @ (Trouble::Refused(..) | Trouble::TooLarge(_))) => sorted.note("refused:missing", &name, &trouble),
        Err(later) => return Err(later),
    }
    Ok(sorted)
}

fn sort_event(
    bytes: &[u8],
    config: &PullConfig,
    event: &Listed,
    rules: &Rules<'_>,
    sorted: &mut Sorted,
) -> Result<(), model::ParseError> {
    let organisation = organisation(bytes)?;
    let own = organisation.is_some_and(|uuid| config.organisations.iter().any(|own| own.eq_ignore_ascii_case(&uuid)));
    let name = |place: usize| format!("attribute {place} of {}", event.uuid);
    if own || rules.becomes == Becomes::Own {
        let reading = share::misp::read(bytes, &EVENT, rules.defaults, rules.latest)?;
        heard(reading, &name, rules, sorted);
        return Ok(());
    }
    let (objects, reading) = objects(bytes, rules.alliance, rules.defaults, rules.latest)?;
    silent(&reading, &name, sorted);
    let envelope = json!({ "objects": objects }).to_string();
    let page = Page::read(envelope.as_bytes())?;
    let fresh = vec![true; page.good.len()];
    let mut markings = Markings::new(rules.alliance, []);
    for picked in page.good.iter().filter(|picked| picked.head.kind == Kind::MarkingDefinition) {
        // One that says nothing we know stays unknown, and what it marks is refused.
        let _ = markings.learn(&picked.head);
    }
    sorted.add(sort(&page, &fresh, &[], &markings, rules));
    Ok(())
}

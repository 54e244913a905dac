//! One page of others' objects, sorted without I/O: what is passed on, what this member's own sensors say, what
//! came from us in the first place, and why the rest is left out.

use super::beside::is_context;
use crate::config::Becomes;
use crate::strip::Strip;
use model::{Handling, Sighting, Timestamp, Tlp};
use serde_json::value::RawValue;
use share::stix::{Context, Head, Kind, Markings, StixTime, back, ours};
use share::taxii::client::Page;
use share::{Defaults, Reading, Word};
use std::collections::{BTreeMap, BTreeSet};

/// Most samples of what was refused, and characters of each, that are kept to be shown.
pub(crate) const SAMPLES_MAX: usize = 10;

/// Most sightings of one page: a few objects of another's could speak of the same many observables again and again.
const WORDS_MAX: usize = 100_000;

/// What holds for all objects of a feed.
pub(crate) struct Rules<'a> {
    /// Our alliance's name.
    pub alliance: &'a str,
    /// What becomes of them.
    pub becomes: Becomes,
    /// What they are worth where they do not say.
    pub defaults: &'a Defaults,
    /// The widest marking that is passed on.
    pub tlp_max: Tlp,
    /// What points to this member stays here.
    pub strip: &'a Strip,
    /// Nothing may be made after this.
    pub latest: Timestamp,
}

/// A page, sorted.
#[derive(Debug, Default)]
pub(crate) struct Sorted {
    /// Objects to be passed on, byte for byte.
    pub objects: Vec<Box<RawValue>>,
    /// Sightings of this member's own.
    pub sightings: Vec<Sighting>,
    /// What became of everything, by outcome.
    pub counts: BTreeMap<String, u64>,
    /// Some of what was refused or withheld, in words.
    pub samples: Vec<String>,
}

impl Sorted {
    /// Counts one outcome.
    pub fn count(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    /// Adds what another part came to.
    pub fn add(&mut self, other: Self) {
        self.objects.extend(other.objects);
        self.sightings.extend(other.sightings);
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        let room = SAMPLES_MAX.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }

    /// Counts one outcome and keeps it as a sample.
    pub fn note(&mut self, what: &str, of: &str, why: &dyn std::fmt::Display) {
        self.count(what);
        if self.samples.len() < SAMPLES_MAX {
            self.samples.push(model::parse::printable(&format!("{of}: {why}")));
        }
    }
}

/// Sorts what is new on a page. `markings` knows the definitions that came along; `beside` was fetched because the page
/// refers to it.
pub(crate) fn sort(
    page: &Page<'_>,
    fresh: &[bool],
    beside: &[Head<'_>],
    markings: &Markings,
    rules: &Rules<'_>,
) -> Sorted {
    let mut sorted = Sorted::default();
    for (place, error) in &page.bad {
        sorted.note("refused:malformed", &format!("object {place}"), error);
    }
    let new = page.good.iter().zip(fresh).filter(|(_, fresh)| **fresh).map(|(picked, _)| &picked.head);
    let (mut kept, known): (Vec<&Head<'_>>, Vec<&Head<'_>>) = new.partition(|head| !is_ours(head, rules));
    known.iter().for_each(|_| sorted.count("echo"));
    let authors = authors(&kept, markings, rules);
    kept.retain(|head| match held_back(head, &authors, markings, rules) {
        Some((what, why)) => {
            sorted.note(&what, &head.id, &why);
            false
        }
        None => true,
    });
    match rules.becomes {
        Becomes::Objects => {
            // Whoever gets the objects needs the definitions, and may not have them.
            let definitions = beside.iter().filter(|head| head.kind == Kind::MarkingDefinition);
            let definitions = definitions.filter(|head| held_back(head, &authors, markings, rules).is_none());
            sorted.objects = definitions.chain(kept).map(|head| head.raw.to_owned()).collect();
        }
        Becomes::Own => {
            let old = page.good.iter().zip(fresh).filter(|(_, fresh)| !**fresh).map(|(picked, _)| &picked.head);
            let context = old.chain(beside).filter(|head| is_context(head) && !is_ours(head, rules));
            let context = context.filter(|head| held_back(head, &authors, markings, rules).is_none()).collect();
            own(&kept, context, markings, rules, &mut sorted);
        }
    }
    sorted
}

/// Did this come from our own alliance? By its identifier, its author, or the way back that it carries, which tools
/// keep that give objects identifiers and authors of their own: an echo is never evidence, nor passed on a second time.
pub(crate) fn is_ours(head: &Head<'_>, rules: &Rules<'_>) -> bool {
    let author = ours::alliance_id(rules.alliance);
    back::finding_of(rules.alliance, &head.id).is_some()
        || head.created_by.as_deref() == Some(&*author)
        || *head.id == *author
        || leads_back(head, rules)
}

/// Does the object carry the way back to a finding or plan? None is own evidence, whoever made it; as an object another
/// alliance's is welcome.
fn leads_back(head: &Head<'_>, rules: &Rules<'_>) -> bool {
    back::references(head).any(|back| rules.becomes == Becomes::Own || back.alliance.as_deref() == Some(rules.alliance))
}

/// Who made what goes on. Few mark the identities that they name as authors: such a one goes with what it made.
fn authors(kept: &[&Head<'_>], markings: &Markings, rules: &Rules<'_>) -> BTreeSet<String> {
    if !kept.iter().any(|head| is_unmarked_identity(head)) {
        return BTreeSet::new();
    }
    let none = BTreeSet::new();
    let goes = kept.iter().filter(|head| held_back(head, &none, markings, rules).is_none());
    goes.filter_map(|head| head.created_by.as_deref().map(ToOwned::to_owned)).collect()
}

fn is_unmarked_identity(head: &Head<'_>) -> bool {
    head.kind == Kind::Identity && head.markings.is_empty() && !head.granular
}

/// Why an object goes no further.
fn held_back(
    head: &Head<'_>,
    authors: &BTreeSet<String>,
    markings: &Markings,
    rules: &Rules<'_>,
) -> Option<(String, String)> {
    if let Err(error) = head.not_after(StixTime::from(rules.latest)) {
        return Some(("refused:future".to_owned(), error.to_string()));
    }
    let handling = match markings.of(head, &rules.defaults.handling) {
        Ok(handling) => handling,
        Err(error) => return Some(("refused:marking".to_owned(), error.to_string())),
    };
    // Definitions say nothing of anybody, and are seldom marked.
    let is_author = is_unmarked_identity(head) && authors.contains(&*head.id);
    let says = !is_author && !matches!(head.kind, Kind::MarkingDefinition | Kind::ExtensionDefinition);
    if let Some(why) = too_wide(&handling, rules).filter(|_| says) {
        return Some(("refused:marking".to_owned(), why));
    }
    if rules.becomes == Becomes::Own {
        // Only the observable of a sighting leaves, and that is looked at by itself.
        return None;
    }
    let why = rules.strip.object(head.raw.get())?;
    Some((format!("stripped:{why}"), format!("withheld: it names {why}")))
}

/// What others marked stays within their marking; this member's own is its own to share.
fn too_wide(handling: &Handling, rules: &Rules<'_>) -> Option<String> {
    let widest = match rules.becomes {
        Becomes::Objects => rules.tlp_max,
        Becomes::Own => Tlp::AmberStrict,
    };
    (handling.tlp > widest).then(|| format!("TLP:{}, at most {widest} is passed on", handling.tlp))
}

/// What new objects say; `beside` is what they may refer to, and says nothing any more.
fn own(kept: &[&Head<'_>], beside: Vec<&Head<'_>>, markings: &Markings, rules: &Rules<'_>, sorted: &mut Sorted) {
    let objects: Vec<&RawValue> = kept.iter().copied().chain(beside).map(|head| head.raw).collect();
    let context = Context {
        defaults: rules.defaults,
        markings: markings.clone(),
        finding: &|_| None,
        latest: StixTime::from(rules.latest),
        words_max: WORDS_MAX,
    };
    let mut reading = share::stix::read(&objects, context);
    reading.words.retain(|(place, _)| *place < kept.len());
    reading.refused.retain(|(place, _)| *place < kept.len());
    reading.skipped.retain(|(place, _)| *place < kept.len());
    let name = |place: usize| kept.get(place).map_or("object", |head| &*head.id).to_owned();
    heard(reading, &name, rules, sorted);
}

/// Sorts what this member's own sensors say; `name` tells what stands at a place.
pub(crate) fn heard(reading: Reading, name: &dyn Fn(usize) -> String, rules: &Rules<'_>, sorted: &mut Sorted) {
    silent(&reading, name, sorted);
    for (place, word) in reading.words {
        match word {
            Word::Sighting(sighting) => match rules.strip.sighting(&sighting) {
                Some(why) => sorted.note(&format!("stripped:{why}"), &name(place), &"withheld"),
                None => sorted.sightings.push(sighting),
            },
            // A person takes back what this member signed.
            Word::Retraction { .. } => sorted.count("skipped:revoked"),
            Word::Dispute { .. } | Word::Agreement { .. } => sorted.count("skipped:opinion"),
        }
    }
}

/// Counts what is wrong and what says nothing.
pub(crate) fn silent(reading: &Reading, name: &dyn Fn(usize) -> String, sorted: &mut Sorted) {
    for (place, error) in &reading.refused {
        sorted.note("refused:malformed", &name(*place), error);
    }
    for (_, skip) in &reading.skipped {
        sorted.count(&format!("skipped:{}", skip.as_str()));
    }
}

//! What a document of another tool comes to: words of ours, and of everything else why it is none.

use model::{Behaviour, FindingId, Grade, Ground, Handling, Observable, ParseError, Sensor, Sighting};
use std::collections::BTreeSet;

/// What a sender's material is worth where the material itself does not say.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Who may see it.
    pub handling: Handling,
    /// What it did; without one, what says nothing of it is no evidence.
    pub behaviour: Option<Behaviour>,
    /// What saw it.
    pub sensor: Sensor,
    /// How hard it is to forge.
    pub grade: Grade,
}

/// What an object says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Word {
    /// Evidence.
    Sighting(Sighting),
    /// An objection to a finding of ours, for a person to sign.
    Dispute {
        /// Which finding.
        finding: FindingId,
        /// On what ground.
        ground: Ground,
        /// In the sender's words.
        reason: String,
    },
    /// The sender agrees with a finding of ours. It informs; it is no evidence.
    Agreement {
        /// Which finding.
        finding: FindingId,
    },
    /// What the sender said of these earlier no longer holds.
    Retraction {
        /// Of what.
        observables: BTreeSet<Observable>,
        /// As which behaviour it was reported, where the object says so.
        behaviour: Option<Behaviour>,
    },
}

/// Why a good object says nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Skip {
    /// Context: kept as an object, says nothing about an observable.
    Context,
    /// Names no observable that the alliance acts upon.
    NoObservable,
    /// Nothing says what it did, and there is no default.
    NoBehaviour,
    /// Its pattern cannot be said in observables, or only of several together.
    NotReducible,
    /// In another pattern language (YARA, Snort, …).
    OtherLanguage,
    /// No longer valid.
    Expired,
    /// Looked for and not seen.
    NotSeen,
    /// Nothing tells which of several observables was seen.
    Ambiguous,
    /// Refers to objects that are not here.
    Unresolved,
    /// A sighting of it says more.
    Sighted,
    /// A newer version of it is here.
    Superseded,
    /// It refers to more observables than are taken at a time.
    TooMany,
    /// A finding of an alliance: nobody counts it as evidence again.
    Finding,
    /// The sender says that it is not for detection, or only simulated.
    NotForDetection,
    /// Somebody at the sender's says that it is a false positive.
    Disputed,
    /// The sender has it from others.
    SecondHand,
}

impl Skip {
    /// The reason as one word, for counters.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Context => "context",
            Self::NoObservable => "no_observable",
            Self::NoBehaviour => "no_behaviour",
            Self::NotReducible => "not_reducible",
            Self::OtherLanguage => "other_language",
            Self::Expired => "expired",
            Self::NotSeen => "not_seen",
            Self::Ambiguous => "ambiguous",
            Self::Unresolved => "unresolved",
            Self::Sighted => "sighted",
            Self::Superseded => "superseded",
            Self::TooMany => "too_many",
            Self::Finding => "finding",
            Self::NotForDetection => "not_for_detection",
            Self::Disputed => "disputed",
            Self::SecondHand => "second_hand",
        }
    }
}

/// What became of the objects, records or lines of a document, each by its place, from 0. An object may say several
/// words.
#[derive(Debug, Default)]
pub struct Reading {
    /// What was said.
    pub words: Vec<(usize, Word)>,
    /// Good objects that say nothing, and why.
    pub skipped: Vec<(usize, Skip)>,
    /// Bad objects.
    pub refused: Vec<(usize, ParseError)>,
    /// The observables by which good STIX 2.1 objects are found ([`crate::search::mentions`]).
    pub mentions: Vec<(usize, Vec<Observable>)>,
}

impl Reading {
    /// Notes what became of the object at `place`.
    pub(crate) fn take(&mut self, place: usize, result: Result<Vec<Word>, Silent>) {
        match result {
            Ok(words) => self.words.extend(words.into_iter().map(|word| (place, word))),
            Err(Silent::Skip(skip)) => self.skipped.push((place, skip)),
            Err(Silent::Wrong(error)) => self.refused.push((place, error)),
        }
    }

    /// The evidence in it, each with its place.
    pub fn sightings(&self) -> impl Iterator<Item = (usize, &Sighting)> {
        self.words.iter().filter_map(|(place, word)| match word {
            Word::Sighting(sighting) => Some((*place, sighting)),
            _ => None,
        })
    }
}

/// Why an object says nothing: there is nothing to say, or it is wrong.
pub(crate) enum Silent {
    /// Nothing to say.
    Skip(Skip),
    /// Wrong.
    Wrong(ParseError),
}

impl From<ParseError> for Silent {
    fn from(error: ParseError) -> Self {
        Self::Wrong(error)
    }
}

impl From<Skip> for Silent {
    fn from(skip: Skip) -> Self {
        Self::Skip(skip)
    }
}

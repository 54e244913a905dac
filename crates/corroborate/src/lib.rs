//! Sightings into findings: truth, relevance, guards, each a sum a person can add up.
//!
//! [`Engine`] holds everything: [`Engine::sight`] takes in a sighting, [`Engine::truth`] answers whether an
//! observable may be told to people and whether it may be acted upon, [`Engine::relevance`] whom it will hit. Both
//! answers are sums of terms that are shown. Start reading at `engine`, then `tally` (how evidence is counted) and
//! `credit` (how members earn their weight); `docs/why/corroboration.md` says why.

mod clock;
mod credit;
mod dispute;
mod engine;
mod error;
pub mod evaluate;
mod guard;
mod key;
mod member;
mod pairs;
mod relevance;
mod report;
mod rules;
mod saving;
mod snapshot;
mod survival;
mod table;
mod tally;
mod truth;

pub use engine::{Attestation, Engine, MEMBERS_MAX, MemberIndex, Sight, SightOutcome};
pub use error::Error;
pub use guard::Guard;
pub use key::{Keys, NeighbourhoodKey, ObservableKey, Seed};
pub use relevance::{Own, Ranked, RelevanceSum};
pub use report::Mark;
pub use rules::{MemberTrust, RelevanceRules, Rules};
pub use saving::Saver;
pub use truth::{Reason, Reporter, Sum, TruthSum, Verdict, Verdicts};

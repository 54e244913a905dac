//! What happened in a run, or in many, in numbers.

use model::{MitigationState, Rule};
use std::collections::BTreeMap;

/// Counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events that were dealt with.
    pub steps: u64,
    /// Facts that the checkers were shown.
    pub facts: u64,
    /// Messages that arrived somewhere.
    pub messages: u64,
    /// Messages that were lost.
    pub lost: u64,
    /// How often the hub died.
    pub hub_crashes: u64,
    /// How often of those it left a turn that was written by half.
    pub half_turns: u64,
    /// How often of those it died in its first turn after a start.
    pub hub_crashes_again: u64,
    /// How often an agent died.
    pub agent_crashes: u64,
    /// Entries in the journal.
    pub entries: u64,
    /// Changes of keys that agents took.
    pub keys: u64,
    /// What hostile members and hubs did.
    pub mischief: u64,
    /// Mitigations that agents took.
    pub held: u64,
    /// Objects that enforcement points put in force.
    pub enforced: u64,
    /// Receipts by state.
    pub receipts: BTreeMap<MitigationState, u64>,
    /// Refusals by rule, of hub and agents.
    pub refusals: BTreeMap<Rule, u64>,
}

impl Tally {
    /// Counts a refusal.
    pub fn refusal(&mut self, rule: Rule) {
        *self.refusals.entry(rule).or_default() += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.facts += other.facts;
        self.messages += other.messages;
        self.lost += other.lost;
        self.hub_crashes += other.hub_crashes;
        self.half_turns += other.half_turns;
        self.hub_crashes_again += other.hub_crashes_again;
        self.agent_crashes += other.agent_crashes;
        self.entries += other.entries;
        self.keys += other.keys;
        self.mischief += other.mischief;
        self.held += other.held;
        self.enforced += other.enforced;
        other.receipts.iter().for_each(|(state, n)| *self.receipts.entry(*state).or_default() += n);
        other.refusals.iter().for_each(|(rule, n)| *self.refusals.entry(*rule).or_default() += n);
    }
}

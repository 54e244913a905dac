//! The seeded simulator: hub and agents in one thread, one checker a promise.
//!
//! A seed decides everything: who is hostile, what is reported, what is lost, who dies when. Read `run` (the queue of
//! events), then `wires` and `agents` (what they mean), `deeds` and `mischief` (what people do), `fact` (what the
//! checkers see) and `checkers`, one file a promise.
//!
//! What is absent: clocks, sockets, files, threads, and randomness of any other source than the seed.

mod agents;
mod cast;
mod checkers;
pub mod commands;
mod deeds;
pub mod fact;
mod hub;
mod journal;
mod keys;
mod member;
mod mischief;
mod point;
mod random;
mod run;
mod tally;
mod wires;
mod witness;

pub use fact::Violation;
pub use random::Random;
pub use run::{Outcome, run};
pub use tally::Tally;

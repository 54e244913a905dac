//! Findings and the charter into plans; the checker; approvals; standing orders.
//!
//! The hub's side: [`plan`] makes plans of findings, [`propose`] makes one of what a person wants, [`withdrawals`]
//! ends what no longer stands, [`standing`] counts approvals. The member's side: [`judge`] decides about each
//! mitigation of a
//! part, trusting nothing but signatures. Between them stands [`check`], written apart from the planner and run before
//! propose, before approve, and by the agent before apply.
//!
//! What is absent: a clock, randomness, files; and any way to make an agent accept what no member signed.

pub mod allow;
pub mod approvals;
pub mod check;
mod evidence;
pub mod judge;
pub mod orders;
pub mod plan;
pub mod propose;
mod still;
#[cfg(feature = "testing")]
pub mod testing;
pub mod withdraw;

pub use allow::AllowList;
pub use approvals::{Tally, Vote, admit, count, count_when_made, standing};
pub use check::{CheckContext, Fault, Head, Severity, check, is_refused};
pub use judge::{Answer, Context, Judgement, judge, read_part};
pub use orders::{OrderRule, StandingOrders, Then};
pub use plan::{Candidate, InForce, Input, Lineage, Planned, Skipped, plan};
pub use propose::{Draft, propose};
pub use still::{RestsOn, Standings, rests_on, still_stands};
pub use withdraw::withdrawals;

//! The alliance's rules as data: members, guards, limits, quorum.
//!
//! The charter is one TOML file that a quorum of members signed (`signed`). Every number in it is documented where it
//! is defined (`rules`). What is never blocked is in `guards`; which keys count, in `keys`. Nothing here decides about
//! a threat.

pub mod charter;
pub mod check;
pub mod guards;
pub mod keys;
pub mod rules;
pub mod signed;

pub use charter::{Alliance, Assets, Charter, Group, GuardFile, GuardRules, Member, MemberKey, Person};
pub use guards::{ClassSummary, GuardClass, Guards};
pub use keys::KeyBook;
pub use rules::{Corroboration, HandlingDefaults, Limits, Membership, Quorum, Relevance, Witnessing};
pub use signed::{CharterConsent, SignedCharter, SignedConsent};

#[cfg(test)]
mod fixture;

//! The hub's doors: HTTPS API, event streams, sequencer.
//!
//! A statement's way through: `serve` (connection, TLS) → `routes::guard` (token, scope, quota) → `intake` (length,
//! compression, depth) → `routes::submit` (parse, verify; many at a time) → `sequencer` (one at a time: handle, apply,
//! what follows, one durable write) → the answer; behind the sequencer (`behind`) agents hear through `streams`, the
//! tree and its checkpoints grow (`tree`), and snapshots are made (`snapshots`).
//!
//! [`Directory::init`] makes a hub's data directory, [`admin::first_token`] its first token, [`Hub::start`] runs it in
//! this process, for the program, the demo and tests alike.
//!
//! What is absent: nothing here decides about a threat, and nothing is answered or shown before it is durable.

pub mod admin;
mod archive;
mod behind;
mod ca;
mod clock;
pub mod config;
mod core;
mod directory;
mod error;
mod fair;
pub mod figures;
mod gate;
mod gauges;
mod intake;
mod joining;
pub mod logs;
pub mod openapi;
mod problem;
mod quota;
pub mod restored;
pub mod routes;
mod search;
mod sequencer;
mod serve;
mod snapshots;
mod space;
mod start;
mod strangers;
mod streams;
mod taxii;
mod tls;
mod tree;
pub mod wire;
mod witness;

pub use crate::core::Condition;
pub use ca::rotate as rotate_authority;
pub use config::Config;
pub use directory::{DIRECTORY_FORMAT, Directory, Identity, Init};
pub use error::Error;
pub use gate::{AGENT_SCOPES, Need, TOKEN_CHARS, TOKEN_PREFIX};
pub use problem::{Kind, PROBLEM_JSON, ProblemBody};
pub use start::{Hub, Running};

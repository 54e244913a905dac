//! The agent from outside: its core as a conversation, and whole agents before hubs and witnesses that are not honest.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a surprise is a failed test; the rig has more than is used here"
)]

mod charter_change;
mod common;
mod feeds;
mod flapping;
mod flow;
mod hostile_hub;
mod hub;
mod keys;
mod log;
mod rig;
mod statements;
mod truth;
mod withdrawals;
mod witness;
mod witness_service;

//! A running hub over real HTTPS: what it takes, refuses, shows, pushes, and survives.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says so by failing")]

mod api;
mod crash;
mod doors;
mod feeds;
mod feeds_tls;
mod handling;
mod hostile;
mod joining;
mod keys;
mod membership;
mod real_bundles;
mod roles;
mod room;
mod search;
mod start;
mod stream;
mod submit;
mod support;
mod taxii;
mod taxii_collections;
mod taxii_findings;
mod taxii_hostile;
mod taxii_must;
mod tokens;
mod witness;

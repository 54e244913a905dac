//! Real agents between a hub and those with whom a member exchanges: another alliance, other people's servers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says so by failing")]

mod alliance;
mod crowdsec;
mod federation;

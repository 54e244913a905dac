//! Privileges apart: the only process that may change the packet filter, and the agent's side of its channel.
//!
//! The enforcer holds `CAP_NET_ADMIN`, no key, no token, and no socket but one Unix socket. It trusts the agent with
//! nothing but *which* of what it allows is to be in force: table, protected networks, widths, counts and times are its
//! own configuration's, which the agent cannot write. [`rules`] is what it insists on, [`wire`] what may be said,
//! [`server`] who is listened to, [`client`] the point that the agent uses in its place.

pub mod client;
pub mod rules;
pub mod server;
pub mod wire;

pub use client::Via;
pub use rules::Rules;
pub use server::{Enforcer, Settings};

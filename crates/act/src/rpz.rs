//! The RPZ point: our own primary for policy zones, which the member's resolvers follow as secondaries.
//!
//! Read `owner` (where a trigger stands in a zone), `zone` (what a zone holds and how versions differ), then `primary`.

pub mod access;
mod door;
pub mod live;
pub mod notify;
pub mod owner;
pub mod primary;
pub mod serial;
mod server;
pub mod wire;
pub mod zone;

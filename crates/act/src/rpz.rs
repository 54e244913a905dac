//! The RPZ point: our own primary for policy zones, which the member's resolvers follow as secondaries.
//!
//! In the order of the flow: `owner` (where a trigger stands), `entry` (what is wished), `zone` (what a zone holds,
//! how its
//! versions differ), `serial` (versions across restarts), `live` (a zone that is served), `wire`, `access`, `door` and
//! `server` (how it is served and to whom), `notify` (who is told), `primary` (all of these), `ask` and `read_back`
//! (what
//! resolvers really do), `show` (what people read), `point` (the interface), `mini` (a resolver for demonstrations).

mod access;
mod ask;
mod door;
pub mod entry;
mod live;
mod mini;
mod mini_zone;
mod notify;
pub mod owner;
mod point;
mod primary;
mod read_back;
mod serial;
mod server;
mod show;
mod wire;
pub mod zone;

pub use access::TsigKey;
pub use entry::{Change, Entry, Policy, Trigger};
pub use live::ZoneSettings;
pub use mini::{Mini, MiniSettings, WorldFn};
pub use notify::Secondary;
pub use point::{RpzPoint, RpzSettings, zone_file};
pub use primary::{Primary, PrimarySettings};
pub use show::{Following, FollowingKey};
pub use wire::Timers;
pub use zone::ZoneLimits;

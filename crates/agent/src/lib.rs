//! The member's doors: sensors, hub client, enforcement points.
//!
//! [`core`] is the heart: a state machine without I/O, clock or randomness. [`Agent::start`] runs it: `store`
//! remembers,
//! `sensors` observe, `client` and `stream` speak with the hub, `driver` with the enforcement points, `control` with
//! the member's own people; `join` and `renew` get and keep the certificate (`identity`) that the hub knows it by.
//! `feeds` pulls from other tools and pushes to them; `strip` says what never leaves.
//! Everything meets in one task, `running`, which writes down before it acts.

mod client;
mod clock;
pub mod config;
pub mod control;
pub mod core;
mod driver;
mod error;
pub mod feeds;
pub mod heartbeat;
pub mod identity;
pub mod join;
pub mod keys;
mod packed;
mod peers;
mod renew;
mod room;
mod running;
mod sensors;
mod sse;
mod store;
mod stream;
pub mod strip;
mod submit;
pub mod watchdog;
mod wishes;
mod witness;

pub use config::Config;
pub use control::{Answer, Request};
pub use error::{Broken, Error};
pub use running::{Agent, Running};
pub use store::{Opened, Store};
pub use wishes::Requests;
